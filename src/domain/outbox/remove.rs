//! Removing the mails of a deleted account: those that refer to the user, and those that only contain the address, such
//! as reset requests without a looked-up user, and the link that confirmed the registration.

use std::collections::BTreeSet;

use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use crate::entity::mail::{self, Column, Kind, Status};
use crate::entity::user;
use crate::error::Result;
use crate::tools::identifier;

/// Removes the mails to a user, at current and former addresses.
///
/// An address that the user only asked to move to may belong to somebody else: only the user's own mails to it are
/// removed. A former address may have another owner by now, so that mails that wait for delivery there stay.
pub async fn forget(txn: &DatabaseTransaction, user: &user::Model) -> Result<()> {
    let own = Column::UserId.eq(user.id);
    let former: Vec<String> = mail::Entity::find()
        .filter(own.clone().and(Column::Kind.ne(Kind::ConfirmNewEmail)))
        .select_only()
        .distinct()
        .column(Column::Recipient)
        .into_tuple()
        .all(txn)
        .await?;
    mail::Entity::delete_many().filter(own).exec(txn).await?;

    let present = [user.email.clone()];
    let is_finished = Column::Status.is_not_in([Status::Queued, Status::Held]);
    // Others may have asked to move to the address; their mails that wait for delivery are theirs.
    forget_addresses(txn, &present, without_user().add(is_finished.clone())).await?;
    let former = without_owner(txn, former).await?;
    forget_addresses(txn, &former, Condition::all().add(without_user()).add(is_finished)).await?;
    Ok(())
}

/// Removes the requested resets of these addresses that were not looked up yet, and so have no user.
pub(in crate::domain) async fn forget_reset_requests(txn: &DatabaseTransaction, addresses: &[String]) -> Result<()> {
    forget_addresses(txn, addresses, Condition::all().add(without_user()).add(Column::Kind.eq(Kind::ResetPassword)))
        .await
}

fn without_user() -> Condition {
    Condition::any().add(Column::UserId.is_null())
}

/// Removes these mails to any of the addresses.
async fn forget_addresses(txn: &DatabaseTransaction, addresses: &[String], which: Condition) -> Result<()> {
    let keys: BTreeSet<String> = addresses.iter().map(|address| identifier::fold(address)).collect();
    let similar = mail::Entity::find()
        .filter(Column::RecipientKey.is_in(keys))
        .filter(which)
        .select_only()
        .columns([Column::Id, Column::Recipient]);
    let similar: Vec<(Uuid, String)> = similar.into_tuple().all(txn).await?;
    let same = similar.into_iter().filter(|(_, recipient)| addresses.iter().any(|address| is_same(address, recipient)));
    let ids: Vec<_> = same.map(|(id, _)| id).collect();
    // Limited by the number of parameters per statement.
    for ids in ids.chunks(1000) {
        mail::Entity::delete_many().filter(Column::Id.is_in(ids.iter().copied())).exec(txn).await?;
    }
    Ok(())
}

/// The addresses that no account has.
async fn without_owner(txn: &DatabaseTransaction, addresses: Vec<String>) -> Result<Vec<String>> {
    let keys: BTreeSet<String> = addresses.iter().map(|address| identifier::fold(address)).collect();
    let owned = user::Entity::find().filter(user::Column::EmailKey.is_in(keys));
    let owned: Vec<String> = owned.select_only().column(user::Column::EmailKey).into_tuple().all(txn).await?;
    Ok(addresses.into_iter().filter(|address| !owned.contains(&identifier::fold(address))).collect())
}

/// True if both are spellings of the same address. Addresses that only look alike belong to others.
fn is_same(one: &str, other: &str) -> bool {
    identifier::same_address(one, other)
}
