//! Keyset pages: a list goes on after the last item seen, however many are added meanwhile.

use crate::error::{Result, StoreError};

/// The most items a page holds.
pub const PAGE_LIMIT_MAX: u32 = 200;

/// The limit where none is asked for.
pub const PAGE_LIMIT_DEFAULT: u32 = 50;

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    after: Option<String>,
    limit: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            after: None,
            limit: PAGE_LIMIT_DEFAULT,
        }
    }
}

impl Page {
    /// The page after the item that a previous page's [`PageOf::next`] names.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadPage`] for a limit outside 1 to [`PAGE_LIMIT_MAX`]. A cursor that is not
    /// one of this list's is found by the list itself.
    pub fn new(after: Option<String>, limit: u32) -> Result<Self> {
        if !(1..=PAGE_LIMIT_MAX).contains(&limit) {
            return Err(StoreError::BadPage {
                reason: format!("limit is {limit}: expected 1 to {PAGE_LIMIT_MAX}"),
            });
        }
        Ok(Self { after, limit })
    }

    /// The first page.
    ///
    /// # Errors
    ///
    /// As [`Page::new`].
    pub fn first(limit: u32) -> Result<Self> {
        Self::new(None, limit)
    }

    /// One more than wanted, to learn whether there is a next page.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The sequence number or id to go on below; `i64::MAX` on the first page.
    pub(crate) fn below(&self) -> Result<i64> {
        match &self.after {
            None => Ok(i64::MAX),
            Some(after) => after.parse().map_err(|_| bad_cursor()),
        }
    }

    /// The instant and id to go on below, as written by [`instant_cursor`].
    pub(crate) fn below_instant(&self) -> Result<Option<(i64, &str)>> {
        let Some(after) = &self.after else {
            return Ok(None);
        };
        let (millis, id) = after.split_once('.').ok_or_else(bad_cursor)?;
        Ok(Some((millis.parse().map_err(|_| bad_cursor())?, id)))
    }

    /// Cuts what [`Page::fetch`] fetched and names where the next page begins.
    pub(crate) fn cut<T>(&self, mut items: Vec<T>, cursor: impl Fn(&T) -> String) -> PageOf<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_next = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_next).map(cursor);
        PageOf { items, next }
    }
}

/// A cursor for lists ordered by an instant and an id.
pub(crate) fn instant_cursor(millis: i64, id: &str) -> String {
    format!("{millis}.{id}")
}

fn bad_cursor() -> StoreError {
    StoreError::BadPage {
        reason: "the page cursor is not one that this list gave out".to_owned(),
    }
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOf<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` on the last. Alone says whether there is more:
    /// a page that looked at as much as it may ends with fewer items than its limit.
    pub next: Option<String>,
}

impl<T> PageOf<T> {
    /// The same page with its items changed.
    #[must_use]
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> PageOf<U> {
        PageOf {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bounded() {
        assert!(Page::first(0).is_err());
        assert!(Page::first(PAGE_LIMIT_MAX).is_ok());
        let error = Page::first(PAGE_LIMIT_MAX + 1).unwrap_err().to_string();
        assert_eq!(error, "limit is 201: expected 1 to 200");
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        let page = |after: &str| Page::new(Some(after.to_owned()), 10).unwrap();
        assert!(page("x").below().is_err());
        assert!(page("12").below_instant().is_err());
        assert_eq!(page("12.al_1").below_instant().unwrap(), Some((12, "al_1")));
    }
}
