//! Vestibule, a GraphQL identity service.
//!
//! The modules in the order in which they may import each other, each only those before it:

/// Every refusal with its code, and the faults that are ours.
pub mod error;
/// Leaves that know neither the database nor GraphQL.
pub mod tools;
