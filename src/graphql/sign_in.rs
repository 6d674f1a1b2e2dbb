//! Sign-in, refresh and sign-out.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};

use crate::domain::auth::sessions::{self, Logout, SessionProof};
use crate::domain::auth::sign_in::{self, SignIn, SignedIn};
use crate::domain::auth::token_issuer::Tokens;
use crate::entity::{session, user};
use crate::error::{Code, Error, Reason, Refusal, Result};
use crate::graphql::context::{Page, Request, app, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::scalars::DateTime;
use crate::graphql::second_factor::SignInChallenge;
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// Tokens of a session. Both are secrets.
#[derive(SimpleObject)]
pub(crate) struct AuthTokens {
    /// Access token for the header `Authorization: Bearer …`, valid until `accessExpiresAt`. A JSON Web Token; the keys
    /// are at `/.well-known/jwks.json`.
    access_token: String,
    /// Single-use token for `refresh`. Browsers receive it as an HttpOnly cookie instead, and this field is null: see
    /// `RefreshTokenTransport`.
    refresh_token: Option<String>,
    /// Scheme of the Authorization header: always `Bearer`.
    token_type: String,
    /// Time of expiry of the access token; refresh shortly before.
    access_expires_at: DateTime,
    /// Time of expiry of the refresh token. Each refresh extends it, up to the absolute end of the session.
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

impl AuthTokens {
    /// The tokens without the refresh token, which the client has.
    pub(crate) fn access_only(tokens: Tokens) -> Self {
        Self { refresh_token: None, ..tokens.into() }
    }
}

/// Location of a refresh token in the response; exactly one applies. By default, pages of this service and of allowed
/// origins use COOKIE, so that no script can read the token; other clients use BODY.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RefreshTokenTransport {
    /// An HttpOnly cookie; `refreshToken` is null. Rejected for pages of origins that are not allowed. Browsers keep
    /// the cookie only for pages of the same site as the service.
    Cookie,
    /// The field `refreshToken`, for clients that store the token themselves, without a cookie. Rejected if the refresh
    /// token came in the cookie.
    Body,
}

impl RefreshTokenTransport {
    /// Location for the tokens of a sign-in.
    ///
    /// # Errors
    /// [`Code::Invalid`] if a foreign page requests the cookie.
    pub(crate) fn choose(request: &Request, wanted: Option<Self>) -> Result<Self> {
        match (wanted, request.browser.page) {
            (Some(Self::Cookie), Page::Foreign) => {
                Err(Refusal::new(Code::Invalid, "refresh-cookie-foreign-origin").of("refreshTokenIn").into())
            }
            (Some(wanted), _) => Ok(wanted),
            (None, Page::Known) => Ok(Self::Cookie),
            (None, Page::Absent | Page::Foreign) => Ok(Self::Body),
        }
    }

    /// Location for the successor of a refresh token that came in the cookie: no script may read it.
    ///
    /// # Errors
    /// [`Code::Invalid`] if the request asks for the body.
    fn keep_in_cookie(wanted: Option<Self>) -> Result<Self> {
        if wanted == Some(Self::Body) {
            return Err(Refusal::new(Code::Invalid, "refresh-cookie-required").of("refreshTokenIn").into());
        }
        Ok(Self::Cookie)
    }
}

/// Issues the tokens of a session, with the refresh token either in the cookie or in the response.
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
            AuthTokens::access_only(tokens)
        }
        RefreshTokenTransport::Body => tokens.into(),
    }
}

/// Credentials to sign in with.
#[derive(InputObject)]
pub(crate) struct LoginInput {
    /// Email address or username of the account, in any case.
    identifier: String,
    /// Password, exactly as it was set.
    #[graphql(secret)]
    password: String,
    /// Location of the refresh token in the response. By default it depends on the kind of client.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// Result of `login` and `completeLogin`.
#[derive(SimpleObject)]
pub(crate) struct LoginPayload {
    /// Tokens of the new session; null if there are errors.
    pub(crate) tokens: Option<AuthTokens>,
    /// User who signed in; null if there are errors.
    pub(crate) user: Option<User>,
    /// Second step, with the error SECOND_FACTOR_REQUIRED of `login`; otherwise null. Nothing else was done then.
    pub(crate) challenge: Option<SignInChallenge>,
    /// INVALID for a `refreshTokenIn` that this client cannot use. By `login`: INVALID_CREDENTIALS, ACCOUNT_INACTIVE,
    /// EMAIL_NOT_VERIFIED, PASSWORD_EXPIRED or SECOND_FACTOR_REQUIRED. By `completeLogin`: SECOND_FACTOR_INCORRECT or
    /// TOTP_STOPPED for a code; INVALID_TOKEN for a challenge that has ended: sign in again.
    pub(crate) errors: Vec<UserError>,
}

/// Session to refresh.
#[derive(InputObject, Default)]
pub(crate) struct RefreshInput {
    /// Latest refresh token of the session. Defaults to the `refresh_token` cookie.
    #[graphql(secret)]
    refresh_token: Option<String>,
    /// Location of the next refresh token. One that came in the cookie stays in the cookie; otherwise the default
    /// depends on the kind of client.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// Result of `refresh`.
#[derive(SimpleObject)]
pub(crate) struct RefreshPayload {
    /// Next tokens of the session; null if there are errors.
    tokens: Option<AuthTokens>,
    /// Your account; null if there are errors.
    user: Option<User>,
    /// INVALID_TOKEN if the session has ended: sign in again. INVALID for a `refreshTokenIn` that this client cannot
    /// use; the token is then not exchanged.
    errors: Vec<UserError>,
}

/// Session to end.
#[derive(InputObject, Default)]
pub(crate) struct LogoutInput {
    /// Refresh token of the session that `refresh` would accept. Defaults to the `refresh_token` cookie, then to the
    /// access token of the request.
    #[graphql(secret)]
    refresh_token: Option<String>,
    /// True to end all other sessions of the user as well.
    #[graphql(default)]
    everywhere: bool,
}

/// Result of `logout`.
#[derive(SimpleObject)]
pub(crate) struct LogoutPayload {
    /// True if the session has ended, now or before.
    success: bool,
    /// INVALID_TOKEN if the refresh token is not from this service, or was exchanged before and must not be reused. The
    /// latter counts as stolen, as in `refresh`: its session ends, and no other.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct SignInMutation;

#[Object]
impl SignInMutation {
    /// Signs a user in with a password. Public. A user with a second factor gets a `challenge` for `completeLogin`
    /// instead of a session. Browsers receive the refresh token as a cookie, other clients in the
    /// payload: see `RefreshTokenTransport`. RATE_LIMITED after too many wrong passwords.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Credentials to sign in with.")] input: LoginInput,
    ) -> Answer<Option<LoginPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let replaces = request.browser.cookie;
        let opened = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            let (identifier, password) = (&*input.identifier, &*input.password);
            let input = SignIn { identifier, password, replaces, replacement: None };
            let rules = app.sign_in_rules();
            let signed_in = sign_in::sign_in(&app.db, &request.now, &request.client, rules, input).await?;
            Ok((transport, signed_in))
        };
        let (opened, mut errors) = outcome(ctx, opened.await)?;
        let (opened, challenge) = match opened {
            Some((transport, SignedIn::Session(session, user))) => (Some((transport, *session, *user)), None),
            Some((_, SignedIn::Challenge(challenge))) => {
                let refusal = Refusal::new(Code::SecondFactorRequired, "second-factor-required");
                request.refuse(refusal.code);
                errors.push(refusal.into());
                (None, Some(challenge.into()))
            }
            None => (None, None),
        };
        if replaces.is_some() && matches!(opened, Some((RefreshTokenTransport::Body, ..))) {
            // The session of the cookie was replaced.
            request.forget();
        }
        let give = |(transport, session, user)| (hand_out(ctx, transport, &session, &user), User(user));
        let (tokens, user) = opened.map(give).unzip();
        Ok(Some(LoginPayload { tokens, user, challenge, errors }))
    }

    /// Exchanges a refresh token for new tokens of the same session. Public. The old token becomes invalid. Reusing it
    /// returns the same new tokens for a few seconds (`VESTIBULE_REFRESH_GRACE`), and later if those have not been used
    /// yet. Any other reuse ends the session.
    async fn refresh(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Session to refresh.", default)] input: RefreshInput,
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

    /// Ends a session immediately on every instance and removes the cookie. Public; requires a token of the session.
    async fn logout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Session to end.", default)] input: LogoutInput,
    ) -> Answer<Option<LogoutPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let ended = async {
            let by = match &input.refresh_token {
                Some(text) => SessionProof::RefreshToken(
                    app.token_issuer().read_refresh(text).ok_or_else(sessions::invalid_token)?,
                ),
                None => match (request.browser.cookie, &request.caller) {
                    (Some(token), _) => SessionProof::RefreshToken(token),
                    (None, Ok(caller)) => SessionProof::Session(caller.enrolling_user()?.session()),
                    // The session has already ended.
                    (None, Err(Reason::Revoked | Reason::Disabled)) => return Ok(()),
                    (None, Err(reason)) => return Err(Error::Unauthenticated(*reason)),
                },
            };
            let input = Logout { by, everywhere: input.everywhere };
            sessions::logout(&app.db, &request.now, &request.client, &app.config.sessions, input).await
        };
        let ended: Result<()> = ended.await;
        let (ended, errors) = outcome(ctx, ended)?;
        // A rejected token says nothing about the session of the cookie.
        if ended.is_some() || input.refresh_token.is_none() {
            request.forget();
        }
        Ok(Some(LogoutPayload { success: ended.is_some(), errors }))
    }
}
