//! Registration and confirmation of email addresses.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use crate::domain::account::registration::register::{self, Register, Rules};
use crate::domain::account::registration::resend;
use crate::domain::account::verify_email::{self, Confirm, Link, SignedIn};
use crate::domain::auth::passwords::NewPassword;
use crate::graphql::context::{app, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::sign_in::{AuthTokens, RefreshTokenTransport, hand_out};
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;
use crate::texts::Text;

/// Account to register.
#[derive(InputObject)]
pub(crate) struct RegisterInput {
    /// Email address. An email with the next step is sent to it.
    email: String,
    /// Password; see `passwordPolicy`.
    #[graphql(secret)]
    password: String,
    /// Repeat of the password. If omitted, no comparison is made.
    #[graphql(secret)]
    password_confirm: Option<String>,
    /// Username: letters, digits and `. _ + -`. If omitted, a neutral one such as `user-7kqm3xvd` is generated.
    username: Option<String>,
    /// Given name.
    #[graphql(default)]
    first_name: String,
    /// Family name.
    #[graphql(default)]
    last_name: String,
    /// Telephone number.
    #[graphql(default)]
    phone: String,
}

/// Result of `register`, the same for addresses with and without an account.
#[derive(SimpleObject)]
pub(crate) struct RegisterPayload {
    /// True if the registration was accepted.
    success: bool,
    /// Text to show to the user, in English; empty if there are errors.
    message: String,
    /// Secret of this client for `VerifyEmailInput.registrationSecret`: with it, `verifyEmail` needs no password. Keep
    /// it as long as the link is valid. Null if there are errors, and for browsers on pages of this service or an
    /// allowed origin, which receive it as an HttpOnly cookie.
    registration_secret: Option<String>,
    /// REQUIRED, INVALID, TOO_LONG or PASSWORD_… per field; ALREADY_EXISTS for a username that is taken, never for an
    /// address.
    errors: Vec<UserError>,
}

/// Link of an email that asks to confirm an address.
#[derive(InputObject)]
pub(crate) struct VerifyEmailInput {
    /// `token` of the link in the email.
    #[graphql(secret)]
    token: String,
    /// For a new account, the password chosen at registration or a new one that replaces it (see `passwordPolicy`).
    /// Required unless the client proves with its cookie or `registrationSecret` that it registered. For the new
    /// address of an existing account, the password of that account. Required unless the client is signed in to it.
    #[graphql(secret)]
    password: Option<String>,
    /// Repeat of the password. If omitted, no comparison is made.
    #[graphql(secret)]
    password_confirm: Option<String>,
    /// Secret from `RegisterPayload.registrationSecret`, for clients that do not have it as a cookie.
    #[graphql(secret)]
    registration_secret: Option<String>,
    /// Location of the refresh token in the response. By default it depends on the kind of client.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// Result of `verifyEmail`.
#[derive(SimpleObject)]
pub(crate) struct VerifyEmailPayload {
    /// User whose address is confirmed; null if there are errors.
    user: Option<User>,
    /// Tokens of a new session, if the account is new, the link is at most one hour old, and the request's cookie has
    /// no live session of another account. Otherwise null: the user signs in with the password.
    tokens: Option<AuthTokens>,
    /// INVALID_TOKEN if the link is no longer valid; INVALID for a `refreshTokenIn` that this client cannot use.
    /// PASSWORD_REQUIRED for `password`, with the address in the message, or PASSWORD_… if it is weak or wrong; the
    /// link then stays valid.
    errors: Vec<UserError>,
}

/// Registration to resend the email for.
#[derive(InputObject)]
pub(crate) struct ResendVerificationInput {
    /// Email address used to register, in any case.
    email: String,
}

/// Result of `resendVerification`, the same with and without a pending registration.
#[derive(SimpleObject)]
pub(crate) struct ResendVerificationPayload {
    /// True if the request was accepted.
    success: bool,
    /// Text to show to the user, in English; empty if there are errors.
    message: String,
    /// REQUIRED, INVALID or TOO_LONG if the input is not an email address.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct RegistrationMutation;

#[Object]
impl RegistrationMutation {
    /// Registers an account. Public, unless registration is closed (FORBIDDEN). The account is created only when the
    /// emailed link is opened. The response and its timing never reveal whether the address has an account; the email
    /// does. Registering again replaces the pending registration and its link. Attempts are limited per client,
    /// including rejected ones (RATE_LIMITED).
    async fn register(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account to register.")] input: RegisterInput,
    ) -> Answer<Option<RegisterPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let rules = Rules {
            registration: app.config.registration,
            passwords: &app.passwords,
            verify_ttl: app.config.links.verify_ttl,
            limits: &app.limits,
        };
        let wanted = Register {
            email: &input.email,
            username: input.username.as_deref(),
            password: NewPassword {
                password: &input.password,
                confirm: input.password_confirm.as_deref(),
                fields: ("password", "passwordConfirm"),
            },
            first_name: &input.first_name,
            last_name: &input.last_name,
            phone: &input.phone,
        };
        let registered = register::register(&app.db, &request.now, &request.client, rules, wanted).await;
        let (done, errors) = outcome(ctx, registered)?;
        let success = done.is_some();
        let message = if success { Text::new("registration-sent").english() } else { String::new() };
        let registration_secret = done.and_then(|secret| request.keep_registration(secret)).map(|kept| kept.to_text());
        Ok(Some(RegisterPayload { success, message, registration_secret, errors }))
    }

    /// Confirms an email address with the link of an email. Public. The link is used up. For a new account, it creates
    /// the account and, within an hour, signs the user in; it is rejected once registration is closed. The client that
    /// registered needs only the link. All others enter the password chosen at registration or a new one
    /// (PASSWORD_REQUIRED); with a new one, the account keeps only the address of the registration. An existing account
    /// changes to a new address only for a client that is signed in to it by a session, or that enters its password
    /// (PASSWORD_REQUIRED, PASSWORD_INCORRECT).
    async fn verify_email(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Link of the email.")] input: VerifyEmailInput,
    ) -> Answer<Option<VerifyEmailPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let config = &app.config;
        let rules = verify_email::Rules {
            registration: config.registration,
            passwords: &app.passwords,
            lives: &config.sessions,
            second_factor: config.second_factor,
        };
        let fields = ("password", "passwordConfirm");
        let typed = input.password.as_deref().filter(|password| !password.is_empty());
        let confirm = input.password_confirm.as_deref();
        let confirm = Confirm {
            link: Link {
                token: &input.token,
                cookie: request.registration.secret.as_ref(),
                registration_secret: input.registration_secret.as_deref(),
            },
            password: typed.map(|password| NewPassword { password, confirm, fields }),
            signed_in: SignedIn { cookie: request.browser.cookie, caller: request.caller.as_ref().ok() },
            form: None,
        };
        let verified = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            let (now, client) = (&request.now, &request.client);
            Ok((transport, verify_email::verify_email(&app.db, now, client, rules, confirm).await?))
        };
        let (verified, errors) = outcome(ctx, verified.await)?;
        let Some((transport, verified)) = verified else {
            return Ok(Some(VerifyEmailPayload { user: None, tokens: None, errors }));
        };
        let tokens = verified.session.map(|session| hand_out(ctx, transport, &session, &verified.user));
        Ok(Some(VerifyEmailPayload { user: Some(User(verified.user)), tokens, errors }))
    }

    /// Sends another email with a link to confirm the address of a new account. Public, unless registration is closed
    /// (FORBIDDEN). The previous link becomes invalid. The response and its timing never reveal whether a registration
    /// is pending.
    async fn resend_verification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Registration to resend the email for.")] input: ResendVerificationInput,
    ) -> Answer<Option<ResendVerificationPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let (registration, limits) = (app.config.registration, &app.limits);
        let asked = resend::resend(&app.db, &request.now, &request.client, registration, limits, &input.email).await;
        let (done, errors) = outcome(ctx, asked)?;
        let message = done.map(|()| Text::new("registration-resent").english()).unwrap_or_default();
        Ok(Some(ResendVerificationPayload { success: done.is_some(), message, errors }))
    }
}
