"""The machine's wall clock is an hour ahead for a moment, an hour behind, or wrong from the start: nothing is lost, and
nothing seems late."""

import subprocess
import time
from pathlib import Path

import pytest

from support.audit import audit, settle
from support.stripe_events import charge, event, new_id
from support.wait import wait_until

SHIM = Path(__file__).parent / "support" / "clock.c"


@pytest.fixture
def clock(tmp_path):
    """Settings that give a server a wall clock of its own, and how to put it."""
    library, offset = tmp_path / "clock.so", tmp_path / "clock-offset"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True)

    def put(secs):
        new = offset.with_suffix(".new")
        new.write_text(str(secs))
        new.replace(offset)

    put(0)
    return {"LD_PRELOAD": library, "BW_CLOCK_FILE": offset}, put


def events():
    """One made in each of the last five minutes: on time, but late where an hour is added."""
    now = int(time.time())
    return [event("charge.succeeded", charge(new_id("cus"), created=at), created=at) for at in range(now - 300, now, 60)]


def receipts(database):
    """When each event was received, in the journal's order."""
    rows = database.query("SELECT received_at_ms FROM journal WHERE kind = 'event' ORDER BY seq")
    return [row[0] / 1000 for row in rows]


def told_of_delivery(recorded):
    """Alerts that something came late or not at all."""
    return [one for one in recorded if one["detector"] == "webhook_lag"]


def is_refused(server, one):
    """Signed an hour ago, or an hour from now, by its clock: Stripe sends it again."""
    return server.post(one.body).status_code == 400


def test_a_clock_that_leaps_and_is_put_right_loses_nothing_and_alarms_nobody(database, start, tmp_path, clock):
    settings, put = clock
    server = start(database, **settings)
    acknowledged = []

    def send_all(batch):
        for one in batch:
            server.send(one)
            acknowledged.append(one.id)

    def leaps():
        return server.log().count("the clock leapt by")

    send_all(events())
    for offset in (3600, -3600):
        again, before = events(), leaps()
        put(offset)
        wait_until(lambda: is_refused(server, again[0]), "the clock to be off")
        wait_until(lambda: leaps() > before, "the leap to be seen")
        put(0)
        wait_until(lambda: not is_refused(server, again[0]), "the clock to be right")
        acknowledged.append(again[0].id)
        send_all(again[1:] + events())
    settle(server)
    received = receipts(database)
    assert received == sorted(received), "the journal's time went back"
    assert received[-1] <= time.time() + 1, "the journal's time is ahead"
    assert received[-1] >= time.time() - 30, "the journal's time is behind"
    _, recorded = audit(server, database, acknowledged, tmp_path)
    assert told_of_delivery(recorded) == []


def test_a_clock_that_was_behind_at_the_start_is_right_with_the_first_event(database, start, tmp_path, clock):
    settings, put = clock
    put(-7200)
    server = start(database, **settings)
    first, *others = events()
    assert is_refused(server, first)
    put(0)
    wait_until(lambda: not is_refused(server, first), "the clock to be right")
    for one in others:
        server.send(one)
    settle(server)
    assert min(receipts(database)) >= time.time() - 60, "something seems to have come before the clock was put right"
    _, recorded = audit(server, database, [first.id, *(one.id for one in others)], tmp_path)
    assert told_of_delivery(recorded) == []
