//! Routes besides GraphQL and the pages.

pub(in crate::http) mod jwks;
pub(in crate::http) mod health;
pub(in crate::http) mod graphiql;
// Metrics for monitoring.
pub mod metrics;
pub(in crate::http) mod exports;
pub(in crate::http) mod import;
pub(in crate::http) mod avatars;
