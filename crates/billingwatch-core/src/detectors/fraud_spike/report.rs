//! A wave of disputes and warnings in words and figures.

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::detectors::words::{percent, rounded};
use crate::money::{Currency, Money};

use super::{Against, FraudSpike, RULE_OF_THUMB_BPS, Seen};

impl FraudSpike {
    /// Says what a window holds.
    pub(super) fn report(&mut self, seen: &Seen, severity: Severity, ctx: &mut Context<'_>) {
        let occurrences = std::mem::take(&mut self.unreported);
        let (count, expected, chance) = (seen.count, seen.expected, seen.chance);
        let within: Vec<&Against> = self.within(seen.window, ctx.now()).collect();
        let warnings = within.iter().filter(|one| one.is_warning).count() as u64;
        let mut finding = Finding::new("all", severity, "Disputes and fraud warnings are spiking");
        finding.anomaly_score = anomaly_score(chance);
        finding.occurrences = occurrences;
        finding.message = format!(
            "{} charges were disputed and {warnings} warned of within {}, where {expected:.1} are \
             usual",
            count - warnings,
            seen.window,
        );
        finding.message += &if seen.is_before {
            "; most of them of payments made before the first event here".to_owned()
        } else {
            let share = percent(seen.rate_bps);
            format!(": {share} of the payments of such a time")
        };
        if let Some((currency, amount)) = money(&within) {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
            finding.message += &format!("; {} at stake", Money::new(amount, currency));
        }
        let newest = || within.iter().rev().take(20);
        finding.subjects = newest()
            .filter_map(|one| one.charge_id.clone())
            .map(Into::into)
            .collect();
        finding.subject = finding.subjects.first().cloned();
        let evidence = &mut finding.evidence;
        evidence.event_ids = newest().map(|one| one.event_id.to_string()).collect();
        evidence.object_ids = finding.subjects.clone();
        evidence.measures = vec![
            Measure::new(
                "charges_against",
                i64::try_from(count).unwrap_or(i64::MAX),
                Unit::Count,
            )
            .expected(rounded(expected))
            .threshold(self.settings.count_min),
        ];
        if !seen.is_before {
            let rate = Measure::new("rate", seen.rate_bps, Unit::BasisPoints);
            evidence.measures.push(rate.threshold(RULE_OF_THUMB_BPS));
        }
        evidence.reasons.push(format!(
            "at the usual rate so many come by chance with probability {chance:.1e}"
        ));
        let (count, share) = self.programme.vamp();
        if count > 0 {
            evidence.reasons.push(format!(
                "Visa's VAMP, estimated: {count} disputes and warnings this month, {} of its \
                 payments",
                percent(share)
            ));
        }
        if let Some((count, share)) = self.programme.ecp().filter(|(count, _)| *count > 0) {
            evidence.reasons.push(format!(
                "Mastercard's ECP, estimated: {count} chargebacks this month, {} of the payments \
                 of the month before",
                percent(share)
            ));
        }
        evidence.reasons.push(
            "networks count more than Stripe shows: take the rate as a lower estimate".to_owned(),
        );
        ctx.fire(finding);
    }
}

/// The currency most are in, and the money they are about.
fn money(within: &[&Against]) -> Option<(Currency, i64)> {
    let mut sums: Vec<(Currency, u64, i64)> = Vec::new();
    for one in within {
        let Some(currency) = one.currency else {
            continue;
        };
        match sums.iter_mut().find(|(known, ..)| *known == currency) {
            Some((_, count, sum)) => {
                *count += 1;
                *sum = sum.saturating_add(one.amount);
            }
            None => sums.push((currency, 1, one.amount)),
        }
    }
    let most = sums
        .into_iter()
        .max_by_key(|(currency, count, _)| (*count, *currency))?;
    Some((most.0, most.2))
}
