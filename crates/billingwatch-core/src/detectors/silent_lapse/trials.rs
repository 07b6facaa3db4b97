//! Trials that run out and of which nothing is heard any more.
//!
//! When a trial ends Stripe invoices the subscription and makes it active or past due, or cancels or
//! pauses it where no payment method is known (Stripe docs: Configure trial offers on subscriptions). Each of these has an event
//! of the subscription, so one that is in trial for days after its end has fallen out of billing. Some
//! endpoints are not sent these events, though: so the trials of the account say whether their ends
//! are told here, and one that is not, now and then as a matter of course, is not spoken of.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Severity};
use crate::event::Family;
use crate::event::subscription::SubscriptionStatus;
use crate::ledger::{NothingDue, SubscriptionRecord};
use crate::time::Timestamp;

/// The ends of so many trials must have been told before one that is not means anything.
const TOLD_MIN: u32 = 3;

/// Of so many trials one may end untold as a matter of course, after the first.
const UNTOLD_ONE_IN: u32 = 10;

/// How a trial's end that nobody heard of is named.
const TITLE: &str = "A trial ended, and nothing came of it";

/// How several are.
pub(super) const TITLE_OF_MANY: &str = "Trials ended, and nothing came of them";

/// What is odd about it.
pub(super) const REASON: &str =
    "no event said that it was invoiced, cancelled or paused, as the events of other trials do";

/// Whether the ends of trials are told here.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Trials {
    told: u32,
    untold: u32,
    /// Some subscription's end was told: a trial may be cut short, and where that is never told it may have
    /// been.
    has_ends: bool,
}

impl Trials {
    /// The end of a trial was told.
    pub(super) const fn note_told(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// The end of a subscription was told.
    pub(super) const fn note_end(&mut self) {
        self.has_ends = true;
    }

    /// A trial is long over, and nobody heard of its end. Whether that is worth a word.
    pub(super) const fn is_odd(&mut self) -> bool {
        let one_more = self.untold.saturating_add(1);
        let allowed = self.told.saturating_add(self.untold);
        let allowed = allowed.saturating_add(UNTOLD_ONE_IN);
        let is_odd = self.told >= TOLD_MIN && one_more.saturating_mul(UNTOLD_ONE_IN) <= allowed;
        self.untold = one_more;
        is_odd && self.has_ends
    }
}

/// When a subscription should pay next: by its period, or after its trial.
pub(super) fn due_at(record: &SubscriptionRecord) -> Result<Timestamp, NothingDue> {
    match record.status {
        SubscriptionStatus::Trialing => record.trial_due_at(),
        _ => record.due_at(),
    }
}

/// The events that would say that it paid, or why not: what becomes of a trial its own events tell.
pub(super) const fn family_of(status: SubscriptionStatus) -> Family {
    match status {
        SubscriptionStatus::Trialing => Family::Subscription,
        _ => Family::Invoice,
    }
}

/// A finding of an unpaid subscription, in the words for one in trial.
pub(super) fn reword(mut finding: Finding, record: &SubscriptionRecord, now: Timestamp) -> Finding {
    let ended_at = record.trial_end.unwrap_or(record.seen_at);
    finding.severity = Severity::High;
    finding.title = TITLE.to_owned();
    let money = finding.amount_at_stake.zip(finding.currency);
    let money = money.map_or_else(
        || "what it costs".to_owned(),
        |(amount, currency)| crate::money::Money::new(amount, currency).to_string(),
    );
    finding.message = format!(
        "{} is still in trial, yet its trial ended {ended_at}, {} ago: {money} was not asked for",
        record.id,
        now.since(ended_at)
    );
    finding.evidence.reasons.pop();
    finding.evidence.reasons.push(REASON.to_owned());
    finding
}
