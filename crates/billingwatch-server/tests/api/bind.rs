//! Taking the port, and giving it back.

use std::net::TcpStream;

use billingwatch_pipeline::RuntimeOptions;
use billingwatch_server::{Access, Server, ServerError, Services, SourceConfig, Verification};

use crate::support::{TestApp, config, get};

fn refusal(
    app: &TestApp,
    change: impl FnOnce(&mut billingwatch_server::ServerConfig),
) -> ServerError {
    let mut config = config();
    change(&mut config);
    Server::bind(config, app.services()).unwrap_err()
}

#[test]
fn a_port_in_use_is_told_with_a_remedy() {
    let app = TestApp::start();
    let port = app.addr.port();
    let error = refusal(&app, |config| config.port = port);
    assert!(matches!(error, ServerError::PortInUse { .. }), "{error:?}");
    let expected = format!(
        "port in use: another program listens on 127.0.0.1:{port}; stop it, or set PORT to another port"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_address_nobody_has_is_told() {
    let app = TestApp::start();
    // Set aside for documentation: no machine has it.
    let error = refusal(&app, |config| config.host = "192.0.2.1".to_owned());
    assert!(
        matches!(error, ServerError::NoSuchAddress { .. }),
        "{error:?}"
    );
    let error = refusal(&app, |config| config.host = "not an address".to_owned());
    assert!(
        matches!(error, ServerError::UnknownHost { .. }),
        "{error:?}"
    );
}

#[test]
fn what_is_for_development_stays_on_loopback() {
    let app = TestApp::start();
    let error = refusal(&app, |config| {
        config.host = "0.0.0.0".to_owned();
        config.access = Access::Open;
    });
    assert!(
        matches!(error, ServerError::NotLoopback { .. }),
        "{error:?}"
    );
    let error = refusal(&app, |config| {
        config.host = "0.0.0.0".to_owned();
        let source = SourceConfig {
            verification: Verification::Unverified,
        };
        config.sources.insert("dev".to_owned(), source);
    });
    assert!(
        matches!(error, ServerError::NotLoopback { .. }),
        "{error:?}"
    );
}

#[test]
fn a_stop_ends_the_server_and_frees_the_port() {
    let mut app = TestApp::start();
    assert_eq!(app.ask_bare(get("/health")).status, 200);
    app.stopper().stop();
    app.join();
    assert!(TcpStream::connect(app.addr).is_err());
}

#[test]
fn a_stop_before_the_run_is_not_lost() {
    let app = TestApp::start();
    let services: Services = app.services();
    let bound = Server::bind(config(), services).unwrap();
    bound.stopper().stop();
    bound.run().unwrap();
}

#[test]
fn settings_never_show_secrets() {
    let app = TestApp::start_with(|_| {}, &RuntimeOptions::default());
    let shown = format!("{:?} {:?}", config(), app.services());
    for secret in ["whsec", "a-token-for-tests"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
