//! The merchant of the demo, and what goes wrong there: one incident for each detector.

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_simulator::{
    ApiShape, ConfigError, DeliveryModel, IncidentKind, IncidentPlan, MerchantKind, SimulatedEvent,
    Strength, World, WorldConfig,
};

/// The world that is shown when no other is asked for.
pub(crate) const SEED: u64 = 2;
/// Monday 2026-01-19, 00:00 UTC. Fixed, so that every run shows the same.
const STARTS_AT: Timestamp = Timestamp::from_secs(1_768_780_800);
/// Days before the show: enough for weekly baselines and for each monthly renewal to have been seen.
pub(super) const HISTORY_DAYS: u32 = 56;
/// Days of the show: a lapse needs its period's end and three days of grace, a drop a day or two.
pub(super) const LIVE_DAYS: u32 = 8;

/// What goes wrong, by hours into the show.
const INCIDENTS: [(IncidentKind, i64); 7] = [
    (IncidentKind::SilentLapse, 10),
    (IncidentKind::DuplicateCharge, 15),
    (IncidentKind::ChargeFailureSpike, 34),
    (IncidentKind::NegativeInvoice, 40),
    (IncidentKind::FraudSpike, 57),
    (IncidentKind::WebhookLag, 106),
    (IncidentKind::RevenueDrop, 144),
];

/// The simulated merchant, cut in two.
pub(super) struct Merchant {
    /// Events from before the show, in order of receipt.
    pub(super) history: Vec<SimulatedEvent>,
    /// Events of the show, in order of receipt.
    pub(super) live: Vec<SimulatedEvent>,
    /// When the show begins.
    pub(super) live_from: Timestamp,
    /// When it ends.
    pub(super) ends_at: Timestamp,
}

impl Merchant {
    /// Simulates it all.
    ///
    /// # Errors
    /// Never with the constants above; the simulator checks what it is given.
    pub(super) fn simulate(seed: u64) -> Result<Self, ConfigError> {
        let live_from = STARTS_AT + Span::days(i64::from(HISTORY_DAYS));
        let incident = |(kind, hours): (IncidentKind, i64)| IncidentPlan {
            kind,
            at: (live_from + Span::hours(hours)).as_secs(),
            strength: Strength::Clear,
        };
        let config = WorldConfig {
            seed,
            merchant: MerchantKind::SmallSaas,
            shape: ApiShape::Basil,
            start_at: STARTS_AT.as_secs(),
            days: HISTORY_DAYS + LIVE_DAYS,
            incidents: INCIDENTS.map(incident).to_vec(),
            oddities: true,
            delivery: DeliveryModel::Realistic,
        };
        let (history, live) =
            World::new(&config)?.partition(|event| event.received_at_ms < live_from.as_millis());
        Ok(Self {
            history,
            live,
            live_from,
            ends_at: Timestamp::from_secs(config.end_at()),
        })
    }
}

/// The detectors whose incident is part of the show.
pub(super) fn expected() -> impl Iterator<Item = &'static str> {
    INCIDENTS.iter().map(|(kind, _)| kind.detector())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use billingwatch_core::alert::AlertStatus;
    use billingwatch_core::engine::{Engine, Input, Record, Registry};
    use billingwatch_core::stripe::payload::parse_event;

    use super::*;

    /// The show without its stage: the same events through the engine alone.
    #[test]
    fn every_detector_finds_its_incident() {
        let merchant = Merchant::simulate(SEED).unwrap();
        let mut engine = Engine::new(Registry::standard());
        let source: Arc<str> = "default".into();
        let mut fired = Vec::new();
        let historical = merchant.history.iter().map(|event| (event, true));
        for (event, is_historical) in
            historical.chain(merchant.live.iter().map(|event| (event, false)))
        {
            let received_at = Timestamp::from_millis(event.received_at_ms);
            let parsed = parse_event(&event.json, received_at).unwrap();
            engine.apply(&Record {
                received_at,
                source: Arc::clone(&source),
                is_historical,
                input: Input::Event(Box::new(parsed)),
            });
            fired.extend(engine.take_changes());
        }
        engine.advance_to(merchant.ends_at);
        fired.extend(engine.take_changes());
        assert!(
            fired.iter().all(|change| change.at >= merchant.live_from),
            "history pages nobody"
        );
        let firing = |detector: &str| {
            fired
                .iter()
                .filter(|change| {
                    change.alert.status == AlertStatus::Firing && change.alert.detector == detector
                })
                .count()
        };
        let counts: Vec<(&str, usize)> = expected().map(|name| (name, firing(name))).collect();
        assert!(counts.iter().all(|(_, count)| *count > 0), "{counts:?}");
    }
}
