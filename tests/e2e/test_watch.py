"""The watch watches itself: a canary through the whole path, and a heartbeat for as long as nothing is wrong."""

import sqlite3
from contextlib import closing

import pytest

from support.monitor import Monitor
from support.stripe_events import charge_succeeded
from support.wait import free_port, wait_until


@pytest.fixture
def monitor():
    """An uptime monitor."""
    made = Monitor()
    yield made
    made.close()


def canary_of(server):
    return server.json("/health")["checks"]["canary"]


def heartbeats(server):
    """Beats by outcome, from the metrics."""
    text = server.session.get(
        f"{server.url}/metrics", headers={"Accept": "text/plain", "Authorization": "Bearer e2e-token-3f7a1c"}, timeout=10
    ).text
    found = {}
    for line in text.splitlines():
        if line.startswith("billingwatch_heartbeats_total{"):
            found[line.split('outcome="')[1].split('"')[0]] = float(line.rsplit(" ", 1)[1])
    return found


def test_canaries_go_through_the_whole_path_and_are_no_events(database, start, journal, tmp_path):
    (tmp_path / "billingwatch.toml").write_text("[canary]\ninterval_secs = 1\n")
    server = start(database)
    assert canary_of(server)["is_passing"] is None, "none was sent yet"
    passed = wait_until(lambda: (c := canary_of(server))["is_passing"] and c, "a canary to come through")
    assert 0 < passed["latency_seconds"] < 5
    later = wait_until(lambda: (c := canary_of(server))["last_passed_at"] > passed["last_passed_at"] and c, "another")
    assert later["is_passing"] is True
    rows = database.query("SELECT COUNT(*) FROM journal WHERE kind = 'canary'")[0][0]
    assert rows >= 2
    assert server.json("/api/v1/events")["data"] == []
    assert server.json("/health")["checks"]["ingest"]["last_event_at"] is None
    server.send(charge_succeeded("cus_among_canaries"))
    assert len(journal.event_ids()) == 1
    # A restart reads them again like everything else.
    server.kill()
    server.start()
    wait_until(lambda: canary_of(server)["is_passing"], "a canary after the restart")


def test_the_heartbeat_stops_when_a_channel_keeps_failing(sqlite, start, monitor, receiver, tmp_path):
    (tmp_path / "billingwatch.toml").write_text("[heartbeat]\ninterval_secs = 1\n")
    dead = f"http://127.0.0.1:{free_port()}/alerts"
    server = start(
        sqlite, HEARTBEAT_URL=monitor.url, ALERT_WEBHOOK_URL=dead, ALERT_WEBHOOK_SECRET=receiver.secret
    )
    wait_until(lambda: len(monitor.beats) >= 2, "two beats")
    assert {path for _, path in monitor.beats} == {f"/ping/{monitor.token}"}
    for _ in range(2):
        server.send(charge_succeeded("cus_nobody_hears"))
    wait_until(lambda: heartbeats(server).get("withheld", 0) >= 2, "two beats to be withheld", timeout=60)
    beats = len(monitor.beats)
    withheld = heartbeats(server)["withheld"]
    wait_until(lambda: heartbeats(server)["withheld"] >= withheld + 2, "two more", timeout=30)
    assert len(monitor.beats) == beats
    assert "the heartbeat is withheld: channel webhook has failed" in server.log()
    assert monitor.token not in server.log()


def test_a_monitor_that_is_away_harms_nothing(sqlite, start, tmp_path):
    (tmp_path / "billingwatch.toml").write_text("[heartbeat]\ninterval_secs = 1\n")
    server = start(sqlite, HEARTBEAT_URL=f"http://127.0.0.1:{free_port()}/ping/beat-away-77c1")
    wait_until(lambda: heartbeats(server).get("failed", 0) >= 2, "two failed beats")
    server.send(charge_succeeded("cus_1"))
    assert server.json("/health")["status"] == "ok"
    assert "beat-away-77c1" not in server.log()
    assert server.stop() == 0


@pytest.mark.timeout(300)
def test_a_database_that_takes_nothing_is_told_past_it(sqlite, start, receiver):
    server = start(sqlite, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=receiver.secret)
    server.send(charge_succeeded("cus_before"))

    def told():
        return [one for one in list(receiver.deliveries) if b"refuses what is written" in one.body]

    def told_while_senders_try():
        assert server.post(charge_succeeded("cus_refused").body).status_code == 503
        return told()

    with closing(sqlite3.connect(sqlite.path, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        wait_until(told_while_senders_try, "the alert", timeout=120, poll=0.2)
        other.execute("ROLLBACK")
    first = told()[0]
    assert first.json["data"]["severity"] == "critical"
    assert len(told()) == 1
    server.send(charge_succeeded("cus_after"))
    wait_until(lambda: told()[-1].json["data"]["status"] == "resolved", "its end", timeout=120)
    ids = [one.id for one in told()]
    # Recorded by now, and so told by the outbox too: under the key it had.
    assert ids[:-1] == [first.id] * (len(ids) - 1) and ids[-1] != first.id
    assert receiver.problems == []
