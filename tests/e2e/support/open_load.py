"""A sender that does not wait for answers: events are due at their time, whatever became of those before, and one without
a 2xx is due again a moment later."""

import heapq
import http.client
import itertools
import random
import threading
import time

from . import signing
from .load import Load
from .server import SECRET


class OpenLoad(Load):
    """Sends `rate` new events a second with up to `threads` at once until `stop`. `sent` holds every id, and `slowest` the
    longest that any answer took, in seconds."""

    def __init__(self, port, rate, threads=12, seed=7):
        self.sent = []
        self.slowest = 0.0
        self._rate = rate
        self._due = []
        self._number = itertools.count()
        self._changed = threading.Condition()
        self._draining = threading.Event()
        super().__init__(port, threads=0, seed=seed)
        self._threads = [threading.Thread(target=self._post, args=(random.Random(seed + n),), daemon=True) for n in range(threads)]
        self._source = threading.Thread(target=self._emit, args=(random.Random(seed),), daemon=True)
        for thread in [*self._threads, self._source]:
            thread.start()

    def _emit(self, draw):
        begun_at = time.monotonic()
        for count, one in enumerate(self._events(draw)):
            due_at = begun_at + count / self._rate
            if self._draining.wait(max(0.0, due_at - time.monotonic())):
                return
            self.sent.append(one.id)
            self._put(due_at, one)

    def _put(self, due_at, one):
        with self._changed:
            heapq.heappush(self._due, (due_at, next(self._number), one))
            self._changed.notify()

    def _take(self):
        with self._changed:
            while not self._stopping.is_set():
                wait = self._due[0][0] - time.monotonic() if self._due else 1.0
                if wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(min(wait, 1.0))
        return None

    def _post(self, draw):
        connection = None
        while (one := self._take()) is not None:
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
                self._put(time.monotonic() + draw.uniform(0.05, 0.3), one)
                continue
            self.slowest = max(self.slowest, time.monotonic() - begun_at)
            if response.status == 200:
                self.acknowledged.append(one.id)
                continue
            if response.status == 503:
                self.refused += 1
            else:
                self.surprises.append(f"{response.status} {answer[:200]!r}")
            self._put(time.monotonic() + draw.uniform(0.1, 0.4), one)

    def finish(self, timeout=60):
        """Sends nothing new, and waits until everything that was sent is acknowledged."""
        self._draining.set()
        self._source.join(10)
        deadline = time.monotonic() + timeout
        while len(self.acknowledged) < len(self.sent) and time.monotonic() < deadline and not self.surprises:
            time.sleep(0.02)
        self.stop()
        assert self.surprises == []
        open_ones = set(self.sent) - set(self.acknowledged)
        assert not open_ones, f"{len(open_ones)} events were never acknowledged"
