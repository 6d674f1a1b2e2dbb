//! The columns of a sheet of users: their names, and what the sheet to fill in says of them.

/// A column of a sheet of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub name: &'static str,
    /// The values that it takes; empty where it takes any text.
    pub values: &'static [&'static str],
    /// The meaning of the column, in a sentence.
    pub about: &'static str,
    /// The meaning of an empty cell in the row of a new user.
    pub if_empty: &'static str,
}

/// The columns; only the first must be there.
pub const ALL: [Column; 10] = [
    Column {
        name: "email",
        values: &[],
        about: "Email address. It finds the user: an account with this address is updated, otherwise one is created.",
        if_empty: "Required",
    },
    Column {
        name: "username",
        values: &[],
        about: "Letters, digits and . _ + - are allowed. No two users have the same one.",
        if_empty: "Generated",
    },
    Column { name: "first_name", values: &[], about: "First name.", if_empty: NOTHING },
    Column { name: "last_name", values: &[], about: "Last name.", if_empty: NOTHING },
    Column { name: "bio", values: &[], about: "About the user, in one or more lines.", if_empty: NOTHING },
    Column { name: "phone", values: &[], about: "Telephone number, kept as it is typed.", if_empty: NOTHING },
    Column { name: "address", values: &[], about: "Postal address, in one or more lines.", if_empty: NOTHING },
    Column {
        name: "role",
        values: &["ADMIN", "MANAGER", "AGENT", "MEMBER"],
        about: "ADMIN gives the rights of staff.",
        if_empty: "MEMBER",
    },
    Column {
        name: "permission",
        values: &["FULL_ACCESS", "DOWNLOAD", "ONLY_VIEW"],
        about: "Permission that other services read.",
        if_empty: "ONLY_VIEW",
    },
    Column {
        name: "is_active",
        values: &["true", "false"],
        about: "Whether the user may sign in. false ends the sessions of the account.",
        if_empty: "true",
    },
];

const NOTHING: &str = "Stays empty";

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

/// The explanation of the columns that the sheet to fill in carries: a heading, and a row for each column.
pub fn explained() -> Vec<[String; 4]> {
    let heading = ["Column", "Meaning", "Values", "Empty, for a new user"].map(str::to_owned);
    let rows = ALL.iter().map(|column| {
        let values = if column.values.is_empty() { "Text".to_owned() } else { column.values.join(", ") };
        [column.name.to_owned(), column.about.to_owned(), values, column.if_empty.to_owned()]
    });
    let notes = ["", "An empty cell leaves what an existing account has. Columns may be in any order or missing."];
    let [name, note] = notes.map(str::to_owned);
    std::iter::once(heading).chain(rows).chain([[name, note, String::new(), String::new()]]).collect()
}

#[cfg(test)]
mod tests {
    use sea_orm::{ActiveEnum as _, Iterable as _};

    use super::*;
    use crate::entity::user::{Permission, Role};

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
