//! An HTTP receiver that answers as scripted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Inbox;

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    hangs: bool,
}

impl Answer {
    /// A status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            hangs: false,
        }
    }

    /// Never answers; the connection stays open.
    #[must_use]
    pub fn hang() -> Self {
        Self {
            hangs: true,
            ..Self::status(200)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Answers only after so long.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

#[derive(Debug)]
struct Shared {
    inbox: Inbox<Request>,
    /// What to answer next, last first; the bottom one is repeated.
    script: Mutex<Vec<Answer>>,
    is_stopped: AtomicBool,
    stop_lock: Mutex<()>,
    stop: Condvar,
}

/// Listens on loopback until dropped.
#[derive(Debug)]
pub struct HttpReceiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl HttpReceiver {
    /// Answers each request with the next of `script`, and then always with its last.
    ///
    /// # Panics
    ///
    /// When no port can be opened or the script is empty.
    #[must_use]
    pub fn start(mut script: Vec<Answer>) -> Self {
        assert!(!script.is_empty(), "a script has at least one answer");
        script.reverse();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared {
            inbox: Inbox::default(),
            script: Mutex::new(script),
            is_stopped: AtomicBool::new(false),
            stop_lock: Mutex::new(()),
            stop: Condvar::new(),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if for_thread.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:port` and this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.inbox.all()
    }

    /// Waits until so many requests came.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        self.shared.inbox.wait_for(count)
    }
}

impl Drop for HttpReceiver {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.shared.stop.notify_all();
        // Wakes the listener so that it sees the flag.
        let _woken = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let Some(request) = read_request(stream) else {
            return;
        };
        let answer = self.next_answer();
        self.inbox.push(request);
        if answer.hangs {
            self.wait(Duration::MAX);
            return;
        }
        self.wait(answer.delay);
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "content-length: {}\r\nconnection: close\r\n\r\n",
            answer.body.len()
        ));
        let mut writer = stream;
        // A client that reads only the start of a body closes early: no error of ours.
        let _sent = writer
            .write_all(head.as_bytes())
            .and_then(|()| writer.write_all(&answer.body));
    }

    fn next_answer(&self) -> Answer {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        match script.len() {
            0 => Answer::status(500),
            1 => script[0].clone(),
            _ => script.pop().unwrap_or_else(|| Answer::status(500)),
        }
    }

    /// Waits so long, or until the receiver is dropped.
    fn wait(&self, limit: Duration) {
        if limit.is_zero() {
            return;
        }
        let guard = self
            .stop_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let _guard = self
            .stop
            .wait_timeout_while(guard, limit, |()| !self.is_stopped.load(Ordering::SeqCst));
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut parts = line.split_whitespace();
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}
