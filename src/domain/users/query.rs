//! Which users are looked for, and how they are found quickly.
//!
//! A list is walked along the index of its order, so that a page costs the same wherever it is. What is searched or
//! filtered for may be rare, and a walk until enough is found may lead through the whole table. So:
//!
//! 1. Where few users have in common what is filtered for, they are looked up and sorted. Its index alone tells how many.
//! 2. Otherwise a bounded stretch is walked, where most searches find enough: along the order or, where that goes on by
//!    the same order, along the index of what is filtered for.
//! 3. What is left is looked up in the index of what is looked for, and sorted then.
//!
//! Neither database could choose so by itself: SQLite keeps no statistics, and PostgreSQL's know nothing of parts of texts.

use sea_orm::sea_query::{Asterisk, Expr, Func, Query, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseBackend, EntityTrait as _, QueryFilter as _, QueryTrait,
    Select,
};

use super::search::Search;
use crate::database::Db;
use crate::entity::user::{self, Column};
use crate::error::Result;

/// How many rows are walked in the hope of finding enough: at a million users about 3 ms in the order of joining, 8 ms in
/// another.
pub(super) const STRETCH: u64 = 3000;

/// How many rows are walked where the stretch held a part of what is wanted, in the order of joining.
pub(super) const LONG_STRETCH: u64 = 5 * STRETCH;

/// Something that users have in common.
#[derive(Clone, Debug)]
pub(super) struct Predicate {
    pub(super) rarity: Selectivity,
    /// As the database finds it by an index.
    pub(super) indexed: SimpleExpr,
    /// As SQLite does not: for what must not be the first thing that is looked for.
    pub(super) plain: SimpleExpr,
}

impl Predicate {
    pub(super) fn of(rarity: Selectivity, term: SimpleExpr) -> Self {
        Self { rarity, plain: term.clone(), indexed: term }
    }
}

/// How few users have something in common, the fewest first. SQLite would have to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Selectivity {
    One,
    Online,
    Staff,
    Inactive,
    Role,
    Unverified,
    /// A time of joining, by which the indexes of all flags and of the role go on.
    Joined,
    Usual,
}

/// What is looked for: in the text, and by the filter.
#[derive(Clone, Debug)]
pub(super) struct UserQuery {
    search: Option<Search>,
    filter: Vec<Predicate>,
    is_by_date: bool,
}

impl UserQuery {
    /// Whoever is found by this text and has all of this in common; `is_by_date` says whether the list is in the order of
    /// joining.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] where the text makes no sense.
    pub(super) fn new(search: Option<&str>, filter: Vec<Predicate>, is_by_date: bool) -> Result<Self> {
        Ok(Self { search: search.map(Search::parse).transpose()?.flatten(), filter, is_by_date })
    }

    /// Whether everybody is wanted.
    pub(super) fn is_anybody(&self) -> bool {
        self.search.is_none() && self.filter.is_empty()
    }

    /// Whether a text is looked for.
    pub(super) fn is_search(&self) -> bool {
        self.search.is_some()
    }

    /// Whether the list is in the order of joining.
    pub(super) fn is_by_date(&self) -> bool {
        self.is_by_date
    }

    fn rarest(&self) -> Selectivity {
        self.filter.first().map_or(Selectivity::Usual, |common| common.rarity)
    }

    /// Whether the index of the rarest thing goes on by the date, and so has the users in their order already.
    fn is_in_order(&self) -> bool {
        self.search.is_none() && self.is_by_date && self.rarest() > Selectivity::Online
    }

    /// Whether the list is walked along an index that has nobody else in it.
    pub(super) fn is_walk(&self) -> bool {
        self.is_anybody() || self.is_in_order() && self.rarest() < Selectivity::Usual
    }

    /// The users whom the filter leaves, found by the index of the rarest thing. (PostgreSQL knows how rare things are, and
    /// how often together.)
    pub(super) fn filtered(&self, backend: DatabaseBackend) -> Condition {
        let first = [self.rarest(), Selectivity::Joined];
        self.filter.iter().fold(Condition::all(), |all, common| {
            let is_first = first.contains(&common.rarity) || backend == DatabaseBackend::Postgres;
            all.add(if is_first { common.indexed.clone() } else { common.plain.clone() })
        })
    }

    /// What the index of the order of joining, or one that goes on by it, may be entered with.
    pub(super) fn along(&self) -> Condition {
        let first = [self.rarest(), Selectivity::Joined];
        let is_index = |common: &&Predicate| {
            self.is_by_date
                && first.contains(&common.rarity)
                && !matches!(common.rarity, Selectivity::One | Selectivity::Online | Selectivity::Usual)
        };
        self.filter.iter().filter(is_index).fold(Condition::all(), |all, common| all.add(common.indexed.clone()))
    }

    /// The users wanted, whom no index has to find.
    pub(super) fn condition(&self, backend: DatabaseBackend) -> Condition {
        let search = self.search.as_ref().map(|search| search.matches(backend));
        let all = Condition::all().add_option(search);
        self.filter.iter().fold(all, |all, common| all.add(common.plain.clone()))
    }

    /// Whether so few users are left by the filter that it is best to look at all of them.
    pub(super) async fn are_few(&self, db: &Db, seen: &Condition) -> Result<bool> {
        if self.rarest() == Selectivity::Usual {
            return Ok(false);
        }
        let mut some = ids(self.filtered(db.backend()).add(seen.clone()));
        Ok(number_of(db, some.limit(STRETCH + 1).take()).await? <= STRETCH)
    }

    /// The users wanted, found by an index: that of the search, unless few are left by the filter.
    pub(super) fn lookup(&self, backend: DatabaseBackend, are_few: bool, seen: &Condition) -> Select<user::Entity> {
        match &self.search {
            Some(search) if !are_few => {
                fenced(search.candidates(backend)).filter(self.condition(backend)).filter(seen.clone())
            }
            // Nearly all are wanted, and so the order is walked.
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

/// The users found by this, before anything else is asked of them: the limit keeps the database from beginning elsewhere.
fn fenced(first: Condition) -> Select<user::Entity> {
    of(all().cond_where(first).limit(i64::MAX.unsigned_abs()).take())
}

/// The ids of these users, for which an index may do alone.
pub(super) fn ids(users: Condition) -> SelectStatement {
    Query::select().column(Column::Id).from(user::Entity).cond_where(users).take()
}

/// All columns of all users.
pub(super) fn all() -> SelectStatement {
    Query::select().column(Asterisk).from(user::Entity).take()
}

/// How many rows this statement selects.
pub(super) async fn number_of(db: &Db, rows: SelectStatement) -> Result<u64> {
    let number = Func::count(Expr::col(Asterisk));
    let row = db.reader().query_one(Query::select().expr(number).from_subquery(rows, "users")).await?;
    let number: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}

/// The users that this statement selects, under the name of their table.
pub(super) fn of(rows: SelectStatement) -> Select<user::Entity> {
    let mut select = user::Entity::find();
    QueryTrait::query(&mut select).from_clear().from_subquery(rows, "users");
    select
}
