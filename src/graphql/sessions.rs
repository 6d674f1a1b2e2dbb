//! Sessions of users.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use uuid::Uuid;

use crate::config::SessionConfig;
use crate::domain::auth::sessions;
use crate::entity::session;
use crate::graphql::context::{app, present, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::scalars::DateTime;
use crate::graphql::second_factor::ProofMethod;
use crate::graphql::user_errors::outcome;
use crate::tools::device;

/// A session: one device or browser on which a user is signed in.
#[derive(Clone, SimpleObject)]
pub(crate) struct Session {
    /// Opaque id, never reused.
    #[graphql(owned)]
    pub(crate) id: ID,
    /// Time of the sign-in.
    created_at: DateTime,
    /// Time at which the user last proved who they are: at the sign-in, or by `reauthenticate`.
    authenticated_at: DateTime,
    /// Methods by which the user proved who they are in this session.
    methods: Vec<ProofMethod>,
    /// Time until which sensitive operations need no new proof; afterwards they return REAUTHENTICATION_REQUIRED.
    proof_valid_until: DateTime,
    /// Time of the last refresh of its tokens.
    last_used_at: DateTime,
    /// Time of expiry. Each refresh extends it, up to the absolute end of the session.
    expires_at: DateTime,
    /// Network address of the sign-in.
    ip: Option<String>,
    /// User agent of the sign-in.
    user_agent: Option<String>,
    /// Browser and system that the user agent names, such as "Firefox on Windows"; "Unknown device" for others. Only a
    /// label: clients choose their user agent.
    device_name: String,
    /// True for the session of this request.
    is_current: bool,
}

impl Session {
    /// The session of a row, for the owner of a request in this session.
    pub(crate) fn new(lives: &SessionConfig, current: Uuid, session: session::Model) -> Self {
        let idle = session.last_used_at.plus(lives.refresh_ttl);
        Self {
            id: session.id.into(),
            created_at: session.created_at.into(),
            authenticated_at: session.authenticated_at.into(),
            methods: session.methods.iter().map(Into::into).collect(),
            proof_valid_until: session.authenticated_at.plus(lives.reauthenticate_after).into(),
            last_used_at: session.last_used_at.into(),
            expires_at: idle.min(session.expires_at).into(),
            device_name: device::name(session.user_agent.as_deref()),
            ip: session.ip,
            user_agent: session.user_agent,
            is_current: session.id == current,
        }
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

/// Result of `revokeOtherSessions`.
#[derive(SimpleObject)]
pub(crate) struct RevokeOtherSessionsPayload {
    /// True if all your other sessions have ended.
    success: bool,
    /// Always empty.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SessionsQuery;

#[Object]
impl SessionsQuery {
    /// Returns your sessions, most recently used first. Requires a session.
    async fn sessions(&self, ctx: &Context<'_>) -> Answer<Option<Vec<Session>>> {
        let (app, owner) = (app(ctx), present(ctx)?);
        let lives = &app.config.sessions;
        let found = sessions::list(&app.db, &request(ctx).now, owner, lives).await?;
        Ok(Some(found.into_iter().map(|found| Session::new(lives, owner.session(), found)).collect()))
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
        let (app, owner) = (app(ctx), present(ctx)?);
        let (ended, errors) = outcome(ctx, sessions::revoke(&app.db, &request(ctx).now, owner, &input.id).await)?;
        let session = ended.map(|ended| Session::new(&app.config.sessions, owner.session(), ended));
        Ok(Some(RevokeSessionPayload { session, errors }))
    }
    /// Ends all your sessions except that of the request. Requires a session. API tokens stay valid.
    async fn revoke_other_sessions(&self, ctx: &Context<'_>) -> Answer<Option<RevokeOtherSessionsPayload>> {
        sessions::revoke_others(&app(ctx).db, &request(ctx).now, present(ctx)?).await?;
        Ok(Some(RevokeOtherSessionsPayload { success: true, errors: Vec::new() }))
    }
}
