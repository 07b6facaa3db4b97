//! A payment that failed: that is said already, and whether another attempt comes is looked at.

use crate::alert::{Finding, Severity};
use crate::detector::Context;
use crate::event::{Event, Family};
use crate::ids::Key;
use crate::intake::Trouble;
use crate::ledger::SubscriptionRecord;
use crate::time::{Span, Timestamp};

use super::excuses::{UNSEEN_MIN, share_of};
use super::groups::Lapse;
use super::retries::{Expected, Retries};
use super::{SETTLED, SilentLapse};

impl SilentLapse {
    /// Looks at a subscription that is past due.
    pub(super) fn look_past_due(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        event: Option<&Event>,
        ctx: &mut Context<'_>,
    ) {
        let Some(expected) = self.retries.expected(key) else {
            self.close(key, "no attempt is to come any more", ctx);
            return;
        };
        let deadline = expected.at + Span::secs(self.settings.grace_secs);
        if deadline > ctx.now() {
            let word = if expected.is_promised { "is" } else { "may be" };
            self.close(
                key,
                format_args!("it {word} tried again {}", expected.at),
                ctx,
            );
            self.set_deadline(key, deadline);
        } else if self.lapsed.contains(key) {
            // Told already.
        } else if event.is_some() {
            self.set_deadline(key, ctx.now());
        } else if self.is_excused(key, record, expected.at, ctx) {
            // Looked at again.
        } else if self.is_odd_untried(key, record, expected, ctx) {
            let lapse = Lapse::new(record, expected.at);
            self.lapsed.add(key, lapse, ctx.now());
        } else {
            self.retries.forget(key);
        }
    }

    /// Whether an attempt that was expected and has not come is worth a word.
    fn is_odd_untried(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        expected: Expected,
        ctx: &mut Context<'_>,
    ) -> bool {
        let Expected { at, tried_at, .. } = expected;
        let message = if expected.is_promised {
            if self.retries.breaks() {
                return true;
            }
            format!("no attempt came {at}, and here that says little")
        } else {
            // Nobody retries here, as far as is known: the merchant's policy, and no news.
            if !self.retries.are_followed() {
                return false;
            }
            let until = at + SETTLED;
            if let Some(trouble) = unseen_between(tried_at, until, ctx) {
                let reason = trouble.reason();
                let message = format!("another attempt may have been made unseen: {trouble}");
                ctx.suppress(reason, Some(&record.id), message);
                return false;
            }
            if self.retries.is_hopeless(key) {
                format!(
                    "the attempt made {tried_at} was declined for good, or had nothing to charge"
                )
            } else if is_leaving(record) {
                format!("no attempt followed the one made {tried_at}, and it is about to end")
            } else if self.retries.is_left() {
                return true;
            } else {
                format!("no attempt followed the one made {tried_at}, and here that says little")
            }
        };
        ctx.suppress("retry_missing", Some(&record.id), message);
        false
    }
}

/// A silence whose events never came and that takes enough of this time for an attempt to have been made in
/// it. When within the usual wait it would be made nobody knows; long after it hardly any is.
fn unseen_between<'a>(from: Timestamp, until: Timestamp, ctx: &Context<'a>) -> Option<&'a Trouble> {
    let mut silences = ctx.intake().silences(Family::Invoice, from, until);
    silences.find(|trouble| {
        let back_at = trouble.back_at.unwrap_or(until).min(until);
        let missed = back_at.since(trouble.since.max(from));
        trouble.is_lost() && share_of(missed, until.since(from)) >= UNSEEN_MIN
    })
}

/// Whether it ends with its period: whoever let it end need not try for the last payment.
fn is_leaving(record: &SubscriptionRecord) -> bool {
    let ends = record.ends_at.zip(record.period_end);
    ends.is_some_and(|(ends_at, period_end)| ends_at <= period_end + record.boundary_slack())
}

impl Retries {
    /// A finding of an unpaid subscription, in the words for one past due.
    pub(super) fn reword(
        &self,
        mut finding: Finding,
        record: &SubscriptionRecord,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Finding {
        finding.severity = Severity::Medium;
        finding.title = "A failed payment is not tried again".to_owned();
        finding.evidence.reasons.pop();
        let expected = self.expected(Key::of(&record.id));
        let untold = expected.filter(|expected| !expected.is_promised);
        let (message, reason) = if let Some(Expected { tried_at, .. }) = untold {
            let (followed, all) = self.known();
            (
                format!(
                    "{} is past due: its payment failed {tried_at}, and was not tried again for {}",
                    record.id,
                    now.since(tried_at)
                ),
                format!(
                    "the invoice names no next attempt; others: {followed} of {all} were tried again"
                ),
            )
        } else {
            (
                format!(
                    "{} is past due, and the attempt that was to come {due_at} has not come for {}",
                    record.id,
                    now.since(due_at)
                ),
                "the invoice named the time of the next attempt (`next_payment_attempt`)"
                    .to_owned(),
            )
        };
        finding.message = message;
        finding.evidence.reasons.push(reason);
        finding
    }
}
