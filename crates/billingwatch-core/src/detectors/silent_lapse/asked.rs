//! Whether what is due was asked for: the invoices of those who pay by invoice.
//!
//! Who is sent an invoice has days to pay it, and is not late before. But the days begin when the invoice goes out:
//! a renewal of which no invoice was made, or one that stays a draft, or is void, asks nobody to pay, and to wait for its
//! days to pass would be to wait for nothing. Stripe makes the invoice when the period turns and finalises it
//! an hour later (Stripe docs: Subscription invoices); some look each draft over first. So it is told only where
//! the account's own invoices go out in time. Where no invoice is announced before it is paid, as some endpoints are
//! set, nothing is known of it, and the days to pay count from the turn.
//!
//! An invoice that is [overdue](super::overdue) is told by Stripe as well, if anybody looks.

use serde::{Deserialize, Serialize};

use crate::alert::Finding;
use crate::detector::Context;
use crate::event::invoice::{BillingReason, CollectionMethod, Invoice, InvoiceStatus};
use crate::event::subscription::SubscriptionStatus;
use crate::event::{Event, Family};
use crate::ids::{Key, KeyMap};
use crate::intake::Trouble;
use crate::ledger::{Ledger, SubscriptionRecord};
use crate::money::Money;
use crate::time::{Span, Timestamp};

use super::{RECOVERY, SilentLapse};

/// So many renewals must have been invoiced in time before one that is not means anything, and of so many one may be late.
const SENT_USUALLY: (u32, u32) = (5, 10);

/// The same of invoices that are paid: where one in fifty is late, who waits for the next one knows of it.
const PAID_USUALLY: (u32, u32) = (20, 50);

/// So many of its own invoices a customer must have paid in time, and none late: customers are late more often than billing
/// is, and each has habits of its own.
const OWN_IN_TIME: u32 = 2;

/// The most subscriptions whose invoices are remembered; of further ones the days to pay count from the turn.
const ASKED_MAX: usize = 200_000;

/// The most of one that are open at a time; the oldest give way.
const OPEN_MAX: usize = 4;

/// How it is named.
const TITLE: &str = "A renewal was not invoiced";

/// An invoice that was sent and is not paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) invoice: Key,
    pub(super) invoice_id: Box<str>,
    pub(super) total: i64,
    sent_at: Timestamp,
    /// The end of the service it asks for.
    through: Timestamp,
    pub(super) due_at: Option<Timestamp>,
    voided_at: Option<Timestamp>,
}

/// How many came in time, and how many did not.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Punctual {
    pub(super) in_time: u32,
    pub(super) late: u32,
}

/// The invoices that are out, by subscription.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Asked {
    of: KeyMap<Vec<Ask>>,
    /// Renewals that were invoiced within the grace.
    sent: Punctual,
    /// Invoices that were paid within their days to pay.
    pub(super) paid: Punctual,
    /// The same of each subscription.
    own: KeyMap<Punctual>,
}

impl Punctual {
    fn note(&mut self, is_in_time: bool) {
        let count = if is_in_time {
            &mut self.in_time
        } else {
            &mut self.late
        };
        *count = count.saturating_add(1);
    }

    /// Whether so many came in time, and of so many no more than one late.
    const fn is_usual(self, (in_time_min, one_in): (u32, u32)) -> bool {
        self.in_time >= in_time_min && self.late.saturating_mul(one_in) <= self.in_time
    }
}

impl Asked {
    /// Takes in an invoice that is out, or void; the subscription whose next payment it may change.
    pub(super) fn note(
        &mut self,
        event: &Event,
        invoice: &Invoice,
        grace: Span,
        ledger: &Ledger,
    ) -> Option<Key> {
        if invoice.collection_method != CollectionMethod::SendInvoice || invoice.has_test_clock {
            return None;
        }
        let id = invoice.id.as_ref()?;
        let key = invoice.subscription.as_ref()?.key();
        match invoice.status {
            InvoiceStatus::Open => {
                self.note_open((id.key(), id.as_str()), key, invoice, event, grace, ledger)
            }
            InvoiceStatus::Void => {
                let mut known = self.of.get_mut(&key)?.iter_mut();
                let ask = known.find(|ask| ask.invoice == id.key())?;
                ask.voided_at.get_or_insert(event.created);
                Some(key)
            }
            _ => None,
        }
    }

    fn note_open(
        &mut self,
        (id, text): (Key, &str),
        key: Key,
        invoice: &Invoice,
        event: &Event,
        grace: Span,
        ledger: &Ledger,
    ) -> Option<Key> {
        let known = ledger.invoice(id)?;
        let record = ledger.subscription(key);
        // What is paid, void or given up stays so, whatever comes late.
        if known.is_paid || known.is_closed {
            return None;
        }
        // It may be heard of before its subscription is.
        let period_end = record.and_then(|record| record.period_end);
        let through = known.paid_through.or(period_end)?;
        let is_full = self.of.len() >= ASKED_MAX && !self.of.contains_key(&key);
        if is_full {
            return None;
        }
        let asks = self.of.entry(key).or_default();
        if let Some(ask) = asks.iter_mut().find(|ask| ask.invoice == id) {
            ask.due_at = invoice.due_date.or(ask.due_at);
            return Some(key);
        }
        let sent_at = invoice.finalized_at.unwrap_or(event.created);
        // That of a renewal is made at its turn.
        if invoice.billing_reason == BillingReason::SubscriptionCycle
            && let Some(turn) = invoice.created
        {
            self.sent.note(sent_at.since(turn) <= grace);
        }
        if asks.len() >= OPEN_MAX {
            asks.remove(0);
        }
        asks.push(Ask {
            invoice: id,
            invoice_id: text.into(),
            total: invoice.amount_due.or(invoice.total).unwrap_or_default(),
            sent_at,
            through,
            due_at: invoice.due_date,
            voided_at: None,
        });
        Some(key)
    }

    /// An invoice is paid, at a time, or given up; whether it was known to be out.
    pub(super) fn settle(&mut self, key: Key, invoice: Key, paid_at: Option<Timestamp>) -> bool {
        let Some(asks) = self.of.get_mut(&key) else {
            return false;
        };
        let Some(place) = asks.iter().position(|ask| ask.invoice == invoice) else {
            return false;
        };
        let ask = asks.remove(place);
        if asks.is_empty() {
            self.of.swap_remove(&key);
        }
        if let (Some(at), Some(due_at)) = (paid_at, ask.due_at) {
            // By the day itself: who is late by a day is late by a week next time.
            let is_in_time = at <= due_at;
            self.paid.note(is_in_time);
            if self.own.len() < ASKED_MAX || self.own.contains_key(&key) {
                self.own.entry(key).or_default().note(is_in_time);
            }
        }
        true
    }

    /// It ended.
    pub(super) fn forget(&mut self, subscription: Key) {
        self.of.swap_remove(&subscription);
        self.own.swap_remove(&subscription);
    }

    /// Whether it would be news that this one's invoice is overdue.
    pub(super) fn is_punctual(&self, subscription: Key) -> bool {
        // Asked at every look, and of most accounts it is not so.
        let own = || self.own.get(&subscription);
        self.paid.is_usual(PAID_USUALLY)
            && own().is_some_and(|own| own.in_time >= OWN_IN_TIME && own.late == 0)
    }

    /// The one that has been due for longest, of those that say until when they are.
    pub(super) fn earliest_due(&self, subscription: Key) -> Option<(&Ask, Timestamp)> {
        let asks = self.of.get(&subscription)?.iter();
        let asks = asks.filter(|ask| ask.voided_at.is_none() && ask.total > 0);
        asks.filter_map(|ask| Some((ask, ask.due_at?)))
            .min_by_key(|(_, due_at)| *due_at)
    }

    /// Until when the customer has time, where an invoice for what is due says so.
    pub(super) fn due_at(
        &self,
        key: Key,
        record: &SubscriptionRecord,
        due_at: Timestamp,
    ) -> Option<Timestamp> {
        let asks = self.of.get(&key)?.iter();
        let of_it = asks.filter(|ask| ask.voided_at.is_none() && ask.covers(record, due_at));
        of_it.filter_map(|ask| ask.due_at).max()
    }

    /// Since when an invoice is awaited that is not there; `None` where one is, or nothing can be said.
    fn missing_since(
        &self,
        key: Key,
        record: &SubscriptionRecord,
        (due_at, grace): (Timestamp, Span),
    ) -> Option<Timestamp> {
        let term = record.payment_term();
        if term == Span::ZERO || !self.sent.is_usual(SENT_USUALLY) {
            return None;
        }
        let turn = due_at - term;
        // The first invoice is made by hand, as the contract is.
        let is_first = !record.has_renewed()
            && (record.period_end).is_some_and(|end| turn + record.boundary_slack() < end);
        if is_first {
            return None;
        }
        let asks = self.of.get(&key).into_iter().flatten();
        let mut voided_at = None;
        for ask in asks.filter(|ask| ask.covers(record, due_at)) {
            // One that is not void is out.
            voided_at = voided_at.max(Some(ask.voided_at?));
        }
        // Another may take its place.
        let replaced_by = voided_at.map(|at| at + RECOVERY - grace);
        Some(turn.max(replaced_by.unwrap_or(turn)))
    }

    /// A finding of an unpaid subscription, in the words for one that was not asked to pay.
    pub(super) fn reword(
        &self,
        mut finding: Finding,
        record: &SubscriptionRecord,
        missing_since: Timestamp,
    ) -> Finding {
        let Some((amount, currency)) = record.amount().zip(record.currency) else {
            return finding;
        };
        finding.title = TITLE.to_owned();
        let asks = self.of.get(&Key::of(&record.id)).into_iter().flatten();
        let voided_at = asks.filter_map(|ask| ask.voided_at).max();
        let how = match voided_at {
            Some(voided_at) => format!("the invoice for it is void since {voided_at}"),
            // All that is known: one may have gone out whose events were lost.
            None => "no event told of an invoice for it".to_owned(),
        };
        finding.message = format!(
            "{} is active, yet nobody was asked to pay the {} due for its period since {missing_since}: {how}",
            record.id,
            Money::new(amount, currency),
        );
        finding.evidence.reasons.pop();
        finding.evidence.reasons.push(format!(
            "here {} renewals were invoiced in time, and {} later",
            self.sent.in_time, self.sent.late
        ));
        finding
    }
}

impl SilentLapse {
    /// Since when an invoice is awaited for what is due, and none is there: not where it may have been lost.
    pub(super) fn unasked_since(
        &self,
        key: Key,
        record: &SubscriptionRecord,
        due_at: Timestamp,
        ctx: &Context<'_>,
    ) -> Option<Timestamp> {
        let grace = Span::secs(self.settings.grace_secs);
        let since = self.asked.missing_since(key, record, (due_at, grace))?;
        let turn = due_at - record.payment_term();
        let until = ctx.now().min(since + grace);
        let mut silences = ctx.intake().silences(Family::Invoice, turn, until);
        let is_lost = silences.any(Trouble::is_lost);
        (!is_lost).then_some(since)
    }

    /// Whether what lapsed was told because nobody was asked to pay it.
    pub(super) fn is_unasked(&self, record: &SubscriptionRecord, due_at: Timestamp) -> bool {
        let grace = Span::secs(self.settings.grace_secs);
        let due = record.due_at().ok();
        let key = Key::of(&record.id);
        let since = due.and_then(|due| self.asked.missing_since(key, record, (due, grace)));
        since == Some(due_at)
    }

    /// Why a subscription owes nothing yet.
    pub(super) fn state_of(
        &self,
        key: Key,
        record: &SubscriptionRecord,
        due_at: Timestamp,
    ) -> &'static str {
        if record.status == SubscriptionStatus::Trialing {
            "in trial"
        } else if self.asked.due_at(key, record, due_at).is_some() {
            "invoiced"
        } else {
            "paid"
        }
    }
}

impl Ask {
    /// Whether it asks for what is due then.
    fn covers(&self, record: &SubscriptionRecord, due_at: Timestamp) -> bool {
        let turn = due_at - record.payment_term();
        self.through > turn + record.boundary_slack()
    }

    /// When it went out.
    pub(super) const fn sent_at(&self) -> Timestamp {
        self.sent_at
    }
}
