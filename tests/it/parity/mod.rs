//! What the clients of the replaced services rely on: a test for each row of the table, named by its number.

mod account;
mod api_tokens;
mod avatar;
mod builders;
pub(crate) mod desk;
mod live;
mod import;
pub(crate) mod recovery;
pub(crate) mod registration;
mod sign_in;
mod staff;

use crate::test_database::Test;

pub(crate) fn all() -> Vec<Test> {
    [
        sign_in::all(),
        account::all(),
        api_tokens::all(),
        avatar::all(),
        recovery::all(),
        staff::all(),
        desk::all(),
        builders::all(),
        live::all(),
        import::all(),
        registration::all(),
    ]
    .concat()
}
