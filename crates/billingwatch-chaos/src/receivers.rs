//! The receivers of alerts: what they took, in which order, and how they answered.

use std::collections::{BTreeMap, BTreeSet};

use billingwatch_alert::{Channel, Message, Outcome};
use billingwatch_core::alert::Severity;
use billingwatch_core::time::{Span, Timestamp};

use crate::dice::Dice;
use crate::plan::{Plan, Temper};

/// The channels: name, and the mildest severity each wants.
pub(crate) const CHANNELS: [(&str, Severity); 3] = [
    ("all", Severity::Low),
    ("worse", Severity::Medium),
    ("worst", Severity::High),
];

/// The longest a send takes.
const TIME_LIMIT: Span = Span::secs(30);

/// What the outbox knows of a channel. Sends are the simulation's: they take time.
#[derive(Debug)]
pub(crate) struct Wire(pub(crate) usize);

impl Channel for Wire {
    fn name(&self) -> &str {
        CHANNELS[self.0].0
    }

    fn min_severity(&self) -> Severity {
        CHANNELS[self.0].1
    }

    fn time_limit(&self) -> Span {
        TIME_LIMIT
    }

    fn send(&self, _message: &Message) -> Outcome {
        Outcome::GiveUp {
            detail: "sends are begun and ended apart here".to_owned(),
            status: None,
            disable_channel: false,
        }
    }
}

/// How a receiver deals with one message.
#[derive(Debug)]
pub(crate) struct Reaction {
    /// When it takes it, if it does.
    pub(crate) taken_after: Option<Span>,
    pub(crate) answered_after: Span,
    pub(crate) outcome: Outcome,
}

/// One message taken.
#[derive(Debug)]
struct Taken {
    key: String,
    alert_id: String,
    revision: u32,
}

#[derive(Debug)]
pub(crate) struct Receivers {
    tempers: [Temper; 3],
    taken: [Vec<Taken>; 3],
    /// (Alert, revision) that a receiver refused for good, or said that it is gone.
    refused: [BTreeSet<(String, u32)>; 3],
    /// Causes for a message to come again: each may make one repeat.
    pub(crate) excuses: u64,
    is_calm: bool,
}

fn delivered() -> Outcome {
    Outcome::Delivered {
        status: Some(200),
        detail: "taken".to_owned(),
    }
}

fn retry(status: Option<u16>, detail: &str, after: Option<Span>) -> Outcome {
    Outcome::Retry {
        detail: detail.to_owned(),
        status,
        after,
    }
}

impl Receivers {
    pub(crate) const fn new(plan: &Plan) -> Self {
        Self {
            tempers: plan.faults.tempers,
            taken: [const { Vec::new() }; 3],
            refused: [const { BTreeSet::new() }; 3],
            excuses: 0,
            is_calm: false,
        }
    }

    /// From now on everybody is well.
    pub(crate) const fn calm(&mut self) {
        self.is_calm = true;
    }

    pub(crate) fn react(
        &mut self,
        channel: usize,
        message: &Message,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Reaction {
        let temper = if self.is_calm {
            Temper::Well
        } else {
            self.tempers[channel]
        };
        let swift = Span::millis(dice.range(1, 80));
        let taken = |after| Reaction {
            taken_after: Some(after),
            answered_after: after,
            outcome: delivered(),
        };
        let failed = |after, outcome| Reaction {
            taken_after: None,
            answered_after: after,
            outcome,
        };
        match temper {
            Temper::Well => taken(swift),
            Temper::Slow => taken(Span::millis(dice.range(500, TIME_LIMIT.as_millis()))),
            Temper::Failing if dice.chance(600) => match dice.below(3) {
                0 => failed(swift, retry(Some(503), "busy", None)),
                1 => failed(swift, retry(Some(429), "too many", Some(Span::secs(90)))),
                _ => failed(TIME_LIMIT, retry(None, "no answer", None)),
            },
            Temper::Flapping if now.as_secs() / 300 % 2 == 0 => {
                failed(swift, retry(Some(502), "no gateway", None))
            }
            Temper::Gone if dice.chance(120) => self.refuse(channel, message, swift, 410),
            Temper::Refusing if dice.chance(200) => self.refuse(channel, message, swift, 400),
            Temper::LateAnswer if dice.chance(400) => {
                self.excuses += 1;
                Reaction {
                    taken_after: Some(swift),
                    answered_after: TIME_LIMIT,
                    outcome: retry(None, "no answer in time", None),
                }
            }
            _ => taken(swift),
        }
    }

    fn refuse(&mut self, channel: usize, message: &Message, after: Span, status: u16) -> Reaction {
        let alert = &message.change.alert;
        self.refused[channel].insert((alert.id.clone(), alert.revision));
        Reaction {
            taken_after: None,
            answered_after: after,
            outcome: Outcome::GiveUp {
                detail: "not here".to_owned(),
                status: Some(status),
                disable_channel: status == 410,
            },
        }
    }

    pub(crate) fn take(&mut self, channel: usize, key: String, alert_id: String, revision: u32) {
        self.taken[channel].push(Taken {
            key,
            alert_id,
            revision,
        });
    }

    pub(crate) fn has_refused(&self, channel: usize, alert_id: &str, revision: u32) -> bool {
        self.refused[channel].contains(&(alert_id.to_owned(), revision))
    }

    pub(crate) fn has_taken(&self, channel: usize, alert_id: &str, revision: u32) -> bool {
        let mut taken = self.taken[channel].iter();
        taken.any(|one| one.alert_id == alert_id && one.revision == revision)
    }

    pub(crate) fn messages(&self) -> u64 {
        let all: usize = self.taken.iter().map(Vec::len).sum();
        u64::try_from(all).unwrap_or(0)
    }

    /// One key for a change, whenever it is told; and first tellings in order.
    pub(crate) fn check(&self, counts_repeats: bool) -> Result<(), String> {
        let mut repeats = 0;
        for (channel, taken) in self.taken.iter().enumerate() {
            let name = CHANNELS[channel].0;
            let mut keys: BTreeMap<(&str, u32), &str> = BTreeMap::new();
            let mut newest: BTreeMap<&str, u32> = BTreeMap::new();
            for one in taken {
                let (alert, revision) = (one.alert_id.as_str(), one.revision);
                if let Some(key) = keys.get(&(alert, revision)) {
                    repeats += 1;
                    if *key != one.key {
                        return Err(format!(
                            "{name} was told {alert} r{revision} under two keys: {key} and {}",
                            one.key
                        ));
                    }
                    continue;
                }
                keys.insert((alert, revision), &one.key);
                let newest = newest.entry(alert).or_default();
                if *newest > revision {
                    return Err(format!(
                        "{name} was told {alert} r{revision} after r{newest}"
                    ));
                }
                *newest = revision;
            }
        }
        if counts_repeats && repeats > self.excuses {
            return Err(format!(
                "{repeats} messages came again, and only {} had a cause",
                self.excuses
            ));
        }
        Ok(())
    }
}
