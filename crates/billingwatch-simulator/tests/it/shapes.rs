//! Every body is an event in the shape of its API version.

use billingwatch_simulator::{ApiShape, MerchantKind};

use crate::support::{config, run};

#[test]
fn every_body_is_an_event() {
    for &shape in ApiShape::ALL {
        for &merchant in MerchantKind::ALL {
            let days = if merchant == MerchantKind::Marketplace {
                1
            } else {
                5
            };
            for read in run(&config(merchant, shape, days)).0 {
                let body = read.body();
                assert_eq!(body["object"], "event");
                assert_eq!(body["id"], read.event.id.as_str());
                assert_eq!(body["type"], read.event.event_type);
                assert_eq!(body["created"], read.event.created);
                assert_eq!(body["api_version"], shape.api_version());
                assert_eq!(body["livemode"], true);
                assert!(body["request"].is_object());
                assert!(
                    read.object()["object"].is_string(),
                    "{}",
                    read.event.event_type
                );
                assert_eq!(
                    read.object()["id"].is_string(),
                    !read.is("invoice.upcoming"),
                    "{}",
                    read.event.event_type
                );
                let size = read.event.json.len();
                assert!(
                    (400..6_000).contains(&size),
                    "{}: {size}",
                    read.event.event_type
                );
            }
        }
    }
}

#[test]
fn a_subscription_has_its_period_where_its_version_puts_it() {
    for &shape in ApiShape::ALL {
        let mut seen = 0;
        for read in run(&config(MerchantKind::SmallSaas, shape, 60)).0 {
            if read.object()["object"] != "subscription" {
                continue;
            }
            seen += 1;
            let (right, wrong) = match shape {
                ApiShape::Legacy => (read.object(), &read.object()["items"]["data"][0]),
                ApiShape::Basil => (&read.object()["items"]["data"][0], read.object()),
            };
            let start = right["current_period_start"].as_i64().unwrap();
            assert!(start < right["current_period_end"].as_i64().unwrap());
            assert!(
                start <= read.event.created,
                "a period to come: {}",
                read.body()
            );
            assert!(
                wrong.get("current_period_start").is_none()
                    && wrong.get("current_period_end").is_none()
            );
        }
        assert!(seen > 500, "{seen}");
    }
}

#[test]
fn references_stand_where_their_version_puts_them() {
    for &shape in ApiShape::ALL {
        let basil = shape == ApiShape::Basil;
        let mut joined = 0;
        for read in run(&config(MerchantKind::SmallSaas, shape, 60)).0 {
            let object = read.object();
            match object["object"].as_str().unwrap() {
                "invoice" => {
                    for key in [
                        "subscription",
                        "charge",
                        "payment_intent",
                        "paid",
                        "paid_out_of_band",
                        "tax",
                    ] {
                        assert_eq!(object.get(key).is_some(), !basil, "{key}");
                    }
                    assert_eq!(object.get("parent").is_some(), basil);
                    let subscription = if basil {
                        &object["parent"]["subscription_details"]["subscription"]
                    } else {
                        &object["subscription"]
                    };
                    assert!(subscription.as_str().unwrap().starts_with("sub_"));
                    assert_eq!(&object["lines"]["data"][0]["subscription"], subscription);
                    assert_eq!(object["lines"]["data"][0].get("pricing").is_some(), basil);
                }
                "charge" | "payment_intent" => {
                    assert_eq!(object.get("invoice").is_some(), !basil);
                    joined += i32::from(object["invoice"].is_string());
                }
                "invoice_payment" => {
                    assert!(basil);
                    assert!(
                        object["payment"]["payment_intent"]
                            .as_str()
                            .unwrap()
                            .starts_with("pi_3")
                    );
                    joined += 1;
                }
                "subscription" => assert_eq!(object.get("discounts").is_some(), basil),
                _ => {}
            }
        }
        assert!(joined > 500, "{joined}");
    }
}

#[test]
fn updates_tell_what_was_before() {
    for &shape in ApiShape::ALL {
        for read in run(&config(MerchantKind::SmallSaas, shape, 40)).0 {
            if !read.is("customer.subscription.updated") {
                continue;
            }
            let previous = read.body()["data"]["previous_attributes"]
                .as_object()
                .unwrap();
            assert!(!previous.is_empty());
            for (key, before) in previous {
                assert_ne!(&read.object()[key], before, "{key} did not change");
            }
        }
    }
}
