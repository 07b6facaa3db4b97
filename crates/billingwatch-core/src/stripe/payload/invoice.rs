//! `invoice` and `invoice_payment`: where the versions differ most.
//!
//! The subscription moved from `subscription` into `parent`, the payment from `charge` and
//! `payment_intent` into `payments` and events of its own. And not only the version decides:
//! invoices of the newer billing model lack the old keys even for clients that ask for an old
//! version. So every place is always looked into, the older first.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::invoice::{
    BillingReason, CollectionMethod, Invoice, InvoiceLine, InvoicePayment, InvoiceStatus,
};
use crate::ids::{ChargeId, CustomerId, InvoicePaymentId, PaymentIntentId, SubscriptionId};
use crate::time::Timestamp;

use super::lenient::{Shape, next_key, read, shape_of_map, shape_of_words, skip};
use super::object::Draft;
use super::values::{List, Metadata, PaymentSettings, Presence, read_id, read_text_id};

#[derive(Default)]
pub(super) struct InvoiceDraft {
    invoice: Invoice,
    customer_account: Option<CustomerId>,
    parent: InvoiceParent,
    payments: List<PaymentEntry>,
    paid: Option<bool>,
    amount_paid_off_stripe: Option<i64>,
    is_paid_out_of_band: bool,
}

impl Draft for InvoiceDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let invoice = &mut self.invoice;
        match key {
            // `date` until 2019-03-14.
            b"created" | b"date" => invoice.created = read(map)?,
            b"number" => invoice.number = read(map)?,
            b"description" => invoice.description = read(map)?,
            b"metadata" => invoice.metadata = read::<Metadata, A>(map)?.0,
            b"status" => invoice.status = read(map)?,
            b"billing_reason" => invoice.billing_reason = read(map)?,
            // `billing` until 2019-10-17.
            b"collection_method" | b"billing" => invoice.collection_method = read(map)?,
            b"currency" => invoice.currency = read(map)?,
            b"customer" => invoice.customer = read_id(map)?,
            b"customer_account" => self.customer_account = read_id(map)?,
            b"subscription" => invoice.subscription = read_id(map)?,
            b"parent" => self.parent = read(map)?,
            b"charge" => invoice.charge = read_id(map)?,
            b"payment_intent" => invoice.payment_intent = read_id(map)?,
            b"payments" => self.payments = read(map)?,
            b"total" => invoice.total = read(map)?,
            b"subtotal" => invoice.subtotal = read(map)?,
            b"amount_due" => invoice.amount_due = read(map)?,
            b"amount_paid" => invoice.amount_paid = read(map)?,
            b"amount_remaining" => invoice.amount_remaining = read(map)?,
            b"amount_paid_off_stripe" => self.amount_paid_off_stripe = read(map)?,
            b"starting_balance" => invoice.starting_balance = read(map)?,
            b"ending_balance" => invoice.ending_balance = read(map)?,
            b"total_discount_amounts" => {
                let amounts: Vec<DiscountAmount> = read(map)?;
                let sum = |sum: i64, one: &DiscountAmount| sum.saturating_add(one.amount);
                invoice.discount_amount = amounts.iter().fold(0, sum);
            }
            b"auto_advance" => invoice.auto_advance = read(map)?,
            b"attempt_count" => invoice.attempt_count = read(map)?,
            b"next_payment_attempt" => invoice.next_payment_attempt = read(map)?,
            b"due_date" => invoice.due_date = read(map)?,
            b"paid" => self.paid = read(map)?,
            b"paid_out_of_band" => self.is_paid_out_of_band = read(map)?,
            b"status_transitions" => {
                let transitions: Transitions = read(map)?;
                invoice.finalized_at = transitions.finalized_at;
                invoice.paid_at = transitions.paid_at;
            }
            b"payment_settings" => {
                invoice.payment_method_types = read::<PaymentSettings, A>(map)?.types;
            }
            b"test_clock" => invoice.has_test_clock = read::<Presence, A>(map)?.0,
            b"lines" => {
                let lines: List<InvoiceLine> = read(map)?;
                invoice.lines = lines.data;
                invoice.has_more_lines = lines.has_more;
            }
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut invoice = self.invoice;
        // `invoice.upcoming` has none.
        invoice.id = id.map(Into::into);
        invoice.customer = invoice.customer.or(self.customer_account);
        let of_a_line = invoice
            .lines
            .iter()
            .find_map(|line| line.subscription.as_ref());
        invoice.subscription = invoice
            .subscription
            .or(self.parent.subscription)
            .or_else(|| of_a_line.cloned());
        if invoice.status == InvoiceStatus::Unknown && self.paid == Some(true) {
            invoice.status = InvoiceStatus::Paid;
        }
        let off_stripe = self.amount_paid_off_stripe.unwrap_or(0);
        invoice.is_paid_out_of_band = self.is_paid_out_of_band
            || (off_stripe > 0 && off_stripe >= invoice.amount_paid.unwrap_or(0));
        let payments = self.payments.data.into_iter();
        // The one that worked tells, or the default one, or the first.
        if let Some(entry) = payments.min_by_key(|entry| (!entry.is_paid, !entry.is_default)) {
            invoice.charge = invoice.charge.or(entry.payment.charge);
            invoice.payment_intent = invoice.payment_intent.or(entry.payment.payment_intent);
        }
        Some(EventData::Invoice(Box::new(invoice)))
    }
}

shape_of_words!(InvoiceStatus {
    "draft" => Draft,
    "open" => Open,
    "paid" => Paid,
    "uncollectible" => Uncollectible,
    "void" => Void,
});

shape_of_words!(BillingReason {
    "manual" => Manual,
    "subscription_create" => SubscriptionCreate,
    "subscription_cycle" => SubscriptionCycle,
    "subscription_update" => SubscriptionUpdate,
    "subscription_threshold" => SubscriptionThreshold,
});

shape_of_words!(CollectionMethod {
    "charge_automatically" => ChargeAutomatically,
    "send_invoice" => SendInvoice,
});

#[derive(Default)]
struct InvoiceParent {
    subscription: Option<SubscriptionId>,
}

shape_of_map!(InvoiceParent {
    b"subscription_details" => |this, map| {
        this.subscription = read::<ParentDetails, A>(map)?.subscription;
    },
});

/// `subscription_details` of an invoice; `subscription_item_details` and `invoice_item_details` of
/// a line.
#[derive(Default)]
struct ParentDetails {
    subscription: Option<SubscriptionId>,
    is_proration: bool,
}

shape_of_map!(ParentDetails {
    b"subscription" => |this, map| this.subscription = read_id(map)?,
    b"proration" => |this, map| this.is_proration = read(map)?,
});

#[derive(Default)]
struct DiscountAmount {
    amount: i64,
}

shape_of_map!(DiscountAmount {
    b"amount" => |this, map| this.amount = read::<Option<i64>, A>(map)?.unwrap_or(0),
});

#[derive(Default)]
struct Transitions {
    finalized_at: Option<Timestamp>,
    paid_at: Option<Timestamp>,
}

shape_of_map!(Transitions {
    b"finalized_at" => |this, map| this.finalized_at = read(map)?,
    b"paid_at" => |this, map| this.paid_at = read(map)?,
});

/// One of `payments.data`: an `invoice_payment` again, of which only this is used.
#[derive(Default)]
struct PaymentEntry {
    payment: PaymentRef,
    is_paid: bool,
    is_default: bool,
}

shape_of_map!(PaymentEntry {
    b"payment" => |this, map| this.payment = read(map)?,
    b"status" => |this, map| this.is_paid = read::<PaidWord, A>(map)?.0,
    b"is_default" => |this, map| this.is_default = read(map)?,
});

#[derive(Default)]
struct PaidWord(bool);

impl<'de> Shape<'de> for PaidWord {
    fn of_text(text: Cow<'de, str>) -> Self {
        Self(text == "paid")
    }
}

/// What paid: `{"type": "payment_intent", "payment_intent": …}`.
#[derive(Default)]
struct PaymentRef {
    charge: Option<ChargeId>,
    payment_intent: Option<PaymentIntentId>,
}

shape_of_map!(PaymentRef {
    b"charge" => |this, map| this.charge = read_id(map)?,
    b"payment_intent" => |this, map| this.payment_intent = read_id(map)?,
});

impl<'de> Shape<'de> for InvoiceLine {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut line = Self::default();
        let mut parent = LineParent::default();
        let (mut price, mut plan) = (None, None);
        let mut pricing = Pricing::default();
        while let Some(key) = next_key(&mut map)? {
            let map = &mut map;
            match key.as_bytes() {
                b"amount" => line.amount = read::<Option<i64>, A>(map)?.unwrap_or(0),
                b"description" => line.description = read(map)?,
                b"proration" => line.is_proration = read(map)?,
                b"period" => {
                    let period: Period = read(map)?;
                    line.period_start = period.start;
                    line.period_end = period.end;
                }
                b"subscription" => line.subscription = read_id(map)?,
                b"parent" => parent = read(map)?,
                b"price" => price = read_text_id(map)?,
                b"plan" => plan = read_text_id(map)?,
                b"pricing" => pricing = read(map)?,
                b"quantity" => line.quantity = read(map)?,
                b"metadata" => line.metadata = read::<Metadata, A>(map)?.0,
                _ => skip(map)?,
            }
        }
        line.is_proration |= parent.item.is_proration | parent.invoice_item.is_proration;
        line.subscription = line
            .subscription
            .or(parent.item.subscription)
            .or(parent.invoice_item.subscription);
        line.price = price.or(pricing.details.price).or(plan);
        Ok(line)
    }
}

/// `pricing` of a line: where the price is from basil on.
#[derive(Default)]
struct Pricing {
    details: PriceDetails,
}

shape_of_map!(Pricing {
    b"price_details" => |this, map| this.details = read(map)?,
});

#[derive(Default)]
struct PriceDetails {
    price: Option<Box<str>>,
}

shape_of_map!(PriceDetails {
    b"price" => |this, map| this.price = read_text_id(map)?,
});

#[derive(Default)]
struct LineParent {
    item: ParentDetails,
    invoice_item: ParentDetails,
}

shape_of_map!(LineParent {
    b"subscription_item_details" => |this, map| this.item = read(map)?,
    b"invoice_item_details" => |this, map| this.invoice_item = read(map)?,
});

#[derive(Default)]
struct Period {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

shape_of_map!(Period {
    b"start" => |this, map| this.start = read(map)?,
    b"end" => |this, map| this.end = read(map)?,
});

pub(super) struct InvoicePaymentDraft(InvoicePayment);

impl Default for InvoicePaymentDraft {
    fn default() -> Self {
        Self(InvoicePayment {
            id: InvoicePaymentId::from(""),
            invoice: None,
            amount_paid: None,
            currency: None,
            is_paid: false,
            charge: None,
            payment_intent: None,
        })
    }
}

impl Draft for InvoicePaymentDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let payment = &mut self.0;
        match key {
            b"invoice" => payment.invoice = read_id(map)?,
            b"amount_paid" => payment.amount_paid = read(map)?,
            b"currency" => payment.currency = read(map)?,
            b"status" => payment.is_paid = read::<PaidWord, A>(map)?.0,
            b"payment" => {
                let paid_by: PaymentRef = read(map)?;
                payment.charge = paid_by.charge;
                payment.payment_intent = paid_by.payment_intent;
            }
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut payment = self.0;
        payment.id = id?.into();
        Some(EventData::InvoicePayment(Box::new(payment)))
    }
}
