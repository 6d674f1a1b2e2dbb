//! Forms that spend something, sent twice: by a double click, or again after a lost answer.
//!
//! The first one is noted in the transaction that does its work. The second one finds the note and is answered by the same
//! page, without doing anything. A note is the digest of all that the form holds: the browser's secret, a text of this form
//! alone, the link, and what was typed. So it answers nobody but the same browser, and no form that was filled in again.

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

/// Time for which a form is known.
pub const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);

/// A form as a browser sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentForm(Vec<u8>);

impl SentForm {
    /// The form that was sent to this path with this body, which must hold a secret of the browser.
    pub fn of(path: &str, body: &[u8]) -> Self {
        Self(secret::digest_parts(&[b"form", path.as_bytes(), body]))
    }
}

/// Notes that a form does its work in this transaction; without one, nothing is noted.
pub async fn note(txn: &DatabaseTransaction, now: &Now, form: Option<&SentForm>) -> Result<()> {
    let Some(SentForm(digest)) = form.cloned() else { return Ok(()) };
    let row = sent_form::ActiveModel { digest: Set(digest), expires_at: Set(now.at.plus(KNOWN_FOR)) };
    let again = OnConflict::column(Column::Digest).update_column(Column::ExpiresAt).to_owned();
    sent_form::Entity::insert(row).on_conflict(again).exec_without_returning(txn).await?;
    Ok(())
}

/// Checks whether the same form did its work lately.
pub async fn is_done(db: &Db, now: &Now, form: &SentForm) -> Result<bool> {
    let same = Condition::all().add(Column::Digest.eq(form.0.clone())).add(Column::ExpiresAt.gt(now.at));
    Ok(sent_form::Entity::find().filter(same).count(db.reader()).await? > 0)
}

/// Removes forms that are no longer known.
pub async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let old = Condition::all().add(Column::ExpiresAt.lte(now.at));
    batch_delete::delete::<sent_form::Entity>(db, sent_form::PrimaryKey::Digest, &old).await?;
    Ok(())
}
