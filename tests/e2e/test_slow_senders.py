"""Senders that never end hold neither the door nor the memory: real events get through beside and after them."""

import socket
import time
from pathlib import Path

from support.stripe_events import charge_succeeded
from support.wait import wait_until

HEAD = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def connect(server):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.settimeout(20)
    return connection


def resident_kib(server):
    """Memory in use, from /proc."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def ended(connection):
    """What came before the server closed the connection."""
    got = b""
    try:
        while chunk := connection.recv(65536):
            got += chunk
    except ConnectionError:
        pass
    return got


def test_slow_heads_and_bodies_are_cut_off_in_time(sqlite, start, tmp_path):
    (tmp_path / "billingwatch.toml").write_text("[server]\nrequest_timeout_secs = 1\n")
    server = start(sqlite)
    slow = {
        "nothing at all": b"",
        "half a request line": b"POST /webh",
        "a head without end": HEAD + b"X-Slow: ",
        "a body that does not come": HEAD + b"Content-Length: 100\r\n\r\n",
        "half a body": HEAD + b"Content-Length: 100\r\n\r\n{",
        "a chunk that does not come": HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\n{",
    }
    open_since = time.monotonic()
    connections = {name: connect(server) for name in slow}
    for name, sent in slow.items():
        connections[name].sendall(sent)
    # An idle connection counts as one kept alive, and has that long.
    quick = {name: connection for name, connection in connections.items() if name != "nothing at all"}
    for name, connection in quick.items():
        answer = ended(connection)
        took = time.monotonic() - open_since
        assert took < 15, f"{name}: {took:.1f} s"
        assert not answer or b" 408 " in answer.split(b"\r\n")[0], f"{name}: {answer[:200]}"
    server.send(charge_succeeded("cus_after_slow"))
    for connection in connections.values():
        connection.close()


def test_a_full_house_of_slow_senders_empties_itself(sqlite, start, tmp_path):
    (tmp_path / "billingwatch.toml").write_text("[server]\nrequest_timeout_secs = 1\nconnections_max = 32\n")
    server = start(sqlite)
    server.session.close()  # Its kept connection would be a place of its own.
    before_kib = resident_kib(server)
    crowd = [connect(server) for _ in range(300)]
    for connection in crowd:
        connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n{")
    sent_at = time.monotonic()
    server.send(charge_succeeded("cus_in_the_crowd"))
    assert time.monotonic() - sent_at < 19
    grown_kib = resident_kib(server) - before_kib
    assert grown_kib < 32 * 1024, f"{grown_kib} KiB for 300 slow senders"
    for connection in crowd:
        connection.close()
    wait_until(lambda: server.session.get(f"{server.url}/health", timeout=20).status_code == 200, "health")


def test_a_body_without_end_is_refused_and_its_connection_closed(sqlite, start, tmp_path):
    (tmp_path / "billingwatch.toml").write_text("[server]\nrequest_timeout_secs = 1\n")
    server = start(sqlite)
    before_kib = resident_kib(server)
    connection = connect(server)
    connection.sendall(HEAD + b"Stripe-Signature: t=1,v1=00\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    begun_at, is_closed = time.monotonic(), False
    while not is_closed and time.monotonic() - begun_at < 15:
        try:
            connection.sendall(chunk)
        except OSError:
            is_closed = True
    assert is_closed, "after 15 s it still reads"
    grown_kib = resident_kib(server) - before_kib
    assert grown_kib < 16 * 1024, f"{grown_kib} KiB"
    server.send(charge_succeeded("cus_after_endless"))
    connection.close()
