//! `/dev/mail`: emails written to files, for following their links in development without a mail server. Served only if
//! emails are written to files and only this machine can reach the service.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path as PathParameter, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use mail_parser::{Message, MessageParser};
use uuid::Uuid;

use super::frame::Frame;
use crate::app::App;
use crate::texts::Text;
use crate::tools::mail::MailUrl;

/// Maximum number of emails in the list.
const MOST: usize = 200;

/// Emails have their own styles; scripts and external content are blocked.
const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// True if the inbox is served. A service with a public address is not a development server, even if it listens only
/// for a proxy on the same machine.
pub(super) fn is_served(app: &App) -> bool {
    let authority = app.public_url.as_str().split("://").nth(1).unwrap_or_default();
    let is_private = is_local(authority.split('/').next().unwrap_or_default());
    is_private
        && app.config.trusted_proxies.is_empty()
        && app.config.listen.is_on_loopback()
        && matches!(app.config.mail_url(), MailUrl::Folder(_))
}

/// True if a host, with or without a port, is a name of this machine.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name == "localhost" || name.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Routes of the inbox.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/dev/mail", get(list)).route("/dev/mail/{id}", get(show))
}

#[derive(Template)]
#[template(path = "mails.html", config = "src/http/pages/askama.toml")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    mails: Vec<Line>,
    open: Option<Open>,
}

impl Page<'_> {
    fn document_title(&self) -> String {
        Text::new("page-dev-mail-title").with("site", self.frame.site()).english()
    }

    fn site_line(&self) -> String {
        Text::new("page-dev-mail-site").with("site", self.frame.site()).english()
    }
}

/// An email in the list.
struct Line {
    id: Uuid,
    subject: String,
    to: String,
    date: String,
}

/// An open email. Its text is split into parts: true marks a link.
struct Open {
    subject: String,
    to: String,
    date: String,
    parts: Vec<(String, bool)>,
    html: String,
}

impl Open {
    fn to_and_date(&self) -> String {
        Text::new("page-dev-mail-to-and-date").with("to", &*self.to).with("date", &*self.date).english()
    }
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(folder) = folder(&app, &headers) else { return StatusCode::NOT_FOUND.into_response() };
    let mails = tokio::task::spawn_blocking(move || {
        let names = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut ids: Vec<Uuid> = names.filter_map(|name| name.strip_suffix(".eml")?.parse().ok()).collect();
        // Ids start with their time.
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.into_iter().take(MOST).filter_map(|id| read(&folder, id, |mail| line(id, mail))).collect()
    });
    page(&app, mails.await.unwrap_or_default(), None)
}

async fn show(State(app): State<Arc<App>>, PathParameter(id): PathParameter<String>, headers: HeaderMap) -> Response {
    let (Some(folder), Ok(id)) = (folder(&app, &headers), id.parse()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mail = tokio::task::spawn_blocking(move || read(&folder, id, open)).await;
    match mail.ok().flatten() {
        Some(mail) => page(&app, Vec::new(), Some(mail)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Folder of the emails, if the host of the request is this machine. Foreign pages can point their own names here.
fn folder(app: &App, headers: &HeaderMap) -> Option<std::path::PathBuf> {
    // A proxy on this machine may pass on requests of others.
    let is_forwarded = |name: &header::HeaderName| {
        let name = name.as_str();
        name.starts_with("x-forwarded") || matches!(name, "forwarded" | "via" | "x-real-ip")
    };
    if headers.keys().any(is_forwarded) {
        return None;
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    match app.config.mail_url() {
        MailUrl::Folder(folder) if is_local(host) => Some(folder),
        _ => None,
    }
}

fn read<T>(folder: &Path, id: Uuid, of: impl FnOnce(&Message<'_>) -> T) -> Option<T> {
    let bytes = std::fs::read(folder.join(format!("{id}.eml"))).ok()?;
    MessageParser::default().parse(&bytes).map(|mail| of(&mail))
}

fn line(id: Uuid, mail: &Message<'_>) -> Line {
    let Open { subject, to, date, .. } = open(mail);
    Line { id, subject, to, date }
}

fn open(mail: &Message<'_>) -> Open {
    let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address()).unwrap_or_default();
    Open {
        subject: mail.subject().unwrap_or_default().to_owned(),
        to: to.to_owned(),
        date: mail.date().map(mail_parser::DateTime::to_rfc3339).unwrap_or_default(),
        parts: parts(&mail.body_text(0).unwrap_or_default()),
        html: mail.body_html(0).unwrap_or_default().into_owned(),
    }
}

/// Splits the text into links and the text between them.
fn parts(text: &str) -> Vec<(String, bool)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("http://").into_iter().chain(rest.find("https://")).min() {
        let (before, link) = rest.split_at(start);
        let (link, after) = link.split_at(link.find(char::is_whitespace).unwrap_or(link.len()));
        parts.extend([(before.to_owned(), false), (link.to_owned(), true)]);
        rest = after;
    }
    parts.push((rest.to_owned(), false));
    parts
}

fn page(app: &App, mails: Vec<Line>, open: Option<Open>) -> Response {
    let page = Page { frame: &Frame::without_forms(app), mails, open };
    let html = page.render().expect("writing to a string does not fail");
    ([(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))], Html(html)).into_response()
}
