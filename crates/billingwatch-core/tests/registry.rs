//! What holds for every detector of the list, whatever it detects.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeSet;

use billingwatch_core::detector::{SettingKind, SettingSpec, SettingValue, SettingValues};
use billingwatch_core::detectors;
use billingwatch_core::engine::{Engine, Registry, SettingsChange};
use billingwatch_core::event::{Family, FamilySet};

/// The names that files, settings, alerts and docs rely on.
const PROMISED: [&str; 7] = [
    "charge_failure_spike",
    "duplicate_charge",
    "fraud_spike",
    "negative_invoice",
    "revenue_drop",
    "silent_lapse",
    "webhook_lag",
];

const FAMILIES: [Family; 11] = [
    Family::Charge,
    Family::PaymentIntent,
    Family::SetupIntent,
    Family::Invoice,
    Family::InvoicePayment,
    Family::Subscription,
    Family::Refund,
    Family::Dispute,
    Family::FraudWarning,
    Family::CreditNote,
    Family::Other,
];

fn is_snake_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

fn change(detector: &str, setting: &SettingSpec, value: SettingValue) -> SettingsChange {
    let mut values = SettingValues::new();
    values.set(setting.name, value);
    SettingsChange {
        detector: detector.to_owned(),
        source: None,
        is_enabled: None,
        values,
    }
}

#[test]
fn the_promised_names_are_there_once_each_in_snake_case() {
    let names: Vec<&str> = detectors::all()
        .iter()
        .map(|factory| factory.spec().name)
        .collect();
    for name in &names {
        assert!(is_snake_case(name), "{name}");
    }
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(
        unique.len(),
        names.len(),
        "two detectors share a name: {names:?}"
    );
    for name in PROMISED {
        assert!(unique.contains(name), "{name} is gone");
    }
}

#[test]
fn every_detector_says_what_it_watches_and_hears_something() {
    for factory in detectors::all() {
        let spec = factory.spec();
        let description = spec.description;
        assert!(description.ends_with('.'), "{}: not a sentence", spec.name);
        assert!(
            (20..=160).contains(&description.len()),
            "{}: a sentence, not a word and not a page",
            spec.name
        );
        assert!(
            !description.contains("  "),
            "{}: `{description}`",
            spec.name
        );
        let hears = FAMILIES.iter().any(|family| spec.listens.contains(*family));
        assert!(
            hears && spec.listens != FamilySet::NONE,
            "{} is deaf",
            spec.name
        );
    }
}

#[test]
fn every_setting_is_documented_and_its_default_is_allowed() {
    for factory in detectors::all() {
        let spec = factory.spec();
        assert!(!spec.settings.is_empty(), "{} cannot be tuned", spec.name);
        let mut names = BTreeSet::new();
        for setting in spec.settings {
            let place = format!("{}.{}", spec.name, setting.name);
            assert!(is_snake_case(setting.name), "{place}");
            assert!(names.insert(setting.name), "{place} is there twice");
            assert!(setting.doc.len() > 20, "{place}: `{}`", setting.doc);
            assert!(setting.doc.ends_with('.'), "{place}: not a sentence");
            if let SettingKind::Int { default, min, max } = setting.kind {
                assert!(min < max, "{place} leaves no choice");
                assert!(
                    (min..=max).contains(&default),
                    "{place}: {default} is not allowed"
                );
            }
        }
    }
}

#[test]
fn every_default_and_every_bound_can_be_set() {
    for factory in detectors::all() {
        let spec = factory.spec();
        let mut defaults = SettingValues::new();
        for setting in spec.settings {
            defaults.set(setting.name, setting.default_value());
        }
        factory.build().configure(&defaults).unwrap();
        for setting in spec.settings {
            let SettingKind::Int { min, max, .. } = setting.kind else {
                continue;
            };
            for bound in [min, max] {
                let mut engine = Engine::new(Registry::standard());
                let result = engine.set(&change(spec.name, setting, SettingValue::Int(bound)));
                // Within its own bounds a value may contradict another setting, and says so.
                if let Err(error) = result {
                    let text = error.to_string();
                    assert!(text.starts_with(&format!("`{}`: ", spec.name)), "{text}");
                }
            }
        }
    }
}

#[test]
fn what_is_out_of_bounds_is_refused_by_key_and_range() {
    for factory in detectors::all() {
        let spec = factory.spec();
        let mut engine = Engine::new(Registry::standard());
        let mut refuse = |setting: &SettingSpec, value| {
            let error = engine.set(&change(spec.name, setting, value)).unwrap_err();
            error.to_string()
        };
        for setting in spec.settings {
            let place = format!("`{}.{}`", spec.name, setting.name);
            match setting.kind {
                SettingKind::Int { min, max, .. } => {
                    for value in [min - 1, max + 1, i64::MIN, i64::MAX] {
                        let text = refuse(setting, SettingValue::Int(value));
                        let range = format!("{place} must be from {min} to {max}, not {value}");
                        assert_eq!(text, range);
                    }
                    let text = refuse(setting, SettingValue::Bool(true));
                    assert_eq!(text, format!("{place} must be a whole number, not true"));
                }
                SettingKind::Bool { .. } => {
                    let text = refuse(setting, SettingValue::Int(1));
                    assert_eq!(text, format!("{place} must be true or false, not 1"));
                }
            }
        }
        let missing = SettingSpec {
            name: "no_such_setting",
            doc: "",
            kind: SettingKind::Bool { default: true },
        };
        let text = refuse(&missing, SettingValue::Bool(true));
        assert!(
            text.contains("has no setting `no_such_setting`; it has: "),
            "{text}"
        );
    }
}

#[test]
fn a_fresh_snapshot_is_taken_back_and_broken_ones_are_refused() {
    for factory in detectors::all() {
        let name = factory.spec().name;
        let bytes = factory.build().snapshot().unwrap();
        let mut restored = factory.build();
        restored.restore(&bytes).unwrap();
        assert_eq!(restored.snapshot().unwrap(), bytes, "{name}");
        if let Some((_, cut)) = bytes.split_last() {
            assert!(
                factory.build().restore(cut).is_err(),
                "{name} took half a state"
            );
        }
        assert!(
            factory.build().restore(&[0xff; 64]).is_err(),
            "{name} took rubbish"
        );
    }
}

#[test]
fn of_two_detectors_with_one_name_the_first_is_kept() {
    let mut twice = detectors::all();
    twice.extend(detectors::all());
    assert_eq!(Registry::new(twice).specs().count(), detectors::all().len());
}
