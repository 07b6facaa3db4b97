//! The seam: a [`Message`] goes in, an [`Outcome`] comes out.
//!
//! Nothing here retries, remembers or decides when: whoever owns the outbox does that, with
//! [`retry`](crate::retry). A failure is a value, not an error, because it is an ordinary answer.

use billingwatch_core::alert::{AlertChange, Severity};
use billingwatch_core::time::{Span, Timestamp};

/// The `detector` of a test message's alert: no real detector has this name.
pub const TEST_DETECTOR: &str = "test_alert";

/// One change of one alert, on its way to one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What happened.
    pub change: AlertChange,
    /// The same in every attempt, so that a receiver can drop a repeat: see [`delivery_id`].
    pub delivery_id: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When this attempt is made; signatures and the `Date` header carry it.
    pub sent_at: Timestamp,
}

impl Message {
    /// A message for a channel's attempt.
    #[must_use]
    pub fn new(change: AlertChange, channel: &str, attempt: u32, sent_at: Timestamp) -> Self {
        let delivery_id = delivery_id(&change.alert.id, change.alert.revision, channel);
        Self {
            change,
            delivery_id,
            attempt,
            sent_at,
        }
    }

    /// Whether somebody only asked for a sign of life.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.change.alert.detector == TEST_DETECTOR
    }
}

/// The idempotency key of a delivery: `al_0123456789abcdef-2-webhook`.
#[must_use]
pub fn delivery_id(alert_id: &str, revision: u32, channel: &str) -> String {
    format!("{alert_id}-{revision}-{channel}")
}

/// What came of an attempt. `detail` is one line for the record, free of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered {
        /// The HTTP status or SMTP reply code.
        status: Option<u16>,
        /// What was answered.
        detail: String,
    },
    /// It may work later.
    Retry {
        /// What went wrong.
        detail: String,
        /// The HTTP status or SMTP reply code, when there was an answer.
        status: Option<u16>,
        /// How long the other side asked us to wait; [`retry`](crate::retry) caps it.
        after: Option<Span>,
    },
    /// The same attempt would fail for ever.
    GiveUp {
        /// What went wrong.
        detail: String,
        /// The HTTP status or SMTP reply code, when there was an answer.
        status: Option<u16>,
        /// Whether the target itself is gone, so that nothing more should be sent to it.
        disable_channel: bool,
    },
}

impl Outcome {
    /// Whether the other side took it.
    #[must_use]
    pub const fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }

    /// The HTTP status or SMTP reply code, when there was an answer.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Delivered { status, .. }
            | Self::Retry { status, .. }
            | Self::GiveUp { status, .. } => *status,
        }
    }

    /// One line for the record.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Delivered { detail, .. }
            | Self::Retry { detail, .. }
            | Self::GiveUp { detail, .. } => detail,
        }
    }
}

/// A way to tell people.
pub trait Channel: Send {
    /// Its name: a key in the outbox and in delivery ids, unique among the channels in use.
    fn name(&self) -> &str;

    /// The mildest severity it wants to hear of. Defaults to all.
    fn min_severity(&self) -> Severity {
        Severity::Low
    }

    /// Whether it wants to hear of alerts on Stripe's test mode. Defaults to yes: whoever tries things
    /// out with test keys waits for just these.
    fn sends_test_mode(&self) -> bool {
        true
    }

    /// The longest that [`send`](Self::send) takes. When a process dies in the middle of a send,
    /// the next one waits this long, and a little more, before it sends again.
    fn time_limit(&self) -> Span {
        Span::minutes(2)
    }

    /// Makes one attempt. Blocks, but never longer than its [`time_limit`](Self::time_limit);
    /// called from the channel's own thread.
    fn send(&self, message: &Message) -> Outcome;
}

/// What the outbox must know of a channel in order to fill it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The channel's name.
    pub channel: String,
    /// The mildest severity it wants to hear of.
    pub min_severity: Severity,
    /// Whether it wants to hear of alerts on Stripe's test mode, too.
    pub sends_test_mode: bool,
}

impl Route {
    /// A channel's route.
    #[must_use]
    pub fn of(channel: &dyn Channel) -> Self {
        Self {
            channel: channel.name().to_owned(),
            min_severity: channel.min_severity(),
            sends_test_mode: channel.sends_test_mode(),
        }
    }

    /// Whether the channel is told of this change.
    ///
    /// An alert's severity is the worst it has been and never sinks, so whoever was told that it
    /// fired is told that it ended; one that grows severe enough is first told on escalation.
    #[must_use]
    pub fn wants(&self, change: &AlertChange) -> bool {
        let is_of_its_mode = self.sends_test_mode || change.alert.scope.livemode;
        is_of_its_mode && change.alert.severity >= self.min_severity
    }
}
