//! What is wrong with the watching now, a sentence each, without ids, addresses or what a database
//! said: fit for `/health`, which asks for no token.

use crate::heartbeat::HEARTBEAT;
use crate::operations::{CHANNEL_FAILURES_MIN, LAG_SECS_MAX};
use crate::status::{ChannelStatus, PipelineStatus};

impl ChannelStatus {
    /// Whether it is not just having a bad moment.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.is_disabled || self.failures_in_row >= CHANNEL_FAILURES_MIN
    }
}

impl PipelineStatus {
    /// Everything that keeps events from the detectors or alerts from their readers.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.is_caught_up {
            faults.push("the detectors are being rebuilt from the journal".to_owned());
        }
        if self.lag_secs > LAG_SECS_MAX {
            faults.push(format!(
                "the detectors are {} s and {} rows behind",
                self.lag_secs, self.lag_rows
            ));
        }
        if self.canary.is_failing {
            faults.push("the newest canary did not come through".to_owned());
        }
        for one in &self.loops {
            // What channels answer shows below; that nobody hears the heartbeat is for whoever
            // listens to it.
            if one.name.starts_with("deliver") || one.name == HEARTBEAT {
                continue;
            }
            if !one.is_running {
                faults.push(format!("the {} loop does not run", one.name));
            } else if one.last_error.is_some() {
                faults.push(format!("the {} loop fails and tries again", one.name));
            }
        }
        for channel in self.channels.iter().filter(|channel| channel.is_failing()) {
            // The name is the kind of channel, never an address.
            let name = &channel.name;
            faults.push(if channel.is_disabled {
                format!("channel {name} is disabled: its target says that it is gone")
            } else {
                let failures = channel.failures_in_row;
                format!("channel {name} has failed {failures} times in a row")
            });
        }
        faults
    }
}
