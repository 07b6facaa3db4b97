//! Timelines: what alarms, and what is explained.

use crate::testing::check;
use insta::assert_snapshot;

#[test]
fn a_handful_in_a_day_is_a_spike_and_a_quiet_day_ends_it() {
    assert_snapshot!(check("fraud_spike", "
        +0s  charge.succeeded x300/1h
        +1h  charge.dispute.created x3/1h
        +1h  radar.early_fraud_warning.created x3/1h
        +2d  wait
    "), @"
        d12 15:00:00 firing medium all: 3 charges were disputed and 1 warned of within 1d, where 0.2 are usual: 16.6 % of the payments of such a time; 60.00 USD at stake
        d12 16:00:00 escalated high all: 3 charges were disputed and 2 warned of within 1d, where 0.2 are usual: 20.8 % of the payments of such a time; 60.00 USD at stake
        d14 02:00:00 resolved high all: 0 within 1d for 12h at most, 0.1 are usual
        ");
}

#[test]
fn four_in_three_days_are_one_at_a_tiny_merchant_and_at_no_other() {
    let told = check(
        "fraud_spike",
        "
        +0s  charge.succeeded x300/4h
        +1h  charge.dispute.created ch=ch_280
        +20h charge.dispute.created ch=ch_281
        +20h charge.dispute.created ch=ch_282
        +20h charge.dispute.created ch=ch_283
        +20d wait
    ",
    );
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
    let told = check(
        "fraud_spike",
        "
        +0s  charge.succeeded x3000/12m
        +1h  charge.dispute.created x4/20h
        +20d wait
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn a_slow_wave_at_a_small_merchant_shows_over_a_week_and_the_same_over_a_month_does_not() {
    // Fifty payments a day, of which five days bring one disputed each.
    let days = |between: &str| {
        let two_months = "+0s charge.succeeded x3000/30m\n".to_owned();
        two_months + &format!("+1h charge.dispute.created x5/{between}\n+20d wait\n")
    };
    let told = check("fraud_spike", &days("23h"));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("within 7d"), "{told}");
    assert_eq!(check("fraud_spike", &days("150h")), "");
    // Ten times the payments, and it is nothing out of the ordinary.
    let large = days("23h").replace("x3000/30m", "x30000/3m");
    assert_eq!(check("fraud_spike", &large), "");
}

#[test]
fn three_in_a_day_or_four_now_and_then_are_none() {
    let told = check(
        "fraud_spike",
        "
        +0s  charge.succeeded x300/1h
        +1h  charge.dispute.created x3/1h
        +60d charge.succeeded x300/1h
        +1h  charge.dispute.created x4/49h
    ",
    );
    assert_eq!(told, "");
    // A slow constant rate is the merchant's own: one dispute in 400 payments every other day.
    let mut days = String::new();
    for _ in 0..60 {
        days += "+1m charge.succeeded x400/7m\n+1h charge.dispute.created\n";
    }
    assert_eq!(check("fraud_spike", &days), "");
}

#[test]
fn a_wave_of_three_a_day_shows_over_days_and_is_one_alert() {
    let mut days = "+0s charge.succeeded x960/1h\n".to_owned();
    for _ in 0..6 {
        days += "+1m charge.succeeded x16/1h\n+1h charge.dispute.created x3/2h\n";
    }
    days += "+1m charge.succeeded x240/1h\n";
    assert_snapshot!(check("fraud_spike", &days), @"
        d41 11:02:00 firing high all: 4 charges were disputed and 0 warned of within 1d, where 0.1 are usual: 16.6 % of the payments of such a time; 80.00 USD at stake
        d43 03:04:00 escalated critical all: 10 charges were disputed and 0 warned of within 3d, where 0.2 are usual: 13.3 % of the payments of such a time; 200.00 USD at stake
        d51 13:05:00 resolved critical all: 3 within 7d for 12h at most, 0.5 are usual
        ");
}

#[test]
fn a_wave_teaches_nothing_and_the_next_one_is_told_like_the_first() {
    let wave = "+1m charge.succeeded x480/1h\n+1h charge.dispute.created x6/9h\n";
    let told = check("fraud_spike", &wave.repeat(4));
    assert_eq!(told.matches(" firing ").count(), 4, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 3, "{told}");
}

#[test]
fn the_disputes_of_a_big_month_come_when_it_is_over() {
    let mut days = String::new();
    for day in 0..150 {
        // December brings ten times as much, and January its disputes: 0.4 % of the payments.
        let payments = if (60..90).contains(&day) { 1_200 } else { 120 };
        let disputes = if (95..125).contains(&day) {
            5
        } else {
            i64::from(day % 2 == 0)
        };
        days += &format!("+0s charge.succeeded x{payments}/30s\n");
        if disputes > 0 {
            days += &format!("+1h charge.dispute.created x{disputes}/1h\n");
        }
        let spent = (payments - 1) * 30 + if disputes > 0 { disputes * 3_600 } else { 0 };
        days += &format!("+{}s wait\n", 86_400 - spent);
    }
    assert_eq!(check("fraud_spike", &days), "");
}

#[test]
fn a_rate_that_stays_is_usual_in_the_end() {
    let mut days = "+0s charge.succeeded x2400/1h\n".to_owned();
    for _ in 0..80 {
        days += "+1m charge.succeeded x20/1h\n+1h charge.dispute.created x2/1h\n";
    }
    let told = check("fraud_spike", &days);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
}

#[test]
fn the_first_week_of_a_merchant_with_many_disputes_is_no_wave() {
    // 1.6 a day of 400 payments, and once eight in a day: the rate is hardly known yet.
    let mut days = String::new();
    for disputes in [1, 2, 1, 2, 0, 1, 2, 8] {
        days += "+0s charge.succeeded x400/2m\n";
        if disputes > 0 {
            days += &format!("+10m charge.dispute.created x{disputes}/10m\n");
        }
        days += &format!("+{}s wait\n", 86_400 - 399 * 120 - disputes * 600);
    }
    assert_eq!(check("fraud_spike", &days), "");
}

#[test]
fn a_warning_and_a_dispute_of_one_charge_count_once() {
    let told = check(
        "fraud_spike",
        "
        +0s  charge.succeeded ch=ch_a x1/1s
        +0s  charge.succeeded ch=ch_b x1/1s
        +0s  charge.succeeded ch=ch_c x1/1s
        +1h  radar.early_fraud_warning.created ch=ch_a
        +1h  charge.dispute.created ch=ch_a
        +1h  radar.early_fraud_warning.created ch=ch_b
        +1h  charge.dispute.created ch=ch_b
        +1h  radar.early_fraud_warning.created ch=ch_c
        +1h  charge.dispute.created ch=ch_c
    ",
    );
    assert_eq!(told.matches("quiet same_charge").count(), 3, "{told}");
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn inquiries_are_no_disputes_until_they_escalate() {
    let told = check(
        "fraud_spike",
        "
        +0s  charge.succeeded x300/1h
        +1h  charge.dispute.created status=warning_needs_response x9/1m
    ",
    );
    assert_eq!(told.matches("quiet inquiry").count(), 9, "{told}");
    assert!(!told.contains("firing"), "{told}");
    let told = check(
        "fraud_spike",
        "
        +0s  charge.succeeded x300/1h
        +1h  charge.dispute.created dp=dp_1 status=warning_needs_response
        +1h  charge.dispute.updated dp=dp_1 status=needs_response
        +1h  charge.dispute.created x4/1h
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn a_large_merchant_with_its_usual_disputes_is_quiet() {
    let mut days = String::new();
    for _ in 0..30 {
        days += "+1m charge.succeeded x2000/30s\n+1m charge.dispute.created x6/1h\n";
    }
    assert_eq!(check("fraud_spike", &days), "");
}

#[test]
fn an_alert_ends_when_a_large_merchants_usual_handful_is_back() {
    let mut days = String::new();
    for _ in 0..30 {
        days += "+1m charge.succeeded x2000/30s\n+1m charge.dispute.created x6/1h\n";
    }
    days += "+1m charge.succeeded x2000/30s\n+1m charge.dispute.created x40/10m\n";
    for _ in 0..3 {
        days += "+1m charge.succeeded x2000/30s\n+1m charge.dispute.created x6/1h\n";
    }
    let told = check("fraud_spike", &days);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
}

#[test]
fn disputes_that_grow_with_a_young_shop_are_usual_by_now() {
    let mut days = String::new();
    for day in 0..80 {
        // Disputes follow payments by weeks: none, then more and more, up to twelve a day.
        let disputes = (day - 15).clamp(0, 48) / 4;
        days += "+0s charge.succeeded x2000/30s\n";
        if disputes > 0 {
            days += &format!("+20m charge.dispute.created x{disputes}/20m\n");
        }
        days += &format!("+{}s wait\n", 86_400 - 1_999 * 30 - disputes * 1_200);
    }
    assert_eq!(check("fraud_spike", &days), "");
}

#[test]
fn one_card_on_many_new_customers() {
    let told = check(
        "fraud_spike",
        "
        +0s charge.succeeded card=fp_1 req=req_1 x4/1h
        +1h charge.succeeded card=fp_1 req=req_1
        +1h charge.succeeded card=fp_1 req=req_1 x5/1h
        +2d wait
    ",
    );
    assert_snapshot!(told, @"
        d0 04:00:00 firing medium card:fp_1: card fp_1 paid for 5 new customers within 1d
        d0 09:00:00 escalated high card:fp_1: card fp_1 paid for 10 new customers within 1d
        d1 09:00:00 resolved high card:fp_1: no more of it within 1d
        ");
}

#[test]
fn one_customer_with_many_cards() {
    let mut timeline = String::new();
    for card in 0..5 {
        timeline += &format!("+1h charge.succeeded cus=cus_1 card=fp_{card}\n");
    }
    let told = check("fraud_spike", &timeline);
    assert_snapshot!(told, @"d0 05:00:00 firing medium customer:cus_1: cus_1 paid with 5 different cards within 1d");
    // A buyer who retypes, or whose cards are declined, is another matter.
    let told = check("fraud_spike", &timeline.replace("succeeded", "failed"));
    assert_eq!(told, "");
    let few = timeline.lines().take(4).collect::<Vec<_>>().join("\n");
    assert_eq!(check("fraud_spike", &few), "");
}

#[test]
fn a_list_of_cards_is_told_by_those_that_were_declined_once_two_have_paid() {
    // The second and, where two pay, the sixth of nine.
    let list = |paid: usize| -> String {
        let word = |card: usize| match card {
            1 => "succeeded",
            5 if paid > 1 => "succeeded",
            _ => "failed",
        };
        let line = |card| {
            format!(
                "+3m charge.{} cus=cus_1 card=fp_{card} req=req_1\n",
                word(card)
            )
        };
        (0..9).map(line).collect()
    };
    assert_snapshot!(check("fraud_spike", &list(2)), @"d0 00:24:00 firing medium customer:cus_1: cus_1 paid with 2 different cards within 1d, and 6 others were declined");
    assert_eq!(check("fraud_spike", &list(1)), "", "a buyer in trouble");
}

#[test]
fn an_agency_whose_card_pays_for_its_clients_is_usual() {
    let mut days = String::new();
    for _ in 0..10 {
        days += "+1d charge.succeeded card=fp_agency req=req_1 x4/1m\n";
    }
    days += "+1d charge.succeeded card=fp_agency req=req_1 x8/1m\n";
    assert_eq!(check("fraud_spike", &days), "");
    // Renewals are made by Stripe, not by somebody new.
    let renewals = "+0s charge.succeeded card=fp_1 x30/1m";
    assert_eq!(check("fraud_spike", renewals), "");
}

#[test]
fn a_launch_is_no_fraud_and_a_burst_of_risky_newcomers_is() {
    let mut usual = String::new();
    for day in 0..20 {
        for n in 0..14 {
            usual += &format!("+1h charge.succeeded card=fp_{day}_{n} req=req_1\n");
        }
        usual += &format!("+10h charge.succeeded card=fp_{day} funding=prepaid req=req_1\n");
    }
    let burst = |funding: &str| {
        let newcomer = |n| format!("+1m charge.succeeded card=fp_new_{n} {funding} req=req_1\n");
        (0..30).map(newcomer).collect::<String>()
    };
    let launch = check("fraud_spike", &(usual.clone() + &burst("funding=credit")));
    assert_eq!(launch, "");
    let told = check("fraud_spike", &(usual + &burst("funding=prepaid")));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("new_customers"), "{told}");
}

/// Ten days of guests, each with a card of their own; one buys three times.
fn guests() -> String {
    let mut days = String::new();
    for day in 0..10 {
        days += &format!("+4h charge.succeeded guest card=fp_{day} amt=2500\n");
        days += &format!("+5m charge.succeeded guest card=fp_{day} amt=1900\n");
        days += &format!("+40m charge.succeeded guest card=fp_{day} amt=4900\n");
        days += &format!("+19h charge.succeeded guest card=fp_b{day} amt=2500\n");
    }
    days
}

/// So many purchases of one guest's card, six minutes apart.
fn spree(card: &str, purchases: i64) -> String {
    let purchase = |n| {
        format!(
            "+6m charge.succeeded guest card={card} amt={}\n",
            4_000 + n * 700
        )
    };
    (0..purchases).map(purchase).collect()
}

#[test]
fn a_guests_card_that_pays_again_and_again() {
    let told = check(
        "fraud_spike",
        &(guests() + &spree("fp_x", 9) + "+2d wait\n"),
    );
    assert_snapshot!(told, @"
        d9 22:12:00 firing medium guest:fp_x: card fp_x paid 7 times without a customer within 3h, 427.00 USD
        d10 22:24:00 resolved medium guest:fp_x: no more of it within 1d
        ");
    assert_eq!(check("fraud_spike", &(guests() + &spree("fp_x", 6))), "");
}

/// The same by one card for so many customers in turn.
fn shared(purchases: i64, customers: i64) -> String {
    let purchase = |n| {
        let customer = n % customers;
        let amount = 4_000 + n * 700;
        format!("+4m charge.succeeded cus=cus_{customer} card=fp_x amt={amount} req=req_1\n")
    };
    (0..purchases).map(purchase).collect()
}

/// Ten days of a customer's own cards.
fn customers() -> String {
    guests().replace("guest", "cus=cus_1 req=req_0")
}

#[test]
fn one_card_that_pays_again_and_again_for_several_customers() {
    let told = check("fraud_spike", &(customers() + &shared(9, 4)));
    assert_snapshot!(told, @"d9 21:54:00 firing medium card:fp_x: card fp_x paid 6 times for 4 customers within 3h, 345.00 USD");
    // A couple's card, and one customer's.
    assert_eq!(check("fraud_spike", &(customers() + &shared(9, 2))), "");
    assert_eq!(check("fraud_spike", &(customers() + &shared(7, 1))), "");
    assert_eq!(check("fraud_spike", &(customers() + &shared(5, 4))), "");
    // Subscriptions that Stripe renews for the members of one household or company.
    let renewed = shared(9, 4).replace(" req=req_1", "");
    assert_eq!(check("fraud_spike", &(customers() + &renewed)), "");
    // A company whose people order by one card each day.
    let days: String = (0..9).map(|_| shared(5, 4) + "+1d wait\n").collect();
    assert_eq!(check("fraud_spike", &(days + &shared(9, 4))), "");
}

#[test]
fn what_a_shared_card_was_declined_for_counts_and_a_purchase_tried_again_does_not() {
    // Four customers pay, and are declined for what they want next.
    let (paid, wanted) = (shared(4, 4), shared(8, 4));
    let declined: String = (wanted.lines().skip(4))
        .map(|line| line.replace("succeeded", "failed") + "\n")
        .collect();
    let told = check("fraud_spike", &(customers() + &paid + &declined));
    assert_snapshot!(told, @"d9 21:54:00 firing medium card:fp_x: card fp_x paid 4 times, and was declined 2 times, for 4 customers within 3h, 202.00 USD");
    // Of cards that never pay another detector speaks.
    let never = wanted.replace("succeeded", "failed");
    assert_eq!(check("fraud_spike", &(customers() + &never)), "");
    // A family of three: the card is over its limit, and each tries again until it is not.
    let again: String = shared(3, 3)
        .lines()
        .map(|line| format!("{0}\n{0}\n{line}\n", line.replace("succeeded", "failed")))
        .collect();
    assert_eq!(check("fraud_spike", &(customers() + &again)), "");
}

#[test]
fn a_card_that_was_told_does_not_hide_the_next() {
    let second = shared(9, 4)
        .replace("fp_x", "fp_y")
        .replace("cus=cus_", "cus=cus_b");
    let told = check(
        "fraud_spike",
        &(customers() + &shared(9, 4) + "+10d wait\n" + &second),
    );
    assert_eq!(told.matches(" firing ").count(), 2, "{told}");
    // Nor where it paid for many new customers.
    let many = |card: &str| {
        let of = |n| format!("+1m charge.succeeded cus=cus_{card}{n} card={card} req=req_1\n");
        (0..6).map(of).collect::<String>()
    };
    let told = check(
        "fraud_spike",
        &(customers() + &many("fp_x") + "+10d wait\n" + &many("fp_y")),
    );
    assert_eq!(told.matches(" firing ").count(), 2, "{told}");
    // A card that does so and is not told does: it is what is usual.
    let few = many("fp_w").lines().take(4).collect::<Vec<_>>().join("\n") + "\n+1d wait\n";
    let told = check("fraud_spike", &(customers() + &few + &many("fp_y")));
    assert_eq!(told, "");
}

#[test]
fn before_a_week_is_known_it_takes_twice_as_many() {
    assert_eq!(check("fraud_spike", &spree("fp_x", 11)), "");
    let told = check("fraud_spike", &spree("fp_x", 12));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn cards_that_pay_often_here_are_usual() {
    // A vending machine's regulars, and a donor's monthly list.
    let days: String = (0..12).map(|_| spree("fp_v", 5) + "+1d wait\n").collect();
    assert_eq!(check("fraud_spike", &(days + &spree("fp_w", 9))), "");
    // One purchase sent nine times is a duplicate, and told as such.
    let again = "+1m charge.succeeded guest card=fp_x amt=4000 x9/1m\n";
    assert_eq!(check("fraud_spike", &(guests() + again)), "");
    // At a counter, and by a known customer.
    let counter = spree("fp_x", 9).replace("guest", "guest type=card_present");
    assert_eq!(check("fraud_spike", &(guests() + &counter)), "");
    let known = spree("fp_x", 9).replace("guest", "cus=cus_1");
    assert_eq!(check("fraud_spike", &(guests() + &known)), "");
    // Slowly, over a day.
    let slow = spree("fp_x", 12).replace("+6m", "+40m");
    assert_eq!(check("fraud_spike", &(guests() + &slow)), "");
}

#[test]
fn a_monday_may_bring_the_disputes_of_three_days_and_no_more() {
    // Nine weeks of 480 payments a day and two disputes on each weekday, six on Mondays; then a Monday or
    // a Wednesday of its own.
    let day = |disputes: u32| match disputes {
        0 => "+3m charge.succeeded x480/3m\n".to_owned(),
        _ => format!(
            "+3m charge.succeeded x240/3m\n+1s charge.dispute.created x{disputes}/3m\n\
             +3m charge.succeeded x{}/3m\n",
            240 - disputes
        ),
    };
    let week: String = [6, 2, 2, 2, 2, 0, 0].map(day).concat();
    let on = |days: &[u32]| {
        let last: String = days.iter().copied().map(day).collect();
        check("fraud_spike", &(week.repeat(9) + &last))
    };
    assert_eq!(on(&[14]), "");
    assert_eq!(on(&[30]).matches(" firing ").count(), 1);
    assert_eq!(on(&[6, 2, 14]).matches(" firing ").count(), 1);
}

#[test]
fn disputes_of_payments_from_before_the_record_have_no_rate() {
    // A Tuesday's first hours at a shop with 480 payments a day: up to what is excessive anywhere is no
    // spike, and what is beyond is told without a share of payments.
    let of = |count: u32| {
        let timeline =
            format!("+1d charge.succeeded x60/3m\n+1m charge.dispute.created x{count}/1m");
        check("fraud_spike", &timeline)
    };
    assert_eq!(of(10), "");
    let told = of(60);
    assert_eq!(told.matches(" firing medium ").count(), 1, "{told}");
    assert!(told.contains("made before the first event"), "{told}");
    assert!(!told.contains('%'), "{told}");
    // That an old dispute ends says nothing of the days since it began.
    let old = "+1d charge.succeeded x60/3m\n+1s charge.dispute.closed dp=dp_old status=lost made=-40d\n\
               +1m charge.dispute.created x10/1m";
    assert_eq!(check("fraud_spike", old), "");
}

#[test]
fn on_the_first_day_five_are_told_and_four_may_be_of_payments_from_before_it() {
    let of = |count: usize| {
        let timeline =
            format!("+2d charge.succeeded x12/1h\n+1m charge.dispute.created x{count}/1h");
        check("fraud_spike", &timeline)
    };
    assert_eq!(of(4), "");
    assert_eq!(of(5).matches(" firing ").count(), 1);
    // Nor does a share mean anything where the payments are of a kind that is not sent here.
    let days = "+1d charge.succeeded\n+1h charge.dispute.created x3/4h\n".repeat(30);
    assert_eq!(check("fraud_spike", &days), "");
}

#[test]
fn test_mode_is_judged_only_where_that_is_wanted() {
    // Everybody's test card is the same.
    let told = |word: &str, set: &str| {
        let cards = format!("+0s charge.succeeded card=fp_1 req=req_1{word} x9/1h\n+2h wait");
        check("fraud_spike", &format!("{set}{cards}"))
    };
    assert!(told("", "").contains("card:fp_1"), "{}", told("", ""));
    let left_out = told(" test", "");
    assert!(left_out.starts_with("d0 00:00:00 quiet test_mode -: "));
    assert!(!left_out.contains("firing"), "{left_out}");
    let wanted = told(" test", "+0s set fraud_spike.test_mode=true\n");
    assert!(wanted.contains("card:fp_1"), "{wanted}");
}

#[test]
fn refunds_of_payments_of_long_ago_are_no_weeks_of_few_payments() {
    // 480 payments a day from the first day on, and five disputes: no share that anybody would call excessive.
    let day = "+0s charge.succeeded x480/3m\n+1m charge.dispute.created x5/4m\n";
    let old = "+0s charge.refunded ch=ch_old made=-30d amt=4000 refunded=4000\n";
    assert_eq!(check("fraud_spike", &format!("{day}{old}{day}")), "");
}

#[test]
fn a_wave_in_the_second_week_is_told_where_disputes_are_of_payments_from_before_it() {
    // Twenty a day of 2,000 payments, none of which came by here; then a day of its own.
    let day = |disputes: u32| {
        let wait = 86_400 - 71_966 - (disputes - 1) * 180;
        format!(
            "+1s charge.succeeded x2000/36s\n+1s charge.dispute.created x{disputes}/3m\n+{wait}s wait\n"
        )
    };
    let on = |disputes| check("fraud_spike", &(day(20).repeat(9) + &day(disputes)));
    assert_eq!(on(45).matches(" firing ").count(), 1, "{}", on(45));
    assert_eq!(on(30), "");
}
