//! Timelines of two invoices: when they bill one thing twice, and when they are two things.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use crate::testing::check;

const MONTH: i64 = 30 * 86_400;

/// How a payment names its invoice.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Until acacia: the charge does.
    Charge,
    /// From basil on: an event of its own does.
    Tie,
}

const SHAPES: [Shape; 2] = [Shape::Charge, Shape::Tie];

/// The period of a renewal at the begin of a timeline.
const THIS_MONTH: (i64, i64) = (0, MONTH);

const RENEWAL: &str = "reason=cycle sub=sub_1 price=price_1 item=1_×_Pro_(at_$49.00_/_month)";

/// One made by hand that copies it: an amount alone makes a price of its own.
const COPY: &str = "reason=manual price=price_9 item=1_×_Pro_(at_$49.00_/_month)";

/// An invoice `at` seconds, for seconds from and to, finalised and paid at once.
fn paid(n: usize, at: i64, (from, to): (i64, i64), words: &str, shape: Shape) -> Vec<String> {
    let period = format!("from={}s through={}s", from - at, to - at);
    let invoice = format!("in=in_{n} no=5B-{n} cus=cus_1 total=4900 {period} {words}");
    let charge = format!("charge.succeeded ch=ch_{n} pi=pi_{n} cus=cus_1 amt=4900");
    let described = if words.contains("sub=") {
        "desc=Subscription_update".to_owned()
    } else {
        format!("desc=Payment_for_Invoice_5B-{n}")
    };
    let mut events = vec![format!("invoice.finalized {invoice}")];
    events.extend(match shape {
        Shape::Charge => [
            format!("{charge} {described} in=in_{n}"),
            format!("invoice.paid {invoice} ch=ch_{n}"),
        ],
        Shape::Tie => [
            format!("{charge} {described}"),
            format!("invoice.paid {invoice}"),
        ],
    });
    if matches!(shape, Shape::Tie) {
        events.push(format!(
            "invoice_payment.paid in=in_{n} pi=pi_{n} paid=4900"
        ));
    }
    events
}

/// Each event at its second, as a timeline.
fn timeline(bills: &[(i64, Vec<String>)]) -> String {
    let mut text = String::new();
    let mut now = 0;
    for (at, events) in bills {
        for event in events {
            text += &format!("+{}s {event}\n", at - now);
            now = *at;
        }
    }
    text + "+10m wait\n"
}

/// A renewal at the begin, and another invoice 52 seconds later.
fn renewal_and(words: &str, period: (i64, i64), shape: Shape) -> String {
    two(RENEWAL, (words, period), shape)
}

/// An invoice for this month, and another 52 seconds later.
fn two(first: &str, (second, period): (&str, (i64, i64)), shape: Shape) -> String {
    let bills = [
        (0, paid(1, 0, THIS_MONTH, first, shape)),
        (52, paid(2, 52, period, second, shape)),
    ];
    check("duplicate_charge", &timeline(&bills))
}

fn firing(told: &str) -> usize {
    told.matches(" firing ").count()
}

#[test]
fn an_invoice_by_hand_that_bills_what_the_renewal_does_is_a_duplicate() {
    let [by_charge, by_tie] = SHAPES.map(|shape| renewal_and(COPY, THIS_MONTH, shape));
    assert_eq!(by_charge, by_tie);
    assert_snapshot!(by_charge, @"d0 00:00:52 firing high cus_1:4900usd:2024-03-04: cus_1 was charged 49.00 USD 2 times within 52s, by different invoices that bill the same for the same period");
}

#[test]
fn what_bills_one_thing_for_one_period_is_told() {
    for shape in SHAPES {
        for (first, second) in [
            // It names the subscription as well, or another key of metadata.
            (RENEWAL.to_owned(), format!("{COPY} sub=sub_1")),
            (
                format!("{RENEWAL} meta.plan=pro"),
                format!("{COPY} own.run=7"),
            ),
            (
                format!("{RENEWAL} meta.site=a"),
                format!("{COPY} meta.site=a"),
            ),
            // Two by hand; with a memo or an order that is one and the same.
            (COPY.to_owned(), COPY.to_owned()),
            (format!("{COPY} memo=Site_A"), format!("{COPY} memo=Site_A")),
            (format!("{COPY} own.order=7"), format!("{COPY} own.order=7")),
            // The price alone, where a line has no words; words alone, where it has no price.
            ("price=price_1".to_owned(), "price=price_1".to_owned()),
            ("item=Support".to_owned(), "item=Support".to_owned()),
            // One subscription, one price, and words in another language.
            (RENEWAL.to_owned(), RENEWAL.replace("month", "Monat")),
        ] {
            let told = two(&first, (&second, THIS_MONTH), shape);
            assert_eq!(firing(&told), 1, "{shape:?} {first} | {second}\n{told}");
        }
    }
}

#[test]
fn invoices_for_two_things_are_explained() {
    for shape in SHAPES {
        for (first, second) in [
            // Two subscriptions to one price, with one anchor.
            (RENEWAL.to_owned(), RENEWAL.replace("sub_1", "sub_2")),
            // Something else for the same month; the same price for another seat.
            (RENEWAL.to_owned(), "reason=manual item=Storage".to_owned()),
            (COPY.to_owned(), COPY.replace("Pro", "Pro_for_Ann")),
            // Nothing says what it is.
            (RENEWAL.to_owned(), "reason=manual".to_owned()),
            // Two sites, two orders: by metadata of the line, of the invoice, or by the memo.
            (
                format!("{RENEWAL} meta.site=a"),
                format!("{COPY} meta.site=b"),
            ),
            (format!("{COPY} own.order=7"), format!("{COPY} own.order=8")),
            (
                format!("{RENEWAL} meta.site=a"),
                format!("{COPY} own.site=b"),
            ),
            (format!("{COPY} memo=Site_A"), format!("{COPY} memo=Site_B")),
            // A change in mid-period; usage whenever it passes a threshold.
            (format!("{COPY} proration"), format!("{COPY} proration")),
            (RENEWAL.to_owned(), RENEWAL.replace("cycle", "threshold")),
        ] {
            let told = two(&first, (&second, THIS_MONTH), shape);
            assert_eq!(firing(&told), 0, "{shape:?} {first} | {second}\n{told}");
            assert!(told.contains("quiet different_"), "{told}");
        }
    }
}

#[test]
fn invoices_for_two_periods_are_explained() {
    for shape in SHAPES {
        for period in [
            // The month before, the next one, or one from a second later on.
            (-MONTH, 0),
            (MONTH, 2 * MONTH),
            (1, MONTH),
        ] {
            for words in [RENEWAL, COPY] {
                let told = renewal_and(words, period, shape);
                assert_eq!(firing(&told), 0, "{shape:?} {words} {period:?}\n{told}");
            }
        }
        // Sales are for an instant: that it is one and the same says nothing.
        let sale = |n| paid(n, 0, (0, 0), COPY, shape);
        let told = check("duplicate_charge", &timeline(&[(0, sale(1)), (0, sale(2))]));
        assert_eq!(firing(&told), 0, "{shape:?}\n{told}");
    }
}

#[test]
fn an_invoice_that_was_voided_and_made_anew_is_paid_once() {
    for shape in SHAPES {
        let mut first = paid(1, 0, THIS_MONTH, RENEWAL, shape);
        first.truncate(1);
        first.push("invoice.voided in=in_1 cus=cus_1 total=4900".to_owned());
        let second = paid(2, 52, THIS_MONTH, COPY, shape);
        // Something else is bought meanwhile.
        let sale = "charge.succeeded ch=ch_9 pi=pi_9 cus=cus_1 amt=4900 meta.order=7".to_owned();
        let bills = [(0, first), (52, second), (60, vec![sale])];
        let told = check("duplicate_charge", &timeline(&bills));
        assert_eq!(firing(&told), 0, "{shape:?}\n{told}");
    }
}

#[test]
fn an_invoice_that_was_given_back_may_be_made_anew() {
    for shape in SHAPES {
        for back in [
            "refund.created re=re_1 ch=ch_1 amt=4900",
            "credit_note.created in=in_1 cus=cus_1 total=4900",
        ] {
            let bills = [
                (0, paid(1, 0, THIS_MONTH, RENEWAL, shape)),
                (30, vec![back.to_owned()]),
                (52, paid(2, 52, THIS_MONTH, COPY, shape)),
            ];
            let told = check("duplicate_charge", &timeline(&bills));
            assert_eq!(firing(&told), 0, "{shape:?} {back}\n{told}");
        }
    }
}

#[test]
fn a_refund_or_a_whole_credit_ends_it_even_days_later() {
    for (back, ends) in [
        ("refund.created re=re_1 ch=ch_2 amt=4900", 1),
        ("credit_note.created in=in_2 cus=cus_1 total=4900", 1),
        ("credit_note.created in=in_2 cus=cus_1 total=4800", 0),
        ("credit_note.created in=in_3 cus=cus_1 total=4900", 0),
    ] {
        for after in [600, 3 * 86_400] {
            let bills = [
                (0, paid(1, 0, THIS_MONTH, RENEWAL, Shape::Tie)),
                (52, paid(2, 52, THIS_MONTH, COPY, Shape::Tie)),
                (after, vec![back.to_owned()]),
            ];
            let told = check("duplicate_charge", &timeline(&bills));
            let ended = told.matches(" resolved ").count();
            assert_eq!((firing(&told), ended), (1, ends), "{back}\n{told}");
        }
    }
}

#[test]
fn where_no_event_ties_the_payments_all_invoices_over_the_amount_must_bill_one_thing() {
    let untied = |second: &str, third: Option<&str>| {
        let mut bills = vec![
            (0, paid(1, 0, THIS_MONTH, RENEWAL, Shape::Tie)),
            (52, paid(2, 52, THIS_MONTH, second, Shape::Tie)),
        ];
        if let Some(words) = third {
            bills.push((60, paid(3, 60, THIS_MONTH, words, Shape::Tie)));
        }
        for (_, events) in &mut bills {
            events.retain(|event| !event.starts_with("invoice_payment"));
        }
        check("duplicate_charge", &timeline(&bills))
    };
    let told = untied(&format!("sub=sub_1 {COPY}"), None);
    assert_eq!(firing(&told), 1, "{told}");
    let other = RENEWAL.replace("sub_1", "sub_2");
    assert_eq!(firing(&untied(&other, None)), 0);
    assert_eq!(
        firing(&untied(&format!("sub=sub_1 {COPY}"), Some(&other))),
        0
    );
}

#[test]
fn a_double_billing_is_told_once_in_any_order_of_arrival() {
    for shape in SHAPES {
        let first = paid(1, 0, THIS_MONTH, RENEWAL, shape);
        let second = paid(2, 0, THIS_MONTH, COPY, shape);
        let events: Vec<&String> = first.iter().chain(&second).collect();
        let mut lasting = BTreeSet::new();
        for turn in 0..events.len() {
            for is_back in [false, true] {
                let mut order = events.clone();
                order.rotate_left(turn);
                if is_back {
                    order.reverse();
                }
                // A charge that is announced, or the first invoice would count as a payment itself.
                let other = "+0s charge.succeeded ch=ch_9 cus=cus_2 amt=100\n";
                let lines: Vec<String> = order.iter().map(|event| format!("+0s {event}")).collect();
                let told = check(
                    "duplicate_charge",
                    &format!("{other}{}\n+10m wait\n", lines.join("\n")),
                );
                lasting.insert((firing(&told), told.matches(" resolved ").count()));
            }
        }
        assert_eq!(lasting, BTreeSet::from([(1, 0)]), "{shape:?}");
    }
}
