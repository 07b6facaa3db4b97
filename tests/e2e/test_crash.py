"""`kill -9` in mid-load, ten times: nothing acknowledged is missing, no alert is recorded or told anew."""

import collections
import json
import random
import time

import pytest

from support.api import alerts, alerts_about, detailed
from support.audit import settle
from support.load import Load
from support.server import output_of, run
from support.stripe_events import charge_succeeded, new_id
from support.wait import wait_until

KILLS = 10


def identity(alert):
    """What makes an alert this one, in the API and in the lines of `replay`."""
    return alert["detector"], alert["key"]


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_and_no_alert_comes_twice(database, start, journal, receiver, tmp_path):
    server = start(database, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=receiver.secret, LOG_LEVEL="warn")
    load = Load(server.port)
    draw = random.Random(11)
    for _ in range(KILLS):
        enough = len(load.acknowledged) + draw.randrange(100, 400)
        wait_until(lambda: len(load.acknowledged) >= enough or load.surprises, "load", timeout=60, poll=0.003)
        server.kill()
        server.start()
    enough = len(load.acknowledged) + 100
    wait_until(lambda: len(load.acknowledged) >= enough or load.surprises, "load", timeout=60)
    load.stop()
    assert load.surprises == []

    settle(server)

    kept = collections.Counter(journal.event_ids())
    missing = set(load.acknowledged) - set(kept)
    assert not missing, f"{len(missing)} of {len(load.acknowledged)} acknowledged events are missing"
    assert [event_id for event_id, times in kept.items() if times > 1] == []
    print(f"{len(load.acknowledged)} acknowledged, {len(kept)} kept, {load.duplicates} came again after a crash")

    recorded = [detailed(server, alert) for alert in alerts(server)]
    assert len({alert["id"] for alert in recorded}) == len(recorded)
    times = collections.Counter(identity(alert) for alert in recorded)
    assert [one for one, count in times.items() if count > 1] == []
    by_detector = collections.Counter(alert["detector"] for alert in recorded)
    assert by_detector["duplicate_charge"] >= 1 and by_detector["negative_invoice"] >= 3, by_detector

    # Told at least once, and every repeat carries the key by which the receiver drops it.
    # Those that change once: duplicates become one incident, and the first of them end as part of it.
    judged = [alert for alert in recorded if alert["detector"] == "negative_invoice"]
    untold = [alert["key"] for alert in judged]

    def all_told():
        untold[:] = [key for key in untold if not receiver.about(key)]
        return not untold

    wait_until(all_told, f"messages about {untold}", timeout=120, poll=0.5)
    ids = collections.defaultdict(set)
    for delivery in list(receiver.deliveries):
        for alert in judged:
            if alert["key"].encode() in delivery.body:
                ids[alert["key"]].add(delivery.id)
    assert [key for key, seen in ids.items() if len(seen) > 1] == []
    assert receiver.problems == []

    # The same journal through `replay` gives the same alerts, crashes or not.
    lines, found = tmp_path / "journal.jsonl", tmp_path / "alerts.jsonl"
    assert journal.export(lines) == len(kept)
    replayed = run("replay", lines, "--alerts-out", found, cwd=tmp_path)
    assert replayed.returncode == 0, output_of(replayed)
    again = {identity(json.loads(line)) for line in found.read_text().splitlines()}
    assert again == {identity(alert) for alert in recorded}


def test_a_restart_continues_where_it_stopped(database, start):
    """The first half of a duplicate before a crash, the second half after it."""
    server = start(database)
    customer = new_id("cus")
    server.send(charge_succeeded(customer))
    server.kill()
    server.start()
    server.send(charge_succeeded(customer))
    wait_until(lambda: alerts_about(server, customer), "the alert")
    server.kill()
    server.start()
    assert len(alerts_about(server, customer)) == 1


def test_start_to_first_answer(sqlite, start):
    server = start(sqlite)
    server.stop()
    took = []
    for _ in range(5):
        started_at = time.monotonic()
        server.start()
        took.append(time.monotonic() - started_at)
        server.stop()
    print(f"start to first answer: best {min(took) * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms")
    assert min(took) < 0.5
