//! Second factors of the signed-in user.

// Enrolment of an authenticator app.
pub mod enroll;
// Removal of a factor.
pub mod delete;
// Renewal of recovery codes.
pub mod recovery_codes;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::domain::auth::sessions;
use crate::entity::session::{self, Column, Method};
use crate::error::Result;

/// Adds a method to those by which the user of a session proved who they are. Returns the session.
pub(in crate::domain) async fn add_method(
    txn: &DatabaseTransaction,
    session: Uuid,
    method: Method,
) -> Result<session::Model> {
    let known = session::Entity::find_by_id(session).one(txn).await?.ok_or_else(sessions::invalid_token)?;
    let proved = session::Entity::update_many()
        .col_expr(Column::Methods, Expr::value(known.methods.with(method)))
        .filter(Column::Id.eq(session))
        .exec_with_returning(txn)
        .await?;
    proved.into_iter().next().ok_or_else(sessions::invalid_token)
}
