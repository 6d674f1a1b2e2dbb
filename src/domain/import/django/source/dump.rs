//! Source that is a dump by `manage.py dumpdata`, as JSON or JSONL: one object for each row of each table.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::factors::{FactorRow, FactorTable, STATIC_DEVICES};
use super::{Raw, missing};
use crate::domain::import::django::mapping::{Field, Join, Mapping};
use crate::texts::Text;
use crate::tools::text;

/// A row of a table. A model `accounts.profile` is the table `accounts_profile` by default.
#[derive(Deserialize)]
struct Object {
    model: String,
    #[serde(default)]
    pk: Value,
    #[serde(default)]
    fields: Map<String, Value>,
}

/// The users in a file, with their details from other objects in it.
///
/// # Errors
/// A description of the problem.
pub(in crate::domain) fn read(file: &[u8], mapping: &Mapping, with_tokens: bool) -> Result<Vec<Raw>, String> {
    let text = text::decode(file).ok_or_else(|| Text::new("dump-not-utf8").english())?;
    let file = text.as_bytes();
    if let Some((line, escape)) = text::lone_surrogate(file) {
        return Err(Text::new("dump-lone-surrogate").with("line", line).with("escape", escape).english());
    }
    let mut reading = Reading {
        mapping,
        with_tokens,
        users: Vec::new(),
        beside: HashMap::new(),
        tokens: HashMap::new(),
        factors: None,
        static_devices: HashMap::new(),
        static_tokens: Vec::new(),
    };
    if file.trim_ascii_start().first() == Some(&b'{') {
        for object in serde_json::Deserializer::from_slice(file).into_iter() {
            reading.add(&object.map_err(|error| unreadable(&error))?)?;
        }
    } else {
        let mut json = serde_json::Deserializer::from_slice(file);
        Array(&mut reading).deserialize(&mut json).map_err(|error| unreadable(&error))?;
        json.end().map_err(|error| unreadable(&error))?;
    }
    reading.finish()
}

fn unreadable(error: &serde_json::Error) -> String {
    Text::new("dump-unreadable").with("problem", error.to_string()).english()
}

/// Details of a user from a row of a joined table.
type Beside = Vec<(Field, Option<String>)>;

struct Reading<'a> {
    mapping: &'a Mapping,
    with_tokens: bool,
    users: Vec<Raw>,
    /// Details from joined tables, by the index of the table and the user's id.
    beside: HashMap<(usize, String), Beside>,
    /// Tokens by their user's id.
    tokens: HashMap<String, String>,
    /// Second factors by their user's id; none without a model of them.
    factors: Option<HashMap<String, Vec<FactorRow>>>,
    /// Users of confirmed devices with static tokens, by the device's id.
    static_devices: HashMap<String, String>,
    /// Static tokens, with their device's id.
    static_tokens: Vec<(String, FactorRow)>,
}

impl Reading<'_> {
    fn add(&mut self, object: &Object) -> Result<(), String> {
        let table = object.model.to_ascii_lowercase().replace('.', "_");
        let mapping = self.mapping;
        let named = |name: &str| name.eq_ignore_ascii_case(&table);
        if named(&mapping.table) {
            let raw = self.user(object)?;
            self.users.push(raw);
        }
        for (at, join) in mapping.joins.iter().enumerate().filter(|(_, join)| named(&join.table)) {
            // A row without a user, such as a profile of a deleted user, is ignored.
            let Some(user) = owner(object, &join.user)? else { continue };
            let values = self.columns(Some(at)).map(|(field, column)| Ok((field, value(object, column)?)));
            let values = values.collect::<Result<Vec<_>, String>>()?;
            self.beside.insert((at, user), values);
        }
        if self.with_tokens && named(&mapping.tokens.table) {
            let user = owner(object, &mapping.tokens.user)?;
            let key = value(object, &mapping.tokens.key).or_else(|_| scalar("pk", &object.pk))?;
            self.tokens.extend(user.zip(key));
        }
        self.add_factor(object, &table)
    }

    fn add_factor(&mut self, object: &Object, table: &str) -> Result<(), String> {
        if table == STATIC_DEVICES && field(object, "confirmed") == Some(&Value::Bool(true)) {
            self.static_devices.extend(scalar("pk", &object.pk)?.zip(owner(object, "user_id")?));
        }
        let Some(table) = FactorTable::ALL.into_iter().find(|known| known.name() == table) else { return Ok(()) };
        let factors = self.factors.get_or_insert_default();
        let values = table.columns().iter().map(|column| value(object, column));
        let row = FactorRow { table, values: values.collect::<Result<_, String>>()? };
        if table == FactorTable::StaticTokens {
            self.static_tokens.extend(value(object, "device_id")?.map(|device| (device, row)));
        } else if let Some(user) = owner(object, "user_id")? {
            factors.entry(user).or_default().push(row);
        }
        Ok(())
    }

    fn user(&self, object: &Object) -> Result<Raw, String> {
        let mut raw = Raw::default();
        let mut absent = Vec::new();
        for (field, column) in self.columns(None) {
            if field == Field::Id {
                raw.set(field, scalar("pk", &object.pk)?);
            } else if has(object, column) {
                raw.set(field, value(object, column)?);
            } else {
                absent.push(column.to_owned());
            }
        }
        if raw.get(Field::Id).is_none() {
            return Err(Text::new("dump-user-without-pk").english());
        }
        if absent.is_empty() {
            return Ok(raw);
        }
        let there: Vec<String> = object.fields.keys().cloned().collect();
        Err(missing(lacks_columns(object), &absent, &there).english())
    }

    fn columns(&self, join: Option<usize>) -> impl Iterator<Item = (Field, &str)> {
        Field::ALL.into_iter().filter_map(move |field| {
            let place = self.mapping.place(field).filter(|place| place.join == join)?;
            Some((field, place.column.as_str()))
        })
    }

    fn finish(mut self) -> Result<Vec<Raw>, String> {
        if self.users.is_empty() {
            return Err(Text::new("dump-without-users").with("table", self.mapping.table.as_str()).english());
        }
        for (device, row) in self.static_tokens {
            if let (Some(factors), Some(user)) = (&mut self.factors, self.static_devices.get(&device)) {
                factors.entry(user.clone()).or_default().push(row);
            }
        }
        let joins: &[Join] = &self.mapping.joins;
        for raw in &mut self.users {
            let id = raw.get(Field::Id).unwrap_or_default().to_owned();
            for at in 0..joins.len() {
                for (field, value) in self.beside.remove(&(at, id.clone())).into_iter().flatten() {
                    raw.set(field, value);
                }
            }
            raw.set(Field::Token, self.tokens.remove(&id));
            raw.factors = self.factors.as_mut().map(|factors| factors.remove(&id).unwrap_or_default());
        }
        Ok(self.users)
    }
}

/// The id of the row's user; none if it has no user. A key that is the primary key of the row is its `pk`.
fn owner(object: &Object, column: &str) -> Result<Option<String>, String> {
    if has(object, column) { value(object, column) } else { scalar("pk", &object.pk) }
}

fn has(object: &Object, column: &str) -> bool {
    field(object, column).is_some()
}

/// The value of a column. A foreign key has the name of its field, which is the column's without `_id`.
fn field<'a>(object: &'a Object, column: &str) -> Option<&'a Value> {
    object.fields.get(column).or_else(|| object.fields.get(column.strip_suffix("_id")?))
}

fn value(object: &Object, column: &str) -> Result<Option<String>, String> {
    let there = || object.fields.keys().cloned().collect::<Vec<_>>();
    let missing = || missing(lacks_columns(object), &[column.to_owned()], &there()).english();
    scalar(column, field(object, column).ok_or_else(missing)?)
}

fn lacks_columns(object: &Object) -> Text {
    Text::new("source-model-lacks-columns").with("model", object.model.as_str())
}

fn scalar(column: &str, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(is) => Ok(Some(is.to_string())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::String(text) => Ok(Some(text.clone())),
        // The one column of Django's that contains JSON.
        Value::Object(_) if column == "data" => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(Text::new("dump-nested-value").with("column", column).english()),
    }
}

/// The array, read one object at a time.
struct Array<'a, 'b>(&'a mut Reading<'b>);

impl<'de> DeserializeSeed<'de> for Array<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut objects: A) -> Result<(), A::Error> {
        while let Some(object) = objects.next_element()? {
            self.0.add(&object).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = r#"{"model": "auth.user", "pk": 7, "fields": {"password": "!", "last_login": null, "is_superuser": false,
        "username": "ann", "first_name": "", "last_name": "", "email": "a@x.example", "is_staff": false, "is_active": true,
        "date_joined": "2026-01-05T09:00:00Z", "groups": [], "user_permissions": []}}"#;

    #[test]
    fn users_come_with_their_profile_and_token_in_any_order() {
        let mapping =
            Mapping::parse("[columns]\nphone = 'p.tel'\n[joins.p]\ntable = 'accounts_profile'\nuser = 'user_id'")
                .unwrap();
        let token =
            r#"{"model": "authtoken.token", "pk": "abc", "fields": {"user": 7, "created": "2026-01-05T09:00:00Z"}}"#;
        let profile = r#"{"model": "accounts.profile", "pk": 3, "fields": {"user": 7, "tel": 44}}"#;
        let other = r#"{"model": "sessions.session", "pk": "x", "fields": {"a": {"b": []}}}"#;
        for file in [format!("[{token}, {profile}, {USER}, {other}]"), format!("{other}\n{USER}\n{token}\n{profile}\n")]
        {
            let users = read(file.as_bytes(), &mapping, true).unwrap();
            let fields = [Field::Id, Field::Username, Field::FirstName, Field::IsActive, Field::Phone, Field::Token];
            let expected = [Some("7"), Some("ann"), None, Some("true"), Some("44"), Some("abc")];
            assert_eq!((users.len(), fields.map(|field| users[0].get(field))), (1, expected));
            assert_eq!(read(file.as_bytes(), &mapping, false).unwrap()[0].get(Field::Token), None);
        }
    }

    #[test]
    fn a_profile_without_a_user_is_passed_over() {
        let mapping =
            Mapping::parse("[columns]\nphone = 'p.tel'\n[joins.p]\ntable = 'accounts_profile'\nuser = 'user_id'")
                .unwrap();
        let profile = |user: &str| {
            format!(r#"{{"model": "accounts.profile", "pk": 3, "fields": {{"user": {user}, "tel": "4{user}"}}}}"#)
        };
        let token = r#"{"model": "authtoken.token", "pk": "abc", "fields": {"user": null}}"#;
        let file = format!("[{}, {USER}, {token}, {}]", profile("null"), profile("7"));
        let users = read(file.as_bytes(), &mapping, true).unwrap();
        assert_eq!((users.len(), users[0].get(Field::Phone), users[0].get(Field::Token)), (1, Some("47"), None));
    }

    #[test]
    fn second_factors_are_found_in_any_order() {
        let token = |device: u8| {
            format!(
                r#"{{"model": "otp_static.statictoken", "pk": 1, "fields": {{"device": {device}, "token": "mfrggzdf"}}}}"#
            )
        };
        let device = |pk: u8, confirmed: bool| {
            format!(
                r#"{{"model": "otp_static.staticdevice", "pk": {pk}, "fields": {{"user": 7, "confirmed": {confirmed}}}}}"#
            )
        };
        let codes = r#"{"model": "mfa.authenticator", "pk": 1, "fields": {"user": 7, "type": "recovery_codes",
            "data": {"used_mask": 0}, "created_at": "2026-01-05T09:00:00Z", "last_used_at": null}}"#;
        let file = format!("[{}, {}, {codes}, {USER}, {}, {}]", token(4), token(5), device(4, true), device(5, false));
        let users = read(file.as_bytes(), &Mapping::default(), false).unwrap();
        let factors = users[0].factors.as_ref().unwrap();
        let tables: Vec<_> = factors.iter().map(|row| row.table).collect();
        assert_eq!(tables, [FactorTable::Authenticators, FactorTable::StaticTokens]);
        assert_eq!((factors[0].get("data"), factors[1].get("token")), (Some("{\"used_mask\":0}"), Some("mfrggzdf")));
        assert_eq!(read(format!("[{USER}]").as_bytes(), &Mapping::default(), false).unwrap()[0].factors, None);
    }

    #[test]
    fn a_dump_redirected_by_powershell_is_read() {
        let file = format!("\u{feff}[{USER}]").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(read(&file, &Mapping::default(), false).unwrap()[0].get(Field::Username), Some("ann"));
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let natural = USER.replace("\"pk\": 7,", "");
        let custom = USER.replace("\"username\"", "\"login\"");
        for (file, expected) in [
            ("[]", "The dump has no users: no model has the table auth_user"),
            ("[{}]", "The file is not a dump by `manage.py dumpdata`: missing field `model`"),
            ("[1", "The file is not a dump by `manage.py dumpdata`: "),
            (&natural, "A user has no pk"),
            (&custom, "The model auth.user has no username (it has "),
            (&USER.replace("\"ann\"", "[\"ann\"]"), "username is not a single value"),
            (&format!("[{USER}] x"), "trailing characters"),
            (&format!("[\n{}]", USER.replace("ann", "\\ud83d")), "Line 3: \\ud83d is an unpaired surrogate"),
        ] {
            let problem = read(file.as_bytes(), &Mapping::default(), true).unwrap_err();
            assert!(problem.contains(expected), "{file}: {problem}");
        }
    }
}
