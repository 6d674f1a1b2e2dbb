//! The target that needs lists.

use sea_orm::Value;
use sea_orm::sea_query::Expr;
use uuid::Uuid;

use crate::domain::paging::{Key, Term, Terms};
use crate::fuzzing::Target;

type Row = (i64, String, Uuid);

/// A cursor that is taken prints back as it was, and is of one order alone.
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

fn order(descends: bool) -> Terms<Row> {
    let sql = || Expr::value(0);
    Terms(vec![
        Term { tag: 1, descends, sql: sql(), key: Key::Number(|row: &Row| row.0) },
        Term { tag: 2, descends: false, sql: sql(), key: Key::Text(|row| &row.1) },
        Term { tag: 3, descends: false, sql: sql(), key: Key::Id(|row| row.2) },
    ])
}
