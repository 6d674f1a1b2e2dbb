//! How refusals and failures reach clients: the only mapping from [`Error`], and the only place that logs internals.
//!
//! Resolvers return [`Failure`], which has no `Display`: the library would otherwise turn any error into a message for
//! the client, SQL text included. So `?` works on our own errors alone.

use async_graphql::resolver_utils::EnumType as _;
use async_graphql::{Enum, ErrorExtensions as _, SimpleObject};

use crate::error::{Code, Error, Reason, Refusal};

/// Why a field has no value, on its way to the client.
#[derive(Clone)]
pub(crate) struct Failure(Error);

/// What a resolver returns.
pub(crate) type Answer<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<Failure> for async_graphql::Error {
    fn from(Failure(error): Failure) -> Self {
        let coded = |message: &str, code: &'static str| {
            async_graphql::Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
        };
        match error {
            Error::Unauthenticated(reason) => {
                let (message, reason) = explain(reason);
                coded(message, "UNAUTHENTICATED").extend_with(|_, extensions| extensions.set("reason", reason))
            }
            Error::Forbidden => coded("You do not have permission to do this.", "FORBIDDEN"),
            Error::BadInput(message) => coded(&message, "BAD_USER_INPUT"),
            Error::Refused(refusals) => {
                let message = refusals.first().map_or("The input was refused.", |refusal| refusal.message.as_str());
                coded(message, "BAD_USER_INPUT")
            }
            Error::Unavailable(wait) => coded("The service is busy: try again in a moment.", "SERVICE_UNAVAILABLE")
                .extend_with(|_, extensions| extensions.set("retryAfter", wait.as_secs().max(1))),
            Error::RateLimited(wait) => coded("Too many attempts: try again later.", "RATE_LIMITED")
                .extend_with(|_, extensions| extensions.set("retryAfter", wait.as_secs().max(1))),
            Error::Internal(source) => {
                tracing::error!(error = ?source, "a request failed by a fault of the service");
                coded("Something went wrong on our side.", "INTERNAL_SERVER_ERROR")
            }
        }
    }
}

fn explain(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Missing => ("Authentication credentials were not provided.", "MISSING"),
        Reason::Invalid => ("The access token is not valid.", "INVALID"),
        Reason::Expired => ("The token has expired: refresh it, or make a new API token.", "EXPIRED"),
        Reason::Revoked => ("The session has ended: sign in again.", "REVOKED"),
        Reason::Disabled => ("This account is deactivated.", "DISABLED"),
    }
}

/// What the schema calls this rule.
pub(crate) fn name_of(code: Code) -> &'static str {
    let code = UserErrorCode::from(code);
    UserErrorCode::items().iter().find(|item| item.value == code).map_or("INVALID", |item| item.name)
}

/// One thing that is wrong with the input, told so that the person in front of the client can mend it. Where a payload
/// has any, its other fields are empty and nothing was changed.
#[derive(SimpleObject)]
#[graphql(shareable)]
pub(crate) struct UserError {
    /// Which rule was broken. More may be added: take one that you do not know for INVALID.
    code: UserErrorCode,
    /// The input field it concerns; null where it is no single one.
    field: Option<String>,
    /// What to do about it, in an English sentence that may be shown.
    message: String,
}

impl From<Refusal> for UserError {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code.into(), field: refusal.field.map(str::to_owned), message: refusal.message }
    }
}

/// The rules that input can break. More may be added: take one that you do not know for INVALID.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Code")]
pub(crate) enum UserErrorCode {
    /// There is no account with this name and password; which of the two is wrong is not told.
    InvalidCredentials,
    /// The password is right, but the account is deactivated.
    AccountInactive,
    /// The password is right, but the e-mail address was not confirmed yet.
    EmailNotVerified,
    /// The link or refresh token was used, has expired, was replaced by a newer one, or never existed.
    InvalidToken,
    /// The field must not be empty.
    Required,
    /// The field's value is not of the form that it must have.
    Invalid,
    /// The field's value has too many characters.
    TooLong,
    /// Another record has this value already.
    AlreadyExists,
    /// There is no such record, or none that you may see.
    NotFound,
    /// The password has too few characters: see `passwordPolicy`.
    PasswordTooShort,
    /// The password is one that many people use, or too easy to guess.
    PasswordTooCommon,
    /// The password is made of the user's own name or address, or of the site's.
    PasswordTooSimilar,
    /// The two passwords are not the same.
    PasswordMismatch,
    /// The present password is wrong.
    PasswordIncorrect,
    /// A password is needed to go on: the one chosen at registration, or a new one. The link is still valid.
    PasswordRequired,
    /// The password is right, but it was a temporary one and has expired. Request a reset.
    PasswordExpired,
    /// Nobody changes their own staff rights, role or permission.
    CannotDemoteSelf,
    /// Nobody deactivates themself as staff.
    CannotDeactivateSelf,
    /// Nobody deletes themself as staff.
    CannotDeleteSelf,
    /// Superusers cannot be changed here.
    CannotEditSuperuser,
    /// The last superuser cannot leave.
    LastSuperuser,
    /// The file has too many bytes, pixels, rows or cells.
    FileTooLarge,
    /// The file is of no kind that is taken here, or damaged.
    FileUnsupported,
}
