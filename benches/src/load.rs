//! A load generator: signed posts over kept-alive HTTP/1.1 connections, one at a time on each, from
//! one thread. Light on purpose, since it shares the cores with what it measures: requests are made
//! beforehand, and answers are looked at no further than need be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use billingwatch_pipeline::{Clock, SystemClock};
use billingwatch_simulator::{SimulatedEvent, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::served::SECRET;

/// Between a 503 and the next try of the same post. Stripe waits far longer; a bench only has to see
/// that the journal comes back.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A journal that stands still for half a minute is a failure, no stall.
const TRIES_MAX: usize = 300;

/// When posts are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Each connection as soon as it has its answer: how much can be taken.
    AsFastAsAnswered,
    /// So many a second, whether or not earlier ones are answered. Latency then counts from when a
    /// post was due, so that a stall is felt by every post it delays.
    PerSecond(u32),
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// When the first post was due.
    pub started_at: Instant,
    /// From the first post to the last answer.
    pub took: Duration,
    /// Of each post, from when it was due to its answer; ascending.
    pub latencies: Vec<Duration>,
    /// Posts answered as duplicates.
    pub duplicates: usize,
    /// Answers of 503: the journal stood still for a second, as a disk may. These posts were sent
    /// again, as Stripe does, and their latency counts until they were taken.
    pub refused: usize,
}

impl Outcome {
    /// The latency that so many of a thousand posts stayed under.
    #[must_use]
    pub fn permille(&self, permille: usize) -> Duration {
        let index = self.latencies.len() * permille / 1000;
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(index.min(last))
            .copied()
            .unwrap_or_default()
    }
}

/// Requests signed now: they are good for five minutes.
#[must_use]
pub fn signed_posts<'a>(events: impl Iterator<Item = &'a SimulatedEvent>) -> Arc<[Box<[u8]>]> {
    signed_bodies(events.map(|event| event.json.as_slice()))
}

/// As [`signed_posts`], of bodies.
#[must_use]
pub fn signed_bodies<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> Arc<[Box<[u8]>]> {
    let now_secs = SystemClock.now().as_secs();
    bodies
        .map(|body| {
            let head = format!(
                "POST /webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                 Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\
                 User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n\
                 Accept: */*; q=0.5, application/xml\r\nCache-Control: no-cache\r\n\
                 Stripe-Signature: {}\r\n\r\n",
                body.len(),
                sign(SECRET, now_secs, body)
            );
            [head.as_bytes(), body].concat().into_boxed_slice()
        })
        .collect()
}

/// Posts all of them over so many connections.
///
/// # Errors
/// The first answer that is neither 200 nor 503, a post that is answered 503 again and again, or what
/// broke a connection.
pub fn run(
    addr: SocketAddr,
    posts: &Arc<[Box<[u8]>]>,
    connections: usize,
    pace: Pace,
) -> io::Result<Outcome> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run_all(addr, posts, connections, pace))
}

async fn run_all(
    addr: SocketAddr,
    posts: &Arc<[Box<[u8]>]>,
    connections: usize,
    pace: Pace,
) -> io::Result<Outcome> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let started_at = Instant::now();
    let mut senders = JoinSet::new();
    for stream in streams {
        let sender = Sender {
            stream,
            posts: Arc::clone(posts),
            next: Arc::clone(&next),
            started_at,
            pace,
            answer: Vec::with_capacity(2048),
        };
        senders.spawn(sender.run());
    }
    let mut outcome = Outcome {
        started_at,
        took: Duration::ZERO,
        latencies: Vec::with_capacity(posts.len()),
        duplicates: 0,
        refused: 0,
    };
    while let Some(done) = senders.join_next().await {
        let sent = done.map_err(io::Error::other)??;
        outcome.latencies.extend(sent.latencies);
        outcome.duplicates += sent.duplicates;
        outcome.refused += sent.refused;
    }
    outcome.took = started_at.elapsed();
    outcome.latencies.sort_unstable();
    Ok(outcome)
}

struct Sender {
    stream: TcpStream,
    posts: Arc<[Box<[u8]>]>,
    next: Arc<AtomicUsize>,
    started_at: Instant,
    pace: Pace,
    answer: Vec<u8>,
}

/// What one connection sent.
#[derive(Default)]
struct Sent {
    latencies: Vec<Duration>,
    duplicates: usize,
    refused: usize,
}

#[derive(PartialEq)]
enum Answer {
    Stored,
    Duplicate,
    Unavailable,
}

impl Sender {
    async fn run(mut self) -> io::Result<Sent> {
        let mut sent = Sent::default();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let posts = Arc::clone(&self.posts);
            let Some(post) = posts.get(index) else {
                return Ok(sent);
            };
            let due_at = match self.pace {
                Pace::AsFastAsAnswered => Instant::now(),
                Pace::PerSecond(rate) => {
                    let micros = u64::try_from(index).unwrap_or(u64::MAX) * 1_000_000;
                    let due_at = self.started_at + Duration::from_micros(micros / u64::from(rate));
                    tokio::time::sleep_until(due_at.into()).await;
                    due_at
                }
            };
            let mut tries = 0;
            let answer = loop {
                let answer = self.post(post).await?;
                tries += 1;
                if answer != Answer::Unavailable {
                    break answer;
                }
                if tries == TRIES_MAX {
                    return Err(io::Error::other(
                        "the journal stands still: 503 for too long",
                    ));
                }
                sent.refused += 1;
                tokio::time::sleep(AGAIN_AFTER).await;
            };
            sent.duplicates += usize::from(answer == Answer::Duplicate);
            sent.latencies.push(due_at.elapsed());
        }
    }

    /// Sends one and reads its answer.
    async fn post(&mut self, post: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(post).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = std::str::from_utf8(&self.answer).map_err(io::Error::other)?;
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let is_unavailable = head.starts_with("HTTP/1.1 503");
            if !is_unavailable && !head.starts_with("HTTP/1.1 200") {
                return Err(io::Error::other(format!("answered: {text}")));
            }
            // The body is one small JSON object.
            if !body.ends_with('}') {
                continue;
            }
            return Ok(if is_unavailable {
                Answer::Unavailable
            } else if body.contains("\"duplicate\":true") {
                Answer::Duplicate
            } else {
                Answer::Stored
            });
        }
    }
}
