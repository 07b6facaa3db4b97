//! The operator: changes settings, declares alerts over, imports history. Each is a journal entry of
//! its own, made from another process than those that serve.

use billingwatch_core::detector::{SettingValue, SettingValues};
use billingwatch_core::engine::{ResolveAlert, SettingsChange};
use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::time::Span;
use billingwatch_pipeline::testing::event_body;
use billingwatch_pipeline::{PipelineStore, event_entry};
use billingwatch_store::NewEntry;

use crate::plan::Story;
use crate::world::{SOURCE, World};

impl World {
    pub(crate) fn operate(&self) {
        let choice = self.dice().below(3);
        let entry = match choice {
            0 => self.settings(),
            1 => self.resolve(),
            _ => self.history(),
        };
        if let Some(entry) = entry {
            self.note(b'p', 0, || {
                format!("an operator enters {}", entry.event_type)
            });
            // Not under test here: an entry that fails is entered again by hand.
            let _ = self.db.append(&[entry], self.now());
        }
    }

    fn settings(&self) -> Option<NewEntry> {
        let mut values = SettingValues::new();
        let detector = match self.plan.story {
            Story::Probe => {
                let failures = self.dice().range(2, 5);
                values.set("failures", SettingValue::Int(failures));
                "probe"
            }
            Story::Merchant => "duplicate_charge",
        };
        let change = SettingsChange {
            detector: detector.to_owned(),
            source: None,
            is_enabled: Some(self.dice().chance(900)),
            values,
        };
        NewEntry::settings(&change).ok()
    }

    fn resolve(&self) -> Option<NewEntry> {
        let open = self.db.open_alerts().ok()?;
        let alert = open.first()?;
        let order = ResolveAlert {
            alert_id: alert.id.clone(),
            reason: "seen to by hand".to_owned(),
        };
        NewEntry::resolve(&order).ok()
    }

    fn history(&self) -> Option<NewEntry> {
        let (id, age) = {
            let mut dice = self.dice();
            (dice.below(1_000_000), Span::hours(dice.range(1, 900)))
        };
        let at = self.now() + Span::millis(-age.as_millis());
        let body = event_body(&format!("evt_old_{id}"), "charge.failed", at);
        let envelope = read_envelope(&body).ok()?;
        Some(NewEntry {
            is_historical: true,
            received_at: Some(at),
            ..event_entry(SOURCE, envelope, body)
        })
    }
}
