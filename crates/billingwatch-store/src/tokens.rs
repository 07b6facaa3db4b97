//! API tokens: whoever reads the database learns none, for only hashes are kept.

use billingwatch_core::time::Timestamp;
use diesel::prelude::*;

use crate::alerts::Outcome;
use crate::connection::both;
use crate::error::{Result, StoreError, instant};
use crate::schema::tokens;
use crate::store::Store;
use crate::text;

/// What a token lets its bearer do; each may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenRole {
    /// Read everything but tokens.
    Viewer,
    /// Acknowledge, resolve, judge and mute alerts, change settings.
    Operator,
    /// Make and revoke tokens.
    Admin,
}

impl TokenRole {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its name, as stored and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A token, without what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its row.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// What its bearer may do.
    pub role: TokenRole,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

type Row = (i64, String, String, i64, Option<i64>);

/// How a token is stored and looked up: SHA-256 in lower-case hex. Tokens are long and random, so
/// nothing slower is called for.
#[must_use]
pub fn token_hash(token: &str) -> String {
    text::sha256_hex(token)
}

impl Store {
    /// Keeps a token by its [`token_hash`]; [`Outcome::AlreadySo`] when it is there already.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn insert_token(
        &self,
        name: &str,
        hash: &str,
        role: TokenRole,
        at: Timestamp,
    ) -> Result<Outcome> {
        let name = text::note(name);
        self.write(|conn| {
            let inserted = both!(conn, c => diesel::insert_into(tokens::table)
                .values((
                    tokens::name.eq(name.as_ref()),
                    tokens::hash.eq(hash),
                    tokens::role.eq(role.as_str()),
                    tokens::created_at_ms.eq(at.as_millis()),
                ))
                .on_conflict_do_nothing()
                .execute(c))?;
            Ok(if inserted == 1 {
                Outcome::Done
            } else {
                Outcome::AlreadySo
            })
        })
    }

    /// Every token, revoked ones too, in the order they were made.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn list_tokens(&self) -> Result<Vec<TokenRow>> {
        self.read(|conn| {
            let rows: Vec<Row> = tokens::table
                .order(tokens::id.asc())
                .select((
                    tokens::id,
                    tokens::name,
                    tokens::role,
                    tokens::created_at_ms,
                    tokens::revoked_at_ms,
                ))
                .load(conn)?;
            rows.into_iter().map(TokenRow::try_from).collect()
        })
    }

    /// Makes a token worthless from now on.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn revoke_token(&self, id: i64, at: Timestamp) -> Result<Outcome> {
        self.write(|conn| {
            let revoked = diesel::update(
                tokens::table
                    .find(id)
                    .filter(tokens::revoked_at_ms.is_null()),
            )
            .set(tokens::revoked_at_ms.eq(at.as_millis()))
            .execute(conn)?;
            if revoked == 1 {
                return Ok(Outcome::Done);
            }
            let known: Option<i64> = tokens::table
                .find(id)
                .select(tokens::id)
                .first(conn)
                .optional()?;
            Ok(match known {
                Some(_) => Outcome::AlreadySo,
                None => Outcome::NotFound,
            })
        })
    }

    /// The token with this [`token_hash`], unless it was revoked.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn find_token_by_hash(&self, hash: &str) -> Result<Option<TokenRow>> {
        self.read(|conn| {
            let row: Option<Row> = tokens::table
                .filter(tokens::hash.eq(hash))
                .filter(tokens::revoked_at_ms.is_null())
                .select((
                    tokens::id,
                    tokens::name,
                    tokens::role,
                    tokens::created_at_ms,
                    tokens::revoked_at_ms,
                ))
                .first(conn)
                .optional()?;
            row.map(TokenRow::try_from).transpose()
        })
    }
}

impl TryFrom<Row> for TokenRow {
    type Error = StoreError;

    fn try_from((id, name, role, created_at_ms, revoked_at_ms): Row) -> Result<Self> {
        Ok(Self {
            id,
            name,
            role: TokenRole::from_name(&role)
                .ok_or_else(|| StoreError::unreadable("a token's role", &role))?,
            created_at: instant(created_at_ms),
            revoked_at: revoked_at_ms.map(instant),
        })
    }
}
