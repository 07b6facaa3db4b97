"""`billingwatch export` beside a running server, `import` into a new journal, and the same alerts on every way."""

import gzip
import json
import sqlite3

from support.db import Journal, Postgresql, Sqlite
from support.server import output_of, run
from support.stripe_events import charge_succeeded, event, invoice
from support.wait import wait_until

START = 1_709_599_200  # 2024-03-05 00:40:00 UTC


def post_story(server):
    """A duplicate charge and a wrong invoice among ordinary ones; every other body over several lines."""
    events = [charge_succeeded(f"cus_{n}", amount=1_000 + n) for n in range(12)]
    events += [charge_succeeded("cus_twice"), charge_succeeded("cus_twice")]
    events.append(event("invoice.finalized", invoice("cus_wrong", -9_900)))
    bodies = {}
    for number, one in enumerate(events):
        body = json.dumps(one.fields, indent=2 if number % 2 else None).encode()
        assert server.post(body).status_code == 200
        bodies[one.id] = body
    return bodies


def replayed(directory, path):
    """The alerts that a replay of a file finds."""
    done = run("replay", path, "--alerts-out", directory / "alerts.jsonl", cwd=directory)
    assert done.returncode == 0, output_of(done)
    return (directory / "alerts.jsonl").read_text()


def another(database, directory):
    """A second, empty database on the same backend."""
    if isinstance(database, Sqlite):
        (directory / "second").mkdir()
        return Sqlite(directory / "second")
    return Postgresql(database._server_url)


def test_export_import_and_replay_agree(database, journal, start, tmp_path):
    server = start(database)
    bodies = post_story(server)
    out = tmp_path / "events.jsonl.gz"
    done = run("export", "--out", out, cwd=tmp_path, DATABASE_URL=database.url)
    assert done.returncode == 0, output_of(done)
    assert gzip.open(out).read().count(b"\n") == len(bodies)

    second = another(database, tmp_path)
    try:
        for imported in (len(bodies), 0):
            done = run("import", out, cwd=tmp_path, DATABASE_URL=second.url)
            assert done.returncode == 0, output_of(done)
            assert f"{imported} events imported" in done.stdout.decode()
        copy = Journal(second)
        assert copy.event_ids() == journal.event_ids()
        for event_id, body in bodies.items():
            assert copy.body(event_id) == journal.body(event_id) == body
        printed = run("export", cwd=tmp_path, DATABASE_URL=second.url)
        assert printed.stdout == gzip.open(out).read()
        (tmp_path / "again.jsonl").write_bytes(printed.stdout)
        alerts = replayed(tmp_path, out)
        assert "duplicate_charge" in alerts
        assert replayed(tmp_path, tmp_path / "again.jsonl") == alerts
    finally:
        second.drop()


def test_a_backup_beside_a_running_server_is_served_as_it_is(sqlite, start, tmp_path):
    server = start(sqlite)
    bodies = post_story(server)
    copy = Sqlite(tmp_path)
    copy.path = tmp_path / "copy.db"
    copy.url = f"sqlite://{copy.path}"
    done = run("backup", copy.path, cwd=tmp_path, DATABASE_URL=sqlite.url)
    assert done.returncode == 0, output_of(done)
    assert server.is_alive()
    server.stop()
    assert sqlite3.connect(copy.path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    restored = start(copy)
    assert Journal(copy).event_ids() == list(bodies)
    wait_until(lambda: restored.json("/webhooks/alerts"), "the alerts are there", 20)
