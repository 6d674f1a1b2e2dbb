//! Avatars of users.
//!
//! Files are written before the user's row, so that a row never names a missing file. Replaced files are deleted last.
//! Each upload has unique names that are never reused, so that deleting one avatar cannot delete another.
//!
//! Files without a user are recorded as pending deletions: new files before they are written, and replaced files in the
//! transaction that replaces them. So neither a crash nor a failing store leaves files behind.

// Names of the files.
pub mod name;

use std::ops::RangeInclusive;
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
use crate::texts::Text;
use crate::tools::clock::{Now, Timestamp};
use crate::tools::image::{AvatarEncoder, AvatarSizes};
use crate::tools::media::MediaStore;
use name::FileName;

/// Time after which files of an unfinished upload are deleted; far longer than a request can take.
const UPLOAD: Duration = Duration::from_secs(60 * 60);

/// Number of pending deletions processed in a round.
const BATCH: u64 = 100;

/// Sets or replaces the signed-in user's avatar.
///
/// # Errors
/// [`crate::error::Code::FileTooLarge`] and [`crate::error::Code::FileUnsupported`] of the field `file`;
/// [`Error::Unavailable`] if the store does not respond; [`Error::RateLimited`] after too many changes by this user.
pub async fn upload(
    db: &Db,
    now: &Now,
    viewer: &Viewer,
    avatar_encoder: &AvatarEncoder,
    store: &MediaStore,
    file: impl AsRef<[u8]> + Send + 'static,
) -> Result<user::Model> {
    viewer.check_changes(db, now).await?;
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
    // A failed commit may have taken effect, so the files stay until their pending deletion is due.
    replaced.commit(db, store).await
}

/// Removes the signed-in user's avatar; does nothing without one.
pub async fn remove(db: &Db, now: &Now, viewer: &Viewer, store: &MediaStore) -> Result<user::Model> {
    let replaced = replace(db, now, viewer, None).await?;
    if replaced.before.is_none() {
        // The transaction rolls back.
        return Ok(replaced.user);
    }
    replaced.commit(db, store).await
}

/// Records that the files of this avatar must be deleted, in the transaction that stops using them.
pub async fn leave_behind(txn: &impl ConnectionTrait, now: &Now, avatar: Option<&str>) -> Result<()> {
    match avatar {
        Some(name) => note(txn, name, now.at).await,
        None => Ok(()),
    }
}

/// Deletes the files of an avatar that no row of `users` names any longer. Failures are only logged and left to
/// [`sweep`], because the request itself has succeeded.
pub async fn delete(db: &Db, store: &MediaStore, avatar: Option<&str>) {
    let Some(name) = avatar else { return };
    if let Err(error) = try_delete(db, store, name).await {
        tracing::warn!(?error, name, "deleting avatar files failed; will retry");
    }
}

/// Deletes files left behind by a crash or a failing store.
///
/// # Errors
/// [`Error::Unavailable`] if the store does not respond. The remaining files are deleted in the next round.
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
            // A failure does not prevent deletion of the other files.
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

/// Name of the largest of the files.
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

/// A changed row in an open transaction.
struct Replaced {
    authorized: Authorized,
    user: user::Model,
    before: Option<String>,
}

impl Replaced {
    /// Commits the change, and then deletes the old files.
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

/// Validates a size in pixels.
///
/// # Errors
/// [`Error::BadInput`] if it is not between 1 and 1024.
pub fn size(size: i32) -> Result<u32> {
    const SIZES: RangeInclusive<u32> = 1..=1024;
    let size = u32::try_from(size).ok().filter(|size| SIZES.contains(size));
    let text = || Text::new("avatar-size-out-of-range").with("min", u64::from(*SIZES.start()));
    size.ok_or_else(|| Error::BadInput(text().with("max", u64::from(*SIZES.end()))))
}
