//! Files sent by forms of the console.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use multer::{Constraints, Multipart, SizeLimit};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::{csrf, view::View};
use super::StaffVisit;
use crate::domain::import::spreadsheet::jobs::UploadedSheet;
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;
use crate::tools::sheet::read::{self, MAX_BYTES};

/// Maximum number of files that arrive at a time, which bounds their memory at 40 MB. Few staff import at the same moment.
static ARRIVING: Semaphore = Semaphore::const_new(4);

/// Time after which a refused upload may be repeated.
const RETRY: Duration = Duration::from_secs(5);

/// Longest content around the file, in bytes.
const MAX_AROUND: u64 = 16 * 1024;

/// Longest secret of a form, in bytes.
const MAX_SECRET: u64 = 200;

/// Receives a form with the secret in `csrf`, and after it a spreadsheet in `file`. The outer error is the response to a
/// request that no page of this service sends.
pub(super) async fn receive(
    staff: &StaffVisit,
    headers: &HeaderMap,
    body: Body,
) -> Result<Result<UploadedSheet<Vec<u8>>>, Response> {
    let Ok(_permit) = ARRIVING.try_acquire() else { return Ok(Err(Error::Unavailable(RETRY))) };
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let unsupported = |_| StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    let boundary = multer::parse_boundary(kind).map_err(unsupported)?;
    let sizes = SizeLimit::new().whole_stream(MAX_BYTES as u64 + MAX_AROUND).for_field("csrf", MAX_SECRET);
    let form = Multipart::with_constraints(body.into_data_stream(), boundary, Constraints::new().size_limit(sizes));
    let received = timeout(staff.visit.app.config.wire.upload_timeout, parts(staff, headers, form));
    match received.await {
        Ok(received) => received,
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

async fn parts(
    staff: &StaffVisit,
    headers: &HeaderMap,
    mut form: Multipart<'static>,
) -> Result<Result<UploadedSheet<Vec<u8>>>, Response> {
    let bad = |_| StatusCode::BAD_REQUEST.into_response();
    let secret = match form.next_field().await.map_err(bad)? {
        Some(field) if field.name() == Some("csrf") => field.text().await.map_err(bad)?,
        _ => String::new(),
    };
    if !csrf::is_ours(headers, &staff.visit.app.public_url, &secret) {
        let view = View {
            paragraphs: vec![Text::new("page-foreign-form")],
            links: vec![(Text::new("page-link-back-to-form"), "/console/import".to_owned())],
            ..View::new(Text::new("page-foreign-form-title"))
        };
        return Err(staff.visit.show_as(StatusCode::FORBIDDEN, &view, &[]));
    }
    let missing = || Err(Refusal::new(Code::Required, "console-import-file-required").of("file").into());
    let Some(mut file) = form.next_field().await.map_err(bad)? else { return Ok(missing()) };
    let name = file.file_name().unwrap_or_default().to_owned();
    let mut content = Vec::new();
    loop {
        match file.chunk().await {
            Ok(Some(chunk)) => content.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(multer::Error::StreamSizeExceeded { .. }) => return Ok(Err(read::file_too_large())),
            Err(error) => return Err(bad(error)),
        }
    }
    if name.is_empty() && content.is_empty() {
        return Ok(missing());
    }
    Ok(Ok(UploadedSheet { file: content, name }))
}
