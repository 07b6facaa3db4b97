//! The `billingwatch` command.
fn main() {}
