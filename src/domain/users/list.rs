//! Finding users. Superusers show to superusers only.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::access::{Exporter, Staff, Viewer};
use crate::domain::audit::{self, Event};
use crate::domain::paging::{self, Page, Window};
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Column, visible_to};
use crate::error::{Error, Result};
use crate::tools::clock::Moment;

/// The longest separator of addresses, in characters.
const MAX_SEPARATOR: usize = 10;

/// A page of the users, the newest first.
///
/// # Errors
/// [`Error::BadInput`] where the window makes no sense.
pub async fn page(db: &Db, staff: Staff<'_>, window: &Window) -> Result<Page<user::Model>> {
    let list = user::Entity::find().filter(visible_to(staff.user()));
    paging::newest_first(db, list, window, (Column::DateJoined, Column::Id)).await
}

/// How many users there are.
pub async fn count(db: &Db, staff: Staff<'_>) -> Result<u64> {
    Ok(user::Entity::find().filter(visible_to(staff.user())).count(db.reader()).await?)
}

/// The user with this id; none where there is no such user, or none that may be seen.
pub async fn find(db: &Db, staff: Staff<'_>, id: &str) -> Result<Option<user::Model>> {
    let Ok(id) = Uuid::parse_str(id) else { return Ok(None) };
    Ok(user::Entity::find_by_id(id).filter(visible_to(staff.user())).one(db.reader()).await?)
}

/// Those of these users whom the viewer may see, in one statement.
pub async fn find_many(db: &Db, viewer: &Viewer, ids: &[Uuid]) -> Result<HashMap<Uuid, user::Model>> {
    let found = user::Entity::find().filter(Column::Id.is_in(ids.iter().copied())).filter(visible_to(viewer.user()));
    Ok(found.all(db.reader()).await?.into_iter().map(|user| (user.id, user)).collect())
}

/// The addresses of all users in alphabetical order, with `separator` between them; leaves an audit event.
///
/// # Errors
/// [`Error::Forbidden`] where the viewer is not staff; [`Error::BadInput`] where the separator is too long.
pub async fn all_emails(db: &Db, now: &Moment, exporter: Exporter<'_>, separator: &str) -> Result<String> {
    let staff = exporter.staff()?;
    if separator.chars().count() > MAX_SEPARATOR {
        return Err(Error::BadInput(format!("`separator` must have {MAX_SEPARATOR} characters at most.")));
    }
    audit::record(db.writer(), now, Event::by(&staff, Action::Exported, None)).await?;
    let addresses: Vec<String> = user::Entity::find()
        .filter(visible_to(staff.user()))
        .select_only()
        .column(Column::Email)
        .order_by_asc(Column::EmailKey)
        .into_tuple()
        .all(db.reader())
        .await?;
    Ok(addresses.join(separator))
}
