//! A process's spool: calls fail, seem to fail, and are where it dies. What it took survives the
//! process, and an outage of the store does not reach it.
//!
//! Putting takes no time: the writer has the way into the journal in hand meanwhile, so that nobody
//! else can move. Bugs of a spool are planted here.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::spool::SpoolFile;
use billingwatch_pipeline::testing::MemorySpool;
use billingwatch_store::{NewEntry, SpoolUsage, Spooled, StoreError};

use crate::bug::Bug;
use crate::faults::Fate;
use crate::world::World;

pub(crate) struct SimSpool {
    world: Weak<World>,
    host: usize,
    life: u64,
    file: Arc<MemorySpool>,
}

impl SimSpool {
    pub(crate) fn new(
        world: &Arc<World>,
        host: usize,
        life: u64,
        file: &Arc<MemorySpool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::downgrade(world),
            host,
            life,
            file: Arc::clone(file),
        })
    }

    fn call<T>(
        &self,
        what: &str,
        takes_time: bool,
        work: impl FnOnce(&Arc<World>, &MemorySpool) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let world = self.world.upgrade().ok_or_else(|| broken("the end"))?;
        let (fate, before, after) = world.fate_of_spool();
        if fate != Fate::Works {
            world.note(b'F', self.life, || {
                format!("process {}: spool, {what} {fate:?}", self.host)
            });
        }
        if takes_time {
            self.pass(&world, before);
        }
        match fate {
            Fate::FailsBefore => return Err(broken("planned")),
            Fate::DiesBefore => self.die(&world),
            Fate::Panics => resume_unwind(Box::new("planned")),
            Fate::Works | Fate::FailsAfter | Fate::DiesAfter => {}
        }
        let done = work(&world, &self.file)?;
        if takes_time {
            self.pass(&world, after);
        }
        match fate {
            Fate::FailsAfter => Err(broken("planned")),
            Fate::DiesAfter => self.die(&world),
            _ => Ok(done),
        }
    }

    /// Whoever died while time passed does not come back.
    fn pass(&self, world: &Arc<World>, span: Span) {
        world.pass(span);
        if !world.hosts[self.host].is_alive(self.life) {
            resume_unwind(Box::new("died"));
        }
    }

    fn die(&self, world: &Arc<World>) -> ! {
        world.hosts[self.host].die(world);
        resume_unwind(Box::new("died"))
    }
}

impl fmt::Debug for SimSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimSpool").finish_non_exhaustive()
    }
}

impl SpoolFile for SimSpool {
    fn put(&self, entries: &[&NewEntry], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        self.call("put", false, |world, file| {
            let before = file.last_id();
            let was_there = file.put(entries, now)?;
            world.note(b'S', self.life, || {
                format!(
                    "process {}: {} events into the spool",
                    self.host,
                    entries.len()
                )
            });
            for entry in entries {
                world.note_kept(entry, Some(now));
            }
            if world.has(Bug::SpoolUnsynced) {
                world.hosts[self.host].note_unspooled(world.now(), before);
            }
            Ok(was_there)
        })
    }

    fn first(&self, limit: usize) -> Result<Vec<Spooled>, StoreError> {
        self.call("first", true, |world, file| {
            let mut waiting = file.first(limit)?;
            if world.has(Bug::SpoolNewestFirst) {
                let ids: Vec<i64> = waiting.iter().map(|one| one.id).collect();
                waiting.reverse();
                for (one, id) in waiting.iter_mut().zip(ids) {
                    one.id = id;
                }
            }
            Ok(waiting)
        })
    }

    fn remove(&self, last_id: i64) -> Result<(), StoreError> {
        self.call("remove", true, |_, file| file.remove(last_id))
    }

    fn set_aside(&self, id: i64, reason: &str) -> Result<(), StoreError> {
        self.call("set aside", true, |_, file| file.set_aside(id, reason))
    }

    fn usage(&self) -> SpoolUsage {
        self.file.usage()
    }
}

fn broken(reason: &str) -> StoreError {
    StoreError::Full {
        database: "the simulated spool".to_owned(),
        reason: reason.to_owned(),
    }
}
