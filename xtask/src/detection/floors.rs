//! What detection must not fall below: `xtask/detection.json`, written by `--write-floors` from a
//! run of the short form, and held by `--check` against the next.
//!
//! The worlds are seeded and the engine is deterministic, so the figures are exact: whatever is
//! worse than the file is a change of the detectors (or of the simulator), not chance. Only delays
//! have a margin, for a median over a handful of incidents jumps by the nature of the thing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::Table;

/// A delay may grow by this share of itself, in hundredths.
const DELAY_MARGIN_PERCENT: i64 = 25;

/// And by this much, for delays of seconds.
const DELAY_MARGIN_SECS: i64 = 60;

/// One row: an incident kind at one strength.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    incidents: i64,
    found: i64,
    alerts: i64,
    delay_secs: Option<i64>,
}

/// The figures of a run that are held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Floors {
    rows: BTreeMap<String, Row>,
    false_alarms: BTreeMap<String, i64>,
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("detection.json")
}

impl Floors {
    /// What a run measured.
    pub(super) fn of(table: &Table) -> Self {
        let row = |score: &billingwatch_simulator::scoring::Score| Row {
            incidents: i64::from(score.incidents),
            found: i64::from(score.found),
            alerts: i64::from(score.alerts),
            delay_secs: score.median_delay_secs(),
        };
        let rows = table.scores.iter();
        let false_alarms = table.false_by_detector.iter();
        Self {
            rows: rows
                .map(|((kind, strength), score)| (format!("{kind} {strength}"), row(score)))
                .collect(),
            false_alarms: false_alarms
                .map(|(name, count)| (name.clone(), i64::from(*count)))
                .collect(),
        }
    }

    /// Reads the committed file.
    ///
    /// # Errors
    /// When it is not there or not as `write` writes it.
    pub(super) fn read() -> anyhow::Result<Self> {
        let path = path();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::from_json(&serde_json::from_str(&text)?)
            .with_context(|| format!("{}: not as --write-floors writes it", path.display()))
    }

    /// Writes the committed file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&self.to_json())?;
        std::fs::write(path(), text + "\n").context("the floors cannot be written")
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, row)| {
            let value = json!({
                "incidents": row.incidents,
                "found": row.found,
                "alerts": row.alerts,
                "delay_secs": row.delay_secs,
            });
            (name.clone(), value)
        });
        json!({
            "rows": rows.collect::<serde_json::Map<_, _>>(),
            "false_alarms": self.false_alarms,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let mut floors = Self::default();
        for (name, row) in value.get("rows")?.as_object()? {
            let number = |key: &str| row.get(key)?.as_i64();
            let row = Row {
                incidents: number("incidents")?,
                found: number("found")?,
                alerts: number("alerts")?,
                delay_secs: number("delay_secs"),
            };
            floors.rows.insert(name.clone(), row);
        }
        for (name, count) in value.get("false_alarms")?.as_object()? {
            floors.false_alarms.insert(name.clone(), count.as_i64()?);
        }
        Some(floors)
    }

    /// What `measured` does worse, a line each.
    fn worse(&self, measured: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, floor) in &self.rows {
            let Some(row) = measured.rows.get(name) else {
                lines.push(format!("{name}: not measured"));
                continue;
            };
            if row.found < floor.found || row.incidents < floor.incidents {
                lines.push(format!(
                    "{name}: found {}/{}, was {}/{}",
                    row.found, row.incidents, floor.found, floor.incidents
                ));
            }
            // What is found anew brings alerts of its own.
            let allowed = floor.alerts + (row.found - floor.found).max(0);
            if row.alerts > allowed {
                lines.push(format!(
                    "{name}: {} alerts, was {}",
                    row.alerts, floor.alerts
                ));
            }
            if let (Some(delay), Some(was)) = (row.delay_secs, floor.delay_secs)
                && row.found <= floor.found
                && delay > was + was * DELAY_MARGIN_PERCENT / 100 + DELAY_MARGIN_SECS
            {
                lines.push(format!("{name}: median delay {delay} s, was {was} s"));
            }
        }
        for (name, count) in &measured.false_alarms {
            let was = self.false_alarms.get(name).copied().unwrap_or_default();
            if *count > was {
                lines.push(format!("{name}: {count} false alarms, was {was}"));
            }
        }
        lines
    }

    /// Holds a run against these floors.
    ///
    /// # Errors
    /// When anything is worse, naming all of it.
    pub(super) fn hold(&self, measured: &Self) -> anyhow::Result<()> {
        let worse = self.worse(measured);
        ensure!(
            worse.is_empty(),
            "detection is worse than xtask/detection.json says:\n  {}\nwhere that is meant, run \
             `cargo run --release -p xtask -- detection --write-floors` and say why in the commit",
            worse.join("\n  ")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NAME: &str = "silent-lapse clear";

    fn floors(row: Row, false_alarms: i64) -> Floors {
        Floors {
            rows: BTreeMap::from([(NAME.to_owned(), row)]),
            false_alarms: BTreeMap::from([("silent_lapse".to_owned(), false_alarms)]),
        }
    }

    const WAS: Row = Row {
        incidents: 8,
        found: 6,
        alerts: 7,
        delay_secs: Some(1_000),
    };

    fn told(row: Row, false_alarms: i64) -> String {
        floors(WAS, 1).worse(&floors(row, false_alarms)).join("; ")
    }

    #[test]
    fn the_same_and_better_hold() {
        assert_eq!(told(WAS, 1), "");
        assert_eq!(told(WAS, 0), "");
        let better = Row {
            found: 7,
            alerts: 8,
            delay_secs: Some(5_000),
            ..WAS
        };
        assert_eq!(told(better, 1), "", "a late find beats none");
        let slower = Row {
            delay_secs: Some(1_310),
            ..WAS
        };
        assert_eq!(told(slower, 1), "");
    }

    #[test]
    fn each_figure_that_is_worse_is_told() {
        let row = |found, alerts, delay| Row {
            found,
            alerts,
            delay_secs: Some(delay),
            ..WAS
        };
        assert_eq!(
            told(row(5, 7, 1_000), 1),
            "silent-lapse clear: found 5/8, was 6/8"
        );
        assert_eq!(
            told(row(6, 8, 1_000), 1),
            "silent-lapse clear: 8 alerts, was 7"
        );
        assert_eq!(
            told(row(6, 7, 1_311), 1),
            "silent-lapse clear: median delay 1311 s, was 1000 s"
        );
        assert_eq!(told(WAS, 2), "silent_lapse: 2 false alarms, was 1");
        let nothing = Floors::default();
        assert_eq!(
            floors(WAS, 0).worse(&nothing),
            ["silent-lapse clear: not measured"]
        );
        let refused = floors(WAS, 0).hold(&nothing).unwrap_err().to_string();
        assert!(refused.contains("--write-floors"), "{refused}");
    }

    #[test]
    fn the_file_is_read_as_it_is_written() {
        let floors = floors(WAS, 3);
        assert_eq!(Floors::from_json(&floors.to_json()), Some(floors));
        let committed = Floors::read().unwrap();
        assert!(committed.rows.len() >= 30, "all kinds and strengths");
    }
}
