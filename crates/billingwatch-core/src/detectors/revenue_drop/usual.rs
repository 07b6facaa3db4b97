//! What a window of hours usually brings: what the same hours of the weeks before brought, at the level
//! that weeks have by now.
//!
//! Neither a growing nor a shrinking merchant is held against weeks that are long over, and one peak
//! (a launch, a sale, the first of a month) is no yardstick, neither as a window nor as a week.

use super::first_week;
use super::holidays::Holidays;
use super::hours::{Hour, Hours, WEEK, WEEKS, WEEKS_MAX};
use crate::calendar::Calendar;
use crate::stats::median;
use crate::time::{Span, Timestamp};

/// The share of a past window that may be part of an incident, one in so many hours.
const INCIDENT_SHARE: i64 = 8;

/// While so few weeks are known, those that were told may be the ordinary ones.
const FEW_WEEKS: i64 = 3;

/// Of what calm weeks bring, what the others must have brought for that: an outage is no ordinary week.
const ORDINARY_MIN: f64 = 0.4;

/// So many weeks know how poor one may be.
const POOREST_OF: u32 = 3;

/// The most that the poorest week is brought up to what weeks have by now: after a season it is not.
const GROWTH_MAX: f64 = 1.5;

/// Which past may be looked at, and by whose clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past<'a> {
    pub(super) calendar: &'a Calendar,
    /// The first whole hour that was watched.
    pub(super) known_from: i64,
    /// Hours that must be known before the absence of sales says anything.
    pub(super) hours_min: i64,
    /// What new discounts take off renewals was told when they came, as committed revenue that dropped.
    pub(super) is_gift_told: bool,
    /// The newest hours on which people stay at home.
    pub(super) holidays: Holidays,
}

impl Past<'_> {
    /// The hour, so many before, in which the clocks showed the same minutes that many hours earlier: an
    /// hour more or less where they were put forward or back in between.
    pub(super) fn before(self, hour: i64, hours: i64) -> i64 {
        let then = hour - hours;
        if self.calendar.is_fixed() {
            return then;
        }
        let ahead = |hour: i64| {
            self.calendar
                .offset_at(Timestamp::EPOCH + Span::hours(hour))
                .as_secs()
        };
        // Half an hour (Lord Howe Island) is rounded.
        then + (ahead(hour) - ahead(then) + 1_800).div_euclid(3_600)
    }

    /// Whether the clocks show a multiple of so many hours of the day.
    pub(super) fn is_whole(self, hour: i64, hours: i64) -> bool {
        let at = Timestamp::EPOCH + Span::hours(hour);
        let shown = hour + self.calendar.offset_at(at).as_secs().div_euclid(3_600);
        shown % hours == 0
    }
}

/// Sales of a window as they usually are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// Weeks that say so.
    pub(super) weeks: f64,
    pub(super) sales: f64,
    /// Minor units.
    pub(super) amount: f64,
    /// What must come on a holiday of what does on other days, in basis points.
    pub(super) holiday_bps: i64,
    /// Of these sales, the share that the poorest of three weeks or more had.
    pub(super) least_share: f64,
    /// How far these very weeks fell short of it, squared and relative, chance included.
    pub(super) short_squared: f64,
}

/// What weeks are short of their own lower median, squared and doubled, is of their variance on average, for three to six of
/// them (two say nothing of it): from 200,000 draws of normal weeks each (`shortfalls_teach_how_far_days_stray` draws some again).
const SHORT_SEEN: [f64; 5] = [1.0, 0.78, 0.45, 0.89, 0.62];

/// Of a table for two to [`WEEKS`] weeks, what stands for so many; 1 for a single one.
pub(super) fn by_weeks(table: [f64; 5], weeks: f64) -> f64 {
    let known = table.iter().zip(2_u32..);
    let known = known.take_while(|(_, known)| f64::from(*known) <= weeks);
    known.last().map_or(1.0, |(value, _)| *value)
}

/// Sales of a window as they usually are. Until a week before it is known, [the least](first_week) that they are of a merchant
/// who sells at all hours, and `None` of any other.
///
/// The weeks are looked at `shift` hours earlier than at this very hour of theirs: where clocks were put
/// forward or back in between, or a nightly run came a little sooner, that is the same hour.
pub(super) fn usual(
    hours: &Hours,
    past: Past<'_>,
    (end, len, shift): (i64, i64, i64),
    counts: impl Fn(&Hour) -> bool + Copy,
) -> Option<Usual> {
    let calm = usual_of(hours, past, (end, len, shift), counts, false)?;
    let weeks = (end - len - shift - past.known_from) / WEEK;
    if !(2..=FEW_WEEKS).contains(&weeks) {
        return Some(calm);
    }
    // Where half of the few weeks that are known were told as too poor, the others may have been too rich: the first of a month, say.
    let odd = (1..=weeks).filter(|week| is_of_incident(hours, past, (end - len, end), week * WEEK));
    if 2 * as_i64(odd.count()) < weeks {
        return Some(calm);
    }
    let all = usual_of(hours, past, (end, len, shift), counts, true);
    let is_ordinary = |sales: f64| sales < calm.sales && sales >= calm.sales * ORDINARY_MIN;
    let poorer = all.filter(|all| is_ordinary(all.sales));
    // Weeks with an incident make nothing surer.
    Some(poorer.map_or(calm, |all| Usual {
        sales: all.sales,
        amount: all.amount.min(calm.amount),
        ..calm
    }))
}

/// Whether too much of the same window so many hours before was part of an incident.
fn is_of_incident(hours: &Hours, past: Past<'_>, (start, end): (i64, i64), back: i64) -> bool {
    let of_incidents = |hour| hours.hour(past.before(hour, back)).is_incident;
    let incidents: i64 = (start..end).map(|hour| i64::from(of_incidents(hour))).sum();
    incidents * INCIDENT_SHARE > end - start
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The same by the weeks without an incident, or by all of them.
fn usual_of(
    hours: &Hours,
    past: Past<'_>,
    (end, len, shift): (i64, i64, i64),
    counts: impl Fn(&Hour) -> bool + Copy,
    are_all: bool,
) -> Option<Usual> {
    if end - past.known_from < past.hours_min {
        return first_week::least(hours, past, (end, len), counts);
    }
    let start = end - len;
    let known = (1..=WEEKS).take_while(|week| start - week * WEEK - shift >= past.known_from);
    let slots = known.clone();
    let slots = slots.map(|week| slots_of(hours, past, (start, week * WEEK)));
    let weeks_before = Weeks::of(slots.collect());
    let level = Level::of(&weeks_before)?;
    let holiday_bps = past.holidays.usual_bps(weeks_before.usual);
    // Day by day: a launch in one of three days shall not make a peak of all three.
    let chunks: Vec<(i64, i64)> = (0..(len + 23).div_euclid(24).max(1))
        .map(|day| (start.max(end - (day + 1) * 24), end - day * 24))
        .collect();
    let counts = |hour: &Hour| are_all || counts(hour);
    let mut values = vec![(Vec::new(), Vec::new()); chunks.len()];
    let mut totals = Vec::new();
    let mut least = f64::INFINITY;
    for (index, week) in known.enumerate() {
        let back = week * WEEK;
        let (first, last) = (past.before(start, back), past.before(end - 1, back));
        let may_be_odd = !are_all && hours.calm_sales(first, last + 1).is_none();
        if may_be_odd && is_of_incident(hours, past, (start, end), back) {
            continue;
        }
        let factor = level.over(weeks_before.typical(index));
        let (mut bare, mut sum_of_week) = (0, 0.0);
        for ((from, until), (sales, amounts)) in chunks.iter().zip(&mut values) {
            let (count, amount) = sum(
                hours,
                past,
                (*from, *until),
                (back, shift, holiday_bps),
                counts,
            );
            sales.push(signed_f64(count) * factor);
            amounts.push(signed_f64(amount) * factor);
            sum_of_week += signed_f64(count) * factor.min(GROWTH_MAX);
            bare += count;
        }
        least = least.min(sum_of_week);
        // By its own level: what a merchant grows by is no straying.
        let own = weeks_before.slots.get(index);
        let own = own.map_or(factor, |week| level.over(weeks_before.of_long_run(week)));
        totals.push(signed_f64(bare) * own);
    }
    let weeks = values.first().map_or(0, |(sales, _)| sales.len());
    let weeks = u32::try_from(weeks).ok().filter(|weeks| *weeks > 0)?;
    if weeks == 1 && len > 24 {
        // Days that differ within the only week that is known say nothing of several days.
        return None;
    }
    let mut usual = Usual {
        weeks: f64::from(weeks),
        sales: 0.0,
        amount: 0.0,
        holiday_bps,
        least_share: 1.0,
        short_squared: 0.0,
    };
    for ((from, until), (sales, amounts)) in chunks.iter().zip(&mut values) {
        if weeks <= 2 {
            // One of so few may be a launch or the first of a month: no more than a day is expected.
            let (day, day_amount) = usual_day(hours, past, (*from, *until), holiday_bps, counts);
            sales.push(signed_f64(day));
            amounts.push(signed_f64(day_amount));
        }
        usual.sales += typical(sales, weeks);
        usual.amount += typical(amounts, weeks);
    }
    if weeks >= POOREST_OF {
        usual.least_share = (least / usual.sales.max(1.0)).min(1.0);
        usual.short_squared = short_squared(&mut totals, weeks);
    }
    Some(usual)
}

/// Sales of a window with a holiday in it as they usually are, given how many came: what people who stay at home may leave out is
/// not expected, and no more than that. So as many sales as ever, each at a part of the price, are held against as many.
pub(super) fn usual_for(
    hours: &Hours,
    past: Past<'_>,
    window: (i64, i64, i64),
    sales: i64,
    counts: impl Fn(&Hour) -> bool + Copy,
) -> Option<Usual> {
    let mut usual = usual(hours, past, window, counts)?;
    let (end, len, _) = window;
    if !past.holidays.touch(end - len, end) {
        return Some(usual);
    }
    let past = Past {
        holidays: Holidays::default(),
        ..past
    };
    let whole = self::usual(hours, past, window, counts)?;
    let sales = signed_f64(sales);
    if sales > usual.sales && whole.sales > usual.sales {
        let part = ((sales - usual.sales) / (whole.sales - usual.sales)).min(1.0);
        usual.amount += part * (whole.amount - usual.amount);
        usual.sales += part * (whole.sales - usual.sales);
    }
    Some(usual)
}

/// How far weeks fall short of what is typical of them.
pub(super) fn short_squared(totals: &mut [f64], weeks: u32) -> f64 {
    let usual = typical(totals, weeks).max(1.0);
    let short = totals
        .iter()
        .map(|total| (1.0 - total / usual).max(0.0).powi(2));
    let weeks = f64::from(weeks);
    2.0 * short.sum::<f64>() / (weeks * by_weeks(SHORT_SEEN, weeks))
}

/// Sales, and their amount, so many hours by the clock before the hours that count, and then some.
fn sum(
    hours: &Hours,
    past: Past<'_>,
    (from, until): (i64, i64),
    (back, shift, holiday_bps): (i64, i64, i64),
    counts: impl Fn(&Hour) -> bool,
) -> (i64, i64) {
    // Nearly always all of these hours count, none is a holiday's, and the others are as far apart.
    if past.calendar.is_fixed()
        && hours.calm_sales(from, until).is_some()
        && !past.holidays.touch(from, until)
        && let Some((count, amount)) = hours.sold(from - back - shift, until - back - shift)
    {
        return (count.max(0), amount.max(0));
    }
    let sum = |is_holiday: bool| {
        let counted = (from..until).filter(|hour| counts(hours.hour(*hour)));
        let counted = counted.filter(|hour| past.holidays.has(*hour) == is_holiday);
        let (count, amount) = counted.fold((0_i64, 0_i64), |(count, amount), hour| {
            let then = hours.hour(past.before(hour, back) - shift);
            let amount = amount.saturating_add(then.sales_amount);
            (count + i64::from(then.sales), amount)
        });
        (count.max(0), amount.max(0))
    };
    let (mut count, mut amount) = sum(false);
    if past.holidays.has_any() {
        let (of_holidays, amount_of_holidays) = sum(true);
        count += of_holidays * holiday_bps / 10_000;
        amount = amount.saturating_add(amount_of_holidays.saturating_mul(holiday_bps) / 10_000);
    }
    (count, amount)
}

/// Sales of the seven days of a week.
type Slots = [i64; 7];

/// What a week brings by now.
struct Level(f64);

/// Sales that both weeks are taken to have had besides, when one is held against another: small ones
/// differ by chance.
const LEVEL_SLACK: f64 = 100.0;

impl Level {
    /// The newest week, if it brought less than what is typical; otherwise that, so that neither
    /// growth is missed nor a launch taken for it.
    fn of(weeks: &Weeks) -> Option<Self> {
        let newest = weeks.of_long_run(weeks.slots.first()?);
        Some(Self(newest.min(weeks.typical(0))))
    }

    /// How many times what that week brought.
    fn over(&self, week: f64) -> f64 {
        (self.0 + LEVEL_SLACK) / (week + LEVEL_SLACK)
    }
}

/// The weeks before a window.
struct Weeks {
    /// The newest first, [`WEEKS`] at most.
    slots: Vec<Slots>,
    /// Of each day the median of all weeks.
    usual: Slots,
}

impl Weeks {
    fn of(slots: Vec<Slots>) -> Self {
        let usual = day_by_day(&slots);
        Self { slots, usual }
    }

    /// What was typical of a week: day by day the median of it and its neighbours. Where less than three
    /// weeks are known, the least.
    fn typical(&self, index: usize) -> f64 {
        let first = index.saturating_sub(1);
        let first = first.min(self.slots.len().saturating_sub(3));
        let last = self.slots.len().min(first + 3);
        self.of_long_run(&day_by_day(&self.slots[first..last]))
    }

    /// What a week like this brings, by the middle one of its days: each is held against the same day of
    /// all weeks, so that a launch on one or two of them, even every other week, does not count.
    fn of_long_run(&self, days: &Slots) -> f64 {
        let mut ratios = [0.0; 7];
        let mut known = 0;
        for (sales, usual) in days.iter().zip(&self.usual) {
            if *usual > 0 {
                ratios[known] = signed_f64(*sales) / signed_f64(*usual);
                known += 1;
            }
        }
        let ratios = &mut ratios[..known];
        ratios.sort_by(f64::total_cmp);
        let place = known.saturating_sub(1) / 2;
        let sum: i64 = self.usual.iter().sum();
        signed_f64(sum) * ratios.get(place).copied().unwrap_or(1.0)
    }
}

/// Of each day the median of these weeks; of two the least.
fn day_by_day(slots: &[Slots]) -> Slots {
    let mut values = [0; WEEKS_MAX];
    let mut days = [0; 7];
    for (day, median_of_day) in days.iter_mut().enumerate() {
        let values = &mut values[..slots.len().min(WEEKS_MAX)];
        for (value, week) in values.iter_mut().zip(slots) {
            *value = week[day];
        }
        *median_of_day = if values.len() < 3 {
            values.iter().copied().min().unwrap_or_default()
        } else {
            median(values)
        };
    }
    days
}

/// Sales of the week that began so many hours before `until`, by the clock. What is known
/// of an hour of an incident is what another week had instead, before `until`.
fn slots_of(hours: &Hours, past: Past<'_>, (until, back): (i64, i64)) -> Slots {
    let clean = |hour: i64| {
        let known = hours.hour(hour);
        if !known.is_incident {
            return known.sales;
        }
        let before = (1..=WEEKS).map(|week| past.before(hour, week * WEEK));
        let after = (1..=WEEKS).map(|week| past.before(hour, -week * WEEK));
        let mut others = before
            .take_while(|hour| *hour >= past.known_from)
            .chain(after.take_while(|hour| *hour < until))
            .map(|hour| hours.hour(hour));
        let other = others.find(|hour| !hour.is_incident);
        other.map_or(0, |other| other.sales)
    };
    let mut slots = [0; 7];
    for (begin, slot) in (until..).step_by(24).zip(&mut slots) {
        let day = past.before(begin, back)..past.before(begin + 24, back);
        let sales = hours.calm_sales(day.start, day.end);
        let sales: i64 = sales.unwrap_or_else(|| day.map(|hour| i64::from(clean(hour))).sum());
        *slot = sales.max(0);
    }
    slots
}

/// The median of what the same hours of the seven days before brought.
fn usual_day(
    hours: &Hours,
    past: Past<'_>,
    window: (i64, i64),
    holiday_bps: i64,
    counts: impl Fn(&Hour) -> bool + Copy,
) -> (i64, i64) {
    let days = (1..=7).map(|day| sum(hours, past, window, (day * 24, 0, holiday_bps), counts));
    let (mut sales, mut amounts): (Vec<i64>, Vec<i64>) = days.unzip();
    (median(&mut sales), median(&mut amounts))
}

/// The lower median, so that a peak is never averaged in; while two weeks are known at most, the
/// least.
pub(super) fn typical(values: &mut [f64], weeks: u32) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = match weeks {
        0..=2 => 0,
        _ => values.len().saturating_sub(1) / 2,
    };
    values.get(place).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "estimates of averages")]
pub(super) const fn signed_f64(value: i64) -> f64 {
    value as f64
}
