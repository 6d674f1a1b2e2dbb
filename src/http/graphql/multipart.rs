//! Requests with a file, by version 2 of the GraphQL multipart request specification: a part `operations` that is the
//! request as JSON, a part `map` that says which variable the file is, and the file.
//!
//! A file costs the more the further it has come:
//!
//! 1. The parts before the file are read first, so that the caller's rights decide whether the file is read at all.
//! 2. The file goes to a temporary file, as fast as the least rate says. A user may send [`ARRIVING_PER_USER`] at once.
//! 3. Once it has arrived, it waits for a permit to be loaded into memory; a user has [`IN_MEMORY_PER_USER`] at once. So
//!    nobody holds up the files of others, however slowly their own arrive.

use std::collections::{BTreeMap, HashMap};
use std::io::SeekFrom;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_graphql::{Request, UploadValue, Value, Variables};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt as _;
use multer::{Field, Multipart};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::graphql::execution::variables::FILE_MARK;
use crate::http::connection::connection_limit::{ConnectionLimit, Permit};
use crate::http::graphql::response::Refusal;
use crate::http::graphql::{media_type, request};
use crate::tools::metrics::Gauge;
use crate::tools::secret_file;

/// The longest body, in bytes.
const MAX_BODY: usize = MAX_FILE + MAX_AROUND;

/// The longest part `operations`, in bytes.
const MAX_OPERATIONS: usize = 128 * 1024;

/// The longest part `map`, in bytes.
const MAX_MAP: usize = 4 * 1024;

/// As much of a file is kept, in bytes: one more than the largest that is taken, so that who takes it can tell.
const MAX_FILE: usize = crate::tools::sheet::read::MAX_BYTES + 1;

/// How much may come before the file and after it, in bytes. What comes is searched for the end of a part's headers
/// again and again, so that it must not grow long.
const MAX_AROUND: usize = 1024 * 1024;

/// Files that may arrive at once. With their greatest length, they take 1.4 GB of the disk at most.
const ARRIVING: u32 = 128;

/// Files of one user that may arrive at once.
const ARRIVING_PER_USER: u32 = 4;

/// Files that may be in memory at once.
const IN_MEMORY: usize = 12;

/// Files of one user that may be in memory at once.
const IN_MEMORY_PER_USER: usize = 2;

/// Longest wait of a file that has arrived for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that must arrive of a file in each [`RATE_WINDOW`] but the first: 16 KiB a second.
const LEAST_IN_WINDOW: usize = 5 * 16 * 1024;

/// Time over which the rate of a file is averaged.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// The headers of which one must be there: a page of another origin cannot send them unless it was asked before whether
/// it may, while a form it can send anywhere.
const PREFLIGHT: [&str; 3] = ["apollo-require-preflight", "graphql-require-preflight", "x-apollo-operation-name"];

/// Limits on files that arrive or are in memory, in all and by user.
pub(in crate::http) struct Uploads {
    arriving: ConnectionLimit,
    in_memory: Semaphore,
    of_users: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            arriving: ConnectionLimit::new(ARRIVING, ARRIVING_PER_USER, Gauge::default()),
            in_memory: Semaphore::new(IN_MEMORY),
            of_users: Mutex::default(),
        }
    }
}

impl Uploads {
    /// Takes a permit for a file of this user to arrive.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the user, or all together, send as many as they may.
    pub(in crate::http) fn arrive(&self, user: Uuid) -> Result<Permit> {
        self.arriving.take(Some(user.into())).map_err(|_| Error::Unavailable(RATE_WINDOW))
    }

    /// Waits for a permit to load a file of this user into memory. Files of the same user wait for each other first, and
    /// hold nothing of what others share meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where none becomes free in time.
    pub(in crate::http) async fn turn(&self, user: Uuid) -> Result<(OwnedSemaphorePermit, SemaphorePermit<'_>)> {
        let own = self.of_user(user);
        let both = async {
            let own = own.acquire_owned().await.map_err(Error::internal)?;
            Ok::<_, Error>((own, self.in_memory.acquire().await.map_err(Error::internal)?))
        };
        timeout(TURN_TIMEOUT, both).await.unwrap_or(Err(Error::Unavailable(TURN_TIMEOUT)))
    }

    /// The permits of this user; those of users who hold and want none are forgotten.
    fn of_user(&self, user: Uuid) -> Arc<Semaphore> {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        of_users.retain(|_, permits| permits.strong_count() > 0);
        let known = of_users.get(&user).and_then(Weak::upgrade);
        let permits = known.unwrap_or_else(|| Arc::new(Semaphore::new(IN_MEMORY_PER_USER)));
        of_users.insert(user, Arc::downgrade(&permits));
        permits
    }
}

/// Whether the request says that it has parts.
pub(in crate::http) fn is_one(headers: &HeaderMap) -> bool {
    let text = media_type::content_type(headers).unwrap_or_default();
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// Checks what can be known without the body.
///
/// # Errors
/// BAD_REQUEST without a preflight header, PAYLOAD_TOO_LARGE where the body says that it is too long.
pub(in crate::http) fn admit(headers: &HeaderMap) -> Result<(), Refusal> {
    if !PREFLIGHT.iter().any(|name| headers.get(*name).is_some_and(|value| !value.is_empty())) {
        return Err(bad("Send the header `graphql-require-preflight: 1` with multipart/form-data."));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    Ok(())
}

/// Reads the parts before the file and the headers of the file's own. The client may take this long to send them.
///
/// # Errors
/// BAD_REQUEST, PAYLOAD_TOO_LARGE.
pub(in crate::http) async fn head(headers: &HeaderMap, body: Body, most: Duration) -> Result<Head, Refusal> {
    let text = media_type::content_type(headers).unwrap_or_default();
    let boundary = multer::parse_boundary(text).map_err(|_| bad("multipart/form-data must name its boundary."))?;
    let allowance = Arc::new(Allowance::default());
    let counted = Arc::clone(&allowance);
    let chunks = futures_util::stream::unfold((body.into_data_stream(), false), move |(mut chunks, again)| {
        let counted = Arc::clone(&counted);
        async move {
            // The reader takes up all that is there at once: made to wait, it deals with one chunk before the next. The
            // end must not come at once either, or it may take a body that came as one chunk for an empty one.
            if again {
                tokio::task::yield_now().await;
            }
            let chunk = chunks.next().await?.map_err(|_| Broken::Off);
            Some((chunk.and_then(|chunk| counted.spend(chunk.len()).map(|()| chunk)), (chunks, true)))
        }
    });
    let parts = Parts { multipart: Multipart::new(chunks, boundary), allowance };
    timeout(most, parts.head()).await.unwrap_or_else(|_| Err(too_late()))
}

/// A request whose file is still to be read.
pub(in crate::http) struct Head {
    /// The request, with an empty file.
    pub(in crate::http) request: Request,
    parts: Parts,
    file: Field<'static>,
}

impl Head {
    /// Reads the file into a nameless one in this folder. The client may take this long to send it.
    ///
    /// # Errors
    /// BAD_REQUEST, PAYLOAD_TOO_LARGE; SERVICE_UNAVAILABLE where the folder cannot be written to.
    pub(in crate::http) async fn receive(self, folder: &Path, most: Duration) -> Result<Arrived, Refusal> {
        timeout(most, self.receive_all(folder, RATE_WINDOW)).await.unwrap_or_else(|_| Err(too_late()))
    }

    async fn receive_all(self, folder: &Path, window: Duration) -> Result<Arrived, Refusal> {
        let Self { request, mut parts, file } = self;
        parts.allowance.allow(MAX_BODY);
        let mut kept = temporary(folder).await.map_err(|error| not_kept(&error))?;
        let length = copy(file, &mut kept, Rate::begin(Instant::now(), window)).await?;
        parts.allowance.allow(MAX_AROUND);
        if parts.multipart.next_field().await.map_err(|error| problem(&error))?.is_some() {
            return Err(bad("Send one file at a time, and nothing after it."));
        }
        kept.flush().await.map_err(|error| not_kept(&error))?;
        Ok(Arrived { request, file: kept, length })
    }
}

/// A request whose file is complete, on the disk.
pub(in crate::http) struct Arrived {
    request: Request,
    file: File,
    length: usize,
}

impl Arrived {
    /// Loads the file into memory.
    ///
    /// # Errors
    /// [`Error::Internal`] where it cannot be read.
    pub(in crate::http) async fn load(self) -> Result<Request> {
        let Self { mut request, mut file, length } = self;
        let mut content = Vec::with_capacity(length);
        file.seek(SeekFrom::Start(0)).await.map_err(Error::internal)?;
        file.read_to_end(&mut content).await.map_err(Error::internal)?;
        request.uploads.iter_mut().for_each(|upload| upload.content = std::mem::take(&mut content).into());
        Ok(request)
    }
}

async fn temporary(folder: &Path) -> std::io::Result<File> {
    let folder = folder.to_owned();
    let file = tokio::task::spawn_blocking(move || {
        secret_file::make_folder(&folder)?;
        tempfile::tempfile_in(folder)
    });
    Ok(File::from_std(file.await??))
}

/// Copies as much of a part as a file may have, and drops the rest. Returns the length of the copy.
async fn copy(mut part: Field<'static>, file: &mut File, mut rate: Rate) -> Result<usize, Refusal> {
    let mut length = 0;
    loop {
        let next = timeout_at(rate.ends, part.chunk()).await;
        let chunk = match next {
            Ok(chunk) => chunk.map_err(|error| problem(&error))?,
            Err(_) => Some(Bytes::new()),
        };
        let Some(chunk) = chunk else { return Ok(length) };
        if !rate.keeps_up(chunk.len(), Instant::now()) {
            return Err(too_late());
        }
        let chunk = &chunk[..chunk.len().min(MAX_FILE - length)];
        file.write_all(chunk).await.map_err(|error| not_kept(&error))?;
        length += chunk.len();
    }
}

/// How fast a file arrives, averaged over the present window.
struct Rate {
    window: Duration,
    ends: Instant,
    received: usize,
    is_first: bool,
}

impl Rate {
    fn begin(now: Instant, window: Duration) -> Self {
        Self { window, ends: now + window, received: 0, is_first: true }
    }

    /// Counts bytes, and at the end of a window tells whether enough came in it. In the first window connections gain
    /// speed, so that it does not count.
    fn keeps_up(&mut self, bytes: usize, now: Instant) -> bool {
        self.received += bytes;
        if now < self.ends {
            return true;
        }
        let keeps_up = self.is_first || self.received >= LEAST_IN_WINDOW;
        *self = Self { window: self.window, ends: now + self.window, received: 0, is_first: false };
        keeps_up
    }
}

struct Parts {
    multipart: Multipart<'static>,
    allowance: Arc<Allowance>,
}

impl Parts {
    async fn head(mut self) -> Result<Head, Refusal> {
        let operations = self.next("operations").await?;
        if !media_type::may_be_json(operations.headers()) {
            return Err(bad("The part `operations` must be application/json, in UTF-8."));
        }
        let operations = whole(operations, "operations", MAX_OPERATIONS).await?;
        let mut request = request::from_body(&operations)?;
        if request.variables.values().any(names_a_file) {
            return Err(bad("A variable must not be the text that stands for a file."));
        }
        let map = self.next("map").await?;
        let (name, path) = target(&whole(map, "map", MAX_MAP).await?)?;
        if at(&request.variables, &path) != Some(&Value::Null) {
            return Err(bad("The part `map` must name a variable that is in `operations`, with the value null."));
        }
        let file = self.next(&name).await?;
        let filename = file.file_name().unwrap_or_default().to_owned();
        let content_type = file.content_type().map(ToString::to_string);
        request.set_upload(&path, UploadValue { filename, content_type, content: Bytes::new() });
        Ok(Head { request, parts: self, file })
    }

    /// The next part, which must have this name.
    async fn next(&mut self, name: &str) -> Result<Field<'static>, Refusal> {
        let field = self.multipart.next_field().await.map_err(|error| problem(&error))?;
        field.filter(|field| field.name() == Some(name)).ok_or_else(|| {
            bad("The parts must be `operations`, `map`, and the one file that `map` names, in this order.")
        })
    }
}

/// Whether the text with which the library marks files is in a value.
fn names_a_file(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(FILE_MARK),
        Value::List(items) => items.iter().any(names_a_file),
        Value::Object(fields) => fields.values().any(names_a_file),
        _ => false,
    }
}

/// What is at a path such as `variables.input.file`.
fn at<'a>(variables: &'a Variables, path: &str) -> Option<&'a Value> {
    let mut names = path.strip_prefix("variables.")?.split('.');
    let first = variables.get(names.next()?)?;
    names.try_fold(first, |value, name| match value {
        Value::List(items) => items.get(name.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get(name),
        _ => None,
    })
}

/// The part and the variable that the part `map` names: one of each, such as `{"0": ["variables.input.file"]}`.
pub(in crate::http) fn target(map: &[u8]) -> Result<(String, String), Refusal> {
    let wrong = || bad("The part `map` must name one file and one variable: {\"0\": [\"variables.input.file\"]}.");
    let map: BTreeMap<String, Vec<String>> = serde_json::from_slice(map).map_err(|_| wrong())?;
    let mut entries = map.into_iter();
    match (entries.next(), entries.next()) {
        (Some((name, mut paths)), None) if paths.len() == 1 => {
            let path = paths.pop().filter(|path| path.starts_with("variables.")).ok_or_else(wrong)?;
            Ok((name, path))
        }
        _ => Err(wrong()),
    }
}

/// All of a part.
async fn whole(field: Field<'static>, name: &str, most: usize) -> Result<Bytes, Refusal> {
    let content = start(field, most + 1).await?;
    if content.len() > most {
        let message = format!("The part `{name}` must have {most} bytes at most.");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message));
    }
    Ok(content)
}

/// As much of a part as is wanted; the rest is read and dropped.
async fn start(mut field: Field<'static>, most: usize) -> Result<Bytes, Refusal> {
    let mut content = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| problem(&error))? {
        content.extend_from_slice(&chunk[..chunk.len().min(most - content.len())]);
    }
    Ok(content.into())
}

/// How much of the body has come, and how much more of it may come at present.
struct Allowance {
    spent: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { spent: AtomicUsize::new(0), limit: AtomicUsize::new(MAX_AROUND) }
    }
}

impl Allowance {
    /// Lets so many more bytes come.
    fn allow(&self, more: usize) {
        self.limit.store(self.spent.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    fn spend(&self, bytes: usize) -> Result<(), Broken> {
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        // A chunk may hold the end of one thing and the beginning of another, so that it counts from the next one on.
        if before > self.limit.load(Ordering::Relaxed) || before + bytes > MAX_BODY {
            return Err(Broken::TooLarge);
        }
        Ok(())
    }
}

/// Why a body does not go on.
#[derive(Debug)]
enum Broken {
    Off,
    TooLarge,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "the body broke off",
            Self::TooLarge => "the body is too long",
        })
    }
}

impl std::error::Error for Broken {}

fn problem(error: &multer::Error) -> Refusal {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast_ref() {
            Some(Broken::TooLarge) => too_large(),
            _ => bad("The body broke off."),
        },
        _ => bad("The body is no multipart/form-data, or not all of it."),
    }
}

/// The refusal of a body that takes too long, or too long for how much of it came.
fn too_late() -> Refusal {
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "BAD_REQUEST", "The body took too long to arrive.")
}

/// The refusal of a file that cannot be kept.
fn not_kept(error: &std::io::Error) -> Refusal {
    tracing::error!(%error, "cannot write an uploaded file to the data folder");
    let message = "The service is busy: try again in a moment.";
    Refusal::unavailable(message, RATE_WINDOW)
}

fn too_large() -> Refusal {
    let message = format!("The body must have {MAX_BODY} bytes at most, most of them in the file.");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
}

fn bad(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
}

/// Reads a request with its file, whoever sends it.
#[cfg(any(test, fuzzing))]
pub(in crate::http) async fn read(headers: &HeaderMap, body: Body) -> Result<Request, Refusal> {
    let head = head(headers, body, Duration::MAX).await?;
    let arrived = head.receive(&std::env::temp_dir(), Duration::MAX).await?;
    Ok(arrived.load().await.expect("a temporary file can be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str, chunk: usize) -> Result<Request, Refusal> {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap())]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let chunks: Vec<_> =
            body.as_bytes().chunks(chunk).map(|chunk| Ok::<_, Broken>(Bytes::copy_from_slice(chunk))).collect();
        // Chunks that are not there yet when they are first asked for, as from a network.
        let chunks = futures_util::stream::iter(chunks).then(async |chunk| {
            tokio::task::yield_now().await;
            chunk
        });
        runtime.block_on(read(&headers, Body::from_stream(chunks)))
    }

    fn part(name: &str, content: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    }

    #[test]
    fn the_file_becomes_the_variable() {
        let operations = part("operations", r#"{"query":"{a}","variables":{"a":{"b":[null]}}}"#);
        let map = part("map", r#"{"0":["variables.a.b.0"]}"#);
        let body = format!("{operations}{map}{}--x--\r\n", part("0", "some\r\n--bytes"));
        for chunk in [1, 7, 100, body.len()] {
            let request = parse(&body, chunk).unwrap();
            assert_eq!(&request.uploads[0].content[..], b"some\r\n--bytes");
            let variables = serde_json::to_value(&request.variables).unwrap();
            assert_eq!(variables["a"]["b"][0], "#__graphql_file__:0");
        }
    }
    #[test]
    fn a_file_must_keep_up_after_the_first_window() {
        let begin = Instant::now();
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut rate = Rate::begin(begin, RATE_WINDOW);
        assert!(rate.keeps_up(1, after(4)) && rate.keeps_up(1, after(5)), "connections gain speed");
        assert!(rate.keeps_up(LEAST_IN_WINDOW - 1, after(9)) && rate.keeps_up(1, after(10)));
        assert!(rate.keeps_up(LEAST_IN_WINDOW - 1, after(14)) && !rate.keeps_up(0, after(15)));
    }

    #[tokio::test]
    async fn a_file_that_trickles_is_not_waited_for() {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap())]);
        let operations = part("operations", r#"{"query":"{a}","variables":{"a":null}}"#);
        let begun = format!("{operations}{}{}", part("map", r#"{"0":["variables.a"]}"#), part("0", ""));
        let trickle = futures_util::stream::repeat(Bytes::from_static(b"x")).then(async |byte| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, Broken>(byte)
        });
        let body =
            futures_util::stream::iter([Ok(Bytes::from(begun.trim_end().to_owned() + "\r\n\r\n"))]).chain(trickle);
        let head = head(&headers, Body::from_stream(body), Duration::from_secs(60)).await.unwrap();
        let refused = head.receive_all(&std::env::temp_dir(), Duration::from_millis(20)).await.err().unwrap();
        assert_eq!(refused.status, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn users_have_limits_of_their_own() {
        let uploads = Uploads::default();
        let [ada, bob] = [1, 2].map(Uuid::from_u128);
        let arriving: Vec<_> = (0..ARRIVING_PER_USER).map(|_| uploads.arrive(ada)).collect();
        assert!(arriving.iter().all(Result::is_ok));
        assert!(matches!(uploads.arrive(ada), Err(Error::Unavailable(_))));
        assert!(uploads.arrive(bob).is_ok());
        drop(arriving);
        assert!(uploads.arrive(ada).is_ok());

        let both = (uploads.turn(ada).await.unwrap(), uploads.turn(ada).await.unwrap());
        assert!(timeout(Duration::from_millis(20), uploads.turn(ada)).await.is_err());
        assert_eq!(uploads.in_memory.available_permits(), IN_MEMORY - IN_MEMORY_PER_USER);
        drop(uploads.turn(bob).await.unwrap());
        drop(both);
        assert!(uploads.turn(ada).await.is_ok());
        drop(uploads.of_user(bob));
        assert_eq!(uploads.of_users.lock().unwrap().len(), 1, "who has no files is forgotten");
    }
}
