//! The tail of a short outage that is over.
//!
//! An endpoint that is away for some minutes (a deployment, a restart) leaves a handful of deliveries
//! to Stripe's retries, and these come with growing pauses: late, over half an hour, while all that was
//! made since comes at once. Nobody can do anything about it any more. A lag is told from it by what
//! was made meanwhile and since: in a lag what is made later comes late as well, or some of what was made
//! at the same time came at once.

use crate::time::{Span, Timestamp};

use super::super::Criteria;
use super::super::rhythm::MINUTE;
use super::{Delivery, Late, Lateness, OddPause};

/// What is late must have been made within so long a time: what lasts longer is told.
const SHORT: Span = Span::minutes(12);

/// Stripe's pauses grow with how long it has tried: what was made in so short an outage comes within the
/// hour. What is later was refused for longer.
const TAIL: Span = Span::hours(1);

/// Of the late ones of the window so many in four must be of the one outage: the rest are stray
/// retries. Two outages within the hour are no hiccup, and neither is a share that is always late.
const MOST_OF_FOUR: usize = 3;

/// For so many late ones one may have come at once in the middle of it: an outage begins and ends at one
/// machine before another.
const LATE_FOR_PROMPT: u64 = 8;

/// A short outage, by what it made late: when the oldest and the newest of it were made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortOutage {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    late: usize,
}

impl ShortOutage {
    pub(super) fn covers(&self, one: &Delivery) -> bool {
        one.is_late && self.from <= one.made_at && one.made_at <= self.to
    }
}

impl Lateness {
    /// A lag, if there is one beyond what a short outage made late; and that outage, where without it there
    /// would be one.
    pub(in crate::intake) fn lag(
        &self,
        now: Timestamp,
        criteria: &Criteria,
        odd: &OddPause,
    ) -> (Option<Late>, Option<ShortOutage>) {
        let late = self.late(now, criteria, odd, None);
        let outage = late.and_then(|_| self.short_outage(now, criteria, odd));
        if outage.is_none() {
            return (late, None);
        }
        let beyond = self.late(now, criteria, odd, outage.as_ref());
        let hidden = outage.filter(|_| beyond.is_none());
        (beyond, hidden)
    }

    /// The short outage that made late most of what came late in the window, if that is over.
    fn short_outage(
        &self,
        now: Timestamp,
        criteria: &Criteria,
        odd: &OddPause,
    ) -> Option<ShortOutage> {
        let from = now - criteria.window;
        let newest = self.newest.iter().rev();
        let newest = newest.take_while(|one| one.received_at >= from);
        let late = || newest.clone().filter(|one| one.is_late);
        let mut made: Vec<Timestamp> = late().map(|one| one.made_at).collect();
        made.sort_unstable();
        let mut stretches: Vec<ShortOutage> = Vec::new();
        for made_at in &made {
            match stretches.last_mut() {
                Some(last) if self.is_one_stretch(last, *made_at) => {
                    last.to = *made_at;
                    last.late += 1;
                }
                _ => stretches.push(ShortOutage {
                    from: *made_at,
                    to: *made_at,
                    late: 1,
                }),
            }
        }
        let outage = stretches.into_iter().max_by_key(|stretch| stretch.late)?;
        let is_most = outage.late * 4 >= made.len() * MOST_OF_FOUR;
        // A pause that is odd says how long it was, whatever has come of it by now.
        let is_in_odd = odd.from - MINUTE <= outage.from && outage.to <= odd.to;
        let is_short = outage.to.since(outage.from) <= SHORT
            && !(is_in_odd && odd.to.since(odd.from) > SHORT)
            && late().all(|one| !outage.covers(one) || one.lag() <= TAIL);
        (is_most && is_short && self.is_over_since(&outage)).then_some(outage)
    }

    /// Whether hardly anything came at once between the begin of a stretch and a late event made after
    /// it, by the minute: on a busy day the newest deliveries do not reach back so far.
    fn is_one_stretch(&self, stretch: &ShortOutage, made_at: Timestamp) -> bool {
        let (first, last) = (stretch.from.floor_to(MINUTE), made_at.floor_to(MINUTE));
        let place = self.minutes.partition_point(|minute| minute.begin <= first);
        let within = self.minutes.iter().skip(place);
        let within = within.take_while(|minute| minute.begin < last);
        let prompt: u64 = within.map(|minute| minute.all - minute.slow).sum();
        prompt * LATE_FOR_PROMPT <= stretch.late as u64
    }

    /// Whether something made in it or since has come on time after it. While a lag goes on nothing does.
    fn is_over_since(&self, outage: &ShortOutage) -> bool {
        let newest = self.newest.iter().rev();
        let mut newest = newest.take_while(|one| one.received_at > outage.to + MINUTE);
        newest.any(|one| !one.is_late && one.made_at >= outage.from)
    }
}
