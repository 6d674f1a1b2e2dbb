//! What came of an operation: data that tells the person what to mend, or an error.

use async_graphql::Context;

use crate::error::{Error, Result};
use crate::graphql::context::request;
use crate::graphql::errors::{Answer, UserError};

/// Parts what the person can mend, which is data, from everything else, which is an error.
pub(crate) fn outcome<T>(ctx: &Context<'_>, result: Result<T>) -> Answer<(Option<T>, Vec<UserError>)> {
    match result {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Error::Refused(refusals)) => {
            if let Some(first) = refusals.first() {
                request(ctx).refuse(first.code);
            }
            Ok((None, refusals.into_iter().map(UserError::from).collect()))
        }
        Err(error) => Err(error.into()),
    }
}
