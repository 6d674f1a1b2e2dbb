//! Parts of all screens: navigation, heading, notices and problems.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};

use super::super::frame::Frame;
use super::super::{Failure, assets};
use super::StaffVisit;
use crate::error::{Error, Refusal};
use crate::texts::Text;
use crate::tools::secret::Secret;

/// Files and pictures of this service only. The script fetches pages of the console.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A screen of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    /// Figures and charts.
    Overview,
    /// The list of users, and everything about one.
    Users,
    /// Imports of users.
    Import,
    /// The outbox.
    Mails,
    /// The audit trail.
    Audit,
    /// The installation, for superusers.
    System,
}

/// The navigation: screens with their addresses and labels, in order.
const SCREENS: [(Screen, &str, Text); 6] = [
    (Screen::Overview, "/console", Text::new("console-nav-overview")),
    (Screen::Users, "/console/users", Text::new("console-nav-users")),
    (Screen::Import, "/console/import", Text::new("console-nav-import")),
    (Screen::Mails, "/console/mails", Text::new("console-nav-mails")),
    (Screen::Audit, "/console/audit", Text::new("console-nav-audit")),
    (Screen::System, "/console/system", Text::new("console-nav-system")),
];

/// Parts of a screen that all have.
pub(super) struct Shell {
    screen: Screen,
    /// Heading.
    pub(super) title: String,
    /// Result of the previous action.
    pub(super) notice: Option<Text>,
    /// Problems with the form.
    pub(super) refusals: Vec<Refusal>,
    status: StatusCode,
    /// True if the notice reports a failure.
    pub(super) has_failed: bool,
    /// Random text, which distinguishes a form sent twice from one filled in again.
    pub(super) once: String,
}

impl Shell {
    /// A screen with this heading.
    pub(super) fn new(screen: Screen, title: impl Into<String>) -> Self {
        Self {
            screen,
            title: title.into(),
            notice: None,
            refusals: Vec::new(),
            status: StatusCode::OK,
            has_failed: false,
            once: Secret::<16>::random().to_text(),
        }
    }

    /// The same with the result of the previous action.
    pub(super) fn noticing(self, notice: Option<Text>) -> Self {
        Self { notice, ..self }
    }

    /// The same after a failure.
    pub(super) fn failing(self, failure: &Failure) -> Self {
        Self {
            notice: failure.notice.clone(),
            refusals: failure.refusals.clone(),
            status: failure.status,
            has_failed: true,
            ..self
        }
    }

    /// Title of the document.
    pub(super) fn document_title(&self, site: &str) -> String {
        let text = match self.has_failed {
            false => Text::new("console-document-title"),
            true => Text::new("console-document-title-error"),
        };
        text.with("title", self.title.as_str()).with("site", site).english()
    }

    /// Address of the stylesheet.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn style(&self, base: &str) -> String {
        assets::CONSOLE_STYLE.address(base)
    }

    /// Address of the script.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn script(&self, base: &str) -> String {
        assets::CONSOLE_SCRIPT.address(base)
    }

    /// Screens of the navigation: address, label, and true for the present one.
    pub(super) fn screens(&self, is_superuser: bool) -> impl Iterator<Item = (&'static str, String, bool)> {
        let open = move |(screen, ..): &(Screen, &str, Text)| is_superuser || *screen != Screen::System;
        SCREENS.into_iter().filter(open).map(|(screen, path, label)| (path, label.english(), screen == self.screen))
    }
}

/// A page of the console.
pub(super) trait Page: Template {
    /// Its shell.
    fn shell(&self) -> &Shell;
}

impl StaffVisit {
    /// The frame of a page.
    pub(super) fn frame(&self) -> Frame<'_> {
        let is_superuser = self.caller.manager().is_ok_and(|staff| staff.superuser().is_ok());
        Frame { is_superuser, ..self.visit.frame() }
    }

    /// Shows a page.
    pub(super) fn show(&self, page: &impl Page) -> Response {
        let html = page.render().expect("writing to a string does not fail");
        let mut response = (page.shell().status, Html(html)).into_response();
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        self.visit.with_csrf_cookie(response)
    }

    /// Shows a failure without a page of its own.
    pub(super) fn refuse(&self, screen: Screen, error: Error) -> Response {
        let failure = Failure::from(error);
        let shell = Shell::new(screen, Text::new("console-failed-title").english()).failing(&failure);
        failure.delay(self.show(&Failed { frame: self.frame(), shell }))
    }
}

#[derive(Template)]
#[template(path = "console/failed.html", config = "src/http/pages/askama.toml")]
struct Failed<'a> {
    frame: Frame<'a>,
    shell: Shell,
}

impl Page for Failed<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}
