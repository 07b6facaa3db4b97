"""Stripe's signature scheme, spelled out, so that tests can also get it wrong on purpose.

`test_signatures.py` holds it equal to both official SDKs.
"""

import hashlib
import hmac
import time


def v1(secret, timestamp, body):
    """The hex signature over `timestamp.body`; the key is the whole secret, prefix included."""
    return hmac.new(secret.encode(), b"%s.%s" % (str(timestamp).encode(), body), hashlib.sha256).hexdigest()


def header(secret, body, timestamp=None):
    """A valid `Stripe-Signature` for `body`."""
    timestamp = int(time.time()) if timestamp is None else timestamp
    return f"t={timestamp},v1={v1(secret, timestamp, body)}"
