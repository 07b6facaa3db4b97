//! Real shapes of all API versions, and everything that a body can be besides.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use billingwatch_core::event::subscription::Discount;
use billingwatch_core::event::{Event, EventData, EventType};
use billingwatch_core::stripe::payload::{PayloadError, parse_event, read_envelope};
use billingwatch_core::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

macro_rules! fixtures {
    ($($name:ident),+ $(,)?) => {
        const FIXTURES: &[(&str, &[u8])] = &[
            $((stringify!($name), include_bytes!(concat!("payload/", stringify!($name), ".json")))),+
        ];
    };
}

fixtures![
    acacia_invoice_payment_failed,
    acacia_payment_intent_failed,
    acacia_subscription_updated,
    basil_credit_note,
    basil_fraud_warning,
    basil_invoice_paid,
    basil_invoice_payment_paid,
    basil_invoice_upcoming,
    dahlia_charge_succeeded,
    dahlia_dispute_created,
    dahlia_invoice_updated_unknown_words,
    dahlia_setup_intent_failed,
    dahlia_subscription_paused_collection,
    payout_failed_is_other,
    thin_event,
    v2022_charge_failed_with_source,
    v2022_credit_note_voided,
    v2022_invoice_paid,
    v2022_refund_on_charge,
];

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn parse(body: &[u8]) -> Event {
    parse_event(body, NOW).unwrap()
}

fn parse_value(body: &Value) -> Event {
    parse(body.to_string().as_bytes())
}

fn charge_event(charge: &str) -> Vec<u8> {
    let event = r#"{"id":"evt_1","type":"charge.succeeded","created":1700000000,"data":{"object":"#;
    format!("{event}{charge}}}}}").into_bytes()
}

#[test]
fn each_shape_is_read_as_it_was_meant() {
    for (name, body) in FIXTURES {
        let envelope = read_envelope(body).unwrap();
        let event = parse(body);
        assert_eq!(envelope.id, event.id.as_str(), "{name}");
        assert_eq!(envelope.event_type, event.event_type.as_str(), "{name}");
        insta::assert_snapshot!(*name, format!("{envelope:#?}\n{event:#?}"));
    }
}

#[test]
fn neither_order_nor_layout_nor_wrapping_changes_an_event() {
    for (name, body) in FIXTURES {
        let event = parse(body);
        let envelope = read_envelope(body).unwrap();
        let value: Value = serde_json::from_slice(body).unwrap();
        let mut backwards = String::new();
        write_backwards(&value, &mut backwards);
        for text in [
            value.to_string(),
            backwards,
            json!({"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
                "detail-type": "x", "source": "aws.partner/stripe.com/ed_1",
                "account": "506417113113", "region": "eu-west-1", "detail": value})
            .to_string(),
            json!({"specversion": "1.0", "id": "outer", "type": "com.stripe.x",
                "source": "/stripe", "time": "2025-01-01T00:00:00Z", "data": value})
            .to_string(),
        ] {
            assert_eq!(parse(text.as_bytes()), event, "{name}: {text}");
            assert_eq!(
                read_envelope(text.as_bytes()),
                Ok(envelope.clone()),
                "{name}"
            );
        }
    }
}

/// JSON with the keys of every object in reverse order, `type` after `data` and `object` last.
fn write_backwards(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().rev().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(&format!("{}:", Value::from(key.as_str())));
                write_backwards(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_backwards(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[test]
fn what_cannot_be_kept_under_an_id_is_refused_by_name() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(300));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [(&[u8], &str); 21] = [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b"hello", "not_json"),
        (b"{", "not_json"),
        (br#"{"id":"evt_1"} trailing"#, "not_json"),
        (br#"{"id":"evt_1",}"#, "not_json"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"null", "not_an_object"),
        (b"[]", "not_an_object"),
        (br#"[{"id":"evt_1"}]"#, "not_an_object"),
        (b"\"evt_1\"", "not_an_object"),
        (deep.as_bytes(), "not_an_object"),
        (b"{}", "no_id"),
        (br#"{"id":null}"#, "no_id"),
        (br#"{"id":7}"#, "no_id"),
        (br#"{"id":""}"#, "no_id"),
        (br#"{"id":"evt_\u0000"}"#, "id_unprintable"),
        (br#"{"id":"evt_\ud800"}"#, "id_unprintable"),
        (b"{\"id\":\"evt_\xff\"}", "id_unprintable"),
        (long.as_bytes(), "id_too_long"),
    ];
    for (body, code) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!(read_envelope(body).unwrap_err().code(), code, "{shown}");
        assert_eq!(parse_event(body, NOW).unwrap_err().code(), code, "{shown}");
    }
    assert_eq!(
        read_envelope(b"{\n  \"id\": x").unwrap_err(),
        PayloadError::NotJson { line: 2, column: 9 }
    );
}

#[test]
fn an_id_alone_makes_an_event() {
    let long_type = format!(r#"{{"id":"evt_1","type":"{}"}}"#, "x".repeat(300));
    for body in [
        r#"{"id":"evt_1"}"#,
        r#"{"id":"evt_1","type":null,"data":null,"livemode":"yes","account":{}}"#,
        r#"{"id":"evt_1","type":7,"data":{"object":[1]},"request":3,"created":"soon"}"#,
        r#"{"id":"evt_1","type":"","data":{"object":null},"api_version":1}"#,
        r#"{"id":"evt_1","type":"a\u0000b","data":{"object":"x"}}"#,
        &long_type,
    ] {
        let event = parse(body.as_bytes());
        assert_eq!(event.event_type.as_str(), "unknown", "{body}");
        assert_eq!(event.created, NOW);
        assert!(event.livemode && event.account.is_none() && event.request.is_none());
        assert!(matches!(event.data, EventData::Other(_)));
        let envelope = read_envelope(body.as_bytes()).unwrap();
        assert_eq!(
            (envelope.event_type.as_str(), envelope.created),
            ("unknown", None)
        );
    }
}

#[test]
fn a_time_that_cannot_be_is_replaced_by_that_of_receipt() {
    for (created, kept) in [
        ("1700000000", true),
        ("1234567890", true),
        ("1790086400", true),
        ("1790086401", false),
        ("-2208988800", false),
        ("253402300799", false),
        ("0", false),
        ("9223372036854775807", false),
        ("1e400", false),
        ("1700000000.5", false),
        ("\"1700000000\"", false),
        ("null", false),
    ] {
        let body = format!(r#"{{"id":"evt_1","type":"x","created":{created}}}"#);
        assert_eq!(parse(body.as_bytes()).created != NOW, kept, "{created}");
    }
    // The journal keeps what was sent, as long as it is a time at all.
    let sent = |body: &str| read_envelope(body.as_bytes()).unwrap().created;
    let created = sent(r#"{"id":"evt_1","created":-2208988800}"#).unwrap();
    assert_eq!(created.to_string(), "1900-01-01T00:00:00Z");
    assert_eq!(sent(r#"{"id":"evt_1","created":253402300800}"#), None);
}

#[test]
fn a_field_of_the_wrong_kind_is_missing_and_costs_no_other() {
    let EventData::Charge(whole) = parse(&charge_event(
        r#"{"id":"ch_1","object":"charge","amount":500,"currency":"usd","customer":"cus_1"}"#,
    ))
    .data
    else {
        panic!("not a charge");
    };
    assert_eq!(whole.amount_collected(), Some(500));
    for amount in [
        "\"500\"",
        "5.0",
        "5e2",
        "null",
        "true",
        "[]",
        "{}",
        "1e400",
        "-1e999",
        "\"\\ud800\"",
        "9223372036854775808",
        "99999999999999999999999999999999999999999999",
    ] {
        let EventData::Charge(charge) = parse(&charge_event(&format!(
            r#"{{"id":"ch_1","object":"charge","amount":{amount},"currency":"usd","customer":"cus_1"}}"#
        )))
        .data
        else {
            panic!("not a charge");
        };
        let mut expected = whole.clone();
        expected.amount = None;
        assert_eq!(charge, expected, "{amount}");
    }
    let negative = parse(&charge_event(
        r#"{"object":"charge","id":"ch_1","amount":-5}"#,
    ));
    assert!(matches!(negative.data, EventData::Charge(charge) if charge.amount == Some(-5)));
}

#[test]
fn text_that_serde_refuses_does_not_lose_the_event() {
    let bodies: [Vec<u8>; 3] = [
        charge_event(r#"{"id":"ch_1","object":"charge","amount":500,"description":"\ud83d!"}"#),
        charge_event(
            r#"{"id":"ch_1","object":"charge","amount":500,"x\udc00":1,"description":"\ufffd!"}"#,
        ),
        [
            charge_event(r#"{"id":"ch_1","object":"charge","amount":500,"description":""#)
                .strip_suffix(b"}}")
                .unwrap(),
            b"\xf0\x9f!\"}}}",
        ]
        .concat(),
    ];
    for body in bodies {
        let event = parse(&body);
        let EventData::Charge(charge) = event.data else {
            panic!("{event:?}");
        };
        assert_eq!(charge.amount, Some(500));
        assert_eq!(charge.description.as_deref(), Some("\u{fffd}!"));
        assert_eq!(
            read_envelope(&body).unwrap().object_id.as_deref(),
            Some("ch_1")
        );
    }
}

#[test]
fn of_repeated_keys_the_last_counts() {
    let body = br#"{"id":"evt_0","id":"evt_1","type":"x","type":"charge.failed","created":1,
        "created":1700000000,"livemode":false,"livemode":true,
        "data":{"object":{"id":"ch_0","object":"charge"}},
        "data":{"object":1,"object":{"id":"ch_0","object":"invoice","amount":1,"id":"ch_1",
            "object":"charge","amount":2,"metadata":{"a":"0","a":"1"}}}}"#;
    let event = parse(body);
    assert_eq!((event.id.as_str(), event.livemode), ("evt_1", true));
    assert_eq!(event.created, Timestamp::from_secs(1_700_000_000));
    let EventData::Charge(charge) = event.data else {
        panic!("{event:?}");
    };
    assert_eq!((charge.id.as_str(), charge.amount), ("ch_1", Some(2)));
    assert_eq!(charge.metadata, [("a".into(), "1".into())]);
    assert_eq!(
        read_envelope(body).unwrap().object_id.as_deref(),
        Some("ch_1")
    );
}

#[test]
fn nesting_is_passed_over_however_deep() {
    let deep = format!("{}1{}", r#"{"a":["#.repeat(50_000), "]}".repeat(50_000));
    for key in ["amount", "metadata", "customer", "outcome", "id", "strange"] {
        let event = parse(&charge_event(&format!(
            r#"{{"id":"ch_1","object":"charge","{key}":{deep},"currency":"usd","id":"ch_1"}}"#
        )));
        assert!(matches!(event.data, EventData::Charge(_)), "{key}");
    }
    let top = format!(r#"{{"previous":{deep},"id":"evt_1","data":{deep},"request":{deep}}}"#);
    assert_eq!(parse(top.as_bytes()).id.as_str(), "evt_1");
}

#[test]
fn an_object_that_does_not_say_what_it_is_goes_by_the_type_of_its_event() {
    for (event_type, status) in [
        ("charge.succeeded", "Succeeded"),
        ("charge.failed", "Failed"),
        ("charge.pending", "Pending"),
        ("charge.updated", "Unknown"),
    ] {
        let event = parse_value(&json!({"id": "evt_1", "type": event_type,
            "data": {"object": {"amount": 5, "id": "ch_1"}}}));
        let EventData::Charge(charge) = event.data else {
            panic!("{event:?}");
        };
        assert_eq!(format!("{:?}", charge.status), status);
    }
    let held = parse_value(&json!({"id": "evt_1", "type": "charge.succeeded",
        "data": {"object": {"amount": 5, "captured": false, "id": "ch_1"}}}));
    assert!(matches!(held.data, EventData::Charge(c) if c.amount_collected().is_none()));
    let nameless = parse_value(&json!({"id": "evt_1", "type": "charge.succeeded",
        "data": {"object": {"object": "charge", "amount": 5}}}));
    let EventData::Other(other) = nameless.data else {
        panic!("a charge without an id");
    };
    assert_eq!(other.unreadable.as_deref(), Some("it has no readable id"));
}

#[test]
fn who_a_customer_is_is_read_in_every_form() {
    let customer_of = |object: Value| {
        let body = json!({"id": "evt_1", "type": "x", "data": {"object": object}}).to_string();
        read_envelope(body.as_bytes()).unwrap().customer_id
    };
    for (object, customer) in [
        (
            json!({"id": "ch_1", "object": "charge", "customer": "cus_1"}),
            Some("cus_1"),
        ),
        (
            json!({"customer": {"id": "cus_1", "deleted": true}}),
            Some("cus_1"),
        ),
        (
            json!({"customer": null, "customer_account": "acct_1"}),
            Some("acct_1"),
        ),
        (json!({"id": "cus_1", "object": "customer"}), Some("cus_1")),
        (
            json!({"id": "ch_1", "object": "charge", "customer": null}),
            None,
        ),
    ] {
        assert_eq!(customer_of(object).as_deref(), customer);
    }
}

#[test]
fn a_coupon_for_one_invoice_is_told_from_one_for_longer() {
    let passes = |discount: &str| {
        let body = format!(
            r#"{{"id":"evt_1","object":"event","created":1709553600,"type":"customer.subscription.updated",
            "data":{{"object":{{"id":"sub_1","object":"subscription","status":"active",{discount}}}}}}}"#
        );
        let EventData::Subscription(subscription) = parse(body.as_bytes()).data else {
            panic!("no subscription: {body}");
        };
        assert_eq!(
            *subscription.discounts,
            [Discount::PercentBps(5_000)],
            "{body}"
        );
        subscription.has_passing_discount
    };
    for (duration, is_passing) in [("once", true), ("repeating", false), ("forever", false)] {
        let coupon = format!(r#"{{"id":"half","duration":"{duration}","percent_off":50}}"#);
        // Before 2025, in a list since, and by its source later still.
        for discount in [
            format!(r#""discount":{{"id":"di_1","coupon":{coupon}}}"#),
            format!(r#""discounts":[{{"id":"di_1","coupon":{coupon}}}]"#),
            format!(
                r#""discounts":[{{"id":"di_1","source":{{"type":"coupon","coupon":{coupon}}}}}]"#
            ),
        ] {
            assert_eq!(passes(&discount), is_passing, "{discount}");
        }
    }
}

#[test]
fn a_wrapper_is_opened_only_around_an_event() {
    let plain = parse_value(
        &json!({"id": "evt_1", "type": "charge.failed", "detail": {"id": "x"},
        "data": {"object": {"id": "ch_1", "object": "charge"}}}),
    );
    assert_eq!(plain.id.as_str(), "evt_1");
    assert_eq!(plain.event_type, EventType::ChargeFailed);
    assert!(matches!(plain.data, EventData::Charge(_)));
}

/// JSON with the words that the parser looks for, in places where it does and does not.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "id",
        "object",
        "type",
        "data",
        "detail",
        "specversion",
        "created",
        "request",
        "charge",
        "invoice",
        "subscription",
        "customer",
        "parent",
        "subscription_details",
        "lines",
        "payments",
        "payment",
        "items",
        "price",
        "recurring",
        "discount",
        "discounts",
        "coupon",
        "source",
        "metadata",
        "amount",
        "status",
        "currency",
        "period",
        "evt_1",
        "event",
        "v2.core.event",
        "charge.failed",
        "invoice.paid",
        "customer.subscription.updated",
        "related_object",
        "context",
        "percent_off",
        "unit_amount_decimal",
        "has_more",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 8, move |inner| {
        let key = prop_oneof![4 => words.clone().prop_map(String::from), 1 => any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// What holds of any bytes: both readers agree, and a rewrite of the same JSON changes nothing.
fn check_agreement(body: &[u8]) {
    match (read_envelope(body), parse_event(body, NOW)) {
        (Ok(envelope), Ok(event)) => {
            assert_eq!(envelope.id, event.id.as_str());
            assert_eq!(envelope.event_type, event.event_type.as_str());
            assert_eq!(envelope.livemode, event.livemode);
        }
        (Err(one), Err(other)) => assert_eq!(one.code(), other.code()),
        (envelope, event) => panic!("{envelope:?} but {event:?}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..400)) {
        check_agreement(&body);
    }

    #[test]
    fn any_json_is_answered(mut body in any_json(), object in any_json(), put in any::<bool>()) {
        if put && let Value::Object(event) = &mut body {
            event.insert("id".into(), "evt_1".into());
            event.insert("data".into(), json!({ "object": object }));
        }
        check_agreement(body.to_string().as_bytes());
    }

    #[test]
    fn a_damaged_event_is_answered(
        which in 0..FIXTURES.len(),
        at in any::<prop::sample::Index>(),
        len in 0..40usize,
        with in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let mut body = FIXTURES[which].1.to_vec();
        let from = at.index(body.len());
        let to = (from + len).min(body.len());
        body.splice(from..to, with);
        check_agreement(&body);
    }

    #[test]
    fn a_field_replaced_by_anything_loses_no_event(
        which in 0..FIXTURES.len(),
        field in any::<prop::sample::Index>(),
        value in any_json(),
    ) {
        let (_, body) = FIXTURES[which];
        let mut event: Value = serde_json::from_slice(body).unwrap();
        if let Some(Value::Object(object)) = event.pointer_mut("/data/object") {
            let index = field.index(object.len());
            let slot = object.values_mut().nth(index).unwrap();
            *slot = value;
        }
        prop_assert_eq!(parse_value(&event).id, parse(body).id);
    }
}

#[test]
fn a_checkout_session_says_what_was_paid_on_it() {
    let session = |status: &str| {
        let session = json!({
            "id": "cs_live_1", "object": "checkout.session", "amount_total": 4_900, "currency": "kwd",
            "customer": "cus_1", "payment_intent": {"id": "pi_1", "object": "payment_intent"},
            "invoice": null, "mode": "payment", "payment_status": status, "status": "complete",
        });
        let body = json!({
            "id": "evt_1", "object": "event", "type": "checkout.session.completed",
            "created": 1_700_000_000, "livemode": true, "data": {"object": session},
        });
        match parse_value(&body).data {
            EventData::CheckoutSession(session) => session,
            other => panic!("{other:?}"),
        }
    };
    let paid = session("paid");
    assert_eq!(paid.amount_total, Some(4_900));
    assert_eq!(
        paid.payment_intent.map(|id| id.to_string()).as_deref(),
        Some("pi_1")
    );
    assert!(paid.is_paid && paid.invoice.is_none());
    // A bank debit or a voucher, which is paid days later; or a trial.
    assert!(!session("unpaid").is_paid && !session("no_payment_required").is_paid);
}
