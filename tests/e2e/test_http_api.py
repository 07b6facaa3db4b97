"""What is open and what is closed, and the pages that the binary serves of itself."""

import signal

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from support.server import TOKEN
from support.stripe_events import charge_succeeded

CLOSED = [
    "/webhooks/alerts",
    "/webhooks/detectors",
    "/metrics",
    "/metrics/detectors",
    "/metrics/recent-events",
    "/api/v1/alerts",
    "/api/v1/events",
]


def test_health_needs_no_token_and_the_rest_does(server):
    server.send(charge_succeeded("cus_closed"))
    assert server.get("/health", token=None).status_code == 200
    for path in CLOSED:
        for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "x", "é"):
            headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
            response = server.session.get(server.url + path, headers=headers, timeout=5)
            assert response.status_code == 401, (path, token, response.status_code)
            assert set(response.json()["error"]) == {"code", "message"}
            assert TOKEN not in response.text
        assert server.get(path).status_code == 200, path
        # A token belongs into a header, never into an address that logs keep.
        assert server.session.get(server.url + path, params={"token": TOKEN}, timeout=5).status_code == 401


def test_each_of_several_tokens_opens(sqlite, start):
    server = start(sqlite, BILLINGWATCH_API_TOKEN=f"{TOKEN},second-token-0c1d")
    for token in (TOKEN, "second-token-0c1d"):
        assert server.get("/api/v1/alerts", token=token).status_code == 200
    assert server.get("/api/v1/alerts", token=f"{TOKEN},second-token-0c1d").status_code == 401


def test_secrets_may_come_from_files(sqlite, start, tmp_path):
    (tmp_path / "token").write_text("token-from-a-file\n")
    server = start(sqlite, BILLINGWATCH_API_TOKEN=None, BILLINGWATCH_API_TOKEN_FILE=tmp_path / "token")
    assert server.get("/api/v1/alerts", token="token-from-a-file").status_code == 200


@pytest.mark.parametrize("secret", [None, "dev"])
@pytest.mark.parametrize("flags", [(), ("--dev",)], ids=["APP_ENV", "--dev"])
def test_development_on_loopback_is_open_and_says_so(sqlite, start, flags, secret):
    mode = None if flags else "development"
    server = start(sqlite, *flags, APP_ENV=mode, STRIPE_WEBHOOK_SECRET=secret, BILLINGWATCH_API_TOKEN=None)
    event = charge_succeeded("cus_dev")
    assert server.post(event.body, header="").status_code == 200
    assert server.get("/api/v1/alerts", token=None).status_code == 200
    assert "verif" in server.log().lower(), server.log()


def test_development_with_a_secret_still_verifies(sqlite, start):
    server = start(sqlite, "--dev", BILLINGWATCH_API_TOKEN=None)
    event = charge_succeeded("cus_dev")
    assert server.post(event.body, header="").status_code == 400
    assert server.post(event.body).status_code == 200


def test_the_documentation_is_served_from_the_binary(server):
    page = server.session.get(f"{server.url}/docs", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
    assert page.status_code == 200, page.status_code
    assert "swagger-ui" in page.text
    for host in ("unpkg.com", "jsdelivr", "cdnjs", "googleapis"):
        assert host not in page.text
    document = server.get("/openapi.json")
    assert document.status_code == 200
    spec = document.json()
    assert spec["openapi"].startswith("3.1")
    errors = [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(spec).iter_errors()]
    assert errors == []
    assert {"/health", "/webhooks/stripe", "/api/v1/alerts"} | set(CLOSED) <= set(spec["paths"])


def test_metrics_are_json_or_prometheus_text_as_asked(server):
    for _ in range(3):
        server.send(charge_succeeded("cus_metrics", amount=100))
    metrics = server.json("/metrics", window_hours=1)
    assert metrics["total_events"] == 3
    assert metrics["events_by_type"] == {"charge.succeeded": 3}
    assert metrics["detector_count"] >= 7
    assert metrics["uptime_seconds"] >= 0
    for hours in ("0", "169", "x", "-1", "NaN"):
        assert server.get("/metrics", window_hours=hours).status_code == 400, hours
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/plain; version=0.0.4"}
    text = server.session.get(f"{server.url}/metrics", headers=headers, timeout=5)
    assert text.status_code == 200
    assert text.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE" in text.text


def test_events_are_listed_page_by_page_and_given_back_as_they_came(server):
    sent = [charge_succeeded(f"cus_{number % 2}", amount=100 + number) for number in range(7)]
    for one in sent:
        server.send(one)
    found, cursor = [], None
    for _ in range(10):
        page = server.json("/api/v1/events", limit=3, **({"after": cursor} if cursor else {}))
        found += page["data"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert sorted(one["id"] for one in found) == sorted(one.id for one in sent)
    mine = server.json("/api/v1/events", customer="cus_1", limit=100)["data"]
    assert {one["id"] for one in mine} == {one.id for one in sent[1::2]}
    assert server.json(f"/api/v1/events/{sent[0].id}")["body"] == sent[0].fields
    raw = server.get(f"/api/v1/events/{sent[0].id}/raw")
    assert (raw.status_code, raw.content) == (200, sent[0].body)
    assert server.get("/api/v1/events/evt_nowhere").status_code == 404


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_a_polite_stop_ends_with_success(server, signal_name):
    server.send(charge_succeeded("cus_last"))
    server.process.send_signal(getattr(signal, signal_name))
    assert server.process.wait(20) == 0, server.log()
    assert "panicked" not in server.log()
