//! The built-in pages, for people without a front end of their own: rendered here, working without scripts, and calling
//! the same operations as GraphQL. Opening a link never spends it; a form's POST does.

mod account;
mod csrf;
mod dev_mail;
mod recovery;
mod view;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::app::App;
use crate::domain::account::verify_email::SignedIn;
use crate::domain::auth::identity::Client;
use crate::domain::auth::token_issuer::Tokens;
use crate::domain::sent_forms::{self, SentForm};
use crate::error::{Code, Error, Refusal, Result};
use crate::graphql::context::CookieChange;
use crate::http::header::elements;
use crate::http::pages::csrf::Csrf;
use crate::http::pages::view::{Form, Frame, View};
use crate::http::{client_ip, refresh_cookie};
use crate::tools::clock::Now;
use crate::tools::secret::Secret;
use crate::tools::token::RefreshToken;

/// The longest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

/// The pages' routes.
pub(super) fn routes(app: &App) -> Router<Arc<App>> {
    let pages = Router::new()
        .route("/account/sign-in", get(account::sign_in_form).post(account::sign_in))
        .route("/account/password", get(account::password_form).post(account::change_password))
        .route("/account/register", get(account::register_form).post(account::register))
        .route("/account/verify", get(account::verify_form).post(account::verify))
        .route("/account/undo", get(account::undo_form).post(account::undo))
        .route("/account/forgot", get(recovery::forgot_form).post(recovery::forgot))
        .route("/account/reset", get(recovery::reset_form).post(recovery::reset))
        .route("/account/style.css", get(style));
    if dev_mail::is_served(app) { pages.merge(dev_mail::routes()) } else { pages }
}

/// Whether developers find their mails at `/dev/mail`.
pub(super) fn has_dev_mail(app: &App) -> bool {
    dev_mail::is_served(app)
}

async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("style.css"))
}

/// A visit to a page.
struct Visit {
    app: Arc<App>,
    now: Now,
    client: Client,
    headers: HeaderMap,
    /// The parameters of the address.
    query: HashMap<String, String>,
    csrf: Csrf,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &Arc<App>) -> Result<Self, Response> {
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, app).await;
        let ConnectInfo(peer) = peer.map_err(IntoResponse::into_response)?;
        Ok(Self {
            now: app.clock.now(),
            client: client_ip::of(peer, &parts.headers, &app.config.trusted_proxies),
            query: parameters(parts.uri.query().unwrap_or_default()),
            csrf: Csrf::of(&parts.headers, &app.public_url),
            headers: parts.headers.clone(),
            app: Arc::clone(app),
        })
    }
}

impl Visit {
    /// Shows a page.
    fn show(&self, view: &View) -> Response {
        self.show_as(StatusCode::OK, view, &[])
    }

    /// Shows a form again with what is wrong in it or, where it could not be dealt with, says so above it.
    fn refuse(&self, mut view: View, error: Error) -> Response {
        let (status, notice, wait) = match error {
            Error::Refused(refusals) => return self.show_as(StatusCode::UNPROCESSABLE_ENTITY, &view, &refusals),
            Error::RateLimited(wait) => {
                (StatusCode::TOO_MANY_REQUESTS, "You have asked for this too often: try again later.", Some(wait))
            }
            Error::Unavailable(wait) => {
                (StatusCode::SERVICE_UNAVAILABLE, "The service is busy: try again in a moment.", Some(wait))
            }
            Error::Forbidden => (StatusCode::FORBIDDEN, "This is closed here.", None),
            Error::Unauthenticated(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "You were signed out meanwhile. Send the form again.", None)
            }
            other => {
                tracing::error!(error = ?other, "a page failed by a fault of the service");
                (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.", None)
            }
        };
        view.notice = Some(notice.to_owned());
        let mut response = self.show_as(status, &view, &[]);
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }

    fn show_as(&self, status: StatusCode, view: &View, refusals: &[Refusal]) -> Response {
        let frame = Frame {
            site: &self.app.config.site_name,
            base: self.app.public_url.path(),
            dev_mail: has_dev_mail(&self.app),
        };
        let mut response = view::show(&frame, &self.csrf.text, status, view, refusals);
        if let Some(cookie) = self.csrf.set_cookie(&self.app.public_url) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Leads to another page of ours, so that reloading it sends no form again.
    fn lead(&self, to: &str) -> Response {
        Redirect::to(&format!("{}{to}", self.app.public_url.path())).into_response()
    }

    /// Leads to another page, signed in.
    fn lead_signed_in(&self, to: &str, tokens: &Tokens) -> Response {
        let change = CookieChange::Set(tokens.refresh.clone(), tokens.refresh_expires_at);
        let mut response = self.lead(to);
        let value = refresh_cookie::write(&change, &self.app.public_url, self.now.at);
        response.headers_mut().append(header::SET_COOKIE, value);
        response
    }

    /// The refresh token in the browser's cookie.
    fn refresh_token(&self) -> Option<RefreshToken> {
        let page = refresh_cookie::page(&self.headers, &self.app.public_url, &self.app.config.allowed_origins);
        let known = refresh_cookie::read(&self.headers, &self.app.public_url, page);
        known.and_then(|text| self.app.token_issuer().read_refresh(text))
    }

    /// The session that the browser is signed in with.
    fn signed_in(&self) -> SignedIn<'_> {
        SignedIn { cookie: self.refresh_token(), caller: None }
    }

    /// The secret in the browser's registration cookie.
    fn registration(&self) -> Option<Secret> {
        refresh_cookie::read_registration(&self.headers, &self.app.public_url)
    }

    /// Leads to another page, with the secret of a registration in the browser's cookie.
    fn lead_registered(&self, to: &str, secret: &Secret) -> Response {
        let mut response = self.lead(to);
        let value = refresh_cookie::write_registration(secret, &self.app.public_url, self.app.config.links.verify_ttl);
        response.headers_mut().append(header::SET_COOKIE, value);
        response
    }

    /// A parameter of the address, or nothing.
    fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// A form that one of our pages has sent.
struct Sent {
    visit: Visit,
    fields: HashMap<String, String>,
    form: SentForm,
}

impl FromRequest<Arc<App>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, app).await?;
        let kind = elements(&parts.headers, "content-type", b';').next().unwrap_or_default();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
        }
        let body = receive(body, app.config.wire.body_timeout).await?;
        let fields = pairs(&body);
        if !csrf::is_ours(&visit.headers, &app.public_url, fields.get("csrf").map_or("", String::as_str)) {
            let view = View {
                title: "Please send the form once more",
                paragraphs: vec![
                    "It did not come from an open page of this site, or that was open for too long.".to_owned(),
                ],
                links: vec![("Back to the form", parts.uri.path().to_owned())],
                ..View::default()
            };
            return Err(visit.show_as(StatusCode::FORBIDDEN, &view, &[]));
        }
        Ok(Self { visit, fields, form: SentForm::of(parts.uri.path(), &body) })
    }
}

impl Sent {
    /// What was typed into a field, or nothing.
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Checks whether this browser sent the same form before, and it did its work. If that cannot be found out, the form
    /// is dealt with like any other.
    async fn is_repeated(&self) -> bool {
        sent_forms::is_done(&self.visit.app.db, &self.visit.now, &self.form).await.unwrap_or_else(|error| {
            tracing::warn!(?error, "looking for a form that was sent before failed");
            false
        })
    }

    /// Deals with a form that spends something. A refusal does not count if the same form did its work just before, or
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

/// The outcome of a form that spends something.
enum Outcome<T> {
    Done(T),
    /// It did its work when it was sent before, and nothing now.
    Repeated,
    Failed(Error),
}

async fn receive(body: Body, patience: Duration) -> Result<Vec<u8>, Response> {
    match tokio::time::timeout(patience, to_bytes(body, MAX_FORM)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

/// The pairs of a form or a query; NUL characters, which nobody types, are dropped.
fn pairs(text: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(text).map(|(key, value)| (key.into_owned(), value.replace('\0', ""))).collect()
}

/// The parameters of an address. A link that was copied out of a mail's HTML source has `&amp;` between them.
fn parameters(query: &str) -> HashMap<String, String> {
    let plain = |(key, value): (String, String)| (key.strip_prefix("amp;").map(str::to_owned).unwrap_or(key), value);
    pairs(query.as_bytes()).into_iter().map(plain).collect()
}

/// A refusal of no single field, for a page that shows nothing else.
fn invalid_link() -> Vec<Refusal> {
    vec![Refusal::new(
        Code::InvalidToken,
        "This link is no longer good: it was used, has run out, or a newer mail replaces it.",
    )]
}

/// A form with its button, to fill in.
fn form(action: &'static str, button: &'static str) -> Form {
    Form { action, button, hidden: Vec::new(), fields: Vec::new() }
}
