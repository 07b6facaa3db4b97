"""A live account: the official SDK works on localstripe, which posts its signed webhooks to us."""

import json

import stripe

from support.server import SECRET
from support.wait import wait_until


def test_what_happens_on_an_account_is_in_the_journal(server, journal, account):
    account.send_webhooks_to(f"{server.url}/webhooks/stripe", SECRET)
    client = account.client

    product = client.v1.products.create({"name": "Team plan"})
    for plan, amount in (("team", 4_900), ("free", 0)):
        account.raw("/v1/plans", id=plan, product=product.id, amount=amount, currency="usd", interval="month")
    customers = []
    for number in range(3):
        customer = client.v1.customers.create({"name": f"Customer {number}", "email": f"c{number}@shop.example"})
        customers.append(customer.id)
        method = account.raw(
            "/v1/payment_methods",
            **{"type": "card", "card[number]": "4242424242424242", "card[exp_month]": 12, "card[exp_year]": 2040, "card[cvc]": 123},
        )
        client.v1.payment_methods.attach(method["id"], {"customer": customer.id})
        client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method["id"]}})
        client.v1.subscriptions.create({"customer": customer.id, "items": [{"plan": "team"}]})
    bill = account.raw("/v1/invoiceitems", customer=customers[0], amount=1_500, currency="usd", description="Set-up")
    assert bill["amount"] == 1_500
    standing = client.v1.invoices.create({"customer": customers[0]})
    client.v1.invoices.pay(standing.id)
    client.v1.subscriptions.cancel(client.v1.subscriptions.list({"customer": customers[2]}).data[0].id)
    client.v1.customers.update(customers[1], {"description": "renamed"})

    made = account.events()
    types = {event.type for event in made.values()}
    assert {"customer.created", "customer.subscription.created", "invoice.created", "invoice.payment_succeeded"} <= types, types
    wait_until(lambda: account.outcomes()[0] + len(account.outcomes()[1]) >= len(made), "localstripe's webhooks")
    delivered, refused = account.outcomes()
    assert not refused, refused
    assert delivered == len(made)

    # Everything acknowledged is in the journal, and nothing else is.
    kept = journal.event_ids()
    assert sorted(kept) == sorted(made)
    for event_id, event in made.items():
        body = json.loads(journal.body(event_id))
        assert body["type"] == event.type
        assert journal.row(event_id, "event_type")["event_type"] == event.type
        # The bytes we keep are still an event to the SDK.
        assert isinstance(stripe.Event.construct_from(body, None), stripe.Event)

    # And the API tells the same.
    metrics = server.json("/metrics")
    assert metrics["total_events"] == len(made)
    assert metrics["events_by_type"]["customer.created"] == 3


def test_an_account_with_another_secret_is_refused(server, journal, account):
    account.send_webhooks_to(f"{server.url}/webhooks/stripe", "whsec_of_somebody_else")
    account.client.v1.customers.create({"name": "Nobody"})
    wait_until(lambda: account.outcomes()[1], "a refused webhook")
    assert account.outcomes()[0] == 0
    assert journal.event_ids() == []
