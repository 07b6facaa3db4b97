"""A client that reads while it writes.

A server may refuse a body before it has read all of it. Ordinary clients write first and read afterwards, and then
see a broken pipe instead of the answer; Stripe's own client, and proxies, do read it.
"""

import selectors
import socket
import time


class Answer:
    """Status, header lines and body of one HTTP/1.1 answer."""

    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/1.") else None
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}


def exchange(port, head, body=b"", timeout=30):
    """Sends `head` (request line and header lines, no blank line) and `body`; returns the `Answer`, or None if the
    connection was closed without one."""
    outgoing = memoryview(head.encode("latin-1") + b"\r\n\r\n" + body)
    incoming = bytearray()
    deadline = time.monotonic() + timeout
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.setblocking(False)
        with selectors.DefaultSelector() as ready:
            ready.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while time.monotonic() < deadline:
                for _, mask in ready.select(0.5):
                    if mask & selectors.EVENT_READ:
                        try:
                            chunk = connection.recv(65536)
                        except ConnectionError:
                            chunk = b""
                        if not chunk:
                            return Answer(bytes(incoming)) if incoming else None
                        incoming += chunk
                        if _complete(incoming):
                            return Answer(bytes(incoming))
                    if mask & selectors.EVENT_WRITE and outgoing:
                        try:
                            outgoing = outgoing[connection.send(outgoing[:65536]) :]
                        except ConnectionError:
                            outgoing = outgoing[:0]
                        if not outgoing:
                            ready.modify(connection, selectors.EVENT_READ)
    raise AssertionError(f"no answer within {timeout} s")


def _complete(raw):
    head, blank, body = bytes(raw).partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def post_event(port, body, signature, extra=(), path="/webhooks/stripe"):
    """Posts a webhook with the given `Stripe-Signature` value, or without one when it is None."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *extra,
    ]
    if signature is not None:
        lines.append(f"Stripe-Signature: {signature}")
    return exchange(port, "\r\n".join(lines), body)
