//! Log lines about denied permissions: the caller and the refused operation.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::domain::auth::identity::Caller;
use crate::tools::clock::{Now, Timestamp};

/// Maximum number of lines about one user in each [`WINDOW`]. Further refusals are counted, and the next line reports
/// their number.
pub const LINES: u32 = 20;

/// Period in which the lines about a user are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Number of users with separate counts; further users share one count.
const USERS: usize = 10_000;

/// Counts of recent lines.
#[derive(Debug, Default)]
pub struct RefusedRights(Mutex<HashMap<Option<Uuid>, Lines>>);

/// Lines about one user.
#[derive(Clone, Copy, Debug)]
struct Lines {
    since: Timestamp,
    refused: u32,
}

impl RefusedRights {
    /// Logs a refusal, unless there are many about this user already: the caller requested `operation`, the name of a
    /// field or route, and got `code`.
    pub fn note(&self, now: &Now, caller: Option<&Caller>, operation: &str, code: &str) {
        let Some(suppressed) = self.count(now.at, caller.map(Caller::user_id)) else { return };
        match caller {
            Some(caller) => {
                let (credential, id) = caller.credential_id();
                let user = caller.user_id();
                tracing::warn!(%user, credential, credential_id = %id, operation, code, suppressed, "permission denied");
            }
            None => tracing::warn!(operation, code, suppressed, "permission denied; not signed in"),
        }
    }

    /// Counts a refusal. Returns the number of suppressed refusals in the previous window if this one is logged.
    fn count(&self, now: Timestamp, user: Option<Uuid>) -> Option<u32> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |lines: &Lines| lines.since <= now.minus(WINDOW) || lines.since > now;
        if users.len() >= USERS {
            users.retain(|_, lines| !is_over(lines));
        }
        let user = user.filter(|user| users.len() < USERS || users.contains_key(&Some(*user)));
        let lines = users.entry(user).or_insert(Lines { since: now, refused: 0 });
        let mut suppressed = 0;
        if is_over(lines) {
            suppressed = lines.refused.saturating_sub(LINES);
            *lines = Lines { since: now, refused: 0 };
        }
        lines.refused = lines.refused.saturating_add(1);
        (lines.refused <= LINES).then_some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_by_user_and_the_rest_is_counted() {
        let refused = RefusedRights::default();
        let now = Timestamp::parse("2026-01-05T09:00:00Z").unwrap();
        let (one, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let written = (0..100).filter_map(|_| refused.count(now, one)).count();
        assert_eq!(written, 20);
        assert_eq!(refused.count(now, other), Some(0), "one user does not hide another");
        assert_eq!(refused.count(now.plus(WINDOW), one), Some(80));
        assert_eq!(refused.count(now, one), Some(0), "a clock that was set back does not end the lines");
        for user in 0..12_000 {
            refused.count(now, Some(Uuid::from_u128(user)));
        }
        assert!(refused.0.lock().unwrap().len() <= USERS + 1);
        assert_eq!(refused.count(now.plus(WINDOW), Some(Uuid::from_u128(40_000))), Some(0));
    }
}
