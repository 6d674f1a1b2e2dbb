//! Replacing one's password.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::prove;
use crate::database::Db;
use crate::domain::access::{Also, Present};
use crate::domain::audit::{self, Event};
use crate::domain::outbox;
use crate::domain::passwords::{self, NewPassword, Passwords};
use crate::domain::revocation::{self, Cause};
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::audit_event::Action;
use crate::entity::user::Column;
use crate::entity::{mail, user};
use crate::error::Result;
use crate::tools::clock::{Moment, Timestamp};

/// The present password and the next.
#[derive(Clone, Copy, Debug)]
pub struct ChangePassword<'a> {
    /// The present password.
    pub old: &'a str,
    /// The next.
    pub new: NewPassword<'a>,
    /// The form of a page that was sent; it may come twice.
    pub form: Option<&'a SentForm>,
}

/// Sets a new password. The present session goes on, all others end, links in mails are dead, and the owner is told. API
/// tokens go on as well: the owner knows the old password and has all of them in a list. A reset ends them.
///
/// # Errors
/// [`crate::error::Code::PasswordIncorrect`] of `oldPassword`, or the refusal of the new one.
pub async fn change_password(
    db: &Db,
    now: &Moment,
    owner: Present<'_>,
    passwords: &Passwords,
    input: ChangePassword<'_>,
) -> Result<()> {
    let user = owner.user();
    let proof = prove(db, now, owner, passwords, (input.old, "oldPassword")).await?;
    passwords.refuse_temporary(user, input.new).await?;
    let hash = passwords.accept(input.new, &passwords::about(user)).await?;

    let authorized = owner.begin_ending(db, now, Also::Nobody).await?;
    proof.check(&authorized)?;
    let (txn, now) = authorized.parts();
    revocation::revoke(txn, &[user.id], Cause::PasswordChanged(owner.session())).await?;
    user::Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(hash))
        .col_expr(Column::TemporaryPasswordAt, Expr::value(Option::<Timestamp>::None))
        .col_expr(Column::UpdatedAt, Expr::value(now.at))
        .filter(Column::Id.eq(user.id))
        .exec(txn)
        .await?;
    audit::record(txn, now, Event::by(&authorized, Action::PasswordChanged, user.id)).await?;
    outbox::enqueue(txn, now, mail::Kind::PasswordChanged, &authorized.user().email, Some(user.id)).await?;
    sent_forms::note(txn, now, input.form).await?;
    authorized.commit().await?;
    Ok(())
}
