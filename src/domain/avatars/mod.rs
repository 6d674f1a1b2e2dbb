//! Pictures of users.
//!
//! The files come first and the user's row second, so that a row never names a file that is not there; the files that
//! it no longer names go last. Each upload has names of its own that are never given again, so that letting go of one
//! picture cannot take another away.
//!
//! Files that are not, or no longer, some user's are noted as leftovers: those of an upload before they are written,
//! those of a picture that goes in the transaction that lets it go. So neither a crash nor a store that fails leaves a
//! file behind for ever.

// What their files are called.
pub mod name;

use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::{Also, Authorized};
use crate::domain::auth::identity::Viewer;
use crate::entity::audit_event::Action;
use crate::entity::pending_deletion;
use crate::entity::user::{self, Column};
use crate::error::{Error, Reason, Result};
use crate::tools::clock::{Now, Timestamp};
use crate::tools::image::{AvatarEncoder, AvatarSizes};
use crate::tools::media::MediaStore;
use name::FileName;

/// When the files of an upload count as left behind; far longer than a request may take.
const UPLOAD: Duration = Duration::from_secs(60 * 60);

/// How many leftovers are looked at in a round.
const BATCH: u64 = 100;

/// Makes the file the signed-in user's avatar, in place of the one that was there.
///
/// # Errors
/// [`crate::error::Code::FileTooLarge`] and [`crate::error::Code::FileUnsupported`] of the field `file`; [`Error::Unavailable`] where the store
/// does not answer.
pub async fn upload(
    db: &Db,
    now: &Now,
    viewer: &Viewer,
    (avatar_encoder, store): (&AvatarEncoder, &MediaStore),
    file: impl AsRef<[u8]> + Send + 'static,
) -> Result<user::Model> {
    let squares = avatar_encoder.squares(file).await.map_err(of_file)?;
    let largest = name(now, &squares);
    note(db.writer(), &largest.to_string(), now.at.plus(UPLOAD)).await?;
    if let Err(error) = keep(store, &largest, squares).await {
        delete(db, store, Some(&largest.to_string())).await;
        return Err(error);
    }
    let replaced = match replace(db, now, viewer, Some(&largest)).await {
        Ok(replaced) => replaced,
        Err(error) => {
            delete(db, store, Some(&largest.to_string())).await;
            return Err(error);
        }
    };
    // Whether a commit that fails was carried out is not known, so that the files stay until they count as left behind.
    replaced.commit(db, store).await
}

/// Takes the signed-in user's avatar away; that there is none is no failure.
pub async fn remove(db: &Db, now: &Now, viewer: &Viewer, store: &MediaStore) -> Result<user::Model> {
    replace(db, now, viewer, None).await?.commit(db, store).await
}

/// Notes, in the transaction of what lets it go, that the files of this picture are to be deleted.
pub async fn leave_behind(txn: &impl ConnectionTrait, now: &Now, avatar: Option<&str>) -> Result<()> {
    match avatar {
        Some(name) => note(txn, name, now.at).await,
        None => Ok(()),
    }
}

/// Deletes the files of what a row of `users` had in `avatar`, once that row is gone or names them no longer. The
/// caller has done what was asked, so that what fails is left to [`sweep`].
pub async fn delete(db: &Db, store: &MediaStore, avatar: Option<&str>) {
    let Some(name) = avatar else { return };
    if let Err(error) = try_delete(db, store, name).await {
        tracing::warn!(?error, name, "the files of an avatar that is gone are deleted later");
    }
}

/// Deletes files that were left behind: by a crash, or because the store failed.
///
/// # Errors
/// [`Error::Unavailable`] where the store does not answer; the rest is for the next round.
pub async fn sweep(db: &Db, now: &Now, store: &MediaStore) -> Result<()> {
    let due = pending_deletion::Entity::find().filter(pending_deletion::Column::DueAt.lte(now.at));
    let due = due.order_by_asc(pending_deletion::Column::DueAt).limit(BATCH).all(db.reader()).await?;
    for leftover in due {
        try_delete(db, store, &leftover.name).await?;
    }
    Ok(())
}

async fn try_delete(db: &Db, store: &MediaStore, name: &str) -> Result<()> {
    if let Ok(largest) = name.parse::<FileName>() {
        let mut deleted = Ok(());
        for file in largest.all() {
            // One that cannot be deleted keeps none of the others.
            deleted = deleted.and(store.delete(&file.path()).await);
        }
        deleted?;
    }
    pending_deletion::Entity::delete_by_id(name).exec(db.writer()).await?;
    Ok(())
}

async fn note(db: &impl ConnectionTrait, name: &str, due_at: Timestamp) -> Result<()> {
    let row = pending_deletion::ActiveModel { name: Set(name.to_owned()), due_at: Set(due_at) };
    let again =
        OnConflict::column(pending_deletion::Column::Name).update_column(pending_deletion::Column::DueAt).to_owned();
    pending_deletion::Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// What the largest of the files will be called.
fn name(now: &Now, squares: &AvatarSizes) -> FileName {
    let AvatarSizes { encoding, files } = squares;
    let mut content = ring::digest::Context::new(&ring::digest::SHA256);
    content.update(now.id().as_bytes());
    for (_, file) in files {
        content.update(file);
    }
    let digest: String = content.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let side = files.iter().map(|(side, _)| *side).max().unwrap_or_default();
    FileName::new(digest, side, *encoding)
}

/// Stores the files.
async fn keep(store: &MediaStore, largest: &FileName, squares: AvatarSizes) -> Result<()> {
    for (side, file) in squares.files {
        let name = FileName::new(largest.digest().to_owned(), side, squares.encoding);
        store.put(&name.path(), file).await?;
    }
    Ok(())
}

/// A row that was changed in a transaction that is still open.
struct Replaced {
    authorized: Authorized,
    user: user::Model,
    before: Option<String>,
}

impl Replaced {
    /// Makes the change hold, and then lets the old files go.
    async fn commit(self, db: &Db, store: &MediaStore) -> Result<user::Model> {
        self.authorized.commit().await?;
        delete(db, store, self.before.as_deref()).await;
        Ok(self.user)
    }
}

async fn replace(db: &Db, now: &Now, viewer: &Viewer, to: Option<&FileName>) -> Result<Replaced> {
    let gone = || Error::Unauthenticated(Reason::Revoked);
    let id = viewer.user().id;
    let authorized = viewer.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let before = authorized.user().avatar.clone();
    if to.is_none() && before.is_none() {
        let user = authorized.user().clone();
        return Ok(Replaced { authorized, user, before });
    }
    let changed = user::Entity::update_many()
        .col_expr(Column::Avatar, Expr::value(to.map(ToString::to_string)))
        .col_expr(Column::UpdatedAt, Expr::value(now.at))
        .filter(Column::Id.eq(id))
        .exec_with_returning(txn)
        .await?;
    let user = changed.into_iter().next().ok_or_else(gone)?;
    let event = Event::by(&authorized, Action::UserUpdated, id).changing(authorized.user(), &user);
    audit::record(txn, now, event).await?;
    leave_behind(txn, now, before.as_deref()).await?;
    if let Some(name) = to {
        pending_deletion::Entity::delete_by_id(name.to_string()).exec(txn).await?;
    }
    Ok(Replaced { authorized, user, before })
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
