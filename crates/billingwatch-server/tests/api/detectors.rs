//! What watches, and what can be set on it.

use billingwatch_core::detector::{SettingValue, SettingValues};
use billingwatch_core::engine::SettingsChange;
use insta::assert_json_snapshot;

use crate::support::{START, TestApp};

#[test]
fn detectors_are_listed_with_settings_and_overrides() {
    let app = TestApp::start();
    let mut values = SettingValues::new();
    values.set("amount_min", SettingValue::Int(500));
    let change = SettingsChange {
        detector: "probe".to_owned(),
        source: Some("eu".to_owned()),
        is_enabled: None,
        values,
    };
    app.store.change_settings(&change, START).unwrap();
    let response = app.get("/webhooks/detectors");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json());
}
