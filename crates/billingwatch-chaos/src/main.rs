//! `cargo run -p billingwatch-chaos -- --help`
#![expect(clippy::print_stdout, reason = "a report for a person")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, bail};
use billingwatch_chaos::{Broken, Bug, Report, plan_of, play};
use clap::Parser;

/// Plays seeds: the whole path in one thread, under everything that can go wrong.
#[derive(Parser)]
#[command(about)]
struct Cli {
    /// Play this seed alone, and tell its story.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to play.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plant a bug: the seeds ought to find it. See --bugs for their names.
    #[arg(long)]
    bug: Option<String>,
    /// Plant each bug in turn, and say in how many of the seeds it was found.
    #[arg(long)]
    bugs: bool,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let bug = match &cli.bug {
        None => None,
        Some(name) => Some(Bug::named(name).context("no bug of that name; see --bugs")?),
    };
    match cli.seed {
        Some(seed) => tell(seed, bug),
        None if cli.bugs => table(cli.from, cli.seeds),
        None => sweep(cli.from, cli.seeds, bug),
    }
}

fn tell(seed: u64, bug: Option<Bug>) -> anyhow::Result<()> {
    println!("{}", plan_of(seed));
    let (report, outcome) = play(seed, bug, true);
    for line in &report.trace {
        println!("{line}");
    }
    println!(
        "seed {seed}: {} s, {} acknowledged, {} deaths, {} failed calls, {} changes, {} messages",
        report.simulated_secs,
        report.acknowledged,
        report.deaths,
        report.store_failures,
        report.changes,
        report.messages
    );
    match outcome {
        Ok(()) => Ok(()),
        Err(broken) => bail!("seed {seed}: {}", broken.reason),
    }
}

fn sweep(from: u64, seeds: u64, bug: Option<Bug>) -> anyhow::Result<()> {
    let totals = Mutex::new(Report::default());
    let broken = play_all(from, seeds, bug, usize::MAX, &|report| {
        let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.acknowledged += report.acknowledged;
        totals.deaths += report.deaths;
        totals.store_failures += report.store_failures;
        totals.changes += report.changes;
        totals.messages += report.messages;
        totals.simulated_secs += report.simulated_secs;
        // The most of any seed, to see how far it is from the bound.
        totals.happenings = totals.happenings.max(report.happenings);
    });
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{seeds} seeds from {from}: {} days simulated, {} events acknowledged, {} deaths, {} failed \
         store calls, {} alert changes, {} messages taken, at most {} happenings a seed",
        totals.simulated_secs / 86_400,
        totals.acknowledged,
        totals.deaths,
        totals.store_failures,
        totals.changes,
        totals.messages,
        totals.happenings
    );
    for one in broken.iter().take(20) {
        println!("seed {}: {}", one.seed, one.reason);
    }
    if let Some(first) = broken.first() {
        let planted = bug.map_or(String::new(), |bug| format!(" --bug {}", bug.name()));
        println!(
            "\nplay it again: cargo run -p billingwatch-chaos -- --seed {}{planted}",
            first.seed
        );
        bail!("{} of {seeds} seeds failed", broken.len());
    }
    Ok(())
}

fn table(from: u64, seeds: u64) -> anyhow::Result<()> {
    println!("| bug | what is wrong | found in | first by seed |");
    println!("|---|---|---:|---:|");
    let mut missed = 0;
    for bug in Bug::ALL {
        let broken = play_all(from, seeds, Some(*bug), usize::MAX, &|_| {});
        let first = broken
            .first()
            .map_or("-".to_owned(), |one| one.seed.to_string());
        missed += usize::from(broken.is_empty());
        println!(
            "| `{}` | {} | {} of {seeds} | {first} |",
            bug.name(),
            bug.about(),
            broken.len()
        );
    }
    if missed > 0 {
        bail!("{missed} bugs were not found");
    }
    Ok(())
}

/// Plays seeds on every core, each seed in one thread; the broken ones in order.
fn play_all(
    from: u64,
    seeds: u64,
    bug: Option<Bug>,
    broken_max: usize,
    each: &(dyn Fn(&Report) + Sync),
) -> Vec<Broken> {
    let next = AtomicU64::new(from);
    let is_over = AtomicBool::new(false);
    let broken: Mutex<Vec<Broken>> = Mutex::default();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= from.saturating_add(seeds) || is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let (report, outcome) = play(seed, bug, false);
                    each(&report);
                    if let Err(one) = outcome {
                        let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner);
                        broken.push(one);
                        if broken.len() >= broken_max {
                            is_over.store(true, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let mut broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    broken.sort_by_key(|one| one.seed);
    broken
}
