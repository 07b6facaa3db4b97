//! Waves of credits beside refunds: to customers' balances, or outside Stripe.

use std::fmt::Write as _;

use crate::testing::check;

/// Twenty days of thirty payments each with a credit note of so much beside refunds every `every` hours; then so many more
/// within two hours, of one `invoice` or of each its own.
fn told(every: i64, wave: usize, beside: i64, invoice: &str) -> String {
    let mut timeline = String::new();
    let mut made = 0;
    for hour in 0..480 {
        let _ = writeln!(timeline, "+1h charge.succeeded ch=ch_{hour} amt=2000");
        if hour % every == 0 {
            made += 1;
            let _ = writeln!(
                timeline,
                "+0s credit_note.created id=cn_{made} in=in_{made} total=2000 beside={beside}"
            );
        }
    }
    for n in 0..wave {
        let invoice = if invoice.is_empty() {
            format!("in_w{n}")
        } else {
            invoice.to_owned()
        };
        let _ = writeln!(
            timeline,
            "+9m credit_note.created id=cn_w{n} in={invoice} total=2000 beside={beside}"
        );
    }
    check("negative_invoice", &(timeline + "+1d wait\n"))
}

#[test]
fn many_credits_within_hours_are_a_wave_of_their_own() {
    let told = told(60, 12, 2_000, "");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains(" credit_wave: "), "{told}");
    assert!(
        told.contains(" paid invoices were credited within "),
        "{told}"
    );
    assert!(
        told.contains(" credited\n") || told.contains("USD credited"),
        "{told}"
    );
}

#[test]
fn credits_that_refunds_pay_out_or_as_many_as_ever_are_no_wave() {
    for (every, wave, beside) in [(60, 12, 0), (60, 5, 2_000), (1, 12, 2_000)] {
        let told = told(every, wave, beside, "");
        assert!(
            !told.contains("credit_wave"),
            "{every} {wave} {beside}: {told}"
        );
    }
}

#[test]
fn many_credits_of_one_invoice_are_one() {
    let told = told(60, 12, 100, "in_one");
    assert!(!told.contains("credit_wave"), "{told}");
}
