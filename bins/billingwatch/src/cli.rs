//! The words of the command line. Settings that a file or the environment can hold stand there;
//! flags exist for what one changes from run to run.

use std::path::PathBuf;

use billingwatch_simulator::{ApiShape, MAX_DAYS, MerchantKind};
use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand};

/// Exit codes, as every `--help` ends with them.
const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it failed: the store, a file, a port in use; demo --exit: an incident was not found
  2  the command line or the configuration is wrong
  3  replay, backtest, import: some lines could not be read (the rest was)";

/// Watches Stripe billing events and tells when something goes wrong.
#[derive(Debug, Parser)]
#[command(name = "billingwatch", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive webhooks, watch them, send alerts.
    #[command(after_help = EXIT_CODES)]
    Serve(ServeArgs),
    /// Show it at work: a simulated merchant, one incident for each detector, in about a minute.
    #[command(after_help = EXIT_CODES)]
    Demo(DemoArgs),
    /// Run recorded events through the detectors; nothing is stored or sent.
    #[command(after_help = EXIT_CODES)]
    Replay(ReplayArgs),
    /// Write a simulated merchant's events, and labels that say what is wrong in them.
    #[command(after_help = EXIT_CODES)]
    Simulate(SimulateArgs),
    /// Say what would have fired on recorded events and, with labels, how right that is.
    #[command(after_help = EXIT_CODES)]
    Backtest(BacktestArgs),
    /// Write the journal's events as lines that `replay` and `import` read; beside a running server.
    #[command(after_help = EXIT_CODES)]
    Export(ExportArgs),
    /// Bring recorded events into the journal, as history: detectors learn, nobody is told.
    #[command(after_help = EXIT_CODES)]
    Import(ImportArgs),
    /// Write a copy of the SQLite journal to a file, beside a running server.
    #[command(after_help = EXIT_CODES)]
    Backup(BackupArgs),
    /// Bring the store's tables up to date (`serve` does this too).
    #[command(after_help = EXIT_CODES)]
    Migrate(MigrateArgs),
    /// Make, list and revoke API tokens.
    #[command(after_help = EXIT_CODES)]
    Tokens(TokensArgs),
    /// Check the configuration, without starting anything.
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
    /// List the detectors, or describe one and its settings.
    #[command(after_help = EXIT_CODES)]
    Detectors(DetectorsArgs),
    /// Write a completion script for a shell.
    #[command(after_help = EXIT_CODES)]
    Completions(CompletionsArgs),
}

/// The config file, for every command that reads it.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The config file [default: BILLINGWATCH_CONFIG, else billingwatch.toml where there is one].
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
}

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Development on loopback: no token, and no signature check where no secret is set.
    #[arg(long)]
    pub(crate) dev: bool,
    /// The address to listen on [default: HOST, else 127.0.0.1].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// The port to listen on, 0 for a free one [default: PORT, else 8000].
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// sqlite://PATH or postgres://… [default: DATABASE_URL, else sqlite://billingwatch.db].
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the show instead of leaving the server running.
    #[arg(long)]
    pub(crate) exit: bool,
    /// How long the show takes, in seconds; 0 is as fast as it goes.
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(crate) seconds: u64,
    /// The port to listen on, 0 for a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
    /// The seed of the simulated world: another one, another merchant.
    #[arg(long, value_name = "NUMBER", default_value_t = crate::demo::SEED)]
    pub(crate) seed: u64,
}

/// `replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// JSON lines of Stripe events, plain, gzip or zstd, in order; `-` is standard input.
    ///
    /// A line is a Stripe event, {"received_at": SECONDS, "event": {…}}, or a Stripe list
    /// page.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Write each alert change as a JSON line to this file; `-` is standard output.
    #[arg(long, value_name = "PATH")]
    pub(crate) alerts_out: Option<PathBuf>,
    /// Change a detector's setting for this run, such as `charge_failure_spike.failures_min=10`.
    #[arg(long = "set", value_name = "DETECTOR.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Tell the story of one alert, by its id; `suppressed` tells what was recognised as harmless.
    #[arg(long, value_name = "ID")]
    pub(crate) explain: Option<String>,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The kind of business: indie, small-saas, saas, marketplace, multicurrency, telecom, box,
    /// resort, parking or gym.
    #[arg(long, value_name = "KIND")]
    pub(crate) merchant: MerchantKind,
    /// How many days.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
    pub(crate) days: u32,
    /// The seed of all chance: the same one makes the same files.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: u64,
    /// Where Stripe puts things: legacy (2022-11-15) or basil (2025-03-31 and later).
    #[arg(long, value_name = "SHAPE", default_value_t = ApiShape::Basil)]
    pub(crate) shape: ApiShape,
    /// The first day, in UTC.
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2024-01-08")]
    pub(crate) start: NaiveDate,
    /// What goes wrong: all, none, or kinds such as duplicate-charge,silent-lapse.
    #[arg(long, value_name = "KINDS", default_value = "all")]
    pub(crate) incidents: String,
    /// How far it stands out: subtle, moderate or clear; all is one incident of each.
    #[arg(long, value_name = "STRENGTH", default_value = "clear")]
    pub(crate) strength: String,
    /// Write events.jsonl.gz instead of events.jsonl.
    #[arg(long)]
    pub(crate) gzip: bool,
    /// Replace what an earlier run wrote.
    #[arg(long)]
    pub(crate) force: bool,
    /// The directory for events.jsonl and labels.json; made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `backtest`.
#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// JSON lines of Stripe events, plain, gzip or zstd, in order, as `replay` reads them.
    #[arg(
        value_name = "EVENTS",
        required_unless_present = "from_store",
        conflicts_with = "from_store"
    )]
    pub(crate) events: Option<PathBuf>,
    /// Take the events that `serve` has stored; a server may run beside it.
    #[arg(long)]
    pub(crate) from_store: bool,
    /// With --from-store: sqlite://PATH or postgres://… [default: DATABASE_URL, else
    /// sqlite://billingwatch.db].
    #[arg(long, value_name = "URL", conflicts_with = "events")]
    pub(crate) database_url: Option<String>,
    /// Show and score only what fires from here on: 2026-03-01, 2026-03-01T12:00:00Z or Unix
    /// seconds. What was before is read too: detectors learn from it.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) since: Option<String>,
    /// What is wrong in them, as `simulate` writes it.
    #[arg(long, value_name = "PATH")]
    pub(crate) labels: Option<PathBuf>,
    /// Change a detector's setting, such as `charge_failure_spike.failures_min=10`.
    #[arg(long = "set", value_name = "DETECTOR.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Run again with this changed too, and show both side by side.
    #[arg(long = "compare", value_name = "DETECTOR.KEY=VALUE")]
    pub(crate) compare: Vec<String>,
    /// Write one JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Only what was received at or after this: 2026-03-01, 2026-03-01T12:00:00Z or Unix seconds.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) since: Option<String>,
    /// The file to write; .gz and .zst are compressed. `-`, and no --out, is standard output.
    ///
    /// A run that was stopped leaves FILE.partial behind, and the same command goes on from there.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace FILE if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// sqlite://PATH or postgres://… [default: DATABASE_URL, else sqlite://billingwatch.db].
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Lines as `export` writes and `replay` reads them, plain, gzip or zstd; `-` is standard input.
    ///
    /// What the journal has already is passed over, so an import that was stopped can be run again.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The source of events whose line names none.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) source: String,
    /// sqlite://PATH or postgres://… [default: DATABASE_URL, else sqlite://billingwatch.db].
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write, which must not be there yet; `serve` runs on it as it is.
    pub(crate) file: PathBuf,
    /// sqlite://PATH [default: DATABASE_URL, else sqlite://billingwatch.db].
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// sqlite://PATH or postgres://… [default: DATABASE_URL, else sqlite://billingwatch.db].
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `tokens`.
#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub(crate) command: TokensCommand,
    /// sqlite://PATH or postgres://… [default: DATABASE_URL, else sqlite://billingwatch.db].
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) database_url: Option<String>,
    /// The config file [default: BILLINGWATCH_CONFIG, else billingwatch.toml where there is one].
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensCommand {
    /// Make a token and show it, this once: only its hash is kept.
    Add {
        /// What it is called; what is done with it is signed with this.
        name: String,
        /// What it may do: viewer reads, operator also changes, admin may do everything.
        #[arg(long, value_name = "ROLE", default_value = "viewer", value_parser = ["viewer", "operator", "admin"])]
        role: String,
    },
    /// List all tokens, without what they are.
    List,
    /// Make a token worthless from now on.
    Revoke {
        /// Its id, as `list` shows it.
        id: i64,
    },
}

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Check what `serve --dev` would start with.
    #[arg(long)]
    pub(crate) dev: bool,
    /// The config file.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `detectors`.
#[derive(Debug, Args)]
pub(crate) struct DetectorsArgs {
    /// The detector to describe; without one, all are listed.
    pub(crate) name: Option<String>,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}
