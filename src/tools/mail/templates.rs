//! Contents of mails: one pair of templates per occasion, filled with texts of the catalogue.

use std::fmt;
use std::time::Duration;

use askama::Template;
use uuid::Uuid;

use super::message::Message;
use super::wording;
use crate::texts::{Param, Text};
use crate::tools::clock::Timestamp;
use crate::tools::color::Color;

/// Default color of buttons and, in the light style, of links.
const ACCENT: Color = Color::new(0x24, 0x57, 0xc5);

/// Default color of links in the dark style.
const DARK_LINK: Color = Color::new(0x8a, 0xb4, 0xff);

/// Background of the light style.
const LIGHT: Color = Color::WHITE;

/// Background of the dark style.
const DARK: Color = Color::new(0x20, 0x24, 0x2b);

/// The site that sends the mails, and its links without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The name of the site, such as `Vestibule`.
    pub name: String,
    /// Contact for questions, usually an address. `None` omits it.
    pub support: Option<String>,
    /// URL of the sign-in page.
    pub sign_in: String,
    /// URL of the page that requests a password reset.
    pub forgot_password: String,
    /// Accent color of buttons and links; `None` for the default.
    pub color: Option<Color>,
    /// Labels and addresses of legal pages.
    pub legal: Vec<(Text, String)>,
}

impl Site {
    /// Color of buttons.
    fn accent(&self) -> Color {
        self.color.unwrap_or(ACCENT)
    }

    /// Color of links in the light style.
    fn link(&self) -> Color {
        self.accent().readable_on(&[LIGHT], 4.5)
    }

    /// Color of links in the dark style.
    fn dark_link(&self) -> Color {
        self.color.map_or(DARK_LINK, |color| color.readable_on(&[DARK], 4.5))
    }
}

/// Recipient of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// The user's name, or empty. Mails omit it if it is very long or looks like advertising, or if the address is not
    /// confirmed yet.
    pub name: String,
}

/// A single-use link with a secret. Its `Debug` form hides the URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The whole URL.
    pub url: String,
    /// Validity from the delivery of the mail.
    pub valid_for: Duration,
}

impl Link {
    /// Parameter for its validity.
    fn validity(&self) -> (&'static str, Param) {
        ("validity", wording::span(self.valid_for).into())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("valid_for", &self.valid_for).finish_non_exhaustive()
    }
}

/// Facts about an API token in a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenNotice {
    /// Time at which it was created or rotated.
    pub at: Timestamp,
    /// The token; `None` if it was deleted before the mail was sent.
    pub token: Option<TokenSummary>,
}

/// Public part of an API token; never its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSummary {
    /// Its name, as typed at its creation. Mails omit it if it looks like advertising.
    pub name: String,
    /// Its scopes.
    pub scopes: String,
}

/// Facts about a sign-in in a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNotice {
    /// Time of the sign-in.
    pub at: Timestamp,
    /// The program, as it named itself. Mails omit it if it looks like advertising.
    pub program: Option<String>,
    /// The IP address.
    pub address: Option<String>,
}

impl DeviceNotice {
    fn params(&self) -> Vec<(&'static str, Param)> {
        let program = self.shown_program().unwrap_or_default();
        let address = self.address.as_deref().unwrap_or_default();
        vec![at(self.at), ("program", program.into()), ("address", address.into())]
    }

    /// The name of the program, if a mail may repeat it.
    fn shown_program(&self) -> Option<String> {
        wording::program(self.program.as_deref()?)
    }
}

impl TokenNotice {
    fn params(&self) -> Vec<(&'static str, Param)> {
        let mut params = vec![at(self.at)];
        if let Some(token) = &self.token {
            params.push(("name", token.shown_name().unwrap_or_default().into()));
            params.push(("scopes", token.scopes.as_str().into()));
        }
        params
    }
}

/// Parameter for a point in time.
fn at(time: Timestamp) -> (&'static str, Param) {
    ("time", wording::time(time).into())
}

impl TokenSummary {
    /// The name, if a mail may repeat it.
    fn shown_name(&self) -> Option<String> {
        wording::name(&self.name)
    }
}

/// Content of a mail; one variant for each `MailKind` of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// To a new user: the link confirms the address.
    VerifyEmail(Link),
    /// To the owner of an account whose address somebody tried to register. The recipient's name is the account's,
    /// never the one just typed.
    AlreadyRegistered,
    /// To a user who forgot the password: the link sets a new one.
    ResetPassword(Link),
    /// To a user whose password was changed, by anybody.
    PasswordChanged {
        /// Time of the change.
        at: Timestamp,
    },
    /// To a user whose account was created by somebody else: the link sets a password. Without a link, the mail links
    /// to the sign-in page.
    Welcome(Option<Link>),
    /// To the new address of an account: the link confirms it.
    ConfirmNewEmail(Link),
    /// To the previous address of an account.
    EmailChanged {
        /// The full new address; the mail masks it.
        new_address: String,
        /// The link that undoes the change.
        undo: Option<Link>,
    },
    /// To the address that an account lost by an undo.
    EmailChangeUndone,
    /// To a user whose refresh token was used twice.
    RefreshReused {
        /// Time of detection.
        at: Timestamp,
    },
    /// To a user whose account has a new second factor.
    FactorAdded {
        /// Time of the confirmation.
        at: Timestamp,
    },
    /// To a user whose second factors were removed, by anybody.
    FactorRemoved {
        /// Time of the removal.
        at: Timestamp,
    },
    /// To a user with one of whose recovery codes somebody proved who they are.
    RecoveryCodeUsed {
        /// Time of the use.
        at: Timestamp,
    },
    /// To a user whose account has new recovery codes.
    RecoveryCodesRenewed {
        /// Time of their creation.
        at: Timestamp,
    },
    /// To a user whose second factor was used from a device that was not known.
    NewDevice(DeviceNotice),
    /// To a user for whose account so many wrong codes were entered that no code of the app is accepted for a while.
    TotpStopped {
        /// Time of the last wrong code.
        at: Timestamp,
    },
    /// To a user whose account has a new passkey.
    PasskeyAdded {
        /// Time of the registration.
        at: Timestamp,
    },
    /// To a user one of whose passkeys was removed.
    PasskeyRemoved {
        /// Time of the removal.
        at: Timestamp,
    },
    /// To a user one of whose passkeys was refused because its counter went back.
    PasskeyCopied {
        /// Time of the refused use.
        at: Timestamp,
    },
    /// To a user for whose account an API token was created, by anybody.
    ApiTokenCreated(TokenNotice),
    /// To a user whose API token was rotated, by anybody.
    ApiTokenRotated(TokenNotice),
    /// To a user one of whose API tokens was revoked by staff.
    ApiTokenRevoked {
        /// Time of the revocation.
        at: Timestamp,
    },
}

impl Content {
    /// True if the mail greets by name. Mails that confirm an address may reach somebody unrelated to the account, and
    /// a stranger may have typed the name.
    fn greets_by_name(&self) -> bool {
        !matches!(self, Self::VerifyEmail(_) | Self::ConfirmNewEmail(_))
    }

    fn subject(&self) -> Text {
        match self {
            Self::VerifyEmail(_) => Text::new("mail-verify-subject"),
            Self::AlreadyRegistered => Text::new("mail-registered-subject"),
            Self::ResetPassword(_) => Text::new("mail-reset-subject"),
            Self::PasswordChanged { .. } => Text::new("mail-password-subject"),
            Self::Welcome(_) => Text::new("mail-welcome-subject"),
            Self::ConfirmNewEmail(_) => Text::new("mail-new-address-subject"),
            Self::EmailChanged { .. } => Text::new("mail-address-changed-subject"),
            Self::ApiTokenCreated(_) => Text::new("mail-token-created-subject"),
            Self::ApiTokenRotated(_) => Text::new("mail-token-rotated-subject"),
            Self::ApiTokenRevoked { .. } => Text::new("mail-token-revoked-subject"),
            Self::EmailChangeUndone => Text::new("mail-address-restored-subject"),
            Self::RefreshReused { .. } => Text::new("mail-reused-subject"),
            Self::FactorAdded { .. } => Text::new("mail-factor-added-subject"),
            Self::FactorRemoved { .. } => Text::new("mail-factor-removed-subject"),
            Self::RecoveryCodeUsed { .. } => Text::new("mail-recovery-code-subject"),
            Self::RecoveryCodesRenewed { .. } => Text::new("mail-codes-renewed-subject"),
            Self::NewDevice(_) => Text::new("mail-new-device-subject"),
            Self::TotpStopped { .. } => Text::new("mail-totp-stopped-subject"),
            Self::PasskeyAdded { .. } => Text::new("mail-passkey-added-subject"),
            Self::PasskeyRemoved { .. } => Text::new("mail-passkey-removed-subject"),
            Self::PasskeyCopied { .. } => Text::new("mail-passkey-copied-subject"),
        }
    }

    /// Parameters of its texts.
    fn params(&self) -> Vec<(&'static str, Param)> {
        match self {
            Self::VerifyEmail(link)
            | Self::ResetPassword(link)
            | Self::Welcome(Some(link))
            | Self::ConfirmNewEmail(link) => vec![link.validity()],
            Self::PasswordChanged { at: time }
            | Self::RefreshReused { at: time }
            | Self::FactorAdded { at: time }
            | Self::FactorRemoved { at: time }
            | Self::RecoveryCodeUsed { at: time }
            | Self::RecoveryCodesRenewed { at: time }
            | Self::TotpStopped { at: time }
            | Self::PasskeyAdded { at: time }
            | Self::PasskeyRemoved { at: time }
            | Self::PasskeyCopied { at: time }
            | Self::ApiTokenRevoked { at: time } => vec![at(*time)],
            Self::EmailChanged { new_address, undo } => {
                let address = ("address", wording::masked(new_address).into());
                std::iter::once(address).chain(undo.as_ref().map(Link::validity)).collect()
            }
            Self::ApiTokenCreated(notice) | Self::ApiTokenRotated(notice) => notice.params(),
            Self::NewDevice(notice) => notice.params(),
            Self::AlreadyRegistered | Self::Welcome(None) | Self::EmailChangeUndone => Vec::new(),
        }
    }
}

/// Texts of one mail, all with the same parameters.
struct Words(Vec<(&'static str, Param)>);

impl Words {
    fn new(site: &Site, content: &Content) -> Self {
        let support = site.support.as_deref().unwrap_or("none");
        let mut params = vec![("site", site.name.as_str().into()), ("support", support.into())];
        params.extend(content.params());
        Self(params)
    }

    fn text(&self, id: &'static str) -> String {
        self.fill(Text::new(id))
    }

    fn fill(&self, text: Text) -> String {
        self.0.iter().fold(text, |text, (name, value)| text.with(name, value.clone())).english()
    }
}

/// Renders a mail. The same arguments always give the same mail.
pub fn render(site: &Site, recipient: &Recipient, content: &Content, id: Uuid) -> Message {
    let site = &Site { name: wording::one_line(&site.name), ..site.clone() };
    let words = &Words::new(site, content);
    let name = wording::name(&recipient.name).filter(|_| content.greets_by_name());
    let greeting = &match &name {
        Some(name) => Text::new("mail-greeting").with("name", name.as_str()).english(),
        None => words.text("mail-greeting-without-name"),
    };
    let subject = words.fill(content.subject());
    let text = PlainBody { words, site, greeting, content }.render().expect("writing to a string does not fail");
    let html = HtmlBody { words, site, greeting, content, subject: &subject };
    let html = html.render().expect("writing to a string does not fail");
    // The usual form: a link copied from the source is understood by pages.
    let html = html.replace("&#38;", "&amp;");
    Message { to: recipient.address.clone(), to_name: name.unwrap_or_default(), subject, text, html, id }
}

#[derive(Template)]
#[template(path = "mail.txt", config = "src/tools/mail/askama.toml")]
struct PlainBody<'a> {
    words: &'a Words,
    site: &'a Site,
    greeting: &'a str,
    content: &'a Content,
}

#[derive(Template)]
#[template(path = "mail.html", config = "src/tools/mail/askama.toml")]
struct HtmlBody<'a> {
    words: &'a Words,
    site: &'a Site,
    greeting: &'a str,
    content: &'a Content,
    subject: &'a str,
}
