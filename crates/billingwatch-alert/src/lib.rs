#![doc = include_str!("../README.md")]

pub mod channel;
pub mod channels;
pub mod config;
pub mod dashboard;
pub mod error;
mod guard;
mod heartbeat;
mod http;
mod render;
pub mod retry;
mod secret;
mod test_message;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;

pub use channel::{Channel, Message, Outcome, Route, TEST_DETECTOR, delivery_id};
pub use channels::CHANNELS;
pub use config::{AlertConfig, build};
pub use error::ConfigError;
pub use heartbeat::Heartbeat;
pub use secret::Secret;
pub use test_message::{send_test, test_change};
