#![doc = include_str!("../README.md")]

pub mod archive;
mod canary;
pub mod clock;
pub mod deliver;
mod direct;
mod doubting_clock;
pub mod error;
mod faults;
pub mod heartbeat;
pub mod ingest;
mod leadership;
pub mod loops;
pub mod operations;
#[doc(hidden)]
pub mod planted;
pub mod ports;
pub mod pump;
mod record;
pub mod replay;
pub mod retention;
pub mod runtime;
pub mod settings_sync;
pub mod spool;
pub mod status;
pub mod supervise;
pub mod system_clock;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod threads;
pub mod wake;

pub use clock::{Clock, ManualClock};
pub use deliver::{DeliverReport, Deliverer};
pub use doubting_clock::DoubtingClock;
pub use error::{DeliverError, PumpError};
pub use ingest::{
    Ingest, IngestError, IngestOptions, IngestWriter, Receipt, Received, event_entry,
};
pub use ports::PipelineStore;
pub use pump::{Pump, PumpOptions, StepReport};
pub use replay::{AlertLine, Replay, ReplayOptions, ReplayReport, ReplaySink, replay_journal};
pub use retention::{RetentionCounters, RetentionLoop, RetentionPolicy};
pub use runtime::{Runtime, RuntimeOptions, ShutdownReport, StartError};
pub use spool::SpoolFile;
pub use status::PipelineStatus;
pub use system_clock::{ScaledClock, SystemClock};
