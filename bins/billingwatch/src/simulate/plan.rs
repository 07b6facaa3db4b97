//! Which incidents, how strong, and when.

use billingwatch_simulator::{IncidentKind, IncidentPlan, MAX_DAYS, Strength};

use crate::exit::UsageError;

/// The most days without an incident at the beginning, for baselines to form; a third of the world
/// where that is less.
const QUIET_DAYS_MAX: u32 = 45;

/// The most days without a new incident at the end, for what is noticed late; a sixth of the world
/// where that is less.
const TAIL_DAYS_MAX: u32 = 14;

/// The kinds that `--incidents` names.
///
/// # Errors
/// When a name is none.
pub(super) fn kinds(text: &str) -> Result<Vec<IncidentKind>, UsageError> {
    match text.trim() {
        "all" => Ok(IncidentKind::ALL.to_vec()),
        "none" => Ok(Vec::new()),
        names => names
            .split(',')
            .map(|name| {
                let parsed = name.trim().parse();
                parsed.map_err(|error| UsageError(format!("--incidents: {error}, all, none")))
            })
            .collect(),
    }
}

/// The strengths that `--strength` names.
///
/// # Errors
/// When the name is none.
pub(super) fn strengths(text: &str) -> Result<Vec<Strength>, UsageError> {
    if text.trim() == "all" {
        return Ok(Strength::ALL.to_vec());
    }
    let parsed = text.trim().parse();
    let strength = parsed.map_err(|error| UsageError(format!("--strength: {error}, all")))?;
    Ok(vec![strength])
}

/// One incident of each kind and strength, at even distances of a day at least, in the daytime and
/// at changing hours.
///
/// # Errors
/// When the days are too few to keep them apart.
pub(super) fn spread(
    start_at: i64,
    days: u32,
    kinds: &[IncidentKind],
    strengths: &[Strength],
) -> Result<Vec<IncidentPlan>, UsageError> {
    let wanted = kinds.len() * strengths.len();
    let room = room_days(days);
    let needed = i64::try_from(wanted).unwrap_or(i64::MAX);
    if i64::from(room) < needed {
        let enough = (1..MAX_DAYS)
            .rev()
            .find(|days| i64::from(room_days(*days)) < needed)
            .map_or(1, |days| days + 1);
        return Err(UsageError(format!(
            "--days {days}: {wanted} incidents a day apart, after a quiet time, need {enough} days \
             at least; ask for fewer with --incidents"
        )));
    }
    let quiet = i64::from(quiet_days(days));
    let pairs = kinds
        .iter()
        .flat_map(|kind| strengths.iter().map(move |strength| (*kind, *strength)));
    let plans = (0_i64..).zip(pairs).map(|(nth, (kind, strength))| {
        let day = quiet + nth * i64::from(room) / needed;
        let hour = 10 + nth % 8;
        IncidentPlan {
            kind,
            at: start_at + day * 86_400 + hour * 3_600,
            strength,
        }
    });
    Ok(plans.collect())
}

fn quiet_days(days: u32) -> u32 {
    QUIET_DAYS_MAX.min(days / 3)
}

fn room_days(days: u32) -> u32 {
    days - quiet_days(days) - TAIL_DAYS_MAX.min(days / 6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn incidents_keep_a_day_apart_and_away_from_both_ends() {
        for days in [20, 30, 60, 120, 365] {
            let plans = spread(0, days, IncidentKind::ALL, &[Strength::Clear]).unwrap();
            assert_eq!(plans.len(), IncidentKind::ALL.len());
            assert!(plans[0].at >= i64::from(quiet_days(days)) * 86_400);
            assert!(plans.iter().all(|plan| plan.at < i64::from(days) * 86_400));
            let gaps = plans.windows(2).map(|pair| pair[1].at - pair[0].at);
            assert!(gaps.min().unwrap() >= 17 * 3_600, "{days}");
        }
    }

    #[test]
    fn too_few_days_are_refused_with_how_many_it_takes() {
        let error = spread(0, 5, IncidentKind::ALL, &[Strength::Clear]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--days 5: 10 incidents a day apart, after a quiet time, need 19 days at least; ask for \
             fewer with --incidents"
        );
        assert!(spread(0, 19, IncidentKind::ALL, &[Strength::Clear]).is_ok());
        assert_eq!(spread(0, 1, &[], Strength::ALL).unwrap(), []);
    }

    #[test]
    fn names_are_read_and_refused_by_option() {
        let two = kinds("duplicate-charge, silent-lapse").unwrap();
        assert_eq!(
            two,
            [IncidentKind::DuplicateCharge, IncidentKind::SilentLapse]
        );
        let error = kinds("dup").unwrap_err().to_string();
        assert!(
            error.starts_with("--incidents: `dup` is no IncidentKind"),
            "{error}"
        );
        assert_eq!(strengths("all").unwrap().len(), 3);
        assert!(strengths("strong").is_err());
    }
}
