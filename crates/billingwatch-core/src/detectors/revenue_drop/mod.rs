//! Much less money than there should be.
//!
//! **Expected against collected**, hour by hour and per currency: each active subscription says
//! when it renews and for how much, and sales that no subscription foretells are held against the
//! same hours of the weeks before. Opens when a window of 1 to 72 hours lacks more than
//! `drop_bps_min` of what was expected **and** so few payments are implausible; so a certain loss
//! is told on the day it happens. A renewal has [`SETTLE`](dues::SETTLE) to be paid. Hours are judged only as far
//! as their events have arrived: what is on its way is not lost.
//!
//! Several currencies that drop together are one incident, under the key of the first. It grows,
//! and ends when each brings what is expected again, and for some hours.
//!
//! **Committed revenue a month** is the second zoom: it opens when what subscriptions will renew for
//! is more than `drop_bps_min` below its own seven-day average, as after a mass cancellation.
//!
//! Hours of an incident are no yardstick for later ones.

mod again;
mod clocks;
mod commitment;
mod counted;
mod coupons;
mod currency;
mod days;
mod drafts;
mod dues;
mod first_week;
mod gap;
mod holds;
mod holidays;
mod hourly;
mod hours;
mod leavers;
mod mrr;
mod mute;
mod nobody;
mod ordinary;
mod prices;
mod said;
mod segments;
mod standstill;
mod tell;
mod terms;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_backfills;
#[cfg(test)]
mod tests_of_breaks;
#[cfg(test)]
mod tests_of_calendars;
#[cfg(test)]
mod tests_of_currencies;
#[cfg(test)]
mod tests_of_daily;
#[cfg(test)]
mod tests_of_discounts;
#[cfg(test)]
mod tests_of_drafts;
#[cfg(test)]
mod tests_of_holidays;
#[cfg(test)]
mod tests_of_leavers;
#[cfg(test)]
mod tests_of_mrr;
#[cfg(test)]
mod tests_of_nobody;
#[cfg(test)]
mod tests_of_peaks;
#[cfg(test)]
mod tests_of_prices;
#[cfg(test)]
mod tests_of_prices_that_fell;
#[cfg(test)]
mod tests_of_segments;
#[cfg(test)]
mod tests_of_sessions;
#[cfg(test)]
mod tests_of_silences;
#[cfg(test)]
mod tests_of_standstills;
#[cfg(test)]
mod tests_of_straying;
#[cfg(test)]
mod tests_of_turns;
#[cfg(test)]
mod tests_of_unfinished;
#[cfg(test)]
mod tests_of_usage;
#[cfg(test)]
mod tests_of_worse;
#[cfg(test)]
mod tests_of_worth;
mod unfinished;
mod usage;
mod usual;
mod worse;
mod worth;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::intent::PaymentIntent;
use crate::event::invoice::BillingReason;
use crate::event::{Event, EventData, EventType, Family, FamilySet};
use crate::ids::Key;
use crate::ledger::{Fact, InvoiceRecord};
use crate::money::Currency;
use crate::snapshot::{SnapshotError, decode, encode};
use crate::time::{Span, Timestamp};

use counted::Counted;
use currency::{Missing, Step, Watched};
use drafts::Drafts;
use dues::{Billed, Booking, Dues};
use gap::Gap;
use holidays::Holidays;
use hours::{Hours, hour_of};
use mrr::{Change, Mrr};
use prices::{Prices, Told as PricesTold};
use said::{billed, created, discounted, is_unpaid, price, turned};
use segments::{Segments, Told as PartTold};
use terms::Told;
use unfinished::Unfinished;
use usual::Past;

/// How long an event is on its way when nothing is wrong, generously.
const TRANSIT: Span = Span::minutes(2);

/// How far back parts of the sales are looked at.
const PARTS_SEEN: Span = Span::hours(48);

/// Hours between two suppressed findings about the same trouble.
const MUTED_HOURS: i64 = 6;

/// The most currencies watched; further ones are ignored.
const CURRENCIES_MAX: usize = 64;

crate::settings! {
    /// How far below what was expected money must fall, in basis points.
    drop_bps_min: i64 = 1_500, 100 => 10_000;
    /// Subscriptions given up within three hours, where hardly any ever are, must be so many of all, in basis points.
    leavers_bps_min: i64 = 300, 10 => 10_000;
    /// Within how much of what was expected it counts as back, in basis points below it.
    recovery_bps_max: i64 = 1_000, 0 => 10_000;
    /// How likely, in millionths, so few payments may be on a day before they count as chance.
    chance_ppm_max: i64 = 100, 1 => 50_000;
    /// Days that must be known before the absence of sales says anything. Renewals are foretold,
    /// and judged from the first day.
    days_min: i64 = 8, 8 => 35;
    /// Only complete days against the average of the seven before, as the plainest form of
    /// the rule: no weekday, no calendar, no subscriptions, no chance.
    is_literal: bool = false;
    /// The plainest form only: payments a day must have on average before its sum says anything.
    payments_min: i64 = 8, 1 => 1_000_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "revenue_drop",
    description: "Collected more than 15 % below what subscriptions and the usual sales foretold, \
                  by the hour and before the day is over.",
    listens: FamilySet::of(&[
        Family::Charge,
        Family::PaymentIntent,
        Family::CheckoutSession,
        Family::Invoice,
        Family::InvoicePayment,
        Family::Subscription,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<RevenueDrop> = FactoryOf::new(&SPEC);

/// One scope's money, by currency.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RevenueDrop {
    #[serde(skip)]
    settings: Settings,
    watched: BTreeMap<Currency, Watched>,
    dues: Dues,
    drafts: Drafts,
    unfinished: Unfinished,
    mrr: Mrr,
    segments: Segments,
    prices: Prices,
    /// Charges whose payment an intent told first.
    counted: Counted,
    /// The first whole hour that events are known of.
    known_from: Option<i64>,
    judged_day: i64,
    judged_hour: i64,
    /// The hour in which it was last said that trouble with deliveries mutes.
    muted_hour: i64,
    /// The currency that the open incident is named after.
    incident: Option<Currency>,
    /// What was missing when it was last told.
    told_amount: i64,
    told_currencies: usize,
    #[serde(skip)]
    bookings: Vec<Booking>,
}

impl Detector for RevenueDrop {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        self.mrr.judge_anew();
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        self.know(ctx);
        let mut is_first = false;
        for fact in ctx.facts() {
            if let (Fact::Payment(_), EventData::Charge(charge)) = (fact, &event.data) {
                let hour = hour_of(ctx.event_at());
                self.segments.note(charge, hour, CURRENCIES_MAX);
                self.prices.note(charge, event, hour);
            }
            match fact {
                Fact::SubscriptionMet { .. } => is_first = true,
                Fact::Payment(payment) if !self.counted.contains(payment.charge) => {
                    self.take(payment.currency, payment.amount, ctx);
                }
                Fact::SubscriptionChanged { subscription } => {
                    let record = ctx.ledger().subscription(*subscription);
                    let at = ctx.event_at();
                    let discounted = discounted(event);
                    let is_foretold = self.dues.knows(*subscription);
                    let told = Told {
                        at,
                        created: created(event),
                        is_first,
                        is_unpaid: is_unpaid(event),
                    };
                    self.mrr.look(*subscription, record, discounted, told);
                    self.dues.look(
                        *subscription,
                        record,
                        discounted.is_so,
                        at,
                        &mut self.bookings,
                    );
                    if let Some(sent) = turned(event)
                        && let Some(record) = record.filter(|_| !is_foretold)
                    {
                        let invoice = sent.latest_invoice.as_ref().map(|id| id.key());
                        let invoice = invoice.and_then(|key| ctx.ledger().invoice(key));
                        let is_asked = invoice.is_some_and(InvoiceRecord::is_finalized);
                        let bookings = &mut self.bookings;
                        self.dues
                            .turned(*subscription, record, is_asked, at, bookings);
                    }
                }
                Fact::InvoiceFinalized { invoice } => self.take_invoice(*invoice, event, ctx),
                Fact::SubscriptionPaid {
                    subscription,
                    invoice,
                } => self.take_foretold(*subscription, *invoice, event, ctx),
                _ => {}
            }
        }
        self.unfinished.note(event, ctx);
        if let EventData::Invoice(invoice) = &event.data {
            self.drafts.note(invoice, event, ctx);
        }
        if let EventData::PaymentIntent(intent) = &event.data
            && event.event_type == EventType::PaymentIntentSucceeded
        {
            self.take_intent(intent, ctx);
        }
        self.book();
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let horizon = ctx.intake().complete_until(now).min(now - TRANSIT);
        if self.settings.is_literal {
            self.judge_day(horizon, ctx);
            return;
        }
        self.counted.advance_to(now);
        self.tell_muted(ctx);
        let hour = hour_of(horizon);
        let mut ended = None;
        if hour > self.judged_hour {
            // The first hour stands for itself alone.
            ended = Some(if self.judged_hour == 0 {
                1
            } else {
                hour - self.judged_hour
            });
            self.judged_hour = hour;
            self.judge_hour(hour, ctx);
        }
        self.drafts.tick(horizon, ctx);
        self.unfinished.tick(horizon, ctx);
        // What was committed does not wait for the hour's end, but for what may be on its way.
        if ended.is_some() || horizon == now - TRANSIT {
            for change in self.mrr.judge(horizon, ended, &self.settings) {
                match change {
                    Change::Fired(finding) => ctx.fire(*finding),
                    Change::Over(key, reason) => ctx.clear(key, reason),
                }
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

impl RevenueDrop {
    fn watched(&mut self, currency: Currency) -> Option<&mut Watched> {
        if self.watched.len() >= CURRENCIES_MAX && !self.watched.contains_key(&currency) {
            return None;
        }
        Some(self.watched.entry(currency).or_default())
    }

    fn take(&mut self, currency: Currency, amount: i64, ctx: &Context<'_>) {
        let event_at = ctx.event_at();
        if let Some(watched) = self.watched(currency) {
            // When it succeeded, not when it was made: a bank debit is money days later.
            watched.days.take(ctx.calendar().day(event_at), amount);
            watched.sale(event_at, amount, 1);
        }
    }

    /// A payment intent succeeded: that is money, even if its charge is never told.
    fn take_intent(&mut self, intent: &PaymentIntent, ctx: &Context<'_>) {
        let (Some(charge), Some(currency)) = (&intent.latest_charge, intent.currency) else {
            return;
        };
        let key = charge.key();
        let known = ctx.ledger().payment(key);
        let is_told = known.is_some_and(|payment| payment.amount_collected > 0);
        let received = intent.amount_received.filter(|amount| *amount > 0);
        let amount = received.or(intent.amount).unwrap_or_default();
        if !is_told && amount > 0 && !self.counted.contains(key) {
            self.counted.insert(key);
            self.take(currency, amount, ctx);
        }
    }

    fn take_invoice(&mut self, invoice: Key, event: &Event, ctx: &Context<'_>) {
        let record = ctx.ledger().invoice(invoice);
        let regular = record.filter(|record| !record.is_proration_only);
        if let Some(subscription) = regular.and_then(|record| record.subscription) {
            let at = ctx.event_at();
            let known = ctx.ledger().subscription(subscription);
            let price = known.and_then(|known| price(event, known));
            let billed = billed(event, known).map(|billed| Billed { price, ..billed });
            self.dues
                .invoice(subscription, billed, at, &mut self.bookings);
            self.take_used(known, event, at);
        }
    }

    /// A subscription's payment was told as a payment too. Renewals are no sales, foretold or not;
    /// a first payment is one, unless it had weeks to be paid: the later ones of that subscription
    /// come in the same way, and what is usual must not hold some of them.
    fn take_foretold(&mut self, subscription: Key, invoice: Key, event: &Event, ctx: &Context<'_>) {
        let record = ctx.ledger().subscription(subscription);
        let at = ctx.event_at();
        self.dues.pay(
            subscription,
            record,
            billed(event, record),
            at,
            &mut self.bookings,
        );
        let has_term = record.is_some_and(|record| record.payment_term_days > 0);
        let is_sale_or_by_hand = matches!(&event.data, EventData::Invoice(invoice)
            if invoice.is_paid_out_of_band
                || invoice.billing_reason == BillingReason::SubscriptionCreate && !has_term);
        let amount = ctx
            .ledger()
            .invoice(invoice)
            .map_or(0, |record| record.amount_paid);
        if let (false, 1.., Some(currency)) = (
            is_sale_or_by_hand,
            amount,
            record.and_then(|record| record.currency),
        ) && let Some(watched) = self.watched(currency)
        {
            watched.sale(at, amount.saturating_neg(), -1);
        }
    }

    /// Notes from when on everything is known. A few events of long ago that are sent again do not show what else there was.
    fn know(&mut self, ctx: &Context<'_>) {
        if !ctx.is_sent_again() {
            let hour = hour_of(ctx.event_at()) + 1;
            self.known_from = Some(self.known_from.map_or(hour, |known| known.min(hour)));
        }
    }

    fn book(&mut self) {
        if self.bookings.is_empty() {
            return;
        }
        let bookings = std::mem::take(&mut self.bookings);
        for booking in &bookings {
            if let Some(watched) = self.watched(booking.currency) {
                watched.hours.book(booking);
            }
        }
        self.bookings = bookings;
        self.bookings.clear();
    }

    fn judge_hour(&mut self, hour: i64, ctx: &mut Context<'_>) {
        let horizon = Timestamp::EPOCH + Span::hours(hour);
        self.dues.book_until(horizon, &mut self.bookings);
        self.book();
        let past = self.past(hour, ctx);
        let mut missing: Vec<(Currency, Missing)> = Vec::new();
        let mut muted = Vec::new();
        let mut over = None;
        for (currency, watched) in &mut self.watched {
            let past = Past {
                is_gift_told: self.mrr.has_told(*currency, horizon),
                holidays: Holidays::before(hour, *currency, ctx.calendar()),
                known_from: watched.known_from(past.known_from),
                ..past
            };
            let blind = |gap: &Gap, hours: &Hours| mute::lost(ctx, gap, hours, hour);
            match watched.judge(*currency, past, hour, &self.settings, blind) {
                Step::Calm => {
                    if let Some(gap) = watched.stays_at_home(past, hour, &self.settings) {
                        let message = format!(
                            "{} payments in {} hours where {:.0} are usual: on a holiday people may stay at home",
                            gap.sales, gap.hours, gap.sales_expected
                        );
                        ctx.suppress("holiday", Some(currency.as_str()), message);
                    }
                }
                Step::Muted(trouble) => muted.push((*currency, trouble)),
                Step::Missing(one) => missing.push((*currency, one)),
                Step::Over(reason) => over = Some(reason),
            }
            if let Some(gap) = watched.dunning(hour, &self.settings) {
                let asked = gap.due - gap.paid - gap.silent;
                let message = format!(
                    "{asked} of {} renewals of 24 hours were asked for and are not paid yet: \
                     declined and tried again, or bank debits under way",
                    gap.due
                );
                ctx.suppress("dunning", Some(currency.as_str()), message);
            }
        }
        if missing.is_empty() && self.incident.is_none() && over.is_none() {
            match self.nobody_pays(hour, ctx) {
                Ok(unpaid) => missing = unpaid,
                Err(trouble) => muted.push(trouble),
            }
        }
        for (currency, trouble) in muted {
            if hour <= self.muted_hour {
                continue;
            }
            self.muted_hour = hour + MUTED_HOURS;
            let message = format!("{trouble}: what is missing from it proves nothing");
            ctx.suppress(trouble.reason(), Some(currency.as_str()), message);
        }
        if self.incident.is_none() {
            missing.retain(|(currency, _)| !self.prices.have_told(*currency, hour));
        }
        self.tell(&missing, ctx);
        let is_open = self.watched.values().any(|one| one.incident.is_some());
        if let (false, Some(reason)) = (is_open, over)
            && let Some(key) = self.incident.take()
        {
            ctx.clear(key.as_str(), reason);
            (self.told_amount, self.told_currencies) = (0, 0);
        }
        self.judge_parts(hour, ctx);
    }

    /// Looks at the countries and ways of paying that sales come from.
    fn judge_parts(&mut self, hour: i64, ctx: &mut Context<'_>) {
        let horizon = Timestamp::EPOCH + Span::hours(hour);
        let silences = ctx
            .intake()
            .silences(Family::Charge, horizon - PARTS_SEEN, horizon);
        let unseen: Vec<(i64, i64)> = silences
            .map(|one| {
                (
                    hour_of(one.since),
                    hour_of(one.back_at.unwrap_or(horizon)) + 1,
                )
            })
            .collect();
        let watched = &self.watched;
        let is_told = |currency| {
            watched
                .get(&currency)
                .is_some_and(|one| one.incident.is_some())
        };
        for told in self.prices.judge(hour, is_told) {
            match told {
                PricesTold::Fell(finding) => ctx.fire(*finding),
                PricesTold::Over(key, reason) => ctx.clear(key, reason),
            }
        }
        for told in self.segments.judge(hour, &unseen, is_told, &self.settings) {
            match told {
                PartTold::Gone(finding) => ctx.fire(*finding),
                PartTold::Over(key, reason) => ctx.clear(key, reason),
                PartTold::Moved(currency, message) => {
                    ctx.suppress("paid_otherwise", Some(currency.as_str()), message);
                }
            }
        }
    }

    fn tell(&mut self, missing: &[(Currency, Missing)], ctx: &mut Context<'_>) {
        let Some((first, _)) = missing
            .iter()
            .min_by(|(_, a), (_, b)| a.gap.chance.total_cmp(&b.gap.chance))
        else {
            return;
        };
        let is_new = self.incident.is_none();
        let key = *self.incident.get_or_insert(*first);
        let Some((_, chief)) = missing.iter().find(|(currency, _)| *currency == key) else {
            return;
        };
        // Told again when the loss grew by a quarter, or reached a further currency.
        let is_more = chief.lost >= self.told_amount.saturating_add(self.told_amount / 4)
            || missing.len() > self.told_currencies
            || chief.is_worse;
        if !is_new && !is_more {
            return;
        }
        (self.told_amount, self.told_currencies) = (chief.lost, missing.len());
        if let Some(mut finding) = tell::describe(key, missing, &self.settings) {
            finding.occurrences = u64::from(is_new);
            finding.is_news = chief.is_worse;
            if chief.is_worse {
                let reason = "it became worse: newer hours bring half of what it left, or less";
                finding.evidence.reasons.push(reason.to_owned());
            }
            ctx.fire(finding);
        }
    }

    /// While events are missing or late no new hour is judged; says so when that keeps it quiet.
    fn tell_muted(&mut self, ctx: &mut Context<'_>) {
        let Some(trouble) = ctx.intake().trouble().cloned() else {
            return;
        };
        let hour = hour_of(ctx.now());
        if hour <= self.muted_hour {
            return;
        }
        self.muted_hour = hour;
        let past = self.past(hour, ctx);
        for (currency, watched) in &self.watched {
            let past = Past {
                is_gift_told: self.mrr.has_told(*currency, ctx.now()),
                holidays: Holidays::before(hour, *currency, ctx.calendar()),
                known_from: watched.known_from(past.known_from),
                ..past
            };
            if watched.would_miss(past, hour, &self.settings) {
                let message = format!("{trouble}: what is missing may be on its way");
                ctx.suppress(trouble.reason(), Some(currency.as_str()), message);
                self.muted_hour = hour + MUTED_HOURS;
            }
        }
    }

    fn past<'a>(&self, hour: i64, ctx: &Context<'a>) -> Past<'a> {
        Past {
            calendar: ctx.calendar(),
            known_from: self.known_from.unwrap_or(hour),
            hours_min: self.settings.days_min * 24,
            is_gift_told: false,
            holidays: Holidays::default(),
        }
    }
}
