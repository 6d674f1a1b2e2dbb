//! Connections: the accept loop, its limits and its timeouts.

pub(in crate::http) mod body_part;
pub(in crate::http) mod timeouts;
pub(in crate::http) mod drain;
pub(in crate::http) mod listener;
pub(in crate::http) mod server;
