//! Creating an account by staff.

use sea_orm::{ActiveValue::Set, EntityTrait as _};

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits};
use crate::domain::users::details::{MAX_ADDRESS, MAX_NAME, MAX_PHONE};
use crate::domain::users::reserved::{self, ReservationHolder, WrittenAccount};
use crate::domain::users::search_terms::searchable;
use crate::domain::users::username_allocator::{self, NewAccount};
use crate::domain::users::{Names, blank};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user::{self, Permission, Role};
use crate::error::{Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::{identifier, text};

/// Input for a new account.
#[derive(Clone, Debug)]
pub struct Create {
    /// The address; must be unique.
    pub email: String,
    /// The username; a neutral one is generated if it is missing.
    pub username: Option<String>,
    /// The password; if it is missing, the welcome mail has a link to set one.
    pub password: Option<String>,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Telephone number.
    pub phone: String,
    /// Postal address.
    pub address: String,
    /// Role.
    pub role: Role,
    /// Permission.
    pub permission: Permission,
    /// True if the account is active.
    pub is_active: bool,
    /// True if the user is staff.
    pub is_staff: bool,
}

/// Creates an account and queues the welcome mail. An account with a password counts as verified, because staff vouch
/// for it; otherwise the link in the mail verifies it.
///
/// # Errors
/// [`Error::Forbidden`] if an API token sets a password or grants rights; one refusal for each invalid field: required,
/// invalid, too long, or taken; the refusal of the password; [`crate::error::Code::ReauthenticationRequired`] for an
/// account with a password or rights; [`Error::RateLimited`] if this user has sent too many welcome mails, or this
/// address has received too many.
pub async fn create(
    db: &Db,
    now: &Now,
    staff: Manager<'_>,
    passwords: &Passwords,
    limits: &Limits,
    input: Create,
) -> Result<user::Model> {
    let has_rights = input.is_staff || input.role != Role::Member || input.permission != Permission::OnlyView;
    let gives_access = input.password.is_some() || has_rights;
    if gives_access {
        // A leaked API token must neither choose a password, nor create an account whose rights outlive the token.
        staff.session_user()?;
    }
    let mut refusals = Vec::new();
    let mut keep =
        |checked: Result<String, Refusal>| checked.map_err(|refusal| refusals.push(refusal)).unwrap_or_default();
    let email = keep(identifier::email(&input.email).map_err(|refusal| refusal.of("email")));
    let given = input.username.as_deref().filter(|name| !name.trim().is_empty());
    let given = given.map(|name| keep(identifier::username(name).map_err(|refusal| refusal.of("username"))));
    let first_name = keep(text::line("firstName", &input.first_name, MAX_NAME));
    let last_name = keep(text::line("lastName", &input.last_name, MAX_NAME));
    let phone = keep(text::line("phone", &input.phone, MAX_PHONE));
    let address = keep(text::lines("address", &input.address, MAX_ADDRESS));
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    let password_hash = match &input.password {
        Some(password) => {
            staff.check_recent_proof(now)?;
            staff.check_changes(db, now).await?;
            let new = NewPassword { password, confirm: None, fields: ("password", "password") };
            let about = [given.as_deref().unwrap_or_default(), &email, &first_name, &last_name];
            Some(passwords.accept(new, &about).await?)
        }
        None => None,
    };
    let username = given.clone().unwrap_or_else(identifier::neutral_username);
    let recipient = email.clone();
    let row = user::ActiveModel {
        is_verified: Set(password_hash.is_some()),
        password_hash: Set(password_hash),
        phone: Set(phone),
        address: Set(address),
        role: Set(input.role),
        permission: Set(input.permission),
        is_active: Set(input.is_active),
        is_staff: Set(input.is_staff),
        ..blank(now, Names { email, username, first_name, last_name })
    };

    let authorized = staff.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    if gives_access {
        authorized.check_recent_proof(now)?;
    }
    // Taken before the row is written, as in an import, to avoid a deadlock.
    rate_limits::take_welcome(txn, now, &authorized, limits, &recipient).await?;
    let user = match given {
        Some(_) => {
            let user = user::Entity::insert(searchable(row)).exec_with_returning(txn).await.map_err(super::taken)?;
            reserved::claim(txn, now, WrittenAccount::new(&user), ReservationHolder::Other).await?;
            user
        }
        None => {
            let account = NewAccount { row, wanted: None, by: ReservationHolder::Other };
            username_allocator::insert(txn, now, account).await?
        }
    };
    if user.password_hash.is_some() {
        // Strangers may have guessed at the address before.
        rate_limits::forget_guesses(txn, &[user.id]).await?;
    }
    audit::record(txn, now, Event::by(&authorized, Action::UserCreated, user.id)).await?;
    if user.is_staff {
        audit::record(txn, now, Event::by(&authorized, Action::StaffGranted, user.id)).await?;
    }
    outbox::enqueue(txn, now, Kind::Welcome, &user.email, Some(user.id)).await?;
    authorized.commit().await?;
    Ok(user)
}
