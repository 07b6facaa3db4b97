//! A bounded memory in two halves: what is old is dropped a half at a time.
//!
//! Windows of weeks over millions of ids cannot afford an eviction queue. Entries go into the
//! young half; when that is old enough, or full, it becomes the old half and the old half is
//! forgotten. So an entry lives at least `half_life` and at most twice that, unless more than
//! `half_max` newer ones push it out; memory never passes two halves.

use serde::{Deserialize, Serialize};

use crate::ids::{Key, KeyMap};
use crate::time::{Span, Timestamp};

/// A bounded map from keys to `V`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Generations<V> {
    young: KeyMap<V>,
    old: KeyMap<V>,
    rotated_at: Timestamp,
    half_life: Span,
    half_max: usize,
}

impl<V> Generations<V> {
    /// An empty memory.
    pub(crate) fn new(half_life: Span, half_max: usize) -> Self {
        Self {
            young: KeyMap::default(),
            old: KeyMap::default(),
            rotated_at: Timestamp::EPOCH,
            half_life,
            half_max,
        }
    }

    /// Forgets the old half when the young one is due to replace it; when it will be due next. Nothing but this changes
    /// that, so who has several memories need not ask each of them every minute.
    pub(crate) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        if now.since(self.rotated_at) >= self.half_life {
            self.rotate(now);
        }
        self.rotated_at + self.half_life
    }

    /// What is remembered under this key.
    pub(crate) fn get(&self, key: Key) -> Option<&V> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// Whether anything is.
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.young.contains_key(&key) || self.old.contains_key(&key)
    }

    /// What is remembered under this key, to be changed; it counts as young again.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut V> {
        let place = match self.young.place(key) {
            Some(place) => place,
            None => self.young.push_new(key, self.old.swap_remove(&key)?),
        };
        Some(self.young.at_mut(place))
    }

    /// Remembers a value; makes room when the young half is full.
    pub(crate) fn insert(&mut self, key: Key, value: V) {
        self.make_room();
        self.old.swap_remove(&key);
        self.young.insert(key, value);
    }

    /// What is remembered under this key, or a new value put there.
    pub(crate) fn entry(&mut self, key: Key, new: impl FnOnce() -> V) -> &mut V {
        let place = match self.young.place(key) {
            Some(place) => place,
            None => {
                let known = self.old.swap_remove(&key);
                if known.is_none() {
                    self.make_room();
                }
                self.young.push_new(key, known.unwrap_or_else(new))
            }
        };
        self.young.at_mut(place)
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, key: Key) {
        self.young.swap_remove(&key);
        self.old.swap_remove(&key);
    }

    /// All values, in an order that depends on their history alone.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.old.values().chain(self.young.values())
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn make_room(&mut self) {
        if self.young.len() >= self.half_max {
            self.rotate(self.rotated_at);
        }
    }

    fn rotate(&mut self, now: Timestamp) {
        let mut left = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        // What is to come will need about as much room as what leaves: it is not made anew from nothing.
        if left.has_room_for(self.old.len()) {
            left.clear();
            self.young = left;
        }
        self.rotated_at = now;
    }
}

impl Generations<()> {
    /// Remembers a key, which counts as young again; whether it was known.
    pub(crate) fn renew(&mut self, key: Key) -> bool {
        if self.young.contains_key(&key) {
            return true;
        }
        let was_known = self.old.swap_remove(&key).is_some();
        self.make_room();
        self.young.push_new(key, ());
        was_known
    }

    /// Remembers a key; whether it is new.
    pub(crate) fn tell_once(&mut self, key: Key) -> bool {
        let is_full = self.young.len() >= self.half_max;
        if self.old.contains_key(&key) || (is_full && self.young.contains_key(&key)) {
            return false;
        }
        self.make_room();
        self.young.insert(key, ()).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        Key::of(&n.to_string())
    }

    #[test]
    fn entries_live_between_one_and_two_half_lives() {
        let mut memory = Generations::new(Span::days(1), 100);
        let day = |n| Timestamp::EPOCH + Span::days(n);
        memory.advance_to(day(1));
        memory.insert(key(1), 'a');
        memory.advance_to(day(2));
        assert_eq!(memory.get(key(1)), Some(&'a'));
        memory.advance_to(day(3));
        assert_eq!(memory.get(key(1)), None);
    }

    #[test]
    fn a_touched_entry_is_young_again() {
        let mut memory = Generations::new(Span::days(1), 100);
        let day = |n| Timestamp::EPOCH + Span::days(n);
        memory.advance_to(day(1));
        memory.insert(key(1), 'a');
        memory.advance_to(day(2));
        assert!(memory.get_mut(key(1)).is_some());
        memory.advance_to(day(3));
        assert!(memory.contains(key(1)));
    }

    #[test]
    fn a_renewed_key_is_told_as_known_and_is_young_again() {
        let mut memory = Generations::new(Span::days(1), 100);
        let day = |n| Timestamp::EPOCH + Span::days(n);
        memory.advance_to(day(1));
        assert!(!memory.renew(key(1)));
        memory.advance_to(day(2));
        assert!(memory.renew(key(1)));
        assert!(memory.renew(key(1)));
        memory.advance_to(day(3));
        assert!(memory.contains(key(1)));
        for n in 0..1000 {
            memory.renew(key(n));
            assert!(memory.len() <= 200);
        }
        assert!(memory.contains(key(999)) && !memory.contains(key(1)));
    }

    #[test]
    fn the_bound_holds_and_the_newest_stay() {
        let mut memory = Generations::new(Span::days(1), 100);
        for n in 0..1000 {
            memory.insert(key(n), n);
            assert!(memory.len() <= 200);
        }
        assert_eq!(memory.get(key(999)), Some(&999));
        assert_eq!(memory.get(key(900)), Some(&900));
        assert_eq!(memory.get(key(0)), None);
    }

    #[test]
    fn entry_finds_what_was_old() {
        let mut memory = Generations::new(Span::days(1), 100);
        *memory.entry(key(1), || 1) += 1;
        memory.advance_to(Timestamp::EPOCH + Span::days(1));
        *memory.entry(key(1), || 1) += 1;
        assert_eq!(memory.get(key(1)), Some(&3));
        assert_eq!(memory.len(), 1);
    }
}
