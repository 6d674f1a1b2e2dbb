//! Making an account for oneself.

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

/// An account that somebody wants to have.
#[derive(InputObject)]
pub(crate) struct RegisterInput {
    /// The e-mail address. A mail to it tells how to go on.
    email: String,
    /// The password; see `passwordPolicy`.
    #[graphql(secret)]
    password: String,
    /// The password, typed a second time; left out, it is not compared.
    #[graphql(secret)]
    password_confirm: Option<String>,
    /// The username: letters, digits and `. _ + -`. Left out, a neutral one such as `user-7kqm3xvd` is generated.
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

/// The outcome of `register`: the same whether or not the address has an account.
#[derive(SimpleObject)]
pub(crate) struct RegisterPayload {
    /// Whether the registration was taken on.
    success: bool,
    /// What to tell the person, in an English sentence; empty where there are errors.
    message: String,
    /// The secret of this client, for `VerifyEmailInput.registrationSecret`: with it, `verifyEmail` needs no password. Null
    /// for browsers on pages of this service or an allowed origin, which get it as an HttpOnly cookie, and where there are
    /// errors. Keep it as long as the link is valid.
    registration_secret: Option<String>,
    /// REQUIRED, INVALID, TOO_LONG or PASSWORD_… of each field that is wrong; ALREADY_EXISTS of a username that is taken,
    /// never of an address.
    errors: Vec<UserError>,
}

/// The link of a mail that asks to confirm an address.
#[derive(InputObject)]
pub(crate) struct VerifyEmailInput {
    /// The `token` of the link in the mail.
    #[graphql(secret)]
    token: String,
    /// For a new account, the password chosen at registration, or a new one, which then replaces it; see `passwordPolicy`.
    /// Required unless the client proves by its cookie or `registrationSecret` that it registered. For the new address of an
    /// existing account, the password of that account. Required unless the client is signed in to it.
    #[graphql(secret)]
    password: Option<String>,
    /// The password, typed a second time; left out, it is not compared.
    #[graphql(secret)]
    password_confirm: Option<String>,
    /// The secret from `RegisterPayload.registrationSecret`, for clients that do not have it as a cookie.
    #[graphql(secret)]
    registration_secret: Option<String>,
    /// Where to put the refresh token; chosen by the kind of client where it is left out.
    refresh_token_in: Option<RefreshTokenTransport>,
}

/// The outcome of `verifyEmail`.
#[derive(SimpleObject)]
pub(crate) struct VerifyEmailPayload {
    /// The user whose address is confirmed; null where there are errors.
    user: Option<User>,
    /// The tokens of a new session, where the account is new, the link not older than an hour, and the cookie of the request
    /// holds no live session of another account; otherwise null, and the user signs in with the password.
    tokens: Option<AuthTokens>,
    /// INVALID_TOKEN where the link is no longer valid; INVALID of a `refreshTokenIn` that this client cannot have.
    /// PASSWORD_REQUIRED of `password`, with the address in the message, or PASSWORD_… of one that is weak or wrong; the link
    /// is then still valid.
    errors: Vec<UserError>,
}

/// Who waits for a mail.
#[derive(InputObject)]
pub(crate) struct ResendVerificationInput {
    /// The e-mail address that was used to register, in any case.
    email: String,
}

/// The outcome of `resendVerification`: the same whether or not a registration waits.
#[derive(SimpleObject)]
pub(crate) struct ResendVerificationPayload {
    /// Whether the request was taken on.
    success: bool,
    /// What to tell the person, in an English sentence; empty where there are errors.
    message: String,
    /// REQUIRED, INVALID or TOO_LONG where the input is no e-mail address.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct RegistrationMutation;

#[Object]
impl RegistrationMutation {
    /// Asks for an account: anyone may call it, unless registration is closed (FORBIDDEN). There is none until the address
    /// is confirmed with the link that is mailed to it. Neither the answer nor the time it takes tells whether the address
    /// has an account already; the mail tells its owner. Registering again replaces what waits, and its link.
    /// Attempts are limited per client, refused ones included (RATE_LIMITED).
    async fn register(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account that is wanted.")] input: RegisterInput,
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
        let message = if success { "A mail is on its way to this address: it tells how to go on." } else { "" };
        let registration_secret = done.and_then(|secret| request.keep_registration(secret)).map(|kept| kept.to_text());
        Ok(Some(RegisterPayload { success, message: message.to_owned(), registration_secret, errors }))
    }

    /// Confirms an e-mail address with the link of a mail: anyone may call it. The link is spent. That of a new account
    /// makes the account and, while it is young, signs its user in; it is refused once registration is closed. The client
    /// that registered needs the link alone. Everybody else enters the password chosen at registration or a new one
    /// (PASSWORD_REQUIRED); with a new one the account keeps only the address of the registration. An existing account moves
    /// to a new address only for a client that is signed in to it by a session, or that enters its password
    /// (PASSWORD_REQUIRED, PASSWORD_INCORRECT).
    async fn verify_email(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The link of the mail.")] input: VerifyEmailInput,
    ) -> Answer<Option<VerifyEmailPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let config = &app.config;
        let rules = verify_email::Rules {
            registration: config.registration,
            passwords: &app.passwords,
            lives: &config.sessions,
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

    /// Asks for another mail with a link to confirm the address of a new account: anyone may call it, unless registration
    /// is closed (FORBIDDEN). The link before it is dead. Neither the answer nor the time it takes tells whether a
    /// registration waits.
    async fn resend_verification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who waits for a mail.")] input: ResendVerificationInput,
    ) -> Answer<Option<ResendVerificationPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let rules = (app.config.registration, &app.limits);
        let asked = resend::resend(&app.db, &request.now, &request.client, rules, &input.email).await;
        let (done, errors) = outcome(ctx, asked)?;
        let message = done.map_or("", |()| "If a registration of this address waits, a new mail is on its way to it.");
        Ok(Some(ResendVerificationPayload { success: done.is_some(), message: message.to_owned(), errors }))
    }
}
