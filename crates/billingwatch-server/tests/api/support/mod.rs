//! The server under test, what it stands on, and what a test says to it.

mod http;
mod probe;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Once};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use billingwatch_core::alert::Severity;
use billingwatch_core::engine::Registry;
use billingwatch_core::stripe::signature::{Secret, sign};
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::testing::{FakeChannel, FaultyStore};
use billingwatch_pipeline::{ManualClock, PipelineStatus, Runtime, RuntimeOptions};
use billingwatch_server::{
    Access, Bound, DEFAULT_SOURCE, Server, ServerConfig, ServerError, Services, SourceConfig,
    Stopper, Verification,
};
use billingwatch_store::Store;
use billingwatch_store::testing::{self, TestStore};
use serde_json::{Value, json};

pub(crate) use http::{Request, Response, exchange, get, post, read_response, request};

/// When every test begins: 2023-11-14T22:13:20Z.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(crate) const SECRET: &str = "whsec_test_secret";
pub(crate) const TOKEN: &str = "a-token-for-tests";

/// Changes what the health routes are told.
pub(crate) type StatusEdit = fn(&mut PipelineStatus);

pub(crate) struct TestApp {
    pub(crate) addr: SocketAddr,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    /// The pipeline's way to the store, which fails on demand.
    pub(crate) faults: Arc<FaultyStore>,
    runtime: Option<Arc<Runtime>>,
    registry: Registry,
    status_edit: Arc<Mutex<Option<StatusEdit>>>,
    stopper: Stopper,
    server: Option<JoinHandle<Result<(), ServerError>>>,
    _database: TestStore,
}

/// All that the server has logged in this process; tests share it.
pub(crate) fn logged() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LogWriter;

impl std::io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(|| LogWriter)
            .init();
    });
}

impl TestApp {
    /// With a token, one source `default` and one named `eu`, and a probe for a detector.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {}, &RuntimeOptions::default())
    }

    pub(crate) fn start_with(
        change: impl FnOnce(&mut ServerConfig),
        options: &RuntimeOptions,
    ) -> Self {
        let mut config = config();
        change(&mut config);
        Self::launch(config, options, false)
    }

    /// With a channel `pager` that takes everything.
    pub(crate) fn start_telling() -> Self {
        Self::start_telling_with(&RuntimeOptions::default())
    }

    pub(crate) fn start_telling_with(options: &RuntimeOptions) -> Self {
        Self::launch(config(), options, true)
    }

    fn launch(config: ServerConfig, options: &RuntimeOptions, has_channel: bool) -> Self {
        keep_log();
        let database = testing::sqlite();
        let store = Store::clone(&database);
        let clock = Arc::new(ManualClock::new(START));
        let registry = probe::registry();
        let faults = FaultyStore::new(Arc::new(store.clone()));
        let runtime = start_runtime(&faults, &clock, &registry, options, has_channel);
        let status_edit: Arc<Mutex<Option<StatusEdit>>> = Arc::default();
        let services = services(&store, &clock, &runtime, &registry, &status_edit);
        let bound = Server::bind(config, services).unwrap();
        let (addr, stopper) = (bound.addr(), bound.stopper());
        let server = std::thread::spawn(move || Bound::run(bound));
        Self {
            addr,
            store,
            clock,
            faults,
            runtime: Some(runtime),
            registry,
            status_edit,
            stopper,
            server: Some(server),
            _database: database,
        }
    }

    /// Sends a request with the token.
    pub(crate) fn ask(&self, request: Request) -> Response {
        request.token(TOKEN).send(self.addr)
    }

    /// Sends a request without.
    pub(crate) fn ask_bare(&self, request: Request) -> Response {
        request.send(self.addr)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask(get(target))
    }

    /// Posts a body as Stripe would: signed now.
    pub(crate) fn post_signed(&self, target: &str, body: impl Into<Vec<u8>>) -> Response {
        let body = body.into();
        let header = self.sign(&body);
        post(target)
            .header("Stripe-Signature", header)
            .header("Content-Type", "application/json; charset=utf-8")
            .body(body)
            .send(self.addr)
    }

    pub(crate) fn sign(&self, body: &[u8]) -> String {
        use billingwatch_pipeline::Clock;
        sign(&Secret::new(SECRET), self.clock.now(), body)
    }

    /// Posts an event and sees it accepted.
    pub(crate) fn receive(&self, event: &Value) {
        let response = self.post_signed("/webhooks/stripe", event.to_string());
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// Waits until the engine has seen all that is in the journal.
    pub(crate) fn settle(&self) {
        self.wait_until(|status| status.is_caught_up && status.lag_rows == 0);
    }

    pub(crate) fn wait_until(&self, is_so: impl Fn(&PipelineStatus) -> bool) {
        let runtime = self.runtime.as_ref().unwrap();
        let begun_at = Instant::now();
        while !is_so(&runtime.status()) {
            let status = runtime.status();
            assert!(
                begun_at.elapsed() < Duration::from_secs(60),
                "still {status:?}"
            );
            std::thread::yield_now();
        }
    }

    pub(crate) fn edit_status(&self, edit: StatusEdit) {
        *self.status_edit.lock().unwrap() = Some(edit);
    }

    /// What another server over the same store and pipeline would stand on.
    pub(crate) fn services(&self) -> Services {
        let runtime = self.runtime.as_ref().unwrap();
        services(
            &self.store,
            &self.clock,
            runtime,
            &self.registry,
            &self.status_edit,
        )
    }

    pub(crate) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for the server's thread to end.
    pub(crate) fn join(&mut self) {
        self.server.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        if let Some(runtime) = self.runtime.take().and_then(Arc::into_inner) {
            runtime.shutdown();
        }
    }
}

fn start_runtime(
    store: &Arc<FaultyStore>,
    clock: &Arc<ManualClock>,
    registry: &Registry,
    options: &RuntimeOptions,
    has_channel: bool,
) -> Arc<Runtime> {
    let channels = has_channel.then(|| FakeChannel::boxed("pager", Severity::Low).0);
    let runtime = Runtime::start(
        store.clone(),
        registry.clone(),
        clock.clone(),
        channels.into_iter().collect(),
        options,
    );
    Arc::new(runtime.unwrap())
}

fn services(
    store: &Store,
    clock: &Arc<ManualClock>,
    runtime: &Arc<Runtime>,
    registry: &Registry,
    edit: &Arc<Mutex<Option<StatusEdit>>>,
) -> Services {
    let (reader, edit) = (Arc::clone(runtime), Arc::clone(edit));
    Services {
        store: store.clone(),
        ingest: runtime.ingest().clone(),
        status: Arc::new(move || {
            let mut status = reader.status();
            if let Some(edit) = *edit.lock().unwrap() {
                edit(&mut status);
            }
            status
        }),
        clock: clock.clone(),
        registry: registry.clone(),
    }
}

/// A configuration for a free port on loopback.
pub(crate) fn config() -> ServerConfig {
    let signed = |secrets: &[&str]| SourceConfig {
        verification: Verification::signed(secrets.iter().map(|s| Secret::new(*s)).collect()),
    };
    let sources = BTreeMap::from([
        (DEFAULT_SOURCE.to_owned(), signed(&[SECRET])),
        ("eu".to_owned(), signed(&["whsec_old", "whsec_new"])),
    ]);
    let access = Access::Tokens(vec![TOKEN.to_owned()]);
    let mut config = ServerConfig::new("127.0.0.1", 0, access, sources);
    config.stops_on_signals = false;
    config.limits.workers = 1;
    // Tests run beside each other on a busy machine, and none of them is about time.
    config.limits.durable_timeout = std::time::Duration::from_secs(60);
    config
}

/// A charge event of a customer.
pub(crate) fn charge(event_id: &str, event_type: &str, customer: &str) -> Value {
    json!({
        "id": event_id,
        "object": "event",
        "api_version": "2024-06-20",
        "created": START.as_secs(),
        "livemode": false,
        "type": event_type,
        "data": {"object": {
            "id": format!("ch_of_{event_id}"),
            "object": "charge",
            "amount": 1999,
            "currency": "usd",
            "customer": customer,
            "status": if event_type == "charge.failed" { "failed" } else { "succeeded" },
            "created": START.as_secs(),
        }},
    })
}
