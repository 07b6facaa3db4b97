//! For tests of this and other crates: a store in memory and one that fails on demand, channels that
//! record what they are given, and a small detector whose every step is easy to foretell.

mod channel;
mod memory;
mod probe;
mod spool;
mod store;

pub use channel::{FakeChannel, Sent};
pub use memory::{MemoryStore, Surgery};
pub use probe::{ProbeDetector, event_body, probe_registry};
pub use spool::MemorySpool;
pub use store::{Fault, FaultyStore, Op};
