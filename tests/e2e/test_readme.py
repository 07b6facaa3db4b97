"""What the README and `docs/getting-started.md` tell a user to type, typed as it stands."""

import json
import re
import shlex
import subprocess

import pytest

from support.server import REPOSITORY, TOKEN, bare_environment, output_of, run

PORT_AS_WRITTEN = 8000
# What `serve` is told by default: nothing. The port alone differs, so that tests can run side by side.
NOTHING = dict.fromkeys(
    ["APP_ENV", "HOST", "DATABASE_URL", "STRIPE_WEBHOOK_SECRET", "BILLINGWATCH_API_TOKEN", "LOG_LEVEL"]
)


def fenced(page):
    """The lines of a page's shell fences, in order."""
    text = (REPOSITORY / page).read_text()
    return [line for fence in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in fence.splitlines()]


def curls(page):
    """Its curl lines about the server, each with the answer that a comment below it promises, or None."""
    lines = fenced(page)
    return [
        (line, after[2:] if after.startswith("# ") else None)
        for line, after in zip(lines, [*lines[1:], ""])
        if re.match(rf"curl\b.*\b(localhost|127\.0\.0\.1):{PORT_AS_WRITTEN}\b", line)
    ]


def serve_flags(page):
    """The flags of the first `serve` that a page tells to run."""
    commands = (shlex.split(line, comments=True) for line in fenced(page))
    words = next(words for words in commands if words[:4] == ["cargo", "run", "--release", "--"] and "serve" in words)
    return words[words.index("serve") + 1 :]


def typed(server, command):
    """Runs a line in a shell at the root of the repository; returns what it prints."""
    command = command.replace(f":{PORT_AS_WRITTEN}", f":{server.port}")
    done = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, env=bare_environment(), capture_output=True, timeout=30)
    assert done.returncode == 0, (command, output_of(done))
    return done.stdout.decode()


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md"])
def test_the_quick_start_works_as_written(sqlite, start, tmp_path, page):
    server = start(sqlite, *serve_flags(page), **NOTHING)
    answers = {}
    for command, promised in curls(page):
        answer = typed(server, command)
        assert promised is None or answer == promised, command
        path = re.search(rf":{PORT_AS_WRITTEN}(/[^\s\"']*)", command).group(1)
        answers[path] = json.loads(answer)
    assert answers.keys() == {"/health", "/webhooks/stripe", "/webhooks/detectors", "/webhooks/alerts"}
    assert answers["/health"]["status"] == "ok"
    assert answers["/webhooks/stripe"] == {"received": True, "duplicate": False}
    assert answers["/webhooks/detectors"]["count"] == 7
    assert answers["/webhooks/alerts"]["alerts"] == []
    assert (tmp_path / "billingwatch.db").is_file(), "the journal is beside the user"


def test_the_page_that_the_readme_links_to_opens(sqlite, start):
    server = start(sqlite, "--dev", **NOTHING)
    [link] = re.findall(rf"<(http://localhost:{PORT_AS_WRITTEN}/[^>]+)>", (REPOSITORY / "README.md").read_text())
    assert "swagger-ui" in typed(server, f"curl -sfL {link}")


def test_without_settings_it_is_where_the_readme_says(tmp_path):
    settings = {"STRIPE_WEBHOOK_SECRET": "whsec_x", "BILLINGWATCH_API_TOKEN": TOKEN}
    text = output_of(run("check", cwd=tmp_path, **settings))
    assert f"127.0.0.1:{PORT_AS_WRITTEN}" in text and "sqlite://billingwatch.db" in text, text


def test_the_example_settings_need_two_values_and_no_more(sqlite, start, tmp_path):
    settings = (REPOSITORY / ".env.example").read_text()
    (tmp_path / ".env").write_text(settings)
    refused = run("check", cwd=tmp_path)
    assert refused.returncode == 2 and "STRIPE_WEBHOOK_SECRET" in output_of(refused), output_of(refused)

    for name, value in (("STRIPE_WEBHOOK_SECRET", "whsec_of_the_file"), ("BILLINGWATCH_API_TOKEN", "token-of-the-file")):
        settings, times = re.subn(rf"^{name}=$", f"{name}={value}", settings, flags=re.M)
        assert times == 1, name
    (tmp_path / ".env").write_text(settings)
    server = start(sqlite, **NOTHING)
    body = (REPOSITORY / "examples/events/charge.failed.json").read_bytes()
    assert server.post(body, secret="whsec_of_the_file").status_code == 200
    assert server.post(body, secret="whsec_of_somebody_else").status_code == 400
    assert server.get("/webhooks/alerts", token=None).status_code == 401
    assert server.get("/webhooks/alerts", token="token-of-the-file").status_code == 200


def test_the_unit_of_the_production_page_starts(tmp_path):
    """What systemd would make of the unit's `Environment=` lines, its credentials included."""
    page = (REPOSITORY / "docs/getting-started.md").read_text()
    credentials = re.findall(r"LoadCredential=(\w+):", page)
    assert set(credentials) == {"stripe", "token", "smtp"}
    for name in credentials:
        (tmp_path / name).write_text(f"{name}-secret\n")
    assignments = [word for line in re.findall(r"^ *Environment=(.*)$", page, re.M) for word in shlex.split(line)]
    settings = dict(one.replace("%d", str(tmp_path)).split("=", 1) for one in assignments)
    done = run("check", cwd=tmp_path, **settings)
    text = output_of(done)
    assert done.returncode == 0, text
    assert "production" in text and "email" in text, text
    assert "-secret" not in text, text
