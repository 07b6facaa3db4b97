//! The published way to add a detector.
//!
//! A detector is a deterministic state machine for one [`Scope`](crate::ids::Scope): events and
//! ticks go in; findings, all-clears and suppressed findings come out through a [`Context`]. It
//! has no clock, no randomness and no I/O of its own, so that a replay finds what the live run
//! found. The engine makes one instance per scope through a [`Factory`].

mod context;
mod settings;

pub use context::{Context, Output};
pub use settings::{SettingKind, SettingSpec, SettingValue, SettingValues, SettingsError};

use crate::event::{Event, FamilySet};
use crate::snapshot::SnapshotError;

/// What a detector says of itself: the source of its docs, its API entry and its settings checks.
#[derive(Clone, Debug)]
pub struct DetectorSpec {
    /// `snake_case`, unique; the word used in files, settings, alerts and docs.
    pub name: &'static str,
    /// One sentence: what it watches for.
    pub description: &'static str,
    /// The events it wants to see; it always gets ticks.
    pub listens: FamilySet,
    /// What can be set, with bounds and defaults.
    pub settings: &'static [SettingSpec],
}

/// One detector at work in one scope.
pub trait Detector: Send {
    /// Takes settings into use, at the start and whenever they change; state is kept.
    ///
    /// # Errors
    /// When values that are each within their bounds make no sense together.
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError>;

    /// Sees one event of the families it listens to, once. `ctx.facts()` says what the event newly
    /// taught the ledger; an event that teaches nothing (a repeat under another id) has none.
    fn event(&mut self, event: &Event, ctx: &mut Context<'_>);

    /// A point on the time grid (once a minute) passes: the place for what does not happen.
    fn tick(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
    }

    /// Its whole state as bytes; [`crate::snapshot::encode`] serves any serde type.
    ///
    /// # Errors
    /// When the state cannot be written.
    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError>;

    /// Takes back what [`snapshot`](Detector::snapshot) gave; [`crate::snapshot::decode`] is its
    /// counterpart.
    ///
    /// # Errors
    /// When the bytes are of another version or broken; the engine is then rebuilt from the journal.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError>;
}

/// Makes detectors of one kind: what a registry lists.
pub trait Factory: Send + Sync {
    /// What the detector says of itself.
    fn spec(&self) -> &DetectorSpec;

    /// A detector with empty state and default settings.
    fn build(&self) -> Box<dyn Detector>;
}

/// A [`Factory`] for a detector that has a spec and a default.
///
/// ```
/// # use billingwatch_core::detector::Factory;
/// # use billingwatch_core::detectors;
/// let names: Vec<_> = detectors::all().iter().map(|factory| factory.spec().name).collect();
/// assert!(names.contains(&"duplicate_charge"));
/// ```
pub struct FactoryOf<D> {
    spec: &'static DetectorSpec,
    detector: std::marker::PhantomData<fn() -> D>,
}

impl<D> FactoryOf<D> {
    /// Makes detectors that begin as `D::default()`.
    #[must_use]
    pub const fn new(spec: &'static DetectorSpec) -> Self {
        Self {
            spec,
            detector: std::marker::PhantomData,
        }
    }
}

impl<D: Detector + Default + 'static> Factory for FactoryOf<D> {
    fn spec(&self) -> &DetectorSpec {
        self.spec
    }

    fn build(&self) -> Box<dyn Detector> {
        Box::new(D::default())
    }
}
