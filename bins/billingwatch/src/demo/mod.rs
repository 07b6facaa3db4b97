//! `billingwatch demo`: a simulated merchant in a temporary store; history first, then days of live
//! events, signed and posted over HTTP to the same server that `serve` runs, with one incident for
//! each detector.

mod clock;
mod poster;
mod show;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use billingwatch_core::engine::Registry;
use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::stripe::signature::Secret;
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::{Clock, PipelineStore, Runtime, RuntimeOptions, event_entry};
use billingwatch_server::{Access, Server, ServerConfig, SourceConfig, Verification};
use billingwatch_simulator::SimulatedEvent;
use billingwatch_store::{NewEntry, Store, StoreOptions};

use crate::cli::DemoArgs;
use crate::exit::Ended;
use crate::output::{self, Paint, Style};
use crate::serve;

use clock::DemoClock;
use poster::Poster;
use show::Show;
use world::Merchant;
pub(crate) use world::SEED;

/// The signing secret between the simulated Stripe and the server: real signatures, no real secret.
const SECRET: &str = "whsec_demo_of_a_simulated_merchant";

/// Historical rows a transaction.
const IMPORT_BATCH: usize = 500;

/// The show.
///
/// # Errors
/// When the store, the port or a thread cannot be had, or the server stops answering.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<Ended> {
    let paint = Paint::stdout();
    output::say(&paint.paint(Style::Bold, "A simulated merchant, watched by BillingWatch"))?;
    let merchant = Merchant::simulate(args.seed).context("the simulator")?;

    // Removed when it goes out of scope, however the show ends.
    let directory = tempfile::Builder::new()
        .prefix("billingwatch-demo-")
        .tempdir()?;
    let store = open(&directory.path().join("demo.db").display().to_string())?;
    import(&store, &merchant.history, merchant.live_from)?;

    let clock = Arc::new(DemoClock::new(merchant.live_from));
    let shared_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let registry = Registry::standard();
    let runtime = Arc::new(Runtime::start(
        Arc::new(store.clone()) as Arc<dyn PipelineStore>,
        registry.clone(),
        Arc::clone(&shared_clock),
        Vec::new(),
        &RuntimeOptions::default(),
    )?);
    let services = serve::services(store, &runtime, shared_clock, &registry);
    let bound = Server::bind(server_config(args.port), services)?;
    let url = format!("http://{}", bound.addr());
    let stopper = bound.stopper();
    let server = thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || bound.run())?;

    // Ctrl-C in the middle of the show stops the server first: it takes nothing more, and ends a little later.
    let is_over = || stopper.is_stopping() || server.is_finished();
    let mut show = Show::new(&merchant, &runtime, &clock, paint);
    let poster = Poster::new(&url, SECRET);
    output::say(&format!(
        "  {} days of history imported; the next {} follow live, in about {} s.\n  \
         The server is real: {url}/docs\n",
        world::HISTORY_DAYS,
        world::LIVE_DAYS,
        args.seconds,
    ))?;
    show.wait_for_pump(&is_over);
    let pace = Duration::from_secs(args.seconds);
    let shown = show.play(&merchant, &poster, pace, &is_over);
    let is_complete = match shown {
        Err(_) if is_over() => true,
        Err(error) => return Err(error),
        Ok(()) => {
            clock.run();
            show.summary()?
        }
    };
    if args.exit {
        stopper.stop();
    } else if !is_over() {
        output::say(&format!(
            "\nThe server goes on; look around, end with Ctrl-C:\n  \
             {url}/docs\n  curl {url}/webhooks/alerts\n  curl {url}/metrics"
        ))?;
    }
    let served = server.join().map_err(|_| anyhow!("the server panicked"))?;
    runtime.shutdown();
    served?;
    if args.exit && !is_complete {
        return Ok(Ended::WithoutAlert);
    }
    Ok(Ended::Well)
}

fn open(path: &str) -> anyhow::Result<Store> {
    let store = Store::open(&StoreOptions::new(format!("sqlite://{path}")))?;
    store.migrate()?;
    Ok(store)
}

/// Puts history into the journal: it teaches the detectors what is usual and pages nobody.
fn import(store: &Store, history: &[SimulatedEvent], now: Timestamp) -> anyhow::Result<()> {
    for batch in history.chunks(IMPORT_BATCH) {
        let entries: Vec<NewEntry> = batch.iter().map(historical).collect::<Result<_, _>>()?;
        store.append(&entries, now)?;
    }
    Ok(())
}

fn historical(event: &SimulatedEvent) -> anyhow::Result<NewEntry> {
    let envelope = read_envelope(&event.json)?;
    Ok(NewEntry {
        is_historical: true,
        received_at: Some(Timestamp::from_millis(event.received_at_ms)),
        ..event_entry("default", envelope, event.json.clone())
    })
}

fn server_config(port: u16) -> ServerConfig {
    let verification = Verification::signed(vec![Secret::new(SECRET)]);
    let sources = BTreeMap::from([("default".to_owned(), SourceConfig { verification })]);
    let mut config = ServerConfig::new("127.0.0.1", port, Access::Open, sources);
    // Nobody sends an event of the demo again.
    config.limits.durable_timeout = Duration::from_secs(20);
    config
}
