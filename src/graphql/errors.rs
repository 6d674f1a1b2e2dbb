//! Conversion of errors into those of GraphQL: the only mapping from [`Error`], and the only place that logs internal
//! errors.
//!
//! Resolvers return [`Failure`], which has no `Display`: the library would otherwise turn any error into a message for
//! the client, SQL text included. So `?` works on the service's own errors only.

use std::fmt::Debug;
use std::time::Duration;

use async_graphql::resolver_utils::EnumType as _;
use async_graphql::{ComplexObject, Context, Enum, ErrorExtensions as _, SimpleObject};

use crate::domain::account::reauthenticate;
use crate::error::{Code, Error, Reason, Refusal};
use crate::graphql::context::{app, enrolling, now};
use crate::graphql::second_factor::ProofMethod;
use crate::texts::{Param, Text};

/// Error of a resolver.
#[derive(Clone)]
pub(crate) struct Failure(Error);

/// Result of a resolver.
pub(crate) type Answer<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<Failure> for async_graphql::Error {
    fn from(Failure(error): Failure) -> Self {
        match error {
            Error::Unauthenticated(reason) => {
                let (text, reason) = explain(reason);
                coded(text.english(), "UNAUTHENTICATED").extend_with(|_, extensions| extensions.set("reason", reason))
            }
            Error::Forbidden => coded(Text::new("no-permission").english(), "FORBIDDEN"),
            Error::EnrollmentRequired => {
                coded(Text::new("enrollment-required").english(), "SECOND_FACTOR_ENROLLMENT_REQUIRED")
            }
            Error::BadInput(text) => coded(text.english(), "BAD_USER_INPUT"),
            Error::Refused(refusals) => {
                let text = refusals.into_iter().next().map_or(Text::new("input-rejected"), |refusal| refusal.text);
                coded(text.english(), "BAD_USER_INPUT")
            }
            Error::ImportRunning(wait) => coded(Text::new("another-import-runs").english(), "SERVICE_UNAVAILABLE")
                .extend_with(|_, extensions| extensions.set("retryAfter", wait.as_secs().max(1))),
            Error::Unavailable(wait) => coded(Text::new("service-busy").english(), "SERVICE_UNAVAILABLE")
                .extend_with(|_, extensions| extensions.set("retryAfter", wait.as_secs().max(1))),
            Error::RateLimited(wait) => coded(too_many_attempts(wait).english(), "RATE_LIMITED")
                .extend_with(|_, extensions| extensions.set("retryAfter", wait.as_secs().max(1))),
            Error::Command(message) => internal(&message),
            Error::Internal(source) => internal(&source),
        }
    }
}

fn internal(error: &dyn Debug) -> async_graphql::Error {
    tracing::error!(?error, "request failed with an internal error");
    coded(Text::new("internal-error").english(), "INTERNAL_SERVER_ERROR")
}

fn coded(message: String, code: &'static str) -> async_graphql::Error {
    async_graphql::Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// Message about an exhausted limit, with the time to wait in minutes, rounded up.
pub(crate) fn too_many_attempts(wait: Duration) -> Text {
    match wait.as_secs().div_ceil(60) {
        _ if wait < Duration::from_secs(60) => Text::new("too-many-attempts-soon"),
        minutes => Text::new("too-many-attempts").with("minutes", minutes),
    }
}

fn explain(reason: Reason) -> (Text, &'static str) {
    match reason {
        Reason::Missing => (Text::new("sign-in-required"), "MISSING"),
        Reason::Invalid => (Text::new("sign-in-invalid"), "INVALID"),
        Reason::Expired => (Text::new("sign-in-expired"), "EXPIRED"),
        Reason::Revoked => (Text::new("sign-in-revoked"), "REVOKED"),
        Reason::Disabled => (Text::new("sign-in-deactivated"), "DISABLED"),
    }
}

/// Name of the code in the schema.
pub(crate) fn name_of(code: Code) -> &'static str {
    let code = UserErrorCode::from(code);
    UserErrorCode::items().iter().find(|item| item.value == code).map_or("INVALID", |item| item.name)
}

/// An error in the input that the user can fix. If a payload has errors, its other fields are empty and nothing was
/// changed.
#[derive(SimpleObject)]
#[graphql(shareable, complex)]
pub(crate) struct UserError {
    /// Violated rule. More codes may be added: treat unknown ones as INVALID.
    code: UserErrorCode,
    /// Input field of the error; null if it concerns no single field.
    field: Option<String>,
    /// Text to show to the user, in English.
    message: String,
    /// Values in the message, such as a minimum, for messages of your own.
    params: Vec<UserErrorParam>,
}

#[ComplexObject]
impl UserError {
    /// Methods that `reauthenticate` accepts now, for REAUTHENTICATION_REQUIRED; empty for API tokens. Null for other
    /// codes.
    async fn methods(&self, ctx: &Context<'_>) -> Answer<Option<Vec<ProofMethod>>> {
        if self.code != UserErrorCode::ReauthenticationRequired {
            return Ok(None);
        }
        let Ok(owner) = enrolling(ctx) else { return Ok(Some(Vec::new())) };
        let (app, now) = (app(ctx), now(ctx));
        let accepted = reauthenticate::accepted(&app.db, &now, owner, app.sign_in_rules()).await?;
        Ok(Some(accepted.methods.into_iter().map(Into::into).collect()))
    }
}

/// A value in the message of a `UserError`.
#[derive(SimpleObject)]
#[graphql(shareable)]
pub(crate) struct UserErrorParam {
    /// Name of the value, such as `min`.
    name: String,
    /// Value as text.
    value: String,
}

impl From<Refusal> for UserError {
    fn from(refusal: Refusal) -> Self {
        let param =
            |(name, value): &(&'static str, Param)| UserErrorParam { name: (*name).to_owned(), value: value.shown() };
        Self {
            code: refusal.code.into(),
            field: refusal.field.map(str::to_owned),
            message: refusal.message(),
            params: refusal.text.params().iter().map(param).collect(),
        }
    }
}

/// Codes of `UserError`. More codes may be added: treat unknown ones as INVALID.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Code")]
pub(crate) enum UserErrorCode {
    /// Wrong email address, username or password; which of them is not revealed.
    InvalidCredentials,
    /// The password is right, but the account is deactivated.
    AccountInactive,
    /// The password is right, but the email address is not confirmed yet.
    EmailNotVerified,
    /// The link, challenge or refresh token was used, has expired, was replaced by a newer one, or never existed.
    InvalidToken,
    /// The field must not be empty.
    Required,
    /// The value has the wrong format or is not allowed.
    Invalid,
    /// The value has too many characters.
    TooLong,
    /// Another record already has this value.
    AlreadyExists,
    /// The record does not exist, or you may not see it.
    NotFound,
    /// The record changed since you read it. Nothing was written: read it again, and repeat your change.
    Conflict,
    /// The password has too few characters: see `passwordPolicy`.
    PasswordTooShort,
    /// The password is very common or too easy to guess.
    PasswordTooCommon,
    /// The password consists of the user's name or email address, or of the site's name.
    PasswordTooSimilar,
    /// The password appears in lists of stolen passwords: see `passwordPolicy`.
    PasswordBreached,
    /// The passwords do not match.
    PasswordMismatch,
    /// The current password is wrong.
    PasswordIncorrect,
    /// A password is required: the one chosen at registration, or a new one. The link is still valid.
    PasswordRequired,
    /// The password is right, but it was temporary and has expired. Request a reset.
    PasswordExpired,
    /// The operation needs a recent proof of who you are: call `reauthenticate` with one of `methods`, then repeat the
    /// operation.
    ReauthenticationRequired,
    /// The password or link is right, and the account has a second factor: answer the `challenge` with `completeLogin`.
    SecondFactorRequired,
    /// The code is wrong, has expired, or was used before.
    SecondFactorIncorrect,
    /// Too many wrong codes: codes of the authenticator app are not accepted for a while. Recovery codes still are.
    TotpStopped,
    /// Users cannot change their own staff rights, role or permission.
    CannotDemoteSelf,
    /// Staff cannot deactivate their own account with this mutation.
    CannotDeactivateSelf,
    /// Staff cannot delete their own account with this mutation.
    CannotDeleteSelf,
    /// Superusers cannot be changed with this mutation.
    CannotEditSuperuser,
    /// The last superuser cannot be deactivated or deleted.
    LastSuperuser,
    /// The file has too many bytes, pixels, rows or cells.
    FileTooLarge,
    /// The file type is not supported, or the file is damaged.
    FileUnsupported,
}
