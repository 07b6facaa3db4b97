//! What goes wrong, and when.

use std::sync::Arc;

use billingwatch_core::time::{Span, Timestamp};

use crate::dice::Dice;
use crate::plan::Plan;
use crate::stripe::START;
use crate::world::{Happening, World};

/// Something that goes wrong by itself, not at a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// A process dies.
    Death,
    /// A process is asked to end, and started again.
    Stop,
    /// The store answers nobody for a while.
    Outage,
    /// A process's clock steps.
    Clock,
    /// A process's clock leaps an hour ahead, and is put right within minutes.
    Leap,
    /// A process stands still for a while, and goes on.
    Freeze,
    /// An operator does something. No trouble, but as unforeseen.
    Operator,
}

impl Trouble {
    const ALL: [Self; 7] = [
        Self::Death,
        Self::Stop,
        Self::Outage,
        Self::Clock,
        Self::Leap,
        Self::Freeze,
        Self::Operator,
    ];

    const fn gap(self, plan: &Plan) -> Span {
        match self {
            Self::Death => plan.faults.death_gap,
            Self::Stop => plan.faults.stop_gap,
            Self::Outage => plan.faults.outage_gap,
            Self::Clock => plan.faults.clock_gap,
            Self::Leap => plan.faults.leap_gap,
            Self::Freeze => plan.faults.freeze_gap,
            Self::Operator => plan.faults.operator_gap,
        }
    }
}

/// A leap of a clock that is put right soon.
pub(crate) const LEAP: Span = Span::hours(1);

/// How a store call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Works,
    /// It fails and nothing happened.
    FailsBefore,
    /// It happened and is reported as failed.
    FailsAfter,
    /// The process dies, and nothing happened.
    DiesBefore,
    /// It happened, and the process dies before it hears so.
    DiesAfter,
    /// The thread panics before it.
    Panics,
}

/// The state of what goes wrong.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) is_calm: bool,
    /// How many times longer than asked for a sleep lasts.
    pub(crate) laziness: i64,
    store_down_until: Timestamp,
    pub(crate) deaths: u64,
    pub(crate) store_failures: u64,
}

impl Weather {
    pub(crate) const fn new(plan: &Plan) -> Self {
        Self {
            is_calm: false,
            laziness: plan.laziness,
            store_down_until: START,
            deaths: 0,
            store_failures: 0,
        }
    }
}

impl World {
    /// Puts the first of each trouble on the agenda.
    pub(crate) fn brew(&self) {
        for trouble in Trouble::ALL {
            self.brew_next(trouble);
        }
    }

    fn brew_next(&self, trouble: Trouble) {
        let gap = trouble.gap(&self.plan);
        if gap > Span::ZERO && !self.weather().is_calm {
            let wait = Span::millis(self.dice().range(1, 2 * gap.as_millis()));
            self.after(wait, Happening::Trouble(trouble));
        }
    }

    pub(crate) fn trouble(self: &Arc<Self>, trouble: Trouble) {
        if self.weather().is_calm {
            return;
        }
        self.brew_next(trouble);
        let len = i64::try_from(self.hosts.len()).unwrap_or(1);
        let host = &self.hosts[usize::try_from(self.dice().below(len)).unwrap_or(0)];
        match trouble {
            Trouble::Death => host.die(self),
            Trouble::Stop => host.stop(self),
            Trouble::Outage => {
                let most = self.plan.faults.outage.as_millis();
                let span = Span::millis(self.dice().range(1, 2 * most));
                self.note(b'o', 0, || format!("the store is away for {span}"));
                self.weather().store_down_until = self.now() + span;
            }
            Trouble::Clock => {
                let most = self.plan.faults.skew.as_millis();
                let skew = Span::millis(self.dice().range(-most, most));
                host.set_skew(skew);
                self.note(b'c', 0, || {
                    format!("process {}: clock off by {skew}", host.id)
                });
            }
            Trouble::Leap => {
                let span = Span::secs(self.dice().range(1, 480));
                host.set_leap(LEAP);
                self.note(b'c', 1, || {
                    format!(
                        "process {}: clock leaps ahead by {LEAP} for {span}",
                        host.id
                    )
                });
                self.after(span, Happening::Leapt(host.id));
            }
            Trouble::Freeze => {
                let span = Span::millis(self.dice().log(1_000, 200_000));
                host.freeze(self, span);
            }
            Trouble::Operator => self.operate(),
        }
    }

    /// How the next store call ends, and how long it takes before and after it happens.
    pub(crate) fn fate(&self) -> (Fate, Span, Span) {
        let mut dice = self.dice();
        let faults = &self.plan.faults;
        let mut times = [Span::ZERO; 2];
        // In calm too: loops always race.
        if dice.chance(faults.slow_calls.max(150)) {
            let index = usize::try_from(dice.below(2)).unwrap_or(0);
            times[index] = Span::millis(dice.log(1, 32));
        }
        let mut weather = self.weather();
        let fate = if weather.is_calm {
            Fate::Works
        } else if weather.store_down_until > self.now() {
            Fate::FailsBefore
        } else {
            draw(&mut dice, faults)
        };
        weather.store_failures += u64::from(fate != Fate::Works);
        (fate, times[0], times[1])
    }
}

impl World {
    /// How long the next commit of a step stands still before it happens, if it does: long enough
    /// for another process to take over.
    pub(crate) fn stall(&self) -> Option<Span> {
        if self.plan.faults.stalls == 0 || self.weather().is_calm {
            return None;
        }
        let mut dice = self.dice();
        dice.chance(self.plan.faults.stalls)
            .then(|| Span::millis(dice.range(3_000, 40_000)))
    }

    /// How the next call of a spool ends: a local disk, which no outage of the store reaches.
    pub(crate) fn fate_of_spool(&self) -> (Fate, Span, Span) {
        let mut dice = self.dice();
        let times = [(); 2].map(|()| Span::millis(dice.below(4)));
        let fate = if self.weather().is_calm {
            Fate::Works
        } else {
            draw(&mut dice, &self.plan.faults)
        };
        (fate, times[0], times[1])
    }
}

fn draw(dice: &mut Dice, faults: &crate::plan::Faults) -> Fate {
    let draw = dice.below(10_000);
    let mut bound = 0;
    for (rate, fate) in [
        (faults.fail_before, Fate::FailsBefore),
        (faults.fail_after, Fate::FailsAfter),
        (faults.die_at_call, Fate::DiesBefore),
        (faults.die_at_call, Fate::DiesAfter),
        (faults.panic_at_call, Fate::Panics),
    ] {
        bound += rate;
        if draw < bound {
            return fate;
        }
    }
    Fate::Works
}
