"""PostgreSQL goes away under load and comes back: senders are answered 200 all the while, and nothing is lost."""

import time

import pytest

from support.api import alerts_about
from support.audit import audit, settle
from support.load import Load
from support.postgres import OwnPostgres, programs
from support.stripe_events import charge_succeeded, new_id
from support.wait import wait_until


# What the server waits for the journal, and for the last of the spool; then the spool takes an event in a moment.
SPOOLED_SECS = 0.7


@pytest.fixture(scope="module")
def stoppable():
    """A PostgreSQL server of this file's own."""
    if programs() is None:
        pytest.skip("there is no initdb: PostgreSQL is not installed")
    made = OwnPostgres()
    yield made
    made.close()


@pytest.fixture
def postgres(stoppable):
    """It runs, with a database for the test."""
    stoppable.new_database()
    yield stoppable
    if not stoppable.is_running():
        stoppable.start()


def spool(server):
    """What `/health` says of the spool."""
    return server.json("/health")["checks"]["spool"]


def more(load, count):
    """Waits for so many more answers of 200."""
    enough = len(load.acknowledged) + count
    wait_until(lambda: len(load.acknowledged) >= enough or load.surprises, "load", timeout=60, poll=0.01)


def drained(server):
    """Waits until events go into the journal again."""
    wait_until(lambda: not spool(server)["is_in_use"], "an empty spool", timeout=60, poll=0.05)


@pytest.mark.timeout(300)
def test_postgresql_stops_and_starts_under_load(postgres, start, stalls, tmp_path):
    server = start(postgres.database, LOG_LEVEL="warn")
    assert spool(server)["entries"] == 0
    load = Load(server.port, threads=2)
    more(load, 100)
    for mode in ("immediate", "fast"):
        postgres.stop(mode)
        more(load, 150)
        health = server.json("/health")
        assert health["status"] == "degraded" and health["is_ready"] is True, health
        assert any("wait in the spool" in reason for reason in health["reasons"]), health
        assert health["checks"]["store"]["is_reachable"] is False
        assert health["checks"]["spool"]["entries"] >= 150
        assert server.get("/health/ready").status_code == 200
        postgres.start()
        drained(server)
        more(load, 100)

    # The process dies while events wait, and another begins while the database is still away.
    postgres.stop()
    more(load, 100)
    server.kill()
    waiting = len(load.acknowledged)
    server.start()
    more(load, 100)
    assert spool(server)["entries"] >= 100
    postgres.start()
    drained(server)
    load.stop()
    assert load.surprises == []
    # Refused were none: what is not answered at all is the kill's doing. A disk that stands still holds up the spool, too.
    assert load.refused == len(load.late)
    for begun_at, ended_at in load.late:
        took, stood_still = ended_at - begun_at, stalls.between(begun_at, ended_at)
        assert took - stood_still < SPOOLED_SECS, (took, stood_still)
    settle(server)
    kept, told = audit(server, postgres.database, load.acknowledged, tmp_path)
    print(f"{len(load.acknowledged)} acknowledged ({waiting} before the restart), {kept} kept, {len(told)} alerts")
    assert server.stop() == 0


def test_without_a_spool_senders_are_told_within_a_second(postgres, start):
    server = start(postgres.database, SPOOL_PATH="off")
    server.send(charge_succeeded(new_id("cus")))
    assert spool(server) is None
    postgres.stop()
    took = []
    for _ in range(3):
        begun_at = time.monotonic()
        answer = server.post(charge_succeeded(new_id("cus")).body)
        took.append(time.monotonic() - begun_at)
        assert answer.status_code == 503 and "retry-after" in answer.headers
    assert sorted(took)[1] < 1.0, took
    assert server.get("/health/ready").status_code == 503
    postgres.start()
    wait_until(lambda: server.post(charge_succeeded(new_id("cus")).body).status_code == 200, "recovery", timeout=60)


def test_a_server_starts_while_postgresql_is_away(postgres, start, tmp_path):
    server = start(postgres.database)
    assert server.stop() == 0
    postgres.stop()
    server.start()
    customer = new_id("cus")
    for _ in range(2):
        server.send(charge_succeeded(customer, amount=4_321))
    health = server.json("/health")
    assert health["is_ready"] is True and health["checks"]["spool"]["entries"] == 2, health
    # Asked to stop, it does, and keeps what it took.
    assert server.stop(timeout=30) == 0
    server.start()
    assert spool(server)["entries"] == 2
    postgres.start()
    wait_until(lambda: server.json("/health")["status"] == "ok", "health", timeout=60, poll=0.1)
    wait_until(lambda: alerts_about(server, customer, detector="duplicate_charge"), "the alert", timeout=60, poll=0.1)
