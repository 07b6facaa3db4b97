//! What can be read of a damaged file goes into a new one.
//!
//! First the rows are walked from both ends: a walk goes from row to row and compares no numbers. Then
//! each place is looked up, those that a walk came by too: a row with another's number may stand there. A lookup compares the numbers it meets on its way, and
//! where a page's list of rows is broken SQLite reads such a number from beyond the page: what it finds
//! then is a matter of chance, and a row behind it may be found by a walk alone.

use std::ops::RangeInclusive;

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Nullable};
use diesel::{QueryableByName, SqliteConnection, sql_query};

use super::rows::{Row, essential, spool};
use crate::error::Result;

/// Places that are looked up on each side of a gap: as many rows as a spool of the default size holds.
const PROBES_MAX: i64 = 1_000_000;

/// The highest number that is believed: no spool ever gave as many, and behind it new events must find
/// room.
const ID_MAX: i64 = 1 << 53;

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = Nullable<BigInt>)]
    last_id: Option<i64>,
}

/// The new file, and what has come into it.
struct Carried<'a> {
    new: &'a mut SqliteConnection,
    /// The highest number that was given out in it.
    last_id: i64,
    /// Sound rows whose place another one has, or whose number cannot be true.
    misnumbered: Vec<Row>,
    kept: i64,
}

/// Carries every row that can be read into the new file, in order. How many, and how many places
/// could not be read.
///
/// # Errors
///
/// Whatever keeps the new file from being written.
pub(super) fn carry(
    damaged: &mut SqliteConnection,
    new: &mut SqliteConnection,
) -> Result<(i64, i64)> {
    let mut carried = Carried {
        new,
        last_id: 0,
        misnumbered: Vec::new(),
        kept: 0,
    };
    let after = carried.walk_up(damaged)?;
    carried.walk_down(damaged, after)?;
    let told = last_ids(damaged);
    let (mut lost, mut senseless) = (0, Vec::new());
    for places in gaps(after, &told) {
        for id in places {
            let row = spool::table.find(id).select(Row::as_select());
            let row = match row.first(damaged).optional() {
                Ok(row) => row,
                Err(_) => {
                    let row = essential(damaged, id);
                    lost += i64::from(row.is_none());
                    row
                }
            };
            match row {
                Some(row) if row.is_sound() => carried.keep(row)?,
                Some(_) => senseless.push(id),
                None => {}
            }
        }
    }
    carried.renumber()?;
    // Last, so that it takes no true event's place. It is set aside when it is taken out.
    for id in senseless {
        let row = spool::table.find(id).select(Row::as_select());
        match row.first(damaged) {
            Ok(row) => carried.kept += i64::from(insert(carried.new, &row)?),
            Err(_) => lost += 1,
        }
    }
    Ok((carried.kept, lost))
}

impl Carried<'_> {
    /// From the first row on, as long as the numbers rise. The last place that can be believed: of two
    /// rows out of order, either may have the wrong number.
    fn walk_up(&mut self, damaged: &mut SqliteConnection) -> Result<i64> {
        let (mut before, mut last) = (0, 0);
        let rows = spool::table.order(spool::id).select(Row::as_select());
        let Ok(rows) = rows.load_iter(damaged) else {
            return Ok(0);
        };
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(DieselError::DeserializationError(_)) => continue,
                Err(_) => return Ok(last),
            };
            if row.id <= last {
                return Ok(before);
            }
            (before, last) = (last, row.id);
            if row.is_sound() {
                self.keep(row)?;
            }
        }
        Ok(last)
    }

    /// From the last row down to where the walk up ended, as long as the numbers fall.
    fn walk_down(&mut self, damaged: &mut SqliteConnection, end: i64) -> Result<()> {
        let rows = spool::table
            .order(spool::id.desc())
            .select(Row::as_select());
        let Ok(rows) = rows.load_iter(damaged) else {
            return Ok(());
        };
        let mut last = i64::MAX;
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(DieselError::DeserializationError(_)) => continue,
                Err(_) => return Ok(()),
            };
            if row.id >= last || row.id <= end {
                return Ok(());
            }
            last = row.id;
            if row.is_sound() {
                self.keep(row)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, row: Row) -> Result<()> {
        if row.id <= ID_MAX && insert(self.new, &row)? {
            self.last_id = self.last_id.max(row.id);
            self.kept += 1;
            return Ok(());
        }
        let (source, event_id) = row.event();
        let there: i64 = spool::table
            .filter(spool::source.eq(source))
            .filter(spool::event_id.eq(event_id))
            .count()
            .get_result(self.new)?;
        if there == 0 {
            self.misnumbered.push(row);
        }
        Ok(())
    }

    /// Puts those whose place was taken behind all others.
    fn renumber(&mut self) -> Result<()> {
        for mut row in std::mem::take(&mut self.misnumbered) {
            self.last_id += 1;
            row.id = self.last_id;
            self.kept += i64::from(insert(self.new, &row)?);
        }
        Ok(())
    }
}

/// Whether it was new, by its place and by its event.
fn insert(new: &mut SqliteConnection, row: &Row) -> Result<bool> {
    let inserted = diesel::insert_or_ignore_into(spool::table)
        .values(row)
        .execute(new)?;
    Ok(inserted > 0)
}

/// The last place where a row may be, as far as that can be told: by the table, and by SQLite's own
/// note of the highest number it ever gave. Either may be damaged.
fn last_ids(damaged: &mut SqliteConnection) -> Vec<i64> {
    let told = [
        "SELECT max(id) AS last_id FROM spool",
        "SELECT max(seq) AS last_id FROM sqlite_sequence WHERE name = 'spool'",
    ];
    let ask = |query: &&str| {
        let last: Option<Last> = sql_query(*query).get_result(&mut *damaged).ok();
        last.and_then(|last| last.last_id)
    };
    told.iter()
        .filter_map(ask)
        .filter(|id| (1..=ID_MAX).contains(id))
        .collect()
}

/// The places to look up: so many before and behind the walk's end, and so many before each place that
/// is told to be the last; none twice, in order.
fn gaps(end: i64, told: &[i64]) -> Vec<RangeInclusive<i64>> {
    let end = end.min(ID_MAX);
    let last = told.iter().max().map_or(i64::MAX, |last| end.max(*last));
    let mut ranges: Vec<(i64, i64)> = [end]
        .iter()
        .chain(told)
        .map(|last| (1.max(last - PROBES_MAX), *last))
        .collect();
    ranges.push((end + 1, last.min(end + PROBES_MAX)));
    ranges.sort_unstable();
    let mut looked_at = 0;
    ranges
        .into_iter()
        .map(|(from, to)| {
            let from = from.max(looked_at + 1);
            looked_at = looked_at.max(to);
            from..=to
        })
        .filter(|range| !range.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_looked_up_twice_and_a_lie_about_the_last_hides_none() {
        assert_eq!(gaps(60, &[60, 60]), [1..=60]);
        assert_eq!(gaps(35, &[60, 60]), [1..=35, 36..=60]);
        assert_eq!(gaps(0, &[]), [1..=PROBES_MAX]);
        // Events that came and went took five million places.
        assert_eq!(
            gaps(0, &[5_000_060]),
            [1..=PROBES_MAX, 4_000_060..=5_000_060]
        );
        let lie = 1 << 40;
        assert_eq!(
            gaps(35, &[lie, 60]),
            [
                1..=35,
                36..=60,
                61..=35 + PROBES_MAX,
                lie - PROBES_MAX..=lie
            ]
        );
        assert_eq!(
            gaps(i64::MAX, &[60]),
            [1..=60, ID_MAX - PROBES_MAX..=ID_MAX]
        );
    }
}
