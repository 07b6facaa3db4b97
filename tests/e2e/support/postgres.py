"""A PostgreSQL server of the test's own, which it may stop, start and freeze."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg

from .db import Postgresql
from .wait import wait_until


def programs():
    """Where initdb and pg_ctl are: not on the PATH of Debian; the newest version wins. None where there are none."""
    version = lambda folder: [int(part) if part.isdigit() else 0 for part in folder.parent.name.split(".")]
    found = sorted((one.parent for one in Path("/usr/lib/postgresql").glob("*/bin/initdb")), key=version)
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).parent if on_path else None


def fixed_port():
    """A free port below those that the system gives to outgoing connections: it is still ours after a stop."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class OwnPostgres:
    """A server on loopback, without a password."""

    def __init__(self):
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="billingwatch-e2e-postgres-"))
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        # It refuses to run as root.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self.port = fixed_port()
        self._run("initdb", "-D", self._data, "-U", "billingwatch", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()
        self.database = None

    def new_database(self):
        """Makes an empty database, which lives as long as the server."""
        self.database = Postgresql(f"postgres://billingwatch@127.0.0.1:{self.port}/postgres")

    def is_running(self):
        """Whether it was started and not stopped."""
        return (self._data / "postmaster.pid").exists()

    def _run(self, program, *arguments, check=True):
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=self._user and self._user.pw_uid,
            group=self._user and self._user.pw_gid,
            timeout=120,
        )
        assert not check or done.returncode == 0, f"{program}: {done.stderr.decode(errors='replace')}{self.log()}"
        return done.returncode == 0

    def start(self):
        """Starts the server and returns when it takes connections."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c max_connections=60"
        self._run("pg_ctl", "-D", self._data, "-l", self._log, "-w", "-t", 60, "-o", options, "start")
        conninfo = f"host=127.0.0.1 port={self.port} user=billingwatch dbname=postgres connect_timeout=5"

        def answers():
            try:
                psycopg.connect(conninfo).close()
                return True
            except psycopg.OperationalError:
                return False

        wait_until(answers, f"PostgreSQL: {self.log()}", timeout=60)

    def stop(self, mode="immediate"):
        """Stops it from one moment to the next; `fast` ends sessions in order."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "-t", 60, "stop")

    def freeze(self):
        """Stops every process of it where it stands: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, what):
        leader = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        for pid in [leader, *map(int, children)]:
            # A session may end between the list and its turn.
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def log(self):
        """What it printed."""
        return self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""

    def close(self):
        """Ends it and removes its files."""
        if self.is_running():
            self.thaw()
            self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop", check=False)
        shutil.rmtree(self._folder, ignore_errors=True)
