//! What looked wrong and was recognised as harmless: so that quiet can be explained.

use billingwatch_core::alert::Suppressed;
use billingwatch_core::ids::Scope;
use diesel::dsl::{count_star, max};
use diesel::prelude::*;

use crate::connection::AnyConn;
use crate::error::{Result, instant};
use crate::page::{Page, PageOf};
use crate::schema::suppressed;
use crate::store::Store;
use crate::text;

/// How many are kept: the newest.
pub const SUPPRESSED_MAX: i64 = 100_000;

/// Which to list. Everything absent is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuppressedFilter {
    /// Recognised by this detector.
    pub detector: Option<String>,
    /// For this reason.
    pub reason: Option<String>,
    /// About this subject.
    pub subject: Option<String>,
    /// Through this source.
    pub source: Option<String>,
    /// Live or test.
    pub livemode: Option<bool>,
}

/// How many of one kind are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SuppressedCount {
    /// Recognised by this detector.
    pub detector: String,
    /// For this reason.
    pub reason: String,
    /// So many.
    pub count: i64,
}

#[derive(Insertable)]
#[diesel(table_name = suppressed, treat_none_as_default_value = false)]
struct NewRow<'a> {
    at_ms: i64,
    detector: &'a str,
    source: &'a str,
    account: Option<&'a str>,
    livemode: bool,
    reason: &'a str,
    subject: Option<std::borrow::Cow<'a, str>>,
    message: std::borrow::Cow<'a, str>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = suppressed)]
struct Row {
    id: i64,
    at_ms: i64,
    detector: String,
    source: String,
    account: Option<String>,
    livemode: bool,
    reason: String,
    subject: Option<String>,
    message: String,
}

impl Store {
    /// Suppressed findings, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadPage`](crate::StoreError::BadPage) for a cursor of another list, or
    /// whatever keeps the database from answering.
    pub fn list_suppressed(
        &self,
        filter: &SuppressedFilter,
        page: &Page,
    ) -> Result<PageOf<Suppressed>> {
        let below = page.below()?;
        self.read(|conn| {
            let mut query = suppressed::table
                .filter(suppressed::id.lt(below))
                .into_boxed();
            if let Some(detector) = &filter.detector {
                query = query.filter(suppressed::detector.eq(detector));
            }
            if let Some(reason) = &filter.reason {
                query = query.filter(suppressed::reason.eq(reason));
            }
            if let Some(subject) = &filter.subject {
                query = query.filter(suppressed::subject.eq(text::key(subject)));
            }
            if let Some(source) = &filter.source {
                query = query.filter(suppressed::source.eq(source));
            }
            if let Some(livemode) = filter.livemode {
                query = query.filter(suppressed::livemode.eq(livemode));
            }
            let rows: Vec<Row> = query
                .order(suppressed::id.desc())
                .limit(page.fetch())
                .select(Row::as_select())
                .load(conn)?;
            Ok(page
                .cut(rows, |row| row.id.to_string())
                .map(Suppressed::from))
        })
    }
}

impl Store {
    /// How many suppressed findings are kept, by detector and reason.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn suppressed_counts(&self) -> Result<Vec<SuppressedCount>> {
        self.read(|conn| {
            let rows: Vec<(String, String, i64)> = suppressed::table
                .group_by((suppressed::detector, suppressed::reason))
                .select((suppressed::detector, suppressed::reason, count_star()))
                .load(conn)?;
            let of_row = |(detector, reason, count)| SuppressedCount {
                detector,
                reason,
                count,
            };
            let mut counts: Vec<SuppressedCount> = rows.into_iter().map(of_row).collect();
            counts.sort();
            Ok(counts)
        })
    }
}

/// Adds some, and drops the oldest beyond [`SUPPRESSED_MAX`].
pub(crate) fn record(conn: &mut AnyConn, findings: &[Suppressed]) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    for finding in findings {
        let row = NewRow {
            at_ms: finding.at.as_millis(),
            detector: &finding.detector,
            source: &finding.scope.source,
            account: finding.scope.account.as_deref(),
            livemode: finding.scope.livemode,
            reason: &finding.reason,
            subject: text::optional_key(finding.subject.as_deref()),
            message: text::note(&finding.message),
        };
        diesel::insert_into(suppressed::table)
            .values(row)
            .execute(conn)?;
    }
    let newest: Option<i64> = suppressed::table.select(max(suppressed::id)).first(conn)?;
    let oldest_kept = newest.unwrap_or(0).saturating_sub(SUPPRESSED_MAX);
    diesel::delete(suppressed::table.filter(suppressed::id.le(oldest_kept))).execute(conn)?;
    Ok(())
}

impl From<Row> for Suppressed {
    fn from(row: Row) -> Self {
        Self {
            at: instant(row.at_ms),
            detector: row.detector,
            scope: Scope::new(&row.source, row.account.as_deref(), row.livemode),
            reason: row.reason,
            subject: row.subject,
            message: row.message,
        }
    }
}
