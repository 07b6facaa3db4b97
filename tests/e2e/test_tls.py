"""https by the server itself: Stripe's posts, renewed and unusable certificates, and those who speak no TLS."""

import datetime
import signal
import socket
import ssl
import subprocess
import time

import pytest
import requests
import stripe
import trustme
from cryptography import x509

from support.server import SECRET, Server, bare_environment, binary, output_of, run
from support.stripe_events import charge_succeeded
from support.wait import wait_until


class Authority:
    """A certificate authority of the test's own, and the files of a server's certificate."""

    def __init__(self, directory):
        self.ca = trustme.CA()
        self.certificate = directory / "chain.pem"
        self.key = directory / "key.pem"
        self.roots = directory / "roots.pem"
        self.ca.cert_pem.write_to_path(str(self.roots))

    def issue(self, **validity):
        """Writes a certificate for the loopback address, and its key."""
        issued = self.ca.issue_cert("127.0.0.1", **validity)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())

    def serial(self, port):
        """The serial number of the certificate that is shown there."""
        shown = ssl.get_server_certificate(("127.0.0.1", port), ca_certs=str(self.roots), timeout=10)
        return x509.load_pem_x509_certificate(shown.encode()).serial_number


class SecureServer(Server):
    """A server that answers https."""

    def __init__(self, directory, database_url, authority, **settings):
        files = {"TLS_CERT_FILE": authority.certificate, "TLS_KEY_FILE": authority.key}
        super().__init__(directory, database_url, **(files | settings))
        self.url = self.url.replace("http:", "https:")
        self.session.verify = str(authority.roots)


@pytest.fixture
def authority(tmp_path):
    """An authority whose files lie in the test's folder."""
    made = Authority(tmp_path)
    made.issue()
    return made


@pytest.fixture
def server(tmp_path, sqlite, authority):
    """A running server with a certificate of that authority."""
    made = SecureServer(tmp_path, sqlite.url, authority).start()
    yield made
    if made.process.poll() is None:
        made.kill()
    print(f"--- server log\n{made.log()[-8000:]}")


def test_stripe_posts_over_https(server):
    event = charge_succeeded("cus_over_tls")
    header = stripe.WebhookSignature.generate_signature_header(event.body.decode(), SECRET, int(time.time()))
    response = server.post(event.body, header=header)
    assert (response.status_code, response.json()) == (200, {"received": True, "duplicate": False})
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert server.post(event.body, header=header).json()["duplicate"] is True
    assert server.post(event.body, header="t=1,v1=00").status_code == 400
    assert "https://127.0.0.1" in server.log()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_are_spoken_and_http_1_above_them(server, authority, version):
    context = ssl.create_default_context(cafile=str(authority.roots))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
            assert connection.selected_alpn_protocol() == "http/1.1"
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of the version, which is the point.
def test_older_versions_are_refused(server, authority):
    context = ssl.create_default_context(cafile=str(authority.roots))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_who_speaks_no_tls_is_let_go_and_nobody_waits_for_the_silent(server):
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(300)]
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{server.port}/health", timeout=10)
    server.session.close()  # Else a connection that is there already would carry it.
    server.send(charge_succeeded("cus_among_the_silent"))
    for connection in silent:
        connection.settimeout(30)
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            pass
        connection.close()
    server.send(charge_succeeded("cus_after_the_silent"))


def test_a_renewed_certificate_is_taken_up_without_a_restart(server, authority):
    first, old_key = authority.serial(server.port), authority.key.read_text()
    authority.issue()
    new_key = authority.key.read_text()
    authority.key.write_text(old_key)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "does not belong to the first certificate" in server.log(), "word of the old key")
    assert authority.serial(server.port) == first, "half a pair is not taken"
    authority.key.write_text(new_key)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: authority.serial(server.port) != first, "the new certificate")
    server.send(charge_succeeded("cus_after_renewal"))
    assert server.stop() == 0


def without_key(authority):
    authority.key.unlink()


def without_certificate(authority):
    authority.certificate.write_text("hello")


def with_the_files_swapped(authority):
    certificate, key = authority.certificate.read_bytes(), authority.key.read_bytes()
    authority.certificate.write_bytes(key)
    authority.key.write_bytes(certificate)


def with_anothers_key(authority):
    certificate = authority.certificate.read_bytes()
    authority.issue()
    authority.certificate.write_bytes(certificate)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (without_key, "key.pem: No such file"),
        (without_certificate, "chain.pem holds no certificate"),
        (with_the_files_swapped, "chain.pem holds no certificate"),
        (with_anothers_key, "does not belong to the first certificate in"),
    ],
)
def test_a_pair_that_cannot_be_used_is_refused_at_check_and_start(tmp_path, sqlite, authority, spoil, said):
    spoil(authority)
    settings = SecureServer(tmp_path, sqlite.url, authority).settings
    for command in ("check", "serve"):
        ended = run(command, cwd=tmp_path, **settings)
        assert ended.returncode == 2, output_of(ended)
        assert said in output_of(ended), output_of(ended)
    assert not list(tmp_path.glob("*.db")), "nothing was opened"


def test_check_says_until_when_and_an_ended_certificate_is_warned_of(tmp_path, sqlite, authority):
    settings = SecureServer(tmp_path, sqlite.url, authority).settings
    assert b"tls         on: the certificate holds until " in run("check", cwd=tmp_path, **settings).stdout
    now = datetime.datetime.now(datetime.timezone.utc)
    authority.issue(not_before=now - datetime.timedelta(days=90), not_after=now - datetime.timedelta(days=1))
    ended = run("check", cwd=tmp_path, **settings)
    assert ended.returncode == 0
    assert b"WARNING: the TLS certificate ended at " in ended.stdout
    process = subprocess.Popen(
        [binary(), "serve"], cwd=tmp_path, env=bare_environment(**settings), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        lines = iter(process.stderr.readline, b"")
        assert any(b"the TLS certificate ended at " in line for line in lines)
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()

