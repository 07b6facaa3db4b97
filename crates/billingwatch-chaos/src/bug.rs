//! Bugs to plant: the proof that the simulation would notice.
//!
//! Each is one that a careful author could have made, planted either in the pipeline itself (by
//! `billingwatch_pipeline::planted`) or in the simulated part that stands for the store or the
//! receiver.

use billingwatch_pipeline::planted::Planted;

macro_rules! bugs {
    ($($(#[$seam:meta])* $name:ident = $text:literal, $seeds:literal, $about:literal;)+) => {
        /// A bug that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $(#[doc = $about] $name),+ }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// What is wrong.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $about),+ }
            }

            /// Within how many seeds, counted from 0, it must be found.
            #[must_use]
            pub const fn seeds(self) -> u64 {
                match self { $(Self::$name => $seeds),+ }
            }
        }
    };
}

bugs! {
    AnswerBeforeAppend = "answer-before-append", 60, "ingest answers 200 before the row is committed";
    AppendUnsynced = "append-unsynced", 60, "the store answers before the row is on disk, and a crash loses the last two seconds";
    RepeatsUnknown = "repeats-unknown", 60, "an event id that is in the journal already is appended again";
    SpoolRemovedBeforeAppend = "spool-removed-before-append", 120, "what waited in the spool is removed before it is in the journal";
    SpoolUnsynced = "spool-unsynced", 120, "the spool answers before the row is on disk, and a crash loses the last half minute";
    SpoolNewestFirst = "spool-newest-first", 120, "the spool is emptied in another order than it was filled";
    SpoolOvertaken = "spool-overtaken", 120, "events go into the journal while earlier ones wait in the spool";
    SpoolOutrun = "spool-outrun", 400, "the engine's clock runs on while events wait: they seem to have come when the spool was emptied";
    NumbersBeforeCommit = "numbers-before-commit", 120, "sequence numbers are drawn before the commit, so a row can appear behind the reader";
    CursorApart = "cursor-apart", 60, "the cursor is committed before, not with, what the rows caused";
    CursorUnchecked = "cursor-unchecked", 60, "a step is committed wherever the cursor stands: two pumps both commit";
    OutboxApart = "outbox-apart", 60, "deliveries are queued after, not with, the change they tell of";
    SnapshotApart = "snapshot-apart", 120, "a snapshot is kept before the step it belongs to is committed: it comes from the future";
    EngineKeptAfterFailure = "engine-kept-after-failure", 60, "after a commit that failed the pump goes on with the engine that has seen the rows";
    RebuildTellsAgain = "rebuild-tells-again", 60, "what a rebuilt engine finds again is told again";
    TimePassedUnwritten = "time-passed-unwritten", 120, "ticks are crossed up to the process's own clock, not the journal's";
    WakeBeforeAppend = "wake-before-append", 120, "the pump is woken before the rows are there, sees none, and sleeps: a lost wake-up";
    DrainAskedAfterTheStep = "drain-asked-after-the-step", 400, "whether to drain is asked after the last read: rows committed in between are left behind";
    TailPassesOverGaps = "tail-passes-over-gaps", 60, "the pump takes the newest rows from memory though rows before them are not there: a row skipped";
    LeapBelieved = "leap-believed", 120, "a clock that is an hour ahead for a minute is believed, and the journal's time stays there";
    LeaseForEver = "lease-for-ever", 60, "a delivery whose sender died is never given back";
    LeaseOfNoLength = "lease-of-no-length", 120, "a delivery under way may be taken by another process at once";
    LeaseWithoutFence = "lease-without-fence", 120, "a step is committed though another process has taken over since it began";
    LeaderForEver = "leader-for-ever", 120, "the lease of a process that died is never given to another";
    LaterChangeFirst = "later-change-first", 60, "a later change of an alert does not wait for an earlier one that failed";
    SettledBeforeSent = "settled-before-sent", 60, "a delivery is settled when it is taken, not when it was sent";
    KeyPerAttempt = "key-per-attempt", 60, "a retry carries another key, so the receiver cannot drop a repeat";
    KeyPerProcess = "key-per-process", 120, "the key names the process: told twice after a crash";
}

impl Bug {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name)
    }

    /// For those that sit in the pipeline itself.
    pub(crate) const fn in_pipeline(self) -> Option<Planted> {
        Some(match self {
            Self::AnswerBeforeAppend => Planted::AnswerBeforeAppend,
            Self::EngineKeptAfterFailure => Planted::EngineKeptAfterFailure,
            Self::RebuildTellsAgain => Planted::RebuildTellsAgain,
            Self::TimePassedUnwritten => Planted::TimePassedUnwritten,
            Self::WakeBeforeAppend => Planted::WakeBeforeAppend,
            Self::DrainAskedAfterTheStep => Planted::DrainAskedAfterTheStep,
            Self::TailPassesOverGaps => Planted::TailPassesOverGaps,
            Self::SpoolRemovedBeforeAppend => Planted::SpoolRemovedBeforeAppend,
            Self::SpoolOvertaken => Planted::SpoolOvertaken,
            Self::SpoolOutrun => Planted::SpoolOutrun,
            Self::LeapBelieved => Planted::LeapBelieved,
            _ => return None,
        })
    }
}
