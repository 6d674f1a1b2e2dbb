//! API tokens of scripts.

use std::fmt;
use std::str::FromStr;

use sea_orm::Condition;
use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// An API token, created by a user for a script. It acts as its owner, within its scopes.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_tokens")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Id of its owner.
    pub user_id: Uuid,
    /// The name given by its owner.
    pub name: String,
    /// Its scopes.
    pub scopes: Scopes,
    /// SHA-256 of the secret.
    #[sea_orm(unique)]
    pub digest: Vec<u8>,
    /// Start of the token, to recognize it by.
    pub prefix: String,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last use, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Expiry. `None` only if an instance of an older version created it during an upgrade.
    pub expires_at: Option<Timestamp>,
    /// Its owner.
    #[sea_orm(belongs_to, from = "user_id", to = "id")]
    pub user: BelongsTo<super::user::Entity>,
}

/// A permission of a token; no scope includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Scope {
    /// Queries.
    Read,
    /// Mutations of the owner's own data, except for credentials, sessions and tokens.
    Write,
    /// Exports of whole lists.
    Export,
    /// Mutations of users who are not staff: their details and active flag, and new accounts without rights.
    ManageUsers,
}

/// Distinct scopes in order; stored as their names, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, DeriveValueType)]
#[sea_orm(value_type = "String")]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Creates a set of scopes, in any order and with repetitions.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// The scopes.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }

    /// True if this scope is included.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// True if there are no scopes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Scope::to_value).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Scopes {
    type Err = DbErr;

    fn from_str(text: &str) -> Result<Self, DbErr> {
        let names = text.split(',').filter(|name| !name.is_empty());
        let scopes: Result<Vec<Scope>, DbErr> = names.map(|name| Scope::try_from_value(&name.to_owned())).collect();
        scopes.map(Self::new)
    }
}

/// The tokens that have not expired.
pub fn alive_at(now: Timestamp) -> Condition {
    Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now))
}

impl ActiveModelBehavior for ActiveModel {}

#[cfg(test)]
mod tests {
    use sea_orm::Iterable as _;

    use super::*;

    #[test]
    fn scopes_are_kept_once_each_and_read_back() {
        let scopes = Scopes::new([Scope::Export, Scope::Read, Scope::Export]);
        assert_eq!(scopes.to_string(), "READ,EXPORT");
        assert_eq!("READ,EXPORT".parse::<Scopes>().unwrap(), scopes);
        assert!("".parse::<Scopes>().unwrap().is_empty());
        let all = "READ,WRITE,EXPORT,MANAGE_USERS";
        assert_eq!(Scopes::new(Scope::iter()).to_string(), all);
        assert!("READ,EVERYTHING".parse::<Scopes>().is_err());
    }
}
