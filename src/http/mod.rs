//! The HTTP layer: routes, the GraphQL handler, and what is around every request.

mod answer;
mod caller;
mod avatars;
mod base_path;
mod client;
mod cookie;
mod envelope;
mod exports;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod graphiql;
mod graphql;
mod header;
mod health;
mod import;
mod json;
mod keys;
mod listener;
mod media;
// What those who watch the service read.
pub mod metrics;
mod multipart;
mod pages;
mod places;
mod pulse;
mod router;
mod server;
mod shell;
mod socket;
mod traces;
mod unread;

pub use listener::{Listener, own_url};
pub use router::router;
pub use server::{Wire, serve};
