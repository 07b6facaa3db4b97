//! The engine: journal records in, alert changes out.
//!
//! It is deterministic: the same records and settings yield the same changes, byte for byte,
//! whatever the batch sizes, restarts or wall clock. Time enters only as the records'
//! `received_at` and through [`Engine::advance_to`]; detectors act without an event on a fixed
//! grid of ticks, [`TICK`] apart, which a replay crosses in the same places.

mod book;
mod mute;
mod quiet;
mod record;
mod registry;
mod scope;
mod settings;

pub use crate::snapshot::{SNAPSHOT_VERSION, SnapshotError};
pub use book::{OPEN_ALERTS_MAX, REOPEN_SPAN};
pub use mute::{LiftMute, MUTES_MAX, Mute, MuteTarget};
pub use quiet::RESOLVE_HOLD;
pub use record::{Input, Record, ResolveAlert, SettingsChange};
pub use registry::Registry;

use crate::alert::{Alert, AlertChange, Suppressed};
use crate::detector::SettingsError;
use crate::event::Event;
use crate::ids::Scope;
use crate::snapshot::{decode, encode};
use crate::time::{Span, Timestamp};

use scope::ScopeState;
use settings::SettingsTable;

/// The distance between ticks.
pub const TICK: Span = Span::secs(60);

/// The most ticks crossed one by one; a longer gap (over a year) is crossed in [`LONG_STEPS`].
///
/// A record dated far in the future must not stall the engine. Journals are stamped by a live
/// clock and never have such gaps.
const TICKS_MAX: i64 = 600_000;

/// In about so many, as each of them is so long that every detector has the work of an hour or a day to do.
const LONG_STEPS: i64 = 5_000;

/// The most scopes kept. Events of further ones are kept in the journal and not analysed.
pub const SCOPES_MAX: usize = 10_000;

/// The most suppressed findings held between two calls of [`Engine::take_suppressed`].
const SUPPRESSED_MAX: usize = 10_000;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was taken in.
    New,
    /// The same event id was seen before in this scope: nothing changed.
    Duplicate,
    /// It could not be taken in: settings out of bounds, or too many scopes.
    Refused(String),
}

/// All detectors over all scopes.
pub struct Engine {
    registry: Registry,
    settings: SettingsTable,
    now: Timestamp,
    /// The next tick: asked at every record.
    tick_at: Timestamp,
    scopes: Vec<(Scope, ScopeState)>,
    changes: Vec<AlertChange>,
    suppressed: Vec<Suppressed>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("now", &self.now)
            .field("scopes", &self.scopes.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            settings: SettingsTable::default(),
            now: Timestamp::EPOCH,
            tick_at: tick_after(Timestamp::EPOCH),
            scopes: Vec::new(),
            changes: Vec::new(),
            suppressed: Vec::new(),
        }
    }

    /// The detectors it runs.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Engine time: the latest instant it was told of.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Puts settings in force outside the journal: for embedding and replay. In a journal,
    /// settings are records, so that a replay meets them where they happened.
    ///
    /// # Errors
    /// The first setting that is unknown or out of bounds; nothing is changed then.
    pub fn set(&mut self, change: &SettingsChange) -> Result<(), SettingsError> {
        self.settings.put(&self.registry, change)?;
        for (scope, state) in &mut self.scopes {
            state.configure(&self.settings, scope)?;
        }
        Ok(())
    }

    /// Lets time pass: every tick up to and including `to` is crossed, in order.
    ///
    /// Until a scope's first live event, its ticks are history too: what detectors find at them is
    /// not told.
    pub fn advance_to(&mut self, to: Timestamp) {
        if to <= self.now {
            return;
        }
        // Most events come before the next tick.
        if to < self.tick_at {
            self.now = to;
            return;
        }
        self.tick_at = tick_after(to);
        if self.scopes.is_empty() {
            self.now = to;
            return;
        }
        let ticks = to.since(self.now).as_millis() / TICK.as_millis();
        let ticks_a_step = if ticks < TICKS_MAX {
            1
        } else {
            ticks / LONG_STEPS
        };
        let stride = Span::millis(ticks_a_step.saturating_mul(TICK.as_millis()));
        let mut tick = self.now.floor_to(TICK) + stride;
        while tick <= to {
            self.now = tick;
            for (scope, state) in &mut self.scopes {
                state.tick(scope, tick, &mut self.changes, &mut self.suppressed);
            }
            self.bound_suppressed();
            if tick == Timestamp::MAX {
                break;
            }
            tick = tick + stride;
        }
        self.now = to;
    }

    /// Takes in one record; time advances to its `received_at` first.
    pub fn apply(&mut self, record: &Record) -> Applied {
        self.advance_to(record.received_at);
        match &record.input {
            Input::Event(event) => self.apply_event(event, &record.source, record.is_historical),
            Input::Settings(change) => match self.set(change) {
                Ok(()) => Applied::New,
                Err(error) => Applied::Refused(error.to_string()),
            },
            Input::Resolve(order) => {
                let found = self.scopes.iter_mut().any(|(_, state)| {
                    state.book.resolve_by_id(
                        &order.alert_id,
                        &order.reason,
                        self.now,
                        &mut self.changes,
                    )
                });
                applied(found)
            }
            Input::Mute(mute) => {
                let Some(index) = self.index_of(&mute.scope) else {
                    return too_many_scopes();
                };
                let book = &mut self.scopes[index].1.book;
                match book.mute(mute, self.now, &mut self.changes) {
                    Ok(()) => Applied::New,
                    Err(reason) => Applied::Refused(reason),
                }
            }
            Input::Lift(order) => {
                let mut scopes = self.scopes.iter_mut();
                applied(scopes.any(|(_, state)| state.book.lift(&order.mute_id)))
            }
            Input::Canary => Applied::New,
        }
    }

    /// Takes in one event received now.
    pub fn apply_event(&mut self, event: &Event, source: &str, is_historical: bool) -> Applied {
        let now = self.now;
        let Some(index) = self.scope_index(event, source) else {
            return too_many_scopes();
        };
        let (scope, state) = &mut self.scopes[index];
        let is_new = state.event(
            scope,
            event,
            now,
            is_historical,
            &mut self.changes,
            &mut self.suppressed,
        );
        self.bound_suppressed();
        if is_new {
            Applied::New
        } else {
            Applied::Duplicate
        }
    }

    /// Every alert that fired, escalated or resolved since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<AlertChange> {
        std::mem::take(&mut self.changes)
    }

    /// Open alerts that grew since the last call without firing, escalating or resolving, as they
    /// stand now, in order of their keys.
    pub fn take_updates(&mut self) -> Vec<Alert> {
        let mut updates = Vec::new();
        for (_, state) in &mut self.scopes {
            state.book.take_updates(&mut updates);
        }
        updates
    }

    /// What was recognised as harmless since the last call; at most the newest ten thousand.
    pub fn take_suppressed(&mut self) -> Vec<Suppressed> {
        std::mem::take(&mut self.suppressed)
    }

    /// All alerts that have not ended.
    pub fn open_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.scopes.iter().flat_map(|(_, state)| state.book.open())
    }

    /// Accounts and modes seen so far.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter().map(|(scope, _)| scope)
    }

    /// Its whole state as bytes, without changes not yet taken.
    ///
    /// # Errors
    /// When a detector's state cannot be written.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let names = self.registry.names();
        let mut scopes = Vec::with_capacity(self.scopes.len());
        for (scope, state) in &self.scopes {
            scopes.push((scope.clone(), state.save()?));
        }
        let mut bytes = SNAPSHOT_VERSION.to_le_bytes().to_vec();
        bytes.extend(encode(&(
            names,
            self.registry.calendar().fingerprint(),
            self.now,
            &self.settings,
            scopes,
        ))?);
        Ok(bytes)
    }

    /// An engine in the state that [`snapshot`](Self::snapshot) saved.
    ///
    /// # Errors
    /// When the snapshot is of another version, of other detectors, of another time zone, or broken:
    /// rebuild from the journal then.
    pub fn restore(registry: Registry, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let version = bytes
            .first_chunk::<4>()
            .map_or(0, |four| u32::from_le_bytes(*four));
        if version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        let (names, zone, now, settings, saved): (
            Vec<String>,
            u64,
            Timestamp,
            SettingsTable,
            Vec<(Scope, scope::SavedScope)>,
        ) = decode(&bytes[4..])?;
        if names != registry.names() {
            return Err(SnapshotError::Detectors);
        }
        if zone != registry.calendar().fingerprint() {
            return Err(SnapshotError::TimeZone);
        }
        let mut scopes = Vec::with_capacity(saved.len());
        for (scope, saved) in saved {
            let state = ScopeState::load(&registry, &settings, &scope, saved)?;
            scopes.push((scope, state));
        }
        Ok(Self {
            registry,
            settings,
            now,
            tick_at: tick_after(now),
            scopes,
            changes: Vec::new(),
            suppressed: Vec::new(),
        })
    }

    /// The scope an event belongs to, made when it is new. Linear: there are few, and the one that
    /// matched last time is nearly always the one that matches now.
    fn scope_index(&mut self, event: &Event, source: &str) -> Option<usize> {
        let account = event.account.as_ref().map(crate::ids::AccountId::as_str);
        let is_it = |(scope, _): &(Scope, ScopeState)| {
            scope.livemode == event.livemode
                && &*scope.source == source
                && scope.account.as_deref() == account
        };
        match self.scopes.iter().position(is_it) {
            Some(index) => Some(index),
            None => self.add_scope(Scope::new(source, account, event.livemode)),
        }
    }

    /// A scope's place, made when it is new.
    fn index_of(&mut self, scope: &Scope) -> Option<usize> {
        match self.scopes.iter().position(|(known, _)| known == scope) {
            Some(index) => Some(index),
            None => self.add_scope(scope.clone()),
        }
    }

    fn add_scope(&mut self, scope: Scope) -> Option<usize> {
        if self.scopes.len() >= SCOPES_MAX {
            return None;
        }
        let state = ScopeState::new(&self.registry, &self.settings, &scope);
        self.scopes.push((scope, state));
        Some(self.scopes.len() - 1)
    }

    fn bound_suppressed(&mut self) {
        if self.suppressed.len() > SUPPRESSED_MAX {
            let surplus = self.suppressed.len() - SUPPRESSED_MAX;
            self.suppressed.drain(..surplus);
        }
    }
}

fn tick_after(now: Timestamp) -> Timestamp {
    now.floor_to(TICK) + TICK
}

fn too_many_scopes() -> Applied {
    Applied::Refused(format!("more than {SCOPES_MAX} accounts and modes"))
}

const fn applied(is_new: bool) -> Applied {
    if is_new {
        Applied::New
    } else {
        Applied::Duplicate
    }
}
