//! Passkeys on pages. The script of the page puts the browser's credential into the hidden field `passkey`, as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::view::{Form, PasskeyForm, Section, View};
use super::{Outcome, Sent, Visit, form};
use crate::app::App;
use crate::config::SecondFactorPolicy;
use crate::domain::account::passkeys::register::NewPasskey;
use crate::domain::auth::passkeys::assertion::{self, PasskeyAnswer, RequestOptions};
use crate::domain::auth::passkeys::sign_in::{self, PasskeySignIn};
use crate::error::{Code, Refusal, Result};
use crate::graphql::passkeys::PasskeyRequestOptions;
use crate::texts::Text;

/// A credential as the script writes it.
#[derive(Deserialize)]
struct Written {
    id: Bytes,
    response: WrittenResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: Bytes,
    #[serde(default)]
    attestation_object: Bytes,
    #[serde(default)]
    authenticator_data: Bytes,
    #[serde(default)]
    signature: Bytes,
    user_handle: Option<Bytes>,
    #[serde(default)]
    transports: Vec<String>,
}

/// Bytes in base64url.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        URL_SAFE_NO_PAD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

fn read(field: &str) -> Result<Written, Refusal> {
    serde_json::from_str(field).map_err(|_| Refusal::new(Code::Invalid, "passkey-json"))
}

/// The new credential in a field.
///
/// # Errors
/// [`Code::Invalid`] for a text that the script does not write.
pub(super) fn new_passkey(field: &str, name: &str) -> Result<NewPasskey, Refusal> {
    let Written { response, .. } = read(field)?;
    Ok(NewPasskey {
        fields: ("passkey", "name"),
        name: name.to_owned(),
        client_data: response.client_data.0,
        attestation: response.attestation_object.0,
        transports: response.transports,
    })
}

/// The proof in a field; `None` if it is empty.
///
/// # Errors
/// [`Code::Invalid`] for a text that the script does not write.
pub(super) fn answer(field: &str) -> Result<Option<PasskeyAnswer>, Refusal> {
    if field.is_empty() {
        return Ok(None);
    }
    let Written { id, response } = read(field)?;
    Ok(Some(PasskeyAnswer {
        credential_id: id.0,
        client_data: response.client_data.0,
        authenticator_data: response.authenticator_data.0,
        signature: response.signature.0,
        user_handle: response.user_handle.map(|handle| handle.0),
    }))
}

/// `GET /account/passkey-options`: for the script, when the page has been open for too long.
pub(super) async fn options(State(app): State<Arc<App>>) -> Response {
    match assertion::request(&app.clock.now(), app.second_factor_rules()) {
        Ok(options) => Json(PasskeyRequestOptions::from(options)).into_response(),
        Err(_) => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// True if users may add passkeys.
pub(super) fn may_be_added(app: &App) -> bool {
    app.relying_party.is_some() && app.config.second_factor != SecondFactorPolicy::Off
}

/// Part of the sign-in page; `None` if the service has no domain.
pub(super) fn sign_in_section(visit: &Visit) -> Option<Section> {
    visit.app.relying_party.as_ref()?;
    let sign_in = Form {
        is_quiet: true,
        passkey: Some(PasskeyForm::sign_in()),
        ..form("/account/passkey", Text::new("page-button-passkey-use"))
    };
    Some(Section { forms: vec![sign_in], ..Section::untitled() })
}

/// Part of a page that asks for a passkey by these options.
pub(super) fn section(options: RequestOptions, action: &'static str, hidden: Vec<(&'static str, String)>) -> Section {
    let passkey = Some(PasskeyForm::get(&options.into()));
    let ask = Form { hidden, is_quiet: true, passkey, ..form(action, Text::new("page-button-passkey-use")) };
    Section { forms: vec![ask], ..Section::untitled() }
}

/// `POST /account/passkey`: signs in with a passkey alone.
pub(super) async fn sign_in(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let signing_in = async {
        let answer = answer(sent.field("passkey"))?.ok_or_else(|| Refusal::new(Code::Invalid, "passkey-json"))?;
        let input = PasskeySignIn { answer: &answer, replaces: visit.refresh_token(), form: Some(&sent.form) };
        sign_in::sign_in(&app.db, &visit.now, &visit.client, app.sign_in_rules(), input).await
    };
    match sent.once(Box::pin(signing_in)).await {
        Outcome::Done((session, user)) => {
            let tokens = app.token_issuer().tokens(&visit.now, &session, &user);
            visit.keep_device(visit.signed_in_as(&user, &tokens))
        }
        Outcome::Repeated => visit.go_on("/account"),
        Outcome::Failed(error) => visit.refuse(failed_view(), super::without_fields(error)),
    }
}

fn failed_view() -> View {
    View {
        links: vec![(Text::new("page-link-back-to-sign-in"), "/account/sign-in".to_owned())],
        ..View::new(Text::new("page-passkey-failed-title"))
    }
}
