//! Confirming an address with the link that was mailed to it.

use std::time::Duration;

use sea_orm::QuerySelect as _;
use sea_orm::sea_query::LockType;

use crate::config::{Registration, SessionConfig};
use crate::database::Db;
use crate::domain::account::email_change::{self, EmailChange};
use crate::domain::account::registration::pending::{self, Account};
use crate::domain::auth::identity::{Caller, Client};
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::auth::sessions::{self, SessionProof};
use crate::domain::auth::sign_in::password_expired;
use crate::domain::rate_limits::{self, Account as Attempted};
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::{registration, session, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::secret::Secret;
use crate::tools::token::RefreshToken;

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
    /// The password chosen at registration, or a new one; for the new address of an account, the account's password.
    pub password: Option<NewPassword<'a>>,
    /// The session that the client is signed in with.
    pub signed_in: SignedIn<'a>,
    /// The form of a page that was sent; it may come twice.
    pub form: Option<&'a SentForm>,
}

/// The sessions of the client that follows a link.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignedIn<'a> {
    /// The refresh token in the browser's cookie.
    pub cookie: Option<RefreshToken>,
    /// The sender of the request, by an access token or an API token.
    pub caller: Option<&'a Caller>,
}

impl SignedIn<'_> {
    /// Proofs of these sessions. An API token is none.
    fn proofs(self) -> impl Iterator<Item = SessionProof> {
        let cookie = self.cookie.map(SessionProof::RefreshToken);
        let session = self.caller.and_then(|caller| caller.session_user().ok()).map(|present| present.session());
        cookie.into_iter().chain(session.map(SessionProof::Session))
    }
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
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    (link, signed_in): (Link<'_>, SignedIn<'_>),
) -> Result<Option<Waiting>> {
    let attempt = rate_limits::take_link(db, now, client, rules.passwords.limits()).await?;
    let waiting = waiting(db, now, rules, (link, signed_in)).await?;
    if waiting.is_some() {
        rate_limits::give_back(db.writer(), attempt).await?;
    }
    Ok(waiting)
}

async fn waiting(
    db: &Db,
    now: &Now,
    rules: Rules<'_>,
    (link, signed_in): (Link<'_>, SignedIn<'_>),
) -> Result<Option<Waiting>> {
    let Some(secret) = Secret::from_text(link.token) else { return Ok(None) };
    if let Some(waiting) = registered(db, now, rules, &secret).await? {
        let needs_password = !link.proves(&waiting);
        return Ok(Some(Waiting { email: waiting.email, is_new: true, needs_password }));
    }
    let Some(EmailChange { user, to }) = email_change::find(db.reader(), now, &secret).await? else { return Ok(None) };
    let needs_password = held(db, now, rules, (signed_in, &user)).await?.is_none();
    Ok(Some(Waiting { email: to, is_new: false, needs_password }))
}

/// The proof of a live session of this user, if the client has one.
async fn held(
    db: &Db,
    now: &Now,
    rules: Rules<'_>,
    (signed_in, user): (SignedIn<'_>, &user::Model),
) -> Result<Option<SessionProof>> {
    for proof in signed_in.proofs() {
        if sessions::held(now, rules.lives, proof, user.id).one(db.reader()).await?.is_some() {
            return Ok(Some(proof));
        }
    }
    Ok(None)
}

/// The registration that waits for this link, as long as registration is open.
async fn registered(db: &Db, now: &Now, rules: Rules<'_>, secret: &Secret) -> Result<Option<registration::Model>> {
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
/// Nor does the follower get into an account that somebody else asked to move to their address: it moves only for a client
/// with a session of that account, or with its password.
///
/// # Errors
/// [`Code::InvalidToken`] where the link was used, ran out, was overtaken by a newer one or never existed, and where the
/// address was given to somebody else meanwhile. A link to a new account is no longer good once registration is closed.
/// [`Code::PasswordRequired`], the refusal of a weak password, [`Code::PasswordIncorrect`] and [`Code::PasswordExpired`] of the
/// account that moves, after which the link is still good.
/// [`crate::error::Error::RateLimited`] after too many wrong links and refused passwords.
pub async fn verify_email(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    input: Confirm<'_>,
) -> Result<Verified> {
    let attempt = rate_limits::take_link(db, now, client, rules.passwords.limits()).await?;
    let secret = Secret::from_text(input.link.token).ok_or_else(invalid_link)?;
    // A secret belongs to one kind of link; the kinds are tried one after the other.
    let verified = match registered(db, now, rules, &secret).await? {
        Some(waiting) => {
            let is_known = input.link.proves(&waiting);
            let account = match input.password {
                Some(new) => account(rules.passwords, &waiting, is_known, new).await?,
                None if is_known => Account::AsRegistered,
                None => {
                    rate_limits::give_back(db.writer(), attempt).await?;
                    return Err(password_required(&waiting).into());
                }
            };
            new_account(db, now, client, (rules.lives, &input), (&secret, account)).await?
        }
        None => {
            let waiting = email_change::find(db.reader(), now, &secret).await?.ok_or_else(invalid_link)?;
            let proof = match prove(db, now, client, rules, (&waiting, input)).await {
                Err(Error::Refused(refusals)) if refusals.iter().any(is_password_required) => {
                    rate_limits::give_back(db.writer(), attempt).await?;
                    return Err(Error::Refused(refusals));
                }
                proof => proof?,
            };
            moved(db, now, client, rules, (&secret, proof, input.form)).await?
        }
    };
    rate_limits::give_back(db.writer(), attempt).await?;
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
    now: &Now,
    client: &Client,
    (lives, input): (&SessionConfig, &Confirm<'_>),
    link: (&Secret, Account),
) -> Result<Verified> {
    let (txn, ref now) = db.begin(now).await?;
    let completed = pending::complete(&txn, now, client, link).await?;
    let (user, made_at) = completed.ok_or_else(invalid_link)?;
    sent_forms::note(&txn, now, input.form).await?;
    let is_other_present = match input.signed_in.cookie {
        Some(token) => sessions::is_alive(&txn, now, lives, token.session).await?,
        None => false,
    };
    let session = match now.at <= made_at.plus(SIGNS_IN_FOR) && !is_other_present {
        true => Some(sessions::open(&txn, now, client, lives, user.id).await?),
        false => None,
    };
    txn.commit().await?;
    Ok(Verified { user, session, is_other_present })
}

/// The proof that the client is the owner of an account.
#[derive(Clone, Debug)]
enum Proof {
    /// A session of it.
    Session(SessionProof),
    /// Its password.
    Password,
}

/// Asks the client to prove that the account is theirs: who asked for the move may be a stranger to the reader of the new
/// address.
async fn prove(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    (waiting, input): (&EmailChange, Confirm<'_>),
) -> Result<Proof> {
    if let Some(proof) = held(db, now, rules, (input.signed_in, &waiting.user)).await? {
        return Ok(Proof::Session(proof));
    }
    match input.password {
        Some(typed) => by_password(db, now, client, rules, (waiting, typed)).await,
        None => Err(account_password_required(&waiting.to).into()),
    }
}

async fn by_password(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    (waiting, typed): (&EmailChange, NewPassword<'_>),
) -> Result<Proof> {
    let Rules { passwords, .. } = rules;
    let user = &waiting.user;
    let account = (Attempted::Own(user.id), Some(user));
    let (verdict, attempt) = passwords.verify(db, now, client, account, typed.password).await?;
    if !verdict.matches {
        return Err(wrong_password().into());
    }
    if passwords.has_expired(user, now) {
        return Err(password_expired().of("password").into());
    }
    rate_limits::give_back(db.writer(), attempt).await?;
    Ok(Proof::Password)
}

async fn moved(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    (secret, proof, form): (&Secret, Proof, Option<&SentForm>),
) -> Result<Verified> {
    let (txn, ref now) = db.begin(now).await?;
    let found = email_change::lock(&txn, now, secret).await?.ok_or_else(invalid_link)?;
    // Whoever was waited for may have taken long, and what they did comes first in the trail.
    let now = &now.anew();
    let user = &found.user;
    let is_proved = match &proof {
        Proof::Session(proof) => {
            let held = sessions::held(now, rules.lives, *proof, user.id).lock(LockType::KeyShare);
            held.one(&txn).await?.is_some()
        }
        // Another password would have ended the link.
        Proof::Password => true,
    };
    if !is_proved {
        return Err(account_password_required(&found.to).into());
    }
    let user = email_change::confirm(&txn, now, client, (secret, found)).await?.ok_or_else(invalid_link)?;
    sent_forms::note(&txn, now, form).await?;
    txn.commit().await?;
    Ok(Verified { user, session: None, is_other_present: false })
}

fn invalid_link() -> Refusal {
    Refusal::new(Code::InvalidToken, "This link is no longer good: ask for a new mail.").of("token")
}

fn is_password_required(refusal: &Refusal) -> bool {
    refusal.code == Code::PasswordRequired
}

fn account_password_required(email: &str) -> Refusal {
    let message = format!("Sign in to the account that moves to {email}, or enter its password.");
    Refusal::new(Code::PasswordRequired, message).of("password")
}

fn wrong_password() -> Refusal {
    let message = "This is not the password of the account that asked for this address.";
    Refusal::new(Code::PasswordIncorrect, message).of("password")
}

fn password_required(waiting: &registration::Model) -> Refusal {
    let message =
        format!("Enter a password to confirm {}: the one chosen at registration, or a new one.", waiting.email);
    Refusal::new(Code::PasswordRequired, message).of("password")
}
