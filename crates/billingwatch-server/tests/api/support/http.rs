//! A small HTTP client that can also send what a well-behaved one would not.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes; a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    is_chunked: bool,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn get(target: &str) -> Request {
    request("GET", target)
}

pub(crate) fn post(target: &str) -> Request {
    request("POST", target)
}

pub(crate) fn request(method: &'static str, target: &str) -> Request {
    Request {
        method,
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        is_chunked: false,
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body in chunks, without saying its length first.
    pub(crate) fn chunked(mut self) -> Self {
        self.is_chunked = true;
        self
    }

    pub(crate) fn send(self, addr: SocketAddr) -> Response {
        let mut stream = TcpStream::connect(addr).unwrap();
        let has_host = self.headers.iter().any(|(name, _)| name == "Host");
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !has_host {
            head.push_str(&format!("Host: {addr}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Connection: close\r\n");
        if self.is_chunked {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        } else if self.body.is_empty() && self.method != "POST" {
            head.push_str("\r\n");
        } else {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        }
        let mut bytes = head.into_bytes();
        if self.is_chunked {
            for chunk in self.body.chunks(16 * 1024) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&self.body);
        }
        exchange(&mut stream, &bytes)
    }
}

/// Writes these bytes and reads what comes back until the connection ends.
///
/// A server may answer and hang up before it has read everything, so writing goes on beside
/// reading and a failure to write is no failure of the test.
pub(crate) fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> Response {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = writer.write_all(bytes);
        });
        read_response(stream)
    })
}

pub(crate) fn read_response(stream: &mut TcpStream) -> Response {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => received.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !received.is_empty() => {
                break;
            }
            Err(error) => panic!("no answer: {error}"),
        }
        if is_complete(&received) {
            break;
        }
    }
    // The client is done: whatever it was still writing may stop.
    let _ = stream.shutdown(std::net::Shutdown::Both);
    parse(&received)
}

fn split(received: &[u8]) -> Option<(&str, &[u8])> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((
        std::str::from_utf8(&received[..end]).unwrap(),
        &received[end + 4..],
    ))
}

fn is_complete(received: &[u8]) -> bool {
    let Some((head, body)) = split(received) else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().unwrap())
    });
    length.is_some_and(|length| body.len() >= length)
}

fn parse(received: &[u8]) -> Response {
    let (head, body) = split(received).expect("an HTTP answer");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Response {
        status: status.parse().unwrap(),
        headers: headers.collect(),
        body: body.to_vec(),
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The word of the error envelope, which must be whole.
    pub(crate) fn error_code(&self) -> String {
        let body = self.json();
        let keys: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error"], "{body}");
        assert!(
            body["error"]["message"]
                .as_str()
                .is_some_and(|m| !m.is_empty())
        );
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}
