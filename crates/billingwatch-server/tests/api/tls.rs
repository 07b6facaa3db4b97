//! TLS of the server's own: who speaks it is answered, who does not is let go, and no more.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use billingwatch_pipeline::RuntimeOptions;
use billingwatch_server::{Server, ServerError, TlsFiles};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::support::{TestApp, charge, config, get};

/// An app that answers https, and the certificate that a client must trust.
struct Secure {
    app: TestApp,
    certificate: CertificateDer<'static>,
    _folder: tempfile::TempDir,
}

impl Secure {
    fn start(handshake_timeout: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let files = TlsFiles {
            certificate: folder.path().join("chain.pem"),
            key: folder.path().join("key.pem"),
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        let change = |config: &mut billingwatch_server::ServerConfig| {
            config.tls = Some(files);
            config.limits.handshake_timeout = handshake_timeout;
        };
        Self {
            app: TestApp::start_with(change, &RuntimeOptions::default()),
            certificate: certificate.der().clone(),
            _folder: folder,
        }
    }

    /// Sends a request over TLS of this version and reads what comes.
    fn ask(&self, version: &'static SupportedProtocolVersion, request: &[u8]) -> (String, String) {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut stream = StreamOwned::new(connection, self.connect());
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        // Some close without a TLS goodbye; the answer is there by then.
        let _ = stream.read_to_end(&mut answer);
        let spoken = stream.conn.alpn_protocol().unwrap_or_default().to_vec();
        (
            String::from_utf8(answer).unwrap(),
            String::from_utf8(spoken).unwrap(),
        )
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.app.addr).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }
}

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn https_is_answered_in_both_versions_by_http_1_and_asks_for_no_other() {
    let secure = Secure::start(Duration::from_secs(20));
    for version in [&TLS12, &TLS13] {
        let (answer, spoken) = secure.ask(version, HEALTH);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            answer.contains("strict-transport-security: max-age=31536000\r\n"),
            "{answer}"
        );
        assert_eq!(spoken, "http/1.1");
    }
}

#[test]
fn an_event_posted_over_https_is_kept() {
    let secure = Secure::start(Duration::from_secs(20));
    let body = charge("evt_over_tls", "charge.succeeded", "cus_1").to_string();
    let signature = secure.app.sign(body.as_bytes());
    let request = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {}\r\nStripe-Signature: {signature}\r\n\r\n{body}",
        body.len()
    );
    let (answer, _) = secure.ask(&TLS13, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(secure.app.store.head().unwrap().last_seq, 1);
}

#[test]
fn http_in_the_clear_carries_no_word_of_https() {
    let app = TestApp::start();
    let response = app.ask_bare(get("/health"));
    assert_eq!(response.header("strict-transport-security"), None);
}

#[test]
fn a_certificate_that_cannot_be_used_keeps_the_server_from_starting() {
    let app = TestApp::start();
    let mut config = config();
    config.tls = Some(TlsFiles {
        certificate: "/nonexistent/chain.pem".into(),
        key: "/nonexistent/key.pem".into(),
    });
    let error = Server::bind(config, app.services()).unwrap_err();
    assert!(matches!(error, ServerError::Tls(_)), "{error}");
    assert!(error.to_string().contains("chain.pem"), "{error}");
}

#[test]
fn who_speaks_no_tls_or_nothing_at_all_is_let_go() {
    let secure = Secure::start(Duration::from_millis(200));
    let mut silent = secure.connect();
    let mut plain = secure.connect();
    plain.write_all(HEALTH).unwrap();
    for (what, stream) in [("plain", &mut plain), ("silent", &mut silent)] {
        let mut got = Vec::new();
        match stream.read_to_end(&mut got) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{what}"),
        }
        assert!(!got.starts_with(b"HTTP"), "{what}");
    }
}
