//! Second factors imported from another system.
//!
//! Its recovery codes may be short, so that their digests would reveal them to a thief of the database. They are sealed,
//! and attempts at them are limited like those at codes of an app.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::factors;
use crate::entity::recovery_code::{self, Column};
use crate::entity::{factor, user};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::recovery_code::ImportedCode;
use crate::tools::secret::{MasterKeys, Secret};
use crate::tools::totp::{TimeStep, TotpSecret};

/// Number of rows per statement, below the limit of SQLite for bound values.
const STEP: usize = 2000;

/// An app to add.
#[derive(Clone, Debug)]
pub(in crate::domain) struct NewApp<'a> {
    /// Id of its user, who has none.
    pub(in crate::domain) user: Uuid,
    /// The secret.
    pub(in crate::domain) secret: &'a TotpSecret,
    /// The last step of which a code was used.
    pub(in crate::domain) last_step: TimeStep,
}

/// Adds apps of users whose rows are locked or new.
pub(in crate::domain) async fn add_apps(
    txn: &DatabaseTransaction,
    now: &Now,
    master_keys: &MasterKeys,
    apps: &[NewApp<'_>],
) -> Result<()> {
    if apps.is_empty() {
        return Ok(());
    }
    let row = |app: &NewApp<'_>| factors::totp_row(now, master_keys, app.user, app.secret, app.last_step);
    factor::Entity::insert_many(apps.iter().map(row)).exec_without_returning(txn).await?;
    mark_all(txn, apps.iter().map(|app| app.user)).await
}

/// Adds recovery codes of users whose rows are locked or new.
pub(in crate::domain) async fn add_codes(
    txn: &DatabaseTransaction,
    now: &Now,
    master_keys: &MasterKeys,
    codes: &[(Uuid, &ImportedCode)],
) -> Result<()> {
    let row = |(user, code): &(Uuid, &ImportedCode)| recovery_code::ActiveModel {
        digest: Set(Secret::<32>::random().reveal().to_vec()),
        user_id: Set(*user),
        created_at: Set(now.at),
        sealed_code: Set(Some(master_keys.seal(&seal_context(*user), code.reveal().as_bytes()))),
    };
    for part in codes.chunks(STEP) {
        recovery_code::Entity::insert_many(part.iter().map(row)).exec_without_returning(txn).await?;
    }
    Ok(())
}

/// Records that these users, whose rows are locked or new, have a second factor.
pub(in crate::domain) async fn mark_all(txn: &DatabaseTransaction, users: impl Iterator<Item = Uuid>) -> Result<()> {
    user::Entity::update_many()
        .col_expr(user::Column::HasSecondFactor, Expr::value(true))
        .filter(user::Column::Id.is_in(users))
        .exec(txn)
        .await?;
    Ok(())
}

/// The unused imported codes of these users, each with the digest of its row.
pub(in crate::domain) async fn codes_of(
    txn: &DatabaseTransaction,
    master_keys: &MasterKeys,
    users: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, Vec<(Vec<u8>, ImportedCode)>>> {
    let theirs = Column::UserId.is_in(users).and(Column::SealedCode.is_not_null());
    let mut found: HashMap<Uuid, Vec<(Vec<u8>, ImportedCode)>> = HashMap::new();
    for row in recovery_code::Entity::find().filter(theirs).all(txn).await? {
        if let Some(code) = code_of(master_keys, &row) {
            found.entry(row.user_id).or_default().push((row.digest, code));
        }
    }
    Ok(found)
}

fn code_of(master_keys: &MasterKeys, row: &recovery_code::Model) -> Option<ImportedCode> {
    let plain = master_keys.unseal(&seal_context(row.user_id), row.sealed_code.as_deref()?)?;
    ImportedCode::from_text(std::str::from_utf8(&plain).ok()?)
}

/// The digest of the user's imported code that was typed.
pub(super) async fn matching_code(
    txn: &DatabaseTransaction,
    master_keys: &MasterKeys,
    user: Uuid,
    typed: &str,
) -> Result<Option<Vec<u8>>> {
    let Some(typed) = ImportedCode::from_text(typed) else { return Ok(None) };
    let codes = codes_of(txn, master_keys, std::iter::once(user)).await?.remove(&user).unwrap_or_default();
    Ok(codes.into_iter().find(|(_, code)| *code == typed).map(|(digest, _)| digest))
}

/// True if the user has imported codes.
pub(super) async fn has_codes(txn: &DatabaseTransaction, user: Uuid) -> Result<bool> {
    let theirs = Column::UserId.eq(user).and(Column::SealedCode.is_not_null());
    Ok(recovery_code::Entity::find().filter(theirs).one(txn).await?.is_some())
}

/// The context under which the imported codes of a user are sealed.
pub(in crate::domain) fn seal_context(user: Uuid) -> String {
    format!("recovery code {user}")
}
