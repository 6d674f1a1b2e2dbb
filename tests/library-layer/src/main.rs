//! The schema of the service behind async-graphql-axum, used as in its examples, in place of `src/http/graphql/`.
//!
//! The program reads the settings of the service, listens on a free port of the loopback interface, and prints its URL.
//! `check.mjs` counts the shortcomings of this server.

#![expect(clippy::print_stdout, reason = "the check reads the URL")]

use std::error::Error;
use std::sync::{Arc, OnceLock};

use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use async_graphql::{Data, Executor, Request as Query, Response};
use async_graphql_axum::{GraphQL, GraphQLProtocol, GraphQLWebSocket};
use axum::Router;
use axum::extract::{FromRequestParts as _, Request, State, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response as HttpResponse};
use axum::routing::any;
use clap::Parser;
use futures_util::stream::BoxStream;
use tokio::net::TcpListener;
use tower_service::Service as _;
use vestibule::app::App;
use vestibule::config::Config;
use vestibule::domain::auth::identity::{Caller, Client};
use vestibule::error::Reason;
use vestibule::graphql::context::{Browser, OperationKind, Request as RequestData};
use vestibule::graphql::{VestibuleSchema, schema, with_request_data};
use vestibule::tools::clock::Clock;
use vestibule::worker;

/// Serve the schema by async-graphql-axum
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,

    /// Password of the first superuser
    #[arg(long, env = "VESTIBULE_ADMIN_PASSWORD")]
    admin_password: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { mut config, admin_password } = Arguments::parse();
    config.admin_password = Some(admin_password.parse()?);
    // Panics are counted by the client, as dropped connections.
    std::panic::set_hook(Box::new(|_| {}));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = App::open(config, url.parse()?, Clock::System).await.map_err(|error| format!("{error:?}"))?;
    let app = Arc::new(app);
    app.ensure_superuser().await.map_err(|error| format!("{error:?}"))?;
    tokio::spawn(worker::run(Arc::clone(&app), std::future::pending()));
    let layer = Layer { schema: Arc::new(schema(&app)), app, caller: Arc::default() };
    println!("listening on {url}");
    axum::serve(listener, Router::new().route("/graphql", any(answer)).with_state(layer)).await?;
    Ok(())
}

/// Executor of one request or connection.
#[derive(Clone)]
struct Layer {
    app: Arc<App>,
    schema: Arc<VestibuleSchema>,
    /// The caller, once it is authenticated.
    caller: Arc<OnceLock<Caller>>,
}

impl Layer {
    /// A copy for another request or connection.
    fn for_next(&self) -> Self {
        Self { caller: Arc::default(), ..self.clone() }
    }

    /// Authenticates the caller by the content of an `Authorization` header. Returns false for a wrong one.
    async fn authenticate(&self, authorization: &str) -> bool {
        let Some(token) = authorization.strip_prefix("Bearer ") else { return false };
        let authenticated = self.app.authenticate(&self.app.clock.now(), &Client::default(), token).await;
        authenticated.is_ok_and(|caller| self.caller.set(caller).is_ok())
    }

    fn with_data(&self, query: Query, kind: OperationKind) -> Query {
        let caller = self.caller.get().cloned().ok_or(Reason::Missing);
        let request = RequestData::new(self.app.clock.now(), Client::default(), caller, Browser::default(), kind);
        with_request_data(query, &self.app, &Arc::new(request))
    }
}

impl Executor for Layer {
    async fn execute(&self, query: Query) -> Response {
        self.schema.execute(self.with_data(query, OperationKind::Query)).await
    }

    fn execute_stream(&self, query: Query, _: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        self.schema.execute_stream(self.with_data(query, OperationKind::Subscription))
    }
}

/// Every request to the endpoint.
async fn answer(State(layer): State<Layer>, request: Request) -> HttpResponse {
    let layer = layer.for_next();
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(header::UPGRADE) {
        return connect(layer, parts).await;
    }
    if let Some(authorization) = authorization(&parts.headers) {
        // Fields that need a caller report a wrong token.
        layer.authenticate(authorization).await;
    }
    let Ok(response) = GraphQL::new(layer).call(Request::from_parts(parts, body)).await;
    response
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// Opens a WebSocket, whose caller is authenticated by the payload of `connection_init`.
async fn connect(layer: Layer, mut parts: Parts) -> HttpResponse {
    let protocol = match GraphQLProtocol::from_request_parts(&mut parts, &()).await {
        Ok(protocol) => protocol,
        Err(rejection) => return rejection.into_response(),
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    upgrade.protocols(ALL_WEBSOCKET_PROTOCOLS).on_upgrade(move |socket| {
        let authenticating = layer.clone();
        let on_init = move |payload: serde_json::Value| async move {
            let authorization = payload["Authorization"].as_str().unwrap_or_default();
            match authenticating.authenticate(authorization).await {
                true => Ok(Data::default()),
                false => Err(async_graphql::Error::new("Forbidden")),
            }
        };
        GraphQLWebSocket::new(socket, layer, protocol).on_connection_init(on_init).serve()
    })
}
