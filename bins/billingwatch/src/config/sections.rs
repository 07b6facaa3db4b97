//! The configuration as the rest of the binary reads it: typed, checked, with no layer left.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use billingwatch_alert::AlertConfig;
use billingwatch_core::calendar::Calendar;
use billingwatch_core::detector::DetectorSpec;
use billingwatch_core::engine::SettingsChange;
use billingwatch_core::stripe::signature::Tolerance;
use billingwatch_core::time::Span;
use billingwatch_pipeline::RetentionPolicy;
use billingwatch_store::retention::Keep;

use super::error::ConfigError;
use super::layers::Layers;
use super::secret::Secret;
use super::value::Origin;

/// The fewest days that events are kept: Stripe sends an event again for three days, and by hand for
/// longer; one that is no longer known would count twice.
const EVENTS_DAYS_MIN: i64 = 7;

/// The word that stands for "no secret" in development, and is refused everywhere else.
const DEV_SECRET: &str = "dev";

/// Everything the binary is told.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file that was read, when one was.
    pub(crate) path: Option<PathBuf>,
    /// Closed, or open on loopback.
    pub(crate) mode: Mode,
    /// `[server]`.
    pub(crate) server: Server,
    /// `[store]`.
    pub(crate) store: Store,
    /// `[stripe]`.
    pub(crate) stripe: Stripe,
    /// `[sources.<name>]`.
    pub(crate) sources: BTreeMap<String, Source>,
    /// `[retention]`, and what sources say of themselves.
    pub(crate) retention: RetentionPolicy,
    /// `[ingest]`.
    pub(crate) ingest: Ingest,
    /// `[alert.<channel>]`.
    pub(crate) alert: AlertConfig,
    /// `[detectors]`: what the merchant's clocks show.
    pub(crate) calendar: Calendar,
    /// `[detectors.<name>]`, one entry for each detector.
    pub(crate) detectors: Vec<SettingsChange>,
    /// `[heartbeat]`, when there is one.
    pub(crate) heartbeat: Option<Heartbeat>,
    /// `[canary]`: how often; `None` for never.
    pub(crate) canary: Option<Duration>,
    /// `[log]`.
    pub(crate) log: Log,
}

/// How closed the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Signatures and tokens are required.
    Production,
    /// Loopback only: no token, and no signature where no secret is set.
    Development,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `None` for plain http.
    pub(crate) tls: Option<Tls>,
    pub(crate) api_tokens: Vec<Secret>,
    pub(crate) workers: usize,
    pub(crate) connections_max: usize,
    pub(crate) body_bytes_max: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
}

/// The files in `[server]` with which it answers https.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// May hold a password.
    pub(crate) database_url: Secret,
    pub(crate) reader_connections: u32,
    pub(crate) connect_timeout: Duration,
    /// Where events wait while PostgreSQL is away; `None` for nowhere.
    pub(crate) spool: Option<Spool>,
}

/// The spool's keys in `[store]`.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    pub(crate) path: PathBuf,
    pub(crate) size_bytes_max: u64,
    /// Somebody named it, rather than the default.
    pub(crate) is_named: bool,
}

/// `[stripe]`.
#[derive(Clone, Debug)]
pub(crate) struct Stripe {
    pub(crate) tolerance: Tolerance,
}

/// `[sources.<name>]`.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Signing secrets; empty, in development alone, when signatures are not checked.
    pub(crate) secrets: Vec<Secret>,
}

/// `[ingest]`.
#[derive(Clone, Debug)]
pub(crate) struct Ingest {
    pub(crate) queue_len: usize,
    pub(crate) batch_max: usize,
}

/// `[heartbeat]`.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    /// Holds a token, as a rule.
    pub(crate) url: Secret,
    pub(crate) interval: Duration,
    pub(crate) timeout_secs: u32,
}

impl Heartbeat {
    /// The client, which checks the address; asks for nothing yet.
    pub(crate) fn client(&self) -> Result<billingwatch_alert::Heartbeat, ConfigError> {
        let url = billingwatch_alert::Secret::from(self.url.reveal());
        Ok(billingwatch_alert::Heartbeat::new(&url, self.timeout_secs)?)
    }
}

/// `[log]`.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// A level, or filter directives.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Makes sections of layers.
///
/// # Errors
/// The first setting that means nothing, or does not go with another.
pub(crate) fn build(
    layers: &Layers,
    path: Option<PathBuf>,
    specs: &[&DetectorSpec],
) -> Result<Config, ConfigError> {
    let mode = match layers.text("environment") {
        Some("development") => Mode::Development,
        _ => Mode::Production,
    };
    check_secret_key(layers)?;
    Ok(Config {
        path,
        mode,
        server: server(layers)?,
        store: Store {
            database_url: Secret::new(layers.text("store.database_url").unwrap_or_default()),
            reader_connections: layers.number("store.reader_connections")?,
            connect_timeout: secs(layers, "store.connect_timeout_secs")?,
            spool: spool(layers)?,
        },
        stripe: Stripe {
            tolerance: tolerance(layers)?,
        },
        sources: sources(layers)?,
        retention: retention(layers)?,
        ingest: Ingest {
            queue_len: layers.number("ingest.queue_len")?,
            batch_max: layers.number("ingest.batch_max")?,
        },
        alert: super::channels::build(layers)?,
        calendar: calendar(layers)?,
        detectors: detectors(layers, specs),
        heartbeat: heartbeat(layers)?,
        canary: match layers.number("canary.interval_secs")? {
            0 => None,
            secs => Some(Duration::from_secs(secs)),
        },
        log: log(layers, mode)?,
    })
}

fn heartbeat(layers: &Layers) -> Result<Option<Heartbeat>, ConfigError> {
    let Some(url) = layers.text("heartbeat.url") else {
        return Ok(None);
    };
    let heartbeat = Heartbeat {
        url: Secret::new(url),
        interval: secs(layers, "heartbeat.interval_secs")?,
        timeout_secs: layers.number("heartbeat.timeout_secs")?,
    };
    heartbeat.client()?;
    Ok(Some(heartbeat))
}

fn secs(layers: &Layers, path: &str) -> Result<Duration, ConfigError> {
    Ok(Duration::from_secs(layers.number(path)?))
}

fn spool(layers: &Layers) -> Result<Option<Spool>, ConfigError> {
    let megabytes: u64 = layers.number("store.spool_size_mb")?;
    let path = layers.text("store.spool").filter(|path| *path != "off");
    Ok(path.map(|path| Spool {
        path: PathBuf::from(path),
        size_bytes_max: megabytes.saturating_mul(1_000_000),
        is_named: !matches!(layers.origin("store.spool"), Origin::Default),
    }))
}

fn server(layers: &Layers) -> Result<Server, ConfigError> {
    let tokens = secrets(layers, "server.api_tokens")?;
    Ok(Server {
        host: layers.text("server.host").unwrap_or_default().to_owned(),
        port: layers.number("server.port")?,
        tls: tls(layers)?,
        api_tokens: tokens,
        workers: layers.number("server.workers")?,
        connections_max: layers.number("server.connections_max")?,
        body_bytes_max: layers.number("server.body_bytes_max")?,
        request_timeout: secs(layers, "server.request_timeout_secs")?,
        shutdown_timeout: secs(layers, "server.shutdown_timeout_secs")?,
    })
}

/// Both files, or neither. What they hold is read when the server starts, and by `check`.
fn tls(layers: &Layers) -> Result<Option<Tls>, ConfigError> {
    let [certificate, key] = ["server.tls_cert_file", "server.tls_key_file"];
    match (layers.text(certificate), layers.text(key)) {
        (Some(certificate), Some(key)) => Ok(Some(Tls {
            certificate: PathBuf::from(certificate),
            key: PathBuf::from(key),
        })),
        (Some(_), None) => Err(invalid(
            layers,
            certificate,
            "needs `server.tls_key_file` (TLS_KEY_FILE), the certificate's private key",
        )),
        (None, Some(_)) => Err(invalid(
            layers,
            key,
            "needs `server.tls_cert_file` (TLS_CERT_FILE), the certificate it belongs to",
        )),
        (None, None) => Ok(None),
    }
}

/// Nothing calls Stripe yet; a key of the wrong kind is better told today than on the day it is used.
fn check_secret_key(layers: &Layers) -> Result<(), ConfigError> {
    match layers.text("stripe.secret_key") {
        Some(key) if !key.starts_with("rk_") && !key.starts_with("sk_") => Err(invalid(
            layers,
            "stripe.secret_key",
            "is not a Stripe key: a restricted, read-only one begins with `rk_live_` or `rk_test_`",
        )),
        _ => Ok(()),
    }
}

fn tolerance(layers: &Layers) -> Result<Tolerance, ConfigError> {
    let path = "stripe.tolerance_secs";
    let within = Tolerance::within(Span::secs(layers.int(path)));
    within.map_err(|error| invalid(layers, path, &error.to_string()))
}

fn sources(layers: &Layers) -> Result<BTreeMap<String, Source>, ConfigError> {
    let mut sources = BTreeMap::new();
    for name in layers.source_names() {
        let secrets = secrets(layers, &format!("sources.{name}.webhook_secrets"))?;
        sources.insert(name.to_owned(), Source { secrets });
    }
    Ok(sources)
}

fn retention(layers: &Layers) -> Result<RetentionPolicy, ConfigError> {
    let days = |path: &str, min: i64| match layers.int(path) {
        0 => Ok(None),
        days if days < min => Err(invalid(
            layers,
            path,
            "must be 7 or more, or 0 for ever: Stripe may send an event again after days",
        )),
        days => Ok(Some(Span::days(days))),
    };
    let bytes = |path: &str| match layers.int(path) {
        0 => None,
        megabytes => Some(megabytes.saturating_mul(1_000_000)),
    };
    let events = Keep {
        age: days("retention.events_days", EVENTS_DAYS_MIN)?,
        size_bytes: bytes("retention.events_size_mb"),
    };
    let mut sources = BTreeMap::new();
    for name in layers.source_names() {
        let mut keep = events;
        for (key, _) in layers.table(&format!("sources.{name}")) {
            let path = format!("sources.{name}.{key}");
            match key {
                "events_days" => keep.age = days(&path, EVENTS_DAYS_MIN)?,
                "events_size_mb" => keep.size_bytes = bytes(&path),
                _ => {}
            }
        }
        sources.insert(name.to_owned(), keep);
    }
    Ok(RetentionPolicy {
        events,
        sources,
        alerts_age: days("retention.alerts_days", 1)?,
    })
}

fn secrets(layers: &Layers, path: &str) -> Result<Vec<Secret>, ConfigError> {
    let mut secrets = Vec::new();
    for text in layers.list(path) {
        if text.is_empty() {
            continue;
        }
        // The commonest paste mistake, and otherwise one that shows only as a wrong signature.
        if text.contains(char::is_whitespace) {
            return Err(invalid(
                layers,
                path,
                "has white space inside: separate several by commas",
            ));
        }
        secrets.push(Secret::new(text));
    }
    Ok(secrets)
}

fn calendar(layers: &Layers) -> Result<Calendar, ConfigError> {
    let path = "detectors.time_zone";
    let name = layers.text(path).unwrap_or("UTC");
    Calendar::of(name).map_err(|_| {
        let near = match near_zones(name).as_slice() {
            [] => "the IANA database lists them, such as `Europe/Berlin`".to_owned(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        let problem = format!("is `{name}`, which is no time zone; {near}");
        invalid(layers, path, &problem)
    })
}

/// Time zones whose name, or whose city, is much like this one; at most three.
fn near_zones(name: &str) -> Vec<String> {
    let asked = name.to_lowercase().replace(' ', "_");
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let alike = strsim::normalized_damerau_levenshtein;
    let closeness = |zone: &str| {
        let zone = zone.to_lowercase();
        alike(&zone, &asked).max(alike(&city(&zone), &city(&asked)) * 0.98)
    };
    let mut near: Vec<(f64, &str)> = Calendar::names()
        .map(|zone| (closeness(zone), zone))
        .filter(|(score, _)| *score >= 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let best = near.first().map_or(1.0, |(score, _)| score - 0.05);
    let near = near.into_iter().take_while(|(score, _)| *score >= best);
    near.take(3).map(|(_, zone)| format!("`{zone}`")).collect()
}

fn detectors(layers: &Layers, specs: &[&DetectorSpec]) -> Vec<SettingsChange> {
    let change = |spec: &&DetectorSpec| {
        let (is_enabled, values) = layers.detector(spec);
        SettingsChange {
            detector: spec.name.to_owned(),
            source: None,
            is_enabled: Some(is_enabled),
            values,
        }
    };
    specs.iter().map(change).collect()
}

fn log(layers: &Layers, mode: Mode) -> Result<Log, ConfigError> {
    let level = layers.text("log.level").unwrap_or("info").to_lowercase();
    let is_level = ["off", "error", "warn", "info", "debug", "trace"].contains(&level.as_str());
    // A bare word that is no level would be taken for a module's name, and silence everything.
    let is_filter = level.contains('=') && tracing_subscriber::EnvFilter::try_new(&level).is_ok();
    if !is_level && !is_filter {
        let problem = "must be off, error, warn, info, debug, trace, or directives such as \
                       `info,billingwatch_pipeline=debug`";
        return Err(invalid(layers, "log.level", problem));
    }
    let format = match (layers.text("log.format"), mode) {
        (Some("human"), _) => LogFormat::Human,
        (Some("json"), _) => LogFormat::Json,
        (_, Mode::Development) => LogFormat::Human,
        (_, Mode::Production) => LogFormat::Json,
    };
    Ok(Log { level, format })
}

/// A value that fits its key's type and means nothing.
pub(crate) fn invalid(layers: &Layers, path: &str, problem: &str) -> ConfigError {
    ConfigError::Invalid {
        origin: layers.origin(path),
        key: path.to_owned(),
        problem: problem.to_owned(),
    }
}

impl Config {
    /// Refuses what would leave the server open: call it before anything listens. Afterwards a
    /// source without secrets is one that development leaves unverified.
    ///
    /// # Errors
    /// Names the variable to set.
    pub(crate) fn close(mut self) -> Result<Self, ConfigError> {
        match self.mode {
            Mode::Production => self.require_secrets()?,
            Mode::Development => self.require_loopback()?,
        }
        for source in self.sources.values_mut() {
            source
                .secrets
                .retain(|secret| secret.reveal() != DEV_SECRET);
        }
        Ok(self)
    }

    fn require_secrets(&self) -> Result<(), ConfigError> {
        for (name, source) in &self.sources {
            let what = match name.as_str() {
                "default" => "STRIPE_WEBHOOK_SECRET".to_owned(),
                name => format!("sources.{name}.webhook_secrets"),
            };
            let refused = |problem: &str| {
                Err(ConfigError::Refused(format!(
                    "{what} {problem}. Set it to the endpoint's signing secret (`whsec_…`, from \
                     the Stripe dashboard or `stripe listen`), or try things out with \
                     `billingwatch serve --dev`."
                )))
            };
            if source.secrets.is_empty() {
                return refused("is not set, so nobody's events could be told from Stripe's");
            }
            if source
                .secrets
                .iter()
                .any(|secret| secret.reveal() == DEV_SECRET)
            {
                return refused("is `dev`, which stands for no secret in development only");
            }
        }
        if self.server.api_tokens.is_empty() {
            let missing = "BILLINGWATCH_API_TOKEN is not set, so anyone could read your billing \
                           data. Set it to a long random text (`openssl rand -hex 32`), or try \
                           things out with `billingwatch serve --dev`.";
            return Err(ConfigError::Refused(missing.to_owned()));
        }
        Ok(())
    }

    fn require_loopback(&self) -> Result<(), ConfigError> {
        let host = &self.server.host;
        if is_loopback(host) {
            return Ok(());
        }
        Err(ConfigError::Refused(format!(
            "development mode needs no token and may not verify signatures, so it listens on \
             loopback only, not on `{host}`. Set HOST=127.0.0.1; or leave out --dev and \
             APP_ENV=development, and set STRIPE_WEBHOOK_SECRET and BILLINGWATCH_API_TOKEN."
        )))
    }

    /// The sources whose signatures are not checked.
    pub(crate) fn unverified(&self) -> impl Iterator<Item = &str> {
        let open = self
            .sources
            .iter()
            .filter(|(_, source)| source.secrets.is_empty());
        open.map(|(name, _)| name.as_str())
    }
}

/// Whether every address of a host is loopback.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.is_loopback();
    }
    (bare, 0).to_socket_addrs().is_ok_and(|addresses| {
        let addresses: Vec<_> = addresses.collect();
        !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback())
    })
}

impl Store {
    /// The URL without what stands between scheme and host.
    pub(crate) fn shown_url(&self) -> String {
        let url = self.database_url.reveal();
        match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
            (Some(_), None) => url.split('?').next().unwrap_or_default().to_owned(),
            (None, _) => "[not a URL]".to_owned(),
        }
    }
}
