//! Failures that come by the clock.

use crate::testing::check;

const NAME: &str = "charge_failure_spike";

/// Days of a payment each ten minutes; at three each night a job charges sixteen old debts, of which eleven fail.
fn nights(times: usize, at_three: &str) -> String {
    let day = "+10m charge.succeeded x17/10m\n".to_owned()
        + "+10m charge.failed card=new code=insufficient_funds x11/10s\n+10s charge.succeeded x5/10s\n"
        + "+10m charge.succeeded x124/10m\n";
    let calm = "+10m charge.succeeded x17/10m\n+5m wait\n+10m charge.succeeded x125/10m\n";
    calm.repeat(7) + &day.repeat(times) + "+10m charge.succeeded x17/10m\n" + at_three
}

#[test]
fn a_nightly_job_is_told_three_times() {
    let told = check(NAME, &nights(12, "+1h charge.succeeded"));
    assert_eq!(told.matches(" firing ").count(), 3, "{told}");
    assert_eq!(
        told.matches("quiet usual_at_this_hour").count(),
        9,
        "{told}"
    );
}

#[test]
fn what_is_worse_than_the_job_or_comes_at_another_hour_is_told() {
    let more = "+10m charge.failed card=new code=insufficient_funds x60/10s\n+10s charge.succeeded x5/10s\n";
    let told = check(NAME, &nights(6, more));
    assert_eq!(told.matches(" firing ").count(), 4, "{told}");
    let noon = "+9h charge.failed card=new code=insufficient_funds x11/10s\n";
    let told = check(NAME, &nights(6, noon));
    assert_eq!(told.matches(" firing ").count(), 4, "{told}");
}

#[test]
fn the_job_is_not_told_by_a_longer_window_when_it_is_over() {
    let job = "+10m charge.failed card=new code=insufficient_funds x11/10s\n+10s charge.succeeded x5/10s\n";
    let later =
        "+10m charge.succeeded x14/10m\n+10m charge.failed card=new code=insufficient_funds\n";
    let told = check(NAME, &nights(6, &format!("{job}{later}")));
    assert_eq!(told.matches(" firing ").count(), 3, "{told}");
}

/// The job's declines, for reasons of each card's own.
fn mixed(lines: &str) -> String {
    let codes = ["insufficient_funds", "expired_card", "do_not_honor"];
    let eleven: String = (0..11)
        .map(|n| format!("+10s charge.failed card=new code={}\n", codes[n % 3]))
        .collect();
    lines.replace(
        "+10m charge.failed card=new code=insufficient_funds x11/10s\n",
        &("+590s wait\n".to_owned() + &eleven),
    )
}

#[test]
fn a_job_whose_declines_have_no_one_code_is_told_twice() {
    let told = check(NAME, &mixed(&nights(12, "+1h charge.succeeded")));
    assert_eq!(told.matches(" firing ").count(), 2, "{told}");
    // An outage at another hour, whatever the codes.
    let noon = "+9h wait\n+10m charge.failed card=new code=insufficient_funds x11/10s\n";
    let told = check(NAME, &mixed(&nights(6, noon)));
    assert_eq!(told.matches(" firing ").count(), 3, "{told}");
}

#[test]
fn a_run_that_only_a_long_window_shows_is_of_the_hour_in_which_it_was() {
    let fail =
        |times: u32| format!("+10m charge.failed card=new code=insufficient_funds x{times}/10s\n");
    let told = |at_night: u32, later: u32| {
        let pay = "+20m charge.succeeded x10/20m\n".to_owned();
        let told = check(NAME, &nights(3, &(fail(at_night) + &pay + &fail(later))));
        told.matches(" firing ").count()
    };
    // The job's three declines are too few; the fourth, hours later, is one of any day.
    assert_eq!(told(3, 1), 3);
    // At that hour most of them are no doing of the job.
    assert_eq!(told(1, 3), 4);
}
