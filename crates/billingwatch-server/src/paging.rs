//! Keyset pages: `?limit=` and `?after=`, and the cursor that leads on.
//!
//! A page goes on from an item, not from a number of items, so that what arrives while somebody
//! reads neither repeats nor hides anything.

use billingwatch_store::{Page, PageOf};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// The most items on a page.
pub(crate) const LIMIT_MAX: u32 = 200;

/// How many items a page has when nobody says.
pub(crate) const LIMIT_DEFAULT: u32 = 50;

/// The longest cursor that is looked at, in bytes.
const CURSOR_BYTES_MAX: usize = 200;

/// A page of items.
#[derive(Serialize, ToSchema)]
pub(crate) struct Paged<T> {
    /// The items, newest first.
    pub(crate) data: Vec<T>,
    /// What to send as `after` for the next page; `null` on the last. A page may hold fewer items than
    /// its limit, even none, and still have one.
    #[schema(example = "1763712000000.al_0123456789abcdef")]
    pub(crate) next_cursor: Option<String>,
}

impl<T> Paged<T> {
    pub(crate) fn map<S>(page: PageOf<S>, view: impl FnMut(S) -> T) -> Self {
        Self {
            data: page.items.into_iter().map(view).collect(),
            next_cursor: page.next,
        }
    }
}

/// The page that a query asks for.
pub(crate) fn page(limit: Option<u32>, after: Option<String>) -> Result<Page, ApiError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("`limit` must be from 1 to {LIMIT_MAX}, not {limit}");
        return Err(ApiError::invalid_query(message));
    }
    if after
        .as_ref()
        .is_some_and(|after| after.len() > CURSOR_BYTES_MAX)
    {
        return Err(ApiError::invalid_cursor());
    }
    Ok(Page::new(after, limit)?)
}
