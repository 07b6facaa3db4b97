//! A detector of one's own, in one file: what it watches, its settings, its state, its test.
//!
//! `refund_streak` opens when one customer was given `refunds_min` refunds within `window_secs`,
//! and closes when so many no longer lie within it. Somebody who buys and returns for a living
//! costs fees each time; three refunds in a month to one customer deserve a look.
//!
//! Left out: refunds whose customer nobody knows (guests), and what history tells.
//!
//! `cargo run -p billingwatch-examples --example custom_detector` runs it beside those of the
//! product; `cargo test -p billingwatch-examples --examples` runs its tests.
#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::collections::VecDeque;

use billingwatch_core::alert::{Finding, Measure, Severity, Unit};
use billingwatch_core::detector::{
    Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError,
};
use billingwatch_core::event::{Event, Family, FamilySet};
use billingwatch_core::ids::{Key, KeyMap};
use billingwatch_core::ledger::{Fact, RefundFact};
use billingwatch_core::money::Money;
use billingwatch_core::snapshot::{SnapshotError, decode, encode};
use billingwatch_core::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// The most refunds remembered. Beyond it the oldest fall out early: memory must not grow with a
/// merchant's refunds, and hundred thousand a month are another problem than one customer.
const REFUNDS_MAX: usize = 100_000;

// Name, default and bounds of each setting, once: the API, the docs, the config file and its
// error messages read them from here.
billingwatch_core::settings! {
    /// How far back refunds count, in seconds. A month: most shops take returns for so long.
    window_secs: i64 = 2_592_000, 86_400 => 31_536_000;
    /// Refunds to one customer within the window before anything is said.
    refunds_min: i64 = 3, 2 => 1_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "refund_streak",
    description: "One customer was given three or more refunds within a month.",
    // The engine calls `event` for these alone. The ledger hears everything all the same.
    listens: FamilySet::of(&[Family::Refund]),
    settings: Settings::SPECS,
};

/// What a registry lists.
const FACTORY: FactoryOf<RefundStreak> = FactoryOf::new(&SPEC);

/// One refund in the window.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    at: Timestamp,
    customer: Key,
}

/// State for one scope (an account, live or test): the engine makes one for each.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RefundStreak {
    // Settings come from `configure`, never from a snapshot.
    #[serde(skip)]
    settings: Settings,
    /// Oldest first.
    window: VecDeque<Given>,
    /// How many of them are each customer's. A map of the standard library would do as well, if
    /// its order were never looked at; this one's order is the same in every run.
    by_customer: KeyMap<i64>,
}

impl Detector for RefundStreak {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        // Names, types and bounds are checked already.
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        // Facts, not events: `refund.created`, `refund.updated` and `charge.refund.updated` tell
        // of one refund, in any order, twice if need be. The ledger says it once.
        for fact in ctx.facts() {
            if let Fact::Refund(refund) = fact {
                self.take(refund, event, ctx);
            }
        }
    }

    /// Once a minute. Here what does not happen is noticed: a window that empties.
    fn tick(&mut self, ctx: &mut Context<'_>) {
        let from = ctx.now() - Span::secs(self.settings.window_secs);
        while self.window.front().is_some_and(|oldest| oldest.at < from) {
            self.forget_oldest(ctx);
        }
    }

    // Snapshots: any serde type will do. `encode` is compact and has no field names.
    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        encode(self)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let settings = std::mem::take(&mut self.settings);
        *self = Self {
            settings,
            ..decode(bytes)?
        };
        Ok(())
    }
}

impl RefundStreak {
    fn take(&mut self, refund: &RefundFact, event: &Event, ctx: &mut Context<'_>) {
        // A refund names its charge; whose that is, the ledger knows, if it saw the charge.
        let payment = refund
            .charge
            .and_then(|charge| ctx.ledger().payment(charge));
        let Some(customer) = payment.and_then(|payment| payment.customer) else {
            ctx.suppress(
                "unknown_customer",
                None,
                "a refund of a charge without a customer",
            );
            return;
        };
        if self.window.len() >= REFUNDS_MAX {
            self.forget_oldest(ctx);
        }
        // Event time: when the refund was made, not when we heard of it.
        self.window.push_back(Given {
            at: refund.at,
            customer,
        });
        let count = self.by_customer.entry(customer).or_default();
        *count += 1;
        let count = *count;
        if count < self.settings.refunds_min {
            return;
        }
        // Said again with each further refund: under one key that is one alert, which grows.
        let severity = if count >= 2 * self.settings.refunds_min {
            Severity::High
        } else {
            Severity::Medium
        };
        let mut finding = Finding::new(
            key(customer),
            severity,
            "A customer is refunded again and again",
        );
        let window = Span::secs(self.settings.window_secs);
        let money = Money::new(refund.amount, refund.currency);
        finding.message =
            format!("{count} refunds to one customer within {window}, the newest of {money}");
        finding.currency = Some(refund.currency);
        finding.evidence.event_ids.push(event.id.to_string());
        finding
            .evidence
            .measures
            .push(Measure::new("refunds", count, Unit::Count).threshold(self.settings.refunds_min));
        ctx.fire(finding);
    }

    fn forget_oldest(&mut self, ctx: &mut Context<'_>) {
        let Some(oldest) = self.window.pop_front() else {
            return;
        };
        let Some(count) = self.by_customer.get_mut(&oldest.customer) else {
            return;
        };
        *count -= 1;
        let count = *count;
        if count == 0 {
            self.by_customer.swap_remove(&oldest.customer);
        }
        if count < self.settings.refunds_min {
            // Where nothing had fired, an all-clear says nothing.
            ctx.clear(
                key(oldest.customer),
                format!("{count} refunds left within the window"),
            );
        }
    }
}

/// One alert for each customer. It outlives restarts and releases, so it is made of ids alone.
fn key(customer: Key) -> String {
    format!("{:016x}", customer.as_u64())
}

/// Runs it beside the product's own detectors, over a story told in events.
fn main() {
    use billingwatch_core::testing::{Step, records};

    let mut detectors = billingwatch_core::detectors::all();
    detectors.push(Box::new(FACTORY));
    let mut engine =
        billingwatch_core::engine::Engine::new(billingwatch_core::engine::Registry::new(detectors));

    println!("The detectors of this engine:");
    for spec in engine.registry().specs() {
        println!("  {:<22} {}", spec.name, spec.description);
    }
    println!("\nThe settings of {}:", SPEC.name);
    for setting in SPEC.settings {
        println!(
            "  {:<14} {:?}\n{:17}{}",
            setting.name, setting.kind, "", setting.doc
        );
    }
    println!("\nA customer buys and returns, four times in two weeks, then stops:");
    for step in records(STORY) {
        match step {
            Step::Record(record) => {
                engine.apply(&record);
            }
            Step::Wait(until) => engine.advance_to(until),
        }
        for change in engine.take_changes() {
            print!("{}", billingwatch_examples::tell(&change));
        }
    }
}

const STORY: &str = "
    +0s charge.succeeded ch=ch_1 cus=cus_1 amt=4900
    +3d refund.created re=re_1 ch=ch_1 amt=4900
    +1d charge.succeeded ch=ch_2 cus=cus_1 amt=5900
    +2d refund.created re=re_2 ch=ch_2 amt=5900
    +1d charge.succeeded ch=ch_3 cus=cus_1 amt=6900
    +2d refund.created re=re_3 ch=ch_3 amt=6900
    +1d charge.succeeded ch=ch_4 cus=cus_1 amt=7900
    +2d refund.created re=re_4 ch=ch_4 amt=7900
    +1s refund.updated re=re_4 ch=ch_4 amt=7900
    +40d wait
";

#[cfg(test)]
mod tests {
    use super::*;
    use billingwatch_core::testing::run;

    /// What happens in a story: no test calls a method of the detector.
    fn told(story: &str) -> String {
        run(vec![Box::new(FACTORY)], story)
    }

    #[test]
    fn a_streak_is_one_alert_that_grows_and_ends() {
        let told = told(STORY);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        assert!(lines[0].starts_with("d9 00:00:00 firing medium "), "{told}");
        assert!(
            lines[0].ends_with("3 refunds to one customer within 30d, the newest of 69.00 USD")
        );
        assert!(
            lines[1].starts_with("d36 00:01:00 resolved medium "),
            "{told}"
        );
    }

    #[test]
    fn two_refunds_are_no_streak() {
        let two: Vec<&str> = STORY.lines().take(5).collect();
        assert_eq!(told(&two.join("\n")), "");
    }

    #[test]
    fn refunds_of_three_customers_are_no_streak() {
        let story = STORY.replace("ch_2 cus=cus_1", "ch_2 cus=cus_2");
        assert_eq!(told(&story.replace("ch_3 cus=cus_1", "ch_3 cus=cus_3")), "");
    }

    #[test]
    fn the_window_is_a_setting() {
        let narrow = format!("+0s set refund_streak.window_secs=86400\n{STORY}");
        assert_eq!(told(&narrow), "");
        let absurd = "+0s set refund_streak.window_secs=1";
        assert!(told(absurd).contains("must be from 86400 to 31536000, not 1"));
    }

    #[test]
    fn guests_are_left_out_and_that_is_said() {
        let told = told("+0s refund.created re=re_1 ch=ch_unknown amt=100");
        assert!(told.contains("quiet unknown_customer"), "{told}");
    }
}
