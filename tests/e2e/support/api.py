"""The alerts as a client of the API sees them."""

from .wait import wait_until


def alerts(server, **filters):
    """All alerts of `/api/v1/alerts`, every page."""
    found, cursor = [], None
    while True:
        page = server.json("/api/v1/alerts", limit=100, **filters, **({"after": cursor} if cursor else {}))
        found += page["data"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def wait_for_alert(server, detector, about=None, timeout=15.0):
    """The alert of `detector` whose subjects name `about`."""

    def find():
        for alert in alerts(server):
            if alert["detector"] == detector and (about is None or about in subjects(alert)):
                return alert
        return None

    return wait_until(find, f"a {detector} alert about {about}", timeout, poll=0.05)


def subjects(alert):
    """All ids an alert is about."""
    return set(filter(None, [alert.get("subject"), *(alert.get("subjects") or [])]))
