//! The public keys of access tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};

use crate::app::App;

/// `/.well-known/jwks.json`: the keys as a JSON Web Key Set, which may be kept for five minutes.
pub(super) async fn set(State(app): State<Arc<App>>) -> ([(HeaderName, &'static str); 1], Json<serde_json::Value>) {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(app.ring().jwks()))
}
