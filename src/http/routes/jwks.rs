//! Public keys of access tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};

use crate::app::App;
use crate::domain::auth::signing_keys::CACHE;

/// `/.well-known/jwks.json`: the keys as a JSON Web Key Set, cacheable for five minutes.
pub(in crate::http) async fn set(
    State(app): State<Arc<App>>,
) -> ([(HeaderName, HeaderValue); 1], Json<serde_json::Value>) {
    let life = format!("public, max-age={}", CACHE.as_secs());
    let life = HeaderValue::from_str(&life).expect("a number is ASCII");
    ([(header::CACHE_CONTROL, life)], Json(app.ring().jwks()))
}
