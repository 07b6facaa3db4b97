"""Somebody's HTTP receiver for alerts. It checks every signature as the Standard Webhooks specification 1.0.0 says."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .wait import wait_until

TOLERANCE_SECS = 300


class Delivery:
    """One request that came in."""

    def __init__(self, headers, body):
        self.arrived_at = time.monotonic()
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.id = self.headers.get("webhook-id")
        self.body = body
        self.json = None

    def problem(self, key):
        """What is wrong with the signature, or None."""
        timestamp = self.headers.get("webhook-timestamp", "")
        given = self.headers.get("webhook-signature", "")
        if not self.id or not timestamp or not given:
            return "a webhook-id, webhook-timestamp or webhook-signature header is missing"
        if not timestamp.isdigit() or abs(int(timestamp) - time.time()) > TOLERANCE_SECS:
            return f"webhook-timestamp {timestamp!r} is out of tolerance"
        message = f"{self.id}.{timestamp}.".encode() + self.body
        expected = "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
        if not any(hmac.compare_digest(expected, one) for one in given.split(" ")):
            return f"webhook-signature {given!r} does not match"
        return None


class Receiver:
    """Listens on a free loopback port. `answers` are (status, headers) for the next requests; then 204 for ever."""

    def __init__(self):
        self._key = secrets.token_bytes(32)
        self.secret = "whsec_" + base64.b64encode(self._key).decode()
        self.deliveries = []
        self.problems = []
        self.answers = []
        self.delay_secs = 0.0
        self._hold = threading.Event()
        self._hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver._take(self)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/alerts"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def _take(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        delivery = Delivery(request.headers, body)
        problem = delivery.problem(self._key)
        try:
            delivery.json = json.loads(body)
        except ValueError:
            problem = problem or "the body is not JSON"
        if problem:
            self.problems.append(problem)
        self.deliveries.append(delivery)
        self._hold.wait()
        time.sleep(self.delay_secs)
        status, headers = self.answers.pop(0) if self.answers else (204, {})
        if problem:
            status, headers = 400, {}
        try:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
        except OSError:
            pass  # The sender gave up while we held the answer back.

    def hang(self):
        """From now on requests are taken and never answered, until `resume`."""
        self._hold.clear()

    def resume(self):
        """Answers what is held back and everything after it."""
        self._hold.set()

    def wait_for(self, matches, what, timeout=15.0):
        """The first delivery for which `matches` is true."""

        def find():
            return next((d for d in list(self.deliveries) if matches(d)), None)

        return wait_until(find, f"a webhook {what}; got {[d.json for d in self.deliveries]} {self.problems}", timeout)

    def about(self, *texts):
        """All deliveries whose body contains every one of `texts`."""
        return [d for d in list(self.deliveries) if all(text.encode() in d.body for text in texts)]

    def close(self):
        """Stops listening."""
        self.resume()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
