//! What the release binary takes when nothing happens: its size, the time to its first answer, its
//! memory.
//!
//! Goals: 20 MB stripped, 100 ms from start to first answer, 20 MB resident when idle.
//!
//! `cargo build --release -p billingwatch && cargo bench -p billingwatch-benches --bench footprint`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use billingwatch_benches::served::{Served, binary};
use billingwatch_benches::{Corpus, is_measured, load};

const GOAL_SIZE_BYTES: u64 = 20_000_000;
const GOAL_START: Duration = Duration::from_millis(100);
const GOAL_RESIDENT_BYTES: u64 = 20_000_000;

/// Beyond what any worker thread needs to come up.
const SETTLE: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let binary = match binary() {
        Ok(binary) => binary,
        Err(reason) if is_measured() => return Err(reason.into()),
        Err(reason) => {
            println!("passed over: {reason}");
            return Ok(());
        }
    };
    let starts = if is_measured() { 21 } else { 1 };

    let size_bytes = std::fs::metadata(&binary)?.len();
    tell("binary", megabytes(size_bytes), GOAL_SIZE_BYTES);

    let mut fresh = Vec::new();
    let mut again = Vec::new();
    for _ in 0..starts {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fresh.push(Served::start(&binary, folder.path())?.first_answer);
        again.push(Served::start(&binary, folder.path())?.first_answer);
    }
    tell_starts("first answer, new journal", fresh);
    tell_starts("first answer, known journal", again);

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let served = Served::start(&binary, folder.path())?;
    std::thread::sleep(SETTLE);
    tell_resident("resident, idle after start", &served);
    let days = if is_measured() { 3 } else { 1 };
    let events = after_traffic(&served, days)?;
    tell_resident(&format!("resident, idle after {events} events"), &served);
    drop(served);
    restarted(&binary, folder.path())
}

/// Posts some days of a marketplace and waits until all is seen; how many events.
fn after_traffic(served: &Served, days: u32) -> Result<usize, Box<dyn Error>> {
    let corpus = Corpus::marketplace(days)?;
    let posts = load::signed_posts(corpus.events.iter());
    load::run(served.addr, &posts, 16, load::Pace::AsFastAsAnswered)?;
    served.wait_for_detectors()?;
    std::thread::sleep(SETTLE);
    Ok(posts.len())
}

fn restarted(binary: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let served = Served::start(binary, folder)?;
    let millis = served.first_answer.as_secs_f64() * 1e3;
    let caught_up = served.wait_for_detectors()?.as_secs_f64() * 1e3;
    println!(
        "killed and started on that journal: first answer {millis:.0} ms, detectors at work {caught_up:.0} ms later"
    );
    std::thread::sleep(SETTLE);
    tell_resident("resident, idle after that restart", &served);
    Ok(())
}

fn tell_starts(what: &str, mut starts: Vec<Duration>) {
    starts.sort_unstable();
    let millis = |index: usize| {
        starts
            .get(index)
            .map_or(f64::NAN, |start| start.as_secs_f64() * 1e3)
    };
    let goal = GOAL_START.as_secs_f64() * 1e3;
    let median = millis(starts.len() / 2);
    println!(
        "{what}: best {:.0} ms, median {median:.0} ms, worst {:.0} ms; median {:.2} of the goal of {goal:.0} ms",
        millis(0),
        millis(starts.len() - 1),
        median / goal
    );
}

fn tell_resident(what: &str, served: &Served) {
    match served.memory_bytes("VmRSS") {
        Some(bytes) => tell(what, megabytes(bytes), GOAL_RESIDENT_BYTES),
        None => println!("{what}: not known on this system"),
    }
}

fn tell(what: &str, size: f64, goal_bytes: u64) {
    let goal = megabytes(goal_bytes);
    println!(
        "{what}: {size:.1} MB; {:.2} of the goal of {goal:.0} MB",
        size / goal
    );
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0
}
