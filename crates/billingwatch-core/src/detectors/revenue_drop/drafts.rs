//! Renewals whose invoices stay drafts, where invoices alone tell of subscriptions.
//!
//! Stripe makes the invoice of a renewal when the period turns, and finalises it about an hour later (Stripe docs: Status transitions
//! and finalization). Where that stands still nothing is collected, and without events of subscriptions nobody foretold it: the
//! drafts themselves do. Opens when most of the newest are drafts hours after they were made, and hardly any ever was; of a hundred and
//! more that Stripe is to finalise (`auto_advance`) Stripe's own hour will do, where none was seen to take longer.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::Context;
use crate::event::invoice::{BillingReason, Invoice, InvoiceStatus};
use crate::event::{Event, EventType, Family};
use crate::ids::{Key, KeyMap};
use crate::ledger::InvoiceRecord;
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::super::words::rounded;

/// What is a draft for longer is late: three times as long as Stripe takes.
const LATE: Span = Span::hours(3);

/// The windows, before the newest that may be late, in which most must be drafts.
const WINDOWS: [Span; 2] = [Span::hours(6), Span::hours(24)];

/// So many drafts, and so many known before, must there be.
const COUNT_MIN: u32 = 20;

/// So many must there be where no renewal was seen to be finalised yet, and so many other invoices were.
const FIRST_MIN: u32 = 100;
/// See [`FIRST_MIN`].
const FINAL_MIN: u32 = 20;

/// Of the invoices in a window so many are drafts.
const SHARE_MIN: f64 = 0.5;

/// Of all that are known no more than so many were late.
const LATE_MAX: f64 = 0.05;

/// So many count for what is usual; the older half is forgotten beyond.
const KNOWN_MAX: f64 = 2_000.0;

/// What is a draft for so long is none that Stripe will finalise; what is nearly as old is forgotten with it.
const GIVEN_UP: Span = Span::hours(96);
/// See [`GIVEN_UP`].
const OLD: Span = Span::hours(84);

/// The most drafts remembered; further ones are not counted.
const DRAFTS_MAX: usize = 200_000;

/// The alert's key.
const KEY: &str = "drafts";

/// A draft of a renewal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Draft {
    made_at: Timestamp,
    amount: i64,
    currency: Currency,
}

/// One scope's drafts of renewals.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Drafts {
    drafts: KeyMap<Draft>,
    /// How many of them were made at each instant.
    made: BTreeMap<Timestamp, u32>,
    /// When those were made that were finalised, of the longest of the windows.
    finalised: BTreeMap<Timestamp, u32>,
    /// How many were finalised in time, and late.
    prompt: f64,
    late: f64,
    /// Invoices of any kind that were told as finalised, up to [`FINAL_MIN`].
    finals: u32,
    /// A draft was seen of which nothing said that Stripe finalises it.
    has_unpromised: bool,
    /// How many drafts were told last, while an alert is open.
    told: Option<u32>,
}

impl Drafts {
    /// Takes in what an event says of an invoice.
    pub(super) fn note(&mut self, invoice: &Invoice, event: &Event, ctx: &Context<'_>) {
        let Some(id) = invoice.id.as_ref() else {
            return;
        };
        let key = id.key();
        if event.event_type == EventType::InvoiceFinalized && self.finals < FINAL_MIN {
            self.finals += 1;
        }
        if event.event_type == EventType::InvoiceCreated {
            self.begin(key, invoice, ctx);
            return;
        }
        let is_gone = event.event_type == EventType::InvoiceDeleted;
        if invoice.status == InvoiceStatus::Draft && !is_gone {
            return;
        }
        let Some(made_at) = self.end(key) else {
            return;
        };
        if !matches!(invoice.status, InvoiceStatus::Open | InvoiceStatus::Paid) {
            return;
        }
        *self.finalised.entry(made_at).or_default() += 1;
        // When it was said to be final, whatever its fields say: a word that comes late comes late as a rule.
        if ctx.event_at().since(made_at) <= LATE {
            self.prompt += 1.0;
        } else if self.told.is_none() {
            self.late += 1.0;
        }
        if self.prompt + self.late > KNOWN_MAX {
            self.prompt /= 2.0;
            self.late /= 2.0;
        }
    }

    fn begin(&mut self, key: Key, invoice: &Invoice, ctx: &Context<'_>) {
        let subscription = invoice.subscription.as_ref().map(|id| id.key());
        // Where its own events tell of a subscription they foretell what it pays.
        let is_foretold = subscription.is_some_and(|key| ctx.ledger().subscription(key).is_some());
        let is_renewal = invoice.billing_reason == BillingReason::SubscriptionCycle;
        let amount = invoice.total.unwrap_or_default();
        let Some(currency) = invoice.currency else {
            return;
        };
        // One that Stripe is not to finalise waits for somebody to look it over.
        let is_by_hand = invoice.auto_advance == Some(false);
        if !is_renewal || is_foretold || is_by_hand || invoice.has_test_clock || amount <= 0 {
            return;
        }
        // The word that it is final may have come first.
        let is_final = invoice.status != InvoiceStatus::Draft
            || ctx
                .ledger()
                .invoice(key)
                .is_some_and(InvoiceRecord::is_finalized);
        if is_final || self.drafts.len() >= DRAFTS_MAX || self.drafts.contains_key(&key) {
            return;
        }
        let event_at = ctx.event_at();
        let made_at = invoice.created.unwrap_or(event_at).min(event_at);
        self.has_unpromised |= invoice.auto_advance.is_none();
        let draft = Draft {
            made_at,
            amount,
            currency,
        };
        self.drafts.insert(key, draft);
        *self.made.entry(made_at).or_default() += 1;
    }

    /// An invoice is no draft any more: when it was made.
    fn end(&mut self, key: Key) -> Option<Timestamp> {
        let made_at = self.drafts.swap_remove(&key)?.made_at;
        if let Entry::Occupied(mut made) = self.made.entry(made_at) {
            *made.get_mut() -= 1;
            if *made.get() == 0 {
                made.remove();
            }
        }
        Some(made_at)
    }

    /// Lets time pass: opens or closes the alert. All is known up to `horizon`.
    pub(super) fn tick(&mut self, horizon: Timestamp, ctx: &mut Context<'_>) {
        if self.drafts.is_empty() && self.finalised.is_empty() && self.told.is_none() {
            return;
        }
        self.forget(ctx.now());
        let until = horizon - LATE;
        let of = |made: &BTreeMap<Timestamp, u32>, window: Span| {
            let made = made.range(until - window..until);
            made.map(|(_, count)| count).sum::<u32>()
        };
        if let Some(told) = self.told {
            let drafts = of(&self.made, OLD);
            if drafts < told / 4 || drafts < COUNT_MIN / 2 {
                self.told = None;
                ctx.clear(
                    KEY,
                    format!("{drafts} invoices of renewals are late drafts yet"),
                );
            } else if drafts >= told.saturating_mul(2) {
                self.fire(drafts, drafts, until, ctx);
            }
            return;
        }
        if self.late > (self.prompt + self.late) * LATE_MAX {
            return;
        }
        let is_known = self.prompt >= f64::from(COUNT_MIN);
        if !is_known && (self.has_unpromised || self.finals < FINAL_MIN) {
            return;
        }
        let count_min = if is_known { COUNT_MIN } else { FIRST_MIN };
        // Late drafts are few as a rule, and what was finalised is not looked through then.
        let worst = WINDOWS.into_iter().find_map(|window| {
            let drafts = of(&self.made, window);
            if drafts < count_min {
                return None;
            }
            let all = drafts.saturating_add(of(&self.finalised, window));
            (f64::from(drafts) >= f64::from(all) * SHARE_MIN).then_some((drafts, all))
        });
        let Some((drafts, all)) = worst else { return };
        let mut silences = (ctx.intake()).silences(Family::Invoice, until - WINDOWS[1], ctx.now());
        // That they are final may have been told in it.
        if silences.next().is_none() {
            self.fire(drafts, all, until, ctx);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let first = self.made.first_key_value().map(|(at, _)| *at);
        if first.is_some_and(|at| now.since(at) > GIVEN_UP) {
            let is_old = |draft: &Draft| now.since(draft.made_at) > OLD;
            let old = self.drafts.iter().filter(|(_, draft)| is_old(draft));
            for key in old.map(|(key, _)| *key).collect::<Vec<_>>() {
                self.end(key);
                self.late += if self.told.is_none() { 1.0 } else { 0.0 };
            }
        }
        let from = now - LATE - WINDOWS[1] - Span::hours(1);
        while let Some((made_at, _)) = self.finalised.first_key_value()
            && *made_at < from
        {
            self.finalised.pop_first();
        }
    }

    fn fire(&mut self, drafts: u32, of: u32, until: Timestamp, ctx: &mut Context<'_>) {
        self.told = Some(drafts);
        let mut owed: BTreeMap<Currency, i64> = BTreeMap::new();
        for draft in self.drafts.values().filter(|draft| draft.made_at < until) {
            let sum = owed.entry(draft.currency).or_default();
            *sum = sum.saturating_add(draft.amount);
        }
        let title = "Renewals are not asked for";
        let mut finding = Finding::new(KEY, Severity::Critical, title);
        let shown = |(currency, sum): (&Currency, &i64)| Money::new(*sum, *currency).to_string();
        let shown: Vec<_> = owed.iter().take(3).map(shown).collect();
        finding.message = format!(
            "{drafts} of {of} invoices of renewals are drafts still, {LATE} and more after they were made: {} not asked for",
            shown.join(" and ")
        );
        if let Some((currency, sum)) = owed.iter().max_by_key(|(_, sum)| **sum) {
            finding.currency = Some(*currency);
            finding.amount_at_stake = Some(*sum);
        }
        finding.occurrences = u64::from(drafts);
        let share = 10_000.0 * f64::from(drafts) / f64::from(of.max(1));
        let known = self.prompt + self.late;
        let usual = 10_000.0 * self.late / known.max(1.0);
        let evidence = &mut finding.evidence;
        evidence.measures = vec![
            Measure::new("late_drafts", i64::from(drafts), Unit::Count)
                .expected(0)
                .threshold(i64::from(COUNT_MIN)),
            Measure::new("share_of_renewals", bps(share), Unit::BasisPoints)
                .expected(bps(usual))
                .threshold(bps(10_000.0 * SHARE_MIN)),
        ];
        evidence.reasons.push(format!(
            "of the newest {known:.0} known before, {:.1} % took longer than {LATE}",
            usual / 100.0
        ));
        ctx.fire(finding);
    }
}

fn bps(share: f64) -> i64 {
    rounded(share)
}
