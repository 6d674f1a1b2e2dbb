//! Passkeys of users.

use std::collections::HashMap;

use sea_orm::sea_query::Query;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::auth::identity::Viewer;
use crate::entity::passkey::{self, Column};
use crate::entity::user;
use crate::error::Result;

/// The passkeys of these users, oldest first.
pub async fn list(db: &Db, users: &[Uuid]) -> Result<HashMap<Uuid, Vec<passkey::Model>>> {
    let mut found: HashMap<Uuid, Vec<passkey::Model>> = HashMap::new();
    let passkeys = passkey::Entity::find().filter(Column::UserId.is_in(users.iter().copied()));
    for passkey in passkeys.order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(db.reader()).await? {
        found.entry(passkey.user_id).or_default().push(passkey);
    }
    Ok(found)
}

/// The passkeys with these ids whose users are visible to the viewer, in one statement.
pub async fn find_many(db: &Db, viewer: &Viewer, ids: &[Uuid]) -> Result<HashMap<Uuid, passkey::Model>> {
    let users =
        Query::select().column(user::Column::Id).from(user::Entity).cond_where(user::visible_to(viewer.user())).take();
    let passkeys =
        passkey::Entity::find().filter(Column::Id.is_in(ids.iter().copied())).filter(Column::UserId.in_subquery(users));
    Ok(passkeys.all(db.reader()).await?.into_iter().map(|passkey| (passkey.id, passkey)).collect())
}

/// Numbers of passkeys by their domain. Those of another domain than that of the service do not work.
pub async fn count_by_domain(db: &impl ConnectionTrait) -> Result<Vec<(String, i64)>> {
    let counts = passkey::Entity::find()
        .select_only()
        .column(Column::Domain)
        .column_as(Column::Id.count(), "number")
        .group_by(Column::Domain)
        .order_by_asc(Column::Domain);
    Ok(counts.into_tuple().all(db).await?)
}

/// The passkeys of a user for a domain, oldest first.
pub(in crate::domain) async fn of_user(
    db: &impl ConnectionTrait,
    user: Uuid,
    domain: &str,
) -> Result<Vec<passkey::Model>> {
    let passkeys = passkey::Entity::find().filter(Column::UserId.eq(user)).filter(Column::Domain.eq(domain));
    Ok(passkeys.order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(db).await?)
}
