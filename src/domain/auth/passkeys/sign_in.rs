//! Sign-in with a passkey alone.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::assertion::{self, PasskeyAnswer, refused};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::second_factor::Proven;
use crate::domain::auth::sessions;
use crate::domain::auth::sign_in::SignInRules;
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::audit_event::Action;
use crate::entity::{session, user};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::token::RefreshToken;

/// Input of the sign-in.
#[derive(Clone, Copy, Debug)]
pub struct PasskeySignIn<'a> {
    /// The browser's answer.
    pub answer: &'a PasskeyAnswer,
    /// The refresh token of the request's cookie; the new session replaces its session.
    pub replaces: Option<RefreshToken>,
    /// The submitted form of a page; a repeated submission is recognized by it.
    pub form: Option<&'a SentForm>,
}

/// Opens a session for the user of a passkey.
///
/// # Errors
/// [`crate::error::Code::InvalidCredentials`] for an unknown passkey or a wrong answer, also if its user is deactivated
/// or unverified; [`crate::error::Code::InvalidToken`] if the challenge has expired or was used;
/// [`crate::error::Error::Forbidden`] if the site has no domain.
pub async fn sign_in(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: SignInRules<'_>,
    input: PasskeySignIn<'_>,
) -> Result<(session::Model, user::Model)> {
    let verified = assertion::verify(db.reader(), now, rules.second_factor, input.answer).await?;
    let id = verified.passkey.user_id;
    let (txn, _) = db.begin(now).await?;
    sessions::lock_owners(&txn, Some(id), input.replaces.map(|token| token.session)).await?;
    // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
    let now = &now.anew();
    let user = user::Entity::find_by_id(id).one(&txn).await?.ok_or_else(refused)?;
    if !user.is_active || !user.is_verified {
        return Err(refused().into());
    }
    if let Err(refusal) = assertion::spend(&txn, now, client, &user, &verified).await? {
        txn.commit().await?;
        return Err(refusal.into());
    }
    if let Some(replaced) = input.replaces {
        sessions::replace(&txn, now, client, rules.lives, replaced).await?;
    }
    let session = sessions::open(&txn, now, client, rules.lives, &Proven::by_passkey(&user)).await?;
    let signed_in = user::Entity::update_many()
        .col_expr(user::Column::LastLogin, Expr::value(now.at))
        .filter(user::Column::Id.eq(id));
    let user = signed_in.exec_with_returning(&txn).await?.into_iter().next().ok_or_else(refused)?;
    audit::record(&txn, now, Event::by_owner(client, Action::Login, id)).await?;
    sent_forms::note(&txn, now, input.form).await?;
    txn.commit().await?;
    Ok((session, user))
}
