//! Emergency administration on the command line, for when nobody can sign in. Access to the machine and the database is
//! the only right required. The guard rails still apply, and the audit trail records each change.

// Listing and revoking API tokens.
pub mod api_tokens;
// Reading the audit trail.
pub mod audit;
// The state of the service according to its database.
pub mod health;
// Rotating and revoking signing keys, and resealing stored secrets.
pub mod keys;
// Showing and lifting limits.
pub mod limits;
// Reading the outbox, and retrying failed mails.
pub mod mails;
// Reasons that keep a user from signing in.
pub mod sign_in_problems;
// Listing and ending sessions.
pub mod sessions;
// Finding, disabling and enabling users, removing their second factors, and sending them links.
pub mod users;
// Numbers of stored rows.
pub mod statistics;
// Copying the service from one database to another.
pub mod copy;

use uuid::Uuid;

use crate::database;
use crate::domain::audit::Event;
use crate::entity::audit_event::Action;
use crate::error::{DatabaseError, Error};

/// Proof that the command line was used.
#[derive(Clone, Debug)]
pub struct Operator(());

impl Operator {
    /// The operator. Code that handles requests must not create one.
    #[expect(clippy::new_without_default, reason = "a right should not come by default")]
    pub fn new() -> Self {
        Self(())
    }

    /// The audit event of an action on a user or on the service.
    #[expect(clippy::unused_self, reason = "the operator is the proof")]
    pub(in crate::domain) fn did(&self, action: Action, target: impl Into<Option<Uuid>>) -> Event<'static> {
        Event::by_operator(action, target)
    }
}

/// Describes the error in one line for the operator.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Refused(refusals) => refusals
            .iter()
            .map(|refusal| match refusal.field {
                Some(field) => format!("{field}: {}", refusal.message()),
                None => refusal.message(),
            })
            .collect::<Vec<_>>()
            .join(" "),
        Error::Internal(source) => match source.downcast_ref::<DatabaseError>() {
            Some(DatabaseError(error)) => database::explain(error).replace('\n', " "),
            None => source.to_string().replace('\n', " "),
        },
        Error::ImportRunning(_) => "another import is running: try again when it has finished".to_owned(),
        Error::Unavailable(_) => "the database did not respond in time: try again".to_owned(),
        Error::BadInput(text) => text.english(),
        Error::Command(message) => message.clone(),
        other => format!("{other:?}"),
    }
}
