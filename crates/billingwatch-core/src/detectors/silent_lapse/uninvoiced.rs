//! Accounts whose endpoint is not told when an invoice is paid.
//!
//! An endpoint may be sent `customer.subscription.*` and charges or payment intents alone. By its invoices every renewal there looks
//! unpaid, so they say nothing: what its customer paid from a turn on pays that turn, one payment for one. A single turn without a
//! payment may have been paid by hand or from a balance; so a lapse is told of who was seen to pay before, or whose period did
//! not even turn where others' do. Sent invoices are nobody's matter here: they are paid by hand.

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::event::{Event, Family};
use crate::ids::{Key, KeyMap};
use crate::ledger::{Generations, NothingDue, PaymentFact, SubscriptionRecord};
use crate::time::{Span, Timestamp};

use super::excuses::{Outage, usual_period};
use super::{SilentLapse, customer_of, trials};

/// So many payments, or begun periods, without one invoice of a subscription told as paid are no chance.
const ENOUGH: u32 = 5;

/// Whose invoices were told as paid within so long is told of them: most subscriptions pay by the month.
const TOLD: Span = Span::days(35);

/// A payment may be told so long before the turn that it pays: at a birth it comes first.
const EARLY: Span = Span::hours(1);

/// The most customers whose payments are remembered, twice; the oldest are forgotten beyond it.
const CUSTOMERS_MAX: usize = 100_000;

/// The most payments remembered of a customer.
const PAYMENTS_MAX: usize = 8;

/// How far a subscription is known to be paid by what its customer paid.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Met {
    through: Timestamp,
    /// What was paid for the newest turn of it that was seen to be paid, minor units.
    paid: Option<i64>,
}

/// What customers pay where invoices do not say so.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Uninvoiced {
    /// When customers paid what no turn has taken yet, and how much.
    paid: Generations<Vec<(Timestamp, i64)>>,
    /// By subscription.
    met: KeyMap<Met>,
    /// When an invoice of a subscription was last told as paid.
    told_at: Option<Timestamp>,
    /// Payments of customers since.
    payments: u32,
    /// Nothing tells of paid invoices here.
    is_so: bool,
}

impl Default for Uninvoiced {
    fn default() -> Self {
        Self {
            paid: Generations::new(TOLD, CUSTOMERS_MAX),
            met: KeyMap::default(),
            told_at: None,
            payments: 0,
            is_so: false,
        }
    }
}

impl Uninvoiced {
    /// An invoice of a subscription is told as paid: invoices say it here.
    pub(super) fn note_told(&mut self, at: Timestamp) {
        self.told_at = self.told_at.max(Some(at));
        if self.payments > 0 || self.is_so {
            // How far each is paid stays known: the next turn is due as ever.
            self.paid = Generations::new(TOLD, CUSTOMERS_MAX);
            self.payments = 0;
            self.is_so = false;
        }
    }

    /// Forgets a subscription that ended.
    pub(super) fn forget(&mut self, key: Key) {
        if !self.met.is_empty() {
            self.met.swap_remove(&key);
        }
    }

    /// Takes in a payment, where invoices may not tell of it; who paid.
    fn note(&mut self, payment: &PaymentFact, ctx: &Context<'_>) -> Option<Key> {
        if self.is_told(ctx) || ctx.ledger().subscriptions().next().is_none() {
            return None;
        }
        let customer = payment.customer?;
        self.payments = self.payments.saturating_add(1);
        self.paid.advance_to(ctx.now());
        let paid = self.paid.entry(customer, Vec::new);
        if paid.len() >= PAYMENTS_MAX {
            paid.remove(0);
        }
        paid.push((payment.at, payment.amount));
        Some(customer)
    }

    fn is_told(&self, ctx: &Context<'_>) -> bool {
        (self.told_at).is_some_and(|at| ctx.now().since(at) < TOLD)
    }

    /// Whether nothing tells of paid invoices here, as far as is known.
    fn is_so(&mut self, ctx: &Context<'_>) -> bool {
        if self.is_so || self.is_told(ctx) {
            return self.is_so;
        }
        let has_turned = |record: &SubscriptionRecord| {
            record.is_untold() && (self.told_at).is_none_or(|at| record.period_start > Some(at))
        };
        let have_turned = || {
            let turned = ctx.ledger().subscriptions();
            let turned = turned.filter(|(_, record)| has_turned(record));
            turned.take(ENOUGH as usize).count() >= ENOUGH as usize
        };
        let have_paid = self.payments >= ENOUGH;
        self.is_so = if self.told_at.is_some() {
            have_paid && have_turned()
        } else {
            have_paid || have_turned()
        };
        self.is_so
    }

    /// When a subscription should pay next, as far as its customer's payments reach.
    fn due_at(&self, key: Key, record: &SubscriptionRecord) -> Result<Timestamp, NothingDue> {
        match self.met.get(&key) {
            Some(met) if record.paid_through < Some(met.through) => {
                trials::due_at(&record.paid_up_to(met.through))
            }
            _ => trials::due_at(record),
        }
    }

    /// Lets a payment of its customer pay what was due; how long that took, if there is one.
    fn pay(&mut self, key: Key, record: &SubscriptionRecord, due_at: Timestamp) -> Option<Span> {
        let turn = due_at - record.payment_term();
        let paid = self.paid.get_mut(customer_of(record)?)?;
        let place = paid.iter().position(|(at, _)| *at >= turn - EARLY)?;
        let (at, amount) = paid.remove(place);
        self.reach(key, record, turn, Some(amount));
        Some(at.since(turn))
    }

    /// Leaves what was due at a turn to the next one.
    fn reach(&mut self, key: Key, record: &SubscriptionRecord, turn: Timestamp, paid: Option<i64>) {
        let known = record.period_end;
        let known = known.filter(|end| *end > turn + record.boundary_slack());
        let period = usual_period(record).max(Span::days(1));
        let through = known.unwrap_or(turn + period);
        let paid = paid.or_else(|| self.met.get(&key)?.paid);
        self.met.insert(key, Met { through, paid });
    }

    /// Whether it was seen to pay, and no more than it costs now: who changed to a cheaper plan has a credit for what was paid for the
    /// dearer one, and that pays the next turns (Stripe docs: Prorations).
    fn has_paid(&self, key: Key, record: &SubscriptionRecord) -> bool {
        let paid = self.met.get(&key).and_then(|met| met.paid);
        paid.is_some_and(|paid| {
            let price = record.amount().unwrap_or(paid);
            paid <= price.saturating_add(price / 2)
        })
    }
}

impl SilentLapse {
    /// A payment came in: it may be that of a subscription that lapsed.
    pub(super) fn note_payment(
        &mut self,
        payment: &PaymentFact,
        event: &Event,
        ctx: &mut Context<'_>,
    ) {
        let Some(customer) = self.uninvoiced.note(payment, ctx) else {
            return;
        };
        if self.lapsed.is_empty() {
            return;
        }
        let of_customer = |key: &Key| {
            let record = ctx.ledger().subscription(*key);
            record.and_then(customer_of) == Some(customer)
        };
        let lapsed: Vec<Key> = self.lapsed.keys().filter(of_customer).collect();
        for key in lapsed {
            self.look(key, Some(event), ctx);
        }
    }

    /// When a subscription should pay next.
    pub(super) fn due_of(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        ctx: &Context<'_>,
    ) -> Result<Timestamp, NothingDue> {
        let mut due = self.uninvoiced.due_at(key, record);
        while let Ok(due_at) = due
            && due_at <= ctx.now()
            && self.uninvoiced.is_so(ctx)
            && let Some(waited) = self.uninvoiced.pay(key, record, due_at)
        {
            self.late.note(key, waited);
            due = self.uninvoiced.due_at(key, record);
        }
        due
    }

    /// Whether nobody can say if it paid: what was due is left to the next turn.
    pub(super) fn is_untold(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        due_at: Timestamp,
        ctx: &mut Context<'_>,
    ) -> bool {
        if !self.uninvoiced.is_so(ctx) {
            return false;
        }
        let turn = due_at - record.payment_term();
        let is_turned = (record.period_start)
            .is_some_and(|start| start + record.boundary_slack() >= turn)
            && record.period_end > Some(turn);
        let are_turns_told = || {
            let mut all = ctx.ledger().subscriptions();
            all.any(|(_, other)| {
                let start = other.period_start.filter(|_| other.has_renewed());
                start.is_some_and(|at| ctx.now().since(at) < TOLD)
            })
        };
        let is_sent = record.payment_term() > Span::ZERO;
        let is_news = self.uninvoiced.has_paid(key, record) || !is_turned && are_turns_told();
        if !is_sent && is_news {
            return false;
        }
        let message = format!(
            "what was due {due_at} may have been paid: no event here tells when an invoice is paid"
        );
        ctx.suppress("payments_untold", Some(&record.id), message);
        self.uninvoiced.reach(key, record, turn, None);
        true
    }

    /// What silences since its turn mean for a payment that is overdue: of the events that would tell of it.
    pub(super) fn outage_of<'a>(
        &mut self,
        record: &SubscriptionRecord,
        times: (Timestamp, Timestamp),
        ctx: &Context<'a>,
    ) -> Outage<'a> {
        let own = trials::family_of(record.status);
        if own != Family::Invoice || !self.uninvoiced.is_so(ctx) {
            return Outage::of(record, times, own, ctx);
        }
        let by_charge = Outage::of(record, times, Family::Charge, ctx);
        let by_intent = Outage::of(record, times, Family::PaymentIntent, ctx);
        Outage {
            judged_at: by_charge.judged_at.max(by_intent.judged_at),
            unseen: by_charge.unseen.or(by_intent.unseen),
        }
    }
}
