//! The same customer charged the same amount twice within minutes.
//!
//! Opens when two payments (different charges, different purchases) of one customer (or one card,
//! where there is no customer), equal in amount and currency, were made within `window_secs` of
//! each other in event time, and nothing says that two things were bought. Grows with each further
//! charge; closes when the surplus is refunded, or after [`HOLD`].
//!
//! Left out, each with its reason: different invoices, different order ids or other metadata,
//! different descriptions, and a charge made again after the first was refunded. From basil on a
//! charge does not name its invoice; one that Stripe's own words mark as an invoice's waits up to
//! [`INVOICE_WAIT`] for the event that ties them.

mod paid;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, Family, FamilySet};
use crate::ids::{Key, KeyMap};
use crate::ledger::{Fact, PaymentFact, RefundFact};
use crate::money::{Currency, Money};
use crate::snapshot::{SnapshotError, decode, encode};
use crate::time::{Span, Timestamp};

use paid::{Paid, difference, read};

/// How long a payment waits for its twin, in engine time: pairs delivered late still meet.
const MEMORY: Span = Span::hours(6);

/// The most payments remembered. Beyond it the oldest are forgotten first.
const MEMORY_MAX: usize = 200_000;

/// How long a possible invoice payment waits for the event that names its invoice.
const INVOICE_WAIT: Span = Span::secs(120);

/// How long an alert waits for a refund before it ends by itself.
const HOLD: Span = Span::days(30);

crate::settings! {
    /// How far apart two equal charges may be, in seconds of event time.
    window_secs: i64 = 300, 10 => 86_400;
    /// The smallest amount looked at, in minor units.
    amount_min: i64 = 1, 1 => 1_000_000_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "duplicate_charge",
    description: "The same customer was charged the same amount twice within 5 minutes.",
    listens: FamilySet::of(&[
        Family::Charge,
        Family::PaymentIntent,
        Family::Invoice,
        Family::InvoicePayment,
        Family::Refund,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<DuplicateCharge> = FactoryOf::new(&SPEC);

/// Charges that are taken for one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    charges: Vec<(Key, Box<str>)>,
    amount: i64,
    currency: Currency,
    refunded: i64,
    opened_at: Timestamp,
}

/// One scope's newest payments and open duplicates.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct DuplicateCharge {
    #[serde(skip)]
    settings: Settings,
    /// Payments by payer, amount and currency.
    paid: KeyMap<Vec<Paid>>,
    /// When each was taken in, oldest first.
    order: VecDeque<(Timestamp, Key)>,
    /// Pairs that wait for their invoices: until when, the set, the newer charge.
    waiting: VecDeque<(Timestamp, Key, Key)>,
    groups: BTreeMap<String, Group>,
    group_of: KeyMap<String>,
}

impl Detector for DuplicateCharge {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        for fact in ctx.facts() {
            match fact {
                Fact::Payment(payment) if payment.amount >= self.settings.amount_min => {
                    self.take(payment, event, ctx);
                }
                Fact::Refund(refund) => self.refund(refund, ctx),
                _ => {}
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        while self
            .waiting
            .front()
            .is_some_and(|(until, ..)| *until <= now)
        {
            let Some((_, set, charge)) = self.waiting.pop_front() else {
                break;
            };
            self.judge(set, charge, true, ctx);
        }
        while let Some((taken_at, set)) = self.order.front().copied() {
            if now.since(taken_at) < MEMORY && self.order.len() <= MEMORY_MAX {
                break;
            }
            self.forget_oldest(set);
        }
        self.expire(ctx);
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

impl DuplicateCharge {
    fn take(&mut self, payment: &PaymentFact, event: &Event, ctx: &mut Context<'_>) {
        let Some(paid) = read(payment, event) else {
            return;
        };
        let amount = payment.amount.to_string();
        let set = Key::of_parts(&[&paid.payer_id, &amount, payment.currency.as_str()]);
        let charge = paid.charge;
        if self.order.len() >= MEMORY_MAX
            && let Some((_, oldest)) = self.order.front().copied()
        {
            self.forget_oldest(oldest);
        }
        self.order.push_back((ctx.now(), set));
        self.paid.entry(set).or_default().push(paid);
        self.judge(set, charge, false, ctx);
    }

    /// Holds one payment against the others of its set.
    fn judge(&mut self, set: Key, charge: Key, is_last_look: bool, ctx: &mut Context<'_>) {
        let Some(paid) = self.paid.get(&set) else {
            return;
        };
        let Some(new) = paid.iter().find(|one| one.charge == charge) else {
            return;
        };
        let window = Span::secs(self.settings.window_secs);
        let mut twin: Option<&Paid> = None;
        for other in paid.iter().filter(|other| other.charge != charge) {
            if new.at.since(other.at).max(other.at.since(new.at)) > window {
                continue;
            }
            let invoices = (invoice_of(new, ctx), invoice_of(other, ctx));
            let is_tie_missing = invoices.0.is_none() || invoices.1.is_none();
            let may_wait = new.may_be_invoice && other.may_be_invoice && is_tie_missing;
            if may_wait && !is_last_look {
                self.waiting
                    .push_back((ctx.now() + INVOICE_WAIT, set, charge));
                return;
            }
            match difference(new, other, invoices, ctx) {
                Some((reason, message)) => ctx.suppress(reason, Some(&new.charge_id), message),
                None => twin = twin.filter(|found| found.at <= other.at).or(Some(other)),
            }
        }
        if let Some(twin) = twin {
            let (new, twin) = (new.clone(), twin.clone());
            self.open(&new, &twin, ctx);
        }
    }

    fn open(&mut self, new: &Paid, twin: &Paid, ctx: &mut Context<'_>) {
        let first = if (twin.at, twin.charge) <= (new.at, new.charge) {
            twin
        } else {
            new
        };
        let known = self
            .group_of
            .get(&twin.charge)
            .or_else(|| self.group_of.get(&new.charge));
        let key = known
            .cloned()
            .unwrap_or_else(|| first.charge_id.to_string());
        let group = self.groups.entry(key.clone()).or_insert_with(|| Group {
            charges: Vec::new(),
            amount: new.amount,
            currency: new.currency,
            refunded: 0,
            opened_at: ctx.now(),
        });
        for one in [twin, new] {
            if group
                .charges
                .iter()
                .all(|(charge, _)| *charge != one.charge)
            {
                group.charges.push((one.charge, one.charge_id.clone()));
                self.group_of.insert(one.charge, key.clone());
            }
        }
        let finding = describe(key, group, new, twin);
        ctx.fire(finding);
    }

    fn refund(&mut self, refund: &RefundFact, ctx: &mut Context<'_>) {
        let Some(key) = refund
            .charge
            .and_then(|charge| self.group_of.get(&charge))
            .cloned()
        else {
            return;
        };
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        group.refunded = group.refunded.saturating_add(refund.amount);
        if group.refunded >= surplus(group) {
            let back = Money::new(group.refunded, group.currency);
            self.close(&key);
            ctx.clear(key, format!("{back} of the surplus was refunded"));
        }
    }

    fn close(&mut self, key: &str) {
        if let Some(group) = self.groups.remove(key) {
            for (charge, _) in group.charges {
                self.group_of.swap_remove(&charge);
            }
        }
    }

    fn expire(&mut self, ctx: &mut Context<'_>) {
        let is_old = |group: &Group| ctx.now().since(group.opened_at) >= HOLD;
        if !self.groups.values().any(is_old) {
            return;
        }
        let old: Vec<String> = self
            .groups
            .iter()
            .filter(|(_, group)| is_old(group))
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.close(&key);
            ctx.clear(key, format!("no refund within {HOLD}: taken as intended"));
        }
    }

    fn forget_oldest(&mut self, set: Key) {
        self.order.pop_front();
        if let Some(paid) = self.paid.get_mut(&set) {
            if paid.len() > 1 {
                paid.remove(0);
            } else {
                self.paid.swap_remove(&set);
            }
        }
    }
}

fn surplus(group: &Group) -> i64 {
    let extra = i64::try_from(group.charges.len())
        .unwrap_or(i64::MAX)
        .saturating_sub(1);
    group.amount.saturating_mul(extra)
}

fn describe(key: String, group: &Group, new: &Paid, twin: &Paid) -> Finding {
    let count = group.charges.len();
    let severity = if count > 2 {
        Severity::Critical
    } else {
        Severity::High
    };
    let mut finding = Finding::new(key, severity, "A customer was charged more than once");
    let apart = new.at.since(twin.at).max(twin.at.since(new.at));
    finding.message = format!(
        "{} was charged {} {count} times within {apart}, with nothing that tells the purchases \
         apart",
        new.payer_id,
        Money::new(group.amount, group.currency),
    );
    finding.subject = Some(new.payer_id.to_string());
    finding.subjects.push(new.payer_id.to_string());
    finding
        .subjects
        .extend(group.charges.iter().map(|(_, id)| id.to_string()));
    finding.currency = Some(group.currency);
    finding.amount_at_stake = Some(surplus(group));
    let evidence = &mut finding.evidence;
    evidence.event_ids = vec![twin.event_id.to_string(), new.event_id.to_string()];
    evidence.object_ids = group.charges.iter().map(|(_, id)| id.to_string()).collect();
    evidence.measures = vec![
        Measure::new(
            "charges",
            i64::try_from(count).unwrap_or(i64::MAX),
            Unit::Count,
        )
        .expected(1),
        Measure::new("seconds_apart", apart.as_secs(), Unit::Seconds),
        Measure::new("surplus", surplus(group), Unit::MinorUnits).expected(0),
    ];
    evidence
        .reasons
        .push("different charges of different purchases".to_owned());
    evidence.reasons.push(match (new.card, twin.card) {
        (Some(a), Some(b)) if a == b => "the same card".to_owned(),
        (Some(_), Some(_)) => "different cards of the same customer".to_owned(),
        _ => "no card to compare".to_owned(),
    });
    evidence.reasons.push(
        if new.description.is_some() && new.description == twin.description {
            "the same description".to_owned()
        } else {
            "no description that differs".to_owned()
        },
    );
    finding
}

fn invoice_of(paid: &Paid, ctx: &Context<'_>) -> Option<Key> {
    ctx.ledger()
        .payment(paid.charge)
        .and_then(|payment| payment.invoice)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use insta::assert_snapshot;

    #[test]
    fn two_equal_charges_fire_grow_and_end_with_the_refund() {
        assert_snapshot!(check("duplicate_charge", "
            +0s   charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 amt=4900 card=visa
            +40s  charge.succeeded ch=ch_2 pi=pi_2 cus=cus_1 amt=4900 card=visa
            +40s  charge.succeeded ch=ch_3 pi=pi_3 cus=cus_1 amt=4900 card=visa
            +1h   refund.created ch=ch_2 amt=4900
            +1h   refund.created ch=ch_3 amt=4900
        "), @"
            d0 00:00:40 firing high ch_1: cus_1 was charged 49.00 USD 2 times within 40s, with nothing that tells the purchases apart
            d0 00:01:20 escalated critical ch_1: cus_1 was charged 49.00 USD 3 times within 1m 20s, with nothing that tells the purchases apart
            d0 02:01:20 resolved critical ch_1: 98.00 USD of the surplus was refunded
            ");
    }

    #[test]
    fn one_payment_in_many_events_is_one_payment() {
        let told = check(
            "duplicate_charge",
            "
            +0s  charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 amt=4900
            +1s  charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 amt=4900
            +1s  payment_intent.succeeded pi=pi_1 ch=ch_1 cus=cus_1 amt=4900
            +1s  invoice.paid in=in_1 cus=cus_1 ch=ch_1 total=4900
            +1s  charge.updated ch=ch_1 pi=pi_1 cus=cus_1 amt=4900
        ",
        );
        assert_eq!(told, "");
    }

    #[test]
    fn just_outside_the_window_or_another_amount_or_customer_or_currency() {
        let told = check(
            "duplicate_charge",
            "
            +0s    charge.succeeded cus=cus_1 amt=4900
            +5m1s  charge.succeeded cus=cus_1 amt=4900
            +1s    charge.succeeded cus=cus_1 amt=4901
            +1s    charge.succeeded cus=cus_2 amt=4900
            +1s    charge.succeeded cus=cus_1 amt=4900 cur=eur
            +1s    charge.failed cus=cus_1 amt=4900
            +1s    charge.succeeded cus=cus_1 amt=4900 uncaptured
        ",
        );
        assert_eq!(told, "");
    }

    #[test]
    fn event_time_counts_not_arrival() {
        let told = check(
            "duplicate_charge",
            "
            +0s  charge.succeeded ch=ch_1 cus=cus_1 late=2h
            +0s  charge.succeeded ch=ch_2 cus=cus_1 late=1h
            +1h  charge.succeeded ch=ch_3 cus=cus_1 late=3h1m
        ",
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
    }

    #[test]
    fn different_things_bought_on_purpose_are_explained() {
        assert_snapshot!(check("duplicate_charge", "
            +0s  charge.succeeded ch=ch_1 cus=cus_1 meta.order_id=7
            +9s  charge.succeeded ch=ch_2 cus=cus_1 meta.order_id=8
            +1h  charge.succeeded ch=ch_3 cus=cus_2 desc=Seat_A
            +9s  charge.succeeded ch=ch_4 cus=cus_2 desc=Seat_B
            +1h  charge.succeeded ch=ch_5 cus=cus_3 in=in_1
            +9s  charge.succeeded ch=ch_6 cus=cus_3 in=in_2
            +1h  charge.succeeded ch=ch_7 cus=cus_4
            +9s  refund.created ch=ch_7
            +9s  charge.succeeded ch=ch_8 cus=cus_4
        "), @"
            d0 00:00:09 quiet different_metadata ch_2: metadata `order_id` differs
            d0 01:00:18 quiet different_description ch_4: equal charges described differently
            d0 02:00:27 quiet different_invoices ch_6: equal charges for different invoices
            d0 03:00:45 quiet charged_again_after_refund ch_8: ch_7 was refunded before ch_8
            ");
    }

    #[test]
    fn a_request_id_that_differs_is_no_order() {
        let told = check(
            "duplicate_charge",
            "
            +0s  charge.succeeded ch=ch_1 cus=cus_1 meta.request_id=a meta.order=7
            +9s  charge.succeeded ch=ch_2 cus=cus_1 meta.request_id=b meta.order=7
        ",
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
    }

    #[test]
    fn from_basil_on_the_tie_to_the_invoice_is_waited_for() {
        let told = check(
            "duplicate_charge",
            "
            +0s  charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 desc=Subscription_creation
            +5s  charge.succeeded ch=ch_2 pi=pi_2 cus=cus_1 desc=Subscription_creation
            +5s  invoice_payment.paid in=in_1 ch=ch_1 paid=2000
            +5s  invoice_payment.paid in=in_2 ch=ch_2 paid=2000
            +5m  wait
        ",
        );
        assert_eq!(
            told.matches("quiet different_invoices").count(),
            1,
            "{told}"
        );
        assert_eq!(told.matches("firing").count(), 0, "{told}");
        let told = check(
            "duplicate_charge",
            "
            +0s  charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 desc=Subscription_creation
            +5s  charge.succeeded ch=ch_2 pi=pi_2 cus=cus_1 desc=Subscription_creation
            +5m  wait
        ",
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
    }

    #[test]
    fn a_card_stands_in_for_a_missing_customer() {
        let told = check(
            "duplicate_charge",
            "
            +0s  charge.succeeded ch=ch_1 guest card=fp_1
            +9s  charge.succeeded ch=ch_2 guest card=fp_1
            +9s  charge.succeeded ch=ch_3 guest card=fp_2
            +9s  charge.succeeded ch=ch_4 guest
        ",
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
    }
}
