//! Administering users.

// Changes of accounts, with their consequences.
pub(in crate::domain) mod account_change;
// Renewal of address keys.
pub mod address_keys;
// Creating an account by staff.
pub mod create;
// Deleting accounts.
pub mod delete;
// Names and other personal details.
pub mod details;
// Listing users.
pub mod list;
// Ending sessions of a user.
pub mod end_sessions;
// Finding an account by an identifier.
pub mod lookup;
// Deleting an account, or anonymizing it.
pub mod remove;
// Removing the second factors of a user.
pub mod reset_factors;
// Revoking an API token of a user.
pub mod revoke_api_token;
// Sending a link to a user again.
pub mod send_link;
// Activating or deactivating many users.
pub mod set_active;
// Reasons that keep a user from signing in.
pub mod sign_in_problems;
// Usernames and addresses reserved for a former owner.
pub mod reserved;
// Text search of users.
mod search;
// Further text by which a search finds a user.
pub mod search_terms;
// The first superuser.
pub mod superuser;
// Granting and revoking staff rights, deactivating and activating.
pub mod toggle;
// Changing accounts.
pub mod update;
// Versions of accounts, by which a change based on an old one is refused.
pub mod version;
// Planning of user queries.
mod query;
// Allocation of free usernames.
pub(in crate::domain) mod username_allocator;
// Actions that the viewer may take on a user.
pub mod viewer_can;
// Limits on changes to superusers and to oneself.
pub mod guard_rails;

use std::time::Duration;

use sea_orm::{ActiveValue::Set, DbErr, SqlErr};

use crate::entity::user;
use crate::error::{Code, Error, Refusal, on_conflict};
use crate::tools::clock::Now;
use crate::tools::{identifier, text};

/// Address and names of a new account, all checked before.
#[derive(Clone, Debug, Default)]
pub(in crate::domain) struct Names {
    /// The address.
    pub(in crate::domain) email: String,
    /// The username.
    pub(in crate::domain) username: String,
    /// Given name.
    pub(in crate::domain) first_name: String,
    /// Family name.
    pub(in crate::domain) last_name: String,
}

/// The row of a new account with these names, to complete by [`search_terms::searchable`] before it is inserted.
pub(in crate::domain) fn blank(now: &Now, names: Names) -> user::ActiveModel {
    let Names { email, username, first_name, last_name } = names;
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
        has_second_factor: Set(false),
        access_generation: Set(0),
        first_name_key: Set(text::fold(&first_name)),
        first_name: Set(first_name),
        last_name_key: Set(text::fold(&last_name)),
        last_name: Set(last_name),
        search_terms: Set(String::new()),
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

/// The error for an account that was not written because another one has its username or address.
pub(in crate::domain) fn taken(error: DbErr) -> Error {
    // Both databases name the index or its column in their message.
    let of_username = error.to_string().contains("username_key");
    on_conflict(error, || match of_username {
        true => Refusal::new(Code::AlreadyExists, "username-taken").of("username"),
        false => Refusal::new(Code::AlreadyExists, "email-taken").of("email"),
    })
}

/// A conflicting address or name, taken after the lookup, is found by the next attempt.
pub(in crate::domain) fn retry_on_conflict(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Error::Unavailable(Duration::from_secs(1)),
        _ => error.into(),
    }
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "user-unknown").of("id")
}
