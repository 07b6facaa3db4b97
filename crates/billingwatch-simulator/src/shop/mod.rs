//! Payments: one-off purchases, attempts of every kind, and what comes of them later.

mod aftermath;
mod attempt;
mod booking;
mod odds;
mod purchase;
mod session;

pub(crate) use purchase::Regulars;
