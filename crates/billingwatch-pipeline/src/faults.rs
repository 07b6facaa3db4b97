//! What is wrong with the watching now, a sentence each, without ids, addresses or what a database
//! said: fit for `/health`, which asks for no token.

use crate::heartbeat::HEARTBEAT;
use crate::operations::{CHANNEL_FAILURES_MIN, LAG_SECS_MAX};
use crate::spool::{SPOOL, SpoolStatus};
use crate::status::{ChannelStatus, PipelineStatus};

impl ChannelStatus {
    /// Whether it is not just having a bad moment.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.is_disabled || self.failures_in_row >= CHANNEL_FAILURES_MIN
    }
}

fn spool(spool: &SpoolStatus) -> Vec<String> {
    let mut faults = Vec::new();
    if spool.spooling_since.is_some() {
        let (entries, age_secs) = (spool.usage.entries, spool.oldest_age_secs.unwrap_or(0));
        faults.push(format!(
            "the store takes no events: {entries} wait in the spool, the oldest for {age_secs} s"
        ));
    }
    if spool.is_nearly_full() {
        faults.push("the spool is full or nearly so".to_owned());
    }
    if spool.usage.set_aside > 0 {
        faults.push(format!(
            "{} events are set aside in the spool: the journal refuses them",
            spool.usage.set_aside
        ));
    }
    faults
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
        faults.extend(self.spool.iter().flat_map(spool));
        for one in &self.loops {
            // The spool shows above, and what channels answer below; that nobody hears the heartbeat is for whoever
            // listens to it.
            if one.name.starts_with("deliver") || [HEARTBEAT, SPOOL].contains(&&*one.name) {
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
