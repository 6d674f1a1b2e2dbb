//! Reading a table in a process of its own, whose memory and time are limited by the system: whatever a file does to it,
//! this process goes on.
//!
//! The process is the same program under the name [`COMMAND`], followed by the heading that a sheet must have. It is given the
//! file on its standard input, and answers
//! with frames on its standard output: the length in four bytes, and that many bytes of JSON; a length
//! of zero when it is done.

use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::read::{self, MAX_BYTES, SheetRow, Sheets, damaged, too_large};
use crate::error::{Code, Error, Refusal, Result};

/// The first argument of a process that reads a table. It is no part of the command line that people are shown.
pub const COMMAND: &str = "read-sheet";

/// How much memory the process may address, in bytes.
const MEMORY: u64 = 512 * 1024 * 1024;

/// How long the process may compute, in seconds.
const SECONDS: u64 = 20;

/// How long the process may take, whatever it waits for.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How much text a frame gathers before it is sent, in bytes.
const FRAME: usize = 256 * 1024;

/// The longest frame that is taken, in bytes. One row more may be in it than would fit, each character an escape.
const MAX_FRAME: u32 = 32 * 1024 * 1024;

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    /// Some rows.
    Rows(Vec<SheetRow>),
    /// All rows were read, of this sheet.
    Sheets(Sheets),
    /// Why there is nothing more to come.
    Refused {
        /// Whether the file is too large, or else of a kind that is not taken.
        is_too_large: bool,
        /// What the person is told.
        message: String,
    },
}

/// What reads tables in processes of their own.
#[derive(Clone, Debug)]
pub struct Reader {
    program: PathBuf,
}

impl Reader {
    /// A reader that starts this program.
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// A reader that starts the program that runs.
    ///
    /// # Errors
    /// [`Error::Internal`] where the system does not tell which that is.
    pub fn of_this_program() -> Result<Self> {
        // On Linux this names the program even when its file was replaced by a newer one meanwhile.
        let own = PathBuf::from("/proc/self/exe");
        if cfg!(target_os = "linux") && own.exists() {
            return Ok(Self::new(own));
        }
        Ok(Self::new(std::env::current_exe().map_err(Error::internal)?))
    }

    /// Starts to read a table; of a workbook, a sheet that has a cell `heading` in its first row, where there is one.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] of the field `file`; [`Error::Internal`] where no process can be started.
    pub fn open(&self, file: impl AsRef<[u8]> + Send + 'static, heading: &str) -> Result<Pages> {
        if file.as_ref().len() > MAX_BYTES {
            return Err(read::file_too_large());
        }
        let mut command = Command::new(&self.program);
        command.args([COMMAND, heading]).env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(Error::internal)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("a process that reads a table has no pipes"));
        };
        let writing = tokio::spawn(async move {
            // A process that ends before it has read everything has said why.
            let _ = input.write_all(file.as_ref()).await;
        });
        Ok(Pages { child, output, writing, deadline: Instant::now() + TIMEOUT })
    }
}

/// The rows of a table that is being read. The process ends with it.
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
    /// The next page, still to be [parsed](Page::content); none where there are no more.
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

    /// What it means that the process ended before it said that it was done.
    async fn cause_of_death(&mut self) -> Error {
        let status = match tokio::time::timeout_at(self.deadline, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Error::internal(error),
            Err(_) => return too_costly(),
        };
        tracing::warn!(%status, "a process that read a table did not come to its end");
        match status.code() {
            // A signal: out of memory or of time.
            None => too_costly(),
            // A panic of what parses the file.
            Some(101) => damaged(),
            Some(_) => broken(status),
        }
    }
}

/// Some rows, as they came.
#[derive(Debug)]
pub struct Page(Vec<u8>);

/// What a page holds.
#[derive(Debug)]
pub enum Content {
    /// Some rows.
    Rows(Vec<SheetRow>),
    /// The sheets of a file whose rows were all read.
    Sheets(Sheets),
}

impl Page {
    /// What the page holds. This takes a moment, and is better not done on an asynchronous thread.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] and [`Code::FileUnsupported`] of the field `file`.
    pub fn content(self) -> Result<Content> {
        match serde_json::from_slice(&self.0).map_err(Error::internal)? {
            Frame::Rows(rows) => Ok(Content::Rows(rows)),
            Frame::Sheets(sheets) => Ok(Content::Sheets(sheets)),
            Frame::Refused { is_too_large, message } => {
                let code = if is_too_large { Code::FileTooLarge } else { Code::FileUnsupported };
                Err(Refusal::new(code, message).of("file").into())
            }
        }
    }
}

fn too_costly() -> Error {
    too_large("The file takes too much memory or time to be read.")
}

fn broken(status: ExitStatus) -> Error {
    Error::internal(format!("a process that read a table failed: {status}"))
}

/// What the process does: limits itself, reads the table on its standard input, of a workbook a sheet with this heading, and
/// answers on its standard output.
///
/// # Errors
/// What keeps it from doing so; that a file is refused is an answer.
pub fn serve(heading: &str) -> Result<()> {
    limit(Resource::As, MEMORY)?;
    limit(Resource::Cpu, SECONDS)?;
    limit(Resource::Core, 0)?;
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Error::internal)?;
    let mut output = io::stdout().lock();
    let (mut page, mut length) = (Vec::new(), 0);
    let done = read::read(&bytes, heading, &mut |row| {
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
            for Refusal { code, message, .. } in refusals {
                send(&mut output, &Frame::Refused { is_too_large: code == Code::FileTooLarge, message })?;
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
