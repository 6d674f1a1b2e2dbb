//! A new proof of identity within a session, before sensitive operations.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{CurrentPassword, prove};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::passwords::Passwords;
use crate::domain::auth::sessions;
use crate::entity::audit_event::Action;
use crate::entity::session::{self, Column};
use crate::entity::user;
use crate::error::Result;
use crate::tools::clock::Now;

/// Records that the user of a session proved who they are, with their password. Sensitive operations of this session
/// then need no new proof for `VESTIBULE_REAUTHENTICATE_AFTER`. Other sessions are unaffected.
///
/// # Errors
/// [`crate::error::Code::PasswordIncorrect`], [`crate::error::Code::PasswordExpired`];
/// [`crate::error::Error::RateLimited`] after too many wrong passwords.
pub async fn reauthenticate(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    passwords: &Passwords,
    password: &str,
) -> Result<(session::Model, user::Model)> {
    let current = CurrentPassword { typed: password, field: "password" };
    let proof = prove(db, now, owner, passwords, current).await?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    proof.check(&authorized)?;
    let (txn, now) = authorized.parts();
    let proved = session::Entity::update_many()
        .col_expr(Column::AuthenticatedAt, Expr::value(now.at))
        .filter(Column::Id.eq(owner.session()))
        .exec_with_returning(txn)
        .await?;
    let session = proved.into_iter().next().ok_or_else(sessions::invalid_token)?;
    let user = authorized.user().clone();
    audit::record(txn, now, Event::by(&authorized, Action::Reauthenticated, user.id)).await?;
    authorized.commit().await?;
    Ok((session, user))
}
