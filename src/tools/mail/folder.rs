//! Delivery into a folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::transport::SendError;
use crate::tools::io_error;

/// Writes `<id>.eml`. On return, the complete file is on the disk; until then, there is no such file or that of an
/// earlier delivery. Only the owner may read folder and file.
pub(super) async fn write(folder: PathBuf, id: Uuid, bytes: Vec<u8>) -> Result<(), SendError> {
    // A blocking task, so that it completes even if the caller stops waiting.
    match tokio::task::spawn_blocking(move || write_file(&folder, id, &bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            Err(SendError::temporary(&format!("the mail folder cannot be written: {}", io_error::describe(&error))))
        }
        Err(_) => Err(SendError::temporary("the mail folder cannot be written: interrupted")),
    }
}

fn write_file(folder: &Path, id: Uuid, bytes: &[u8]) -> io::Result<()> {
    if !folder.is_dir() {
        private_folder().create(folder)?;
    }
    // The name is always the same, so that an interrupted attempt leaves nothing behind once another succeeds.
    let unfinished = folder.join(format!(".{id}.part"));
    let mut file = private_file().open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(format!("{id}.eml")))?;
    sync_folder(folder)
}

fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Syncs the new name to the disk. Systems whose folders cannot be opened like files do so themselves.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_repeated_delivery_replaces_the_file_and_leaves_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("new/mail");
        let id = Uuid::from_u128(7);
        write(folder.clone(), id, b"the first, longer delivery".to_vec()).await.unwrap();
        fs::write(folder.join(format!(".{id}.part")), "of an attempt that was cut short, and longer than all others")
            .unwrap();
        write(folder.clone(), id, b"second".to_vec()).await.unwrap();
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [format!("{id}.eml").as_str()]);
        assert_eq!(fs::read(folder.join(format!("{id}.eml"))).unwrap(), b"second");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_may_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mail");
        write(folder.clone(), Uuid::nil(), b"secret".to_vec()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(format!("{}.eml", Uuid::nil()))), 0o600);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_created_is_transient_and_names_no_path() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(file.join("mail"), Uuid::nil(), b"secret".to_vec()).await.unwrap_err();
        assert_eq!(error, SendError::temporary("the mail folder cannot be written: not a directory"));
    }
}
