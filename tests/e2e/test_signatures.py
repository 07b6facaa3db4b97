"""What the official SDKs sign is accepted, kept and recognised when it comes again."""

import json
import subprocess
import time
from pathlib import Path

import pytest
import stripe

from support import signing
from support.server import SECRET
from support.stripe_events import ACACIA, BASIL, charge_succeeded, new_id, thin

HERE = Path(__file__).parent


def node(*arguments, body):
    """Runs the Node SDK over `body`."""
    command = ["node", HERE / "sign_with_node.mjs", *map(str, arguments)]
    return subprocess.run(command, input=body, capture_output=True, check=True, timeout=30).stdout.decode()


def signed_by_python(body, secret=SECRET, timestamp=None):
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp)


def signed_by_node(body, secret=SECRET, timestamp=None):
    return node(secret, *([] if timestamp is None else [timestamp]), body=body)


SIGNERS = [pytest.param(signed_by_python, id="python"), pytest.param(signed_by_node, id="node")]


@pytest.mark.parametrize("sign", SIGNERS)
@pytest.mark.parametrize("api_version", [ACACIA, BASIL])
def test_an_event_is_accepted_once_and_known_the_second_time(server, journal, sign, api_version):
    event = charge_succeeded("cus_signed", api_version=api_version)

    first = server.post(event.body, sign(event.body))
    assert (first.status_code, first.json()) == (200, {"received": True, "duplicate": False})
    second = server.post(event.body, sign(event.body))
    assert (second.status_code, second.json()) == (200, {"received": True, "duplicate": True})

    assert journal.body(event.id) == event.body
    kept = journal.row(event.id, "event_type", "customer_id", "object_id", "created_at", "livemode", "api_version", "account")
    assert kept["event_type"] == "charge.succeeded"
    assert kept["customer_id"] == "cus_signed"
    assert kept["object_id"] == event.fields["data"]["object"]["id"]
    assert kept["created_at"] == event.fields["created"]
    assert bool(kept["livemode"]) is True
    assert kept["api_version"] == api_version
    assert not kept["account"]


@pytest.mark.parametrize("sign", SIGNERS)
def test_text_beyond_ascii_is_kept_byte_for_byte(server, journal, sign):
    event = charge_succeeded("cus_utf8", description='Straße 9, 東京 – "café" 🎉')
    assert server.post(event.body, sign(event.body)).status_code == 200
    assert journal.body(event.id) == event.body


def test_this_suite_signs_as_both_sdks_do():
    body = charge_succeeded("cus_same").body
    now = int(time.time())
    assert signing.header(SECRET, body, now) == signed_by_python(body, timestamp=now) == signed_by_node(body, timestamp=now)
    event_id = stripe.Webhook.construct_event(body, signing.header(SECRET, body), SECRET).id
    assert node(SECRET, "--verify", signing.header(SECRET, body), body=body) == event_id


def test_every_active_secret_is_accepted(database, start, journal):
    rolled = "whsec_rolled_" + new_id("s")
    server = start(database, STRIPE_WEBHOOK_SECRET=f"{SECRET}, {rolled}")
    now = int(time.time())
    for secrets in ([SECRET], [rolled], [rolled, SECRET], [SECRET, "whsec_of_somebody_else"]):
        event = charge_succeeded("cus_rolled")
        header = f"t={now}," + ",".join(f"v1={signing.v1(secret, now, event.body)}" for secret in secrets)
        assert server.post(event.body, header).status_code == 200, header
        journal.body(event.id)


def test_each_source_has_a_path_and_secrets_of_its_own(database, start, tmp_path):
    other = "whsec_of_the_other_endpoint"
    (tmp_path / "billingwatch.toml").write_text(f'[sources.eu]\nwebhook_secrets = ["{other}"]\n')
    server = start(database)
    event = charge_succeeded("cus_eu")
    answers = [
        server.post(event.body, secret=other, path="/webhooks/stripe/eu"),
        server.post(event.body, secret=SECRET, path="/webhooks/stripe"),
        server.post(event.body, secret=other, path="/webhooks/stripe/eu"),
        server.post(event.body, secret=SECRET, path="/webhooks/stripe/eu"),
        server.post(event.body, secret=other, path="/webhooks/stripe"),
        server.post(event.body, secret=other, path="/webhooks/stripe/nowhere"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 400, 404]
    # The same id from two endpoints is two events; twice from one is one.
    assert [answer.json()["duplicate"] for answer in answers[:3]] == [False, False, True]
    kept = database.query("SELECT source FROM journal WHERE event_id = ? ORDER BY source", event.id)
    assert kept == [("default",), ("eu",)]


def test_an_event_nobody_understands_is_kept(server, journal):
    unknown = charge_succeeded("cus_new").fields | {"type": "quantum.entangled", "id": new_id("evt")}
    for event in (thin(), thin("v2.core.event_destination.ping")):
        assert server.post(event.body).json() == {"received": True, "duplicate": False}
        assert journal.body(event.id) == event.body
    body = json.dumps(unknown).encode()
    assert server.post(body).json() == {"received": True, "duplicate": False}
    assert journal.body(unknown["id"]) == body


def test_an_acknowledged_event_survives_a_stop_and_a_start(database, start, journal):
    server = start(database)
    event = charge_succeeded("cus_restart")
    server.send(event)
    assert server.stop() == 0, server.log()
    server.start()
    assert server.post(event.body).json() == {"received": True, "duplicate": True}
    assert journal.body(event.id) == event.body
