//! Another name for a passkey.

use sea_orm::sea_query::Expr;
use sea_orm::{EntityTrait as _, QueryFilter as _};

use super::{MAX_NAME, not_found, own};
use crate::database::Db;
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::SessionUser;
use crate::entity::passkey::{self, Column};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::text;

/// Gives a passkey of the owner another name.
///
/// # Errors
/// [`crate::error::Code::NotFound`] if the owner has no such passkey; errors of [`text::required_line`] for `name`.
pub async fn rename(db: &Db, now: &Now, owner: SessionUser<'_>, id: &str, name: &str) -> Result<passkey::Model> {
    let own = own(&owner, id)?;
    let name = text::required_line("name", name, MAX_NAME)?;
    let authorized = owner.begin(db, now, Also::Nobody).await?;
    let (txn, _) = authorized.parts();
    let renamed = passkey::Entity::update_many().col_expr(Column::Name, Expr::value(name)).filter(own);
    let passkey = renamed.exec_with_returning(txn).await?.into_iter().next().ok_or_else(not_found)?;
    authorized.commit().await?;
    Ok(passkey)
}
