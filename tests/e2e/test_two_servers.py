"""Two servers on one PostgreSQL, both under load: the one that runs the detectors is killed and stalled in turn."""

import collections
import json
import os
import signal
import time

import pytest

from support.api import alerts, alerts_about, detailed
from support.db import Journal, Postgresql
from support.load import Load
from support.server import TOKEN, output_of, run
from support.stripe_events import event, invoice, new_id
from support.wait import wait_until

# A lease of 6 s, asked for every 2 s, and the time to read a snapshot.
TAKEOVER_SECS = 10


@pytest.fixture
def shared():
    """An empty PostgreSQL database."""
    server_url = os.environ.get("E2E_POSTGRES_URL")
    if not server_url:
        pytest.skip("E2E_POSTGRES_URL is not set")
    made = Postgresql(server_url)
    yield made
    made.drop()


def leads(server):
    """Whether this server runs the detectors."""
    headers = {"Accept": "text/plain; version=0.0.4", "Authorization": f"Bearer {TOKEN}"}
    answer = server.session.get(f"{server.url}/metrics", headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    return "\nbillingwatch_engine_is_leader 1\n" in answer.text


def told_within(server, seconds):
    """Sends a negative invoice to `server` and says how long its alert took."""
    customer, sent_at = new_id("cus"), time.monotonic()
    one = event("invoice.finalized", invoice(customer, -1_234))
    # The stalled one may hold the journal's head for some seconds more: it waits in the spool.
    wait_until(lambda: server.post(one.body).status_code == 200, "room in the journal", seconds, poll=0.1)
    wait_until(lambda: alerts_about(server, customer, detector="negative_invoice"), "a new leader", seconds + 20, poll=0.05)
    return time.monotonic() - sent_at


@pytest.mark.timeout(300)
def test_another_server_takes_over_from_one_that_dies_or_stalls(shared, start, receiver, tmp_path):
    settings = {"ALERT_WEBHOOK_URL": receiver.url, "ALERT_WEBHOOK_SECRET": receiver.secret, "LOG_LEVEL": "warn"}
    servers = [start(shared, **settings) for _ in range(2)]
    loads = [Load(server.port, threads=1, seed=7 + n) for n, server in enumerate(servers)]
    wait_until(lambda: all(load.acknowledged for load in loads), "load on both", timeout=30)
    wait_until(lambda: leads(servers[0]) != leads(servers[1]), "one leader", timeout=TAKEOVER_SECS)
    took = []
    for how in ("kill", "stall", "kill", "stall"):
        leader, other = servers if leads(servers[0]) else reversed(servers)
        if how == "kill":
            leader.kill()
        else:
            os.kill(leader.process.pid, signal.SIGSTOP)
        took.append((how, round(told_within(other, TAKEOVER_SECS), 1)))
        if how == "kill":
            leader.start()
        else:
            # It still believes to lead, with rows read: the store refuses its step.
            os.kill(leader.process.pid, signal.SIGCONT)
        wait_until(lambda: leads(servers[0]) != leads(servers[1]), "one leader", timeout=TAKEOVER_SECS)
    print(f"took over after: {took}")
    for load in loads:
        load.stop()
        assert load.surprises == []
    assert all(seconds <= TAKEOVER_SECS for _, seconds in took), took

    told_within(servers[0], TAKEOVER_SECS)
    journal = Journal(shared)
    kept = collections.Counter(journal.event_ids())
    acknowledged = {one for load in loads for one in load.acknowledged}
    assert acknowledged <= set(kept)
    assert [one for one, times in kept.items() if times > 1] == []

    recorded = [detailed(servers[0], alert) for alert in alerts(servers[0])]
    identities = collections.Counter((alert["detector"], alert["key"]) for alert in recorded)
    assert [one for one, times in identities.items() if times > 1] == []
    told = [alert for alert in recorded if alert["detector"] == "negative_invoice"]
    assert len(told) >= 5
    wait_until(lambda: all(receiver.about(alert["key"]) for alert in told), "all told", timeout=60, poll=0.5)
    ids = {alert["key"]: {one.id for one in receiver.about(alert["key"])} for alert in told}
    assert [key for key, seen in ids.items() if len(seen) > 1] == []

    lines, found = tmp_path / "journal.jsonl", tmp_path / "alerts.jsonl"
    assert journal.export(lines) == len(kept)
    replayed = run("replay", lines, "--alerts-out", found, cwd=tmp_path)
    assert replayed.returncode == 0, output_of(replayed)
    again = {(line["detector"], line["key"]) for line in map(json.loads, found.read_text().splitlines())}
    assert again == set(identities)
