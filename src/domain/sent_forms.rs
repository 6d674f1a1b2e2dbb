//! Idempotence of forms that use up a link or token and are sent twice: by a double click, or again after a lost
//! response.
//!
//! The first submission is recorded in the transaction that does its work. The second one finds the record and receives
//! the same page without further effect. The record is a digest of all fields: the browser's secret, a nonce of the
//! form, the link and the input. So it matches only the same browser and the same input.

use std::time::Duration;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _,
};

use crate::database::Db;
use crate::database::batch_delete;
use crate::entity::sent_form::{self, Column};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::secret;

/// Lifetime of the record of a form.
pub const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);

/// A submitted form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentForm(Vec<u8>);

impl SentForm {
    /// The form sent to this path with this body, which must contain a secret of the browser.
    pub fn of(path: &str, body: &[u8]) -> Self {
        Self(secret::digest_parts(&[b"form", path.as_bytes(), body]))
    }
}

/// Records that a form does its work in this transaction; does nothing without a form.
pub async fn note(txn: &DatabaseTransaction, now: &Now, form: Option<&SentForm>) -> Result<()> {
    let Some(SentForm(digest)) = form.cloned() else { return Ok(()) };
    let row = sent_form::ActiveModel { digest: Set(digest), expires_at: Set(now.at.plus(KNOWN_FOR)) };
    let again = OnConflict::column(Column::Digest).update_column(Column::ExpiresAt).to_owned();
    sent_form::Entity::insert(row).on_conflict(again).exec_without_returning(txn).await?;
    Ok(())
}

/// True if the same form did its work within [`KNOWN_FOR`].
pub async fn is_done(db: &Db, now: &Now, form: &SentForm) -> Result<bool> {
    let same = Condition::all().add(Column::Digest.eq(form.0.clone())).add(Column::ExpiresAt.gt(now.at));
    Ok(sent_form::Entity::find().filter(same).count(db.reader()).await? > 0)
}

/// Deletes expired records.
pub async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let old = Condition::all().add(Column::ExpiresAt.lte(now.at));
    batch_delete::delete::<sent_form::Entity>(db, sent_form::PrimaryKey::Digest, &old).await?;
    Ok(())
}
