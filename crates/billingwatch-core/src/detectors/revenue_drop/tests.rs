//! Stories of a shop, and of subscriptions that renew.

use insta::assert_snapshot;

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// What happens, in any order; told in order of time.
#[derive(Clone, Default)]
pub(super) struct Story {
    lines: Vec<(i64, String)>,
    is_over_at: i64,
    /// Nothing arrives of it, ever.
    lost: std::ops::Range<i64>,
}

impl Story {
    pub(super) fn at(&mut self, secs: i64, line: impl Into<String>) -> &mut Self {
        self.lines.push((secs, line.into()));
        self
    }

    /// So many sales of 50.00 on each day, spread over it.
    fn sales(&mut self, first_day: i64, a_day: &[i64]) -> &mut Self {
        for (day, sales) in (first_day..).zip(a_day) {
            for n in 0..*sales {
                let at = day * DAY + (2 * n + 1) * DAY / (2 * sales);
                self.at(at, "charge.succeeded amt=5000");
            }
        }
        self
    }

    /// The same, each worth so much.
    fn sales_of(&mut self, amount: i64, first_day: i64, a_day: &[i64]) -> &mut Self {
        let from = self.lines.len();
        self.sales(first_day, a_day);
        for (_, line) in &mut self.lines[from..] {
            *line = format!("charge.succeeded amt={amount}");
        }
        self
    }

    /// Subscriptions of 49.00 known from the start, one due every so often from a day on.
    fn subscriptions(&mut self, count: i64, first_due: i64, every: i64) -> &mut Self {
        for n in 0..count {
            let due = first_due + n * every;
            self.at(
                60 + n,
                format!(
                    "customer.subscription.updated sub=sub_{n} cus=cus_{n} amt=4900 from=-{}s to={}s",
                    31 * DAY - due,
                    due - 60 - n
                ),
            );
        }
        self
    }

    /// The period of a subscription turns.
    fn turns(&mut self, n: i64, due: i64) -> &mut Self {
        self.at(
            due,
            format!(
                "customer.subscription.updated sub=sub_{n} cus=cus_{n} amt=4900 from=0s to=31d"
            ),
        )
    }

    /// And it pays, so much later.
    fn pays(&mut self, n: i64, due: i64, after: i64) -> &mut Self {
        self.at(
            due + after,
            format!("charge.succeeded ch=ch_{n} cus=cus_{n} amt=4900"),
        )
        .at(
            due + after + 2,
            format!("invoice.paid sub=sub_{n} in=in_{n} total=4900 through=31d"),
        )
    }

    /// Its invoice is finalised, or its payment fails.
    fn invoice(&mut self, n: i64, at: i64, event: &str) -> &mut Self {
        self.at(
            at,
            format!("{event} sub=sub_{n} in=in_{n} total=4900 through=31d"),
        )
    }

    /// Something else arrives every ten minutes, so that nobody thinks of a silence.
    pub(super) fn told_until(&mut self, day: i64) -> String {
        self.is_over_at = day * DAY;
        let beats = self.is_over_at / 600;
        for n in 0..=beats {
            self.at(n * 600, "charge.failed amt=100 code=card_declined");
        }
        let mut lines = self.lines.clone();
        lines.retain(|(at, _)| *at <= self.is_over_at && !self.lost.contains(at));
        check("revenue_drop", &in_order(lines))
    }
}

/// Who has been heard of, and how it went on: the first words of each line.
pub(super) fn steps(told: &str) -> Vec<&str> {
    told.lines()
        .map(|line| {
            let mut words = line.splitn(4, ' ');
            words.nth(2).unwrap_or_default()
        })
        .collect()
}

const WEEK: [i64; 7] = [48, 48, 50, 48, 46, 20, 16];

fn weeks(count: usize) -> Vec<i64> {
    WEEK.repeat(count)
}

#[test]
fn sales_that_stop_are_told_on_the_same_day_and_end_once() {
    let mut days = weeks(3);
    days[16] = 0;
    let mut story = Story::default();
    assert_snapshot!(story.sales(0, &days).told_until(20), @"
        d16 07:02:00 firing critical usd: 7 hours brought 0.00 USD, 100 % less than the 700.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 0 other payments where 14 are usual
        d17 08:02:00 resolved critical usd: the last 6 hours brought 600.00 USD of 550.00 USD expected
        ");
}

#[test]
fn weekends_are_no_drops() {
    let told = Story::default().sales(0, &weeks(4)).told_until(28);
    assert_eq!(told, "");
}

#[test]
fn a_drop_on_a_weekend_is_found_all_the_same() {
    let mut days = weeks(4);
    (days[26], days[27]) = (2, 0);
    let told = Story::default().sales(0, &days).told_until(28);
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn fourteen_percent_less_is_none() {
    let mut days = vec![100; 20];
    days.extend([86; 4]);
    let told = Story::default().sales(0, &days).told_until(24);
    assert_eq!(told, "");
}

#[test]
fn a_month_start_or_a_launch_is_no_yardstick() {
    let mut days = weeks(3);
    (days[8], days[9]) = (300, 220);
    days.extend(weeks(1));
    let told = Story::default().sales(0, &days).told_until(28);
    assert_eq!(told, "");
}

#[test]
fn a_mild_holiday_dip_is_quiet() {
    let mut days = weeks(5);
    days[30] = 36;
    let told = Story::default().sales(0, &days).told_until(35);
    assert_eq!(told, "");
}

#[test]
fn a_merchant_that_slowly_shrinks_is_quiet() {
    let days: Vec<i64> = (0..70).map(|day| 60 * (100 - day) / 100).collect();
    let told = Story::default().sales(0, &days).told_until(70);
    assert_eq!(told, "");
}

#[test]
fn the_first_week_of_sales_is_never_judged() {
    let told = Story::default()
        .sales(0, &[50, 50, 50, 50, 50, 50, 0, 0])
        .told_until(8);
    assert_eq!(told, "");
}

#[test]
fn an_outage_is_no_yardstick_for_the_week_after() {
    let mut days = vec![60; 35];
    (days[20], days[21]) = (0, 0);
    (days[27], days[28]) = (0, 0);
    let told = Story::default().sales(0, &days).told_until(35);
    assert_eq!(told.matches("firing").count(), 2, "{told}");
    assert_eq!(told.matches("resolved").count(), 2, "{told}");
}

#[test]
fn chance_is_quiet_where_payments_are_few() {
    let told = Story::default()
        .sales(0, &[3, 2, 3, 4, 3, 2, 3, 3, 2, 0, 3, 1, 4, 3, 0, 2, 3])
        .told_until(17);
    assert_eq!(told, "");
}

/// Forty subscriptions, one due every half hour of the fifth day; what becomes of each is told.
fn renewals(becomes: impl Fn(&mut Story, i64, i64)) -> String {
    let mut story = Story::default();
    story.subscriptions(40, 5 * DAY, HOUR / 2);
    for n in 0..40 {
        let due = 5 * DAY + n * HOUR / 2;
        story.turns(n, due);
        becomes(&mut story, n, due);
    }
    story.told_until(12)
}

#[test]
fn renewals_that_nobody_asks_for_are_told_within_hours_on_the_first_days() {
    assert_snapshot!(renewals(|_, _, _| {}), @"
        d5 04:02:00 firing critical usd: 24 hours brought 0.00 USD, 100 % less than the 194.04 USD that subscriptions and usual sales foretold: 0 of 4 renewals paid, 4 not even invoiced; 0 other payments where 0 are usual
        d9 01:02:00 resolved critical usd: nothing was to be expected in the last 72 hours; what was missing may still be
        ");
}

#[test]
fn renewals_that_pay_are_quiet() {
    assert_eq!(
        renewals(|story, n, due| {
            story.pays(n, due, HOUR + 300);
        }),
        ""
    );
}

#[test]
fn dunning_is_no_drop() {
    // Declined at first, paid by a retry three days later.
    let told = renewals(|story, n, due| {
        story
            .invoice(n, due + HOUR, "invoice.payment_failed")
            .pays(n, due, 3 * DAY);
    });
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("quiet dunning"), "{told}");
}

#[test]
fn bank_debits_take_days() {
    let told = renewals(|story, n, due| {
        story
            .invoice(n, due + HOUR, "invoice.finalized")
            .pays(n, due, 5 * DAY);
    });
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn what_is_delivered_late_was_in_time() {
    let told = renewals(|story, n, due| {
        let late = if n % 2 == 0 { 0 } else { HOUR / 2 };
        story.at(
            due + HOUR + late,
            format!("charge.succeeded ch=ch_{n} cus=cus_{n} amt=4900 late={late}s"),
        );
        story.at(
            due + HOUR + late + 1,
            format!("invoice.paid sub=sub_{n} in=in_{n} total=4900 through=31d late={late}s"),
        );
    });
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn renewals_called_off_are_not_expected() {
    let told = renewals(|story, n, due| {
        let line = format!("customer.subscription.deleted sub=sub_{n} cus=cus_{n} amt=4900");
        story.at(due + 30, line);
    });
    assert!(!told.contains(" usd: "), "{told}");
}

#[test]
fn sent_invoices_and_metered_prices_are_not_foretold() {
    for kind in [
        "days=30",
        "metered",
        "paused",
        "off_bps=10000",
        "opaque_discount",
    ] {
        let mut story = Story::default();
        for n in 0..40 {
            story.at(
                60 + n,
                format!(
                    "customer.subscription.updated sub=sub_{n} amt=4900 from=-25d to=5d {kind}"
                ),
            );
        }
        assert_eq!(story.told_until(8), "", "{kind}");
    }
}

#[test]
fn currencies_that_drop_together_are_one_incident() {
    let mut story = Story::default();
    for day in 0..24 {
        let is_lost = day == 20 || day == 21;
        for n in 0..if is_lost { 4 } else { 48 } {
            let at = day * DAY + n * DAY / 48;
            story
                .at(at + 60, "charge.succeeded amt=5000")
                .at(at + 120, "charge.succeeded amt=9000 cur=eur");
        }
    }
    let told = story.told_until(24);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
    assert!(told.contains("dropped too"), "{told}");
}

#[test]
fn one_currency_alone_is_told_under_its_name() {
    let mut story = Story::default();
    for day in 0..22 {
        for n in 0..48 {
            let at = day * DAY + n * DAY / 48;
            story.at(at + 60, "charge.succeeded amt=5000");
            if day != 20 {
                story.at(at + 120, "charge.succeeded amt=9000 cur=eur");
            }
        }
    }
    let told = story.told_until(22);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains(" eur: "), "{told}");
}

#[test]
fn ten_times_the_amounts_change_no_verdict() {
    let mut days = weeks(4);
    days[22] = 12;
    let mut story = Story::default();
    let told = story.sales(0, &days).told_until(26);
    let mut tenfold = Story::default();
    tenfold.sales(0, &days);
    for (_, line) in &mut tenfold.lines {
        *line = line.replace("amt=5000", "amt=50000");
    }
    let tenfold = tenfold.told_until(26);
    assert_eq!(steps(&told), steps(&tenfold));
    assert!(told.contains("firing"), "{told}");
}

#[test]
fn the_plainest_rule_judges_complete_days_alone() {
    let mut days = vec![50; 9];
    days.extend([42, 50, 43]);
    let mut story = Story::default();
    story.at(0, "set revenue_drop.is_literal=true");
    assert_snapshot!(story.sales(0, &days).told_until(13), @"
        d10 02:00:00 firing medium usd: 2024-03-13 collected 2,100.00 USD, 16 % below the average of 2,500.00 USD of the 7 days before
        d11 02:00:00 resolved medium usd: 2024-03-14 collected 2,500.00 USD again
        ");
}

/// A hundred subscriptions of 49.00, met on the first day, that renew in the second month; what
/// happens to forty of them on the tenth day is told.
fn commitments(becomes: impl Fn(i64) -> String) -> String {
    let mut story = Story::default();
    for n in 0..100 {
        story.at(
            60 + n,
            format!(
                "customer.subscription.updated sub=sub_{n} cus=cus_{n} amt=4900 from=0s to=40d"
            ),
        );
    }
    for n in 0..40 {
        story.at(10 * DAY + n * 60, becomes(n));
    }
    story.told_until(20)
}

#[test]
fn a_mass_cancellation_is_told_within_hours_and_once() {
    assert_snapshot!(
        commitments(|n| format!("customer.subscription.deleted sub=sub_{n} cus=cus_{n} amt=4900")),
        @"
        d10 00:26:00 firing medium mrr:usd: subscriptions will renew for 3,626.00 USD a month, 25.9 % below the 7-day average of 4,899.41 USD: 74 of them where 99 were
        d10 00:33:00 escalated high mrr:usd: subscriptions will renew for 3,283.00 USD a month, 32.9 % below the 7-day average of 4,899.41 USD: 67 of them where 99 were
        d15 20:03:00 resolved high mrr:usd: committed 2,940.00 USD a month, where the 7-day average is 3,266.08 USD by now
        "
    );
}

#[test]
fn so_is_one_that_takes_effect_at_the_period_end() {
    let told = commitments(|n| {
        format!("customer.subscription.updated sub=sub_{n} amt=4900 from=-10d to=30d cancels")
    });
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn long_terms_are_no_cancellations() {
    let told = commitments(|n| {
        format!(
            "customer.subscription.updated sub=sub_{n} amt=4900 from=-10d to=30d cancel_at=200d"
        )
    });
    assert_eq!(told, "");
}

#[test]
fn a_move_to_new_subscriptions_is_no_cancellation() {
    let told = commitments(|n| {
        if n % 2 == 0 {
            format!("customer.subscription.deleted sub=sub_{n} amt=4900")
        } else {
            format!("customer.subscription.created sub=new_{n} amt=4900 from=-10d to=30d")
        }
    });
    assert_eq!(told, "");
}

#[test]
fn commitments_lost_in_two_currencies_are_one_incident() {
    let mut story = Story::default();
    for n in 0..100 {
        let cur = if n % 2 == 0 { "usd" } else { "eur" };
        story
            .at(
                60 + n,
                format!("customer.subscription.updated sub=sub_{n} cur={cur} from=0s to=40d"),
            )
            .at(
                10 * DAY + n * 60 + (n / 40) * 90 * DAY,
                format!("customer.subscription.deleted sub=sub_{n} cur={cur}"),
            );
    }
    let told = story.told_until(20);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
}

#[test]
fn a_big_shop_that_loses_half_is_told_on_the_same_day_after_launches_too() {
    let mut days = vec![240; 40];
    (days[10], days[19], days[25]) = (900, 700, 600);
    days[36] = 130;
    let told = Story::default().sales(0, &days).told_until(39);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.starts_with("d36 "), "{told}");
}

/// As many pay as ever: somebody has lost a zero in the price list.
#[test]
fn a_tenth_of_the_price_is_a_loss_and_a_sale_is_none() {
    let told = |amount: i64| {
        let mut story = Story::default();
        story.sales(0, &weeks(3)).sales_of(amount, 21, &[48]);
        story.sales(22, &[48, 50]).told_until(24)
    };
    assert_eq!(told(3_600), "");
    let tenth = told(500);
    assert_eq!(steps(&tenth), ["firing", "resolved"], "{tenth}");
    let first = tenth.lines().next().unwrap_or_default();
    assert!(
        first.contains("of 8.29 USD on average, where 41 of 50.00 USD"),
        "{first}"
    );
}

/// Clocks are put forward: whatever happens by local time happens an hour earlier.
#[test]
fn clocks_that_are_put_forward_are_no_loss() {
    let run = |day: i64, hour: i64, story: &mut Story| {
        for n in 0..40 {
            story.at(day * DAY + hour * HOUR + n, "charge.succeeded amt=5000");
        }
    };
    let mut story = Story::default();
    for day in 0..28 {
        run(day, if day < 21 { 7 } else { 6 }, &mut story);
    }
    assert_eq!(story.told_until(28).lines().next(), None);
}

#[test]
fn intents_are_money_when_their_charges_are_not_told() {
    let mut story = Story::default();
    for day in 0..24 {
        for n in 0..48 {
            let at = day * DAY + n * DAY / 48;
            let sale = format!("pi=pi_{day}_{n} ch=ch_{day}_{n} amt=5000");
            // Either may come first; on one day no charge is told at all.
            let charge_at = at + if n % 2 == 0 { -1 } else { 1 };
            if day != 20 {
                story.at(charge_at.max(0), format!("charge.succeeded {sale}"));
            }
            story.at(at, format!("payment_intent.succeeded {sale}"));
        }
    }
    assert_eq!(story.told_until(24), "");
}

#[test]
fn invoices_are_money_where_only_failures_and_refunds_are_told_of_charges() {
    let told = |halt: i64| {
        let mut story = Story::default();
        for (day, n) in (0..24).flat_map(|day| (0..48).map(move |n| (day, n))) {
            let at = day * DAY + n * DAY / 48;
            if day != halt {
                story.at(at, format!("invoice.paid in=in_{day}_{n} total=5000"));
            }
            if n == 7 {
                story.at(at + 60, format!("charge.refunded ch=ch_{day} amt=5000"));
            }
        }
        steps(&story.told_until(24)).join(" ")
    };
    assert_eq!(told(-1), "");
    assert_eq!(told(22), "firing resolved");
}

#[test]
fn launches_are_followed_by_ordinary_days_in_peace() {
    let mut days = weeks(6);
    for (day, times) in [(17, 4), (18, 2), (31, 6)] {
        days[day] *= times;
    }
    let told = Story::default().sales(0, &days).told_until(42);
    assert_eq!(told, "");
}

#[test]
fn a_shop_that_grows_is_held_against_what_it_sells_by_now() {
    let mut days: Vec<i64> = (0..42).map(|day| 400 + 12 * day).collect();
    // A seventh below the middle one of the same days before, and far below what is sold by now.
    days[40] = 540;
    let told = Story::default().sales(0, &days).told_until(42);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(
        told.starts_with("d40 ") || told.starts_with("d41 "),
        "{told}"
    );
}

#[test]
fn a_quarter_lost_is_one_incident_until_it_is_over() {
    let mut days = vec![400; 30];
    (days[24], days[25], days[26]) = (290, 300, 290);
    let told = Story::default().sales(0, &days).told_until(30);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
}

#[test]
fn what_was_sold_in_a_silence_nobody_knows() {
    let mut story = Story::default();
    let mut days = weeks(5);
    days[30] = 4;
    story.sales(0, &days);
    story.lost = 24 * DAY + 6 * 3_600..24 * DAY + 21 * 3_600;
    let told = story.told_until(34);
    assert!(told.contains("quiet events_missing"), "{told}");
    // The day that brought too little is told, and the one that is not known is not.
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("d30 "), "{told}");
}

#[test]
fn ordinary_weeks_between_sales_are_no_drops() {
    let mut days = weeks(9);
    for week in [1, 3, 5, 7] {
        for day in 2..5 {
            days[week * 7 + day] *= 3;
        }
    }
    assert_eq!(Story::default().sales(0, &days).told_until(63), "");
}
