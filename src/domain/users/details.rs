//! Names and other personal details: the same rules for users and staff.

use crate::entity::user;
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
}
