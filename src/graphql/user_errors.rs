//! Separation of errors that users can fix, which are data, from all others.

use async_graphql::Context;

use crate::error::{Code, Error, Result};
use crate::graphql::context::{app, request};
use crate::graphql::errors::{Answer, UserError, name_of};

/// Splits a result into a value and the errors that the user can fix. All other errors are returned as errors.
pub(crate) fn outcome<T>(ctx: &Context<'_>, result: Result<T>) -> Answer<(Option<T>, Vec<UserError>)> {
    match result {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Error::Refused(refusals)) => {
            if let Some(first) = refusals.first() {
                request(ctx).refuse(first.code);
            }
            if let Some(refusal) = refusals.iter().find(|refusal| is_of_guard_rails(refusal.code)) {
                let request = request(ctx);
                let (caller, code) = (request.caller.as_ref().ok(), name_of(refusal.code));
                app(ctx).refused_rights.note(&request.now, caller, ctx.field().name(), code);
            }
            Ok((None, refusals.into_iter().map(UserError::from).collect()))
        }
        Err(error) => Err(error.into()),
    }
}

/// True if a guard rail rejected an action, as opposed to a rule about the input.
fn is_of_guard_rails(code: Code) -> bool {
    matches!(
        code,
        Code::CannotDemoteSelf
            | Code::CannotDeactivateSelf
            | Code::CannotDeleteSelf
            | Code::CannotEditSuperuser
            | Code::LastSuperuser
    )
}
