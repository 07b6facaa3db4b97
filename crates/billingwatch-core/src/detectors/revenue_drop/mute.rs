//! When missing money proves nothing: its events may never have arrived.

use crate::detector::Context;
use crate::event::Family;
use crate::intake::{Trouble, TroubleKind};
use crate::time::{Span, Timestamp};

use super::gap::Gap;

/// How long a backlog is awaited after a silence, at least and at most. Stripe's next try comes
/// about as long after an outage as that lasted; of its last hours, within the hour. So a silence that
/// brings nothing at all for hours was no outage.
const BACKLOG_MIN: Span = Span::hours(2);
/// See [`BACKLOG_MIN`].
const BACKLOG_MAX: Span = Span::hours(4);

/// The trouble with deliveries that may explain this gap in the hours before `end`.
///
/// A silence explains it until its backlog must have come: Stripe delivers again for three days, so
/// what does not come then never was. Charges alone that are silent explain it when renewals are
/// told as paid all the same.
pub(super) fn lost(ctx: &Context<'_>, gap: &Gap, end: i64) -> Option<Trouble> {
    let to = Timestamp::EPOCH + Span::hours(end);
    let from = to - Span::hours(gap.hours);
    let trouble = ctx.intake().lost_between(Family::Charge, from, to)?;
    let is_blind = match trouble.kind {
        TroubleKind::FamilySilence(_) => gap.paid > 0,
        _ => trouble.back_at.is_none_or(|back_at| {
            let lasted = back_at.since(trouble.since);
            ctx.now() < back_at + lasted.clamp(BACKLOG_MIN, BACKLOG_MAX)
        }),
    };
    is_blind.then(|| trouble.clone())
}
