//! Renewals whose invoices ask for less than their price.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What is wrong, or merely looks so, with a renewal from the 20th day on.
#[derive(Clone, Copy)]
enum How {
    /// Its invoice asks for so much, and nothing says why.
    Asks(i64),
    /// So much of it is paid from the customer's balance.
    FromBalance(i64),
    /// A credit for a change in mid-period, or one by hand, is taken off.
    Lines(&'static str, i64),
    /// A discount of the customer, of which the subscription knows nothing.
    OffCustomer(i64),
    /// The same, a week after a third of all subscriptions were put on hold until they renew.
    OffAfterHolds(i64),
    /// The same, and every other renewal of the weeks before had one, too: by turns, or the same ones each time.
    OffByTurns(i64),
    OffAsEver(i64),
    /// The price itself is changed so, and the subscription's event says so some seconds before the turn, or after it.
    Repriced(i64, i64),
    /// It ends a part of a period later.
    Ends(i64),
}

/// Two renewals of 29.00 an hour, by weekly subscriptions, over 24 days; from the 20th on, for a day, so many in sixteen of them are
/// `how`; before that, all are if `always`.
fn told(in_sixteen: i64, how: How, always: bool) -> String {
    let mut lines: Vec<(i64, String)> = Vec::new();
    for n in 0..24 * 24 * 2 {
        // Seven days of subscriptions, each again a week later.
        let at = n * HOUR / 2;
        let id = n % (7 * 48);
        let is_so = always || (20 * DAY..21 * DAY).contains(&at) && n * 7 % 16 < in_sixteen;
        let sub = format!("customer.subscription.updated sub=sub_{id} cus=cus_{id}");
        let invoice = |after: i64| {
            let through = 7 * DAY - after;
            format!("sub=sub_{id} in=in_{n} reason=cycle through={through}s")
        };
        if n < 7 * 48 {
            // Each was met a week before it is due.
            lines.push((0, format!("{sub} amt=2900 from={}s to={at}s", at - 7 * DAY)));
            if matches!(how, How::OffAfterHolds(_)) && id % 3 == 0 {
                let when = 12 * DAY + id * 60;
                let since = (when - at) % (7 * DAY);
                let to = 7 * DAY - since;
                let held = format!("{sub} amt=2900 from=-{since}s to={to}s paused");
                lines.push((when, held));
            }
        }
        let (amount, told, paid) = match how {
            _ if !is_so => (2_900, "total=2900 subtotal=2900".to_owned(), 2_900),
            How::Asks(less) => (2_900, format!("total={less} subtotal={less}"), less),
            How::FromBalance(off) => (2_900, "total=2900 subtotal=2900".to_owned(), 2_900 - off),
            How::Lines(text, sum) => (
                2_900,
                format!("total={sum} subtotal={sum} lines={text}"),
                sum,
            ),
            How::OffCustomer(off) | How::OffAfterHolds(off) => {
                let left = 2_900 - off;
                (2_900, format!("total={left} subtotal=2900 off={off}"), left)
            }
            How::OffByTurns(off) | How::OffAsEver(off) => {
                let is_off = match how {
                    How::OffByTurns(_) => (n + n / (7 * 48)) % 2 == 0,
                    _ => id % 2 == 0,
                };
                let left = 2_900 - if is_off { off } else { 0 };
                let off = 2_900 - left;
                (2_900, format!("total={left} subtotal=2900 off={off}"), left)
            }
            How::Repriced(price, _) => (price, format!("total={price} subtotal={price}"), price),
            How::Ends(less) => (2_900, format!("total={less} subtotal={less}"), less),
        };
        let late = match how {
            How::Repriced(_, late) if is_so => late,
            _ => 0,
        };
        let ends = match how {
            How::Ends(_) if is_so => " cancel_at=2d",
            _ => "",
        };
        lines.push((
            at + late.max(0),
            format!(
                "{sub} amt={amount} from=-{}s to={}s{ends}",
                late.max(0),
                7 * DAY - late.max(0)
            ),
        ));
        lines.push((
            at + HOUR,
            format!("invoice.finalized {} {told}", invoice(HOUR)),
        ));
        lines.push((
            at + HOUR + 2,
            format!("charge.succeeded ch=ch_{n} cus=cus_{id} amt={paid}"),
        ));
        lines.push((
            at + HOUR + 3,
            format!("invoice.paid {} {told}", invoice(HOUR + 3)),
        ));
    }
    check("revenue_drop", &in_order(lines))
}

#[test]
fn renewals_at_a_tenth_of_their_price_are_told_on_that_day_and_so_are_those_at_half() {
    // The last: a quarter of them free of charge.
    for (in_sixteen, asked) in [(16, 290), (16, 1_450), (4, 0)] {
        let told = told(in_sixteen, How::Asks(asked), false);
        assert!(told.starts_with("d20 "), "{asked}: {told}");
        assert!(told.contains("less than their price"), "{asked}: {told}");
    }
}

#[test]
fn a_few_cheap_renewals_are_nothing() {
    assert_eq!(told(1, How::Asks(290), false), "");
    assert_eq!(told(16, How::Asks(2_700), false), "");
}

#[test]
fn what_an_invoice_itself_explains_is_no_gap() {
    assert_eq!(told(16, How::FromBalance(2_610), false), "");
    assert_eq!(told(16, How::Lines("2900,-2610p", 290), false), "");
    assert_eq!(told(16, How::Lines("2900,-2610", 290), false), "");
    assert_eq!(told(16, How::Ends(290), false), "");
}

#[test]
fn a_price_that_the_subscription_has_too_is_no_gap_however_late_it_is_heard_of() {
    for late in [0, 2 * HOUR] {
        let told = told(16, How::Repriced(1_450, late), false);
        assert!(
            !told.contains("firing") || told.contains("mrr:usd"),
            "{late}: {told}"
        );
        assert!(!told.contains("less than their price"), "{late}: {told}");
    }
}

#[test]
fn who_always_asks_less_than_the_price_is_not_told() {
    assert_eq!(told(16, How::Asks(290), true), "");
}

#[test]
fn a_discount_of_the_customer_that_all_renewals_have_at_once_is_told_on_that_day() {
    for off in [1_450, 2_320, 2_900] {
        let told = told(16, How::OffCustomer(off), false);
        assert!(told.starts_with("d20 "), "{off}: {told}");
        assert!(told.contains("new discounts take"), "{off}: {told}");
        assert!(told.contains("resolved"), "{off}: {told}");
    }
}

#[test]
fn a_discount_that_few_renewals_have_or_that_was_there_before_is_nothing() {
    // To one in sixteen, as an offer to those who want to leave; and to all, but small.
    assert_eq!(told(1, How::OffCustomer(2_900), false), "");
    assert_eq!(told(16, How::OffCustomer(290), false), "");
    for how in [
        How::OffByTurns(2_320),
        How::OffAsEver(2_320),
        How::OffCustomer(2_320),
    ] {
        assert_eq!(told(16, how, true), "");
    }
}

#[test]
fn who_was_put_on_hold_makes_no_others_renewal_cheaper() {
    let told = told(16, How::OffAfterHolds(1_450), false);
    assert!(told.contains("was paused within a day"), "{told}");
    assert!(told.contains("new discounts take"), "{told}");
}
