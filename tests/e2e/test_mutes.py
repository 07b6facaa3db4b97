"""A false-positive mark mutes its repeats, visibly, over a restart, until it is lifted."""

import datetime

from support.api import alerts_about, wait_for_alert
from support.server import TOKEN
from support.stripe_events import charge_succeeded, new_id
from support.wait import wait_until


def charged_twice(server, customer, amount):
    for _ in range(2):
        server.send(charge_succeeded(customer, amount=amount))


def ask(server, method, path, **body):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return server.session.request(method, f"{server.url}{path}", headers=headers, timeout=20, **body)


def suppressed_about(server, customer):
    return server.json("/api/v1/suppressed", subject=customer)["data"]


def open_about(server, customer):
    return [alert for alert in alerts_about(server, customer) if alert["resolved_at"] is None]


def test_a_muted_subject_stays_quiet_over_a_restart_until_it_is_lifted(database, start):
    server = start(database)
    customer, other = new_id("cus"), new_id("cus")
    charged_twice(server, customer, 1_900)
    alert = wait_for_alert(server, "duplicate_charge", customer)

    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=7)
    mark = {"scope": "subject", "until": until.isoformat(), "note": "buys two seats at a time"}
    answer = ask(server, "POST", f"/api/v1/alerts/{alert['id']}/false-positive", json=mark)
    assert answer.status_code == 200, answer.text
    wait_until(lambda: not open_about(server, customer), "the end of the muted alert")
    (mute,) = server.json("/api/v1/mutes")["data"]
    assert (mute["scope"], mute["target"], mute["is_in_force"]) == ("subject", customer, True)

    # The engine is rebuilt; the mute is in its journal.
    server.kill()
    server.start()
    charged_twice(server, customer, 2_100)
    charged_twice(server, other, 2_100)
    wait_for_alert(server, "duplicate_charge", other)
    (quiet,) = [one for one in suppressed_about(server, customer) if one["reason"] == "muted"]
    assert quiet["message"].startswith("muted by ") and " until " in quiet["message"]
    assert not open_about(server, customer)

    # Ten times the money is another matter.
    charged_twice(server, customer, 21_000)
    wait_until(lambda: open_about(server, customer), "an alert beyond what was judged")

    lifted = ask(server, "DELETE", f"/api/v1/mutes/{mute['id']}")
    assert lifted.status_code == 202, lifted.text
    assert server.json("/api/v1/mutes")["data"] == []
    told = len(alerts_about(server, customer))
    charged_twice(server, customer, 1_700)
    wait_until(lambda: len(alerts_about(server, customer)) > told, "an alert once the mute is lifted")

    numbers = {one["name"]: one for one in server.json("/metrics/detectors")["detectors"]}
    assert numbers["duplicate_charge"]["false_positives"] == 1
    assert numbers["duplicate_charge"]["precision"] == 0.0
    assert numbers["duplicate_charge"]["suppressed_by_reason"]["muted"] == 1
