//! What is found, in words and figures.

use std::collections::BTreeMap;

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::money::{Currency, Money};
use crate::time::Span;

use super::super::words::{as_f64, bps_of, percent};
use super::failures::{Failure, Refusal, is_technical};
use super::judge::{Verdict, rate_bps};
use super::minutes::{Hand, Sums};
use super::purchases::MARKED_FROM;
use super::words_seen::WordsSeen;
use super::{ChargeFailureSpike, KEPT};

/// Attempts without which the usual rate is an assumption.
const KNOWN_MIN: f64 = 40.0;

/// How far above its usual share one brand or country must be among the failures to be named.
const NAMED_ABOVE_BPS: i64 = 3_500;

/// The code of an intent whose payer did not get through 3-D Secure (Stripe docs: Error codes).
const UNAUTHENTICATED: &str = "payment_intent_authentication_failure";

/// The most words of one kind in the evidence.
const WORDS_TOLD: usize = 5;

/// A usual rate in basis points, and a quarter above it.
pub(super) fn with_margin(share: f64) -> i64 {
    bps_of(share * 1.25)
}

/// Why a window above the line is none.
pub(super) fn plausible(seen: &Verdict) -> String {
    let counts = seen.sums.both();
    format!(
        "{} of {} payment attempts failed within {} ({}), which chance alone may bring where {} is \
         usual (probability {:.1e})",
        counts.failed,
        counts.all,
        seen.window,
        percent(rate_bps(counts.failed, counts.all)),
        percent(bps_of(seen.usual.share)),
        seen.chance,
    )
}

impl ChargeFailureSpike {
    /// The spike opened or became worse.
    pub(super) fn report_spike(&mut self, verdict: &Verdict, ctx: &mut Context<'_>) {
        let Some(incident) = self.spike else {
            return;
        };
        let mut finding = self.spike_finding(verdict.window, &verdict.sums, incident.usual);
        finding.severity = incident.severity;
        finding.anomaly_score = anomaly_score(verdict.chance);
        finding.occurrences = self
            .spike
            .as_mut()
            .map_or(0, |incident| std::mem::take(&mut incident.unreported));
        let counts = verdict.sums.both();
        let reason = if verdict.is_technical {
            format!(
                "{} of {} attempts failed for technical reasons, which comes by chance with \
                 probability {:.1e}",
                counts.technical, counts.all, verdict.chance
            )
        } else {
            format!(
                "at the usual rate so many failures come by chance with probability {:.1e}",
                verdict.chance
            )
        };
        finding.evidence.reasons.push(reason);
        self.finish(finding, ctx);
    }

    /// The spike goes on.
    pub(super) fn report_growth(&mut self, ctx: &mut Context<'_>) {
        let Some(incident) = self.spike.filter(|incident| incident.unreported > 0) else {
            return;
        };
        let window = Span::secs(self.settings.window_secs);
        let sums = self.minutes.spike_sums(window);
        let mut finding = self.spike_finding(window, &sums, incident.usual);
        finding.severity = incident.severity;
        finding.anomaly_score = 0.0;
        finding.occurrences = incident.unreported;
        if let Some(incident) = &mut self.spike {
            incident.unreported = 0;
        }
        self.finish(finding, ctx);
    }

    fn spike_finding(&self, window: Span, sums: &Sums, usual: f64) -> Finding {
        let counts = sums.both();
        let remembered = self.minutes.spike_sums(KEPT).both().minus(counts);
        let is_assumed = self.usual.known() + as_f64(remembered.all) < KNOWN_MIN;
        let (rate, usual) = (rate_bps(counts.failed, counts.all), bps_of(usual));
        let mut finding = Finding::new("all", Severity::Medium, "Charge failures are spiking");
        finding.message = format!(
            "{} of {} payment attempts failed within {window} ({}), where {} is {}",
            counts.failed,
            counts.all,
            percent(rate),
            percent(usual),
            if is_assumed {
                "assumed to be usual until more is known"
            } else {
                "usual"
            },
        );
        let from = self.minutes.newest_at() - window;
        let is_counted =
            |failure: &&Failure| failure.is_new_payer && failure.refusal == Refusal::Declined;
        let failed: Vec<&Failure> = self.failures.since(from).filter(is_counted).collect();
        if let Some((currency, amount)) = money_of(&failed) {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
            finding.message += &format!("; {} did not come in", Money::new(amount, currency));
        }
        if let Some(looks) = self.looks_like(&failed) {
            finding.message += &format!(". {looks}");
        }
        finding.evidence.measures = vec![
            Measure::new("failure_rate", rate, Unit::BasisPoints)
                .expected(usual)
                .threshold(self.settings.rate_bps_max),
            count_of("failed_payers", counts.failed).threshold(self.settings.failures_min),
            count_of("attempts", counts.all),
            count_of("failed_renewals", sums.renewal.failed),
            Measure::new("window", window.as_secs(), Unit::Seconds),
        ];
        self.add_splits(&mut finding, &failed);
        finding
    }

    /// Somebody tries cards, or goes on to.
    pub(super) fn report_testing(
        &mut self,
        window: Span,
        chance: Option<f64>,
        ctx: &mut Context<'_>,
    ) {
        let Some(incident) = self.testing.as_mut().filter(|open| open.unreported > 0) else {
            return;
        };
        let (severity, occurrences) = (incident.severity, std::mem::take(&mut incident.unreported));
        let sums = self.minutes.sums(window);
        let from = self.minutes.newest_at() - window;
        let is_try = |failure: &&Failure| failure.hand == Hand::Checkout;
        let tries: Vec<&Failure> = self.failures.since(from).filter(is_try).collect();
        let mut finding = Finding::new("card_testing", severity, "Somebody is testing cards");
        finding.anomaly_score = chance.map_or(0.0, anomaly_score);
        finding.occurrences = occurrences;
        finding.message = self.testing_message(window, &sums, tries.len() as u64);
        finding.evidence.measures = vec![
            count_of("cards", sums.cards),
            count_of("marked_cards", sums.marked).threshold(self.settings.testing_cards_min),
            count_of("tries", sums.tries()),
            count_of("blocked", sums.blocked),
            count_of("failed_setups", sums.setups),
            count_of("tiny_amounts", sums.tiny),
            Measure::new("window", window.as_secs(), Unit::Seconds),
        ];
        if sums.most_of_one >= MARKED_FROM {
            let measure = count_of("cards_on_one_purchase", sums.most_of_one);
            finding.evidence.measures.push(measure);
        }
        if let Some(chance) = chance {
            finding.evidence.reasons.push(format!(
                "at the usual rate so many come by chance with probability {chance:.1e}"
            ));
        }
        self.add_splits(&mut finding, &tries);
        self.finish(finding, ctx);
    }

    fn testing_message(&self, window: Span, sums: &Sums, tries: u64) -> String {
        let mut signs = Vec::new();
        let on_one = if sums.most_of_one >= MARKED_FROM {
            sums.most_of_one
        } else {
            0
        };
        for (number, what) in [
            (on_one, "on one purchase within a day"),
            (sums.tiny, "with amounts far below the usual"),
            (sums.blocked, "blocked by Radar"),
            (sums.setups, "being saved"),
            (sums.guessed, "declined as guessed or reported cards are"),
        ] {
            if number > 0 {
                signs.push(format!("{number} {what}"));
            }
        }
        let each = as_f64(tries) / as_f64(sums.cards.max(1));
        format!(
            "{} cards were tried in vain within {window}, each {each:.1} times: {}; {} of {} tries \
             succeeded. This is what card testing looks like",
            sums.cards,
            signs.join(", "),
            sums.tries() - sums.cards,
            sums.tries(),
        )
    }

    /// What the failures have in common, in words.
    fn looks_like(&self, failed: &[&Failure]) -> Option<String> {
        let all = failed.len() as u64;
        if self.spike.is_some_and(|incident| incident.is_testing) {
            return Some("Many cards were tried with the marks of card testing".to_owned());
        }
        let (code, count) = self
            .failures
            .codes
            .top(failed.iter().map(|failure| failure.code), 1)
            .first()
            .copied()?;
        let technical = failed
            .iter()
            .filter(|failure| is_technical(self.failures.codes.word(failure.code)))
            .count() as u64;
        if 2 * technical > all {
            let whose = if code == "issuer_not_available" {
                "issuers that cannot be reached"
            } else {
                "an outage of the gateway or processor"
            };
            return Some(format!(
                "It looks like {whose}: {technical} of {all} failed for technical reasons, most as {code}"
            ));
        }
        if code == UNAUTHENTICATED && 2 * count > all {
            return Some(format!(
                "It looks like an outage of 3-D Secure: {count} of {all} failed to authenticate, \
                 before any charge was made"
            ));
        }
        for (words, seen, number) in [
            (
                &self.failures.brands,
                &self.seen_brands,
                (|failure: &Failure| failure.brand) as fn(&Failure) -> u16,
            ),
            (&self.failures.countries, &self.seen_countries, |failure| {
                failure.country
            }),
        ] {
            let numbers = failed.iter().map(|failure| number(failure));
            if let Some(named) = stands_out(words, seen, numbers, all) {
                return Some(named);
            }
        }
        let renewals = failed
            .iter()
            .filter(|failure| failure.hand == Hand::Renewal)
            .count() as u64;
        if renewals == all {
            return Some(format!("All are renewals, most declined as {code}"));
        }
        Some(format!("{count} of {all} were declined as {code}"))
    }

    fn add_splits(&self, finding: &mut Finding, failed: &[&Failure]) {
        let details = &mut finding.evidence.details;
        let failures = &self.failures;
        for (kind, words, number) in [
            (
                "decline_code",
                &failures.codes,
                (|failure: &Failure| failure.code) as fn(&Failure) -> u16,
            ),
            ("brand", &failures.brands, |failure| failure.brand),
            ("country", &failures.countries, |failure| failure.country),
        ] {
            let top = words.top(failed.iter().map(|failure| number(failure)), WORDS_TOLD);
            if top
                .first()
                .is_none_or(|(word, _)| top.len() == 1 && *word == "unknown")
            {
                continue;
            }
            for (word, count) in top {
                details.insert(format!("{kind}.{word}"), count.to_string());
            }
        }
        for (currency, (count, _)) in by_currency(failed) {
            details.insert(format!("currency.{currency}"), count.to_string());
        }
        let cards = failed.iter().filter(|failure| failure.is_new_card).count();
        details.insert("distinct_cards".to_owned(), cards.to_string());
    }

    fn finish(&mut self, mut finding: Finding, ctx: &mut Context<'_>) {
        let (event_ids, object_ids) = self.failures.take_ids();
        finding.evidence.event_ids = event_ids;
        finding.evidence.object_ids = object_ids;
        ctx.fire(finding);
    }
}

/// The brand or country that far more of the failures have than of all attempts.
fn stands_out(
    words: &WordsSeen,
    seen: &[u64],
    numbers: impl Iterator<Item = u16>,
    all: u64,
) -> Option<String> {
    let numbers: Vec<u16> = numbers.collect();
    let (word, count) = words.top(numbers.iter().copied(), 1).first().copied()?;
    if word == "unknown" || all < 4 {
        return None;
    }
    let number = numbers.iter().find(|number| words.word(**number) == word)?;
    let usual = rate_bps(
        seen.get(usize::from(*number)).copied().unwrap_or_default(),
        seen.iter().sum(),
    );
    let share = rate_bps(count, all);
    (share - usual >= NAMED_ABOVE_BPS).then(|| {
        format!(
            "It looks like a matter of some issuers: {} of the failures are {word}, which has {} of \
             all attempts",
            percent(share),
            percent(usual)
        )
    })
}

fn count_of(name: &str, count: u64) -> Measure {
    Measure::new(name, i64::try_from(count).unwrap_or(i64::MAX), Unit::Count)
}

/// Failures and their money by currency, in order of currency; at most as many as there are.
fn by_currency(failed: &[&Failure]) -> BTreeMap<Currency, (u64, i64)> {
    let mut sums = BTreeMap::<Currency, (u64, i64)>::new();
    for failure in failed {
        if let Some(currency) = failure.currency {
            let sum = sums.entry(currency).or_default();
            *sum = (sum.0 + 1, sum.1.saturating_add(failure.amount));
        }
    }
    sums
}

/// The currency most of the failed money is in, and how much of it failed.
fn money_of(failed: &[&Failure]) -> Option<(Currency, i64)> {
    let (currency, (_, amount)) = by_currency(failed)
        .into_iter()
        .max_by_key(|(currency, (count, _))| (*count, *currency))?;
    Some((currency, amount))
}
