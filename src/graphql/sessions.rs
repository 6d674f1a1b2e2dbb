//! Sessions of the signed-in user.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::domain::auth::sessions;
use crate::entity::session;
use crate::graphql::context::{app, present, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;

/// A session: one device or browser on which a user is signed in.
#[derive(SimpleObject)]
pub(crate) struct Session {
    /// Opaque id.
    id: ID,
    /// Time of the sign-in.
    created_at: DateTime,
    /// Time of the last refresh of its tokens.
    last_used_at: DateTime,
    /// Time of expiry. Each refresh extends it, up to the absolute end of the session.
    expires_at: DateTime,
    /// Network address of the sign-in.
    ip: Option<String>,
    /// User agent of the sign-in.
    user_agent: Option<String>,
    /// True for the session of this request.
    is_current: bool,
}

fn session(ctx: &Context<'_>, present: uuid::Uuid, session: session::Model) -> Session {
    let idle = session.last_used_at.plus(app(ctx).config.sessions.refresh_ttl);
    Session {
        id: session.id.into(),
        created_at: session.created_at.into(),
        last_used_at: session.last_used_at.into(),
        expires_at: idle.min(session.expires_at).into(),
        ip: session.ip,
        user_agent: session.user_agent,
        is_current: session.id == present,
    }
}

/// Session to end.
#[derive(InputObject)]
pub(crate) struct RevokeSessionInput {
    /// Id of the session.
    id: ID,
}

/// Result of `revokeSession`.
#[derive(SimpleObject)]
pub(crate) struct RevokeSessionPayload {
    /// Ended session; null if there are errors.
    session: Option<Session>,
    /// NOT_FOUND if you have no such session.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SessionsQuery;

#[Object]
impl SessionsQuery {
    /// Returns your sessions, most recently used first. Requires a session.
    async fn sessions(&self, ctx: &Context<'_>) -> Answer<Option<Vec<Session>>> {
        let (app, owner) = (app(ctx), present(ctx)?);
        let found = sessions::list(&app.db, &request(ctx).now, owner, &app.config.sessions).await?;
        Ok(Some(found.into_iter().map(|found| session(ctx, owner.session(), found)).collect()))
    }
}

#[derive(Default)]
pub(crate) struct SessionsMutation;

#[Object]
impl SessionsMutation {
    /// Ends one of your own sessions immediately. Requires a session.
    async fn revoke_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Session to end.")] input: RevokeSessionInput,
    ) -> Answer<Option<RevokeSessionPayload>> {
        let owner = present(ctx)?;
        let (ended, errors) = outcome(ctx, sessions::revoke(&app(ctx).db, &request(ctx).now, owner, &input.id).await)?;
        Ok(Some(RevokeSessionPayload { session: ended.map(|ended| session(ctx, owner.session(), ended)), errors }))
    }
}
