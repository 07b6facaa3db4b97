//! The detectors that come with the product, one file each.

mod charge_failure_spike;
mod duplicate_charge;
mod fraud_spike;
mod negative_invoice;
mod revenue_drop;
mod silent_lapse;
mod webhook_lag;
mod words;

use crate::detector::Factory;

pub(crate) use webhook_lag::{NAME as DELIVERY, criteria as delivery_criteria};

/// Every detector that comes with the product.
#[must_use]
pub fn all() -> Vec<Box<dyn Factory>> {
    vec![
        Box::new(charge_failure_spike::FACTORY),
        Box::new(duplicate_charge::FACTORY),
        Box::new(fraud_spike::FACTORY),
        Box::new(negative_invoice::FACTORY),
        Box::new(revenue_drop::FACTORY),
        Box::new(silent_lapse::FACTORY),
        Box::new(webhook_lag::FACTORY),
    ]
}
