"""No secret is in anything the process ever wrote: log, answers, database, output, at the most talkative level."""

import json
import time
from pathlib import Path

from support import signing
from support.api import wait_for_alert
from support.db import Postgresql
from support.server import Server, output_of, run
from support.stripe_events import charge_succeeded
from support.wait import free_port, wait_until

SECRETS = {
    "STRIPE_WEBHOOK_SECRET": "whsec_PLANTEDsigning11",
    "BILLINGWATCH_API_TOKEN": "PLANTED-api-token-22",
    "STRIPE_SECRET_KEY": "rk_test_PLANTEDkey33",
    "SMTP_PASS": "PLANTED smtp pass 44",
    "ALERT_WEBHOOK_SECRET": "whsec_UExBTlRFRC13ZWJob29rLTU1LTU1LTU1",
    "ALERT_WEBHOOK_URL": "PLANTED-hook-66",
    "SLACK_WEBHOOK_URL": "PLANTED-slack-77",
    "DISCORD_WEBHOOK_URL": "PLANTED-discord-88",
    "HEARTBEAT_URL": "PLANTED-beat-99",
}


def settings_of(smtp):
    """Every secret in its place; behind the addresses nobody listens."""
    dead = f"http://127.0.0.1:{free_port()}"
    in_an_address = {name: f"{dead}/hooks/{SECRETS[name]}" for name in SECRETS if name.endswith("_URL")}
    return smtp.settings() | SECRETS | in_an_address | {"LOG_LEVEL": "trace", "SMTP_USER": "alerts"}


def leaks(text):
    """The names of planted secrets that a text shows, in clear or as they travel."""
    found = []
    for name, secret in SECRETS.items():
        forms = {secret, secret.removeprefix("whsec_"), json.dumps(secret)[1:-1], secret.replace(" ", "%20")}
        if any(form in text for form in forms):
            found.append(name)
    return found


def test_nothing_written_shows_a_secret(database, start, smtp, tmp_path):
    settings = settings_of(smtp)
    if isinstance(database, Postgresql):
        password = database.url.split("//", 1)[1].split("@", 1)[0].split(":", 1)[1]
    else:
        password = None
    server = start(database, **settings)
    written = []

    def ask(method, path, **given):
        answer = server.session.request(method, server.url + path, timeout=20, **given)
        written.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer

    secret, token = SECRETS["STRIPE_WEBHOOK_SECRET"], SECRETS["BILLINGWATCH_API_TOKEN"]
    authorized = {"Authorization": f"Bearer {token}"}
    # A duplicate charge makes an alert that every channel tries to tell.
    for _ in range(2):
        event = charge_succeeded("cus_planted")
        headers = {"Stripe-Signature": signing.header(secret, event.body)}
        assert ask("POST", "/webhooks/stripe", data=event.body, headers=headers).status_code == 200
    for body, header in (
        (b"{}", "t=1,v1=00"),
        (b"not json", signing.header(secret, b"not json")),
        (event.body, signing.header(secret, event.body, int(time.time()) - 9999)),
        (event.body, secret),
    ):
        assert ask("POST", "/webhooks/stripe", data=body, headers={"Stripe-Signature": header}).status_code == 400
    for path in (
        "/health", "/health/ready", "/docs", "/openapi.json", "/webhooks/detectors", "/webhooks/alerts", "/api/v1/alerts",
        "/api/v1/events", "/api/v1/suppressed", "/api/v1/mutes", "/metrics", "/metrics/detectors", "/nowhere",
    ):  # fmt: skip
        ask("GET", path, headers=authorized)
        ask("GET", path, headers=authorized | {"Accept": "text/plain"})
    ask("GET", "/api/v1/alerts", headers={"Authorization": f"Bearer {token}x"})
    ask("GET", f"/api/v1/alerts?token={'x' * 20}")
    ask("POST", "/webhooks/stripe/nobody", data=b"{}")

    def told():
        failed = {line for line in ("webhook", "slack", "discord") if f"channel {line}" in server.log() or line in server.log()}
        return len(failed) == 3

    wait_until(told, "every channel to have been tried", timeout=30)
    wait_until(lambda: "127.0.0.1" in server.log(), "a word about a target")
    assert server.stop(timeout=40) in (0, None)
    written.append(server.log())
    for arguments in (["check"], ["detectors"], ["--version"], ["serve", "--port", "99999"], ["migrate"]):
        written.append(output_of(run(*arguments, cwd=tmp_path, **(server.settings | settings))))
    # What is refused names the key and not its value.
    for name, value in (
        ("STRIPE_WEBHOOK_SECRET", SECRETS["STRIPE_WEBHOOK_SECRET"] + " x"),
        ("ALERT_WEBHOOK_URL", "ftp://user:PLANTED-hook-66@127.0.0.1/PLANTED-hook-66"),
        ("STRIPE_SECRET_KEY", "PLANTEDkey33 PLANTED-api-token-22"),
        ("HEARTBEAT_URL", "PLANTED-beat-99"),
        ("ALERT_WEBHOOK_SECRET", "whsec_PLANTED-smtp"),
    ):
        ended = run("check", cwd=tmp_path, **(server.settings | settings | {name: value}))
        assert ended.returncode != 0, f"{name} was taken: {output_of(ended)}"
        written.append(output_of(ended))

    shown = [(leaks(text), text) for text in written]
    found = [(names, text[max(0, min(text.find(SECRETS[n]) for n in names) - 300) :][:700]) for names, text in shown if names]
    assert not found, found
    if password:
        assert not any(password in text for text in written), "the database's password"
    # Nor does the store keep any: tokens are hashed, the rest never gets there.
    if database.kind == "sqlite":
        for path in Path(tmp_path).glob("journal.db*"):
            assert not leaks(path.read_bytes().decode("latin-1")), path
