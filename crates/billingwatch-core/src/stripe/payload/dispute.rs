//! `dispute` and `radar.early_fraud_warning`.

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::dispute::{Dispute, FraudWarning};
use crate::ids::{DisputeId, FraudWarningId};

use super::lenient::{read, shape_of_map, skip};
use super::object::Draft;
use super::values::read_id;

pub(super) struct DisputeDraft(Dispute);

impl Default for DisputeDraft {
    fn default() -> Self {
        Self(Dispute {
            id: DisputeId::from(""),
            created: None,
            amount: None,
            currency: None,
            charge: None,
            payment_intent: None,
            reason: None,
            status: None,
            case_type: None,
            network: None,
        })
    }
}

impl Draft for DisputeDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let dispute = &mut self.0;
        match key {
            b"created" => dispute.created = read(map)?,
            b"amount" => dispute.amount = read(map)?,
            b"currency" => dispute.currency = read(map)?,
            b"charge" => dispute.charge = read_id(map)?,
            b"payment_intent" => dispute.payment_intent = read_id(map)?,
            b"reason" => dispute.reason = read(map)?,
            b"status" => dispute.status = read(map)?,
            b"payment_method_details" => {
                let card = read::<MethodDetails, A>(map)?.card;
                dispute.case_type = card.case_type;
                dispute.network = card.network.or(card.brand);
            }
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut dispute = self.0;
        dispute.id = id?.into();
        Some(EventData::Dispute(Box::new(dispute)))
    }
}

#[derive(Default)]
struct MethodDetails {
    card: DisputedCard,
}

shape_of_map!(MethodDetails {
    b"card" => |this, map| this.card = read(map)?,
});

/// `network` is new in 2026-07-29; before, only the brand says.
#[derive(Default)]
struct DisputedCard {
    case_type: Option<Box<str>>,
    network: Option<Box<str>>,
    brand: Option<Box<str>>,
}

shape_of_map!(DisputedCard {
    b"case_type" => |this, map| this.case_type = read(map)?,
    b"network" => |this, map| this.network = read(map)?,
    b"brand" => |this, map| this.brand = read(map)?,
});

pub(super) struct FraudWarningDraft(FraudWarning);

impl Default for FraudWarningDraft {
    fn default() -> Self {
        Self(FraudWarning {
            id: FraudWarningId::from(""),
            created: None,
            charge: None,
            payment_intent: None,
            fraud_type: None,
            is_actionable: false,
        })
    }
}

impl Draft for FraudWarningDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let warning = &mut self.0;
        match key {
            b"created" => warning.created = read(map)?,
            b"charge" => warning.charge = read_id(map)?,
            b"payment_intent" => warning.payment_intent = read_id(map)?,
            b"fraud_type" => warning.fraud_type = read(map)?,
            b"actionable" => warning.is_actionable = read(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut warning = self.0;
        warning.id = id?.into();
        Some(EventData::FraudWarning(Box::new(warning)))
    }
}
