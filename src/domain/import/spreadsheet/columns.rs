//! The columns of a sheet of users, and their explanations in the template.

use serde::{Deserialize, Serialize};

use crate::texts::Text;

/// The column of the ids that other systems use. It is not in the template: only a mapping or a match by it reads it.
const EXTERNAL_ID: &str = "external_id";

/// A column that an import reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each is named as its column")]
pub enum Target {
    Email,
    Username,
    FirstName,
    LastName,
    Bio,
    Phone,
    Address,
    Role,
    Permission,
    IsActive,
    ExternalId,
}

impl Target {
    /// All columns, in the order of [`ALL`].
    pub const ALL: [Self; ALL.len() + 1] = [
        Self::Email,
        Self::Username,
        Self::FirstName,
        Self::LastName,
        Self::Bio,
        Self::Phone,
        Self::Address,
        Self::Role,
        Self::Permission,
        Self::IsActive,
        Self::ExternalId,
    ];

    /// The heading of the column.
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).copied().unwrap_or(EXTERNAL_ID)
    }

    /// The accepted values; empty if any text is accepted.
    pub fn values(self) -> &'static [&'static str] {
        ALL.get(self as usize).map_or(&[], |column| column.values)
    }
}

/// A column of a sheet of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub name: &'static str,
    /// The accepted values; empty if any text is accepted.
    pub values: &'static [&'static str],
    /// The id of the text that explains the column.
    about: &'static str,
    /// The meaning of an empty cell in the row of a new user.
    if_empty: IfEmpty,
}

/// The meaning of an empty cell in the row of a new user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IfEmpty {
    /// The cell must not be empty.
    Required,
    /// A value is generated.
    Generated,
    /// The detail stays empty.
    Empty,
    /// The default value.
    Default(&'static str),
}

/// The columns; only the first is required.
pub const ALL: [Column; 10] = [
    Column { name: "email", values: &[], about: "template-email", if_empty: IfEmpty::Required },
    Column { name: "username", values: &[], about: "template-username", if_empty: IfEmpty::Generated },
    Column { name: "first_name", values: &[], about: "template-first-name", if_empty: IfEmpty::Empty },
    Column { name: "last_name", values: &[], about: "template-last-name", if_empty: IfEmpty::Empty },
    Column { name: "bio", values: &[], about: "template-bio", if_empty: IfEmpty::Empty },
    Column { name: "phone", values: &[], about: "template-phone", if_empty: IfEmpty::Empty },
    Column { name: "address", values: &[], about: "template-address", if_empty: IfEmpty::Empty },
    Column {
        name: "role",
        values: &["ADMIN", "MANAGER", "AGENT", "MEMBER"],
        about: "template-role",
        if_empty: IfEmpty::Default("MEMBER"),
    },
    Column {
        name: "permission",
        values: &["FULL_ACCESS", "DOWNLOAD", "ONLY_VIEW"],
        about: "template-permission",
        if_empty: IfEmpty::Default("ONLY_VIEW"),
    },
    Column {
        name: "is_active",
        values: &["true", "false"],
        about: "template-is-active",
        if_empty: IfEmpty::Default("true"),
    },
];

/// The headings, in the order of [`ALL`].
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].name;
        at += 1;
    }
    names
};

impl IfEmpty {
    fn english(self) -> String {
        match self {
            Self::Required => Text::new("template-required").english(),
            Self::Generated => Text::new("template-generated").english(),
            Self::Empty => Text::new("template-stays-empty").english(),
            Self::Default(value) => value.to_owned(),
        }
    }
}

/// The explanations of the columns in the template: a heading, a row for each column, and a note.
pub fn explained() -> Vec<[String; 4]> {
    let heading = [
        Text::new("template-heading-column"),
        Text::new("template-heading-meaning"),
        Text::new("template-heading-values"),
        Text::new("template-heading-empty"),
    ];
    let rows = ALL.iter().map(|column| {
        let any = || Text::new("template-any-text").english();
        let values = if column.values.is_empty() { any() } else { column.values.join(", ") };
        [column.name.to_owned(), Text::new(column.about).english(), values, column.if_empty.english()]
    });
    let note = [String::new(), Text::new("template-note").english(), String::new(), String::new()];
    std::iter::once(heading.map(|text| text.english())).chain(rows).chain([note]).collect()
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveEnum as _, Iterable as _};

    use super::*;
    use crate::entity::user::{Permission, Role};

    #[test]
    fn each_target_has_the_name_of_its_column() {
        let names: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
        assert_eq!(names.split_last(), Some((&EXTERNAL_ID, NAMES.as_slice())));
        assert_eq!(Target::Permission.values(), ["FULL_ACCESS", "DOWNLOAD", "ONLY_VIEW"]);
    }

    #[test]
    fn the_values_are_those_there_are() {
        let values = |name: &str| ALL.iter().find(|column| column.name == name).unwrap().values;
        let mut roles: Vec<_> = Role::iter().map(|role| role.to_value()).collect();
        let mut permissions: Vec<_> = Permission::iter().map(|permission| permission.to_value()).collect();
        for (mut known, name) in
            [(std::mem::take(&mut roles), "role"), (std::mem::take(&mut permissions), "permission")]
        {
            let mut listed = values(name).to_vec();
            known.sort();
            listed.sort_unstable();
            assert_eq!(known, listed);
        }
    }
}
