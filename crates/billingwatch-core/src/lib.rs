#![doc = include_str!("../README.md")]

pub mod alert;
pub mod calendar;
pub mod detector;
pub mod detectors;
pub mod engine;
pub mod event;
mod few;
pub mod ids;
pub mod intake;
mod key;
pub mod ledger;
pub mod money;
pub mod snapshot;
pub mod stats;
pub mod stripe;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
