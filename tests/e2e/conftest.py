"""Fixtures: a database on each backend, servers on it, and the world around them. Everything binds loopback."""

import os

import pytest

from support.account import Account
from support.db import Journal, Postgresql, Sqlite
from support.receiver import Receiver
from support.server import Server
from support.smtp import SmtpServer
from support.stalls import Stalls


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """An empty database of the test's own, on each backend in turn."""
    if request.param == "sqlite":
        made = Sqlite(tmp_path)
    else:
        server_url = os.environ.get("E2E_POSTGRES_URL")
        if not server_url:
            pytest.skip("E2E_POSTGRES_URL is not set")
        made = Postgresql(server_url)
    yield made
    made.drop()


@pytest.fixture
def sqlite(tmp_path):
    """An SQLite file, for what does not depend on the backend."""
    return Sqlite(tmp_path)


@pytest.fixture
def journal(database):
    """The journal table, read directly."""
    return Journal(database)


@pytest.fixture
def start(tmp_path, request):
    """Starts servers and ends them with the test; a failing test shows what they printed."""
    servers = []

    def start_server(database, *flags, **settings):
        server = Server(tmp_path, database.url, *flags, **settings)
        servers.append(server)
        return server.start()

    yield start_server
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.kill()
        print(f"--- server log\n{server.log()[-8000:]}")


@pytest.fixture
def stalls(tmp_path):
    """When the machine itself stood still during the test."""
    watched = Stalls(tmp_path)
    yield watched
    watched.close()


@pytest.fixture
def server(database, start):
    """A server with nobody to tell."""
    return start(database)


@pytest.fixture
def receiver():
    """An HTTP receiver for alerts."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def smtp(tmp_path):
    """A mail server."""
    made = SmtpServer(tmp_path)
    yield made
    made.close()


@pytest.fixture
def account(tmp_path):
    """A Stripe account."""
    made = Account(tmp_path)
    yield made
    made.close()
