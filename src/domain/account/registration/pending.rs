//! Registrations that wait for confirmation of their address.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _,
};
use uuid::{Builder, Uuid, Variant};

use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::users::reserved::ReservationHolder;
use crate::domain::users::username_allocator::{self, NewAccount};
use crate::domain::users::{Names, blank};
use crate::entity::audit_event::Action;
use crate::entity::registration::{self, Column};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;
use crate::tools::secret::{self, Secret};

/// Stores a registration. It replaces the earlier one of this address, whose link becomes invalid.
pub(super) async fn store(txn: &DatabaseTransaction, row: registration::ActiveModel) -> Result<()> {
    let replace = OnConflict::column(Column::EmailKey)
        .update_columns([
            Column::Id,
            Column::Email,
            Column::Username,
            Column::PasswordHash,
            Column::FirstName,
            Column::LastName,
            Column::Phone,
            Column::Digest,
            Column::SecretDigest,
            Column::LinkMadeAt,
            Column::CreatedAt,
            Column::ExpiresAt,
        ])
        .to_owned();
    registration::Entity::insert(row).on_conflict(replace).exec_without_returning(txn).await?;
    Ok(())
}

/// The registration with this id; `None` if it has expired, was replaced, or has become a user.
pub async fn find(db: &impl ConnectionTrait, now: &Now, id: Uuid) -> Result<Option<registration::Model>> {
    Ok(registration::Entity::find_by_id(id).filter(Column::ExpiresAt.gt(now.at)).one(db).await?)
}

/// The registration of this address, given in its canonical form.
pub async fn find_by_address(
    db: &impl ConnectionTrait,
    now: &Now,
    email_key: &str,
) -> Result<Option<registration::Model>> {
    let of_address = registration::Entity::find().filter(Column::EmailKey.eq(email_key));
    Ok(of_address.filter(Column::ExpiresAt.gt(now.at)).one(db).await?)
}

/// The registration whose link has this secret; `None` if the link is no longer valid.
pub async fn find_by_link(
    db: &impl ConnectionTrait,
    now: &Now,
    secret: &Secret,
) -> Result<Option<registration::Model>> {
    let of_link = registration::Entity::find().filter(Column::Digest.eq(secret.digest()));
    Ok(of_link.filter(Column::ExpiresAt.gt(now.at)).one(db).await?)
}

/// Creates the secret of a link that completes this registration. The registration then expires with the link, and the
/// previous link becomes invalid. Returns `None` if the registration is gone or was replaced.
pub async fn make_link(
    txn: &DatabaseTransaction,
    now: &Now,
    id: Uuid,
    expires_at: Timestamp,
) -> Result<Option<Secret>> {
    let secret = now.secret();
    let made = registration::Entity::update_many()
        .col_expr(Column::Digest, Expr::value(secret.digest()))
        .col_expr(Column::LinkMadeAt, Expr::value(now.at))
        .col_expr(Column::ExpiresAt, Expr::value(expires_at))
        .filter(Column::Id.eq(id))
        .exec(txn)
        .await?;
    Ok((made.rows_affected > 0).then_some(secret))
}

/// Removes a registration; returns false if it was already removed.
pub async fn remove(txn: &DatabaseTransaction, id: Uuid) -> Result<bool> {
    Ok(registration::Entity::delete_by_id(id).exec(txn).await?.rows_affected > 0)
}

/// Account that results when the link of a registration is followed.
#[derive(Clone, Debug)]
pub enum Account {
    /// The account as registered.
    AsRegistered,
    /// The account as registered, but with a new password with this hash, or without one.
    WithPassword(Option<String>),
    /// An account with only the address, and a new password with this hash or without one: the other fields may come from
    /// a stranger.
    AddressOnly(Option<String>),
}

/// The id of the user that a registration becomes. It is known before, because a passkey names its user, and is the same
/// for each attempt, so that an authenticator replaces the passkey of an earlier one.
pub fn user_id(waiting: &registration::Model) -> Uuid {
    let mut bytes = waiting.id.into_bytes();
    // The first half is the time.
    let random = secret::digest_parts(&[b"user of registration", &bytes]);
    bytes[8..].copy_from_slice(&random[..8]);
    Builder::from_bytes(bytes).with_variant(Variant::RFC4122).into_uuid()
}

/// Creates the user of the registration whose link has this secret, and spends the link. Of concurrent attempts, the
/// one that deletes the row wins. Returns the user and the time at which the link was created. Returns `None` if no
/// valid registration has this secret, or if another account took its address meanwhile.
pub async fn complete(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    secret: &Secret,
    account: Account,
) -> Result<Option<(user::Model, Timestamp)>> {
    let spent = registration::Entity::delete_many()
        .filter(Column::Digest.eq(secret.digest()))
        .filter(Column::ExpiresAt.gt(now.at))
        .exec_with_returning(txn)
        .await?;
    let Some(registration) = spent.into_iter().next() else { return Ok(None) };
    let made_at = registration.link_made_at.unwrap_or(registration.created_at);
    let mail = registration.id;
    let registration = match account {
        Account::AsRegistered => registration,
        Account::WithPassword(hash) => registration::Model { password_hash: hash.unwrap_or_default(), ..registration },
        Account::AddressOnly(hash) => registration::Model {
            password_hash: hash.unwrap_or_default(),
            username: None,
            first_name: String::new(),
            last_name: String::new(),
            phone: String::new(),
            ..registration
        },
    };
    let wanted = registration.username.clone();
    let row = new_user(now, registration);
    let account = NewAccount { row, wanted: wanted.as_deref(), by: ReservationHolder::Reader };
    let user = match username_allocator::insert(txn, now, account).await {
        Ok(user) => user,
        Err(Error::Refused(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    audit::name_target(txn, mail, user.id).await?;
    let event = Event::by_owner(client, Action::EmailVerified, user.id);
    audit::record(txn, now, event).await?;
    Ok(Some((user, made_at)))
}

fn new_user(now: &Now, registration: registration::Model) -> user::ActiveModel {
    let (id, password_hash) = (user_id(&registration), registration.password().map(str::to_owned));
    let registration::Model { email, username, first_name, last_name, phone, .. } = registration;
    let username = username.unwrap_or_else(identifier::neutral_username);
    user::ActiveModel {
        id: Set(id),
        password_hash: Set(password_hash),
        phone: Set(phone),
        is_verified: Set(true),
        email_proved: Set(true),
        ..blank(now, Names { email, username, first_name, last_name })
    }
}

/// Removes the rows of expired registrations.
pub async fn sweep(db: &Db, now: &Now) -> Result<u64> {
    let dead = Condition::all().add(Column::ExpiresAt.lte(now.at));
    batch_delete::delete::<registration::Entity>(db, registration::PrimaryKey::Id, &dead).await
}
