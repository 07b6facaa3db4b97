"""What must hold once a storm is over: nothing acknowledged is lost, and alerts are those of a clean replay."""

import collections
import json

from .api import alerts, alerts_about, detailed
from .db import Journal
from .server import output_of, run
from .stripe_events import event, invoice, new_id
from .wait import wait_until


def settle(server, timeout=60):
    """A last alert: once it is recorded, all before it has been through the detectors."""
    marker = new_id("cus")
    server.send(event("invoice.finalized", invoice(marker, -1_234)))
    wait_until(lambda: alerts_about(server, marker, detector="negative_invoice"), "the marker", timeout, poll=0.2)


def audit(server, database, acknowledged, directory):
    """Every acknowledged event is in the journal once, and the alerts are those of a clean replay. Returns how many
    events are kept, and the alerts."""
    journal = Journal(database)
    kept = collections.Counter(journal.event_ids())
    missing = set(acknowledged) - set(kept)
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged events are missing"
    assert [one for one, times in kept.items() if times > 1] == []
    recorded = [detailed(server, one) for one in alerts(server)]
    recorded = [one for one in recorded if one["detector"] != "operations"]
    found = collections.Counter((one["detector"], one["key"]) for one in recorded)
    assert [one for one, times in found.items() if times > 1] == []
    lines, replayed_alerts = directory / "audit.jsonl", directory / "audited.jsonl"
    assert journal.export(lines) == len(kept)
    replayed = run("replay", lines, "--alerts-out", replayed_alerts, cwd=directory)
    assert replayed.returncode == 0, output_of(replayed)
    again = {(one["detector"], one["key"]) for one in map(json.loads, replayed_alerts.read_text().splitlines())}
    assert again == set(found)
    return len(kept), recorded
