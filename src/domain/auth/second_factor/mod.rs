//! The second factor of sign-ins.
//!
//! A session is opened only for a [`Proven`] user. The first proof of a sign-in (a password, or a mailed link) makes one
//! only if the account has no second factor. Otherwise the sign-in ends with a [`challenge`], and only the right answer
//! to it makes a [`Proven`]. So no way in can forget the second factor.

// Proofs that are accepted now.
pub mod answers;
// Challenges of sign-ins, and their answers.
pub mod challenge;
// Factors and recovery codes of users.
pub mod factors;
// Second factors imported from another system.
pub(in crate::domain) mod imported;
// Verification of TOTP and recovery codes.
pub(in crate::domain) mod verify;

use uuid::Uuid;

use crate::config::SecondFactorPolicy;
use crate::domain::auth::passkeys::assertion::PasskeyAnswer;
use crate::domain::rate_limits::Limits;
use crate::entity::session::{Method, Methods};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::tools::secret::MasterKeys;
use crate::tools::webauthn::RelyingParty;

/// Dependencies of operations on second factors.
#[derive(Clone, Copy, Debug)]
pub struct SecondFactorRules<'a> {
    /// The users who must have a second factor.
    pub policy: SecondFactorPolicy,
    /// The keys that seal challenges and secrets.
    pub master_keys: &'a MasterKeys,
    /// The limit of wrong codes.
    pub limits: &'a Limits,
    /// The service as browsers know it; `None` if its public URL has no domain.
    pub relying_party: Option<&'a RelyingParty>,
}

impl<'a> SecondFactorRules<'a> {
    /// The service as browsers know it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without a domain.
    pub(in crate::domain) fn relying_party(self) -> Result<&'a RelyingParty> {
        self.relying_party.ok_or(Error::Forbidden)
    }
}

/// A proof of a second factor.
#[derive(Clone, Copy, Debug)]
pub enum SecondProof<'a> {
    /// A code of an authenticator app.
    Totp(&'a str),
    /// A recovery code.
    Recovery(&'a str),
    /// A code of either kind, from a field for both.
    Either(&'a str),
    /// A passkey.
    Passkey(&'a PasskeyAnswer),
}

impl SecondProof<'_> {
    /// The input field, as named in the schema.
    pub(in crate::domain) fn field(self) -> &'static str {
        match self {
            Self::Totp(_) => "totpCode",
            Self::Recovery(_) => "recoveryCode",
            Self::Either(_) => "code",
            Self::Passkey(_) => "passkey",
        }
    }

    /// The text of its refusal.
    fn incorrect(self) -> &'static str {
        match self {
            Self::Passkey(_) => "passkey-incorrect",
            Self::Totp(_) | Self::Recovery(_) | Self::Either(_) => "second-factor-incorrect",
        }
    }
}

/// A user who gave every proof that a sign-in needs.
#[derive(Clone, Debug)]
pub struct Proven {
    user: Uuid,
    methods: Methods,
}

impl Proven {
    /// The user after their first proofs; `None` if the second factor is still due. The row must be locked, or belong to
    /// a new account.
    pub(in crate::domain) fn first(
        policy: SecondFactorPolicy,
        user: &user::Model,
        methods: impl IntoIterator<Item = Method>,
    ) -> Option<Self> {
        let is_due = is_due(policy, user);
        (!is_due).then(|| Self { user: user.id, methods: Methods::new(methods) })
    }

    /// A user who gave a passkey, which needs no other proof.
    pub(in crate::domain) fn by_passkey(user: &user::Model) -> Self {
        Self { user: user.id, methods: Methods::new([Method::Passkey]) }
    }

    /// A new user who created a passkey at the link to their address.
    pub(in crate::domain) fn by_new_passkey(user: &user::Model) -> Self {
        Self { user: user.id, methods: Methods::new([Method::EmailLink, Method::Passkey]) }
    }

    /// The user.
    pub(in crate::domain) fn user(&self) -> Uuid {
        self.user
    }

    /// The methods of the proofs.
    pub(in crate::domain) fn methods(&self) -> &Methods {
        &self.methods
    }
}

/// True if a sign-in of this user needs the second factor.
pub(in crate::domain) fn is_due(policy: SecondFactorPolicy, user: &user::Model) -> bool {
    user.has_second_factor && policy != SecondFactorPolicy::Off
}

/// True if the user must have a second factor and has none: they can only enrol.
pub fn must_enroll(policy: SecondFactorPolicy, user: &user::Model) -> bool {
    let is_required = match policy {
        SecondFactorPolicy::Optional | SecondFactorPolicy::Off => false,
        SecondFactorPolicy::Staff => user.is_staff_member(),
        SecondFactorPolicy::All => true,
    };
    is_required && !user.has_second_factor
}
