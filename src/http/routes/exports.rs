//! Lists as downloads, for callers with a session or an API token with the scope EXPORT.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, mpsc};

use crate::app::App;
use crate::domain::account::own_data::{self, OwnData};
use crate::domain::auth::identity::SessionUser;
use crate::domain::exports::{self, Export, Grant};
use crate::error::{Error, Result};
use crate::http::auth::RequireCaller;
use crate::http::{event_selection, user_selection};
use crate::texts::Text;
use crate::tools::clock::Now;
use crate::tools::{archive, sheet};

/// Media type of comma-separated values (RFC 7111).
const CSV: &str = "text/csv; charset=utf-8";

/// Media type of workbooks.
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Media type of archives.
const ZIP: &str = "application/zip";

/// Bytes of a file to read between two checks of the grant.
pub(in crate::http) const CHUNK: usize = 256 * 1024;

/// Limit on workbooks and archives written at a time, each of which keeps a core busy; others wait.
static WRITING: Semaphore = Semaphore::const_new(2);

/// `/export/samples.csv`: the caller's samples.
pub(in crate::http) async fn samples_csv(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    request: RequireCaller,
) -> Response {
    let granted = async {
        let mark = byte_order_mark(query.as_deref())?;
        Ok((mark, exports::samples(&app.db, &request.now, request.caller.exporter()?, &app.limits).await?))
    };
    match granted.await {
        Ok((mark, export)) => download(&request.now, "samples", "csv", Body::from_stream(csv(app, mark, export))),
        Err(error) => request.refuse(error),
    }
}

/// `/export/users.csv`: the users that match the search and filter of the query string, for staff.
pub(in crate::http) async fn users_csv(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    request: RequireCaller,
) -> Response {
    let granted = async {
        let mark = byte_order_mark(query.as_deref())?;
        let selection = user_selection::of_query(query.as_deref())?;
        Ok((mark, exports::users(&app.db, &request.now, request.caller.exporter()?, &app.limits, &selection).await?))
    };
    match granted.await {
        Ok((mark, export)) => download(&request.now, "users", "csv", Body::from_stream(csv(app, mark, export))),
        Err(error) => request.refuse(error),
    }
}

/// `/export/audit.csv`: the audit events that match the filter of the query string, for staff.
pub(in crate::http) async fn audit_csv(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    request: RequireCaller,
) -> Response {
    let granted = async {
        let mark = byte_order_mark(query.as_deref())?;
        let exporter = request.caller.exporter()?;
        let filter = event_selection::of_query(&app.db, exporter.staff()?, query.as_deref()).await?;
        Ok((mark, exports::events(&app.db, &request.now, exporter, &app.limits, filter).await?))
    };
    match granted.await {
        Ok((mark, export)) => download(&request.now, "audit", "csv", Body::from_stream(csv(app, mark, export))),
        Err(error) => request.refuse(error),
    }
}

/// `HEAD /export/audit.csv`: as for users.
pub(in crate::http) async fn audit_csv_head(request: RequireCaller) -> Response {
    match request.caller.exporter().and_then(exports::may_export_users) {
        Ok(()) => download(&request.now, "audit", "csv", nothing()),
        Err(error) => request.refuse(error),
    }
}

/// `/export/users.xlsx`: the same as a workbook.
pub(in crate::http) async fn users_xlsx(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    request: RequireCaller,
) -> Response {
    let written = async {
        let exporter = request.caller.exporter()?;
        let selection = user_selection::of_query(query.as_deref())?;
        let export = exports::users_for_file(&app.db, &request.now, exporter, &app.limits, &selection).await?;
        let grant = export.grant();
        let file = workbook(&app, &request.now, export).await?;
        exports::record_users(&app.db, &app.clock.now(), exporter).await?;
        Ok::<_, Error>((file, grant))
    };
    match written.await {
        Ok((file, grant)) => download(&request.now, "users", "xlsx", Body::from_stream(chunks(app, file, grant))),
        Err(error) => request.refuse(error),
    }
}

/// `HEAD /export/samples.csv`: the headers of GET, without reading the list; nothing is recorded or counted.
pub(in crate::http) async fn samples_csv_head(request: RequireCaller) -> Response {
    match request.caller.exporter() {
        Ok(_) => download(&request.now, "samples", "csv", nothing()),
        Err(error) => request.refuse(error),
    }
}

/// `HEAD /export/users.csv`, likewise.
pub(in crate::http) async fn users_csv_head(request: RequireCaller) -> Response {
    match request.caller.exporter().and_then(exports::may_export_users) {
        Ok(()) => download(&request.now, "users", "csv", nothing()),
        Err(error) => request.refuse(error),
    }
}

/// `HEAD /export/users.xlsx`, likewise.
pub(in crate::http) async fn users_xlsx_head(request: RequireCaller) -> Response {
    match request.caller.exporter().and_then(exports::may_export_users) {
        Ok(()) => download(&request.now, "users", "xlsx", nothing()),
        Err(error) => request.refuse(error),
    }
}

/// `/export/account.zip`: the caller's own data.
pub(in crate::http) async fn account_zip(State(app): State<Arc<App>>, request: RequireCaller) -> Response {
    let exported = async { own_data(&app, &request.now, request.caller.session_user()?).await };
    exported.await.unwrap_or_else(|error| request.refuse(error))
}

/// `HEAD /export/account.zip`, likewise.
pub(in crate::http) async fn account_zip_head(request: RequireCaller) -> Response {
    match request.caller.session_user() {
        Ok(_) => download(&request.now, "account", "zip", nothing()),
        Err(error) => request.refuse(error),
    }
}

/// The response with the user's own data.
///
/// # Errors
/// As for [`own_data::export`].
pub(in crate::http) async fn own_data(app: &Arc<App>, now: &Now, owner: SessionUser<'_>) -> Result<Response> {
    let data = own_data::export(&app.db, now, owner, &app.limits, &app.config.sessions).await?;
    let grant = data.grant();
    let file = archive(app, now, data).await?;
    Ok(download(now, "account", "zip", Body::from_stream(chunks(Arc::clone(app), file, grant))))
}

/// Body of unknown length that is never sent.
pub(in crate::http) fn nothing() -> Body {
    Body::from_stream(stream::empty::<io::Result<Vec<u8>>>())
}

/// Response saved under a name with the date, such as `users-2026-01-05.csv`.
pub(in crate::http) fn download(now: &Now, name: &str, extension: &str, body: Body) -> Response {
    let time = now.at.to_string();
    let (day, _) = time.split_once('T').unwrap_or_default();
    let disposition = format!("attachment; filename=\"{name}-{day}.{extension}\"");
    let media = match extension {
        "csv" => CSV,
        "zip" => ZIP,
        _ => XLSX,
    };
    ([(header::CONTENT_TYPE, media.to_owned()), (header::CONTENT_DISPOSITION, disposition)], body).into_response()
}

/// Byte order mark, or nothing: the query parameter `bom` decides. Excel reads text without a mark in the legacy
/// encoding of its system; most other programs expect none.
///
/// # Errors
/// [`Error::BadInput`] for another value.
fn byte_order_mark(query: Option<&str>) -> Result<&'static str> {
    match query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("bom=")) {
        None | Some("false") => Ok(""),
        Some("true") => Ok("\u{feff}"),
        Some(_) => Err(Error::BadInput(Text::new("bom-invalid"))),
    }
}

/// Export as comma-separated values, starting with this mark and the column names. A page is read when the client has
/// taken the one before. If one cannot be read, the response is aborted, so that a part is not taken for the whole.
fn csv(app: Arc<App>, mark: &str, export: Export) -> impl Stream<Item = Result<Vec<u8>, Broken>> + use<> {
    let heading = sheet::csv([export.columns().iter().copied()]).map_err(Broken::from);
    let heading = heading.map(|heading| [mark.as_bytes(), &heading].concat());
    let rows = stream::try_unfold((app, export), async |(app, mut export)| {
        let page = export.next(&app.db, &app.clock.now()).await?;
        let Some(page) = page else { return Ok(None) };
        let text = sheet::csv(page.iter().map(|row| row.iter().map(String::as_str)))?;
        Ok(Some((text, (app, export))))
    });
    futures_util::StreamExt::chain(stream::iter([heading]), rows)
}

/// Export as a workbook in an unnamed temporary file: parts of a workbook are known only after all rows.
pub(in crate::http) async fn workbook(app: &App, now: &Now, mut export: Export) -> Result<File> {
    let _turn = WRITING.acquire().await.map_err(Error::internal)?;
    let (sender, mut pages) = mpsc::channel(2);
    let (folder, at) = (app.config.data_dir.clone(), now.at);
    let column = |name: &&'static str| sheet::Column {
        name,
        values: export.values(name),
        is_time: export.is_time(name),
        is_wide: export.is_wide(name),
    };
    let columns = export.columns().iter().map(column).collect();
    let layout = sheet::Layout { name: "Users", columns, explanations: export.explanations() };
    let writing = tokio::task::spawn_blocking(move || {
        sheet::workbook(&folder, at, &layout, std::iter::from_fn(|| pages.blocking_recv()))
    });
    while let Some(page) = export.next(&app.db, &app.clock.now()).await? {
        if sender.send(page).await.is_err() {
            // The writer failed and returns its error below.
            break;
        }
    }
    drop(sender);
    Ok(File::from_std(writing.await.map_err(Error::internal)??))
}

/// Own data as an archive in an unnamed temporary file, so that an error is reported before the download starts.
async fn archive(app: &App, now: &Now, mut data: OwnData) -> Result<File> {
    let _turn = WRITING.acquire().await.map_err(Error::internal)?;
    let (sender, mut parts) = mpsc::channel(2);
    let (folder, at) = (app.config.data_dir.clone(), now.at);
    let writing =
        tokio::task::spawn_blocking(move || archive::write(&folder, at, std::iter::from_fn(|| parts.blocking_recv())));
    while let Some(part) = data.next(&app.db, &app.clock.now(), &app.media).await? {
        if sender.send(part).await.is_err() {
            // The writer failed and returns its error below.
            break;
        }
    }
    drop(sender);
    Ok(File::from_std(writing.await.map_err(Error::internal)??))
}

/// Bytes of a granted file, for clients that may read slowly. If the grant ends, the response is aborted.
pub(in crate::http) fn chunks(app: Arc<App>, file: File, grant: Grant) -> impl Stream<Item = Result<Vec<u8>, Broken>> {
    stream::try_unfold((app, file, grant), async |(app, mut file, grant)| {
        grant.check(&app.db, &app.clock.now()).await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await.map_err(Error::internal)?;
        Ok((read > 0).then_some((chunk, (app, file, grant))))
    })
}

/// Abort of a response: the error is logged, and clients see no details.
#[derive(Debug)]
pub(in crate::http) struct Broken;

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        tracing::error!(?error, "export aborted");
        Self
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("export aborted")
    }
}

impl std::error::Error for Broken {}
