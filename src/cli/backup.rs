//! `vestibule backup`

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::{Config, DatabaseUrl};
use crate::database::{self, Db};
use crate::error::{Error, Result};
use crate::tools::certificates::Trust;
use crate::tools::secret::Secret;

/// Options of `backup`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// SQLite file to write; must not exist yet
    file: PathBuf,
}

/// Writes a consistent snapshot of the SQLite or PostgreSQL database into an SQLite file. The file appears under its
/// name once it is complete, checked and synced to disk.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let file = options.file;
    let failed = |error: io::Error| Error::Command(format!("{}: {error}", super::shown(&file)));
    if file.exists() {
        return Err(Error::Command(format!("{} already exists: choose another name", super::shown(&file))));
    }
    let url = config.database_url();
    let source = super::open_read_only(&config).await?;
    let draft = Draft::beside(&file).map_err(failed)?;
    let bar = ProgressBar::new_spinner().with_style(style());
    bar.enable_steady_tick(Duration::from_millis(100));
    let written = write(&source, url.is_sqlite(), &draft.0, &bar).await;
    bar.finish_and_clear();
    written?;
    draft.publish(&file).map_err(failed)?;
    let size = fs::metadata(&file).map_err(failed)?.len();
    super::say(&format!("backup written to {} ({size} bytes) and checked", super::shown(&file)));
    super::say(
        "not included: the secret key (secret.key or VESTIBULE_SECRET_KEY; store it separately) and the media store",
    );
    Ok(())
}

/// Style of the progress display on standard error, if that is a terminal.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

async fn write(source: &Db, is_sqlite: bool, draft: &Path, bar: &ProgressBar) -> Result<()> {
    let url = DatabaseUrl::sqlite(draft);
    if is_sqlite {
        bar.set_message("writing");
        source.write_into(draft).await?;
    } else {
        let target = Db::connect(&url, &database::Options::default()).await.map_err(Error::internal)?;
        super::copy::between(source, &target).await?;
        // Closing the last connection merges the write-ahead log into the file.
        target.close().await?;
    }
    bar.set_message("checking");
    let written = Db::open_read_only(&url, &Trust::default()).await.map_err(Error::internal)?;
    let damage = written.damage().await?;
    written.close().await?;
    match damage {
        Some(damage) => Err(Error::internal(format!("the backup is damaged and was deleted: {damage}"))),
        None => Ok(()),
    }
}

/// Temporary file readable only by its owner, deleted on drop.
struct Draft(PathBuf);

impl Draft {
    fn beside(file: &Path) -> io::Result<Self> {
        let draft = file.with_extension(format!("{}.part", Secret::<8>::random().to_text()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&draft)?;
        Ok(Self(draft))
    }

    /// Gives the file its final name; fails if that name is taken.
    fn publish(self, name: &Path) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        fs::hard_link(&self.0, name)?;
        let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.0.clone().into_os_string();
            name.push(end);
            let _ = fs::remove_file(name);
        }
    }
}
