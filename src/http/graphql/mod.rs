//! The GraphQL endpoint, by the GraphQL-over-HTTP specification.

pub(in crate::http) mod media_type;
pub(in crate::http) mod multipart;
pub(in crate::http) mod request;
pub(in crate::http) mod response;
pub(in crate::http) mod socket;
pub(in crate::http) mod strict_json;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Request as Query;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use http_body_util::LengthLimitError;

use self::media_type::Media;
use self::response::RequestError;
use crate::app::App;
use crate::config::SocketConfig;
use crate::domain::auth::identity::Client;
use crate::error::{Error, Result};
use crate::graphql::context::{Browser, OperationKind, Page, RegistrationCookie, Request};
use crate::graphql::execution::{Executor, Operation, RejectedDocument, TimedOut};
use crate::http::header::elements;
use crate::http::middleware::RequestId;
use crate::http::routes::graphiql;
use crate::http::{auth, client_ip, device_cookie, refresh_cookie};
use crate::tools::concurrency_limit::ConcurrencyLimit;

/// Longest body, in bytes.
const MAX_BODY: usize = 128 * 1024;

/// State of the endpoint.
pub(super) struct Endpoint {
    app: Arc<App>,
    executor: Arc<Executor>,
    uploads: Arc<multipart::Uploads>,
    /// Limit on WebSocket connections.
    sockets: ConcurrencyLimit,
}

impl Endpoint {
    /// The endpoint of this application, which shares the limits on uploads with its pages.
    pub(super) fn new(app: Arc<App>, uploads: Arc<multipart::Uploads>) -> Self {
        let SocketConfig { sockets, sockets_per_client } = app.config.sockets;
        let sockets = ConcurrencyLimit::new(sockets, sockets_per_client, app.request_metrics.sockets.clone());
        let executor = Arc::new(Executor::new(Arc::clone(&app)));
        Self { app, executor, uploads, sockets }
    }
}

/// `POST /graphql`
pub(super) async fn post(
    State(endpoint): State<Arc<Endpoint>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(id): Extension<RequestId>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(media) = media_type::negotiate(&parts.headers) else { return not_acceptable() };
    let exchange = Exchange { endpoint: &endpoint, parts: &parts, peer, media, id: &id };
    if multipart::is_multipart(&parts.headers) {
        return exchange.upload(body).await;
    }
    let read = async {
        if !media_type::is_json(&parts.headers) {
            let message = "Send the request as application/json, or as multipart/form-data if it has a file.";
            return Err(RequestError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "BAD_REQUEST", message));
        }
        request::from_body(&read_body(&parts.headers, body, endpoint.app.config.wire.body_timeout).await?)
    };
    match read.await {
        Ok(query) => exchange.respond(query).await,
        Err(error) => error.into_response(media),
    }
}

/// `GET /graphql`, for queries and WebSocket handshakes. Browsers that ask for a page are redirected to GraphiQL.
pub(super) async fn get(
    State(endpoint): State<Arc<Endpoint>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(id): Extension<RequestId>,
    request: axum::extract::Request,
) -> Response {
    let (parts, _) = request.into_parts();
    if socket::is_upgrade(&parts.headers) {
        return socket::open(&endpoint.executor, &endpoint.sockets, parts, peer, id).await;
    }
    let parameters = parts.uri.query().unwrap_or_default();
    if parameters.is_empty() && wants_page(&parts.headers) && endpoint.app.config.graphiql {
        return graphiql::lead_here(&endpoint.app);
    }
    let Some(media) = media_type::negotiate(&parts.headers) else { return not_acceptable() };
    match request::from_query(parameters) {
        Ok(query) => Exchange { endpoint: &endpoint, parts: &parts, peer, media, id: &id }.respond(query).await,
        Err(error) => error.into_response(media),
    }
}

/// Every other method.
pub(super) async fn other_method(headers: HeaderMap) -> Response {
    method_not_allowed("Send documents by POST, or queries by GET.", "GET, POST", media_type::negotiate(&headers))
}

/// A request to the endpoint.
#[derive(Clone, Copy)]
struct Exchange<'a> {
    endpoint: &'a Endpoint,
    parts: &'a Parts,
    peer: SocketAddr,
    media: Media,
    id: &'a RequestId,
}

impl Exchange<'_> {
    /// Responds to a request with a file. The file is read only if the caller may send one for the operation. Otherwise
    /// the document is executed with an empty file, which its resolver rejects.
    async fn upload(self, body: Body) -> Response {
        let Self { endpoint, parts, media, .. } = self;
        if let Err(error) = multipart::check_headers(&parts.headers) {
            return error.into_response(media);
        }
        let wire = &endpoint.app.config.wire;
        let (query, head) = match multipart::head(&parts.headers, body, wire.body_timeout).await {
            Ok(head) => head,
            Err(error) => return error.into_response(media),
        };
        let mut operation = match endpoint.executor.admit(query) {
            Ok(operation) => operation,
            Err(rejected) => return self.reject(rejected),
        };
        let sender = match self.authenticate(operation.kind()).await {
            Ok(request) => request.file_sender(&operation.root_fields()).ok(),
            Err(error) => return self.fail(&error),
        };
        let Some(sender) = sender else { return self.run(operation).await };
        let arriving = match endpoint.uploads.arrive(&sender) {
            Ok(arriving) => arriving,
            Err(error) => return self.fail(&error),
        };
        let arrived = match head.receive(&endpoint.app.config.data_dir, wire.upload_timeout).await {
            Ok(arrived) => arrived,
            Err(error) => return error.into_response(media),
        };
        let loaded = async {
            let turn = endpoint.uploads.turn(sender.user).await?;
            Ok::<_, Error>((turn, arrived.load().await?))
        };
        let (_turn, content) = match loaded.await {
            Ok(loaded) => loaded,
            Err(error) => return self.fail(&error),
        };
        operation.set_file(content);
        drop(arriving);
        self.run(operation).await
    }

    async fn respond(self, query: Query) -> Response {
        match self.endpoint.executor.admit(query) {
            Ok(operation) => self.run(operation).await,
            Err(rejected) => self.reject(rejected),
        }
    }

    async fn run(self, operation: Operation) -> Response {
        let Self { parts, media, id, .. } = self;
        let (app, kind) = (&self.endpoint.app, operation.kind());
        // HEAD is routed here like GET.
        if kind != OperationKind::Query && parts.method != Method::POST {
            return method_not_allowed("Only queries may be sent by GET.", "POST", Some(media));
        }
        if parts.method != Method::POST && operation.takes_secret() {
            return method_not_allowed("Send queries that take a secret by POST.", "POST", Some(media));
        }
        if kind == OperationKind::Subscription {
            let message = "Subscriptions are served over WebSocket.";
            return RequestError::new(response::rejected_status(media), "BAD_REQUEST", message).into_response(media);
        }
        let request = match self.authenticate(kind).await {
            Ok(request) => Arc::new(request),
            Err(error) => return self.fail(&error),
        };
        let mut response = match operation.run(&request, &id.0).await {
            Ok(executed) => response::executed(&executed, media),
            Err(TimedOut { retry_after }) => return RequestError::busy(retry_after).into_response(media),
        };
        if let Some(change) = request.cookie_change() {
            let value = refresh_cookie::write(&change, &app.public_url, request.now.at);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        if let Some(secret) = request.next_registration() {
            let value = refresh_cookie::write_registration(&secret, &app.public_url, app.config.links.verify_ttl);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        if let Some(secret) = request.kept_device() {
            response.headers_mut().append(header::SET_COOKIE, device_cookie::write(secret, &app.public_url));
        }
        response
    }

    /// Authenticates the caller. A missing or wrong credential is not an error here: fields that need one report it.
    async fn authenticate(self, kind: OperationKind) -> Result<Request> {
        let (app, headers) = (&self.endpoint.app, &self.parts.headers);
        let now = app.clock.now();
        let page = refresh_cookie::page(headers, &app.public_url, &app.config.allowed_origins);
        let device = device_cookie::of(headers, &app.public_url, page);
        let client = Client { device, ..client_ip::of(self.peer, headers, &app.config.trusted_proxies) };
        let caller = match auth::bearer(headers) {
            Err(reason) => Err(reason),
            Ok(token) => match app.authenticate(&now, &client, token).await {
                Ok(caller) => Ok(caller),
                Err(Error::Unauthenticated(reason)) => Err(reason),
                Err(error) => return Err(error),
            },
        };
        let cookie = refresh_cookie::read(headers, &app.public_url, page);
        let cookie = cookie.and_then(|text| app.token_issuer().read_refresh(text));
        let registration = registration_cookie(app, headers, page);
        Ok(Request::new(now, client, caller, Browser { page, cookie }, kind).with_registration(registration))
    }

    /// Response to a document that is not executed.
    fn reject(self, rejected: RejectedDocument) -> Response {
        RequestError::rejected(rejected, self.media).into_response(self.media)
    }

    /// Response to a request that failed as a whole.
    fn fail(self, error: &Error) -> Response {
        let Error::Unavailable(wait) = error else {
            tracing::error!(?error, "request failed with an internal error");
            return response::internal_error(&self.id.0);
        };
        RequestError::busy(*wait).into_response(self.media)
    }
}

fn registration_cookie(app: &App, headers: &HeaderMap, page: Page) -> RegistrationCookie {
    let secret = refresh_cookie::read_registration(headers, &app.public_url).filter(|_| page != Page::Foreign);
    RegistrationCookie { secret, is_kept: refresh_cookie::keeps_lax_cookies(headers, page), ..Default::default() }
}

/// Reads the body up to its longest length.
async fn read_body(headers: &HeaderMap, body: Body, limit: Duration) -> Result<Vec<u8>, RequestError> {
    let too_large = || {
        let message = format!("The body may have at most {MAX_BODY} bytes.");
        RequestError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    match tokio::time::timeout(limit, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(RequestError::bad("The body is incomplete.")),
        Err(_) => Err(RequestError::body_timeout()),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>)
}

fn wants_page(headers: &HeaderMap) -> bool {
    elements(headers, "accept", b',').any(|range| range.starts_with("text/html"))
}

fn not_acceptable() -> Response {
    let message = "Accept application/graphql-response+json or application/json.";
    RequestError::new(StatusCode::NOT_ACCEPTABLE, "BAD_REQUEST", message).into_response(Media::Json)
}

fn method_not_allowed(message: &str, allowed: &'static str, media: Option<Media>) -> Response {
    let error = RequestError::new(StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST", message);
    let mut response = error.into_response(media.unwrap_or(Media::Json));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::Bytes;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_grows_too_long_is_told_from_an_incomplete_one() {
        let longest = || Ok::<_, io::Error>(Bytes::from(vec![b'x'; MAX_BODY]));
        for (last, status) in [
            (Ok(Bytes::from_static(b"x")), StatusCode::PAYLOAD_TOO_LARGE),
            (Err(io::ErrorKind::BrokenPipe.into()), StatusCode::BAD_REQUEST),
        ] {
            let body = Body::from_stream(stream::iter([longest(), last]));
            let refused = read_body(&HeaderMap::new(), body, Duration::from_secs(1)).await.unwrap_err();
            assert_eq!(refused.status, status);
        }
    }
}
