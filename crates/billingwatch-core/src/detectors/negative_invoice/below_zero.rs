//! Invoices whose total is below zero with nothing that explains it.

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::Context;
use crate::event::Event;
use crate::event::invoice::{BillingReason, Invoice, InvoiceLine};
use crate::money::Money;

use super::NegativeInvoice;
use super::run::Left;

/// The heading of invoices below zero, of one and of many.
pub(super) const TITLE: &str = "An invoice total is below zero";

/// How bad an invoice below zero is.
pub(super) const SEVERITY: Severity = Severity::High;

impl NegativeInvoice {
    pub(super) fn judge_invoice(
        &mut self,
        invoice: &Invoice,
        event: &Event,
        ctx: &mut Context<'_>,
    ) {
        let (Some(id), Some(total)) = (&invoice.id, invoice.total) else {
            return;
        };
        if total > -self.settings.negative_min {
            return;
        }
        let money = invoice.currency.map(|currency| Money::new(total, currency));
        let shown = money.map_or_else(|| total.to_string(), |money| money.to_string());
        let before = invoice
            .subscription
            .as_ref()
            .and_then(|sub| self.settled.before(sub.key(), id.key()));
        let is_prorated = is_proration(invoice);
        let beyond = self.unit_prices.beyond(invoice);
        let reason = if !is_prorated {
            "no proration explains it"
        } else if before.is_some_and(|paid| total.saturating_neg() > paid) {
            "a proration gives back more than the subscription ever paid"
        } else if beyond.is_some() {
            "a proration gives back more than its price costs"
        } else {
            let message = format!("a proration credits {shown} to the customer's balance");
            ctx.suppress("proration_credit", Some(id.as_str()), message);
            return;
        };
        let mut finding = Finding::new(id.as_str(), SEVERITY, TITLE);
        finding.message = format!("{id} was finalised with a total of {shown}: {reason}");
        finding.currency = invoice.currency;
        finding.amount_at_stake = Some(total.saturating_neg());
        finding.subject = Some(id.to_string());
        finding.subjects.push(id.to_string());
        finding
            .subjects
            .extend(invoice.customer.as_ref().map(ToString::to_string));
        finding
            .subjects
            .extend(invoice.subscription.as_ref().map(ToString::to_string));
        let evidence = &mut finding.evidence;
        evidence.measures = vec![Measure::new("total", total, Unit::MinorUnits).threshold(0)];
        evidence.reasons.push(reason.to_owned());
        evidence.reasons.push(format!(
            "billing reason: {}",
            reason_word(invoice.billing_reason)
        ));
        if let Some(paid) = before {
            let measure = Measure::new("settled_before", paid, Unit::MinorUnits);
            evidence.measures.push(measure);
        }
        if let Some(beyond) = beyond {
            let measure = Measure::new("proration", beyond.credited, Unit::MinorUnits);
            evidence.measures.push(measure.threshold(beyond.cost));
        }
        // What somebody made by hand, or one customer's change, is its own matter.
        let is_machines = invoice.subscription.is_some()
            && invoice.billing_reason != BillingReason::Manual
            && !is_prorated;
        let told = if is_machines {
            self.runs.join(finding, event, ctx.now())
        } else {
            Some(finding)
        };
        if let Some(finding) = told {
            self.open(finding, event, ctx);
        }
    }

    /// An invoice was voided: what was said of it is over.
    pub(super) fn judge_void(&mut self, invoice: &Invoice, ctx: &mut Context<'_>) {
        let Some(id) = &invoice.id else { return };
        let reason = "the invoice was voided";
        match self.runs.leave(id.as_str()) {
            Some(Left::Nothing(key)) => self.close(&key, reason, ctx),
            Some(Left::Others(finding)) => ctx.fire(*finding),
            None => self.close(id.as_str(), reason, ctx),
        }
    }
}

/// Whether a change in mid-period explains the credit.
fn is_proration(invoice: &Invoice) -> bool {
    if invoice.billing_reason == BillingReason::SubscriptionUpdate {
        return true;
    }
    let sum_of = |is_part: fn(&InvoiceLine) -> bool| -> i64 {
        let lines = invoice.lines.iter().filter(|line| is_part(line));
        lines.fold(0, |sum, line| sum.saturating_add(line.amount))
    };
    let prorated = sum_of(|line| line.is_proration);
    let billed = sum_of(|line| !line.is_proration && line.amount > 0);
    let given = sum_of(|line| !line.is_proration && line.amount < 0).saturating_neg();
    // Prorations left over from a change ride on the next regular invoice, and a discount given by
    // hand may stand beside them. It is one as long as it does not take off more than is billed, and
    // most of what is taken off is the proration's.
    if given > 0 {
        return given <= billed && given <= prorated.saturating_neg();
    }
    sum_of(|line| line.is_proration && line.amount < 0) < 0
}

const fn reason_word(reason: BillingReason) -> &'static str {
    match reason {
        BillingReason::Manual => "manual",
        BillingReason::SubscriptionCreate => "subscription_create",
        BillingReason::SubscriptionCycle => "subscription_cycle",
        BillingReason::SubscriptionUpdate => "subscription_update",
        BillingReason::SubscriptionThreshold => "subscription_threshold",
        BillingReason::Other => "other",
    }
}
