//! Second factors, imported so that phones, recovery codes and passkeys keep working.
//!
//! A user has one app here, so the one that was used last is imported. Each app, code and passkey is remembered by a
//! digest, so that one that was used up or removed here is not imported again. The digests of codes include a secret of
//! the user, because a code alone can be guessed.

// Rows of allauth.
mod allauth;
// Rows of django-otp.
mod django_otp;
// Second factors here.
mod here;
// Writing of a batch.
pub(super) mod write;

use uuid::Uuid;

use super::mapping::Mapping;
use super::source::factors::{FactorRow, FactorTable};
use crate::texts::Text;
use crate::tools::clock::Timestamp;
use crate::tools::recovery_code::ImportedCode;
use crate::tools::secret::digest_parts;
use crate::tools::totp::{TimeStep, TotpSecret};

/// Maximum number of recovery codes of a user. All are compared with a typed code.
pub(super) const MAX_CODES: usize = 30;

/// Second factors of a user in Django.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Factors {
    /// The app that was used last.
    pub(super) app: Option<App>,
    /// Unused recovery codes.
    pub(super) codes: Vec<Code>,
    /// Passkeys.
    pub(super) passkeys: Vec<Passkey>,
    /// Problems of what is not imported.
    pub(super) notes: Vec<Text>,
}

/// An account with the second factors of its user in Django.
pub(super) struct Holder<'a> {
    pub(super) user: Uuid,
    pub(super) email: String,
    /// The id in Django, with its prefix.
    pub(super) id: &'a str,
    /// True if this run created it.
    pub(super) is_new: bool,
    /// True if the import may change it.
    pub(super) may_change: bool,
    pub(super) factors: &'a Factors,
}

/// An authenticator app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct App {
    pub(super) secret: TotpSecret,
    /// The last step of which a code may have been used.
    pub(super) last_step: TimeStep,
    /// True if that follows from a time, whose zone may be wrong.
    pub(super) is_estimated: bool,
}

/// A recovery code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) code: ImportedCode,
    /// Digest by which it is recognized.
    pub(super) digest: Vec<u8>,
}

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passkey {
    pub(super) name: String,
    pub(super) attestation: Vec<u8>,
    pub(super) transports: Vec<String>,
    /// The id by which the authenticator knows its user.
    pub(super) user_handle: Vec<u8>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
}

impl App {
    /// The time before which its codes may have been used, in seconds since 1970.
    fn last_use(&self) -> i64 {
        self.last_step.0.saturating_mul(self.secret.form().period())
    }

    /// Digest by which an app of the user with this id is recognized.
    pub(super) fn digest(id: &str, secret: &TotpSecret) -> Vec<u8> {
        digest_parts(&[b"app", id.as_bytes(), secret.reveal()])
    }
}

/// Contents of the rows of a user.
#[derive(Default)]
struct Found {
    apps: Vec<App>,
    codes: Vec<FoundCode>,
    passkeys: Vec<Passkey>,
    notes: Vec<Text>,
}

/// A recovery code, with the seed that allauth derived it from.
struct FoundCode {
    code: ImportedCode,
    seed: Option<Vec<u8>>,
}

/// Reads the rows of a user. `own` is the id in Django, `id` the one with the mapping's prefix.
pub(super) fn read(rows: &[FactorRow], mapping: &Mapping, own: &str, id: &str) -> Factors {
    let mut found = Found::default();
    for row in rows {
        let read = match row.table {
            FactorTable::TotpDevices => django_otp::device(row, &mut found),
            FactorTable::StaticTokens => django_otp::token(row, &mut found),
            FactorTable::Authenticators => allauth::authenticator(row, mapping, own, &mut found),
        };
        found.notes.extend(read.err());
    }
    let Found { mut apps, mut codes, passkeys, mut notes } = found;
    // The later of equals comes first.
    apps.reverse();
    apps.sort_by_key(|app| std::cmp::Reverse(app.last_use()));
    if apps.len() > 1 {
        notes.push(Text::new("django-factor-apps").with("count", apps.len()));
    }
    let app = apps.into_iter().next();
    if codes.len() > MAX_CODES {
        notes.push(Text::new("django-factor-codes").with("max", MAX_CODES));
        codes.truncate(MAX_CODES);
    }
    let shared = app.as_ref().map(|app| app.secret.reveal());
    let mut kept: Vec<Code> = Vec::with_capacity(codes.len());
    for FoundCode { code, seed } in codes {
        let Some(key) = seed.as_deref().or(shared) else {
            notes.push(Text::new("django-factor-codes-alone"));
            break;
        };
        let digest = digest_parts(&[b"code", id.as_bytes(), key, code.reveal().as_bytes()]);
        if kept.iter().all(|other| other.digest != digest) {
            kept.push(Code { code, digest });
        }
    }
    Factors { app, codes: kept, passkeys, notes }
}
