//! Changing the password.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{CurrentPassword, prove_with_any};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::passwords::{self, NewPassword, Passwords};
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::outbox;
use crate::entity::audit_event::Action;
use crate::entity::user::Column;
use crate::entity::{mail, user};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// The current and the new password.
#[derive(Clone, Copy, Debug)]
pub struct ChangePassword<'a> {
    /// The current password; ignored for an account without one.
    pub old: &'a str,
    /// The new password.
    pub new: NewPassword<'a>,
}

/// Sets a new password and notifies the owner by mail. All other sessions end, and mailed links become invalid. API
/// tokens stay valid: the owner knows the old password and can list them. A reset ends them.
///
/// # Errors
/// [`crate::error::Code::PasswordIncorrect`] of `oldPassword`, [`crate::error::Code::ReauthenticationRequired`] without a
/// password, or the refusal of the new one.
pub async fn change_password(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    passwords: &Passwords,
    input: ChangePassword<'_>,
) -> Result<()> {
    let user = owner.user();
    owner.check_endings(db, now).await?;
    let current = CurrentPassword { typed: input.old, field: "oldPassword" };
    let proof = prove_with_any(db, now, owner, passwords, current).await?;
    passwords.refuse_temporary(user, input.new).await?;
    let hash = passwords.accept(input.new, &passwords::about(user)).await?;

    let authorized = owner.begin_ending(db, now, Also::Nobody).await?;
    proof.check(&authorized)?;
    let (txn, now) = authorized.parts();
    let event = Event::by(&authorized, Action::PasswordChanged, user.id);
    store(txn, now, authorized.user(), owner.session(), hash, event).await?;
    authorized.commit().await?;
    Ok(())
}

/// Stores the hash of a password chosen by its owner, in the transaction that authenticated the owner. The given
/// session stays valid.
pub(in crate::domain) async fn store(
    txn: &DatabaseTransaction,
    now: &Now,
    owner: &user::Model,
    session: Uuid,
    hash: String,
    event: Event<'_>,
) -> Result<()> {
    revocation::revoke(txn, now, &[owner.id], Cause::PasswordChanged(session)).await?;
    user::Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(hash))
        .col_expr(Column::TemporaryPasswordAt, Expr::value(Option::<Timestamp>::None))
        .col_expr(Column::UpdatedAt, Expr::value(now.at))
        .filter(Column::Id.eq(owner.id))
        .exec(txn)
        .await?;
    audit::record(txn, now, event).await?;
    outbox::enqueue(txn, now, mail::Kind::PasswordChanged, &owner.email, Some(owner.id)).await?;
    Ok(())
}
