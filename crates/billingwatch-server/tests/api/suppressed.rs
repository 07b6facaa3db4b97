//! Why nobody was told.

use insta::assert_json_snapshot;

use crate::support::{TestApp, charge};

#[test]
fn what_was_harmless_is_listed_with_its_reason() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_harmless"));
    app.settle();
    let response = app.get("/api/v1/suppressed?reason=known_customer&subject=cus_harmless");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json(), @r#"
    {
      "data": [
        {
          "account": null,
          "at": "2023-11-14T22:13:20Z",
          "detector": "probe",
          "livemode": false,
          "message": "A charge failed, as it may.",
          "reason": "known_customer",
          "source": "default",
          "subject": "cus_harmless"
        }
      ],
      "next_cursor": null
    }
    "#);
    let none = app.get("/api/v1/suppressed?detector=other");
    assert_eq!(none.status, 200);
    assert_eq!(none.json()["data"], serde_json::json!([]));
    let wrong = app.get("/api/v1/suppressed?after=nonsense");
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.error_code(), "invalid_cursor");
    assert_eq!(app.get("/webhooks/alerts").json()["count"], 0);
}
