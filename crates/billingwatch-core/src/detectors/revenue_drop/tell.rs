//! How missing money is told.

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::money::{Currency, Money, share_bps};
use crate::time::{Span, Timestamp};

use super::super::words::{percent, rounded};
use super::Settings;
use super::currency::Missing;
use super::gap::Cause;

/// How bad it is: by the share that is missing, and by how much of a day that is. The first hours
/// of a total outage are not yet a lost day.
pub(super) fn severity_of(missing: &Missing) -> Severity {
    let drop = share_bps(missing.gap.missing(), missing.gap.expected);
    let of_day = share_bps(missing.lost, missing.day_expected);
    match (drop, of_day) {
        (5_000.., 2_500..) => Severity::Critical,
        (3_000.., 1_200..) => Severity::High,
        _ => Severity::Medium,
    }
}

/// The finding about one or several currencies; the first is the one that it is named after.
pub(super) fn describe(
    key: Currency,
    missing: &[(Currency, Missing)],
    settings: &Settings,
) -> Option<Finding> {
    let worst = |(_, missing): &&(Currency, Missing)| severity_of(missing);
    let severity = missing.iter().map(|one| worst(&one)).max()?;
    let (currency, chief) = missing.iter().find(|(currency, _)| *currency == key)?;
    let mut finding = Finding::new(key.as_str(), severity, "Revenue dropped");
    finding.occurrences = 0;
    finding.anomaly_score = anomaly_score(chief.gap.chance);
    finding.message = sentence(*currency, chief);
    finding.currency = Some(*currency);
    finding.amount_at_stake = Some(chief.lost);
    finding.evidence.measures = measures(chief, settings);
    let so_little = match chief.gap.cause {
        Cause::Cheaper => "payments are worth so little",
        Cause::Used => "metered subscriptions use so little",
        Cause::Fewer => "so few payments come",
    };
    finding.evidence.reasons.push(format!(
        "{so_little} by chance with probability {:.1e}",
        chief.gap.chance
    ));
    if chief.gap.is_standstill {
        finding.evidence.reasons.push(format!(
            "nobody at all paid in {} hours that usually bring {:.0} payments: no stretch without any was half as long by that in the weeks before",
            chief.gap.hours, chief.gap.sales_expected
        ));
    }
    for (other, missing) in missing.iter().filter(|(other, _)| *other != key) {
        let lost = Money::new(missing.lost, *other);
        let details = &mut finding.evidence.details;
        details.insert(format!("missing.{other}"), lost.to_string());
        let reason = format!("{other} too: {}", sentence(*other, missing));
        finding.evidence.reasons.push(reason);
    }
    if missing.len() > 1 {
        let others = missing.iter().filter(|(other, _)| *other != key);
        let names: Vec<String> = others
            .map(|(other, _)| other.as_str().to_uppercase())
            .collect();
        finding.message += &format!("; {} dropped too", names.join(", "));
    }
    let end = Timestamp::EPOCH + Span::hours(chief.end);
    let start = Timestamp::EPOCH + Span::hours(chief.end - chief.gap.hours);
    let details = &mut finding.evidence.details;
    details.insert("from".to_owned(), start.to_string());
    details.insert("until".to_owned(), end.to_string());
    Some(finding)
}

fn sentence(currency: Currency, missing: &Missing) -> String {
    let gap = &missing.gap;
    let asked = gap.due.saturating_sub(gap.paid + gap.silent);
    let mut renewals = format!("{} of {} renewals paid", gap.paid, gap.due);
    if asked > 0 {
        renewals += &format!(", {asked} on their way or being tried again");
    }
    if gap.silent > 0 {
        renewals += &format!(", {} not even invoiced", gap.silent);
    }
    if gap.given_amount > 0 {
        let given = Money::new(gap.given_amount, currency);
        renewals += &format!(", new discounts take {given} off them");
    }
    if gap.short_amount > 0 {
        let short = Money::new(gap.short_amount, currency);
        let count = gap.short_count;
        renewals += &format!(", invoices of {count} ask {short} less than their price");
    }
    if gap.used.count >= 1.0 {
        renewals += &format!(
            ", {:.0} invoices of metered subscriptions ask for {}, where {} is usual",
            gap.used.count,
            Money::new(gap.used_amount, currency),
            Money::new(gap.used_usual, currency),
        );
    }
    let usual_sales = rounded(gap.sales_expected);
    let sales = if gap.cause == Cause::Cheaper {
        let each = |amount: i64, count: i64| Money::new(amount / count.max(1), currency);
        format!(
            "{} other payments of {} on average, where {usual_sales} of {} are usual",
            gap.sales,
            each(
                gap.sales_amount,
                i64::try_from(gap.sales).unwrap_or(i64::MAX)
            ),
            each(gap.usual_amount, usual_sales),
        )
    } else {
        format!("{} other payments where {usual_sales} are usual", gap.sales)
    };
    format!(
        "{} hour{} brought {}, {} less than the {} that subscriptions and usual sales foretold: \
         {renewals}; {sales}",
        gap.hours,
        if gap.hours == 1 { "" } else { "s" },
        Money::new(gap.collected, currency),
        percent(share_bps(gap.missing(), gap.expected)),
        Money::new(gap.expected, currency),
    )
}

fn measures(missing: &Missing, settings: &Settings) -> Vec<Measure> {
    let gap = &missing.gap;
    let allowed = i128::from(gap.expected) * i128::from(10_000 - settings.drop_bps_min) / 10_000;
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut measures = vec![
        Measure::new("collected", gap.collected, Unit::MinorUnits)
            .expected(gap.expected)
            .threshold(i64::try_from(allowed).unwrap_or(i64::MAX)),
        Measure::new("missing_since_it_began", missing.lost, Unit::MinorUnits),
        Measure::new("renewals_paid", count(gap.paid), Unit::Count).expected(count(gap.due)),
        Measure::new("renewals_not_invoiced", count(gap.silent), Unit::Count),
        Measure::new("other_payments", count(gap.sales), Unit::Count)
            .expected(rounded(gap.sales_expected)),
        Measure::new("window_secs", gap.hours * 3_600, Unit::Seconds),
    ];
    if gap.given_amount > 0 {
        measures.push(Measure::new(
            "new_discounts",
            gap.given_amount,
            Unit::MinorUnits,
        ));
    }
    if gap.short_amount > 0 {
        let short = gap.short_amount;
        measures.push(Measure::new("below_price", short, Unit::MinorUnits));
    }
    if gap.used.count >= 1.0 {
        let used = Measure::new("metered_use", gap.used_amount, Unit::MinorUnits);
        measures.push(used.expected(gap.used_usual));
    }
    measures
}
