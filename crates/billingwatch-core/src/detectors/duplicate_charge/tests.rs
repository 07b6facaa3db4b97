//! Timelines: what alarms, what is explained, and that the order of arrival does not matter.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use crate::testing::check;

fn firing(told: &str) -> usize {
    told.matches(" firing ").count()
}

#[test]
fn two_equal_charges_fire_grow_and_end_with_the_refund() {
    assert_snapshot!(check("duplicate_charge", "
        +0s   charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 amt=4900 card=visa
        +40s  charge.succeeded ch=ch_2 pi=pi_2 cus=cus_1 amt=4900 card=visa
        +40s  charge.succeeded ch=ch_3 pi=pi_3 cus=cus_1 amt=4900 card=visa
        +1h   refund.created ch=ch_2 amt=4900
        +1h   refund.created ch=ch_3 amt=4900
    "), @"
        d0 00:00:40 firing high cus_1:4900usd:2024-03-04: cus_1 was charged 49.00 USD 2 times within 40s, with nothing that tells the purchases apart
        d0 00:01:20 escalated critical cus_1:4900usd:2024-03-04: cus_1 was charged 49.00 USD 3 times within 1m 20s, with nothing that tells the purchases apart
        d0 02:01:20 resolved critical cus_1:4900usd:2024-03-04: 98.00 USD of the surplus was refunded
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
    assert_eq!(firing(&told), 1, "{told}");
}

#[test]
fn authorisations_of_different_days_captured_in_one_go_are_two_purchases() {
    let told = check(
        "duplicate_charge",
        "
        +0s  charge.succeeded ch=ch_1 cus=cus_1 uncaptured
        +1d  charge.succeeded ch=ch_2 cus=cus_1 uncaptured
        +1d  charge.captured ch=ch_1 cus=cus_1 made=-2d
        +1s  charge.captured ch=ch_2 cus=cus_1 made=-1d
    ",
    );
    assert_eq!(told, "");
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
        +1h  charge.succeeded ch=ch_9 cus=cus_5 desc=Subscription_creation
        +9s  charge.succeeded ch=ch_10 cus=cus_5 meta.addon=backup
    "), @"
        d0 00:00:09 quiet different_metadata ch_2: metadata `order_id` differs
        d0 01:00:18 quiet different_description ch_4: equal charges described differently
        d0 02:00:27 quiet different_invoices ch_6: equal charges for different invoices
        d0 03:00:45 quiet charged_again_after_refund ch_8: ch_7 was refunded before ch_8
        d0 04:00:54 quiet invoice_and_sale ch_10: one pays an invoice, and the other says what else it is for
        ");
}

#[test]
fn an_order_tried_again_is_the_same_order() {
    for (first, second, alerts) in [
        ("Order_7", "Order_7_(retry)", 1),
        ("Order_7_-_attempt_1", "Order_7_-_attempt_2", 1),
        ("Order_7_[retry_2]", "Order_7_[Retry_3]", 1),
        ("Order_7_(retry)", "Order_8_(retry)", 0),
        ("Take_2", "Take_3", 0),
        ("Seat_1", "Seat_2", 0),
        ("Retry", "Reattempt", 0),
    ] {
        let told = check(
            "duplicate_charge",
            &format!(
                "+0s charge.succeeded ch=ch_1 cus=cus_1 desc={first}\n\
                 +9s charge.succeeded ch=ch_2 cus=cus_1 desc={second}\n"
            ),
        );
        assert_eq!(firing(&told), alerts, "{first}, {second}: {told}");
    }
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
    assert_eq!(firing(&told), 1, "{told}");
}

#[test]
fn a_session_that_is_counted_is_what_was_sold_and_one_of_a_browser_is_not() {
    for (first, second, alerts) in [
        ("312870", "312868", 0),
        ("312870", "312870", 1),
        ("P-312870", "P-312868", 0),
        ("OSL918968367", "OSL671155070", 0),
        ("P-312870", "P-312870", 1),
        ("SESSION-1", "SESSION-2", 1),
        ("P-a1", "P-b2", 1),
        ("cs_live_a1", "cs_live_b2", 1),
        ("1709510400", "1709510409", 1),
    ] {
        let told = check(
            "duplicate_charge",
            &format!(
                "+0s charge.succeeded ch=ch_1 cus=cus_1 meta.session={first}\n\
                 +9s charge.succeeded ch=ch_2 cus=cus_1 meta.session={second}\n"
            ),
        );
        assert_eq!(firing(&told), alerts, "{first}, {second}: {told}");
    }
}

#[test]
fn an_invoice_paid_and_charged_by_hand_is_a_duplicate() {
    let told = check(
        "duplicate_charge",
        "
        +0s  charge.succeeded ch=ch_1 cus=cus_1 in=in_1 desc=Subscription_update
        +9s  charge.succeeded ch=ch_2 cus=cus_1
        +1h  charge.succeeded ch=ch_3 cus=cus_2 in=in_2
        +9s  charge.succeeded ch=ch_4 cus=cus_2 in=in_2
    ",
    );
    assert_eq!(firing(&told), 2, "{told}");
}

#[test]
fn without_ties_a_pair_described_as_invoices_is_judged_in_the_end() {
    let told = check(
        "duplicate_charge",
        "
        +0s  charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 desc=Subscription_creation
        +5s  charge.succeeded ch=ch_2 pi=pi_2 cus=cus_1 desc=Subscription_creation
        +5m  wait
    ",
    );
    assert_eq!(firing(&told), 1, "{told}");
}

/// A subscription and an add-on of one price begun at once, as basil tells it.
const TWO_INVOICES: [&str; 6] = [
    "charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 amt=2000 DESC",
    "charge.succeeded ch=ch_2 pi=pi_2 cus=cus_1 amt=2000 DESC",
    "invoice_payment.paid in=in_1 pi=pi_1 paid=2000",
    "invoice_payment.paid in=in_2 pi=pi_2 paid=2000",
    "invoice.paid in=in_1 cus=cus_1 total=2000",
    "invoice.paid in=in_2 cus=cus_1 total=2000",
];

#[test]
fn from_basil_on_two_invoices_are_two_things_in_any_order_of_arrival() {
    for (description, most) in [("desc=Subscription_creation", 0), ("", 1)] {
        let mut lasting = BTreeSet::new();
        for order in orders(6) {
            let mut timeline = String::new();
            for (nth, place) in order.iter().enumerate() {
                let line = TWO_INVOICES[*place].replace("DESC", description);
                timeline += &format!("+3s {line} late={}s\n", nth * 3);
            }
            let told = check("duplicate_charge", &(timeline.clone() + "+10m wait\n"));
            // Without Stripe's words the pair may alarm before the first tie; it ends with it.
            assert!(firing(&told) <= most, "{timeline}\n{told}");
            lasting.insert(firing(&told) - told.matches(" resolved ").count());
        }
        assert_eq!(lasting, BTreeSet::from([0]), "{description}");
    }
}

#[test]
fn the_alert_is_the_same_in_any_order_of_arrival() {
    let charges = [("ch_1", 0), ("ch_2", 100), ("ch_3", 350)];
    let mut keys = BTreeSet::new();
    for order in orders(3) {
        let mut timeline = "+1h wait\n".to_owned();
        for place in order {
            let (charge, made_at) = charges[place];
            timeline += &format!(
                "+0s charge.succeeded ch={charge} cus=cus_1 amt=4900 late={}s\n",
                3000 - made_at
            );
        }
        let told = check("duplicate_charge", &timeline);
        let key = told.lines().last().and_then(|line| line.split(' ').nth(4));
        keys.insert(key.unwrap_or_default().to_owned());
        let last = told.lines().last().unwrap_or_default();
        assert!(last.contains("3 times within 5m 50s"), "{told}");
    }
    assert_eq!(
        keys,
        BTreeSet::from(["cus_1:4900usd:2024-03-04:".to_owned()])
    );
}

#[test]
fn a_refund_between_the_two_explains_them_in_any_order_of_arrival() {
    let events = [
        ("charge.succeeded ch=ch_1 cus=cus_1 amt=4900", 0),
        ("refund.created re=re_1 ch=ch_1 amt=4900", 60),
        ("charge.succeeded ch=ch_2 cus=cus_1 amt=4900", 120),
    ];
    for order in orders(3) {
        let mut timeline = "+1h wait\n".to_owned();
        for place in order {
            let (line, made_at) = events[place];
            timeline += &format!("+0s {line} late={}s\n", 3000 - made_at);
        }
        let told = check("duplicate_charge", &timeline);
        assert_eq!(firing(&told), told.matches(" resolved ").count(), "{told}");
    }
}

#[test]
fn a_surplus_given_back_before_the_alert_is_no_retry() {
    // Charged twice, then one of them refunded; the second charge is delivered last.
    let told = check(
        "duplicate_charge",
        "
        +0s   charge.succeeded ch=ch_1 cus=cus_1
        +60s  refund.created ch=ch_1
        +1s   charge.succeeded ch=ch_2 cus=cus_1 late=41s
    ",
    );
    assert!(told.contains("quiet surplus_refunded"), "{told}");
    assert_eq!(firing(&told), 0, "{told}");
}

#[test]
fn a_second_pair_of_the_day_grows_the_alert_and_another_day_is_another() {
    let told = check(
        "duplicate_charge",
        "
        +0s  charge.succeeded ch=ch_1 cus=cus_1
        +9s  charge.succeeded ch=ch_2 cus=cus_1
        +1h  charge.succeeded ch=ch_3 cus=cus_1
        +9s  charge.succeeded ch=ch_4 cus=cus_1
        +9h  charge.succeeded ch=ch_5 cus=cus_1
        +9s  charge.succeeded ch=ch_6 cus=cus_1
        +1d  charge.succeeded ch=ch_7 cus=cus_1
        +9s  charge.succeeded ch=ch_8 cus=cus_1
        +1h  refund.created re=re_1 ch=ch_2 amt=2000
        +1h  refund.created re=re_2 ch=ch_4 amt=2000
        +1h  refund.created re=re_3 ch=ch_6 amt=2000
    ",
    );
    assert_eq!(firing(&told), 2, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
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
    assert_eq!(firing(&told), 1, "{told}");
}

#[test]
fn a_signup_sent_twice_is_told_and_two_that_differ_are_not() {
    let pair = |first: &str, second: &str, apart: &str| {
        let one = |n: usize, words: &str| {
            format!(
                "charge.succeeded ch=ch_{n} in=in_{n} cus=cus_1 amt=4900 desc=Subscription_creation\n\
                 +0s invoice.paid in=in_{n} ch=ch_{n} cus=cus_1 sub=sub_{n} total=4900 \
                 reason=create {words}\n"
            )
        };
        let timeline = format!("+0s {}+{apart} {}", one(1, first), one(2, second));
        check("duplicate_charge", &timeline)
    };
    for apart in ["6s", "150s"] {
        let twice = pair("price=price_1", "price=price_1", apart);
        assert_eq!(firing(&twice), 1, "{apart}: {twice}");
    }
    let twice = pair("price=price_1", "price=price_1", "6s");
    assert!(twice.contains("firing medium"), "{twice}");
    for (first, second, apart) in [
        ("price=price_1", "price=price_2", "6s"),
        ("price=price_1 qty=1", "price=price_1 qty=2", "6s"),
        (
            "price=price_1 meta.site=a",
            "price=price_1 meta.site=b",
            "6s",
        ),
        ("price=price_1", "price=price_1", "181s"),
        ("", "", "6s"),
    ] {
        let told = pair(first, second, apart);
        assert_eq!(firing(&told), 0, "{first} {second} {apart}: {told}");
    }
}

#[test]
fn a_signup_sent_twice_is_told_where_charges_name_no_invoices() {
    let told = |second: &str, apart: &str| {
        let one = |n: usize, price: &str| {
            format!(
                "charge.succeeded ch=ch_{n} cus=cus_1 amt=4900 desc=Subscription_creation\n\
                 +0s invoice.paid in=in_{n} cus=cus_1 sub=sub_{n} total=4900 reason=create price={price} \
                 from=0s through=30d\n"
            )
        };
        let timeline = format!(
            "+0s {}+{apart} {}+1h wait\n",
            one(1, "price_1"),
            one(2, second)
        );
        firing(&check("duplicate_charge", &timeline))
    };
    assert_eq!(told("price_1", "22s"), 1);
    assert_eq!(told("price_2", "22s"), 0);
    assert_eq!(told("price_1", "200s"), 0);
}

#[test]
fn subscriptions_with_metadata_of_their_own_are_two() {
    let told = check(
        "duplicate_charge",
        "
        +0s  customer.subscription.created sub=sub_1 cus=cus_1 meta.site=a
        +0s  charge.succeeded ch=ch_1 in=in_1 cus=cus_1
        +0s  invoice.paid in=in_1 ch=ch_1 cus=cus_1 sub=sub_1 reason=create price=price_1
        +3s  customer.subscription.created sub=sub_2 cus=cus_1 meta.site=b
        +0s  charge.succeeded ch=ch_2 in=in_2 cus=cus_1
        +0s  invoice.paid in=in_2 ch=ch_2 cus=cus_1 sub=sub_2 reason=create price=price_1
    ",
    );
    assert_eq!(firing(&told), 0, "{told}");
}

#[test]
fn a_charge_that_names_an_invoice_paid_already_pays_it_again() {
    for words in ["desc=Payment_for_invoice_5B-0007.", "meta.invoice_id=in_1"] {
        let told = check(
            "duplicate_charge",
            &format!(
                "
        +0s   charge.succeeded ch=ch_1 in=in_1 cus=cus_1 desc=Subscription_update
        +0s   invoice.paid in=in_1 ch=ch_1 cus=cus_1 no=5B-0007 reason=cycle
        +52s  charge.succeeded ch=ch_2 cus=cus_1 {words}
    "
            ),
        );
        assert_eq!(firing(&told), 1, "{told}");
    }
    let other = check(
        "duplicate_charge",
        "
        +0s   charge.succeeded ch=ch_1 in=in_1 cus=cus_1 desc=Subscription_update
        +0s   invoice.paid in=in_1 ch=ch_1 cus=cus_1 no=5B-0007 reason=cycle
        +52s  charge.succeeded ch=ch_2 cus=cus_1 desc=Payment_for_invoice_5B-0008
    ",
    );
    assert_eq!(firing(&other), 0, "{other}");
}

#[test]
fn intents_say_what_they_are_for_where_charges_are_not_announced() {
    let told = check(
        "duplicate_charge",
        "
        +0s  payment_intent.succeeded pi=pi_1 ch=ch_1 cus=cus_1 desc=Order_1
        +9s  payment_intent.succeeded pi=pi_2 ch=ch_2 cus=cus_1 desc=Order_2
        +1h  payment_intent.succeeded pi=pi_3 ch=ch_3 cus=cus_2 meta.order_id=1
        +9s  payment_intent.succeeded pi=pi_4 ch=ch_4 cus=cus_2 meta.order_id=2
        +1h  payment_intent.succeeded pi=pi_5 ch=ch_5 cus=cus_3 meta.order_id=1
        +9s  payment_intent.succeeded pi=pi_6 ch=ch_6 cus=cus_3 meta.order_id=1
    ",
    );
    assert_eq!(firing(&told), 1, "{told}");
    assert!(told.contains("cus_3"), "{told}");
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for _ in 0..count {
        let mut longer = Vec::new();
        for order in orders {
            for next in (0..count).filter(|next| !order.contains(next)) {
                let mut order = order.clone();
                order.push(next);
                longer.push(order);
            }
        }
        orders = longer;
    }
    orders
}

/// A job that ran twice: `customers` of them, each charged twice a few minutes after the other.
fn ran_twice(customers: usize) -> String {
    let mut timeline = String::new();
    for n in 1..=customers {
        timeline += &format!("+3m  charge.succeeded ch=ch_{n}a pi=pi_{n}a cus=cus_{n} amt=4900\n");
        timeline += &format!("+20s charge.succeeded ch=ch_{n}b pi=pi_{n}b cus=cus_{n} amt=4900\n");
    }
    timeline
}

#[test]
fn many_customers_within_an_hour_are_one_alert_that_lists_them_and_ends_with_the_last_refund() {
    let mut timeline = ran_twice(7);
    timeline += "+1h refund.created ch=ch_1b amt=4900\n";
    for n in 2..=7 {
        timeline += &format!("+1m refund.created ch=ch_{n}b amt=4900\n");
    }
    assert_snapshot!(check("duplicate_charge", &timeline), @"
        d0 00:03:20 firing high cus_1:4900usd:2024-03-04: cus_1 was charged 49.00 USD 2 times within 20s, with nothing that tells the purchases apart
        d0 00:06:40 firing high cus_2:4900usd:2024-03-04: cus_2 was charged 49.00 USD 2 times within 20s, with nothing that tells the purchases apart
        d0 00:10:00 resolved high cus_1:4900usd:2024-03-04: told with others of its hour, as `many:2024-03-04`
        d0 00:10:00 resolved high cus_2:4900usd:2024-03-04: told with others of its hour, as `many:2024-03-04`
        d0 00:10:00 firing critical many:2024-03-04: 3 customers were charged twice or more since 2024-03-04T00:03:00Z, 147.00 USD too much: cus_1, cus_2, cus_3
        d0 00:20:00 escalated critical many:2024-03-04: 5 customers were charged twice or more since 2024-03-04T00:03:00Z, 245.00 USD too much: cus_4, cus_5
        d0 00:30:00 escalated critical many:2024-03-04: 7 customers were charged twice or more since 2024-03-04T00:03:00Z, 343.00 USD too much: cus_6, cus_7
        d0 01:29:20 resolved critical many:2024-03-04: none of 7 is left; the last: 49.00 USD of the surplus was refunded
        ");
}

#[test]
fn two_customers_within_an_hour_are_two_alerts() {
    let told = check("duplicate_charge", &ran_twice(2));
    assert_eq!(firing(&told), 2, "{told}");
    assert!(!told.contains("many:"), "{told}");
}

#[test]
fn three_customers_on_three_days_are_three_alerts() {
    let told = check(
        "duplicate_charge",
        "
        +0s  charge.succeeded cus=cus_1 amt=4900
        +9s  charge.succeeded cus=cus_1 amt=4900
        +1d  charge.succeeded cus=cus_2 amt=4900
        +9s  charge.succeeded cus=cus_2 amt=4900
        +1d  charge.succeeded cus=cus_3 amt=4900
        +9s  charge.succeeded cus=cus_3 amt=4900
    ",
    );
    assert_eq!(firing(&told), 3, "{told}");
    assert!(!told.contains("many:"), "{told}");
}

#[test]
fn a_crowd_that_arrives_in_another_order_is_the_same_crowd() {
    let lasting = |timeline: &str| {
        let told = check("duplicate_charge", timeline);
        let open = told.lines().filter(|line| line.contains("many:"));
        open.filter(|line| line.contains(" firing ")).count()
    };
    // All charges are an hour old when they arrive, first or last customer first.
    let charge = |n: usize, ab: &str| {
        format!("+1s charge.succeeded ch=ch_{n}{ab} pi=pi_{n}{ab} cus=cus_{n} late=1h\n")
    };
    let mut forth = String::new();
    let mut back = String::new();
    for n in 1..=4 {
        forth += &(charge(n, "a") + &charge(n, "b"));
        back += &(charge(5 - n, "b") + &charge(5 - n, "a"));
    }
    assert_eq!((lasting(&forth), lasting(&back)), (1, 1));
}

#[test]
fn one_order_paid_by_one_card_as_two_customers_is_one_thing_paid_twice() {
    assert_snapshot!(check("duplicate_charge", "
        +0s    charge.succeeded ch=ch_1 cus=cus_1 amt=4900 card=visa meta.order_id=A7
        +2m    charge.succeeded ch=ch_2 cus=cus_2 amt=4900 card=visa meta.order_id=A7
        +1h    refund.created ch=ch_2 amt=4900
    "), @"
    d0 00:02:00 firing high cus_1:4900usd:2024-03-04: cus_1 was charged 49.00 USD 2 times within 2m, with nothing that tells the purchases apart
    d0 01:02:00 resolved high cus_1:4900usd:2024-03-04: 49.00 USD of the surplus was refunded
    ");
    // The intent's own event may come first, and says nothing of the card.
    let told = check(
        "duplicate_charge",
        "
        +0s    charge.succeeded ch=ch_1 pi=pi_1 cus=cus_1 amt=4900 card=visa meta.order_id=A7
        +2m    payment_intent.succeeded pi=pi_2 ch=ch_2 cus=cus_2 amt=4900 meta.order_id=A7
        +1s    charge.succeeded ch=ch_2 pi=pi_2 cus=cus_2 amt=4900 card=visa meta.order_id=A7
    ",
    );
    assert_eq!(firing(&told), 1, "{told}");
}

#[test]
fn a_card_that_several_share_is_not_charged_twice() {
    for second in [
        "cus=cus_2 amt=4900 card=visa meta.order_id=A8",
        "cus=cus_2 amt=4900 card=visa",
        "cus=cus_2 amt=4900 card=amex meta.order_id=A7",
        "cus=cus_2 amt=4901 card=visa meta.order_id=A7",
        "cus=cus_2 amt=4900 cur=eur card=visa meta.order_id=A7",
    ] {
        let told = check(
            "duplicate_charge",
            &format!(
                "
        +0s  charge.succeeded ch=ch_1 cus=cus_1 amt=4900 card=visa meta.order_id=A7
        +2m  charge.succeeded ch=ch_2 {second}
    "
            ),
        );
        assert_eq!(told, "", "{second}");
    }
}
