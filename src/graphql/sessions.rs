//! Where the signed-in user is signed in.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::domain::auth::sessions;
use crate::entity::session;
use crate::graphql::context::{app, present, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;

/// A session: one device, or one browser, where a user is signed in.
#[derive(SimpleObject)]
pub(crate) struct Session {
    /// Its id.
    id: ID,
    /// When the user signed in.
    created_at: DateTime,
    /// When its tokens were last refreshed.
    last_used_at: DateTime,
    /// When it ends if it is not used.
    expires_at: DateTime,
    /// The address that it was opened from.
    ip: Option<String>,
    /// The program that it was opened with, as that names itself.
    user_agent: Option<String>,
    /// Whether this request belongs to it.
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

/// Which session to end.
#[derive(InputObject)]
pub(crate) struct RevokeSessionInput {
    /// The session's id.
    id: ID,
}

/// The outcome of `revokeSession`.
#[derive(SimpleObject)]
pub(crate) struct RevokeSessionPayload {
    /// The session as it was; null where there are errors.
    session: Option<Session>,
    /// NOT_FOUND where the signed-in user has no such session.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SessionsQuery;

#[Object]
impl SessionsQuery {
    /// Where the signed-in user is signed in, the session used last first.
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
    /// Ends one of the signed-in user's own sessions, at once.
    async fn revoke_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session to end.")] input: RevokeSessionInput,
    ) -> Answer<Option<RevokeSessionPayload>> {
        let owner = present(ctx)?;
        let (ended, errors) = outcome(ctx, sessions::revoke(&app(ctx).db, &request(ctx).now, owner, &input.id).await)?;
        Ok(Some(RevokeSessionPayload { session: ended.map(|ended| session(ctx, owner.session(), ended)), errors }))
    }
}
