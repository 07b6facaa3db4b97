//! Where to look: the page of an object in the Stripe Dashboard.
//!
//! Addresses are `https://dashboard.stripe.com/[acct_…/][test/]<kind>/<id>`, as Stripe's own
//! command line tool builds them for events. Nothing is asked of Stripe; an id of a kind without
//! a page has no link.

use billingwatch_core::alert::Alert;
use billingwatch_core::ids::Scope;

/// The Dashboard's address.
pub const DASHBOARD: &str = "https://dashboard.stripe.com";

/// The longest id linked to: Stripe's own are promised to stay within 255 characters.
const ID_LEN_MAX: usize = 255;

/// Prefixes of ids and the section their pages stand in. Longer prefixes before shorter ones.
const SECTIONS: [(&str, &str); 19] = [
    ("sub_sched_", "subscription_schedules"),
    ("sub_", "subscriptions"),
    ("ch_", "payments"),
    ("py_", "payments"),
    ("pi_", "payments"),
    ("cus_", "customers"),
    ("in_", "invoices"),
    ("dp_", "disputes"),
    ("du_", "disputes"),
    ("re_", "refunds"),
    ("pyr_", "refunds"),
    ("cn_", "credit_notes"),
    ("po_", "payouts"),
    ("seti_", "setup_intents"),
    ("prod_", "products"),
    ("price_", "prices"),
    ("we_", "webhooks"),
    ("evt_", "events"),
    // An early fraud warning has no page: the list of them is the nearest.
    ("issfr_", ""),
];

/// Where early fraud warnings are listed.
const RADAR: &str = "radar";

/// An object's page, when its kind has one.
///
/// ```
/// use billingwatch_alert::dashboard::object_url;
/// use billingwatch_core::ids::Scope;
///
/// let connected = Scope::new("default", Some("acct_1"), false);
/// assert_eq!(
///     object_url(&connected, "ch_3").as_deref(),
///     Some("https://dashboard.stripe.com/acct_1/test/payments/ch_3"),
/// );
/// ```
#[must_use]
pub fn object_url(scope: &Scope, id: &str) -> Option<String> {
    if !is_plain(id) {
        return None;
    }
    let (_, section) = SECTIONS.iter().find(|(prefix, _)| id.starts_with(prefix))?;
    let base = base(scope)?;
    Some(match *section {
        "" => format!("{base}/{RADAR}"),
        section => format!("{base}/{section}/{id}"),
    })
}

/// The page to open first: of what the alert is chiefly about, else of the first object or event
/// in its evidence that has one.
#[must_use]
pub fn alert_url(alert: &Alert) -> Option<String> {
    let evidence = &alert.evidence;
    let candidates = alert
        .subject
        .iter()
        .chain(&alert.subjects)
        .chain(&evidence.object_ids)
        .chain(&evidence.event_ids);
    let mut last_resort = None;
    for id in candidates {
        let url = object_url(&alert.scope, id);
        // A page of its own says more than a list.
        if url.is_some() && !id.starts_with("issfr_") {
            return url;
        }
        last_resort = last_resort.or(url);
    }
    last_resort
}

fn base(scope: &Scope) -> Option<String> {
    let mut base = DASHBOARD.to_owned();
    if let Some(account) = scope.account.as_deref() {
        if !is_plain(account) {
            return None;
        }
        base.push('/');
        base.push_str(account);
    }
    if !scope.livemode {
        base.push_str("/test");
    }
    Some(base)
}

/// Letters, digits and underscores, as all Stripe ids are: nothing that could steer an address.
fn is_plain(id: &str) -> bool {
    let is_id_byte = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !id.is_empty() && id.len() <= ID_LEN_MAX && id.bytes().all(is_id_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_section_in_each_mode() {
        let live = Scope::new("default", None, true);
        let test = Scope::new("default", None, false);
        for (id, path) in [
            ("ch_1", "payments/ch_1"),
            ("py_1", "payments/py_1"),
            ("pi_1", "payments/pi_1"),
            ("cus_1", "customers/cus_1"),
            ("sub_1", "subscriptions/sub_1"),
            ("sub_sched_1", "subscription_schedules/sub_sched_1"),
            ("in_1", "invoices/in_1"),
            ("dp_1", "disputes/dp_1"),
            ("du_1", "disputes/du_1"),
            ("re_1", "refunds/re_1"),
            ("cn_1", "credit_notes/cn_1"),
            ("evt_1", "events/evt_1"),
            ("issfr_1", "radar"),
        ] {
            assert_eq!(object_url(&live, id), Some(format!("{DASHBOARD}/{path}")));
            assert_eq!(
                object_url(&test, id),
                Some(format!("{DASHBOARD}/test/{path}"))
            );
        }
    }

    #[test]
    fn unknown_kinds_and_crooked_ids_have_no_link() {
        let live = Scope::new("default", None, true);
        let long = format!("ch_{}", "x".repeat(300));
        for id in [
            "",
            "card_1",
            "ch_1/../x",
            "ch_1?a=b",
            "ch_é",
            "//evil.example",
            &long,
        ] {
            assert_eq!(object_url(&live, id), None, "{id}");
        }
        let crooked = Scope::new("default", Some("../evil"), true);
        assert_eq!(object_url(&crooked, "ch_1"), None);
    }
}
