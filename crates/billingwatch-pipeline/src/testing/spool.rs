//! A spool in memory: what it took survives whoever held it, for as long as the value lives.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use billingwatch_core::time::Timestamp;
use billingwatch_store::{NewEntry, SpoolUsage, Spooled, StoreError};

use crate::spool::SpoolFile;

/// A spool in memory, whose bound is a number of events.
#[derive(Debug)]
pub struct MemorySpool {
    tables: Mutex<Tables>,
    entries_max: usize,
}

#[derive(Debug, Default)]
struct Tables {
    last_id: i64,
    waiting: Vec<Spooled>,
    set_aside: BTreeSet<i64>,
}

impl MemorySpool {
    /// An empty one that takes so many events.
    #[must_use]
    pub const fn new(entries_max: usize) -> Self {
        Self {
            tables: Mutex::new(Tables {
                last_id: 0,
                waiting: Vec::new(),
                set_aside: BTreeSet::new(),
            }),
            entries_max,
        }
    }

    /// What a new process finds: what was set aside is tried again.
    pub fn reopen(&self) {
        self.lock().set_aside.clear();
    }

    /// The place of the event that was put last.
    #[must_use]
    pub fn last_id(&self) -> i64 {
        self.lock().last_id
    }

    /// Everything in it, what is set aside too.
    #[must_use]
    pub fn all(&self) -> Vec<Spooled> {
        self.lock().waiting.clone()
    }

    /// What a disk does that said too early that it has them.
    pub fn lose_after(&self, last_id: i64) {
        self.lock().waiting.retain(|one| one.id <= last_id);
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn first(&self, limit: usize) -> Vec<Spooled> {
        let mut waiting: Vec<Spooled> = Vec::new();
        for one in &self.waiting {
            if waiting.len() < limit && !self.set_aside.contains(&one.id) {
                waiting.push(one.clone());
            }
        }
        waiting
    }
}

impl SpoolFile for MemorySpool {
    fn put(&self, entries: &[&NewEntry], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        let mut tables = self.lock();
        if tables.waiting.len() + entries.len() > self.entries_max {
            return Err(StoreError::Full {
                database: "the spool in memory".to_owned(),
                reason: format!("{} events wait in it", tables.waiting.len()),
            });
        }
        let mut was_there = Vec::new();
        for entry in entries {
            let is_known = tables.waiting.iter().any(|one| {
                (&one.entry.source, &one.entry.event_id) == (&entry.source, &entry.event_id)
            });
            was_there.push(is_known);
            if !is_known {
                tables.last_id += 1;
                let id = tables.last_id;
                let mut entry = (*entry).clone();
                entry.received_at.get_or_insert(now);
                tables.waiting.push(Spooled { id, entry });
            }
        }
        Ok(was_there)
    }

    fn first(&self, limit: usize) -> Result<Vec<Spooled>, StoreError> {
        Ok(self.lock().first(limit))
    }

    fn remove(&self, last_id: i64) -> Result<(), StoreError> {
        let mut tables = self.lock();
        let set_aside = std::mem::take(&mut tables.set_aside);
        tables
            .waiting
            .retain(|one| one.id > last_id || set_aside.contains(&one.id));
        tables.set_aside = set_aside;
        Ok(())
    }

    fn set_aside(&self, id: i64, _reason: &str) -> Result<(), StoreError> {
        self.lock().set_aside.insert(id);
        Ok(())
    }

    fn usage(&self) -> SpoolUsage {
        let tables = self.lock();
        let len = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let bodies = tables.waiting.iter().map(|one| one.entry.body.len());
        SpoolUsage {
            entries: len(tables.waiting.len() - tables.set_aside.len()),
            size_bytes: len(bodies.sum()),
            size_bytes_max: u64::MAX,
            oldest_at: tables
                .first(1)
                .first()
                .and_then(|one| one.entry.received_at),
            set_aside: len(tables.set_aside.len()),
        }
    }
}
