//! Requests with a file, by version 2 of the GraphQL multipart request specification: a part `operations` that is the
//! request as JSON, a part `map` that says which variable the file is, and the file. One file, in memory, within limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_graphql::{Request, UploadValue, Value, Variables};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt as _;
use multer::{Field, Multipart};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};
use crate::graphql::inputs::FILE_MARK;
use crate::http::answer::Refusal;
use crate::http::{envelope, media};

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

/// How many files may be in memory at once.
const PLACES: usize = 12;

/// How long a request waits for a place.
const PATIENCE: Duration = Duration::from_secs(10);

/// The headers of which one must be there: a page of another origin cannot send them unless it was asked before whether
/// it may, while a form it can send anywhere.
const PREFLIGHT: [&str; 3] = ["apollo-require-preflight", "graphql-require-preflight", "x-apollo-operation-name"];

/// Whose files are in memory.
pub(super) struct Places(Semaphore);

impl Default for Places {
    fn default() -> Self {
        Self(Semaphore::new(PLACES))
    }
}

impl Places {
    /// Waits for a place for a file; a request whose file is not kept needs none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where none becomes free.
    pub(super) async fn take(&self, is_kept: bool) -> Result<Option<SemaphorePermit<'_>>> {
        if !is_kept {
            return Ok(None);
        }
        match tokio::time::timeout(PATIENCE, self.0.acquire()).await {
            Ok(place) => place.map(Some).map_err(Error::internal),
            Err(_) => Err(Error::Unavailable(PATIENCE)),
        }
    }
}

/// Whether the request says that it has parts.
pub(super) fn is_one(headers: &HeaderMap) -> bool {
    let text = media::content_type(headers).unwrap_or_default();
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// Checks what can be known without the body.
///
/// # Errors
/// BAD_REQUEST without a preflight header, PAYLOAD_TOO_LARGE where the body says that it is too long.
pub(super) fn admit(headers: &HeaderMap) -> Result<(), Refusal> {
    if !PREFLIGHT.iter().any(|name| headers.get(*name).is_some_and(|value| !value.is_empty())) {
        return Err(bad("Send the header `graphql-require-preflight: 1` with multipart/form-data."));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    Ok(())
}

/// Reads a request and its file, of which nothing is kept in memory unless `keep` says so. The client may take this long to
/// send it.
///
/// # Errors
/// BAD_REQUEST, PAYLOAD_TOO_LARGE.
pub(super) async fn read(headers: &HeaderMap, body: Body, keep: bool, patience: Duration) -> Result<Request, Refusal> {
    let text = media::content_type(headers).unwrap_or_default();
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
    tokio::time::timeout(patience, parts.read(keep)).await.unwrap_or_else(|_| {
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "BAD_REQUEST", "The body took too long to arrive."))
    })
}

struct Parts {
    multipart: Multipart<'static>,
    allowance: Arc<Allowance>,
}

impl Parts {
    async fn read(mut self, keep: bool) -> Result<Request, Refusal> {
        let operations = self.next("operations").await?;
        if operations.headers().contains_key(header::CONTENT_TYPE) && !media::is_json(operations.headers()) {
            return Err(bad("The part `operations` must be application/json."));
        }
        let operations = whole(operations, "operations", MAX_OPERATIONS).await?;
        let mut request = envelope::from_body(&operations)?;
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
        self.allowance.allow(MAX_BODY);
        let content = start(file, if keep { MAX_FILE } else { 0 }).await?;
        self.allowance.allow(MAX_AROUND);
        if self.multipart.next_field().await.map_err(|error| problem(&error))?.is_some() {
            return Err(bad("Send one file at a time, and nothing after it."));
        }
        request.set_upload(&path, UploadValue { filename, content_type, content });
        Ok(request)
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
pub(super) fn target(map: &[u8]) -> Result<(String, String), Refusal> {
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

fn too_large() -> Refusal {
    let message = format!("The body must have {MAX_BODY} bytes at most, most of them in the file.");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
}

fn bad(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
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
        runtime.block_on(read(&headers, Body::from_stream(chunks), true, Duration::from_secs(60)))
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
}
