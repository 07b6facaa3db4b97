//! Prorations of subscriptions whose payments nobody saw, held against what their price costs.

use crate::testing::check;
use insta::assert_snapshot;

/// So many others are billed for the price, so many pieces each; then one customer, of whom nothing is known, is given credit.
fn credited(others: usize, pieces: &str, then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..others {
        timeline += &format!(
            "+1h invoice.finalized in=in_{n} sub=other_{n} reason=cycle through=30d price=pro {pieces}\n"
        );
    }
    check("negative_invoice", &(timeline + then))
}

/// The credit of one piece.
fn credit(total: &str) -> String {
    format!("+1d invoice.finalized in=in_x sub=sub_x reason=update proration price=pro {total}\n")
}

#[test]
fn a_credit_of_forty_times_the_price_is_told() {
    assert_snapshot!(credited(3, "total=4900", &credit("total=-196000")), @"d1 03:00:00 firing high in_x: in_x was finalised with a total of -1,960.00 USD: a proration gives back more than its price costs");
    // By the piece, of many.
    assert_snapshot!(credited(3, "total=298000 qty=20", &credit("total=-596000 qty=20")), @"d1 03:00:00 firing high in_x: in_x was finalised with a total of -5,960.00 USD: a proration gives back more than its price costs");
}

#[test]
fn what_is_left_of_a_period_is_credited_in_silence() {
    for total in ["total=-4900", "total=-120", "total=-5000"] {
        let told = credited(3, "total=4900", &credit(total));
        assert!(
            told.contains("quiet proration_credit in_x"),
            "{total}: {told}"
        );
        assert!(!told.contains("firing"), "{total}: {told}");
    }
    let seats = credited(3, "total=298000 qty=20", &credit("total=-298000 qty=20"));
    assert!(!seats.contains("firing"), "{seats}");
}

#[test]
fn where_the_price_is_not_well_known_nothing_is_said() {
    let quiet = |others, pieces: &str, then: &str| {
        let told = credited(others, pieces, &credit(then));
        assert!(!told.contains("firing"), "{pieces} {then}: {told}");
    };
    quiet(2, "total=4900", "total=-196000");
    // Another price, and one in another currency.
    let large = credit("total=-196000").replace("pro ", "large ");
    assert!(!credited(3, "total=4900", &large).contains("firing"));
    quiet(3, "total=4900 cur=eur", "total=-196000");
    // Of so many pieces none was billed: a package may cost as much for one as for ten.
    quiet(3, "total=4900 qty=10", "total=-4900 qty=1");
    // Tiers: the more, the less for one.
    let mut tiers = String::new();
    for (n, (qty, total)) in [(1, 5_000), (10, 20_000), (100, 90_000)].iter().enumerate() {
        tiers += &format!(
            "+1h invoice.finalized in=in_t{n} sub=t_{n} reason=cycle through=30d price=pro qty={qty} total={total}\n"
        );
    }
    let told = credited(0, "", &(tiers + &credit("total=-20000 qty=1")));
    assert!(!told.contains("firing"), "{told}");
}
