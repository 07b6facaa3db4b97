//! The first hours of a merchant of whom nothing is known.

use crate::testing::check;

fn told(timeline: &str) -> String {
    let told = check("charge_failure_spike", timeline);
    let lines = told.lines().filter(|line| !line.contains(" quiet "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Attempts three minutes apart, of which so many of a hundred are declined, now as guessed cards are
/// and now for want of money.
fn attempts(count: u64, declined_percent: u64) -> String {
    let mut timeline = String::new();
    for n in 0..count {
        // Each day's declines come in another order.
        let is_failed = n.wrapping_mul(2_654_435_761) % 4_294_967_296 / 65_536 % 100;
        timeline += match (is_failed < declined_percent, n % 3) {
            (true, 0) => "+3m charge.failed card=new code=insufficient_funds\n",
            (true, _) => "+3m charge.failed card=new code=generic_decline\n",
            (false, _) => "+3m charge.succeeded card=new\n",
        };
    }
    timeline
}

#[test]
fn a_stranger_whose_cards_are_declined_a_third_of_the_time_is_no_spike() {
    assert_eq!(told(&attempts(480, 35)), "");
    // Nor are five of five.
    let five = "+0s charge.failed card=new code=generic_decline x5/2m\n".to_owned();
    assert_eq!(told(&(five + &attempts(480, 35))), "");
}

#[test]
fn an_outage_on_the_first_day_is_loud() {
    // From the first attempt on.
    let outage = "+0s charge.failed card=new code=generic_decline x20/2m\n";
    assert_eq!(told(outage).matches(" firing ").count(), 1);
    // After three hours in which few cards were declined half of them are.
    let told = told(&(attempts(60, 5) + &attempts(60, 60)));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn where_most_pay_nobody_tests_cards() {
    // Three blocked cards, and declines as guessed cards get them too: an outage, unless few pay.
    let calm = attempts(2_000, 5);
    let blocked = "+1m charge.failed card=new blocked code=highest_risk_level x3/10s\n";
    let of = |paid: usize| {
        let failed = "+1m charge.failed card=new code=generic_decline x3/20s\n";
        let paid = format!("+1m charge.succeeded card=new x{paid}/20s\n");
        told(&(calm.clone() + blocked + failed + &format!("{paid}{failed}").repeat(19)))
    };
    assert!(of(12).contains(" all: "), "{}", of(12));
    assert!(!of(12).contains("card_testing"), "{}", of(12));
    assert!(of(1).contains("card_testing"), "{}", of(1));
}
