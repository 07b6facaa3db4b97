//! A message as an RFC 5322 mail: headers, a text part and an HTML part.

use std::time::{Duration, SystemTime};

use askama::Template;
use billingwatch_core::alert::Severity;
use billingwatch_core::time::Timestamp;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};

use crate::channel::Message;
use crate::render::View;
use crate::text;

/// The longest subject, as mail programs show little more.
const SUBJECT_LEN_MAX: usize = 200;

/// The longest part of a `Message-ID` or MIME boundary made of an id of ours.
const ID_LEN_MAX: usize = 60;

#[derive(Template)]
#[template(path = "email.subject.txt")]
struct Subject<'a> {
    view: &'a View,
}

#[derive(Template)]
#[template(path = "email.txt")]
struct Text<'a> {
    view: &'a View,
}

#[derive(Template)]
#[template(path = "email.html")]
struct Html<'a> {
    view: &'a View,
    colour: &'static str,
}

/// Writes a mail: byte for byte the same for the same message.
pub(super) fn compose(
    message: &Message,
    from: &Mailbox,
    to: &[Mailbox],
) -> Result<Vec<u8>, String> {
    let (subject, plain, html) = parts(message)?;
    let domain = from.email.domain();
    let id = |local: &str| format!("<{}@{domain}>", id_text(local));
    // All changes of one alert answer one root that is never sent: mail programs make that a
    // thread, whichever of them comes first.
    let thread = id(&message.change.alert.id);
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .date(system_time(message.sent_at))
        .message_id(Some(id(&message.delivery_id)))
        .in_reply_to(thread.clone())
        .references(thread)
        .subject(subject)
        // Keeps holiday notices from answering (RFC 3834).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    // Quoted-printable writes every `=` as `=3D`: no text can contain this boundary.
    let parts = MultiPart::alternative()
        .boundary(format!("=_{}", id_text(&message.delivery_id)))
        .singlepart(part(ContentType::TEXT_PLAIN, plain)?)
        .singlepart(part(ContentType::TEXT_HTML, html)?);
    let mail = builder
        .multipart(parts)
        .map_err(|error| format!("the mail cannot be written: {error}"))?;
    Ok(mail.formatted())
}

/// Subject, text and HTML.
pub(super) fn parts(message: &Message) -> Result<(String, String, String), String> {
    let view = View::of(message);
    let unwritten = |error: askama::Error| format!("the mail cannot be written: {error}");
    let subject = Subject { view: &view }.render().map_err(unwritten)?;
    let plain = Text { view: &view }.render().map_err(unwritten)?;
    let colour = colour(message);
    let html = Html {
        view: &view,
        colour,
    }
    .render()
    .map_err(unwritten)?;
    Ok((text::line(&subject, SUBJECT_LEN_MAX), plain, html))
}

fn part(kind: ContentType, content: String) -> Result<SinglePart, String> {
    let body = Body::new_with_encoding(content, ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| "the mail cannot be encoded".to_owned())?;
    Ok(SinglePart::builder().header(kind).body(body))
}

/// What of an id may stand in a `Message-ID` or a boundary.
fn id_text(id: &str) -> String {
    id.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(ID_LEN_MAX)
        .collect()
}

/// The same instant for the `Date` header; before 1970 is 1970.
fn system_time(at: Timestamp) -> SystemTime {
    let secs = u64::try_from(at.as_secs()).unwrap_or(0);
    // The header has four digits for the year.
    SystemTime::UNIX_EPOCH + Duration::from_secs(secs.min(253_402_300_799))
}

fn colour(message: &Message) -> &'static str {
    let alert = &message.change.alert;
    match alert.severity {
        _ if !alert.status.is_open() => "#1b7f4b",
        Severity::Low => "#5b6275",
        Severity::Medium => "#9a6700",
        Severity::High => "#c2410c",
        Severity::Critical => "#b3261e",
    }
}
