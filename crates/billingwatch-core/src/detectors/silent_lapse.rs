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
use crate::engine::{SnapshotError, decode, encode};
use crate::event::{Event, Family, FamilySet};
use crate::ids::{Key, KeyMap};
use crate::ledger::{Fact, SubscriptionRecord};
use crate::money::Money;
use crate::time::{Span, Timestamp};

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
        while let Some((deadline, key)) = self.deadlines.first().copied() {
            if deadline > ctx.now() {
                break;
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
