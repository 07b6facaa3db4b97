//! A manual invoice whose total is below zero, which no proration explains: half a price, three prices,
//! or forty.

use crate::billing::{Invoice, Line, SubKey};
use crate::config::IncidentPlan;
use crate::ids::Kind;
use crate::objects::{self, invoice::View};
use crate::world::World;

impl World {
    pub(super) fn wrong_invoice(&mut self, incident: usize, plan: &IncidentPlan) {
        self.tag = Some(incident);
        let victim = self.pick_subscription();
        let subscription = victim.and_then(|key| self.subscriptions.get(key)).copied();
        let currency = subscription.map_or(self.env.profile.currencies[0].0, |s| s.currency);
        let price = subscription.map_or_else(
            || currency.price(self.env.profile.baskets[0]),
            |s| s.unit_amount * s.quantity,
        );
        let percent = plan.strength.pick(50, 300, 4_000);
        let amount = -currency.round(price * percent / 100).max(10);
        let customer = match subscription {
            Some(s) => s.customer,
            None => self.new_customer(),
        };
        let balance = subscription.map_or(0, |s| s.balance);
        let now = self.now();
        let line = Line {
            amount,
            quantity: 1,
            plan: 0,
            unit_amount: amount,
            description: "Account adjustment",
            proration: false,
            manual: true,
            from: now,
            to: now,
        };
        let mut invoice = Invoice {
            id: self.new_id(Kind::Invoice),
            customer,
            subscription: None,
            currency,
            billing_reason: "manual",
            status: "draft",
            lines: [Some(line), None],
            percent_off: 0,
            discount: 0,
            starting_balance: balance,
            ending_balance: None,
            amount_paid: 0,
            attempts: 0,
            next_attempt_at: None,
            created_at: now,
            period_start: now,
            period_end: now,
            finalized_at: None,
            paid_at: None,
            uncollectible_at: None,
            voided_at: None,
            due_at: None,
            net30: false,
            debit: false,
            auto_advance: false,
            out_of_band: false,
            card: customer.card(),
            intent: None,
            charge: None,
        };
        let request = self.new_request();
        self.emit("invoice.created", 0, request, |w, env| {
            objects::invoice::write(w, env, &invoice, None, View::Whole);
        });
        invoice.status = "paid";
        invoice.finalized_at = Some(now);
        invoice.paid_at = Some(now);
        invoice.ending_balance = Some(invoice.balance_after());
        if let Some(s) = victim.and_then(|key| self.subscriptions.get_mut(key)) {
            s.balance = invoice.balance_after();
        }
        self.emit_invoice("invoice.finalized", 900, request, &invoice, None);
        let after = invoice.balance_after();
        self.emit_update(
            "customer.updated",
            930,
            request,
            |w, env| objects::customer::write(w, env, customer, Some(currency), after, now),
            |w, _| w.field("balance", balance),
        );
        self.emit_invoice("invoice.paid", 960, request, &invoice, None);
        self.emit_invoice("invoice.payment_succeeded", 970, request, &invoice, None);
        self.add_subject(incident, invoice.id);
        self.add_subject(incident, customer.id());
        self.extend_label(incident, now + 2);
    }

    /// Some customer with a subscription of its own.
    fn pick_subscription(&mut self) -> Option<SubKey> {
        let fit: Vec<SubKey> = self
            .subscriptions
            .keys()
            .filter(|key| {
                self.subscriptions.get(*key).is_some_and(|s| {
                    !s.shared
                        && !s.reserved
                        && !s.net30
                        && s.status == crate::billing::Status::Active
                })
            })
            .collect();
        (!fit.is_empty()).then(|| self.incident_dice.pick(&fit))
    }
}
