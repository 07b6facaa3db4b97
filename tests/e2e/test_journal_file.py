"""A store that cannot be used: one clear sentence, no panic, and no new file beside it."""

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

from support.server import SECRET, TOKEN, binary, output_of, run
from support.wait import free_port

NOBODY = 65534
SETTINGS = {"STRIPE_WEBHOOK_SECRET": SECRET, "BILLINGWATCH_API_TOKEN": TOKEN}


def refusal(directory, url, **options):
    """What `serve` says when it cannot use `url`."""
    done = run("serve", cwd=directory, timeout=60, DATABASE_URL=url, PORT=free_port(), **SETTINGS, **options)
    text = output_of(done)
    assert done.returncode not in (0, 101), text
    assert "panicked" not in text
    return text.lower()


def migrate(directory, url):
    done = run("migrate", cwd=directory, DATABASE_URL=url)
    assert done.returncode == 0, output_of(done)


def test_not_a_database(sqlite, tmp_path):
    sqlite.path.write_text("Dear diary, " * 1_000)
    text = refusal(tmp_path, sqlite.url)
    assert "not an sqlite database" in text and "journal.db" in text, text
    assert sqlite.path.read_text().startswith("Dear diary")


def test_locked_by_somebody_else(sqlite, tmp_path):
    migrate(tmp_path, sqlite.url)
    holder = sqlite3.connect(sqlite.path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    text = refusal(tmp_path, sqlite.url)
    holder.close()
    assert "locked" in text and "journal.db" in text, text


def test_read_only():
    """Root may write everywhere, so the server runs as nobody, from a directory that nobody may only read."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    directory = Path(tempfile.mkdtemp(prefix="billingwatch-e2e-"))
    try:
        executable = shutil.copy(binary(), directory / "billingwatch")
        url = f"sqlite://{directory}/journal.db"
        migrate(directory, url)
        for file in directory.glob("journal.db*"):
            file.chmod(0o444)
        directory.chmod(0o555)
        text = refusal(directory, url, user=NOBODY, executable=executable)
        assert any(word in text for word in ("read-only", "readonly", "unable to open", "permission")), text
        assert "journal.db" in text, text
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_a_directory_that_does_not_exist(tmp_path):
    text = refusal(tmp_path, f"sqlite://{tmp_path}/nowhere/journal.db")
    assert "nowhere" in text, text


def test_a_newer_schema(database, tmp_path):
    migrate(tmp_path, database.url)
    database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')")
    text = refusal(tmp_path, database.url)
    assert "newer" in text and "99991231000000" in text, text


def test_a_scheme_nobody_knows_is_no_file_name(tmp_path):
    for url in ("mysql://localhost/billing", "host=127.0.0.1 dbname=billing password=hunter2", "journal.db"):
        before = set(tmp_path.iterdir())
        text = refusal(tmp_path, url)
        assert "database_url" in text or "sqlite://" in text, text
        assert "hunter2" not in text
        assert set(tmp_path.iterdir()) == before


def test_postgresql_that_is_not_there(tmp_path):
    port = free_port()
    text = refusal(tmp_path, f"postgres://billing:hunter2@127.0.0.1:{port}/billing")
    assert "refused" in text and str(port) in text, text
    assert "hunter2" not in text
