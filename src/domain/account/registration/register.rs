//! Asking for an account.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::config::Registration;
use crate::database::Db;
use crate::domain::account::registration::{pending, require_open};
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits, Purpose};
use crate::domain::users::details::{MAX_NAME, MAX_PHONE};
use crate::domain::users::reserved;
use crate::entity::audit_event::Action;
use crate::entity::{registration, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::secret::Secret;
use crate::tools::{identifier, text};

/// What registering goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether anybody may register.
    pub registration: Registration,
    /// The rules for passwords.
    pub passwords: &'a Passwords,
    /// How long a registration waits for its address to be confirmed.
    pub verify_ttl: Duration,
    /// How many mails may be asked for.
    pub limits: &'a Limits,
}

/// An account that somebody wants to have.
#[derive(Clone, Copy, Debug)]
pub struct Register<'a> {
    /// The address.
    pub email: &'a str,
    /// The username; a neutral one is generated where none is given.
    pub username: Option<&'a str>,
    /// The password.
    pub password: NewPassword<'a>,
    /// Given name.
    pub first_name: &'a str,
    /// Family name.
    pub last_name: &'a str,
    /// Telephone number.
    pub phone: &'a str,
}

/// Keeps a registration until the link that is mailed to the address makes a user of it. An earlier one of the same
/// address is replaced, its password and its link with it. Returns the secret of the client that registered: only with it,
/// or with the password, the link makes an account with what was registered. So registering the address of somebody else
/// gains nothing, whichever mail its owner follows.
///
/// Whether the address has an account, or a registration that waits, is not looked up here: the same work is done and the
/// same rows are written in each case, and the worker that delivers the mail finds out. So neither the answer nor its
/// time tells. A username that is taken is told, as usernames are public.
///
/// # Errors
/// [`Error::Forbidden`] where registration is closed; one refusal for each field that is wrong: required, invalid, too
/// long, or taken; and the password's; [`Error::RateLimited`].
pub async fn register(db: &Db, now: &Now, client: &Client, rules: Rules<'_>, input: Register<'_>) -> Result<Secret> {
    require_open(rules.registration)?;
    let mut row = check(db, now, client, rules, input).await?;

    let (txn, ref now) = db.begin(now).await?;
    let id = outbox::enqueue_for_registration(&txn, now, row.email.as_ref()).await?;
    let secret = now.secret();
    row.id = Set(id);
    row.secret_digest = Set(Some(secret.digest()));
    row.created_at = Set(now.at);
    // Until its mail is handed over, with which the life of the link begins.
    row.expires_at = Set(now.at.plus(rules.verify_ttl.max(outbox::WAITS_FOR)));
    pending::store(&txn, row).await?;
    audit::record_as(&txn, now, id, Event::by_anyone(client, Action::Registered, None)).await?;
    txn.commit().await?;
    Ok(secret)
}

/// The row of the registration, its password hashed, but without its id and times.
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
    refusals.extend(rules.passwords.check_form(input.password).err());
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    rate_limits::take_registration(db, now, client, rules.limits).await?;
    if let Some(name) = &username {
        refusals.extend(taken(db, now, name).await?);
    }
    let about = [username.as_deref().unwrap_or_default(), &email, &first_name, &last_name];
    match rules.passwords.judge(input.password, &about).await {
        Err(Error::Refused(more)) => refusals.extend(more),
        judged => judged?,
    }
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    rate_limits::take_mail(db, now, client, rules.limits, (Purpose::Registration, &email)).await?;
    let password_hash = rules.passwords.hash(input.password.password).await?;
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

/// Tells at once what would be known at the end only. Nothing rests on it: whoever is faster gets the name, and the
/// other one a number behind it.
async fn taken(db: &Db, now: &Now, username: &str) -> Result<Option<Refusal>> {
    let key = identifier::fold(username);
    let owner = user::Entity::find().filter(user::Column::UsernameKey.eq(&key)).one(db.reader()).await?;
    let former = reserved::usernames(db.reader(), now, [key.as_str()]).await?;
    let message = "There is an account with this username already: choose another.";
    let owned = owner.map(|_| Refusal::new(Code::AlreadyExists, message).of("username"));
    Ok(owned.or_else(|| (!former.is_empty()).then(reserved::username_taken)))
}
