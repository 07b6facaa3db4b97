//! Which detectors an engine runs, and in which time zone.

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::detector::{DetectorSpec, Factory};
use crate::detectors;

/// The detectors an engine runs, in order, and the merchant's time zone; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    factories: Arc<[Box<dyn Factory>]>,
    calendar: Calendar,
}

impl Registry {
    /// These detectors. Of two with one name the first is kept.
    #[must_use]
    pub fn new(factories: Vec<Box<dyn Factory>>) -> Self {
        let mut kept: Vec<Box<dyn Factory>> = Vec::with_capacity(factories.len());
        for factory in factories {
            if kept
                .iter()
                .all(|other| other.spec().name != factory.spec().name)
            {
                kept.push(factory);
            }
        }
        Self {
            factories: kept.into(),
            calendar: Calendar::utc(),
        }
    }

    /// The detectors that come with the product.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(detectors::all())
    }

    /// The same detectors in another time zone than UTC.
    #[must_use]
    pub fn in_zone(mut self, calendar: Calendar) -> Self {
        self.calendar = calendar;
        self
    }

    /// What the merchant's clocks show.
    #[must_use]
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// What each detector says of itself.
    pub fn specs(&self) -> impl Iterator<Item = &DetectorSpec> {
        self.factories.iter().map(|factory| factory.spec())
    }

    /// What the detector of this name says of itself.
    #[must_use]
    pub fn spec(&self, name: &str) -> Option<&DetectorSpec> {
        self.specs().find(|spec| spec.name == name)
    }

    pub(super) fn factories(&self) -> &[Box<dyn Factory>] {
        &self.factories
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.specs().map(|spec| spec.name.to_owned()).collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
