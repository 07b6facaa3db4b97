//! A detector whose every step is easy to foretell.

use billingwatch_core::alert::{Finding, Severity};
use billingwatch_core::detector::{
    Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError,
};
use billingwatch_core::engine::Registry;
use billingwatch_core::event::{Event, EventType, Family, FamilySet};
use billingwatch_core::snapshot::{SnapshotError, decode, encode};
use billingwatch_core::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

billingwatch_core::settings! {
    /// Failed charges at which it fires.
    failures: i64 = 3, 1 => 1000;
    /// Quiet minutes at which it fires.
    quiet_minutes: i64 = 10, 1 => 10_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "probe",
    description: "Counts failed charges; a success clears. Reports quiet on ticks.",
    listens: FamilySet::of(&[Family::Charge]),
    settings: Settings::SPECS,
};

/// Fires `failures` (medium) at so many failed charges, escalates to high two later, ends at a
/// success; fires `quiet` (low) when a tick finds that nothing came for so long.
#[derive(Debug, Default)]
pub struct ProbeDetector {
    settings: Settings,
    state: ProbeState,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct ProbeState {
    failures: i64,
    last_at: Timestamp,
    is_quiet: bool,
}

impl Detector for ProbeDetector {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        self.state.last_at = ctx.now();
        if std::mem::take(&mut self.state.is_quiet) {
            ctx.clear("quiet", "an event came");
        }
        match event.event_type {
            EventType::ChargeFailed => {
                self.state.failures += 1;
                let failures = self.state.failures;
                if failures >= self.settings.failures {
                    let severity = if failures >= self.settings.failures + 2 {
                        Severity::High
                    } else {
                        Severity::Medium
                    };
                    let mut finding = Finding::new("failures", severity, "Charges fail");
                    finding.message = format!("{failures} charges failed");
                    finding.evidence.event_ids.push(event.id.to_string());
                    ctx.fire(finding);
                }
            }
            EventType::ChargeSucceeded => {
                self.state.failures = 0;
                ctx.clear("failures", "a charge succeeded");
            }
            _ => ctx.suppress("not_counted", None, "a charge event that says nothing"),
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let quiet = Span::minutes(self.settings.quiet_minutes);
        if !self.state.is_quiet && ctx.now().since(self.state.last_at) >= quiet {
            self.state.is_quiet = true;
            let mut finding = Finding::new("quiet", Severity::Low, "Nothing comes");
            finding.message = format!("no charge since {}", self.state.last_at);
            ctx.fire(finding);
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        encode(&self.state)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.state = decode(bytes)?;
        Ok(())
    }
}

/// A registry with the probe alone.
#[must_use]
pub fn probe_registry() -> Registry {
    Registry::new(vec![Box::new(FactoryOf::<ProbeDetector>::new(&SPEC))])
}

/// The body of an event about a charge.
#[must_use]
pub fn event_body(id: &str, event_type: &str, created: Timestamp) -> Vec<u8> {
    let created = created.as_secs();
    format!(
        r#"{{"id":"{id}","object":"event","api_version":"2024-06-20","created":{created},"type":"{event_type}","livemode":true,"data":{{"object":{{"id":"ch_{id}","object":"charge","amount":1999,"currency":"usd","created":{created},"customer":"cus_1"}}}}}}"#
    )
    .into_bytes()
}
