//! Route table.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::routing::get;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::TimeoutLayer;

use crate::app::App;
use crate::http::base_path::BasePath;
use crate::http::graphql::{self, Endpoint};
use crate::http::routes::{avatars, exports, graphiql, health, import, jwks};
use crate::http::{middleware, pages};

/// Request headers that pages of allowed origins may set.
const REQUEST_HEADERS: [HeaderName; 8] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("apollographql-client-name"),
    HeaderName::from_static("apollographql-client-version"),
    HeaderName::from_static("graphql-require-preflight"),
    HeaderName::from_static("x-apollo-operation-name"),
];

/// Response headers that pages of allowed origins may read.
const RESPONSE_HEADERS: [HeaderName; 3] =
    [header::CONTENT_DISPOSITION, header::RETRY_AFTER, HeaderName::from_static("x-request-id")];

/// Time limit for the start of a response. The GraphQL endpoint and workbooks have separate limits.
const TIMEOUT: Duration = Duration::from_secs(20);

/// All routes, at the root and under the path of the public URL.
pub fn router(app: &Arc<App>) -> Router {
    match app.public_url.path() {
        "" => routes(app),
        base => Router::new().fallback_service(BasePath::new(base, routes(app))),
    }
}

fn routes(app: &Arc<App>) -> Router {
    let uploads = Arc::default();
    let endpoint = Arc::new(Endpoint::new(Arc::clone(app), Arc::clone(&uploads)));
    let methods = || get(graphql::get).post(graphql::post).fallback(graphql::other_method);
    let graphql = Router::new().route("/graphql", methods()).route("/graphql/", methods()).with_state(endpoint);
    let routes = Router::new()
        .route("/.well-known/jwks.json", get(jwks::set))
        .route("/export/samples.csv", get(exports::samples_csv).head(exports::samples_csv_head))
        .route("/export/audit.csv", get(exports::audit_csv).head(exports::audit_csv_head))
        .route("/export/users.csv", get(exports::users_csv).head(exports::users_csv_head))
        .route("/media/avatars/{name}", get(avatars::file))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(graphiql::routes(app))
        .merge(pages::routes(app))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .merge(pages::uploads(uploads))
        .merge(workbooks(app.config.wire.export_timeout));
    routes
        .with_state(Arc::clone(app))
        .merge(graphql)
        .layer(cors(app))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), middleware::wrap))
}

/// Routes of workbooks and archives, which are complete before their download starts.
fn workbooks(timeout: Duration) -> Router<Arc<App>> {
    Router::new()
        .merge(pages::downloads())
        .route("/export/account.zip", get(exports::account_zip).head(exports::account_zip_head))
        .route("/export/users.xlsx", get(exports::users_xlsx).head(exports::users_xlsx_head))
        .route("/import/users.xlsx", get(import::users_xlsx).head(import::users_xlsx_head))
        .route("/import/{id}/marked.xlsx", get(import::marked_xlsx))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
}

/// CORS for the allowed origins, with cookies.
fn cors(app: &App) -> CorsLayer {
    let origins = app.config.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
        .max_age(Duration::from_secs(60 * 60))
}
