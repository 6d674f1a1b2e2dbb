//! Frame of all pages, for `base.html`: header, footer, and the addresses of their files.

use crate::app::App;
use crate::http::pages::{assets, dev_mail};
use crate::texts::Text;

/// Header and footer of a page.
pub(super) struct Frame<'a> {
    app: &'a App,
    /// Secret of the forms.
    pub(super) csrf: &'a str,
    /// Name of the signed-in user; `None` if nobody is, or if the page does not need to know.
    pub(super) who: Option<&'a str>,
    /// True if a superuser is signed in to the console.
    pub(super) is_superuser: bool,
}

impl<'a> Frame<'a> {
    /// Frame of a page with forms.
    pub(super) fn new(app: &'a App, csrf: &'a str, who: Option<&'a str>) -> Self {
        Self { app, csrf, who, is_superuser: false }
    }

    /// Frame of a page without forms.
    pub(super) fn without_forms(app: &'a App) -> Self {
        Self::new(app, "", None)
    }

    /// Name of the site.
    pub(super) fn site(&self) -> &'a str {
        &self.app.config.site_name
    }

    /// Path under which browsers reach the service.
    pub(super) fn base(&self) -> &'a str {
        self.app.public_url.path()
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

    /// A text without parameters.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn text(&self, id: &'static str) -> String {
        Text::new(id).english()
    }
}
