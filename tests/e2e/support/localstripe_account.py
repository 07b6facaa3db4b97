"""Runs localstripe on loopback: `python localstripe_account.py PORT`.

Its own start-up listens on every interface and keeps its state in a fixed file under /tmp; neither suits a test.
"""

import logging
import sys

from aiohttp import web
from localstripe.resources import store
from localstripe.server import app

if __name__ == "__main__":
    store.dump_to_disk = lambda: None
    log = logging.getLogger("aiohttp.access")
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler(sys.stdout))
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=log, print=None)
