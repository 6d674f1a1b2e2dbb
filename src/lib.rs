//! Vestibule, a self-hosted identity service with a GraphQL API.
//!
//! Each module may import only the modules above it; a test checks this.

// Catalogue of texts for users.
pub mod texts;
// Errors and their codes.
pub mod error;
// Helpers that know neither the database nor GraphQL.
pub mod tools;
// Settings from the command line, the environment and `vestibule.toml`.
pub mod config;
// Database connections, one pool for reading and one for writing.
pub mod database;
// SeaORM models, one file per table, with named filters but no rules.
pub mod entity;
// Business logic: plain functions over a database connection.
pub mod domain;
// Checks of settings, files, database and services.
pub mod doctor;
// Application state, created once at the start.
pub mod app;
// GraphQL resolvers, which only translate input and output.
pub mod graphql;
// HTTP routes, the GraphQL handler, and middleware.
pub mod http;
// Background tasks.
pub mod worker;
// Command line, one file per command.
pub mod cli;
// Fuzzing targets, not part of the service.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
