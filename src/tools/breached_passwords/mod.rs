//! Passwords in public lists of stolen passwords. Two optional sources know them: a file ([`BreachedList`]) and another
//! service ([`RangeApi`]).

// A file of hashes.
mod list;
// Construction of the file from the public list.
mod list_builder;
// A service that returns hashes by their first characters.
mod range_api;

use std::fmt;
use std::sync::Arc;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

pub use self::list::BreachedList;
pub use self::list_builder::{Built, build};
pub use self::range_api::RangeApi;
use crate::error::{Code, Refusal};
use crate::tools::metrics::{self, Counter, EncodeLabelSet, Family, Label, Registry};
use crate::tools::password::Password;

#[cfg(any(test, fuzzing))]
pub(crate) use self::list_builder::parse_row;
#[cfg(any(test, fuzzing))]
pub(crate) use self::range_api::contains as range_contains;

/// SHA-1 hash of a password, by which public lists name it. It is never stored, and only a part of it ever leaves the
/// process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PasswordSha1([u8; 20]);

impl PasswordSha1 {
    /// The hash of this password.
    pub fn of(password: &Password) -> Self {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.reveal().as_bytes()).as_ref());
        Self(bytes)
    }

    /// The hash in 40 upper-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

impl fmt::Debug for PasswordSha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The sources of breached passwords. Without a source, no password is refused. Clones share the metrics.
#[derive(Clone, Debug)]
pub struct BreachedPasswords {
    list: Option<Arc<BreachedList>>,
    api: Option<RangeApi>,
    checks: Family<CheckLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    source: Label,
    outcome: Label,
}

const LIST: Label = "list";
const API: Label = "api";

impl BreachedPasswords {
    /// The passwords of these sources.
    pub fn new(list: Option<BreachedList>, api: Option<RangeApi>) -> Self {
        let outcomes = ["found", "not_found", "failed"];
        let labels = [LIST, API].into_iter().flat_map(|source| outcomes.map(|outcome| CheckLabels { source, outcome }));
        Self { list: list.map(Arc::new), api, checks: metrics::counters(labels) }
    }

    /// True if there is a source.
    pub fn has_source(&self) -> bool {
        self.list.is_some() || self.api.is_some()
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "New passwords looked up in a source of breached passwords";
        registry.register("breached_password_checks", help, self.checks.clone());
    }

    /// Refuses a password of the list. Reads from a file, so it belongs on a blocking thread. A file that cannot be
    /// read refuses nothing.
    ///
    /// # Errors
    /// [`Code::PasswordBreached`].
    pub fn check_list(&self, password: &Password) -> Result<(), Refusal> {
        let Some(list) = &self.list else { return Ok(()) };
        self.judge(LIST, list.contains(PasswordSha1::of(password)).map_err(|error| error.to_string()))
    }

    /// Refuses a password that the service knows. A service that does not answer in time refuses nothing.
    ///
    /// # Errors
    /// [`Code::PasswordBreached`].
    pub async fn check_api(&self, password: &Password) -> Result<(), Refusal> {
        let Some(api) = &self.api else { return Ok(()) };
        self.judge(API, api.contains(PasswordSha1::of(password)).await)
    }

    /// Counts the outcome. Failures are logged without the hash and without the address, which contains a part of it.
    fn judge(&self, source: Label, found: Result<bool, String>) -> Result<(), Refusal> {
        let (outcome, judged) = match found {
            Ok(true) => ("found", Err(Refusal::new(Code::PasswordBreached, "password-breached"))),
            Ok(false) => ("not_found", Ok(())),
            Err(error) => {
                tracing::warn!(source, error, "breached-password check failed");
                ("failed", Ok(()))
            }
        };
        self.checks.get_or_create(&CheckLabels { source, outcome }).inc();
        judged
    }
}

/// No sources.
impl Default for BreachedPasswords {
    fn default() -> Self {
        Self::new(None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_public_lists() {
        let hash = PasswordSha1::of(&Password::new("password"));
        assert_eq!(hash.to_hex(), "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
        assert_eq!(format!("{hash:?}"), "[secret]");
    }

    #[test]
    fn without_a_source_nothing_is_refused() {
        let none = BreachedPasswords::default();
        assert!(!none.has_source());
        assert_eq!(none.check_list(&Password::new("password")), Ok(()));
    }
}
