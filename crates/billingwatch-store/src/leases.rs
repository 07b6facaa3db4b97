//! Who may do what only one process at a time may: run the engine, when several share a database.
//!
//! A lease is a row with a holder, an end, and a token that grows with each change of holder. Only
//! the database's own clock decides whether it has ended, so the processes' clocks may differ. A
//! holder that stalls and wakes up after another took over still believes in its lease: that is what
//! the token is for. It goes with every [`Step`](crate::Step), and a step under an old one is refused
//! inside its transaction.

use billingwatch_core::time::Span;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use crate::connection::{AnyConn, both};
use crate::error::{Result, StoreError};
use crate::schema::leases;
use crate::store::Store;

/// The right to do something, until it ends or another has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The right to what.
    pub name: String,
    /// Who holds it: different for each process and start.
    pub holder: String,
    /// Grows with each change of holder.
    pub token: i64,
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = BigInt)]
    token: i64,
}

impl Store {
    /// Takes a lease, or makes the caller's own last `ttl` from now. `None` while another holds it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn acquire_lease(&self, name: &str, holder: &str, ttl: Span) -> Result<Option<Lease>> {
        let token = self.write(|conn| take(conn, name, holder, ttl))?;
        Ok(token.map(|token| Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            token,
        }))
    }

    /// Gives a lease back, so that another need not wait for its end. Nothing happens to one that
    /// another holds by now.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn release_lease(&self, lease: &Lease) -> Result<()> {
        self.write(|conn| {
            diesel::update(
                leases::table
                    .filter(leases::name.eq(&lease.name))
                    .filter(leases::holder.eq(&lease.holder))
                    .filter(leases::token.eq(lease.token)),
            )
            .set(leases::expires_at_ms.eq(0))
            .execute(conn)?;
            Ok(())
        })
    }
}

fn take(conn: &mut AnyConn, name: &str, holder: &str, ttl: Span) -> Result<Option<i64>> {
    let (now, first, last) = match conn {
        // The clock, not the transaction's start: it may have waited for the row.
        AnyConn::Postgresql(_) => (
            "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
            ["$1", "$2", "$3"],
            "$4",
        ),
        AnyConn::Sqlite(_) => (
            "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            ["?", "?", "?"],
            "?",
        ),
    };
    let [p_name, p_holder, p_ttl] = first;
    let statement = format!(
        "INSERT INTO leases (name, holder, token, expires_at_ms)
         VALUES ({p_name}, {p_holder}, 1, {now} + {p_ttl})
         ON CONFLICT (name) DO UPDATE SET
             token = leases.token + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END,
             holder = excluded.holder,
             expires_at_ms = excluded.expires_at_ms
         WHERE leases.holder = {last} OR leases.expires_at_ms <= {now}
         RETURNING token"
    );
    let taken: Option<Taken> = both!(conn, c => sql_query(statement)
        .bind::<Text, _>(name)
        .bind::<Text, _>(holder)
        .bind::<BigInt, _>(ttl.as_millis())
        .bind::<Text, _>(holder)
        .get_result(c)
        .optional())?;
    Ok(taken.map(|taken| taken.token))
}

/// Refuses work under a lease that another has taken over, and keeps it from being taken over until
/// the transaction ends. One that has ended and that nobody took is still good: nobody else works.
pub(crate) fn check(conn: &mut AnyConn, lease: &Lease) -> Result<()> {
    let held = leases::table
        .filter(leases::name.eq(&lease.name))
        .filter(leases::holder.eq(&lease.holder))
        .filter(leases::token.eq(lease.token))
        .select(leases::token);
    let found: Option<i64> = match conn {
        AnyConn::Postgresql(c) => held.for_share().first(c).optional()?,
        // Its transactions write one after the other.
        AnyConn::Sqlite(c) => held.first(c).optional()?,
    };
    match found {
        Some(_) => Ok(()),
        None => Err(StoreError::LeaseLost {
            name: lease.name.clone(),
        }),
    }
}
