//! What people want to hear no more of, and until when.
//!
//! A mute keeps covered findings from opening an alert; each incident it holds back is a
//! suppressed finding instead, so that the quiet can be explained. It is no blank cheque: what goes
//! [beyond](Mute::covers) what was judged speaks all the same, and every mute ends by itself.

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Finding, Severity};
use crate::ids::{Key, Scope};
use crate::money::Currency;
use crate::time::Timestamp;

/// The most mutes in force in one scope. A further one is refused.
pub const MUTES_MAX: usize = 1_000;

/// A person's word that findings of one kind are no news in one scope until a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// Its id. Muting under an id in force replaces that mute.
    pub id: String,
    /// Whose word it is.
    pub by: String,
    /// When it ends by itself.
    pub until: Timestamp,
    /// The detector it is about.
    pub detector: String,
    /// Whose events.
    pub scope: Scope,
    /// Which of the detector's findings.
    pub target: MuteTarget,
    /// The worst that was judged: what is worse speaks.
    pub severity_max: Severity,
    /// The money at stake that was judged, minor units of `currency`: twice as much speaks. `None`
    /// leaves that out, as for a pattern, where another subject's money says nothing.
    pub amount_judged: Option<i64>,
    /// The currency of `amount_judged`.
    pub currency: Option<Currency>,
    /// The alert it was said of.
    pub alert_id: String,
    /// Why, in words.
    pub note: Option<String>,
}

/// Which findings of a detector a mute covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MuteTarget {
    /// Those chiefly about this customer, subscription, charge, invoice or card.
    Subject(String),
    /// Those under this heading, whatever they are about.
    Pattern(String),
    /// Those under this full alert key: the same incident again.
    AlertKey(String),
}

/// The end of a mute before its date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftMute {
    /// The mute's id.
    pub mute_id: String,
    /// Who lifts it.
    pub by: String,
}

impl Mute {
    /// The id of what is said of an alert with this reach: said again, it replaces itself.
    #[must_use]
    pub fn id_of(alert_id: &str, target: &MuteTarget) -> String {
        let (kind, what) = match target {
            MuteTarget::Subject(what) => ("subject", what),
            MuteTarget::Pattern(what) => ("pattern", what),
            MuteTarget::AlertKey(what) => ("alert_key", what),
        };
        let hash = Key::of_parts(&[alert_id, kind, what]);
        format!("mu_{:016x}", hash.as_u64())
    }

    /// Whether it holds back this finding, found now under this full key.
    ///
    /// Not when the finding is more severe than what was judged, or has at least twice the money
    /// at stake: somebody who waved ten dollars through has not waved a thousand through.
    pub(super) fn covers(
        &self,
        detector: &str,
        key: &str,
        finding: &Finding,
        now: Timestamp,
    ) -> bool {
        let judged = Judged {
            severity: self.severity_max,
            amount: self.amount_judged,
            currency: self.currency,
        };
        now < self.until
            && self.names(detector, key, finding.subject.as_deref(), &finding.title)
            && !judged.is_exceeded(finding.severity, finding.amount_at_stake, finding.currency)
    }

    /// Whether it covers this open alert, which then ends.
    pub(super) fn covers_alert(&self, alert: &Alert) -> bool {
        let subject = alert.subject.as_deref();
        self.names(&alert.detector, &alert.key, subject, &alert.title)
            && alert.severity <= self.severity_max
    }

    fn names(&self, detector: &str, key: &str, subject: Option<&str>, title: &str) -> bool {
        self.detector == detector
            && match &self.target {
                MuteTarget::Subject(muted) => subject == Some(muted),
                MuteTarget::Pattern(muted) => title == muted,
                MuteTarget::AlertKey(muted) => key == muted,
            }
    }
}

/// How bad something was when a person judged it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Judged {
    pub(super) severity: Severity,
    pub(super) amount: Option<i64>,
    pub(super) currency: Option<Currency>,
}

impl Judged {
    pub(super) const fn of(alert: &Alert) -> Self {
        Self {
            severity: alert.severity,
            amount: alert.amount_at_stake,
            currency: alert.currency,
        }
    }

    /// Whether what is seen now is another matter: more severe, or twice the money.
    pub(super) fn is_exceeded(
        &self,
        severity: Severity,
        amount: Option<i64>,
        currency: Option<Currency>,
    ) -> bool {
        let is_dearer = match (self.amount, amount) {
            (Some(judged), Some(now)) if self.currency == currency => {
                judged > 0 && now >= judged.saturating_mul(2)
            }
            _ => false,
        };
        severity > self.severity || is_dearer
    }
}
