//! Invoices that were sent and are overdue, where customers pay in time.
//!
//! Stripe calls the subscription past due and says `invoice.overdue`, where it is asked to; it sends reminders, and
//! after that nothing more happens: nobody tries to collect, and the subscription runs on, as it is set by default (Stripe
//! docs: Automate collections). Where customers are late as a matter of course an overdue invoice is no news, and who
//! waits for its payment knows of it; where nearly all pay within their days, one that is not paid is.

use crate::alert::{Finding, Severity};
use crate::detector::Context;
use crate::event::{Event, Family};
use crate::ids::Key;
use crate::ledger::SubscriptionRecord;
use crate::money::Money;
use crate::time::{Span, Timestamp};

use super::SilentLapse;
use super::asked::Ask;
use super::groups::Lapse;

/// How it is named.
const TITLE: &str = "A sent invoice is overdue";

impl SilentLapse {
    /// When the oldest open invoice of a subscription is overdue beyond the grace, where that would be news.
    pub(super) fn overdue_after(&self, key: Key) -> Option<Timestamp> {
        if !self.asked.is_punctual(key) {
            return None;
        }
        let (_, due_at) = self.asked.earliest_due(key)?;
        Some(due_at + Span::secs(self.settings.grace_secs))
    }

    /// Looks whether an invoice of a subscription is overdue; whether nothing else is to be asked.
    pub(super) fn look_overdue(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        event: Option<&Event>,
        ctx: &mut Context<'_>,
    ) -> bool {
        if record.is_paused || record.has_test_clock {
            return false;
        }
        let Some(deadline) = self.overdue_after(key).filter(|at| *at <= ctx.now()) else {
            return false;
        };
        let Some((ask, due_at)) = self.asked.earliest_due(key) else {
            return false;
        };
        if self.lapsed.contains(key) {
            return true;
        }
        // It may have been paid before its subscription was heard of, as in an import.
        let known = ctx.ledger().invoice(ask.invoice);
        if known.is_some_and(|known| known.is_paid || known.is_closed) {
            let invoice = ask.invoice;
            self.asked.settle(key, invoice, None);
            return self.look_overdue(key, record, event, ctx);
        }
        if event.is_some() {
            self.set_deadline(key, ctx.now());
            return true;
        }
        let (invoice, sent_at) = (ask.invoice, ask.sent_at());
        if self.is_under_way(key, record, ctx) {
            return true;
        }
        let mut silences = ctx.intake().silences(Family::Invoice, sent_at, deadline);
        if let Some(trouble) = silences.find(|trouble| trouble.is_lost()) {
            let message = format!("the invoice due {due_at} may have been paid unseen: {trouble}");
            let reason = trouble.reason();
            ctx.suppress(reason, Some(&record.id), message);
            self.asked.settle(key, invoice, None);
            return false;
        }
        self.lapsed
            .add(key, Lapse::of_invoice(record, due_at), ctx.now());
        true
    }

    /// An invoice is paid, at a time, or given up: it is overdue no longer.
    pub(super) fn settle_asked(
        &mut self,
        key: Key,
        invoice: Key,
        paid_at: Option<Timestamp>,
        ctx: &mut Context<'_>,
    ) {
        let is_known = self.asked.settle(key, invoice, paid_at);
        let is_overdue = |at: Timestamp| at <= ctx.now();
        if is_known && !self.overdue_after(key).is_some_and(is_overdue) {
            self.close(key, "its invoice is settled", ctx);
        }
    }

    /// The overdue invoice for which a subscription lapsed then, if that is why.
    pub(super) fn overdue_ask(
        &self,
        record: &SubscriptionRecord,
        lapsed_at: Timestamp,
    ) -> Option<&Ask> {
        let key = Key::of(&record.id);
        let (ask, due_at) = self.asked.earliest_due(key)?;
        (due_at == lapsed_at && self.asked.is_punctual(key)).then_some(ask)
    }

    /// A finding of an unpaid subscription, in the words for an overdue invoice.
    pub(super) fn reword_overdue(
        &self,
        mut finding: Finding,
        record: &SubscriptionRecord,
        (ask, due_at): (&Ask, Timestamp),
        now: Timestamp,
    ) -> Finding {
        finding.title = TITLE.to_owned();
        finding.severity = Severity::Medium;
        finding.amount_at_stake = Some(ask.total);
        let money = record.currency.map(|of| Money::new(ask.total, of));
        let money = money.map_or_else(|| "what".to_owned(), |money| format!("the {money}"));
        finding.message = format!(
            "{} has not paid {money} that invoice {} asked for by {due_at}, for {}",
            record.id,
            ask.invoice_id,
            now.since(due_at),
        );
        finding.evidence.reasons.pop();
        let paid = self.asked.paid;
        finding.evidence.reasons.push(format!(
            "here {} sent invoices were paid in time, and {} later",
            paid.in_time, paid.late
        ));
        let ids = &mut finding.evidence.object_ids;
        ids.push(ask.invoice_id.to_string());
        finding
    }
}
