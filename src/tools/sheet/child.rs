//! Reading of a table in a child process with limits on memory and time, so that no file can bring this process down.
//!
//! The child is the same program with the argument [`COMMAND`], followed by the preferred headings. It receives the file
//! on its standard input, and writes frames to its standard output. A frame is a length in four bytes and that many
//! bytes of JSON; a length of zero marks the end.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::marked::{self, Mark};
use super::read::{self, MAX_BYTES, SheetRow, Sheets, damaged, too_large};
use crate::error::{Code, Error, Refusal, Result};

/// First argument of the child process. It is hidden from the help of the command line.
pub const COMMAND: &str = "read-sheet";

/// First argument of the child process that copies a table with marked cells, followed by a folder for temporary files
/// and the preferred headings. It receives a length in four bytes, that many bytes of JSON with the marks, and the file,
/// and writes a workbook.
pub const MARK_COMMAND: &str = "mark-sheet";

/// Limit on the size of a written workbook, in bytes.
const MAX_WRITTEN: u64 = 256 * 1024 * 1024;

/// Limit on the address space of the child, in bytes.
const MEMORY: u64 = 512 * 1024 * 1024;

/// Limit on the CPU time of the child, in seconds.
const SECONDS: u64 = 20;

/// Limit on the elapsed time of the child.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Amount of text after which a frame is sent, in bytes.
const FRAME: usize = 256 * 1024;

/// Maximum length of an accepted frame, in bytes. A frame can exceed [`FRAME`] by one row, with every character
/// escaped.
const MAX_FRAME: u32 = 32 * 1024 * 1024;

/// A message of the child.
#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    /// Some rows.
    Rows(Vec<SheetRow>),
    /// All rows were read; these are the sheets of the file.
    Sheets(Sheets),
    /// The file is refused.
    Refused {
        /// True if the file is too large, false if it is unsupported.
        is_too_large: bool,
        /// The message for the user.
        message: String,
    },
}

/// Reads tables in child processes.
#[derive(Clone, Debug)]
pub struct Reader {
    program: PathBuf,
}

impl Reader {
    /// A reader that starts this program.
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// A reader that starts the running program.
    ///
    /// # Errors
    /// [`Error::Internal`] if its path is unknown.
    pub fn of_this_program() -> Result<Self> {
        // On Linux this is the running program even after its file was replaced by a newer version.
        let own = PathBuf::from("/proc/self/exe");
        if cfg!(target_os = "linux") && own.exists() {
            return Ok(Self::new(own));
        }
        Ok(Self::new(std::env::current_exe().map_err(Error::internal)?))
    }

    /// Starts to read a table. In a workbook, a sheet with one of these headings in its first row is preferred.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] of the field `file`; [`Error::Internal`] if the child cannot be started.
    pub fn open(&self, file: impl AsRef<[u8]> + Send + 'static, headings: &[String]) -> Result<Pages> {
        if file.as_ref().len() > MAX_BYTES {
            return Err(read::file_too_large());
        }
        let mut command = Command::new(&self.program);
        command.arg(COMMAND).args(headings).env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(Error::internal)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("sheet reader process has no pipes"));
        };
        let writing = tokio::spawn(async move {
            // A child that exits before it has read everything has reported the reason.
            let _ = input.write_all(file.as_ref()).await;
        });
        Ok(Pages { child, output, writing, deadline: Instant::now() + TIMEOUT })
    }
}

impl Reader {
    /// Copies a table into a workbook with marked cells: a file without a name, positioned at its start. `marks` are in
    /// the order of rows and columns.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] of the field `file` if this takes too long or too much memory; [`Error::Internal`] if the
    /// folder for temporary files is not writable.
    pub async fn mark(
        &self,
        file: impl AsRef<[u8]> + Send + 'static,
        headings: &[String],
        marks: &[Mark],
        folder: &Path,
    ) -> Result<std::fs::File> {
        let marks = serde_json::to_vec(marks).map_err(Error::internal)?;
        let length = u32::try_from(marks.len()).map_err(Error::internal)?;
        let mut written = tempfile::tempfile_in(folder).map_err(Error::internal)?;
        let output = written.try_clone().map_err(Error::internal)?;
        // The child has another working directory.
        let folder = std::path::absolute(folder).map_err(Error::internal)?;
        let mut command = Command::new(&self.program);
        command.arg(MARK_COMMAND).arg(folder).args(headings).env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::null());
        let mut child = command.spawn().map_err(Error::internal)?;
        let mut input = child.stdin.take().ok_or_else(|| Error::internal("sheet marker process has no pipe"))?;
        let work = async {
            let sent = async {
                input.write_all(&length.to_be_bytes()).await?;
                input.write_all(&marks).await?;
                input.write_all(file.as_ref()).await
            };
            // A child that exits before it has read everything has a status that is no success.
            let _ = sent.await;
            drop(input);
            child.wait().await.map_err(Error::internal)
        };
        match tokio::time::timeout(TIMEOUT, work).await.map_err(|_| too_costly())?? {
            status if status.success() => {
                written.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
                Ok(written)
            }
            status => {
                tracing::warn!(%status, "sheet marker process failed");
                Err(if status.code().is_none() { too_costly() } else { broken(status) })
            }
        }
    }
}

/// The pages of a table being read. The child is killed when this is dropped.
#[derive(Debug)]
pub struct Pages {
    child: Child,
    output: ChildStdout,
    writing: JoinHandle<()>,
    deadline: Instant,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

impl Pages {
    /// The next page, not yet [parsed](Page::content); none at the end.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] and [`Code::FileUnsupported`] of the field `file`.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        match tokio::time::timeout_at(self.deadline, self.frame()).await {
            Ok(Ok(frame)) => Ok(frame.map(Page)),
            Ok(Err(_)) => Err(self.cause_of_death().await),
            Err(_) => Err(too_costly()),
        }
    }

    async fn frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = self.output.read_u32().await?;
        if length == 0 {
            return Ok(None);
        }
        if length > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut frame = Vec::new();
        let read = (&mut self.output).take(length.into()).read_to_end(&mut frame).await?;
        if read as u64 == u64::from(length) { Ok(Some(frame)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The error for a child that exited before the end of the table.
    async fn cause_of_death(&mut self) -> Error {
        let status = match tokio::time::timeout_at(self.deadline, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Error::internal(error),
            Err(_) => return too_costly(),
        };
        tracing::warn!(%status, "sheet reader process failed");
        match status.code() {
            // A signal: out of memory or time.
            None => too_costly(),
            // A panic of the parser.
            Some(101) => damaged(),
            Some(_) => broken(status),
        }
    }
}

/// An unparsed frame of rows.
#[derive(Debug)]
pub struct Page(Vec<u8>);

/// Content of a page.
#[derive(Debug)]
pub enum Content {
    /// Some rows.
    Rows(Vec<SheetRow>),
    /// The sheets of the file, after all rows.
    Sheets(Sheets),
}

impl Page {
    /// Parses the page. This takes a while, and should not be done on an asynchronous thread.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] and [`Code::FileUnsupported`] of the field `file`.
    pub fn content(self) -> Result<Content> {
        match serde_json::from_slice(&self.0).map_err(Error::internal)? {
            Frame::Rows(rows) => Ok(Content::Rows(rows)),
            Frame::Sheets(sheets) => Ok(Content::Sheets(sheets)),
            Frame::Refused { is_too_large, message } => {
                let code = if is_too_large { Code::FileTooLarge } else { Code::FileUnsupported };
                Err(Refusal::new(code, "sheet-refused").with("reason", message).of("file").into())
            }
        }
    }
}

fn too_costly() -> Error {
    too_large("sheet-too-costly")
}

fn broken(status: ExitStatus) -> Error {
    Error::internal(format!("sheet reader process failed: {status}"))
}

/// Main function of the child that marks cells: see [`MARK_COMMAND`].
///
/// # Errors
/// Failures of input, output or the limits, and a refused file.
pub fn serve_marked(folder: &Path, headings: &[String]) -> Result<()> {
    limit(Resource::As, MEMORY)?;
    limit(Resource::Cpu, SECONDS)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, MAX_WRITTEN)?;
    let mut input = io::stdin().lock();
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(Error::internal)?;
    let mut marks = vec![0; u32::from_be_bytes(length) as usize];
    input.read_exact(&mut marks).map_err(Error::internal)?;
    let marks: Vec<Mark> = serde_json::from_slice(&marks).map_err(Error::internal)?;
    let mut bytes = Vec::new();
    input.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Error::internal)?;
    // Workbooks are written with seeks, which the parent's file allows.
    let output = io::stdout().as_fd().try_clone_to_owned().map_err(Error::internal)?;
    marked::write(&bytes, headings, &marks, folder, &output.into())
}

/// Main function of the child: sets its limits, reads the table from standard input, and writes frames to standard
/// output. In a workbook, a sheet with one of these headings is preferred.
///
/// # Errors
/// Failures of input, output or the limits. A refused file is not an error.
pub fn serve(headings: &[String]) -> Result<()> {
    limit(Resource::As, MEMORY)?;
    limit(Resource::Cpu, SECONDS)?;
    limit(Resource::Core, 0)?;
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Error::internal)?;
    let mut output = io::stdout().lock();
    let (mut page, mut length) = (Vec::new(), 0);
    let done = read::read(&bytes, headings, &mut |row| {
        length += row.cells.iter().map(|cell| cell.len() + 4).sum::<usize>();
        page.push(row);
        if length > FRAME {
            send(&mut output, &Frame::Rows(std::mem::take(&mut page)))?;
            length = 0;
        }
        Ok(())
    });
    match done {
        Ok(sheets) => {
            send(&mut output, &Frame::Rows(page))?;
            send(&mut output, &Frame::Sheets(sheets))?;
        }
        Err(Error::Refused(refusals)) => {
            for refusal in refusals {
                let is_too_large = refusal.code == Code::FileTooLarge;
                send(&mut output, &Frame::Refused { is_too_large, message: refusal.message() })?;
            }
        }
        Err(error) => return Err(error),
    }
    output.write_all(&[0; 4]).and_then(|()| output.flush()).map_err(Error::internal)
}

fn send(output: &mut impl Write, frame: &Frame) -> Result<()> {
    let bytes = serde_json::to_vec(frame).map_err(Error::internal)?;
    let length = u32::try_from(bytes.len()).map_err(Error::internal)?;
    output.write_all(&length.to_be_bytes()).and_then(|()| output.write_all(&bytes)).map_err(Error::internal)
}

fn limit(resource: Resource, most: u64) -> Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(Error::internal)
}
