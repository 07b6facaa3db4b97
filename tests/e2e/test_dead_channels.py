"""A channel that is slow, dead or fed up delays neither ingest nor the other channel."""

import socket
import time

import pytest

from support.api import wait_for_alert
from support.stripe_events import event, invoice, new_id
from support.wait import free_port, wait_until


def incident(server):
    """Sends an invoice below zero, an alert of its own each; returns its customer and how long the request took."""
    customer = new_id("cus")
    return customer, server.send(event("invoice.finalized", invoice(customer, -4_900)))


def about(customer):
    return lambda delivery: customer.encode() in delivery.body


@pytest.mark.parametrize("kind", ["hangs", "refuses"])
def test_a_dead_receiver_delays_nothing(database, start, stalls, smtp, receiver, kind):
    url = receiver.url if kind == "hangs" else f"http://127.0.0.1:{free_port()}/alerts"
    receiver.hang()
    told = start(database, **smtp.settings(), ALERT_WEBHOOK_URL=url, ALERT_WEBHOOK_SECRET=receiver.secret)
    delays, requests_took = [], []
    for _ in range(5):
        customer, took = incident(told)
        happened_at = time.monotonic()
        delays.append(smtp.wait_for(customer).arrived_at - happened_at)
        requests_took.append(took - stalls.between(happened_at - took, happened_at))
    assert sorted(delays)[2] < 1.0, delays
    assert max(requests_took) < 1.0, requests_took
    assert told.stop(timeout=30) == 0, told.log()


@pytest.mark.parametrize("kind", ["hangs", "refuses"])
def test_a_dead_mail_server_delays_nothing(database, start, stalls, smtp, receiver, kind):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Takes connections and never says 220.
        port = silent.getsockname()[1] if kind == "hangs" else free_port()
        settings = smtp.settings() | {"SMTP_PORT": port}
        told = start(database, **settings, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=receiver.secret)
        delays, requests_took = [], []
        for _ in range(5):
            customer, took = incident(told)
            happened_at = time.monotonic()
            delays.append(receiver.wait_for(about(customer), f"about {customer}").arrived_at - happened_at)
            requests_took.append(took - stalls.between(happened_at - took, happened_at))
        assert sorted(delays)[2] < 1.0, delays
        assert max(requests_took) < 1.0, requests_took


def test_retry_after_is_honoured(database, start, receiver):
    wait_secs = 8  # Longer than the first wait of our own, which is 5 s give or take a tenth.
    receiver.answers = [(503, {"Retry-After": str(wait_secs)})]
    told = start(database, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=receiver.secret)
    customer, _ = incident(told)
    wait_until(lambda: len(receiver.about(customer)) == 2, "the second attempt", timeout=60)
    first, second = receiver.about(customer)
    assert second.arrived_at - first.arrived_at >= wait_secs - 0.05
    assert second.id == first.id, "a repeat must be recognisable"
    assert second.headers["webhook-timestamp"] != first.headers["webhook-timestamp"], "every attempt is signed anew"
    assert receiver.problems == []
    alert = wait_for_alert(told, "negative_invoice", customer)
    wait_until(lambda: "503" in told.get(f"/api/v1/alerts/{alert['id']}").text, "the failed attempt on record")


def test_gone_disables_the_target_and_says_so(database, start, smtp, receiver):
    receiver.answers = [(410, {})]
    told = start(database, **smtp.settings(), ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=receiver.secret)
    gone, _ = incident(told)
    receiver.wait_for(about(gone), f"about {gone}")
    alert = wait_for_alert(told, "negative_invoice", gone)
    wait_until(lambda: "410" in told.get(f"/api/v1/alerts/{alert['id']}").text, "the refusal on record")
    wait_until(lambda: "disabled" in told.log().lower(), "a word about it in the log")

    for _ in range(3):
        customer, _ = incident(told)
        smtp.wait_for(customer)
    assert len(receiver.deliveries) == 1, "the target said that it is gone"


def test_a_redirect_is_not_followed(database, start, receiver):
    receiver.answers = [(307, {"Location": f"http://127.0.0.1:{free_port()}/elsewhere"})]
    told = start(database, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=receiver.secret)
    customer, _ = incident(told)
    alert = wait_for_alert(told, "negative_invoice", customer)
    receiver.wait_for(about(customer), f"about {customer}")
    wait_until(lambda: "307" in told.get(f"/api/v1/alerts/{alert['id']}").text, "the refused redirect on record")


def test_an_alert_that_could_not_be_told_is_told_after_a_restart(database, start, receiver):
    receiver.hang()
    told = start(database, ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=receiver.secret)
    customer, _ = incident(told)
    receiver.wait_for(about(customer), f"about {customer}")
    told.kill()
    before = len(receiver.about(customer))
    receiver.resume()
    told.start()
    wait_until(lambda: len(receiver.about(customer)) > before, "a new attempt", timeout=90)
    assert len({delivery.id for delivery in receiver.about(customer)}) == 1, "a repeat must be recognisable"
