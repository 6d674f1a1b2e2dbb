//! Planning of user queries.
//!
//! A list is scanned along the index of its order, so every page costs the same. Matches of a search or filter may be
//! rare, and a scan for enough of them could read the whole table. So:
//!
//! 1. If few users match the filter, they are looked up and sorted. The filter's index alone gives the number. On SQLite
//!    the index of the search does so too, and few candidates of a search are looked up as well.
//! 2. Otherwise a bounded stretch is scanned, in which most searches find enough: along the order or, if the filter's
//!    index continues in that order, along the filter's index.
//! 3. The remaining queries use the index of the search, and sort then.
//!
//! Neither database could choose this plan itself: SQLite keeps no statistics, and PostgreSQL has none about
//! substrings.

use sea_orm::sea_query::{Asterisk, Expr, Func, Query, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseBackend, DbErr, EntityTrait as _, QueryFilter as _,
    QueryTrait, Select,
};

use super::search::Search;
use crate::database::Db;
use crate::entity::user::{self, Column};
use crate::error::Result;

/// Number of rows scanned in the first stretch: with a million users, about 3 ms in the order of joining, 8 ms in
/// another order.
pub(super) const STRETCH: u64 = 3000;

/// Number of rows scanned if the first stretch had some matches, in the order of joining.
pub(super) const LONG_STRETCH: u64 = 5 * STRETCH;

/// Number of candidates of a search that are read at once: with a million users, about 6 ms.
const RARE: u64 = 2000;

/// A condition of a filter.
#[derive(Clone, Debug)]
pub(super) struct Predicate {
    pub(super) rarity: Selectivity,
    /// The condition as an index supports it.
    pub(super) indexed: SimpleExpr,
    /// The condition without index support on SQLite, for conditions that must not come first.
    pub(super) plain: SimpleExpr,
}

impl Predicate {
    pub(super) fn of(rarity: Selectivity, term: SimpleExpr) -> Self {
        Self { rarity, plain: term.clone(), indexed: term }
    }
}

/// Selectivity of a condition, rarest first. SQLite would have to guess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Selectivity {
    One,
    Online,
    Staff,
    Inactive,
    SecondFactor,
    Role,
    Unverified,
    /// A time of joining, by which the indexes of all flags and of the role continue.
    Joined,
    Usual,
}

/// Search text and filter of a list.
#[derive(Clone, Debug)]
pub(super) struct UserQuery {
    search: Option<Search>,
    filter: Vec<Predicate>,
    is_by_date: bool,
}

impl UserQuery {
    /// A query for this text and all of these conditions; `is_by_date` is true for the order of joining.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] if the text is invalid.
    pub(super) fn new(search: Option<&str>, filter: Vec<Predicate>, is_by_date: bool) -> Result<Self> {
        Ok(Self { search: search.map(Search::parse).transpose()?.flatten(), filter, is_by_date })
    }

    /// True if all users match.
    pub(super) fn is_anybody(&self) -> bool {
        self.search.is_none() && self.filter.is_empty()
    }

    /// True if there is a search text.
    pub(super) fn is_search(&self) -> bool {
        self.search.is_some()
    }

    /// True if the list is in the order of joining.
    pub(super) fn is_by_date(&self) -> bool {
        self.is_by_date
    }

    fn rarest(&self) -> Selectivity {
        self.filter.first().map_or(Selectivity::Usual, |common| common.rarity)
    }

    /// True if the index of the rarest condition continues by the date, and so has the users in their order already.
    fn is_in_order(&self) -> bool {
        self.search.is_none() && self.is_by_date && self.rarest() > Selectivity::Online
    }

    /// True if the list is scanned along an index that contains only matching users.
    pub(super) fn is_walk(&self) -> bool {
        self.is_anybody() || self.is_in_order() && self.rarest() < Selectivity::Usual
    }

    /// The users that match the filter, found by the index of the rarest condition. (PostgreSQL knows the frequencies
    /// of conditions and of their combinations.)
    pub(super) fn filtered(&self, backend: DatabaseBackend) -> Condition {
        let first = [self.rarest(), Selectivity::Joined];
        self.filter.iter().fold(Condition::all(), |all, common| {
            let is_first = first.contains(&common.rarity) || backend == DatabaseBackend::Postgres;
            all.add(if is_first { common.indexed.clone() } else { common.plain.clone() })
        })
    }

    /// The start of the index of the order of joining, or of one that continues by it.
    pub(super) fn along(&self) -> Condition {
        let first = [self.rarest(), Selectivity::Joined];
        let is_index = |common: &&Predicate| {
            self.is_by_date
                && first.contains(&common.rarity)
                && !matches!(common.rarity, Selectivity::One | Selectivity::Online | Selectivity::Usual)
        };
        self.filter.iter().filter(is_index).fold(Condition::all(), |all, common| all.add(common.indexed.clone()))
    }

    /// The condition of all matches, without an index.
    pub(super) fn condition(&self, backend: DatabaseBackend) -> Condition {
        let search = self.search.as_ref().map(|search| search.matches(backend));
        let all = Condition::all().add_option(search);
        self.filter.iter().fold(all, |all, common| all.add(common.plain.clone()))
    }

    /// True if the filter matches so few users that it is best to read all of them.
    pub(super) async fn are_few(&self, db: &Db, seen: &Condition) -> Result<bool> {
        if self.rarest() == Selectivity::Usual {
            return Ok(false);
        }
        let mut some = ids(self.filtered(db.backend()).add(seen.clone()));
        Ok(number_of(db, some.limit(STRETCH + 1).take()).await? <= STRETCH)
    }

    /// The candidates of the search, if its index shows that they are few.
    pub(super) async fn rare(&self, db: &Db) -> Result<Option<Condition>> {
        let entries = self.search.as_ref().and_then(|search| search.entries(db.backend()));
        let Some(mut entries) = entries else { return Ok(None) };
        let rows = db.reader().query_all(entries.limit(RARE + 1)).await?;
        if rows.len() as u64 > RARE {
            return Ok(None);
        }
        let numbers: Result<Vec<i64>, DbErr> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
        // As JSON, so that the statement is the same for any number of candidates.
        let found =
            Expr::cust_with_values("users.number IN (SELECT value FROM json_each(?))", [format!("{:?}", numbers?)]);
        Ok(Some(Condition::all().add(found)))
    }

    /// The matches, found by an index: that of the search, unless the filter matches few. `rare` are the candidates of
    /// the search if they are known.
    pub(super) fn lookup(
        &self,
        backend: DatabaseBackend,
        are_few: bool,
        rare: Option<Condition>,
        seen: &Condition,
    ) -> Select<user::Entity> {
        match &self.search {
            Some(search) if !are_few => {
                let candidates = rare.unwrap_or_else(|| search.candidates(backend));
                fenced(candidates).filter(self.condition(backend)).filter(seen.clone())
            }
            // Nearly all users match, so the order is scanned.
            None if self.rarest() == Selectivity::Usual => {
                user::Entity::find().filter(self.filtered(backend)).filter(seen.clone())
            }
            search => {
                let left = ids(self.filtered(backend).add(seen.clone()));
                let found = search.as_ref().map(|search| search.matches(backend));
                fenced(Condition::all().add(Column::Id.in_subquery(left))).filter(Condition::all().add_option(found))
            }
        }
    }
}

/// The users that match this condition, before all other conditions: the limit keeps the database from starting with
/// another one.
fn fenced(first: Condition) -> Select<user::Entity> {
    of(all().cond_where(first).limit(i64::MAX.unsigned_abs()).take())
}

/// The ids of these users; an index alone may suffice for them.
pub(super) fn ids(users: Condition) -> SelectStatement {
    Query::select().column(Column::Id).from(user::Entity).cond_where(users).take()
}

/// All columns of all users.
pub(super) fn all() -> SelectStatement {
    Query::select().column(Asterisk).from(user::Entity).take()
}

/// Number of rows of this statement.
pub(super) async fn number_of(db: &Db, rows: SelectStatement) -> Result<u64> {
    let number = Func::count(Expr::col(Asterisk));
    let row = db.reader().query_one(Query::select().expr(number).from_subquery(rows, "users")).await?;
    let number: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}

/// The users of this statement, under the name of their table.
pub(super) fn of(rows: SelectStatement) -> Select<user::Entity> {
    let mut select = user::Entity::find();
    QueryTrait::query(&mut select).from_clear().from_subquery(rows, "users");
    select
}
