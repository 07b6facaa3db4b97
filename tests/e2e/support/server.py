"""The release binary as a child process: start, ask, stop, kill."""

import os
import signal
import subprocess
import time
from pathlib import Path

import requests

from . import signing
from .wait import free_port, wait_until

REPOSITORY = Path(__file__).resolve().parents[3]
SECRET = "whsec_e2e_2b0d5a2f8f4f4c0c9d2a"
TOKEN = "e2e-token-3f7a1c"


def binary():
    """The binary under test: `BILLINGWATCH_BIN`, or the release build of this checkout."""
    path = Path(os.environ.get("BILLINGWATCH_BIN", REPOSITORY / "target/release/billingwatch"))
    assert path.is_file(), f"{path} is missing: run `cargo build --release`, or set BILLINGWATCH_BIN"
    return str(path.resolve())


def bare_environment(**settings):
    """Only what a process needs, plus `settings`: nothing of the caller's environment leaks into a test."""
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment.update({name: str(value) for name, value in settings.items() if value is not None})
    return environment


def run(*arguments, cwd, input=None, timeout=60, user=None, executable=None, **settings):
    """Runs one command of the binary to its end and returns the completed process, output as text."""
    return subprocess.run(
        [executable or binary(), *map(str, arguments)],
        cwd=cwd,
        env=bare_environment(**settings),
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        timeout=timeout,
        user=user,
        group=user,
    )


def output_of(process):
    """Both streams of a completed process as one text."""
    return process.stdout.decode(errors="replace") + process.stderr.decode(errors="replace")


class Server:
    """One `billingwatch serve` on a free loopback port. The same object restarts on the same port and store."""

    def __init__(self, directory, database_url, *flags, **settings):
        self.directory = Path(directory)
        self.flags = flags
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = self.directory / "server.log"
        self.settings = {
            "APP_ENV": "production",
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "DATABASE_URL": database_url,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "BILLINGWATCH_API_TOKEN": TOKEN,
            "LOG_LEVEL": "info",
        } | settings
        self.process = None
        self.session = requests.Session()
        self.session.trust_env = False

    def start(self, timeout=20):
        """Starts the process and returns once `/health` answers."""
        assert self.process is None or self.process.poll() is not None, "already running"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [binary(), "serve", *self.flags],
                cwd=self.directory,
                env=bare_environment(**self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # SIGXFSZ stays ignored, as in Python: beyond a limit on the size of files a write fails, and nobody dies.
                restore_signals=False,
            )
        wait_until(self._answers, f"/health of {self.url}\n{self.log()}", timeout, poll=0.005)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()}")
        try:
            return self.session.get(f"{self.url}/health", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self, timeout=20):
        """Asks the server to end (SIGTERM) and returns its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not end within {timeout} s of SIGTERM:\n{self.log()}") from None

    def kill(self):
        """`kill -9`."""
        self.process.kill()
        self.process.wait(10)

    def is_alive(self):
        """Whether the process runs and answers."""
        return self.process.poll() is None and self._answers()

    def log(self):
        """Everything the server printed so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def post(self, body, header=None, secret=SECRET, path="/webhooks/stripe", **headers):
        """Posts `body` as Stripe does: signed now with `secret`, unless `header` gives another signature."""
        sent = {"Content-Type": "application/json; charset=utf-8"} | headers
        sent["Stripe-Signature"] = signing.header(secret, body) if header is None else header
        return self.session.post(f"{self.url}{path}", data=body, headers=sent, timeout=20, allow_redirects=False)

    def send(self, event):
        """Posts an event built by `stripe_events`, again while the answer is 503, as Stripe does (a disk that takes a
        second for once is no defect), insists on the acknowledgement, and says how long it took."""
        started_at = time.monotonic()
        response = self.post(event.body)
        while response.status_code == 503 and time.monotonic() - started_at < 10:
            time.sleep(0.05)
            response = self.post(event.body)
        took = time.monotonic() - started_at
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        assert response.json()["received"] is True
        return took

    def get(self, path, token=TOKEN, **params):
        """Reads a route with the API token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.session.get(f"{self.url}{path}", headers=headers, params=params, timeout=20, allow_redirects=False)

    def json(self, path, **params):
        """Reads a route that must answer 200 with JSON."""
        response = self.get(path, **params)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        return response.json()
