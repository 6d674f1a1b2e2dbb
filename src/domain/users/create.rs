//! Making an account for somebody.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait as _};

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Manager;
use crate::domain::auth::passwords::{NewPassword, Passwords};
use crate::domain::outbox;
use crate::domain::rate_limits::{self, Limits};
use crate::domain::users::details::{MAX_ADDRESS, MAX_NAME, MAX_PHONE};
use crate::domain::users::reserved::{self, ReservationHolder};
use crate::entity::audit_event::Action;
use crate::entity::mail::Kind;
use crate::entity::user::{self, Column, Permission, Role};
use crate::error::{Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::{identifier, text};

/// The most digits of the number behind a username that was taken.
const MAX_NUMBER_LENGTH: usize = 5;

/// An account to make.
#[derive(Clone, Debug)]
pub struct Create {
    /// The address; unique.
    pub email: String,
    /// The username; a neutral one is generated where none is given.
    pub username: Option<String>,
    /// The password; where none is given, the welcome mail has a link to set one.
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
    /// Whether the account may be used.
    pub is_active: bool,
    /// Whether its user is staff.
    pub is_staff: bool,
}

/// Makes an account and puts the welcome mail in line. An account with a password counts as verified: staff vouch for
/// it; one without is verified by the link in the mail.
///
/// # Errors
/// [`Error::Forbidden`] where an API token sets a password or gives rights; one refusal for each field that is wrong:
/// required, invalid, too long, or taken; or the password's; [`Error::RateLimited`] where this user has sent too many welcome
/// mails, or this address has received too many.
pub async fn create(
    db: &Db,
    now: &Now,
    staff: Manager<'_>,
    passwords: &Passwords,
    limits: &Limits,
    input: Create,
) -> Result<user::Model> {
    let has_rights = input.is_staff || input.role != Role::Member || input.permission != Permission::OnlyView;
    if input.password.is_some() || has_rights {
        // A leaked API token must neither choose a password to sign in with, nor make an account with rights that outlives
        // it.
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
        ..super::blank(now, (email, username), (first_name, last_name))
    };

    let authorized = staff.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    // Before the row, as an import does, so that neither waits for the other for ever.
    rate_limits::take_welcome(txn, now, &authorized, limits, &recipient).await?;
    let user = match given {
        Some(_) => {
            let user = user::Entity::insert(row).exec_with_returning(txn).await.map_err(super::taken)?;
            reserved::claim(txn, now, (None, &user), ReservationHolder::Other).await?;
            user
        }
        None => insert_with_free_username(txn, now, (row, None), ReservationHolder::Other).await?,
    };
    audit::record(txn, now, Event::by(&authorized, Action::UserCreated, user.id)).await?;
    if user.is_staff {
        audit::record(txn, now, Event::by(&authorized, Action::StaffGranted, user.id)).await?;
    }
    outbox::enqueue(txn, now, Kind::Welcome, &user.email, Some(user.id)).await?;
    authorized.commit().await?;
    Ok(user)
}

/// Inserts the row under its username. Where that is taken or reserved, the wanted name gets a number behind it; where none is wanted,
/// another neutral one is generated.
pub(in crate::domain) async fn insert_with_free_username(
    txn: &DatabaseTransaction,
    now: &Now,
    (mut row, wanted): (user::ActiveModel, Option<&str>),
    by: ReservationHolder,
) -> Result<user::Model> {
    loop {
        let key = row.username_key.clone().take().unwrap_or_default();
        let is_free = reserved::usernames(txn, now, [key.as_str()]).await?.is_empty();
        let skip = OnConflict::column(Column::UsernameKey).do_nothing().to_owned();
        let insert = user::Entity::insert(row.clone()).on_conflict(skip);
        if is_free && insert.exec_without_returning(txn).await.map_err(super::taken)? > 0 {
            let id = row.id.clone().take().unwrap_or_default();
            let user = user::Entity::find_by_id(id).one(txn).await?;
            let user = user.ok_or_else(|| Error::internal("an account that was just made is missing"))?;
            reserved::claim(txn, now, (None, &user), by).await?;
            return Ok(user);
        }
        let name = wanted.map_or_else(identifier::neutral_username, |wanted| numbered(now, wanted));
        row.username_key = Set(identifier::fold(&name));
        row.username = Set(name);
    }
}

/// The wanted username with a number behind it.
fn numbered(now: &Now, wanted: &str) -> String {
    let stem: String = wanted.chars().take(identifier::MAX_USERNAME_LENGTH - MAX_NUMBER_LENGTH).collect();
    let [.., high, low] = now.id().into_bytes();
    format!("{stem}{}", u16::from_be_bytes([high, low]))
}
