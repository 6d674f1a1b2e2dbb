//! The HTTP layer: connections, middleware, routes and the GraphQL endpoint.

mod base_path;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod graphql;
mod header;
mod pages;
mod router;
mod traces;
mod connection;
pub mod routes;
mod middleware;
mod response_memory;
mod client_ip;
mod device_cookie;
mod auth;
mod refresh_cookie;
// Filter of audit events in query strings.
mod event_selection;
// Search and filter of users in query strings.
mod user_selection;

pub use crate::http::connection::listener::{Listener, own_url};
pub use crate::http::connection::server::{ServerOptions, serve};
pub use router::router;
