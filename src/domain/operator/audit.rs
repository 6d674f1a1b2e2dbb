//! Reading the audit trail.

use std::collections::HashMap;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::domain::audit::list::{self, Filter};
use crate::domain::paging::{Page, PageArgs};
use crate::entity::{audit_event, user};
use crate::error::Result;

/// A page of the trail, newest events first, including those of superusers.
///
/// # Errors
/// [`crate::error::Error::BadInput`] if the page arguments are invalid.
pub async fn page(db: &Db, _operator: &Operator, filter: &Filter, page: &PageArgs) -> Result<Page<audit_event::Model>> {
    list::page_of(db, true, filter, page).await
}

/// Email addresses of the users in these events, by id. Deleted users have none.
pub async fn addresses(db: &Db, _operator: &Operator, events: &[audit_event::Model]) -> Result<HashMap<Uuid, String>> {
    let named = events.iter().flat_map(|event| [event.actor_id, event.target_id]).flatten();
    let users = user::Entity::find().filter(user::Column::Id.is_in(named)).select_only();
    let users = users.column(user::Column::Id).column(user::Column::Email);
    Ok(users.into_tuple::<(Uuid, String)>().all(db.reader()).await?.into_iter().collect())
}
