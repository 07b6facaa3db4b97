//! One payment as the detector remembers it, and what tells it from an equal one.

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::event::Event;
use crate::event::charge::Charge;
use crate::event::intent::PaymentIntent;
use crate::few::Few;
use crate::ids::Key;
use crate::ledger::IdText;
use crate::time::{Span, Timestamp};

use super::bills::Bills;

/// Metadata that differs between two tries of one purchase as a matter of course.
const NOISE_WORDS: [&str; 9] = [
    "attempt",
    "request",
    SESSION_WORD,
    "time",
    "nonce",
    "trace",
    "idempot",
    "retry",
    "created",
];

/// One of them: a browser's session, or a checkout's. But one that has a number is a thing sold, as
/// parking and charging stations count them.
const SESSION_WORD: &str = "session";

/// The longest number that counts sessions: ten digits are an instant.
const SESSION_DIGITS_MAX: usize = 9;

/// The most capital letters before such a number.
const SESSION_LETTERS_MAX: usize = 4;

/// What a checkout that tries again writes behind its description; a number may follow.
const AGAIN_WORDS: [&str; 4] = ["retry", "retried", "reattempt", "resubmitted"];

/// The same, where a number does follow: `attempt 2`.
const COUNTED_WORDS: [&str; 2] = ["attempt", "try"];

/// White space to Unicode and to `str`, and none to `u8::is_ascii_whitespace`.
const VERTICAL_TAB: u8 = 0x0b;

/// What metadata is called, and what an idempotency key is made from, when it names the thing bought.
pub(super) const ORDER_WORDS: [&str; 4] = ["order", "cart", "booking", "basket"];

/// An idempotency key may be made from this, too: two invoices that bill one thing have different names all the same.
const INVOICE_WORD: &str = "invoice";

/// The most words of a description that are remembered as possible numbers of invoices.
const WORDS_MAX: usize = 8;

/// Two signups this close are one form sent twice, again after a time-out, which is half a minute or a minute as a rule,
/// or once more because no confirmation came: nobody else's is filled in so soon.
const SIGNUP_SPAN: Span = Span::secs(180);

/// One payment, and what tells it from another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Paid {
    pub(super) charge: Key,
    pub(super) charge_id: IdText,
    pub(super) event_id: IdText,
    pub(super) purchase: Option<Key>,
    pub(super) at: Timestamp,
    pub(super) card: Option<Key>,
    /// Paid as another customer than the one that stands for the order.
    pub(super) is_as_other: bool,
    /// See [`thing_described`].
    pub(super) description: Option<Key>,
    /// Words of the description that may name an invoice.
    pub(super) words: Vec<Key>,
    /// All of it: what of it tells purchases apart is asked where two are compared, which is rare.
    pub(super) metadata: Few<(IdText<22>, Key)>,
    pub(super) idempotency_key: Option<IdText<38>>,
    /// The connected account that the money goes to.
    pub(super) destination: Option<Key>,
    /// Described in Stripe's own words for the charges of invoices.
    pub(super) speaks_of_invoice: bool,
    /// Until when the event that names its invoice is waited for, engine time.
    pub(super) settles_at: Timestamp,
    /// Known from its intent alone: the charge's own event says more.
    pub(super) is_sketch: bool,
}

impl Paid {
    /// When it was made, and its id where two were made at once: payments are kept in this order.
    pub(super) fn place_in_time(&self) -> (Timestamp, &[u8]) {
        (self.at, self.charge_id.as_bytes())
    }

    /// Metadata by which two purchases can be told apart.
    fn telling_metadata(&self) -> impl Iterator<Item = &(IdText<22>, Key)> {
        self.metadata.iter().filter(|(name, _)| is_telling(name))
    }
}

/// How two equal payments of one payer stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// One thing paid twice, as far as anything says.
    Twins,
    /// Two things, or one that was taken back: the harmless pattern, and a sentence.
    Apart(&'static str, String),
    /// They may pay two invoices, and the events that would say so may still be on their way.
    Open,
}

/// What is known around two payments.
pub(super) struct Surroundings<'a> {
    pub(super) bills: &'a Bills,
    /// When all of the earlier one was given back, if it was.
    pub(super) refunded_at: Option<Timestamp>,
    /// Invoices over this very amount, of this customer, of these hours.
    pub(super) invoices: &'a [Key],
}

/// Holds two payments against each other; `first` is the earlier.
pub(super) fn compare(
    first: &Paid,
    second: &Paid,
    around: &Surroundings<'_>,
    ctx: &Context<'_>,
) -> Verdict {
    let apart = |reason, message: &str| Verdict::Apart(reason, message.to_owned());
    if first.purchase.is_some() && first.purchase == second.purchase {
        return apart("same_purchase", "two charges of one payment intent");
    }
    if let (Some(a), Some(b)) = (first.destination, second.destination)
        && a != b
    {
        let message = "the money goes to different connected accounts";
        return apart("different_seller", message);
    }
    let ties = (invoice_of(first, ctx), invoice_of(second, ctx));
    let is_billed_twice = matches!(ties, (Some(a), Some(b)) if a != b
        && around.bills.billed_twice(a, b).is_some());
    let is_soon = second.at.since(first.at) <= SIGNUP_SPAN;
    if let (Some(a), Some(b)) = ties
        && a != b
        && !is_billed_twice
        && !(is_soon && around.bills.are_one_signup(a, b))
    {
        return apart("different_invoices", "equal charges for different invoices");
    }
    let refunded = || {
        let message = format!(
            "{} was refunded before {}",
            first.charge_id, second.charge_id
        );
        Verdict::Apart("charged_again_after_refund", message)
    };
    let is_refunded = around.refunded_at.is_some_and(|at| at <= second.at);
    let is_of = |paid: &Paid, own: Option<Key>, other: Option<Key>| {
        own.is_none() && other.is_some_and(|invoice| around.bills.are_named(invoice, paid))
    };
    if is_of(second, ties.1, ties.0) || is_of(first, ties.0, ties.1) {
        // It says itself that it pays what the other has paid.
        return if is_refunded {
            refunded()
        } else {
            Verdict::Twins
        };
    }
    for (name, value) in first.telling_metadata() {
        let other = second.metadata.iter().find(|(other, _)| other == name);
        if other.is_some_and(|(_, other)| other != value) {
            let message = format!("metadata `{name}` differs");
            return Verdict::Apart("different_metadata", message);
        }
    }
    let is_tie_missing = ties.0.is_none() || ties.1.is_none();
    let billed_twice = if is_tie_missing {
        billed_twice(around, is_soon, ctx)
    } else {
        0
    };
    // Charges of invoices are described by them, as `Payment for Invoice 5B-0007`.
    let is_by_invoices = is_billed_twice
        || (billed_twice > 0 && first.speaks_of_invoice && second.speaks_of_invoice);
    if let (Some(a), Some(b)) = (first.description, second.description)
        && a != b
        && !is_by_invoices
    {
        return apart(
            "different_description",
            "equal charges described differently",
        );
    }
    if let (Some(a), Some(b)) = (&first.idempotency_key, &second.idempotency_key)
        && name_different_orders(a, b, is_billed_twice)
    {
        return apart(
            "different_idempotency_key",
            "their idempotency keys name different orders",
        );
    }
    if is_refunded {
        return refunded();
    }
    let is_invoiced = (
        ties.0.is_some() || first.speaks_of_invoice,
        ties.1.is_some() || second.speaks_of_invoice,
    );
    let says_more =
        |paid: &Paid| paid.description.is_some() || paid.telling_metadata().next().is_some();
    let is_beside_invoice = match is_invoiced {
        (true, false) => says_more(second),
        (false, true) => says_more(first),
        _ => false,
    };
    if is_beside_invoice {
        return apart(
            "invoice_and_sale",
            "one pays an invoice, and the other says what else it is for",
        );
    }
    let may_be_invoiced = |is_invoiced: bool, paid: &Paid| {
        is_invoiced || (!around.invoices.is_empty() && !says_more(paid))
    };
    if is_tie_missing
        && may_be_invoiced(is_invoiced.0, first)
        && may_be_invoiced(is_invoiced.1, second)
    {
        let is_waiting = ctx.now() < first.settles_at.max(second.settles_at);
        if around.invoices.len() > 1 && (billed_twice == 0 || !is_waiting) {
            // Without ties all that can pay them must bill one thing.
            let is_paid = |key: &Key| {
                let invoice = ctx.ledger().invoice(*key);
                invoice.is_some_and(|invoice| invoice.is_paid)
            };
            if billed_twice == around.invoices.len() && around.invoices.iter().all(is_paid) {
                return Verdict::Twins;
            }
            return apart(
                "different_invoices",
                "the customer has two invoices over this amount",
            );
        }
        if is_waiting {
            return Verdict::Open;
        }
    }
    Verdict::Twins
}

/// How many of the customer's invoices over this amount stand, and bill what another bills too; where the payments came soon after
/// each other, also those that begin what another begins.
fn billed_twice(around: &Surroundings<'_>, is_soon: bool, ctx: &Context<'_>) -> usize {
    let is_standing = |key: Key| {
        let invoice = ctx.ledger().invoice(key);
        invoice.is_some_and(|invoice| !invoice.is_closed)
    };
    let standing = || around.invoices.iter().filter(|key| is_standing(**key));
    let has_twin = |a: Key| {
        let mut others = standing().filter(|b| **b != a);
        others.any(|b| {
            around.bills.billed_twice(a, *b).is_some()
                || is_soon && around.bills.are_one_signup(a, *b)
        })
    };
    standing().filter(|key| has_twin(**key)).count()
}

/// What a captured charge says of the payment; nothing without a payer to know it by.
pub(super) fn of_charge(
    charge: &Charge,
    event: &Event,
    ctx: &Context<'_>,
) -> Option<(IdText, Paid)> {
    let card = charge
        .card
        .as_ref()
        .and_then(|card| card.fingerprint.as_deref());
    let payer = charge.customer.as_ref().map(|id| id.as_str()).or(card)?;
    // When it was made: authorisations of days ago are often captured in one go.
    let at = charge.created.unwrap_or(ctx.event_at()).min(ctx.event_at());
    let request = event.request.as_ref();
    let paid = Paid {
        charge: charge.id.key(),
        charge_id: charge.id.as_str().into(),
        event_id: event.id.as_str().into(),
        purchase: charge.payment_intent.as_ref().map(|id| id.key()),
        at,
        card: card.map(Key::of),
        is_as_other: false,
        description: charge.description.as_deref().map(thing_described),
        words: telling_words(charge.description.as_deref()),
        metadata: keyed(&charge.metadata),
        idempotency_key: request
            .and_then(|request| request.idempotency_key.as_deref().map(Into::into)),
        destination: charge.destination.as_ref().map(|id| id.key()),
        speaks_of_invoice: charge.invoice.is_some()
            || speaks_of_invoice(charge.description.as_deref()),
        settles_at: ctx.now() + super::INVOICE_WAIT,
        is_sketch: false,
    };
    Some((payer.into(), paid))
}

/// What a succeeded intent says of the payment, where charges are not announced.
pub(super) fn of_intent(
    intent: &PaymentIntent,
    event: &Event,
    ctx: &Context<'_>,
) -> Option<(IdText, Paid)> {
    let charge = intent.latest_charge.as_ref()?;
    let payer = intent.customer.as_ref()?;
    let request = event.request.as_ref();
    let paid = Paid {
        charge: charge.key(),
        charge_id: charge.as_str().into(),
        event_id: event.id.as_str().into(),
        purchase: Some(intent.id.key()),
        at: ctx.event_at(),
        card: None,
        is_as_other: false,
        description: intent.description.as_deref().map(thing_described),
        words: telling_words(intent.description.as_deref()),
        metadata: keyed(&intent.metadata),
        idempotency_key: request
            .and_then(|request| request.idempotency_key.as_deref().map(Into::into)),
        destination: intent.destination.as_ref().map(|id| id.key()),
        speaks_of_invoice: intent.invoice.is_some()
            || speaks_of_invoice(intent.description.as_deref()),
        settles_at: ctx.now() + super::INVOICE_WAIT,
        is_sketch: true,
    };
    Some((payer.as_str().into(), paid))
}

pub(super) fn invoice_of(paid: &Paid, ctx: &Context<'_>) -> Option<Key> {
    ctx.ledger()
        .payment(paid.charge)
        .and_then(|payment| payment.invoice)
}

/// Metadata with its values as keys.
fn keyed(metadata: &[(Box<str>, Box<str>)]) -> Few<(IdText<22>, Key)> {
    let pairs = metadata.iter();
    pairs
        .map(|(name, value)| (named(name, value), Key::of(value)))
        .collect()
}

/// The name of metadata, by which it is asked later whether it tells purchases apart.
fn named(name: &str, value: &str) -> IdText<22> {
    let is_session = || {
        let mut parts = name.as_bytes().windows(SESSION_WORD.len());
        parts.any(|part| part.eq_ignore_ascii_case(SESSION_WORD.as_bytes()))
    };
    if is_counted(value) && is_session() {
        return "sold_by_number".into();
    }
    name.into()
}

/// Whether a value is a number as things are counted by, such as `312870` or `P-312870`.
fn is_counted(value: &str) -> bool {
    let number = value.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let letters = value.len() - number.len();
    let number = match letters {
        0 => number,
        1..=SESSION_LETTERS_MAX => number.strip_prefix('-').unwrap_or(number),
        _ => return false,
    };
    (1..=SESSION_DIGITS_MAX).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether metadata of this name tells two purchases apart.
pub(super) fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NOISE_WORDS.iter().all(|word| !name.contains(word))
}

/// What a description says was bought: all of it, but for what only says that it is another try. `Order
/// 7` and `Order 7 (retry)` are one order, and two purchases by their text alone.
fn thing_described(description: &str) -> Key {
    let mut rest = description.trim();
    while may_be_again(rest) {
        // From the end: the mark, or the mark and a number of tries.
        let mut words = rest.split_whitespace().rev();
        let mut bare = || {
            let word = words.next().unwrap_or_default();
            word.trim_matches(|c: char| !c.is_alphanumeric())
        };
        let (last, before) = (bare(), bare());
        let is_number = matches!(last.len(), 1 | 2) && last.bytes().all(|c| c.is_ascii_digit());
        let is_one_of =
            |known: &[&str], word: &str| known.iter().any(|known| known.eq_ignore_ascii_case(word));
        let is_counted = || is_one_of(&AGAIN_WORDS, before) || is_one_of(&COUNTED_WORDS, before);
        // Dashes and brackets that stand alone in front of it go with it.
        let shorter = if last.is_empty() || is_one_of(&AGAIN_WORDS, last) {
            without_last_word(rest)
        } else if is_number && is_counted() {
            without_last_word(rest).and_then(without_last_word)
        } else {
            None
        };
        match shorter {
            Some(shorter) => rest = shorter,
            None => break,
        }
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == VERTICAL_TAB;
    let is_even = rest.is_ascii()
        && rest
            .as_bytes()
            .windows(2)
            .all(|pair| !is_space(&pair[1]) || (pair[1] == b' ' && !is_space(&pair[0])));
    if is_even {
        return Key::of(rest);
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    Key::of(&words.join(" "))
}

/// Whether the last word may say that it is another try. Nearly none does, which a look at its bytes shows.
fn may_be_again(text: &str) -> bool {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == VERTICAL_TAB;
    let mut last = text.as_bytes();
    if !last.is_ascii() {
        return true;
    }
    if let Some(place) = last.iter().rposition(is_space) {
        last = &last[place + 1..];
    }
    while let [rest @ .., end] = last
        && !end.is_ascii_alphanumeric()
    {
        last = rest;
    }
    while let [begin, rest @ ..] = last
        && !begin.is_ascii_alphanumeric()
    {
        last = rest;
    }
    let is_word = |word: &&str| word.as_bytes().eq_ignore_ascii_case(last);
    last.len() <= 2 || AGAIN_WORDS.iter().any(is_word)
}

/// The text without its last word; nothing if that is the only one.
fn without_last_word(text: &str) -> Option<&str> {
    let (before, _) = text.rsplit_once(char::is_whitespace)?;
    Some(before.trim_end())
}

/// Words with a digit in them: the number of an invoice has some.
fn telling_words(description: Option<&str>) -> Vec<Key> {
    let description = description.unwrap_or_default();
    if !description.bytes().any(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let words = description.split_whitespace();
    words
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|word| word.len() > 3 && word.contains(|c: char| c.is_ascii_digit()))
        .take(WORDS_MAX)
        .map(Key::of)
        .collect()
}

/// Stripe describes the charges of invoices in its own words.
fn speaks_of_invoice(description: Option<&str>) -> bool {
    description.is_some_and(|text| {
        text.starts_with("Subscription ")
            || text.starts_with("Payment for Invoice")
            || text.starts_with("Invoice ")
    })
}

/// Whether two idempotency keys follow the word for an order with different names of it.
///
/// Most keys are random, made anew for each call: that they differ says nothing. A key such as
/// `order-1001-charge` is made from what is bought.
fn name_different_orders(a: &str, b: &str, is_billed_twice: bool) -> bool {
    let order_of = |key: &str| {
        let key = key.to_ascii_lowercase();
        let invoice = (!is_billed_twice).then_some(INVOICE_WORD);
        let mut words = ORDER_WORDS.into_iter().chain(invoice);
        words.find_map(|word| {
            let (_, rest) = key.split_once(word)?;
            let rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
            let name = &rest[..end.unwrap_or(rest.len())];
            // The word alone, or followed by something random, names nothing.
            let is_name = name.chars().any(|c| c.is_ascii_digit()) && name.len() <= 20;
            is_name.then(|| name.to_owned())
        })
    };
    matches!((order_of(a), order_of(b)), (Some(a), Some(b)) if a != b)
}

#[cfg(test)]
mod tests {
    use super::name_different_orders;

    #[test]
    fn keys_that_name_orders_tell_purchases_apart_and_random_ones_do_not() {
        assert!(name_different_orders(
            "order-1001-charge",
            "order-1002-charge",
            false
        ));
        assert!(name_different_orders(
            "charge_order_77",
            "charge_order_78",
            true
        ));
        assert!(!name_different_orders(
            "order-1001-charge",
            "order-1001-charge-2",
            false
        ));
        assert!(!name_different_orders(
            "2f0c1a52-7d43-4f9e-9f55-0a0f0a4c1b11",
            "8b1d35c0-51b2-4d6d-8a3e-5d8d5d1f3c22",
            false
        ));
        assert!(!name_different_orders("order", "order-1", false));
        assert!(name_different_orders(
            "pay-invoice-7",
            "pay-invoice-8",
            false
        ));
        assert!(!name_different_orders(
            "pay-invoice-7",
            "pay-invoice-8",
            true
        ));
    }
}
