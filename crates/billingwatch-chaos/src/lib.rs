//! The whole path in one thread, under everything that can go wrong, by seed.
//!
//! Stripe, the network, the machines, the store and the receivers are simulated; ingest, journal
//! order, pump, engine, outbox and delivery are the product's own code, taken a step at a time. Time
//! is simulated too, so three days of Stripe's retries pass in milliseconds, and everything that
//! chance decides comes from the seed: the same seed is the same story, on every machine.
//!
//! A seed's plan says what goes wrong. While the storm lasts, processes die at any call of
//! the store, commits fail or only seem to, posts get lost and arrive twice, clocks step, receivers
//! hang and lie. After each death, and at the end, the audit checks what was promised. Then
//! the weather clears, and it checks that everything comes to rest, that a new event is seen and
//! told at once, and that a drain leaves nothing behind.
//!
//! The store is `billingwatch_pipeline::testing::MemoryStore`, which a contract test holds against
//! the real ones. What the simulation cannot see: threads' races inside one step, SQL, the disk,
//! HTTP. Those have tests of their own.

mod audit;
mod bug;
mod dice;
mod faults;
mod host;
mod host_clock;
mod lease;
mod operator;
mod plan;
mod receivers;
mod spool;
mod store;
mod story;
mod stripe;
mod trace;
mod world;

pub use bug::Bug;

use billingwatch_pipeline::planted::plant;

use crate::plan::Plan;

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The seed.
    pub seed: u64,
    /// The promise that was broken, and how.
    pub reason: String,
}

/// What a seed went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What happened, in a number: two runs of a seed are the same story when it is the same.
    pub fingerprint: u64,
    /// The story in words, when asked for.
    pub trace: Vec<String>,
    /// Events acknowledged.
    pub acknowledged: u64,
    /// Processes that died.
    pub deaths: u64,
    /// Store calls that failed.
    pub store_failures: u64,
    /// Alert changes recorded.
    pub changes: u64,
    /// Messages that receivers took.
    pub messages: u64,
    /// Everything that happened, counted.
    pub happenings: u64,
    /// Simulated time, in seconds.
    pub simulated_secs: i64,
}

/// Plays a seed, with a bug planted or none.
///
/// # Errors
/// The first promise that was broken, with what went before in the report.
pub fn play(seed: u64, bug: Option<Bug>, with_trace: bool) -> (Report, Result<(), Broken>) {
    plant(bug.and_then(Bug::in_pipeline));
    let world = world::World::new(seed, Plan::new(seed), bug, with_trace);
    let outcome = story::play(&world);
    let report = world.report();
    world.end();
    plant(None);
    (report, outcome.map_err(|reason| Broken { seed, reason }))
}

/// What a seed decides before anything happens, in words.
#[must_use]
pub fn plan_of(seed: u64) -> String {
    format!("{:#?}", Plan::new(seed))
}
