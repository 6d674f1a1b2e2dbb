//! Confirming an address with the link that was mailed to it.

use std::time::Duration;

use uuid::Uuid;

use crate::config::{Registration, SessionConfig};
use crate::database::Db;
use crate::domain::access::Client;
use crate::domain::account::email_move;
use crate::domain::limits;
use crate::domain::passwords::{NewPassword, Passwords};
use crate::domain::registration::pending::{self, Account};
use crate::domain::sent_forms::{self, SentForm};
use crate::domain::sessions;
use crate::entity::{registration, session, user};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Moment;
use crate::tools::secret::Secret;

/// How old a link may be to sign its holder in as well: mails lie about for long, and get passed on.
const SIGNS_IN_FOR: Duration = Duration::from_secs(60 * 60);

/// What confirming goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether anybody may register.
    pub registration: Registration,
    /// The rules for passwords, and how many wrong links may be tried.
    pub passwords: &'a Passwords,
    /// How long sessions live.
    pub lives: &'a SessionConfig,
}

/// A link that was followed, and what its follower knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// The secret of the link.
    pub token: &'a str,
    /// The secret of the client that registered, from its cookie.
    pub cookie: Option<&'a Secret>,
    /// The same, from the input.
    pub registration_secret: Option<&'a str>,
}

/// A link to confirm an address with.
#[derive(Clone, Copy, Debug)]
pub struct Confirm<'a> {
    /// The link.
    pub link: Link<'a>,
    /// The password chosen at registration, or a new one.
    pub password: Option<NewPassword<'a>>,
    /// The session that the browser is signed in with.
    pub present: Option<Uuid>,
    /// The form of a page that was sent; it may come twice.
    pub form: Option<&'a SentForm>,
}

/// The address that a link confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The address.
    pub email: String,
    /// Whether the link makes a new account; otherwise an account moves to the address.
    pub is_new: bool,
    /// Whether the follower has to enter a password.
    pub needs_password: bool,
}

/// The user whose address is confirmed now.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The user.
    pub user: user::Model,
    /// A session of theirs, where the account is new, its link was young, and nobody else is signed in.
    pub session: Option<session::Model>,
    /// Whether the browser stays signed in to another account.
    pub is_other_present: bool,
}

impl Link<'_> {
    /// Whether the follower is the client that registered.
    fn proves(&self, waiting: &registration::Model) -> bool {
        let typed = self.registration_secret.and_then(Secret::from_text);
        self.cookie.into_iter().chain(&typed).any(|secret| waiting.is_of(secret))
    }
}

/// Looks up what a link confirms; that does not spend it. None where it is no longer valid.
///
/// # Errors
/// [`crate::error::Error::RateLimited`] after too many wrong links.
pub async fn look_up(
    db: &Db,
    now: &Moment,
    client: &Client,
    rules: Rules<'_>,
    link: Link<'_>,
) -> Result<Option<Waiting>> {
    let attempt = limits::take_link(db, now, client, rules.passwords.limits()).await?;
    let waiting = waiting(db, now, rules, link).await?;
    if waiting.is_some() {
        limits::give_back(db.writer(), attempt).await?;
    }
    Ok(waiting)
}

async fn waiting(db: &Db, now: &Moment, rules: Rules<'_>, link: Link<'_>) -> Result<Option<Waiting>> {
    let Some(secret) = Secret::from_text(link.token) else { return Ok(None) };
    if let Some(waiting) = registered(db, now, rules, &secret).await? {
        let needs_password = !link.proves(&waiting);
        return Ok(Some(Waiting { email: waiting.email, is_new: true, needs_password }));
    }
    let moved = email_move::find(db.reader(), now, &secret).await?;
    Ok(moved.map(|email| Waiting { email, is_new: false, needs_password: false }))
}

/// The registration that waits for this link, as long as registration is open.
async fn registered(db: &Db, now: &Moment, rules: Rules<'_>, secret: &Secret) -> Result<Option<registration::Model>> {
    if rules.registration != Registration::Open {
        return Ok(None);
    }
    pending::find_by_link(db.reader(), now, secret).await
}

/// Confirms an address, and spends the link.
///
/// The follower of a link to a new account never gets a password that somebody else typed: the client that registered
/// confirms with the link alone; everybody else enters the password chosen at registration, or a new one. With a new one
/// the account keeps nothing of the registration but the address, since a stranger may have typed it.
///
/// # Errors
/// [`Code::InvalidToken`] where the link was used, ran out, was overtaken by a newer one or never existed, and where the
/// address was given to somebody else meanwhile. A link to a new account is no longer good once registration is closed.
/// [`Code::PasswordRequired`], and the refusal of a weak password, after which the link is still good.
/// [`crate::error::Error::RateLimited`] after too many wrong links and refused passwords.
pub async fn verify_email(
    db: &Db,
    now: &Moment,
    client: &Client,
    rules: Rules<'_>,
    input: Confirm<'_>,
) -> Result<Verified> {
    let attempt = limits::take_link(db, now, client, rules.passwords.limits()).await?;
    let secret = Secret::from_text(input.link.token).ok_or_else(invalid_link)?;
    // A secret belongs to one kind of link; the kinds are tried one after the other.
    let verified = match registered(db, now, rules, &secret).await? {
        Some(waiting) => {
            let is_known = input.link.proves(&waiting);
            let account = match input.password {
                Some(new) => account(rules.passwords, &waiting, is_known, new).await?,
                None if is_known => Account::AsRegistered,
                None => {
                    limits::give_back(db.writer(), attempt).await?;
                    return Err(password_required(&waiting).into());
                }
            };
            new_account(db, now, client, (rules.lives, &input), (&secret, account)).await?
        }
        None => moved(db, now, client, (&secret, input.form)).await?,
    };
    limits::give_back(db.writer(), attempt).await?;
    Ok(verified)
}

/// What the registration becomes with the password that is entered by the client that registered, where it is known to be
/// that one, or by somebody else. Refused passwords count as attempts at the link, since each costs a hash.
async fn account(
    passwords: &Passwords,
    waiting: &registration::Model,
    is_known: bool,
    new: NewPassword<'_>,
) -> Result<Account> {
    passwords.check_form(new)?;
    if passwords.matches(new.password, &waiting.password_hash).await? {
        return Ok(Account::AsRegistered);
    }
    if is_known {
        let name = waiting.username.as_deref().unwrap_or_default();
        let about = [name, &waiting.email, &waiting.first_name, &waiting.last_name];
        return Ok(Account::WithPassword(passwords.accept(new, &about).await?));
    }
    Ok(Account::AddressOnly(passwords.accept(new, &[&waiting.email]).await?))
}

async fn new_account(
    db: &Db,
    now: &Moment,
    client: &Client,
    (lives, input): (&SessionConfig, &Confirm<'_>),
    link: (&Secret, Account),
) -> Result<Verified> {
    let (txn, ref now) = db.begin(now).await?;
    let completed = pending::complete(&txn, now, client, link).await?;
    let (user, made_at) = completed.ok_or_else(invalid_link)?;
    sent_forms::note(&txn, now, input.form).await?;
    let is_other_present = match input.present {
        Some(session) => sessions::is_alive(&txn, now, lives, session).await?,
        None => false,
    };
    let session = match now.at <= made_at.plus(SIGNS_IN_FOR) && !is_other_present {
        true => Some(sessions::open(&txn, now, client, lives, user.id).await?),
        false => None,
    };
    txn.commit().await?;
    Ok(Verified { user, session, is_other_present })
}

async fn moved(
    db: &Db,
    now: &Moment,
    client: &Client,
    (secret, form): (&Secret, Option<&SentForm>),
) -> Result<Verified> {
    let (txn, ref now) = db.begin(now).await?;
    let user = email_move::confirm(&txn, now, client, secret).await?.ok_or_else(invalid_link)?;
    sent_forms::note(&txn, now, form).await?;
    txn.commit().await?;
    Ok(Verified { user, session: None, is_other_present: false })
}

fn invalid_link() -> Refusal {
    Refusal::new(Code::InvalidToken, "This link is no longer good: ask for a new mail.").of("token")
}

fn password_required(waiting: &registration::Model) -> Refusal {
    let message =
        format!("Enter a password to confirm {}: the one chosen at registration, or a new one.", waiting.email);
    Refusal::new(Code::PasswordRequired, message).of("password")
}
