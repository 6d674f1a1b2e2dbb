//! Log lines about refused rights: who asked for what without having the right.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::domain::auth::identity::Caller;
use crate::tools::clock::{Now, Timestamp};

/// Number of lines about one user in each [`WINDOW`]. More refusals are counted, and the next line tells their number.
pub const LINES: u32 = 20;

/// Time for which the lines about a user are counted together.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Number of users whose lines are counted apart; further users share one count.
const USERS: usize = 10_000;

/// Counts of the lines that were written lately.
#[derive(Debug, Default)]
pub struct RefusedRights(Mutex<HashMap<Option<Uuid>, Lines>>);

/// Lines about one user.
#[derive(Clone, Copy, Debug)]
struct Lines {
    since: Timestamp,
    refused: u32,
}

impl RefusedRights {
    /// Writes a line, unless there are many about this user already: the caller wanted `what`, the name of a field or route,
    /// and was answered with `code`.
    pub fn note(&self, now: &Now, caller: Option<&Caller>, what: &str, code: &str) {
        let Some(unlogged) = self.count(now.at, caller.map(Caller::user_id)) else { return };
        match caller {
            Some(caller) => {
                let (credential, id) = caller.credential_id();
                let user = caller.user_id();
                tracing::warn!(%user, credential, credential_id = %id, what, code, unlogged, "right refused");
            }
            None => tracing::warn!(what, code, unlogged, "right refused to a client that is not signed in"),
        }
    }

    /// Counts a refusal; returns the number of refusals without a line in the window before if this one gets a line.
    fn count(&self, now: Timestamp, user: Option<Uuid>) -> Option<u32> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |lines: &Lines| lines.since <= now.minus(WINDOW) || lines.since > now;
        if users.len() >= USERS {
            users.retain(|_, lines| !is_over(lines));
        }
        let user = user.filter(|user| users.len() < USERS || users.contains_key(&Some(*user)));
        let lines = users.entry(user).or_insert(Lines { since: now, refused: 0 });
        let mut unlogged = 0;
        if is_over(lines) {
            unlogged = lines.refused.saturating_sub(LINES);
            *lines = Lines { since: now, refused: 0 };
        }
        lines.refused = lines.refused.saturating_add(1);
        (lines.refused <= LINES).then_some(unlogged)
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
