//! Pages end where they looked at enough, and together they leave nothing out.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::journal::read::tests::plan;
use crate::journal::{EntryKind, JournalEntry, NewEntry};
use crate::testing::each_backend;

#[test]
fn each_lead_goes_by_its_index_and_sorts_nothing() {
    for (asked, index) in [
        ("kind = 'event' AND event_type = 'x'", "journal_event_type"),
        ("object_id = 'x'", "journal_object_id"),
        ("customer_id = 'x'", "journal_customer_id"),
        ("account = 'x'", "journal_account"),
        ("NOT livemode", "journal_test_mode"),
    ] {
        let plan = plan(&format!(
            "SELECT seq FROM journal WHERE seq < 9 AND seq >= 1 AND {asked} \
             ORDER BY seq DESC LIMIT 50"
        ));
        assert!(plan.contains(index) && !plan.contains("TEMP"), "{plan}");
    }
}

#[test]
fn rows_are_passed_and_fetched_by_number_and_nothing_is_sorted() {
    for where_they_are in ["seq < 9 AND seq >= 1", "seq IN (1, 2, 3)"] {
        for more in [
            "",
            "AND source = 'x'",
            "AND livemode = 1",
            "AND created_at >= 5",
        ] {
            let plan = plan(&format!(
                "SELECT * FROM journal WHERE {where_they_are} AND event_id IS NOT NULL {more} \
                 ORDER BY seq DESC LIMIT 50"
            ));
            assert!(
                plan.contains("USING INTEGER PRIMARY KEY") && !plan.contains("TEMP"),
                "{plan}"
            );
        }
    }
}

/// Number `n` of a journal in which all that can be asked for comes and goes at paces of its own.
fn varied(n: i64) -> NewEntry {
    let every = |pace: i64, text: &str| (n % pace == 0).then(|| text.to_owned());
    NewEntry {
        kind: if n % 17 == 0 {
            EntryKind::Canary
        } else {
            EntryKind::Event
        },
        source: every(5, "eu").unwrap_or_else(|| "default".to_owned()),
        event_id: (n % 17 != 0).then(|| format!("evt_{n}")),
        event_type: ["charge.failed", "charge.succeeded", "invoice.paid"]
            [usize::try_from(n % 3).unwrap()]
        .to_owned(),
        object_id: every(7, "ch_1"),
        customer_id: every(4, "cus_1"),
        created_at: Some(n * 10),
        account: every(3, "acct_1"),
        livemode: n % 11 != 0,
        api_version: None,
        is_historical: false,
        received_at: None,
        body: b"{}".to_vec(),
        packed: None,
    }
}

/// What can be asked of one thing: nothing, or this.
fn or_nothing<T: Clone>(asked: &T) -> [Option<T>; 2] {
    [None, Some(asked.clone())]
}

fn is_met(filter: &EventFilter, row: &JournalEntry) -> bool {
    let is =
        |wanted: &Option<String>, had: Option<&String>| wanted.is_none() || wanted.as_ref() == had;
    let created_at = row.created_at.map(Timestamp::from_secs);
    row.kind == EntryKind::Event
        && (filter.types.is_empty() || filter.types.contains(&row.event_type))
        && is(&filter.customer, row.customer_id.as_ref())
        && is(&filter.object, row.object_id.as_ref())
        && is(&filter.account, row.account.as_ref())
        && is(&filter.source, Some(&row.source))
        && filter
            .livemode
            .is_none_or(|livemode| livemode == row.livemode)
        && filter
            .created_from
            .is_none_or(|from| created_at >= Some(from))
}

/// All filters that can be made of these.
fn filters() -> Vec<EventFilter> {
    let text = |text: &str| text.to_owned();
    let mut filters = Vec::new();
    for types in [
        vec![],
        vec!["invoice.paid"],
        vec!["charge.failed", "invoice.paid", "invoice.paid"],
    ] {
        for customer in or_nothing(&text("cus_1")) {
            for object in or_nothing(&text("ch_1")) {
                for account in or_nothing(&text("acct_1")) {
                    for livemode in [None, Some(true), Some(false)] {
                        for source in or_nothing(&text("eu")) {
                            for created_from in or_nothing(&Timestamp::from_secs(900)) {
                                filters.push(EventFilter {
                                    types: types.iter().map(|name| text(name)).collect(),
                                    customer: customer.clone(),
                                    object: object.clone(),
                                    account: account.clone(),
                                    livemode,
                                    source: source.clone(),
                                    created_from,
                                    ..EventFilter::default()
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    filters
}

#[test]
fn short_pages_lead_to_every_event_that_a_filter_lets_through() {
    each_backend(|store| {
        let entries: Vec<NewEntry> = (1..=300).map(varied).collect();
        store.append(&entries, Timestamp::EPOCH).unwrap();
        // A stretch in which little is left.
        let gone = journal::table
            .filter(journal::seq.between(60, 200))
            .filter(journal::seq.ne_all([90_i64, 91, 150]));
        store
            .write(|conn| Ok(diesel::delete(gone).execute(conn)?))
            .unwrap();
        let rows = store.read_after(0, 1_000).unwrap();
        let bounds = Bounds {
            found: 9,
            passed: 13,
        };
        for filter in filters() {
            let mut expected: Vec<i64> = rows
                .iter()
                .filter(|row| is_met(&filter, row))
                .map(|row| row.seq)
                .collect();
            expected.reverse();
            let mut found = Vec::new();
            let mut pages = 0;
            let mut page = Page::first(4).unwrap();
            loop {
                let below = page.below().unwrap();
                let listed = store
                    .read(|conn| list(conn, &filter, &page, below, bounds))
                    .unwrap();
                assert!(listed.items.len() <= 4);
                found.extend(listed.items.iter().map(|row| row.seq));
                pages += 1;
                match listed.next {
                    Some(next) => page = Page::new(Some(next), 4).unwrap(),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{filter:?}");
            // Each but the last is full, or has looked at all it may.
            let most = 1 + expected.len() / 4 + rows.len() / 9;
            assert!(pages <= most, "{pages} pages, {filter:?}");
        }
    });
}

#[test]
fn a_page_that_almost_nothing_passes_ends_where_it_looked_at_enough() {
    each_backend(|store| {
        let entries: Vec<NewEntry> = (1..=100).map(varied).collect();
        store.append(&entries, Timestamp::EPOCH).unwrap();
        let bounds = Bounds {
            found: 20,
            passed: 20,
        };
        let ask = |filter: EventFilter| {
            let page = Page::first(50).unwrap();
            let listed = store
                .read(|conn| list(conn, &filter, &page, i64::MAX, bounds))
                .unwrap();
            let seqs: Vec<i64> = listed.items.iter().map(|row| row.seq).collect();
            (seqs, listed.next)
        };
        // Of the newest twenty numbers.
        let through_eu = EventFilter {
            source: Some("eu".to_owned()),
            ..EventFilter::default()
        };
        assert_eq!(ask(through_eu), (vec![100, 95, 90], Some("81".to_owned())));
        // A source that nothing came through is known at once.
        let through_none = EventFilter {
            source: Some("nobody".to_owned()),
            ..EventFilter::default()
        };
        assert_eq!(ask(through_none), (vec![], None));
        // Of the objects' events there are fewer than the bound: they lead, and that is all.
        let few = EventFilter {
            object: Some("ch_1".to_owned()),
            types: vec!["charge.failed".to_owned()],
            ..EventFilter::default()
        };
        assert_eq!(ask(few), (vec![84, 63, 42, 21], None));
        let many = EventFilter {
            account: Some("acct_1".to_owned()),
            types: vec!["invoice.paid".to_owned()],
            ..EventFilter::default()
        };
        assert_eq!(ask(many), (vec![], Some("36".to_owned())));
    });
}
