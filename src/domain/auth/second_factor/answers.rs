//! Proofs of second factors that are accepted now.

use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::SecondFactorRules;
use crate::domain::auth::passkeys::assertion::{self, RequestOptions};
use crate::domain::rate_limits;
use crate::entity::session::Method;
use crate::entity::{factor, recovery_code, user};
use crate::error::Result;
use crate::tools::clock::Now;

/// Accepted proofs.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Their methods.
    pub methods: Vec<Method>,
    /// Options for a browser, if a passkey is one of them.
    pub passkey: Option<RequestOptions>,
}

/// The proofs of a user's second factors that are accepted now, at a sign-in or within this session.
pub(in crate::domain) async fn accepted(
    db: &impl ConnectionTrait,
    now: &Now,
    rules: SecondFactorRules<'_>,
    user: &user::Model,
    session: Option<Uuid>,
) -> Result<Answers> {
    let is_stopped = rate_limits::has_stopped_totp(db, now, rules.limits, user.id, session).await?;
    let mut codes = recovery_code::Entity::find().filter(recovery_code::Column::UserId.eq(user.id));
    if is_stopped {
        // Imported ones can be guessed like codes of the app.
        codes = codes.filter(recovery_code::Column::SealedCode.is_null());
    }
    let has_codes = codes.count(db).await? > 0;
    let passkey = assertion::request_of(db, now, rules, user).await?;
    let has_app = factor::Entity::find().filter(factor::Column::UserId.eq(user.id)).count(db).await? > 0;
    let methods = [
        passkey.is_some().then_some(Method::Passkey),
        (has_app && !is_stopped).then_some(Method::Totp),
        has_codes.then_some(Method::RecoveryCode),
    ];
    Ok(Answers { methods: methods.into_iter().flatten().collect(), passkey })
}
