//! Stripe's wire: signatures and payloads. The only code that knows Stripe's header and fields.
//!
//! A webhook goes through it in this order:
//!
//! 1. [`signature::verify`] on the raw bytes, before anything looks into them.
//! 2. [`payload::read_envelope`] finds the few keys that the journal stores beside the raw body.
//! 3. [`payload::parse_event`] makes the [`Event`](crate::event::Event) that detectors see, from
//!    the body as kept: when it arrives, after a restart, and on a replay years later.
//!
//! What it does not do: fetch the object a thin event only names, walk list pages, remember events
//! seen before, or read a clock.
//!
//! ```
//! use billingwatch_core::stripe::payload::parse_event;
//! use billingwatch_core::stripe::signature::{Secret, Tolerance, sign, verify};
//! use billingwatch_core::time::Timestamp;
//!
//! let body = br#"{"id":"evt_1","type":"charge.failed","created":1700000000,
//!     "data":{"object":{"id":"ch_1","object":"charge","amount":1999,"currency":"usd"}}}"#;
//! let secrets = [Secret::new("whsec_test_secret")];
//! let now = Timestamp::from_secs(1_700_000_005);
//! let header = sign(&secrets[0], now, body);
//!
//! let verified = verify(Some(header.as_bytes()), body, &secrets, Tolerance::DEFAULT, now)?;
//! assert_eq!(verified.secret_index, 0);
//! let event = parse_event(body, now)?;
//! assert_eq!(event.event_type.as_str(), "charge.failed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod payload;
pub mod signature;
