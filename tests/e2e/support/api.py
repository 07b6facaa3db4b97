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
    """The alert of `detector` that is about `about`, with all that is known of it."""

    def find():
        found = alerts(server, detector=detector) if about is None else alerts_about(server, about, detector=detector)
        return detailed(server, found[0]) if found else None

    return wait_until(find, f"a {detector} alert about {about}", timeout, poll=0.05)


def alerts_about(server, subject, **filters):
    """All alerts that name `subject`, as their first subject or as another."""
    return alerts(server, subject=subject, **filters)


def detailed(server, alert):
    """One alert of a list with its key, its subjects and its evidence, which lists leave out."""
    return server.json(f"/api/v1/alerts/{alert['id']}")
