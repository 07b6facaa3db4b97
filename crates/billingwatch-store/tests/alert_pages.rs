//! Pages of many alerts: each is short work, and none is left out.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use billingwatch_core::alert::{Alert, AlertStatus, Severity};
use billingwatch_store::{AlertFilter, Cursor, Page, Step, Store, testing};

use support::{alert, at, change};

/// More than a page looks at.
const ALERTS: i64 = 5_100;

fn fill(store: &Store) {
    let alerts: Vec<Alert> = (1..=ALERTS)
        .map(|n| {
            // Two fire at a time, so that ids decide, too.
            let mut alert = alert(&format!("al_{n:05}"), "d", AlertStatus::Firing, 1);
            alert.fired_at = at(n / 2);
            if n == 3 {
                alert.severity = Severity::Critical;
                alert.subjects = vec!["cus_rare".to_owned()];
            }
            alert
        })
        .collect();
    let changes: Vec<_> = alerts.iter().map(|alert| change(alert, 50)).collect();
    let cursor = Cursor {
        seq: 0,
        at: at(ALERTS),
    };
    let mut step = Step::new("engine", Cursor::START, cursor);
    step.changes = &changes;
    store.commit_step(&step).unwrap();
}

/// The ids of each page.
fn pages(store: &Store, filter: &AlertFilter, limit: u32) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut page = Page::first(limit).unwrap();
    loop {
        let listed = store.list_alerts(filter, &page).unwrap();
        pages.push(listed.items.into_iter().map(|row| row.alert.id).collect());
        match listed.next {
            Some(next) => page = Page::new(Some(next), limit).unwrap(),
            None => return pages,
        }
    }
}

#[test]
fn pages_hold_every_alert_once_in_order() {
    testing::each_backend(|store| {
        fill(store);
        let all: Vec<String> = (1..=ALERTS).rev().map(|n| format!("al_{n:05}")).collect();
        let found = pages(store, &AlertFilter::default(), 199);
        assert_eq!(found.concat(), all);
        let firing = AlertFilter {
            status: Some(AlertStatus::Firing),
            ..AlertFilter::default()
        };
        let found = pages(store, &firing, 200);
        assert_eq!(found.concat(), all);
        // All pass: each page is full.
        assert_eq!(found.len(), 26);
    });
}

#[test]
fn a_page_ends_where_it_looked_at_enough() {
    testing::each_backend(|store| {
        fill(store);
        let rare = vec!["al_00003".to_owned()];
        let critical = AlertFilter {
            severity_min: Some(Severity::Critical),
            ..AlertFilter::default()
        };
        assert_eq!(pages(store, &critical, 50), [vec![], rare.clone()]);
        // An index knows whom it is about.
        let about = AlertFilter {
            subject: Some("cus_rare".to_owned()),
            ..critical
        };
        assert_eq!(pages(store, &about, 50), [rare]);
    });
}
