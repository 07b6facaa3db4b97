//! Share of failed payment attempts over a rolling hour, and card testing.
//!
//! Opens `all` when more than `rate_bps_max` of the attempts of the last hour (or of one of
//! seven shorter and longer windows) failed **and** so many failures are implausible at this merchant's
//! own usual rate for the hour of the week and the mix of renewals and checkouts. Opens
//! `card_testing` when many cards are tried in vain, with the marks of that trade. Both close when
//! things went well again; silence opens nothing, and closes only after days.
//!
//! An attempt is a charge that succeeded or failed, or an intent that failed before any charge was
//! made (3-D Secure). Left out: further tries of a purchase that failed before (dunning, a buyer
//! retyping a card), [payers whose failing is known](known), charges that Radar blocked before any issuer
//! saw them, and further failures of the same card or customer within the hour.

mod attack;
mod clockwork;
mod failures;
mod judge;
mod known;
mod minutes;
mod purchases;
mod recovery;
mod report;
mod returns;
mod usual;
mod words_seen;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_clockwork;
#[cfg(test)]
mod tests_of_invoices;
#[cfg(test)]
mod tests_of_known;
#[cfg(test)]
mod tests_of_one_purchase;
#[cfg(test)]
mod tests_of_returns;
#[cfg(test)]
mod tests_of_strangers;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, EventData, EventType, Family, FamilySet};
use crate::ids::Key;
use crate::ledger::{AttemptFact, Fact};
use crate::money::Currency;
use crate::snapshot::{SnapshotError, decode, encode};
use crate::stats::AmountHistogram;
use crate::time::{Span, Timestamp};

use super::words::{charge_of, decline_code};
use clockwork::Clockwork;
use failures::{ATTEMPT_EXPIRED, Failure, Failures, Refusal, Who, object_of};
use judge::{Bench, Verdict, may_be_usual};
use known::Known;
use minutes::{Counts, Hand, Minutes};
use purchases::Purchases;
use recovery::Course;
use returns::Returns;
use usual::Usual;

/// How long attempts are remembered by the minute: as long as the longest window that is judged,
/// and as long again for the decision whether they are to be learned from. Busy merchants' leave
/// earlier.
const KEPT: Span = Span::hours(24);

/// How long after its last card an attack is over.
const TESTING_QUIET: Span = Span::hours(1);

/// An incident this long is what is usual from then on.
const USUAL_AFTER: Span = Span::days(7);

/// An amount this many times below the usual one is tiny.
const TINY_PARTS: i64 = 4;

/// Amounts in a currency without which none is called tiny.
const AMOUNTS_MIN: u64 = 30;

/// Currencies whose usual amounts are known; further ones have no tiny amounts.
const CURRENCIES_MAX: usize = 16;

/// How often a harmless hour is explained: a merchant may live above the line.
const EXPLAIN_EVERY: Span = Span::days(1);

crate::settings! {
    /// Length of the rolling window, in seconds. Parts down to a twelfth, and up to twelve times of it, are judged as well.
    window_secs: i64 = 3_600, 300 => 86_400;
    /// Failure rate above which a window is suspicious, in basis points. Healthy card businesses
    /// see 2 to 10 %.
    rate_bps_max: i64 = 1_500, 100 => 10_000;
    /// Failure rate at or below which it is over, in basis points; a quarter above the usual rate
    /// where that is more. Lower than the opening rate, so that the alert does not flap.
    recovery_bps_max: i64 = 1_000, 0 => 10_000;
    /// Different payers that must fail before anything is said: two chance declines are no spike.
    /// Three are enough where machines failed and not cards.
    failures_min: i64 = 4, 2 => 10_000;
    /// How many alerts a year may come by chance alone. The more attempts, the less likely each must be.
    chance_alerts_per_year: i64 = 1, 1 => 1_000;
    /// Cards with a mark of card testing within the window, or cards declined on one purchase within a
    /// day (six at least), before it is called so.
    testing_cards_min: i64 = 8, 3 => 10_000;
    /// Whether Stripe's test mode is judged: cards are declined there on purpose.
    test_mode: bool = false;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "charge_failure_spike",
    description: "The share of failed payment attempts over a rolling hour is above 15 % and \
                  implausible for this merchant, or somebody tests cards.",
    listens: FamilySet::of(&[
        Family::Charge,
        Family::PaymentIntent,
        Family::SetupIntent,
        Family::Invoice,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<ChargeFailureSpike> = FactoryOf::new(&SPEC);

/// An open alert.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Incident {
    severity: Severity,
    opened_at: Timestamp,
    /// Where the window that opened it begins.
    since: Timestamp,
    /// The usual rate then: the incident must not become its own yardstick.
    usual: f64,
    unreported: u64,
    is_testing: bool,
    /// Nothing was known when it opened, and it looks like a merchant whose cards are declined a lot:
    /// it may be what is usual, and is learned from.
    is_cold: bool,
    course: Course,
}

/// One scope's attempts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ChargeFailureSpike {
    #[serde(skip)]
    settings: Settings,
    minutes: Minutes,
    failures: Failures,
    known: Known,
    purchases: Purchases,
    usual: Usual,
    /// The newest attempts since the alert opened, true where failed.
    recent: VecDeque<bool>,
    last_failed_at: Timestamp,
    amounts: Vec<(Currency, AmountHistogram)>,
    /// Attempts by brand and by country, as numbered with the failures.
    seen_brands: Vec<u64>,
    seen_countries: Vec<u64>,
    spike: Option<Incident>,
    testing: Option<Incident>,
    /// Until then cards were tried in an attack that was told as a spike.
    attack_told_until: Timestamp,
    day: i64,
    explained_at: Timestamp,
    clockwork: Clockwork,
    returns: Returns,
}

impl Detector for ChargeFailureSpike {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        let settings = Settings::read(values);
        if settings.recovery_bps_max > settings.rate_bps_max {
            return Err(SettingsError::Combination {
                detector: SPEC.name.to_owned(),
                reason: "recovery_bps_max must not be above rate_bps_max".to_owned(),
            });
        }
        self.settings = settings;
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        debug_assert!(ctx.scope().livemode || self.settings.test_mode);
        if event.event_type == EventType::SetupIntentFailed {
            self.take_setup(event, ctx);
            return;
        }
        self.returns.hear(event);
        for fact in ctx.facts() {
            if let Fact::Attempt(attempt) = fact {
                if attempt.is_failed {
                    self.returns.fail(attempt, event, &self.settings, ctx);
                }
                self.take(attempt, event, ctx);
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        self.failures.advance_to(now, now - KEPT);
        self.known.advance_to(now);
        self.purchases.advance_to(now);
        while let Some(minute) = self.minutes.pop_before(now - KEPT) {
            self.usual.learn(&minute, ctx.calendar());
        }
        if now.day() != self.day {
            self.day = now.day();
            self.usual.fade();
        }
        if self.spike.is_some() {
            self.tick_spike(ctx);
        }
        if self.testing.is_some() {
            self.tick_testing(ctx);
        }
        self.returns.tick(&self.settings, ctx);
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

impl ChargeFailureSpike {
    fn take(&mut self, attempt: &AttemptFact, event: &Event, ctx: &mut Context<'_>) {
        let who = Who::of(event);
        if let (false, Some(payer)) = (attempt.is_failed, who.payer()) {
            self.known.pays(payer, attempt.at);
        }
        if attempt.is_retry {
            if attempt.is_failed {
                let message = "a further try of a purchase that failed before";
                ctx.suppress("retry_of_failed_purchase", Some(object_of(event)), message);
            }
            // Testers try many cards on one purchase; a buyer who types three is told by the number.
            if !attempt.is_failed || Hand::of(event) == Hand::Renewal {
                return;
            }
        }
        let hand = Hand::of(event);
        let code = decline_code(event);
        if attempt.is_failed && code == ATTEMPT_EXPIRED {
            return;
        }
        if attempt.is_blocked {
            let message = "Radar blocked a charge before any issuer saw it";
            ctx.suppress("radar_blocked", charge_of(event), message);
        }
        if ctx.now().since(attempt.at) >= KEPT {
            // It says nothing about the present any more, and still shows what is usual.
            if !attempt.is_blocked && !attempt.is_retry {
                let failed = u64::from(attempt.is_failed);
                let technical = failed * u64::from(failures::is_technical(code));
                let counts = Counts {
                    all: 1,
                    failed,
                    technical,
                };
                self.usual
                    .learn_one(attempt.at, hand, counts, ctx.calendar());
            }
            return;
        }
        let brand = self.failures.brands.number(who.brand());
        let country = self.failures.countries.number(who.country());
        if !attempt.is_failed {
            count(&mut self.seen_brands, brand);
            count(&mut self.seen_countries, country);
            let is_checkout = hand == Hand::Checkout;
            let is_tiny = is_checkout && self.is_tiny(attempt.currency, attempt.amount);
            self.know_amount(attempt.currency, attempt.amount);
            let sums = &mut self.minute(attempt.at).sums;
            sums.of(hand).all += 1;
            sums.tiny_paid += u64::from(is_tiny);
            self.remember(false);
            return;
        }
        let (is_new_payer, is_new_card) = self.failures.meet(&who, attempt.charge);
        let mut is_counted = !attempt.is_blocked && !attempt.is_retry;
        let is_known =
            is_counted && is_new_payer && self.is_known(&who, attempt.at, code, event, ctx);
        let failure = Failure {
            at: attempt.at,
            hand,
            refusal: if attempt.is_blocked {
                Refusal::Blocked
            } else {
                Refusal::Declined
            },
            amount: attempt.amount,
            currency: Some(attempt.currency),
            code: self.failures.codes.number(code),
            brand,
            country,
            is_new_payer: is_new_payer && !attempt.is_retry && !is_known,
            is_new_card,
        };
        self.failures.push(failure, event, object_of(event));
        if !is_new_payer && is_counted {
            let message = "a payer that failed within the hour failed again";
            ctx.suppress("same_payer", Some(object_of(event)), message);
        }
        is_counted &= !is_known;
        if is_new_payer && is_counted {
            count(&mut self.seen_brands, brand);
            count(&mut self.seen_countries, country);
            let counts = self.minute(attempt.at).sums.of(hand);
            counts.all += 1;
            counts.failed += 1;
            counts.technical += u64::from(failures::is_technical(code));
            self.last_failed_at = self.last_failed_at.max(attempt.at);
            self.remember(true);
            if let Some(incident) = &mut self.spike {
                incident.unreported += 1;
            }
        }
        // Where no charge was made no issuer was asked: that tries no card.
        if is_new_card && hand == Hand::Checkout && !attempt.is_uncharged {
            let card = (attempt.purchase, who.card());
            self.count_card(&failure, code, card);
        }
        if is_new_payer || is_new_card {
            self.judge(ctx);
        }
    }

    /// A card could not be saved.
    fn take_setup(&mut self, event: &Event, ctx: &mut Context<'_>) {
        let EventData::SetupIntent(intent) = &event.data else {
            return;
        };
        let at = ctx.event_at();
        if ctx.now().since(at) >= KEPT {
            return;
        }
        let who = Who::of(event);
        let (is_new_payer, is_new_card) = self.failures.meet(&who, intent.id.key());
        if !is_new_card {
            let message = "a card or customer that failed within the hour failed again";
            ctx.suppress("same_payer", Some(intent.id.as_str()), message);
            return;
        }
        let code = intent.error_code.as_deref().unwrap_or("unknown");
        let failure = Failure {
            at,
            hand: Hand::Checkout,
            refusal: Refusal::SetUp,
            amount: 0,
            currency: None,
            code: self.failures.codes.number(code),
            brand: self.failures.brands.number(who.brand()),
            country: self.failures.countries.number(who.country()),
            is_new_payer,
            is_new_card,
        };
        self.failures.push(failure, event, intent.id.as_str());
        self.count_card(&failure, code, (intent.id.key(), who.card()));
        self.judge(ctx);
    }

    /// A card was tried in vain at a checkout, on a purchase or to be saved.
    fn count_card(&mut self, failure: &Failure, code: &str, (on, card): (Key, Option<Key>)) {
        let cards_of_one = self.purchases.declined(on, card, failure.at);
        let is_tiny = failure
            .currency
            .is_some_and(|currency| self.is_tiny(currency, failure.amount));
        let sums = &mut self.minute(failure.at).sums;
        sums.cards += 1;
        sums.tiny += u64::from(is_tiny);
        sums.guessed += u64::from(failures::is_guessed(code));
        match failure.refusal {
            Refusal::Declined => {}
            Refusal::Blocked => sums.blocked += 1,
            Refusal::SetUp => sums.setups += 1,
        }
        let is_declined = failure.refusal == Refusal::Declined;
        let is_of_one = cards_of_one >= purchases::MARKED_FROM;
        sums.of_one += u64::from(is_of_one && is_declined);
        sums.most_of_one = sums.most_of_one.max(cards_of_one);
        let is_marked = is_tiny || is_of_one || !is_declined;
        sums.marked += u64::from(is_marked);
        if let Some(incident) = &mut self.testing {
            incident.unreported += 1;
        }
    }

    /// The minute of an attempt; it is no example for what is usual while an alert is open.
    fn minute(&mut self, at: Timestamp) -> &mut minutes::Minute {
        let is_young =
            |incident: &Incident| at.since(incident.opened_at) < USUAL_AFTER && !incident.is_cold;
        let is_tainted = self.spike.as_ref().is_some_and(is_young)
            || self.testing.as_ref().is_some_and(is_young);
        let is_attack = self.testing.is_some_and(|incident| at > incident.since);
        let minute = self.minutes.entry(at);
        minute.is_tainted |= is_tainted;
        minute.is_attack |= is_attack;
        minute
    }

    fn know_amount(&mut self, currency: Currency, amount: i64) {
        let known = self
            .amounts
            .iter()
            .position(|(known, _)| *known == currency);
        let index = known.unwrap_or_else(|| {
            if self.amounts.len() < CURRENCIES_MAX {
                self.amounts.push((currency, AmountHistogram::default()));
            }
            self.amounts.len() - 1
        });
        if let Some((_, histogram)) = self
            .amounts
            .get_mut(index)
            .filter(|(known, _)| *known == currency)
        {
            histogram.add(amount);
        }
    }

    /// Far below what is usually paid in this currency.
    fn is_tiny(&mut self, currency: Currency, amount: i64) -> bool {
        let mut known = self.amounts.iter_mut();
        let known = known.find(|(known, _)| *known == currency);
        known.is_some_and(|(_, histogram)| {
            histogram.total() >= AMOUNTS_MIN
                && amount.saturating_mul(TINY_PARTS) <= histogram.middle()
        })
    }

    const fn bench<'a>(&'a self, ctx: &Context<'a>) -> Bench<'a> {
        Bench {
            settings: &self.settings,
            usual: &self.usual,
            minutes: &self.minutes,
            failures: &self.failures,
            calendar: ctx.calendar(),
        }
    }

    /// Something failed anew. While an alert is open the tick looks on: an attack must not cost more
    /// than peace.
    fn judge(&mut self, ctx: &mut Context<'_>) {
        if self.spike.is_none() && self.testing.is_none() {
            self.look(ctx);
        }
    }

    fn look(&mut self, ctx: &mut Context<'_>) {
        self.leave_clockwork();
        self.minutes.add_up();
        let testing = self.bench(ctx).testing();
        if let Some(verdict) = testing.filter(|verdict| self.is_untold(verdict)) {
            let from = self.minutes.newest_at() - verdict.window - TESTING_QUIET;
            match &mut self.spike {
                // One incident, one alert: what was told as a spike turns out to be testing. One that
                // is older has another cause, and may be open only because nobody paid since.
                Some(spike) if spike.is_testing || spike.opened_at >= from => {
                    spike.is_testing = true;
                }
                _ => self.open_testing(&verdict, ctx),
            }
        }
        match self.bench(ctx).failing() {
            Some(verdict) if self.is_attack(&verdict) => self.open_testing(&verdict, ctx),
            Some(verdict) if self.is_clockwork(&verdict, ctx) => {}
            Some(verdict) => self.open_spike(&verdict, ctx),
            None => self.explain(ctx),
        }
    }

    fn open_spike(&mut self, verdict: &Verdict, ctx: &mut Context<'_>) {
        let is_news = self
            .spike
            .is_none_or(|known| verdict.severity > known.severity);
        if !is_news {
            return;
        }
        let since = self.minutes.newest_at() - verdict.window;
        let known = self.spike.get_or_insert(Incident {
            severity: verdict.severity,
            opened_at: ctx.now(),
            since,
            usual: verdict.usual.share,
            unreported: verdict.sums.both().failed,
            is_testing: false,
            is_cold: self.usual.is_unknown() && may_be_usual(verdict),
            course: Course::of(verdict.sums.both()),
        });
        known.severity = verdict.severity;
        let is_cold = known.is_cold;
        if known.opened_at == ctx.now() {
            self.recent.clear();
            for minute in self.minutes.since_mut(since) {
                minute.is_tainted |= !is_cold;
            }
        }
        self.report_spike(verdict, ctx);
    }

    /// Says why an hour above the line is none, now and then.
    fn explain(&mut self, ctx: &mut Context<'_>) {
        if self.spike.is_some()
            || self.testing.is_some()
            || ctx.now().since(self.explained_at) < EXPLAIN_EVERY
        {
            return;
        }
        let bench = self.bench(ctx);
        let window = bench.window();
        if !bench.may_be_above(window) {
            return;
        }
        let Some(seen) = bench.weigh(window, self.minutes.spike_sums(window)) else {
            return;
        };
        self.explained_at = ctx.now();
        let message = report::plausible(&seen);
        ctx.suppress("plausible_here", None, message);
    }

    fn tick_spike(&mut self, ctx: &mut Context<'_>) {
        let Some(incident) = self.spike else {
            return;
        };
        if let Some(reason) = self.recovered(&incident, ctx) {
            self.spike = None;
            if incident.is_testing {
                self.attack_told_until = self.last_failed_at;
            }
            self.minutes.begin_anew();
            ctx.clear("all", reason);
            return;
        }
        let usual = self.usual_share(ctx);
        if let Some(incident) = &mut self.spike {
            incident.course.know_usual(usual);
        }
        if incident.unreported > 0 {
            self.look(ctx);
            self.report_growth(ctx);
        }
    }
}

fn count(counts: &mut Vec<u64>, number: u16) {
    let index = usize::from(number);
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    counts[index] = counts[index].saturating_add(1);
}
