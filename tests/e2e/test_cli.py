"""The commands that need no server, and the ways in which `serve` refuses to start."""

import signal
import socket
import subprocess

import pytest

from support.server import SECRET, TOKEN, bare_environment, binary, output_of, run
from support.wait import free_port, wait_until

SETTINGS = {"STRIPE_WEBHOOK_SECRET": SECRET, "BILLINGWATCH_API_TOKEN": TOKEN}
DETECTORS = {
    "charge_failure_spike",
    "duplicate_charge",
    "fraud_spike",
    "negative_invoice",
    "revenue_drop",
    "silent_lapse",
    "webhook_lag",
}


FAILED, MISCONFIGURED = 1, 2


def refusal(tmp_path, exit_code, **settings):
    """Runs `serve` in the expectation that it ends by itself; returns what it says."""
    settings = {"PORT": free_port(), "DATABASE_URL": f"sqlite://{tmp_path}/journal.db"} | settings
    done = run("serve", cwd=tmp_path, timeout=60, **settings)
    assert done.returncode == exit_code, output_of(done)
    return output_of(done)


def test_help_and_version(tmp_path):
    for arguments in (["--help"], ["--version"], ["replay", "--help"], ["serve", "--help"]):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 0 and done.stdout, arguments
    assert run("frobnicate", cwd=tmp_path).returncode == 2
    completions = run("completions", "bash", cwd=tmp_path)
    assert completions.returncode == 0 and b"billingwatch" in completions.stdout


def test_the_detectors_are_listed_and_described(tmp_path):
    listed = run("detectors", cwd=tmp_path)
    assert listed.returncode == 0, output_of(listed)
    text = listed.stdout.decode()
    assert DETECTORS <= set(text.replace("|", " ").replace("│", " ").split()), text


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("no_such_key = 1\n", ["billingwatch.toml", "no_such_key"]),
        ("[detectors.duplicate_charge]\nwindow_sex = 300\n", ["billingwatch.toml", "window_sex"]),
        ("[detectors.no_such_detector]\nenabled = true\n", ["billingwatch.toml", "no_such_detector"]),
        ("[detectors\n", ["billingwatch.toml"]),
    ],
    ids=["unknown key", "unknown key of a detector", "unknown detector", "not TOML"],
)
def test_check_names_the_file_and_the_key(tmp_path, toml, words):
    (tmp_path / "billingwatch.toml").write_text(toml)
    for command in ("check", "serve"):
        done = run(command, cwd=tmp_path, PORT=free_port(), **SETTINGS)
        assert done.returncode == MISCONFIGURED, output_of(done)
        for word in words:
            assert word in output_of(done), output_of(done)


def test_check_accepts_no_file_and_an_empty_file(tmp_path):
    assert run("check", cwd=tmp_path, **SETTINGS).returncode == 0
    (tmp_path / "billingwatch.toml").write_text("# nothing yet\n")
    done = run("check", cwd=tmp_path, **SETTINGS)
    assert done.returncode == 0, output_of(done)
    assert SECRET not in output_of(done) and TOKEN not in output_of(done)


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in refusal(tmp_path, FAILED, PORT=port, **SETTINGS)


@pytest.mark.parametrize(
    ("left_out", "settings"),
    [
        ("STRIPE_WEBHOOK_SECRET", {"BILLINGWATCH_API_TOKEN": TOKEN}),
        ("STRIPE_WEBHOOK_SECRET", {"BILLINGWATCH_API_TOKEN": TOKEN, "STRIPE_WEBHOOK_SECRET": ""}),
        ("STRIPE_WEBHOOK_SECRET", {"BILLINGWATCH_API_TOKEN": TOKEN, "STRIPE_WEBHOOK_SECRET": "dev"}),
        ("BILLINGWATCH_API_TOKEN", {"STRIPE_WEBHOOK_SECRET": SECRET}),
        ("STRIPE_WEBHOOK_SECRET", {"APP_ENV": "development", "HOST": "0.0.0.0"}),
    ],
    ids=["no secret", "empty secret", "dev secret", "no token", "development beyond loopback"],
)
def test_serve_is_closed_by_default(tmp_path, left_out, settings):
    assert left_out in refusal(tmp_path, MISCONFIGURED, **settings)


def test_a_value_out_of_bounds_names_the_bounds(tmp_path):
    (tmp_path / "billingwatch.toml").write_text("[server]\nport = 70000\n")
    done = run("check", cwd=tmp_path, **SETTINGS)
    assert done.returncode == MISCONFIGURED
    for word in ("billingwatch.toml:2", "server.port", "65535", "70000"):
        assert word in output_of(done), output_of(done)


def test_migrate_prepares_a_store_and_may_be_repeated(database, tmp_path):
    for _ in range(2):
        done = run("migrate", cwd=tmp_path, DATABASE_URL=database.url)
        assert done.returncode == 0, output_of(done)
    assert database.query("SELECT count(*) FROM journal") == [(0,)]


@pytest.mark.timeout(240)
def test_the_demo_shows_every_detector_at_work(tmp_path):
    done = run("demo", "--exit", "--seconds", 25, cwd=tmp_path, timeout=220)
    assert done.returncode == 0, output_of(done)
    shown = output_of(done)
    assert [name for name in sorted(DETECTORS) if name not in shown] == [], shown
    assert list(tmp_path.iterdir()) == [], "the demo keeps its store to itself"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_ends_quietly(tmp_path, by):
    """In the middle of the show, when events are posted all the time."""
    with open(tmp_path / "shown", "wb+") as shown:
        demo = subprocess.Popen([binary(), "demo"], cwd=tmp_path, env=bare_environment(), stdout=shown, stderr=shown)
        text = lambda: (tmp_path / "shown").read_text(errors="replace")
        try:
            wait_until(lambda: any(name in text().partition("/docs")[2] for name in DETECTORS), "the first alert", timeout=60)
            demo.send_signal(by)
            assert demo.wait(30) == 0, text()
        finally:
            demo.kill()
            demo.wait()
    assert "error" not in text().lower(), text()
