//! What resolvers know of their request: the only way to it is through here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_graphql::Context;
use uuid::Uuid;

use crate::app::App;
use crate::domain::auth::identity::{Caller, Client, Exporter, Manager, SessionUser, Staff, Viewer};
use crate::domain::auth::token_issuer::Tokens;
use crate::entity::api_token::Scope;
use crate::error::{Code, Error, Reason};
use crate::graphql::errors::Answer;
use crate::graphql::execution::limits::Kind;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::secret::Secret;
use crate::tools::token::RefreshToken;

/// The mutation that takes a file of staff by a session alone.
const IMPORT: &str = "importUsers";

/// The mutation that takes a file of everybody.
const UPLOAD: &str = "uploadAvatar";

/// One request, as the HTTP layer found it.
#[derive(Debug)]
pub struct Request {
    /// When it came.
    pub now: Now,
    /// Where it came from.
    pub client: Client,
    /// Who sent it, or why that is nobody.
    pub caller: Result<Caller, Reason>,
    /// What its operation does.
    kind: Kind,
    /// The browser that it came from.
    pub browser: Browser,
    /// The cookie with the secret of a registration.
    pub registration: RegistrationCookie,
    cookie_change: Mutex<Option<CookieChange>>,
    refused: OnceLock<Code>,
}

/// A request as a browser describes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Browser {
    /// The page that sent it.
    pub page: Page,
    /// The refresh token in its cookie, where that is ours and came from a page that may use it.
    pub cookie: Option<RefreshToken>,
}

/// The page that a request came from. Scripts cannot change what the browser says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// None: the client is not a browser.
    #[default]
    Absent,
    /// A page of this service or of an allowed origin.
    Known,
    /// Any other page.
    Foreign,
}

/// What a request tells of the cookie that lets the browser which registered confirm its address, and what its answer puts
/// there.
#[derive(Debug, Default)]
pub struct RegistrationCookie {
    /// The secret in the cookie.
    pub secret: Option<Secret>,
    /// Whether the client is a browser that keeps the cookie.
    pub is_kept: bool,
    /// The secret that the answer sets.
    pub next: Mutex<Option<Secret>>,
}

/// What the answer does to the refresh cookie.
#[derive(Clone, Debug)]
pub enum CookieChange {
    /// It holds this token until then.
    Set(String, Timestamp),
    /// It goes away.
    Clear,
}

impl Request {
    /// A request of which these things are known, for an operation of this kind.
    pub fn new(now: Now, client: Client, caller: Result<Caller, Reason>, browser: Browser, kind: Kind) -> Self {
        Self {
            now,
            client,
            caller,
            kind,
            browser,
            registration: RegistrationCookie::default(),
            cookie_change: Mutex::default(),
            refused: OnceLock::new(),
        }
    }

    /// The same request with what it tells of the registration cookie.
    #[must_use]
    pub fn with_registration(self, registration: RegistrationCookie) -> Self {
        Self { registration, ..self }
    }

    /// Puts the secret of a registration into the cookie, where the client keeps one; otherwise the secret comes back, for
    /// the payload.
    pub(crate) fn keep_registration(&self, secret: Secret) -> Option<Secret> {
        if !self.registration.is_kept {
            return Some(secret);
        }
        *self.registration.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret);
        None
    }

    /// The secret to put into the registration cookie.
    pub fn next_registration(&self) -> Option<Secret> {
        self.registration.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts the refresh token of these tokens into the cookie.
    pub fn keep(&self, tokens: &Tokens) {
        self.change(CookieChange::Set(tokens.refresh.clone(), tokens.refresh_expires_at));
    }

    /// Takes the cookie away.
    pub fn forget(&self) {
        self.change(CookieChange::Clear);
    }

    /// What became of the cookie.
    pub fn cookie_change(&self) -> Option<CookieChange> {
        self.cookie_change.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a rule refused something.
    pub(crate) fn refuse(&self, code: Code) {
        // The first one counts.
        let _ = self.refused.set(code);
    }

    /// The rule that refused something first.
    pub fn refused(&self) -> Option<Code> {
        self.refused.get().copied()
    }

    fn change(&self, change: CookieChange) {
        *self.cookie_change.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
    }

    /// The signed-in user, where their credential is good for an operation of this kind.
    pub(crate) fn viewer(&self) -> Result<&Viewer, Error> {
        let scope = match self.kind {
            Kind::Query | Kind::Subscription => Scope::Read,
            Kind::Mutation => Scope::Write,
        };
        self.caller()?.viewer(scope)
    }

    /// The signed-in user, where they may send a file for each of the fields at the root of the operation that takes one.
    /// The operation itself checks again.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] and [`Error::Forbidden`].
    pub(crate) fn file_sender(&self, fields: &BTreeSet<&str>) -> Result<Uuid, Error> {
        let imports = fields.contains(IMPORT);
        if self.kind != Kind::Mutation || !(imports || fields.contains(UPLOAD)) {
            return Err(Error::Forbidden);
        }
        let viewer = self.viewer()?;
        if imports {
            viewer.staff()?.session_user()?;
        }
        Ok(viewer.user().id)
    }

    /// The signed-in user, where their credential is good for some operation of this kind.
    fn reader(&self) -> Result<&Viewer, Error> {
        match self.kind {
            Kind::Query | Kind::Subscription => self.viewer(),
            Kind::Mutation => self.viewer().or_else(|_| self.caller()?.viewer(Scope::ManageUsers)),
        }
    }

    fn caller(&self) -> Result<&Caller, Error> {
        self.caller.as_ref().map_err(|reason| Error::Unauthenticated(*reason))
    }
}

/// The application.
pub(crate) fn app<'a>(ctx: &Context<'a>) -> &'a App {
    ctx.data_unchecked::<Arc<App>>()
}

/// The application, to hold on to.
pub(crate) fn shared_app<'a>(ctx: &Context<'a>) -> &'a Arc<App> {
    ctx.data_unchecked()
}

/// The time that what is read counts for: that of the request, or the present one where a subscription outlives it.
pub(crate) fn now(ctx: &Context<'_>) -> Now {
    let request = request(ctx);
    if request.kind == Kind::Subscription { app(ctx).clock.now() } else { request.now }
}

/// The request.
pub(crate) fn request<'a>(ctx: &Context<'a>) -> &'a Request {
    ctx.data_unchecked::<Arc<Request>>()
}

/// The signed-in user; UNAUTHENTICATED where there is none, FORBIDDEN where it is an API token whose scopes do not cover
/// an operation of this kind: READ a query, WRITE a mutation.
pub(crate) fn viewer<'a>(ctx: &Context<'a>) -> Answer<&'a Viewer> {
    Ok(request(ctx).viewer()?)
}

/// The signed-in user, for fields of what an operation answers with: the operation itself has asked for its scope.
pub(crate) fn reader<'a>(ctx: &Context<'a>) -> Answer<&'a Viewer> {
    Ok(request(ctx).reader()?)
}

/// The signed-in user as staff; FORBIDDEN where they are not, and otherwise as for [`viewer`].
pub(crate) fn staff<'a>(ctx: &Context<'a>) -> Answer<Staff<'a>> {
    Ok(viewer(ctx)?.staff()?)
}

/// The signed-in user as staff who administer users; UNAUTHENTICATED where there is none, FORBIDDEN where they are not staff
/// or it is an API token without the scope MANAGE_USERS.
pub(crate) fn manager<'a>(ctx: &Context<'a>) -> Answer<Manager<'a>> {
    Ok(request(ctx).caller()?.manager()?)
}

/// The signed-in user by a session, for what concerns credentials, sessions and tokens; UNAUTHENTICATED where there is
/// none, FORBIDDEN where it is an API token.
pub(crate) fn present<'a>(ctx: &Context<'a>) -> Answer<SessionUser<'a>> {
    Ok(request(ctx).caller()?.session_user()?)
}

/// The signed-in user, for whole lists; UNAUTHENTICATED where there is none, FORBIDDEN where it is an API token without
/// the scope EXPORT.
pub(crate) fn exporter<'a>(ctx: &Context<'a>) -> Answer<Exporter<'a>> {
    Ok(request(ctx).caller()?.exporter()?)
}
