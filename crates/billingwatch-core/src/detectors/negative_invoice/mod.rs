//! Invoices below zero, and credits and refunds larger or more numerous than they can rightly be.
//!
//! Opens, one alert per object, for
//! - an invoice finalised with a `total` below zero that no proration explains; those of
//!   subscriptions that follow it within a day [join](run) its alert. A downgrade's credit to the customer's balance is harmless
//!   as long as it gives back no more than the subscription paid so far;
//! - refunds of a charge that add up to more than the charge took;
//! - credit notes of an invoice that add up to more than its total;
//! - refunds and credits of one invoice that [together](given) are more than it was for;
//! - a single refund or credit note far above this merchant's usual payments, unless it gives back
//!   what a subscription's invoice billed;
//!
//! and one alert for a wave of refunds ([`wave`]), and one for each [customer](one_customer) who is refunded again
//! and again.
//!
//! It looks at `total`, at finalisation: drafts change, and `amount_paid` and `amount_due` never
//! go below zero. Closes when the invoice is voided, the refund comes back, or after [`HOLD`].

mod below_zero;
mod given;
mod one_customer;
mod run;
mod settled;
mod unit_prices;
mod wave;
mod wave_days;
mod wave_early;
mod wave_hours;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::credit_note::CreditNote;
use crate::event::{Event, EventData, EventType, Family, FamilySet};
use crate::ids::Key;
use crate::ledger::{Fact, RefundFact};
use crate::money::{Currency, Money};
use crate::snapshot::{SnapshotError, decode, encode};
use crate::stats::AmountHistogram;
use crate::time::{Span, Timestamp};

use given::Given;
use one_customer::OneCustomer;
use run::Runs;
use settled::Settled;
use unit_prices::UnitPrices;
use wave::{CREDITS, Kind, REFUNDS, Wave, WaveSettings};

/// How long an alert stays open when nothing mends it.
const HOLD: Span = Span::days(7);

/// From so many payments on the largest of them are known well enough to be held against.
const KNOWN_WELL: u64 = 1_000;

/// A payment so many times the next largest of all that are known stands alone, whatever the others are: who gives all of it back
/// should be asked. In halves, of an amount known within an eighth.
const LONE: (i64, i64) = (3, 2);

/// The same where few payments are known, at least [`LONE_PAYMENTS_MIN`].
const LONE_OF_FEW: (i64, i64) = (6, 2);
/// See [`LONE_OF_FEW`].
const LONE_PAYMENTS_MIN: u64 = 20;

/// Days that must be known, of the 28 that are remembered: of the dearest things that a merchant sells a first one comes in the
/// first weeks.
const LONE_DAYS_MIN: i64 = 21;

/// The most currencies whose amounts are learned.
const CURRENCIES_MAX: usize = 64;

/// The most alerts held open; the oldest ends early beyond it.
const OPEN_MAX: usize = 2_000;

crate::settings! {
    /// A single refund or credit note is outsized above so many times the amount that 99 % of this
    /// merchant's payments do not pass; from 1,000 known payments on above half so many times the
    /// amount that all but a few do not pass. Refunds of subscription invoices are none.
    outsized_times: i64 = 4, 2 => 1_000;
    /// Payments of a currency that must be known before a single amount can be called outsized.
    payments_min: i64 = 50, 10 => 1_000_000;
    /// The smallest negative total spoken of, in minor units without the sign.
    negative_min: i64 = 1, 1 => 1_000_000_000;
    /// Charges refunded, or paid invoices credited, within one to three days, six hours or one before a wave is spoken of; one
    /// fewer where they are five times less likely than must be.
    wave_count_min: i64 = 8, 3 => 100_000;
    /// How likely, in millionths, so many may be, as far as this merchant's days stray, before
    /// they count as a wave.
    wave_chance_ppm_max: i64 = 100, 1 => 50_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "negative_invoice",
    description: "An invoice total is below zero without a proration that explains it, or refunds \
                  or credits are outsized or come in a wave.",
    listens: FamilySet::of(&[
        Family::Invoice,
        Family::InvoicePayment,
        Family::Subscription,
        Family::Charge,
        Family::PaymentIntent,
        Family::CheckoutSession,
        Family::Refund,
        Family::CreditNote,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<NegativeInvoice> = FactoryOf::new(&SPEC);

/// One scope's usual amounts and open alerts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct NegativeInvoice {
    #[serde(skip)]
    settings: Settings,
    /// When the first event was made, those that were sent again apart.
    began_at: Option<Timestamp>,
    usual: BTreeMap<Currency, AmountHistogram>,
    settled: Settled,
    unit_prices: UnitPrices,
    given: Given,
    wave: Wave,
    /// The same of credits beside refunds.
    credits: Wave,
    one_customer: OneCustomer,
    runs: Runs,
    /// When each open alert fired, by key.
    open: BTreeMap<String, Timestamp>,
    /// When the first of its memories is due to forget; the epoch while that was not asked.
    #[serde(skip)]
    forgets_at: Timestamp,
}

impl Detector for NegativeInvoice {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        if !ctx.is_sent_again() {
            let began_at = self.began_at.get_or_insert(ctx.event_at());
            *began_at = ctx.event_at().min(*began_at);
        }
        for fact in ctx.facts() {
            match fact {
                Fact::Payment(payment) => {
                    self.learn(payment.currency, payment.amount);
                    // Of those made before, a refund tells of a few: they are no record of their days.
                    let (day, calendar) = (ctx.calendar().day(payment.at), ctx.calendar());
                    if self.began_at.is_some_and(|at| day >= calendar.day(at)) {
                        self.wave.count_payment(day);
                        self.credits.count_payment(day);
                    }
                }
                Fact::InvoiceFinalized { .. } => {
                    if let EventData::Invoice(invoice) = &event.data {
                        self.judge_invoice(invoice, event, ctx);
                        self.unit_prices.learn(invoice);
                    }
                }
                Fact::Refund(refund) => {
                    self.judge_refund(refund, event, ctx);
                    let settings = self.wave_settings(&REFUNDS);
                    self.wave.take(refund, event, &settings, ctx);
                    let finding = self.one_customer.take(refund, event, ctx);
                    if let Some(finding) = finding.filter(|_| self.wave.is_known(ctx)) {
                        self.open(finding, event, ctx);
                    }
                }
                Fact::RefundReversed(_) => {
                    if let EventData::Refund(refund) = &event.data {
                        self.close(refund.id.as_str(), "the refund came back", ctx);
                    }
                }
                Fact::CreditNote { .. } => {
                    if let EventData::CreditNote(note) = &event.data {
                        self.judge_credit(note, event, ctx);
                        self.take_credit(note, event, ctx);
                    }
                }
                _ => {}
            }
            if let Fact::Refund(refund) | Fact::RefundReversed(refund) = fact
                && let Some(charge) = refund.charge
            {
                let invoice = self.given.hear_of_refund(charge, ctx);
                self.judge_given(invoice, event, ctx);
            }
        }
        match &event.data {
            // It may be the first to say which invoice the charge has paid.
            EventData::Charge(charge) if charge.amount_refunded > Some(0) => {
                let invoice = self.given.hear_of_refund(charge.id.key(), ctx);
                self.judge_given(invoice, event, ctx);
            }
            EventData::CreditNote(note) => {
                let invoice = self.given.hear_of_note(note);
                self.judge_given(invoice, event, ctx);
            }
            EventData::Invoice(invoice) => self.settled.hear_of_invoice(invoice),
            EventData::Subscription(subscription) => {
                let is_birth = event.event_type == EventType::SubscriptionCreated;
                self.settled.meet(subscription.id.key(), is_birth);
            }
            _ => {}
        }
        match &event.data {
            EventData::Invoice(invoice) if event.event_type == EventType::InvoiceVoided => {
                self.judge_void(invoice, ctx);
            }
            EventData::CreditNote(note) if note.is_voided => {
                self.close(note.id.as_str(), "the credit note was voided", ctx);
            }
            _ => {}
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        if now >= self.forgets_at {
            let settled = self.settled.advance_to(now);
            let prices = self.unit_prices.advance_to(now);
            self.forgets_at = self.given.advance_to(now).min(settled).min(prices);
        }
        self.wave.tick(&self.wave_settings(&REFUNDS), ctx);
        self.credits.tick(&self.wave_settings(&CREDITS), ctx);
        for finding in self.runs.news(now) {
            self.open.insert(finding.key.clone(), now);
            ctx.fire(finding);
        }
        if self
            .open
            .values()
            .any(|fired_at| now.since(*fired_at) >= HOLD)
        {
            let is_old = |fired_at: &Timestamp| now.since(*fired_at) >= HOLD;
            let old: Vec<String> = self
                .open
                .iter()
                .filter(|(_, at)| is_old(at))
                .map(|(key, _)| key.clone())
                .collect();
            for key in old {
                self.close(
                    &key,
                    &format!("nothing more happened to it within {HOLD}"),
                    ctx,
                );
            }
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        encode(self)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let settings = std::mem::take(&mut self.settings);
        *self = Self {
            settings,
            ..decode(bytes)?
        };
        Ok(())
    }
}

/// The id of the refund that an event tells of, and its charge's; the charge's alone where no refund objects are sent.
fn refund_ids(event: &Event) -> Option<(&str, Option<&str>)> {
    match &event.data {
        EventData::Refund(refund) => Some((
            refund.id.as_str(),
            refund.charge.as_ref().map(|id| id.as_str()),
        )),
        EventData::Charge(charge) => Some((charge.id.as_str(), Some(charge.id.as_str()))),
        EventData::CreditNote(note) => {
            let invoice = note.invoice.as_ref().map(|id| id.as_str());
            Some((note.id.as_str(), invoice))
        }
        _ => None,
    }
}

impl NegativeInvoice {
    const fn wave_settings(&self, kind: &'static Kind) -> WaveSettings {
        WaveSettings {
            kind,
            count_min: self.settings.wave_count_min,
            chance_ppm_max: self.settings.wave_chance_ppm_max,
        }
    }

    /// A credit note that gives back by another way than refunds counts as one of those does.
    fn take_credit(&mut self, note: &CreditNote, event: &Event, ctx: &mut Context<'_>) {
        let amount = note.amount_beside_refunds;
        let is_surplus = note.reason.as_deref() == Some("duplicate");
        let Some(currency) = note.currency.filter(|_| amount > 0 && !is_surplus) else {
            return;
        };
        let credit = RefundFact {
            refund: note.id.key(),
            charge: note.invoice.as_ref().map(|id| id.key()),
            at: note.created.unwrap_or(ctx.event_at()),
            amount,
            currency,
            amount_collected: None,
            amount_refunded: amount,
        };
        let settings = self.wave_settings(&CREDITS);
        self.credits.take(&credit, event, &settings, ctx);
    }

    fn learn(&mut self, currency: Currency, amount: i64) {
        if self.usual.len() < CURRENCIES_MAX || self.usual.contains_key(&currency) {
            self.usual.entry(currency).or_default().add(amount);
        }
    }

    fn judge_refund(&mut self, refund: &RefundFact, event: &Event, ctx: &mut Context<'_>) {
        let Some((id, charge)) = refund_ids(event) else {
            return;
        };
        let money = Money::new(refund.amount, refund.currency);
        let over = refund
            .amount_collected
            .filter(|paid| refund.amount_refunded > *paid);
        let (measure, reason) = if let Some(paid) = over {
            let measure = Measure::new("refunded", refund.amount_refunded, Unit::MinorUnits);
            (
                measure.expected(paid).threshold(paid),
                "its refunds are more than the charge took",
            )
        } else if let Some(limit) = self.outsized_refund(refund, ctx) {
            if let Some(total) = subscription_total(refund, ctx)
                && refund.amount <= total
            {
                let message =
                    format!("{money} is what an invoice of a subscription billed, given back");
                ctx.suppress("subscription_refund", Some(id), message);
                return;
            }
            let measure = Measure::new("refund", refund.amount, Unit::MinorUnits);
            (
                measure.threshold(limit),
                "far above this merchant's usual payments",
            )
        } else {
            return;
        };
        let mut finding = Finding::new(id, Severity::High, "A refund is outsized");
        finding.message = format!("refund {id} of {money}: {reason}");
        finding.currency = Some(refund.currency);
        finding.amount_at_stake = Some(refund.amount);
        finding.subject = Some(charge.unwrap_or(id).to_owned());
        finding.subjects.extend(finding.subject.clone());
        finding.subjects.push(id.to_owned());
        finding.evidence.measures.push(measure);
        finding.evidence.reasons.push(reason.to_owned());
        self.open(finding, event, ctx);
    }

    fn judge_credit(&mut self, note: &CreditNote, event: &Event, ctx: &mut Context<'_>) {
        let (Some(total), Some(currency)) = (note.total, note.currency) else {
            return;
        };
        let record = note
            .invoice
            .as_ref()
            .and_then(|id| ctx.ledger().invoice(id.key()));
        let credited = record.map_or(total, |record| record.amount_credited);
        let over = record
            .and_then(|record| record.total)
            .filter(|invoice_total| credited > (*invoice_total).max(0));
        let (measure, reason) = if let Some(invoice_total) = over {
            let measure = Measure::new("credited", credited, Unit::MinorUnits);
            let measure = measure
                .expected(invoice_total)
                .threshold(invoice_total.max(0));
            (
                measure,
                "its credit notes are more than the invoice's total",
            )
        } else if let Some(limit) = self.outsized(total, currency) {
            let measure = Measure::new("credit_note", total, Unit::MinorUnits);
            (
                measure.threshold(limit),
                "far above this merchant's usual payments",
            )
        } else {
            return;
        };
        let id = note.id.as_str();
        let mut finding = Finding::new(id, Severity::High, "A credit note is outsized");
        finding.message = format!(
            "credit note {id} of {}: {reason}",
            Money::new(total, currency)
        );
        finding.currency = Some(currency);
        finding.amount_at_stake = Some(total);
        finding.subject = note
            .invoice
            .as_ref()
            .map(ToString::to_string)
            .or(Some(id.to_owned()));
        finding.subjects.extend(finding.subject.clone());
        finding.subjects.push(id.to_owned());
        finding
            .subjects
            .extend(note.customer.as_ref().map(ToString::to_string));
        finding.evidence.measures.push(measure);
        finding.evidence.reasons.push(reason.to_owned());
        self.open(finding, event, ctx);
    }

    /// Holds refunds and credits of an invoice together against what it was for.
    fn judge_given(&mut self, invoice: Option<Key>, event: &Event, ctx: &mut Context<'_>) {
        let Some(invoice) = invoice else { return };
        let Some(id) = self.given.id_of(invoice) else {
            return;
        };
        let key = format!("given_back:{id}");
        let Some(excess) = self.given.excess(invoice, ctx) else {
            self.close(&key, "no more is given back than it was for", ctx);
            return;
        };
        if self.open.contains_key(&key) {
            return;
        }
        let id = excess.invoice_id.to_string();
        let currency = excess
            .charges
            .first()
            .and_then(|charge| ctx.ledger().payment(*charge))
            .map(|payment| payment.currency);
        let shown = |amount: i64| {
            currency.map_or_else(
                || amount.to_string(),
                |currency| Money::new(amount, currency).to_string(),
            )
        };
        let total = excess.refunded.saturating_add(excess.credited);
        let title = "An invoice was refunded and credited as well";
        let mut finding = Finding::new(key, Severity::High, title);
        finding.message = format!(
            "{id} was for {}, and {} was given back: {} refunded, and {} credited beside it",
            shown(excess.billed),
            shown(total),
            shown(excess.refunded),
            shown(excess.credited),
        );
        finding.currency = currency;
        finding.amount_at_stake = Some(total.saturating_sub(excess.billed));
        finding.subject = Some(id.clone());
        finding.subjects.push(id);
        if let EventData::CreditNote(note) = &event.data {
            finding.subjects.push(note.id.to_string());
            finding
                .subjects
                .extend(note.customer.as_ref().map(ToString::to_string));
        }
        if let EventData::Refund(refund) = &event.data {
            finding.subjects.push(refund.id.to_string());
            finding
                .subjects
                .extend(refund.charge.as_ref().map(ToString::to_string));
        }
        finding.evidence.measures = vec![
            Measure::new("given_back", total, Unit::MinorUnits)
                .expected(excess.billed)
                .threshold(excess.billed),
            Measure::new("refunded", excess.refunded, Unit::MinorUnits),
            Measure::new("credited", excess.credited, Unit::MinorUnits),
        ];
        let reason = "no credit note accounts for the refund: Stripe does not hold one against the \
                      other";
        finding.evidence.reasons.push(reason.to_owned());
        self.open(finding, event, ctx);
    }

    /// The line an amount is above, if it is outsized.
    fn outsized(&self, amount: i64, currency: Currency) -> Option<i64> {
        let usual = self.usual.get(&currency)?;
        let known = i64::try_from(usual.total()).unwrap_or(i64::MAX);
        if known < self.settings.payments_min {
            return None;
        }
        // A refund's own payment is among the largest, and so may be a few odd ones.
        let times = self.settings.outsized_times;
        let known = usual.total();
        let limit = if known < KNOWN_WELL {
            usual.all_but(1 + known / 100).saturating_mul(times)
        } else {
            usual.all_but(2 + known / 2_000).saturating_mul(times) / 2
        };
        (amount > limit).then_some(limit)
    }

    /// The line a refund is above, if it is outsized: it also is where it gives back a payment that stands alone.
    fn outsized_refund(&self, refund: &RefundFact, ctx: &Context<'_>) -> Option<i64> {
        let (amount, currency) = (refund.amount, refund.currency);
        self.outsized(amount, currency).or_else(|| {
            let usual = self.usual.get(&currency)?;
            let known = i64::try_from(usual.total()).unwrap_or(i64::MAX);
            let is_well_known = known >= self.settings.payments_min;
            let (times, halves) = if is_well_known { LONE } else { LONE_OF_FEW };
            let limit = usual.all_but(1).saturating_mul(times) / halves;
            let is_known =
                usual.total() >= LONE_PAYMENTS_MIN && self.wave.known_days(ctx) >= LONE_DAYS_MIN;
            (is_known && amount > limit).then_some(limit)
        })
    }

    fn open(&mut self, mut finding: Finding, event: &Event, ctx: &mut Context<'_>) {
        finding.evidence.event_ids.push(event.id.to_string());
        finding.evidence.object_ids = finding.subjects.clone();
        if self.open.len() >= OPEN_MAX
            && let Some(oldest) = self
                .open
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(key, _)| key.clone())
        {
            self.close(&oldest, "newer ones took its place", ctx);
        }
        self.open.insert(finding.key.clone(), ctx.now());
        ctx.fire(finding);
    }

    fn close(&mut self, key: &str, reason: &str, ctx: &mut Context<'_>) {
        if self.open.remove(key).is_some() {
            self.runs.end(key);
            ctx.clear(key, reason);
        }
    }
}

/// What the invoice billed that a refund gives back, when it is a subscription's.
fn subscription_total(refund: &RefundFact, ctx: &Context<'_>) -> Option<i64> {
    let ledger = ctx.ledger();
    let invoice = ledger.payment(refund.charge?)?.invoice?;
    let record = ledger.invoice(invoice)?;
    record.subscription?;
    record.total
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_credits;
#[cfg(test)]
mod tests_of_prorations;
#[cfg(test)]
mod tests_of_refunds;
