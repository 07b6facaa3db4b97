//! What the engine knows from the journal: payments, invoices, subscriptions.

/// Something of the world, learned for the first time.
#[derive(Clone, Debug)]
pub enum Fact {}

/// What is known of one scope.
#[derive(Debug, Default)]
pub struct Ledger {}
