//! What every loop has around it: a panic is caught, logged and counted, and the loop goes on after
//! a pause that grows while failures last.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::status::LoopStatus;
use crate::system_clock::Stopwatch;
use crate::wake::Wake;

/// The pause after a first failure; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause: what a store that came back waits for at most.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Failures in a row that a loop which was asked to stop tries again after; with the pauses between
/// them a second and a half. A passing fault must not cost the drain, nor a dead store the whole
/// grace.
const STOPPING_FAILURES_MAX: u32 = 4;

/// What a loop wants after a step.
#[derive(Debug)]
pub enum Next {
    /// Another step, now.
    Again,
    /// Another step when woken, or after this long.
    Sleep(Duration),
    /// Another step after this long, woken or not, unless asked to stop.
    Pause(Duration),
    /// Another step after a pause: this one failed.
    Failed(String),
    /// No more.
    Done,
}

/// How a loop rests before its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Not at all.
    None,
    /// For so long, or until it is woken.
    Sleep(Duration),
    /// For so long, woken or not; being asked to stop ends it.
    Pause(Duration),
    /// For so long, whatever is asked of it.
    Wait(Duration),
    /// There is no next step.
    Ended,
}

/// Turns what a loop wants into how it rests: failures in a row make the pauses longer.
#[derive(Debug)]
pub struct Pace {
    pause: Duration,
    stopping_failures: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause: PAUSE_MIN,
            stopping_failures: 0,
        }
    }
}

impl Pace {
    /// How a loop rests after a step that ended so.
    pub fn rest_after(&mut self, next: &Next, is_stopping: bool) -> Rest {
        let rest = match next {
            Next::Failed(_) => {
                let pause = self.pause;
                self.pause = (pause * 2).min(PAUSE_MAX);
                if !is_stopping {
                    return Rest::Pause(pause);
                }
                if self.stopping_failures == STOPPING_FAILURES_MAX {
                    return Rest::Ended;
                }
                self.stopping_failures += 1;
                return Rest::Wait(pause);
            }
            Next::Done => Rest::Ended,
            Next::Again => Rest::None,
            Next::Sleep(duration) => Rest::Sleep(*duration),
            Next::Pause(duration) => Rest::Pause(*duration),
        };
        *self = Self::default();
        rest
    }
}

/// What a loop shares with those who watch and stop it.
#[derive(Debug)]
pub struct LoopControl {
    status: Mutex<LoopStatus>,
    is_stopping: AtomicBool,
    /// Wakes the loop.
    pub wake: Arc<Wake>,
    /// Signalled when the loop has ended.
    ended: Wake,
}

impl LoopControl {
    /// What a loop of this name shares; `wake` wakes it.
    pub fn new(name: impl Into<String>, wake: Arc<Wake>) -> Arc<Self> {
        Arc::new(Self {
            status: Mutex::new(LoopStatus {
                name: name.into(),
                is_running: true,
                restarts: 0,
                last_error: None,
            }),
            is_stopping: AtomicBool::new(false),
            wake,
            ended: Wake::new(),
        })
    }

    /// How it fares.
    pub fn status(&self) -> LoopStatus {
        self.lock().clone()
    }

    /// Asks the loop to come to its end.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.wake.notify();
    }

    /// Whether it was asked to.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Waits for the loop's end; whether it came in time.
    pub(crate) fn wait_ended(&self, timeout: Duration) -> bool {
        self.ended.wait(timeout)
    }

    fn lock(&self) -> MutexGuard<'_, LoopStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a loop to its end, on the current thread.
    pub(crate) fn run(&self, mut step: impl FnMut() -> Next) {
        let mut pace = Pace::default();
        loop {
            let next = self.guard(&mut step);
            match pace.rest_after(&next, self.is_stopping()) {
                Rest::None => {}
                Rest::Sleep(duration) => {
                    self.wake.wait(duration);
                }
                Rest::Pause(duration) => self.pause(duration),
                Rest::Wait(duration) => thread::sleep(duration),
                Rest::Ended => break,
            }
        }
        self.end();
    }

    /// Makes one step; a panic in it is a failure like any other.
    pub fn guard(&self, step: impl FnOnce() -> Next) -> Next {
        let next = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
            self.lock().restarts += 1;
            Next::Failed(format!("panicked: {}", panic_text(panic.as_ref())))
        });
        match &next {
            Next::Done => {}
            Next::Failed(error) => self.fail(error.clone()),
            Next::Again | Next::Sleep(_) | Next::Pause(_) => self.succeed(),
        }
        next
    }

    /// Says that the loop has come to its end.
    pub fn end(&self) {
        self.lock().is_running = false;
        self.ended.notify();
    }

    fn fail(&self, error: String) {
        let mut status = self.lock();
        let is_news = status.last_error.as_ref() != Some(&error);
        if is_news {
            tracing::error!(loop_name = status.name, error, "{}: {error}", status.name);
        }
        status.last_error = Some(error);
    }

    fn succeed(&self) {
        let mut status = self.lock();
        if status.last_error.take().is_some() {
            tracing::info!(loop_name = status.name, "{}: works again", status.name);
        }
    }

    /// Wake-ups do not cut a pause short, for they come with every event; stopping does.
    fn pause(&self, pause: Duration) {
        let stopwatch = Stopwatch::start();
        while !self.is_stopping() {
            let Some(left) = pause.checked_sub(stopwatch.elapsed()) else {
                break;
            };
            self.wake.wait(left);
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_panic_is_counted_and_the_loop_goes_on() {
        let control = LoopControl::new("probe", Arc::default());
        let mut steps = 0;
        let mut seen = None;
        control.run(|| {
            steps += 1;
            match steps {
                1 => panic!("once"),
                2 => {
                    seen = control.status().last_error;
                    Next::Again
                }
                _ => Next::Done,
            }
        });
        assert_eq!(seen.as_deref(), Some("panicked: once"));
        let status = control.status();
        assert_eq!((status.restarts, status.is_running), (1, false));
        assert_eq!(status.last_error, None);
        assert!(control.wait_ended(Duration::ZERO));
    }

    #[test]
    fn a_passing_fault_does_not_end_a_loop_that_drains_but_a_lasting_one_does() {
        let control = LoopControl::new("probe", Arc::default());
        control.stop();
        let mut steps = 0;
        control.run(|| {
            steps += 1;
            match steps {
                1 => Next::Failed("once".to_owned()),
                2 => Next::Again,
                _ => Next::Done,
            }
        });
        assert_eq!(steps, 3);
        let mut failures = 0;
        control.run(|| {
            failures += 1;
            Next::Failed("always".to_owned())
        });
        assert_eq!(failures, STOPPING_FAILURES_MAX + 1);
    }

    #[test]
    fn a_pause_is_not_cut_short_by_a_wake_up_but_by_a_stop() {
        let control = LoopControl::new("probe", Arc::default());
        control.wake.notify();
        let stopwatch = Stopwatch::start();
        control.pause(Duration::from_millis(5));
        assert!(stopwatch.elapsed() >= Duration::from_millis(5));
        control.stop();
        let mut steps = 0;
        control.run(|| {
            steps += 1;
            match steps {
                1 => Next::Pause(Duration::from_secs(3600)),
                _ => Next::Done,
            }
        });
        assert_eq!(steps, 2);
    }
}
