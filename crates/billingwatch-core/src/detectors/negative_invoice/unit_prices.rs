//! What each price costs by the piece: no proration gives back more for one.
//!
//! The amount of a Stripe price cannot be changed (Stripe docs: Manage products and prices), and a credit for unused time is at most
//! what the whole period costs. That is known of subscriptions as well whose payments nobody saw.

use serde::{Deserialize, Serialize};

use crate::event::invoice::{Invoice, InvoiceLine};
use crate::ids::Key;
use crate::ledger::Generations;
use crate::money::Currency;
use crate::time::{Span, Timestamp};

/// How long a price that nobody is billed for is remembered, at least: a yearly one is billed once in it.
const MEMORY: Span = Span::days(400);

/// At most twice so many prices are remembered: some accounts make one for each customer.
const MEMORY_MAX: usize = 50_000;

/// So many invoices must have billed it.
const LINES_MIN: u32 = 3;

/// Amounts by the piece that differ by no more than one in so many are the same, but for rounding.
const ROUNDING: i64 = 50;

/// A credit is beyond all reason above so many halves of what the piece costs.
const HALVES: i64 = 3;

/// Hundredths of a minor unit: prices of less than one are common.
const FINE: i64 = 100;

/// What is known of a price, in one currency.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct UnitPrice {
    /// By the piece, see [`FINE`].
    least: i64,
    most: i64,
    /// Of so many pieces.
    few: i64,
    many: i64,
    lines: u32,
}

/// One scope's prices.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UnitPrices(Generations<UnitPrice>);

/// A credit that gives back more than its price ever cost.
pub(super) struct Beyond {
    /// Minor units, without the sign.
    pub(super) credited: i64,
    /// What as many pieces cost, minor units.
    pub(super) cost: i64,
}

impl Default for UnitPrices {
    fn default() -> Self {
        Self(Generations::new(MEMORY, MEMORY_MAX))
    }
}

impl UnitPrices {
    /// Forgets; when it does next.
    pub(super) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        self.0.advance_to(now)
    }

    /// Takes in an invoice, once it is final.
    pub(super) fn learn(&mut self, invoice: &Invoice) {
        let Some(currency) = invoice.currency.filter(|_| !invoice.has_test_clock) else {
            return;
        };
        let billed = |line: &&InvoiceLine| line.amount > 0 && !line.is_proration;
        for line in invoice.lines.iter().filter(billed) {
            let Some((key, pieces, by_piece)) = by_piece(line, currency) else {
                continue;
            };
            let known = self.0.entry(key, || UnitPrice {
                least: by_piece,
                most: by_piece,
                few: pieces,
                many: pieces,
                lines: 0,
            });
            known.least = known.least.min(by_piece);
            known.most = known.most.max(by_piece);
            known.few = known.few.min(pieces);
            known.many = known.many.max(pieces);
            known.lines = known.lines.saturating_add(1);
        }
    }

    /// The first proration of an invoice that gives back more than its price costs. Where the same price is billed beside it a
    /// number of pieces was changed, and not every integration says by how many.
    pub(super) fn beyond(&self, invoice: &Invoice) -> Option<Beyond> {
        let currency = invoice.currency?;
        let is_billed = |line: &InvoiceLine| {
            let mut others = invoice.lines.iter().filter(|other| other.amount > 0);
            others.any(|other| other.price == line.price)
        };
        let credits =
            |line: &&InvoiceLine| line.amount < 0 && line.is_proration && !is_billed(line);
        invoice.lines.iter().filter(credits).find_map(|line| {
            let (key, pieces, by_piece) = by_piece(line, currency)?;
            let known = self.0.get(key).filter(|known| known.lines >= LINES_MIN)?;
            // Tiers and packages cost less by the piece the more they are.
            let is_flat = known.most - known.least <= known.most / ROUNDING;
            let is_usual = known.few <= pieces && pieces <= known.many;
            let is_beyond = by_piece > known.most.saturating_mul(HALVES) / 2;
            (is_flat && is_usual && is_beyond).then(|| Beyond {
                credited: line.amount.saturating_neg(),
                cost: known.most.saturating_mul(pieces) / FINE,
            })
        })
    }
}

/// The price of a line, how many pieces, and what one costs or gives back; see [`FINE`].
fn by_piece(line: &InvoiceLine, currency: Currency) -> Option<(Key, i64, i64)> {
    let price = line.price.as_ref()?;
    let pieces = line.quantity.unwrap_or(1);
    let amount = line.amount.saturating_abs().saturating_mul(FINE);
    let key = || Key::of(&format!("{price}/{}", currency.as_str()));
    (pieces > 0).then(|| (key(), pieces, amount / pieces))
}
