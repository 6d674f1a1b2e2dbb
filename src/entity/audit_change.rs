//! Fields of a user that an audit event changed.

use std::fmt;
use std::str::FromStr;

use sea_orm::ActiveEnum as _;
use sea_orm::entity::prelude::*;

/// A field of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each is named as the field of a user")]
pub enum Field {
    Username,
    Email,
    PendingEmail,
    FirstName,
    LastName,
    Phone,
    Address,
    Bio,
    ExternalId,
    Avatar,
    Role,
    Permission,
    IsActive,
    IsStaff,
    IsSuperuser,
    IsVerified,
}

/// A changed field. Only rights and flags have values: the trail outlives a user and keeps no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The field.
    pub field: Field,
    /// The value before; `None` for personal fields.
    pub before: Option<String>,
    /// The value after; `None` for personal fields.
    pub after: Option<String>,
}

/// Changed fields, stored as `ROLE=MEMBER>ADMIN,EMAIL`.
#[derive(Clone, Debug, Default, PartialEq, Eq, DeriveValueType)]
#[sea_orm(value_type = "String")]
pub struct Changes(Vec<FieldChange>);

impl Changes {
    /// Creates a list of changes, in this order.
    pub fn new(changes: Vec<FieldChange>) -> Self {
        Self(changes)
    }

    /// The changes.
    pub fn iter(&self) -> impl Iterator<Item = &FieldChange> {
        self.0.iter()
    }

    /// True if no field changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, change) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}", change.field.to_value())?;
            if let (Some(before), Some(after)) = (&change.before, &change.after) {
                write!(f, "={before}>{after}")?;
            }
        }
        Ok(())
    }
}

/// Error for a stored text that does not name a field of a user.
#[derive(Debug)]
pub struct InvalidChanges;

impl fmt::Display for InvalidChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid field changes")
    }
}

impl std::error::Error for InvalidChanges {}

impl FromStr for Changes {
    type Err = InvalidChanges;

    fn from_str(text: &str) -> Result<Self, InvalidChanges> {
        let change = |part: &str| {
            let (name, values) = part.split_once('=').map_or((part, None), |(name, values)| (name, Some(values)));
            let field = Field::try_from_value(&name.to_owned()).map_err(|_| InvalidChanges)?;
            let values = values.map(|values| values.split_once('>').ok_or(InvalidChanges)).transpose()?;
            let (before, after) = values.map(|(before, after)| (before.to_owned(), after.to_owned())).unzip();
            Ok(FieldChange { field, before, after })
        };
        text.split(',').filter(|part| !part.is_empty()).map(change).collect::<Result<_, _>>().map(Self)
    }
}
