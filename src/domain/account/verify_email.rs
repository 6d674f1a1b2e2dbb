//! Confirming an address by a mailed link.

use sea_orm::QuerySelect as _;
use sea_orm::sea_query::LockType;

use crate::config::{Registration, SessionConfig};
use crate::database::Db;
use crate::domain::account::email_change::{self, EmailChange};
use crate::domain::account::passkeys::register::{self as passkeys, NewPasskey};
use crate::domain::account::registration::confirm;
use crate::domain::auth::identity::{Caller, Client};
use crate::domain::auth::passwords::{NewPassword, Passwords, TypedPassword};
use crate::domain::auth::second_factor::SecondFactorRules;
use crate::domain::auth::sessions::{self, SessionProof};
use crate::domain::auth::sign_in::{self, Failure, password_expired};
use crate::domain::rate_limits::{self, Account as Attempted, Attempt};
use crate::domain::sent_forms::{self, SentForm};
use crate::entity::audit_event::Reason;
use crate::entity::{registration, session, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::secret::Secret;
use crate::tools::token::RefreshToken;

/// Settings of the confirmation.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Open or closed registration.
    pub registration: Registration,
    /// The rules for passwords, and the limit of invalid links.
    pub passwords: &'a Passwords,
    /// Lifetimes of sessions.
    pub lives: &'a SessionConfig,
    /// The rules for passkeys and second factors.
    pub second_factor: SecondFactorRules<'a>,
}

/// A link that was followed, and the secrets of the client that follows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// The secret of the link.
    pub token: &'a str,
    /// The secret of the client that registered, from its cookie.
    pub cookie: Option<&'a Secret>,
    /// The same, from the input.
    pub registration_secret: Option<&'a str>,
}

/// Input of the confirmation.
#[derive(Clone, Copy, Debug)]
pub struct Confirm<'a> {
    /// The link.
    pub link: Link<'a>,
    /// The password chosen at sign-up, or a new one; for the new address of an account, the account's password.
    pub password: Option<NewPassword<'a>>,
    /// The passkey of a new account, instead of a password.
    pub passkey: Option<&'a NewPasskey>,
    /// The session that the client is signed in with.
    pub signed_in: SignedIn<'a>,
    /// The submitted form of a page; a repeated submission is recognized by it.
    pub form: Option<&'a SentForm>,
}

/// The sessions of the client that follows a link.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignedIn<'a> {
    /// The refresh token in the browser's cookie.
    pub cookie: Option<RefreshToken>,
    /// The caller, authenticated by an access token or an API token.
    pub caller: Option<&'a Caller>,
}

impl SignedIn<'_> {
    /// Proofs of these sessions. An API token is not a session.
    fn proofs(self) -> impl Iterator<Item = SessionProof> {
        let cookie = self.cookie.map(SessionProof::RefreshToken);
        let session = self.caller.and_then(|caller| caller.session_user().ok()).map(|present| present.session());
        cookie.into_iter().chain(session.map(SessionProof::Session))
    }
}

/// An address that a link confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The address.
    pub email: String,
    /// True if the link creates a new account; false if it changes the address of an account.
    pub is_new: bool,
    /// True if the client has to enter a password, or for a new account create a passkey.
    pub needs_password: bool,
    /// True for a new account that was registered without a password.
    pub is_without_password: bool,
    /// True for a new account that may have a passkey.
    pub may_have_passkey: bool,
}

/// A user with a newly confirmed address.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The user.
    pub user: user::Model,
    /// A new session, if the account is new, its link is recent, and no other user is signed in.
    pub session: Option<session::Model>,
    /// True if the browser stays signed in to another account.
    pub is_other_present: bool,
    /// The texts of recovery codes, if the account is new and has a passkey.
    pub recovery_codes: Option<Vec<String>>,
}

impl Link<'_> {
    /// Checks that the client that follows the link is the one that registered.
    pub(in crate::domain::account) fn proves(&self, waiting: &registration::Model) -> bool {
        let typed = self.registration_secret.and_then(Secret::from_text);
        self.cookie.into_iter().chain(&typed).any(|secret| waiting.is_of(secret))
    }
}

/// Looks up the address that a link confirms, without spending the link. Returns `None` if it is no longer valid. `is_opened`
/// is true for a page that is opened, and false for a form that was sent.
///
/// # Errors
/// [`crate::error::Error::RateLimited`] after too many invalid links.
pub async fn look_up(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    link: Link<'_>,
    signed_in: SignedIn<'_>,
    is_opened: bool,
) -> Result<Option<Waiting>> {
    let limits = rules.passwords.limits();
    let attempt = match is_opened {
        true => rate_limits::take_opened_link(db, now, client, limits).await?,
        false => rate_limits::take_link(db, now, client, limits).await?,
    };
    let waiting = waiting(db, now, rules, link, signed_in).await?;
    if waiting.is_some() {
        rate_limits::give_back(db.writer(), attempt).await?;
    }
    Ok(waiting)
}

async fn waiting(
    db: &Db,
    now: &Now,
    rules: Rules<'_>,
    link: Link<'_>,
    signed_in: SignedIn<'_>,
) -> Result<Option<Waiting>> {
    let Some(secret) = Secret::from_text(link.token) else { return Ok(None) };
    if let Some(waiting) = confirm::find(db, now, rules, &secret).await? {
        let is_without_password = waiting.password().is_none();
        return Ok(Some(Waiting {
            needs_password: is_without_password || !link.proves(&waiting),
            is_without_password,
            may_have_passkey: passkeys::domain(rules.second_factor).is_ok(),
            email: waiting.email,
            is_new: true,
        }));
    }
    let Some(EmailChange { user, to }) = email_change::find(db.reader(), now, &secret).await? else { return Ok(None) };
    let needs_password = held(db, now, rules.lives, signed_in, &user).await?.is_none();
    Ok(Some(Waiting { email: to, is_new: false, needs_password, is_without_password: false, may_have_passkey: false }))
}

/// The proof of a valid session of this user, if the client has one.
async fn held(
    db: &Db,
    now: &Now,
    lives: &SessionConfig,
    signed_in: SignedIn<'_>,
    user: &user::Model,
) -> Result<Option<SessionProof>> {
    for proof in signed_in.proofs() {
        if sessions::held(now, lives, proof, user.id).one(db.reader()).await?.is_some() {
            return Ok(Some(proof));
        }
    }
    Ok(None)
}

/// Confirms an address, and spends the link.
///
/// A new account never gets a password typed by somebody else. The client that registered confirms with the link alone;
/// other clients enter the password chosen at sign-up, or a new one, or create a passkey. With a new password or a passkey,
/// the account keeps only the address of the registration, because a stranger may have typed the rest. A registration
/// without a password always needs one of both.
///
/// A link never gives access to another account that requested a move to the reader's address: the address changes only
/// for a client with a session of that account, or with its password.
///
/// # Errors
/// [`Code::InvalidToken`] if the link was used, has expired, was replaced by a newer one or never existed, or if
/// another account took the address meanwhile. A link to a new account is invalid once registration is closed.
/// [`Code::PasswordRequired`], the refusal of a weak password or of a passkey, [`Code::PasswordIncorrect`] and
/// [`Code::PasswordExpired`] of the account that changes its address; the link stays valid after these.
/// [`crate::error::Error::RateLimited`] after too many invalid links, and refused passwords and passkeys.
pub async fn verify_email(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    input: Confirm<'_>,
) -> Result<Verified> {
    let attempt = rate_limits::take_link(db, now, client, rules.passwords.limits()).await?;
    let verified = follow(db, now, client, rules, input).await;
    // A password that was not typed is no guess.
    let is_asked_for = matches!(&verified, Err(Error::Refused(refusals)) if refusals.iter().any(is_password_required));
    if verified.is_ok() || is_asked_for {
        rate_limits::give_back(db.writer(), attempt).await?;
    }
    verified
}

async fn follow(db: &Db, now: &Now, client: &Client, rules: Rules<'_>, input: Confirm<'_>) -> Result<Verified> {
    let secret = Secret::from_text(input.link.token).ok_or_else(invalid_link)?;
    // A secret belongs to one kind of link; the kinds are tried in turn.
    if let Some(waiting) = confirm::find(db, now, rules, &secret).await? {
        return confirm::confirm(db, now, client, rules, input, (&secret, &waiting)).await;
    }
    let waiting = email_change::find(db.reader(), now, &secret).await?.ok_or_else(invalid_link)?;
    let proof = prove(db, now, client, rules, &waiting, input).await?;
    moved(db, now, client, rules, proof, (&secret, input.form)).await
}

/// Proof that the client owns an account.
#[derive(Clone, Debug)]
enum Proof {
    /// A session of the account.
    Session(SessionProof),
    /// The password of the account.
    Password,
}

/// Requires proof that the account belongs to the client: a stranger may have requested the change to this reader's
/// address.
async fn prove(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    waiting: &EmailChange,
    input: Confirm<'_>,
) -> Result<Proof> {
    if let Some(proof) = held(db, now, rules.lives, input.signed_in, &waiting.user).await? {
        return Ok(Proof::Session(proof));
    }
    match input.password {
        Some(typed) => by_password(db, now, client, rules.passwords, &waiting.user, typed).await,
        None => Err(account_password_required(&waiting.to).into()),
    }
}

async fn by_password(
    db: &Db,
    now: &Now,
    client: &Client,
    passwords: &Passwords,
    user: &user::Model,
    typed: NewPassword<'_>,
) -> Result<Proof> {
    let entered = TypedPassword { account: Attempted::OfLink(user.id), user: Some(user), text: typed.password };
    let (verdict, attempt) = passwords.verify(db, now, client, entered).await?;
    if !verdict.matches {
        sign_in::record_failure(db, now, client, Failure::of_wrong_password(user)).await?;
        return Err(wrong_password().into());
    }
    rate_limits::give_back(db.writer(), attempt).await?;
    if passwords.has_expired(user, now) {
        let failure = Failure::of(user, Attempt::default(), Reason::PasswordExpired);
        sign_in::record_failure(db, now, client, failure).await?;
        return Err(password_expired().of("password").into());
    }
    Ok(Proof::Password)
}

async fn moved(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    proof: Proof,
    (secret, form): (&Secret, Option<&SentForm>),
) -> Result<Verified> {
    let (txn, ref now) = db.begin(now).await?;
    let found = email_change::lock(&txn, now, secret).await?.ok_or_else(invalid_link)?;
    // Waiting for the locks may have taken long; events of the other transactions come first in the trail.
    let now = &now.anew();
    let user = &found.user;
    let is_proved = match &proof {
        Proof::Session(proof) => {
            let held = sessions::held(now, rules.lives, *proof, user.id).lock(LockType::KeyShare);
            held.one(&txn).await?.is_some()
        }
        // A new password would have ended the link.
        Proof::Password => true,
    };
    if !is_proved {
        return Err(account_password_required(&found.to).into());
    }
    let user = email_change::confirm(&txn, now, client, secret, found).await?.ok_or_else(invalid_link)?;
    sent_forms::note(&txn, now, form).await?;
    txn.commit().await?;
    Ok(Verified { user, session: None, is_other_present: false, recovery_codes: None })
}

pub(in crate::domain::account) fn invalid_link() -> Refusal {
    Refusal::new(Code::InvalidToken, "link-invalid").of("token")
}

fn is_password_required(refusal: &Refusal) -> bool {
    refusal.code == Code::PasswordRequired
}

fn account_password_required(email: &str) -> Refusal {
    Refusal::new(Code::PasswordRequired, "account-password-required").with("email", email).of("password")
}

fn wrong_password() -> Refusal {
    Refusal::new(Code::PasswordIncorrect, "account-password-incorrect").of("password")
}
