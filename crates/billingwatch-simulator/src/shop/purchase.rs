//! One-off purchases, by the rhythm of the week; buyers who try again; buyers who come back.

use crate::ids::Kind;
use crate::merchant::Selling;
use crate::merchant::customer::Customer;
use crate::objects::{self, Payment, Verdict};
use crate::task::Task;
use crate::world::{Request, World};

/// How many returning customers are known at once.
const REGULARS_MAX: usize = 3_000;
/// Purchases by somebody who bought before.
const RETURNING_PPM: i64 = 500_000;
/// Declined buyers who try again.
const RETYPE_PPM: i64 = 550_000;
/// How often a buyer tries at most.
const TRIES_MAX: u32 = 4;
/// Chance that a further try fails too.
const RETYPE_DECLINES_PPM: i64 = 250_000;

/// Customers who may buy again: the latest few thousand.
#[derive(Debug, Default)]
pub(crate) struct Regulars {
    ring: Vec<Customer>,
    next: usize,
}

impl Regulars {
    fn add(&mut self, customer: Customer) {
        if self.ring.len() < REGULARS_MAX {
            self.ring.push(customer);
        } else if let Some(place) = self.ring.get_mut(self.next) {
            *place = customer;
            self.next = (self.next + 1) % REGULARS_MAX;
        }
    }
}

impl World {
    pub(crate) fn open_shop(&mut self) {
        self.schedule_purchase();
        self.schedule(self.now_ms + 2 * 3_600_000, Task::Payout);
        self.schedule_noise();
    }

    fn schedule_purchase(&mut self) {
        let (rhythm, per_day) = (self.env.profile.rhythm, self.env.profile.purchases_per_day);
        if per_day == 0 {
            return;
        }
        let gap_ms = 86_400_000 * 1_000 / (rhythm.max_ppm() / 1_000) / per_day;
        let mut at_ms = self.now_ms;
        while at_ms < self.end_ms {
            at_ms += self.shop_dice.wait(gap_ms);
            if self.shop_dice.below(rhythm.max_ppm()) < rhythm.weight_ppm(at_ms / 1_000) {
                break;
            }
        }
        self.schedule(at_ms, Task::Purchase);
    }

    pub(crate) fn purchase(&mut self) {
        self.schedule_purchase();
        if let Some(incident) = self.conditions.purchase_lost(self.now_ms) {
            // The buyer gave up before there was anything to pay; a later end is all there is to note.
            let now = self.now();
            return self.extend_label(incident, now);
        }
        let (payment, request) = self.new_sale();
        if self.config.oddities && self.odd_sale(&payment, request) {
            return;
        }
        match self.env.profile.selling {
            Selling::AtOnce => {
                let declines_ppm = self.env.profile.declines_ppm;
                self.sell(&payment, request, declines_ppm);
            }
            Selling::Bookings { deposit_percent } => self.book(&payment, request, deposit_percent),
            Selling::Sessions {
                unpaid_ppm,
                again_ppm,
            } => self.park(&payment, request, unpaid_ppm, again_ppm),
        }
    }

    /// A sale about to happen. A new customer is told of at once.
    pub(crate) fn new_sale(&mut self) -> (Payment, Request) {
        let profile = self.env.profile;
        let request = self.new_request();
        let known = self.regulars.ring.len();
        let returning = known > 0 && self.shop_dice.chance(RETURNING_PPM);
        let customer = if returning {
            self.regulars.ring[self.shop_dice.index(known)]
        } else {
            self.new_customer()
        };
        let guest = !returning && self.shop_dice.chance(profile.guests_ppm * 2);
        if !guest && !returning {
            self.regulars.add(customer);
            let created_at = self.now();
            self.emit("customer.created", 0, request, |w, env| {
                objects::customer::write(w, env, customer, None, 0, created_at);
            });
        }
        let currency = profile.currencies[self
            .shop_dice
            .weighted(profile.currencies.iter().map(|c| c.1))]
        .0;
        let cents = self.shop_dice.pick(profile.baskets);
        let order = self.new_order();
        let payment = Payment {
            charge: self.new_id(Kind::Charge),
            intent: self.new_id(Kind::PaymentIntent),
            customer: (!guest).then_some(customer),
            card: customer.card(),
            amount: currency.price(cents),
            currency,
            created_at: self.now(),
            captured: true,
            refunded: 0,
            disputed: false,
            invoice: None,
            debit: false,
            order: profile.order_ids.then_some(order),
            description: match profile.selling {
                Selling::AtOnce if profile.order_ids => "Order",
                Selling::AtOnce => "One-time purchase",
                Selling::Bookings { .. } => "Stay",
                Selling::Sessions { .. } => "Session",
            },
        };
        (payment, request)
    }

    /// Asks the buyer for the money. True when it came.
    pub(crate) fn sell(&mut self, payment: &Payment, request: Request, declines_ppm: i64) -> bool {
        self.emit_intent(payment, request);
        let verdict = self.attempt(payment, declines_ppm);
        self.emit_attempt(payment, verdict, request, 900);
        self.conclude(*payment, verdict, request, 0)
    }

    /// A payment intent is made, before anybody tries to pay it.
    pub(super) fn emit_intent(&mut self, payment: &Payment, request: Request) {
        self.emit("payment_intent.created", 60, request, |w, env| {
            objects::payment_intent::write(w, env, payment, None);
        });
    }

    /// Small merchants sell through a hosted checkout page, and hear of its completion too.
    pub(crate) fn emit_session(&mut self, payment: &Payment, request: Request) {
        if !self.env.profile.order_ids && payment.captured {
            self.emit("checkout.session.completed", 1_300, request, |w, env| {
                objects::misc::write_session(w, env, payment);
            });
        }
    }

    fn conclude(
        &mut self,
        payment: Payment,
        verdict: Verdict,
        request: Request,
        tries: u32,
    ) -> bool {
        if verdict == Verdict::Approved {
            self.emit_session(&payment, request);
            if payment.captured {
                self.foresee(&payment);
            }
            return true;
        }
        if verdict != Verdict::Blocked && tries < TRIES_MAX && self.shop_dice.chance(RETYPE_PPM) {
            let at_ms = self.now_ms + self.shop_dice.range(15_000, 150_000);
            self.schedule(at_ms, Task::Retype(Box::new(payment), tries + 1));
        }
        false
    }

    /// The same intent, a new charge, perhaps another card.
    pub(crate) fn retype(&mut self, mut payment: Payment, tries: u32) {
        if self.shop_dice.chance(400_000) {
            payment.card.nth += 1;
        }
        payment.charge = self.new_id(Kind::Charge);
        let request = self.new_request();
        let verdict = self.attempt(&payment, RETYPE_DECLINES_PPM);
        self.emit_attempt(&payment, verdict, request, 0);
        self.conclude(payment, verdict, request, tries);
    }
}
