//! The state of the service according to its database.

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::domain::auth::passkeys::list;
use crate::domain::auth::signing_keys;
use crate::domain::instance;
use crate::domain::outbox::{self, Backlog};
use crate::domain::users::address_keys;
use crate::entity::{audit_event, signing_key, user};
use crate::error::Result;
use crate::tools::clock::Timestamp;

/// The state of the service according to its database.
#[derive(Clone, Debug)]
pub struct Health {
    /// Number of superusers who can sign in.
    pub superusers: u64,
    /// Mails that are not delivered yet.
    pub mails: Backlog,
    /// Time of the newest audit event.
    pub youngest: Option<Timestamp>,
    /// The signing keys, newest first.
    pub keys: Vec<signing_key::Model>,
    /// Id of the installation; `None` before the first start.
    pub instance: Option<Uuid>,
    /// Number of active accounts that still have a generated password.
    pub temporary_passwords: u64,
    /// Number of passkeys by domain.
    pub passkeys: Vec<(String, i64)>,
    /// Addresses of accounts that cannot be found by them, because another account has the same address; at most 20.
    pub double_addresses: Vec<String>,
    /// Name of a picture that must be in the media store; `None` if no user has one.
    pub avatar: Option<String>,
}

/// Reads the state; changes nothing.
pub async fn examine(db: &Db, _operator: &Operator) -> Result<Health> {
    let superusers = user::Entity::find().filter(user::superusers()).filter(user::Column::IsActive.eq(true));
    let temporary = user::Entity::find()
        .filter(user::Column::TemporaryPasswordAt.is_not_null())
        .filter(user::Column::IsActive.eq(true));
    let youngest = audit_event::Entity::find().order_by_desc(audit_event::Column::Id).limit(1);
    let pictured = user::Entity::find().filter(user::Column::Avatar.is_not_null()).limit(1);
    Ok(Health {
        superusers: superusers.count(db.reader()).await?,
        mails: outbox::backlog(db).await?,
        youngest: youngest.all(db.reader()).await?.into_iter().next().map(|event| event.created_at),
        keys: signing_keys::list(db).await?,
        instance: instance::find(db.reader()).await?,
        temporary_passwords: temporary.count(db.reader()).await?,
        passkeys: list::count_by_domain(db.reader()).await?,
        double_addresses: address_keys::doubles(db.reader()).await?,
        avatar: pictured.all(db.reader()).await?.into_iter().next().and_then(|user| user.avatar),
    })
}
