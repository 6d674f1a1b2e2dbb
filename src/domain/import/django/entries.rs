//! From what a source says of users to accounts: checked as `createUser` checks its fields.

use std::fmt::Display;

use jiff::tz::TimeZone;

use super::mapping::{Field, Mapping};
use super::source::Raw;
use super::{Options, Problem};
use crate::domain::users::details::{MAX_ADDRESS, MAX_BIO, MAX_NAME, MAX_PHONE};
use crate::entity::user::{Permission, Role};
use crate::error::Refusal;
use crate::tools::api_token::MovedToken;
use crate::tools::clock::Timestamp;
use crate::tools::password::{DjangoHash, NotKept};
use crate::tools::{identifier, text};

/// The longest id, in characters, its prefix included.
const MAX_ID: usize = 200;

/// A user to take over. What is none is not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The id by which other systems know the user.
    pub(super) id: String,
    pub(super) email: String,
    pub(super) email_key: String,
    /// None where a neutral one is to be generated.
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
    /// Whether one of these times has no zone, and the mapping names none.
    pub(super) has_naive_time: bool,
    /// The hash as Django wrote it.
    pub(super) password: Option<Result<String, NotKept>>,
    pub(super) token: Option<MovedToken>,
}

/// What is wrong with a user, field by field.
struct Problems<'a> {
    id: &'a str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, field: Field, message: impl Display) {
        let problem = Problem { id: self.id.to_owned(), field: Some(field.name()), message: message.to_string() };
        self.found.push(problem);
    }

    fn keep<T>(&mut self, field: Field, checked: Result<T, Refusal>) -> Option<T> {
        checked.map_err(|refusal| self.add(field, refusal.message)).ok()
    }
}

/// What a source says of a user, or all that is wrong with it.
pub(super) fn entry(raw: &Raw, mapping: &Mapping, options: Options) -> Result<Entry, Vec<Problem>> {
    let id = format!("{}{}", mapping.id_prefix, raw.get(Field::Id).unwrap_or_default());
    let mut problems = Problems { id: &id, found: Vec::new() };
    let known = text::required_line("id", &id, MAX_ID);
    if raw.get(Field::Id).is_none() || known.as_ref().is_ok_and(|known| *known != id) {
        problems.add(Field::Id, "There must be an id, without blanks around it.");
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
        yes_or_no(value).map_err(|message| problems.add(field, message)).ok()
    };
    let (is_active, is_staff) = (flag(Field::IsActive), flag(Field::IsStaff));
    let (is_superuser, is_verified) = (flag(Field::IsSuperuser), flag(Field::IsVerified));
    let zone = mapping.time_zone.as_ref();
    let mut has_naive_time = false;
    let mut time = |field: Field| {
        let value = raw.get(field)?;
        let (time, is_naive) = time_of(value, zone).map_err(|message| problems.add(field, message)).ok()?;
        has_naive_time |= is_naive && zone.is_none();
        Some(time)
    };
    let (date_joined, last_login) = (time(Field::DateJoined), time(Field::LastLogin));
    let role = mapping.role(raw.get(Field::Role)).map_err(|problem| problems.add(Field::Role, problem));
    let permission = mapping.permission(raw.get(Field::Permission));
    let permission = permission.map_err(|problem| problems.add(Field::Permission, problem));
    let password = mapping.place(Field::Password).map(|_| kept(raw.get(Field::Password).unwrap_or_default(), options));
    let token = raw.get(Field::Token).map(|token| MovedToken::from_text(token).ok_or(token));
    if let Some(Err(_)) = &token {
        problems.add(Field::Token, "It has not the 40 hexadecimal digits of Django REST framework's tokens.");
    }
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
        }),
        _ => Err(found),
    }
}

/// The username, unless one is to be made: there is none, it is the address itself, or it is not allowed here and the
/// operator said so.
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

/// The hash as Django wrote it, if it can be used and costs enough to guess, or the operator keeps weak ones.
fn kept(hash: &str, options: Options) -> Result<String, NotKept> {
    let is_weak = DjangoHash::parse(hash)?.is_weak();
    if is_weak && !options.weak_hashes { Err(NotKept::Weak) } else { Ok(hash.to_owned()) }
}

fn yes_or_no(value: &str) -> Result<bool, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Ok(true),
        "false" | "f" | "no" | "0" => Ok(false),
        _ => Err("Use true or false."),
    }
}

/// A time as Django and databases write it, and whether no zone is given. Then it is a time in `local`, or else in UTC.
fn time_of(value: &str, local: Option<&TimeZone>) -> Result<(Timestamp, bool), &'static str> {
    const NO_TIME: &str = "This is no time such as 2026-01-05 09:00:00+00.";
    let value = value.trim().replacen(' ', "T", 1);
    let (date, clock) = value.split_once('T').unwrap_or((&value, "00:00:00"));
    let zone = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    if let (Some(local), true) = (local, zone.is_empty()) {
        let time: jiff::civil::DateTime = format!("{date}T{clock}").parse().map_err(|_| NO_TIME)?;
        let time = local.to_timestamp(time).map_err(|_| NO_TIME)?;
        return Ok((Timestamp::from_millis(time.as_millisecond()), true));
    }
    let offset = match zone.len() {
        0 => "Z".to_owned(),
        3 => format!("{zone}:00"),
        _ => zone.to_owned(),
    };
    let time = Timestamp::parse(&format!("{date}T{clock}{offset}")).ok_or(NO_TIME)?;
    Ok((time, zone.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(values: &[(Field, &str)]) -> Raw {
        let mut raw = Raw::default();
        for (field, value) in values {
            raw.0[*field as usize] = Some((*value).into());
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
        assert_eq!(problem, "time_zone: there is no CEST: use a name such as Europe/Berlin");
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
    fn all_that_is_wrong_is_told() {
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
