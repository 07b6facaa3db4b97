//! Pauses of the stream that a backlog may come of.
//!
//! We were down, or could not be reached: Stripe tries again with growing pauses, so what was made in
//! such a pause may come hours after it, among events that are on time. A quiet stream has had other
//! pauses since.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

use super::rhythm::MINUTE;

/// The most pauses remembered.
const PAUSES_MAX: usize = 64;

/// How long: Stripe tries again for three days.
const REMEMBERED: Span = Span::days(3);

/// The newest pauses, from the last event to the next, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pauses {
    newest: VecDeque<(Timestamp, Timestamp)>,
}

impl Pauses {
    /// A pause is over.
    pub(super) fn note(&mut self, from: Timestamp, to: Timestamp) {
        let is_old = |known: &mut (Timestamp, Timestamp)| to.since(known.1) > REMEMBERED;
        while self.newest.len() >= PAUSES_MAX || self.newest.front_mut().is_some_and(is_old) {
            self.newest.pop_front();
        }
        self.newest.push_back((from, to));
    }

    /// The newest pause in which everything from one instant to another was made.
    pub(super) fn of(&self, from: Timestamp, to: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let newest = self.newest.iter().rev();
        let mut its = newest.filter(|pause| pause.0 - MINUTE <= from && to <= pause.1);
        its.next().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_found_again_behind_others_and_not_for_ever() {
        let at = |minute: i64| Timestamp::EPOCH + Span::minutes(minute);
        let mut pauses = Pauses::default();
        pauses.note(at(0), at(120));
        for n in 0..40 {
            pauses.note(at(130 + n * 20), at(145 + n * 20));
        }
        assert_eq!(pauses.of(at(5), at(110)), Some((at(0), at(120))));
        assert_eq!(pauses.of(at(5), at(125)), None);
        assert_eq!(pauses.of(at(135), at(140)), Some((at(130), at(145))));
        for n in 0..1_000 {
            pauses.note(at(2_000 + n * 20), at(2_015 + n * 20));
            assert!(pauses.newest.len() <= PAUSES_MAX);
        }
        assert_eq!(pauses.of(at(5), at(110)), None);
    }
}
