//! `--set detector.key=value` and the like, over the settings of the config file.

use billingwatch_core::detector::{DetectorSpec, SettingValue, SettingsError};
use billingwatch_core::engine::SettingsChange;

use crate::exit::UsageError;

/// Applies each in turn, for every source; `flag` is the option they came with, for refusals.
///
/// # Errors
/// When one is not `detector.key=value`, or the detector, the key or the value is not known.
pub(crate) fn apply(
    mut settings: Vec<SettingsChange>,
    flag: &str,
    assignments: &[String],
    specs: &[&DetectorSpec],
) -> anyhow::Result<Vec<SettingsChange>> {
    for assignment in assignments {
        let (detector, key, value) = split(flag, assignment)?;
        let spec = specs.iter().find(|spec| spec.name == detector);
        let spec = spec.ok_or_else(|| SettingsError::UnknownDetector(detector.to_owned()))?;
        let changes = settings.iter_mut();
        for change in changes.filter(|change| change.detector == detector) {
            match (key, value) {
                ("enabled", SettingValue::Bool(is_enabled)) => change.is_enabled = Some(is_enabled),
                _ => change.values.set(key, value),
            }
            change.values.check(spec.name, spec.settings)?;
        }
    }
    Ok(settings)
}

fn split<'a>(
    flag: &str,
    assignment: &'a str,
) -> Result<(&'a str, &'a str, SettingValue), UsageError> {
    let wrong = || {
        UsageError(format!(
            "{flag} {assignment}: expected detector.key=value with a whole number, true or false"
        ))
    };
    let (path, value) = assignment.split_once('=').ok_or_else(wrong)?;
    let (detector, key) = path.trim().split_once('.').ok_or_else(wrong)?;
    let value = match value.trim() {
        "true" => SettingValue::Bool(true),
        "false" => SettingValue::Bool(false),
        number => SettingValue::Int(number.parse().map_err(|_| wrong())?),
    };
    Ok((detector, key, value))
}
