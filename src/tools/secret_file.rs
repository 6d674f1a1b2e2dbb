//! The service's secret if no setting gives one: created once, in a file that only its owner may read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::tools::secret::Secret;

/// Reads the secret in this file, and creates both if the file is missing. Instances that start concurrently get the
/// same secret: the file appears once, with its whole content.
///
/// # Errors
/// Errors of the file system; a file that is too short for a secret is refused.
pub fn read_or_create(path: &Path) -> io::Result<Vec<u8>> {
    if !path.exists() {
        create(path)?;
    }
    read(path)
}

/// Reads the secret in this file.
///
/// # Errors
/// The same, and an error for a missing file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let text = fs::read_to_string(path)?;
    let text = text.trim();
    if text.len() < 32 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the secret in it is too short"));
    }
    Ok(text.as_bytes().to_vec())
}

/// The secret of the setting, or else of this file; `None` if both are missing.
///
/// # Errors
/// As for [`read`], if the file exists.
pub fn known(given: Option<&[u8]>, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match given {
        Some(given) => Ok(Some(given.to_vec())),
        None if !path.exists() => Ok(None),
        None => read(path).map(Some),
    }
}

/// Creates a folder and its parents, accessible only to their owner; existing ones stay unchanged.
///
/// # Errors
/// Errors of the file system.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let draft = path.with_extension(Secret::<8>::random().to_text());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", Secret::<32>::random().to_text())?;
    file.sync_all()?;
    // A link, unlike a rename, fails if another instance was faster.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/secret.key");
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let start = || scope.spawn(|| read_or_create(&path).unwrap());
            let threads: Vec<_> = (0..8).map(|_| start()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0] && secret.len() == 43));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        #[cfg(unix)]
        for (path, mode) in [(path.as_path(), 0o600), (path.parent().unwrap(), 0o700)] {
            let rights = path.metadata().unwrap().permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&rights) & 0o777, mode);
        }
        fs::write(&path, "short").unwrap();
        assert!(read_or_create(&path).is_err());
    }
}
