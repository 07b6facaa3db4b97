//! Words by number, so that a remembered failure holds two bytes for each of its words.

use serde::{Deserialize, Serialize};

/// The most words kept apart; further ones are all `other`.
const WORDS_MAX: usize = 64;

/// The longest word kept, in characters: Stripe's own are shorter.
const LETTERS_MAX: usize = 64;

/// Decline codes, brands or countries met so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WordsSeen(Vec<Box<str>>);

impl WordsSeen {
    /// The number of a word.
    pub(super) fn number(&mut self, word: &str) -> u16 {
        // Asked of every attempt: nearly all words differ in their first letters, or how many there are.
        let begin = word.as_bytes().first_chunk::<2>();
        let is_alike = |known: &str| known.as_bytes().first_chunk::<2>() == begin;
        let mut words = self.0.iter();
        let known = words.position(|known| {
            let is_whole = known.len() == 2 && word.len() == 2;
            is_alike(known) && (is_whole || **known == *word)
        });
        let index = known.unwrap_or_else(|| {
            if self.0.len() < WORDS_MAX {
                let is_last = self.0.len() + 1 == WORDS_MAX;
                let kept: String = word.chars().take(LETTERS_MAX).collect();
                self.0
                    .push(if is_last { "other".into() } else { kept.into() });
            }
            self.0.len() - 1
        });
        u16::try_from(index).unwrap_or_default()
    }

    /// The word with this number.
    pub(super) fn word(&self, number: u16) -> &str {
        self.0
            .get(usize::from(number))
            .map_or("unknown", |word| word)
    }

    /// The most frequent of these words, the most frequent first.
    pub(super) fn top(&self, numbers: impl Iterator<Item = u16>, most: usize) -> Vec<(&str, u64)> {
        let mut counts = vec![0_u64; self.0.len()];
        for number in numbers {
            if let Some(count) = counts.get_mut(usize::from(number)) {
                *count += 1;
            }
        }
        let mut found: Vec<(&str, u64)> = self.0.iter().map(|word| &**word).zip(counts).collect();
        found.retain(|(_, count)| *count > 0);
        found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        found.truncate(most);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beyond_the_bound_are_other() {
        let mut words = WordsSeen::default();
        let numbers: Vec<u16> = (0..1000)
            .map(|n| words.number(&format!("code_{n}")))
            .collect();
        assert_eq!(words.0.len(), WORDS_MAX);
        assert_eq!(words.top(numbers.into_iter(), 1), [("other", 937)]);
    }

    #[test]
    fn a_word_keeps_its_number() {
        let mut words = WordsSeen::default();
        assert_eq!(words.number("visa"), 0);
        assert_eq!(words.number("amex"), 1);
        assert_eq!(words.number("visa"), 0);
        assert_eq!(words.word(1), "amex");
        assert_eq!(words.word(9), "unknown");
    }
}
