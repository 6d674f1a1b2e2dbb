//! Pictures of users.
//!
//! The files come first and the user's row second, so that a row never names a file that is not there; the files that
//! it no longer names go last. Each upload has names of its own that are never given again, so that letting go of one
//! picture cannot take another away. What a crash leaves behind is at worst a file that nobody names.

// What their files are called.
pub mod name;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::database::Db;
use crate::domain::access::Viewer;
use crate::domain::audit::{self, Event};
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Column};
use crate::error::{Error, Reason, Result};
use crate::tools::clock::Moment;
use crate::tools::image::{Squares, Studio};
use crate::tools::media::MediaStore;
use name::FileName;

/// Makes the file the signed-in user's avatar, in place of the one that was there.
///
/// # Errors
/// [`crate::error::Code::FileTooLarge`] and [`crate::error::Code::FileUnsupported`] of the field `file`; [`Error::Unavailable`] where the store
/// does not answer.
pub async fn upload(
    db: &Db,
    now: &Moment,
    viewer: &Viewer,
    (studio, store): (&Studio, &MediaStore),
    file: impl AsRef<[u8]> + Send + 'static,
) -> Result<user::Model> {
    let squares = studio.squares(file).await.map_err(of_file)?;
    let largest = keep(now, store, squares).await?;
    let txn = match replace(db, now, viewer, Some(&largest)).await {
        Ok(replaced) => replaced,
        Err(error) => {
            delete(store, Some(&largest.to_string())).await;
            return Err(error);
        }
    };
    // Whether a commit that fails was carried out is not known, so that the files must stay.
    txn.commit(store).await
}

/// Takes the signed-in user's avatar away; that there is none is no failure.
pub async fn remove(db: &Db, now: &Moment, viewer: &Viewer, store: &MediaStore) -> Result<user::Model> {
    replace(db, now, viewer, None).await?.commit(store).await
}

/// Deletes the files of what a row of `users` had in `avatar`, once that row is gone or names them no longer. The
/// caller has done what was asked, so that a file that stays behind is only told to the operator.
pub async fn delete(store: &MediaStore, avatar: Option<&str>) {
    let Some(largest) = avatar.and_then(|text| text.parse::<FileName>().ok()) else { return };
    for file in largest.all() {
        if store.delete(&file.path()).await.is_err() {
            tracing::warn!(%file, "the file of an avatar that is gone stays behind");
        }
    }
}

/// Stores the files and returns the name of the largest.
async fn keep(now: &Moment, store: &MediaStore, squares: Squares) -> Result<FileName> {
    let Squares { encoding, files } = squares;
    let mut content = ring::digest::Context::new(&ring::digest::SHA256);
    content.update(now.id().as_bytes());
    for (_, file) in &files {
        content.update(file);
    }
    let digest: String = content.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let side = files.iter().map(|(side, _)| *side).max().unwrap_or_default();
    let largest = FileName::new(digest.clone(), side, encoding);
    for (side, file) in files {
        if let Err(error) = store.put(&FileName::new(digest.clone(), side, encoding).path(), file).await {
            delete(store, Some(&largest.to_string())).await;
            return Err(error);
        }
    }
    Ok(largest)
}

/// A row that was changed in a transaction that is still open.
struct Replaced {
    txn: sea_orm::DatabaseTransaction,
    user: user::Model,
    before: Option<String>,
}

impl Replaced {
    /// Makes the change hold, and then lets the old files go.
    async fn commit(self, store: &MediaStore) -> Result<user::Model> {
        self.txn.commit().await?;
        delete(store, self.before.as_deref()).await;
        Ok(self.user)
    }
}

async fn replace(db: &Db, now: &Moment, viewer: &Viewer, to: Option<&FileName>) -> Result<Replaced> {
    let gone = || Error::Unauthenticated(Reason::Revoked);
    let id = viewer.user().id;
    let txn = db.begin().await?;
    let user = user::Entity::find_for_update(id).one(&txn).await?.ok_or_else(gone)?;
    if to.is_none() && user.avatar.is_none() {
        return Ok(Replaced { txn, user, before: None });
    }
    let changed = user::Entity::update_many()
        .col_expr(Column::Avatar, Expr::value(to.map(ToString::to_string)))
        .col_expr(Column::UpdatedAt, Expr::value(now.at))
        .filter(Column::Id.eq(id))
        .exec_with_returning(&txn)
        .await?;
    audit::record(&txn, now, Event::by(viewer, Action::UserUpdated, id)).await?;
    Ok(Replaced { txn, before: user.avatar, user: changed.into_iter().next().ok_or_else(gone)? })
}

fn of_file(error: Error) -> Error {
    match error {
        Error::Refused(refusals) => Error::Refused(refusals.into_iter().map(|refusal| refusal.of("file")).collect()),
        error => error,
    }
}

/// The refusal of a size that nobody shows avatars in.
///
/// # Errors
/// [`Error::BadInput`] unless it is one of 1 to 1024.
pub fn size(size: i32) -> Result<u32> {
    let size = u32::try_from(size).ok().filter(|size| (1..=1024).contains(size));
    size.ok_or_else(|| Error::BadInput("`size` must be between 1 and 1024.".to_owned()))
}
