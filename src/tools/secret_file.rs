//! The service's secret where no setting gives one: made once, in a file that only its owner may read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::tools::secret::Secret;

/// Reads the secret in this file, making both where there is none. Instances that start at the same moment get the
/// same one: the file appears with its whole content or not at all, and only once.
///
/// # Errors
/// What the file system says; a file that is too short to be a secret is refused.
pub fn read_or_create(path: &Path) -> io::Result<Vec<u8>> {
    if !path.exists() {
        create(path)?;
    }
    read(path)
}

/// Reads the secret in this file.
///
/// # Errors
/// The same, and that there is none.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let text = fs::read_to_string(path)?;
    let text = text.trim();
    if text.len() < 32 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the secret in it is too short"));
    }
    Ok(text.as_bytes().to_vec())
}

/// The secret that a setting gives, or else the one in this file; none where there is neither.
///
/// # Errors
/// As for [`read`], where there is a file.
pub fn known(given: Option<&[u8]>, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match given {
        Some(given) => Ok(Some(given.to_vec())),
        None if !path.exists() => Ok(None),
        None => read(path).map(Some),
    }
}

/// Makes a folder, and those that it is in, which only their owner may enter; those that are there stay as they are.
///
/// # Errors
/// What the file system says.
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
    // A link, unlike a rename, fails where another instance was faster.
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
