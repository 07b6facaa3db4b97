//! When missing money proves nothing: its events may never have arrived.

use crate::detector::Context;
use crate::event::Family;
use crate::intake::{Trouble, TroubleKind};
use crate::money::share_bps;
use crate::time::{Span, Timestamp};

use super::Settings;
use super::currency::{chance_max, drop_of};
use super::dues::SETTLE;
use super::gap::{Cause, Gap};
use super::hours::{HOUR, Hours, hour_of};

/// Sales, in basis points of what is usual, that may be missing where renewals alone are unseen.
const SALES_LOST_MAX: i64 = 1_500;

/// Minutes with events that must have been usual in a silence that is over, for it to explain anything: fewer may be missing
/// by chance, and it was the renewals that never happened which made it a silence.
const SILENCE_MINUTES_MIN: i64 = 5;

/// How long before a silence a period may have turned whose invoice was to be finalised in it: Stripe does so about an hour after
/// the turn. What turned earlier was told before the silence began.
const FINALIZED: Span = Span::minutes(75);

/// Trouble with deliveries that may explain a gap.
#[derive(Debug)]
pub(super) struct Blind {
    pub(super) trouble: Trouble,
    /// The hours of which too little is known: from the first until before the second.
    pub(super) hours: (i64, i64),
    /// Of silences that are over, the hours in which renewals are booked that turned in one or were to be invoiced in it: no
    /// others are explained by it. None of a kind of events that is silent by itself.
    pub(super) of_renewals: Vec<(i64, i64)>,
}

impl Blind {
    /// Whether this gap, found where the renewals that the silence explains do not count, is one all the same: by its renewals
    /// alone, however many sales the silence may have had, or by its sales.
    pub(super) fn leaves(
        &self,
        gap: &Gap,
        end: i64,
        of_renewals_alone: f64,
        settings: &Settings,
    ) -> bool {
        let to = Timestamp::EPOCH + Span::hours(end);
        let explained = explained_bps(&self.trouble, to - Span::hours(gap.hours), to);
        if gap.lost_bps().0 < SALES_LOST_MAX {
            return drop_of(gap) > explained;
        }
        let sales_lost = gap.usual_amount.saturating_sub(gap.sales_amount);
        let excused = sales_lost.clamp(0, part_of(gap.usual_amount.max(0), explained));
        share_bps(gap.missing().saturating_sub(excused), gap.expected) > settings.drop_bps_min
            && of_renewals_alone <= chance_max(settings)
    }
}

/// So many basis points of an amount, no more than all of it.
fn part_of(amount: i64, bps: i64) -> i64 {
    let part = i128::from(amount) * i128::from(bps.clamp(0, 10_000)) / 10_000;
    i64::try_from(part).unwrap_or(amount)
}

/// The trouble with deliveries that may explain this gap in the hours before `end`.
///
/// A silence explains it for good unless its backlog came: it is told by `webhook_lag`, and what
/// was sold in it nobody knows. Of renewals it explains those that it may have hidden, which show two hours after it. Charges alone
/// that are silent explain it when renewals are told as paid all the same, and invoices alone when it
/// is renewals that are missing. Sales that fall by far more than the silence was long are no matter of
/// the silence: where a checkout is broken, few events are left.
pub(super) fn lost(ctx: &Context<'_>, gap: &Gap, hours: &Hours, end: i64) -> Option<Blind> {
    if gap.cause == Cause::Used {
        // These invoices came, and said how little.
        return None;
    }
    let to = Timestamp::EPOCH + Span::hours(end);
    let from = to - Span::hours(gap.hours);
    let silences = || ctx.intake().silent_between(from - SETTLE - HOUR, to);
    if let Some(silence) = silences().find(|silence| may_explain(silence, gap, from, to)) {
        let back_at = silence.back_at.unwrap_or(to);
        return Some(Blind {
            trouble: silence.clone(),
            hours: (hour_of(silence.since), hour_of(back_at + SETTLE) + 1),
            of_renewals: silences().filter_map(renewals_in).collect(),
        });
    }
    let charges = ctx.intake().lost_between(Family::Charge, from, to);
    let invoices = || ctx.intake().lost_between(Family::Invoice, from, to);
    let of_family = |trouble: &&Trouble| matches!(trouble.kind, TroubleKind::FamilySilence(_));
    let trouble = charges
        .filter(of_family)
        .filter(|_| gap.paid > 0)
        .or_else(|| {
            let is_of_renewals = gap.silent > 0 && gap.lost_bps().1 < SALES_LOST_MAX;
            let fell_in_it =
                |trouble: &&Trouble| were_due_in(trouble.back_at, hours, (end - gap.hours, end));
            let invoices = invoices().filter(of_family).filter(|_| is_of_renewals);
            invoices.filter(fell_in_it)
        })?;
    Some(Blind {
        trouble: trouble.clone(),
        hours: (end - gap.hours, end),
        of_renewals: Vec::new(),
    })
}

/// The hours in which renewals are booked that a silence may have hidden: they turned in it, so that their invoice may wait for its
/// `invoice.created` to be delivered, or were to be invoiced in it. `None` while it lasts.
fn renewals_in(silence: &Trouble) -> Option<(i64, i64)> {
    let back_at = silence.back_at?;
    let first = hour_of(silence.since - FINALIZED + SETTLE);
    Some((first, hour_of(back_at + SETTLE) + 1))
}

/// Whether most of the renewals that nobody asked for fell due before invoices were told again: the first of them ends the
/// silence, and who bills once a month is silent until then.
fn were_due_in(back_at: Option<Timestamp>, hours: &Hours, (from, until): (i64, i64)) -> bool {
    let Some(back_at) = back_at else {
        return true;
    };
    // They are booked when the time is over that they are given.
    let told_from = hour_of(back_at + SETTLE);
    let silent = |hour: i64| i64::from(hours.hour(hour).silent);
    let all: i64 = (from..until).map(silent).sum();
    let before: i64 = (from..until.min(told_from)).map(silent).sum();
    before * 2 > all
}

/// Whether a silence is long enough to hold some of what is missing: it may have had twice the sales of an
/// average hour. Renewals come in batches, so that any may hold many: which ones is asked next.
fn may_explain(silence: &Trouble, gap: &Gap, from: Timestamp, to: Timestamp) -> bool {
    let (renewals_lost, _) = gap.lost_bps();
    if silence.back_at.is_some() && silence.expected_minutes() < SILENCE_MINUTES_MIN {
        return false;
    }
    renewals_lost >= SALES_LOST_MAX || drop_of(gap) <= explained_bps(silence, from, to)
}

/// How far sales may fall for a silence, in basis points.
fn explained_bps(silence: &Trouble, from: Timestamp, to: Timestamp) -> i64 {
    let until = silence.back_at.unwrap_or(to).min(to);
    let silent = until.since(silence.since.max(from)).max(Span::ZERO);
    2 * share_bps(silent.as_secs(), to.since(from).as_secs()) + SALES_LOST_MAX
}

#[cfg(test)]
mod tests {
    use super::super::dues::{Booking, Outcome};
    use super::*;
    use crate::money::Currency;

    #[test]
    fn renewals_due_once_invoices_are_told_again_fell_in_no_silence() {
        let at = |hour: i64| Timestamp::EPOCH + Span::hours(hour);
        let mut hours = Hours::default();
        for n in 0..40 {
            // The billing run itself ends the silence.
            hours.book(&Booking {
                at: at(500_012) + Span::secs(n) + SETTLE,
                amount: 4_900,
                currency: Currency::USD,
                outcome: Outcome::Silent,
                given: 0,
                off: 0,
                short: 0,
                sign: 1,
            });
        }
        let window = (500_003, 500_015);
        assert!(!were_due_in(Some(at(500_012)), &hours, window));
        assert!(were_due_in(Some(at(500_013)), &hours, window));
        assert!(were_due_in(None, &hours, window));
    }
}
