//! Imports of users.

// Users from a spreadsheet.
pub mod spreadsheet;
// Users of a Django project, taken over with their passwords.
pub mod django;
