//! Changing one's names and other details.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{email_change, prove};
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

/// What to change; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Names and the like.
    pub details: Details,
    /// The address to move to; needs the present password.
    pub email: Option<String>,
    /// The present password.
    pub current_password: Option<String>,
}

/// Changes the viewer's own details. A new email address is only noted, and a link mailed to it: the account moves
/// when its owner follows that. Whether the address belongs to somebody else is not told. Only another spelling of the
/// same address (see [`identifier::same_address`]) holds at once. An input that changes nothing writes nothing.
///
/// # Errors
/// One refusal for each field that is wrong; [`Code::Required`] or [`Code::PasswordIncorrect`] of `currentPassword`;
/// [`Error::Forbidden`] for an e-mail address by an API token; [`Error::RateLimited`] after too many mails with links or
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
        let password = input.current_password.as_deref().ok_or_else(|| {
            Refusal::new(Code::Required, "Give your present password to change your address.").of("currentPassword")
        })?;
        proof = Some(prove(db, now, owner, passwords, (password, "currentPassword")).await?);
        if let Some(email) = moves.as_ref().filter(|email| !identifier::same_address(email, &user.email)) {
            rate_limits::take_mail(db, now, viewer.client(), passwords.limits(), (Purpose::NewAddress, email)).await?;
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
