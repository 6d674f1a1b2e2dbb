//! Finding an account by an identifier.

use sea_orm::ConnectionTrait;

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

fn is_named(user: &user::Model, key: &str, typed: &str) -> bool {
    if key.contains('@') {
        identifier::same_address(&user.email, typed)
    } else {
        identifier::same_username(&user.username, typed)
    }
}
