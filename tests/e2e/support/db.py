"""A database of its own for every test, and the journal read straight from its table: no route of ours in between."""

import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import zstandard
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from urllib.parse import urlsplit, urlunsplit

DICTIONARY = Path(__file__).resolve().parents[3] / "crates/billingwatch-store/dictionaries/events-1.zstd-dict"
DECOMPRESSOR = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(DICTIONARY.read_bytes()))


def unpacked(codec, stored):
    """A body as it was received, from how the journal keeps it."""
    stored = stored.encode() if isinstance(stored, str) else bytes(stored)
    return {0: lambda body: body, 1: DECOMPRESSOR.decompress}[codec](stored)


class Sqlite:
    """An SQLite file in the test's directory."""

    kind = "sqlite"

    def __init__(self, directory):
        self.path = directory / "journal.db"
        self.url = f"sqlite://{self.path}"

    def query(self, statement, *parameters):
        """All rows of a statement with `?` parameters."""
        with closing(sqlite3.connect(self.path, timeout=10)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def execute(self, statement, *parameters):
        """Runs a statement and commits."""
        with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            connection.execute(statement, parameters)

    def drop(self):
        """The test's directory goes with its files."""


class Postgresql:
    """A fresh database on the server that `E2E_POSTGRES_URL` names."""

    kind = "postgresql"

    def __init__(self, server_url):
        self._server_url = server_url
        self.name = f"billingwatch_e2e_{secrets.token_hex(6)}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.name}"')
        self.url = urlunsplit(urlsplit(server_url)._replace(path=f"/{self.name}"))
        self._conninfo = make_conninfo(**(conninfo_to_dict(server_url) | {"dbname": self.name}))

    def query(self, statement, *parameters):
        """All rows of a statement with `?` parameters."""
        with psycopg.connect(self._conninfo) as connection:
            return connection.execute(statement.replace("?", "%s"), parameters).fetchall()

    def execute(self, statement, *parameters):
        """Runs a statement and commits."""
        with psycopg.connect(self._conninfo) as connection:
            connection.execute(statement.replace("?", "%s"), parameters)

    def drop(self):
        """Removes the database, whoever is still connected."""
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


class Journal:
    """The journal table of one database."""

    def __init__(self, database):
        self._database = database

    def event_ids(self):
        """The ids of all kept events, in arrival order."""
        rows = self._database.query("SELECT event_id FROM journal WHERE event_id IS NOT NULL ORDER BY seq")
        return [row[0] for row in rows]

    def body(self, event_id):
        """The kept bytes of an event; fails unless it was kept exactly once."""
        rows = self._database.query("SELECT codec, body FROM journal WHERE event_id = ?", event_id)
        assert len(rows) == 1, f"{event_id} is in the journal {len(rows)} times"
        return unpacked(*rows[0])

    def row(self, event_id, *columns):
        """Some columns of one event."""
        rows = self._database.query(f"SELECT {', '.join(columns)} FROM journal WHERE event_id = ?", event_id)
        assert len(rows) == 1, f"{event_id} is in the journal {len(rows)} times"
        return dict(zip(columns, rows[0]))

    def export(self, path):
        """Writes the events as the lines that `billingwatch replay` reads; returns how many."""
        rows = self._database.query(
            "SELECT received_at_ms, codec, body FROM journal WHERE event_id IS NOT NULL ORDER BY seq"
        )
        with open(path, "w", encoding="utf-8") as lines:
            for received_at_ms, codec, body in rows:
                event = json.dumps(json.loads(unpacked(codec, body)))
                lines.write(f'{{"received_at": {received_at_ms / 1000:.3f}, "event": {event}}}\n')
        return len(rows)
