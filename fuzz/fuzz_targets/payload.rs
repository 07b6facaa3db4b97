//! A body is an event exactly when its envelope can be read, and says the same in both.
#![no_main]

use billingwatch_core::stripe::payload::{parse_event, read_envelope};
use billingwatch_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fuzz_target!(|body: &[u8]| {
    match (read_envelope(body), parse_event(body, NOW)) {
        (Ok(envelope), Ok(event)) => {
            assert_eq!(envelope.id, event.id.as_str());
            assert_eq!(envelope.event_type, event.event_type.as_str());
            assert_eq!(envelope.livemode, event.livemode);
            assert_eq!(
                envelope.account.as_deref(),
                event.account.as_ref().map(|account| account.as_str())
            );
            assert_eq!(
                envelope.api_version.as_deref(),
                event.api_version.as_deref()
            );
        }
        (Err(one), Err(other)) => assert_eq!(one.code(), other.code()),
        (envelope, event) => panic!("{envelope:?} but {event:?}"),
    }
});
