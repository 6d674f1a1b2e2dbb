//! Checking, hashing and verifying passwords.

use std::time::Duration;

use crate::database::Db;
use crate::domain::auth::identity::Client;
use crate::domain::rate_limits::{self, Account, Attempt, Limits};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::breached_passwords::BreachedPasswords;
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::metrics::Registry;
use crate::tools::password::{Hasher, Load, Password, Verdict};
use crate::tools::password_policy::PasswordPolicy;

/// The rules for new passwords, and the hashing of all passwords. Every stored password passes through here.
#[derive(Clone, Debug)]
pub struct Passwords {
    hasher: Hasher,
    policy: PasswordPolicy,
    breached: BreachedPasswords,
    site: Vec<String>,
    limits: Limits,
    /// Makes temporary passwords expire.
    is_reachable: bool,
}

/// Lifetime of a temporary password if other machines can reach the service.
pub const TEMPORARY: Duration = Duration::from_secs(24 * 60 * 60);

/// A new password.
#[derive(Clone, Copy, Debug)]
pub struct NewPassword<'a> {
    /// The password.
    pub password: &'a str,
    /// The repeated password.
    pub confirm: Option<&'a str>,
    /// The input fields of both, as named in the schema.
    pub fields: (&'static str, &'static str),
}

/// A typed password of an account.
#[derive(Clone, Copy, Debug)]
pub struct TypedPassword<'a> {
    /// The account that was named.
    pub account: Account<'a>,
    /// The user, if there is one.
    pub user: Option<&'a user::Model>,
    /// The password.
    pub text: &'a str,
}

impl Passwords {
    /// The rules of this site, whose name and host are not allowed in passwords.
    pub fn new(hasher: Hasher, policy: PasswordPolicy, site: Vec<String>, limits: Limits) -> Self {
        Self { hasher, policy, breached: BreachedPasswords::default(), site, limits, is_reachable: false }
    }

    /// The same rules, and none of these passwords.
    #[must_use]
    pub fn rejecting_breached(self, breached: BreachedPasswords) -> Self {
        Self { breached, ..self }
    }

    /// The same, for a service that other machines can or cannot reach.
    #[must_use]
    pub fn where_reachable(self, is_reachable: bool) -> Self {
        Self { is_reachable, ..self }
    }

    /// Checks for a temporary password that was not replaced in time.
    pub fn has_expired(&self, user: &user::Model, now: &Now) -> bool {
        self.is_reachable && has_expired(user, now)
    }

    /// Refuses a new password that equals the temporary one it should replace.
    ///
    /// # Errors
    /// [`Code::Invalid`] of this field; [`Error::Unavailable`] if too many passwords are being hashed.
    pub async fn refuse_temporary(&self, user: &user::Model, new: NewPassword<'_>) -> Result<()> {
        let stored = user.password_hash.as_deref().filter(|_| user.temporary_password_at.is_some());
        let Some(stored) = stored else { return Ok(()) };
        match self.hasher.verify(&Password::new(new.password), Some(stored)).await?.matches {
            true => Err(Refusal::new(Code::Invalid, "password-temporary").of(new.fields.0).into()),
            false => Ok(()),
        }
    }

    /// The rules for new passwords.
    pub fn policy(&self) -> &PasswordPolicy {
        &self.policy
    }

    /// True if breached passwords are refused.
    pub fn rejects_breached(&self) -> bool {
        self.breached.has_source()
    }

    /// Limits on attempts with passwords and links.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Number of running and waiting hashes.
    pub fn load(&self) -> Load {
        self.hasher.load()
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        self.hasher.register(registry);
        self.breached.register(registry);
    }

    /// The hash of a new password for storage, in PHC form. `about` holds the user's own names and addresses, which are
    /// not allowed in it.
    ///
    /// # Errors
    /// The refusal with the broken rule; [`Error::Unavailable`] if too many passwords are being hashed.
    pub async fn accept(&self, new: NewPassword<'_>, about: &[&str]) -> Result<String> {
        self.check_form(new).map_err(Error::from)?;
        self.judge(new, about).await?;
        self.hash(new.password).await
    }

    /// The cheap checks of a new password: both entries are equal, and neither too short nor too long.
    ///
    /// # Errors
    /// The refusal with the broken rule.
    pub fn check_form(&self, new: NewPassword<'_>) -> Result<(), Refusal> {
        let (field, confirm_field) = new.fields;
        let password = Password::new(new.password);
        if new.confirm.is_some_and(|confirm| Password::new(confirm) != password) {
            let refusal = Refusal::new(Code::PasswordMismatch, "password-mismatch");
            return Err(refusal.of(confirm_field));
        }
        self.policy.check_length(&password).map_err(|refusal| refusal.of(field))
    }

    /// All rules for new passwords, with an estimate of the strength. The estimate takes milliseconds of CPU time and
    /// runs on a blocking thread. Another service may be asked for breached passwords, which takes a second at most and
    /// holds no permit. Callers take a limit and call [`Self::check_form`] first, and hold no transaction.
    ///
    /// # Errors
    /// The refusal with the broken rule; [`Error::Unavailable`] if too many passwords are being hashed.
    pub async fn judge(&self, new: NewPassword<'_>, about: &[&str]) -> Result<()> {
        let words: Vec<String> = self.site.iter().cloned().chain(about.iter().map(ToString::to_string)).collect();
        let password = Password::new(new.password);
        let (policy, breached, judged) = (self.policy, self.breached.clone(), password.clone());
        let checked = self.hasher.compute(move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            policy.check(&judged, &words)?;
            breached.check_list(&judged)
        });
        let of_field = |refusal: Refusal| Error::from(refusal.of(new.fields.0));
        checked.await?.map_err(of_field)?;
        self.breached.check_api(&password).await.map_err(of_field)
    }

    /// The hash of a judged password for storage, in PHC form.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if too many passwords are being hashed.
    pub async fn hash(&self, password: &str) -> Result<String> {
        self.hasher.hash(&Password::new(password)).await
    }

    /// Checks a typed password against this hash, for secrets with their own limits.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if too many passwords are being hashed.
    pub async fn matches(&self, typed: &str, hash: &str) -> Result<bool> {
        Ok(self.hasher.verify(&Password::new(typed), Some(hash)).await?.matches)
    }

    /// Checks a typed password against the user's. Without a user or a stored password, the same work is done, so
    /// timing does not reveal which accounts exist. It counts as an attempt, which the caller gives back after a
    /// correct password.
    ///
    /// # Errors
    /// [`Error::RateLimited`] after too many wrong passwords; [`Error::Unavailable`] if too many passwords are being
    /// hashed.
    pub async fn verify(
        &self,
        db: &Db,
        now: &Now,
        client: &Client,
        typed: TypedPassword<'_>,
    ) -> Result<(Verdict, Attempt)> {
        let TypedPassword { account, user, text } = typed;
        let attempt = rate_limits::take_attempt(db, now, client, &self.limits, account).await?;
        let stored = user.filter(|_| !attempt.is_void).and_then(|user| user.password_hash.as_deref());
        match self.hasher.verify(&Password::new(text), stored).await {
            Ok(verdict) => Ok((verdict, attempt)),
            Err(error) => {
                // A busy service must not lock out an owner.
                rate_limits::give_back(db.writer(), attempt).await?;
                Err(error)
            }
        }
    }

    /// A new hash of a correct password, for a stored hash with other parameters.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if too many passwords are being hashed.
    pub async fn rehash(&self, typed: &str) -> Result<String> {
        self.hasher.hash(&Password::new(typed)).await
    }
}

/// Checks for a temporary password that is too old for a service that other machines can reach.
pub fn has_expired(user: &user::Model, now: &Now) -> bool {
    // A clock that was set back must not extend the lifetime.
    let is_over = |since: Timestamp| now.at >= since.plus(TEMPORARY) || now.at.plus(SKEW) < since;
    user.temporary_password_at.is_some_and(is_over)
}

/// The user's data that is not allowed in their password.
pub fn about(user: &user::Model) -> [&str; 4] {
    [&user.username, &user.email, &user.first_name, &user.last_name]
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::config::Config;
    use crate::tools::password::MAX_LENGTH;

    fn passwords() -> Passwords {
        let config = Config::defaults();
        let hasher = Hasher::new(config.argon2_engine, "m=8,t=1,p=1".parse().unwrap(), 1, 1);
        Passwords::new(hasher, PasswordPolicy { min_length: 8 }, Vec::new(), Limits::new(config.limits))
    }

    fn new(password: &str) -> NewPassword<'_> {
        NewPassword { password, confirm: None, fields: ("password", "passwordConfirm") }
    }

    #[tokio::test]
    async fn the_longest_password_is_judged_on_another_thread() {
        let passwords = passwords();
        let slow = "0@1l3$5!7+".repeat(MAX_LENGTH).chars().take(MAX_LENGTH).collect::<String>();
        let mut judged = pin!(passwords.accept(new(&slow), &[]));
        // The first poll ends when the work moves to another thread: this thread continues immediately.
        assert!(matches!(judged.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        assert_eq!(passwords.load().running, 1);
        let _ = judged.await;
        assert_eq!(passwords.load().running, 0);
    }

    #[tokio::test]
    async fn no_more_passwords_are_judged_at_once_than_are_hashed() {
        let passwords = passwords();
        let poll = |future: std::pin::Pin<&mut (dyn Future<Output = Result<()>> + Send)>| {
            future.poll(&mut Context::from_waker(Waker::noop()))
        };
        let (mut first, mut second) =
            (Box::pin(passwords.judge(new(PHRASE), &[])), Box::pin(passwords.judge(new(PHRASE), &[])));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(matches!(passwords.judge(new(PHRASE), &[]).await, Err(Error::Unavailable(_))));
        assert!(first.await.is_ok() && second.await.is_ok());
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_without_judging_it() {
        let passwords = passwords();
        let long = "a".repeat(MAX_LENGTH + 1);
        let mut refused = pin!(passwords.accept(new(&long), &[]));
        let polled = refused.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(Error::Refused(_)))));
    }

    const PHRASE: &str = "lantern otter drizzle pebble";
}
