//! The two ways to find a page's rows: one event after the other, or by what an index finds.

use billingwatch_core::time::Timestamp;
use diesel::dsl::{max, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::super::EntryKind;
use super::{Lead, ListedRow, Span, Wanted};
use crate::connection::AnyConn;
use crate::error::Result;
use crate::schema::journal;

/// Found rows that are fetched at once.
const FETCHED: usize = 250;

/// Rows of a page, and the last place looked at, where there may be more below it.
pub(super) type Found = (Vec<ListedRow>, Option<i64>);

type Query<'a> = journal::BoxedQuery<'a, <AnyConn as diesel::Connection>::Backend>;

/// Rows without what indexes are asked for.
fn rows<'a>(wanted: &'a Wanted<'_>) -> Query<'a> {
    // Only events have an id. By their kind SQLite would go where it is all that is asked about: to an
    // index that has all of them, to sort them.
    let mut query = journal::table
        .filter(journal::event_id.is_not_null())
        .into_boxed();
    if let Some(livemode) = wanted.filter.livemode {
        query = query.filter(journal::livemode.eq(livemode));
    }
    if let Some(source) = &wanted.source {
        query = query.filter(journal::source.eq(source));
    }
    if let Some(from) = wanted.filter.created_from {
        query = query.filter(journal::created_at.ge(ceil_secs(from)));
    }
    if let Some(to) = wanted.filter.created_to {
        query = query.filter(journal::created_at.lt(ceil_secs(to)));
    }
    query.order(journal::seq.desc())
}

/// Goes over the events of a span, the newest first: so many, unless nothing is asked of them.
pub(super) fn pass(
    conn: &mut AnyConn,
    wanted: &Wanted<'_>,
    span: Span,
    limit: i64,
    passed_max: i64,
) -> Result<Found> {
    let newest: Option<i64> = journal::table.select(max(journal::seq)).first(conn)?;
    let to = span.to.min(newest.unwrap_or(0).saturating_add(1));
    let load = |conn: &mut AnyConn, from: i64| {
        rows(wanted)
            .filter(journal::seq.lt(to))
            .filter(journal::seq.ge(from))
            .limit(limit)
            .select(ListedRow::as_select())
            .load(conn)
    };
    if !wanted.asks_more() {
        return Ok((load(conn, span.from)?, None));
    }
    let near = to.saturating_sub(passed_max).max(span.from);
    let found = load(conn, near)?;
    if len(&found) >= limit || near == span.from {
        return Ok((found, None));
    }
    // So many numbers may be fewer rows, where old ones are gone.
    let beyond: Option<i64> = journal::table
        .filter(journal::seq.lt(to))
        .filter(journal::seq.ge(span.from))
        .order(journal::seq.desc())
        .offset(passed_max)
        .limit(1)
        .select(journal::seq)
        .first(conn)
        .optional()?;
    match beyond {
        None => Ok((load(conn, span.from)?, None)),
        Some(beyond) if beyond + 1 < near => Ok((load(conn, beyond + 1)?, Some(beyond + 1))),
        Some(beyond) => Ok((found, Some(beyond + 1))),
    }
}

/// Goes over so many of those events of a span that an index finds, the newest first.
pub(super) fn look_up(
    conn: &mut AnyConn,
    wanted: &Wanted<'_>,
    leads: &[Lead<'_>],
    span: Span,
    limit: i64,
    found_max: i64,
) -> Result<Found> {
    let most = found_max + 1;
    let mut best: Option<Vec<i64>> = None;
    for lead in leads {
        let found = places_of(conn, lead, span, most)?;
        if best
            .as_ref()
            .is_none_or(|best| rarity(&found, most) < rarity(best, most))
        {
            best = Some(found);
        }
    }
    let mut places = best.unwrap_or_default();
    let beyond = if len(&places) == most {
        places.pop()
    } else {
        None
    };
    let mut found = Vec::new();
    for places in places.chunks(FETCHED) {
        let fetched: Vec<ListedRow> = rows(wanted)
            .filter(journal::seq.eq_any(places.iter().copied()))
            .select(ListedRow::as_select())
            .load(conn)?;
        found.extend(fetched.into_iter().filter(|row| wanted.is_met_by(row)));
        if len(&found) >= limit {
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            return Ok((found, None));
        }
    }
    Ok((found, beyond.map(|seq| seq + 1)))
}

/// Less for what leaves less to look at: few in all, or so many that reach far back.
fn rarity(places: &[i64], most: i64) -> (bool, i64) {
    let found = len(places);
    match places.last() {
        Some(last) if found >= most => (true, *last),
        _ => (false, found),
    }
}

/// Where an index finds events of a span, the newest first.
fn places_of(conn: &mut AnyConn, lead: &Lead<'_>, span: Span, most: i64) -> QueryResult<Vec<i64>> {
    let query = || {
        journal::table
            .filter(journal::seq.lt(span.to))
            .filter(journal::seq.ge(span.from))
            .order(journal::seq.desc())
            .limit(most)
            .select(journal::seq)
    };
    match *lead {
        Lead::Types(types) => {
            // Each by itself: what an index finds of several is not in order.
            let mut places: Vec<i64> = Vec::new();
            for name in types {
                let of_type = query()
                    .filter(journal::kind.eq(EntryKind::Event.as_str()))
                    .filter(journal::event_type.eq(name));
                places.append(&mut of_type.load(conn)?);
            }
            places.sort_unstable_by(|a, b| b.cmp(a));
            places.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            Ok(places)
        }
        Lead::Customer(id) => query().filter(journal::customer_id.eq(id)).load(conn),
        Lead::Object(id) => query().filter(journal::object_id.eq(id)).load(conn),
        Lead::Account(id) => query().filter(journal::account.eq(id)).load(conn),
        // In the index's own words, which is how SQLite recognises them.
        Lead::TestMode => query().filter(sql::<Bool>("NOT livemode")).load(conn),
    }
}

fn len<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

/// The first whole second at or after an instant: `created` has no milliseconds.
const fn ceil_secs(at: Timestamp) -> i64 {
    let secs = at.as_secs();
    if Timestamp::from_secs(secs).as_millis() < at.as_millis() {
        secs + 1
    } else {
        secs
    }
}
