//! Requests with a file, by version 2 of the GraphQL multipart request specification: a part `operations` with the
//! request as JSON, a part `map` with the variable of the file, and the file.
//!
//! Each step costs more than the one before:
//!
//! 1. The parts before the file are read first. Without the right to send a file, the file is not read at all.
//! 2. The file goes to a temporary file, at a minimum rate. A user may send [`ARRIVING_PER_USER`] concurrently,
//!    a network [`ARRIVING_PER_NETWORK`] times as many.
//! 3. The complete file waits for a permit to be loaded into memory. A user has [`IN_MEMORY_PER_USER`] permits, so that slow
//!    uploads do not delay other users.

use std::collections::{BTreeMap, HashMap};
use std::io::SeekFrom;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_graphql::{Request, UploadValue, Value, Variables};
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::{FutureExt as _, StreamExt as _};
use multer::{Field, Multipart};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::graphql::context::FileSender;
use crate::graphql::execution::FILE_MARK;
use crate::http::graphql::response::RequestError;
use crate::http::graphql::{media_type, request};
use crate::tools::concurrency_limit::{ConcurrencyLimit, Owner, Permit};
use crate::tools::metrics::Gauge;
use crate::tools::network::Networks;
use crate::tools::secret_file;

/// Longest body, in bytes.
const MAX_BODY: usize = MAX_FILE + MAX_AROUND;

/// Longest part `operations`, in bytes.
const MAX_OPERATIONS: usize = 128 * 1024;

/// Longest part `map`, in bytes.
const MAX_MAP: usize = 4 * 1024;

/// Longest stored part of a file, in bytes: one more than the limit of its consumers, so that they notice the excess.
const MAX_FILE: usize = crate::tools::sheet::read::MAX_BYTES + 1;

/// Longest boundary, in bytes (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// Size up to which chunks are joined before they are parsed, in bytes.
const MIN_CHUNK: usize = 4 * 1024;

/// Longest content before and after the file, in bytes. The parser searches it repeatedly for the end of headers, so
/// that it must be short.
const MAX_AROUND: usize = 160 * 1024;

/// Maximum number of files that arrive concurrently. At their maximum length they take 1.4 GB on disk.
const ARRIVING: u32 = 128;

/// Maximum number of files of a user that arrive concurrently.
const ARRIVING_PER_USER: u32 = 4;

/// Maximum number of files of a client network that arrive concurrently, as a factor of that of a user.
const ARRIVING_PER_NETWORK: u32 = 4;

/// Number of arriving files that only imports by staff may use.
const RESERVED_FOR_IMPORTS: u32 = 16;

/// Maximum number of files in memory.
const IN_MEMORY: usize = 12;

/// Maximum number of files of a user in memory.
const IN_MEMORY_PER_USER: usize = 2;

/// Time limit for the wait of a complete file for its permit.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Minimum number of bytes of a file in each [`RATE_WINDOW`] after the first: 16 KiB per second.
const MIN_IN_WINDOW: usize = 5 * 16 * 1024;

/// Time over which the rate of a file is averaged.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Headers that require a preflight request from pages of other origins. Without one of them, such pages could send
/// forms with files.
const PREFLIGHT: [&str; 3] = ["apollo-require-preflight", "graphql-require-preflight", "x-apollo-operation-name"];

/// Limits on files that arrive or are in memory, in total, per user and per network.
pub(in crate::http) struct Uploads {
    arriving: ConcurrencyLimit,
    in_memory: Semaphore,
    of_users: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            arriving: ConcurrencyLimit::new(ARRIVING, ARRIVING_PER_USER, Gauge::default()),
            in_memory: Semaphore::new(IN_MEMORY),
            of_users: Mutex::default(),
        }
    }
}

impl Uploads {
    /// Takes a permit for the arrival of a file of this user.
    ///
    /// # Errors
    /// [`Error::Unavailable`] at the limit of the user, the network or the total.
    pub(in crate::http) fn arrive(&self, sender: &FileSender) -> Result<Permit> {
        let networks = Networks::of_text(sender.ip.as_deref());
        // Imports count by user alone: others on the network must not block staff.
        let (owner, reserved) = match sender.imports {
            true => (Owner::from(sender.user), 0),
            false => (Owner::from(sender.user).at(&networks, ARRIVING_PER_NETWORK), RESERVED_FOR_IMPORTS),
        };
        self.arriving.take_beside(Some(owner), reserved).map_err(|_| Error::Unavailable(RATE_WINDOW))
    }

    /// Waits for a permit to load a file of this user into memory. The user's own limit comes first, so that waiting
    /// files take nothing of the total.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after a timeout.
    pub(in crate::http) async fn turn(&self, user: Uuid) -> Result<(OwnedSemaphorePermit, SemaphorePermit<'_>)> {
        let own = self.of_user(user);
        let both = async {
            let own = own.acquire_owned().await.map_err(Error::internal)?;
            Ok::<_, Error>((own, self.in_memory.acquire().await.map_err(Error::internal)?))
        };
        timeout(TURN_TIMEOUT, both).await.unwrap_or(Err(Error::Unavailable(TURN_TIMEOUT)))
    }

    /// The permits of this user. Drops those of users without files.
    fn of_user(&self, user: Uuid) -> Arc<Semaphore> {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        of_users.retain(|_, permits| permits.strong_count() > 0);
        let known = of_users.get(&user).and_then(Weak::upgrade);
        let permits = known.unwrap_or_else(|| Arc::new(Semaphore::new(IN_MEMORY_PER_USER)));
        of_users.insert(user, Arc::downgrade(&permits));
        permits
    }
}

/// True if the request's `Content-Type` is multipart/form-data.
pub(in crate::http) fn is_multipart(headers: &HeaderMap) -> bool {
    let text = media_type::content_type(headers).unwrap_or_default();
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// Checks the headers.
///
/// # Errors
/// BAD_REQUEST without a preflight header, PAYLOAD_TOO_LARGE for a too large `Content-Length`.
pub(in crate::http) fn check_headers(headers: &HeaderMap) -> Result<(), RequestError> {
    if !PREFLIGHT.iter().any(|name| headers.get(*name).is_some_and(|value| !value.is_empty())) {
        return Err(bad("Send the header `graphql-require-preflight: 1` with multipart/form-data."));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    Ok(())
}

/// Reads the parts before the file and the headers of its own part, within this time. Returns the request with an empty
/// file.
///
/// # Errors
/// BAD_REQUEST, PAYLOAD_TOO_LARGE.
pub(in crate::http) async fn head(
    headers: &HeaderMap,
    body: Body,
    limit: Duration,
) -> Result<(Request, Head), RequestError> {
    let parts = parts(headers, body)?;
    timeout(limit, parts.head()).await.unwrap_or_else(|_| Err(RequestError::body_timeout()))
}

/// Reads the fields of a page's form before its part `file`, and the headers of that part, within this time.
///
/// # Errors
/// BAD_REQUEST, PAYLOAD_TOO_LARGE.
pub(in crate::http) async fn form(
    headers: &HeaderMap,
    body: Body,
    limit: Duration,
) -> Result<(HashMap<String, String>, Head), RequestError> {
    let parts = parts(headers, body)?;
    timeout(limit, parts.form()).await.unwrap_or_else(|_| Err(RequestError::body_timeout()))
}

fn parts(headers: &HeaderMap, body: Body) -> Result<Parts, RequestError> {
    let text = media_type::content_type(headers).unwrap_or_default();
    let boundary =
        multer::parse_boundary(text).map_err(|_| bad("The Content-Type multipart/form-data requires a boundary."))?;
    if boundary.len() > MAX_BOUNDARY {
        return Err(bad("The boundary of multipart/form-data must have 70 characters at most."));
    }
    let allowance = Arc::new(Allowance::default());
    let counted = Arc::clone(&allowance);
    let chunks = futures_util::stream::unfold((body.into_data_stream(), false), move |(mut chunks, again)| {
        let counted = Arc::clone(&counted);
        async move {
            // The reader buffers every available chunk. Yielding makes it parse one chunk before the next. This applies
            // to the end as well: otherwise it may read a body of one chunk as empty.
            if again {
                tokio::task::yield_now().await;
            }
            let chunk = next_chunk(&mut chunks).await?;
            Some((chunk.and_then(|chunk| counted.spend(chunk.len()).map(|()| chunk)), (chunks, true)))
        }
    });
    Ok(Parts { multipart: Multipart::new(chunks, boundary), allowance })
}

/// The next chunk, joined with those that have arrived already up to [`MIN_CHUNK`]: the parser searches the buffered bytes
/// again for each chunk.
async fn next_chunk(chunks: &mut BodyDataStream) -> Option<Result<Bytes, BodyError>> {
    let Ok(first) = chunks.next().await? else { return Some(Err(BodyError::Incomplete)) };
    if first.len() >= MIN_CHUNK {
        return Some(Ok(first));
    }
    let mut joined = first.to_vec();
    while joined.len() < MIN_CHUNK {
        match chunks.next().now_or_never() {
            Some(Some(Ok(more))) => joined.extend_from_slice(&more),
            Some(Some(Err(_))) => return Some(Err(BodyError::Incomplete)),
            Some(None) | None => break,
        }
    }
    Some(Ok(joined.into()))
}

/// A body up to its file.
pub(in crate::http) struct Head {
    parts: Parts,
    file: Field<'static>,
}

impl Head {
    /// Reads the file into an unnamed one in this folder, within this time.
    ///
    /// # Errors
    /// BAD_REQUEST, PAYLOAD_TOO_LARGE; SERVICE_UNAVAILABLE if the folder is not writable.
    pub(in crate::http) async fn receive(self, folder: &Path, limit: Duration) -> Result<Arrived, RequestError> {
        let received = timeout(limit, self.receive_all(folder, RATE_WINDOW)).await;
        received.unwrap_or_else(|_| Err(RequestError::body_timeout()))
    }

    async fn receive_all(self, folder: &Path, window: Duration) -> Result<Arrived, RequestError> {
        let Self { mut parts, file } = self;
        parts.allowance.allow(MAX_BODY);
        let mut kept = temporary(folder).await.map_err(|error| storage_error(&error))?;
        let length = copy(file, &mut kept, Rate::begin(Instant::now(), window)).await?;
        parts.allowance.allow(MAX_AROUND);
        if parts.multipart.next_field().await.map_err(|error| parse_error(&error))?.is_some() {
            return Err(bad("Send one file, and nothing after it."));
        }
        kept.flush().await.map_err(|error| storage_error(&error))?;
        Ok(Arrived { file: kept, length })
    }
}

/// A complete file on disk.
pub(in crate::http) struct Arrived {
    file: File,
    length: usize,
}

impl Arrived {
    /// Loads the file into memory.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be read.
    pub(in crate::http) async fn load(self) -> Result<Vec<u8>> {
        let Self { mut file, length } = self;
        let mut content = Vec::with_capacity(length);
        file.seek(SeekFrom::Start(0)).await.map_err(Error::internal)?;
        file.read_to_end(&mut content).await.map_err(Error::internal)?;
        Ok(content)
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

/// Copies a part up to the longest length of a file, and drops the rest. Returns the length of the copy.
async fn copy(mut part: Field<'static>, file: &mut File, mut rate: Rate) -> Result<usize, RequestError> {
    let mut length = 0;
    loop {
        let next = timeout_at(rate.ends, part.chunk()).await;
        let chunk = match next {
            Ok(chunk) => chunk.map_err(|error| parse_error(&error))?,
            Err(_) => Some(Bytes::new()),
        };
        let Some(chunk) = chunk else { return Ok(length) };
        if !rate.keeps_up(chunk.len(), Instant::now()) {
            return Err(RequestError::body_timeout());
        }
        let chunk = &chunk[..chunk.len().min(MAX_FILE - length)];
        file.write_all(chunk).await.map_err(|error| storage_error(&error))?;
        length += chunk.len();
    }
}

/// Rate of an arriving file, averaged over the current window.
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

    /// Counts bytes. Returns false at the end of a window with too few of them. Connections gain speed in the first
    /// window, which does not count.
    fn keeps_up(&mut self, bytes: usize, now: Instant) -> bool {
        self.received += bytes;
        if now < self.ends {
            return true;
        }
        let keeps_up = self.is_first || self.received >= MIN_IN_WINDOW;
        *self = Self { window: self.window, ends: now + self.window, received: 0, is_first: false };
        keeps_up
    }
}

struct Parts {
    multipart: Multipart<'static>,
    allowance: Arc<Allowance>,
}

impl Parts {
    async fn head(mut self) -> Result<(Request, Head), RequestError> {
        let operations = self.next("operations").await?;
        if !media_type::may_be_json(operations.headers()) {
            return Err(bad("The part `operations` must be application/json, in UTF-8."));
        }
        let operations = whole(operations, "operations", MAX_OPERATIONS).await?;
        let mut request = request::from_body(&operations)?;
        if request.variables.values().any(names_file) {
            return Err(bad("A variable must not be the internal reference to a file."));
        }
        let map = self.next("map").await?;
        let (name, path) = target(&whole(map, "map", MAX_MAP).await?)?;
        if at(&request.variables, &path) != Some(&Value::Null) {
            return Err(bad("The part `map` must name a variable in `operations` whose value is null."));
        }
        let file = self.next(&name).await?;
        let filename = file.file_name().unwrap_or_default().to_owned();
        let content_type = file.content_type().map(ToString::to_string);
        request.set_upload(&path, UploadValue { filename, content_type, content: Bytes::new() });
        Ok((request, Head { parts: self, file }))
    }

    async fn form(mut self) -> Result<(HashMap<String, String>, Head), RequestError> {
        let mut fields = HashMap::new();
        loop {
            let field = self.multipart.next_field().await.map_err(|error| parse_error(&error))?;
            let field = field.ok_or_else(|| bad("The form has no part `file`."))?;
            let name = field.name().unwrap_or_default().to_owned();
            if name == "file" {
                return Ok((fields, Head { parts: self, file: field }));
            }
            let value = whole(field, &name, MAX_MAP).await?;
            fields.insert(name, String::from_utf8_lossy(&value).into_owned());
        }
    }

    /// Reads the next part, which must have this name.
    async fn next(&mut self, name: &str) -> Result<Field<'static>, RequestError> {
        let field = self.multipart.next_field().await.map_err(|error| parse_error(&error))?;
        field
            .filter(|field| field.name() == Some(name))
            .ok_or_else(|| bad("The parts must be `operations`, `map` and the file that `map` names, in this order."))
    }
}

/// True if a value contains the library's reference to a file.
fn names_file(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(FILE_MARK),
        Value::List(items) => items.iter().any(names_file),
        Value::Object(fields) => fields.values().any(names_file),
        _ => false,
    }
}

/// The value at a path such as `variables.input.file`.
fn at<'a>(variables: &'a Variables, path: &str) -> Option<&'a Value> {
    let mut names = path.strip_prefix("variables.")?.split('.');
    let first = variables.get(names.next()?)?;
    names.try_fold(first, |value, name| match value {
        Value::List(items) => items.get(name.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get(name),
        _ => None,
    })
}

/// Parses the part `map` into the names of one part and one variable, such as `{"0": ["variables.input.file"]}`.
pub(in crate::http) fn target(map: &[u8]) -> Result<(String, String), RequestError> {
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

/// Reads a part up to this length.
async fn whole(mut field: Field<'static>, name: &str, most: usize) -> Result<Vec<u8>, RequestError> {
    let mut content = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| parse_error(&error))? {
        content.extend_from_slice(&chunk[..chunk.len().min(most + 1 - content.len())]);
    }
    if content.len() > most {
        let message = format!("The part `{name}` may have at most {most} bytes.");
        return Err(RequestError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message));
    }
    Ok(content)
}

/// Number of received bytes of the body, and the current limit on it.
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
    /// Allows this number of further bytes.
    fn allow(&self, more: usize) {
        self.limit.store(self.spent.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    fn spend(&self, bytes: usize) -> Result<(), BodyError> {
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        // A chunk may contain the end of one part and the start of another, so the limit applies from the next one on.
        if before > self.limit.load(Ordering::Relaxed) || before + bytes > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        Ok(())
    }
}

/// Error of a body.
#[derive(Debug)]
enum BodyError {
    Incomplete,
    TooLarge,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the body is incomplete",
            Self::TooLarge => "the body is too long",
        })
    }
}

impl std::error::Error for BodyError {}

fn parse_error(error: &multer::Error) -> RequestError {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast_ref() {
            Some(BodyError::TooLarge) => too_large(),
            _ => bad("The body is incomplete."),
        },
        _ => bad("The body is not valid multipart/form-data, or incomplete."),
    }
}

/// Error of a file that cannot be stored.
fn storage_error(error: &std::io::Error) -> RequestError {
    tracing::error!(%error, "cannot write uploaded file to the data folder");
    RequestError::busy(RATE_WINDOW)
}

fn too_large() -> RequestError {
    let message = format!("The body may have at most {MAX_BODY} bytes, most of them in the file.");
    RequestError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
}

fn bad(message: &str) -> RequestError {
    RequestError::bad(message)
}

/// Reads a request with its file, without limits on the sender.
#[cfg(any(test, fuzzing))]
pub(in crate::http) async fn read(headers: &HeaderMap, body: Body) -> Result<Request, RequestError> {
    let (mut request, head) = head(headers, body, Duration::MAX).await?;
    let arrived = head.receive(&std::env::temp_dir(), Duration::MAX).await?;
    request.uploads[0].content = arrived.load().await.expect("a temporary file is readable").into();
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str, chunk: usize) -> Result<Request, RequestError> {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap())]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let chunks: Vec<_> =
            body.as_bytes().chunks(chunk).map(|chunk| Ok::<_, BodyError>(Bytes::copy_from_slice(chunk))).collect();
        // Chunks are not available at the first poll, as from a network.
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
        assert!(rate.keeps_up(MIN_IN_WINDOW - 1, after(9)) && rate.keeps_up(1, after(10)));
        assert!(rate.keeps_up(MIN_IN_WINDOW - 1, after(14)) && !rate.keeps_up(0, after(15)));
    }

    #[tokio::test]
    async fn tiny_chunks_are_joined_and_a_boundary_is_short() {
        let bytes = futures_util::stream::iter((0..10_000).map(|_| Ok::<_, BodyError>(Bytes::from_static(b"x"))));
        let mut chunks = Body::from_stream(bytes).into_data_stream();
        let mut sizes = Vec::new();
        while let Some(chunk) = next_chunk(&mut chunks).await {
            sizes.push(chunk.unwrap().len());
        }
        assert_eq!(sizes, [MIN_CHUNK, MIN_CHUNK, 10_000 - 2 * MIN_CHUNK]);
        let boundary = format!("multipart/form-data; boundary={}", "x".repeat(MAX_BOUNDARY + 1));
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, boundary.parse().unwrap())]);
        let refused = head(&headers, Body::empty(), Duration::from_secs(1)).await.err().unwrap();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_file_that_trickles_is_not_waited_for() {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, "multipart/form-data; boundary=x".parse().unwrap())]);
        let operations = part("operations", r#"{"query":"{a}","variables":{"a":null}}"#);
        let begun = format!("{operations}{}{}", part("map", r#"{"0":["variables.a"]}"#), part("0", ""));
        let trickle = futures_util::stream::repeat(Bytes::from_static(b"x")).then(async |byte| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, BodyError>(byte)
        });
        let body =
            futures_util::stream::iter([Ok(Bytes::from(begun.trim_end().to_owned() + "\r\n\r\n"))]).chain(trickle);
        let (_, head) = head(&headers, Body::from_stream(body), Duration::from_secs(60)).await.unwrap();
        let refused = head.receive_all(&std::env::temp_dir(), Duration::from_millis(20)).await.err().unwrap();
        assert_eq!(refused.status, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn users_have_separate_limits() {
        let uploads = Uploads::default();
        let [ada, bob] = [1, 2].map(Uuid::from_u128);
        let arrive = |user: Uuid| {
            let ip = Some("198.51.100.7".to_owned());
            uploads.arrive(&FileSender { user, ip, imports: false })
        };
        let arriving: Vec<_> = (0..ARRIVING_PER_USER).map(|_| arrive(ada)).collect();
        assert!(arriving.iter().all(Result::is_ok));
        assert!(matches!(arrive(ada), Err(Error::Unavailable(_))));
        assert!(arrive(bob).is_ok());
        drop(arriving);
        assert!(arrive(ada).is_ok());

        let both = (uploads.turn(ada).await.unwrap(), uploads.turn(ada).await.unwrap());
        assert!(timeout(Duration::from_millis(20), uploads.turn(ada)).await.is_err());
        assert_eq!(uploads.in_memory.available_permits(), IN_MEMORY - IN_MEMORY_PER_USER);
        drop(uploads.turn(bob).await.unwrap());
        drop(both);
        assert!(uploads.turn(ada).await.is_ok());
        drop(uploads.of_user(bob));
        assert_eq!(uploads.of_users.lock().unwrap().len(), 1, "users without files are dropped");
    }

    #[test]
    fn neither_a_network_nor_many_users_take_all_uploads() {
        let uploads = Uploads::default();
        let arrive = |user: u128, ip: &str, imports: bool| {
            uploads.arrive(&FileSender { user: Uuid::from_u128(user), ip: Some(ip.to_owned()), imports })
        };
        let count = |outcomes: &[Result<Permit>]| outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let of_network: Vec<_> = (0..100).map(|user| arrive(user, "198.51.100.7", false)).collect();
        assert_eq!(count(&of_network), (ARRIVING_PER_USER * ARRIVING_PER_NETWORK) as usize);
        let of_others: Vec<_> =
            (0..200).map(|user| arrive(1000 + user, &format!("203.0.113.{}", user % 200), false)).collect();
        assert_eq!(count(&of_network) + count(&of_others), (ARRIVING - RESERVED_FOR_IMPORTS) as usize);
        assert!(arrive(1, "198.51.100.7", true).is_ok(), "staff import from the same network");
    }
}
