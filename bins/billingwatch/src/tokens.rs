//! `billingwatch tokens`: makes, lists and revokes API tokens.
//!
//! They are kept in the store, as hashes; a running server knows of each change at once.

use std::io::Write;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use billingwatch_pipeline::{Clock, SystemClock};
use billingwatch_store::{Outcome, Store, TokenRole, TokenRow, token_hash};
use comfy_table::{Table, presets};

use crate::cli::{TokensArgs, TokensCommand};
use crate::config::{self, Environment, Overrides};
use crate::exit::Ended;
use crate::{detectors, migrate, output};

/// 256 bits: nobody guesses that, so no slower hash is called for.
const TOKEN_BYTES: usize = 32;

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// Does one thing with tokens.
///
/// # Errors
/// When the store cannot be used, or there is no such token.
pub(crate) fn run(args: &TokensArgs) -> anyhow::Result<Ended> {
    let overrides = Overrides {
        config: args.config.clone(),
        database_url: args.database_url.clone(),
        ..Overrides::default()
    };
    let factories = detectors::all();
    let specs = detectors::specs(&factories);
    let config = config::load(&overrides, &Environment::read()?, &specs)?;
    let store = migrate::open(&config.store)?;
    store.migrate()?;
    match &args.command {
        TokensCommand::Add { name, role } => add(&store, name, role),
        TokensCommand::List => list(&store),
        TokensCommand::Revoke { id } => revoke(&store, *id),
    }
}

fn add(store: &Store, name: &str, role: &str) -> anyhow::Result<Ended> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        bail!("a name has from 1 to {NAME_CHARS_MAX} characters");
    }
    let role = TokenRole::from_name(role).context("the role is viewer, operator or admin")?;
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>());
    store.insert_token(name, &token_hash(&token), role, SystemClock.now())?;
    output::note(&format!(
        "{name} ({}); it is shown this once, for only its hash is kept:",
        role.as_str()
    ));
    // Alone on standard output, so that it can be piped to where it belongs.
    writeln!(std::io::stdout().lock(), "{token}")?;
    Ok(Ended::Well)
}

fn list(store: &Store) -> anyhow::Result<Ended> {
    let table = table(&store.list_tokens()?);
    writeln!(std::io::stdout().lock(), "{table}")?;
    Ok(Ended::Well)
}

fn table(tokens: &[TokenRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["id", "name", "role", "made", "revoked"]);
    for token in tokens {
        table.add_row([
            token.id.to_string(),
            token.name.clone(),
            token.role.as_str().to_owned(),
            token.created_at.to_string(),
            token.revoked_at.map_or(String::new(), |at| at.to_string()),
        ]);
    }
    table
}

fn revoke(store: &Store, id: i64) -> anyhow::Result<Ended> {
    match store.revoke_token(id, SystemClock.now())? {
        Outcome::Done => output::note(&format!("token {id} is worthless from now on")),
        Outcome::AlreadySo => output::note(&format!("token {id} was revoked before")),
        Outcome::NotFound => {
            bail!("no token has the id {id}; `billingwatch tokens list` shows them")
        }
    }
    Ok(Ended::Well)
}
