//! Which detectors an engine runs.

use std::sync::Arc;

use crate::detector::{DetectorSpec, Factory};
use crate::detectors;

/// The detectors an engine runs, in order; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    factories: Arc<[Box<dyn Factory>]>,
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
        }
    }

    /// The detectors that come with the product.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(detectors::all())
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
