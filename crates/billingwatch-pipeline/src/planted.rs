//! Bugs that tests plant, to show that the simulation finds them. What is released has none: without
//! the `testing` feature the question is always answered no, by a constant.

/// A bug in the pipeline itself. Those of the parts around it are planted in their simulated
/// stand-ins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The writer answers before it appends.
    AnswerBeforeAppend,
    /// The writer wakes the pump before it appends, not after.
    WakeBeforeAppend,
    /// The pump keeps its engine after a commit that failed.
    EngineKeptAfterFailure,
    /// What a rebuild finds again is not dropped.
    RebuildTellsAgain,
    /// The pump lets time pass up to its own clock without writing it into the journal's.
    TimePassedUnwritten,
    /// Whether the pump is to drain is asked after its last read, not before.
    DrainAskedAfterTheStep,
    /// What waited in the spool is removed before it is in the journal, not after.
    SpoolRemovedBeforeAppend,
    /// The pump takes the newest rows from memory though rows before them are not there.
    TailPassesOverGaps,
    /// The writer tries the journal first, whatever waits in the spool.
    SpoolOvertaken,
    /// The engine's clock does not wait for what waits in the spool.
    SpoolOutrun,
    /// A clock that leaps ahead is believed at once.
    LeapBelieved,
}

#[cfg(any(test, feature = "testing"))]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Planted>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug, or digs out the one that was, on this thread.
#[cfg(any(test, feature = "testing"))]
pub fn plant(bug: Option<Planted>) {
    PLANTED.set(bug);
}

/// Whether a test has planted this bug.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn is_planted(bug: Planted) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether a test has planted this bug: never.
#[cfg(not(any(test, feature = "testing")))]
pub(crate) const fn is_planted(_: Planted) -> bool {
    false
}
