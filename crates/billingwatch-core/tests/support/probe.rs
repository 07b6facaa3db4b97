//! A detector that does as its events say, so that a test has the engine's book in hand.
//!
//! `fire.high.k1` fires under key `k1`, `fire.high.k1.cus_1.500` about a subject with money at
//! stake, `look.high.k1` sees it again without anything new, `clear.k1` clears it, `suppress` suppresses, `ticks` fires
//! with the number of ticks seen as its message. With `fires_on_ticks` each tick fires under `tick`.

use billingwatch_core::alert::{Finding, Severity};
use billingwatch_core::detector::{
    Context, Detector, DetectorSpec, Factory, FactoryOf, SettingValues, SettingsError,
};
use billingwatch_core::engine::Registry;
use billingwatch_core::event::{Event, FamilySet};
use billingwatch_core::snapshot::{SnapshotError, decode, encode};
use serde::{Deserialize, Serialize};

billingwatch_core::settings! {
    /// Copied into every message, so that a test sees which settings held.
    level: i64 = 1, 0 => 9;
    /// Whether every tick is a finding.
    fires_on_ticks: bool = false;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "probe",
    description: "Does as its events say.",
    listens: FamilySet::ALL,
    settings: Settings::SPECS,
};

pub(crate) fn factory() -> Box<dyn Factory> {
    const FACTORY: FactoryOf<Probe> = FactoryOf::new(&SPEC);
    Box::new(FACTORY)
}

pub(crate) fn registry() -> Registry {
    Registry::new(vec![factory()])
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Probe {
    #[serde(skip)]
    settings: Settings,
    ticks: u64,
}

impl Detector for Probe {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        let mut words = event.event_type.as_str().split('.');
        match (words.next(), words.next(), words.next()) {
            (Some(verb @ ("fire" | "look" | "news")), Some(severity), Some(key)) => {
                let severity = match severity {
                    "low" => Severity::Low,
                    "medium" => Severity::Medium,
                    "high" => Severity::High,
                    _ => Severity::Critical,
                };
                let mut finding = Finding::new(key, severity, "Fired");
                finding.message = format!("level {}", self.settings.level);
                finding.occurrences = u64::from(verb != "look");
                finding.is_news = verb == "news";
                finding.subject = words.next().map(str::to_owned);
                finding.amount_at_stake = words.next().and_then(|word| word.parse().ok());
                finding.subjects.push(event.id.to_string());
                finding.evidence.event_ids.push(event.id.to_string());
                ctx.fire(finding);
            }
            (Some("clear"), Some(key), None) => ctx.clear(key, "cleared"),
            (Some("suppress"), ..) => ctx.suppress("harmless", None, "nothing to see"),
            (Some("ticks"), ..) => {
                let mut finding = Finding::new("ticks", Severity::Low, "Ticks");
                finding.message = self.ticks.to_string();
                ctx.fire(finding);
            }
            _ => {}
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        self.ticks += 1;
        if self.settings.fires_on_ticks {
            ctx.fire(Finding::new("tick", Severity::Low, "Ticked"));
        }
    }

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
