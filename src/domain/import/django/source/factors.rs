//! Tables of second factors: those of django-otp and of `allauth.mfa`.

/// A table whose rows are second factors of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) enum FactorTable {
    /// Authenticator apps of django-otp.
    TotpDevices,
    /// Static tokens of django-otp, which serve as recovery codes. They belong to the user of their device.
    StaticTokens,
    /// Authenticator apps, recovery codes and passkeys of allauth.
    Authenticators,
}

/// Table of the devices that static tokens belong to.
pub(super) const STATIC_DEVICES: &str = "otp_static_staticdevice";

impl FactorTable {
    /// All tables.
    pub(super) const ALL: [Self; 3] = [Self::TotpDevices, Self::StaticTokens, Self::Authenticators];

    /// Its name in the database.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TotpDevices => "otp_totp_totpdevice",
            Self::StaticTokens => "otp_static_statictoken",
            Self::Authenticators => "mfa_authenticator",
        }
    }

    /// The columns that are read.
    pub(super) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::TotpDevices => &["confirmed", "key", "step", "t0", "digits", "drift", "last_t"],
            Self::StaticTokens => &["token"],
            Self::Authenticators => &["type", "data", "created_at", "last_used_at"],
        }
    }

    /// The query of its rows, each with the id of its user in the first place. `quoted` yields the name of a table in a
    /// statement.
    pub(super) fn select(self, quoted: impl Fn(&str) -> String, users: &UsersTable<'_>) -> String {
        let (from, row) = match self {
            Self::StaticTokens => {
                let (devices, tokens) = (quoted(STATIC_DEVICES), quoted(self.name()));
                (format!("{devices} o JOIN {tokens} t ON t.device_id = o.id AND o.confirmed"), "t")
            }
            Self::TotpDevices | Self::Authenticators => (format!("{} o", quoted(self.name())), "o"),
        };
        let columns: String =
            self.columns().iter().map(|column| format!(", CAST({row}.\"{column}\" AS text)")).collect();
        let UsersTable { table, id, key, condition } = users;
        format!(
            "SELECT CAST(u.{id} AS text){columns} FROM {from} JOIN {table} u ON u.{key} = o.user_id \
             WHERE {condition} ORDER BY {row}.id"
        )
    }
}

/// The users whose second factors are read: names in quotes, and a condition on the users `u`.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsersTable<'a> {
    pub(super) table: &'a str,
    pub(super) id: &'a str,
    /// The column that other tables refer to.
    pub(super) key: &'a str,
    pub(super) condition: &'a str,
}

/// A row of such a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain) struct FactorRow {
    /// The table.
    pub(in crate::domain) table: FactorTable,
    /// Values as text, in the order of the table's columns.
    pub(super) values: Vec<Option<String>>,
}

impl FactorRow {
    /// The value of a column.
    pub(in crate::domain) fn get(&self, column: &str) -> Option<&str> {
        let at = self.table.columns().iter().position(|known| *known == column)?;
        self.values.get(at)?.as_deref()
    }

    /// The number in a column.
    pub(in crate::domain) fn number(&self, column: &str) -> Option<i64> {
        self.get(column)?.parse().ok()
    }
}

#[cfg(test)]
impl FactorRow {
    /// A row with these values.
    pub(in crate::domain) fn of(table: FactorTable, values: &[&str]) -> Self {
        Self { table, values: values.iter().map(|value| Some((*value).to_owned())).collect() }
    }
}
