//! A world without incidents contradicts nobody: money, invoices and subscriptions agree with each other,
//! and nothing in it deserves an alert.

use std::collections::{BTreeMap, BTreeSet};

use billingwatch_simulator::{ApiShape, MerchantKind};
use serde_json::Value;

use crate::support::{DAY, Read, config, run};

fn worlds() -> impl Iterator<Item = (MerchantKind, ApiShape, u32, Vec<Read>)> {
    let days = |merchant| match merchant {
        MerchantKind::Indie => 150,
        MerchantKind::SmallSaas => 65,
        MerchantKind::Saas => 8,
        MerchantKind::Marketplace => 2,
        MerchantKind::Multicurrency => 40,
        MerchantKind::Telecom => 25,
        MerchantKind::Box | MerchantKind::Resort | MerchantKind::Gym => 50,
        MerchantKind::Parking => 45,
    };
    MerchantKind::ALL.iter().flat_map(move |&m| {
        ApiShape::ALL
            .iter()
            .map(move |&s| (m, s, days(m), run(&config(m, s, days(m))).0))
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

fn number(value: &Value, key: &str) -> i64 {
    value[key]
        .as_i64()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

#[test]
fn one_payment_has_one_successful_charge_and_its_events() {
    for (merchant, shape, _, events) in worlds() {
        let mut charges = BTreeMap::new();
        let mut intents = BTreeMap::new();
        let mut joined = BTreeMap::new();
        for read in &events {
            if !read.event.event_type.starts_with("charge.")
                && !read.event.event_type.contains("pa")
            {
                continue;
            }
            let object = read.object();
            match read.event.event_type {
                "charge.succeeded" => {
                    assert!(charges.insert(text(object, "id"), object).is_none());
                    let twin = intents.insert(text(object, "payment_intent"), text(object, "id"));
                    assert!(twin.is_none(), "two charges for one intent: {object}");
                }
                "charge.failed" => {
                    assert!(object["failure_code"].is_string() && object["paid"] == false);
                }
                "payment_intent.succeeded" => {
                    let charge = intents[text(object, "id")];
                    assert_eq!(text(object, "latest_charge"), charge);
                    assert_eq!(object["amount_received"], charges[charge]["amount"]);
                }
                "invoice_payment.paid" => {
                    let intent = text(&object["payment"], "payment_intent");
                    joined.insert(text(object, "invoice"), intents[intent]);
                }
                _ => {}
            }
        }
        let mut paid = BTreeSet::new();
        for read in events.iter().filter(|r| r.is("invoice.paid")) {
            let invoice = read.object();
            assert!(paid.insert(text(invoice, "id")), "paid twice: {invoice}");
            let amount = number(invoice, "amount_paid");
            let off_stripe =
                invoice["paid_out_of_band"] == true || !invoice["amount_paid_off_stripe"].is_null();
            if amount == 0 || off_stripe {
                continue;
            }
            let charge = match shape {
                ApiShape::Legacy => text(invoice, "charge"),
                ApiShape::Basil => joined[text(invoice, "id")],
            };
            let charge = charges[charge];
            assert_eq!(number(charge, "amount"), amount, "{merchant} {shape}");
            assert_eq!(charge["customer"], invoice["customer"]);
        }
    }
}

#[test]
fn refunds_and_disputes_are_of_charges_that_were() {
    for (_, _, _, events) in worlds() {
        let mut charges = BTreeMap::new();
        let mut refunds = BTreeMap::<&str, i64>::new();
        for read in &events {
            let about = ["charge.", "refund.", "radar."];
            if !about
                .iter()
                .any(|prefix| read.event.event_type.starts_with(prefix))
            {
                continue;
            }
            let object = read.object();
            match read.event.event_type {
                "charge.succeeded" => drop(charges.insert(text(object, "id"), object)),
                "refund.created" => {
                    let sum = refunds.entry(text(object, "charge")).or_default();
                    *sum += number(object, "amount");
                    assert!(*sum <= number(charges[text(object, "charge")], "amount"));
                }
                "charge.refunded" => {
                    assert_eq!(
                        number(object, "amount_refunded"),
                        refunds[text(object, "id")]
                    );
                }
                "charge.dispute.created" => {
                    let charge = charges[text(object, "charge")];
                    assert_eq!(object["amount"], charge["amount"]);
                    let inquiry = text(object, "status").starts_with("warning_");
                    let case = text(&object["payment_method_details"]["card"], "case_type");
                    assert_eq!(inquiry, case == "inquiry");
                }
                "radar.early_fraud_warning.created" => {
                    assert!(charges.contains_key(text(object, "charge")));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn invoices_add_up() {
    for (_, _, _, events) in worlds() {
        for read in events
            .iter()
            .filter(|r| r.event.event_type.starts_with("invoice."))
        {
            let i = read.object();
            let lines: i64 = i["lines"]["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|l| number(l, "amount"))
                .sum();
            let discounts: i64 = i["total_discount_amounts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| number(d, "amount"))
                .sum();
            assert_eq!(number(i, "subtotal"), lines);
            assert_eq!(number(i, "total"), lines - discounts);
            assert_eq!(
                number(i, "amount_due"),
                (number(i, "total") + number(i, "starting_balance")).max(0)
            );
            if number(i, "total") < 0 {
                assert_eq!(text(i, "billing_reason"), "subscription_update", "{i}");
            }
            if text(i, "currency") == "kwd" {
                assert_eq!(number(i, "amount_due") % 10, 0);
            }
        }
    }
}

#[test]
fn a_subscription_that_renews_is_paid_declined_or_excused() {
    for (merchant, shape, days, events) in worlds() {
        let end_at = crate::support::START_AT + i64::from(days) * DAY;
        let mut outcomes = BTreeMap::<String, Vec<i64>>::new();
        for read in &events {
            let told = match read.event.event_type {
                // The last is how a bank is asked: attempted, and nothing known yet.
                "invoice.paid" | "invoice.payment_failed" | "invoice.sent" | "invoice.updated" => {
                    match shape {
                        ApiShape::Legacy => read.object()["subscription"].as_str(),
                        ApiShape::Basil => {
                            read.object()["parent"]["subscription_details"]["subscription"].as_str()
                        }
                    }
                }
                "customer.subscription.deleted" => read.object()["id"].as_str(),
                _ => None,
            };
            if let Some(id) = told {
                outcomes
                    .entry(id.to_owned())
                    .or_default()
                    .push(read.event.created);
            }
        }
        let mut renewals = 0;
        for read in events
            .iter()
            .filter(|r| r.is("customer.subscription.updated"))
        {
            let s = read.object();
            let before = &read.body()["data"]["previous_attributes"];
            let rolled = before.get("current_period_end").is_some()
                || before["items"]["data"][0]
                    .get("current_period_end")
                    .is_some();
            let due = read.event.created + 7_200;
            if !rolled || !s["pause_collection"].is_null() || due > end_at {
                continue;
            }
            renewals += 1;
            let told = outcomes
                .get(text(s, "id"))
                .is_some_and(|at| at.iter().any(|at| (read.event.created..=due).contains(at)));
            assert!(told, "{merchant} {shape}: silent: {s}");
        }
        assert!(
            renewals > 20 || matches!(merchant, MerchantKind::Marketplace | MerchantKind::Resort),
            "{merchant}: {renewals}"
        );
    }
}

#[test]
fn nothing_is_told_of_a_subscription_after_its_end() {
    for (_, _, _, events) in worlds() {
        let mut ended = BTreeSet::new();
        let told = |r: &&Read| r.event.event_type.starts_with("customer.subscription.");
        for read in events.iter().filter(told) {
            let id = text(read.object(), "id");
            assert!(!ended.contains(id), "{}", read.body());
            if read.is("customer.subscription.deleted") {
                assert_eq!(text(read.object(), "status"), "canceled");
                ended.insert(id.to_owned());
            }
        }
    }
}

#[test]
fn no_charge_is_doubled_without_an_order_of_its_own_or_a_refund_between() {
    for (merchant, _, _, events) in worlds() {
        let mut last = BTreeMap::<(String, i64), (i64, Value, String)>::new();
        let mut refunded = BTreeSet::new();
        let mut look_alikes = 0;
        for read in &events {
            if !read.is("charge.refunded") && !read.is("charge.succeeded") {
                continue;
            }
            let c = read.object();
            if read.is("charge.refunded") {
                refunded.insert(text(c, "id").to_owned());
                continue;
            }
            if c["customer"].is_null() {
                continue;
            }
            let key = (text(c, "customer").to_owned(), number(c, "amount"));
            let order = c["metadata"].clone();
            let id = text(c, "id").to_owned();
            if let Some((at, before, first)) =
                last.insert(key, (read.event.created, order.clone(), id))
                && read.event.created - at <= 300
            {
                look_alikes += 1;
                let ordered = order != serde_json::json!({}) && order != before;
                // Two subscriptions of one customer, both billed in the same run.
                let both_renewed =
                    merchant == MerchantKind::Box && c["description"] == "Subscription update";
                assert!(
                    ordered || both_renewed || refunded.contains(&first),
                    "{merchant}: {c}"
                );
            }
        }
        let has_some = matches!(merchant, MerchantKind::Marketplace | MerchantKind::Parking);
        assert!(look_alikes > 0 || !has_some);
    }
}
