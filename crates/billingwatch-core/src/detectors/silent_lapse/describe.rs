//! What an alert says of one subscription.

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::Context;
use crate::event::subscription::SubscriptionStatus;
use crate::ids::Key;
use crate::ledger::SubscriptionRecord;
use crate::money::Money;
use crate::time::{Span, Timestamp};

use super::groups::Lapse;
use super::{SilentLapse, trials};

impl SilentLapse {
    /// The words for a lapse that is alone; `None` where nothing is known of it any more.
    pub(super) fn describe(&self, lapse: &Lapse, ctx: &Context<'_>) -> Option<Finding> {
        let (key, now) = (Key::of(&lapse.id), ctx.now());
        let grace_secs = self.settings.grace_secs;
        if lapse.is_draft {
            return self.drafts.describe(key, now, Span::secs(grace_secs));
        }
        let record = ctx.ledger().subscription(key)?;
        let finding = describe(record, lapse.due_at, now, grace_secs);
        Some(self.reword(finding, record, lapse.due_at, now))
    }

    /// The words for what lapsed in another way than by being active and unpaid.
    fn reword(
        &self,
        finding: Finding,
        record: &SubscriptionRecord,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Finding {
        if let Some(ask) = self.overdue_ask(record, due_at) {
            return self.reword_overdue(finding, record, (ask, due_at), now);
        }
        match record.status {
            SubscriptionStatus::PastDue => self.retries.reword(finding, record, due_at, now),
            SubscriptionStatus::Trialing => trials::reword(finding, record, now),
            _ if self.is_unasked(record, due_at) => self.asked.reword(finding, record, due_at),
            _ => self.write_offs.reword(finding, record),
        }
    }
}

fn describe(
    record: &SubscriptionRecord,
    due_at: Timestamp,
    now: Timestamp,
    grace_secs: i64,
) -> Finding {
    let mut finding = Finding::new(
        &*record.id,
        Severity::High,
        "An active subscription stopped paying",
    );
    let money = record
        .amount()
        .zip(record.currency)
        .map(|(amount, currency)| {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
            Money::new(amount, currency).to_string()
        });
    let overdue = now.since(due_at);
    finding.message = format!(
        "{} is active, yet {} due {due_at} has not been paid for {overdue}",
        record.id,
        money.unwrap_or_else(|| "what was".to_owned()),
    );
    finding.subject = Some(record.id.to_string());
    finding.subjects.push(record.id.to_string());
    finding
        .subjects
        .extend(record.customer.as_ref().map(ToString::to_string));
    let evidence = &mut finding.evidence;
    evidence.object_ids = finding.subjects.clone();
    evidence.measures = vec![
        Measure::new("overdue", overdue.as_secs(), Unit::Seconds)
            .expected(0)
            .threshold(grace_secs),
    ];
    let paid = record.paid_through.map_or_else(
        || "nothing is known to be paid".to_owned(),
        |at| format!("paid through {at}"),
    );
    evidence.reasons.push(paid);
    if let (Some(start), Some(end)) = (record.period_start, record.period_end) {
        evidence
            .reasons
            .push(format!("its current period runs from {start} to {end}"));
    }
    evidence
        .reasons
        .push("no failed attempt moved it out of `active`".to_owned());
    finding
}
