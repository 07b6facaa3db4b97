//! Bodies as they are stored: compressed against a dictionary of what Stripe's events have in
//! common, without which one event alone is too short to gain much.
//!
//! `journal.codec` says how a body is stored. A number is never given another meaning, as rows are
//! never written anew: whatever was written once stays readable. To read bodies outside of this
//! program, use `billingwatch export`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{CParameter, compress_bound, get_frame_content_size};

use super::NewEntry;
use crate::error::{Result, StoreError};

/// The bytes as they were received.
pub(super) const AS_RECEIVED: i16 = 0;

/// One zstd frame with a checksum, against [`DICTIONARY_1`].
pub(super) const ZSTD_1: i16 = 1;

const DICTIONARY_1: &[u8] = include_bytes!("../../dictionaries/events-1.zstd-dict");

/// Level 3 takes the microseconds of level 1 and a sixth fewer bytes; 6 gains 3 % for twice them.
const LEVEL: i32 = 3;

/// Shorter bodies, such as a change of settings, are not worth it.
const WORTH_BYTES: usize = 128;

/// The longest body that is unpacked: beyond what any server takes in (64 MiB). A longer one is a
/// damaged row.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Longer bodies are compressed into room of their own: a thread keeps no more than this.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

static ENCODER_1: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_1, LEVEL));
static DECODER_1: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_1));

thread_local! {
    // Making one costs more than using it. Few threads ever pack: those that take
    // posts in, a writer, an import.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A body as it goes into a row.
#[derive(Debug)]
pub(crate) struct Packed<'a> {
    /// How.
    pub(crate) codec: i16,
    /// What.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// A body made smaller ahead of its append, by whoever has the time: [`NewEntry::packed`].
#[derive(Clone, PartialEq, Eq)]
pub struct PackedBody {
    codec: i16,
    /// Of [`AS_RECEIVED`] none: they are the entry's own.
    bytes: Box<[u8]>,
    /// Of the body that it was made from: with any other it is not used.
    from_bytes: usize,
}

impl std::fmt::Debug for PackedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedBody")
            .field("codec", &self.codec)
            .field("size_bytes", &self.bytes.len())
            .finish()
    }
}

impl PackedBody {
    fn of(body: &[u8]) -> Self {
        let packed = pack(body);
        Self {
            codec: packed.codec,
            bytes: match packed.bytes {
                Cow::Owned(bytes) => bytes.into(),
                Cow::Borrowed(_) => Box::default(),
            },
            from_bytes: body.len(),
        }
    }
}

impl NewEntry {
    /// Makes the body smaller now, which [`Store::append`](crate::Store::append) would do otherwise,
    /// on the one thread that writes. To be called when the body is as it stays.
    #[must_use]
    pub fn packed(mut self) -> Self {
        self.packed = Some(PackedBody::of(&self.body));
        self
    }

    /// The bytes of its body, and of the packed one beside it.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let packed = self.packed.as_ref().map_or(0, |packed| packed.bytes.len());
        self.body.len().saturating_add(packed)
    }
}

/// The body of an entry as it goes into a row: as it was packed before, or packed now.
pub(crate) fn pack_entry(entry: &NewEntry) -> Packed<'_> {
    match &entry.packed {
        Some(packed) if packed.from_bytes == entry.body.len() => Packed {
            codec: packed.codec,
            bytes: Cow::Borrowed(match packed.codec {
                AS_RECEIVED => &entry.body,
                _ => &packed.bytes,
            }),
        },
        _ => pack(&entry.body),
    }
}

/// Makes a body smaller, where that is possible.
fn pack(body: &[u8]) -> Packed<'_> {
    let packed = if body.len() < WORTH_BYTES {
        None
    } else {
        // A failure (no memory for its tables) costs space, not the event.
        compress(body).ok().filter(|bytes| bytes.len() < body.len())
    };
    match packed {
        Some(bytes) => Packed {
            codec: ZSTD_1,
            bytes: Cow::Owned(bytes),
        },
        None => Packed {
            codec: AS_RECEIVED,
            bytes: Cow::Borrowed(body),
        },
    }
}

/// The body as it was received.
///
/// # Errors
///
/// [`StoreError::Unreadable`] for a damaged row, or one that a later version wrote.
pub(crate) fn unpack(codec: i16, stored: Vec<u8>) -> Result<Vec<u8>> {
    match codec {
        AS_RECEIVED => Ok(stored),
        ZSTD_1 => decompress(&stored)
            .map_err(|error| StoreError::unreadable("a journal entry's body", &error)),
        other => Err(StoreError::unreadable(
            "a journal entry's body",
            &format!("codec {other} is not known to this version"),
        )),
    }
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(compressor()?),
        };
        if body.len() > SCRATCH_BYTES_MAX {
            return compressor.compress(body);
        }
        // The room that the worst body would need is made once; what is kept is a tenth of it.
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.reserve(compress_bound(body.len()));
            compressor.compress_to_buffer(body, scratch)?;
            Ok(scratch.as_slice().into())
        })
    })
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::with_prepared_dictionary(&ENCODER_1)?;
    // The codec names the dictionary; four bytes let damage show.
    compressor.set_parameter(CParameter::DictIdFlag(false))?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

fn decompress(stored: &[u8]) -> io::Result<Vec<u8>> {
    let size_bytes = get_frame_content_size(stored)
        .ok()
        .flatten()
        .filter(|size_bytes| *size_bytes <= BODY_BYTES_MAX)
        .and_then(|size_bytes| usize::try_from(size_bytes).ok())
        .ok_or_else(|| io::Error::other("its length makes no sense"))?;
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::with_prepared_dictionary(&DECODER_1)?),
        };
        decompressor.decompress(stored, size_bytes)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use sha2::{Digest, Sha256};

    use super::*;

    const CHARGE: &[u8] =
        include_bytes!("../../../billingwatch-core/tests/payload/dahlia_charge_succeeded.json");

    fn round(body: &[u8]) -> (i16, usize) {
        let packed = pack(body);
        let (codec, bytes) = (packed.codec, packed.bytes.into_owned());
        let len = bytes.len();
        assert_eq!(unpack(codec, bytes).unwrap(), body);
        (codec, len)
    }

    #[test]
    fn whatever_comes_in_comes_out() {
        let noise: Vec<u8> = (0..4096_u32)
            .flat_map(|n| Sha256::digest(n.to_le_bytes()).to_vec())
            .collect();
        let long = CHARGE.repeat(500);
        for (body, codec) in [
            (&b""[..], AS_RECEIVED),
            (b"{\"id\": \"evt_1\"}", AS_RECEIVED),
            (CHARGE, ZSTD_1),
            (&noise, AS_RECEIVED),
            (&long, ZSTD_1),
            (&[0xff; 300], ZSTD_1),
        ] {
            assert_eq!(round(body).0, codec);
        }
    }

    #[test]
    fn a_body_packed_ahead_is_stored_as_one_packed_at_the_append() {
        for (body, codec) in [(&b"{}"[..], AS_RECEIVED), (CHARGE, ZSTD_1)] {
            let mut entry = NewEntry {
                body: body.to_vec(),
                ..NewEntry::canary()
            };
            let later = pack_entry(&entry).bytes.into_owned();
            entry = entry.packed();
            let ahead = pack_entry(&entry);
            assert!(matches!(ahead.bytes, Cow::Borrowed(_)), "packed again");
            assert_eq!((ahead.codec, ahead.bytes.into_owned()), (codec, later));
        }
        let mut entry = NewEntry {
            body: CHARGE.to_vec(),
            ..NewEntry::canary()
        };
        entry = entry.packed();
        assert!(entry.size_bytes() > CHARGE.len());
        entry.body = CHARGE.repeat(2);
        let packed = pack_entry(&entry);
        let stored = unpack(packed.codec, packed.bytes.into_owned()).unwrap();
        assert_eq!(stored, entry.body, "of another body");
    }

    #[test]
    fn an_event_takes_a_fifth_of_its_bytes() {
        let (_, len) = round(CHARGE);
        assert!(len * 5 < CHARGE.len(), "{len} of {}", CHARGE.len());
    }

    /// The dictionary is part of the format: with another, nothing that was stored can be read.
    #[test]
    fn the_dictionary_is_the_one_that_was_released() {
        let hash = hex::encode(Sha256::digest(DICTIONARY_1));
        assert_eq!(
            hash,
            "20da53583c410da72887bfe9070c0c9c89479dc4afcbbba10bf46eda5151a82a"
        );
    }

    /// A body as an earlier version stored it.
    #[test]
    fn what_was_stored_once_stays_readable() {
        let stored = hex::decode(
            "28b52ffd24ee25020013820635c777a63e6394aad6ebbdf6904bb64c18d809bc8f07ebd5b1010dfc6681a2f20aae8bab5aa39c31b191736a988bee4813c3b3f86dceb5e9d6e97caf2bd37c4b011a9aece9",
        )
        .unwrap();
        let body = br#"{"id":"evt_1PqkAA2eZvKYlo2C","object":"event","api_version":"2025-03-31.basil","created":1709599200,"data":{"object":{"id":"ch_3PqkAA2eZvKYlo2C","object":"charge","amount":4900,"currency":"usd"}},"livemode":true,"type":"charge.succeeded"}"#;
        assert_eq!(unpack(ZSTD_1, stored).unwrap(), body);
    }

    #[test]
    fn damage_is_said() {
        let packed = pack(CHARGE).bytes.into_owned();
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x20;
            // A bit of the header may mean nothing; what is read is never something else.
            if let Ok(body) = unpack(ZSTD_1, damaged) {
                assert_eq!(body, CHARGE, "byte {at}");
            }
        }
        assert!(unpack(ZSTD_1, packed[..40].to_vec()).is_err());
        let error = unpack(9, packed).unwrap_err().to_string();
        assert!(error.contains("codec 9"), "{error}");
        // A frame that claims 2^40 bytes.
        let claim = [
            &[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..],
            &(1_u64 << 40).to_le_bytes(),
            &[1, 0, 0],
        ];
        assert!(unpack(ZSTD_1, claim.concat()).is_err());
    }
}
