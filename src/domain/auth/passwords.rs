//! From a typed password to a stored hash.

use std::time::Duration;

use crate::database::Db;
use crate::domain::auth::identity::Client;
use crate::domain::rate_limits::{self, Account, Attempt, Limits};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::metrics::Registry;
use crate::tools::password::{Hasher, Load, Password, Verdict};
use crate::tools::password_policy::PasswordPolicy;

/// The rules for new passwords, and the hashing of all. There is no other way from a typed password to a stored one.
#[derive(Clone, Debug)]
pub struct Passwords {
    hasher: Hasher,
    policy: PasswordPolicy,
    site: Vec<String>,
    limits: Limits,
    /// Makes temporary passwords expire.
    is_reachable: bool,
}

/// Lifetime of a temporary password where others can reach the service.
pub const TEMPORARY: Duration = Duration::from_secs(24 * 60 * 60);

/// A password that somebody wants to have.
#[derive(Clone, Copy, Debug)]
pub struct NewPassword<'a> {
    /// The password.
    pub password: &'a str,
    /// The same, typed a second time.
    pub confirm: Option<&'a str>,
    /// The input fields of both, as the schema names them.
    pub fields: (&'static str, &'static str),
}

impl Passwords {
    /// The rules of this site, whose name and host are too easy to guess.
    pub fn new(hasher: Hasher, policy: PasswordPolicy, site: Vec<String>, limits: Limits) -> Self {
        Self { hasher, policy, site, limits, is_reachable: false }
    }

    /// The same, where others than this machine's users can reach the service or cannot.
    #[must_use]
    pub fn where_reachable(self, is_reachable: bool) -> Self {
        Self { is_reachable, ..self }
    }

    /// Checks for a temporary password that was not replaced in time.
    pub fn has_expired(&self, user: &user::Model, now: &Now) -> bool {
        self.is_reachable && has_expired(user, now)
    }

    /// Refuses a new password that is the temporary one which it should replace.
    ///
    /// # Errors
    /// [`Code::Invalid`] of this field; [`Error::Unavailable`] where too many passwords are being hashed.
    pub async fn refuse_temporary(&self, user: &user::Model, new: NewPassword<'_>) -> Result<()> {
        let stored = user.password_hash.as_deref().filter(|_| user.temporary_password_at.is_some());
        let Some(stored) = stored else { return Ok(()) };
        match self.hasher.verify(&Password::new(new.password), Some(stored)).await?.matches {
            true => Err(Refusal::new(Code::Invalid, "Choose another password than the temporary one.")
                .of(new.fields.0)
                .into()),
            false => Ok(()),
        }
    }

    /// The rules for new passwords.
    pub fn policy(&self) -> &PasswordPolicy {
        &self.policy
    }

    /// How often passwords and links may be tried.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many passwords are being hashed, and wait for that.
    pub fn load(&self) -> Load {
        self.hasher.load()
    }

    /// Puts what is counted among what is told to those who watch.
    pub fn register(&self, registry: &mut Registry) {
        self.hasher.register(registry);
    }

    /// The hash to store of a new password, in PHC form. `about` are the user's own names and addresses, which it must
    /// not be made of.
    ///
    /// # Errors
    /// The refusal that tells which rule it breaks; [`Error::Unavailable`] where too many passwords are being hashed.
    pub async fn accept(&self, new: NewPassword<'_>, about: &[&str]) -> Result<String> {
        self.check_form(new).map_err(Error::from)?;
        self.judge(new, about).await?;
        self.hash(new.password).await
    }

    /// The checks of a new password that cost nothing: both entries are the same, and neither too short nor too long.
    ///
    /// # Errors
    /// The refusal that tells which rule it breaks.
    pub fn check_form(&self, new: NewPassword<'_>) -> Result<(), Refusal> {
        let (field, confirm_field) = new.fields;
        let password = Password::new(new.password);
        if new.confirm.is_some_and(|confirm| Password::new(confirm) != password) {
            let refusal = Refusal::new(Code::PasswordMismatch, "The two passwords differ: type the same twice.");
            return Err(refusal.of(confirm_field));
        }
        self.policy.check_length(&password).map_err(|refusal| refusal.of(field))
    }

    /// All rules for new passwords, with an estimate of the strength. That takes milliseconds of computing, so it is done
    /// on a blocking thread, and callers take a limit and call [`Self::check_form`] first.
    ///
    /// # Errors
    /// The refusal that tells which rule it breaks; [`Error::Unavailable`] where too many passwords are being hashed.
    pub async fn judge(&self, new: NewPassword<'_>, about: &[&str]) -> Result<()> {
        let words: Vec<String> = self.site.iter().cloned().chain(about.iter().map(ToString::to_string)).collect();
        let (policy, password) = (self.policy, Password::new(new.password));
        let judged = self.hasher.compute(move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            policy.check(&password, &words)
        });
        judged.await?.map_err(|refusal| refusal.of(new.fields.0).into())
    }

    /// The hash to store of a password that was judged before, in PHC form.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where too many passwords are being hashed.
    pub async fn hash(&self, password: &str) -> Result<String> {
        self.hasher.hash(&Password::new(password)).await
    }

    /// Whether a typed password has this hash, for secrets that have limits of their own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where too many passwords are being hashed.
    pub async fn matches(&self, typed: &str, hash: &str) -> Result<bool> {
        Ok(self.hasher.verify(&Password::new(typed), Some(hash)).await?.matches)
    }

    /// Whether a typed password is the user's; without a user, or without a stored password, the same work is done
    /// for nothing, so that time tells nobody which accounts exist. It is an attempt of the limits, to be given back where
    /// the password was right.
    ///
    /// # Errors
    /// [`Error::RateLimited`] after too many wrong ones; [`Error::Unavailable`] where too many passwords are being hashed.
    pub async fn verify(
        &self,
        db: &Db,
        now: &Now,
        client: &Client,
        (account, user): (Account<'_>, Option<&user::Model>),
        typed: &str,
    ) -> Result<(Verdict, Attempt)> {
        let attempt = rate_limits::take_attempt(db, now, client, &self.limits, account).await?;
        let stored = user.filter(|_| !attempt.is_void).and_then(|user| user.password_hash.as_deref());
        Ok((self.hasher.verify(&Password::new(typed), stored).await?, attempt))
    }

    /// The hash to store of a password that was right, where the stored one was made with other parameters.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where too many passwords are being hashed.
    pub async fn rehash(&self, typed: &str) -> Result<String> {
        self.hasher.hash(&Password::new(typed)).await
    }
}

/// Checks for a temporary password that is too old for a service that others can reach.
pub fn has_expired(user: &user::Model, now: &Now) -> bool {
    // A clock that was set back must not prolong it.
    let is_over = |since: Timestamp| now.at >= since.plus(TEMPORARY) || now.at.plus(SKEW) < since;
    user.temporary_password_at.is_some_and(is_over)
}

/// What a user's password must not be made of.
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
        // The first poll ends where the work begins elsewhere: this thread goes on at once.
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
