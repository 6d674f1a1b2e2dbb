//! Request data for resolvers, which reach it only through this module.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_graphql::parser::types::OperationType;
use async_graphql::{Context, Upload, UploadValue};
use uuid::Uuid;

use crate::app::App;
use crate::domain::auth::identity::{Caller, Client, Exporter, Manager, SessionUser, Staff, Viewer};
use crate::domain::auth::token_issuer::Tokens;
use crate::entity::api_token::Scope;
use crate::error::{Code, Error, Reason};
use crate::graphql::errors::Answer;
use crate::texts::Text;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::secret::Secret;
use crate::tools::token::RefreshToken;

/// Mutations that take a file from staff, by a session only.
const IMPORTS: [&str; 2] = ["importUsers", "startImport"];

/// Mutation that takes a file from any signed-in user.
const UPLOAD: &str = "uploadAvatar";

/// Kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Query.
    Query,
    /// Mutation.
    Mutation,
    /// Subscription.
    Subscription,
}

impl From<OperationType> for OperationKind {
    fn from(ty: OperationType) -> Self {
        match ty {
            OperationType::Query => Self::Query,
            OperationType::Mutation => Self::Mutation,
            OperationType::Subscription => Self::Subscription,
        }
    }
}

/// A request, as the HTTP layer passes it on.
#[derive(Debug)]
pub struct Request {
    /// Time of arrival.
    pub now: Now,
    /// Address and program of the client.
    pub client: Client,
    /// The caller, or the reason for treating the request as unauthenticated.
    pub caller: Result<Caller, Reason>,
    /// Type of the operation.
    kind: OperationKind,
    /// Data that only browsers send.
    pub browser: Browser,
    /// Cookie with the secret of a registration.
    pub registration: RegistrationCookie,
    cookie_change: Mutex<Option<CookieChange>>,
    keeps_device: OnceLock<()>,
    refused: OnceLock<Code>,
}

/// Data that a browser sends about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Browser {
    /// Page that sent the request.
    pub page: Page,
    /// Refresh token in the cookie, if it is valid in form and the page may use it.
    pub cookie: Option<RefreshToken>,
}

/// Origin of a request. Scripts cannot change this information of the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// No page: the client is not a browser.
    #[default]
    Absent,
    /// A page of this service or of an allowed origin.
    Known,
    /// Any other page.
    Foreign,
}

/// Registration cookie of a request and of its response. It lets the browser that registered confirm the email address.
#[derive(Debug, Default)]
pub struct RegistrationCookie {
    /// Secret in the cookie of the request.
    pub secret: Option<Secret>,
    /// True if the client is a browser that stores the cookie.
    pub is_kept: bool,
    /// Secret that the response sets.
    pub next: Mutex<Option<Secret>>,
}

/// Effect of the response on the refresh cookie.
#[derive(Clone, Debug)]
pub enum CookieChange {
    /// Stores this token until this time.
    Set(String, Timestamp),
    /// Removes the cookie.
    Clear,
}

impl Request {
    /// Creates a request for an operation of this kind.
    pub fn new(
        now: Now,
        client: Client,
        caller: Result<Caller, Reason>,
        browser: Browser,
        kind: OperationKind,
    ) -> Self {
        Self {
            now,
            client,
            caller,
            kind,
            browser,
            registration: RegistrationCookie::default(),
            cookie_change: Mutex::default(),
            keeps_device: OnceLock::new(),
            refused: OnceLock::new(),
        }
    }

    /// Adds the registration cookie.
    #[must_use]
    pub fn with_registration(self, registration: RegistrationCookie) -> Self {
        Self { registration, ..self }
    }

    /// Stores the secret of a registration in the cookie if the client keeps one. Otherwise returns the secret, for the
    /// payload.
    pub(crate) fn keep_registration(&self, secret: Secret) -> Option<Secret> {
        if !self.registration.is_kept {
            return Some(secret);
        }
        *self.registration.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret);
        None
    }

    /// Secret for the registration cookie of the response.
    pub fn next_registration(&self) -> Option<Secret> {
        self.registration.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores the refresh token of these tokens in the cookie.
    pub fn keep(&self, tokens: &Tokens) {
        self.change(CookieChange::Set(tokens.refresh.clone(), tokens.refresh_expires_at));
    }

    /// Removes the cookie.
    pub fn forget(&self) {
        self.change(CookieChange::Clear);
    }

    /// Change of the refresh cookie.
    pub fn cookie_change(&self) -> Option<CookieChange> {
        self.cookie_change.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores the secret of the client's device in its cookie: a second factor was added or used on it.
    pub(crate) fn keep_device(&self) {
        let _ = self.keeps_device.set(());
    }

    /// Secret for the device cookie of the response.
    pub fn kept_device(&self) -> Option<&Secret> {
        self.keeps_device.get().and(self.client.device.as_ref())
    }

    /// Records that a rule rejected the input.
    pub(crate) fn refuse(&self, code: Code) {
        // The first code counts.
        let _ = self.refused.set(code);
    }

    /// First rule that rejected the input.
    pub fn refused(&self) -> Option<Code> {
        self.refused.get().copied()
    }

    fn change(&self, change: CookieChange) {
        *self.cookie_change.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
    }

    /// The signed-in user, if the credential allows an operation of this kind.
    pub(crate) fn viewer(&self) -> Result<&Viewer, Error> {
        let scope = match self.kind {
            OperationKind::Query | OperationKind::Subscription => Scope::Read,
            OperationKind::Mutation => Scope::Write,
        };
        self.caller()?.viewer(scope)
    }

    /// The signed-in user, if they may upload files for the root fields of the operation that take one. The operation
    /// itself checks again.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] and [`Error::Forbidden`].
    pub(crate) fn file_sender(&self, fields: &BTreeSet<&str>) -> Result<FileSender, Error> {
        let imports = IMPORTS.iter().any(|import| fields.contains(import));
        if self.kind != OperationKind::Mutation || !(imports || fields.contains(UPLOAD)) {
            return Err(Error::Forbidden);
        }
        let viewer = self.viewer()?;
        if imports {
            viewer.staff()?.session_user()?;
        }
        Ok(FileSender { user: viewer.user().id, ip: viewer.client().ip.clone(), imports })
    }

    /// The signed-in user, if the credential allows any operation of this kind.
    pub(crate) fn reader(&self) -> Result<&Viewer, Error> {
        match self.kind {
            OperationKind::Query | OperationKind::Subscription => self.viewer(),
            OperationKind::Mutation => self.viewer().or_else(|_| self.caller()?.viewer(Scope::ManageUsers)),
        }
    }

    fn caller(&self) -> Result<&Caller, Error> {
        self.caller.as_ref().map_err(|reason| Error::Unauthenticated(*reason))
    }
}

/// A user who may upload a file.
#[derive(Clone, Debug)]
pub(crate) struct FileSender {
    /// The id of the user.
    pub(crate) user: Uuid,
    /// The address of the client.
    pub(crate) ip: Option<String>,
    /// True for a spreadsheet of users sent by staff.
    pub(crate) imports: bool,
}

/// The application.
pub(crate) fn app<'a>(ctx: &Context<'a>) -> &'a App {
    ctx.data_unchecked::<Arc<App>>()
}

/// The application, as a shared pointer.
pub(crate) fn shared_app<'a>(ctx: &Context<'a>) -> &'a Arc<App> {
    ctx.data_unchecked()
}

/// An uploaded file.
///
/// # Errors
/// BAD_USER_INPUT if the client sends the placeholder of a file without the file; `Upload::value` would panic.
pub(crate) fn uploaded<'a>(ctx: &Context<'a>, file: &Upload) -> Answer<&'a UploadValue> {
    let found = ctx.query_env.uploads.get(file.0);
    Ok(found.ok_or_else(|| Error::BadInput(Text::new("file-missing")))?)
}

/// Reference time for reads: the time of the request, or the current time for subscriptions, which outlive it.
pub(crate) fn now(ctx: &Context<'_>) -> Now {
    let request = request(ctx);
    if request.kind == OperationKind::Subscription { app(ctx).clock.now() } else { request.now }
}

/// The request.
pub(crate) fn request<'a>(ctx: &Context<'a>) -> &'a Request {
    ctx.data_unchecked::<Arc<Request>>()
}

/// The signed-in user.
///
/// # Errors
/// UNAUTHENTICATED without a valid credential; FORBIDDEN for an API token whose scopes do not cover the operation: READ
/// for a query, WRITE for a mutation.
pub(crate) fn viewer<'a>(ctx: &Context<'a>) -> Answer<&'a Viewer> {
    Ok(request(ctx).viewer()?)
}

/// The signed-in user, for fields of a result: the operation itself has already checked its scope.
pub(crate) fn reader<'a>(ctx: &Context<'a>) -> Answer<&'a Viewer> {
    Ok(request(ctx).reader()?)
}

/// The signed-in user as staff.
///
/// # Errors
/// FORBIDDEN if they are not staff; otherwise as for [`viewer`].
pub(crate) fn staff<'a>(ctx: &Context<'a>) -> Answer<Staff<'a>> {
    Ok(viewer(ctx)?.staff()?)
}

/// The signed-in user as staff who administer users.
///
/// # Errors
/// UNAUTHENTICATED without a valid credential; FORBIDDEN if the user is not staff, or for an API token without the
/// scope MANAGE_USERS.
pub(crate) fn manager<'a>(ctx: &Context<'a>) -> Answer<Manager<'a>> {
    Ok(request(ctx).caller()?.manager()?)
}

/// The user of a session, for operations on credentials, sessions and tokens.
///
/// # Errors
/// UNAUTHENTICATED without a valid credential; FORBIDDEN for API tokens.
pub(crate) fn present<'a>(ctx: &Context<'a>) -> Answer<SessionUser<'a>> {
    Ok(request(ctx).caller()?.session_user()?)
}

/// The user of a session, also one who must first enrol a second factor.
///
/// # Errors
/// UNAUTHENTICATED without a valid credential; FORBIDDEN for API tokens.
pub(crate) fn enrolling<'a>(ctx: &Context<'a>) -> Answer<SessionUser<'a>> {
    Ok(request(ctx).caller()?.enrolling_user()?)
}

/// The signed-in user, for complete lists.
///
/// # Errors
/// UNAUTHENTICATED without a valid credential; FORBIDDEN for an API token without the scope EXPORT.
pub(crate) fn exporter<'a>(ctx: &Context<'a>) -> Answer<Exporter<'a>> {
    Ok(request(ctx).caller()?.exporter()?)
}
