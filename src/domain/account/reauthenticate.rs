//! A new proof of identity within a session, before sensitive operations: the password, or a code of the second factor.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::second_factor::add_method;
use super::{CurrentPassword, prove_by_password};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::second_factor::SecondProof;
use crate::domain::auth::second_factor::answers::{self, Answers};
use crate::domain::auth::second_factor::verify::{self, Failure};
use crate::domain::auth::sessions;
use crate::domain::auth::sign_in::SignInRules;
use crate::entity::audit_event::Action;
use crate::entity::session::{self, Column, Method};
use crate::entity::user;
use crate::error::Result;
use crate::tools::clock::Now;

/// A typed proof of identity.
#[derive(Clone, Copy, Debug)]
pub enum TypedProof<'a> {
    /// The password.
    Password(&'a str),
    /// A code of the second factor.
    Code(SecondProof<'a>),
}

/// Records that the user of a session proved who they are. Sensitive operations of this session then need no new proof
/// for `VESTIBULE_REAUTHENTICATE_AFTER`. Other sessions are unaffected.
///
/// # Errors
/// [`crate::error::Code::PasswordIncorrect`], [`crate::error::Code::PasswordExpired`];
/// [`crate::error::Error::RateLimited`] after too many wrong passwords.
/// [`crate::error::Code::SecondFactorIncorrect`], also without a second factor; [`crate::error::Code::TotpStopped`] after
/// too many wrong codes.
pub async fn reauthenticate(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    rules: SignInRules<'_>,
    typed: TypedProof<'_>,
) -> Result<(session::Model, user::Model)> {
    let (authorized, method) = match typed {
        TypedProof::Password(password) => {
            let current = CurrentPassword { typed: password, field: "password" };
            let proof = prove_by_password(db, now, owner, rules.passwords, current).await?;
            let authorized = owner.begin(db, now, Also::Nobody).await?;
            proof.check(&authorized)?;
            (authorized, Method::Password)
        }
        TypedProof::Code(code) => {
            let authorized = owner.begin(db, now, Also::Nobody).await?;
            by_code(authorized, owner.session(), rules, code).await?
        }
    };
    let (txn, now) = authorized.parts();
    add_method(txn, owner.session(), method).await?;
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

/// The proofs that [`reauthenticate`] accepts now.
///
/// # Errors
/// Database errors.
pub async fn accepted(db: &Db, now: &Now, owner: SessionUser<'_>, rules: SignInRules<'_>) -> Result<Answers> {
    let user = owner.user();
    let mut accepted = answers::accepted(db.reader(), now, rules.second_factor, user, Some(owner.session())).await?;
    if user.password_hash.is_some() && !rules.passwords.has_expired(user, now) {
        accepted.methods.insert(0, Method::Password);
    }
    Ok(accepted)
}

/// Verifies a code. A wrong one is counted and recorded, although nothing else of the transaction remains. Codes of users
/// without a second factor are not counted: none could be right.
async fn by_code(
    authorized: Authorized,
    session: Uuid,
    rules: SignInRules<'_>,
    code: SecondProof<'_>,
) -> Result<(Authorized, Method)> {
    let user = authorized.user();
    let (txn, now) = authorized.parts();
    let verified = if user.has_second_factor {
        verify::verify(txn, now, authorized.client(), rules.second_factor, user, code, Some(session)).await?
    } else {
        Err(Failure::Wrong)
    };
    match verified {
        Ok(method) => Ok((authorized, method)),
        Err(failure) => {
            let event = Event::by_anyone(authorized.client(), Action::LoginFailed, user.id);
            audit::record(txn, now, event.because(failure.reason())).await?;
            authorized.commit().await?;
            Err(failure.refusal(code).into())
        }
    }
}
