//! Authentication of access tokens and API tokens.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tokio::time::timeout;

use super::identity::{Caller, Client, Credential, Viewer};
use super::{api_tokens, sessions};
use crate::config::{SecondFactorPolicy, SessionConfig};
use crate::database::Db;
use crate::domain::rate_limits::Limits;
use crate::entity::{api_token, session, user};
use crate::error::{Error, Reason, Result};
use crate::tools::api_token::ApiToken;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::token::{Claims, KeyRing, RefreshToken, SharedRing};

/// Timeout for recording that a token was used.
const NOTING: Duration = Duration::from_secs(3);

/// Dependencies of the authentication.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The keys of access tokens.
    pub ring: &'a SharedRing,
    /// The limits on the caller's operations.
    pub limits: &'a Limits,
    /// Lifetimes of sessions.
    pub lives: &'a SessionConfig,
    /// Users who must have a second factor.
    pub second_factor: SecondFactorPolicy,
}

/// Authenticates an access token or an API token. Each call reads the database, so ended sessions, deleted tokens and
/// deactivated accounts are rejected immediately, and current rights apply instead of those in the token.
///
/// # Errors
/// [`Error::Unauthenticated`] with the reason.
pub async fn authenticate(db: &Db, now: &Now, rules: Rules<'_>, client: &Client, token: &str) -> Result<Caller> {
    let (user, credential, claims, authenticated_at) = if ApiToken::is_meant_by(token) {
        let (token, user) = api_tokens::authenticate(db, now, token).await?;
        (user, Credential::ApiToken { id: token.id, digest: token.digest, scopes: token.scopes }, None, None)
    } else {
        let (claims, session, user) = by_access_token(db, now, &rules.ring.present(), token).await?;
        (user, Credential::Session(session.id), Some(claims), Some(session.authenticated_at))
    };
    if !user.is_active {
        return Err(Error::Unauthenticated(Reason::Disabled));
    }
    Ok(caller(rules, client, user, credential, claims, authenticated_at))
}

/// Authenticates the browser that has this refresh token, which is not exchanged.
///
/// # Errors
/// [`Error::Unauthenticated`] if `refresh` would not accept the token.
pub async fn by_refresh_token(
    db: &Db,
    now: &Now,
    rules: Rules<'_>,
    client: &Client,
    token: RefreshToken,
) -> Result<Caller> {
    let found = sessions::of_refresh_token(now, rules.lives, token).find_also_related(user::Entity);
    let Some((session, Some(user))) = found.one(db.reader()).await? else {
        sessions::notice_reuse(db, now, client, rules.lives, token).await?;
        return Err(Error::Unauthenticated(Reason::Revoked));
    };
    let credential = Credential::Session(session.id);
    Ok(caller(rules, client, user, credential, None, Some(session.authenticated_at)))
}

fn caller(
    rules: Rules<'_>,
    client: &Client,
    user: user::Model,
    credential: Credential,
    claims: Option<Arc<Claims>>,
    authenticated_at: Option<Timestamp>,
) -> Caller {
    Caller(Viewer {
        user,
        credential,
        claims,
        authenticated_at,
        reauthenticate_after: rules.lives.reauthenticate_after,
        second_factor: rules.second_factor,
        client: client.clone(),
        limits: rules.limits.clone(),
        ring: rules.ring.clone(),
    })
}

/// Re-reads the session or API token, account and rights of a connected caller. The expiry of the access token stays.
///
/// # Errors
/// [`Error::Unauthenticated`] if the access token has expired, the session or API token has ended or the account is not
/// active.
pub async fn renew(db: &Db, now: &Now, caller: &Caller) -> Result<Caller> {
    if caller.accepted_until().is_some_and(|end| end <= now.at) {
        return Err(Error::Unauthenticated(Reason::Expired));
    }
    still_alive(db, now, caller).await
}

/// Re-reads the session or API token, account and rights of a caller during a request, however long it takes.
///
/// # Errors
/// [`Error::Unauthenticated`] if the session or API token has ended, the key that signed the access token was revoked,
/// or the account is not active.
pub(in crate::domain) async fn still_alive(db: &Db, now: &Now, caller: &Caller) -> Result<Caller> {
    if !caller.0.is_signed() {
        return Err(Error::Unauthenticated(Reason::Invalid));
    }
    let Viewer { credential, .. } = &caller.0;
    let (user, authenticated_at) = match credential {
        Credential::Session(id) => {
            let found = sessions::find(db, *id).await?.filter(|(session, _)| session.expires_at > now.at);
            found.map_or((None, None), |(session, user)| (user, Some(session.authenticated_at)))
        }
        Credential::ApiToken { id, digest, .. } => {
            let same = api_token::Entity::find_by_id(*id).filter(api_token::Column::Digest.eq(digest.as_slice()));
            let alive = same.filter(api_token::alive_at(now.at));
            (alive.find_also_related(user::Entity).one(db.reader()).await?.and_then(|(_, user)| user), None)
        }
    };
    let user = user.ok_or(Error::Unauthenticated(Reason::Revoked))?;
    if !user.is_active {
        return Err(Error::Unauthenticated(Reason::Disabled));
    }
    Ok(Caller(Viewer { user, authenticated_at, ..caller.0.clone() }))
}

/// The claims of an access token, its session and its user.
async fn by_access_token(
    db: &Db,
    now: &Now,
    ring: &KeyRing,
    token: &str,
) -> Result<(Arc<Claims>, session::Model, user::Model)> {
    let claims = ring.verify(token, now.at).map_err(Error::Unauthenticated)?;
    let Some((session, Some(user))) = sessions::find(db, claims.sid).await? else {
        return Err(Error::Unauthenticated(Reason::Revoked));
    };
    if user.id != claims.sub {
        return Err(Error::Unauthenticated(Reason::Invalid));
    }
    if session.expires_at <= now.at {
        return Err(Error::Unauthenticated(Reason::Revoked));
    }
    if session.used < claims.generation && user.is_active {
        // Without a writable database, refreshing fails as well, so reads may continue; the next request records the
        // use.
        match timeout(NOTING, sessions::mark_used(db, session.id, claims.generation)).await {
            Err(_) | Ok(Ok(()) | Err(Error::Unavailable(_))) => {}
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok((claims, session, user))
}
