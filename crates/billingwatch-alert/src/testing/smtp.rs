//! An SMTP server that answers as scripted. It speaks no TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Inbox;

/// A mail as it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients who were taken.
    pub to: Vec<String>,
    /// Headers and body, dots unstuffed.
    pub data: String,
    /// Who was logged in.
    pub user: Option<String>,
}

/// How to answer.
#[derive(Clone, Debug, Default)]
pub struct SmtpScript {
    /// A user and password; anything else is answered 535, and no log-in 530.
    pub login: Option<(String, String)>,
    /// Replies to commands (`greeting` for the first, `.` for a mail's end) that begin with this
    /// text, in place of the usual ones. An entry with a count of uses left is used up.
    pub replies: Vec<(String, String, Option<u32>)>,
    /// Never answers a command that begins with this.
    pub hang_at: Option<String>,
}

impl SmtpScript {
    /// Always answers `command…` with `reply`.
    #[must_use]
    pub fn reply(mut self, command: &str, reply: &str) -> Self {
        self.replies
            .push((command.to_owned(), reply.to_owned(), None));
        self
    }

    /// Answers `command…` with `reply` once, then as usual.
    #[must_use]
    pub fn reply_once(mut self, command: &str, reply: &str) -> Self {
        self.replies
            .push((command.to_owned(), reply.to_owned(), Some(1)));
        self
    }

    /// Never answers `command…`.
    #[must_use]
    pub fn hang_at(mut self, command: &str) -> Self {
        self.hang_at = Some(command.to_owned());
        self
    }
}

#[derive(Debug)]
struct Shared {
    inbox: Inbox<Mail>,
    script: Mutex<SmtpScript>,
    is_stopped: AtomicBool,
    /// Connections left without an answer, kept open.
    hung: Mutex<Vec<TcpStream>>,
}

/// Listens on loopback until dropped.
#[derive(Debug)]
pub struct SmtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl SmtpServer {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When no port can be opened.
    #[must_use]
    pub fn start(script: SmtpScript) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared {
            inbox: Inbox::default(),
            script: Mutex::new(script),
            is_stopped: AtomicBool::new(false),
            hung: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if for_thread.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                // A client that goes away ends its conversation, nothing more.
                thread::spawn(move || shared.converse(&stream));
            }
        });
        Self { address, shared }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every mail so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.inbox.all()
    }

    /// Waits until so many mails were taken.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Mail> {
        self.shared.inbox.wait_for(count)
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        let mut hung = self
            .shared
            .hung
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        hung.clear();
        // Wakes the listener so that it sees the flag.
        let _woken = TcpStream::connect(self.address);
    }
}

/// What a conversation has come to.
#[derive(Default)]
struct State {
    user: Option<String>,
    from: String,
    to: Vec<String>,
}

impl Shared {
    fn converse(&self, stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream);
        let mut state = State::default();
        self.answer(stream, "greeting", "220 test ESMTP")?;
        loop {
            let command = read_line(&mut lines)?;
            let verb = command.split([' ', ':']).next()?.to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.answer(stream, &command, "250-test\r\n250 AUTH PLAIN LOGIN")?,
                "AUTH" => self.log_in(stream, &mut lines, &command, &mut state)?,
                "MAIL" if self.script().login.is_some() && state.user.is_none() => {
                    self.answer(stream, &command, "530 5.7.0 Authentication required")?
                }
                "MAIL" => {
                    state.from = address(&command);
                    state.to.clear();
                    self.answer(stream, &command, "250 OK")?
                }
                "RCPT" => {
                    if self.answer(stream, &command, "250 OK")?.starts_with("250") {
                        state.to.push(address(&command));
                    }
                    continue;
                }
                "DATA" => {
                    if !self
                        .answer(stream, &command, "354 Go on")?
                        .starts_with("354")
                    {
                        continue;
                    }
                    let data = read_data(&mut lines)?;
                    let reply = self.answer(stream, ".", "250 2.0.0 Taken")?;
                    if reply.starts_with("250") {
                        self.inbox.push(Mail {
                            from: state.from.clone(),
                            to: state.to.clone(),
                            data,
                            user: state.user.clone(),
                        });
                    }
                    continue;
                }
                "QUIT" => {
                    self.answer(stream, &command, "221 Bye")?;
                    return None;
                }
                _ => self.answer(stream, &command, "502 Not here")?,
            };
        }
    }

    fn log_in(
        &self,
        stream: &TcpStream,
        lines: &mut BufReader<&TcpStream>,
        command: &str,
        state: &mut State,
    ) -> Option<String> {
        let mut words = command.split(' ').skip(1);
        let (user, password) = match words.next()? {
            "PLAIN" => {
                let text = decode(words.next()?)?;
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next()?, parts.next()?)
            }
            _ => {
                self.answer(stream, "", &format!("334 {}", BASE64.encode("Username:")))?;
                let user = decode(&read_line(lines)?)?;
                self.answer(stream, "", &format!("334 {}", BASE64.encode("Password:")))?;
                (user, decode(&read_line(lines)?)?)
            }
        };
        if self.script().login == Some((user.clone(), password)) {
            state.user = Some(user);
            return self.answer(stream, command, "235 2.7.0 Welcome");
        }
        self.answer(stream, command, "535 5.7.8 Wrong user or password")
    }

    /// Sends the scripted reply, or the usual one, and returns it; `None` ends the conversation.
    fn answer(&self, mut stream: &TcpStream, command: &str, usual: &str) -> Option<String> {
        let hang_at = self.script().hang_at.clone();
        if hang_at.is_some_and(|prefix| command.starts_with(&prefix)) {
            let mut hung = self.hung.lock().unwrap_or_else(PoisonError::into_inner);
            hung.push(stream.try_clone().ok()?);
            return None;
        }
        let reply = self.scripted(command).unwrap_or_else(|| usual.to_owned());
        stream.write_all(format!("{reply}\r\n").as_bytes()).ok()?;
        Some(reply)
    }

    fn scripted(&self, command: &str) -> Option<String> {
        let mut script = self.script();
        let (_, reply, uses) = script.replies.iter_mut().find(|(prefix, _, uses)| {
            !command.is_empty() && command.starts_with(prefix.as_str()) && *uses != Some(0)
        })?;
        *uses = uses.map(|left| left - 1);
        Some(reply.clone())
    }

    fn script(&self) -> std::sync::MutexGuard<'_, SmtpScript> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_line(lines: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    match lines.read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

fn read_data(lines: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut data = String::new();
    loop {
        let line = read_line(lines)?;
        if line == "." {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push('\n');
    }
}

/// What stands between `<` and `>`.
fn address(command: &str) -> String {
    let start = command.find('<').map_or(0, |at| at + 1);
    let end = command.find('>').unwrap_or(command.len());
    command[start..end].to_owned()
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(BASE64.decode(text).ok()?).ok()
}
