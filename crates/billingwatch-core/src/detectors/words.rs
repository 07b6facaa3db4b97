//! Small shared readings: percentages in words, and details of the event at hand.

use crate::event::charge::Charge;
use crate::event::{Event, EventData};

pub(super) use crate::stats::rounded;

/// Basis points in words, such as `15.3 %`.
pub(super) fn percent(bps: i64) -> String {
    let tenths = bps / 10;
    if tenths % 10 == 0 {
        format!("{} %", tenths / 10)
    } else {
        format!("{}.{} %", tenths / 10, (tenths % 10).abs())
    }
}

/// A share of one in basis points.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and is 10,000 at most here"
)]
pub(super) fn bps_of(share: f64) -> i64 {
    (share * 10_000.0).round() as i64
}

/// A count for arithmetic with probabilities; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) const fn as_f64(count: u64) -> f64 {
    count as f64
}

/// The charge an event is about.
pub(super) fn charge_of(event: &Event) -> Option<&str> {
    match &event.data {
        EventData::Charge(charge) => Some(charge.id.as_str()),
        EventData::PaymentIntent(intent) => intent.latest_charge.as_ref().map(|id| id.as_str()),
        _ => None,
    }
}

/// Whether a charge pays an invoice: it names it, or Stripe's own description says so, which comes in
/// every API version.
pub(super) fn is_for_invoice(charge: &Charge) -> bool {
    let description = charge.description.as_deref().unwrap_or_default();
    charge.invoice.is_some()
        || description.starts_with("Subscription ")
        || description.starts_with("Payment for Invoice")
}

/// Why a charge failed, in Stripe's word.
pub(super) fn decline_code(event: &Event) -> &str {
    let code = match &event.data {
        EventData::Charge(charge) => charge
            .outcome
            .reason
            .as_deref()
            .or(charge.failure_code.as_deref()),
        EventData::PaymentIntent(intent) => intent.error_code.as_deref(),
        _ => None,
    };
    code.unwrap_or("unknown")
}
