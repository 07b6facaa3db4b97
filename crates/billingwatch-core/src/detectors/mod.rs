//! The detectors that come with the product, one file each.

use crate::detector::Factory;

/// Every detector that comes with the product.
#[must_use]
pub fn all() -> Vec<Box<dyn Factory>> {
    vec![]
}
