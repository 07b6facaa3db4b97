//! What can be on the agenda, and who does it.

use crate::billing::{Change, Invoice, SubKey};
use crate::ids::Id;
use crate::incidents::Step;
use crate::money::Currency;
use crate::objects::Payment;
use crate::objects::dispute::Dispute;
use crate::world::World;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Task {
    /// Somebody subscribes, and the next one is awaited.
    Signup,
    /// Stripe announces the invoice that is to come.
    Upcoming(SubKey),
    /// A period ends.
    Renew(SubKey),
    /// A draft becomes an open invoice, and is collected if it collects itself.
    Finalize(SubKey, Box<Invoice>),
    /// An open invoice is tried again.
    Retry(SubKey, Box<Invoice>),
    /// The first invoice of an incomplete subscription was not paid within 23 hours.
    Expire(SubKey, Box<Invoice>),
    /// The bank answers a debit.
    Debit(SubKey, Box<Invoice>, Box<Payment>),
    /// A net-30 invoice is past its date.
    Overdue(SubKey, Box<Invoice>),
    /// A net-30 customer pays.
    PayTerms(SubKey, Box<Invoice>),
    /// A trial ends in three days.
    TrialWillEnd(SubKey),
    /// The customer changes something.
    Change(SubKey, Change),
    /// Somebody buys, and the next one is awaited.
    Purchase,
    /// A buyer whose card was declined tries again; how often before.
    Retype(Box<Payment>, u32),
    /// The same customer buys the same thing again, on purpose.
    BuyAgain(Box<Payment>),
    /// An authorised payment is captured, or not.
    Capture(Box<Payment>),
    /// The balance of a stay is due.
    Balance(Box<Payment>),
    /// A guest arrives, and a security is held.
    Hold(Box<Payment>),
    /// Another session of the same card.
    ParkAgain(Box<Payment>),
    /// The night's job tries an unpaid session; how many nights it has before.
    Collect(Box<Payment>, u32),
    /// Some of a payment is given back.
    Refund(Box<Payment>, i64, Option<&'static str>),
    /// The card holder's bank asks (an inquiry) or takes the money back.
    Dispute(Box<Payment>, bool),
    /// A dispute or inquiry ends.
    CloseDispute(Box<Payment>, Box<Dispute>),
    /// The network suspects fraud.
    Warning(Box<Payment>),
    /// The day's takings go to the bank.
    Payout,
    /// They are expected there.
    PayoutPaid(Id, i64, Currency, i64),
    /// Something no detector cares for.
    Noise,
    /// A step of an incident.
    Incident(usize, Step),
}

impl World {
    pub(crate) fn run(&mut self, task: Task) {
        match task {
            Task::Signup => self.signup(),
            Task::Upcoming(key) => self.announce(key),
            Task::Renew(key) => self.renew(key),
            Task::Finalize(key, invoice) => self.finalize(key, invoice),
            Task::Retry(key, invoice) => self.retry(key, invoice),
            Task::Expire(key, invoice) => self.expire(key, invoice),
            Task::Debit(key, invoice, payment) => self.end_debit(key, invoice, &payment),
            Task::Overdue(key, invoice) => self.overdue(key, invoice),
            Task::PayTerms(key, invoice) => self.pay_terms(key, invoice),
            Task::TrialWillEnd(key) => self.trial_will_end(key),
            Task::Change(key, change) => self.change(key, change),
            Task::Purchase => self.purchase(),
            Task::Retype(payment, tries) => self.retype(*payment, tries),
            Task::BuyAgain(payment) => self.buy_again(&payment),
            Task::Capture(payment) => self.capture(*payment),
            Task::Balance(payment) => self.collect_balance(&payment),
            Task::Hold(payment) => self.hold_security(&payment),
            Task::ParkAgain(payment) => self.park_again(&payment),
            Task::Collect(payment, nights) => self.collect_unpaid(&payment, nights),
            Task::Refund(payment, amount, reason) => self.refund(*payment, amount, reason),
            Task::Dispute(payment, inquiry) => self.dispute(*payment, inquiry),
            Task::CloseDispute(payment, dispute) => self.close_dispute(&payment, *dispute),
            Task::Warning(payment) => self.warn(*payment),
            Task::Payout => self.pay_out(),
            Task::PayoutPaid(id, amount, currency, created_at) => {
                self.payout_paid(id, amount, currency, created_at);
            }
            Task::Noise => self.noise(),
            Task::Incident(incident, step) => self.step(incident, step),
        }
    }
}
