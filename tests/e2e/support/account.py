"""A live Stripe account, played by localstripe, driven by the official SDK."""

import re
import subprocess
import sys
from pathlib import Path

import requests
import stripe

from .wait import free_port, wait_until


class Account:
    """localstripe in a process of its own; `client` is the official SDK pointed at it."""

    def __init__(self, directory):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log_path = directory / "localstripe.log"
        launcher = Path(__file__).with_name("localstripe_account.py")
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen([sys.executable, "-u", launcher, str(port)], stdout=log, stderr=subprocess.STDOUT)
        self.client = stripe.StripeClient("sk_test_12345", base_addresses={"api": self.url})
        wait_until(self._answers, f"localstripe: {self.log()}")

    def _answers(self):
        try:
            return requests.get(f"{self.url}/v1/customers", headers={"Authorization": "Bearer sk_test_12345"}, timeout=2).ok
        except requests.ConnectionError:
            return False

    def send_webhooks_to(self, url, secret):
        """Registers an endpoint, as one would in the dashboard."""
        response = requests.post(f"{self.url}/_config/webhooks/e2e", json={"url": url, "secret": secret}, timeout=5)
        assert response.status_code == 200, response.text

    def raw(self, path, **form):
        """A call in the raw form, for resources that the current SDK no longer has."""
        headers = {"Authorization": "Bearer sk_test_12345"}
        response = requests.post(f"{self.url}{path}", data=form, headers=headers, timeout=5)
        assert response.status_code == 200, response.text
        return response.json()

    def events(self):
        """All events of the account, by the API."""
        found = {}
        for one in self.client.v1.events.list({"limit": 100}).auto_paging_iter():
            found[one.id] = one
        return found

    def outcomes(self):
        """How many webhooks were acknowledged, and the lines about those that were not."""
        log = self.log()
        return len(re.findall(r'webhook ".*" successfully delivered', log)), re.findall(r'webhook ".*" failed.*', log)

    def log(self):
        """What localstripe printed."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def close(self):
        """Ends the process."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
