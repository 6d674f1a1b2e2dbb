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

/// Where the backup goes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The SQLite file to write, which must not be there yet
    file: PathBuf,
}

/// Writes the database as it is at one moment into an SQLite file, whichever kind of database it is. The file appears under
/// its name once it is whole, checked, and on the disk.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let file = options.file;
    let failed = |error: io::Error| Error::BadInput(format!("{}: {error}", file.display()));
    if file.exists() {
        return Err(Error::BadInput(format!("{} is there already: choose another name", file.display())));
    }
    let url = config.database_url();
    let source = super::look(&config).await?;
    let draft = Draft::beside(&file).map_err(failed)?;
    let bar = ProgressBar::new_spinner().with_style(style());
    bar.enable_steady_tick(Duration::from_millis(100));
    let written = write(&source, url.is_sqlite(), &draft.0, &bar).await;
    bar.finish_and_clear();
    written?;
    draft.publish(&file).map_err(failed)?;
    let size = fs::metadata(&file).map_err(failed)?.len();
    super::say(&format!("{} holds the database, {size} bytes, checked", file.display()));
    super::say("not in it: the secret (secret.key or VESTIBULE_SECRET_KEY), to be kept elsewhere, and the media store");
    Ok(())
}

/// The style of the progress on standard error, where that is a terminal.
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
        // Closing the last connection puts everything into the one file.
        target.close().await?;
    }
    bar.set_message("checking");
    let written = Db::look(&url, &Trust::default()).await.map_err(Error::internal)?;
    let damage = written.damage().await?;
    written.close().await?;
    match damage {
        Some(damage) => Err(Error::internal(format!("the backup is damaged and was not kept: {damage}"))),
        None => Ok(()),
    }
}

/// A file that only its owner may read, gone when it is dropped.
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

    /// Gives the file its name, unless somebody else has taken that.
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
