//! Each incident leaves a label and the events that justify it, at every strength and for every merchant,
//! even where nothing else happens.

use std::collections::BTreeSet;

use billingwatch_simulator::{ApiShape, IncidentKind, Label, MerchantKind, Strength};

use crate::support::{DAY, Read, START_AT, config, run, with_incident};

/// Four in the morning on the second day: quiet everywhere.
const AT: i64 = START_AT + DAY + 4 * 3_600;

/// Runs `check` on every merchant, shape and strength.
fn each(kind: IncidentKind, days: u32, check: impl Fn(MerchantKind, Strength, &Label, &[Read])) {
    for &shape in ApiShape::ALL {
        for &merchant in MerchantKind::ALL {
            let busy = matches!(merchant, MerchantKind::Saas | MerchantKind::Marketplace);
            if busy && shape == ApiShape::Basil {
                // Twenty thousand events a day say the same in one shape.
                continue;
            }
            for &strength in Strength::ALL {
                let days = if busy { days.min(4) } else { days };
                let (events, labels) = run(&with_incident(
                    config(merchant, shape, days),
                    kind,
                    strength,
                    AT,
                ));
                assert_eq!(labels.len(), 1);
                let label = &labels[0];
                assert_eq!((label.kind, label.strength), (kind, strength));
                assert_eq!(label.detector, kind.detector());
                assert!(label.ends_at > label.starts_at, "{label:?}");
                let ids: BTreeSet<&str> = events.iter().map(|r| r.event.id.as_str()).collect();
                assert!(label.event_ids.iter().all(|id| ids.contains(id.as_str())));
                check(merchant, strength, label, &events);
            }
        }
    }
}

/// The label's own events of a type.
fn own<'a>(label: &Label, events: &'a [Read], event_type: &str) -> Vec<&'a Read> {
    all_own(label, events)
        .into_iter()
        .filter(|r| r.is(event_type))
        .collect()
}

fn all_own<'a>(label: &Label, events: &'a [Read]) -> Vec<&'a Read> {
    let ids: BTreeSet<&str> = label.event_ids.iter().map(String::as_str).collect();
    events
        .iter()
        .filter(|r| ids.contains(r.event.id.as_str()))
        .collect()
}

fn within(label: &Label, read: &Read) -> bool {
    (label.starts_at..label.ends_at).contains(&read.event.created)
}

#[test]
fn charge_failure_spike_raises_the_share_of_failures() {
    each(
        IncidentKind::ChargeFailureSpike,
        2,
        |merchant, strength, label, events| {
            let count = |t: &str| {
                events
                    .iter()
                    .filter(|r| r.is(t) && within(label, r))
                    .count()
            };
            let (failed, all) = (
                count("charge.failed"),
                count("charge.failed") + count("charge.succeeded"),
            );
            let percent = match strength {
                Strength::Subtle => 25..=45,
                Strength::Moderate => 42..=62,
                Strength::Clear => 80..=97,
            };
            assert!(all >= 12, "{merchant}: {all}");
            assert!(
                percent.contains(&(failed * 100 / all)),
                "{merchant} {strength}: {failed} of {all}"
            );
            assert!(!own(label, events, "charge.failed").is_empty());
        },
    );
}

#[test]
fn card_testing_tries_many_cards_once() {
    each(IncidentKind::CardTesting, 2, |_, _, label, events| {
        let failed = own(label, events, "charge.failed");
        let cards: BTreeSet<_> = failed
            .iter()
            .map(|r| r.object()["payment_method_details"]["card"]["fingerprint"].to_string())
            .collect();
        assert!(failed.len() >= 25 && cards.len() == failed.len());
        assert!(
            failed
                .iter()
                .any(|r| r.object()["outcome"]["type"] == "blocked")
        );
        assert!(
            failed
                .iter()
                .all(|r| r.object()["amount"].as_i64().unwrap() <= 1_000)
        );
        assert!(failed.iter().all(|r| within(label, r)));
        assert!(!own(label, events, "setup_intent.setup_failed").is_empty());
    });
}

#[test]
fn duplicate_charge_takes_the_same_amount_twice_within_five_minutes() {
    each(
        IncidentKind::DuplicateCharge,
        2,
        |_, strength, label, events| {
            let charges = own(label, events, "charge.succeeded");
            assert_eq!(
                charges.len(),
                if strength == Strength::Clear { 3 } else { 2 }
            );
            for pair in charges.windows(2) {
                let (a, b) = (pair[0].object(), pair[1].object());
                assert!(a["customer"].is_string());
                for same in ["customer", "amount", "currency", "description", "metadata"] {
                    assert_eq!(a[same], b[same]);
                }
                for other in ["id", "payment_intent"] {
                    assert_ne!(a[other], b[other]);
                }
                let keys =
                    [pair[0], pair[1]].map(|r| r.body()["request"]["idempotency_key"].clone());
                assert!(keys[0].is_string() && keys[0] != keys[1]);
                assert!(pair[1].event.created - pair[0].event.created <= 300);
                assert!(label.subjects.iter().any(|s| b["id"] == s.as_str()));
            }
        },
    );
}

#[test]
fn fraud_spike_brings_disputes_and_warnings_of_known_charges() {
    each(
        IncidentKind::FraudSpike,
        3,
        |merchant, strength, label, events| {
            let disputes = own(label, events, "charge.dispute.created");
            let warnings = own(label, events, "radar.early_fraud_warning.created");
            let complaints = disputes.len() + warnings.len();
            let least = match strength {
                Strength::Subtle => 6,
                Strength::Moderate => 12,
                Strength::Clear => 30,
            };
            assert!(complaints >= least, "{merchant}: {complaints}");
            assert!(label.ends_at - label.starts_at <= DAY);
            assert!(
                disputes
                    .iter()
                    .all(|r| r.object()["status"] == "needs_response")
            );
            let known: BTreeSet<_> = events
                .iter()
                .filter(|r| r.is("charge.succeeded"))
                .map(|r| r.object()["id"].to_string())
                .collect();
            let joined = disputes
                .iter()
                .filter(|r| known.contains(&r.object()["charge"].to_string()))
                .count();
            // The world is a day old, so most charges came before it.
            assert!(joined > 0 || disputes.len() < 20, "{merchant} {strength}");
        },
    );
}

#[test]
fn negative_invoice_is_manual_and_below_zero() {
    each(IncidentKind::NegativeInvoice, 2, |_, _, label, events| {
        let invoices = own(label, events, "invoice.finalized");
        assert_eq!(invoices.len(), 1);
        let invoice = invoices[0].object();
        assert!(invoice["total"].as_i64().unwrap() < 0);
        assert_eq!(invoice["billing_reason"], "manual");
        assert_eq!(
            (&invoice["amount_due"], &invoice["amount_paid"]),
            (&0.into(), &0.into())
        );
        assert!(
            invoice["ending_balance"].as_i64().unwrap()
                < invoice["starting_balance"].as_i64().unwrap()
        );
        assert!(label.subjects.iter().any(|s| invoice["id"] == s.as_str()));
    });
}

#[test]
fn outsized_refund_is_far_above_all_others() {
    each(IncidentKind::OutsizedRefund, 3, |_, _, label, events| {
        let refunds = own(label, events, "refund.created");
        assert_eq!(refunds.len(), 1);
        let (currency, amount) = (
            &refunds[0].object()["currency"],
            refunds[0].object()["amount"].as_i64().unwrap(),
        );
        let others = events
            .iter()
            .filter(|r| r.is("refund.created") && r.event.id != refunds[0].event.id);
        for other in others.filter(|r| r.object()["currency"] == *currency) {
            assert!(amount > 2 * other.object()["amount"].as_i64().unwrap());
        }
        let charge = &refunds[0].object()["charge"];
        let bought = events
            .iter()
            .find(|r| r.is("charge.succeeded") && r.object()["id"] == *charge)
            .unwrap();
        assert!(bought.event.created <= AT - 24 * 3_600);
    });
}

#[test]
fn revenue_drop_takes_away_a_share_and_nothing_fails() {
    for merchant in [MerchantKind::Saas, MerchantKind::Marketplace] {
        let collected = |strength: Option<Strength>| {
            let days = 5;
            let mut plan = config(merchant, ApiShape::Legacy, days);
            if let Some(strength) = strength {
                plan = with_incident(plan, IncidentKind::RevenueDrop, strength, AT);
            }
            let (events, _) = run(&plan);
            let at = |r: &&Read| (AT + 7_200..AT + 2 * DAY).contains(&r.event.created);
            let paid = events
                .iter()
                .filter(at)
                .filter(|r| r.is("charge.succeeded"))
                .count();
            let failed = events
                .iter()
                .filter(at)
                .filter(|r| r.is("charge.failed"))
                .count();
            (paid, failed)
        };
        let (usual, usual_failed) = collected(None);
        for (strength, share) in [
            (Strength::Subtle, 75),
            (Strength::Moderate, 55),
            (Strength::Clear, 20),
        ] {
            let (paid, failed) = collected(Some(strength));
            let percent = paid * 100 / usual;
            assert!(
                percent.abs_diff(share) <= 8,
                "{merchant} {strength}: {paid} of {usual}"
            );
            assert!(failed <= usual_failed + usual_failed / 5 + 5);
        }
    }
}

#[test]
fn silent_lapse_rolls_over_unpaid_and_unfailed() {
    each(
        IncidentKind::SilentLapse,
        4,
        |merchant, strength, label, events| {
            let count = match strength {
                Strength::Subtle => 1,
                Strength::Moderate => 3,
                Strength::Clear => 6,
            };
            assert_eq!(label.subjects.len(), count, "{merchant}");
            for subject in &label.subjects {
                let updates = own(label, events, "customer.subscription.updated");
                let update = updates
                    .iter()
                    .find(|r| r.object()["id"] == subject.as_str())
                    .unwrap();
                assert_eq!(update.object()["status"], "active");
                assert!(update.event.created - AT < 7_200 && update.event.created >= AT - DAY);
                for read in events
                    .iter()
                    .filter(|r| r.event.created > update.event.created + 60)
                {
                    let told = ["customer.sub", "invoice"]
                        .iter()
                        .any(|p| read.event.event_type.starts_with(p));
                    let about = told
                        && String::from_utf8_lossy(&read.event.json).contains(subject.as_str());
                    assert!(!about, "{merchant}: {}", read.body());
                }
            }
        },
    );
}

#[test]
fn webhook_lag_delivers_late() {
    each(
        IncidentKind::WebhookLag,
        2,
        |merchant, strength, label, events| {
            let minutes = match strength {
                Strength::Subtle => 15..31,
                Strength::Moderate => 30..61,
                Strength::Clear => 60..91,
            };
            let late = all_own(label, events);
            assert!(late.len() >= 6, "{merchant}");
            for read in late {
                let lag = (read.event.received_at_ms / 1_000 - read.event.created) / 60;
                assert!(minutes.contains(&lag), "{lag}");
            }
        },
    );
}

#[test]
fn webhook_silence_lets_nothing_through_and_drains() {
    each(
        IncidentKind::WebhookSilence,
        6,
        |merchant, _, label, events| {
            let silent = label.starts_at * 1_000..(label.ends_at - 20 * 60) * 1_000;
            assert!(
                events
                    .iter()
                    .all(|r| !silent.contains(&r.event.received_at_ms))
            );
            let drained = all_own(label, events).len();
            assert!(drained >= 6, "{merchant}");
            assert!(
                events
                    .iter()
                    .any(|r| r.event.received_at_ms > label.ends_at * 1_000)
            );
        },
    );
}

#[test]
fn an_incident_at_either_end_of_the_world_still_happens() {
    for &kind in IncidentKind::ALL {
        for at in [START_AT, START_AT + 3 * DAY - 1] {
            // These show in what others do, and there is nothing after the end.
            let by_others =
                matches!(kind, IncidentKind::RevenueDrop) || kind.detector() == "webhook_lag";
            if by_others && at > START_AT {
                continue;
            }
            let plan = config(MerchantKind::SmallSaas, ApiShape::Basil, 3);
            let (events, labels) = run(&with_incident(plan, kind, Strength::Clear, at));
            if kind != IncidentKind::RevenueDrop {
                assert!(all_own(&labels[0], &events).len() >= 2, "{kind} at {at}");
            }
        }
    }
}

#[test]
fn labels_are_kept_as_json() {
    let plan = config(MerchantKind::Indie, ApiShape::Basil, 3);
    let (_, labels) = run(&with_incident(
        plan,
        IncidentKind::NegativeInvoice,
        Strength::Subtle,
        AT,
    ));
    let text = serde_json::to_string(&labels).unwrap();
    assert!(text.starts_with(
        r#"[{"incident":"incident-1","kind":"negative-invoice","detector":"negative_invoice","starts_at":1709179200,"#
    ), "{text}");
    assert_eq!(serde_json::from_str::<Vec<Label>>(&text).unwrap(), labels);
}
