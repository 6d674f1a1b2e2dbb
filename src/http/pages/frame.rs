//! Frame of all pages, for `base.html`: header, footer, and the addresses of their files.

use url::form_urlencoded;

use crate::app::App;
use crate::http::pages::return_to::{RETURN_TO, ReturnTo};
use crate::http::pages::{assets, dev_mail};
use crate::texts::Text;
use crate::tools::clock::Timestamp;
use crate::tools::mail;

/// Header and footer of a page.
pub(super) struct Frame<'a> {
    /// The application.
    pub(super) app: &'a App,
    /// Secret of the forms.
    pub(super) csrf: &'a str,
    /// Name of the signed-in user; `None` if nobody is, or if the page does not need to know.
    pub(super) who: Option<&'a str>,
    /// True if a superuser is signed in to the console.
    pub(super) is_superuser: bool,
    /// Page to go on to afterwards.
    pub(super) return_to: Option<&'a ReturnTo>,
}

/// Address of a link: a path of this service as the browser needs it, or an address elsewhere. Account pages are told
/// the page to go on to.
pub(super) fn address(base: &str, href: &str, return_to: Option<&ReturnTo>) -> String {
    let Some(page) = return_to.filter(|_| href.starts_with("/account")) else {
        return if href.starts_with('/') { format!("{base}{href}") } else { href.to_owned() };
    };
    let mark = if href.contains('?') { '&' } else { '?' };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair(RETURN_TO, page.address()).finish();
    format!("{base}{href}{mark}{query}")
}

impl<'a> Frame<'a> {
    /// Frame of a page without forms.
    pub(super) fn without_forms(app: &'a App) -> Self {
        Self { app, csrf: "", who: None, is_superuser: false, return_to: None }
    }

    /// Name of the site.
    pub(super) fn site(&self) -> &'a str {
        &self.app.config.site_name
    }

    /// Path under which browsers reach the service.
    pub(super) fn base(&self) -> &'a str {
        self.app.public_url.path()
    }

    /// Address of a link.
    pub(super) fn address(&self, href: &str) -> String {
        match self.return_to {
            Some(page) if page.address() == href => href.to_owned(),
            page => address(self.base(), href, page),
        }
    }

    /// Label and address of the link back to an application; `None` for a page that only continues on account pages.
    pub(super) fn way_back(&self) -> Option<(String, &'a str)> {
        let page = self.return_to?;
        let own = format!("{}/account", self.base());
        let label = match page.host() {
            Some(host) => Text::new("page-link-back-to-host").with("host", host),
            None if page.address().starts_with(&own) => return None,
            None => Text::new("page-link-back-to-site"),
        };
        Some((label.english(), page.address()))
    }

    /// Address of the stylesheet.
    pub(super) fn style(&self) -> String {
        assets::STYLE.address(self.base())
    }

    /// Address of the stylesheet with the colors of the site, if it has any.
    pub(super) fn brand_style(&self) -> Option<String> {
        self.app.brand.color.map(|_| assets::brand_style(self.app))
    }

    /// Address of the logo.
    pub(super) fn logo(&self) -> Option<String> {
        self.app.brand.logo.as_ref().map(|_| assets::logo(self.app))
    }

    /// Address of the script of all pages.
    pub(super) fn script(&self) -> String {
        assets::SCRIPT.address(self.base())
    }

    /// Address of the script for passkeys.
    pub(super) fn passkey_script(&self) -> String {
        assets::PASSKEYS.address(self.base())
    }

    /// Labels and addresses of legal pages.
    pub(super) fn legal(&self) -> &'a [(Text, String)] {
        &self.app.brand.legal
    }

    /// True on a development server, whose pages link to its emails.
    pub(super) fn dev_mail(&self) -> bool {
        dev_mail::is_served(self.app)
    }

    /// True if the footer has links.
    pub(super) fn has_footer(&self) -> bool {
        !self.legal().is_empty() || self.dev_mail()
    }

    /// A point in time, in UTC. A script shows it in the reader's zone.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn time(&self, at: &Timestamp) -> String {
        mail::time(*at)
    }

    /// A text without parameters.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn text(&self, id: &'static str) -> String {
        Text::new(id).english()
    }
}
