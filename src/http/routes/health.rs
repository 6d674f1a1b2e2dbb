//! Liveness and readiness probes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;
use crate::error::Error;

/// Timeout of the database for the readiness probe.
const TIMEOUT: Duration = Duration::from_secs(3);

/// `/healthz`: liveness.
pub(in crate::http) async fn alive() -> &'static str {
    "ok\n"
}

/// `/readyz`: readiness: the database responds, is writable, and has the current schema.
pub(in crate::http) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let check = async {
        let obstacle = app.db.write_obstacle().await?;
        // With an obstacle, there is no connection for another statement.
        Ok::<_, Error>((obstacle, obstacle.is_none() && app.db.is_migrated().await?))
    };
    match tokio::time::timeout(TIMEOUT, check).await {
        Ok(Ok((None, true))) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Ok((Some(obstacle), _))) => (StatusCode::SERVICE_UNAVAILABLE, format!("{obstacle}\n")),
        Ok(Ok((None, false))) => (StatusCode::SERVICE_UNAVAILABLE, "the database is not migrated\n".to_owned()),
        Ok(Err(Error::Internal(error))) => {
            tracing::error!(?error, "readiness check failed");
            (StatusCode::SERVICE_UNAVAILABLE, "database error; see the log\n".to_owned())
        }
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not respond\n".to_owned()),
    }
}
