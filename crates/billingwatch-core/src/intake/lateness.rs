//! How late first deliveries come, and when that is more than chance.

mod outage;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::money::share_bps;
use crate::stats::{binomial_tail, median};
use crate::time::{Span, Timestamp};

use super::Criteria;
use super::rhythm::MINUTE;
pub(crate) use outage::ShortOutage;

/// The longest window of minutes that is counted.
const MINUTES_MAX: usize = 24 * 60;

/// How long minutes are counted at least: Stripe tries again after minutes, then after an hour and a
/// few (growing pauses), and what came on time beside those made then must be known still.
const COUNTED_SPAN: Span = Span::hours(6);

/// The newest deliveries that are looked at: enough to tell a lag of a few percent of the events
/// from chance, and no more memory than that.
const NEWEST_MAX: usize = 512;

/// Where nothing comes on time any more they are looked at for so long, whatever the window: a handful of events a day are few in
/// any hour. One more must be late then.
const UNBROKEN_SPAN: Span = COUNTED_SPAN;

/// How long they are looked at.
const NEWEST_SPAN: Span = Span::days(1);

/// In how many minutes deliveries must have been on time for a lag to be over (one payment is half
/// a dozen events, and says little), and how long they are looked at if so many came in it.
const ON_TIME_MIN: usize = 5;
/// See [`ON_TIME_MIN`].
const ON_TIME_SPAN: Span = Span::minutes(30);

/// Late deliveries among so many on time are stragglers, not a lag that goes on: one in twenty.
const STRAGGLERS: u64 = 20;

/// The share of late deliveries until the endpoint's own is known: 0.5 %, weighing as 200.
const PRIOR: (f64, f64) = (1.0, 200.0);

/// What is kept of the learned share from one day to the next.
const KEPT_A_DAY: f64 = 27.0 / 28.0;

/// Deliveries that come later than usual, most of them, must have been made over so long a time, and
/// be received in so many minutes: what one short pause held back comes at once.
const SLOW_SPAN: Span = Span::minutes(15);
/// See [`SLOW_SPAN`].
const SLOW_MINUTES: usize = 6;

/// How long it must be known how late deliveries usually are.
const SLOW_KNOWN: Span = Span::days(1);

/// The share of the newest deliveries that makes them most: four in five.
const SLOW_BPS: i64 = 8_000;

/// One first delivery.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Delivery {
    received_at: Timestamp,
    made_at: Timestamp,
    is_late: bool,
}

impl Delivery {
    fn lag(&self) -> Span {
        self.received_at.since(self.made_at)
    }
}

/// The newest deliveries, and the usual share of late ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lateness {
    newest: VecDeque<Delivery>,
    /// Beyond what lag a delivery is late by now, where that is less than is set.
    limit: Option<Span>,
    /// Learned: those later than usual, and all deliveries, decaying.
    usual_slow: (f64, f64),
    /// Since when that is learned.
    learned_since: Option<Timestamp>,
    /// The minutes of the window, and of [`COUNTED_SPAN`] at least, that had deliveries.
    minutes: VecDeque<Minute>,
    /// Learned: late and all deliveries, decaying.
    usual: (f64, f64),
    usual_day: i64,
}

/// The deliveries received in one minute.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Minute {
    begin: Timestamp,
    late: u64,
    all: u64,
    /// Those later than usual, and when the oldest and the newest of them were made. However many come,
    /// it is known of the whole window.
    slow: u64,
    slow_from: Timestamp,
    slow_to: Timestamp,
}

impl Minute {
    const fn new(begin: Timestamp) -> Self {
        Self {
            begin,
            late: 0,
            all: 0,
            slow: 0,
            slow_from: Timestamp::MAX,
            slow_to: Timestamp::EPOCH,
        }
    }
}

/// A pause in the stream that is odd, and what it missed. That events of it come late says that it
/// was none: the two together are less likely than either.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct OddPause {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) missing: f64,
}

/// Deliveries of late.
#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    late: u64,
    all: u64,
    /// Minutes that had any.
    minutes: usize,
}

/// The late ones among the newest deliveries, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    /// When the oldest and the newest late event were made.
    pub(crate) made_from: Timestamp,
    pub(crate) made_to: Timestamp,
    /// Late deliveries and all, within the window.
    pub(crate) late: u64,
    pub(crate) all: u64,
    /// The usual share of late ones.
    pub(crate) usual: f64,
    /// How likely so many are by chance.
    pub(crate) chance: f64,
    /// The middle and the worst of the late ones.
    pub(crate) median: Span,
    pub(crate) worst: Span,
}

impl Lateness {
    /// An event arrived for the first time. While a lag goes on it is no yardstick for itself.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        made_at: Timestamp,
        is_late: bool,
        is_learning: bool,
        criteria: &Criteria,
    ) {
        if self.newest.len() >= NEWEST_MAX {
            self.newest.pop_front();
        }
        self.newest.push_back(Delivery {
            received_at: now,
            made_at,
            is_late,
        });
        let begin = now.floor_to(MINUTE);
        if self.minutes.back().is_none_or(|last| last.begin != begin) {
            if self.minutes.len() >= MINUTES_MAX {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute::new(begin));
        }
        let is_slow = now.since(made_at) > criteria.slow;
        if let Some(minute) = self.minutes.back_mut() {
            minute.late += u64::from(is_late);
            minute.all += 1;
            if is_slow {
                minute.slow += 1;
                minute.slow_from = minute.slow_from.min(made_at);
                minute.slow_to = minute.slow_to.max(made_at);
            }
        }
        if is_learning {
            self.usual.0 += f64::from(u8::from(is_late));
            self.usual.1 += 1.0;
            self.usual_slow.0 += f64::from(u8::from(is_slow));
            self.usual_slow.1 += 1.0;
            self.learned_since.get_or_insert(now);
        }
    }

    /// Beyond what lag a delivery is late.
    pub(super) fn limit(&self, criteria: &Criteria) -> Span {
        self.limit.unwrap_or(criteria.lag)
    }

    /// Most of the newest deliveries are later than most ever were: none is by the set limit, and
    /// all together are. Until that is over they are what is called late.
    pub(super) fn slow(&mut self, now: Timestamp, criteria: &Criteria) -> Option<Late> {
        let is_known = |since: Timestamp| now.since(since) >= SLOW_KNOWN;
        if !self.learned_since.is_some_and(is_known) {
            return None;
        }
        // By the minute: the newest deliveries are a few minutes' where a hundred come in each.
        let from = (now - criteria.window).floor_to(MINUTE);
        let newest = || {
            let newest = self.minutes.iter().rev();
            newest.take_while(|minute| minute.begin >= from)
        };
        let slow_now = newest().map(|minute| minute.slow).sum();
        let all_now = newest().map(|minute| minute.all).sum();
        let usual = share_of(self.usual_slow, (slow_now, all_now)).clamp(0.002, 0.95);
        let (mut slow, mut all, mut minutes) = (0, 0, 0_usize);
        let (mut made_from, mut made_to) = (Timestamp::MAX, Timestamp::EPOCH);
        // A test at each doubling is enough, and keeps a stream that is always slow cheap.
        let mut test_from = 0;
        let mut found = None;
        for minute in newest() {
            all += minute.all;
            if minute.slow == 0 {
                continue;
            }
            slow += minute.slow;
            minutes += 1;
            made_from = made_from.min(minute.slow_from);
            made_to = made_to.max(minute.slow_to);
            let is_lasting = minutes >= SLOW_MINUTES && made_to.since(made_from) >= SLOW_SPAN;
            let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let is_most = share_bps(count(slow), count(all)) >= SLOW_BPS;
            if !is_lasting || !is_most || all < test_from {
                continue;
            }
            test_from = 2 * all;
            let chance = binomial_tail(slow, all, usual);
            if chance <= criteria.chance_max {
                found = Some(chance);
                break;
            }
        }
        let chance = found?;
        self.set_limit(Some(criteria.slow), criteria);
        Some(Late {
            made_from,
            ..self.describe(chance, from)
        })
    }

    /// Late is again what is set.
    pub(super) fn raise_limit(&mut self, criteria: &Criteria) {
        if self.limit.is_some() {
            self.set_limit(None, criteria);
        }
    }

    fn set_limit(&mut self, limit: Option<Span>, criteria: &Criteria) {
        self.limit = limit;
        let limit = self.limit(criteria);
        for one in &mut self.newest {
            one.is_late = one.lag() > limit;
        }
        if limit == criteria.slow {
            for minute in &mut self.minutes {
                minute.late = minute.slow;
            }
            return;
        }
        for minute in &mut self.minutes {
            minute.late = 0;
        }
        for one in self.newest.iter().filter(|one| one.is_late) {
            let begin = one.received_at.floor_to(MINUTE);
            let place = self.minutes.partition_point(|minute| minute.begin < begin);
            if let Some(minute) = self.minutes.get_mut(place)
                && minute.begin == begin
            {
                minute.late += 1;
            }
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp, criteria: &Criteria) {
        while self
            .newest
            .front()
            .is_some_and(|one| now.since(one.received_at) > NEWEST_SPAN)
        {
            self.newest.pop_front();
        }
        let from = now - criteria.window.max(COUNTED_SPAN);
        while self
            .minutes
            .front()
            .is_some_and(|minute| minute.begin < from)
        {
            self.minutes.pop_front();
        }
        if now.day() != self.usual_day {
            self.usual_day = now.day();
            for usual in [&mut self.usual, &mut self.usual_slow] {
                *usual = (usual.0 * KEPT_A_DAY, usual.1 * KEPT_A_DAY);
            }
        }
    }

    /// Late deliveries beyond chance, if there are any: of all endings of the newest deliveries
    /// that begin with a late one, the first found from the newest back. Each is held against all
    /// that was made since its oldest event: retries of hours ago, scattered among events that
    /// came on time, are no lag. On a billing day that is more than the newest deliveries hold: then
    /// the minutes say how many came on time, or a few redeliveries an hour after the run (a 5xx now
    /// and then under its load) would be most of the little that comes so long after it.
    ///
    /// Where all of them were made in an odd pause, the chance of the pause counts as well. What a short
    /// outage made late is left out.
    fn late(
        &self,
        now: Timestamp,
        criteria: &Criteria,
        odd: &OddPause,
        outage: Option<&ShortOutage>,
    ) -> Option<Late> {
        let usual = self.usual_share();
        let (mut late, mut minutes): (usize, usize) = (0, 0);
        let mut minute = None;
        let (mut made_from, mut made_to) = (Timestamp::MAX, Timestamp::EPOCH);
        let from = now - criteria.window;
        for (index, one) in self.newest.iter().rev().enumerate() {
            let is_beyond = one.received_at < from;
            let is_unbroken = one.is_late && late == index;
            let reach = now - UNBROKEN_SPAN.max(criteria.window);
            if is_beyond && (!is_unbroken || one.received_at < reach) {
                break;
            }
            if !one.is_late || outage.is_some_and(|outage| outage.covers(one)) {
                continue;
            }
            late += 1;
            made_from = made_from.min(one.made_at);
            made_to = made_to.max(one.made_at);
            let is_odd = made_from >= odd.from - MINUTE && made_to <= odd.to;
            let made = one.made_at.floor_to(MINUTE);
            minutes += usize::from(minute.replace(made) != Some(made));
            if late < criteria.late_min + usize::from(is_beyond) {
                continue;
            }
            let since = self
                .newest
                .iter()
                .filter(|other| other.made_at >= made_from);
            let (made_since, on_time) = since.fold((0, 0), |(all, on_time), other| {
                (all + 1, on_time + usize::from(!other.is_late))
            });
            let all = made_since.max(index + 1);
            let all = all.max(late.saturating_add(self.on_time_beyond(made_from)));
            if share_bps(as_i64(late), as_i64(all)) <= criteria.late_bps_max {
                continue;
            }
            // One hiccup delays everything of its minute; that alone is no lag that goes on,
            // unless nothing at all came on time since.
            if minutes < criteria.late_min && on_time > 0 {
                continue;
            }
            let alike = if is_odd { (-odd.missing).exp() } else { 1.0 };
            let chance = binomial_tail(late as u64, all as u64, usual) * alike;
            if chance <= criteria.chance_max {
                return Some(self.describe(chance, from));
            }
        }
        None
    }

    /// How many deliveries came on time since then, where the newest do not reach back so far.
    fn on_time_beyond(&self, since: Timestamp) -> usize {
        let is_whole = self.newest.len() < NEWEST_MAX
            || self
                .newest
                .front()
                .is_some_and(|one| one.received_at <= since);
        if is_whole {
            return 0;
        }
        let (late, all) = self.count(since.floor_to(MINUTE) + MINUTE);
        usize::try_from(all.saturating_sub(late)).unwrap_or(usize::MAX)
    }

    /// The numbers of the window that begins then.
    fn describe(&self, chance: f64, from: Timestamp) -> Late {
        let from = from.floor_to(MINUTE);
        let place = self.minutes.partition_point(|minute| minute.begin < from);
        let newest = self
            .minutes
            .get(place)
            .map_or(Timestamp::MAX, |first| first.begin);
        let is_in = move |one: &&Delivery| one.is_late && one.received_at >= newest;
        let late = || self.newest.iter().filter(is_in);
        let mut lags: Vec<i64> = late()
            .map(|one| one.received_at.since(one.made_at).as_millis())
            .collect();
        let worst = lags.iter().copied().max().unwrap_or_default();
        let (late_count, all) = self.count(from);
        Late {
            made_from: late().map(|one| one.made_at).min().unwrap_or_default(),
            made_to: late().map(|one| one.made_at).max().unwrap_or_default(),
            late: late_count,
            all,
            usual: self.usual_share(),
            chance,
            median: Span::millis(median(&mut lags)),
            worst: Span::millis(worst),
        }
    }

    /// The numbers of the window, whatever they are.
    pub(super) fn summary(&self, now: Timestamp, criteria: &Criteria) -> Late {
        self.describe(1.0, now - criteria.window)
    }

    /// Whether enough deliveries were on time, of those that came since and of late.
    pub(super) fn is_over(&self, since: Timestamp, now: Timestamp) -> bool {
        let newest = self.newest_since(since, now);
        newest.minutes >= ON_TIME_MIN && newest.late * STRAGGLERS <= newest.all
    }

    /// Late deliveries and all of late.
    pub(super) fn newest(&self, now: Timestamp) -> (u64, u64) {
        let newest = self.newest_since(Timestamp::EPOCH, now);
        (newest.late, newest.all)
    }

    /// The deliveries of late, or of the last few minutes that had any.
    fn newest_since(&self, since: Timestamp, now: Timestamp) -> Newest {
        let mut newest = Newest::default();
        let mut minute = None;
        for one in self.newest.iter().rev() {
            let is_new = minute != Some(one.received_at.floor_to(MINUTE));
            let is_old = now.since(one.received_at) > ON_TIME_SPAN;
            let is_enough = is_new && is_old && newest.minutes >= ON_TIME_MIN;
            if one.received_at < since || is_enough {
                break;
            }
            minute = Some(one.received_at.floor_to(MINUTE));
            newest.minutes += usize::from(is_new);
            newest.late += u64::from(one.is_late);
            newest.all += 1;
        }
        newest
    }

    fn count(&self, since: Timestamp) -> (u64, u64) {
        let newest = self.minutes.iter().rev();
        let newest = newest.take_while(|minute| minute.begin >= since);
        newest.fold((0, 0), |(late, all), minute| {
            (late + minute.late, all + minute.all)
        })
    }

    fn usual_share(&self) -> f64 {
        let late_now = self.newest.iter().filter(|one| one.is_late).count() as u64;
        let now = (late_now, self.newest.len() as u64);
        if self.limit.is_some() {
            return share_of(self.usual_slow, now).clamp(0.002, 0.95);
        }
        share_of(self.usual, now).clamp(0.002, 0.5)
    }
}

/// The usual share, by those that are learned. The deliveries at hand are what is judged: they are no
/// yardstick, neither the late ones nor the others. Without the late ones alone, a stream of which two in three are always slow
/// would seem slower than usual in its busiest hour.
fn share_of((late, all): (f64, f64), (late_now, all_now): (u64, u64)) -> f64 {
    let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let late = (late - number(late_now)).max(0.0);
    let all = (all - number(all_now)).max(late);
    (late + PRIOR.0) / (all + PRIOR.1)
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
