//! Bank debits: the charge is pending for days, then the bank has paid or has not. Meanwhile the invoice
//! stays open and the subscription active.

use super::model::{Invoice, SubKey};
use crate::calendar::DAY;
use crate::objects::{self, Decline, Payment, Verdict, invoice::View};
use crate::task::Task;
use crate::world::{Request, World};

/// Days until the bank's answer is known; weekends make it longer than the scheme's five business days say.
const BANK_DAYS: (i64, i64) = (3, 6);
/// Debits that come back unpaid.
const RETURNED_PPM: i64 = 25_000;
/// The same when a returned one is presented again.
const RETURNED_AGAIN_PPM: i64 = 350_000;

impl World {
    /// The bank is asked; nothing is known yet.
    pub(super) fn start_debit(
        &mut self,
        key: SubKey,
        mut invoice: Box<Invoice>,
        payment: Payment,
        request: Request,
        offset_ms: i64,
    ) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        let attempts = invoice.attempts;
        invoice.attempts += 1;
        invoice.next_attempt_at = None;
        invoice.charge = Some(payment.charge);
        self.emit_attempt(&payment, Verdict::Pending, request, offset_ms);
        self.emit_update(
            "invoice.updated",
            offset_ms + 150,
            request,
            |w, env| objects::invoice::write(w, env, &invoice, Some(&s), View::Whole),
            |w, _| {
                w.field("attempt_count", attempts);
                w.field("attempted", attempts > 0);
            },
        );
        let secs = self.dice.range(BANK_DAYS.0 * DAY, BANK_DAYS.1 * DAY);
        self.schedule(
            self.now_ms + secs * 1_000,
            Task::Debit(key, invoice, Box::new(payment)),
        );
    }

    /// The bank has answered.
    pub(crate) fn end_debit(&mut self, key: SubKey, mut invoice: Box<Invoice>, payment: &Payment) {
        let returned_ppm = if invoice.attempts > 1 {
            RETURNED_AGAIN_PPM
        } else {
            RETURNED_PPM
        };
        let verdict = if self.dice.chance(returned_ppm) {
            Verdict::Declined(self.dice.pick(&[
                Decline::DEBIT_FUNDS,
                Decline::DEBIT_FUNDS,
                Decline::DEBIT_REFUSED,
            ]))
        } else {
            Verdict::Approved
        };
        self.emit_attempt(payment, verdict, Request::AUTOMATIC, 0);
        if verdict == Verdict::Approved {
            self.settle(key, &mut invoice, Some(payment), Request::AUTOMATIC, 150);
            self.foresee(payment);
        } else {
            self.decline(key, invoice, Request::AUTOMATIC, 150);
        }
    }
}
