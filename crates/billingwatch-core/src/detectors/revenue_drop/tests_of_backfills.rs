//! Stories of a few old events that are sent again.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Four weeks of a shop, 72 sales a day. Some old payments come in the third week; on the last day so many hours bring only every
/// third sale.
fn told(old: i64, hours: i64) -> String {
    let mut lines = Vec::new();
    for day in 0..28 {
        for n in 0..72 {
            let at = day * DAY + n * DAY / 72;
            let is_lost = day == 27 && n < hours * 3 && n % 3 > 0;
            if !is_lost {
                lines.push((at, "charge.succeeded amt=5000".to_owned()));
            }
        }
    }
    for n in 0..old {
        let late = 20 + n;
        lines.push((
            16 * DAY + n * 60,
            format!("charge.succeeded amt=5000 late={late}d"),
        ));
    }
    check("revenue_drop", &in_order(lines))
}

#[test]
fn a_few_old_payments_do_not_hide_a_loss() {
    assert!(told(0, 24).starts_with("d27 "));
    assert_eq!(told(30, 24), told(0, 24));
    assert_eq!(told(30, 0), "", "nothing is wrong");
}
