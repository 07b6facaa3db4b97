//! How well the detectors do on simulated merchants: recall, false alarms, delay.
//!
//! Every merchant kind and API shape, with one incident of each kind and strength spread over the
//! days after a quiet month. Which alerts are true stands in the simulator's `scoring`.
#![expect(clippy::print_stdout, reason = "a report for a person")]

mod floors;

use std::collections::BTreeMap;

use anyhow::ensure;
use billingwatch_core::alert::AlertStatus;
use billingwatch_core::engine::{Engine, Registry};
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_simulator::scoring::{self, FiredAlert, Score};
use billingwatch_simulator::{
    ApiShape, DeliveryModel, IncidentKind, IncidentPlan, Label, MerchantKind, Strength, World,
    WorldConfig,
};

/// 2024-01-08, a Monday.
const START_AT: i64 = 1_704_672_000;

/// 2023-10-02, a Monday: before a winter's season.
const SEASON_START_AT: i64 = 1_696_204_800;

/// From there until it has been over for two months.
const SEASON_DAYS: i64 = 245;

/// Days after the last incident, for what is noticed late.
const TAIL_DAYS: i64 = 40;

/// What the short form leaves out: this one takes longer than all others together.
const LONG_RUN: MerchantKind = MerchantKind::Marketplace;

/// Days before the first incident.
const QUIET_DAYS: i64 = 45;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many seeds of each merchant and shape.
    #[arg(long, default_value_t = 2)]
    seeds: u64,
    /// Only this merchant kind.
    #[arg(long)]
    merchant: Option<MerchantKind>,
    /// Print each missed incident and false alarm.
    #[arg(long)]
    explain: bool,
    /// Days without any incident instead: every alert is false.
    #[arg(long)]
    quiet: bool,
    /// The short form (one seed, all merchants but the largest), held against
    /// `xtask/detection.json`; fails when anything is worse.
    #[arg(long, conflicts_with_all = ["merchant", "quiet", "seeds"])]
    check: bool,
    /// The short form, written to `xtask/detection.json`.
    #[arg(long, conflicts_with_all = ["merchant", "quiet", "seeds", "check"])]
    write_floors: bool,
}

impl Options {
    fn is_short(&self) -> bool {
        self.check || self.write_floors
    }
}

/// What a run measured.
#[derive(Default)]
struct Table {
    scores: BTreeMap<(String, Strength), Score>,
    false_by_detector: BTreeMap<String, u32>,
    merchant_days: u32,
}

struct Fired {
    detector: String,
    at: i64,
    subjects: Vec<String>,
    message: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    // A file that cannot be read is told before minutes are spent.
    let held = options.check.then(floors::Floors::read).transpose()?;
    let table = measure(options)?;
    print(&table);
    let measured = floors::Floors::of(&table);
    if options.write_floors {
        measured.write()?;
    }
    if let Some(held) = held {
        held.hold(&measured)?;
        println!("nothing is worse than xtask/detection.json says");
    }
    Ok(())
}

fn measure(options: &Options) -> anyhow::Result<Table> {
    let mut table = Table::default();
    let merchants = MerchantKind::ALL
        .iter()
        .filter(|kind| options.merchant.is_none_or(|only| only == **kind))
        .filter(|kind| !(options.is_short() && **kind == LONG_RUN));
    let seeds = if options.is_short() { 1 } else { options.seeds };
    for merchant in merchants {
        for shape in ApiShape::ALL {
            for seed in 0..seeds {
                let config = world(*merchant, *shape, seed, options.quiet);
                table.merchant_days += config.days;
                let (labels, fired) = live(&config)?;
                judge(options, &config, &labels, &fired, &mut table);
            }
        }
    }
    ensure!(table.merchant_days > 0, "nothing was run");
    Ok(table)
}

fn print(table: &Table) {
    println!(
        "{:<24} {:<9} {:>7} {:>8} {:>12}",
        "incident", "strength", "found", "alerts", "delay"
    );
    for ((kind, strength), score) in &table.scores {
        let delay = score.median_delay_secs();
        let delay = delay.map_or_else(|| "-".to_owned(), |secs| Span::secs(secs).to_string());
        let found = format!("{}/{}", score.found, score.incidents);
        println!(
            "{kind:<24} {strength:<9} {found:>7} {:>8} {delay:>12}",
            score.alerts
        );
    }
    let false_alarms: u32 = table.false_by_detector.values().sum();
    println!(
        "\nfalse alarms: {false_alarms} in {} merchant-days {:?}",
        table.merchant_days, table.false_by_detector
    );
}

fn world(merchant: MerchantKind, shape: ApiShape, seed: u64, is_quiet: bool) -> WorldConfig {
    let mut incidents = Vec::new();
    let start_at = start_at(merchant);
    let mut day = QUIET_DAYS;
    if !is_quiet {
        for kind in IncidentKind::ALL {
            for strength in Strength::ALL {
                // Mid-day, and never twice at the same hour.
                let hour = 10 + i64::try_from(incidents.len() % 8).unwrap_or_default();
                let at = start_at + day * 86_400 + hour * 3_600;
                let at = moment(merchant, *kind, at);
                incidents.push(IncidentPlan {
                    kind: *kind,
                    at,
                    strength: *strength,
                });
                day = (at - start_at) / 86_400 + 4;
            }
        }
    }
    let days = match merchant {
        MerchantKind::Resort => SEASON_DAYS,
        _ => day + TAIL_DAYS,
    };
    let days = u32::try_from(days).unwrap_or(200);
    WorldConfig {
        seed: 1_000 + seed,
        merchant,
        shape,
        start_at,
        days,
        incidents,
        oddities: true,
        delivery: DeliveryModel::Realistic,
    }
}

/// A season begins and ends within its world.
fn start_at(merchant: MerchantKind) -> i64 {
    match merchant {
        MerchantKind::Resort => SEASON_START_AT,
        _ => START_AT,
    }
}

/// From `at` on, the first time at which such an incident can show. Where all renewals of a month come
/// at once, what shows in renewals waits for them.
fn moment(merchant: MerchantKind, kind: IncidentKind, at: i64) -> i64 {
    let Some(run) = merchant.next_run(at) else {
        return at;
    };
    match kind {
        // Invoices are collected an hour after they are made.
        IncidentKind::ChargeFailureSpike => run + 3_600,
        IncidentKind::RevenueDrop
        | IncidentKind::SilentLapse
        | IncidentKind::WebhookLag
        | IncidentKind::WebhookSilence => run,
        IncidentKind::CardTesting
        | IncidentKind::DuplicateCharge
        | IncidentKind::FraudSpike
        | IncidentKind::NegativeInvoice
        | IncidentKind::OutsizedRefund => at,
    }
}

/// Everything that fired in a world.
fn live(config: &WorldConfig) -> anyhow::Result<(Vec<Label>, Vec<Fired>)> {
    let mut engine = Engine::new(Registry::standard());
    let mut fired = Vec::new();
    let mut world = World::new(config)?;
    for event in world.by_ref() {
        let received_at = Timestamp::from_millis(event.received_at_ms);
        let parsed = parse_event(&event.json, received_at)?;
        engine.advance_to(received_at);
        engine.apply_event(&parsed, "default", false);
        collect(&mut engine, &mut fired);
    }
    let end = Timestamp::from_secs(config.start_at) + Span::days(i64::from(config.days));
    engine.advance_to(end);
    collect(&mut engine, &mut fired);
    Ok((world.labels().to_vec(), fired))
}

fn collect(engine: &mut Engine, fired: &mut Vec<Fired>) {
    for change in engine.take_changes() {
        if change.alert.status == AlertStatus::Firing {
            fired.push(Fired {
                detector: change.alert.detector,
                at: change.at.as_secs(),
                subjects: change.alert.subjects,
                message: change.alert.message,
            });
        }
    }
    engine.take_suppressed();
}

fn is_of(alert: &Fired, label: &Label) -> bool {
    let alert = FiredAlert {
        detector: &alert.detector,
        fired_at: alert.at,
        subjects: &alert.subjects,
    };
    scoring::is_of(alert, label)
}

fn judge(
    options: &Options,
    config: &WorldConfig,
    labels: &[Label],
    fired: &[Fired],
    table: &mut Table,
) {
    let name = format!("{}/{}/{}", config.merchant, config.shape, config.seed);
    for label in labels {
        let key = (label.kind.to_string(), label.strength);
        let score = table.scores.entry(key).or_default();
        let own = fired.iter().filter(|alert| is_of(alert, label));
        let own: Vec<i64> = own.map(|alert| alert.at).collect();
        score.add(label, &own);
        if own.is_empty() && options.explain {
            let at = Timestamp::from_secs(label.starts_at);
            println!(
                "missed  {name} {} {} {at} {:?}",
                label.kind,
                label.strength,
                label.subjects.first()
            );
        }
    }
    for alert in fired
        .iter()
        .filter(|alert| !labels.iter().any(|label| is_of(alert, label)))
    {
        let count = table.false_by_detector.entry(alert.detector.clone());
        *count.or_default() += 1;
        if options.explain {
            let at = Timestamp::from_secs(alert.at);
            println!("false   {name} {} {at} {}", alert.detector, alert.message);
        }
    }
}
