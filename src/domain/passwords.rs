//! From a typed password to a stored hash.

use crate::database::Db;
use crate::domain::access::Client;
use crate::domain::limits::{self, Account, Attempt, Limits};
use crate::entity::user;
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Moment;
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
}

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
        Self { hasher, policy, site, limits }
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
        self.check(new, about).map_err(Error::from)?;
        self.hasher.hash(&Password::new(new.password)).await
    }

    /// Whether [`Self::accept`] would take this password: for telling what is wrong with it along with the rest.
    ///
    /// # Errors
    /// The refusal that tells which rule it breaks.
    pub fn check(&self, new: NewPassword<'_>, about: &[&str]) -> Result<(), Refusal> {
        let (field, confirm_field) = new.fields;
        let password = Password::new(new.password);
        if new.confirm.is_some_and(|confirm| Password::new(confirm) != password) {
            let refusal = Refusal::new(Code::PasswordMismatch, "The two passwords differ: type the same twice.");
            return Err(refusal.of(confirm_field));
        }
        let words: Vec<&str> = self.site.iter().map(String::as_str).chain(about.iter().copied()).collect();
        self.policy.check(&password, &words).map_err(|refusal| refusal.of(field))
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
        now: &Moment,
        client: &Client,
        (account, user): (Account<'_>, Option<&user::Model>),
        typed: &str,
    ) -> Result<(Verdict, Attempt)> {
        let attempt = limits::take_attempt(db, now, client, &self.limits, account).await?;
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

/// What a user's password must not be made of.
pub fn about(user: &user::Model) -> [&str; 4] {
    [&user.username, &user.email, &user.first_name, &user.last_name]
}
