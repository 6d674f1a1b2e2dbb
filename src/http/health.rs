//! What tells operators and balancers how the service is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;
use crate::error::Error;

/// How long the database may take to answer before the service counts as not ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// `/healthz`: the process lives.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `/readyz`: the process lives, and its database answers and has today's schema.
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(PATIENCE, app.db.is_migrated()).await {
        Ok(Ok(true)) => (StatusCode::OK, "ready\n"),
        Ok(Ok(false)) => (StatusCode::SERVICE_UNAVAILABLE, "the database is not migrated\n"),
        Ok(Err(Error::Internal(error))) => {
            tracing::error!(?error, "the database cannot be used");
            (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be used: the log tells why\n")
        }
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
