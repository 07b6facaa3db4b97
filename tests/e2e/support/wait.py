"""Waiting for a condition, never for a length of time."""

import socket
import time


def wait_until(condition, what, timeout=15.0, poll=0.02):
    """Returns the first truthy value of `condition()`; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still waiting after {timeout:g} s: {what}")
        time.sleep(poll)


def free_port():
    """A loopback port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
