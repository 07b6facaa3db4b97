//! Timelines: what alarms, and what is explained.

use crate::testing::check;
use insta::assert_snapshot;

#[test]
fn a_total_below_zero_fires_at_finalisation_and_ends_with_the_void() {
    assert_snapshot!(check("negative_invoice", "
        +0s  invoice.finalized in=in_1 cus=cus_1 total=-5000 reason=manual
        +1s  invoice.paid in=in_1 cus=cus_1 total=-5000 reason=manual
        +1h  invoice.voided in=in_1 total=-5000
        +1h  invoice.finalized in=in_2 sub=sub_2 total=-1 reason=cycle cur=jpy
        +9d  wait
    "), @"
        d0 00:00:00 firing high in_1: in_1 was finalised with a total of -50.00 USD: no proration explains it
        d0 01:00:01 resolved high in_1: the invoice was voided
        d0 02:00:01 firing high below_zero:2024-03-04: in_2 was finalised with a total of -1 JPY: no proration explains it
        d7 02:01:00 resolved high below_zero:2024-03-04: nothing more happened to it within 7d
        ");
}

#[test]
fn a_downgrade_credits_the_balance_and_is_harmless() {
    assert_snapshot!(check("negative_invoice", "
        +0s  customer.subscription.created sub=sub_1 amt=9900
        +1s  invoice.paid in=in_1 sub=sub_1 total=9900 through=30d
        +9d  invoice.finalized in=in_2 sub=sub_1 total=-4000 reason=update proration
        +9d  invoice.finalized in=in_3 sub=sub_1 total=-20000 reason=update proration
    "), @"
        d9 00:00:01 quiet proration_credit in_2: a proration credits -40.00 USD to the customer's balance
        d18 00:00:01 firing high in_3: in_3 was finalised with a total of -200.00 USD: a proration gives back more than the subscription ever paid
        ");
}

#[test]
fn a_discount_beside_a_proration_is_harmless_and_a_credit_larger_than_the_bill_is_not() {
    // A downgrade credited on the next renewal, with 10 % off by hand; then a tenfold typing error,
    // a credit that most of the total comes of, and one without any proration.
    assert_snapshot!(check("negative_invoice", "
        +0s  invoice.finalized in=in_1 sub=sub_1 total=-462 reason=cycle lines=2900,-4344p,1272p,-290
        +1h  invoice.finalized in=in_2 sub=sub_1 total=-3072 reason=cycle lines=2900,-4344p,1272p,-2900
        +1h  invoice.finalized in=in_3 sub=sub_1 total=-3073 reason=cycle lines=2900,-4344p,1272p,-2901
        +1h  invoice.finalized in=in_4 sub=sub_1 total=-100 reason=cycle lines=2900,-1000p,-2000
        +1h  invoice.finalized in=in_5 sub=sub_1 total=-100 reason=cycle lines=2900,-3000
    "), @"
        d0 00:00:00 quiet proration_credit in_1: a proration credits -4.62 USD to the customer's balance
        d0 01:00:00 quiet proration_credit in_2: a proration credits -30.72 USD to the customer's balance
        d0 02:00:00 firing high below_zero:2024-03-04: in_3 was finalised with a total of -30.73 USD: no proration explains it
        d0 03:00:00 escalated high below_zero:2024-03-04: 2 invoices were finalised with totals below zero since 2024-03-04T02:00:00Z, 31.73 USD in all: in_4
        d0 04:00:00 escalated high below_zero:2024-03-04: 3 invoices were finalised with totals below zero since 2024-03-04T02:00:00Z, 32.73 USD in all: in_5
        ");
}

#[test]
fn time_in_a_trial_is_free_and_has_no_credit_to_give_back() {
    // A downgrade within the trial, by whichever lines; then one of a subscription that was paid before
    // it was put back on trial.
    assert_snapshot!(check("negative_invoice", "
        +0s  customer.subscription.created sub=sub_1 amt=30000 status=trialing trial=14d
        +1s  invoice.paid in=in_1 sub=sub_1 total=0 reason=create lines=0
        +3d  invoice.finalized in=in_2 sub=sub_1 total=-27500 reason=update lines=-30000p,2500p
        +1s  invoice.paid in=in_2 sub=sub_1 total=-27500 reason=update lines=-30000p,2500p
        +1h  customer.subscription.created sub=sub_2 amt=30000
        +1s  invoice.paid in=in_3 sub=sub_2 total=30000 reason=create lines=30000
        +9d  customer.subscription.updated sub=sub_2 amt=30000 status=trialing trial=14d
        +1d  invoice.finalized in=in_4 sub=sub_2 total=-27500 reason=update lines=-30000p,2500p
    "), @"
        d3 00:00:01 firing high in_2: in_2 was finalised with a total of -275.00 USD: a proration gives back more than the subscription ever paid
        d10 00:01:00 resolved high in_2: nothing more happened to it within 7d
        d13 01:00:03 quiet proration_credit in_4: a proration credits -275.00 USD to the customer's balance
        ");
}

#[test]
fn zero_and_positive_totals_are_quiet() {
    let told = check(
        "negative_invoice",
        "
        +0s  invoice.finalized total=0
        +1s  invoice.finalized total=1
        +1s  invoice.created total=-500 test_clock
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn refunds_and_credits_beyond_what_was_paid() {
    assert_snapshot!(check("negative_invoice", "
        +0s  charge.succeeded ch=ch_1 amt=5000
        +1h  refund.created re=re_1 ch=ch_1 amt=3000
        +1h  refund.created re=re_2 ch=ch_1 amt=2000
        +1h  refund.created re=re_3 ch=ch_1 amt=1000
        +1h  invoice.finalized in=in_1 total=5000
        +1h  credit_note.created cn=cn_1 in=in_1 total=5000
        +1h  credit_note.created cn=cn_2 in=in_1 total=100
    "), @"
        d0 03:00:00 firing high re_3: refund re_3 of 10.00 USD: its refunds are more than the charge took
        d0 06:00:00 firing high cn_2: credit note cn_2 of 1.00 USD: its credit notes are more than the invoice's total
        ");
}

#[test]
fn an_outsized_refund_is_measured_by_this_merchant() {
    let told = check(
        "negative_invoice",
        "
        +0s  charge.succeeded amt=2000 x200/1m
        +1m  charge.succeeded amt=24000 ch=ch_annual x1/1s
        +1m  charge.succeeded amt=900000 ch=ch_big
        +1h  refund.created re=re_1 ch=ch_annual amt=7900
        +1h  refund.created re=re_2 ch=ch_big amt=900000
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("re_2"), "{told}");
}

#[test]
fn one_refund_in_many_events_counts_once() {
    let told = check(
        "negative_invoice",
        "
        +0s  charge.succeeded ch=ch_1 amt=5000
        +1h  refund.created re=re_1 ch=ch_1 amt=5000
        +1s  refund.updated re=re_1 ch=ch_1 amt=5000
        +1s  charge.refund.updated re=re_1 ch=ch_1 amt=5000
        +1s  charge.refunded ch=ch_1 amt=5000
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn credits_are_held_against_all_that_a_subscription_settled() {
    // Bought, upgraded, and back again; then a credit that nothing paid for.
    assert_snapshot!(check("negative_invoice", "
        +0s  customer.subscription.created sub=sub_1 amt=2900
        +1s  invoice.paid in=in_1 sub=sub_1 total=2900 through=30d
        +1d  invoice.paid in=in_2 sub=sub_1 total=4800 reason=update proration
        +1d  invoice.finalized in=in_3 sub=sub_1 total=-4600 reason=update proration
        +1d  invoice.paid in=in_3 sub=sub_1 total=-4600 reason=update proration
        +1d  invoice.finalized in=in_4 sub=sub_1 total=-4600 reason=update proration
    "), @"
        d2 00:00:01 quiet proration_credit in_3: a proration credits -46.00 USD to the customer's balance
        d4 00:00:01 firing high in_4: in_4 was finalised with a total of -46.00 USD: a proration gives back more than the subscription ever paid
        ");
}

#[test]
fn what_was_paid_before_we_watched_may_be_credited() {
    let told = check(
        "negative_invoice",
        "
        +0s   customer.subscription.updated sub=sub_1 amt=99000
        +9d   invoice.paid in=in_1 sub=sub_1 total=500 reason=update proration
        +9d   invoice.finalized in=in_2 sub=sub_1 total=-60000 reason=update proration
        +20d  invoice.paid in=in_3 sub=sub_1 total=2900 through=30d
        +1d   invoice.finalized in=in_4 sub=sub_1 total=-60000 reason=update proration
    ",
    );
    assert_eq!(told.matches("quiet proration_credit").count(), 1, "{told}");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("in_4"), "{told}");
}

#[test]
fn the_refund_of_a_years_plan_is_ordinary_though_the_first_of_its_size() {
    let payments = "+0s charge.succeeded amt=900 x1200/1m\n";
    let annual = "
        +1m charge.succeeded ch=ch_1 pi=pi_1 amt=9000
        +1s invoice.paid in=in_1 sub=sub_1 ch=ch_1 total=9000
        +1d refund.created re=re_1 ch=ch_1 amt=9000
    ";
    let told = check("negative_invoice", &format!("{payments}{annual}"));
    assert_eq!(
        told.matches("quiet subscription_refund").count(),
        1,
        "{told}"
    );
    assert!(!told.contains("firing"), "{told}");
    let sale = "
        +1m charge.succeeded ch=ch_1 pi=pi_1 amt=9000
        +1d refund.created re=re_1 ch=ch_1 amt=9000
    ";
    let told = check("negative_invoice", &format!("{payments}{sale}"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn from_a_thousand_payments_on_three_times_the_largest_is_outsized() {
    let refund = |amount: i64| {
        let told = check(
            "negative_invoice",
            &format!(
                "
                +0s charge.succeeded amt=2000 x900/1m
                +0s charge.succeeded amt=19000 x200/1m
                +1m charge.succeeded ch=ch_1 amt={amount}
                +1d refund.created ch=ch_1 amt={amount}
                "
            ),
        );
        told.matches("firing").count()
    };
    assert_eq!(refund(57_000), 1);
    assert_eq!(refund(38_000), 0);
}

#[test]
fn a_wave_of_refunds_is_one_alert_that_ends() {
    assert_snapshot!(check("negative_invoice", "
        +0s  charge.succeeded x600/1h
        +1m  refund.created x3/1m
        +1m  refund.created x12/1m
        +3d  wait
    "), @"
        d24 23:07:00 firing high refund_wave: 7 charges were refunded within 6h, where 0.5 are usual: 29.1 % of the payments of a day; 140.00 USD given back
        d24 23:12:00 escalated critical refund_wave: 12 charges were refunded within 6h, where 0.5 are usual: 50 % of the payments of a day; 240.00 USD given back
        d25 23:12:00 resolved critical refund_wave: 0 charges refunded within 6h, 0.5 are usual
        ");
}

#[test]
fn a_weekly_batch_of_refunds_is_usual_and_its_threefold_is_not() {
    let mut weeks = "+0s charge.succeeded x334/1h\n".to_owned();
    for _ in 0..6 {
        weeks += "+1m charge.succeeded x167/1h\n+1h refund.created x10/1m\n";
    }
    let told = check("negative_invoice", &weeks);
    // The first two are waves as far as anybody knows; the third is awaited on its day of the week.
    assert_eq!(told.matches("firing").count(), 2, "{told}");
    let last = weeks + "+1m charge.succeeded x167/1h\n+1h refund.created x30/1m\n";
    let more = check("negative_invoice", &last);
    assert_eq!(
        more.matches("firing").count(),
        told.matches("firing").count() + 1,
        "{more}"
    );
}

/// Three refunds a day, and nothing else is known of the shop.
const REFUNDS_ALONE: &str = "+0s refund.created x84/8h\n";

#[test]
fn where_no_events_tell_of_payments_refunds_go_by_their_own_history() {
    assert_snapshot!(check("negative_invoice", &format!("{REFUNDS_ALONE}
        +6m  refund.created x30/6m
        +2d  wait
    ")), @"
        d27 16:42:00 firing medium refund_wave: 8 charges were refunded within 6h, where 1.0 are usual; 160.00 USD given back
        d27 16:54:00 escalated high refund_wave: 10 charges were refunded within 6h, where 1.0 are usual; 200.00 USD given back
        d28 18:12:00 resolved high refund_wave: 0 charges refunded within 6h, 1.0 are usual
        ");
}

#[test]
fn a_shop_without_payments_may_give_back_some_more_on_a_day() {
    let some = format!("{REFUNDS_ALONE} +6m refund.created x6/1h");
    assert_eq!(check("negative_invoice", &some), "");
    // Each day as many: they are what is usual.
    let many = "+0s refund.created x30/6m\n+21h wait\n".repeat(20);
    assert_eq!(check("negative_invoice", &many), "");
    // Of the first days nobody knows what is usual.
    let young = "+0s refund.created x19/8h\n+6m refund.created x30/6m";
    assert_eq!(check("negative_invoice", young), "");
}

#[test]
fn refunds_of_duplicates_and_parts_of_one_charge_are_no_wave() {
    let told = check(
        "negative_invoice",
        "
        +0s  charge.succeeded x600/1h
        +1m  refund.created reason=duplicate x40/1m
        +1m  charge.succeeded ch=ch_1 amt=90000
        +1m  refund.created ch=ch_1 amt=100 x40/1m
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn refunded_in_full_and_credited_as_well_is_told_and_ends_with_the_void() {
    assert_snapshot!(check("negative_invoice", "
        +0s   charge.succeeded ch=ch_1 in=in_1 cus=cus_1 amt=12000
        +0s   invoice.paid in=in_1 ch=ch_1 cus=cus_1 total=12000
        +1h   refund.created re=re_1 ch=ch_1 amt=12000
        +40m  credit_note.created cn=cn_1 in=in_1 cus=cus_1 total=12000 beside=12000
        +1h   credit_note.voided cn=cn_1 in=in_1 cus=cus_1 total=12000 beside=12000
    "), @"
        d0 01:40:00 firing high given_back:in_1: in_1 was for 120.00 USD, and 240.00 USD was given back: 120.00 USD refunded, and 120.00 USD credited beside it
        d0 02:40:00 resolved high given_back:in_1: no more is given back than it was for
        ");
}

#[test]
fn a_refund_that_came_back_and_is_credited_instead_is_no_excess() {
    let paid = "
        +0s   charge.succeeded ch=ch_1 in=in_1 cus=cus_1 amt=12000
        +0s   invoice.paid in=in_1 ch=ch_1 cus=cus_1 total=12000
    ";
    for back in [
        // Came back, and credited instead.
        "
        +1h   refund.created re=re_1 ch=ch_1 amt=12000
        +1d   refund.failed re=re_1 ch=ch_1 amt=12000
        +1h   credit_note.created cn=cn_1 in=in_1 total=12000 beside=12000
        ",
        // A part each.
        "
        +1h   refund.created re=re_1 ch=ch_1 amt=5000
        +1h   credit_note.created cn=cn_1 in=in_1 total=7000 beside=7000
        ",
        // Paid twice, and all of it given back.
        "
        +1h   charge.succeeded ch=ch_2 in=in_1 cus=cus_1 amt=12000
        +1h   refund.created re=re_1 ch=ch_2 amt=12000
        +1h   credit_note.created cn=cn_1 in=in_1 total=12000 beside=12000
        ",
        // The credit note made the refund.
        "
        +1h   credit_note.created cn=cn_1 in=in_1 total=12000
        +0s   refund.created re=re_1 ch=ch_1 amt=12000
        ",
    ] {
        let told = check("negative_invoice", &format!("{paid}{back}"));
        assert_eq!(told.matches(" firing ").count(), 0, "{back}: {told}");
    }
}

/// Half a month of a shop that gives back two of ten payments each hour.
fn generous_shop() -> String {
    "+5m charge.succeeded x10/5m\n+5m refund.created x2/5m\n".repeat(14 * 24)
}

#[test]
fn a_run_of_an_hour_is_told_in_a_shop_with_many_refunds() {
    let shop = generous_shop();
    assert_snapshot!(check("negative_invoice", &format!("{shop}+1m refund.created x40/30s\n{shop}")), @"
        d14 00:05:00 firing medium refund_wave: 11 charges were refunded within 1h, where 2.0 are usual: 4.5 % of the payments of a day; 220.00 USD given back
        d14 00:11:30 escalated high refund_wave: 24 charges were refunded within 1h, where 2.0 are usual: 10 % of the payments of a day; 480.00 USD given back
        d15 00:02:00 resolved high refund_wave: 12 charges refunded within 6h, 12.0 are usual
        ");
    let run = |times| format!("{shop}+1m refund.created x{times}/30s\n{shop}");
    assert_eq!(check("negative_invoice", &run(7)), "");
    // In whatever currencies.
    let two = format!("{shop}+1m refund.created x7/30s\n+1s refund.created cur=eur x7/30s\n");
    assert_eq!(check("negative_invoice", &two).matches("firing").count(), 1);
}

#[test]
fn a_run_at_night_is_told_where_few_are_given_back_a_day() {
    // A hotel of 100 guests a day gives back to four of them, at most to two within an hour.
    let day = "+14m charge.succeeded x50/14m\n+10m refund.created x2/30m\n\
               +14m charge.succeeded x50/14m\n+10m refund.created x2/90m\n";
    let night = |times| format!("{}+1h refund.created x{times}/3m\n", day.repeat(21));
    assert_eq!(check("negative_invoice", &night(7)), "");
    assert_snapshot!(check("negative_invoice", &night(14)), @"d22 12:24:00 firing high refund_wave: 11 charges were refunded within 6h, where 2.0 are usual: 11.7 % of the payments of a day; 220.00 USD given back");
}

#[test]
fn a_run_of_an_afternoon_is_told_while_it_lasts_and_a_daily_one_is_usual() {
    // Six of 120 are given back a day, two or three of them within six hours.
    let day = "+6m charge.succeeded x20/12m\n+1m refund.created\n".repeat(6);
    let afternoon = "+15m refund.created x18/15m\n";
    let told = check("negative_invoice", &(day.repeat(21) + afternoon));
    assert_snapshot!(told, @"
    d20 16:00:00 firing medium refund_wave: 11 charges were refunded within 6h, where 2.0 are usual: 8.9 % of the payments of a day; 220.00 USD given back
    d20 16:30:00 escalated high refund_wave: 13 charges were refunded within 6h, where 2.0 are usual: 10.5 % of the payments of a day; 260.00 USD given back
    ");
    // Who works off a day's refunds in the afternoon does so each day.
    let work = "+6m charge.succeeded x90/12m\n+15m refund.created x10/15m\n".repeat(21);
    assert_eq!(check("negative_invoice", &work), "");
    let more = "+15m refund.created x14/15m\n";
    assert_eq!(
        check("negative_invoice", &(work + "+16h wait\n" + more)),
        ""
    );
}

/// A day of 96 payments, and then so many refunds, a quarter of an hour apart.
fn day_of_refunds(refunds: u32) -> String {
    let rest = 8 * 60 - refunds * 15;
    format!("+10m charge.succeeded x96/10m\n+15m refund.created x{refunds}/15m\n+{rest}m wait\n")
}

#[test]
fn how_far_the_days_differ_decides_what_a_run_is() {
    let days = |counts: [u32; 4]| counts.map(day_of_refunds).concat().repeat(6);
    let run = day_of_refunds(20);
    // Six a day, give or take one: twenty are no chance, though not twice what batches may bring.
    let told = check("negative_invoice", &(days([5, 6, 7, 6]) + &run));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    // As many on the mean day, and twelve on every other: twenty are one more such.
    let told = check("negative_invoice", &(days([1, 12, 1, 12]) + &run));
    assert_eq!(told, "");
}

#[test]
fn a_wave_of_two_days_is_held_against_two_days() {
    let days = |counts: [u32; 4]| counts.map(day_of_refunds).concat();
    let two = |count| day_of_refunds(count).repeat(2);
    // Two a day: nine on one of them may be chance, and on two in a row are none.
    let even = days([2, 1, 3, 2]).repeat(6);
    let one = even.clone() + &day_of_refunds(9) + &days([2, 1, 3, 2]);
    assert_eq!(check("negative_invoice", &one), "");
    let told = check("negative_invoice", &(even + &two(9) + &days([2, 1, 3, 2])));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(
        told.contains("refunded within 2d, where 4.0 are usual"),
        "{told}"
    );
    // As many, where such days come together again and again.
    let batches = days([0, 0, 8, 8]).repeat(6);
    assert_eq!(check("negative_invoice", &(batches + &two(9))), "");
}

#[test]
fn seven_are_a_wave_where_so_many_are_beyond_doubt() {
    // A refund every third day.
    let shop = |per_day: [u32; 3]| per_day.map(day_of_refunds).concat().repeat(8);
    let afternoon = day_of_refunds(7);
    let told = check("negative_invoice", &(shop([1, 0, 0]) + &afternoon));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    let told = check("negative_invoice", &(shop([1, 0, 0]) + &day_of_refunds(6)));
    assert_eq!(told, "");
    let told = check("negative_invoice", &(shop([2, 0, 1]) + &afternoon));
    assert_eq!(told, "");
}

#[test]
fn a_run_at_the_end_of_each_month_is_told_twice() {
    let mut months = String::new();
    for _ in 0..5 {
        months += "+30m charge.succeeded x1440/30m\n+1m refund.created x60/20s\n";
    }
    let told = check("negative_invoice", &months);
    assert_eq!(told.matches("firing").count(), 2, "{told}");
    let told = check(
        "negative_invoice",
        &(months + "+10d charge.succeeded\n+1m refund.created x60/20s\n"),
    );
    assert_eq!(told.matches("firing").count(), 3, "{told}");
}

/// Payments for three weeks, one refund a day of them, and then a run; `refunded` tells of each refund.
fn run_of_refunds(refunded: impl Fn(u32) -> String) -> String {
    let mut lines = String::from("+0s charge.succeeded amt=2000 x1\n");
    for day in 0..21 {
        for n in 0..40 {
            let id = day * 40 + n;
            lines += &format!("+36m charge.succeeded ch=ch_{id} amt=2000\n");
        }
        lines += &refunded(day * 40);
    }
    for n in 0..30 {
        lines += &format!("+1m charge.succeeded ch=ch_{} amt=2000\n", 840 + n);
        lines += &refunded(800 + n);
    }
    check("negative_invoice", &lines)
}

#[test]
fn where_no_refund_objects_are_sent_charges_tell_of_refunds() {
    let bare = |n: u32| format!("+1s charge.refunded ch=ch_{n} amt=2000\n");
    let with_object = |n: u32| {
        format!(
            "{}+1s refund.created re=re_{n} ch=ch_{n} amt=2000\n",
            bare(n)
        )
    };
    let told = [run_of_refunds(bare), run_of_refunds(with_object)];
    for told in &told {
        assert_eq!(told.matches(" firing ").count(), 1, "{told}");
        assert!(
            told.contains("firing") && told.contains("refund_wave"),
            "{told}"
        );
    }
    // Nothing is counted twice. Of the first hour, before it is known that no objects are sent, nothing is counted.
    let count = |told: &str| {
        let last = told
            .lines()
            .rfind(|line| line.contains(" were refunded "))?;
        let count = last.split(": ").nth(1)?.split(" charges").next();
        count.map(ToOwned::to_owned)
    };
    assert_eq!(count(&told[0]), count(&told[1]));
}

#[test]
fn an_outsized_refund_is_told_by_its_charge_too() {
    let told = check(
        "negative_invoice",
        "
        +0s  charge.succeeded amt=2000 x200/1m
        +1m  charge.succeeded amt=900000 ch=ch_big
        +1m  charge.succeeded amt=2000 ch=ch_small
        +1h  charge.refunded ch=ch_small amt=2000
        +2h  charge.refunded ch=ch_big amt=900000
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("ch_big"), "{told}");
}

#[test]
fn renewals_below_zero_that_follow_each_other_are_one_alert_that_ends_with_the_last_void() {
    // Hours apart, as at a merchant with few renewals; what is made by hand is its own matter.
    assert_snapshot!(check("negative_invoice", "
        +0s  invoice.finalized in=in_1 cus=cus_1 sub=sub_1 total=-5000 reason=cycle
        +9h  invoice.finalized in=in_2 cus=cus_2 sub=sub_2 total=-3000 reason=cycle
        +1h  invoice.finalized in=in_hand cus=cus_9 total=-1000 reason=manual
        +9h  invoice.finalized in=in_3 cus=cus_3 sub=sub_3 total=-2000 reason=cycle
        +1h  invoice.voided in=in_1 sub=sub_1 total=-5000
        +1h  invoice.voided in=in_3 sub=sub_3 total=-2000
        +1h  invoice.voided in=in_2 sub=sub_2 total=-3000
        +25h invoice.finalized in=in_4 cus=cus_4 sub=sub_4 total=-2000 reason=cycle
    "), @"
        d0 00:00:00 firing high below_zero:2024-03-04: in_1 was finalised with a total of -50.00 USD: no proration explains it
        d0 09:00:00 escalated high below_zero:2024-03-04: 2 invoices were finalised with totals below zero since 2024-03-04T00:00:00Z, 80.00 USD in all: in_2
        d0 10:00:00 firing high in_hand: in_hand was finalised with a total of -10.00 USD: no proration explains it
        d0 19:00:00 escalated high below_zero:2024-03-04: 3 invoices were finalised with totals below zero since 2024-03-04T00:00:00Z, 100.00 USD in all: in_3
        d0 22:00:00 resolved high below_zero:2024-03-04: the invoice was voided
        d1 23:00:00 firing high below_zero:2024-03-05: in_4 was finalised with a total of -20.00 USD: no proration explains it
        ");
}

#[test]
fn a_run_of_many_is_told_one_by_one_and_then_when_it_has_doubled_or_waited() {
    let mut timeline = String::new();
    for n in 1..=14 {
        timeline += &format!(
            "+30s invoice.finalized in=in_{n} cus=cus_{n} sub=sub_{n} total=-100 reason=cycle\n"
        );
    }
    timeline += "+30m wait\n";
    assert_snapshot!(check("negative_invoice", &timeline), @"
        d0 00:00:30 firing high below_zero:2024-03-04: in_1 was finalised with a total of -1.00 USD: no proration explains it
        d0 00:01:00 escalated high below_zero:2024-03-04: 2 invoices were finalised with totals below zero since 2024-03-04T00:00:30Z, 2.00 USD in all: in_2
        d0 00:01:30 escalated high below_zero:2024-03-04: 3 invoices were finalised with totals below zero since 2024-03-04T00:00:30Z, 3.00 USD in all: in_3
        d0 00:02:00 escalated high below_zero:2024-03-04: 4 invoices were finalised with totals below zero since 2024-03-04T00:00:30Z, 4.00 USD in all: in_4
        d0 00:02:30 escalated high below_zero:2024-03-04: 5 invoices were finalised with totals below zero since 2024-03-04T00:00:30Z, 5.00 USD in all: in_5
        d0 00:05:00 escalated high below_zero:2024-03-04: 10 invoices were finalised with totals below zero since 2024-03-04T00:00:30Z, 10.00 USD in all: in_6, in_7, in_8, in_9, in_10
        d0 00:15:00 escalated high below_zero:2024-03-04: 14 invoices were finalised with totals below zero since 2024-03-04T00:00:30Z, 14.00 USD in all: in_11, in_12, in_13, in_14
        ");
}

#[test]
fn renewals_below_zero_days_apart_are_alerts_of_their_own() {
    let told = check(
        "negative_invoice",
        "
        +0s  invoice.finalized in=in_1 cus=cus_1 sub=sub_1 total=-5000 reason=cycle
        +25h invoice.finalized in=in_2 cus=cus_2 sub=sub_2 total=-3000 reason=cycle
        +25h invoice.finalized in=in_3 cus=cus_3 sub=sub_3 total=-3000 reason=cycle
    ",
    );
    assert_eq!(told.matches(" firing ").count(), 3, "{told}");
}
