"""Senders that behave like Stripe under load: several at once, and an event without a 2xx is sent again."""

import http.client
import random
import threading
import time

from . import signing
from .server import SECRET
from .stripe_events import charge_failed, charge_succeeded, event, invoice, new_id


class Load:
    """Posts from `threads` threads until `stop`; `acknowledged` holds the id of every event answered with 200, `refused`
    counts the answers of 503. Of these, `late` holds when each post began and ended that said it takes too long."""

    def __init__(self, port, threads=4, seed=7):
        self.acknowledged = []
        self.surprises = []
        self.duplicates = 0
        self.refused = 0
        self.late = []
        self._port = port
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(random.Random(seed + n),), daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _events(self, draw):
        """An endless stream: mostly ordinary charges, now and then something to be told about."""
        while True:
            customer = new_id("cus")
            yield charge_succeeded(customer, amount=draw.randrange(500, 90_000))
            chance = draw.random()
            if chance < 0.03:
                for _ in range(2):
                    yield charge_succeeded(customer, amount=4_900)
            elif chance < 0.05:
                yield event("invoice.finalized", invoice(customer, -draw.randrange(1_000, 50_000)))
            elif chance < 0.08:
                yield charge_failed(customer)

    def _run(self, draw):
        connection = None
        for one in self._events(draw):
            while not self._stopping.is_set():
                begun_at = time.monotonic()
                try:
                    if connection is None:
                        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
                    headers = {"Content-Type": "application/json", "Stripe-Signature": signing.header(SECRET, one.body)}
                    connection.request("POST", "/webhooks/stripe", one.body, headers)
                    response = connection.getresponse()
                    answer = response.read()
                except (OSError, http.client.HTTPException):
                    connection = None
                    self._stopping.wait(0.02)
                    continue
                if response.status == 200:
                    self.acknowledged.append(one.id)
                    self.duplicates += b'"duplicate":true' in answer.replace(b" ", b"")
                    break
                if response.status == 503:
                    self.refused += 1
                    if b"takes too long" in answer:
                        self.late.append((begun_at, time.monotonic()))
                else:
                    self.surprises.append(f"{response.status} {answer[:200]!r}")
                self._stopping.wait(0.02)
            if self._stopping.is_set():
                return

    def stop(self):
        """Ends all senders."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a sender is stuck"
