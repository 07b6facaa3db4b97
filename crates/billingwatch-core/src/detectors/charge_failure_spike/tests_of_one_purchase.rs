//! Many cards on one purchase: card testing, and a buyer who looks for one that works.

use crate::testing::check;

fn told(timeline: &str) -> String {
    let told = check("charge_failure_spike", timeline);
    let lines = told.lines().filter(|line| !line.contains(" quiet "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A shop whose payments are of about 40 dollars, some of which fail.
fn shop() -> String {
    "+10m charge.succeeded card=new req=req_1 amt=4000 x24/10m\n+10m charge.failed card=new req=req_1 amt=4000 code=insufficient_funds\n".repeat(20)
}

/// So many cards tried on one intent, at an ordinary price, beside the payments of others.
fn attack(cards: usize) -> String {
    let one = "+1m charge.failed cus=cus_a pi=pi_a card=new req=req_1 amt=4000 code=generic_decline\n+1m charge.succeeded card=new req=req_1 amt=4000\n";
    format!("{}{}+5m wait\n", shop(), one.repeat(cards))
}

#[test]
fn many_cards_on_one_intent_are_card_testing_at_an_ordinary_price() {
    let told = told(&attack(30));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("firing high card_testing"), "{told}");
    assert!(told.contains("8 on one purchase"), "{told}");
}

#[test]
fn whatever_the_banks_say_and_however_long_it_takes() {
    // One an hour, declined for want of money.
    let one =
        "+1h charge.failed cus=cus_a pi=pi_a card=new req=req_1 amt=4000 code=insufficient_funds\n";
    let told_of = |cards: usize| told(&format!("{}{}+5m wait\n", shop(), one.repeat(cards)));
    assert!(told_of(9).contains("card_testing"), "{}", told_of(9));
    assert_eq!(told_of(7), "");
}

#[test]
fn many_cards_on_one_set_up_are_card_testing() {
    let one = "+3m setup_intent.setup_failed seti=seti_a card=new code=insufficient_funds\n";
    let told_of = |cards: usize| told(&format!("{}{}+5m wait\n", shop(), one.repeat(cards)));
    assert!(told_of(9).contains("card_testing"), "{}", told_of(9));
    assert_eq!(told_of(3), "");
}

#[test]
fn a_buyer_who_tries_three_cards_is_none_and_so_are_many_such_buyers() {
    assert_eq!(told(&attack(3)), "");
    // One card again and again is no second one.
    let same = attack(30).replace("pi=pi_a card=new", "pi=pi_a card=fp_a");
    assert_eq!(told(&same), "");
    // In an outage everybody tries his cards.
    let mut outage = String::new();
    for buyer in 0..30 {
        let one = format!(
            "+10s charge.failed cus=cus_{buyer} pi=pi_{buyer} card=new req=req_1 amt=4000 code=do_not_honor\n"
        );
        outage += &one.repeat(if buyer % 10 == 0 { 5 } else { 3 });
    }
    let told = told(&format!("{}{outage}+5m wait\n", shop()));
    assert!(!told.contains("card_testing"), "{told}");
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn a_few_cards_on_each_of_many_intents_are_two_signs() {
    let mut attack = String::new();
    for intent in 0..20 {
        let one = format!(
            "+10s charge.failed guest pi=pi_{intent} card=new req=req_1 amt=4000 code=incorrect_number\n"
        );
        attack += &one.repeat(7);
    }
    let told = told(&format!("{}{attack}+5m wait\n", shop()));
    assert!(told.contains("card_testing"), "{told}");
}
