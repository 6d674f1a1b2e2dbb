//! Signing in and out, and staying signed in.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};

use crate::domain::auth::sessions::{self, Logout, SessionProof};
use crate::domain::auth::sign_in::{self, SignIn};
use crate::domain::auth::token_issuer::Tokens;
use crate::entity::{session, user};
use crate::error::{Code, Error, Reason, Refusal, Result};
use crate::graphql::context::{Page, Request, app, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// What a signed-in client holds. Both tokens are secrets.
#[derive(SimpleObject)]
pub(crate) struct AuthTokens {
    /// For the header `Authorization: Bearer …` of each request, until `accessExpiresAt`; a JSON Web Token whose keys
    /// are at `/.well-known/jwks.json`.
    access_token: String,
    /// Single-use token for `refresh`; null where it is in the HttpOnly cookie instead: see `RefreshTokenTransport`.
    refresh_token: Option<String>,
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
            refresh_token: Some(tokens.refresh),
            token_type: "Bearer".to_owned(),
            access_expires_at: tokens.access_expires_at.into(),
            refresh_expires_at: tokens.refresh_expires_at.into(),
        }
    }
}

/// The place of a refresh token in the response: always one and never both. By default pages of this service and of the
/// allowed origins get COOKIE, so that no script can read the token; clients that are not browsers get BODY.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RefreshTokenTransport {
    /// An HttpOnly cookie, and `refreshToken` is null. Refused for pages of origins that are not allowed. Browsers keep it
    /// only for pages of the same site as the service.
    Cookie,
    /// The field `refreshToken`, for clients that store the token themselves, and no cookie. Refused where the refresh token
    /// came in the cookie.
    Body,
}

impl RefreshTokenTransport {
    /// The transport for the tokens of a sign-in.
    ///
    /// # Errors
    /// [`Code::Invalid`] where a foreign page asks for the cookie.
    pub(crate) fn choose(request: &Request, wanted: Option<Self>) -> Result<Self> {
        match (wanted, request.browser.page) {
            (Some(Self::Cookie), Page::Foreign) => {
                let message = "Pages of this origin cannot use the cookie. Leave `refreshTokenIn` out, or list the origin \
                               in VESTIBULE_ALLOWED_ORIGINS.";
                Err(Refusal::new(Code::Invalid, message).of("refreshTokenIn").into())
            }
            (Some(wanted), _) => Ok(wanted),
            (None, Page::Known) => Ok(Self::Cookie),
            (None, Page::Absent | Page::Foreign) => Ok(Self::Body),
        }
    }

    /// The transport for the successor of a refresh token that came in the cookie: no script may read it.
    ///
    /// # Errors
    /// [`Code::Invalid`] where the request asks for the body.
    fn keep_in_cookie(wanted: Option<Self>) -> Result<Self> {
        if wanted == Some(Self::Body) {
            let message = "The refresh token stays in the cookie that it came in. Leave `refreshTokenIn` out.";
            return Err(Refusal::new(Code::Invalid, message).of("refreshTokenIn").into());
        }
        Ok(Self::Cookie)
    }
}

/// Gives out the tokens of a session, the refresh token either in the cookie or in the response.
pub(crate) fn hand_out(
    ctx: &Context<'_>,
    transport: RefreshTokenTransport,
    session: &session::Model,
    user: &user::Model,
) -> AuthTokens {
    let request = request(ctx);
    let tokens = app(ctx).token_issuer().tokens(&request.now, session, user);
    match transport {
        RefreshTokenTransport::Cookie => {
            request.keep(&tokens);
            AuthTokens { refresh_token: None, ..tokens.into() }
        }
        RefreshTokenTransport::Body => tokens.into(),
    }
}

/// Who wants to sign in.
#[derive(InputObject)]
pub(crate) struct LoginInput {
    /// The account's e-mail address or its username, in any case.
    identifier: String,
    /// The password, exactly as it was set.
    #[graphql(secret)]
    password: String,
    /// Where to put the refresh token; chosen by the kind of client where it is left out.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// The outcome of `login`.
#[derive(SimpleObject)]
pub(crate) struct LoginPayload {
    /// The tokens of the new session; null where there are errors.
    tokens: Option<AuthTokens>,
    /// The user who signed in; null where there are errors.
    user: Option<User>,
    /// INVALID_CREDENTIALS, ACCOUNT_INACTIVE, EMAIL_NOT_VERIFIED or PASSWORD_EXPIRED; INVALID of a `refreshTokenIn` that this
    /// client cannot have.
    errors: Vec<UserError>,
}

/// Which session to refresh.
#[derive(InputObject, Default)]
pub(crate) struct RefreshInput {
    /// The refresh token that was given out last. Without it, the `refresh_token` cookie serves.
    #[graphql(secret)]
    refresh_token: Option<String>,
    /// Where to put the next refresh token. One that came in the cookie is answered in the cookie; otherwise it is chosen by
    /// the kind of client where this is left out.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// The outcome of `refresh`.
#[derive(SimpleObject)]
pub(crate) struct RefreshPayload {
    /// The next tokens of the session; null where there are errors.
    tokens: Option<AuthTokens>,
    /// The user who is signed in; null where there are errors.
    user: Option<User>,
    /// INVALID_TOKEN where the session has ended: sign in again. INVALID of a `refreshTokenIn` that this client cannot have;
    /// nothing was exchanged then.
    errors: Vec<UserError>,
}

/// Which session to end.
#[derive(InputObject, Default)]
pub(crate) struct LogoutInput {
    /// A refresh token of the session, one that `refresh` would accept. Without it, the `refresh_token` cookie serves, and
    /// without that the access token of the request.
    #[graphql(secret)]
    refresh_token: Option<String>,
    /// Whether to end all other sessions of the user as well.
    #[graphql(default)]
    everywhere: bool,
}

/// The outcome of `logout`.
#[derive(SimpleObject)]
pub(crate) struct LogoutPayload {
    /// Whether the request was carried out: the session has ended, by this or before.
    success: bool,
    /// INVALID_TOKEN where the refresh token is not of this service, or was exchanged before and must not be used again. The
    /// latter counts as stolen, as in `refresh`: its session ends, and no other.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SignInMutation;

#[Object]
impl SignInMutation {
    /// Signs a user in with a password: anyone may call it. Browsers get the refresh token as a cookie, other clients in the
    /// payload: see `RefreshTokenTransport`.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who wants to sign in.")] input: LoginInput,
    ) -> Answer<Option<LoginPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let replaces = request.browser.cookie;
        let opened = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            let (identifier, password) = (&*input.identifier, &*input.password);
            let input = SignIn { identifier, password, replaces, replacement: None };
            let rules = (&app.passwords, &app.config.sessions);
            let (session, user) = sign_in::sign_in(&app.db, &request.now, &request.client, rules, input).await?;
            Ok((transport, session, user))
        };
        let (opened, errors) = outcome(ctx, opened.await)?;
        if replaces.is_some() && matches!(opened, Some((RefreshTokenTransport::Body, ..))) {
            // The session in the cookie was replaced.
            request.forget();
        }
        let give = |(transport, session, user)| (hand_out(ctx, transport, &session, &user), User(user));
        let (tokens, user) = opened.map(give).unzip();
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
        let transport = match input.refresh_token {
            Some(_) => RefreshTokenTransport::choose(request, input.refresh_token_in),
            None => RefreshTokenTransport::keep_in_cookie(input.refresh_token_in),
        };
        let is_asked = transport.is_ok();
        let by_cookie = input.refresh_token.is_none();
        let refreshed = async {
            let transport = transport?;
            let token = match input.refresh_token {
                Some(text) => app.token_issuer().read_refresh(&text),
                None => request.browser.cookie,
            };
            let token = token.ok_or_else(sessions::invalid_token)?;
            let lives = &app.config.sessions;
            let (session, user) = sessions::refresh(&app.db, &request.now, &request.client, lives, token).await?;
            Ok((transport, session, user))
        };
        let (refreshed, errors) = outcome(ctx, refreshed.await)?;
        if refreshed.is_none() && by_cookie && is_asked {
            request.forget();
        }
        let give = |(transport, session, user)| (hand_out(ctx, transport, &session, &user), User(user));
        let (tokens, user) = refreshed.map(give).unzip();
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
            let by = match &input.refresh_token {
                Some(text) => SessionProof::RefreshToken(
                    app.token_issuer().read_refresh(text).ok_or_else(sessions::invalid_token)?,
                ),
                None => match (request.browser.cookie, &request.caller) {
                    (Some(token), _) => SessionProof::RefreshToken(token),
                    (None, Ok(caller)) => SessionProof::Session(caller.session_user()?.session()),
                    // Whoever has ended already has nothing left to end.
                    (None, Err(Reason::Revoked | Reason::Disabled)) => return Ok(()),
                    (None, Err(reason)) => return Err(Error::Unauthenticated(*reason)),
                },
            };
            let input = Logout { by, everywhere: input.everywhere };
            sessions::logout(&app.db, &request.now, &request.client, &app.config.sessions, input).await
        };
        let ended: Result<()> = ended.await;
        let (ended, errors) = outcome(ctx, ended)?;
        // A token that was refused says nothing of the session in the cookie.
        if ended.is_some() || input.refresh_token.is_none() {
            request.forget();
        }
        Ok(Some(LogoutPayload { success: ended.is_some(), errors }))
    }
}
