//! Registration and confirmation of email addresses.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use crate::domain::account::registration::register::{self, Register};
use crate::domain::account::registration::{confirm, resend};
use crate::domain::account::verify_email::{self, Confirm, Link, SignedIn, Verified};
use crate::domain::auth::passwords::NewPassword;
use crate::error::{Code, Refusal};
use crate::graphql::context::{app, request};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::passkeys::{PasskeyCreationOptions, PasskeyRegistrationInput};
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

/// Account to register without a password.
#[derive(InputObject)]
pub(crate) struct RegisterWithoutPasswordInput {
    /// Email address. An email with the next step is sent to it.
    email: String,
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

/// Result of `registerWithoutPassword`, the same for addresses with and without an account.
#[derive(SimpleObject)]
pub(crate) struct RegisterWithoutPasswordPayload {
    /// True if the registration was accepted.
    success: bool,
    /// Text to show to the user, in English; empty if there are errors.
    message: String,
    /// Secret of this client, as of `register`: with it, the account keeps the names of the registration.
    registration_secret: Option<String>,
    /// REQUIRED, INVALID or TOO_LONG per field; ALREADY_EXISTS for a username that is taken, never for an address.
    errors: Vec<UserError>,
}

/// Link of an email that confirms a new account.
#[derive(InputObject)]
pub(crate) struct StartPasskeySignUpInput {
    /// `token` of the link in the email.
    #[graphql(secret)]
    token: String,
    /// Secret from the registration, for clients that do not have it as a cookie.
    #[graphql(secret)]
    registration_secret: Option<String>,
}

/// Result of `startPasskeySignUp`.
#[derive(SimpleObject)]
pub(crate) struct StartPasskeySignUpPayload {
    /// Options for the browser; null if there are errors.
    options: Option<PasskeyCreationOptions>,
    /// INVALID_TOKEN if the link is no longer valid, or is for the new address of an existing account.
    errors: Vec<UserError>,
}

/// Link of an email that asks to confirm an address.
#[derive(InputObject)]
pub(crate) struct VerifyEmailInput {
    /// `token` of the link in the email.
    #[graphql(secret)]
    token: String,
    /// For a new account, the password chosen at registration or a new one that replaces it (see `passwordPolicy`).
    /// Required unless the client proves with its cookie or `registrationSecret` that it registered with a password, or
    /// sends `passkey`. For the new address of an existing account, the password of that account. Required unless the
    /// client is signed in to it.
    #[graphql(secret)]
    password: Option<String>,
    /// Repeat of the password. If omitted, no comparison is made.
    #[graphql(secret)]
    password_confirm: Option<String>,
    /// For a new account, a passkey instead of a password, by the options of `startPasskeySignUp`.
    passkey: Option<PasskeyRegistrationInput>,
    /// Name to recognize the passkey by: 100 characters at most.
    passkey_name: Option<String>,
    /// Secret from `registrationSecret` of the registration, for clients that do not have it as a cookie.
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
    /// no live session of another account. Otherwise null: the user signs in with the password or passkey.
    tokens: Option<AuthTokens>,
    /// Ten recovery codes, returned only here, if the account is new and has a passkey; otherwise null.
    recovery_codes: Option<Vec<String>>,
    /// INVALID_TOKEN if the link is no longer valid; INVALID for a `refreshTokenIn` that this client cannot use.
    /// PASSWORD_REQUIRED for `password`, with the address in the message, or PASSWORD_… if it is weak or wrong. For
    /// `passkey`, INVALID_TOKEN if the challenge has expired or was used, ALREADY_EXISTS if it is registered, and INVALID
    /// if it cannot be verified. The link stays valid after errors of `password` and `passkey`.
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

/// Result of both ways to register.
struct Registered {
    success: bool,
    message: String,
    registration_secret: Option<String>,
    errors: Vec<UserError>,
}

async fn register(ctx: &Context<'_>, wanted: Register<'_>) -> Answer<Registered> {
    let (app, request) = (app(ctx), request(ctx));
    let registered = register::register(&app.db, &request.now, &request.client, app.register_rules(), wanted).await;
    let (done, errors) = outcome(ctx, registered)?;
    let success = done.is_some();
    let message = if success { Text::new("registration-sent").english() } else { String::new() };
    let registration_secret = done.and_then(|secret| request.keep_registration(secret)).map(|kept| kept.to_text());
    Ok(Registered { success, message, registration_secret, errors })
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
        let wanted = Register {
            email: &input.email,
            username: input.username.as_deref(),
            password: Some(NewPassword {
                password: &input.password,
                confirm: input.password_confirm.as_deref(),
                fields: ("password", "passwordConfirm"),
            }),
            first_name: &input.first_name,
            last_name: &input.last_name,
            phone: &input.phone,
        };
        let Registered { success, message, registration_secret, errors } = register(ctx, wanted).await?;
        Ok(Some(RegisterPayload { success, message, registration_secret, errors }))
    }

    /// Registers an account that gets a passkey instead of a password. Public, unless registration is closed (FORBIDDEN).
    /// The account is created only when the emailed link is opened, together with the passkey: by `startPasskeySignUp` and
    /// `verifyEmail`. Otherwise as `register`. FORBIDDEN if second factors are off, or the service has no domain.
    async fn register_without_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Account to register.")] input: RegisterWithoutPasswordInput,
    ) -> Answer<Option<RegisterWithoutPasswordPayload>> {
        let wanted = Register {
            email: &input.email,
            username: input.username.as_deref(),
            password: None,
            first_name: &input.first_name,
            last_name: &input.last_name,
            phone: &input.phone,
        };
        let Registered { success, message, registration_secret, errors } = register(ctx, wanted).await?;
        Ok(Some(RegisterWithoutPasswordPayload { success, message, registration_secret, errors }))
    }

    /// Starts the creation of a passkey for a new account, with the link of an email. Public. The link stays valid;
    /// `verifyEmail` takes both. Stores nothing. The names of the registration are shown only to the client that
    /// registered. FORBIDDEN if second factors are off, or the service has no domain.
    async fn start_passkey_sign_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Link of the email.")] input: StartPasskeySignUpInput,
    ) -> Answer<Option<StartPasskeySignUpPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let link = Link {
            token: &input.token,
            cookie: request.registration.secret.as_ref(),
            registration_secret: input.registration_secret.as_deref(),
        };
        let (rules, site) = (app.verify_rules(), app.config.site_name.as_str());
        let started = confirm::start_passkey(&app.db, &request.now, &request.client, rules, link, site).await;
        let (options, errors) = outcome(ctx, started)?;
        Ok(Some(StartPasskeySignUpPayload { options: options.map(Into::into), errors }))
    }

    /// Confirms an email address with the link of an email. Public. The link is used up. For a new account, it creates
    /// the account and, within an hour, signs the user in; it is rejected once registration is closed. The client that
    /// registered with a password needs only the link. All others enter the password chosen at registration or a new
    /// one, or send a passkey (PASSWORD_REQUIRED). With a new password or a passkey, the account of a client that did
    /// not register keeps only the address of the registration. An existing account changes to a new address only for a
    /// client that is signed in to it by a session, or that enters its password (PASSWORD_REQUIRED,
    /// PASSWORD_INCORRECT).
    async fn verify_email(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Link of the email.")] input: VerifyEmailInput,
    ) -> Answer<Option<VerifyEmailPayload>> {
        let (app, request) = (app(ctx), request(ctx));
        let read =
            |credential: PasskeyRegistrationInput| credential.read(("passkey", "passkeyName"), input.passkey_name);
        let passkey = input.passkey.map(read).transpose();
        let fields = ("password", "passwordConfirm");
        let typed = input.password.as_deref().filter(|password| !password.is_empty());
        let confirm = input.password_confirm.as_deref();
        let verified = async {
            let transport = RefreshTokenTransport::choose(request, input.refresh_token_in)?;
            let passkey = passkey?;
            if typed.is_some() && passkey.is_some() {
                return Err(Refusal::new(Code::Invalid, "passkey-or-password").of("passkey").into());
            }
            let confirm = Confirm {
                link: Link {
                    token: &input.token,
                    cookie: request.registration.secret.as_ref(),
                    registration_secret: input.registration_secret.as_deref(),
                },
                password: typed.map(|password| NewPassword { password, confirm, fields }),
                passkey: passkey.as_ref(),
                signed_in: SignedIn { cookie: request.browser.cookie, caller: request.caller.as_ref().ok() },
                form: None,
            };
            let (now, client, rules) = (&request.now, &request.client, app.verify_rules());
            Ok((transport, verify_email::verify_email(&app.db, now, client, rules, confirm).await?))
        };
        let (verified, errors) = outcome(ctx, verified.await)?;
        let Some((transport, verified)) = verified else {
            return Ok(Some(VerifyEmailPayload { user: None, tokens: None, recovery_codes: None, errors }));
        };
        let Verified { user, session, recovery_codes, .. } = verified;
        let tokens = session.map(|session| hand_out(ctx, transport, &session, &user));
        Ok(Some(VerifyEmailPayload { user: Some(User(user)), tokens, recovery_codes, errors }))
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
