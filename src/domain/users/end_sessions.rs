//! Ending sessions of a user, by staff.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::not_found;
use crate::config::SessionConfig;
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Staff;
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::auth::sessions;
use crate::domain::users::guard_rails::{self, Change};
use crate::entity::audit_event::Action;
use crate::entity::session::{self, Column};
use crate::entity::user;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// Sessions to end.
#[derive(Clone, Debug)]
pub struct EndSessions {
    /// The user's id.
    pub id: String,
    /// The id of the only session to end; all if it is missing.
    pub session: Option<String>,
}

/// Ends one or all sessions of a user immediately; with all, also unfinished sign-ins. API tokens and links stay. Returns
/// the user and the valid sessions that ended.
///
/// # Errors
/// [`Code::NotFound`] of `id` if there is no such user, and of `sessionId` if the user has no such session; refusals of
/// the guard rails; [`crate::error::Error::Forbidden`] for API tokens.
pub async fn end(
    db: &Db,
    now: &Now,
    staff: Staff<'_>,
    lives: &SessionConfig,
    input: &EndSessions,
) -> Result<(user::Model, Vec<session::Model>)> {
    staff.session_user()?;
    let unknown_session = || Refusal::new(Code::NotFound, "user-session-unknown").of("sessionId");
    let id = Uuid::parse_str(&input.id).map_err(|_| not_found())?;
    let only = input.session.as_deref().map(Uuid::parse_str).transpose().map_err(|_| unknown_session())?;
    let authorized = staff.begin_ending(db, now, Also::Users(&[id])).await?;
    let (txn, now) = authorized.parts();
    let target = authorized.locked(id).ok_or_else(not_found)?.clone();
    guard_rails::check(staff.actor(), &target, Change::Endings).map_err(|refusal| refusal.of("id"))?;
    let valid = sessions::are_alive(now, lives)
        .add(Column::UserId.eq(id))
        .add_option(only.map(|session| Column::Id.eq(session)));
    let ended = session::Entity::find().filter(valid.clone()).all(txn).await?;
    let action = match only {
        Some(_) if ended.is_empty() => return Err(unknown_session().into()),
        Some(_) => {
            session::Entity::delete_many().filter(valid).exec(txn).await?;
            Action::SessionRevoked
        }
        None => {
            revocation::revoke(txn, now, &[id], Cause::SessionsEnded).await?;
            Action::SessionsRevoked
        }
    };
    audit::record(txn, now, Event::by(&authorized, action, id)).await?;
    authorized.commit().await?;
    Ok((target, ended))
}
