//! The detectors that run here, with what can be set on each.

use std::collections::BTreeMap;

use actix_web::web::{Data, Json};
use billingwatch_core::detector::{DetectorSpec, SettingKind, SettingSpec, SettingValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// The detectors that run here.
#[derive(Serialize, ToSchema)]
pub(crate) struct DetectorList {
    /// How many there are.
    count: usize,
    /// Each of them.
    detectors: Vec<DetectorView>,
}

/// A detector.
#[derive(Serialize, ToSchema)]
struct DetectorView {
    /// The word used in files, settings, alerts and docs.
    #[schema(example = "charge_failure_spike")]
    name: &'static str,
    /// What it watches for.
    description: &'static str,
    /// What can be set.
    settings: Vec<SettingView>,
    /// What was changed while running, on top of the configuration file.
    overrides: Vec<OverrideView>,
}

/// Something that can be set.
#[derive(Serialize, ToSchema)]
struct SettingView {
    /// Its name; the unit comes last.
    #[schema(example = "window_secs")]
    name: &'static str,
    /// What it does and why its default is what it is.
    description: &'static str,
    /// `integer` or `boolean`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What holds when nothing is set.
    #[schema(value_type = serde_json::Value)]
    default: SettingValue,
    /// The smallest allowed, for integers.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<i64>,
    /// The largest allowed, for integers.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<i64>,
}

/// Settings changed while running.
#[derive(Serialize, ToSchema)]
struct OverrideView {
    /// The source it is for; `null` for all.
    source: Option<String>,
    /// Whether the detector runs; `null` when that was left as it is.
    is_enabled: Option<bool>,
    /// The values set.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    values: BTreeMap<String, SettingValue>,
}

/// Which detectors run here, and what can be set on each?
#[utoipa::path(
    get,
    path = "/webhooks/detectors",
    operation_id = "listDetectors",
    tag = "detectors",
    responses(
        (status = 200, description = "The detectors", body = DetectorList),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn list(state: Data<AppState>) -> Result<Json<DetectorList>, ApiError> {
    let overrides = state
        .query(billingwatch_store::Store::list_settings)
        .await?;
    let detectors: Vec<_> = state
        .detectors
        .iter()
        .map(|spec| {
            let of_it = overrides
                .iter()
                .filter(|one| one.change.detector == spec.name);
            DetectorView {
                overrides: of_it
                    .map(|one| OverrideView {
                        source: one.change.source.clone(),
                        is_enabled: one.change.is_enabled,
                        values: one
                            .change
                            .values
                            .iter()
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    })
                    .collect(),
                ..DetectorView::of(spec)
            }
        })
        .collect();
    Ok(Json(DetectorList {
        count: detectors.len(),
        detectors,
    }))
}

impl DetectorView {
    fn of(spec: &DetectorSpec) -> Self {
        Self {
            name: spec.name,
            description: spec.description,
            settings: spec.settings.iter().map(SettingView::of).collect(),
            overrides: Vec::new(),
        }
    }
}

impl SettingView {
    fn of(spec: &SettingSpec) -> Self {
        let (kind, min, max) = match spec.kind {
            SettingKind::Int { min, max, .. } => ("integer", Some(min), Some(max)),
            SettingKind::Bool { .. } => ("boolean", None, None),
        };
        Self {
            name: spec.name,
            description: spec.doc,
            kind,
            default: spec.default_value(),
            min,
            max,
        }
    }
}
