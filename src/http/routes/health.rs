//! What tells operators and balancers how the service is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;
use crate::error::Error;

/// How long the database may take to answer before the service counts as not ready.
const TIMEOUT: Duration = Duration::from_secs(3);

/// `/healthz`: the process lives.
pub(in crate::http) async fn alive() -> &'static str {
    "ok\n"
}

/// `/readyz`: the process lives, and its database answers, can be written to, and has today's schema.
pub(in crate::http) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    let look = async { Ok::<_, Error>((app.db.is_writable().await?, app.db.is_migrated().await?)) };
    match tokio::time::timeout(TIMEOUT, look).await {
        Ok(Ok((true, true))) => (StatusCode::OK, "ready\n"),
        Ok(Ok((false, _))) => (StatusCode::SERVICE_UNAVAILABLE, "the database server is a standby\n"),
        Ok(Ok((true, false))) => (StatusCode::SERVICE_UNAVAILABLE, "the database is not migrated\n"),
        Ok(Err(Error::Internal(error))) => {
            tracing::error!(?error, "the database cannot be used");
            (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be used: the log tells why\n")
        }
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
