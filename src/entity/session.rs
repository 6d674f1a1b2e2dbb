//! Sessions of users.

use std::fmt;
use std::str::FromStr;

use sea_orm::entity::prelude::*;

use serde::{Deserialize, Serialize};

use crate::tools::clock::Timestamp;

/// A session, live as long as it has a row. Refreshing rotates its token by incrementing `counter`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// Its id, `sid` in access tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Id of its user.
    pub user_id: Uuid,
    /// Generation of the latest tokens.
    pub counter: i32,
    /// The last generation of which an access or refresh token was used; -1 at first.
    pub used: i32,
    /// Time at which `counter` was last incremented.
    pub rotated_at: Timestamp,
    /// Time of the sign-in.
    pub created_at: Timestamp,
    /// Time at which the user last proved who they are: by the sign-in, or by a later proof.
    pub authenticated_at: Timestamp,
    /// The methods by which the user proved who they are in this session.
    pub methods: Methods,
    /// Time of the last refresh.
    pub last_used_at: Timestamp,
    /// Expiry, regardless of use.
    pub expires_at: Timestamp,
    /// Client address at the sign-in.
    pub ip: Option<String>,
    /// User agent at the sign-in.
    pub user_agent: Option<String>,
    /// Its user.
    #[sea_orm(belongs_to, from = "user_id", to = "id")]
    pub user: BelongsTo<super::user::Entity>,
}

/// A method by which users prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Method {
    /// The password of the account.
    Password,
    /// A link in an email to the address of the account.
    EmailLink,
    /// A code of an authenticator app.
    Totp,
    /// A recovery code.
    RecoveryCode,
    /// A passkey whose device verified its user.
    Passkey,
}

impl Method {
    /// True for a second factor.
    pub fn is_second_factor(self) -> bool {
        match self {
            Self::Totp | Self::RecoveryCode | Self::Passkey => true,
            Self::Password | Self::EmailLink => false,
        }
    }
}

/// Distinct methods in order; stored as their names, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, DeriveValueType)]
#[sea_orm(value_type = "String")]
pub struct Methods(Vec<Method>);

impl Methods {
    /// Creates a set of methods, in any order and with repetitions.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut methods: Vec<Method> = methods.into_iter().collect();
        methods.sort_unstable();
        methods.dedup();
        Self(methods)
    }

    /// The methods.
    pub fn iter(&self) -> impl Iterator<Item = Method> + '_ {
        self.0.iter().copied()
    }

    /// The same methods and this one.
    #[must_use]
    pub fn with(&self, method: Method) -> Self {
        Self::new(self.iter().chain([method]))
    }

    /// True if they are of both kinds: a first proof and a second factor. A passkey is both: a device, and a PIN or
    /// biometrics.
    pub fn are_two_factors(&self) -> bool {
        let has_passkey = self.0.contains(&Method::Passkey);
        has_passkey || self.iter().any(Method::is_second_factor) && !self.iter().all(Method::is_second_factor)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Method::to_value).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Methods {
    type Err = DbErr;

    fn from_str(text: &str) -> Result<Self, DbErr> {
        let names = text.split(',').filter(|name| !name.is_empty());
        let methods: Result<Vec<Method>, DbErr> = names.map(|name| Method::try_from_value(&name.to_owned())).collect();
        methods.map(Self::new)
    }
}

impl ActiveModelBehavior for ActiveModel {}

#[cfg(test)]
mod tests {
    use sea_orm::Iterable as _;

    use super::*;

    #[test]
    fn methods_are_kept_once_each_and_read_back() {
        let methods = Methods::new([Method::Totp, Method::Password, Method::Totp]);
        assert_eq!(methods.to_string(), "PASSWORD,TOTP");
        assert_eq!("PASSWORD,TOTP".parse::<Methods>().unwrap(), methods);
        assert_eq!(Methods::new(Method::iter()).to_string(), "PASSWORD,EMAIL_LINK,TOTP,RECOVERY_CODE,PASSKEY");
        assert!("PASSWORD,MAGIC".parse::<Methods>().is_err());
    }

    #[test]
    fn two_factors_are_of_different_kinds() {
        let are_two = |methods: &[Method]| Methods::new(methods.iter().copied()).are_two_factors();
        assert!(are_two(&[Method::Passkey]) && are_two(&[Method::Password, Method::Passkey]));
        assert!(are_two(&[Method::Password, Method::Totp]) && are_two(&[Method::EmailLink, Method::RecoveryCode]));
        assert!(!are_two(&[Method::Password, Method::EmailLink]) && !are_two(&[Method::Totp, Method::RecoveryCode]));
        assert!(!are_two(&[Method::Password]) && !are_two(&[Method::Totp]) && !are_two(&[]));
    }
}
