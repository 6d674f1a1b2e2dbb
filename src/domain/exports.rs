//! Exports of lists as files. An export is recorded before its first row leaves the service. Rows are read in pages by
//! separate statements, so that a long list or a slow client occupies neither memory nor a reader of the database. An
//! export that is first written into a file is recorded when the file is complete: if writing fails, nothing was
//! exported.
//!
//! Rows are in the order of their ids, which is the order of creation. Ids never change, so a row that changes during
//! the export is neither missing nor duplicated.

use sea_orm::{ActiveEnum as _, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use sea_orm::{QuerySelect as _, Select};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authenticate;
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::{Caller, Exporter};
use crate::domain::import::spreadsheet;
use crate::domain::paging::PageArgs;
use crate::domain::rate_limits::{self, Limits};
use crate::domain::users::list::Selection;
use crate::entity::audit_event::Action;
use crate::entity::{audit_event, sample, user};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::sheet::Row;

/// Number of rows read at a time.
const PAGE: u64 = 500;

/// Headings of the export of samples.
const SAMPLE_COLUMNS: [&str; 5] = ["id", "key", "title", "created_at", "modified_at"];

/// Headings of the export of users. The first ten are those of the import.
const USER_COLUMNS: [&str; 16] = [
    "email",
    "username",
    "first_name",
    "last_name",
    "bio",
    "phone",
    "address",
    "role",
    "permission",
    "is_active",
    "is_staff",
    "is_verified",
    "date_joined",
    "last_login",
    "external_id",
    "id",
];

/// Headings of the export of audit events.
const EVENT_COLUMNS: [&str; 9] =
    ["id", "created_at", "action", "reason", "actor_id", "target_id", "changes", "ip", "user_agent"];

/// Number of audit events read at a time.
const EVENTS: i32 = 200;

/// Columns of times.
const TIME_COLUMNS: [&str; 4] = ["created_at", "modified_at", "date_joined", "last_login"];

/// Columns of long texts.
const WIDE_COLUMNS: [&str; 5] = ["id", "email", "address", "bio", "title"];

/// An export that was granted and recorded.
#[derive(Clone, Debug)]
pub struct Export {
    /// The caller it was granted to; none if its contents need no rights.
    granted_to: Option<Caller>,
    list: List,
    after: Option<Uuid>,
    is_complete: bool,
}

/// The rights that an export was granted to.
#[derive(Clone, Debug)]
pub struct Grant {
    to: Option<Caller>,
    is_of_users: bool,
}

impl Grant {
    /// The rights to the caller's own data.
    pub(in crate::domain) fn of_own(caller: Caller) -> Self {
        Self { to: Some(caller), is_of_users: false }
    }

    /// Checks that the rights are still valid. Returns the caller as of now; `None` if no rights are needed.
    ///
    /// # Errors
    /// [`crate::error::Error::Unauthenticated`] and [`crate::error::Error::Forbidden`] if session, API token, signing
    /// key, account or rights have ended since.
    pub async fn check(&self, db: &Db, now: &Now) -> Result<Option<Caller>> {
        let Some(caller) = &self.to else { return Ok(None) };
        let caller = authenticate::still_alive(db, now, caller).await?;
        let rights = caller.exporter()?;
        if self.is_of_users {
            rights.staff()?;
        }
        Ok(Some(caller))
    }
}

/// The exported list.
#[derive(Clone, Debug)]
enum List {
    Samples(Select<sample::Entity>),
    Users(Select<user::Entity>),
    /// Users with the columns of the import.
    Sheet(Select<user::Entity>),
    /// Audit events, newest first, and the cursor of the last one read.
    Events(audit::list::Filter, Option<String>),
}

/// Exports the samples that the viewer was the last to modify. Records an audit event.
///
/// # Errors
/// [`crate::error::Error::RateLimited`].
pub async fn samples(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Export> {
    let own = exporter.user().id;
    rate_limits::take_bulk(db, now, &exporter, limits).await?;
    let authorized = exporter.begin(db, now, Also::Nobody).await?;
    record(authorized, Some(own)).await?;
    let list = sample::Entity::find().filter(sample::Column::ModifiedBy.eq(own)).order_by_asc(sample::Column::Id);
    Ok(Export::of(Some(exporter.caller()), List::Samples(list)))
}

/// Exports the selected users; superusers only for superusers. Records an audit event.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] if the viewer is not staff; [`crate::error::Error::BadInput`] if the search is
/// invalid; [`crate::error::Error::RateLimited`].
pub async fn users(
    db: &Db,
    now: &Now,
    exporter: Exporter<'_>,
    limits: &Limits,
    selection: &Selection,
) -> Result<Export> {
    let selected = selection.condition(db, now)?;
    let visible = grant_users(db, now, exporter, limits).await?;
    Ok(Export::of(Some(exporter.caller()), List::Users(in_order(visible.add(selected)))))
}

/// Exports the same users for a file that is written before it is sent. The caller of the function records the export
/// by [`record_users`] before sending it.
///
/// # Errors
/// As for [`users`].
pub async fn users_for_file(
    db: &Db,
    now: &Now,
    exporter: Exporter<'_>,
    limits: &Limits,
    selection: &Selection,
) -> Result<Export> {
    let selected = selection.condition(db, now)?;
    let users = users_of_file(db, now, exporter, limits).await?.filter(selected);
    Ok(Export::of(Some(exporter.caller()), List::Users(users)))
}

/// Exports all users for a file, with the columns of the import.
///
/// # Errors
/// As for [`users`].
pub async fn users_to_import(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Export> {
    Ok(Export::of(Some(exporter.caller()), List::Sheet(users_of_file(db, now, exporter, limits).await?)))
}

/// Exports the selected audit events, newest first, as far as the viewer sees them. Records an audit event.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] if the viewer is not staff; [`crate::error::Error::RateLimited`].
pub async fn events(
    db: &Db,
    now: &Now,
    exporter: Exporter<'_>,
    limits: &Limits,
    filter: audit::list::Filter,
) -> Result<Export> {
    grant_users(db, now, exporter, limits).await?;
    Ok(Export::of(Some(exporter.caller()), List::Events(filter, None)))
}

/// Checks that the caller may export users. Nothing is counted or recorded.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] if the viewer is not staff.
pub fn may_export_users(exporter: Exporter<'_>) -> Result<()> {
    exporter.staff().map(drop)
}

/// Records an export of users, after a check that the caller is still staff. Returns the condition for the visible
/// users. Must be called before the first row leaves the service.
///
/// # Errors
/// [`crate::error::Error::Unauthenticated`] and [`crate::error::Error::Forbidden`] if rights have ended since.
pub async fn record_users(db: &Db, now: &Now, exporter: Exporter<'_>) -> Result<Condition> {
    let authorized = exporter.staff()?.begin(db, now, Also::Nobody).await?;
    let visible = user::visible_to(authorized.user());
    record(authorized, None).await?;
    Ok(visible)
}

/// Records an export.
async fn record(authorized: Authorized, target: Option<Uuid>) -> Result<()> {
    let (txn, now) = authorized.parts();
    audit::record(txn, now, Event::by(&authorized, Action::Exported, target)).await?;
    authorized.commit().await
}

/// Counts and records an export of users. Returns the condition for the visible users.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] if the viewer is not staff; [`crate::error::Error::RateLimited`].
pub(super) async fn grant_users(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Condition> {
    exporter.staff()?;
    rate_limits::take_bulk(db, now, &exporter, limits).await?;
    record_users(db, now, exporter).await
}

/// Users for a file, counted but not recorded.
async fn users_of_file(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Select<user::Entity>> {
    let staff = exporter.staff()?;
    rate_limits::take_bulk(db, now, &exporter, limits).await?;
    Ok(in_order(user::visible_to(staff.user())))
}

fn in_order(visible: Condition) -> Select<user::Entity> {
    user::Entity::find().filter(visible).order_by_asc(user::Column::Id)
}

impl Export {
    fn of(granted_to: Option<Caller>, list: List) -> Self {
        Self { granted_to, list, after: None, is_complete: false }
    }

    /// An export with the columns of the import and no rows.
    pub fn no_users() -> Self {
        Self { is_complete: true, ..Self::of(None, List::Sheet(user::Entity::find())) }
    }

    /// Its grant, for a file that is sent after all rows were read.
    pub fn grant(&self) -> Grant {
        Grant { to: self.granted_to.clone(), is_of_users: !matches!(self.list, List::Samples(_)) }
    }

    /// The headings of the columns.
    pub fn columns(&self) -> &'static [&'static str] {
        match self.list {
            List::Samples(_) => &SAMPLE_COLUMNS,
            List::Users(_) => &USER_COLUMNS,
            List::Sheet(_) => &spreadsheet::COLUMNS,
            List::Events(..) => &EVENT_COLUMNS,
        }
    }

    /// True for a column of times in RFC 3339.
    pub fn is_time(&self, column: &str) -> bool {
        TIME_COLUMNS.contains(&column)
    }

    /// True for a column of long texts.
    pub fn is_wide(&self, column: &str) -> bool {
        WIDE_COLUMNS.contains(&column)
    }

    /// The accepted values of a column; empty if any text is accepted.
    pub fn values(&self, column: &str) -> &'static [&'static str] {
        let known = spreadsheet::columns::ALL.iter().filter(|_| !matches!(self.list, List::Samples(_)));
        known.into_iter().find(|known| known.name == column).map_or(&[], |known| known.values)
    }

    /// Explanations of the columns as rows below a heading; empty except for the template of the import.
    pub fn explanations(&self) -> Vec<[String; 4]> {
        if matches!(self.list, List::Sheet(_)) { spreadsheet::columns::explained() } else { Vec::new() }
    }

    /// The next page of rows; none at the end.
    ///
    /// # Errors
    /// [`crate::error::Error::Unauthenticated`] and [`crate::error::Error::Forbidden`] if session, API token, account
    /// or rights have ended since the last page: a slow client can take long.
    pub async fn next(&mut self, db: &Db, now: &Now) -> Result<Option<Vec<Row>>> {
        if self.is_complete {
            return Ok(None);
        }
        let caller = self.grant().check(db, now).await?;
        let (rows, last) = match &mut self.list {
            List::Events(filter, cursor) => {
                let Some(caller) = caller else { return Ok(None) };
                let exporter = caller.exporter()?;
                let staff = exporter.staff()?;
                let page = PageArgs { first: Some(EVENTS), after: cursor.take(), ..PageArgs::default() };
                let page = audit::list::page(db, staff, filter, &page).await?;
                *cursor = page.rows.last().map(|(_, cursor)| cursor.clone());
                self.is_complete = !page.has_next;
                let rows: Vec<Row> = page.rows.into_iter().map(|(event, _)| event_row(event)).collect();
                return Ok(Some(rows).filter(|rows| !rows.is_empty()));
            }
            List::Samples(list) => {
                let page = list.clone().filter(self.beyond(sample::Column::Id)).limit(PAGE).all(db.reader()).await?;
                let last = page.last().map(|sample| sample.id);
                (page.into_iter().map(sample_row).collect::<Vec<_>>(), last)
            }
            List::Users(list) | List::Sheet(list) => {
                let page = list.clone().filter(self.beyond(user::Column::Id)).limit(PAGE).all(db.reader()).await?;
                let last = page.last().map(|user| user.id);
                let width = self.columns().len();
                (page.into_iter().map(|user| user_row(user).into_iter().take(width).collect()).collect(), last)
            }
        };
        self.after = last;
        self.is_complete = (rows.len() as u64) < PAGE;
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    fn beyond(&self, id: impl sea_orm::ColumnTrait) -> Condition {
        Condition::all().add_option(self.after.map(|after| id.gt(after)))
    }
}

fn event_row(event: audit_event::Model) -> Row {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    vec![
        event.id.to_string(),
        event.created_at.to_string(),
        event.action.to_value(),
        event.reason.map(|reason| reason.to_value()).unwrap_or_default(),
        id(event.actor_id),
        id(event.target_id),
        event.changes.map(|changes| changes.to_string()).unwrap_or_default(),
        event.ip.unwrap_or_default(),
        event.user_agent.unwrap_or_default(),
    ]
}

fn sample_row(sample: sample::Model) -> Row {
    let sample::Model { id, key, title, created_at, modified_at, .. } = sample;
    vec![id.to_string(), key, title, created_at.to_string(), modified_at.to_string()]
}

fn user_row(user: user::Model) -> Row {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    vec![
        user.email,
        user.username,
        user.first_name,
        user.last_name,
        user.bio,
        user.phone,
        user.address,
        user.role.to_value(),
        user.permission.to_value(),
        user.is_active.to_string(),
        user.is_staff.to_string(),
        user.is_verified.to_string(),
        user.date_joined.to_string(),
        time(user.last_login),
        user.external_id.unwrap_or_default(),
        user.id.to_string(),
    ]
}
