//! From a line of a timeline to an event.

use crate::event::charge::{Card, Charge, ChargeStatus, Outcome, OutcomeKind};
use crate::event::checkout_session::CheckoutSession;
use crate::event::credit_note::CreditNote;
use crate::event::dispute::{Dispute, FraudWarning};
use crate::event::intent::{PaymentIntent, SetupIntent};
use crate::event::invoice::{
    BillingReason, CollectionMethod, Invoice, InvoiceLine, InvoicePayment, InvoiceStatus,
};
use crate::event::refund::{Refund, RefundStatus};
use crate::event::subscription::{
    Discount, Interval, PauseCollection, Subscription, SubscriptionItem, SubscriptionStatus,
};
use crate::event::{Event, EventData, EventType, Family, Request};
use crate::money::Currency;
use crate::time::{Span, Timestamp};

use super::{fail, span};

/// A line, taken apart.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) after: Span,
    pub(super) name: &'a str,
    pub(super) pairs: Vec<(&'a str, &'a str)>,
    words: Vec<&'a str>,
    pub(super) times: u32,
    pub(super) every: Span,
}

impl<'a> Line<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut words = text.split_whitespace();
        let after = span(words.next().unwrap_or_default());
        let name = words.next().unwrap_or_else(|| fail("no event in", text));
        let mut line = Self {
            after,
            name,
            pairs: Vec::new(),
            words: Vec::new(),
            times: 1,
            every: Span::ZERO,
        };
        for word in words {
            let repeat = word.strip_prefix('x').and_then(|rest| rest.split_once('/'));
            if let Some((times, every)) = repeat {
                line.times = times.parse().unwrap_or_else(|_| fail("no number in", word));
                line.every = span(every);
            } else if let Some(pair) = word.split_once('=') {
                line.pairs.push(pair);
            } else {
                line.words.push(word);
            }
        }
        line
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    fn id<T: From<&'a str>>(&self, key: &str) -> Option<T> {
        self.get(key).map(T::from)
    }

    /// The id given, or a made-up one.
    fn id_or<T: From<String>>(&self, key: &str, made: usize) -> T {
        T::from(
            self.get(key)
                .map_or_else(|| format!("{key}_{made}"), str::to_owned),
        )
    }

    /// The id given; `new` is another for each event.
    fn numbered(&self, key: &str, made: usize) -> Option<String> {
        self.get(key).map(|id| match id {
            "new" => format!("{key}_{made}"),
            id => id.to_owned(),
        })
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.get(key)
            .map(|text| text.parse().unwrap_or_else(|_| fail("no number:", text)))
    }

    fn at(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        self.get(key).map(|text| now + span(text))
    }

    fn currency(&self) -> Option<Currency> {
        let code = self.get("cur").unwrap_or("usd");
        Some(code.parse().unwrap_or_else(|_| fail("no currency:", code)))
    }
}

/// The event of a line; `made` numbers the events and makes up ids.
pub(super) fn event(line: &Line<'_>, now: Timestamp, made: usize) -> Event {
    let created = now - line.get("late").map_or(Span::ZERO, span);
    let event_type = EventType::from(line.name);
    let data = match event_type.family() {
        Family::Charge => EventData::Charge(Box::new(charge(line, created, made))),
        Family::PaymentIntent => EventData::PaymentIntent(Box::new(intent(line, made))),
        Family::CheckoutSession => EventData::CheckoutSession(Box::new(CheckoutSession {
            id: line.id_or("cs", made),
            amount_total: line.number("amt").or(Some(2_000)),
            currency: line.currency(),
            customer: (!line.has("guest")).then(|| line.id_or("cus", made)),
            payment_intent: line.get("in").is_none().then(|| line.id_or("pi", made)),
            invoice: line.id("in"),
            is_paid: !line.has("unpaid"),
        })),
        Family::Invoice => EventData::Invoice(Box::new(invoice(line, &event_type, created, made))),
        Family::InvoicePayment => EventData::InvoicePayment(Box::new(InvoicePayment {
            id: line.id_or("inpay", made),
            invoice: line.id("in"),
            amount_paid: line.number("paid"),
            currency: line.currency(),
            is_paid: true,
            charge: line.id("ch"),
            payment_intent: line.id("pi"),
        })),
        Family::Subscription => {
            EventData::Subscription(Box::new(subscription(line, created, made)))
        }
        Family::Refund => EventData::Refund(Box::new(refund(line, created, made))),
        Family::Dispute => EventData::Dispute(Box::new(dispute(line, created, made))),
        Family::FraudWarning => EventData::FraudWarning(Box::new(FraudWarning {
            id: line.id_or("issfr", made),
            created: Some(created),
            charge: Some(line.id_or("ch", made)),
            payment_intent: None,
            fraud_type: None,
            is_actionable: true,
        })),
        Family::CreditNote => EventData::CreditNote(Box::new(CreditNote {
            id: line.id_or("cn", made),
            created: Some(created),
            invoice: line.id("in"),
            customer: line.id("cus"),
            currency: line.currency(),
            total: line.number("total"),
            reason: None,
            amount_beside_refunds: line.number("beside").unwrap_or_default(),
            refunds: Vec::new(),
            is_voided: line.name == "credit_note.voided",
        })),
        Family::SetupIntent => EventData::SetupIntent(Box::new(SetupIntent {
            id: line.id_or("seti", made),
            customer: line.id("cus"),
            error_code: line.get("code").map(Into::into),
            card_fingerprint: line.numbered("card", made).map(Into::into),
        })),
        Family::Other => EventData::Other(Box::default()),
    };
    Event {
        id: line.id_or("evt", made),
        event_type,
        created,
        livemode: !line.has("test"),
        account: line.id("acct"),
        api_version: None,
        request: line.get("req").map(|id| Request {
            id: Some(id.into()),
            idempotency_key: line.get("idem").map(Into::into),
        }),
        data,
    }
}

fn charge(line: &Line<'_>, created: Timestamp, made: usize) -> Charge {
    let is_failed = line.name == "charge.failed";
    let is_pending = line.name == "charge.pending";
    let captured = !is_failed && !is_pending && !line.has("uncaptured");
    let kind = if line.has("blocked") {
        OutcomeKind::Blocked
    } else {
        OutcomeKind::Unknown
    };
    let amount = line.number("amt").or(Some(2_000));
    Charge {
        id: line.id_or("ch", made),
        created: Some(line.at("made", created).unwrap_or(created)),
        amount,
        amount_captured: None,
        // As a whole.
        amount_refunded: amount.filter(|_| line.name == "charge.refunded"),
        currency: line.currency(),
        captured,
        status: if is_failed {
            ChargeStatus::Failed
        } else if is_pending {
            ChargeStatus::Pending
        } else {
            ChargeStatus::Succeeded
        },
        customer: (!line.has("guest")).then(|| line.id_or("cus", made)),
        payment_intent: line.id("pi"),
        invoice: line.id("in"),
        failure_code: line.get("code").map(Into::into),
        description: line
            .get("desc")
            .or_else(|| line.has("renewal").then_some("Subscription_update"))
            .map(|text| text.replace('_', " ").into()),
        metadata: metadata(line),
        outcome: Outcome {
            kind,
            reason: None,
            risk_level: None,
        },
        card: line.numbered("card", made).map(|fingerprint| Card {
            fingerprint: Some(fingerprint.into()),
            brand: line.get("brand").map(Into::into),
            country: line.get("country").map(Into::into),
            funding: line.get("funding").map(Into::into),
        }),
        payment_method_type: line.get("type").map(Into::into),
        destination: line.get("to").map(Into::into),
    }
}

/// `meta.name=value` of a line.
fn metadata(line: &Line<'_>) -> Vec<(Box<str>, Box<str>)> {
    metadata_by(line, "meta.")
}

fn metadata_by(line: &Line<'_>, prefix: &str) -> Vec<(Box<str>, Box<str>)> {
    let meta = |(name, value): &(&str, &str)| {
        name.strip_prefix(prefix)
            .map(|name| (name.into(), (*value).into()))
    };
    let mut metadata: Vec<(Box<str>, Box<str>)> = line.pairs.iter().filter_map(meta).collect();
    metadata.sort();
    metadata
}

fn intent(line: &Line<'_>, made: usize) -> PaymentIntent {
    PaymentIntent {
        id: line.id_or("pi", made),
        amount: line.number("amt").or(Some(2_000)),
        amount_received: None,
        currency: line.currency(),
        customer: (!line.has("guest")).then(|| line.id_or("cus", made)),
        latest_charge: (!line.has("uncharged")).then(|| line.id_or("ch", made)),
        invoice: line.id("in"),
        description: line.get("desc").map(|text| text.replace('_', " ").into()),
        metadata: metadata(line),
        error_code: line.get("code").map(Into::into),
        destination: line.get("to").map(Into::into),
    }
}

fn invoice(line: &Line<'_>, event_type: &EventType, now: Timestamp, made: usize) -> Invoice {
    let is_paid = matches!(
        event_type,
        EventType::InvoicePaid | EventType::InvoicePaymentSucceeded
    );
    // Others say how long it has been paid.
    let paid_before = line.get("paid").map(span);
    let is_paid = is_paid || paid_before.is_some();
    let is_draft_told = matches!(
        event_type,
        EventType::InvoiceCreated | EventType::InvoiceFinalizationFailed
    );
    let is_draft = !is_paid && (is_draft_told || line.has("draft"));
    let total = line.number("total").or(Some(2_000));
    let through = line.at("through", now);
    let is_proration = line.has("proration");
    let price = line.get("price");
    let lines = if let Some(amounts) = line.get("lines") {
        invoice_lines(amounts)
    } else if through.is_some() || is_proration || price.is_some() {
        vec![InvoiceLine {
            amount: total.unwrap_or_default(),
            description: line.get("item").map(|text| text.replace('_', " ").into()),
            is_proration,
            period_start: Some(line.at("from", now).unwrap_or(now)),
            period_end: through,
            subscription: line.id("sub"),
            price: price.map(Into::into),
            quantity: line.number("qty"),
            metadata: metadata(line),
        }]
    } else {
        Vec::new()
    };
    Invoice {
        id: Some(line.id_or("in", made)),
        number: line.get("no").map(Into::into),
        description: line.get("memo").map(Into::into),
        metadata: metadata_by(line, "own."),
        created: line.at("made", now).or(Some(now)),
        status: if is_paid {
            InvoiceStatus::Paid
        } else if is_draft {
            InvoiceStatus::Draft
        } else if *event_type == EventType::InvoiceVoided {
            InvoiceStatus::Void
        } else if *event_type == EventType::InvoiceMarkedUncollectible {
            InvoiceStatus::Uncollectible
        } else {
            InvoiceStatus::Open
        },
        billing_reason: match line.get("reason") {
            Some("manual") => BillingReason::Manual,
            Some("create") => BillingReason::SubscriptionCreate,
            Some("cycle") => BillingReason::SubscriptionCycle,
            Some("update") => BillingReason::SubscriptionUpdate,
            Some("threshold") => BillingReason::SubscriptionThreshold,
            _ => BillingReason::Other,
        },
        currency: line.currency(),
        customer: line.id("cus"),
        subscription: line.id("sub"),
        charge: line.id("ch"),
        total,
        subtotal: line.number("subtotal"),
        discount_amount: line.number("off").unwrap_or_default(),
        amount_paid: is_paid.then(|| total.unwrap_or_default().max(0)),
        is_paid_out_of_band: line.has("out_of_band"),
        auto_advance: if line.has("by_hand") {
            Some(false)
        } else {
            line.has("auto").then_some(true)
        },
        attempt_count: line.number("tries"),
        next_payment_attempt: line.at("next", now),
        due_date: line.at("due", now),
        collection_method: match line.get("due") {
            Some(_) => CollectionMethod::SendInvoice,
            None => CollectionMethod::default(),
        },
        finalized_at: (!is_draft).then_some(now),
        paid_at: is_paid.then(|| now - paid_before.unwrap_or(Span::ZERO)),
        payment_method_types: line.get("by").map(Into::into).into_iter().collect(),
        has_test_clock: line.has("test_clock"),
        lines,
        ..Invoice::default()
    }
}

/// `lines=2900,-4344p`: amounts, those of prorations with a `p`.
fn invoice_lines(amounts: &str) -> Vec<InvoiceLine> {
    let line = |text: &str| {
        let amount = text.trim_end_matches('p');
        InvoiceLine {
            amount: amount.parse().unwrap_or_else(|_| fail("no number:", text)),
            is_proration: amount != text,
            ..InvoiceLine::default()
        }
    };
    amounts.split(',').map(line).collect()
}

fn subscription(line: &Line<'_>, now: Timestamp, made: usize) -> Subscription {
    let is_deleted = line.name == "customer.subscription.deleted";
    let status = match line.get("status") {
        _ if is_deleted => SubscriptionStatus::Canceled,
        Some("trialing") => SubscriptionStatus::Trialing,
        Some("past_due") => SubscriptionStatus::PastDue,
        Some("paused") => SubscriptionStatus::Paused,
        Some("incomplete") => SubscriptionStatus::Incomplete,
        _ => SubscriptionStatus::Active,
    };
    Subscription {
        id: line.id_or("sub", made),
        created: line.at("born", now).or(Some(now)),
        status,
        customer: Some(line.id_or("cus", made)),
        currency: line.currency(),
        current_period_start: Some(line.at("from", now).unwrap_or(now)),
        current_period_end: Some(line.at("to", now).unwrap_or(now + Span::days(30))),
        billing_cycle_anchor: line.at("anchor", now),
        items: vec![SubscriptionItem {
            unit_amount: line.number("amt").or(Some(2_000)),
            quantity: line.number("qty"),
            is_metered: line.has("metered"),
            interval: Interval::Month,
            interval_count: 1,
            current_period_start: None,
            current_period_end: None,
        }],
        collection_method: if line.get("days").is_some() {
            CollectionMethod::SendInvoice
        } else {
            CollectionMethod::ChargeAutomatically
        },
        days_until_due: line.number("days"),
        trial_start: None,
        trial_end: line.at("trial", now),
        may_end_with_trial: line.has("may_end_with_trial"),
        cancel_at: line.at("cancel_at", now),
        cancel_at_period_end: line.has("cancels"),
        canceled_at: None,
        ended_at: is_deleted.then_some(now),
        cancellation_reason: line.get("why").map(Into::into),
        pause_collection: line.has("paused").then(|| PauseCollection {
            resumes_at: line.at("resumes", now),
        }),
        discounts: line
            .number("off_bps")
            .map(Discount::PercentBps)
            .into_iter()
            .collect(),
        has_opaque_discounts: line.has("opaque_discount"),
        has_passing_discount: line.has("off_once"),
        has_schedule: line.has("schedule"),
        latest_invoice: line.id("latest"),
        payment_method_types: line.get("by").map(Into::into).into_iter().collect(),
        metadata: metadata(line),
        has_test_clock: line.has("test_clock"),
    }
}

fn refund(line: &Line<'_>, created: Timestamp, made: usize) -> Refund {
    Refund {
        id: line.id_or("re", made),
        created: Some(created),
        amount: line.number("amt").or(Some(2_000)),
        currency: line.currency(),
        charge: line.id("ch"),
        payment_intent: line.id("pi"),
        reason: line.get("reason").map(Into::into),
        status: match line.name {
            "refund.failed" => RefundStatus::Failed,
            _ => RefundStatus::Succeeded,
        },
    }
}

fn dispute(line: &Line<'_>, created: Timestamp, made: usize) -> Dispute {
    Dispute {
        id: line.id_or("dp", made),
        created: Some(line.at("made", created).unwrap_or(created)),
        amount: line.number("amt").or(Some(2_000)),
        currency: line.currency(),
        charge: Some(line.id_or("ch", made)),
        payment_intent: None,
        reason: None,
        status: Some(line.get("status").unwrap_or("needs_response").into()),
        case_type: None,
        network: None,
    }
}
