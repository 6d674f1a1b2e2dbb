//! Built-in pages for services without their own front end. They are rendered on the server, work without scripts except
//! for passkeys, and call the same operations as GraphQL. Opening a link never uses it up; submitting its form does.

mod account;
mod assets;
// `/console`: pages for staff.
mod console;
mod csrf;
mod dev_mail;
mod frame;
mod own;
mod passkeys;
mod recovery;
mod return_to;
mod second_factor;
mod security;
mod verify;
mod view;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Extension, FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::app::App;
use crate::domain::account::verify_email::SignedIn;
use crate::domain::auth::identity::{Caller, Client};
use crate::domain::auth::second_factor as second_factor_rules;
use crate::domain::auth::token_issuer::Tokens;
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::graphql::context::{CookieChange, Page};
use crate::graphql::errors::too_many_attempts;
use crate::http::graphql::multipart::Uploads;
use crate::http::header::{elements, text};
use crate::http::pages::csrf::Csrf;
use crate::http::pages::frame::Frame;
use crate::http::pages::return_to::{RETURN_TO, ReturnTo};
use crate::http::pages::view::{Form, View};
use crate::http::{client_ip, device_cookie, refresh_cookie};
use crate::texts::Text;
use crate::tools::clock::Now;
use crate::tools::secret::Secret;
use crate::tools::token::RefreshToken;

/// Mark of a page that was loaded once more, so that no browser does it forever.
const RELOADED: &str = "reloaded=1";

/// Maximum size of a form, in bytes.
const MAX_FORM: usize = 16 * 1024;

/// Routes of the pages.
pub(super) fn routes(app: &App) -> Router<Arc<App>> {
    let pages = Router::new()
        .route("/account", get(own::overview::page))
        .route("/account/sign-in", get(account::sign_in_form).post(account::sign_in))
        .route("/account/second-factor", get(second_factor::form_without_challenge).post(second_factor::complete))
        .route("/account/passkey", get(second_factor::form_without_challenge).post(passkeys::sign_in))
        .route("/account/passkey-options", get(passkeys::options))
        .route("/account/pages.js", get(async || assets::SCRIPT.response()))
        .route("/account/passkeys.js", get(async || assets::PASSKEYS.response()))
        .route("/account/security", get(security::overview))
        .route("/account/security/app", get(security::overview_instead).post(security::start_app))
        .route("/account/security/app/confirm", get(security::overview_instead).post(security::confirm_app))
        .route("/account/security/app/remove", get(security::overview_instead).post(security::remove_app))
        .route("/account/security/codes", get(security::overview_instead).post(security::renew_codes))
        .route("/account/security/passkey", get(security::passkey_form).post(security::add_passkey))
        .route("/account/security/passkey/rename", get(security::overview_instead).post(security::rename_passkey))
        .route("/account/security/passkey/remove", get(security::overview_instead).post(security::remove_passkey))
        .route("/account/prove", get(own::prove::prove_form).post(own::prove::prove))
        .route("/account/profile", get(own::profile::page).post(own::profile::save))
        .route("/account/profile/photo/remove", get(own::profile::page).post(own::photo::remove))
        .route("/account/email", get(own::email::page).post(own::email::change))
        .route("/account/email/resend", get(own::email::page).post(own::email::resend))
        .route("/account/email/withdraw", get(own::email::page).post(own::email::withdraw))
        .route("/account/sessions", get(own::sessions::page))
        .route("/account/sessions/end", get(own::sessions::page).post(own::sessions::end))
        .route("/account/sessions/end-others", get(own::sessions::page).post(own::sessions::end_others))
        .route("/account/tokens", get(own::api_tokens::page))
        .route("/account/tokens/new", get(own::api_tokens::new_form).post(own::api_tokens::create))
        .route("/account/tokens/token", get(own::api_tokens::token_page))
        .route("/account/tokens/rotate", get(own::api_tokens::page).post(own::api_tokens::rotate))
        .route("/account/tokens/delete", get(own::api_tokens::page).post(own::api_tokens::delete))
        .route("/account/data", get(own::data::page))
        .route("/account/deactivate", get(own::leave::deactivate_form).post(own::leave::deactivate))
        .route("/account/delete", get(own::leave::delete_form).post(own::leave::delete))
        .route("/account/sign-out", get(own::sign_out::form_page).post(own::sign_out::sign_out))
        .route("/account/password", get(account::password_form).post(account::change_password))
        .route("/account/register", get(account::register_form).post(account::register))
        .route("/account/verify", get(verify::page).post(verify::verify))
        .route("/account/verify/passkey-options", post(verify::options))
        .route("/account/undo", get(account::undo_form).post(account::undo))
        .route("/account/forgot", get(recovery::forgot_form).post(recovery::forgot))
        .route("/account/reset", get(recovery::reset_form).post(recovery::reset))
        .route("/account/style.css", get(async || assets::STYLE.response()))
        .route("/account/brand.css", get(assets::serve_brand_style))
        .route("/account/logo", get(assets::serve_logo))
        .merge(console::routes());
    if dev_mail::is_served(app) { pages.merge(dev_mail::routes()) } else { pages }
}

/// Routes of forms with a file, which have a timeout of their own.
pub(super) fn uploads(uploads: Arc<Uploads>) -> Router<Arc<App>> {
    Router::new()
        .route("/account/profile/photo", get(own::profile::page).post(own::photo::upload))
        .layer(Extension(uploads))
}

/// Routes of files that are complete before their download starts.
pub(super) fn downloads() -> Router<Arc<App>> {
    Router::new().route("/account/data/download", get(own::data::page).post(own::data::download))
}

/// A request for a page.
struct Visit {
    app: Arc<App>,
    now: Now,
    client: Client,
    method: Method,
    headers: HeaderMap,
    /// Parameters of the query string.
    query: Parameters,
    csrf: Csrf,
    /// Path and query of the request, under the path of the service.
    here: String,
    /// Page to go on to afterwards.
    return_to: Option<ReturnTo>,
    /// Name of the signed-in user, once the page has asked for it.
    who: Option<String>,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &Arc<App>) -> Result<Self, Response> {
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, app).await;
        let ConnectInfo(peer) = peer.map_err(IntoResponse::into_response)?;
        let query = parameters(parts.uri.query().unwrap_or_default());
        Ok(Self {
            now: app.clock.now(),
            client: Client {
                // Only pages send forms.
                device: device_cookie::of(&parts.headers, &app.public_url, Page::Known),
                ..client_ip::of(peer, &parts.headers, &app.config.trusted_proxies)
            },
            here: here(app, &parts.uri),
            return_to: query.get(RETURN_TO).and_then(|text| ReturnTo::parse(app, text)),
            query,
            csrf: Csrf::of(&parts.headers, &app.public_url),
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            who: None,
            app: Arc::clone(app),
        })
    }
}

impl Visit {
    /// Shows a page.
    fn show(&self, view: &View) -> Response {
        self.show_as(StatusCode::OK, view, &[])
    }

    /// The response to a request for an emailed link that nobody has opened, so that no link is looked up for it: as an
    /// image, a frame or a script of any site, for a prefetch, or for headers alone. Browsers report the use in
    /// `Sec-Fetch-Dest`; requests without it count as opened.
    fn ignored(&self) -> Option<Response> {
        if self.method == Method::HEAD {
            return Some(StatusCode::OK.into_response());
        }
        let is_page = text(&self.headers, "sec-fetch-dest").is_none_or(|destination| destination == "document");
        let is_prefetch = text(&self.headers, "sec-purpose").is_some_and(|purpose| purpose.starts_with("prefetch"));
        (!is_page || is_prefetch).then(|| StatusCode::FORBIDDEN.into_response())
    }

    /// Shows a form again with its errors, or with a notice if it could not be processed.
    fn refuse(&self, mut view: View, error: Error) -> Response {
        let failure = Failure::from(error);
        view.notice = failure.notice.clone().or(view.notice);
        failure.delay(self.show_as(failure.status, &view, &failure.refusals))
    }

    fn show_as(&self, status: StatusCode, view: &View, refusals: &[Refusal]) -> Response {
        self.with_csrf_cookie(view::show(&self.frame(), status, view, refusals))
    }

    /// The frame of a page with forms.
    fn frame(&self) -> Frame<'_> {
        Frame {
            app: &self.app,
            csrf: &self.csrf.text,
            who: self.who.as_deref(),
            is_superuser: false,
            return_to: self.return_to.as_ref(),
        }
    }

    /// The response of a page with forms.
    fn with_csrf_cookie(&self, mut response: Response) -> Response {
        if let Some(cookie) = self.csrf.set_cookie(&self.app.public_url) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Redirects to another page of this service, so that a reload does not submit the form again. That page still knows
    /// the page to go on to.
    fn redirect(&self, to: &str) -> Response {
        Redirect::to(&frame::address(self.app.public_url.path(), to, self.return_to.as_ref())).into_response()
    }

    /// Redirects to the page to go on to, or to this page of the service.
    fn go_on(&self, otherwise: &str) -> Response {
        match &self.return_to {
            Some(page) => Redirect::to(page.address()).into_response(),
            None => self.redirect(otherwise),
        }
    }

    /// Redirects to a page that leads back here.
    fn detour(&self, to: &str) -> Response {
        let back = ReturnTo::parse(&self.app, &self.here);
        Redirect::to(&frame::address(self.app.public_url.path(), to, back.as_ref())).into_response()
    }

    /// The response to a sign-in: the page to go on to, unless the user has to do something first.
    fn signed_in_as(&self, user: &user::Model, tokens: &Tokens) -> Response {
        let is_incomplete = second_factor_rules::must_enroll(self.app.config.second_factor, user);
        let response = match (user.temporary_password_at, is_incomplete) {
            (Some(_), _) => self.redirect("/account/password?temporary=1"),
            (None, true) => self.redirect("/account/security?done=enroll"),
            (None, false) => self.go_on("/account"),
        };
        self.with_session(response, tokens)
    }

    /// The response with the session in the cookie.
    fn with_session(&self, mut response: Response, tokens: &Tokens) -> Response {
        let change = CookieChange::Set(tokens.refresh.clone(), tokens.refresh_expires_at);
        let value = refresh_cookie::write(&change, &self.app.public_url, self.now.at);
        response.headers_mut().append(header::SET_COOKIE, value);
        response
    }

    /// The same response with the device cookie: a second factor was added or used in this browser.
    fn keep_device(&self, mut response: Response) -> Response {
        if let Some(secret) = &self.client.device {
            let value = device_cookie::write(secret, &self.app.public_url);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }

    /// Refresh token in the cookie.
    fn refresh_token(&self) -> Option<RefreshToken> {
        let page = refresh_cookie::page(&self.headers, &self.app.public_url, &self.app.config.allowed_origins);
        let known = refresh_cookie::read(&self.headers, &self.app.public_url, page);
        known.and_then(|text| self.app.token_issuer().read_refresh(text))
    }

    /// The signed-in user, whom the header then names.
    ///
    /// # Errors
    /// As for [`App::authenticate_page`].
    async fn caller(&mut self) -> Result<Caller> {
        let caller = self.app.authenticate_page(&self.now, &self.client, self.refresh_token()).await?;
        self.who = Some(caller.enrolling_user()?.user().name());
        Ok(caller)
    }

    /// The same user, for pages that only name them.
    ///
    /// # Errors
    /// As for [`App::authenticate_page`].
    async fn user(&mut self) -> Result<user::Model> {
        Ok(self.caller().await?.enrolling_user()?.user().clone())
    }

    /// Session of the browser.
    fn signed_in(&self) -> SignedIn<'_> {
        SignedIn { cookie: self.refresh_token(), caller: None }
    }

    /// Secret in the registration cookie.
    fn registration(&self) -> Option<Secret> {
        refresh_cookie::read_registration(&self.headers, &self.app.public_url)
    }

    /// The response to a visit from another site, for which browsers send no session: a page that loads this one once
    /// more, now from this site. `None` if that does not help.
    fn reload(&self) -> Option<Response> {
        let site = text(&self.headers, "sec-fetch-site");
        let is_foreign = matches!(site, Some("cross-site" | "same-site"));
        let is_opened = self.method == Method::GET && text(&self.headers, "sec-fetch-mode") == Some("navigate");
        let is_again = self.query.contains_key("reloaded");
        let here = ReturnTo::parse(&self.app, &self.here)?;
        (is_foreign && is_opened && !is_again).then(|| {
            let mark = if here.address().contains('?') { '&' } else { '?' };
            let again = format!("{}{mark}{RELOADED}", here.address());
            self.show(&View { reload: Some(again), ..View::new(Text::new("page-reload-title")) })
        })
    }

    /// Redirects to another page with the secret of a registration in the cookie.
    fn redirect_registered(&self, to: &str, secret: &Secret) -> Response {
        let mut response = self.redirect(to);
        let value = refresh_cookie::write_registration(secret, &self.app.public_url, self.app.config.links.verify_ttl);
        response.headers_mut().append(header::SET_COOKIE, value);
        response
    }

    /// Parameter of the query string; empty if missing.
    fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// A failed request, as its page shows it.
struct Failure {
    status: StatusCode,
    /// Text above the page, unless the problems are shown at their fields.
    notice: Option<Text>,
    refusals: Vec<Refusal>,
    /// Time after which the request may be repeated.
    wait: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let of = |status, notice, wait| Self { status, notice: Some(notice), refusals: Vec::new(), wait };
        match error {
            Error::Refused(refusals) => {
                Self { status: StatusCode::UNPROCESSABLE_ENTITY, notice: None, refusals, wait: None }
            }
            Error::RateLimited(wait) => of(StatusCode::TOO_MANY_REQUESTS, too_many_attempts(wait), Some(wait)),
            Error::Unavailable(wait) => of(StatusCode::SERVICE_UNAVAILABLE, Text::new("service-busy"), Some(wait)),
            Error::EnrollmentRequired => of(StatusCode::FORBIDDEN, Text::new("enrollment-required"), None),
            Error::Forbidden => of(StatusCode::FORBIDDEN, Text::new("page-not-available"), None),
            Error::Unauthenticated(_) => of(StatusCode::UNPROCESSABLE_ENTITY, Text::new("page-signed-out"), None),
            Error::BadInput(text) => of(StatusCode::BAD_REQUEST, text, None),
            other => {
                tracing::error!(error = ?other, "page failed with an internal error");
                of(StatusCode::INTERNAL_SERVER_ERROR, Text::new("internal-error"), None)
            }
        }
    }
}

impl Failure {
    /// The response with the time after which the request may be repeated.
    fn delay(&self, mut response: Response) -> Response {
        if let Some(wait) = self.wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// Parameters of a query string.
type Parameters = HashMap<String, String>;

/// Fields of a form, in their order.
type Fields = Vec<(String, String)>;

/// A form submitted by a page of this service.
struct Sent {
    visit: Visit,
    fields: Fields,
    form: SentForm,
}

impl FromRequest<Arc<App>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        Self::receive(request, app, MAX_FORM).await
    }
}

impl Sent {
    /// Receives a form of at most this many bytes.
    async fn receive(request: Request, app: &Arc<App>, most: usize) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, app).await?;
        let kind = elements(&parts.headers, "content-type", b';').next().unwrap_or_default();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
        }
        let body = receive(body, most, app.config.wire.body_timeout).await?;
        Self::checked(visit, pairs(&body), SentForm::of(parts.uri.path(), &body), parts.uri.path())
    }

    /// The form sent to this path with these fields, if it is one of our pages.
    #[expect(clippy::result_large_err, reason = "the response of an extractor")]
    fn checked(mut visit: Visit, fields: Fields, form: SentForm, path: &str) -> Result<Self, Response> {
        visit.return_to = ReturnTo::parse(&visit.app, last(&fields, RETURN_TO));
        if csrf::is_ours(&visit.headers, &visit.app.public_url, last(&fields, "csrf")) {
            return Ok(Self { visit, fields, form });
        }
        let view = View {
            paragraphs: vec![Text::new("page-foreign-form")],
            links: vec![(Text::new("page-link-back-to-form"), path.to_owned())],
            ..View::new(Text::new("page-foreign-form-title"))
        };
        Err(visit.show_as(StatusCode::FORBIDDEN, &view, &[]))
    }

    /// Value of a field; empty if missing.
    fn field(&self, name: &str) -> &str {
        last(&self.fields, name)
    }

    /// Value of a field; `None` if the form does not have it.
    fn given(&self, name: &str) -> Option<String> {
        self.fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    /// Checks if this browser already submitted the same form successfully. If the check fails, the form counts as new.
    async fn is_repeated(&self) -> bool {
        sent_forms::is_done(&self.visit.app.db, &self.visit.now, &self.form).await.unwrap_or_else(|error| {
            tracing::warn!(?error, "check for a repeated form failed");
            false
        })
    }

    /// Processes a form that can succeed only once. A refusal is ignored if the same form succeeded before or
    /// meanwhile.
    async fn once<T>(&self, dealing: impl Future<Output = Result<T>>) -> Outcome<T> {
        if self.is_repeated().await {
            return Outcome::Repeated;
        }
        match dealing.await {
            Ok(done) => Outcome::Done(done),
            Err(Error::Refused(_) | Error::Unauthenticated(_)) if self.is_repeated().await => Outcome::Repeated,
            Err(error) => Outcome::Failed(error),
        }
    }
}

/// Result of a form that can succeed only once.
enum Outcome<T> {
    Done(T),
    /// The form succeeded when it was sent before; nothing was done now.
    Repeated,
    Failed(Error),
}

async fn receive(body: Body, most: usize, timeout: Duration) -> Result<Vec<u8>, Response> {
    match tokio::time::timeout(timeout, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

/// Fields of a form or query string, without NUL characters.
fn pairs(text: &[u8]) -> Fields {
    url::form_urlencoded::parse(text).map(|(key, value)| (key.into_owned(), value.replace('\0', ""))).collect()
}

/// Last value of this name; empty if missing.
fn last<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().rev().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

/// Parameters of a query string. Links copied from the HTML source of an email separate them by `&amp;`.
fn parameters(query: &str) -> Parameters {
    let plain = |(key, value): (String, String)| (key.strip_prefix("amp;").map(str::to_owned).unwrap_or(key), value);
    pairs(query.as_bytes()).into_iter().map(plain).collect()
}

/// Path and query of a request as the browser needs them, without the mark of a reload.
fn here(app: &App, uri: &Uri) -> String {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && *pair != RELOADED);
    let query = pairs.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}{}{mark}{query}", app.public_url.path(), uri.path())
}

/// The error without its fields, for pages that have no form.
fn without_fields(error: Error) -> Error {
    match error {
        Error::Refused(refusals) => {
            Error::Refused(refusals.into_iter().map(|refusal| Refusal { field: None, ..refusal }).collect())
        }
        error => error,
    }
}

/// Error for an invalid link, without a field, for pages that have no form.
fn invalid_link() -> Vec<Refusal> {
    vec![Refusal::new(Code::InvalidToken, "page-link-invalid")]
}

/// A form without fields.
fn form(action: &'static str, button: Text) -> Form {
    Form {
        action,
        button,
        hidden: Vec::new(),
        fields: Vec::new(),
        is_quiet: false,
        is_dangerous: false,
        has_focus: false,
        is_download: false,
        passkey: None,
    }
}

/// Hint for fields with a new password.
fn password_hint(visit: &Visit) -> Text {
    Text::new("page-hint-password").with("min", visit.app.passwords.policy().min_length)
}
