//! Timelines: renewals that did not run, and silences that came of it, or did not.

use crate::testing::check;

/// Subscriptions whose periods turn on the eleventh day from 00:05 on, ten minutes apart, up to
/// which an invoice is told every five minutes: then nothing for five hours, and `rest`.
fn silence_at_the_turn_of(count: u32, rest: &str) -> String {
    let mut timeline = String::new();
    for n in 0..count {
        timeline += &format!(
            "+5m customer.subscription.created sub=sub_{n} to=10d\n\
             +1s invoice.paid in=in_{n} sub=sub_{n} through=10d\n\
             +299s invoice.upcoming\n"
        );
    }
    let steps = 10 * 24 * 12 - 2 * count - 1;
    timeline += &format!("+5m invoice.upcoming x{steps}/5m\n+5h5m invoice.upcoming\n");
    check("silent_lapse", &(timeline + rest))
}

#[test]
fn renewals_that_did_not_run_are_all_told_though_nothing_else_happened() {
    // Thirty turns lie in the silence and ten come after it: none of them is paid.
    let told = silence_at_the_turn_of(40, "+5m invoice.upcoming x1300/5m\n");
    assert!(told.contains(": 40 subscriptions go on"), "{told}");
}

#[test]
fn a_loss_of_deliveries_blames_nobody_when_its_neighbours_pay() {
    let mut rest = String::new();
    for n in 30..40 {
        rest += &format!(
            "+5m customer.subscription.updated sub=sub_{n} to=10d\n\
             +1s invoice.paid in=in_r{n} sub=sub_{n} through=10d\n\
             +299s invoice.upcoming\n"
        );
    }
    rest += "+5m invoice.upcoming x1300/5m\n";
    let told = silence_at_the_turn_of(40, &rest);
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("may have been paid unseen"), "{told}");
}

/// Twenty subscriptions turn while no invoice is told for five hours and charges are: of guests, or
/// of their customers.
fn silence_of_invoices(is_paid: bool) -> String {
    let mut charges = 0;
    let mut charge = |customer: &str| {
        charges += 1;
        format!("+0s charge.succeeded ch=ch_{charges} cus={customer}\n")
    };
    let mut timeline = String::new();
    for n in 0..20 {
        timeline += &format!(
            "+5m customer.subscription.created sub=sub_{n} cus=cus_{n} to=10d\n\
             +1s invoice.paid in=in_{n} sub=sub_{n} cus=cus_{n} through=10d\n\
             +299s invoice.upcoming\n"
        );
    }
    for _ in 0..10 * 24 * 12 - 41 {
        timeline += &format!("+5m invoice.upcoming\n{}", charge("cus_guest"));
    }
    for n in 0..61 {
        let customer = if is_paid { n } else { 100 + n };
        timeline += &format!(
            "+5m customer.updated\n{}",
            charge(&format!("cus_{customer}"))
        );
    }
    for _ in 0..1_300 {
        timeline += &format!("+5m invoice.upcoming\n{}", charge("cus_guest"));
    }
    check("silent_lapse", &timeline)
}

#[test]
fn charges_witness_what_was_paid_while_invoices_were_silent() {
    let told = silence_of_invoices(false);
    assert!(told.contains(": 20 subscriptions go on"), "{told}");
    let told = silence_of_invoices(true);
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("may have been paid unseen"), "{told}");
}

/// A subscription begins, at that minute, and pays for its first period.
fn begin(at: i64, name: &str, period: &str) -> [(i64, String); 2] {
    let created = format!("customer.subscription.created sub={name} to={period}");
    let paid = format!("invoice.paid in=in_{name} sub={name} through={period}");
    [(at, created), (at + 1, paid)]
}

#[test]
fn a_silence_that_was_a_loss_stays_one_when_its_neighbours_renewed_again() {
    let month = 30 * 24 * 60;
    let silence = month + 120..month + 420;
    // Before it, five lapse and six that were as near pay, month after month.
    let lapsed = (0..5).flat_map(|n| begin(n * 10 + 5, &format!("sub_lapsed_{n}"), "30d"));
    let paid = (0..6).flat_map(|n| {
        let (at, name) = (n * 10 + 7, format!("sub_paid_{n}"));
        let again = (1..=2).flat_map({
            let name = name.clone();
            move |round| {
                let renewed = format!("customer.subscription.updated sub={name} to=30d");
                let paid = format!("invoice.paid in=in_{name}_{round} sub={name} through=30d");
                let at = at + round * month;
                [(at, renewed), (at + 1, paid)]
            }
        });
        let again: Vec<_> = again.collect();
        begin(at, &name, "30d").into_iter().chain(again)
    });
    let mut events: Vec<(i64, String)> = lapsed.chain(paid).collect();
    // A year falls due in it.
    events.extend(begin(150, "sub_year", "30d"));
    let renewed = "customer.subscription.updated sub=sub_year from=-6h to=359d";
    events.push((month + 510, renewed.to_owned()));
    // A month later what else was excused lapses, and something new: all is looked at again.
    events.extend(begin(2 * month - 4_620, "sub_late", "1d"));
    let pings = (0..2 * month / 5 + 2_000).map(|n| n * 5);
    let pings = pings.filter(|at| !silence.contains(at));
    events.extend(pings.map(|at| (at, "invoice.upcoming".to_owned())));
    events.sort();
    let (mut timeline, mut now) = (String::new(), 0);
    for (at, line) in events {
        timeline += &format!("+{}m {line}\n", at - now);
        now = at;
    }
    let told = check("silent_lapse", &timeline);
    let excused = "sub_year: what was due 2024-04-03T02:31:00Z may have been paid unseen";
    assert!(told.contains(excused), "{told}");
    assert!(told.contains("firing high sub_late"), "{told}");
    let is_told = |line: &str| line.contains("sub_year") && !line.contains(" quiet ");
    assert!(!told.lines().any(is_told), "{told}");
}

/// A bank debit is made, and days later nothing is told for so long; what is heard of it afterwards is `then`.
fn debit_before_a_silence(charge: &str, silence: &str, then: &str) -> String {
    let timeline = format!(
        "+0s customer.subscription.created sub=sub_1 cus=cus_1 to=30d
         +1s invoice.paid sub=sub_1 cus=cus_1 in=in_1 through=30d
         +5m invoice.upcoming x8640/5m
         +5m customer.subscription.updated sub=sub_1 cus=cus_1 to=30d
         {charge}
         +5m invoice.upcoming x1152/5m
         {silence}
         +5m invoice.upcoming x1440/5m
         {then}
         +5m invoice.upcoming x4700/5m
        "
    );
    check("silent_lapse", &timeline)
}

#[test]
fn what_became_of_a_debit_may_be_lost_in_a_silence() {
    let debit = "+1h charge.pending ch=ch_1 cus=cus_1";
    let told = debit_before_a_silence(debit, "+20h wait", "");
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("may have been paid unseen"), "{told}");
    // Nothing is silent, or what came of it is told, or no debit was made.
    let heard = "+5m invoice.upcoming x240/5m";
    let told = debit_before_a_silence(debit, heard, "");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    let failed = "+1m charge.failed ch=ch_1 cus=cus_1";
    let told = debit_before_a_silence(debit, "+20h wait", failed);
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    let told = debit_before_a_silence("+1h wait", "+20h wait", "");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

/// A period of four weeks ends in a silence, and 31 days later `then` happens: months are uneven.
fn month_in_a_silence(then: &str) -> String {
    let timeline = format!(
        "+0s customer.subscription.created sub=sub_1 cus=cus_1 to=28d
         +1s invoice.paid sub=sub_1 cus=cus_1 in=in_1 through=28d
         +5m invoice.upcoming x8040/5m
         +5h wait
         +5m invoice.upcoming x8840/5m
         {then}
         +5m invoice.upcoming x1440/5m
        "
    );
    check("silent_lapse", &timeline)
}

#[test]
fn after_a_silence_the_next_turn_is_awaited_though_months_are_uneven() {
    let paid = "
        +4h  customer.subscription.updated sub=sub_1 cus=cus_1 to=30d
        +1h  invoice.paid sub=sub_1 cus=cus_1 in=in_2 through=30d
    ";
    let told = month_in_a_silence(paid);
    assert!(told.contains("may have been paid unseen"), "{told}");
    assert!(!told.contains("firing"), "{told}");
    let told = month_in_a_silence("+4h wait");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}
