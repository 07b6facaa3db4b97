//! Subscriptions and their invoices, from sign-up to cancellation.
//!
//! `signup` and `renewal` make invoices, `collection` has them paid or not, `debit` is how banks take
//! their time over it, `changes` is what customers do in between.

mod changes;
mod collection;
mod debit;
mod model;
mod population;
mod renewal;
mod signup;

pub(crate) use changes::Change;
pub(crate) use model::{Invoice, Lapse, Line, Status, SubKey, Subscription, Subscriptions};
