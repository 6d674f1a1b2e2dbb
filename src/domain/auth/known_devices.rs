//! Devices from which users sign in with a second factor. A sign-in from another one is announced to the owner.
//!
//! A browser has a random secret in a cookie, for all its users. A row has a digest of the secret and of the user, so that
//! rows of different users have nothing in common. The cookie proves nothing and opens nothing: without it, the owner
//! gets an email. A client that keeps no cookie counts as known in a known network ([`known_networks`]), because an email
//! for each of its sign-ins would soon be ignored.

use std::time::Duration;

use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _,
};
use uuid::Uuid;

use crate::database::{Db, batch_delete};
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::known_networks;
use crate::domain::{outbox, rate_limits};
use crate::entity::audit_event::Action;
use crate::entity::known_device::{self, Column};
use crate::entity::{mail, user};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::secret::{self, Secret};

/// Time for which a device is known after the last use of a second factor on it; also the lifetime of its cookie.
pub const KNOWN_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Maximum number of known devices per user; a further one replaces the one that was not used for the longest time.
pub const DEVICES_PER_USER: u64 = 50;

/// Records the device of a sign-in with a second factor, in its transaction. If it was not known, the owner, whose row is
/// locked, gets an email.
pub(in crate::domain) async fn note_sign_in(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    user: Uuid,
) -> Result<()> {
    let is_known = match &client.device {
        Some(device) => is_known(txn, now, user, device).await?,
        None => known_networks::is_known(txn, now, Some(user), &rate_limits::networks(client).subnet).await?,
    };
    note(txn, now, client, user).await?;
    if !is_known && let Some(owner) = user::Entity::find_by_id(user).one(txn).await? {
        let mail = outbox::enqueue(txn, now, mail::Kind::NewDevice, &owner.email, Some(user)).await?;
        audit::record_with_mail(txn, now, mail, Event::by_owner(client, Action::NewDevice, user)).await?;
    }
    Ok(())
}

/// Records the device on which a user, whose row is locked, adds a second factor or uses one. Of a client without a
/// cookie, it records the network.
pub(in crate::domain) async fn note(txn: &DatabaseTransaction, now: &Now, client: &Client, user: Uuid) -> Result<()> {
    let Some(device) = &client.device else { return known_networks::note(txn, now, client, user).await };
    let row = known_device::ActiveModel {
        id: Set(now.id()),
        user_id: Set(user),
        digest: Set(digest(user, device)),
        first_seen_at: Set(now.at),
        last_seen_at: Set(now.at),
    };
    let again = OnConflict::columns([Column::UserId, Column::Digest]).update_column(Column::LastSeenAt).to_owned();
    known_device::Entity::insert(row).on_conflict(again).exec_without_returning(txn).await?;
    let surplus = Query::select()
        .column(Column::Id)
        .from(known_device::Entity)
        .and_where(Column::UserId.eq(user))
        .order_by(Column::LastSeenAt, sea_orm::Order::Desc)
        .order_by(Column::Id, sea_orm::Order::Desc)
        .offset(DEVICES_PER_USER)
        .limit(DEVICES_PER_USER)
        .take();
    known_device::Entity::delete_many().filter(Column::Id.in_subquery(surplus)).exec(txn).await?;
    Ok(())
}

async fn is_known(txn: &DatabaseTransaction, now: &Now, user: Uuid, device: &Secret) -> Result<bool> {
    let known = known_device::Entity::find()
        .filter(Column::UserId.eq(user))
        .filter(Column::Digest.eq(digest(user, device)))
        .filter(Column::LastSeenAt.gt(now.at.minus(KNOWN_FOR)));
    Ok(known.count(txn).await? > 0)
}

/// Removes devices that are no longer known.
pub async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let old = Condition::all().add(Column::LastSeenAt.lte(now.at.minus(KNOWN_FOR)));
    batch_delete::delete::<known_device::Entity>(db, known_device::PrimaryKey::Id, &old).await?;
    Ok(())
}

fn digest(user: Uuid, device: &Secret) -> Vec<u8> {
    secret::digest_parts(&[b"device", user.as_bytes(), &device.reveal()])
}
