//! Signing in and out, and staying signed in.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use crate::domain::sessions::{self, Logout};
use crate::domain::sign_in::{self, SignIn};
use crate::domain::tokens::Tokens;
use crate::entity::{session, user};
use crate::error::{Error, Reason, Result};
use crate::graphql::context::{app, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::outcome::outcome;
use crate::graphql::scalars::DateTime;
use crate::graphql::users::User;

/// What a signed-in client holds. Both tokens are secrets.
#[derive(SimpleObject)]
pub(crate) struct AuthTokens {
    /// For the header `Authorization: Bearer …` of each request, until `accessExpiresAt`; a JSON Web Token whose keys
    /// are at `/.well-known/jwks.json`.
    access_token: String,
    /// For `refresh`, once: for clients that keep it themselves; browsers get it as an HttpOnly cookie as well.
    refresh_token: String,
    /// The scheme of the Authorization header: always `Bearer`.
    token_type: String,
    /// When the access token runs out; refresh shortly before.
    access_expires_at: DateTime,
    /// When the refresh token runs out if it is not used.
    refresh_expires_at: DateTime,
}

impl From<Tokens> for AuthTokens {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            token_type: "Bearer".to_owned(),
            access_expires_at: tokens.access_expires_at.into(),
            refresh_expires_at: tokens.refresh_expires_at.into(),
        }
    }
}

/// Gives out the tokens of a session, and puts the refresh token into the cookie.
pub(crate) fn hand_out(ctx: &Context<'_>, session: &session::Model, user: &user::Model) -> AuthTokens {
    let request = request(ctx);
    let tokens = app(ctx).mint().tokens(&request.now, session, user);
    request.keep(&tokens);
    tokens.into()
}

/// Who wants to sign in.
#[derive(InputObject)]
pub(crate) struct LoginInput {
    /// The account's e-mail address or its username, in any case.
    identifier: String,
    /// The password, exactly as it was set.
    #[graphql(secret)]
    password: String,
}

/// The outcome of `login`.
#[derive(SimpleObject)]
pub(crate) struct LoginPayload {
    /// The tokens of the new session; null where there are errors.
    tokens: Option<AuthTokens>,
    /// The user who signed in; null where there are errors.
    user: Option<User>,
    /// INVALID_CREDENTIALS, ACCOUNT_INACTIVE or EMAIL_NOT_VERIFIED.
    errors: Vec<UserError>,
}

/// Which session to refresh.
#[derive(InputObject, Default)]
pub(crate) struct RefreshInput {
    /// The refresh token that was given out last. Without it, the `refresh_token` cookie serves.
    #[graphql(secret)]
    refresh_token: Option<String>,
}

/// The outcome of `refresh`.
#[derive(SimpleObject)]
pub(crate) struct RefreshPayload {
    /// The next tokens of the session; null where there are errors.
    tokens: Option<AuthTokens>,
    /// The user who is signed in; null where there are errors.
    user: Option<User>,
    /// INVALID_TOKEN where the session has ended: sign in again.
    errors: Vec<UserError>,
}

/// Which session to end.
#[derive(InputObject, Default)]
pub(crate) struct LogoutInput {
    /// A refresh token of the session. Without it, the `refresh_token` cookie serves, and without that the access
    /// token of the request.
    #[graphql(secret)]
    refresh_token: Option<String>,
    /// Whether to end all other sessions of the user as well.
    #[graphql(default)]
    everywhere: bool,
}

/// The outcome of `logout`.
#[derive(SimpleObject)]
pub(crate) struct LogoutPayload {
    /// Whether the session has ended, by this or before.
    success: bool,
    /// INVALID_TOKEN where the refresh token given is none of this service.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SignInMutation;

#[Object]
impl SignInMutation {
    /// Signs a user in with a password: anyone may call it. The refresh token comes in the payload and as a cookie.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants to sign in.")] input: LoginInput,
    ) -> Answer<Option<LoginPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let replaces = request.cookie.map(|token| token.session);
        let input = SignIn { identifier: &input.identifier, password: &input.password, replaces };
        let rules = (&app.passwords, &app.config.sessions);
        let (opened, errors) =
            outcome(ctx, sign_in::sign_in(&app.db, &request.now, &request.client, rules, input).await)?;
        let (tokens, user) = opened.map(|(session, user)| (hand_out(ctx, &session, &user), User(user))).unzip();
        Ok(Some(LoginPayload { tokens, user, errors }))
    }

    /// Exchanges a refresh token for the next tokens of its session: anyone may call it. The token given is then dead;
    /// repeated at once, or as long as nothing of its successor was used, it yields the same successor again. Any other
    /// use of a dead token ends the session.
    async fn refresh(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session to refresh.", default)] input: RefreshInput,
    ) -> Answer<Option<RefreshPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let by_cookie = input.refresh_token.is_none();
        let refreshed = async {
            let mint = app.mint();
            let token = match input.refresh_token {
                Some(text) => mint.read_refresh(&text),
                None => request.cookie,
            };
            let token = token.ok_or_else(sessions::invalid_token)?;
            sessions::refresh(&app.db, &request.now, &request.client, &app.config.sessions, token).await
        };
        let (refreshed, errors) = outcome(ctx, refreshed.await)?;
        if refreshed.is_none() && by_cookie {
            request.forget();
        }
        let (tokens, user) = refreshed.map(|(session, user)| (hand_out(ctx, &session, &user), User(user))).unzip();
        Ok(Some(RefreshPayload { tokens, user, errors }))
    }

    /// Ends a session, at once and on every instance: anyone may call it who holds a token of it. The cookie goes away.
    async fn logout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session to end.", default)] input: LogoutInput,
    ) -> Answer<Option<LogoutPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let ended = async {
            let session = match &input.refresh_token {
                Some(text) => app.mint().read_refresh(text).ok_or_else(sessions::invalid_token)?.session,
                None => match (request.cookie, &request.caller) {
                    (Some(token), _) => token.session,
                    (None, Ok(caller)) => caller.present()?.session(),
                    // Whoever has ended already has nothing left to end.
                    (None, Err(Reason::Revoked | Reason::Disabled)) => return Ok(()),
                    (None, Err(reason)) => return Err(Error::Unauthenticated(*reason)),
                },
            };
            let input = Logout { session, everywhere: input.everywhere };
            sessions::logout(&app.db, &request.now, &request.client, input).await
        };
        let ended: Result<()> = ended.await;
        let (ended, errors) = outcome(ctx, ended)?;
        request.forget();
        Ok(Some(LogoutPayload { success: ended.is_some(), errors }))
    }
}
