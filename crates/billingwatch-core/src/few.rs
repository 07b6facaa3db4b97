//! A list that nearly always holds one thing.
//!
//! What is remembered by payer, card or customer is mostly a single payment. A `Vec` of one is a piece of memory of its
//! own, to be asked for, found by another look at memory, and given back; here it stands in place.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list whose only element stands in place; written and read as a `Vec` is.
#[derive(Clone, Debug, Default)]
pub(crate) enum Few<T> {
    #[default]
    None,
    One(T),
    /// Any number: what was more than one stays here.
    Many(Vec<T>),
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> Few<T> {
    /// Puts one at the end.
    pub(crate) fn push(&mut self, new: T) {
        self.insert(self.len(), new);
    }

    /// Puts one at a place, which must not be beyond the end.
    pub(crate) fn insert(&mut self, place: usize, new: T) {
        match self {
            Self::None => *self = Self::One(new),
            Self::Many(many) => many.insert(place.min(many.len()), new),
            Self::One(_) => {
                let mut many = Vec::with_capacity(4);
                if let Self::One(one) = std::mem::take(self) {
                    many.push(one);
                }
                many.insert(place.min(many.len()), new);
                *self = Self::Many(many);
            }
        }
    }

    /// Takes out what stands at a place, if anything does.
    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        if let Self::Many(many) = self {
            return (place < many.len()).then(|| many.remove(place));
        }
        match std::mem::take(self) {
            Self::One(one) if place == 0 => Some(one),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Takes out all that are not to be kept.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        match self {
            Self::None => {}
            Self::One(one) => {
                if !keeps(one) {
                    *self = Self::None;
                }
            }
            Self::Many(many) => many.retain(keeps),
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut few = Self::None;
        for one in all {
            few.push(one);
        }
        few
    }
}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut many = Vec::deserialize(deserializer)?;
        if many.len() > 1 {
            return Ok(Self::Many(many));
        }
        Ok(many.pop().map_or(Self::None, Self::One))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn it_does_what_a_vec_does_and_is_written_like_one() {
        let mut few: Few<u64> = Few::default();
        let mut vec: Vec<u64> = Vec::new();
        let mut state = 7_u64;
        for step in 0..5_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(state >> 40).unwrap();
            match (state >> 33) % 8 {
                0..=2 => {
                    let place = place % (vec.len() + 1);
                    few.insert(place, step);
                    vec.insert(place, step);
                }
                3..=5 => {
                    let place = place % (vec.len() + 1);
                    let removed = (place < vec.len()).then(|| vec.remove(place));
                    assert_eq!(few.remove(place), removed);
                }
                6 => {
                    few.push(step);
                    vec.push(step);
                }
                _ => {
                    few.retain(|one| one % 3 != 0);
                    vec.retain(|one| one % 3 != 0);
                }
            }
            few.iter_mut().for_each(|one| *one += 1);
            vec.iter_mut().for_each(|one| *one += 1);
            assert_eq!(&few[..], &vec[..]);
            let bytes = crate::snapshot::encode(&few).unwrap();
            assert_eq!(bytes, crate::snapshot::encode(&vec).unwrap());
            few = crate::snapshot::decode(&bytes).unwrap();
            assert_eq!(&few[..], &vec[..]);
        }
        let few: Few<u64> = [1, 2, 3].into_iter().collect();
        assert_eq!(&few[..], &[1, 2, 3]);
    }
}
