//! A dead-man's switch: somebody else's monitor is told at every interval that all is well, and
//! raises the alarm when it hears nothing. Who watches the watcher, in other words.
//!
//! So the beat is withheld while anything is wrong that would keep an alert from its reader: only
//! silence gets through when this process, its machine or its network is what failed.

use std::sync::Arc;
use std::time::Duration;

use crate::status::{Counter, PipelineStatus};
use crate::supervise::{LoopControl, Next};

/// Its loop's name. Its own failures are no reason to withhold the beat.
pub(crate) const HEARTBEAT: &str = "heartbeat";

/// Sends one beat; what went wrong otherwise. May block up to its own time limit.
pub type Beat = Box<dyn FnMut() -> Result<(), String> + Send>;

/// What the heartbeat counts.
#[derive(Debug, Default)]
pub struct HeartbeatCounters {
    /// Beats that were accepted.
    pub sent: Counter,
    /// Beats that the monitor did not take.
    pub failed: Counter,
    /// Beats that were not sent, for something was wrong.
    pub withheld: Counter,
}

/// Sends beats while all is well.
pub(crate) struct HeartbeatLoop {
    beat: Beat,
    status: Box<dyn Fn() -> PipelineStatus + Send>,
    interval: Duration,
    counters: Arc<HeartbeatCounters>,
    control: Arc<LoopControl>,
    is_withheld: bool,
}

impl HeartbeatLoop {
    pub(crate) fn new(
        beat: Beat,
        status: Box<dyn Fn() -> PipelineStatus + Send>,
        interval: Duration,
        counters: Arc<HeartbeatCounters>,
    ) -> Self {
        Self {
            beat,
            status,
            interval,
            counters,
            control: LoopControl::new(HEARTBEAT, Arc::default()),
            is_withheld: false,
        }
    }

    pub(crate) fn control(&self) -> Arc<LoopControl> {
        Arc::clone(&self.control)
    }

    /// One beat, or none.
    pub(crate) fn step(&mut self) -> Next {
        if self.control.is_stopping() {
            return Next::Done;
        }
        let faults = (self.status)().faults();
        if let Some(first) = faults.first() {
            self.counters.withheld.add(1);
            if !self.is_withheld {
                tracing::warn!("the heartbeat is withheld: {first}");
            }
            self.is_withheld = true;
            return Next::Sleep(self.interval);
        }
        if std::mem::take(&mut self.is_withheld) {
            tracing::info!("the heartbeat goes on");
        }
        match (self.beat)() {
            Ok(()) => {
                self.counters.sent.add(1);
                Next::Sleep(self.interval)
            }
            Err(error) => {
                self.counters.failed.add(1);
                Next::Failed(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::PoisonError;

    use super::*;

    #[test]
    fn a_fault_withholds_the_beat_and_a_refused_beat_comes_again_soon() {
        let status = Arc::new(Mutex::new(PipelineStatus {
            is_caught_up: true,
            ..PipelineStatus::default()
        }));
        let lock = |status: &Mutex<PipelineStatus>| {
            status
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        let seen = Arc::clone(&status);
        let answers = Arc::new(Mutex::new(vec![Err("503".to_owned()), Ok(())]));
        let given = Arc::clone(&answers);
        let counters = Arc::<HeartbeatCounters>::default();
        let mut heartbeat = HeartbeatLoop::new(
            Box::new(move || {
                let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
                given.pop().unwrap_or(Ok(()))
            }),
            Box::new(move || lock(&seen)),
            Duration::from_secs(60),
            Arc::clone(&counters),
        );
        let counted = || {
            let counters = &counters;
            (
                counters.sent.get(),
                counters.failed.get(),
                counters.withheld.get(),
            )
        };
        assert!(matches!(heartbeat.step(), Next::Sleep(_)));
        assert_eq!(counted(), (1, 0, 0));
        assert!(matches!(heartbeat.step(), Next::Failed(_)));
        assert_eq!(counted(), (1, 1, 0));
        status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lag_secs = 3600;
        assert!(matches!(heartbeat.step(), Next::Sleep(_)));
        assert_eq!(counted(), (1, 1, 1));
    }
}
