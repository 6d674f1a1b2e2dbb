//! Networks of each user's recent sign-ins.
//!
//! Strangers can use up every limit that they share with the owner of an account. A network from which the account
//! signed in within [`KNOWN_FOR`] counts as the owner's, and may always sign in and request resets. The rows are
//! separate from the audit trail, which deletes client data by a setting of its own.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::auth::identity::Client;
use crate::entity::known_network::{self, Column};
use crate::entity::user;
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::network::Networks;
use crate::tools::secret;

/// Time for which a network is known after the last sign-in from there.
pub const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Records the client's network as one of this user's, in the transaction that signs the user in.
pub async fn note(txn: &impl ConnectionTrait, now: &Now, client: &Client, user: Uuid) -> Result<()> {
    if client.ip.is_none() {
        return Ok(());
    }
    let row = known_network::ActiveModel {
        id: Set(now.id()),
        user_id: Set(user),
        network: Set(digest(&Networks::of_text(client.ip.as_deref()).subnet)),
        signed_in_at: Set(now.at),
    };
    let again = OnConflict::columns([Column::UserId, Column::Network]).update_column(Column::SignedInAt).to_owned();
    known_network::Entity::insert(row).on_conflict(again).exec_without_returning(txn).await?;
    Ok(())
}

/// Checks that this user signed in from this network recently; without a user, the same lookup runs and finds nothing.
pub async fn is_known(db: &impl ConnectionTrait, now: &Now, user: Option<Uuid>, network: &str) -> Result<bool> {
    let theirs = Column::UserId.eq(user.unwrap_or_default());
    Ok(known_network::Entity::find().filter(recent(now, network).add(theirs)).count(db).await? > 0)
}

/// Checks that the account with this address signed in from this network recently. A look-alike address finds no
/// account. The same single statement runs whether or not the account exists.
pub async fn leads_to(db: &Db, now: &Now, network: &str, email: &str) -> Result<bool> {
    let theirs = Query::select()
        .expr(Expr::val(1))
        .from(known_network::Entity)
        .and_where(Expr::col((known_network::Entity, Column::UserId)).equals((user::Entity, user::Column::Id)))
        .cond_where(recent(now, network))
        .take();
    let owner = user::Entity::find()
        .filter(user::Column::EmailKey.eq(identifier::fold(email)))
        .filter(Expr::exists(theirs))
        .select_only()
        .column(user::Column::Email);
    let address: Option<String> = owner.into_tuple().one(db.reader()).await?;
    Ok(address.is_some_and(|address| identifier::same_address(&address, email)))
}

/// Removes networks that are no longer known.
pub async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let old = Condition::all().add(Column::SignedInAt.lte(now.at.minus(KNOWN_FOR)));
    batch_delete::delete::<known_network::Entity>(db, known_network::PrimaryKey::Id, &old).await?;
    Ok(())
}

fn recent(now: &Now, network: &str) -> Condition {
    Condition::all().add(Column::Network.eq(digest(network))).add(Column::SignedInAt.gt(now.at.minus(KNOWN_FOR)))
}

fn digest(network: &str) -> String {
    secret::digest_text(&format!("network\0{network}"))
}
