//! What a seed decides before anything happens: how many processes, how long, and what goes wrong.
//!
//! Each kind of trouble is on in about half of the seeds, so that some seeds have nearly none and a
//! bug that needs one kind alone is not hidden behind another ("swarm testing", Groce et al. 2012).

use std::time::Duration;

use billingwatch_core::time::Span;
use billingwatch_pipeline::{IngestOptions, PumpOptions, RuntimeOptions};

use crate::dice::Dice;

/// What the merchant's events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// Charges that fail and succeed, judged by a detector whose every step is easy to foretell.
    Probe,
    /// A simulated merchant with an incident or two, judged by the product's own detectors.
    Merchant,
}

/// How a channel's receiver behaves while the storm lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    Well,
    Slow,
    Failing,
    /// Well for some minutes, then failing for some.
    Flapping,
    /// Says now and then that the target is gone.
    Gone,
    /// Takes the message, and says so too late.
    LateAnswer,
    /// Refuses some messages for good.
    Refusing,
}

/// What goes wrong, and how often. Times are gaps on average; zero means never.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// Of ten thousand store calls so many fail before they happen …
    pub(crate) fail_before: i64,
    /// … or happen and are reported as failed …
    pub(crate) fail_after: i64,
    /// … or kill the process, before or after they happen …
    pub(crate) die_at_call: i64,
    /// … or panic.
    pub(crate) panic_at_call: i64,
    /// Of a thousand store calls so many take some milliseconds, in which everything else goes on.
    pub(crate) slow_calls: i64,
    pub(crate) death_gap: Span,
    pub(crate) stop_gap: Span,
    pub(crate) outage_gap: Span,
    pub(crate) outage: Span,
    pub(crate) clock_gap: Span,
    /// A process's clock leaps an hour ahead for some minutes.
    pub(crate) leap_gap: Span,
    /// A process stands still for up to minutes, as by `SIGSTOP`.
    pub(crate) freeze_gap: Span,
    /// How far a process's clock may be off.
    pub(crate) skew: Span,
    /// Of a thousand posts so many never arrive, …
    pub(crate) lose_post: i64,
    /// … of answers so many never come back, …
    pub(crate) lose_answer: i64,
    /// … and so many posts arrive twice.
    pub(crate) repeat: i64,
    /// The longest a post is under way.
    pub(crate) delay: Span,
    pub(crate) tempers: [Temper; 3],
    /// Of a thousand commits of the engine's steps so many stand still for some seconds.
    pub(crate) stalls: i64,
    /// An operator changes settings, declares alerts over, imports history.
    pub(crate) operator_gap: Span,
}

/// What a seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) story: Story,
    pub(crate) processes: usize,
    /// How long things go wrong.
    pub(crate) storm: Span,
    pub(crate) events: i64,
    pub(crate) options: RuntimeOptions,
    /// How many times longer than asked for a sleep lasts: a busy machine, and fewer steps.
    pub(crate) laziness: i64,
    pub(crate) faults: Faults,
    /// How many events each process's spool takes; `None` where there is none, as beside SQLite.
    pub(crate) spool: Option<usize>,
    /// A lease decides who runs the engine, as with PostgreSQL.
    pub(crate) is_shared: bool,
}

/// The length of an average gap, or never.
fn gap(dice: &mut Dice, low: Span, high: Span) -> Span {
    if dice.chance(500) {
        Span::secs(dice.log(low.as_secs(), high.as_secs()))
    } else {
        Span::ZERO
    }
}

fn rate(dice: &mut Dice, most: i64) -> i64 {
    if dice.chance(500) {
        dice.range(1, most)
    } else {
        0
    }
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let dice = &mut dice;
        let story = if dice.chance(20) {
            Story::Merchant
        } else {
            Story::Probe
        };
        let is_merchant = story == Story::Merchant;
        let storm = if is_merchant {
            Span::days(dice.range(2, 4))
        } else {
            Span::secs(dice.log(120, 4 * 3600))
        };
        let minutes = storm.as_secs() / 60;
        // Rivals rebuild after each other's every tick; seven detectors make that slow.
        let processes = if is_merchant {
            1
        } else {
            dice.pick(&[1, 1, 2, 2, 3])
        };
        let mut plan = Self {
            story,
            processes,
            storm,
            events: dice.log(12, 96),
            options: options(dice, processes),
            laziness: if is_merchant {
                400
            } else {
                1 + minutes / dice.range(4, 40)
            },
            faults: faults(dice, storm),
            spool: None,
            is_shared: false,
        };
        plan.add_spool(&mut Dice::new(seed, 4));
        plan.add_leaps(&mut Dice::new(seed, 5));
        plan.add_freezes(&mut Dice::new(seed, 6));
        plan
    }

    /// Some stores are on another machine, away now and then for long; beside them there is a spool,
    /// and a lease decides who runs the engine. From dice of its own: the other seeds are the stories
    /// that they were.
    fn add_spool(&mut self, dice: &mut Dice) {
        if !dice.chance(400) {
            return;
        }
        self.is_shared = true;
        self.spool = Some(dice.pick(&[10_000, 10_000, 10_000, 5]));
        let faults = &mut self.faults;
        if faults.outage_gap == Span::ZERO {
            faults.outage_gap = Span::secs(dice.range(60, self.storm.as_secs().max(61)));
        }
        // Or it comes and goes: one call in so many fails.
        if dice.chance(400) {
            faults.fail_before = dice.range(500, 2_000);
        }
        // Alone and with a true clock, an event is received in the journal when it was received.
        if dice.chance(600) {
            self.processes = 1;
            faults.skew = Span::ZERO;
            faults.operator_gap = Span::ZERO;
            faults.outage = Span::secs(dice.log(60, 3600));
        }
        if self.processes > 1 && dice.chance(700) {
            faults.stalls = dice.range(5, 100);
        }
    }

    fn add_leaps(&mut self, dice: &mut Dice) {
        if dice.chance(250) {
            self.faults.leap_gap = Span::secs(dice.log(120, self.storm.as_secs().max(240)));
        }
    }

    fn add_freezes(&mut self, dice: &mut Dice) {
        if dice.chance(250) {
            self.faults.freeze_gap = Span::secs(dice.log(120, self.storm.as_secs().max(240)));
        }
    }

    /// Whether nobody else moves the journal's time while events wait in the spool.
    pub(crate) fn keeps_receipt_times(&self) -> bool {
        self.processes == 1 && self.has_true_clocks() && self.faults.operator_gap == Span::ZERO
    }

    /// Whether every clock is right: then each repeat at a receiver has a cause that is counted.
    pub(crate) fn has_true_clocks(&self) -> bool {
        self.faults.skew == Span::ZERO
    }
}

fn options(dice: &mut Dice, processes: usize) -> RuntimeOptions {
    // Rivals overtake each other at every tick and rebuild: not row by row from the first.
    let is_alone = processes == 1;
    let is_tight = dice.chance(300);
    RuntimeOptions {
        ingest: IngestOptions {
            queue_len: if is_tight { 4 } else { 8192 },
            queue_size_bytes: if is_tight { 1500 } else { 64 << 20 },
            batch_max: dice.pick(&[1, 2, 8, 512]),
        },
        pump: PumpOptions {
            batch_rows: dice.pick(if is_alone {
                &[1, 2, 5, 512][..]
            } else {
                &[2, 5, 512]
            }),
            snapshot_rows: dice.pick(if is_alone {
                &[1, 3, 20, 20_000][..]
            } else {
                &[1, 3, 20]
            }),
            snapshot_interval: Span::minutes(dice.pick(&[1, 5, 60])),
            snapshot_pause: Span::secs(dice.pick(&[0, 0, 30])),
        },
        settings: Vec::new(),
        poll_interval: Duration::from_secs(dice.pick(&[1, 60, 600])),
        operations: None,
        spool: None,
        // Time does not pass for the machine's own clock: a drain ends when it is done.
        grace: Duration::from_secs(3600),
    }
}

fn faults(dice: &mut Dice, storm: Span) -> Faults {
    use Temper::{Failing, Flapping, Gone, LateAnswer, Refusing, Slow, Well};
    let (minute, all) = (Span::minutes(1), storm.max(Span::minutes(2)));
    let temper = |dice: &mut Dice| {
        dice.pick(&[
            Well, Well, Slow, Failing, Flapping, Gone, LateAnswer, Refusing,
        ])
    };
    Faults {
        fail_before: rate(dice, 400),
        fail_after: rate(dice, 400),
        die_at_call: rate(dice, 60),
        panic_at_call: rate(dice, 100),
        slow_calls: rate(dice, 400),
        death_gap: gap(dice, minute, all),
        stop_gap: gap(dice, minute, all),
        outage_gap: gap(dice, minute, all),
        outage: Span::secs(dice.log(1, 3600)),
        clock_gap: gap(dice, minute, all),
        skew: if dice.chance(350) {
            Span::millis(dice.log(50, 600_000))
        } else {
            Span::ZERO
        },
        lose_post: rate(dice, 300),
        lose_answer: rate(dice, 300),
        repeat: rate(dice, 300),
        delay: Span::millis(dice.log(2, 60_000)),
        tempers: [temper(dice), temper(dice), temper(dice)],
        stalls: 0,
        leap_gap: Span::ZERO,
        freeze_gap: Span::ZERO,
        operator_gap: gap(dice, minute, all),
    }
}
