//! Lists as files. An export is recorded before its first row leaves the service, and read in pages, each by a statement of
//! its own, so that it holds neither memory nor a reader of the database, however long the list and slow the client. One that
//! is written into a file first is recorded once the file is whole: where writing fails, nothing was exported.
//!
//! Rows come in the order of their ids, which is that of their making. Ids never change, so a row that is changed
//! meanwhile is neither missing nor there twice.

use sea_orm::{ActiveEnum as _, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use sea_orm::{QuerySelect as _, Select};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authenticate;
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::{Caller, Exporter};
use crate::domain::import::spreadsheet;
use crate::domain::rate_limits::{self, Limits};
use crate::entity::audit_event::Action;
use crate::entity::{sample, user};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::sheet::Row;

/// How many rows are read at a time.
const PAGE: u64 = 500;

/// What the columns of samples are called.
const SAMPLE_COLUMNS: [&str; 5] = ["id", "key", "title", "created_at", "modified_at"];

/// What the columns of users are called. The first ten are those of the sheet that users are imported from.
const USER_COLUMNS: [&str; 15] = [
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
];

/// An export that was granted and recorded.
#[derive(Clone, Debug)]
pub struct Export {
    /// Whoever it was granted to; none where there is nothing in it that needs a right.
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
    /// Checks that they are still there.
    ///
    /// # Errors
    /// [`crate::error::Error::Unauthenticated`] and [`crate::error::Error::Forbidden`] where session, API token, signing key,
    /// account or rights have ended since.
    pub async fn check(&self, db: &Db, now: &Now) -> Result<()> {
        let Some(caller) = &self.to else { return Ok(()) };
        let caller = authenticate::still_alive(db, now, caller).await?;
        let rights = caller.exporter()?;
        if self.is_of_users {
            rights.staff()?;
        }
        Ok(())
    }
}

/// What is exported.
#[derive(Clone, Debug)]
enum List {
    Samples(Select<sample::Entity>),
    Users(Select<user::Entity>),
    /// Users by the columns that can be imported.
    Sheet(Select<user::Entity>),
}

/// The samples that the viewer modified last; leaves an audit event.
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

/// All users; superusers show to superusers only. Leaves an audit event.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] where the viewer is not staff; [`crate::error::Error::RateLimited`].
pub async fn users(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Export> {
    let visible = grant_users(db, now, exporter, limits).await?;
    Ok(Export::of(Some(exporter.caller()), List::Users(in_order(visible))))
}

/// The same users, for a file that is written before anybody gets some of it. The caller records it by [`record_users`] before that.
///
/// # Errors
/// As for [`users`].
pub async fn users_for_file(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Export> {
    Ok(Export::of(Some(exporter.caller()), List::Users(users_of_file(db, now, exporter, limits).await?)))
}

/// The same users, by the columns that can be imported, for a file as well.
///
/// # Errors
/// As for [`users`].
pub async fn users_to_import(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Export> {
    Ok(Export::of(Some(exporter.caller()), List::Sheet(users_of_file(db, now, exporter, limits).await?)))
}

/// Whether the caller may export users, without doing so: nothing is counted or recorded.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] where the viewer is not staff.
pub fn may_export_users(exporter: Exporter<'_>) -> Result<()> {
    exporter.staff().map(drop)
}

/// Records an export of users, for somebody who is still staff. Returns the users whom they may see. To be called before
/// any of them leaves the service.
///
/// # Errors
/// [`crate::error::Error::Unauthenticated`] and [`crate::error::Error::Forbidden`] where rights have ended since.
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

/// Counts an export of users and records it, for somebody who is still staff. Returns the users whom they may see.
///
/// # Errors
/// [`crate::error::Error::Forbidden`] where the viewer is not staff; [`crate::error::Error::RateLimited`].
pub(super) async fn grant_users(db: &Db, now: &Now, exporter: Exporter<'_>, limits: &Limits) -> Result<Condition> {
    exporter.staff()?;
    rate_limits::take_bulk(db, now, &exporter, limits).await?;
    record_users(db, now, exporter).await
}

/// Users for a file, counted and not recorded.
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

    /// The columns that can be imported, and nothing below them.
    pub fn no_users() -> Self {
        Self { is_complete: true, ..Self::of(None, List::Sheet(user::Entity::find())) }
    }

    /// Its grant, for a file that goes out once all rows were read.
    pub fn grant(&self) -> Grant {
        Grant { to: self.granted_to.clone(), is_of_users: !matches!(self.list, List::Samples(_)) }
    }

    /// What the columns are called.
    pub fn columns(&self) -> &'static [&'static str] {
        match self.list {
            List::Samples(_) => &SAMPLE_COLUMNS,
            List::Users(_) => &USER_COLUMNS,
            List::Sheet(_) => &spreadsheet::COLUMNS,
        }
    }

    /// The values that a column takes; empty where it takes any text.
    pub fn values(&self, column: &str) -> &'static [&'static str] {
        let known = spreadsheet::columns::ALL.iter().filter(|_| !matches!(self.list, List::Samples(_)));
        known.into_iter().find(|known| known.name == column).map_or(&[], |known| known.values)
    }

    /// Explanations of the columns, row by row, below a heading; none but for the sheet to fill in.
    pub fn explanations(&self) -> Vec<[String; 4]> {
        if matches!(self.list, List::Sheet(_)) { spreadsheet::columns::explained() } else { Vec::new() }
    }

    /// The next rows; none where there are no more.
    ///
    /// # Errors
    /// [`crate::error::Error::Unauthenticated`] and [`crate::error::Error::Forbidden`] where session, API token, account or
    /// rights have ended since the page before: a client that reads slowly may take long.
    pub async fn next(&mut self, db: &Db, now: &Now) -> Result<Option<Vec<Row>>> {
        if self.is_complete {
            return Ok(None);
        }
        self.grant().check(db, now).await?;
        let (rows, last) = match &self.list {
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
    ]
}
