//! `billingwatch serve`: opens the store, starts the pipeline, answers HTTP, and ends in that order
//! backwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use billingwatch_core::engine::Registry;
use billingwatch_core::stripe::signature::Secret;
use billingwatch_pipeline::{
    Clock, DoubtingClock, IngestOptions, PipelineStore, RetentionLoop, Runtime, RuntimeOptions,
    SpoolFile, SystemClock,
};
use billingwatch_server::{
    Access, Bound, Limits, Server, ServerConfig, Services, SourceConfig, TlsFiles, Verification,
};
use billingwatch_store::{Outcome, Spool, Store, StoreError};

use crate::cli::ServeArgs;
use crate::config::{self, Config, Environment, LogFormat, Mode, Overrides};
use crate::exit::Ended;
use crate::output::{self, Paint, Style};
use crate::{logging, migrate, spool};

/// How often the server looks at itself.
const OPERATIONS_INTERVAL: Duration = Duration::from_secs(10);

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the configuration is refused, the store cannot be used, or the port is taken.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<Ended> {
    let registry = Registry::standard();
    let specs: Vec<_> = registry.specs().collect();
    let config = config::load(&overrides(args), &Environment::read()?, &specs)?.close()?;
    logging::start(&config.log)?;
    if let Some(files) = tls_files(&config) {
        // Before anything else is opened: a certificate that cannot be used is a setting that cannot.
        files.load()?;
    }

    let registry = registry.clone().in_zone(config.calendar.clone());
    let spool = spool::open(&config.store)?;
    let (store, is_there) = open(&config.store, spool.as_deref())?;
    let channels = billingwatch_alert::build(&config.alert)?;
    let told: Vec<String> = channels
        .iter()
        .map(|channel| channel.name().to_owned())
        .collect();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if is_there && let Some(spool) = &spool {
        spool.note_reached()?;
    }
    let options = RuntimeOptions {
        spool: spool.map(|spool| spool as Arc<dyn SpoolFile>),
        ..runtime_options(&config)
    };
    let port = Arc::new(store.clone()) as Arc<dyn PipelineStore>;
    // Signatures are judged by the machine's clock; what the journal is stamped with has doubts.
    let now: Arc<dyn Clock> = Arc::new(DoubtingClock::new(Arc::clone(&clock)));
    let known = registry.clone();
    let retention_clock = Arc::clone(&now);
    let runtime = if is_there {
        prepare(&store, &told)?;
        Runtime::start(port, known, now, channels, &options)?
    } else {
        let (store, told) = (store.clone(), told.clone());
        let prepare = move || prepare(&store, &told);
        Runtime::start_later(port, known, now, channels, &options, prepare)?
    };
    let retention = RetentionLoop::new(store.clone(), retention_clock, config.retention.clone());
    let runtime = Arc::new(watch_over(runtime.with_retention(retention)?, &config)?);
    let bound = Server::bind(
        server_config(&config),
        services(store, &runtime, clock, &registry),
    );
    let served = bound.map(|bound| {
        announce(&config, &bound, &told);
        bound.run()
    });
    // The answers of requests that had begun waited for the pipeline: it ends after the server.
    let report = runtime.shutdown();
    for name in &report.abandoned {
        tracing::warn!("{name} did not end in time; what it held is taken up at the next start");
    }
    served??;
    tracing::info!("stopped");
    Ok(Ended::Well)
}

/// The canary, then the heartbeat: it stops when the canary does.
fn watch_over(mut runtime: Runtime, config: &Config) -> anyhow::Result<Runtime> {
    if let Some(interval) = config.canary {
        runtime = runtime.with_canary(interval)?;
    }
    if let Some(heartbeat) = &config.heartbeat {
        let client = heartbeat.client()?;
        runtime = runtime.with_heartbeat(Box::new(move || client.beat()), heartbeat.interval)?;
    }
    Ok(runtime)
}

/// The store, and whether it is there. One that was there before may come later where events can
/// wait; one that never was may be misspelt.
fn open(config: &config::Store, spool: Option<&Spool>) -> anyhow::Result<(Store, bool)> {
    let may_come = match spool {
        Some(spool) => spool.was_reached()?,
        None => false,
    };
    match migrate::open(config) {
        Ok(store) => Ok((store, true)),
        Err(error) if may_come && error.is_transient() => {
            tracing::error!(
                error = %error,
                "{error}; events wait in the spool until it can be reached"
            );
            Ok((Store::open_later(&migrate::options(config))?, false))
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a store ready for the loops.
fn prepare(store: &Store, channels: &[String]) -> Result<(), StoreError> {
    for name in store.migrate()? {
        tracing::info!(migration.name = name, "migration {name} ran");
    }
    switch_on(store, channels)
}

/// A channel whose target said that it is gone (HTTP 410) stays off while the process runs. A start
/// is the operator's word that it is there again: at worst the target says so once more.
fn switch_on(store: &Store, channels: &[String]) -> Result<(), StoreError> {
    for name in channels {
        if store.enable_channel(name)? == Outcome::Done {
            tracing::info!(
                channel.name = name,
                "channel {name} was disabled; this start tries it again"
            );
        }
    }
    Ok(())
}

fn overrides(args: &ServeArgs) -> Overrides {
    Overrides {
        config: args.config.config.clone(),
        is_dev: args.dev,
        host: args.host.clone(),
        port: args.port,
        database_url: args.database_url.clone(),
    }
}

fn runtime_options(config: &Config) -> RuntimeOptions {
    RuntimeOptions {
        ingest: IngestOptions {
            queue_len: config.ingest.queue_len,
            batch_max: config.ingest.batch_max,
            ..IngestOptions::default()
        },
        settings: config.detectors.clone(),
        operations: Some(OPERATIONS_INTERVAL),
        ..RuntimeOptions::default()
    }
}

/// What the server stands on.
pub(crate) fn services(
    store: Store,
    runtime: &Arc<Runtime>,
    clock: Arc<dyn Clock>,
    registry: &Registry,
) -> Services {
    let status = Arc::clone(runtime);
    Services {
        store,
        ingest: runtime.ingest().clone(),
        status: Arc::new(move || status.status()),
        clock,
        registry: registry.clone(),
    }
}

/// The certificate and key to answer https with.
pub(crate) fn tls_files(config: &Config) -> Option<TlsFiles> {
    let tls = config.server.tls.clone()?;
    Some(TlsFiles {
        certificate: tls.certificate,
        key: tls.key,
    })
}

fn server_config(config: &Config) -> ServerConfig {
    let access = match config.mode {
        Mode::Development => Access::Open,
        Mode::Production => {
            let tokens = config.server.api_tokens.iter();
            Access::Tokens(tokens.map(|token| token.reveal().to_owned()).collect())
        }
    };
    let sources: BTreeMap<String, SourceConfig> = config
        .sources
        .iter()
        .map(|(name, source)| {
            let secrets: Vec<Secret> = source
                .secrets
                .iter()
                .map(|secret| Secret::new(secret.reveal()))
                .collect();
            let verification = if secrets.is_empty() {
                Verification::Unverified
            } else {
                Verification::Signed {
                    secrets,
                    tolerance: config.stripe.tolerance,
                }
            };
            (name.clone(), SourceConfig { verification })
        })
        .collect();
    let server = &config.server;
    let mut settings = ServerConfig::new(&server.host, server.port, access, sources);
    settings.tls = tls_files(config);
    settings.limits = Limits {
        workers: server.workers,
        body_bytes: server.body_bytes_max,
        connections: server.connections_max,
        request_timeout: server.request_timeout,
        shutdown_timeout: server.shutdown_timeout,
        ..Limits::default()
    };
    settings
}

/// Says where it listens and what is on: as a log line for machines, as lines for people.
fn announce(config: &Config, bound: &Bound, told: &[String]) {
    let url = bound.url();
    let unverified: Vec<&str> = config.unverified().collect();
    let told = if told.is_empty() {
        "nobody".to_owned()
    } else {
        told.join(", ")
    };
    let on = config
        .detectors
        .iter()
        .filter(|change| change.is_enabled != Some(false))
        .count();
    let store = config.store.shown_url();
    if config.log.format == LogFormat::Json {
        tracing::info!(
            server.url = url,
            server.docs_url = format!("{url}/docs"),
            store.url = store,
            detectors = on,
            alerts_to = told,
            "BillingWatch {} listens on {url}",
            env!("CARGO_PKG_VERSION"),
        );
        for name in unverified {
            tracing::warn!(
                "signatures of source {name} are NOT verified: anyone on this machine can post events"
            );
        }
        return;
    }
    let paint = Paint::stderr();
    output::note(&format!(
        "BillingWatch {} listens on {}\n  \
         Stripe posts to  {url}/webhooks/stripe\n  \
         API docs         {url}/docs\n  \
         store            {store}\n  \
         detectors        {on}\n  \
         alerts go to     {told}",
        env!("CARGO_PKG_VERSION"),
        paint.paint(Style::Bold, &url),
    ));
    for name in unverified {
        output::note(&paint.paint(
            Style::Red,
            &format!(
                "  SIGNATURES ARE NOT VERIFIED for source `{name}`: anyone on this machine can post \
                 events. Set STRIPE_WEBHOOK_SECRET to check them."
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use billingwatch_core::time::Timestamp;
    use billingwatch_store::StoreOptions;

    use super::*;

    #[test]
    fn a_start_tries_a_disabled_channel_again() {
        let store = Store::open(&StoreOptions::new("sqlite::memory:")).unwrap();
        store.migrate().unwrap();
        let at = Timestamp::from_secs(1_700_000_000);
        for name in ["webhook", "slack"] {
            store.disable_channel(name, "410 Gone", at).unwrap();
        }
        switch_on(&store, &["webhook".to_owned(), "email".to_owned()]).unwrap();
        let disabled: Vec<String> = store
            .channels()
            .unwrap()
            .into_iter()
            .filter(|channel| channel.disabled_at.is_some())
            .map(|channel| channel.name)
            .collect();
        assert_eq!(disabled, ["slack"]);
    }
}
