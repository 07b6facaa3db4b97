"""Whatever a sender can put on the wire gets a clear answer: never a 5xx, never a stopped server, nothing lost."""

import gzip
import json
import time

from support import signing
from support.api import wait_for_alert
from support.raw_http import post_event
from support.server import SECRET, TOKEN
from support.stripe_events import charge_succeeded, invoice, new_id, thin
from support.stripe_events import event as envelope

MEGABYTE = 1_000_000


def envelope_problem(answer):
    """What is wrong with an error's JSON envelope, or None."""
    try:
        error = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError):
        return f"no error envelope: {answer.body[:200]!r}"
    if set(error) != {"code", "message"} or not all(isinstance(v, str) and v for v in error.values()):
        return f"not a code and a message: {error}"
    if SECRET in error["message"]:
        return "the message holds the secret"
    return None


def check(server, cases, enveloped=True):
    """Posts each (name, body, header, allowed statuses); reports every surprise at once."""
    surprises = []
    for name, body, header, allowed in cases:
        answer = post_event(server.port, body, header, ["Accept: application/json"])
        if answer is None or answer.status not in allowed:
            got = "no answer" if answer is None else f"{answer.status} {answer.body[:200]!r}"
            surprises.append(f"{name}: {got}, not {allowed}")
        elif answer.status >= 400 and enveloped and (problem := envelope_problem(answer)):
            surprises.append(f"{name}: {problem}")
        if server.process.poll() is not None:
            surprises.append(f"{name}: the server ended")
            break
    assert not surprises, "\n".join(surprises)
    assert "panicked" not in server.log()
    after = charge_succeeded("cus_after")
    server.send(after)
    return after


def test_bad_signatures_are_refused(server, journal):
    event = charge_succeeded("cus_forged")
    now = int(time.time())
    good = signing.v1(SECRET, now, event.body)

    def at(timestamp):
        return f"t={timestamp},v1={signing.v1(SECRET, timestamp, event.body)}"

    headers = {
        "missing": None,
        "empty": "",
        "not a header": "I'm not even a real signature header",
        "wrong secret": signing.header("whsec_of_somebody_else", event.body),
        "another body": signing.header(SECRET, b"{}"),
        "stale": at(now - 301),
        "very stale": at(1_000_000_000),
        "future": at(now + 400),
        "year 9999": at(253_402_300_799),
        "huge t": at(10**30),
        "negative t": at(-now),
        "fractional t": at(f"{now}.5"),
        "no number in t": f"t=,v1={good}",
        "no t": f"v1={good}",
        "no v1": f"t={now}",
        "truncated": f"t={now},v1={good[:-2]}",
        "cut in half": f"t={now},v1={good}"[:30],
        "only v0": f"t={now},v0={good}",
        "upper case": f"t={now},v1={good.upper()}",
        "repeated t, last one wrong": f"t={now},t={now - 10},v1={signing.v1(SECRET, now - 20, event.body)}",
        "not ASCII": f"t={now},v1={good[:-1]}é",
        "50 KB": f"t={now}," + ",".join(f"v1={'0' * 64}" for _ in range(740)),
    }
    check(server, [(name, event.body, header, {400}) for name, header in headers.items()])
    assert event.id not in journal.event_ids()

    # Whichever of two timestamps counts, the answer is a decision and not a fault.
    check(server, [("repeated t", event.body, f"t={now - 9999},t={now},v1={good}", {200, 400})])
    # A header of a megabyte is refused by the HTTP layer before any of our code sees it.
    flood = f"t={now}," + "v1=00," * (MEGABYTE // 6)
    check(server, [("1 MB", event.body, flood, {400, 431})], enveloped=False)


def test_bodies_that_are_no_event_are_refused(server, journal):
    bodies = {
        "empty": b"",
        "not JSON": b"charge.failed",
        "half an event": charge_succeeded("cus_half").body[:-40],
        "array": b'[{"id":"evt_1","type":"charge.failed"}]',
        "null": b"null",
        "number": b"42",
        "text": b'"evt_1"',
        "invalid UTF-8": b'{"id":"evt_\xff\xfe","type":"charge.failed"}',
        "not text at all": bytes(range(256)),
        "id missing": b'{"object":"event","type":"charge.failed"}',
        "id null": b'{"id":null,"type":"charge.failed"}',
        "id a number": b'{"id":42,"type":"charge.failed"}',
        "id a list": b'{"id":["evt_1"],"type":"charge.failed"}',
        "id empty": b'{"id":"","type":"charge.failed"}',
        "id half a surrogate pair": b'{"id":"evt_\\ud800","type":"charge.failed"}',
        "two events": b'{"id":"evt_1","type":"a"}{"id":"evt_2","type":"b"}',
    }
    check(server, [(name, body, signing.header(SECRET, body), {400}) for name, body in bodies.items()])
    assert len(journal.event_ids()) == 1  # The one that `check` sends at its end.


def test_a_body_over_the_limit_is_refused(server, journal):
    padded = charge_succeeded("cus_fat").fields | {"padding": "x" * (20 * MEGABYTE)}
    body = json.dumps(padded).encode()
    check(server, [("20 MB", body, signing.header(SECRET, body), {413}), ("20 MB, unsigned", body, None, {400, 413})])
    assert padded["id"] not in journal.event_ids()


def test_a_compressed_body_is_never_unpacked(server, journal):
    event = charge_succeeded("cus_gzip")
    packed = gzip.compress(event.body)
    bomb = gzip.compress(b" " * (50 * MEGABYTE) + event.body)
    surprises = []
    for name, body, signed in (
        ("signed as sent", packed, packed),
        ("signed as meant", packed, event.body),
        ("bomb", bomb, bomb),
        ("plain, said to be gzip", event.body, packed),
    ):
        answer = post_event(server.port, body, signing.header(SECRET, signed), ["Content-Encoding: gzip"])
        if answer is None or answer.status not in {400, 413, 415}:
            surprises.append(f"{name}: {answer and answer.status}")
    assert not surprises, surprises
    assert event.id not in journal.event_ids()
    check(server, [])


def odd_events():
    """Well signed JSON objects with an id, all of which somebody may send: (name, bytes, statuses)."""

    def nested(depth):
        return b"[" * depth + b"]" * depth

    kept, either = {200}, {200, 400}
    plain = charge_succeeded("cus_odd").fields

    def with_amount(value):
        obj = plain["data"]["object"] | {"amount": value, "amount_captured": value}
        return json.dumps(plain | {"data": {"object": obj}})

    cases = {
        "thin event": (json.dumps(thin().fields), kept),
        "type missing": (json.dumps({k: v for k, v in plain.items() if k != "type"}), kept),
        "type null": (json.dumps(plain | {"type": None}), kept),
        "type a number": (json.dumps(plain | {"type": 7}), kept),
        "type 300 characters": (json.dumps(plain | {"type": "t" * 300}), kept),
        "data missing": (json.dumps({k: v for k, v in plain.items() if k != "data"}), kept),
        "data null": (json.dumps(plain | {"data": None}), kept),
        "object a string": (json.dumps(plain | {"data": {"object": "ch_1"}}), kept),
        "request a string": (json.dumps(plain | {"request": "req_1"}), kept),
        "livemode a string": (json.dumps(plain | {"livemode": "true"}), kept),
        "amount a string": (with_amount("4900"), kept),
        "amount a float": (with_amount(49.5), kept),
        "amount in scientific notation": (with_amount(4900).replace("4900", "4.9e3"), kept),
        "amount beyond i64": (with_amount(10**25), kept),
        "amount beyond every float": (with_amount(4900).replace("4900", "1e999"), either),
        "amount negative": (with_amount(-4900), kept),
        "amount null": (with_amount(None), kept),
        "amount the smallest i64": (with_amount(-(2**63)), kept),
        "amount the largest i64": (with_amount(2**63 - 1), kept),
        "invoice total the smallest i64": (json.dumps(envelope("invoice.finalized", invoice("cus_odd", -(2**63))).fields), kept),
        "created in 1900": (json.dumps(plain | {"created": -2_208_988_800}), kept),
        "created in 9999": (json.dumps(plain | {"created": 253_402_300_799}), kept),
        "created beyond i64": (json.dumps(plain | {"created": 10**30}), kept),
        "created missing": (json.dumps({k: v for k, v in plain.items() if k != "created"}), kept),
        "created a string": (json.dumps(plain | {"created": "yesterday"}), kept),
        "half a surrogate pair in a text": (json.dumps(plain | {"note": "\ud800"}), kept),
        "half a surrogate pair in the object": (
            json.dumps(plain | {"data": {"object": plain["data"]["object"] | {"description": "\udc00 x"}}}),
            kept,
        ),
        "NUL in the customer": (json.dumps(plain | {"data": {"object": {"object": "charge", "customer": "cus_\x00"}}}), kept),
        "NUL in the type": (json.dumps(plain | {"type": "charge.\x00"}), kept),
        "NUL in a text": (json.dumps(plain | {"note": "a\x00b"}), kept),
        "customer 100 KB": (json.dumps(plain | {"data": {"object": {"object": "charge", "customer": "c" * 100_000}}}), kept),
        "the same key twice": ('{"note":1,"note":2,' + json.dumps(plain)[1:], either),
        "the same type twice": ('{"type":"charge.failed",' + json.dumps(plain)[1:], either),
    }
    for name, (text, allowed) in cases.items():
        fields = json.loads(text)
        event_id = new_id("evt")
        yield name, text.replace(json.dumps(fields["id"]), json.dumps(event_id)).encode(), allowed, event_id
    yield "nested 100 deep", b'{"id":"evt_deep100","type":"x","data":%s}' % nested(100), kept, "evt_deep100"
    yield "nested 100,000 deep", b'{"id":"evt_deep","type":"x","data":%s}' % nested(100_000), either, "evt_deep"
    yield "objects nested 50,000 deep", b'{"id":"evt_o","type":"x","data":%s1%s}' % (b'{"a":' * 50_000, b"}" * 50_000), either, "evt_o"
    yield "id 300 characters", b'{"id":"evt_%s","type":"x"}' % (b"i" * 296), either, "evt_" + "i" * 296
    yield "id with NUL", b'{"id":"evt_\\u0000","type":"x"}', either, None
    yield "the same id twice", b'{"id":"evt_one","id":"evt_two","type":"x"}', either, None


def test_odd_events_are_kept_or_refused_but_never_a_fault(server, journal):
    cases = list(odd_events())
    after = check(server, [(name, body, signing.header(SECRET, body), allowed) for name, body, allowed, _ in cases])
    kept = set(journal.event_ids())
    lost = [name for name, _, allowed, event_id in cases if allowed == {200} and event_id not in kept]
    assert not lost, f"acknowledged, but not in the journal: {lost}"
    assert after.id in kept

    # And the detectors got past all of it.
    for _ in range(2):
        server.send(charge_succeeded("cus_past_it", amount=7_700))
    wait_for_alert(server, "duplicate_charge", "cus_past_it")
    assert "panicked" not in server.log()


def test_wrong_methods_and_paths_get_the_envelope_too(server):
    for method, path, status in (("GET", "/webhooks/stripe", {404, 405}), ("GET", "/nowhere", {404}), ("DELETE", "/health", {404, 405})):
        response = server.session.request(method, server.url + path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
        assert response.status_code in status, (method, path, response.status_code)
        assert set(response.json()["error"]) == {"code", "message"}, (method, path, response.text)
