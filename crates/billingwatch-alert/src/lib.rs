#![doc = include_str!("../README.md")]

pub mod channel;
pub mod error;
pub mod retry;

pub use channel::{Channel, Message, Outcome, Route, TEST_DETECTOR, delivery_id};
pub use error::ConfigError;
