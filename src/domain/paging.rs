//! Pages of long lists: by keyset, so that the hundredth page costs what the first does and rows that come or go in
//! between neither repeat nor hide others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Order, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::database::Db;
use crate::error::{Error, Result};
use crate::tools::clock::Timestamp;

/// The longest page.
pub const MAX_PAGE: u64 = 200;

/// The page where none is asked for.
pub const DEFAULT_PAGE: u64 = 20;

/// Which part of a list is wanted, in the terms of the Relay cursor specification.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The first so many after `after`.
    pub first: Option<i32>,
    /// The cursor after which the page begins.
    pub after: Option<String>,
    /// The last so many before `before`.
    pub last: Option<i32>,
    /// The cursor before which the page ends.
    pub before: Option<String>,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, in the list's order whichever way was paged.
    pub rows: Vec<T>,
    /// Whether there are rows before them.
    pub has_previous: bool,
    /// Whether there are rows after them.
    pub has_next: bool,
}

/// A place in a list that is ordered by a time and, where that is equal, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The row's time.
    pub at: Timestamp,
    /// The row's id.
    pub id: Uuid,
}

impl Cursor {
    /// The text for clients: base64url of time and id.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode([self.at.millis().to_be_bytes().as_slice(), self.id.as_bytes()].concat())
    }

    /// Reads the text back.
    ///
    /// # Errors
    /// [`Error::BadInput`] where it is none of ours.
    pub fn from_text(text: &str) -> Result<Self> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (at, id) = bytes.split_first_chunk::<8>()?;
            Some(Self { at: Timestamp::from_millis(i64::from_be_bytes(*at)), id: Uuid::from_slice(id).ok()? })
        };
        read().ok_or_else(|| Error::BadInput("This is no cursor of this list: use one that a page gave.".to_owned()))
    }
}

/// A page of a list, the newest rows first. `place` tells where a row stands.
///
/// # Errors
/// [`Error::BadInput`] where the window makes no sense.
pub async fn newest_first<E: EntityTrait>(
    db: &Db,
    list: Select<E>,
    window: &Window,
    (time, id): (E::Column, E::Column),
) -> Result<Page<E::Model>> {
    let backward = window.last.is_some();
    let limit = limit(window)?;
    let mut query = list;
    if let Some(after) = &window.after {
        query = query.filter(beyond((time, id), Cursor::from_text(after)?, &Order::Desc));
    }
    if let Some(before) = &window.before {
        query = query.filter(beyond((time, id), Cursor::from_text(before)?, &Order::Asc));
    }
    let order = if backward { Order::Asc } else { Order::Desc };
    let query = query.order_by(time, order.clone()).order_by(id, order).limit(limit + 1);
    let mut rows = query.all(db.reader()).await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    if backward {
        rows.reverse();
        return Ok(Page { rows, has_previous: more, has_next: window.before.is_some() });
    }
    Ok(Page { rows, has_previous: window.after.is_some(), has_next: more })
}

/// A count that clients may choose, between 0 and [`MAX_PAGE`].
///
/// # Errors
/// [`Error::BadInput`] where it is outside.
pub fn count(name: &str, value: i32) -> Result<u64> {
    match u64::try_from(value) {
        Ok(value) if value <= MAX_PAGE => Ok(value),
        _ => Err(Error::BadInput(format!("`{name}` must be between 0 and {MAX_PAGE}."))),
    }
}

fn limit(window: &Window) -> Result<u64> {
    match (window.first, window.last) {
        (Some(_), Some(_)) => Err(Error::BadInput("Give `first` or `last`, not both.".to_owned())),
        (Some(first), None) => count("first", first),
        (None, Some(last)) => count("last", last),
        (None, None) => Ok(DEFAULT_PAGE),
    }
}

/// The rows beyond a place in a list of this order.
fn beyond<C: ColumnTrait>((time, id): (C, C), place: Cursor, order: &Order) -> Condition {
    let (further, tie): (SimpleExpr, SimpleExpr) = match order {
        Order::Desc => (time.lt(place.at), id.lt(place.id)),
        _ => (time.gt(place.at), id.gt(place.id)),
    };
    Condition::any().add(further).add(Condition::all().add(time.eq(place.at)).add(tie))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_read_back(at in any::<i64>(), id in any::<u128>()) {
            let cursor = Cursor { at: Timestamp::from_millis(at), id: Uuid::from_u128(id) };
            prop_assert_eq!(Cursor::from_text(&cursor.to_text()).unwrap(), cursor);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = Cursor::from_text(&text);
        }
    }
}
