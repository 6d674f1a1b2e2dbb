//! Mapping of the source's tables, columns and values to the fields of users.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use sea_orm::ActiveEnum as _;
use serde::Deserialize;

use super::second_factors::MAX_CODES;
use crate::entity::user::{Permission, Role};
use crate::texts::Text;
use crate::tools::totp::CodeForm;

/// Maximum length of the name of a table or column, in bytes.
const MAX_NAME: usize = 128;

/// Largest number of digits of a recovery code of allauth. Its value has half as many bytes.
const MAX_CODE_DIGITS: usize = 32;

/// A field read for each user, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Field {
    Id,
    Username,
    Email,
    Password,
    FirstName,
    LastName,
    IsActive,
    IsStaff,
    IsSuperuser,
    DateJoined,
    LastLogin,
    IsVerified,
    Role,
    Permission,
    Phone,
    Address,
    Bio,
    Token,
}

impl Field {
    /// All fields, in their order.
    pub(super) const ALL: [Self; 18] = [
        Self::Id,
        Self::Username,
        Self::Email,
        Self::Password,
        Self::FirstName,
        Self::LastName,
        Self::IsActive,
        Self::IsStaff,
        Self::IsSuperuser,
        Self::DateJoined,
        Self::LastLogin,
        Self::IsVerified,
        Self::Role,
        Self::Permission,
        Self::Phone,
        Self::Address,
        Self::Bio,
        Self::Token,
    ];

    /// Its name in mappings and reports, and of Django's column.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Username => "username",
            Self::Email => "email",
            Self::Password => "password",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::IsActive => "is_active",
            Self::IsStaff => "is_staff",
            Self::IsSuperuser => "is_superuser",
            Self::DateJoined => "date_joined",
            Self::LastLogin => "last_login",
            Self::IsVerified => "is_verified",
            Self::Role => "role",
            Self::Permission => "permission",
            Self::Phone => "phone",
            Self::Address => "address",
            Self::Bio => "bio",
            Self::Token => "token",
        }
    }

    /// True for the fields of Django's own user.
    const fn is_djangos(self) -> bool {
        !matches!(
            self,
            Self::IsVerified | Self::Role | Self::Permission | Self::Phone | Self::Address | Self::Bio | Self::Token
        )
    }
}

/// Location of each field of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The table of users.
    pub(super) table: String,
    /// Prefix of each id, for imports from several systems whose ids start at one.
    pub(super) id_prefix: String,
    /// The tables with at most one row for each user.
    pub(super) joins: Vec<Join>,
    /// Location of each field, in the order of [`Field::ALL`]; none if it is not imported. For tokens, see
    /// [`Self::tokens`].
    pub(super) places: Vec<Option<Place>>,
    /// Table of tokens.
    pub(super) tokens: TokenTable,
    /// Settings of allauth, which its database does not have.
    pub(super) allauth: AllauthSettings,
    /// The zone of times without one; none for UTC.
    pub(super) time_zone: Option<TimeZone>,
    roles: BTreeMap<String, Role>,
    permissions: BTreeMap<String, Permission>,
    defaults: Defaults,
}

/// A table beside the users' table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) name: String,
    pub(super) table: String,
    /// The column with the user's id.
    pub(super) user: String,
}

/// Location of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the joined table; none for the users' table.
    pub(super) join: Option<usize>,
    pub(super) column: String,
}

/// Table of the tokens of Django REST framework.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TokenTable {
    pub(super) table: String,
    pub(super) key: String,
    pub(super) user: String,
}

/// Settings of `allauth.mfa` by which codes are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AllauthSettings {
    /// `MFA_TOTP_DIGITS`.
    pub(super) totp_digits: i64,
    /// `MFA_TOTP_PERIOD`, in seconds.
    pub(super) totp_period: i64,
    /// `MFA_RECOVERY_CODE_COUNT`.
    pub(super) recovery_code_count: usize,
    /// `MFA_RECOVERY_CODE_DIGITS`.
    pub(super) recovery_code_digits: usize,
}

/// Values for missing columns and empty cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Defaults {
    role: Option<Role>,
    permission: Option<Permission>,
    is_verified: bool,
}

/// Contents of the mapping file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    table: Option<String>,
    id_prefix: String,
    time_zone: Option<String>,
    columns: BTreeMap<String, String>,
    joins: BTreeMap<String, WrittenJoin>,
    tokens: TokenTable,
    allauth: AllauthSettings,
    roles: BTreeMap<String, String>,
    permissions: BTreeMap<String, String>,
    defaults: WrittenDefaults,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenJoin {
    table: String,
    user: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenDefaults {
    role: Option<String>,
    permission: Option<String>,
    is_verified: Option<bool>,
}

impl Default for TokenTable {
    fn default() -> Self {
        Self { table: "authtoken_token".to_owned(), key: "key".to_owned(), user: "user_id".to_owned() }
    }
}

/// The defaults of allauth.
impl Default for AllauthSettings {
    fn default() -> Self {
        Self { totp_digits: 6, totp_period: 30, recovery_code_count: 10, recovery_code_digits: 8 }
    }
}

impl AllauthSettings {
    fn check(self) -> Result<Self, Text> {
        let is_allowed = CodeForm::new(self.totp_digits, self.totp_period).is_some()
            && (1..=MAX_CODES).contains(&self.recovery_code_count)
            && (6..=MAX_CODE_DIGITS).contains(&self.recovery_code_digits);
        let refusal = || Text::new("mapping-allauth").with("count", MAX_CODES).with("digits", MAX_CODE_DIGITS);
        if is_allowed { Ok(self) } else { Err(refusal()) }
    }
}

/// Django's own user, without joined tables.
impl Default for Mapping {
    fn default() -> Self {
        Self::resolve(Written::default()).expect("Django's own names are allowed")
    }
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// A description of the problem, for the author of the file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        Self::resolve(written).map_err(|text| text.english())
    }

    fn resolve(written: Written) -> Result<Self, Text> {
        let joins = written.joins.into_iter().map(|(name, join)| {
            check_name(&join.table)?;
            check_name(&join.user)?;
            Ok(Join { name, table: join.table, user: join.user })
        });
        let joins = joins.collect::<Result<Vec<_>, Text>>()?;
        let tokens = written.tokens;
        let table = written.table.unwrap_or_else(|| "auth_user".to_owned());
        [&table, &tokens.table, &tokens.key, &tokens.user].into_iter().try_for_each(|name| check_name(name))?;
        let mut columns = written.columns;
        let mut place = |field: Field| {
            let column = match columns.remove(field.name()) {
                Some(column) if column.is_empty() => return Ok(None),
                Some(_) if field == Field::Token => return Err(Text::new("mapping-token-column")),
                Some(column) => column,
                None if field.is_djangos() => field.name().to_owned(),
                None => return Ok(None),
            };
            let (join, column) = match column.split_once('.') {
                Some((name, column)) => {
                    let at = joins.iter().position(|join| join.name == name);
                    let missing = || Text::new("mapping-join-missing").with("field", field.name()).with("name", name);
                    (Some(at.ok_or_else(missing)?), column)
                }
                None => (None, column.as_str()),
            };
            check_name(column)?;
            Ok(Some(Place { join, column: column.to_owned() }))
        };
        let places = Field::ALL.into_iter().map(&mut place).collect::<Result<Vec<_>, Text>>()?;
        if let Some(unknown) = columns.keys().next() {
            let known: Vec<&str> =
                Field::ALL.iter().map(|field| field.name()).filter(|name| *name != "token").collect();
            let text = Text::new("mapping-column-unknown").with("name", unknown.as_str());
            return Err(text.with("known", known.join(", ")));
        }
        for field in [Field::Id, Field::Email] {
            let is_there = places.get(field as usize).and_then(Option::as_ref);
            if is_there.is_none_or(|place| field == Field::Id && place.join.is_some()) {
                return Err(match field {
                    Field::Id => Text::new("mapping-id-column"),
                    _ => Text::new("mapping-email-column"),
                });
            }
        }
        let zone =
            |name: String| TimeZone::get(&name).map_err(|_| Text::new("mapping-time-zone-unknown").with("name", name));
        let defaults = written.defaults;
        Ok(Self {
            time_zone: written.time_zone.map(zone).transpose()?,
            table,
            id_prefix: written.id_prefix,
            joins,
            places,
            tokens,
            allauth: written.allauth.check()?,
            roles: meanings(written.roles, role)?,
            permissions: meanings(written.permissions, permission)?,
            defaults: Defaults {
                role: defaults.role.as_deref().map(role).transpose()?,
                permission: defaults.permission.as_deref().map(permission).transpose()?,
                is_verified: defaults.is_verified.unwrap_or(true),
            },
        })
    }

    /// All names of tables and columns.
    #[cfg(any(test, fuzzing))]
    pub(in crate::domain) fn names(&self) -> impl Iterator<Item = &str> {
        let joins = self.joins.iter().flat_map(|join| [&join.table, &join.user]);
        let columns = self.places.iter().flatten().map(|place| &place.column);
        let tokens = [&self.table, &self.tokens.table, &self.tokens.key, &self.tokens.user];
        joins.chain(columns).chain(tokens).map(String::as_str)
    }

    /// Location of a field.
    pub(super) fn place(&self, field: Field) -> Option<&Place> {
        self.places.get(field as usize).and_then(Option::as_ref)
    }

    /// The location as written in the mapping.
    pub(super) fn heading(&self, place: &Place) -> String {
        match place.join.and_then(|at| self.joins.get(at)) {
            Some(join) => format!("{}.{}", join.name, place.column),
            None => place.column.clone(),
        }
    }

    /// The role that a value of its column stands for.
    pub(super) fn role(&self, value: Option<&str>) -> Result<Option<Role>, Text> {
        value.map_or(Ok(self.defaults.role), |value| {
            self.roles.get(value).copied().map_or_else(|| role(value), Ok).map(Some)
        })
    }

    /// The permission that a value of its column stands for.
    pub(super) fn permission(&self, value: Option<&str>) -> Result<Option<Permission>, Text> {
        let known = |value: &str| self.permissions.get(value).copied();
        value.map_or(Ok(self.defaults.permission), |value| known(value).map_or_else(|| permission(value), Ok).map(Some))
    }

    /// True if addresses count as confirmed by default.
    pub(super) fn is_verified(&self) -> bool {
        self.defaults.is_verified
    }
}

fn meanings<T>(
    written: BTreeMap<String, String>,
    read: fn(&str) -> Result<T, Text>,
) -> Result<BTreeMap<String, T>, Text> {
    written.into_iter().map(|(value, meaning)| Ok((value, read(&meaning)?))).collect()
}

fn role(name: &str) -> Result<Role, Text> {
    let wrong = |_| Text::new("mapping-role-unknown").with("value", shown(name));
    Role::try_from_value(&name.to_ascii_uppercase()).map_err(wrong)
}

fn permission(name: &str) -> Result<Permission, Text> {
    let wrong = |_| Text::new("mapping-permission-unknown").with("value", shown(name));
    Permission::try_from_value(&name.to_ascii_uppercase()).map_err(wrong)
}

/// The start of a value, in quotes, for error messages.
fn shown(value: &str) -> String {
    format!("{:?}", value.chars().take(40).collect::<String>())
}

/// Checks a name that goes into statements between quotes.
fn check_name(name: &str) -> Result<(), Text> {
    let is_fit = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(|c: char| c.is_control() || c == '"');
    if is_fit { Ok(()) } else { Err(Text::new("mapping-name-invalid").with("name", shown(name))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_it_is_djangos_own_user() {
        let mapping = Mapping::default();
        assert_eq!(mapping, Mapping::parse("").unwrap());
        assert_eq!(mapping.table, "auth_user");
        assert_eq!(mapping.place(Field::Email), Some(&Place { join: None, column: "email".to_owned() }));
        assert_eq!(mapping.place(Field::Phone), None);
        assert!(mapping.is_verified());
    }

    #[test]
    fn columns_may_stand_elsewhere_and_mean_something_else() {
        let mapping = Mapping::parse(
            r#"
            table = "accounts_user"
            [columns]
            username = ""
            phone = "profile.tel"
            role = "kind"
            [joins.profile]
            table = "accounts_profile"
            user = "user_id"
            [roles]
            1 = "ADMIN"
            [defaults]
            permission = "download"
            is_verified = false
            "#,
        )
        .unwrap();
        assert_eq!(mapping.place(Field::Username), None);
        let phone = mapping.place(Field::Phone).unwrap();
        assert_eq!((phone.join, mapping.heading(phone).as_str()), (Some(0), "profile.tel"));
        assert_eq!(
            (mapping.role(Some("1")), mapping.role(Some("agent"))),
            (Ok(Some(Role::Admin)), Ok(Some(Role::Agent)))
        );
        assert_eq!((mapping.role(None), mapping.permission(None)), (Ok(None), Ok(Some(Permission::Download))));
        assert!(mapping.role(Some("2")).unwrap_err().english().contains("map it in [roles]"));
        assert!(!mapping.is_verified());
    }

    #[test]
    fn invalid_mappings_are_refused_with_a_reason() {
        for (text, expected) in [
            ("tabel = 'x'", "unknown field `tabel`"),
            ("[columns]\nshoe_size = 'x'", "Unknown field shoe_size in [columns]. Use id, username, email"),
            ("[columns]\nphone = 'profile.tel'", "phone needs the section [joins.profile]"),
            ("[columns]\nemail = ''", "`email` in [columns] must name a column"),
            ("[columns]\ntoken = 'x'", "Set its table in [tokens]"),
            ("table = 'a\"b'", "is not a valid name of a table or column"),
            ("[roles]\n1 = 'KING'", "\"KING\" is not a role"),
            ("[defaults]\npermission = 'all'", "\"all\" is not a permission"),
            ("[joins.p]\ntable = 'x'", "missing field `user`"),
            ("[allauth]\ntotp_digits = 5", "at most 30 recovery codes of 6 to 32 digits"),
            ("[allauth]\nrecovery_code_digits = 33", "at most 30 recovery codes of 6 to 32 digits"),
            ("[allauth]\nrecovery_code_count = 31", "at most 30 recovery codes of 6 to 32 digits"),
        ] {
            let problem = Mapping::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
