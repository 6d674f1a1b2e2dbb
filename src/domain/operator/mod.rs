//! What whoever runs the command line may do: for the night when nobody can sign in. Who can run it has the machine and the
//! database, and so is asked for no other right; the guard rails hold all the same, and the trail says what was done.

// Listing and revoking API tokens.
pub mod api_tokens;
// Reading the audit trail.
pub mod audit;
// What the rows tell about how the service is.
pub mod health;
// Rotating and revoking signing keys, and sealing everything anew.
pub mod keys;
// Showing and lifting limits.
pub mod limits;
// Looking through the outbox, and sending what was given up once more.
pub mod mails;
// Reasons that keep a user from signing in.
pub mod sign_in_problems;
// Where somebody is signed in, and ending that.
pub mod sessions;
// Finding, disabling and enabling users, and mailing them a link.
pub mod users;
// How many there are of what is kept.
pub mod statistics;
// The whole service from one database to another.
pub mod copy;

use crate::domain::audit::Event;
use crate::domain::auth::identity::Client;
use crate::entity::audit_event::Action;
use uuid::Uuid;

/// Whoever runs the command line.
#[derive(Clone, Debug)]
pub struct Operator(Client);

impl Operator {
    /// The one who does. Nothing that answers a request may make one.
    #[expect(clippy::new_without_default, reason = "a right should not come by default")]
    pub fn new() -> Self {
        Self(Client { ip: None, user_agent: Some("command line".to_owned()) })
    }

    /// The event of what was done, to somebody or to the service: by no user, and told apart from other events without one.
    fn did(&self, action: Action, target: impl Into<Option<Uuid>>) -> Event<'_> {
        Event::by_anyone(&self.0, action, target)
    }
}
