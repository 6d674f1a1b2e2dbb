//! Fuzzing targets for cursors and imports from Django.

use sea_orm::Value;
use sea_orm::sea_query::Expr;
use uuid::Uuid;

use crate::domain::import::django::mapping::Mapping;
use crate::domain::import::django::source::dump;
use crate::domain::paging::{Key, OrderBy, OrderTerm};
use crate::fuzzing::Target;

type Row = (i64, String, Uuid);

/// An accepted cursor is encoded to the same text, and is valid for one order only.
pub(crate) const CURSOR: Target = Target {
    name: "cursor",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(place) = order(true).place(text) else { return };
        let [Value::BigInt(Some(number)), Value::String(Some(name)), Value::Uuid(Some(id))] = place.as_slice() else {
            panic!("a place of other types: {place:?}");
        };
        assert!(!name.contains('\0'), "PostgreSQL takes no such text");
        assert_eq!(order(true).cursor(&(*number, name.clone(), *id)), text);
        assert!(order(false).place(text).is_err());
    },
    seeds: || {
        let rows = [(0, ""), (i64::MIN, "ann"), (1_795_253_400_000, "jos\u{e9}")];
        let row = |(number, text): (i64, &str)| (number, text.to_owned(), Uuid::from_u128(7));
        rows.iter().flat_map(|given| [true, false].map(|way| order(way).cursor(&row(*given)).into_bytes())).collect()
    },
};

fn order(descends: bool) -> OrderBy<Row> {
    let sql = || Expr::value(0);
    OrderBy(vec![
        OrderTerm { tag: 1, descends, sql: sql(), key: Key::Number(|row: &Row| row.0) },
        OrderTerm { tag: 2, descends: false, sql: sql(), key: Key::Text(|row| &row.1) },
        OrderTerm { tag: 3, descends: false, sql: sql(), key: Key::Id(|row| row.2) },
    ])
}

/// Each user of a dump has an id, and each failure has a message.
pub(crate) const DUMP: Target = Target {
    name: "dump",
    run: |bytes| match dump::read(bytes, &Mapping::default(), true) {
        Ok(users) => assert!(!users.is_empty() && users.iter().all(|user| user.fields[0].is_some())),
        Err(problem) => assert!(!problem.is_empty()),
    },
    seeds: || {
        let user = r#"{"model": "auth.user", "pk": 7, "fields": {"password": "!", "last_login": null, "is_superuser": false,
            "username": "ann", "first_name": "", "last_name": "", "email": "a@x.example", "is_staff": false,
            "is_active": true, "date_joined": "2026-01-05T09:00:00Z"}}"#;
        let token = r#"{"model": "authtoken.token", "pk": "abc", "fields": {"user": 7}}"#;
        let device = r#"{"model": "otp_totp.totpdevice", "pk": 1, "fields": {"user": 7, "confirmed": true, "key": "00",
            "step": 30, "t0": 0, "digits": 6, "drift": 0, "last_t": -1}}"#;
        let codes = r#"{"model": "mfa.authenticator", "pk": 1, "fields": {"user": 7, "type": "recovery_codes",
            "data": {"seed": "00", "used_mask": 0}, "created_at": null, "last_used_at": null}}"#;
        vec![format!("[{user}, {token}, {device}, {codes}]").into_bytes(), format!("{token}\n{user}\n").into_bytes()]
    },
};

/// An accepted mapping has no name of a table or column that could end a statement.
pub(crate) const MAPPING: Target = Target {
    name: "mapping",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        match Mapping::parse(text) {
            Ok(mapping) => assert!(mapping.names().all(|name| !name.is_empty() && !name.contains(['"', '\0']))),
            Err(problem) => assert!(!problem.is_empty()),
        }
    },
    seeds: || {
        let all = "table = 'a_user'\nid_prefix = 'x-'\n[columns]\nusername = ''\nphone = 'p.tel'\n[joins.p]\ntable = 'p'\n\
                   user = 'u'\n[tokens]\ntable = 't'\n[roles]\n1 = 'ADMIN'\n[defaults]\nis_verified = false\n";
        vec![all.as_bytes().to_vec(), b"[permissions]\n'a b' = \"download\"\n".to_vec()]
    },
};
