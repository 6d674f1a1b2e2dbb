//! What the rows tell about how the service is.

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::domain::auth::signing_keys;
use crate::domain::instance;
use crate::domain::outbox::{self, Backlog};
use crate::domain::users::address_keys;
use crate::entity::{audit_event, signing_key, user};
use crate::error::Result;
use crate::tools::clock::Timestamp;

/// What the rows tell about how the service is.
#[derive(Clone, Debug)]
pub struct Health {
    /// How many superusers can sign in.
    pub superusers: u64,
    /// The mails that have not gone out.
    pub mails: Backlog,
    /// When the youngest event was recorded.
    pub youngest: Option<Timestamp>,
    /// The signing keys, the youngest first.
    pub keys: Vec<signing_key::Model>,
    /// The id of the installation; none before the first start.
    pub instance: Option<Uuid>,
    /// Number of active accounts that still have a generated password.
    pub temporary_passwords: u64,
    /// The addresses of accounts that are not found by them, because another account has the same; the first 20.
    pub double_addresses: Vec<String>,
    /// The name of a picture that must be in the media store; none where no user has one.
    pub avatar: Option<String>,
}

/// Looks at the rows; changes none.
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
        double_addresses: address_keys::doubles(db.reader()).await?,
        avatar: pictured.all(db.reader()).await?.into_iter().next().and_then(|user| user.avatar),
    })
}
