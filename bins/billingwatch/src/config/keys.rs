//! The list of every key: its type, its bounds, its environment variable. The file reader, the
//! environment reader, the reference page and the tests all walk it. Defaults and comments are
//! not here: they stand in `billingwatch.default.toml`.

use billingwatch_core::detector::{DetectorSpec, SettingKind};

use super::error::ConfigError;
use super::value::{Origin, Value};

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number within bounds, both included.
    Int {
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// Yes or no.
    Bool,
    /// A text.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Several texts; in the environment, separated by commas.
    List,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Table and name, with dots; `*` stands for a name that the user chooses.
    pub(crate) path: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// The environment variable that overrides it.
    pub(crate) env: Option<&'static str>,
    /// Whether it is never shown; then `<key>_file` and `<ENV>_FILE` name a file that holds it.
    pub(crate) is_secret: bool,
}

const fn key(path: &'static str, kind: Kind) -> Key {
    Key {
        path,
        kind,
        env: None,
        is_secret: false,
    }
}

impl Key {
    const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }
}

const DAY_SECS: i64 = 86_400;

const SEVERITIES: &[&str] = &["low", "medium", "high", "critical"];

const TIMEOUT_SECS: Kind = Kind::Int { min: 1, max: 60 };

/// A century; 0 is for ever.
const DAYS: Kind = Kind::Int {
    min: 0,
    max: 36_500,
};

/// A hundred terabytes; 0 is without end.
const SIZE_MB: Kind = Kind::Int {
    min: 0,
    max: 100_000_000,
};

/// Every key but those of the detectors, which say themselves what they take.
pub(crate) const KEYS: &[Key] = &[
    key("environment", Kind::Word(&["production", "development"])).env("APP_ENV"),
    key("server.host", Kind::Text).env("HOST"),
    key(
        "server.port",
        Kind::Int {
            min: 0,
            max: 65_535,
        },
    )
    .env("PORT"),
    key("server.tls_cert_file", Kind::Text).env("TLS_CERT_FILE"),
    key("server.tls_key_file", Kind::Text).env("TLS_KEY_FILE"),
    key("server.api_tokens", Kind::List)
        .env("BILLINGWATCH_API_TOKEN")
        .secret(),
    key("server.workers", Kind::Int { min: 1, max: 256 }),
    key(
        "server.connections_max",
        Kind::Int {
            min: 16,
            max: 65_536,
        },
    ),
    key(
        "server.body_bytes_max",
        Kind::Int {
            min: 65_536,
            max: 67_108_864,
        },
    ),
    key(
        "server.request_timeout_secs",
        Kind::Int { min: 1, max: 300 },
    ),
    key(
        "server.shutdown_timeout_secs",
        Kind::Int { min: 1, max: 300 },
    ),
    key("store.database_url", Kind::Text)
        .env("DATABASE_URL")
        .secret(),
    key("store.reader_connections", Kind::Int { min: 1, max: 64 }),
    key("store.connect_timeout_secs", Kind::Int { min: 1, max: 300 }),
    key("store.spool", Kind::Text).env("SPOOL_PATH"),
    key(
        "store.spool_size_mb",
        Kind::Int {
            min: 1,
            max: 1_000_000,
        },
    ),
    key("stripe.secret_key", Kind::Text)
        .env("STRIPE_SECRET_KEY")
        .secret(),
    key(
        "stripe.tolerance_secs",
        Kind::Int {
            min: 1,
            max: DAY_SECS,
        },
    ),
    key("sources.default.webhook_secrets", Kind::List)
        .env("STRIPE_WEBHOOK_SECRET")
        .secret(),
    key("sources.*.webhook_secrets", Kind::List).secret(),
    key("sources.*.events_days", DAYS),
    key("sources.*.events_size_mb", SIZE_MB),
    key("retention.events_days", DAYS),
    key("retention.events_size_mb", SIZE_MB),
    key("retention.alerts_days", DAYS),
    key(
        "ingest.queue_len",
        Kind::Int {
            min: 1,
            max: 1_000_000,
        },
    ),
    key(
        "ingest.batch_max",
        Kind::Int {
            min: 1,
            max: 10_000,
        },
    ),
    key("alert.email.from", Kind::Text).env("ALERT_EMAIL_FROM"),
    key("alert.email.to", Kind::List).env("ALERT_EMAIL_TO"),
    key("alert.email.smtp_host", Kind::Text).env("SMTP_HOST"),
    key(
        "alert.email.smtp_port",
        Kind::Int {
            min: 0,
            max: 65_535,
        },
    )
    .env("SMTP_PORT"),
    key("alert.email.smtp_user", Kind::Text).env("SMTP_USER"),
    key("alert.email.smtp_pass", Kind::Text)
        .env("SMTP_PASS")
        .secret(),
    key(
        "alert.email.smtp_tls",
        Kind::Word(&["auto", "starttls", "implicit", "none"]),
    )
    .env("SMTP_TLS"),
    key("alert.email.smtp_ca_file", Kind::Text).env("SMTP_CA_FILE"),
    key("alert.email.min_severity", Kind::Word(SEVERITIES)),
    key("alert.email.test_mode", Kind::Bool),
    key("alert.email.timeout_secs", TIMEOUT_SECS),
    key("alert.webhook.url", Kind::Text)
        .env("ALERT_WEBHOOK_URL")
        .secret(),
    key("alert.webhook.secrets", Kind::List)
        .env("ALERT_WEBHOOK_SECRET")
        .secret(),
    key("alert.webhook.min_severity", Kind::Word(SEVERITIES)),
    key("alert.webhook.test_mode", Kind::Bool),
    key("alert.webhook.timeout_secs", TIMEOUT_SECS),
    key("alert.webhook.link_local_hosts", Kind::List),
    key("alert.slack.url", Kind::Text)
        .env("SLACK_WEBHOOK_URL")
        .secret(),
    key("alert.slack.min_severity", Kind::Word(SEVERITIES)),
    key("alert.slack.test_mode", Kind::Bool),
    key("alert.slack.timeout_secs", TIMEOUT_SECS),
    key("alert.discord.url", Kind::Text)
        .env("DISCORD_WEBHOOK_URL")
        .secret(),
    key("alert.discord.min_severity", Kind::Word(SEVERITIES)),
    key("alert.discord.test_mode", Kind::Bool),
    key("alert.discord.timeout_secs", TIMEOUT_SECS),
    key("heartbeat.url", Kind::Text)
        .env("HEARTBEAT_URL")
        .secret(),
    key(
        "heartbeat.interval_secs",
        Kind::Int {
            min: 1,
            max: DAY_SECS,
        },
    ),
    key("heartbeat.timeout_secs", TIMEOUT_SECS),
    key(
        "canary.interval_secs",
        Kind::Int {
            min: 0,
            max: DAY_SECS,
        },
    ),
    key("detectors.time_zone", Kind::Text).env("TIME_ZONE"),
    key("log.level", Kind::Text).env("LOG_LEVEL"),
    key("log.format", Kind::Word(&["auto", "human", "json"])),
];

/// What a key of some path takes; a detector's is read off its spec.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// What it takes.
    pub(crate) kind: Kind,
    /// Whether it is never shown.
    pub(crate) is_secret: bool,
    /// Whether the path is `<key>_file`: a file that holds the secret.
    pub(crate) is_file_of: bool,
}

/// Looks a path up.
pub(crate) fn find(path: &str, specs: &[&DetectorSpec]) -> Option<Found> {
    if let Some(key) = KEYS.iter().find(|key| matches(key.path, path)) {
        return Some(Found {
            kind: key.kind,
            is_secret: key.is_secret,
            is_file_of: false,
        });
    }
    if let Some(rest) = path.strip_prefix("detectors.") {
        let (detector, setting) = rest.split_once('.')?;
        let spec = specs.iter().find(|spec| spec.name == detector)?;
        let kind = detector_kind(spec, setting)?;
        return Some(Found {
            kind,
            is_secret: false,
            is_file_of: false,
        });
    }
    let owner = path.strip_suffix("_file")?;
    let key = KEYS
        .iter()
        .find(|key| key.is_secret && matches(key.path, owner))?;
    Some(Found {
        kind: key.kind,
        is_secret: true,
        is_file_of: true,
    })
}

fn detector_kind(spec: &DetectorSpec, setting: &str) -> Option<Kind> {
    if setting == "enabled" {
        return Some(Kind::Bool);
    }
    let setting = spec.settings.iter().find(|known| known.name == setting)?;
    Some(match setting.kind {
        SettingKind::Int { min, max, .. } => Kind::Int { min, max },
        SettingKind::Bool { .. } => Kind::Bool,
    })
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('.'), path.split('.'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(want), Some(have)) if want == "*" || want == have => {}
            _ => return false,
        }
    }
}

/// The known path that an unknown one is most like, when any is close.
pub(crate) fn nearest(path: &str, specs: &[&DetectorSpec]) -> Option<String> {
    let table = path.rsplit_once('.').map_or("", |(table, _)| table);
    let fixed = KEYS
        .iter()
        .map(|key| match (key.path.strip_prefix("sources.*."), table) {
            (Some(name), table) if table.starts_with("sources.") => format!("{table}.{name}"),
            _ => key.path.to_owned(),
        });
    let detectors = specs.iter().flat_map(|spec| {
        let names = spec
            .settings
            .iter()
            .map(|setting| setting.name)
            .chain(["enabled"]);
        names.map(|name| format!("detectors.{}.{name}", spec.name))
    });
    let candidates = fixed.chain(detectors).filter(|known| !known.contains('*'));
    candidates
        .map(|known| (closeness(&known, path), known))
        .filter(|(score, _)| *score >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// How alike two paths are, 0 to about 1; a like name in another table counts nearly as much, and
/// among several such tables that of the likest name.
fn closeness(known: &str, path: &str) -> f64 {
    let name = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let alike = strsim::normalized_damerau_levenshtein;
    let whole = alike(known, path);
    whole.max(alike(&name(known), &name(path)) * 0.95) + whole / 100.0
}

/// Checks a value and gives it the key's type: one text where a list is wanted is a list of one.
///
/// # Errors
/// When the type is another, the number out of bounds, the word not one of those allowed.
pub(crate) fn check(
    kind: Kind,
    path: &str,
    value: Value,
    origin: &Origin,
) -> Result<Value, ConfigError> {
    let wrong = |expected: String| ConfigError::WrongType {
        origin: origin.clone(),
        key: path.to_owned(),
        expected,
    };
    match (kind, value) {
        (Kind::Int { min, max }, Value::Int(given)) => {
            if (min..=max).contains(&given) {
                return Ok(Value::Int(given));
            }
            let (origin, key) = (origin.clone(), path.to_owned());
            Err(ConfigError::OutOfRange {
                origin,
                key,
                min,
                max,
                given,
            })
        }
        (Kind::Int { min, max }, _) => Err(wrong(format!("a whole number from {min} to {max}"))),
        (Kind::Bool, Value::Bool(value)) => Ok(Value::Bool(value)),
        (Kind::Bool, _) => Err(wrong("true or false".to_owned())),
        (Kind::Text, Value::Text(text)) => Ok(Value::Text(text.trim().to_owned())),
        (Kind::Text, _) => Err(wrong("a text".to_owned())),
        (Kind::Word(words), Value::Text(text)) if words.contains(&text.as_str()) => {
            Ok(Value::Text(text))
        }
        (Kind::Word(words), _) => Err(wrong(format!("one of: {}", words.join(", ")))),
        (Kind::List, Value::List(items)) => Ok(Value::List(items)),
        (Kind::List, Value::Text(text)) if text.is_empty() => Ok(Value::List(Vec::new())),
        (Kind::List, Value::Text(text)) => Ok(Value::List(vec![text])),
        (Kind::List, _) => Err(wrong("a list of texts".to_owned())),
    }
}

/// Reads the text of an environment variable or flag as the key's type.
///
/// # Errors
/// As [`check`].
pub(crate) fn parse(
    kind: Kind,
    path: &str,
    text: &str,
    origin: &Origin,
) -> Result<Value, ConfigError> {
    let text = text.trim();
    let value = match kind {
        Kind::Int { .. } => text
            .parse()
            .map_or_else(|_| Value::Text(text.to_owned()), Value::Int),
        Kind::Bool => text
            .parse()
            .map_or_else(|_| Value::Text(text.to_owned()), Value::Bool),
        Kind::Text | Kind::Word(_) => Value::Text(text.to_owned()),
        Kind::List => Value::List(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Into::into)
                .collect(),
        ),
    };
    check(kind, path, value, origin)
}
