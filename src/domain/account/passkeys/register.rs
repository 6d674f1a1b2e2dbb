//! Registration of a passkey by its user.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use super::MAX_NAME;
use crate::config::SecondFactorPolicy;
use crate::database::Db;
use crate::domain::account::second_factor::add_method;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::known_devices;
use crate::domain::auth::passkeys::assertion::digest_of;
use crate::domain::auth::passkeys::ceremony::{Challenge, Purpose};
use crate::domain::auth::passkeys::list;
use crate::domain::auth::second_factor::{SecondFactorRules, factors};
use crate::domain::auth::sign_in::SignInRules;
use crate::domain::outbox;
use crate::entity::audit_event::Action;
use crate::entity::passkey::{self, Column};
use crate::entity::session::Method;
use crate::entity::{mail, user};
use crate::error::{Code, Error, Refusal, Result, on_conflict};
use crate::tools::clock::Now;
use crate::tools::text;
use crate::tools::webauthn::{self, Expected};

/// Maximum number of passkeys of a user.
pub const PASSKEYS_PER_USER: u64 = 20;

/// Longest report of the ways to an authenticator, in bytes.
const MAX_TRANSPORTS: usize = 200;

/// Options for a browser that creates a passkey.
#[derive(Clone, Debug)]
pub struct CreationOptions {
    /// The challenge.
    pub challenge: Vec<u8>,
    /// The domain.
    pub domain: String,
    /// Name of the site.
    pub site: String,
    /// The user.
    pub user: PasskeyOwner,
    /// The user's passkeys, so that no authenticator gets a second one.
    pub excluded: Vec<passkey::Model>,
}

/// The user of a new passkey, as authenticators show them.
#[derive(Clone, Debug)]
pub struct PasskeyOwner {
    /// The user's id.
    pub id: Uuid,
    /// The address.
    pub email: String,
    /// Full name, or the username.
    pub name: String,
}

/// A browser's new credential.
#[derive(Clone, Debug)]
pub struct NewPasskey {
    /// The input fields of the credential and the name, as named in the schema.
    pub fields: (&'static str, &'static str),
    /// Name given by the user; empty for a neutral one.
    pub name: String,
    /// `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// `attestationObject`.
    pub attestation: Vec<u8>,
    /// Ways to reach the authenticator.
    pub transports: Vec<String>,
}

/// A verified credential; it is not stored yet.
#[derive(Debug)]
pub(in crate::domain) struct Verified {
    credential: webauthn::Credential,
    challenge: Challenge,
    domain: String,
    name: String,
    transports: String,
    field: &'static str,
}

/// A registered passkey.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The passkey.
    pub passkey: passkey::Model,
    /// The texts of recovery codes, if it is the user's first second factor.
    pub recovery_codes: Option<Vec<String>>,
}

/// Starts the registration of a passkey under the name of this site. Nothing is stored.
///
/// # Errors
/// [`Code::ReauthenticationRequired`]; [`Error::Forbidden`] if the site has no domain, or second factors are off.
pub async fn start(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    rules: SignInRules<'_>,
    site: &str,
) -> Result<CreationOptions> {
    let domain = domain(rules.second_factor)?;
    owner.check_recent_proof(now)?;
    let user = owner.user();
    let excluded = list::of_user(db.reader(), user.id, &domain).await?;
    let user = PasskeyOwner { id: user.id, email: user.email.clone(), name: user.name() };
    Ok(CreationOptions { excluded, ..options(now, rules.second_factor, site, user)? })
}

/// Options for a user without passkeys. Nothing is stored.
///
/// # Errors
/// [`Error::Forbidden`] if the site has no domain, or second factors are off.
pub(in crate::domain) fn options(
    now: &Now,
    rules: SecondFactorRules<'_>,
    site: &str,
    user: PasskeyOwner,
) -> Result<CreationOptions> {
    let domain = domain(rules)?;
    let challenge = Challenge::make(now, rules, Purpose::Register(user.id));
    Ok(CreationOptions { challenge, domain, site: site.to_owned(), user, excluded: Vec::new() })
}

/// Registers a passkey and notifies its user by mail. The first second factor of a user comes with recovery codes.
///
/// # Errors
/// [`Code::InvalidToken`] if the challenge has expired or was used; [`Code::Invalid`] for an answer that cannot be
/// verified, and above [`PASSKEYS_PER_USER`]; [`Code::AlreadyExists`] for a passkey that is registered already; errors of
/// [`text::line`] for `name`; [`Code::ReauthenticationRequired`]; [`Error::Forbidden`] if the site has no domain, or
/// second factors are off.
pub async fn finish(
    db: &Db,
    now: &Now,
    owner: SessionUser<'_>,
    rules: SignInRules<'_>,
    new: &NewPasskey,
) -> Result<Registered> {
    let verified = verify(now, rules.second_factor, owner.user().id, new)?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    authorized.check_recent_proof(now)?;
    let user = authorized.user();
    let event = Event::by(&authorized, Action::PasskeyAdded, user.id);
    let registered = store(txn, now, user, verified, event).await?;
    add_method(txn, owner.session(), Method::Passkey).await?;
    known_devices::note(txn, now, authorized.client(), user.id).await?;
    authorized.commit().await?;
    Ok(registered)
}

/// Verifies a new credential of this user, without storing it.
///
/// # Errors
/// As for [`finish`], except those of a stored passkey.
pub(in crate::domain) fn verify(
    now: &Now,
    rules: SecondFactorRules<'_>,
    user: Uuid,
    new: &NewPasskey,
) -> Result<Verified> {
    let domain = domain(rules)?;
    let (field, name_field) = new.fields;
    let name = text::line(name_field, &new.name, MAX_NAME)?;
    let answered = Challenge::answered(now, rules, Purpose::Register(user), &new.client_data);
    let (challenge, bytes) = answered.ok_or_else(|| expired(field))?;
    let relying_party = rules.relying_party()?;
    let expected = Expected { relying_party, challenge: &bytes, user_verification: true, cross_origin: false };
    let credential = webauthn::register(expected, &new.client_data, &new.attestation).map_err(|rejected| {
        Refusal::new(Code::Invalid, "passkey-unusable").with("reason", rejected.to_string()).of(field)
    })?;
    Ok(Verified { credential, challenge, domain, name, transports: transports(&new.transports), field })
}

/// Stores a verified credential of a user whose row is locked or new, and notifies them by mail. The first second factor
/// comes with recovery codes.
///
/// # Errors
/// [`Code::InvalidToken`] if the challenge was used; [`Code::Invalid`] above [`PASSKEYS_PER_USER`];
/// [`Code::AlreadyExists`] for a passkey that is registered already. The transaction must then be rolled back.
pub(in crate::domain) async fn store(
    txn: &DatabaseTransaction,
    now: &Now,
    user: &user::Model,
    verified: Verified,
    event: Event<'_>,
) -> Result<Registered> {
    let Verified { credential, challenge, domain, name, transports, field } = verified;
    if !challenge.spend(txn).await? {
        return Err(expired(field).into());
    }
    if passkey::Entity::find().filter(Column::UserId.eq(user.id)).count(txn).await? >= PASSKEYS_PER_USER {
        return Err(Refusal::new(Code::Invalid, "passkey-limit").with("max", PASSKEYS_PER_USER).into());
    }
    let row = passkey::ActiveModel {
        id: Set(now.id()),
        user_id: Set(user.id),
        digest: Set(digest_of(&credential.id)),
        credential_id: Set(credential.id),
        public_key: Set(credential.public_key.as_bytes().to_owned()),
        domain: Set(domain),
        name: Set(name),
        model: Set(credential.model.to_vec()),
        is_synced: Set(credential.state.is_synced),
        counter: Set(credential.state.counter.into()),
        transports: Set(transports),
        user_handle: Set(None),
        created_at: Set(now.at),
        last_used_at: Set(None),
    };
    let exists = || Refusal::new(Code::AlreadyExists, "passkey-exists").of(field);
    let inserted = passkey::Entity::insert(row).exec_with_returning(txn).await;
    let passkey = inserted.map_err(|error| on_conflict(error, exists))?;
    factors::mark(txn, user.id).await?;
    let recovery_codes = match user.has_second_factor {
        true => None,
        false => Some(factors::renew_recovery_codes(txn, now, user.id).await?),
    };
    audit::record(txn, now, event).await?;
    outbox::enqueue(txn, now, mail::Kind::PasskeyAdded, &user.email, Some(user.id)).await?;
    Ok(Registered { passkey, recovery_codes })
}

/// The domain of new passkeys.
///
/// # Errors
/// [`Error::Forbidden`] if the site has no domain, or second factors are off.
pub(in crate::domain) fn domain(rules: SecondFactorRules<'_>) -> Result<String> {
    match rules.policy {
        SecondFactorPolicy::Off => Err(Error::Forbidden),
        _ => Ok(rules.relying_party()?.id.clone()),
    }
}

/// The short, plain ones of these names. They are hints for browsers.
pub(in crate::domain) fn transports(names: &[String]) -> String {
    let is_plain = |name: &&String| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut text = String::new();
    for name in names.iter().filter(is_plain).filter(|name| !name.is_empty()) {
        if text.len() + name.len() < MAX_TRANSPORTS {
            text += if text.is_empty() { "" } else { "," };
            text += name;
        }
    }
    text
}

fn expired(field: &'static str) -> Refusal {
    Refusal::new(Code::InvalidToken, "passkey-challenge-expired").of(field)
}
