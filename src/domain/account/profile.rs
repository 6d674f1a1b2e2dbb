//! Changing names and other details.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{CurrentPassword, email_change, prove};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Viewer;
use crate::domain::auth::passwords::Passwords;
use crate::domain::rate_limits::{self, Purpose};
use crate::domain::users::details::Details;
use crate::domain::users::reserved::{self, ReservationHolder};
use crate::domain::users::taken;
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Column};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::identifier;

/// The changes; a field that is `None` stays unchanged.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Names and other details.
    pub details: Details,
    /// The new address; requires the current password.
    pub email: Option<String>,
    /// The current password.
    pub current_password: Option<String>,
}

/// Changes the viewer's own details. A new email address is stored as pending and receives a link: the account changes
/// when its owner follows that link. The response does not reveal whether the address belongs to another account. A
/// different spelling of the same address (see [`identifier::same_address`]) takes effect immediately. An input that
/// changes nothing writes nothing.
///
/// # Errors
/// One refusal for each invalid field; [`Code::Required`] or [`Code::PasswordIncorrect`] of `currentPassword`;
/// [`Error::Forbidden`] for an email address by an API token; [`Error::RateLimited`] after too many mails with links or
/// too many usernames or renames.
pub async fn update(db: &Db, now: &Now, viewer: &Viewer, passwords: &Passwords, input: Profile) -> Result<user::Model> {
    let user = viewer.user();
    let mut refusals = Vec::new();
    let details = input.details.check(&mut refusals);
    let email = input
        .email
        .and_then(|email| identifier::email(&email).map_err(|refusal| refusals.push(refusal.of("email"))).ok());
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    if details.username.as_ref().is_some_and(|name| *name != user.username) {
        rate_limits::take_username(db, now, user.id, passwords.limits()).await?;
    }
    let moves = email.filter(|email| *email != user.email);
    let mut proof = None;
    if moves.is_some() {
        let owner = viewer.session_user()?;
        let typed = input
            .current_password
            .as_deref()
            .ok_or_else(|| Refusal::new(Code::Required, "current-password-required").of("currentPassword"))?;
        let current = CurrentPassword { typed, field: "currentPassword" };
        proof = Some(prove(db, now, owner, passwords, current).await?);
        if let Some(email) = moves.as_ref().filter(|email| !identifier::same_address(email, &user.email)) {
            rate_limits::take_mail(db, now, viewer.client(), passwords.limits(), Purpose::NewAddress, email).await?;
        }
    }
    let details = details.changes(user);
    if details == Details::default() && moves.is_none() {
        return Ok(user.clone());
    }

    let authorized = viewer.begin(db, now, Also::Nobody).await?;
    proof.map_or(Ok(()), |proof| proof.check(&authorized))?;
    let (txn, now) = authorized.parts();
    let before = authorized.user();
    if let Some(username) = &details.username {
        reserved::may_rename(txn, now, before, username).await?;
    }
    let update = user::Entity::update_many().col_expr(Column::UpdatedAt, Expr::value(now.at));
    let update = details.write(update).filter(Column::Id.eq(user.id)).filter(Column::IsActive.eq(true));
    let changed = update.exec_with_returning(txn).await.map_err(taken)?;
    let mut user = changed.into_iter().next().ok_or(Error::Forbidden)?;
    reserved::claim(txn, now, (Some(before), &user), ReservationHolder::Reader).await?;
    if let Some(email) = moves {
        user = email_change::begin(txn, now, &user, email).await?;
    }
    audit::record(txn, now, Event::by(&authorized, Action::UserUpdated, user.id).changing(before, &user)).await?;
    authorized.commit().await?;
    Ok(user)
}
