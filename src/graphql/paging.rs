//! What all lists of the schema share.

use async_graphql::SimpleObject;

use crate::domain::paging::Page;

/// Where a part stands in its list, by the Relay cursor specification.
#[derive(SimpleObject)]
pub(crate) struct PageInfo {
    /// Whether there are rows before this part.
    has_previous_page: bool,
    /// Whether there are rows after this part.
    has_next_page: bool,
    /// The cursor of the first row; null where there is none.
    start_cursor: Option<String>,
    /// The cursor of the last row; null where there is none.
    end_cursor: Option<String>,
}

impl PageInfo {
    /// The place of this page, whose rows have these cursors.
    pub(crate) fn new<T>(page: &Page<T>, cursor: impl Fn(&T) -> String) -> Self {
        Self {
            has_previous_page: page.has_previous,
            has_next_page: page.has_next,
            start_cursor: page.rows.first().map(&cursor),
            end_cursor: page.rows.last().map(&cursor),
        }
    }
}
