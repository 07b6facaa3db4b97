"""Times at which the machine itself stood still: its disk synced nothing, or its processors ran others.

An answer within a second is a promise about the server, and can be tested on a machine that stands still for a second only
by what the machine did meanwhile: a file of ours is synced all the time, and where that took long, so did the server's.
"""

import os
import threading
import time

from .wait import wait_until

# What a sync and the sleep before it take at most on a machine that is merely busy, in seconds.
ORDINARY_SECS = 0.1


class Stalls:
    """Watches the file system of `folder` until `close`."""

    def __init__(self, folder):
        self._path = folder / "stalls"
        self._seen = []
        self._known_until = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        with open(self._path, "wb", buffering=0) as file:
            while not self._closing.wait(0.01):
                file.write(b"x" * 512)
                os.fsync(file.fileno())
                now = time.monotonic()
                if now - self._known_until > ORDINARY_SECS:
                    self._seen.append((self._known_until, now))
                self._known_until = now

    def between(self, begun_at, ended_at):
        """For how many of these seconds (of `time.monotonic`) the machine stood still."""
        wait_until(lambda: self._known_until > ended_at, "a sync", timeout=60, poll=0.01)
        return sum(max(0.0, min(end, ended_at) - max(begin, begun_at)) for begin, end in self._seen)

    def close(self):
        """Stops watching."""
        self._closing.set()
        self._thread.join(30)
