//! Keys: what windows and ledgers remember instead of ids, and the map they are remembered in.

use std::fmt;
use std::hash::Hasher;
use std::marker::PhantomData;
use std::num::NonZeroU64;

use hashbrown::{HashTable, hash_table};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twox_hash::XxHash3_64;

/// A 64-bit XXH3 of an id: what windows and ledgers remember instead of 30 bytes of text.
///
/// Among ten million ids the chance that any two share a key is about 3 in a million.
// Never zero, so that an `Option` of it takes no more room than it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(NonZeroU64);

/// Ends a part: no text has such a byte.
const PART_END: u8 = 0xff;

/// Parts of so many bytes together are hashed at once: nearly all are no more than the first.
const TOGETHER: usize = 64;
/// See [`TOGETHER`].
const TOGETHER_MAX: usize = 256;

impl Key {
    /// The key of a text; the same on every machine and in every release.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// The same of the bytes of a text.
    #[must_use]
    pub(crate) fn of_bytes(text: &[u8]) -> Self {
        Self::of_hash(XxHash3_64::oneshot(text))
    }

    /// The key of several parts, kept apart from any other division of the same text.
    #[must_use]
    pub fn of_parts(parts: &[&str]) -> Self {
        Self::of_all_parts(parts)
    }

    /// The same of the bytes of texts.
    #[must_use]
    pub(crate) fn of_byte_parts(parts: &[&[u8]]) -> Self {
        Self::of_all_parts(parts)
    }

    fn of_all_parts<P: AsRef<[u8]> + ?Sized>(parts: &[&P]) -> Self {
        // At once, as long as it fits: what hashes piece by piece is large and slow to set up.
        Self::of_parts_within::<P, TOGETHER>(parts)
            .or_else(|| Self::of_parts_within::<P, TOGETHER_MAX>(parts))
            .unwrap_or_else(|| Self::of_long_parts(parts))
    }

    fn of_parts_within<P: AsRef<[u8]> + ?Sized, const N: usize>(parts: &[&P]) -> Option<Self> {
        let mut together = [0; N];
        let mut len = 0;
        for part in parts {
            let part: &[u8] = part.as_ref();
            let place = together.get_mut(len..=len + part.len())?;
            place[..part.len()].copy_from_slice(part);
            place[part.len()] = PART_END;
            len += part.len() + 1;
        }
        Some(Self::of_hash(XxHash3_64::oneshot(&together[..len])))
    }

    /// The key of this one together with numbers.
    #[must_use]
    pub(crate) fn with(self, numbers: [i64; 2]) -> Self {
        let mut together = [0; 24];
        together[..8].copy_from_slice(&self.as_u64().to_le_bytes());
        together[8..16].copy_from_slice(&numbers[0].to_le_bytes());
        together[16..].copy_from_slice(&numbers[1].to_le_bytes());
        Self::of_hash(XxHash3_64::oneshot(&together))
    }

    /// The key of several in whatever order, each counted as often as it comes.
    #[must_use]
    pub(crate) fn of_all(keys: impl IntoIterator<Item = Self>) -> Self {
        // A sum, as it knows no order; no two texts are likely to make up for two others.
        let sum = keys
            .into_iter()
            .fold(0_u64, |sum, key| sum.wrapping_add(key.as_u64()));
        Self::of_hash(sum)
    }

    fn of_long_parts<P: AsRef<[u8]> + ?Sized>(parts: &[&P]) -> Self {
        let mut hasher = XxHash3_64::new();
        for part in parts {
            hasher.write(part.as_ref());
            hasher.write(&[PART_END]);
        }
        Self::of_hash(hasher.finish())
    }

    const fn of_hash(hash: u64) -> Self {
        match NonZeroU64::new(hash) {
            Some(hash) => Self(hash),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }
}

/// A number's decimal digits, as a part of a key: they take no memory of their own.
pub(crate) struct Digits {
    bytes: [u8; DIGITS_MAX],
    from: usize,
}

/// The longest number: nineteen digits and a sign.
const DIGITS_MAX: usize = 20;

impl Digits {
    pub(crate) fn of(number: i64) -> Self {
        let mut bytes = [b'-'; DIGITS_MAX];
        let mut from = DIGITS_MAX;
        let mut rest = number.unsigned_abs();
        for place in bytes.iter_mut().rev() {
            from -= 1;
            *place = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        // What stands before them is a minus.
        from -= usize::from(number < 0);
        Self { bytes, from }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

/// From so many entries on a map grows by an eighth at a time: the double of gigabytes would be
/// gigabytes of nothing. Below, growing so often costs more than the room is worth.
const DOUBLES_BELOW: usize = 1 << 18;

/// A table of places below so many grows fourfold: to put every place into a new table again and again costs more than
/// the few hundred kilobytes are worth.
const FOURFOLD_BELOW: usize = 1 << 15;

/// A map by [`Key`] whose order depends on nothing but what was done to it: new entries go to the
/// end, and the last takes the place of one that goes.
///
/// A key is a hash already. So beside its entries, which lie without gaps, the map keeps the place
/// of each alone: 7 to 12 bytes more than key and value, where a general ordered map keeps 17 to 26
/// and up to the double of its entries. At most 2³² entries, which no memory of ours comes near.
#[derive(Clone)]
pub struct KeyMap<V> {
    entries: Vec<(Key, V)>,
    places: HashTable<u32>,
}

impl<V> Default for KeyMap<V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            places: HashTable::new(),
        }
    }
}

impl<V> KeyMap<V> {
    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What stands under a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&V> {
        self.entries.get(self.place(*key)?).map(|(_, value)| value)
    }

    /// What stands under a key, to be changed.
    #[must_use]
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut V> {
        let place = self.place(*key)?;
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// Whether anything stands under a key.
    #[must_use]
    pub fn contains_key(&self, key: &Key) -> bool {
        self.place(*key).is_some()
    }

    /// Puts a value under a key; what stood there before.
    pub fn insert(&mut self, key: Key, value: V) -> Option<V> {
        match slot(&mut self.places, &self.entries, key) {
            hash_table::Entry::Occupied(place) => {
                let (_, known) = self.entries.get_mut(*place.get() as usize)?;
                Some(std::mem::replace(known, value))
            }
            hash_table::Entry::Vacant(free) => {
                free.insert(place_of(push(&mut self.entries, (key, value))));
                None
            }
        }
    }

    /// Takes an entry out; the last one moves to its place.
    #[inline]
    pub fn swap_remove(&mut self, key: &Key) -> Option<V> {
        // As many a memory's older half is.
        if self.entries.is_empty() {
            return None;
        }
        self.take_out(key)
    }

    fn take_out(&mut self, key: &Key) -> Option<V> {
        let (place, _) = self
            .places
            .find_entry(key.as_u64(), at(&self.entries, *key))
            .ok()?
            .remove();
        Some(self.fill(place as usize))
    }

    /// Takes an entry out as [`swap_remove`](Self::swap_remove) does, where nobody asks for it: a large one is not moved
    /// for nothing.
    pub(crate) fn discard(&mut self, key: &Key) {
        let found = self
            .places
            .find_entry(key.as_u64(), at(&self.entries, *key));
        let Ok(found) = found else {
            return;
        };
        let place = found.remove().0 as usize;
        let last = place_of(self.entries.len().saturating_sub(1));
        let Some(moved) = self.entries.pop() else {
            return;
        };
        if let Some(free) = self.entries.get_mut(place) {
            if let Some(known) = self
                .places
                .find_mut(moved.0.as_u64(), |known| *known == last)
            {
                *known = place_of(place);
            }
            *free = moved;
        }
    }

    /// Takes out every entry that is not to be kept, as [`swap_remove`](Self::swap_remove) does.
    pub fn retain(&mut self, mut keeps: impl FnMut(&Key, &V) -> bool) {
        let mut place = 0;
        while let Some((key, value)) = self.entries.get(place) {
            if keeps(key, value) {
                place += 1;
                continue;
            }
            let (key, its) = (*key, place_of(place));
            if let Ok(found) = self.places.find_entry(key.as_u64(), |known| *known == its) {
                found.remove();
            }
            self.fill(place);
        }
    }

    /// Takes out the entry at a place that nothing points to any more; the last one moves there.
    fn fill(&mut self, place: usize) -> V {
        let last = place_of(self.entries.len().saturating_sub(1));
        let (_, value) = self.entries.swap_remove(place);
        if let Some((moved, _)) = self.entries.get(place)
            && let Some(known) = self.places.find_mut(moved.as_u64(), |known| *known == last)
        {
            *known = place_of(place);
        }
        value
    }

    /// Takes out all entries, and keeps their room.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.places.clear();
    }

    /// Whether its room is worth keeping for so many entries: it is no more than they may need, and not so much that
    /// what stands empty of it counts.
    pub(crate) fn has_room_for(&self, len: usize) -> bool {
        let room = self.entries.capacity();
        room <= DOUBLES_BELOW && room <= 4 * len
    }

    /// The place of a key, taken or not.
    pub fn entry(&mut self, key: Key) -> Entry<'_, V> {
        Entry { map: self, key }
    }

    /// All entries, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// All values, in their order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The place of a key, until anything is put in or taken out.
    pub(crate) fn place(&self, key: Key) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let place = self.places.find(key.as_u64(), at(&self.entries, key))?;
        Some(*place as usize)
    }

    /// What stands at a [`place`](Self::place).
    pub(crate) fn at_mut(&mut self, place: usize) -> &mut V {
        &mut self.entries[place].1
    }

    /// Puts a value under a key that is known not to be there, without looking for it; its place.
    pub(crate) fn push_new(&mut self, key: Key, value: V) -> usize {
        let place = push(&mut self.entries, (key, value));
        let hash_of = |place: &u32| hash_at(&self.entries, *place);
        widen(&mut self.places, hash_of);
        self.places
            .insert_unique(key.as_u64(), place_of(place), hash_of);
        place
    }
}

/// Where a key stands, or is to stand: one look at the table for both.
fn slot<'a, V>(
    places: &'a mut HashTable<u32>,
    entries: &[(Key, V)],
    key: Key,
) -> hash_table::Entry<'a, u32> {
    let hash_of = |place: &u32| hash_at(entries, *place);
    widen(places, hash_of);
    places.entry(key.as_u64(), at(entries, key), hash_of)
}

/// Makes room for more, if a small table is full.
fn widen(places: &mut HashTable<u32>, hash_of: impl Fn(&u32) -> u64) {
    let len = places.len();
    // Of a table that things were taken out of less is held when there is no room left: it is put in order instead.
    if len == places.capacity() && len < FOURFOLD_BELOW && len == places.num_buckets() / 8 * 7 {
        places.reserve(3 * len, hash_of);
    }
}

/// Adds an entry under a key that is not there; its place.
fn push<V>(entries: &mut Vec<(Key, V)>, entry: (Key, V)) -> usize {
    let len = entries.len();
    if len == entries.capacity() && len >= DOUBLES_BELOW {
        entries.reserve_exact(len / 8);
    }
    entries.push(entry);
    len
}

/// Whether a place is that of a key.
fn at<V>(entries: &[(Key, V)], key: Key) -> impl Fn(&u32) -> bool {
    move |place| {
        entries
            .get(*place as usize)
            .is_some_and(|(known, _)| *known == key)
    }
}

fn hash_at<V>(entries: &[(Key, V)], place: u32) -> u64 {
    entries
        .get(place as usize)
        .map_or(0, |(key, _)| key.as_u64())
}

fn place_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The place of a key in a [`KeyMap`].
#[derive(Debug)]
pub struct Entry<'a, V> {
    map: &'a mut KeyMap<V>,
    key: Key,
}

impl<'a, V> Entry<'a, V> {
    /// What stands there, or a new value put there.
    pub fn or_insert_with(self, new: impl FnOnce() -> V) -> &'a mut V {
        let entries = &mut self.map.entries;
        let place = match slot(&mut self.map.places, entries, self.key) {
            hash_table::Entry::Occupied(place) => *place.get() as usize,
            hash_table::Entry::Vacant(free) => {
                let place = push(entries, (self.key, new()));
                free.insert(place_of(place));
                place
            }
        };
        &mut self.map.entries[place].1
    }

    /// What stands there, or a default put there.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<V: fmt::Debug> fmt::Debug for KeyMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: Serialize> Serialize for KeyMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for KeyMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
    type Value = KeyMap<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map by key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<KeyMap<V>, A::Error> {
        let mut map = KeyMap::default();
        // A broken length must not take the machine's memory.
        let len = access.size_hint().unwrap_or(0).min(1 << 20);
        map.entries.reserve_exact(len);
        map.places.reserve(len, |_| 0);
        while let Some((key, value)) = access.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn key(n: u64) -> Key {
        Key::of(&n.to_string())
    }

    #[test]
    fn keys_are_fixed_for_ever() {
        // Snapshots hold keys: a changed hash would silently forget everything in them.
        assert_eq!(Key::of("ch_1").as_u64(), Key::of("ch_1").as_u64());
        assert_ne!(Key::of_parts(&["a", "bc"]), Key::of_parts(&["ab", "c"]));
        for len in [0, 1, 29, 30, 31, 100, 125, 126, 127, 128, 129, 300] {
            let part = "x".repeat(len);
            let parts = [part.as_str(), "y", part.as_str()];
            assert_eq!(Key::of_parts(&parts), Key::of_long_parts(&parts));
        }
        assert_eq!(Key::of("").as_u64(), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn digits_are_those_that_a_number_is_written_with() {
        for number in [0, 7, 10, 4_990, -1, -120, i64::MAX, i64::MIN] {
            let written = number.to_string();
            assert_eq!(Digits::of(number).as_bytes(), written.as_bytes());
            let parts = ["cus_1", &written, "usd"];
            let digits = Digits::of(number);
            let bytes = [b"cus_1", digits.as_bytes(), b"usd"];
            assert_eq!(Key::of_byte_parts(&bytes), Key::of_parts(&parts));
        }
    }

    #[test]
    fn no_key_is_zero_and_an_option_of_one_is_no_larger() {
        assert_eq!(Key::of_hash(0), Key::of_hash(1));
        assert_eq!(size_of::<Option<Key>>(), size_of::<Key>());
    }

    #[test]
    fn it_holds_what_was_put_there_in_order() {
        let mut map = KeyMap::default();
        let mut order: Vec<(Key, u64)> = Vec::new();
        let mut state = 7_u64;
        for step in 0..30_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let one = key((state >> 33) % 900);
            let place = order.iter().position(|(known, _)| *known == one);
            // Grows in the first half, shrinks in the second.
            if (state >> 20) % 10 < if step < 15_000 { 2 } else { 7 } {
                let removed = place.map(|place| order.swap_remove(place).1);
                assert_eq!(map.swap_remove(&one), removed);
            } else if let Some(place) = place {
                assert_eq!(map.get(&one), Some(&order[place].1));
                *map.entry(one).or_default() = step;
                order[place].1 = step;
            } else {
                assert!(!map.contains_key(&one));
                assert_eq!(map.insert(one, step), None);
                order.push((one, step));
            }
        }
        assert_eq!(map.len(), order.len());
        assert!(map.len() > 100);
        let held: Vec<(Key, u64)> = map.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(held, order);
        for (key, value) in &order {
            assert_eq!(map.get(key), Some(value));
        }
        let bytes = crate::snapshot::encode(&map).unwrap();
        let back: KeyMap<u64> = crate::snapshot::decode(&bytes).unwrap();
        assert!(back.iter().eq(map.iter()));
    }

    #[test]
    fn it_keeps_what_is_to_be_kept() {
        let mut map = KeyMap::default();
        for n in 0..1_000 {
            map.insert(key(n), n);
        }
        map.retain(|_, n| n % 3 == 0);
        assert_eq!(map.len(), 334);
        for n in 0..1_000 {
            let expected = (n % 3 == 0).then_some(&n);
            assert_eq!(map.get(&key(n)), expected);
        }
        map.retain(|_, _| false);
        assert!(map.is_empty());
    }

    #[test]
    fn a_large_one_has_little_room_to_spare() {
        let mut map = KeyMap::default();
        for n in 0..1_000_000 {
            map.insert(key(n), ());
            let (len, capacity) = (map.len(), map.entries.capacity());
            assert!(capacity <= (len + len / 8).max(2 * DOUBLES_BELOW));
        }
    }

    #[test]
    fn a_length_that_is_not_true_takes_no_memory() {
        // Says 2^60 entries and holds none.
        let bytes = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
        assert!(crate::snapshot::decode::<KeyMap<u64>>(&bytes).is_err());
    }
}
