"""Stripe events as Stripe sends them, in the shapes of both sides of the 2025-03-31 ("basil") change.

Before it an invoice names its subscription, charge and payment intent itself, and a charge names its invoice; after it
the links live in `parent`, in `invoice_payment.paid`, and on the subscription's items.
"""

import json
import secrets
import time

ACACIA = "2024-12-18.acacia"
BASIL = "2025-08-27.basil"
SHAPES = (ACACIA, BASIL)
MONTH_SECS = 30 * 86_400


def new_id(prefix):
    """An id of Stripe's form that never repeats."""
    return f"{prefix}_{secrets.token_hex(12)}"


class Event:
    """One event: the dictionary, and the bytes that are signed and sent."""

    def __init__(self, fields):
        self.fields = fields
        self.body = json.dumps(fields, indent=2, ensure_ascii=False).encode()
        self.id = fields.get("id")

    def redelivered_as(self, event_id):
        """The same change announced under another event id, which Stripe does now and then."""
        return Event(self.fields | {"id": event_id})


def event(kind, obj, api_version=BASIL, created=None, livemode=True, **extra):
    """The envelope around `obj`."""
    return Event(
        {
            "id": new_id("evt"),
            "object": "event",
            "api_version": api_version,
            "created": int(time.time()) if created is None else created,
            "data": {"object": obj},
            "livemode": livemode,
            "pending_webhooks": 1,
            "request": {"id": new_id("req"), "idempotency_key": new_id("key")},
            "type": kind,
        }
        | extra
    )


def charge(customer, amount=4_900, api_version=BASIL, created=None, currency="usd", invoice=None, intent=None, **extra):
    """A captured card charge."""
    fields = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "captured": True,
        "created": int(time.time()) if created is None else created,
        "currency": currency,
        "customer": customer,
        "description": "Team plan",
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": True,
        "metadata": {},
        "outcome": {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": intent or new_id("pi"),
        "payment_method": new_id("pm"),
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "country": "US", "fingerprint": f"fp{customer}", "funding": "credit", "last4": "4242"},
        },
        "refunded": False,
        "status": "succeeded",
    }
    if api_version == ACACIA:
        fields["invoice"] = invoice
    return fields | extra


def charge_succeeded(customer, **options):
    """A `charge.succeeded` event."""
    api_version = options.get("api_version", BASIL)
    return event("charge.succeeded", charge(customer, **options), api_version, options.get("created"))


def charge_failed(customer, **options):
    """A `charge.failed` event: the card issuer declined."""
    declined = {
        "amount_captured": 0,
        "captured": False,
        "failure_code": "card_declined",
        "failure_message": "Your card was declined.",
        "outcome": {
            "network_status": "declined_by_network",
            "reason": "generic_decline",
            "risk_level": "normal",
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        },
        "paid": False,
        "status": "failed",
    }
    api_version = options.get("api_version", BASIL)
    return event("charge.failed", charge(customer, **options) | declined, api_version, options.get("created"))


def invoice(customer, total, api_version=BASIL, subscription=None, charge_id=None, intent=None, created=None, **extra):
    """An open or paid invoice with one line."""
    created = int(time.time()) if created is None else created
    line = {
        "id": new_id("il"),
        "object": "line_item",
        "amount": total,
        "currency": "usd",
        "description": "Team plan",
        "period": {"start": created, "end": created + MONTH_SECS},
    }
    fields = {
        "id": new_id("in"),
        "object": "invoice",
        "amount_due": max(total, 0),
        "amount_paid": 0,
        "amount_remaining": max(total, 0),
        "attempt_count": 0,
        "attempted": False,
        "billing_reason": "subscription_cycle" if subscription else "manual",
        "collection_method": "charge_automatically",
        "created": created,
        "currency": "usd",
        "customer": customer,
        "lines": {"object": "list", "data": [line], "has_more": False, "url": "/v1/invoices/lines"},
        "livemode": True,
        "period_start": created,
        "period_end": created,
        "starting_balance": 0,
        "ending_balance": min(total, 0),
        "status": "open",
        "status_transitions": {"finalized_at": created, "paid_at": None, "voided_at": None, "marked_uncollectible_at": None},
        "subtotal": total,
        "total": total,
    }
    if api_version == ACACIA:
        fields |= {"subscription": subscription, "charge": charge_id, "payment_intent": intent, "paid": False}
        line["subscription"] = subscription
    else:
        details = {"metadata": {}, "subscription": subscription}
        fields["parent"] = {"type": "subscription_details", "subscription_details": details} if subscription else None
    return fields | extra


def paid(fields):
    """The same invoice after its payment."""
    settled = {"amount_paid": fields["amount_due"], "amount_remaining": 0, "attempted": True, "attempt_count": 1, "status": "paid"}
    if "paid" in fields:
        settled["paid"] = True
    return fields | settled


def one_payment(customer, amount, api_version):
    """All events by which Stripe announces one and the same subscription payment."""
    intent, subscription = new_id("pi"), new_id("sub")
    bill = invoice(customer, amount, api_version, subscription=subscription, intent=intent)
    money = charge(customer, amount, api_version, invoice=bill["id"], intent=intent)
    if api_version == ACACIA:
        bill["charge"] = money["id"]
    bill = paid(bill)
    intent_fields = {
        "id": intent,
        "object": "payment_intent",
        "amount": amount,
        "amount_received": amount,
        "currency": "usd",
        "customer": customer,
        "latest_charge": money["id"],
        "livemode": True,
        "status": "succeeded",
    }
    if api_version == ACACIA:
        intent_fields["invoice"] = bill["id"]
    events = [
        event("charge.succeeded", money, api_version),
        event("payment_intent.succeeded", intent_fields, api_version),
        event("invoice.paid", bill, api_version),
        event("invoice.payment_succeeded", bill, api_version),
    ]
    if api_version == BASIL:
        payment = {
            "id": new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": amount,
            "amount_requested": amount,
            "currency": "usd",
            "invoice": bill["id"],
            "is_default": True,
            "livemode": True,
            "payment": {"type": "payment_intent", "payment_intent": intent},
            "status": "paid",
        }
        events.append(event("invoice_payment.paid", payment, api_version))
    return events


def thin(kind="v1.billing.meter.error_report_triggered"):
    """A thin event: a reference instead of an object, and a time in ISO 8601."""
    return Event(
        {
            "id": new_id("evt"),
            "object": "v2.core.event",
            "type": kind,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "livemode": True,
            "reason": None,
            "related_object": {"id": new_id("mtr"), "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
        }
    )
