//! Who does business: what each kind of merchant sells, how much, when, and to whom.
//!
//! Only numbers and names; what happens with them is told in `billing` and `shop`.

pub(crate) mod customer;
mod profile;
mod trades;

pub(crate) use profile::{Profile, Selling};
