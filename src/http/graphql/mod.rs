//! The GraphQL endpoint: GraphQL over HTTP as its specification says, and nothing executed before it was checked.

pub(in crate::http) mod request;
pub(in crate::http) mod response;
pub(in crate::http) mod strict_json;
pub(in crate::http) mod multipart;
pub(in crate::http) mod media_type;
pub(in crate::http) mod socket;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Request as Query;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use self::media_type::Media;
use self::response::Refusal;
use crate::app::App;
use crate::config::SocketConfig;
use crate::domain::auth::identity::Caller;
use crate::error::{Error, Reason, Result};
use crate::graphql::context::{Browser, Page, RegistrationCookie, Request};
use crate::graphql::errors::name_of;
use crate::graphql::execution::limits::{self, Admitted, Documents, Kind};
use crate::graphql::execution::null_propagation::Types;
use crate::graphql::execution::operation_labels::{Operations, refused_fields, root_fields};
use crate::graphql::execution::variables::Inputs;
use crate::graphql::{VestibuleSchema, schema, with_request_data};
use crate::http::connection::connection_limit::ConnectionLimit;
use crate::http::header::elements;
use crate::http::middleware::RequestId;
use crate::http::routes::graphiql;
use crate::http::{client_ip, refresh_cookie};
use crate::tools::api_token::MovedToken;
use crate::tools::request_metrics::OperationLabels;

/// The longest body, in bytes.
const MAX_BODY: usize = 128 * 1024;

/// What the endpoint is made of.
pub(super) struct Endpoint {
    pub(super) app: Arc<App>,
    pub(super) schema: VestibuleSchema,
    pub(super) types: Types,
    pub(super) operations: Operations,
    documents: Documents,
    inputs: Inputs,
    uploads: multipart::Uploads,
    /// For connections by WebSocket.
    pub(super) places: ConnectionLimit,
}

impl Endpoint {
    /// The endpoint of this application.
    pub(super) fn new(app: Arc<App>) -> Self {
        let SocketConfig { sockets, sockets_per_client } = app.config.sockets;
        let places = ConnectionLimit::new(sockets, sockets_per_client, app.traffic.sockets.clone());
        let uploads = multipart::Uploads::default();
        let schema = schema(&app);
        let document = schema.document();
        let (types, inputs) = (Types::of(&document), Inputs::of(&document));
        let operations = Operations::of(&document);
        Self { types, inputs, operations, documents: Documents::default(), schema, uploads, places, app }
    }

    /// Checks a request as far as that can be done without executing it, and tells what its operation does.
    pub(super) fn admit(&self, query: &mut Query) -> std::result::Result<Admitted, limits::Refusal> {
        let admitted = self.documents.admit(query)?;
        self.inputs.admit(query)?;
        Ok(admitted)
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
    let Some(media) = media_type::wanted(&parts.headers) else { return not_acceptable() };
    if multipart::is_one(&parts.headers) {
        return endpoint.upload(&parts, body, peer, media, &id).await;
    }
    let read = async {
        if !media_type::is_json(&parts.headers) {
            let message = "Send the request as application/json, or as multipart/form-data where it has a file.";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "BAD_REQUEST", message));
        }
        request::from_body(&receive(&parts.headers, body, endpoint.app.config.wire.body_timeout).await?)
    };
    match read.await {
        Ok(query) => endpoint.answer(query, &parts, peer, media, &id).await,
        Err(refusal) => refusal.into_response(media),
    }
}

/// `GET /graphql`, for queries and to open a WebSocket; a browser that asks for a page is led to GraphiQL.
pub(super) async fn get(
    State(endpoint): State<Arc<Endpoint>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(id): Extension<RequestId>,
    request: axum::extract::Request,
) -> Response {
    let (parts, _) = request.into_parts();
    if socket::is_one(&parts.headers) {
        return socket::open(endpoint, parts, peer, id).await;
    }
    let parameters = parts.uri.query().unwrap_or_default();
    if parameters.is_empty() && wants_page(&parts.headers) && endpoint.app.config.graphiql {
        return graphiql::lead_here(&endpoint.app);
    }
    let Some(media) = media_type::wanted(&parts.headers) else { return not_acceptable() };
    match request::from_query(parameters) {
        Ok(query) => endpoint.answer(query, &parts, peer, media, &id).await,
        Err(refusal) => refusal.into_response(media),
    }
}

/// Every other method.
pub(super) async fn other_method(headers: HeaderMap) -> Response {
    method_not_allowed("Send documents by POST, or queries by GET.", "GET, POST", media_type::wanted(&headers))
}

impl Endpoint {
    /// Answers a request with a file. The file is read only if the caller's rights allow what the document does with it;
    /// otherwise the document is executed with an empty file, which its resolver refuses to take.
    async fn upload(&self, parts: &Parts, body: Body, peer: SocketAddr, media: Media, id: &RequestId) -> Response {
        if let Err(refusal) = multipart::admit(&parts.headers) {
            return refusal.into_response(media);
        }
        let wire = &self.app.config.wire;
        let mut head = match multipart::head(&parts.headers, body, wire.body_timeout).await {
            Ok(head) => head,
            Err(refusal) => return refusal.into_response(media),
        };
        let admitted = match self.admit(&mut head.request) {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(refusal, media),
        };
        let sender = match self.sender(&admitted, &head.request, parts, peer).await {
            Ok(Some(sender)) => sender,
            Ok(None) => return self.answer_admitted((head.request, admitted), parts, peer, media, id).await,
            Err(error) => return failed(&error, media, id),
        };
        let arriving = match self.uploads.arrive(sender) {
            Ok(arriving) => arriving,
            Err(error) => return failed(&error, media, id),
        };
        let arrived = match head.receive(&self.app.config.data_dir, wire.upload_timeout).await {
            Ok(arrived) => arrived,
            Err(refusal) => return refusal.into_response(media),
        };
        let loaded = async {
            let turn = self.uploads.turn(sender).await?;
            Ok::<_, Error>((turn, arrived.load().await?))
        };
        let (_turn, query) = match loaded.await {
            Ok(loaded) => loaded,
            Err(error) => return failed(&error, media, id),
        };
        drop(arriving);
        self.answer_admitted((query, admitted), parts, peer, media, id).await
    }

    /// Whose file is read: that of a caller who may send one for this operation.
    async fn sender(
        &self,
        admitted: &Admitted,
        query: &Query,
        parts: &Parts,
        peer: SocketAddr,
    ) -> Result<Option<Uuid>> {
        let request = self.recognise(parts, peer, admitted.kind).await?;
        let fields = root_fields(&admitted.document, query.operation_name.as_deref());
        Ok(request.file_sender(&fields).ok())
    }

    async fn answer(
        &self,
        mut query: Query,
        parts: &Parts,
        peer: SocketAddr,
        media: Media,
        id: &RequestId,
    ) -> Response {
        match self.admit(&mut query) {
            Ok(admitted) => self.answer_admitted((query, admitted), parts, peer, media, id).await,
            Err(refusal) => self.refuse(refusal, media),
        }
    }

    /// The answer to a document that is not executed.
    fn refuse(&self, refusal: limits::Refusal, media: Media) -> Response {
        let limits::Refusal { code, message, location } = refusal;
        self.app.traffic.begin(self.operations.refused()).end(Some(code));
        Refusal::new(response::refused_document(media), code, message).at(location).into_response(media)
    }

    async fn answer_admitted(
        &self,
        (query, admitted): (Query, Admitted),
        parts: &Parts,
        peer: SocketAddr,
        media: Media,
        id: &RequestId,
    ) -> Response {
        let Admitted { kind, document } = admitted;
        // HEAD comes here as GET does.
        if kind != Kind::Query && parts.method != Method::POST {
            return method_not_allowed("Only queries may be sent by GET.", "POST", Some(media));
        }
        if parts.method != Method::POST && limits::gives_a_secret(&document) {
            return method_not_allowed("What is given a secret is sent by POST.", "POST", Some(media));
        }
        if kind == Kind::Subscription {
            let message = "Subscriptions are served over WebSocket.";
            return Refusal::new(response::refused_document(media), "BAD_REQUEST", message).into_response(media);
        }
        let request = match self.recognise(parts, peer, kind).await {
            Ok(request) => Arc::new(request),
            Err(error) => return failed(&error, media, id),
        };
        let name = query.operation_name.clone();
        let labels = self.operations.describe(&document, name.as_deref());
        let span = operation_span(&labels, name.as_deref());
        let under_way = self.app.traffic.begin(labels);
        let wire = &self.app.config.wire;
        // A file may have a hundred thousand rows.
        let patience = if query.uploads.is_empty() { wire.request_timeout } else { wire.upload_timeout };
        let execution = self.schema.execute(with_request_data(query, &self.app, Arc::clone(&request))).instrument(span);
        let Ok(mut executed) = tokio::time::timeout(patience, execution).await else {
            under_way.end(Some("SERVICE_UNAVAILABLE"));
            return failed(&Error::Unavailable(Duration::from_secs(1)), media, id);
        };
        for field in refused_fields(&executed.errors, "FORBIDDEN", &document) {
            self.app.refused_rights.note(&request.now, request.caller.as_ref().ok(), field, "FORBIDDEN");
        }
        if !executed.errors.iter().all(|error| error.path.is_empty()) {
            self.types.complete(&mut executed, &document, name.as_deref());
        }
        let mut response = response::executed(&mut executed, media, &id.0);
        under_way.end(response::code(&executed).or(request.refused().map(name_of)));
        if let Some(change) = request.cookie_change() {
            let value = refresh_cookie::write(&change, &self.app.public_url, request.now.at);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        if let Some(secret) = request.next_registration() {
            let life = self.app.config.links.verify_ttl;
            let value = refresh_cookie::write_registration(&secret, &self.app.public_url, life);
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }

    /// Finds out who is asking. That nobody is signed in is no failure: most fields do not mind, and those that do say
    /// so themselves.
    async fn recognise(&self, parts: &Parts, peer: SocketAddr, kind: Kind) -> Result<Request> {
        let app = &self.app;
        let now = app.clock.now();
        let client = client_ip::of(peer, &parts.headers, &app.config.trusted_proxies);
        let caller: Result<Caller, Reason> = match bearer(&parts.headers) {
            Err(reason) => Err(reason),
            Ok(token) => match app.authenticate(&now, &client, token).await {
                Ok(caller) => Ok(caller),
                Err(Error::Unauthenticated(reason)) => Err(reason),
                Err(error) => return Err(error),
            },
        };
        let page = refresh_cookie::page(&parts.headers, &app.public_url, &app.config.allowed_origins);
        let cookie = refresh_cookie::read(&parts.headers, &app.public_url, page);
        let cookie = cookie.and_then(|text| app.token_issuer().read_refresh(text));
        let registration = registration_cookie(app, &parts.headers, page);
        Ok(Request::new(now, client, caller, Browser { page, cookie }, kind).with_registration(registration))
    }
}

fn registration_cookie(app: &App, headers: &HeaderMap, page: Page) -> RegistrationCookie {
    let secret = refresh_cookie::read_registration(headers, &app.public_url).filter(|_| page != Page::Foreign);
    RegistrationCookie { secret, is_kept: refresh_cookie::keeps_registration(headers, page), ..Default::default() }
}

/// What traces show of an operation.
fn operation_span(labels: &OperationLabels, name: Option<&str>) -> Span {
    let OperationLabels { kind, operation } = labels;
    tracing::debug_span!(
        "graphql",
        graphql.operation.type = kind,
        graphql.operation.name = name,
        graphql.field = &**operation
    )
}

/// The token in `Authorization: Bearer …` (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Reason> {
    let header = headers.get(header::AUTHORIZATION).ok_or(Reason::Missing)?;
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Reason::Invalid)?;
    let token = token.trim();
    // Django REST framework's scheme, which scripts with a token of that time go on to send.
    let is_moved = || scheme.eq_ignore_ascii_case("token") && MovedToken::is_meant_by(token);
    if scheme.eq_ignore_ascii_case("bearer") || is_moved() { Ok(token) } else { Err(Reason::Invalid) }
}

/// Reads the body, as far as it may go.
async fn receive(headers: &HeaderMap, body: Body, patience: Duration) -> Result<Vec<u8>, Refusal> {
    let too_large = || {
        let message = format!("The body must have {MAX_BODY} bytes at most.");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    match tokio::time::timeout(patience, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", "The body broke off.")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "BAD_REQUEST", "The body took too long to arrive.")),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("length limit"))
}

fn wants_page(headers: &HeaderMap) -> bool {
    elements(headers, "accept", b',').any(|range| range.starts_with("text/html"))
}

fn not_acceptable() -> Response {
    let message = "Answers are application/graphql-response+json or application/json.";
    Refusal::new(StatusCode::NOT_ACCEPTABLE, "BAD_REQUEST", message).into_response(Media::Json)
}

fn method_not_allowed(message: &str, allowed: &'static str, media: Option<Media>) -> Response {
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST", message);
    let mut response = refusal.into_response(media.unwrap_or(Media::Json));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The answer where the request could not be dealt with at all.
fn failed(error: &Error, media: Media, id: &RequestId) -> Response {
    let Error::Unavailable(wait) = error else {
        tracing::error!(?error, "a request failed by a fault of the service");
        return response::fault(&id.0);
    };
    let message = "The service is busy: try again in a moment.";
    Refusal::unavailable(message, *wait).into_response(media)
}
