//! Names and other personal details: the same rules for users and staff.

use sea_orm::UpdateMany;
use sea_orm::sea_query::Expr;

use crate::entity::user::{self, Column};
use crate::error::Refusal;
use crate::tools::{identifier, text};

/// Maximum length of a first or last name, in characters.
pub const MAX_NAME: usize = 150;

/// Maximum length of a telephone number, in characters.
pub const MAX_PHONE: usize = 40;

/// Maximum length of a postal address, in characters.
pub const MAX_ADDRESS: usize = 500;

/// Maximum length of a biography, in characters.
pub const MAX_BIO: usize = 2000;

/// The changes; a field that is `None` stays unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The username.
    pub username: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// The biography.
    pub bio: Option<String>,
}

impl Details {
    /// The same in stored form; invalid fields are left out and reported in `refusals`.
    pub(in crate::domain) fn check(self, refusals: &mut Vec<Refusal>) -> Self {
        let mut checked = |value: Option<String>, check: &dyn Fn(&str) -> Result<String, Refusal>| {
            value.and_then(|value| check(&value).map_err(|refusal| refusals.push(refusal)).ok())
        };
        Self {
            username: checked(self.username, &|value| identifier::username(value).map_err(|r| r.of("username"))),
            first_name: checked(self.first_name, &|value| text::line("firstName", value, MAX_NAME)),
            last_name: checked(self.last_name, &|value| text::line("lastName", value, MAX_NAME)),
            phone: checked(self.phone, &|value| text::line("phone", value, MAX_PHONE)),
            address: checked(self.address, &|value| text::lines("address", value, MAX_ADDRESS)),
            bio: checked(self.bio, &|value| text::lines("bio", value, MAX_BIO)),
        }
    }

    /// The fields that differ from the user's.
    pub(in crate::domain) fn changes(self, user: &user::Model) -> Self {
        let other = |value: Option<String>, present: &str| value.filter(|value| value != present);
        Self {
            username: other(self.username, &user.username),
            first_name: other(self.first_name, &user.first_name),
            last_name: other(self.last_name, &user.last_name),
            phone: other(self.phone, &user.phone),
            address: other(self.address, &user.address),
            bio: other(self.bio, &user.bio),
        }
    }

    /// Sets the checked changes.
    pub(in crate::domain) fn apply(self, user: &mut user::Model) {
        let fields = [
            (&mut user.username, self.username),
            (&mut user.first_name, self.first_name),
            (&mut user.last_name, self.last_name),
            (&mut user.phone, self.phone),
            (&mut user.address, self.address),
            (&mut user.bio, self.bio),
        ];
        for (field, value) in fields {
            if let Some(value) = value {
                *field = value;
            }
        }
    }

    /// Adds the checked changes to a statement.
    pub(in crate::domain) fn write(self, update: UpdateMany<user::Entity>) -> UpdateMany<user::Entity> {
        let folded = |value: &Option<String>, fold: fn(&str) -> String| value.as_deref().map(fold);
        let columns = [
            (Column::UsernameKey, folded(&self.username, identifier::fold)),
            (Column::Username, self.username),
            (Column::FirstNameKey, folded(&self.first_name, text::fold)),
            (Column::FirstName, self.first_name),
            (Column::LastNameKey, folded(&self.last_name, text::fold)),
            (Column::LastName, self.last_name),
            (Column::Phone, self.phone),
            (Column::Address, self.address),
            (Column::Bio, self.bio),
        ];
        let given = columns.into_iter().filter_map(|(column, value)| Some((column, value?)));
        given.fold(update, |update, (column, value)| update.col_expr(column, Expr::value(value)))
    }
}
