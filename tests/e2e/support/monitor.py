"""Somebody's uptime monitor: an address that wants to be asked for again and again."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Monitor:
    """Listens on a free loopback port and counts the beats; `token` is the secret part of its address."""

    def __init__(self, token="beat-4f1d7c0a9b"):
        self.beats = []
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                monitor.beats.append((time.monotonic(), self.path))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.token = token
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/ping/{token}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self):
        """Stops listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
