//! Finding an account by an identifier.

use sea_orm::{ConnectionTrait, EntityTrait as _};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::auth::identity::Staff;
use crate::entity::user;
use crate::error::Result;
use crate::tools::identifier;

/// The account with this address or username. A look-alike is not found: at most one account has the key of the text,
/// and its own identifier must be equal.
pub(in crate::domain) async fn by_identifier(db: &impl ConnectionTrait, typed: &str) -> Result<Option<user::Model>> {
    let key = identifier::fold(typed);
    let found = user::Entity::find_by_identifier(&key).one(db).await?;
    Ok(found.filter(|user| is_named(user, &key, typed)))
}

/// The user with this id, address or username, if these staff see them.
pub async fn find(db: &Db, staff: Staff<'_>, typed: &str) -> Result<Option<user::Model>> {
    let typed = typed.trim();
    let found = match Uuid::parse_str(typed) {
        Ok(id) => user::Entity::find_by_id(id).one(db.reader()).await?,
        Err(_) => by_identifier(db.reader(), typed).await?,
    };
    Ok(found.filter(|user| staff.user().is_superuser || !user.is_superuser))
}

fn is_named(user: &user::Model, key: &str, typed: &str) -> bool {
    if key.contains('@') {
        identifier::same_address(&user.email, typed)
    } else {
        identifier::same_username(&user.username, typed)
    }
}
