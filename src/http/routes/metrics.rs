//! What those who watch the service read, at an address of its own, which clients cannot reach.

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

/// For how long what was counted in the database is told again: counting a million rows each second would be felt.
const COUNT_PAUSE: Duration = Duration::from_secs(10);

/// How long counting may take. What cannot be counted is left out, and everything else is told all the same.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How many there are.
type Number = Gauge<u64, AtomicU64>;

/// What Prometheus calls the format that it asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What it calls the older one, which everything else reads.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/metrics`, and nothing else.
pub fn router(app: &Arc<App>) -> Router {
    let watch = Watch { app: Arc::clone(app), counted: Mutex::default() };
    Router::new().route("/metrics", get(tell)).with_state(Arc::new(watch))
}

struct Watch {
    app: Arc<App>,
    counted: Mutex<Option<(Instant, Statistics)>>,
}

/// `GET /metrics`
async fn tell(State(watch): State<Arc<Watch>>, headers: HeaderMap) -> Response {
    let takes_open_metrics =
        elements(&headers, "accept", b',').any(|range| range.starts_with("application/openmetrics-text"));
    let figures = watch.count().await;
    let now = at_present(&watch.app, figures.as_ref());
    let mut process = Registry::default();
    process.register_collector(Box::new(ProcessMeasures));
    match metrics::encode(&[&watch.app.measures, &now, &process]) {
        Ok(text) if takes_open_metrics => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], metrics::as_text(&text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the measures cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Watch {
    /// What is in the database, counted some seconds ago perhaps; none where the database does not tell.
    async fn count(&self) -> Option<Statistics> {
        // Whoever asks meanwhile gets what is counted now.
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
                tracing::warn!(?error, "what is in the database cannot be counted at present");
                None
            }
            None => {
                tracing::warn!("counting what is in the database takes too long at present");
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

/// What there is at this moment. Without figures, what the database holds is left out.
fn at_present(app: &App, figures: Option<&Statistics>) -> Registry {
    let mut registry = Registry::with_prefix("vestibule");
    let build = Family::<BuildLabels, Gauge>::default();
    build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION"), database: app.db.name() }).set(1);
    registry.register("build_info", "Which version this is, and on which database", build);
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
    by_state(&mut registry, "password_hashes", "Passwords that are hashed, and that wait for it", &hashes);

    let (connections, most) = (Family::<PoolStateLabels, Number>::default(), Family::<PoolLabels, Number>::default());
    for pool in app.db.pools() {
        let idle = pool.idle as u64;
        for (state, number) in [("in_use", u64::from(pool.open).saturating_sub(idle)), ("idle", idle)] {
            connections.get_or_create(&PoolStateLabels { pool: pool.name, state }).set(number);
        }
        most.get_or_create(&PoolLabels { pool: pool.name }).set(pool.most.into());
    }
    registry.register("database_connections", "Connections to the database that are open", connections);
    registry.register("database_connections_max", "Connections to the database that may be open", most);

    let help = "Whether the database answered when it was last asked";
    gauge(&mut registry, "database_up", help, figures.is_some().into());
    let Some(figures) = figures else { return registry };
    let users = [("active", figures.active), ("inactive", figures.inactive)];
    by_state(&mut registry, "users", "Accounts", &users);
    gauge(&mut registry, "users_online", "Users who were seen in the last minutes", figures.online);
    gauge(&mut registry, "sessions", "Sessions that are alive", figures.sessions);
    let help = "Registrations that wait for their address to be confirmed";
    gauge(&mut registry, "registrations", help, figures.registrations);
    let kept = &figures.mails;
    let mails = [("queued", kept.waiting), ("given_up", kept.given_up), ("held", kept.held)];
    let help = "Mails that wait, that were given up and are still kept, and that operators hold back";
    by_state(&mut registry, "mails", help, &mails);
    let late =
        figures.mails.due_since.map_or(0, |due| app.clock.now().at.millis().saturating_sub(due.millis()).max(0) / 1000);
    let help = "For how long the mail is overdue that has waited longest";
    registry.register_with_unit("mail_overdue", help, Unit::Seconds, ConstGauge::new(late));
    registry
}
