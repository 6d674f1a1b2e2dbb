//! The tokens that users make for scripts. A token acts as its owner within its scopes, and can neither make, renew nor
//! delete tokens; who may is decided in `domain/auth/identity.rs`.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::{SessionUser, Viewer};
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits};
use crate::entity::api_token::{self, Column, Scope, Scopes};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user;
use crate::error::{Code, Error, Reason, Refusal, Result};
use crate::tools::api_token::ApiToken;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::mail::span;
use crate::tools::text;

/// How many tokens a user may have, those that have run out included.
pub const TOKENS_PER_USER: u64 = 50;

/// The longest name of a token, in characters.
const MAX_NAME: usize = 100;

/// How exactly the last use is kept: a write for each request would be too many.
const LAST_USE: Duration = Duration::from_secs(60);

/// A token to make.
#[derive(Clone, Debug)]
pub struct Create {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it ends; without it, as late as the rules let it.
    pub expires_at: Option<Timestamp>,
}

/// What holds for every token.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The longest life of a token.
    pub longest_life: Duration,
    /// How many a user may create or rotate in a time.
    pub limits: &'a Limits,
}

/// The viewer's tokens, the newest first.
pub async fn list(db: &Db, viewer: &Viewer) -> Result<Vec<api_token::Model>> {
    let own = api_token::Entity::find().filter(Column::UserId.eq(viewer.user().id));
    Ok(own.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).all(db.reader()).await?)
}

/// Creates a token, and tells its owner by mail. The secret comes back with it, and is kept nowhere.
///
/// # Errors
/// What [`text::required_line`] says of `name`; [`Code::Required`] of `scopes`; [`Code::Invalid`] of `expiresAt` where
/// that has passed or lies beyond the longest life, and of nothing where the user has [`TOKENS_PER_USER`] already;
/// [`Error::RateLimited`] where the user has created or rotated too many.
pub async fn create(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    rules: Rules<'_>,
    input: Create,
) -> Result<(api_token::Model, ApiToken)> {
    let mut refusals = Vec::new();
    let name = text::required_line("name", &input.name, MAX_NAME);
    let name = name.map_err(|refusal| refusals.push(refusal)).unwrap_or_default();
    let scopes = Scopes::new(input.scopes);
    if scopes.is_empty() {
        refusals.push(Refusal::new(Code::Required, "Name one scope at least.").of("scopes"));
    }
    let latest = now.at.plus(rules.longest_life);
    let expires_at = input.expires_at.unwrap_or(latest);
    if expires_at <= now.at {
        refusals.push(Refusal::new(Code::Invalid, "The end must lie in the future.").of("expiresAt"));
    }
    if expires_at > latest {
        let message = format!(
            "An API token is valid for {} at most. Choose an end no later than {latest}, or leave it out.",
            span(rules.longest_life)
        );
        refusals.push(Refusal::new(Code::Invalid, message).of("expiresAt"));
    }
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }

    // With the owner's row locked, nobody else adds to what is counted.
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let present = api_token::Entity::find().filter(Column::UserId.eq(owner.user().id)).count(txn).await?;
    if present >= TOKENS_PER_USER {
        let message = format!("You have {TOKENS_PER_USER} API tokens, which is the most: delete one first.");
        return Err(Refusal::new(Code::Invalid, message).into());
    }
    rate_limits::take_api_token(txn, now, &authorized, rules.limits).await?;
    let secret = ApiToken::new(now.secret());
    let row = api_token::ActiveModel {
        id: Set(now.id()),
        user_id: Set(owner.user().id),
        name: Set(name),
        scopes: Set(scopes),
        digest: Set(secret.digest()),
        prefix: Set(secret.prefix()),
        created_at: Set(now.at),
        last_used_at: Set(None),
        expires_at: Set(Some(expires_at)),
    };
    let token = api_token::Entity::insert(row).exec_with_returning(txn).await?;
    audit::record(txn, now, Event::by(&authorized, Action::ApiTokenCreated, token.user_id)).await?;
    outbox::enqueue_for_token(txn, now, Kind::ApiTokenCreated, &authorized.user().email, &token).await?;
    authorized.commit().await?;
    Ok((token, secret))
}

/// Gives a token another secret, and tells its owner by mail; the present secret is dead at once. Name, scopes and end stay.
///
/// # Errors
/// [`Code::NotFound`] where the user has no such token; [`Code::Invalid`] where it has run out; [`Error::RateLimited`] where
/// the user has created or rotated too many.
pub async fn rotate(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    limits: &Limits,
    id: &str,
) -> Result<(api_token::Model, ApiToken)> {
    let own = own(&owner, id)?;
    let secret = ApiToken::new(now.secret());
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let rotated = api_token::Entity::update_many()
        .col_expr(Column::Digest, Expr::value(secret.digest()))
        .col_expr(Column::Prefix, Expr::value(secret.prefix()))
        .filter(own.clone())
        .filter(api_token::alive_at(now.at))
        .exec_with_returning(txn)
        .await?;
    let Some(token) = rotated.into_iter().next() else {
        let has_run_out = api_token::Entity::find().filter(own).one(txn).await?.is_some();
        return Err(if has_run_out { run_out() } else { not_found() }.into());
    };
    rate_limits::take_api_token(txn, now, &authorized, limits).await?;
    audit::record(txn, now, Event::by(&authorized, Action::ApiTokenRotated, token.user_id)).await?;
    outbox::enqueue_for_token(txn, now, Kind::ApiTokenRotated, &authorized.user().email, &token).await?;
    authorized.commit().await?;
    Ok((token, secret))
}

/// Deletes a token; it is dead at once.
///
/// # Errors
/// [`Code::NotFound`] where the user has no such token.
pub async fn delete(db: &Db, now: &Now, owner: SessionUser<'_>, id: &str) -> Result<api_token::Model> {
    let own = own(&owner, id)?;
    let authorized = owner.begin_ending(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let deleted = api_token::Entity::delete_many().filter(own).exec_with_returning(txn).await?;
    let token = deleted.into_iter().next().ok_or_else(not_found)?;
    audit::record(txn, now, Event::by(&authorized, Action::ApiTokenDeleted, token.user_id)).await?;
    authorized.commit().await?;
    Ok(token)
}

/// The token that a request came with, and its owner. A deleted one cannot be told from one that never was.
///
/// # Errors
/// [`Error::Unauthenticated`] with the reason.
pub(in crate::domain) async fn recognise(db: &Db, now: &Now, text: &str) -> Result<(api_token::Model, user::Model)> {
    let invalid = || Error::Unauthenticated(Reason::Invalid);
    let digest = crate::tools::api_token::digest_of(text).ok_or_else(invalid)?;
    let found = api_token::Entity::find().filter(Column::Digest.eq(digest));
    let found = found.find_also_related(user::Entity).all(db.reader()).await?;
    let Some((token, Some(user))) = found.into_iter().next() else {
        return Err(invalid());
    };
    if token.expires_at.is_some_and(|end| end <= now.at) {
        return Err(Error::Unauthenticated(Reason::Expired));
    }
    if user.is_active && token.last_used_at.is_none_or(|last| last <= now.at.minus(LAST_USE)) {
        note_use(db, now, token.id).await;
    }
    Ok((token, user))
}

/// Notes the present use, unless another request just did. A request does not fail because this did.
async fn note_use(db: &Db, now: &Now, id: Uuid) {
    let due = Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lte(now.at.minus(LAST_USE)));
    let noted = api_token::Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now.at))
        .filter(Column::Id.eq(id))
        .filter(due)
        .exec(db.writer());
    if let Err(error) = noted.await {
        tracing::warn!(%error, "the last use of an API token could not be noted");
    }
}

/// The owner's token with this id.
fn own(owner: &SessionUser<'_>, id: &str) -> Result<Condition, Refusal> {
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    Ok(Condition::all().add(Column::Id.eq(id)).add(Column::UserId.eq(owner.user().id)))
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "You have no such API token.").of("id")
}

fn run_out() -> Refusal {
    Refusal::new(Code::Invalid, "This API token has run out: create a new one.").of("id")
}
