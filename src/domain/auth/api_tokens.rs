//! Personal API tokens for scripts. A token acts as its owner within its scopes, and cannot create, rotate or delete
//! tokens; `domain/auth/identity.rs` defines the rights.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, Select,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::{SessionUser, Viewer};
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits};
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::api_token::{self, Column, Scope, Scopes};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user;
use crate::error::{Code, Error, Reason, Refusal, Result};
use crate::tools::api_token::ApiToken;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::text;

/// Maximum number of tokens per user, expired ones included.
pub const TOKENS_PER_USER: u64 = 50;

/// Maximum length of a token's name, in characters.
const MAX_NAME: usize = 100;

/// Precision of the last use: one write per request would be too many.
const LAST_USE: Duration = Duration::from_secs(60);

/// Input for a new token.
#[derive(Clone, Debug)]
pub struct Create {
    /// Name given by the owner.
    pub name: String,
    /// The scopes.
    pub scopes: Vec<Scope>,
    /// Time of expiry; by default the latest allowed time.
    pub expires_at: Option<Timestamp>,
}

/// Settings of all tokens.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Maximum lifetime of a token.
    pub longest_life: Duration,
    /// Limits on the creation and rotation of tokens.
    pub limits: &'a Limits,
}

fn tokens_of(viewer: &Viewer) -> Select<api_token::Entity> {
    api_token::Entity::find().filter(Column::UserId.eq(viewer.user().id))
}

/// The viewer's tokens, newest first.
pub async fn list(db: &Db, viewer: &Viewer) -> Result<Vec<api_token::Model>> {
    Ok(tokens_of(viewer).order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).all(db.reader()).await?)
}

/// The tokens of these users, as far as the viewer may see the users: staff others, everybody themself. Those of each user
/// are in the order of [`list`].
pub async fn of_users(db: &Db, viewer: &Viewer, users: &[Uuid]) -> Result<HashMap<Uuid, Vec<api_token::Model>>> {
    let theirs = Condition::all()
        .add(Column::UserId.is_in(users.iter().copied()))
        .add(user::is_visible_to(viewer.user(), Column::UserId));
    let tokens = api_token::Entity::find().filter(theirs);
    let tokens = tokens.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id);
    let mut found: HashMap<Uuid, Vec<api_token::Model>> = HashMap::new();
    for token in tokens.all(db.reader()).await? {
        found.entry(token.user_id).or_default().push(token);
    }
    Ok(found)
}

/// The viewer's tokens among these, in one statement.
pub async fn find_many(db: &Db, viewer: &Viewer, ids: &[Uuid]) -> Result<HashMap<Uuid, api_token::Model>> {
    let found = tokens_of(viewer).filter(Column::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(found.into_iter().map(|token| (token.id, token)).collect())
}

/// Creates a token and notifies its owner by mail. The secret is returned and not stored. A repeated submission of a
/// page is recognized by its form.
///
/// # Errors
/// Errors of [`text::required_line`] for `name`; of `scopes` [`Code::Required`], and [`Code::Invalid`] for MANAGE_USERS
/// of a user who is not staff; [`Code::Invalid`] of `expiresAt` if it has passed or exceeds the maximum lifetime, and of
/// no field if the user has [`TOKENS_PER_USER`] already; [`Code::ReauthenticationRequired`]; [`Error::RateLimited`] if
/// the user has created or rotated too many.
pub async fn create(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    rules: Rules<'_>,
    input: Create,
    form: Option<&SentForm>,
) -> Result<(api_token::Model, ApiToken)> {
    let mut refusals = Vec::new();
    let name = text::required_line("name", &input.name, MAX_NAME);
    let name = name.map_err(|refusal| refusals.push(refusal)).unwrap_or_default();
    let scopes = Scopes::new(input.scopes);
    if scopes.is_empty() {
        refusals.push(Refusal::new(Code::Required, "api-token-scope-required").of("scopes"));
    }
    let latest = now.at.plus(rules.longest_life);
    let expires_at = input.expires_at.unwrap_or(latest);
    if expires_at <= now.at {
        refusals.push(Refusal::new(Code::Invalid, "api-token-expiry-past").of("expiresAt"));
    }
    if expires_at > latest {
        let refusal = Refusal::new(Code::Invalid, "api-token-expiry-late").with("latest", latest.to_string());
        refusals.push(refusal.of("expiresAt"));
    }
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }

    // The lock on the owner's row keeps the count exact.
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    refuse_for_staff_only(&authorized, &scopes).map_err(|refusal| refusal.of("scopes"))?;
    authorized.check_recent_proof(now)?;
    let present = api_token::Entity::find().filter(Column::UserId.eq(owner.user().id)).count(txn).await?;
    if present >= TOKENS_PER_USER {
        return Err(Refusal::new(Code::Invalid, "api-token-limit").with("max", TOKENS_PER_USER).into());
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
    sent_forms::note(txn, now, form).await?;
    authorized.commit().await?;
    Ok((token, secret))
}

/// Replaces the secret of a token and notifies its owner by mail. The old secret is revoked immediately. Name, scopes
/// and expiry stay. A repeated submission of a page is recognized by its form.
///
/// # Errors
/// [`Code::NotFound`] if the user has no such token; [`Code::Invalid`] if it has expired;
/// [`Code::ReauthenticationRequired`]; [`Error::RateLimited`] if the user has created or rotated too many.
pub async fn rotate(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    limits: &Limits,
    id: &str,
    form: Option<&SentForm>,
) -> Result<(api_token::Model, ApiToken)> {
    let own = own(&owner, id)?;
    let secret = ApiToken::new(now.secret());
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    authorized.check_recent_proof(now)?;
    let rotated = api_token::Entity::update_many()
        .col_expr(Column::Digest, Expr::value(secret.digest()))
        .col_expr(Column::Prefix, Expr::value(secret.prefix()))
        .filter(own.clone())
        .filter(api_token::alive_at(now.at))
        .exec_with_returning(txn)
        .await?;
    let Some(token) = rotated.into_iter().next() else {
        let is_expired = api_token::Entity::find().filter(own).one(txn).await?.is_some();
        return Err(if is_expired { expired() } else { not_found() }.into());
    };
    refuse_for_staff_only(&authorized, &token.scopes)?;
    rate_limits::take_api_token(txn, now, &authorized, limits).await?;
    audit::record(txn, now, Event::by(&authorized, Action::ApiTokenRotated, token.user_id)).await?;
    outbox::enqueue_for_token(txn, now, Kind::ApiTokenRotated, &authorized.user().email, &token).await?;
    sent_forms::note(txn, now, form).await?;
    authorized.commit().await?;
    Ok((token, secret))
}

/// Deletes a token, which is revoked immediately.
///
/// # Errors
/// [`Code::NotFound`] if the user has no such token.
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

/// The API token of a request, and its owner. Deleted and unknown tokens are indistinguishable.
///
/// # Errors
/// [`Error::Unauthenticated`] with the reason.
pub(in crate::domain) async fn authenticate(db: &Db, now: &Now, text: &str) -> Result<(api_token::Model, user::Model)> {
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

/// Records the use, unless another request has just done so. A failure does not fail the request.
async fn note_use(db: &Db, now: &Now, id: Uuid) {
    let due = Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lte(now.at.minus(LAST_USE)));
    let noted = api_token::Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now.at))
        .filter(Column::Id.eq(id))
        .filter(due)
        .exec(db.writer());
    if let Err(error) = noted.await {
        tracing::warn!(%error, "recording the use of an API token failed");
    }
}

/// Refuses the scope of staff to others: a leaked token must not gain the power to administer users when its owner
/// becomes staff.
fn refuse_for_staff_only(authorized: &Authorized, scopes: &Scopes) -> Result<(), Refusal> {
    match scopes.contains(Scope::ManageUsers) && authorized.staff().is_err() {
        true => Err(Refusal::new(Code::Invalid, "api-token-scope-staff")),
        false => Ok(()),
    }
}

/// The owner's token with this id.
fn own(owner: &SessionUser<'_>, id: &str) -> Result<Condition, Refusal> {
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    Ok(Condition::all().add(Column::Id.eq(id)).add(Column::UserId.eq(owner.user().id)))
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "api-token-unknown").of("id")
}

fn expired() -> Refusal {
    Refusal::new(Code::Invalid, "api-token-expired").of("id")
}
