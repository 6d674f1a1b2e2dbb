//! Creating a registration.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::config::Registration;
use crate::database::Db;
use crate::domain::account::passkeys;
use crate::domain::account::registration::{pending, require_open};
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::auth::second_factor::SecondFactorRules;
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits, Purpose, Requester};
use crate::domain::users::details::{MAX_NAME, MAX_PHONE};
use crate::domain::users::reserved;
use crate::entity::audit_event::Action;
use crate::entity::{registration, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::secret::Secret;
use crate::tools::{identifier, text};

/// Settings of registration.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Open or closed registration.
    pub registration: Registration,
    /// The rules for passwords.
    pub passwords: &'a Passwords,
    /// Lifetime of a registration until its address is confirmed.
    pub verify_ttl: Duration,
    /// Limits on requested mails.
    pub limits: &'a Limits,
    /// The rules for passkeys.
    pub second_factor: SecondFactorRules<'a>,
}

/// The data of a registration.
#[derive(Clone, Copy, Debug)]
pub struct Register<'a> {
    /// The address.
    pub email: &'a str,
    /// The username; a neutral one is generated if it is missing.
    pub username: Option<&'a str>,
    /// The password; `None` if the user chooses a passkey or a password when following the link.
    pub password: Option<NewPassword<'a>>,
    /// Given name.
    pub first_name: &'a str,
    /// Family name.
    pub last_name: &'a str,
    /// Telephone number.
    pub phone: &'a str,
}

/// Stores a registration until the link mailed to the address turns it into a user. It replaces an earlier registration
/// of the same address, with its password and link. Returns the secret of the registering client. The link creates an
/// account with the registered data only together with this secret or the password, so registering somebody else's
/// address gains nothing, whichever mail its owner follows.
///
/// Accounts and pending registrations of the address are not looked up here. Every case does the same work and writes
/// the same rows, and the mail worker does the lookup. So neither the response nor its timing reveals whether the
/// address is registered. A taken username is reported, because usernames are public.
///
/// # Errors
/// [`Error::Forbidden`] if registration is closed, and without a password if there are no passkeys; one refusal for each
/// invalid field: required, invalid, too long, or taken; the refusal of the password; [`Error::RateLimited`].
pub async fn register(db: &Db, now: &Now, client: &Client, rules: Rules<'_>, input: Register<'_>) -> Result<Secret> {
    require_open(rules.registration)?;
    if input.password.is_none() {
        passkeys::register::domain(rules.second_factor)?;
    }
    let mut row = check(db, now, client, rules, input).await?;

    let (txn, ref now) = db.begin(now).await?;
    let id = outbox::enqueue_for_registration(&txn, now, row.email.as_ref()).await?;
    let secret = now.secret();
    row.id = Set(id);
    row.secret_digest = Set(Some(secret.digest()));
    row.created_at = Set(now.at);
    // Until the mail is sent; the lifetime of the link begins then.
    row.expires_at = Set(now.at.plus(rules.verify_ttl.max(outbox::WAITS_FOR)));
    pending::store(&txn, row).await?;
    audit::record_with_mail(&txn, now, id, Event::by_anyone(client, Action::Registered, None)).await?;
    txn.commit().await?;
    Ok(secret)
}

/// The row of the registration with the hash of its password, without its id and times.
async fn check(
    db: &Db,
    now: &Now,
    client: &Client,
    rules: Rules<'_>,
    input: Register<'_>,
) -> Result<registration::ActiveModel> {
    let mut refusals = Vec::new();
    let mut keep =
        |checked: Result<String, Refusal>| checked.map_err(|refusal| refusals.push(refusal)).unwrap_or_default();
    let email = keep(identifier::email(input.email).map_err(|refusal| refusal.of("email")));
    let given = input.username.filter(|name| !name.trim().is_empty());
    let username = given.map(|name| keep(identifier::username(name).map_err(|refusal| refusal.of("username"))));
    let first_name = keep(text::line("firstName", input.first_name, MAX_NAME));
    let last_name = keep(text::line("lastName", input.last_name, MAX_NAME));
    let phone = keep(text::line("phone", input.phone, MAX_PHONE));
    refusals.extend(input.password.and_then(|new| rules.passwords.check_form(new).err()));
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    rate_limits::take_registration(db, now, client, rules.limits).await?;
    if let Some(name) = &username {
        refusals.extend(taken(db, now, name).await?);
    }
    let about = [username.as_deref().unwrap_or_default(), &email, &first_name, &last_name];
    if let Some(new) = input.password {
        match rules.passwords.judge(new, &about).await {
            Err(Error::Refused(more)) => refusals.extend(more),
            judged => judged?,
        }
    }
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    rate_limits::take_mail(db, now, Requester::Anyone(client), rules.limits, Purpose::Registration, &email).await?;
    let password_hash = match input.password {
        Some(new) => rules.passwords.hash(new.password).await?,
        None => String::new(),
    };
    Ok(registration::ActiveModel {
        email_key: Set(identifier::canonical_address(&email)),
        email: Set(email),
        username: Set(username),
        password_hash: Set(password_hash),
        first_name: Set(first_name),
        last_name: Set(last_name),
        phone: Set(phone),
        digest: Set(None),
        link_made_at: Set(None),
        ..registration::ActiveModel::default()
    })
}

/// Reports a taken username early. Nothing depends on this check: of two concurrent registrations, the first gets the
/// name, and the other one gets a number appended.
async fn taken(db: &Db, now: &Now, username: &str) -> Result<Option<Refusal>> {
    let key = identifier::fold(username);
    let owner = user::Entity::find().filter(user::Column::UsernameKey.eq(&key)).one(db.reader()).await?;
    let former = reserved::usernames(db.reader(), now, [key.as_str()]).await?;
    let owned = owner.map(|_| Refusal::new(Code::AlreadyExists, "username-taken").of("username"));
    Ok(owned.or_else(|| (!former.is_empty()).then(reserved::username_taken)))
}
