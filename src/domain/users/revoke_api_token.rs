//! Revoking an API token of a user, by staff.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Staff;
use crate::domain::outbox;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::api_token::{self, Column};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Deletes the API token with this id, which is revoked immediately, and notifies its owner by mail.
///
/// # Errors
/// [`Code::NotFound`] if there is no such token, or its owner is not visible to the staff; refusals of the guard rails;
/// [`crate::error::Error::Forbidden`] for API tokens.
pub async fn revoke(db: &Db, now: &Now, staff: Staff<'_>, id: &str) -> Result<api_token::Model> {
    staff.session_user()?;
    let unknown = || Refusal::new(Code::NotFound, "user-api-token-unknown").of("id");
    let id = Uuid::parse_str(id).map_err(|_| unknown())?;
    let seen = api_token::Entity::find_by_id(id).filter(user::is_visible_to(staff.user(), Column::UserId));
    let owner = seen.one(db.reader()).await?.ok_or_else(unknown)?.user_id;
    let authorized = staff.begin_ending(db, now, Also::Users(&[owner])).await?;
    let (txn, now) = authorized.parts();
    let target = authorized.locked(owner).ok_or_else(unknown)?;
    guard_rails::check(staff.actor(), target, Change::Endings).map_err(|refusal| refusal.of("id"))?;
    let deleted = api_token::Entity::delete_many().filter(Column::Id.eq(id)).exec_with_returning(txn).await?;
    let token = deleted.into_iter().next().ok_or_else(unknown)?;
    audit::record(txn, now, Event::by(&authorized, Action::ApiTokenDeleted, owner)).await?;
    outbox::enqueue(txn, now, Kind::ApiTokenRevoked, &target.email, Some(owner)).await?;
    authorized.commit().await?;
    Ok(token)
}
