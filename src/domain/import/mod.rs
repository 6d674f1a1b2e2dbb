//! Imports of users.

// Import from a spreadsheet.
pub mod spreadsheet;
// Import from a Django project, with passwords.
pub mod django;
