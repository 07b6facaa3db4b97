//! Lists of events for people, newest first: what a page costs is bounded, whatever it asks for.
//!
//! A list goes by number from the newest back. What an index knows (types, customer, object, connected
//! account, test mode) is looked up in it; of several the one that is found least often leads, and what
//! it finds is held against the rest. What no index knows is looked for row by row. Either way a page
//! looks at so many events and no more: where they do not fill it, it ends there all the same, and its
//! cursor says where to go on.

use billingwatch_core::time::Timestamp;
use diesel::dsl::max;
use diesel::prelude::*;

use super::EventRow;
use super::read::first_seq_since;
use crate::connection::AnyConn;
use crate::error::{Result, instant};
use crate::page::{Page, PageOf};
use crate::schema::{journal, journal_usage};
use crate::store::Store;
use crate::text;

mod walk;

/// How much a page looks at.
#[derive(Clone, Copy)]
struct Bounds {
    /// Events of those that an index finds: each is somewhere else on the disk.
    found: i64,
    /// Events passed over one after the other.
    passed: i64,
}

/// Either is some 20 ms' worth.
const BOUNDS: Bounds = Bounds {
    found: 1_000,
    passed: 20_000,
};

/// Which events to list. Everything absent is not asked about; instants are from (inclusive) to
/// (exclusive).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Any of these types; empty for all.
    pub types: Vec<String>,
    /// About this customer.
    pub customer: Option<String>,
    /// About this object.
    pub object: Option<String>,
    /// Of this connected account.
    pub account: Option<String>,
    /// Live or test.
    pub livemode: Option<bool>,
    /// Through this source.
    pub source: Option<String>,
    /// Created at Stripe at or after.
    pub created_from: Option<Timestamp>,
    /// Created at Stripe before.
    pub created_to: Option<Timestamp>,
    /// Received at or after.
    pub received_from: Option<Timestamp>,
    /// Received before.
    pub received_to: Option<Timestamp>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = journal)]
struct ListedRow {
    seq: i64,
    source: String,
    event_id: Option<String>,
    event_type: String,
    object_id: Option<String>,
    customer_id: Option<String>,
    created_at: Option<i64>,
    received_at_ms: i64,
    account: Option<String>,
    livemode: bool,
    api_version: Option<String>,
    is_historical: bool,
}

impl Store {
    /// Events, newest arrival first, without their bodies.
    ///
    /// A page looks at 1,000 of the events that an index finds, or at 20,000 where none helps, and
    /// then ends: it may hold fewer than its limit, even none, and still name a next one.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadPage`](crate::StoreError::BadPage) for a cursor of another list, or whatever
    /// keeps the database from answering.
    pub fn list_events(&self, filter: &EventFilter, page: &Page) -> Result<PageOf<EventRow>> {
        let below = page.below()?;
        self.read(|conn| list(conn, filter, page, below, BOUNDS))
    }
}

fn list(
    conn: &mut AnyConn,
    filter: &EventFilter,
    page: &Page,
    below: i64,
    bounds: Bounds,
) -> Result<PageOf<EventRow>> {
    let wanted = Wanted::of(filter);
    let none = page.cut(Vec::new(), place);
    if !is_source_known(conn, &wanted)? {
        return Ok(none);
    }
    let Some(mut span) = reach(conn, filter)? else {
        return Ok(none);
    };
    span.to = span.to.min(below);
    let leads = wanted.leads();
    let (rows, end) = if leads.is_empty() {
        walk::pass(conn, &wanted, span, page.fetch(), bounds.passed)?
    } else {
        walk::look_up(conn, &wanted, &leads, span, page.fetch(), bounds.found)?
    };
    let mut found = page.cut(rows.into_iter().map(EventRow::from).collect(), place);
    found.next = found.next.or(end.map(|seq| seq.to_string()));
    Ok(found)
}

/// The cursor that goes on after an event.
fn place(row: &EventRow) -> String {
    row.seq.to_string()
}

/// Numbers from (inclusive) to (exclusive).
#[derive(Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
}

/// A filter as rows are stored.
struct Wanted<'a> {
    filter: &'a EventFilter,
    types: Vec<String>,
    customer: Option<String>,
    object: Option<String>,
    account: Option<String>,
    source: Option<String>,
}

/// What an index finds.
enum Lead<'a> {
    Types(&'a [String]),
    Customer(&'a str),
    Object(&'a str),
    Account(&'a str),
    TestMode,
}

impl<'a> Wanted<'a> {
    fn of(filter: &'a EventFilter) -> Self {
        let key =
            |given: &Option<String>| given.as_deref().map(|text| text::key(text).into_owned());
        let mut types: Vec<String> = filter
            .types
            .iter()
            .map(|name| text::key(name).into_owned())
            .collect();
        types.sort_unstable();
        types.dedup();
        Self {
            filter,
            types,
            customer: key(&filter.customer),
            object: key(&filter.object),
            account: key(&filter.account),
            source: key(&filter.source),
        }
    }

    fn leads(&self) -> Vec<Lead<'_>> {
        let types = (!self.types.is_empty()).then_some(Lead::Types(&self.types));
        let is_test = self.filter.livemode == Some(false);
        [
            types,
            self.customer.as_deref().map(Lead::Customer),
            self.object.as_deref().map(Lead::Object),
            self.account.as_deref().map(Lead::Account),
            is_test.then_some(Lead::TestMode),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether there is more to ask of an event than where it stands.
    fn asks_more(&self) -> bool {
        let filter = self.filter;
        self.source.is_some()
            || filter.livemode.is_some()
            || filter.created_from.is_some()
            || filter.created_to.is_some()
    }

    /// Whether a row has what indexes know. (The rest is in the query that fetched it: with these in
    /// it, too, it might go by one of their indexes.)
    fn is_met_by(&self, row: &ListedRow) -> bool {
        let is = |wanted: &Option<String>, had: &Option<String>| wanted.is_none() || wanted == had;
        (self.types.is_empty() || self.types.binary_search(&row.event_type).is_ok())
            && is(&self.customer, &row.customer_id)
            && is(&self.object, &row.object_id)
            && is(&self.account, &row.account)
    }
}

/// Whether any event is kept that came through the source asked for, if one is.
fn is_source_known(conn: &mut AnyConn, wanted: &Wanted<'_>) -> QueryResult<bool> {
    let Some(source) = &wanted.source else {
        return Ok(true);
    };
    let events: Option<i64> = journal_usage::table
        .find(source)
        .select(journal_usage::events)
        .first(conn)
        .optional()?;
    Ok(events.is_some_and(|events| events > 0))
}

/// The numbers that a filter's receive times reach; `None` when nothing was received so late. A list
/// goes by number, and would pass over all that came later.
fn reach(conn: &mut AnyConn, filter: &EventFilter) -> Result<Option<Span>> {
    let from = match filter.received_from {
        None => 0,
        Some(from) => match first_seq_since(conn, from)? {
            Some(seq) => seq,
            None => return Ok(None),
        },
    };
    let to = match filter.received_to {
        None => None,
        Some(to) => {
            // Before the question, so that what comes meanwhile is not in the list.
            let last: Option<i64> = journal::table.select(max(journal::seq)).first(conn)?;
            let first_later = first_seq_since(conn, to)?;
            first_later.or(last.map(|last| last.saturating_add(1)))
        }
    };
    let to = to.unwrap_or(i64::MAX);
    Ok(Some(Span { from, to }))
}

impl From<ListedRow> for EventRow {
    fn from(row: ListedRow) -> Self {
        Self {
            seq: row.seq,
            source: row.source,
            event_id: row.event_id.unwrap_or_default(),
            event_type: row.event_type,
            object_id: row.object_id,
            customer_id: row.customer_id,
            created_at: row.created_at,
            received_at: instant(row.received_at_ms),
            account: row.account,
            livemode: row.livemode,
            api_version: row.api_version,
            is_historical: row.is_historical,
        }
    }
}

#[cfg(test)]
mod tests;
