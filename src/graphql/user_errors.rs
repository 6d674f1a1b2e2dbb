//! What came of an operation: data that tells the person what to mend, or an error.

use async_graphql::Context;

use crate::error::{Code, Error, Result};
use crate::graphql::context::{app, request};
use crate::graphql::errors::{Answer, UserError, name_of};

/// Parts what the person can mend, which is data, from everything else, which is an error.
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

/// Whether a guard rail refused a right, and not a rule about the input.
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
