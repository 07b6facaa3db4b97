"""Somebody's mail server: refuses to talk without TLS and without a log-in, under a private CA."""

import email
import email.policy
import secrets
import ssl
import threading
import time

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from .wait import free_port, wait_until

USER = "alerts@shop.example"


class Mail:
    """One accepted message."""

    def __init__(self, envelope):
        self.arrived_at = time.monotonic()
        self.sender = envelope.mail_from
        self.recipients = envelope.rcpt_tos
        self.message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.subject = str(self.message["subject"])

    def part(self, kind):
        """The text of the `plain` or `html` part."""
        body = self.message.get_body((kind,))
        return None if body is None else body.get_content()

    def text(self):
        """Subject and all parts, for searching."""
        return "\n".join(filter(None, (self.subject, self.part("plain"), self.part("html"))))


class SmtpServer:
    """Listens on a free loopback port; its CA is in `ca_path`. TLS by STARTTLS, or from the first byte (`implicit`)."""

    def __init__(self, directory, implicit=False):
        self.password = secrets.token_urlsafe(18)
        self.port = free_port()
        self.mails = []
        self.refused_logins = 0
        self.sessions_without_tls = 0
        self._lock = threading.Lock()
        authority = trustme.CA()
        self.ca_path = directory / "smtp-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_path))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self._is_implicit = implicit
        # aiosmtpd looks for STARTTLS alone when it asks whether a log-in is safe.
        tls = (
            {"ssl_context": context, "auth_require_tls": False}
            if implicit
            else {"tls_context": context, "require_starttls": True, "auth_require_tls": True}
        )
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, auth_required=True, authenticator=self._authenticate, **tls
        )
        self._controller.start()

    def settings(self, to="owner@shop.example"):
        """The environment that points BillingWatch at this server."""
        return {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": self.port,
            "SMTP_USER": USER,
            "SMTP_PASS": self.password,
            "SMTP_CA_FILE": self.ca_path,
            "SMTP_TLS": "implicit" if self._is_implicit else None,
            "ALERT_EMAIL_FROM": "BillingWatch <alerts@shop.example>",
            "ALERT_EMAIL_TO": to,
        }

    def _authenticate(self, server, session, envelope, mechanism, data):
        accepted = data.login == USER.encode() and data.password == self.password.encode()
        if not accepted:
            self.refused_logins += 1
        return AuthResult(success=accepted, handled=False)

    async def handle_DATA(self, server, session, envelope):
        """aiosmtpd calls this for every complete message."""
        with self._lock:
            if session.ssl is None and not self._is_implicit:
                self.sessions_without_tls += 1
            self.mails.append(Mail(envelope))
        return "250 kept"

    def about(self, *texts):
        """All mails that contain every one of `texts`."""
        return [m for m in list(self.mails) if all(text in m.text() for text in texts)]

    def wait_for(self, *texts, timeout=15.0):
        """The first mail that contains every one of `texts`."""
        return wait_until(
            lambda: next(iter(self.about(*texts)), None),
            f"a mail about {texts}; got {[m.subject for m in self.mails]}, {self.refused_logins} refused log-ins",
            timeout,
        )

    def close(self):
        """Stops listening."""
        self._controller.stop()
