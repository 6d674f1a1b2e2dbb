//! Pages of long lists. Keyset pagination makes the hundredth page as cheap as the first, and rows that are inserted or
//! deleted in between neither repeat nor hide others. Offset pagination gives direct access to a page such as the
//! 500th.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::sea_query::{Expr, SelectStatement, SimpleExpr};
use sea_orm::{Condition, EntityTrait, ExprTrait as _, Order, QuerySelect as _, QueryTrait, Select, Value};
use uuid::Uuid;

use crate::database::Db;
use crate::error::{Error, Result};
use crate::texts::Text;

/// Maximum length of a page.
pub const MAX_PAGE: u64 = 200;

/// Default length of a page.
pub const DEFAULT_PAGE: u64 = 20;

/// Arguments for a page, in the terms of the Relay cursor specification or by the offset of its first row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageArgs {
    /// Number of rows from the start, or after `after`.
    pub first: Option<i32>,
    /// The cursor after which the page begins.
    pub after: Option<String>,
    /// Number of rows at the end, or before `before`.
    pub last: Option<i32>,
    /// The cursor before which the page ends.
    pub before: Option<String>,
    /// Number of rows to skip; not with cursors or `last`.
    pub offset: Option<i32>,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows with their cursors, in the list's order for both directions.
    pub rows: Vec<(T, String)>,
    /// True if there are rows before them.
    pub has_previous: bool,
    /// True if there are rows after them.
    pub has_next: bool,
}

/// The order of a list, most significant term first. The last term must have a unique key, so that each row has a
/// unique place.
#[derive(Clone, Debug)]
pub struct OrderBy<M>(pub Vec<OrderTerm<M>>);

/// A sort key of a list.
#[derive(Clone, Debug)]
pub struct OrderTerm<M> {
    /// Identifies the term in cursors of the list; below 128.
    pub tag: u8,
    /// True for descending order.
    pub descends: bool,
    /// The key in SQL; never null.
    pub sql: SimpleExpr,
    /// The same key of a row in memory.
    pub key: Key<M>,
}

/// Access to the key of a row, by type. Cursors contain keys; those sent by clients enter SQL only as bound values of
/// their type.
#[derive(Clone, Debug)]
pub enum Key<M> {
    /// A number or a time.
    Number(fn(&M) -> i64),
    /// A text.
    Text(fn(&M) -> &str),
    /// An id.
    Id(fn(&M) -> Uuid),
}

impl<M> OrderBy<M> {
    /// The cursor of a row: base64url of its keys, each after its tag and direction.
    pub(super) fn cursor(&self, row: &M) -> String {
        let mut bytes = Vec::new();
        for term in &self.0 {
            bytes.push(term.mark());
            term.key.write(row, &mut bytes);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place in a list of this order that a cursor names.
    pub(super) fn place(&self, cursor: &str) -> Result<Vec<Value>> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let mut rest = bytes.as_slice();
            let mut place = Vec::with_capacity(self.0.len());
            for term in &self.0 {
                let (mark, tail) = rest.split_first()?;
                if *mark != term.mark() {
                    return None;
                }
                let (key, tail) = term.key.read(tail)?;
                place.push(key);
                rest = tail;
            }
            rest.is_empty().then_some(place)
        };
        read().ok_or_else(|| Error::BadInput(Text::new("cursor-invalid")))
    }

    /// The rows beyond a place.
    fn beyond(&self, place: &[Value], backward: bool) -> Condition {
        let terms: Vec<(&OrderTerm<M>, &Value)> = self.0.iter().zip(place).collect();
        let compare = |term: &OrderTerm<M>, left: SimpleExpr, right: SimpleExpr| {
            if term.descends == backward { left.gt(right) } else { left.lt(right) }
        };
        let one_way = self.0.iter().all(|term| Some(term.descends) == self.0.first().map(|first| first.descends));
        let rows = match terms.first() {
            // As a row value, which both databases look up in an index of these columns.
            Some((first, _)) if one_way => {
                let left = Expr::tuple(terms.iter().map(|(term, _)| term.sql.clone()));
                let right = Expr::tuple(terms.iter().map(|(_, key)| Expr::value((*key).clone())));
                Condition::all().add(compare(first, left, right))
            }
            _ => (0..).zip(&terms).fold(Condition::any(), |rows, (position, (term, key))| {
                let ties = terms.iter().take(position).fold(Condition::all(), |ties, (term, key)| {
                    ties.add(term.sql.clone().eq(Expr::value((*key).clone())))
                });
                rows.add(ties.add(compare(term, term.sql.clone(), Expr::value((*key).clone()))))
            }),
        };
        // Redundant, but allows an index search in every case.
        let bound = terms.first().map(|(term, key)| {
            let key = Expr::value((*key).clone());
            if term.descends == backward { term.sql.clone().gte(key) } else { term.sql.clone().lte(key) }
        });
        Condition::all().add(rows).add_option(bound)
    }
}

impl<M> OrderTerm<M> {
    fn mark(&self) -> u8 {
        self.tag << 1 | u8::from(self.descends)
    }
}

impl<M> Key<M> {
    fn write(&self, row: &M, bytes: &mut Vec<u8>) {
        match self {
            Self::Number(of) => bytes.extend(of(row).to_be_bytes()),
            Self::Id(of) => bytes.extend(of(row).as_bytes()),
            Self::Text(of) => {
                let text = of(row);
                bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }

    /// The lowest possible key.
    fn lowest(&self) -> Value {
        match self {
            Self::Number(_) => i64::MIN.into(),
            Self::Text(_) => "".into(),
            Self::Id(_) => Uuid::nil().into(),
        }
    }

    /// Reads a key from the start of these bytes.
    fn read<'a>(&self, bytes: &'a [u8]) -> Option<(Value, &'a [u8])> {
        match self {
            Self::Number(_) => {
                let (number, rest) = bytes.split_first_chunk::<8>()?;
                Some((i64::from_be_bytes(*number).into(), rest))
            }
            Self::Id(_) => {
                let (id, rest) = bytes.split_first_chunk::<16>()?;
                Some((Uuid::from_bytes(*id).into(), rest))
            }
            Self::Text(_) => {
                let (length, rest) = bytes.split_first_chunk::<4>()?;
                let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
                // PostgreSQL accepts no zero bytes in texts.
                let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?;
                Some((text.into(), rest))
            }
        }
    }
}

/// Validated arguments for a page, with the order of its list.
#[derive(Clone, Debug)]
pub struct PageQuery<M> {
    order: OrderBy<M>,
    after: Option<Vec<Value>>,
    before: Option<Vec<Value>>,
    backward: bool,
    limit: u64,
    offset: u64,
}

impl<M> PageQuery<M> {
    /// Validates the arguments for a page of a list in this order.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the arguments are invalid.
    pub fn new(page: &PageArgs, order: OrderBy<M>) -> Result<Self> {
        let bad = |text: Text| Err(Error::BadInput(text));
        let (backward, limit) = match (page.first, page.last) {
            (Some(_), Some(_)) => return bad(Text::new("page-first-and-last")),
            (Some(first), None) => (false, count("first", first)?),
            (None, Some(last)) => (true, count("last", last)?),
            (None, None) => (false, DEFAULT_PAGE),
        };
        let offset = match page.offset.map(u64::try_from) {
            None => 0,
            Some(Err(_)) => return bad(Text::new("page-offset-negative")),
            Some(Ok(_)) if backward || page.after.is_some() || page.before.is_some() => {
                return bad(Text::new("page-offset-with-cursor"));
            }
            Some(Ok(offset)) => offset,
        };
        let place = |cursor: &Option<String>| cursor.as_deref().map(|cursor| order.place(cursor)).transpose();
        let (after, before) = (place(&page.after)?, place(&page.before)?);
        Ok(Self { order, after, before, backward, limit, offset })
    }

    /// Number of rows, skipped ones included, that show if there are more than fit on the page.
    pub fn depth(&self) -> u64 {
        self.offset + self.limit + 1
    }

    /// The rows between the cursors.
    pub fn between(&self) -> Condition {
        let mut rows = Condition::all();
        if let Some(place) = &self.after {
            rows = rows.add(self.order.beyond(place, false));
        }
        if let Some(place) = &self.before {
            rows = rows.add(self.order.beyond(place, true));
        }
        if let ([first, _, _, ..], None, None) = (self.order.0.as_slice(), &self.after, &self.before) {
            // Always true, but makes SQLite use the index of the first term, which it would not for an order by
            // several.
            rows = rows.add(first.sql.clone().gte(Expr::value(first.key.lowest())));
        }
        rows
    }

    /// Selects the rows of the page and one more.
    pub fn of<E: EntityTrait>(&self, mut list: Select<E>) -> Select<E> {
        let query = QueryTrait::query(&mut list);
        query.cond_where(self.between());
        self.sort(query);
        self.cut(list)
    }

    /// Adds the order in which the page is read.
    pub fn sort(&self, query: &mut SelectStatement) {
        for term in &self.order.0 {
            let order = if term.descends == self.backward { Order::Asc } else { Order::Desc };
            query.order_by_expr(term.sql.clone(), order);
        }
    }

    /// Selects the rows of the page and one more from sorted rows between the cursors.
    pub fn cut<E: EntityTrait>(&self, rows: Select<E>) -> Select<E> {
        rows.limit(self.limit + 1).offset((self.offset > 0).then_some(self.offset))
    }

    /// The same for a statement.
    pub fn cut_keys(&self, rows: &mut SelectStatement) {
        rows.limit(self.limit + 1).offset(self.offset);
    }

    /// The query with the order in which the page is read.
    pub fn sorted<E: EntityTrait>(&self, mut page: Select<E>) -> Select<E> {
        self.sort(QueryTrait::query(&mut page));
        page
    }

    /// True if these rows fill the page and there are more.
    pub fn is_full(&self, rows: &[M]) -> bool {
        rows.len() as u64 > self.limit
    }

    /// The page made from the rows of its query.
    pub fn page(&self, mut rows: Vec<M>) -> Page<M> {
        let more = self.is_full(&rows);
        rows.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        let (has_previous, has_next) = if self.backward {
            rows.reverse();
            (more, self.before.is_some())
        } else {
            (self.after.is_some() || self.offset > 0, more)
        };
        let with_cursor = |row| {
            let cursor = self.order.cursor(&row);
            (row, cursor)
        };
        Page { rows: rows.into_iter().map(with_cursor).collect(), has_previous, has_next }
    }
}

/// A page of a list in this order.
///
/// # Errors
/// [`Error::BadInput`] if the arguments are invalid.
pub async fn page<E: EntityTrait>(
    db: &Db,
    list: Select<E>,
    page: &PageArgs,
    order: OrderBy<E::Model>,
) -> Result<Page<E::Model>> {
    let span = PageQuery::new(page, order)?;
    Ok(span.page(span.of(list).all(db.reader()).await?))
}

/// Validates a count from a client, between 0 and [`MAX_PAGE`].
///
/// # Errors
/// [`Error::BadInput`] if it is outside of the range.
pub fn count(name: &str, value: i32) -> Result<u64> {
    match u64::try_from(value) {
        Ok(value) if value <= MAX_PAGE => Ok(value),
        _ => {
            let text = Text::new("page-count-out-of-range").with("name", name).with("max", MAX_PAGE);
            Err(Error::BadInput(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (i64, String, Uuid);

    fn order(descends: bool) -> OrderBy<Row> {
        let sql = || Expr::value(0);
        OrderBy(vec![
            OrderTerm { tag: 1, descends, sql: sql(), key: Key::Number(|row: &Row| row.0) },
            OrderTerm { tag: 2, descends: false, sql: sql(), key: Key::Text(|row| &row.1) },
            OrderTerm { tag: 3, descends: false, sql: sql(), key: Key::Id(|row| row.2) },
        ])
    }

    #[test]
    fn a_cursor_has_no_text_that_postgresql_does_not_take() {
        let cursor = order(true).cursor(&(7, "a\0b".to_owned(), Uuid::nil()));
        assert!(order(true).place(&cursor).is_err());
    }

    proptest! {
        #[test]
        fn a_cursor_names_the_place_of_its_row_in_its_order_alone(
            number in any::<i64>(), text in "[^\0]*", id in any::<u128>(), descends in any::<bool>()
        ) {
            let row = (number, text.clone(), Uuid::from_u128(id));
            let cursor = order(descends).cursor(&row);
            prop_assert_eq!(order(descends).place(&cursor).unwrap(), [number.into(), text.into(), Value::from(row.2)]);
            prop_assert!(order(!descends).place(&cursor).is_err());
        }
    }
}
