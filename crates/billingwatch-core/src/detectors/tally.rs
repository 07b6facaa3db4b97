//! Counts by word, for evidence: bounded, and cheap to take back when a window moves on.

use serde::{Deserialize, Serialize};

/// The most words kept apart; further ones count as `other`.
const WORDS_MAX: usize = 64;

/// How often each word occurs in a window.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    words: Vec<(Box<str>, u32)>,
}

impl Tally {
    /// Counts a word; the number returned takes it back.
    pub(super) fn add(&mut self, word: &str) -> u16 {
        let index = match self.words.iter().position(|(known, _)| &**known == word) {
            Some(index) => index,
            None if self.words.len() + 1 < WORDS_MAX => {
                self.words.push((word.chars().take(64).collect(), 0));
                self.words.len() - 1
            }
            None => {
                if self.words.len() < WORDS_MAX {
                    self.words.push(("other".into(), 0));
                }
                self.words.len() - 1
            }
        };
        self.words[index].1 = self.words[index].1.saturating_add(1);
        u16::try_from(index).unwrap_or_default()
    }

    /// Takes one count back.
    pub(super) fn remove(&mut self, index: u16) {
        if let Some((_, count)) = self.words.get_mut(usize::from(index)) {
            *count = count.saturating_sub(1);
        }
    }

    /// The most frequent words, the most frequent first.
    pub(super) fn top(&self, most: usize) -> Vec<(&str, u32)> {
        let mut found: Vec<_> = self
            .words
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(word, n)| (&**word, *n))
            .collect();
        found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        found.truncate(most);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beyond_the_bound_count_as_other() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            tally.add(&format!("code_{n}"));
        }
        assert!(tally.words.len() <= WORDS_MAX);
        assert_eq!(tally.top(1), [("other", 937)]);
    }

    #[test]
    fn what_left_the_window_does_not_count() {
        let mut tally = Tally::default();
        let index = tally.add("a");
        tally.add("b");
        tally.remove(index);
        assert_eq!(tally.top(5), [("b", 1)]);
    }
}
