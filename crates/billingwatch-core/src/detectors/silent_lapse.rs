//! A subscription that is active and does not pay.
//!
//! Opens when an active subscription's next payment is `grace_secs` overdue: by its own schedule,
//! from the first period that no paid invoice covers. One alert per subscription; it closes when
//! the subscription pays, ends, pauses, or Stripe itself calls it past due.
//!
//! Nothing is expected (and nothing said) in a trial, while collection is paused, of free, wholly
//! discounted or metered plans, within a sent invoice's days to pay, of subscriptions that end,
//! and on test clocks. Paid by hand counts as paid. A tick looks only at subscriptions that are
//! due.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, Family, FamilySet};
use crate::ids::{Key, KeyMap};
use crate::intake::Trouble;
use crate::ledger::{Fact, SubscriptionRecord};
use crate::money::Money;
use crate::snapshot::{SnapshotError, decode, encode};
use crate::time::{Span, Timestamp};

/// A renewal is paid, or fails, within this time after its turn: Stripe finalises the invoice
/// about an hour after the period turns. What came later than that is not needed for a verdict.
const SETTLED: Span = Span::days(1);

crate::settings! {
    /// How long after it is due a payment may come, in seconds. Three days: Stripe finalises about
    /// an hour after the period turns, and bank debits take days.
    grace_secs: i64 = 259_200, 3_600 => 7_776_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "silent_lapse",
    description: "An active subscription has not paid for its period plus 3 days.",
    listens: FamilySet::of(&[
        Family::Subscription,
        Family::Invoice,
        Family::InvoicePayment,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<SilentLapse> = FactoryOf::new(&SPEC);

/// One scope's deadlines.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SilentLapse {
    #[serde(skip)]
    settings: Settings,
    /// Next deadlines, earliest first.
    deadlines: BTreeSet<(Timestamp, Key)>,
    deadline_of: KeyMap<Timestamp>,
    /// Subscriptions with an open alert, by id.
    lapsed: KeyMap<Box<str>>,
    /// Deadlines passed while events were missing: judged when they have arrived.
    is_held: bool,
}

impl Detector for SilentLapse {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        for fact in ctx.facts() {
            match fact {
                Fact::SubscriptionChanged { subscription }
                | Fact::SubscriptionPaid { subscription, .. } => {
                    self.look(*subscription, Some(event), ctx);
                }
                _ => {}
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let complete_until = ctx.intake().complete_until(ctx.now());
        let grace = Span::secs(self.settings.grace_secs);
        if ctx.intake().trouble().is_none() {
            self.is_held = false;
        }
        while let Some((deadline, key)) = self.deadlines.first().copied() {
            if deadline > ctx.now() {
                break;
            }
            if let Some(trouble) = ctx.intake().trouble_of(Family::Invoice) {
                self.hold(trouble, ctx);
                return;
            }
            if complete_until < deadline - grace.max(SETTLED) + SETTLED {
                return;
            }
            self.deadlines.pop_first();
            self.deadline_of.swap_remove(&key);
            self.look(key, None, ctx);
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

impl SilentLapse {
    /// Looks at one subscription: sets its deadline, opens or closes its alert.
    fn look(&mut self, key: Key, event: Option<&Event>, ctx: &mut Context<'_>) {
        if let Some(old) = self.deadline_of.swap_remove(&key) {
            self.deadlines.remove(&(old, key));
        }
        let Some(record) = ctx.ledger().subscription(key) else {
            self.close(key, "the subscription ended", ctx);
            return;
        };
        let due_at = match record.due_at() {
            Ok(due_at) => due_at,
            Err(nothing) => {
                if event.is_none() {
                    let message = "a deadline passed for which nothing is due any more";
                    ctx.suppress(nothing.as_str(), Some(&record.id), message);
                }
                self.close(
                    key,
                    &format!("nothing is due any more: {}", nothing.as_str()),
                    ctx,
                );
                return;
            }
        };
        let deadline = due_at + Span::secs(self.settings.grace_secs);
        if deadline > ctx.now() {
            self.deadlines.insert((deadline, key));
            self.deadline_of.insert(key, deadline);
            self.close(key, &format!("paid; next due {due_at}"), ctx);
            return;
        }
        if event.is_some() || self.lapsed.contains_key(&key) {
            // Judged by the next tick, so that a burst of late events is read to its end first.
            if !self.lapsed.contains_key(&key) {
                self.deadlines.insert((ctx.now(), key));
                self.deadline_of.insert(key, ctx.now());
            }
            return;
        }
        self.lapsed.insert(key, record.id.clone());
        ctx.fire(describe(
            record,
            due_at,
            ctx.now(),
            self.settings.grace_secs,
        ));
    }

    fn hold(&mut self, trouble: &Trouble, ctx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.is_held, true) {
            let message = format!("subscriptions fall due, and are judged later: {trouble}");
            ctx.suppress(trouble.reason(), None, message);
        }
    }

    fn close(&mut self, key: Key, reason: &str, ctx: &mut Context<'_>) {
        if let Some(id) = self.lapsed.swap_remove(&key) {
            ctx.clear(&*id, reason);
        }
    }
}

fn describe(
    record: &SubscriptionRecord,
    due_at: Timestamp,
    now: Timestamp,
    grace_secs: i64,
) -> Finding {
    let mut finding = Finding::new(
        &*record.id,
        Severity::High,
        "An active subscription stopped paying",
    );
    let money = record
        .amount
        .zip(record.currency)
        .map(|(amount, currency)| {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
            Money::new(amount, currency).to_string()
        });
    let overdue = now.since(due_at);
    finding.message = format!(
        "{} is active, yet {} due {due_at} has not been paid for {overdue}",
        record.id,
        money.unwrap_or_else(|| "what was".to_owned()),
    );
    finding.subject = Some(record.id.to_string());
    finding.subjects.push(record.id.to_string());
    finding
        .subjects
        .extend(record.customer.as_ref().map(ToString::to_string));
    let evidence = &mut finding.evidence;
    evidence.object_ids = finding.subjects.clone();
    evidence.measures = vec![
        Measure::new("overdue", overdue.as_secs(), Unit::Seconds)
            .expected(0)
            .threshold(grace_secs),
    ];
    let paid = record.paid_through.map_or_else(
        || "nothing is known to be paid".to_owned(),
        |at| format!("paid through {at}"),
    );
    evidence.reasons.push(paid);
    if let (Some(start), Some(end)) = (record.period_start, record.period_end) {
        evidence
            .reasons
            .push(format!("its current period runs from {start} to {end}"));
    }
    evidence
        .reasons
        .push("no failed attempt moved it out of `active`".to_owned());
    finding
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use insta::assert_snapshot;

    #[test]
    fn a_renewal_that_never_pays_is_one_alert_until_it_does() {
        assert_snapshot!(check("silent_lapse", "
            +0s   customer.subscription.created sub=sub_1 cus=cus_1 amt=4900
            +1s   invoice.paid in=in_1 sub=sub_1 total=4900 through=30d
            +30d  customer.subscription.updated sub=sub_1 cus=cus_1 amt=4900
            +20d  wait
            +1s   invoice.paid in=in_2 sub=sub_1 total=4900 through=10d
        "), @"
            d33 00:01:00 firing high sub_1: sub_1 is active, yet 49.00 USD due 2024-04-03T00:00:01Z has not been paid for 3d
            d50 00:00:02 resolved high sub_1: paid; next due 2024-05-03T00:00:02Z
            ");
    }

    #[test]
    fn one_that_pays_is_quiet() {
        let told = check(
            "silent_lapse",
            "
            +0s   customer.subscription.created sub=sub_1 amt=4900
            +1s   invoice.paid in=in_1 sub=sub_1 total=4900 through=30d
            +30d  customer.subscription.updated sub=sub_1 amt=4900
            +1h   invoice.paid in=in_2 sub=sub_1 total=4900 through=30d
            +30d  wait
        ",
        );
        assert_eq!(told, "");
    }

    #[test]
    fn the_deadline_is_three_days_after_the_period() {
        let timeline = |wait: &str| {
            format!(
                "
            +0s   customer.subscription.created sub=sub_1 amt=4900
            +1s   invoice.paid in=in_1 sub=sub_1 total=4900 through=30d
            +{wait} wait
        "
            )
        };
        assert_eq!(check("silent_lapse", &timeline("32d23h58m")), "");
        assert_eq!(
            check("silent_lapse", &timeline("33d1m"))
                .matches("firing")
                .count(),
            1
        );
    }

    #[test]
    fn nothing_is_due_of_these() {
        for harmless in [
            "status=trialing trial=90d",
            "status=past_due",
            "status=paused",
            "paused",
            "off_bps=10000",
            "amt=0",
            "metered",
            "test_clock",
            "cancels",
            "cancel_at=20d",
            "opaque_discount",
            "days=60",
        ] {
            let told = check(
                "silent_lapse",
                &format!(
                    "
                +0s   customer.subscription.updated sub=sub_1 from=-10d to=20d {harmless}
                +40d  wait
            "
                ),
            );
            assert!(!told.contains("firing"), "{harmless}: {told}");
        }
    }

    #[test]
    fn a_resumed_subscription_owes_nothing_for_the_pause() {
        let told = check(
            "silent_lapse",
            "
            +0s   customer.subscription.created sub=sub_1 to=30d
            +1s   invoice.paid sub=sub_1 through=30d
            +5d   customer.subscription.updated sub=sub_1 from=-5d to=25d paused
            +60d  customer.subscription.updated sub=sub_1 from=-5d to=25d
            +27d  wait
        ",
        );
        assert!(!told.contains("firing"), "{told}");
    }

    #[test]
    fn paid_by_hand_and_paid_with_zero_are_paid() {
        let told = check(
            "silent_lapse",
            "
            +0s   customer.subscription.created sub=sub_1
            +1s   invoice.paid in=in_1 sub=sub_1 through=30d out_of_band
            +0s   customer.subscription.created sub=sub_2
            +1s   invoice.paid in=in_2 sub=sub_2 total=0 through=30d
            +32d  wait
        ",
        );
        assert!(!told.contains("firing"), "{told}");
    }

    #[test]
    fn a_stale_update_does_not_overwrite_newer_truth() {
        let told = check(
            "silent_lapse",
            "
            +0s   customer.subscription.updated sub=sub_1 from=-1h to=30d
            +1s   invoice.paid sub=sub_1 through=30d
            +5d   customer.subscription.deleted sub=sub_1
            +1m   customer.subscription.updated sub=sub_1 from=-5d to=25d late=1h
            +60d  wait
        ",
        );
        assert!(!told.contains("firing"), "{told}");
    }

    #[test]
    fn a_paid_proration_extends_no_service() {
        let told = check(
            "silent_lapse",
            "
            +0s   customer.subscription.created sub=sub_1
            +1s   invoice.paid in=in_1 sub=sub_1 through=30d
            +30d  customer.subscription.updated sub=sub_1
            +1d   invoice.paid in=in_2 sub=sub_1 total=300 reason=update proration
            +3d   wait
        ",
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
    }

    #[test]
    fn a_silence_of_the_whole_stream_is_one_incident_not_one_a_subscription() {
        let mut timeline = String::from("+0s customer.created x4000/5m\n");
        for n in 0..20 {
            timeline += &format!("+1m customer.subscription.updated sub=sub_{n} from=-1h to=2d\n");
            timeline += &format!("+1s invoice.paid sub=sub_{n} through=2d\n");
        }
        timeline += "+8d wait\n";
        let told = check("silent_lapse", &timeline);
        assert!(!told.contains("firing"), "{told}");
        assert_eq!(told.matches("quiet events_missing").count(), 1, "{told}");
        // Two of them pay in the backlog; the others are judged once it had its time.
        timeline += "+1m invoice.paid in=in_a sub=sub_0 through=30d\n";
        timeline += "+1m invoice.paid in=in_b sub=sub_1 through=30d\n";
        timeline += "+1m customer.created x40/5m\n";
        let told = check("silent_lapse", &timeline);
        assert_eq!(told.matches("firing").count(), 18, "{told}");
    }

    #[test]
    fn from_basil_on_the_payment_comes_by_its_tie() {
        let told = check(
            "silent_lapse",
            "
            +0s   customer.subscription.created sub=sub_1
            +1s   invoice_payment.paid in=in_1 ch=ch_1 paid=2000
            +1s   invoice.finalized in=in_1 sub=sub_1 through=30d
            +32d  wait
        ",
        );
        assert!(!told.contains("firing"), "{told}");
    }

    #[test]
    fn a_subscription_that_starts_active_and_never_pays_is_found() {
        let told = check(
            "silent_lapse",
            "
            +0s      customer.subscription.created sub=sub_1 amt=4900
            +2d23h   wait
            +1h1m    wait
        ",
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
    }
}
