//! Renewals whose invoice cannot be finalised, where nothing is heard of the subscriptions themselves.
//!
//! An endpoint that is sent invoices, and no `customer.subscription.*`, says of a subscription what its invoices say. Stripe
//! makes the invoice of a renewal as a draft when the period turns, finalises it about an hour later and then asks for the
//! money (Stripe docs: Status transitions and finalization). Where finalisation fails (`invoice.finalization_failed`, as for
//! a customer whose place of tax is not known) nobody is asked to pay, and the subscription goes on.
//!
//! A draft of which no failure was told is not judged: one that collection is paused for, or that somebody looks over, is a
//! draft as well, and nothing sure tells it apart. Where the subscription's own events are heard, they say what is due.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::Context;
use crate::event::invoice::{BillingReason, CollectionMethod, Invoice, InvoiceStatus};
use crate::event::{Event, EventType};
use crate::ids::{Key, KeyMap};
use crate::ledger::{Fact, Ledger, MEMORY_HALF_LIFE};
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::excuses::Outage;
use super::groups::Lapse;
use super::{RECOVERY, SilentLapse};

/// So many renewals must have been told as final in time: else the endpoint may not be told that one was mended.
const OPEN_MIN: u32 = 10;

/// Of so many, one at least must be told as final before it is paid. Both are told within seconds, in any order; where
/// hardly any is, the endpoint is not told of open invoices, and one that waits for its payment looks like a draft.
const OPEN_ONE_IN: u32 = 5;

/// The most subscriptions whose drafts are remembered; of further ones nothing is said.
const DRAFTS_MAX: usize = 200_000;

/// The most of one at a time; the oldest give way.
const OPEN_MAX: usize = 4;

/// Service that ends so near to that of a draft is the same.
const SAME_END: Span = Span::days(1);

/// How one is named.
const TITLE: &str = "The invoice of a renewal cannot be finalised";

/// The same of several.
pub(super) const TITLE_OF_MANY: &str = "The invoices of renewals cannot be finalised";

/// Why that is a lapse.
pub(super) const REASON: &str = "an invoice that is not finalised asks nobody to pay";

/// The invoice of a renewal whose finalisation failed, as long as nobody says that it is final.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Draft {
    invoice: Key,
    invoice_id: Box<str>,
    subscription: Box<str>,
    customer: Option<Box<str>>,
    owed: Option<(Currency, i64)>,
    /// When it was made: at the turn.
    made_at: Timestamp,
    /// The end of the service it asks for.
    through: Option<Timestamp>,
    /// The newest word that calls it a draft.
    seen_at: Timestamp,
    /// When it was last worked on.
    touched_at: Option<Timestamp>,
    /// When its finalisation last failed.
    failed_at: Timestamp,
}

/// The drafts of a scope, by subscription.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Drafts {
    of: KeyMap<Vec<Draft>>,
    /// Renewals whose invoice was final within the grace: by what was told of it first, that it is final or that it is paid.
    open: u32,
    paid: u32,
}

impl Draft {
    /// What an invoice says that is a draft still, with the failure told now or before; `None` where nobody need miss it.
    fn of(invoice: &Invoice, at: Timestamp, failed_at: Timestamp) -> Option<Self> {
        let owed = invoice.amount_due.or(invoice.total)?;
        let is_renewal = invoice.billing_reason == BillingReason::SubscriptionCycle;
        let is_charged = invoice.collection_method == CollectionMethod::ChargeAutomatically;
        if !is_renewal || !is_charged || owed <= 0 || invoice.has_test_clock {
            return None;
        }
        let id = invoice.id.as_ref()?;
        let ends = invoice.lines.iter().filter_map(|line| line.period_end);
        Some(Self {
            invoice: id.key(),
            invoice_id: id.as_str().into(),
            subscription: invoice.subscription.as_ref()?.as_str().into(),
            customer: invoice.customer.as_ref().map(|id| id.as_str().into()),
            owed: invoice.currency.map(|currency| (currency, owed)),
            made_at: invoice.created.unwrap_or(at).min(at),
            through: ends.max(),
            seen_at: at,
            touched_at: (at > failed_at).then_some(at),
            failed_at,
        })
    }

    /// Takes in another word on the same draft, newer or older.
    fn take(&mut self, other: &Self) {
        if (other.seen_at, other.owed) > (self.seen_at, self.owed) {
            (self.seen_at, self.owed) = (other.seen_at, other.owed);
        }
        self.made_at = self.made_at.min(other.made_at);
        self.through = self.through.max(other.through);
        self.touched_at = self.touched_at.max(other.touched_at);
        self.failed_at = self.failed_at.max(other.failed_at);
    }

    /// When it should have been final, or else is missed.
    fn deadline(&self, grace: Span) -> Timestamp {
        let deadline = self.made_at + grace;
        let touched = self.touched_at.map(|at| at + RECOVERY);
        deadline.max(touched.unwrap_or(deadline))
    }

    /// Whether service up to then is what it asks for, or more.
    fn is_paid_by(&self, through: Option<Timestamp>) -> bool {
        let both = self.through.zip(through);
        both.is_some_and(|(own, paid)| {
            let slack = Span::millis(own.since(self.made_at).as_millis() / 4);
            paid + slack.clamp(Span::ZERO, SAME_END) >= own
        })
    }
}

impl Drafts {
    /// Takes in an invoice that is a draft; whether it is watched.
    fn note(&mut self, event: &Event, invoice: &Invoice, at: Timestamp, ledger: &Ledger) -> bool {
        let is_failure = event.event_type == EventType::InvoiceFinalizationFailed;
        let known = invoice.id.as_ref().zip(invoice.subscription.as_ref());
        let known = known.and_then(|(id, key)| self.failed_at(key.key(), id.key()));
        let failed_at = if is_failure { Some(at) } else { known };
        let Some(draft) = failed_at.and_then(|failed_at| Draft::of(invoice, at, failed_at)) else {
            return false;
        };
        let key = Key::of(&draft.subscription);
        // What is final, paid or given up stays so, whatever comes late.
        let known = ledger.invoice(draft.invoice);
        let is_over = known.is_some_and(|it| it.is_finalized() || it.is_paid || it.is_closed);
        if is_over || ledger.subscription(key).is_some() || ledger.has_ended(key) {
            return false;
        }
        if self.of.len() >= DRAFTS_MAX && !self.of.contains_key(&key) {
            return false;
        }
        let drafts = self.of.entry(key).or_default();
        if let Some(known) = drafts.iter_mut().find(|it| it.invoice == draft.invoice) {
            known.take(&draft);
            return true;
        }
        if drafts.len() >= OPEN_MAX {
            drafts.remove(0);
        }
        drafts.push(draft);
        // In whatever order they came.
        drafts.sort_by_key(|it| (it.made_at, it.invoice));
        true
    }

    /// When the finalisation of an invoice last failed.
    fn failed_at(&self, subscription: Key, invoice: Key) -> Option<Timestamp> {
        let mut drafts = self.of.get(&subscription)?.iter();
        Some(drafts.find(|it| it.invoice == invoice)?.failed_at)
    }

    /// The invoice of a renewal is told as final for the first time.
    fn note_final(&mut self, event: &Event, invoice: &Invoice, at: Timestamp, grace: Span) {
        let is_renewal = invoice.billing_reason == BillingReason::SubscriptionCycle;
        let is_charged = invoice.collection_method == CollectionMethod::ChargeAutomatically;
        let Some(made_at) = invoice.created.filter(|_| is_renewal && is_charged) else {
            return;
        };
        let is_open = invoice.status == InvoiceStatus::Open
            || event.event_type == EventType::InvoiceFinalized;
        if at.since(made_at) > grace {
            return;
        }
        let count = if is_open {
            &mut self.open
        } else {
            &mut self.paid
        };
        *count = count.saturating_add(1);
    }

    /// Forgets the drafts of a subscription for which this holds; whether there were any.
    fn settle(&mut self, key: Key, is_settled: impl Fn(&Draft) -> bool) -> bool {
        let Some(drafts) = self.of.get_mut(&key) else {
            return false;
        };
        let known = drafts.len();
        drafts.retain(|draft| !is_settled(draft));
        let is_any = drafts.len() < known;
        if drafts.is_empty() {
            self.of.swap_remove(&key);
        }
        is_any
    }

    /// When the first of a subscription is missed.
    fn deadline(&self, key: Key, grace: Span) -> Option<Timestamp> {
        let drafts = self.of.get(&key)?.iter();
        drafts.map(|draft| draft.deadline(grace)).min()
    }

    /// The first of a subscription that is missed.
    fn missed(&self, key: Key, grace: Span, now: Timestamp) -> Option<&Draft> {
        let mut drafts = self.of.get(&key)?.iter();
        drafts.find(|draft| draft.deadline(grace) <= now)
    }

    /// Whether the endpoint is told of invoices that become final.
    const fn is_told_of_final(&self) -> bool {
        let in_time = self.open.saturating_add(self.paid);
        self.open >= OPEN_MIN && self.open.saturating_mul(OPEN_ONE_IN) >= in_time
    }

    /// What an alert says of one.
    pub(super) fn describe(&self, key: Key, now: Timestamp, grace: Span) -> Option<Finding> {
        let draft = self.missed(key, grace, now)?;
        let subscription = &*draft.subscription;
        let mut finding = Finding::new(subscription, Severity::High, TITLE);
        let money = draft.owed.map(|(currency, amount)| {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
            format!(" for {}", Money::new(amount, currency))
        });
        let waited = now.since(draft.made_at);
        finding.message = format!(
            "{subscription} renewed {}, yet its invoice {}{} has not been finalised for {waited}: it failed {}",
            draft.made_at,
            draft.invoice_id,
            money.unwrap_or_default(),
            draft.failed_at,
        );
        finding.subject = Some(subscription.to_owned());
        finding.subjects.push(subscription.to_owned());
        let customer = draft.customer.as_ref();
        finding.subjects.extend(customer.map(ToString::to_string));
        let evidence = &mut finding.evidence;
        evidence.object_ids = finding.subjects.clone();
        evidence.object_ids.push(draft.invoice_id.to_string());
        evidence.measures = vec![
            Measure::new("overdue", waited.as_secs(), Unit::Seconds)
                .expected(0)
                .threshold(grace.as_secs()),
        ];
        evidence.reasons = vec![
            REASON.to_owned(),
            format!(
                "here the invoices of {} renewals were finalised in time",
                self.open.saturating_add(self.paid),
            ),
            "no event of the subscription itself was heard".to_owned(),
        ];
        Some(finding)
    }
}

impl SilentLapse {
    /// Takes in an invoice that may be the draft of a renewal, or is one no longer.
    pub(super) fn note_draft(&mut self, event: &Event, invoice: &Invoice, ctx: &mut Context<'_>) {
        let (at, grace) = (ctx.event_at(), Span::secs(self.settings.grace_secs));
        let mut facts = ctx.facts().iter();
        if facts.any(|fact| matches!(fact, Fact::InvoiceFinalized { .. })) {
            self.drafts.note_final(event, invoice, at, grace);
        }
        let Some((id, key)) = invoice.id.as_ref().zip(invoice.subscription.as_ref()) else {
            return;
        };
        let (id, key) = (id.key(), key.key());
        let reason = match invoice.status {
            InvoiceStatus::Draft => {
                if self.drafts.note(event, invoice, at, ctx.ledger()) {
                    self.look(key, Some(event), ctx);
                }
                return;
            }
            InvoiceStatus::Unknown => return,
            InvoiceStatus::Open => "its invoice is finalised",
            InvoiceStatus::Paid => "its invoice is paid",
            InvoiceStatus::Void => "its invoice is void",
            InvoiceStatus::Uncollectible => "its invoice was given up",
        };
        if self.drafts.settle(key, |draft| draft.invoice == id) {
            self.end_draft(key, reason, event, ctx);
        }
    }

    /// An invoice of a subscription is paid: what it covers is asked for no longer.
    pub(super) fn note_draft_paid(
        &mut self,
        key: Key,
        invoice: Key,
        event: &Event,
        ctx: &mut Context<'_>,
    ) {
        let through = ctx.ledger().invoice(invoice).and_then(|it| it.paid_through);
        let is_settled = |draft: &Draft| draft.invoice == invoice || draft.is_paid_by(through);
        if self.drafts.settle(key, is_settled) {
            self.end_draft(key, "what it owes is paid", event, ctx);
        }
    }

    fn end_draft(&mut self, key: Key, reason: &str, event: &Event, ctx: &mut Context<'_>) {
        let grace = Span::secs(self.settings.grace_secs);
        if self.drafts.missed(key, grace, ctx.now()).is_none() {
            self.close(key, reason, ctx);
        }
        self.look(key, Some(event), ctx);
    }

    /// Looks at the drafts of a subscription; whether they are all that is to be asked of it.
    pub(super) fn look_draft(
        &mut self,
        key: Key,
        event: Option<&Event>,
        ctx: &mut Context<'_>,
    ) -> bool {
        let grace = Span::secs(self.settings.grace_secs);
        let Some(deadline) = self.drafts.deadline(key, grace) else {
            return false;
        };
        let is_told = self.lapsed.contains(key);
        let is_known = ctx.ledger().subscription(key).is_some();
        // Its own events say more. What was told stays true until its invoice is settled, or the subscription ends.
        if ctx.ledger().has_ended(key) || (is_known && !is_told) {
            self.drafts.settle(key, |_| true);
            return false;
        }
        if is_told {
            // An end of it may never be heard of.
            let until = deadline + MEMORY_HALF_LIFE;
            if until > ctx.now() {
                self.set_deadline(key, until);
                return true;
            }
            self.drafts.settle(key, |_| true);
            self.close(key, "nothing more was heard of it", ctx);
            return false;
        }
        if deadline > ctx.now() {
            self.set_deadline(key, deadline);
        } else if event.is_some() {
            self.set_deadline(key, ctx.now());
        } else {
            self.judge_drafts(key, ctx);
        }
        true
    }

    /// Judges the drafts of a subscription that should have been final by now.
    fn judge_drafts(&mut self, key: Key, ctx: &mut Context<'_>) {
        let (grace, now) = (Span::secs(self.settings.grace_secs), ctx.now());
        while let Some(draft) = self.drafts.missed(key, grace, now).cloned() {
            let (id, made_at) = (&*draft.subscription, draft.made_at);
            let outage = Outage::of_draft(draft.seen_at, draft.deadline(grace), ctx);
            let quiet = if draft.is_paid_by(ctx.ledger().paid_early(key)) {
                None
            } else if outage.judged_at > now {
                let message = format!(
                    "the invoice made {made_at} is judged {}: its events may still be delivered",
                    outage.judged_at
                );
                ctx.suppress("events_missing", Some(id), message);
                self.set_deadline(key, outage.judged_at);
                return;
            } else if let Some(trouble) = outage.unseen {
                let message = format!("may have been finalised unseen: {trouble}");
                Some((trouble.reason(), message))
            } else if self.drafts.is_told_of_final() {
                let lapse = Lapse::of_draft(id, made_at, draft.owed);
                self.lapsed.add(key, lapse, now);
                self.look(key, None, ctx);
                return;
            } else {
                let message =
                    "could not be finalised, and may have been since: here that is not told";
                Some(("draft_unknown", message.to_owned()))
            };
            if let Some((reason, message)) = quiet {
                let message = format!("the invoice made {made_at} {message}");
                ctx.suppress(reason, Some(id), message);
            }
            self.drafts
                .settle(key, |other| other.invoice == draft.invoice);
        }
        if let Some(deadline) = self.drafts.deadline(key, grace) {
            self.set_deadline(key, deadline);
        }
    }
}
