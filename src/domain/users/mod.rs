//! Administering users.

// Keys of addresses, made anew.
pub mod address_keys;
// Making an account for somebody.
pub mod create;
// Deleting accounts.
pub mod delete;
// Names and what else people tell about themselves.
pub mod details;
// Finding users.
pub mod list;
// Finding an account by an identifier.
pub(in crate::domain) mod lookup;
// Deleting an account, or anonymizing it.
pub mod remove;
// Usernames and addresses that are reserved for somebody.
pub mod reserved;
// What lists of users can be searched for.
mod search;
// The first superuser.
pub mod superuser;
// Granting and revoking staff rights, deactivating and activating.
pub mod toggle;
// Changing accounts.
pub mod update;
// Which users are looked for, and how they are found quickly.
mod query;
// What somebody may do to a user.
pub mod viewer_can;
// What nobody may do to superusers and to themselves.
pub mod guard_rails;

use std::time::Duration;

use sea_orm::{ActiveValue::Set, DbErr, SqlErr};

use crate::entity::user;
use crate::error::{Code, Error, Refusal, on_conflict};
use crate::tools::clock::Now;
use crate::tools::{identifier, text};

/// The row of a new account with this address, username and first and last name, all checked before, and nothing else.
pub(in crate::domain) fn blank(
    now: &Now,
    (email, username): (String, String),
    (first_name, last_name): (String, String),
) -> user::ActiveModel {
    user::ActiveModel {
        id: Set(now.id()),
        username_key: Set(identifier::fold(&username)),
        username: Set(username),
        email_key: Set(identifier::fold(&email)),
        email: Set(email),
        email_proved: Set(false),
        password_by_staff: Set(false),
        pending_email: Set(None),
        password_hash: Set(None),
        temporary_password_at: Set(None),
        first_name_key: Set(text::fold(&first_name)),
        first_name: Set(first_name),
        last_name_key: Set(text::fold(&last_name)),
        last_name: Set(last_name),
        phone: Set(String::new()),
        address: Set(String::new()),
        bio: Set(String::new()),
        role: Set(user::Role::Member),
        permission: Set(user::Permission::OnlyView),
        is_active: Set(true),
        is_staff: Set(false),
        is_superuser: Set(false),
        is_verified: Set(false),
        date_joined: Set(now.at),
        updated_at: Set(now.at),
        last_login: Set(None),
        last_activity: Set(None),
        avatar: Set(None),
        external_id: Set(None),
        moved_at: Set(None),
    }
}

/// What it means that an account could not be written because another has its name or address.
pub(in crate::domain) fn taken(error: DbErr) -> Error {
    // Both databases name the index or its column in their text.
    let of_username = error.to_string().contains("username_key");
    on_conflict(error, || {
        let (what, field) = if of_username { ("username", "username") } else { ("address", "email") };
        Refusal::new(Code::AlreadyExists, format!("There is an account with this {what} already.")).of(field)
    })
}

/// Whoever took the address or the name after it was looked for will be found by the next attempt.
pub(in crate::domain) fn retry_on_conflict(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Error::Unavailable(Duration::from_secs(1)),
        _ => error.into(),
    }
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such user.").of("id")
}
