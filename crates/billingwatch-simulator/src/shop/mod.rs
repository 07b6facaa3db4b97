//! Payments: one-off purchases, attempts of every kind, and what comes of them later.

mod aftermath;
mod attempt;
mod odds;
mod purchase;

pub(crate) use purchase::Regulars;
