//! What a detector is given: the time, the ledger, and a place for what it finds.

use crate::alert::Finding;
use crate::calendar::Calendar;
use crate::ids::Scope;
use crate::intake::{Intake, RETRIED};
use crate::ledger::{Fact, Ledger};
use crate::time::Timestamp;

/// What a detector put out in one call, before the engine's book judges it.
#[derive(Debug)]
pub enum Output {
    /// A finding.
    Fire(Box<Finding>),
    /// What fired under this key is over.
    Clear {
        /// The finding's key.
        key: String,
        /// Why it is over, in words.
        reason: String,
    },
    /// Something that looked wrong and is harmless.
    Suppress {
        /// The harmless pattern, a fixed word such as `dunning_retry`.
        reason: &'static str,
        /// What it was about.
        subject: Option<String>,
        /// What was seen, in one sentence.
        message: String,
    },
}

/// What a detector is given with each event and tick.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) event_at: Timestamp,
    pub(crate) is_historical: bool,
    pub(crate) scope: &'a Scope,
    pub(crate) calendar: &'a Calendar,
    pub(crate) ledger: &'a Ledger,
    pub(crate) intake: &'a Intake,
    pub(crate) facts: &'a [Fact],
    pub(crate) outputs: &'a mut Vec<Output>,
}

impl<'a> Context<'a> {
    /// Engine time: when the event was received, or the tick's place on the grid.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Event time: when Stripe made the event, never later than it was received; on a tick, now.
    #[must_use]
    pub const fn event_at(&self) -> Timestamp {
        self.event_at
    }

    /// The event comes from a backfill or import: learn from it; nothing found will be told.
    #[must_use]
    pub const fn is_historical(&self) -> bool {
        self.is_historical
    }

    /// The event is of long ago and no part of an import: it was sent again by hand, and says nothing of what else there was
    /// at its time.
    #[must_use]
    pub fn is_sent_again(&self) -> bool {
        self.now.since(self.event_at) > RETRIED && !self.is_historical
    }

    /// Whose events these are.
    #[must_use]
    pub const fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// What the merchant's clocks show: habits follow local days and hours.
    #[must_use]
    pub const fn calendar(&self) -> &'a Calendar {
        self.calendar
    }

    /// What is known of payments, invoices and subscriptions, this event included.
    #[must_use]
    pub const fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// Whether what arrived is all there is: ask it before you miss something. Late, silent or
    /// draining streams are one cause, told by `webhook_lag`; their effects are to be suppressed.
    #[must_use]
    pub const fn intake(&self) -> &'a Intake {
        self.intake
    }

    /// What this event newly taught the ledger; each fact of the world is told once, however many
    /// events announce it. Empty on ticks.
    #[must_use]
    pub const fn facts(&self) -> &'a [Fact] {
        self.facts
    }

    /// Reports a finding, as often as it is seen: the engine keeps one alert per key.
    pub fn fire(&mut self, finding: Finding) {
        self.outputs.push(Output::Fire(Box::new(finding)));
    }

    /// Reports that what fired under `key` is over; nothing happens when nothing had fired.
    pub fn clear(&mut self, key: impl Into<String>, reason: impl Into<String>) {
        self.outputs.push(Output::Clear {
            key: key.into(),
            reason: reason.into(),
        });
    }

    /// Reports something that looked wrong and is harmless, so that quiet can be explained.
    pub fn suppress(
        &mut self,
        reason: &'static str,
        subject: Option<&str>,
        message: impl Into<String>,
    ) {
        let subject = subject.map(str::to_owned);
        self.outputs.push(Output::Suppress {
            reason,
            subject,
            message: message.into(),
        });
    }
}
