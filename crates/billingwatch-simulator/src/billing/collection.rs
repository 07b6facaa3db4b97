//! Invoices are finalised and paid, declined and tried again, or paid later by bank transfer.

use super::model::{Invoice, Status, SubKey, Subscription};
use crate::calendar::{DAY, HOUR};
use crate::ids::Kind;
use crate::objects::{self, Payment, Verdict, invoice::View};
use crate::task::Task;
use crate::world::{Request, World};

/// Hours between the attempts of dunning: eight tries in two weeks, as Smart Retries recommend.
const RETRY_HOURS: [i64; 7] = [24, 24, 48, 48, 48, 72, 72];
/// The same for a period of a week or two, and for one of days: done with before the next one is due.
const RETRY_HOURS_WEEKLY: [i64; 3] = [24, 24, 48];
const RETRY_HOURS_DAILY: [i64; 3] = [3, 5, 8];
/// A returned debit is presented once more.
const RETRY_HOURS_DEBIT: [i64; 1] = [168];
/// Retries that fail again.
const RETRY_DECLINES_PPM: i64 = 700_000;
/// The same where periods are days or weeks: who lives by the day tops up the card by the day.
const RETRY_DECLINES_SHORT_PPM: i64 = 400_000;
/// Buyers who type another card when the first invoice is declined.
const RETYPE_PPM: i64 = 700_000;
/// With oddities: net-30 customers who pay outside of Stripe.
const OUT_OF_BAND_PPM: i64 = 250_000;

impl Subscription {
    /// Hours between the attempts at an invoice of this subscription.
    fn retry_hours(&self) -> &'static [i64] {
        match self.every.days() {
            _ if self.debit => &RETRY_HOURS_DEBIT,
            ..7 => &RETRY_HOURS_DAILY,
            7..28 => &RETRY_HOURS_WEEKLY,
            28.. => &RETRY_HOURS,
        }
    }

    fn retry_declines_ppm(&self) -> i64 {
        if self.every.days() < 28 {
            RETRY_DECLINES_SHORT_PPM
        } else {
            RETRY_DECLINES_PPM
        }
    }
}

impl World {
    pub(crate) fn emit_invoice(
        &mut self,
        event_type: &'static str,
        offset_ms: i64,
        request: Request,
        invoice: &Invoice,
        s: Option<&Subscription>,
    ) {
        self.emit(event_type, offset_ms, request, |w, env| {
            objects::invoice::write(w, env, invoice, s, View::Whole);
        });
    }

    /// Finalises a draft: the customer's credit is used, and a payment intent stands ready.
    pub(crate) fn open_invoice(
        &mut self,
        key: SubKey,
        invoice: &mut Invoice,
        offset_ms: i64,
        request: Request,
    ) {
        let now = self.now();
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        invoice.starting_balance = s.balance;
        invoice.ending_balance = Some(invoice.balance_after());
        s.balance = invoice.balance_after();
        let s = *s;
        invoice.status = if invoice.amount_due() == 0 {
            "paid"
        } else {
            "open"
        };
        invoice.finalized_at = Some(now);
        if invoice.amount_due() == 0 {
            invoice.paid_at = Some(now);
        } else if invoice.net30 {
            invoice.due_at = Some(now + 30 * DAY);
        }
        if invoice.amount_due() > 0 {
            let intent = self.new_id(Kind::PaymentIntent);
            invoice.intent = Some(intent);
        }
        self.emit_invoice("invoice.finalized", offset_ms, request, invoice, Some(&s));
        if invoice.amount_due() > 0 {
            let payment = self.invoice_payment(invoice);
            self.emit(
                "payment_intent.created",
                offset_ms + 20,
                request,
                |w, env| {
                    objects::payment_intent::write(w, env, &payment, None);
                },
            );
        }
    }

    /// The payment that the next attempt at this invoice makes.
    fn invoice_payment(&mut self, invoice: &Invoice) -> Payment {
        Payment {
            charge: self.new_id(Kind::Charge),
            intent: invoice
                .intent
                .unwrap_or(invoice.id.part(Kind::PaymentIntent, 1)),
            customer: Some(invoice.customer),
            card: invoice.card,
            amount: invoice.amount_due(),
            currency: invoice.currency,
            created_at: self.now(),
            captured: true,
            refunded: 0,
            disputed: false,
            invoice: Some(invoice.id),
            debit: invoice.debit,
            order: None,
            description: if invoice.billing_reason == "subscription_create" {
                "Subscription creation"
            } else {
                "Subscription update"
            },
        }
    }

    pub(crate) fn finalize(&mut self, key: SubKey, mut invoice: Box<Invoice>) {
        // The subscription may have ended while this was a draft; Stripe then leaves the draft alone.
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        self.open_invoice(key, &mut invoice, 0, Request::AUTOMATIC);
        if !s.net30 || invoice.amount_due() == 0 {
            let declines_ppm = self.env.profile.declines_ppm;
            return self.collect(key, invoice, Request::AUTOMATIC, declines_ppm, 1_300);
        }
        self.emit_invoice("invoice.sent", 400, Request::AUTOMATIC, &invoice, Some(&s));
        let pays_in = if self.dice.chance(80_000) {
            self.dice.range(31, 36)
        } else {
            self.dice.range(4, 29)
        };
        let task = if pays_in > 30 {
            Task::Overdue
        } else {
            Task::PayTerms
        };
        let days = pays_in.min(30);
        self.schedule(self.now_ms + days * DAY * 1_000, task(key, invoice));
    }

    /// Tries to collect an open invoice now.
    pub(crate) fn collect(
        &mut self,
        key: SubKey,
        mut invoice: Box<Invoice>,
        request: Request,
        declines_ppm: i64,
        offset_ms: i64,
    ) {
        if invoice.amount_due() == 0 {
            return self.settle(key, &mut invoice, None, request, offset_ms);
        }
        let payment = self.invoice_payment(&invoice);
        if invoice.debit {
            return self.start_debit(key, invoice, payment, request, offset_ms);
        }
        let verdict = self.attempt(&payment, declines_ppm);
        invoice.attempts += 1;
        invoice.charge = Some(payment.charge);
        self.emit_attempt(&payment, verdict, request, offset_ms);
        if verdict == Verdict::Approved {
            self.settle(key, &mut invoice, Some(&payment), request, offset_ms + 150);
            self.foresee(&payment);
        } else {
            self.decline(key, invoice, request, offset_ms + 150);
        }
    }

    /// Marks an invoice paid and tells everybody.
    pub(super) fn settle(
        &mut self,
        key: SubKey,
        invoice: &mut Invoice,
        payment: Option<&Payment>,
        request: Request,
        offset_ms: i64,
    ) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        let before = *invoice;
        invoice.status = "paid";
        invoice.paid_at = Some(self.now());
        invoice.amount_paid = invoice.amount_due();
        invoice.next_attempt_at = None;
        let invoice = *invoice;
        if before.status == "open" {
            self.emit_update(
                "invoice.updated",
                offset_ms,
                request,
                |w, env| objects::invoice::write(w, env, &invoice, Some(&s), View::Whole),
                |w, _| {
                    w.field("amount_paid", before.amount_paid);
                    // A debit was counted when the bank was asked.
                    if !invoice.debit {
                        w.field(
                            "attempt_count",
                            invoice.attempts - i64::from(payment.is_some()),
                        );
                    }
                    w.field("status", before.status);
                },
            );
        }
        self.emit_invoice("invoice.paid", offset_ms + 60, request, &invoice, Some(&s));
        if !invoice.out_of_band {
            self.emit_invoice(
                "invoice.payment_succeeded",
                offset_ms + 70,
                request,
                &invoice,
                Some(&s),
            );
        }
        if let (true, Some(payment)) = (self.env.is_basil(), payment) {
            let (intent, created_at) = (payment.intent, self.now());
            self.emit("invoice_payment.paid", offset_ms + 80, request, |w, _| {
                objects::invoice::write_payment(w, &invoice, intent, created_at);
            });
        }
        if let Some(kept) = self.subscriptions.get_mut(key)
            && invoice.amount_paid > 0
        {
            kept.last_paid = invoice.amount_paid;
        }
        if matches!(s.status, Status::Incomplete | Status::PastDue) {
            self.set_status(key, Status::Active, request, offset_ms + 200);
        }
    }

    pub(crate) fn set_status(
        &mut self,
        key: SubKey,
        status: Status,
        request: Request,
        offset_ms: i64,
    ) {
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut s.status, status);
        let s = *s;
        self.emit_update(
            "customer.subscription.updated",
            offset_ms,
            request,
            |w, env| objects::subscription::write(w, env, &s),
            |w, _| w.field("status", before.as_str()),
        );
    }

    /// What follows a declined attempt at an invoice.
    pub(super) fn decline(
        &mut self,
        key: SubKey,
        mut invoice: Box<Invoice>,
        request: Request,
        offset_ms: i64,
    ) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        let first = s.status == Status::Incomplete;
        let tries = usize::try_from(invoice.attempts - 1).unwrap_or(0);
        let pause = s
            .retry_hours()
            .get(tries)
            .copied()
            .filter(|_| !first && !invoice.net30);
        invoice.next_attempt_at = pause.map(|hours| self.now() + hours * HOUR);
        let attempts = invoice.attempts;
        self.emit_update(
            "invoice.updated",
            offset_ms,
            request,
            |w, env| objects::invoice::write(w, env, &invoice, Some(&s), View::Whole),
            |w, _| {
                if invoice.debit {
                    w.null("next_payment_attempt");
                } else {
                    w.field("attempt_count", attempts - 1);
                    w.field("attempted", attempts > 1);
                }
            },
        );
        self.emit_invoice(
            "invoice.payment_failed",
            offset_ms + 50,
            request,
            &invoice,
            Some(&s),
        );
        if first {
            let (wait_ms, task): (_, fn(SubKey, Box<Invoice>) -> Task) =
                if attempts < 4 && self.dice.chance(RETYPE_PPM) {
                    (self.dice.range(25_000, 150_000), Task::Retry)
                } else {
                    (23 * 3_600_000, Task::Expire)
                };
            return self.schedule(self.now_ms + wait_ms, task(key, invoice));
        }
        if invoice.net30 {
            // Nobody retries for them: they come back themselves.
            return self.schedule(self.now_ms + DAY * 1_000, Task::PayTerms(key, invoice));
        }
        if s.status == Status::Active {
            self.set_status(key, Status::PastDue, request, offset_ms + 120);
        }
        match invoice.next_attempt_at {
            Some(at) => {
                let at_ms = at * 1_000 + self.dice.range(0, 7_200_000);
                self.schedule(at_ms, Task::Retry(key, invoice));
            }
            None => self.give_up(key, *invoice),
        }
    }

    /// Dunning is exhausted: the invoice is written off and the subscription ends.
    fn give_up(&mut self, key: SubKey, mut invoice: Invoice) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        invoice.status = "uncollectible";
        invoice.uncollectible_at = Some(self.now());
        self.emit_invoice(
            "invoice.marked_uncollectible",
            700,
            Request::AUTOMATIC,
            &invoice,
            Some(&s),
        );
        self.end_subscription(key, "payment_failed", Request::AUTOMATIC);
    }

    pub(crate) fn retry(&mut self, key: SubKey, mut invoice: Box<Invoice>) {
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        if s.status == Status::Incomplete {
            // The buyer is still there and takes another card.
            s.card.nth += 1;
            invoice.card = s.card;
            let request = self.new_request();
            return self.collect(key, invoice, request, 150_000, 0);
        }
        let declines_ppm = s.retry_declines_ppm();
        self.collect(key, invoice, Request::AUTOMATIC, declines_ppm, 0);
    }

    pub(crate) fn expire(&mut self, key: SubKey, mut invoice: Box<Invoice>) {
        if self
            .subscriptions
            .get(key)
            .is_none_or(|s| s.status != Status::Incomplete)
        {
            return;
        }
        self.set_status(key, Status::IncompleteExpired, Request::AUTOMATIC, 0);
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        invoice.status = "void";
        invoice.voided_at = Some(self.now());
        self.emit_invoice("invoice.voided", 40, Request::AUTOMATIC, &invoice, Some(&s));
        self.subscriptions.remove(key);
    }

    /// A net-30 invoice is past due; it is paid some days later.
    pub(crate) fn overdue(&mut self, key: SubKey, invoice: Box<Invoice>) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        if self.env.is_basil() {
            // `invoice.overdue` came in July 2024; older versions stay silent.
            self.emit_invoice("invoice.overdue", 0, Request::AUTOMATIC, &invoice, Some(&s));
        }
        if s.status == Status::Active {
            self.set_status(key, Status::PastDue, Request::AUTOMATIC, 60);
        }
        let at_ms = self.now_ms + self.dice.range(1, 6) * DAY * 1_000;
        self.schedule(at_ms, Task::PayTerms(key, invoice));
    }

    /// A net-30 customer pays: by card on the invoice's page, or by a transfer Stripe does not see.
    pub(crate) fn pay_terms(&mut self, key: SubKey, mut invoice: Box<Invoice>) {
        let request = self.new_request();
        if self.config.oddities && self.dice.chance(OUT_OF_BAND_PPM) {
            invoice.out_of_band = true;
            return self.settle(key, &mut invoice, None, request, 0);
        }
        self.collect(key, invoice, request, 0, 0);
    }
}
