//! Listing users. Only superusers see superusers. See `query` for the fast lookup of a page.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::{Expr, Func};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::query::{LONG_STRETCH, Predicate, STRETCH, Selectivity, UserQuery, all, ids, number_of, of};
use crate::database::Db;
use crate::domain::auth::identity::{Exporter, Staff, Viewer};
use crate::domain::exports;
use crate::domain::paging::{Key, OrderBy, OrderTerm, Page, PageArgs, PageQuery};
use crate::domain::presence::ONLINE;
use crate::domain::rate_limits::Limits;
use crate::entity::user::{self, Column, Role, ids_visible_to_staff, last_seen, visible_to, visible_to_staff};
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::clock::{Now, Timestamp};

/// Maximum length of the separator of addresses, in characters.
const MAX_SEPARATOR: usize = 10;

/// One day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Search, filter, order and page of a list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Words that all match, each a part of a username, email address, name, telephone number or external id.
    pub search: Option<String>,
    /// The filter.
    pub filter: Filter,
    /// Sort keys, most significant first; newest first if empty.
    pub order: Vec<(Field, bool)>,
    /// The page of the list.
    pub page: PageArgs,
}

/// Users that match a search and a filter, for work on all of them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A part of a username, email address or name, in any case.
    pub search: Option<String>,
    /// The filter.
    pub filter: Filter,
}

impl Selection {
    /// The condition of the users, for a scan in the order of ids.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the search is invalid.
    pub(in crate::domain) fn condition(&self, db: &Db, now: &Now) -> Result<Condition> {
        let wanted = UserQuery::new(self.search.as_deref(), self.filter.terms(now), false)?;
        Ok(wanted.condition(db.backend()))
    }
}

/// Filter of users; a field that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The exact external id of the user.
    pub external_id: Option<String>,
    /// True for active accounts.
    pub is_active: Option<bool>,
    /// True for users with the staff flag.
    pub is_staff: Option<bool>,
    /// True for users with staff rights: by flag, by role, or as a superuser.
    pub is_staff_member: Option<bool>,
    /// True for users with a confirmed address.
    pub is_verified: Option<bool>,
    /// True for users with a second factor.
    pub has_second_factor: Option<bool>,
    /// True for users seen within the last five minutes.
    pub is_online: Option<bool>,
    /// The role.
    pub role: Option<Role>,
    /// The beginning of the day in UTC on which the user joined.
    pub joined_on: Option<Timestamp>,
    /// The user joined after this time.
    pub joined_after: Option<Timestamp>,
    /// The user joined before this time.
    pub joined_before: Option<Timestamp>,
}

/// A sort key of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The id.
    Id,
    /// The username, in any case.
    Username,
    /// The email address, in any case.
    Email,
    /// Given name, in any case.
    FirstName,
    /// Family name, in any case.
    LastName,
    /// The time of joining.
    DateJoined,
    /// The time of last activity; users without activity come first.
    LastActivity,
}

impl Field {
    fn term(self, descends: bool) -> OrderTerm<user::Model> {
        let column = |column| Expr::col((user::Entity, column));
        let (tag, sql, key) = match self {
            Self::Id => (0, column(Column::Id), Key::Id(|user: &user::Model| user.id)),
            Self::Username => (1, column(Column::UsernameKey), Key::Text(|user: &user::Model| &user.username_key)),
            Self::Email => (2, column(Column::EmailKey), Key::Text(|user: &user::Model| &user.email_key)),
            Self::FirstName => (3, column(Column::FirstNameKey), Key::Text(|user: &user::Model| &user.first_name_key)),
            Self::LastName => (4, column(Column::LastNameKey), Key::Text(|user: &user::Model| &user.last_name_key)),
            Self::DateJoined => {
                (5, column(Column::DateJoined), Key::Number(|user: &user::Model| user.date_joined.millis()))
            }
            Self::LastActivity => {
                (6, last_seen(), Key::Number(|user: &user::Model| user.last_activity.map_or(0, Timestamp::millis)))
            }
        };
        OrderTerm { tag, descends, sql, key }
    }
}

/// Completes the order so that it is unique. A key behind a unique key, or a repeated key, changes nothing.
fn terms(order: &[(Field, bool)]) -> OrderBy<user::Model> {
    let order = if order.is_empty() { &[(Field::DateJoined, true)] } else { order };
    let mut fields: Vec<(Field, bool)> = Vec::new();
    for &(field, descends) in order {
        if !fields.iter().any(|(known, _)| *known == field) {
            fields.push((field, descends));
        }
        if matches!(field, Field::Id | Field::Username | Field::Email) {
            break;
        }
    }
    match fields.last() {
        Some((Field::Id | Field::Username | Field::Email, _)) | None => {}
        Some((_, descends)) => fields.push((Field::Id, *descends)),
    }
    OrderBy(fields.into_iter().map(|(field, descends)| field.term(descends)).collect())
}

impl Filter {
    fn terms(&self, now: &Now) -> Vec<Predicate> {
        let itself = |column: Column, is: bool| {
            let column = Expr::col((user::Entity, column));
            if is { column } else { column.not() }
        };
        // The indexes cover only these few rows.
        let flag = |column: Column, is: Option<bool>, rare: (bool, Selectivity)| {
            is.map(|is| Predicate {
                rarity: if is == rare.0 { rare.1 } else { Selectivity::Usual },
                indexed: itself(column, is),
                plain: column.eq(is),
            })
        };
        let is_verified = self.is_verified.map(|is| Predicate {
            rarity: if is { Selectivity::Usual } else { Selectivity::Unverified },
            indexed: Column::IsVerified.eq(is),
            plain: itself(Column::IsVerified, is),
        });
        let online_since = now.at.minus(ONLINE).millis();
        let is_online = self.is_online.map(|is| match is {
            true => Predicate::of(Selectivity::Online, last_seen().gt(online_since)),
            false => Predicate::of(Selectivity::Usual, last_seen().lte(online_since)),
        });
        let role = self.role.map(|role| Predicate {
            rarity: if role == Role::Member { Selectivity::Usual } else { Selectivity::Role },
            indexed: Column::Role.eq(role),
            plain: Expr::expr(Func::coalesce([Expr::col((user::Entity, Column::Role)), Expr::value("")])).eq(role),
        });
        let joined = [
            self.joined_on.map(|day| Column::DateJoined.gte(day)),
            self.joined_on.map(|day| Column::DateJoined.lt(day.plus(DAY))),
            self.joined_after.map(|time| Column::DateJoined.gt(time)),
            self.joined_before.map(|time| Column::DateJoined.lt(time)),
        ];
        let is_staff_member = self.is_staff_member.map(|is| {
            let staff = itself(Column::IsStaff, true).or(user::superusers()).or(Column::Role.eq(Role::Admin));
            Predicate::of(Selectivity::Usual, if is { staff } else { staff.not() })
        });
        let external_id = self.external_id.as_deref();
        let others = [
            external_id.map(|id| Predicate::of(Selectivity::One, Column::ExternalId.eq(id))),
            is_online,
            flag(Column::IsStaff, self.is_staff, (true, Selectivity::Staff)),
            flag(Column::IsActive, self.is_active, (false, Selectivity::Inactive)),
            flag(Column::HasSecondFactor, self.has_second_factor, (true, Selectivity::SecondFactor)),
            role,
            is_verified,
            is_staff_member,
        ];
        let joined = joined.into_iter().flatten().map(|term| Predicate::of(Selectivity::Joined, term));
        let mut terms: Vec<Predicate> = others.into_iter().flatten().chain(joined).collect();
        terms.sort_by_key(|common| common.rarity);
        terms
    }
}

/// A page of a list of users.
///
/// # Errors
/// [`Error::BadInput`] if the page arguments or the search are invalid.
pub async fn page(db: &Db, now: &Now, staff: Staff<'_>, list: &List) -> Result<Page<user::Model>> {
    page_of(db, now, staff.user().is_superuser, list).await
}

/// A page of the list, with or without superusers.
pub(in crate::domain) async fn page_of(db: &Db, now: &Now, sees_all: bool, list: &List) -> Result<Page<user::Model>> {
    let span = PageQuery::new(&list.page, terms(&list.order))?;
    let wanted = wanted(now, list)?;
    let (seen, seen_ids) = (visible_to_staff(sees_all), ids_visible_to_staff(sees_all));
    let backend = db.backend();
    if wanted.is_walk() {
        let walk = wanted.filtered(backend);
        let rows = match span.depth() <= STRETCH {
            true => span.of(user::Entity::find().filter(walk).filter(seen)),
            // Rows that are filtered out on the way are read only in the index.
            false => {
                let mut page = ids(walk.add(seen_ids).add(span.between()));
                span.sort(&mut page);
                span.cut_keys(&mut page);
                span.sorted(user::Entity::find().filter(Column::Id.in_subquery(page)))
            }
        };
        return Ok(span.page(rows.all(db.reader()).await?));
    }
    let are_few = wanted.are_few(db, &seen_ids).await?;
    let rare = if are_few { None } else { wanted.rare(db).await? };
    if !are_few && rare.is_none() && span.depth() <= STRETCH {
        for length in [STRETCH, LONG_STRETCH] {
            let mut stretch = all().cond_where(wanted.along().add(seen.clone()).add(span.between())).take();
            span.sort(&mut stretch);
            // Both databases return the stretch in its order, and stop at the limit. A repeated ORDER BY would make
            // SQLite read and sort all of it.
            let walk = of(stretch.limit(length).take()).filter(wanted.condition(backend));
            let rows = span.cut(walk).all(db.reader()).await?;
            if span.is_full(&rows) {
                return Ok(span.page(rows));
            }
            let hoped = rows.len() as u64 * LONG_STRETCH / STRETCH;
            if !wanted.is_by_date() || hoped < span.depth() {
                break;
            }
        }
    }
    let lookup = wanted.lookup(backend, are_few, rare, &seen_ids);
    Ok(span.page(span.of(lookup).all(db.reader()).await?))
}

fn wanted(now: &Now, list: &List) -> Result<UserQuery> {
    let is_by_date = list.order.first().is_none_or(|(field, _)| *field == Field::DateJoined);
    UserQuery::new(list.search.as_deref(), list.filter.terms(now), is_by_date)
}

/// Number of users in the whole list.
///
/// # Errors
/// [`Error::BadInput`] if the search is invalid.
pub async fn count(db: &Db, now: &Now, staff: Staff<'_>, list: &List) -> Result<u64> {
    count_of(db, now, staff.user().is_superuser, list).await
}

/// Number of users in the list, with or without superusers.
pub(in crate::domain) async fn count_of(db: &Db, now: &Now, sees_all: bool, list: &List) -> Result<u64> {
    let wanted = wanted(now, list)?;
    let seen = ids_visible_to_staff(sees_all);
    if wanted.is_anybody() {
        // Faster than a check of each row.
        let unseen = match sees_all {
            true => 0,
            false => user::Entity::find().filter(user::superusers()).count(db.reader()).await?,
        };
        return Ok(number_of(db, ids(Condition::all())).await?.saturating_sub(unseen));
    }
    if !wanted.is_search() {
        return number_of(db, ids(wanted.filtered(db.backend()).add(seen))).await;
    }
    let are_few = wanted.are_few(db, &seen).await?;
    Ok(wanted.lookup(db.backend(), are_few, None, &seen).count(db.reader()).await?)
}

/// The user with this id; `None` if there is no such user, or the viewer may not see it.
pub async fn find(db: &Db, staff: Staff<'_>, id: &str) -> Result<Option<user::Model>> {
    let Ok(id) = Uuid::parse_str(id) else { return Ok(None) };
    Ok(user::Entity::find_by_id(id).filter(visible_to(staff.user())).one(db.reader()).await?)
}

/// The users with these ids whom the viewer may see, in one statement.
pub async fn find_many(db: &Db, viewer: &Viewer, ids: &[Uuid]) -> Result<HashMap<Uuid, user::Model>> {
    let found = user::Entity::find().filter(Column::Id.is_in(ids.iter().copied())).filter(visible_to(viewer.user()));
    Ok(found.all(db.reader()).await?.into_iter().map(|user| (user.id, user)).collect())
}

/// The addresses of all users in alphabetical order, joined by `separator`; records an audit event.
///
/// # Errors
/// [`Error::Forbidden`] if the viewer is not staff; [`Error::BadInput`] if the separator is too long.
pub async fn all_emails(
    db: &Db,
    now: &Now,
    exporter: Exporter<'_>,
    limits: &Limits,
    separator: &str,
) -> Result<String> {
    exporter.staff()?;
    if separator.chars().count() > MAX_SEPARATOR {
        return Err(Error::BadInput(Text::new("separator-too-long").with("max", MAX_SEPARATOR)));
    }
    let visible = exports::grant_users(db, now, exporter, limits).await?;
    let addresses: Vec<String> = user::Entity::find()
        .filter(visible)
        .select_only()
        .column(Column::Email)
        .order_by_asc(Column::EmailKey)
        .into_tuple()
        .all(db.reader())
        .await?;
    Ok(addresses.join(separator))
}
