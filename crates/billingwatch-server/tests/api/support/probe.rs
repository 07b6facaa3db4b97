//! A detector for tests: fires for a customer whose charge fails, ends when one
//! succeeds, and lets `cus_harmless` pass.

use billingwatch_core::alert::{Finding, Measure, Severity, Unit};
use billingwatch_core::detector::{
    Context, Detector, DetectorSpec, FactoryOf, SettingKind, SettingSpec, SettingValues,
    SettingsError,
};
use billingwatch_core::engine::Registry;
use billingwatch_core::event::{Event, EventData, Family, FamilySet};
use billingwatch_core::snapshot::SnapshotError;

const SPEC: DetectorSpec = DetectorSpec {
    name: "probe",
    description: "A customer's charge fails.",
    listens: FamilySet::of(&[Family::Charge]),
    settings: &[
        SettingSpec {
            name: "amount_min",
            doc: "Smaller charges are passed over, in minor units.",
            kind: SettingKind::Int {
                default: 1,
                min: 0,
                max: 100_000,
            },
        },
        SettingSpec {
            name: "is_strict",
            doc: "Whether to look twice.",
            kind: SettingKind::Bool { default: false },
        },
    ],
};

#[derive(Default)]
struct Probe;

pub(crate) fn registry() -> Registry {
    Registry::new(vec![Box::new(FactoryOf::<Probe>::new(&SPEC))])
}

impl Detector for Probe {
    fn configure(&mut self, _: &SettingValues) -> Result<(), SettingsError> {
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        let EventData::Charge(charge) = &event.data else {
            return;
        };
        let Some(customer) = charge.customer.as_ref().map(|id| id.as_str().to_owned()) else {
            return;
        };
        if event.event_type.as_str() == "charge.succeeded" {
            ctx.clear(customer, "a charge succeeded");
            return;
        }
        if customer == "cus_harmless" {
            ctx.suppress(
                "known_customer",
                Some(&customer),
                "A charge failed, as it may.",
            );
            return;
        }
        let mut finding = Finding::new(customer.clone(), Severity::High, "A charge failed");
        finding.message = format!("A charge of 19.99 USD to {customer} failed.");
        finding.subject = Some(customer.clone());
        finding.subjects = vec![customer];
        finding.currency = "usd".parse().ok();
        finding.amount_at_stake = Some(1999);
        finding.evidence.event_ids = vec![event.id.as_str().to_owned()];
        finding.evidence.measures = vec![
            Measure::new("failed_charges", 1, Unit::Count)
                .expected(0)
                .threshold(1),
        ];
        finding.evidence.reasons = vec!["The charge's status is failed.".to_owned()];
        ctx.fire(finding);
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), SnapshotError> {
        Ok(())
    }
}
