//! Timelines: types that come together, and one of them that gets lost.

use crate::testing::check;
use insta::assert_snapshot;

/// Payments of an account, `every` so often, each announced twice.
struct Shop {
    timeline: String,
    made: usize,
    every: &'static str,
}

impl Shop {
    fn new(every: &'static str) -> Self {
        Self {
            timeline: String::new(),
            made: 0,
            every,
        }
    }

    /// So many payments more, as these say by their number.
    fn pay(mut self, times: usize, events: impl Fn(usize) -> Vec<&'static str>) -> Self {
        for _ in 0..times {
            let n = self.made;
            self.made += 1;
            let mut after = self.every;
            for event in events(n) {
                self.timeline += &format!("+{after} {event} pi=pi_{n} ch=ch_{n} in=in_{n}\n");
                after = "1s";
            }
        }
        self
    }

    fn told(&self) -> String {
        check("webhook_lag", &self.timeline)
    }
}

const CHARGE: &str = "charge.succeeded";
const INTENT: &str = "payment_intent.succeeded";
const PAID: &str = "invoice.paid";
const PAYMENT: &str = "invoice.payment_succeeded";

fn both(n: usize) -> Vec<&'static str> {
    // Either comes first.
    if n.is_multiple_of(3) {
        vec![INTENT, CHARGE]
    } else {
        vec![CHARGE, INTENT]
    }
}

#[test]
fn a_type_that_is_lost_wholly_is_told_within_minutes_and_ends_when_it_comes_again() {
    let shop = Shop::new("10m").pay(200, both);
    let shop = shop.pay(30, |_| vec![CHARGE]).pay(30, both);
    assert_snapshot!(shop.told(), @"
        d1 10:09:00 firing high families: 4 of 4 charge.succeeded came without their payment_intent.succeeded (since 2024-03-05T09:33:20Z), where 0.2 % usually do; other events go on
        d1 14:59:00 resolved high families: they arrive again since 2024-03-05T14:59:00Z
        ");
}

#[test]
fn the_other_way_round_as_well() {
    let shop = Shop::new("10m").pay(200, both);
    let shop = shop.pay(30, |_| vec![INTENT]).pay(30, both);
    assert_snapshot!(shop.told(), @"
        d1 10:09:00 firing high families: 4 of 4 payment_intent.succeeded came without their charge.succeeded (since 2024-03-05T09:33:20Z), where 0.2 % usually do; other events go on
        d1 14:59:00 resolved high families: they arrive again since 2024-03-05T14:59:00Z
        ");
}

#[test]
fn a_type_that_is_lost_in_part_is_told_and_grows() {
    let shop = Shop::new("10m").pay(400, |_| vec![PAID, PAYMENT]);
    let shop = shop.pay(60, |n| {
        if n % 2 == 0 {
            vec![PAID, PAYMENT]
        } else {
            vec![PAYMENT]
        }
    });
    let shop = shop.pay(40, |_| vec![PAID, PAYMENT]);
    assert_snapshot!(shop.told(), @"
        d2 20:12:00 firing high families: 4 of 7 invoice.payment_succeeded came without their invoice.paid (since 2024-03-06T19:06:41Z), where 0.2 % usually do; other events go on
        d3 06:53:00 resolved high families: they arrive again since 2024-03-07T06:53:00Z
        ");
}

#[test]
fn an_endpoint_without_one_of_the_types_is_told_nothing() {
    assert_eq!(Shop::new("10m").pay(400, |_| vec![CHARGE]).told(), "");
    assert_eq!(Shop::new("10m").pay(400, |_| vec![INTENT]).told(), "");
    assert_eq!(Shop::new("10m").pay(400, |_| vec![PAID]).told(), "");
}

#[test]
fn a_type_that_begins_to_come_is_no_loss_and_its_end_is_told_once() {
    let shop = Shop::new("10m").pay(400, |_| vec![CHARGE]).pay(400, both);
    assert_eq!(shop.told(), "");
    // Others of its family go on.
    let told = shop.pay(3_000, |_| vec!["payment_intent.created", CHARGE]);
    assert_snapshot!(told.told(), @"
        d5 14:12:00 firing high families: 4 of 4 charge.succeeded came without their payment_intent.succeeded (since 2024-03-09T13:36:41Z), where 0.2 % usually do; other events go on
        d12 14:19:00 resolved high families: it has been so for 7d: taken for how this endpoint is set up
        ");
}

#[test]
fn some_that_always_come_alone_are_usual() {
    let shop = Shop::new("10m").pay(1_500, |n| if n % 30 == 0 { vec![CHARGE] } else { both(n) });
    assert_eq!(shop.told(), "");
}

#[test]
fn a_few_misses_in_one_minute_are_a_hiccup() {
    let mut shop = Shop::new("10m").pay(300, both);
    shop.every = "2s";
    let mut shop = shop.pay(20, |_| vec![CHARGE]);
    shop.every = "10m";
    assert_eq!(shop.pay(50, both).told(), "");
}

#[test]
fn invoices_marked_as_paid_by_hand_have_no_payment() {
    let shop = Shop::new("10m").pay(300, |_| vec![PAID, PAYMENT]);
    let shop = shop.pay(40, |_| vec!["invoice.paid=1s out_of_band"]);
    assert_eq!(shop.told(), "");
    let shop = shop.pay(40, |_| vec!["invoice.paid total=0"]);
    assert_eq!(shop.told(), "");
}

#[test]
fn authorisations_are_no_payments_and_captures_are() {
    let shop = Shop::new("10m").pay(300, |_| {
        vec!["charge.succeeded uncaptured", "charge.captured", INTENT]
    });
    let shop = shop.pay(60, |_| vec!["charge.succeeded uncaptured"]);
    assert_eq!(shop.told(), "");
    let told = shop.pay(10, |_| vec![INTENT]).told();
    assert!(told.contains("without their charge.captured"), "{told}");
}

/// Stripe tries again: what comes hours later was late, and is told as that alone.
#[test]
fn a_backlog_is_a_backlog() {
    let shop = Shop::new("10m").pay(400, both);
    let mut shop = shop.pay(3, |_| vec![CHARGE]);
    for n in 400..403 {
        shop.timeline += &format!("+1s {INTENT} pi=pi_{n} ch=ch_{n} late=25m\n");
    }
    let told = shop.pay(3, |_| vec![CHARGE]).pay(50, both).told();
    assert!(!told.contains("families"), "{told}");
}

const UPDATED: &str = "invoice.updated paid=1s";
const TIED: &str = "invoice_payment.paid";

/// From basil on no charge names its invoice: the change of the invoice itself is all that tells.
#[test]
fn all_that_announces_a_paid_invoice_is_lost_at_once_and_its_change_tells() {
    let all = |n: usize| match n % 2 {
        0 => vec![UPDATED, PAID, PAYMENT, TIED],
        _ => vec![TIED, PAYMENT, PAID, UPDATED],
    };
    let shop = Shop::new("10m").pay(200, all);
    assert_eq!(shop.pay(40, all).told(), "");
    let shop = Shop::new("10m").pay(200, all);
    let shop = shop.pay(30, |_| vec![UPDATED]).pay(30, all);
    assert_snapshot!(shop.told(), @"
        d1 10:15:00 firing high families: 4 of 4 invoice.updated came without their invoice.paid (since 2024-03-05T09:40:00Z), where 0.2 % usually do; 4 of 4 invoice.updated came without their invoice.payment_succeeded (since 2024-03-05T09:40:00Z), where 0.2 % usually do; 4 of 4 invoice.updated came without their invoice_payment.paid (since 2024-03-05T09:40:00Z), where 0.2 % usually do; other events go on
        d1 15:06:00 resolved high families: they arrive again since 2024-03-05T15:06:00Z
        ");
}

#[test]
fn a_change_of_an_invoice_that_is_no_payment_awaits_none() {
    let all = |_| vec![UPDATED, PAID, PAYMENT, TIED];
    let shop = Shop::new("10m").pay(300, all);
    // Still open; marked as paid by hand; nothing to pay; changed long after it was paid.
    for change in [
        "invoice.updated",
        "invoice.updated paid=1s out_of_band",
        "invoice.updated paid=1s total=0",
        "invoice.updated paid=2m",
    ] {
        let timeline = shop.timeline.clone();
        let shop = Shop { timeline, ..shop };
        assert_eq!(shop.pay(40, |_| vec![change]).told(), "", "{change}");
    }
}

/// From basil on, what an invoice was paid by is all that names the intent where its charge is lost too.
#[test]
fn charges_and_intents_are_lost_at_once_and_the_invoices_they_paid_tell() {
    let all = |n: usize| match n % 2 {
        0 => vec![INTENT, CHARGE, TIED],
        _ => vec![TIED, CHARGE, INTENT],
    };
    let shop = || Shop::new("10m").pay(200, all);
    assert_eq!(shop().pay(40, all).told(), "");
    let shop = shop().pay(30, |_| vec![TIED]);
    assert_snapshot!(shop.pay(30, all).told(), @"
        d1 10:12:00 firing high families: 4 of 4 invoice_payment.paid came without their payment_intent.succeeded (since 2024-03-05T09:36:40Z), where 0.2 % usually do; other events go on
        d1 15:02:00 resolved high families: they arrive again since 2024-03-05T15:02:00Z
        ");
}

#[test]
fn payments_that_are_no_invoices_have_nothing_that_ties_them_to_one() {
    let renewal = |_| vec![INTENT, CHARGE, TIED];
    // All but all are renewals, until a sale begins.
    let shop = Shop::new("10m").pay(400, renewal).pay(60, both);
    assert_eq!(shop.pay(100, renewal).told(), "");
}

/// Whether an invoice changes when it is paid differs: that its changes end says nothing.
#[test]
fn changes_of_invoices_that_no_longer_come_are_no_loss() {
    let shop = Shop::new("10m").pay(300, |_| vec![UPDATED, PAID]);
    assert_eq!(shop.pay(40, |_| vec![PAID]).told(), "");
}

/// A refund is announced by its charge and by itself.
#[test]
fn refunds_without_their_object_are_told() {
    let refund = |_| vec!["charge.refunded", "refund.created"];
    let shop = Shop::new("20m").pay(150, refund);
    assert_eq!(shop.told(), "");
    let told = shop.pay(20, |_| vec!["charge.refunded"]).told();
    assert!(told.contains("without their refund.created"), "{told}");
}

#[test]
fn so_many_wait_for_their_partners_at_once_and_no_more_are_looked_at() {
    let shop = Shop::new("10m").pay(200, both);
    let mut shop = shop.pay(2, |_| vec![INTENT]);
    shop.timeline += "+10m payment_intent.succeeded x5000/0s\n+10m wait\n";
    // 4,096 of the five thousand, and the two before.
    assert_snapshot!(shop.told(), @"d1 09:59:00 firing high families: 4098 of 4098 payment_intent.succeeded came without their charge.succeeded (since 2024-03-05T09:33:20Z), where 0.2 % usually do; other events go on");
}
