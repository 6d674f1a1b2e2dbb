//! Confirming a registration: its link creates the user, with a password or a passkey.

use std::time::Duration;

use crate::config::Registration;
use crate::database::Db;
use crate::domain::account::passkeys::register::{self as passkeys, CreationOptions, PasskeyOwner};
use crate::domain::account::registration::pending::{self, Account};
use crate::domain::account::verify_email::{Confirm, Link, Rules, Verified, invalid_link};
use crate::domain::audit::Event;
use crate::domain::auth::identity::Client;
use crate::domain::auth::known_devices;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::auth::second_factor::Proven;
use crate::domain::auth::sessions;
use crate::domain::rate_limits;
use crate::domain::sent_forms;
use crate::entity::audit_event::Action;
use crate::entity::session::Method;
use crate::entity::{registration, user};
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::secret::Secret;

/// Maximum age of a link that also signs in: old mails are forwarded and lie in mailboxes.
const SIGNS_IN_FOR: Duration = Duration::from_secs(60 * 60);

/// The registration of this link, while registration is open.
pub(in crate::domain::account) async fn find(
    db: &Db,
    now: &Now,
    rules: Rules<'_>,
    secret: &Secret,
) -> Result<Option<registration::Model>> {
    if rules.registration != Registration::Open {
        return Ok(None);
    }
    pending::find_by_link(db.reader(), now, secret).await
}

/// Starts the creation of a passkey for the account of a registration, under the name of this site. Nothing is stored, and
/// the link stays valid. Only the client that registered sees the names of the registration.
///
/// # Errors
/// [`Code::InvalidToken`] for an invalid link, also of another kind; [`crate::error::Error::Forbidden`] if the site has no
/// domain, or second factors are off; [`crate::error::Error::RateLimited`] after too many invalid links.
pub async fn start_passkey(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    link: Link<'_>,
    site: &str,
) -> Result<CreationOptions> {
    let attempt = rate_limits::take_link(db, now, client, rules.passwords.limits()).await?;
    let secret = Secret::from_text(link.token).ok_or_else(invalid_link)?;
    let waiting = find(db, now, rules, &secret).await?.ok_or_else(invalid_link)?;
    rate_limits::give_back(db.writer(), attempt).await?;
    let name = if link.proves(&waiting) { waiting.name() } else { waiting.email.clone() };
    let owner = PasskeyOwner { id: pending::user_id(&waiting), email: waiting.email, name };
    passkeys::options(now, rules.second_factor, site, owner)
}

/// Creates the user of a registration, and spends the link. A passkey or password of the input replaces the password of
/// the registration.
///
/// # Errors
/// [`Code::PasswordRequired`] of a client that did not register, or for a registration without a password; the refusal of
/// a weak password, or of a passkey; [`Code::InvalidToken`] if the link was used meanwhile, or the address was taken.
pub(in crate::domain::account) async fn confirm(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    input: Confirm<'_>,
    (secret, waiting): (&Secret, &registration::Model),
) -> Result<Verified> {
    let is_known = input.link.proves(waiting);
    let mut passkey = None;
    let account = match (input.passkey, input.password) {
        (Some(new), _) => {
            passkey = Some(passkeys::verify(now, rules.second_factor, pending::user_id(waiting), new)?);
            with_password(is_known, None)
        }
        (None, Some(new)) => account(rules.passwords, waiting, is_known, new).await?,
        (None, None) if is_known && waiting.password().is_some() => Account::AsRegistered,
        (None, None) => return Err(credential_required(rules, waiting).into()),
    };
    let (txn, ref now) = db.begin(now).await?;
    let completed = pending::complete(&txn, now, client, secret, account).await?;
    let (user, made_at) = completed.ok_or_else(invalid_link)?;
    let registered = match passkey {
        Some(passkey) => {
            let event = Event::by_owner(client, Action::PasskeyAdded, user.id);
            known_devices::note(&txn, now, client, user.id).await?;
            Some(passkeys::store(&txn, now, &user, passkey, event).await?)
        }
        None => None,
    };
    sent_forms::note(&txn, now, input.form).await?;
    let is_other_present = match input.signed_in.cookie {
        Some(token) => sessions::is_alive(&txn, now, rules.lives, token.session).await?,
        None => false,
    };
    let proven = match &registered {
        Some(_) => Some(Proven::by_new_passkey(&user)),
        None => {
            let password = input.password.map(|_| Method::Password);
            Proven::first(rules.second_factor.policy, &user, password.into_iter().chain([Method::EmailLink]))
        }
    };
    let session = match proven.filter(|_| now.at <= made_at.plus(SIGNS_IN_FOR) && !is_other_present) {
        Some(proven) => Some(sessions::open(&txn, now, client, rules.lives, &proven).await?),
        None => None,
    };
    txn.commit().await?;
    let user = user::Model { has_second_factor: registered.is_some(), ..user };
    let recovery_codes = registered.and_then(|registered| registered.recovery_codes);
    Ok(Verified { user, session, is_other_present, recovery_codes })
}

/// The account that results from a registration with the entered password. `is_known` is true for the client that
/// registered. Refused passwords count as attempts at the link, because each costs a hash.
async fn account(
    passwords: &Passwords,
    waiting: &registration::Model,
    is_known: bool,
    new: NewPassword<'_>,
) -> Result<Account> {
    passwords.check_form(new)?;
    if let Some(registered) = waiting.password()
        && passwords.matches(new.password, registered).await?
    {
        return Ok(Account::AsRegistered);
    }
    let name = waiting.username.as_deref().unwrap_or_default();
    let about = match is_known {
        true => [waiting.email.as_str(), name, &waiting.first_name, &waiting.last_name],
        false => [waiting.email.as_str(), "", "", ""],
    };
    Ok(with_password(is_known, Some(passwords.accept(new, &about).await?)))
}

/// The account with a new password with this hash, or without one. A stranger may have typed the names, unless the client
/// registered.
fn with_password(is_known: bool, hash: Option<String>) -> Account {
    if is_known { Account::WithPassword(hash) } else { Account::AddressOnly(hash) }
}

fn credential_required(rules: Rules<'_>, waiting: &registration::Model) -> Refusal {
    let text = match waiting.password().is_none() && passkeys::domain(rules.second_factor).is_ok() {
        true => Refusal::new(Code::PasswordRequired, "registration-passkey-required"),
        false => Refusal::new(Code::PasswordRequired, "registration-password-required"),
    };
    text.with("email", waiting.email.as_str()).of("password")
}
