//! Conversion of a source's rows to entries, with the checks of `createUser`.

use jiff::tz::TimeZone;

use super::mapping::{Field, Mapping};
use super::second_factors::{self, Factors};
use super::source::Raw;
use super::{Options, Problem};
use crate::domain::users::details::{MAX_ADDRESS, MAX_BIO, MAX_NAME, MAX_PHONE};
use crate::entity::user::{Permission, Role};
use crate::error::Refusal;
use crate::texts::Text;
use crate::tools::api_token::MovedToken;
use crate::tools::clock::Timestamp;
use crate::tools::password::{DjangoHash, NotKept};
use crate::tools::{identifier, text};

/// Maximum length of an id including its prefix, in characters.
const MAX_ID: usize = 200;

/// A user to import. Values that the source does not give are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The id in other systems.
    pub(super) id: String,
    pub(super) email: String,
    pub(super) email_key: String,
    /// None if a neutral one must be generated.
    pub(super) username: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) address: Option<String>,
    pub(super) bio: Option<String>,
    pub(super) role: Option<Role>,
    pub(super) permission: Option<Permission>,
    pub(super) is_active: Option<bool>,
    pub(super) is_staff: Option<bool>,
    pub(super) is_superuser: Option<bool>,
    pub(super) is_verified: Option<bool>,
    pub(super) date_joined: Option<Timestamp>,
    pub(super) last_login: Option<Timestamp>,
    /// True if a time has no zone and the mapping names none.
    pub(super) has_naive_time: bool,
    /// The hash in Django's format.
    pub(super) password: Option<Result<String, NotKept>>,
    pub(super) token: Option<MovedToken>,
    /// None if the source has no table of second factors.
    pub(super) factors: Option<Factors>,
}

/// Problems of a user, by field.
struct Problems<'a> {
    id: &'a str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, field: Field, text: impl Into<Text>) {
        let problem = Problem { id: self.id.to_owned(), field: Some(field.name()), message: text.into().english() };
        self.found.push(problem);
    }

    fn keep<T>(&mut self, field: Field, checked: Result<T, Refusal>) -> Option<T> {
        checked.map_err(|refusal| self.add(field, refusal.text)).ok()
    }
}

/// The entry of a source's row, or all problems of the row.
pub(super) fn entry(raw: &Raw, mapping: &Mapping, options: Options) -> Result<Entry, Vec<Problem>> {
    let id = format!("{}{}", mapping.id_prefix, raw.get(Field::Id).unwrap_or_default());
    let mut problems = Problems { id: &id, found: Vec::new() };
    let known = text::required_line("id", &id, MAX_ID);
    if raw.get(Field::Id).is_none() || known.as_ref().is_ok_and(|known| *known != id) {
        problems.add(Field::Id, Text::new("django-id-invalid"));
    }
    problems.keep(Field::Id, known);
    let email = problems.keep(Field::Email, identifier::email(raw.get(Field::Email).unwrap_or_default()));
    let email_key = identifier::fold(email.as_deref().unwrap_or_default());
    let username = username(raw.get(Field::Username), email.as_deref().unwrap_or_default(), options);
    let username = problems.keep(Field::Username, username).flatten();
    let mut line = |field: Field, max: usize| {
        let text = mapping.place(field).map(|_| text::line(field.name(), raw.get(field).unwrap_or_default(), max));
        text.and_then(|text| problems.keep(field, text))
    };
    let (first_name, last_name) = (line(Field::FirstName, MAX_NAME), line(Field::LastName, MAX_NAME));
    let phone = line(Field::Phone, MAX_PHONE);
    let mut lines = |field: Field, max: usize| {
        let text = mapping.place(field).map(|_| text::lines(field.name(), raw.get(field).unwrap_or_default(), max));
        text.and_then(|text| problems.keep(field, text))
    };
    let (address, bio) = (lines(Field::Address, MAX_ADDRESS), lines(Field::Bio, MAX_BIO));
    let mut flag = |field: Field| {
        let value = raw.get(field)?;
        yes_or_no(value).map_err(|text| problems.add(field, text)).ok()
    };
    let (is_active, is_staff) = (flag(Field::IsActive), flag(Field::IsStaff));
    let (is_superuser, is_verified) = (flag(Field::IsSuperuser), flag(Field::IsVerified));
    let zone = mapping.time_zone.as_ref();
    let mut has_naive_time = false;
    let mut time = |field: Field| {
        let value = raw.get(field)?;
        let (time, is_naive) = time_of(value, zone).map_err(|text| problems.add(field, text)).ok()?;
        has_naive_time |= is_naive && zone.is_none();
        Some(time)
    };
    let (date_joined, last_login) = (time(Field::DateJoined), time(Field::LastLogin));
    let role = mapping.role(raw.get(Field::Role)).map_err(|text| problems.add(Field::Role, text));
    let permission = mapping.permission(raw.get(Field::Permission));
    let permission = permission.map_err(|text| problems.add(Field::Permission, text));
    let password = mapping.place(Field::Password).map(|_| kept(raw.get(Field::Password).unwrap_or_default(), options));
    let token = raw.get(Field::Token).map(|token| MovedToken::from_text(token).ok_or(token));
    if let Some(Err(_)) = &token {
        problems.add(Field::Token, Text::new("django-token-invalid"));
    }
    let own = raw.get(Field::Id).unwrap_or_default();
    let factors = raw.factors.as_ref().map(|rows| second_factors::read(rows, mapping, own, &id));
    let found = problems.found;
    match email {
        Some(email) if found.is_empty() => Ok(Entry {
            id,
            email,
            email_key,
            username,
            first_name,
            last_name,
            phone,
            address,
            bio,
            role: role.unwrap_or_default(),
            permission: permission.unwrap_or_default(),
            is_active,
            is_staff,
            is_superuser,
            is_verified: is_verified.or_else(|| Some(mapping.is_verified())),
            date_joined,
            last_login,
            has_naive_time,
            password,
            token: token.and_then(Result::ok),
            factors,
        }),
        _ => Err(found),
    }
}

/// The username; none if one must be generated. That is so if it is missing or the address itself, or not allowed here
/// and the operator asked for it.
fn username(given: Option<&str>, email: &str, options: Options) -> Result<Option<String>, Refusal> {
    match given {
        None => Ok(None),
        Some(name) if identifier::same_address(name, email) => Ok(None),
        Some(name) => match identifier::username(name) {
            Ok(name) => Ok(Some(name)),
            Err(_) if options.make_usernames => Ok(None),
            Err(refusal) => Err(refusal),
        },
    }
}

/// The hash in Django's format, if it is supported and either strong enough or the operator keeps weak ones.
fn kept(hash: &str, options: Options) -> Result<String, NotKept> {
    let is_weak = DjangoHash::parse(hash)?.is_weak();
    if is_weak && !options.weak_hashes { Err(NotKept::Weak) } else { Ok(hash.to_owned()) }
}

pub(super) fn yes_or_no(value: &str) -> Result<bool, Text> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Ok(true),
        "false" | "f" | "no" | "0" => Ok(false),
        _ => Err(Text::new("flag-unknown")),
    }
}

/// A time in a format of Django or a database, and true if it has no zone. Then it is in `local`, or in UTC by default.
pub(super) fn time_of(value: &str, local: Option<&TimeZone>) -> Result<(Timestamp, bool), Text> {
    let invalid = || Text::new("django-time-invalid");
    let value = value.trim().replacen(' ', "T", 1);
    let (date, clock) = value.split_once('T').unwrap_or((&value, "00:00:00"));
    let zone = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    if let (Some(local), true) = (local, zone.is_empty()) {
        let time: jiff::civil::DateTime = format!("{date}T{clock}").parse().map_err(|_| invalid())?;
        let time = local.to_timestamp(time).map_err(|_| invalid())?;
        return Ok((Timestamp::from_millis(time.as_millisecond()), true));
    }
    let offset = match zone.len() {
        0 => "Z".to_owned(),
        3 => format!("{zone}:00"),
        _ => zone.to_owned(),
    };
    let time = Timestamp::parse(&format!("{date}T{clock}{offset}")).ok_or_else(invalid)?;
    Ok((time, zone.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(values: &[(Field, &str)]) -> Raw {
        let mut raw = Raw::default();
        for (field, value) in values {
            raw.fields[*field as usize] = Some((*value).into());
        }
        raw
    }

    fn read(values: &[(Field, &str)]) -> Result<Entry, Vec<Problem>> {
        entry(&raw(values), &Mapping::default(), Options::default())
    }

    #[test]
    fn times_are_read_however_databases_write_them() {
        for (text, expected) in [
            ("2026-01-05T09:00:00.123Z", "2026-01-05T09:00:00.123Z"),
            ("2026-01-05 09:00:00.123456", "2026-01-05T09:00:00.123Z"),
            ("2026-01-05 09:00:00+00", "2026-01-05T09:00:00.000Z"),
            ("2026-01-05 09:00:00.5-0230", ""),
            ("2026-01-05 11:30:00+02:30", "2026-01-05T09:00:00.000Z"),
            ("2026-01-05", "2026-01-05T00:00:00.000Z"),
            ("yesterday", ""),
            ("", ""),
        ] {
            let time = time_of(text, None).map(|(time, _)| time.to_string());
            assert_eq!(time.unwrap_or_default(), expected, "{text}");
        }
    }

    #[test]
    fn times_without_a_zone_are_of_the_zone_that_the_mapping_names() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2026-01-05 09:00:00.123456", "2026-01-05T08:00:00.123Z"),
            ("2026-07-05T09:00:00", "2026-07-05T07:00:00.000Z"),
            ("2026-07-05", "2026-07-04T22:00:00.000Z"),
            ("2026-07-05 09:00:00+00", "2026-07-05T09:00:00.000Z"),
            ("2026-13-05 09:00:00", ""),
        ] {
            let time = time_of(text, Some(&berlin)).map(|(time, _)| time.to_string());
            assert_eq!(time.unwrap_or_default(), expected, "{text}");
        }
        let values = [(Field::Id, "7"), (Field::Email, "a@x.example"), (Field::DateJoined, "2026-01-05 09:00:00")];
        assert!(read(&values).unwrap().has_naive_time);
        let mapping = Mapping::parse("time_zone = 'Europe/Berlin'").unwrap();
        assert!(!entry(&raw(&values), &mapping, Options::default()).unwrap().has_naive_time);
        let problem = Mapping::parse("time_zone = 'CEST'").unwrap_err();
        assert_eq!(problem, "Unknown time zone CEST in time_zone. Use a name such as Europe/Berlin.");
    }

    #[test]
    fn a_username_that_is_the_address_is_made_anew() {
        let with = |name| read(&[(Field::Id, "7"), (Field::Email, "Ann@x.example"), (Field::Username, name)]);
        assert_eq!(with("ann@X.example").unwrap().username, None);
        assert_eq!(with("ann").unwrap().username.as_deref(), Some("ann"));
        let problems = with("ann@elsewhere.example").unwrap_err();
        assert_eq!((problems[0].id.as_str(), problems[0].field), ("7", Some("username")));
        let options = Options { make_usernames: true, ..Options::default() };
        let values = [(Field::Id, "7"), (Field::Email, "Ann@x.example"), (Field::Username, "a b")];
        assert_eq!(entry(&raw(&values), &Mapping::default(), options).unwrap().username, None);
    }

    #[test]
    fn all_problems_are_reported() {
        let problems = read(&[
            (Field::Id, " 7"),
            (Field::Email, "nobody"),
            (Field::FirstName, "a\0b"),
            (Field::IsActive, "maybe"),
            (Field::DateJoined, "then"),
            (Field::Role, "king"),
            (Field::Token, "short"),
        ])
        .unwrap_err();
        let fields: Vec<_> = problems.iter().filter_map(|problem| problem.field).collect();
        assert_eq!(fields, ["id", "email", "first_name", "is_active", "date_joined", "role", "token"]);
        assert_eq!(read(&[(Field::Email, "a@x.example")]).unwrap_err()[0].field, Some("id"));
    }

    #[test]
    fn a_hash_is_kept_as_it_is_or_not_at_all() {
        let with =
            |hash| read(&[(Field::Id, "7"), (Field::Email, "a@x.example"), (Field::Password, hash)]).unwrap().password;
        let hash = "pbkdf2_sha1$36000$8WunNAIB4RsVpjIDxzn9NG$vqg3Z32fBAYGbgn0MrA1GpunKWE=";
        assert_eq!(with(hash), Some(Ok(hash.to_owned())));
        let weak = hash.replace("36000", "35999");
        assert_eq!(with(&weak), Some(Err(NotKept::Weak)));
        assert_eq!(with("!abc"), Some(Err(NotKept::Unusable)));
        assert_eq!(with("md5$a$b"), Some(Err(NotKept::Unknown)));
    }
}
