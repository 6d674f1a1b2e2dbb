//! Vestibule, a GraphQL identity service.
//!
//! The modules in the order in which they may import each other, each only those before it; a test holds them to it.

// Every refusal with its code, and the faults that are ours.
pub mod error;
// Leaves that know neither the database nor GraphQL.
pub mod tools;
// The one place that reads the command line's settings, `vestibule.toml` and the environment.
pub mod config;
// The connections: one way in for readers, one for writers.
pub mod database;
// SeaORM models, one file per table, with named filters; no rules.
pub mod entity;
// What the service does: plain functions over a connection.
pub mod domain;
// What was built once at the start, shared by all faces.
pub mod app;
// The face: argument in, domain call, type out.
pub mod graphql;
// Routes, the GraphQL handler, and what is around every request.
pub mod http;
// What happens without a request.
pub mod worker;
// The command line, one file per command.
pub mod cli;
// What fuzzing feeds; no part of the service.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
