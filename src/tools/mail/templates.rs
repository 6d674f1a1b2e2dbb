//! What the service says by mail, one pair of templates for each occasion.

use std::fmt;
use std::time::Duration;

use askama::Template;
use uuid::Uuid;

use super::message::Message;
use super::wording;
use crate::tools::clock::Timestamp;

/// Whose mails these are, and where their links without secrets lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The name of the site, such as `Vestibule`.
    pub name: String,
    /// Whom to ask: an address, mostly. `None` leaves it out.
    pub support: Option<String>,
    /// The URL of the page to sign in.
    pub sign_in: String,
    /// The URL of the page where one asks for a new password.
    pub forgot_password: String,
}

/// Whom a mail goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// The user's name, or an empty text. Mails greet without it where it is very long or looks like advertising, or where
    /// the address is not confirmed yet.
    pub name: String,
}

/// A link with a secret in it, which works once. Its `Debug` form hides the URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The whole URL.
    pub url: String,
    /// How long it can be used.
    pub valid_for: Duration,
}

impl Link {
    fn holds(&self) -> String {
        wording::span(self.valid_for)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("valid_for", &self.valid_for).finish_non_exhaustive()
    }
}

/// What a mail says about an API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenNotice {
    /// When it was created, or given another secret.
    pub at: Timestamp,
    /// What is known of the token; none where it was deleted before the mail was sent.
    pub token: Option<TokenSummary>,
}

/// What a mail repeats of an API token; never its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSummary {
    /// Its name, as whoever created it typed it. A mail leaves it out where it looks like advertising.
    pub name: String,
    /// Its scopes.
    pub scopes: String,
}

impl TokenSummary {
    /// The name, where a mail may repeat it.
    fn shown_name(&self) -> Option<String> {
        wording::name(&self.name)
    }
}

/// What a mail says; one variant for each `MailKind` of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// To a new user: the link confirms the address.
    VerifyEmail(Link),
    /// To the owner of an account with whose address somebody tried to register. The recipient's name is the account's,
    /// never the one just typed.
    AlreadyRegistered,
    /// To a user who forgot the password: the link lets one choose another.
    ResetPassword(Link),
    /// To a user whose password was changed, by whomever.
    PasswordChanged {
        /// When it was changed.
        at: Timestamp,
    },
    /// To a user whose account was made by somebody else: the link lets one choose a password. Without a link the mail
    /// tells where to sign in.
    Welcome(Option<Link>),
    /// To the new address of an account that is to move there: the link confirms it.
    ConfirmNewEmail(Link),
    /// To the old address of an account that has moved.
    EmailChanged {
        /// The new address, whole; the mail shows a part.
        new_address: String,
        /// The link that undoes the change.
        undo: Option<Link>,
    },
    /// To the address of an account that was taken away by an undo.
    EmailChangeUndone,
    /// To a user of whom two hold what keeps one device signed in.
    RefreshReused {
        /// When that was noticed.
        at: Timestamp,
    },
    /// To a user for whose account an API token was created, by whomever.
    ApiTokenCreated(TokenNotice),
    /// To a user one of whose API tokens was given another secret, by whomever.
    ApiTokenRotated(TokenNotice),
}

impl Content {
    /// Whether the mail greets by name. Mails that confirm an address may go to somebody who has nothing to do with the
    /// account, whose name a stranger typed.
    fn greets_by_name(&self) -> bool {
        !matches!(self, Self::VerifyEmail(_) | Self::ConfirmNewEmail(_))
    }

    fn subject(&self, site: &str) -> String {
        match self {
            Self::VerifyEmail(_) => format!("Confirm your e-mail address for {site}"),
            Self::AlreadyRegistered => format!("You already have an account at {site}"),
            Self::ResetPassword(_) => format!("Reset your password at {site}"),
            Self::PasswordChanged { .. } => format!("Your password at {site} was changed"),
            Self::Welcome(_) => format!("Your account at {site}"),
            Self::ConfirmNewEmail(_) => format!("Confirm your new e-mail address for {site}"),
            Self::EmailChanged { .. } => format!("Your e-mail address at {site} was changed"),
            Self::ApiTokenCreated(_) => format!("A new API token for your account at {site}"),
            Self::ApiTokenRotated(_) => format!("An API token of your account at {site} has a new secret"),
            Self::EmailChangeUndone => format!("Your e-mail address at {site} was changed back"),
            Self::RefreshReused { .. } => format!("You were signed out at {site}, to be safe"),
        }
    }
}

/// The mail that tells `recipient` this. The same arguments always give the same mail.
pub fn render(site: &Site, recipient: &Recipient, content: &Content, id: Uuid) -> Message {
    let site = &Site { name: wording::one_line(&site.name), ..site.clone() };
    let name = wording::name(&recipient.name).filter(|_| content.greets_by_name());
    let greeting = &name.as_ref().map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
    let subject = content.subject(&site.name);
    let text = Text { site, greeting, content }.render().expect("writing to a string does not fail");
    let html = Html { site, greeting, content, subject: &subject }.render().expect("writing to a string does not fail");
    // As everybody writes it: who copies a link out of the source has something that pages understand.
    let html = html.replace("&#38;", "&amp;");
    Message { to: recipient.address.clone(), to_name: name.unwrap_or_default(), subject, text, html, id }
}

#[derive(Template)]
#[template(path = "mail.txt", config = "src/tools/mail/askama.toml")]
struct Text<'a> {
    site: &'a Site,
    greeting: &'a str,
    content: &'a Content,
}

#[derive(Template)]
#[template(path = "mail.html", config = "src/tools/mail/askama.toml")]
struct Html<'a> {
    site: &'a Site,
    greeting: &'a str,
    content: &'a Content,
    subject: &'a str,
}
