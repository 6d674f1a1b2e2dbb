//! Registrations that wait for their address to be confirmed.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::users;
use crate::domain::users::reserved::ReservationHolder;
use crate::entity::audit_event::Action;
use crate::entity::registration::{self, Column};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::identifier;
use crate::tools::secret::Secret;

/// Stores a registration in place of the one that this address had, whose link is dead by that.
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

/// The registration of this id; none where it ran out, was replaced, or has become a user.
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

/// The registration whose link has this secret; none where the link is no longer valid.
pub async fn find_by_link(
    db: &impl ConnectionTrait,
    now: &Now,
    secret: &Secret,
) -> Result<Option<registration::Model>> {
    let of_link = registration::Entity::find().filter(Column::Digest.eq(secret.digest()));
    Ok(of_link.filter(Column::ExpiresAt.gt(now.at)).one(db).await?)
}

/// Makes the secret of a link that completes this registration, which then lives as long as the link; the link before
/// it is dead. None where the registration is gone or was replaced.
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

/// Removes a registration; false where somebody else did.
pub async fn remove(txn: &DatabaseTransaction, id: Uuid) -> Result<bool> {
    Ok(registration::Entity::delete_by_id(id).exec(txn).await?.rows_affected > 0)
}

/// What becomes of a registration when its link is followed.
#[derive(Clone, Debug)]
pub enum Account {
    /// The account as registered.
    AsRegistered,
    /// The account as registered, but with the new password of this hash.
    WithPassword(String),
    /// An account with the address and the new password of this hash only: nobody knows who typed the rest.
    AddressOnly(String),
}

/// Makes the user of the registration whose link has this secret, and spends the link: whoever deletes the row wins.
/// None where no live registration has it, or its address was given to somebody else meanwhile. With the user comes the
/// time when the link was made.
pub async fn complete(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    (secret, account): (&Secret, Account),
) -> Result<Option<(user::Model, Timestamp)>> {
    let spent = registration::Entity::delete_many()
        .filter(Column::Digest.eq(secret.digest()))
        .filter(Column::ExpiresAt.gt(now.at))
        .exec_with_returning(txn)
        .await?;
    let Some(registration) = spent.into_iter().next() else { return Ok(None) };
    let made_at = registration.link_made_at.unwrap_or(registration.created_at);
    let event = registration.id;
    let registration = match account {
        Account::AsRegistered => registration,
        Account::WithPassword(password_hash) => registration::Model { password_hash, ..registration },
        Account::AddressOnly(password_hash) => registration::Model {
            password_hash,
            username: None,
            first_name: String::new(),
            last_name: String::new(),
            phone: String::new(),
            ..registration
        },
    };
    let wanted = registration.username.clone();
    let row = new_user(now, registration);
    let user =
        match users::create::insert_with_free_username(txn, now, (row, wanted.as_deref()), ReservationHolder::Reader)
            .await
        {
            Ok(user) => user,
            Err(Error::Refused(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
    audit::name_target(txn, event, user.id).await?;
    let event = Event { actor: Some(user.id), ..Event::by_anyone(client, Action::EmailVerified, user.id) };
    audit::record(txn, now, event).await?;
    Ok(Some((user, made_at)))
}

fn new_user(now: &Now, registration: registration::Model) -> user::ActiveModel {
    let username = registration.username.unwrap_or_else(identifier::neutral_username);
    user::ActiveModel {
        password_hash: Set(Some(registration.password_hash)),
        phone: Set(registration.phone),
        is_verified: Set(true),
        email_proved: Set(true),
        ..users::blank(now, (registration.email, username), (registration.first_name, registration.last_name))
    }
}

/// Removes the rows of registrations that have run out; they were dead before.
pub async fn sweep(db: &Db, now: &Now) -> Result<u64> {
    let dead = Condition::all().add(Column::ExpiresAt.lte(now.at));
    batch_delete::delete::<registration::Entity>(db, registration::PrimaryKey::Id, &dead).await
}
