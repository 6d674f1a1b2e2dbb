//! What the clients of the replaced services rely on: a test for each row of the table, named by its number.

mod account;
mod avatar;
mod builders;
pub(crate) mod recovery;
mod sign_in;
mod staff;

use crate::engine::Test;

pub(crate) fn all() -> Vec<Test> {
    [sign_in::all(), account::all(), avatar::all(), recovery::all(), staff::all(), builders::all()].concat()
}
