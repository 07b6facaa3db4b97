//! `serve` as a process: the README's lines work as they are written, and it ends in good order.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

struct Served {
    child: Child,
    url: String,
    log: BufReader<ChildStderr>,
}

impl Served {
    /// Starts `serve --dev` on a free port and waits until it says where it listens.
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_billingwatch"))
            .args(["serve", "--dev", "--port", "0"])
            .current_dir(directory)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        let url = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {told}");
            told.push_str(&line);
            if let Some((_, url)) = line.trim_end().split_once("listens on ") {
                break url.to_owned();
            }
        };
        Self { child, url, log }
    }

    /// Asks it to end and returns its exit code and what else it said.
    fn stop(mut self) -> (Option<i32>, String) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        let mut told = String::new();
        self.log.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

impl Drop for Served {
    /// A failed assertion must not leave a server behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn readme() -> (PathBuf, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    (root, text)
}

#[test]
fn the_readme_s_requests_are_answered_as_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path());
    let (root, text) = readme();
    let mut asked = 0;
    for line in text.lines().filter(|line| line.starts_with("curl ")) {
        let path = line
            .split_once("localhost:8000")
            .unwrap()
            .1
            .split(' ')
            .next()
            .unwrap();
        let url = format!("{}{path}", served.url);
        let answer = match line.split_once("-d @") {
            Some((_, file)) => ureq::post(&url).send(std::fs::read(root.join(file)).unwrap()),
            None => ureq::get(&url).call(),
        };
        let body = answer.unwrap().body_mut().read_to_string().unwrap();
        if line.contains("-d @") {
            assert!(
                text.contains(&format!("# {body}\n")),
                "README does not say {body}"
            );
        }
        asked += 1;
    }
    assert!(asked >= 4, "the README has its quick start");
    assert_eq!(
        ureq::get(format!("{}/docs", served.url))
            .call()
            .unwrap()
            .status(),
        200
    );
    let (code, told) = served.stop();
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("SIGNATURES ARE NOT VERIFIED"), "{told}");
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (root, _) = readme();
    let sample = std::fs::read(root.join("examples/events/charge.failed.json")).unwrap();
    let post = |served: &Served| {
        let url = format!("{}/webhooks/stripe", served.url);
        let mut answer = ureq::post(&url).send(&sample[..]).unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    let mut first = Served::start(directory.path());
    assert_eq!(post(&first), r#"{"received":true,"duplicate":false}"#);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let second = Served::start(directory.path());
    assert_eq!(post(&second), r#"{"received":true,"duplicate":true}"#);
    assert_eq!(second.stop().0, Some(0));
}
