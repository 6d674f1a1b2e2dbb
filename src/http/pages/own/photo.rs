//! The photo of the user. Its form is the only one with a file: the file is read once the user may send it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};

use super::super::view::{Field, Form, Section};
use super::super::{Sent, Visit, form, frame, without_fields};
use super::{OwnForm, caller, profile};
use crate::app::App;
use crate::domain::avatars::{self, name::FileName};
use crate::domain::sent_forms::SentForm;
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::graphql::context::FileSender;
use crate::http::graphql::multipart::{self, Head, Uploads};
use crate::http::graphql::response::RequestError;
use crate::texts::Text;

/// The page with the form.
const PROFILE: &str = "/account/profile";

/// Side of the shown photo in pixels, for screens with two pixels per point.
const SIDE: u32 = 192;

/// Address of the user's photo.
pub(super) fn address(visit: &Visit, user: &user::Model) -> Option<String> {
    let largest: FileName = user.avatar.as_deref()?.parse().ok()?;
    Some(format!("{}/media/{}", visit.app.public_url.path(), largest.at_least(SIDE).path()))
}

/// The part of the profile with the photo.
pub(super) fn section(visit: &Visit, user: &user::Model) -> Section {
    let file = Field {
        kind: "file",
        required: true,
        hint: Some(Text::new("page-hint-photo")),
        ..Field::new("file", Text::new("page-label-photo"), "photo")
    };
    let upload = Form {
        fields: vec![file],
        is_quiet: true,
        ..form("/account/profile/photo", Text::new("page-button-photo-upload"))
    };
    let remove = Form {
        is_quiet: true,
        is_dangerous: true,
        ..form("/account/profile/photo/remove", Text::new("page-button-photo-remove"))
    };
    let photo = address(visit, user);
    let forms = std::iter::once(upload).chain(photo.as_ref().map(|_| remove)).collect();
    Section { photo, forms, ..Section::new(Text::new("page-photo-heading")) }
}

/// `POST /account/profile/photo`
pub(in crate::http::pages) async fn upload(
    State(app): State<Arc<App>>,
    Extension(uploads): Extension<Arc<Uploads>>,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let (own, head) = match open(&app, &mut parts, body).await {
        Ok(opened) => opened,
        Err(refused) => return refused,
    };
    let visit = &own.sent.visit;
    let storing = async {
        let viewer = own.viewer()?;
        let sender = FileSender { user: viewer.user().id, ip: viewer.client().ip.clone(), imports: false };
        let _arriving = uploads.arrive(&sender)?;
        let arrived = head
            .receive(&app.config.data_dir, app.config.wire.upload_timeout)
            .await
            .map_err(|error| of_body(&error))?;
        let _turn = uploads.turn(sender.user).await?;
        let file = arrived.load().await?;
        if file.is_empty() {
            return Err(Refusal::new(Code::Required, "photo-required").of("file").into());
        }
        avatars::upload(&app.db, &visit.now, viewer, &app.avatar_encoder, &app.media, file).await
    };
    match Box::pin(storing).await {
        Ok(_) => visit.redirect("/account/profile?done=photo"),
        Err(error) => profile::fail(&own, error, &|_| None),
    }
}

/// Checks the form before its file: nothing of the file is read for others.
async fn open(app: &Arc<App>, parts: &mut Parts, body: Body) -> Result<(OwnForm, Head), Response> {
    let mut visit = Visit::from_request_parts(parts, app).await?;
    visit.here = frame::address(app.public_url.path(), PROFILE, None);
    let caller = caller(&mut visit).await?;
    let (fields, head) = match multipart::form(&parts.headers, body, app.config.wire.body_timeout).await {
        Ok(read) => read,
        Err(error) => return Err(error.status.into_response()),
    };
    let path = parts.uri.path();
    // An upload that is repeated sets the same photo.
    let sent = Sent::checked(visit, fields.into_iter().collect(), SentForm::of(path, &[]), PROFILE)?;
    Ok((OwnForm { sent, caller }, head))
}

/// Error of a file that did not arrive.
fn of_body(error: &RequestError) -> Error {
    match error.status {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(Code::FileTooLarge, "photo-too-large").of("file").into(),
        _ => Refusal::new(Code::FileUnsupported, "photo-incomplete").of("file").into(),
    }
}

/// `POST /account/profile/photo/remove`
pub(in crate::http::pages) async fn remove(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let removing = async { avatars::remove(&visit.app.db, &visit.now, own.viewer()?, &visit.app.media).await };
    match removing.await {
        Ok(_) => visit.redirect("/account/profile?done=photo-removed"),
        Err(error) => profile::fail(&own, without_fields(error), &|_| None),
    }
}
