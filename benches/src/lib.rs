//! What the benches share: named, seeded inputs, and a stopwatch.
//!
//! A bench is a plain program. It makes its input with the simulator, from a fixed seed, so that
//! every run and every machine measures the same bytes; it runs a piece of work a few times and
//! tells the best; and it measures in the same run a limit that the work cannot pass, because a
//! ratio says more across machines than events a second do.
//!
//! Nothing here is part of the product.

pub mod load;
pub mod packed;
pub mod served;

use std::hint::black_box;
use std::time::Duration;

use billingwatch_simulator::{
    ApiShape, ConfigError, DeliveryModel, MerchantKind, SimulatedEvent, World, WorldConfig,
};

/// Monday 2024-01-01 00:00 UTC: where every input begins.
const START_AT: i64 = 1_704_067_200;

/// Events in a batch: as many as the writer appends, and the pump applies, at most at once.
const BATCH_RECORDS: usize = 512;

/// An input, by name.
#[derive(Debug)]
pub struct Corpus {
    /// What it is called in tables and docs.
    pub name: &'static str,
    /// Its events, in the order of receipt.
    pub events: Vec<SimulatedEvent>,
}

impl Corpus {
    /// Subscriptions: about 9,000 of them, 3,000 events a day, so that ticks weigh as much as
    /// they ever do. `days` of it.
    ///
    /// # Errors
    /// When the days are out of the simulator's range.
    pub fn saas(days: u32) -> Result<Self, ConfigError> {
        Self::new("saas", MerchantKind::Saas, ApiShape::Basil, days)
    }

    /// Card payments: 20,000 events a day, no subscriptions.
    ///
    /// # Errors
    /// When the days are out of the simulator's range.
    pub fn marketplace(days: u32) -> Result<Self, ConfigError> {
        Self::new(
            "marketplace",
            MerchantKind::Marketplace,
            ApiShape::Legacy,
            days,
        )
    }

    fn new(
        name: &'static str,
        merchant: MerchantKind,
        shape: ApiShape,
        days: u32,
    ) -> Result<Self, ConfigError> {
        let world = World::new(&WorldConfig {
            seed: 1,
            merchant,
            shape,
            start_at: START_AT,
            days,
            incidents: Vec::new(),
            oddities: true,
            delivery: DeliveryModel::Realistic,
        })?;
        Ok(Self {
            name,
            events: world.collect(),
        })
    }

    /// All bodies together, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.events.iter().map(|event| event.json.len()).sum()
    }
}

/// Whether the program was started by `cargo bench`; by anything else it only shows that it runs.
#[must_use]
pub fn is_measured() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// Runs in a round.
const RUNS: u32 = 4;

/// Counts the time that this thread is on a core, and where the system does not tell it (Linux does)
/// the time that passes. On a core, so that a busy machine's queue for its cores is not counted; what
/// others take from the caches still is.
#[derive(Debug, Default)]
pub struct Stopwatch {
    spent: Duration,
}

impl Stopwatch {
    /// Does the work, and counts its time.
    pub fn time<O>(&mut self, work: impl FnOnce() -> O) -> O {
        let before = on_core();
        let output = work();
        self.spent += on_core().saturating_sub(before);
        output
    }
}

/// The time of one run of `work` in the best of several rounds, each run on its own input made by
/// `prepare` outside of the measured time. The best, since whatever else the machine does only
/// ever adds.
pub fn best_of<I, O>(
    rounds: u32,
    mut prepare: impl FnMut() -> I,
    mut work: impl FnMut(I) -> O,
) -> Duration {
    best_of_timed(rounds, |watch| {
        let input = prepare();
        watch.time(|| work(input))
    })
}

/// As [`best_of`], where the work itself says what is measured of it. What comes out is dropped
/// outside of the measured time.
pub fn best_of_timed<O>(rounds: u32, mut work: impl FnMut(&mut Stopwatch) -> O) -> Duration {
    let round = |_| {
        let mut watch = Stopwatch::default();
        for _ in 0..RUNS {
            black_box(work(&mut watch));
        }
        watch.spent / RUNS
    };
    (0..rounds.max(1)).map(round).min().unwrap_or(Duration::MAX)
}

/// How long this thread has been on a core.
#[cfg(target_os = "linux")]
fn on_core() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// How long the program has been running.
#[cfg(not(target_os = "linux"))]
fn on_core() -> Duration {
    static STARTED_AT: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    STARTED_AT.elapsed()
}

/// Events a second.
#[must_use]
pub fn rate(events: usize, took: Duration) -> f64 {
    let events = u32::try_from(events).map_or(f64::from(u32::MAX), f64::from);
    events / took.as_secs_f64().max(1e-9)
}

/// One line of a table: what, events a second, nanoseconds an event, and the share of a limit.
#[must_use]
pub fn row(what: &str, events: usize, took: Duration, limit: Option<Duration>) -> String {
    let per_sec = rate(events, took);
    let share = limit.map_or_else(String::new, |limit| {
        format!(
            "{:>7.1} %",
            limit.as_secs_f64() / took.as_secs_f64() * 100.0
        )
    });
    format!(
        "{what:<34} {:>12} {:>9.0} ns {share}",
        thousands(per_sec),
        1e9 / per_sec
    )
}

/// A number with commas, no decimals.
#[must_use]
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
