//! E-mail over SMTP: one conversation an attempt, one message for all recipients.
//!
//! Each recipient is answered for: who is refused for good does not keep the others from the
//! mail, and who is put off is tried again without the others getting it twice. Encryption is
//! required unless the server is on this machine.

mod config;
mod mail;
mod session;

use std::cell::RefCell;
use std::collections::VecDeque;

use billingwatch_core::alert::Severity;
use billingwatch_core::time::Span;
use lettre::Address;
use lettre::message::Mailbox;

pub use config::{EmailConfig, SmtpTls};
use session::{Report, Session};

use crate::channel::{Channel, Message, Outcome};
use crate::error::ConfigError;
use crate::text;

pub(super) const NAME: &str = "email";
pub(super) const ABOUT: &str = "E-mail over SMTP, as text and HTML.";
pub(super) const VARIABLES: &[&str] = &[
    "ALERT_EMAIL_FROM",
    "ALERT_EMAIL_TO",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_USER",
    "SMTP_PASS",
    "SMTP_TLS",
    "SMTP_CA_FILE",
];

/// How many deliveries are remembered that some recipients have and others wait for. Beyond it,
/// and after a restart, a recipient may get a mail twice; its `Message-ID` is the same.
const PARTIAL_MAX: usize = 256;

/// The longest reply kept for the record.
const REPLY_LEN_MAX: usize = 200;

/// Sends e-mail.
#[derive(Debug)]
pub struct Email {
    from: Mailbox,
    to: Vec<Mailbox>,
    session: Session,
    min_severity: Severity,
    sends_test_mode: bool,
    /// Who needs no further attempt, by delivery id, oldest first.
    settled: RefCell<VecDeque<(String, Vec<Address>)>>,
}

impl Email {
    /// Checks the settings and reads the CA file; contacts nobody.
    ///
    /// # Errors
    ///
    /// Names the key that cannot work.
    pub fn new(config: &EmailConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            from: config.sender()?,
            to: config.recipients()?,
            session: config.session()?,
            min_severity: config.min_severity,
            sends_test_mode: config.test_mode,
            settled: RefCell::default(),
        })
    }

    /// Recipients who still need this delivery.
    fn pending(&self, delivery_id: &str) -> Vec<Address> {
        let settled = self.settled.borrow();
        let done = settled.iter().find(|(id, _)| id == delivery_id);
        self.to
            .iter()
            .map(|mailbox| mailbox.email.clone())
            .filter(|address| !done.is_some_and(|(_, done)| done.contains(address)))
            .collect()
    }

    fn settle(&self, delivery_id: &str, addresses: Vec<Address>) {
        let mut settled = self.settled.borrow_mut();
        match settled.iter_mut().find(|(id, _)| id == delivery_id) {
            Some((_, done)) => done.extend(addresses),
            None => settled.push_back((delivery_id.to_owned(), addresses)),
        }
        if settled.len() > PARTIAL_MAX {
            settled.pop_front();
        }
    }

    fn forget(&self, delivery_id: &str) {
        self.settled
            .borrow_mut()
            .retain(|(id, _)| id != delivery_id);
    }

    /// What the server said, without anybody's address.
    fn redact(&self, reply: &str) -> String {
        let hidden = self
            .to
            .iter()
            .chain([&self.from])
            .fold(text::one_line(reply), |reply, mailbox| {
                reply.replace(&mailbox.email.to_string(), "…")
            });
        text::cap(&hidden, REPLY_LEN_MAX)
    }

    fn judge(&self, message: &Message, report: Report) -> Outcome {
        let already = self.to.len() - report.total();
        let mut detail = format!(
            "{}: {} of {} recipients have it",
            self.session.server(),
            report.accepted.len() + already,
            self.to.len()
        );
        for refusal in report.refused.iter().chain(&report.deferred) {
            detail = format!("{detail}; {}", self.redact(&refusal.reply));
        }
        let worst = report.deferred.first().or(report.refused.first());
        let code = worst.and_then(|refusal| refusal.code).or(report.code);
        if !report.deferred.is_empty() {
            let mut done = report.accepted;
            done.extend(report.refused.into_iter().map(|refusal| refusal.address));
            self.settle(&message.delivery_id, done);
            return Outcome::Retry {
                detail,
                status: code,
                after: None,
            };
        }
        self.forget(&message.delivery_id);
        if report.accepted.is_empty() && already == 0 {
            return Outcome::GiveUp {
                detail,
                status: code,
                disable_channel: false,
            };
        }
        Outcome::Delivered {
            status: report.code,
            detail,
        }
    }
}

impl Channel for Email {
    fn name(&self) -> &str {
        NAME
    }

    fn min_severity(&self) -> Severity {
        self.min_severity
    }

    fn sends_test_mode(&self) -> bool {
        self.sends_test_mode
    }

    fn time_limit(&self) -> Span {
        self.session.time_limit()
    }

    fn send(&self, message: &Message) -> Outcome {
        let mail = match mail::compose(message, &self.from, &self.to) {
            Ok(mail) => mail,
            Err(detail) => {
                return Outcome::GiveUp {
                    detail,
                    status: None,
                    disable_channel: false,
                };
            }
        };
        let pending = self.pending(&message.delivery_id);
        match self.session.deliver(&self.from.email, &pending, &mail) {
            Ok(report) => self.judge(message, report),
            Err(failure) => {
                let detail = self.redact(&failure.detail);
                let detail = format!("{}: {detail}", self.session.server());
                if failure.is_final {
                    self.forget(&message.delivery_id);
                    return Outcome::GiveUp {
                        detail,
                        status: failure.code,
                        disable_channel: false,
                    };
                }
                Outcome::Retry {
                    detail,
                    status: failure.code,
                    after: None,
                }
            }
        }
    }
}

impl Report {
    fn total(&self) -> usize {
        self.accepted.len() + self.refused.len() + self.deferred.len()
    }
}

#[cfg(test)]
mod tests;
