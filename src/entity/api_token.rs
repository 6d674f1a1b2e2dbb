//! What scripts sign in with.

use std::fmt;
use std::str::FromStr;

use sea_orm::Condition;
use sea_orm::entity::prelude::*;

use crate::tools::clock::Timestamp;

/// A token that a user made for a script. It acts as its owner, as far as its scopes go.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_tokens")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// SHA-256 of the secret.
    #[sea_orm(unique)]
    pub digest: Vec<u8>,
    /// How the secret begins, to recognise it by.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it ends. Every token has an end; none only where an instance of an older version made it during an upgrade.
    pub expires_at: Option<Timestamp>,
    /// Its owner.
    #[sea_orm(belongs_to, from = "user_id", to = "id")]
    pub user: BelongsTo<super::user::Entity>,
}

/// What a token may be used for; none includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Scope {
    /// Queries.
    Read,
    /// Mutations of the owner's own data, but none about credentials, sessions and tokens.
    Write,
    /// Whole lists.
    Export,
    /// Mutations of other users who are not staff: their details and active flag, and new accounts without rights.
    ManageUsers,
}

/// Several scopes, each once and in their order; stored as their names with commas between them.
#[derive(Clone, Debug, PartialEq, Eq, DeriveValueType)]
#[sea_orm(value_type = "String")]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// These scopes, in whatever order and however often each was named.
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

    /// Whether this one is among them.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether there is none.
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

/// The tokens that have not run out.
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
