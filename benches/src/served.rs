//! The product's own release binary as a process: started, asked, measured, ended.
//!
//! A bench never builds it, since it must measure what users get; it says how to. What is read
//! from `/proc` (CPU time, memory) is `None` on systems without it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The signing secret of its only source.
pub const SECRET: &str = "whsec_bench_5f0c1d2e3a4b596877869504a3b2c1d0";

/// The token its API takes.
pub const TOKEN: &str = "bench-token-5f0c1d2e3a4b596877869504";

/// Longer than this no start takes.
const START_MAX: Duration = Duration::from_secs(30);

/// What the kernel's clock of process times ticks in, for every program on Linux.
const PROC_TICKS_PER_SEC: u32 = 100;

/// The release binary: `BILLINGWATCH_BIN`, or the one beside this bench.
///
/// # Errors
/// How to build it, when it is not there.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("BILLINGWATCH_BIN").map(PathBuf::from) {
        return path
            .canonicalize()
            .map_err(|error| format!("BILLINGWATCH_BIN={}: {error}", path.display()));
    }
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    // A bench stands in `target/release/deps`.
    let folder = exe.parent().and_then(Path::parent).unwrap_or(&exe);
    let path = folder.join(format!("billingwatch{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} is not there: build it with `cargo build --release -p billingwatch`, or set \
         BILLINGWATCH_BIN",
        path.display()
    ))
}

/// Several, to be held against each other in turns: `BILLINGWATCH_BIN` with colons between them.
/// Else the one [`binary`].
///
/// # Errors
/// How to build it, when one is not there.
pub fn binaries() -> Result<Vec<PathBuf>, String> {
    let Some(paths) = std::env::var_os("BILLINGWATCH_BIN") else {
        return Ok(vec![binary()?]);
    };
    std::env::split_paths(&paths)
        .map(|path| {
            path.canonicalize()
                .map_err(|error| format!("BILLINGWATCH_BIN: {}: {error}", path.display()))
        })
        .collect()
}

/// A running `billingwatch serve`, killed when dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    /// From the start of the process to its first answer.
    pub first_answer: Duration,
}

impl Served {
    /// Starts it as production would, on the journal in `directory` and a free port, and waits for
    /// its first answer.
    ///
    /// # Errors
    /// When it does not start, or does not answer.
    pub fn start(binary: &Path, directory: &Path) -> Result<Self, String> {
        Self::start_with(binary, directory, &[])
    }

    /// As [`start`](Self::start), with further settings.
    ///
    /// # Errors
    /// When it does not start, or does not answer.
    pub fn start_with(
        binary: &Path,
        directory: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let addr = free_addr().map_err(|error| error.to_string())?;
        let started_at = Instant::now();
        let child = Command::new(binary)
            .arg("serve")
            .current_dir(directory)
            .env_clear()
            .env("HOST", addr.ip().to_string())
            .env("PORT", addr.port().to_string())
            .env("DATABASE_URL", "sqlite://bench.db")
            .env("STRIPE_WEBHOOK_SECRET", SECRET)
            .env("BILLINGWATCH_API_TOKEN", TOKEN)
            // Less than `warn`: each answer of 503 is a line there, and told of by the bench itself.
            .env("LOG_LEVEL", "error")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let mut served = Self {
            child,
            addr,
            first_answer: Duration::ZERO,
        };
        loop {
            if served.get("/health").is_ok() {
                served.first_answer = started_at.elapsed();
                return Ok(served);
            }
            if let Ok(Some(status)) = served.child.try_wait() {
                return Err(format!("`billingwatch serve` ended at once: {status}"));
            }
            if started_at.elapsed() > START_MAX {
                return Err("`billingwatch serve` does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// The JSON that a route answers with.
    ///
    /// # Errors
    /// When nothing answers, or something else than a 200 with JSON.
    pub fn get(&self, path: &str) -> Result<serde_json::Value, String> {
        let answer = self.ask(path).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("{path}: {}", head.lines().next().unwrap_or("")));
        }
        serde_json::from_str(body).map_err(|error| format!("{path}: {error}"))
    }

    fn ask(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Accept: application/json\r\nConnection: close\r\n\r\n",
            self.addr
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    /// Waits until the detectors have seen every row of the journal.
    ///
    /// # Errors
    /// When it does not answer any more.
    pub fn wait_for_detectors(&self) -> Result<Duration, String> {
        let started_at = Instant::now();
        loop {
            let health = self.get("/health")?;
            let pump = &health["checks"]["pump"];
            if pump["lag_rows"] == 0 && pump["is_caught_up"] == true {
                return Ok(started_at.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it in order, as a service manager does.
    ///
    /// # Errors
    /// When it cannot be told, or does not end well.
    pub fn stop(mut self) -> Result<(), String> {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .map_err(|error| format!("kill: {error}"))?;
        let ended = self.child.wait().map_err(|error| error.to_string())?;
        if told.success() && ended.success() {
            return Ok(());
        }
        Err(format!("`billingwatch serve` ended with {ended}"))
    }

    /// CPU time it has used so far, all threads together.
    #[must_use]
    pub fn cpu(&self) -> Option<Duration> {
        cpu_of(&self.child.id().to_string())
    }

    /// A size from its `/proc/…/status`, such as `VmRSS` (resident now) or `VmHWM` (the most ever).
    #[must_use]
    pub fn memory_bytes(&self, field: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with(field))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process (`self`, or its number): user and system, every thread.
#[must_use]
pub fn cpu_of(process: &str) -> Option<Duration> {
    proc_times(process, 11)
}

/// CPU time of all processes this one has started and waited for.
#[must_use]
pub fn cpu_of_children() -> Option<Duration> {
    proc_times("self", 13)
}

/// Two fields next to each other of `/proc/…/stat`, counted from behind the name in brackets.
fn proc_times(process: &str, first: usize) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace().skip(first);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs(1) * (user + system) / PROC_TICKS_PER_SEC)
}

fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
