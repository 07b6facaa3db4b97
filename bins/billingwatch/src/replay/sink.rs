//! Where a replay's changes go: JSON lines to a file, the last state of each incident to the table,
//! progress to the terminal.

use std::io::{self, IsTerminal, Write};

use billingwatch_core::alert::{Alert, AlertChange, Suppressed};
use billingwatch_pipeline::replay::{AlertLine, BadLine, ReplaySink};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::explain::Story;
use crate::output::{self, Paint, Style};

/// The most bad lines that are named; the summary has their number.
const BAD_LINES_TOLD_MAX: u64 = 100;

/// The most incidents kept for the table. More is for `--alerts-out`, and for no one's eyes.
const INCIDENTS_MAX: usize = 1000;

/// What the table is made of.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    /// The newest state of each, in the order in which they fired.
    pub(super) alerts: Vec<Alert>,
    /// How many more there were.
    pub(super) left_out: u64,
}

impl Incidents {
    fn take(&mut self, change: &AlertChange) {
        let known = self
            .alerts
            .iter()
            .rposition(|alert| alert.id == change.alert.id);
        match known {
            Some(index) => self.alerts[index] = change.alert.clone(),
            None if self.alerts.len() < INCIDENTS_MAX => self.alerts.push(change.alert.clone()),
            None if change.alert.revision == 1 => self.left_out += 1,
            None => {}
        }
    }
}

/// Takes what a replay puts out.
pub(super) struct Sink {
    out: Option<Box<dyn Write>>,
    incidents: Incidents,
    story: Option<Story>,
    bar: ProgressBar,
    earlier_bytes: u64,
    file_bytes: u64,
    bad_lines: u64,
}

impl Sink {
    /// Writes lines to `out`; shows how much of `total_bytes` is read, on a terminal only.
    pub(super) fn new(
        out: Option<Box<dyn Write>>,
        story: Option<Story>,
        total_bytes: Option<u64>,
    ) -> Self {
        let bar = match total_bytes {
            Some(bytes) => ProgressBar::new(bytes).with_style(style(
                "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {msg}  {eta} left",
            )),
            None => ProgressBar::no_length().with_style(style("{spinner} {bytes}  {msg}")),
        };
        bar.set_draw_target(if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        Self {
            out,
            incidents: Incidents::default(),
            story,
            bar,
            earlier_bytes: 0,
            file_bytes: 0,
            bad_lines: 0,
        }
    }

    /// The next input begins.
    pub(super) fn begin_file(&mut self) {
        self.earlier_bytes = self.earlier_bytes.saturating_add(self.file_bytes);
        self.file_bytes = 0;
    }

    /// Writes what is buffered and gives back what the table and the story need.
    ///
    /// # Errors
    /// When the last lines cannot be written.
    pub(super) fn finish(self) -> io::Result<(Incidents, Option<Story>)> {
        self.bar.finish_and_clear();
        if let Some(mut out) = self.out {
            out.flush()?;
        }
        Ok((self.incidents, self.story))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl ReplaySink for Sink {
    fn change(&mut self, change: &AlertChange) -> io::Result<()> {
        self.incidents.take(change);
        if let Some(story) = &mut self.story {
            story.take(change);
        }
        let Some(out) = &mut self.out else {
            return Ok(());
        };
        let line = AlertLine::of(change).to_json().map_err(io::Error::other)?;
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")
    }

    fn suppressed(&mut self, suppressed: &Suppressed) {
        if let Some(story) = &mut self.story {
            story.take_suppressed(suppressed);
        }
    }

    fn bad_line(&mut self, bad: &BadLine) {
        self.bad_lines += 1;
        let label = Paint::stderr().paint(Style::Yellow, "bad line:");
        self.bar.suspend(|| {
            if self.bad_lines <= BAD_LINES_TOLD_MAX {
                output::note(&format!("{label} {bad}"));
            } else if self.bad_lines == BAD_LINES_TOLD_MAX + 1 {
                output::note(&format!("{label} more follow and are counted only"));
            }
        });
    }

    fn progress(&mut self, bytes_read: u64, events: u64) {
        self.file_bytes = bytes_read;
        self.bar
            .set_position(self.earlier_bytes.saturating_add(bytes_read));
        self.bar.set_message(format!("{events} events"));
    }
}
