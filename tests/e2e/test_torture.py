"""Everything that can happen to a server at once, under a load that does not wait: deaths, stalls, a database that is
locked, stopped or frozen, a full disk, a slow channel and dead ones. What it answered is kept, and it recovers by itself.

The short form runs in CI. The long one, with the figures of docs/reliability.md:

    TORTURE_KILLS=100 TORTURE_STALL_SECS=60 pytest test_torture.py -s

`TORTURE_SEED` draws another order. The machine's clock is not stepped: that would need to change it for all.
"""

import collections
import os
import random
import resource
import signal
import sqlite3
import time

import pytest

from support.audit import audit, settle
from support.db import Sqlite
from support.open_load import OpenLoad
from support.postgres import OwnPostgres, programs
from support.stripe_events import charge_succeeded, new_id
from support.wait import free_port, wait_until

KILLS = int(os.environ.get("TORTURE_KILLS", "8"))
STALL_SECS = float(os.environ.get("TORTURE_STALL_SECS", "2"))
SEED = int(os.environ.get("TORTURE_SEED", "20261121"))
RATE = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """A database, and the PostgreSQL server it lies on, if any."""
    if request.param == "sqlite":
        yield Sqlite(tmp_path), None
        return
    if programs() is None:
        pytest.skip("there is no initdb: PostgreSQL is not installed")
    server = OwnPostgres()
    server.new_database()
    yield server.database, server
    server.close()


def refused_quickly(server):
    """Whether a post is answered 503 now, and within a second."""
    begun_at = time.monotonic()
    answer = server.post(charge_succeeded(new_id("cus")).body)
    took = time.monotonic() - begun_at
    return answer.status_code == 503 and took < 1.0


class Storm:
    """What can happen to the server under `load`."""

    def __init__(self, server, load, database, postgres, draw):
        self.server, self.load, self.database, self.postgres, self.draw = server, load, database, postgres, draw
        self.happened = collections.Counter()

    def kill(self):
        time.sleep(self.draw.uniform(0.05, 0.6))
        self.server.kill()
        self.server.start(timeout=60)

    def stall(self):
        os.kill(self.server.process.pid, signal.SIGSTOP)
        time.sleep(STALL_SECS)
        os.kill(self.server.process.pid, signal.SIGCONT)

    def lock(self):
        """Another process holds the SQLite file."""
        holder = sqlite3.connect(self.database.path, isolation_level=None, timeout=30)
        holder.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: refused_quickly(self.server), "a 503 within a second", timeout=30)
        time.sleep(min(STALL_SECS, 10))
        holder.execute("ROLLBACK")
        holder.close()

    def away(self):
        """PostgreSQL is gone from one moment to the next, and the server may die meanwhile."""
        self.postgres.stop()
        time.sleep(STALL_SECS)
        if self.draw.random() < 0.5:
            self.kill()
            self.happened["kill"] += 1
        self.postgres.start()

    def frozen(self):
        """PostgreSQL keeps its connections open and answers nothing."""
        self.postgres.freeze()
        time.sleep(STALL_SECS)
        self.postgres.thaw()

    def rage(self):
        others = [self.away, self.frozen] if self.postgres else [self.lock]
        for trouble in others + [self.stall]:
            trouble()
            self.happened[trouble.__name__] += 1
            self.goes_on()
        rounds = max(1, KILLS // 10)
        agenda = [self.kill] * (KILLS - self.happened["kill"]) + (others * rounds if KILLS > 20 else [])
        self.draw.shuffle(agenda)
        for trouble in agenda:
            trouble()
            self.happened[trouble.__name__] += 1
        self.goes_on()

    def goes_on(self):
        """It takes events again by itself."""
        enough = len(self.load.acknowledged) + 20
        wait_until(lambda: len(self.load.acknowledged) >= enough or self.load.surprises, "load", timeout=90, poll=0.02)


@pytest.mark.timeout(3600 if KILLS > 20 else 300)
def test_whatever_happens_nothing_acknowledged_is_lost(place, start, receiver, tmp_path):
    database, postgres = place
    receiver.delay_secs = 0.05
    server = start(
        database,
        LOG_LEVEL="warn",
        ALERT_WEBHOOK_URL=receiver.url,
        ALERT_WEBHOOK_SECRET=receiver.secret,
        DISCORD_WEBHOOK_URL=f"http://127.0.0.1:{free_port()}/dead",
    )
    draw = random.Random(SEED)
    load = OpenLoad(server.port, RATE, seed=SEED)
    storm = Storm(server, load, database, postgres, draw)
    storm.goes_on()
    storm.rage()
    load.finish(timeout=120)
    settle(server, timeout=120)
    kept, recorded = audit(server, database, load.acknowledged, tmp_path)
    # Every alert was told to the slow channel, under a key that lets the receiver drop a repeat.
    untold = {one["key"] for one in recorded}

    def all_told():
        for delivery in list(receiver.deliveries):
            untold.difference_update(key for key in list(untold) if key.encode() in delivery.body)
        return not untold

    wait_until(all_told, f"messages about {sorted(untold)[:5]}", timeout=180, poll=0.5)
    assert receiver.problems == []
    print(
        f"seed {SEED}: {dict(storm.happened)}; {len(load.sent)} sent, all acknowledged, {load.refused} answers of 503, "
        f"{kept} kept, {len(recorded)} alerts, slowest answer {load.slowest:.2f} s"
    )


def test_a_full_disk_is_refused_within_a_second_and_recovered_from(sqlite, start, tmp_path):
    """A limit on the size of files stands for the disk: it needs no rights, and every write beyond it fails."""
    server = start(sqlite, LOG_LEVEL="warn")
    load = OpenLoad(server.port, RATE, threads=4, seed=SEED)
    wait_until(lambda: len(load.acknowledged) >= 50 or load.surprises, "load", timeout=60)
    size_bytes = sqlite.path.with_name(sqlite.path.name + "-wal").stat().st_size
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))
    wait_until(lambda: refused_quickly(server), "a 503 within a second", timeout=60)
    wait_until(lambda: load.refused >= 3, "more of them", timeout=60)
    assert server.is_alive()
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    load.finish()
    settle(server)
    kept, _ = audit(server, sqlite, load.acknowledged, tmp_path)
    print(f"{len(load.sent)} sent, all acknowledged, {load.refused} answers of 503, {kept} kept")
