//! Metrics for monitoring, on an address of their own that clients cannot reach.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Mutex;

use crate::app::App;
use crate::domain::operator::statistics::{self, Statistics};
use crate::error::Result;
use crate::http::header::elements;
use crate::tools::metrics::{self, ConstGauge, EncodeLabelSet, Family, Gauge, Label, ProcessMeasures, Registry, Unit};

/// Cache time of figures from the database: counting a million rows every second would cost too much.
const COUNT_PAUSE: Duration = Duration::from_secs(10);

/// Timeout for counting. Figures that time out are omitted; all others are still returned.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A count.
type Number = Gauge<u64, AtomicU64>;

/// OpenMetrics, which Prometheus requests.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The older text format for all other clients.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves `/metrics` only.
pub fn router(app: &Arc<App>) -> Router {
    let watch = Watch { app: Arc::clone(app), counted: Mutex::default() };
    Router::new().route("/metrics", get(show)).with_state(Arc::new(watch))
}

struct Watch {
    app: Arc<App>,
    counted: Mutex<Option<(Instant, Statistics)>>,
}

/// `GET /metrics`
async fn show(State(watch): State<Arc<Watch>>, headers: HeaderMap) -> Response {
    let takes_open_metrics =
        elements(&headers, "accept", b',').any(|range| range.starts_with("application/openmetrics-text"));
    let figures = watch.count().await;
    let now = current(&watch.app, figures.as_ref());
    let mut process = Registry::default();
    process.register_collector(Box::new(ProcessMeasures));
    match metrics::encode(&[&watch.app.measures, &now, &process]) {
        Ok(text) if takes_open_metrics => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], metrics::as_text(&text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "encoding metrics failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Watch {
    /// Figures from the database, at most [`COUNT_PAUSE`] old; `None` if the database does not respond.
    async fn count(&self) -> Option<Statistics> {
        // Concurrent requests wait here and share the result.
        let mut counted = self.counted.lock().await;
        if let Some((at, figures)) = &*counted
            && at.elapsed() < COUNT_PAUSE
        {
            return Some(figures.clone());
        }
        let App { db, clock, presence, config, .. } = &*self.app;
        let now = clock.now();
        let count = statistics::count(db, &now, presence, &config.sessions);
        let figures: Option<Result<Statistics>> = tokio::time::timeout(TIMEOUT, count).await.ok();
        *counted = match figures {
            Some(Ok(figures)) => Some((Instant::now(), figures)),
            Some(Err(error)) => {
                tracing::warn!(?error, "counting rows for metrics failed");
                None
            }
            None => {
                tracing::warn!("counting rows for metrics timed out");
                None
            }
        };
        counted.as_ref().map(|(_, figures)| figures.clone())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: Label,
    database: Label,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: Label,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: Label,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolStateLabels {
    pool: Label,
    state: Label,
}

/// Current values. Without figures, those from the database are omitted.
fn current(app: &App, figures: Option<&Statistics>) -> Registry {
    let mut registry = Registry::with_prefix("vestibule");
    let build = Family::<BuildLabels, Gauge>::default();
    build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION"), database: app.db.name() }).set(1);
    registry.register("build_info", "Version of the service and kind of database", build);
    let gauge = |registry: &mut Registry, name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstGauge::new(value));
    };
    let by_state = |registry: &mut Registry, name: &str, help: &str, values: &[(Label, u64)]| {
        let family = Family::<StateLabels, Number>::default();
        for (state, value) in values {
            family.get_or_create(&StateLabels { state }).set(*value);
        }
        registry.register(name, help, family);
    };
    let load = app.passwords.load();
    let hashes = [("running", load.running as u64), ("waiting", load.waiting as u64)];
    by_state(&mut registry, "password_hashes", "Passwords being hashed, and waiting for it", &hashes);

    let (connections, most) = (Family::<PoolStateLabels, Number>::default(), Family::<PoolLabels, Number>::default());
    for pool in app.db.pools() {
        let idle = pool.idle as u64;
        for (state, number) in [("in_use", u64::from(pool.open).saturating_sub(idle)), ("idle", idle)] {
            connections.get_or_create(&PoolStateLabels { pool: pool.name, state }).set(number);
        }
        most.get_or_create(&PoolLabels { pool: pool.name }).set(pool.most.into());
    }
    registry.register("database_connections", "Open connections to the database", connections);
    registry.register("database_connections_max", "Maximum number of connections to the database", most);

    let help = "1 if the database answered the last query";
    gauge(&mut registry, "database_up", help, figures.is_some().into());
    let Some(figures) = figures else { return registry };
    let users = [("active", figures.active), ("inactive", figures.inactive)];
    by_state(&mut registry, "users", "Accounts", &users);
    gauge(&mut registry, "users_online", "Users active in the last minutes", figures.online);
    gauge(&mut registry, "sessions", "Valid sessions", figures.sessions);
    let help = "Registrations waiting for confirmation";
    gauge(&mut registry, "registrations", help, figures.registrations);
    let kept = &figures.mails;
    let mails = [("queued", kept.waiting), ("given_up", kept.given_up), ("held", kept.held)];
    let help = "Emails that are queued, have failed and are still kept, or are held by operators";
    by_state(&mut registry, "mails", help, &mails);
    let late =
        figures.mails.due_since.map_or(0, |due| app.clock.now().at.millis().saturating_sub(due.millis()).max(0) / 1000);
    let help = "Delay of the email that is overdue longest";
    registry.register_with_unit("mail_overdue", help, Unit::Seconds, ConstGauge::new(late));
    registry
}
