//! Source that is the database of a Django project, read in the order of the users' ids and never written to.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::factors::{FactorRow, FactorTable, UsersTable};
use super::{BATCH, Raw, missing, unusable};
use crate::config::DatabaseUrl;
use crate::database::{self, Pool};
use crate::domain::import::django::mapping::{Field, Mapping};
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::certificates::Trust;

/// PostgreSQL's types of keys to which a text can be cast for comparison.
const KEYS: [&str; 7] = ["int2", "int4", "int8", "numeric", "text", "uuid", "varchar"];

/// The tables of users and their details.
#[derive(Debug)]
pub(super) struct Tables {
    db: Pool,
    count: String,
    first: String,
    /// Query of the users beyond an id.
    further: String,
    last: Option<String>,
    /// The tables of second factors that exist.
    factors: Vec<Factors>,
    /// True if ids are UUIDs of 32 digits, as Django stores them in databases without a type for UUIDs.
    has_bare_uuids: bool,
}

/// Queries of a table of second factors, for the users up to an id.
#[derive(Debug)]
struct Factors {
    table: FactorTable,
    first: String,
    /// Query of those beyond another id.
    further: String,
}

impl Tables {
    /// Opens the database and checks that all columns exist.
    pub(super) async fn open(url: &DatabaseUrl, trust: &Trust, mapping: &Mapping, with_tokens: bool) -> Result<Self> {
        let opened = database::open_to_read(url, trust).await;
        let db = opened.map_err(|problem| Error::BadInput(unusable(problem)))?;
        let id = mapping.place(Field::Id).map(|place| place.column.as_str()).unwrap_or_default();
        let users = Table::of(&db, &mapping.table).await?;
        users.must_have(columns(mapping, None))?;
        for (at, join) in mapping.joins.iter().enumerate() {
            let table = Table::of(&db, &join.table).await?;
            table.must_have(columns(mapping, Some(at)).chain([join.user.as_str()]))?;
        }
        if with_tokens {
            let tokens = &mapping.tokens;
            Table::of(&db, &tokens.table).await?.must_have([tokens.key.as_str(), &tokens.user].into_iter())?;
        }
        let cast = match (db.get_database_backend(), users.kind(id)) {
            (DatabaseBackend::Postgres, kind) if KEYS.contains(&kind) => Some(kind.to_owned()),
            (DatabaseBackend::Postgres, kind) => {
                let text = Text::new("source-unordered-ids").with("column", id).with("type", kind);
                return Err(Error::BadInput(text));
            }
            // SQLite compares the text as a number if the column is one.
            _ => None,
        };
        let [one, other] = ["$1", "$2"].map(|value| match &cast {
            Some(kind) => format!("CAST({value} AS {kind})"),
            None => value.to_owned(),
        });
        let has_bare_uuids = users.kind(id) == "char(32)";
        let (table, id) = (quoted(&mapping.table), quoted(id));
        let key = users.key.as_deref().map_or_else(|| id.clone(), quoted);
        let mut factors = Vec::new();
        for kind in FactorTable::ALL {
            let name = |name: &str| beside(&mapping.table, name);
            let Some(found) = Table::find(&db, &name(kind.name())).await? else { continue };
            found.must_have(kind.columns().iter().copied())?;
            let select = |condition: &str| {
                let users = UsersTable { table: &table, id: &id, key: &key, condition };
                kind.select(|table| quoted(&name(table)), &users)
            };
            let first = select(&format!("u.{id} <= {one}"));
            let further = select(&format!("u.{id} > {one} AND u.{id} <= {other}"));
            factors.push(Factors { table: kind, first, further });
        }
        let select = select(mapping, with_tokens);
        Ok(Self {
            db,
            count: format!("SELECT COUNT(*) FROM {table}"),
            first: format!("{select} ORDER BY u.{id} LIMIT {BATCH}"),
            further: format!("{select} WHERE u.{id} > {one} ORDER BY u.{id} LIMIT {BATCH}"),
            last: None,
            factors,
            has_bare_uuids,
        })
    }

    /// Number of users.
    pub(super) async fn count(&self) -> Result<usize> {
        let rows = query(&self.db, &self.count, &[]).await?;
        let count =
            rows.first().map_or(Ok(0_i64), |row| row.try_get_by_index(0)).map_err(|error| unreadable(&error))?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// The next batch of users; empty at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Raw>> {
        let sql = if self.last.is_some() { &self.further } else { &self.first };
        let rows = query(&self.db, sql, self.last.as_slice()).await?;
        let mut rows: Vec<Raw> =
            rows.iter().map(raw).collect::<Result<_, DbErr>>().map_err(|error| unreadable(&error))?;
        if let Some(id) = rows.last().and_then(|row| row.get(Field::Id)) {
            let id = id.to_owned();
            self.read_factors(&mut rows, &id).await?;
            self.last = Some(id);
        }
        for row in rows.iter_mut().filter(|_| self.has_bare_uuids) {
            // Other systems and dumps write them with hyphens.
            if let Some(id) = row.get(Field::Id).and_then(|id| Uuid::parse_str(id).ok()) {
                row.set(Field::Id, Some(id.to_string()));
            }
        }
        Ok(rows)
    }

    /// Adds the second factors of a batch that ends with this id.
    async fn read_factors(&self, users: &mut [Raw], upto: &str) -> Result<()> {
        if self.factors.is_empty() {
            return Ok(());
        }
        let mut found: HashMap<String, Vec<FactorRow>> = HashMap::new();
        for Factors { table, first, further } in &self.factors {
            let (sql, beyond) = if self.last.is_some() { (further, self.last.clone()) } else { (first, None) };
            let values: Vec<String> = beyond.into_iter().chain([upto.to_owned()]).collect();
            for row in query(&self.db, sql, &values).await? {
                let (user, row) = factor(*table, &row).map_err(|error| unreadable(&error))?;
                found.entry(user.unwrap_or_default()).or_default().push(row);
            }
        }
        for user in users {
            user.factors = Some(user.get(Field::Id).and_then(|id| found.remove(id)).unwrap_or_default());
        }
        Ok(())
    }
}

/// The mapped columns of the users' table, or of a joined table.
fn columns(mapping: &Mapping, join: Option<usize>) -> impl Iterator<Item = &str> {
    let places = Field::ALL.into_iter().filter_map(|field| mapping.place(field));
    places.filter(move |place| place.join == join).map(|place| place.column.as_str())
}

/// The query of all fields of users, each as text, in the order of [`Field::ALL`].
fn select(mapping: &Mapping, with_tokens: bool) -> String {
    let id = mapping.place(Field::Id).map(|place| quoted(&place.column)).unwrap_or_default();
    let tokens = &mapping.tokens;
    let values = Field::ALL.into_iter().map(|field| match mapping.place(field) {
        Some(place) => {
            let table = place.join.map_or("u".to_owned(), |at| format!("j{at}"));
            format!("CAST({table}.{} AS text)", quoted(&place.column))
        }
        None if field == Field::Token && with_tokens => {
            let [table, key, user] = [&tokens.table, &tokens.key, &tokens.user].map(|name| quoted(name));
            format!("(SELECT MIN(t.{key}) FROM {table} t WHERE t.{user} = u.{id})")
        }
        None => "NULL".to_owned(),
    });
    let values: Vec<String> = values.collect();
    let joins =
        mapping.joins.iter().enumerate().map(|(at, join)| {
            format!(" LEFT JOIN {} j{at} ON j{at}.{} = u.{id}", quoted(&join.table), quoted(&join.user))
        });
    format!("SELECT {} FROM {} u{}", values.join(", "), quoted(&mapping.table), joins.collect::<String>())
}

fn raw(row: &QueryResult) -> Result<Raw, DbErr> {
    let mut raw = Raw::default();
    for (at, field) in Field::ALL.into_iter().enumerate() {
        raw.set(field, row.try_get_by_index(at)?);
    }
    Ok(raw)
}

/// A row of second factors with the id of its user.
fn factor(table: FactorTable, row: &QueryResult) -> Result<(Option<String>, FactorRow), DbErr> {
    let values = (1..=table.columns().len()).map(|at| row.try_get_by_index(at));
    Ok((row.try_get_by_index(0)?, FactorRow { table, values: values.collect::<Result<_, DbErr>>()? }))
}

/// The name of a table in the schema of another one.
fn beside(table: &str, name: &str) -> String {
    table.rsplit_once('.').map_or_else(|| name.to_owned(), |(schema, _)| format!("{schema}.{name}"))
}

/// A table with the names and database types of its columns.
struct Table {
    name: String,
    columns: Vec<(String, String)>,
    /// The primary key, if it is one column.
    key: Option<String>,
}

impl Table {
    async fn of(db: &Pool, name: &str) -> Result<Self> {
        let missing = || Error::BadInput(Text::new("source-table-missing").with("table", name));
        Self::find(db, name).await?.ok_or_else(missing)
    }

    async fn find(db: &Pool, name: &str) -> Result<Option<Self>> {
        let (sql, given) = match db.get_database_backend() {
            DatabaseBackend::Postgres => (
                "SELECT a.attname::text, t.typname::text, CASE WHEN a.attnum = ANY(i.indkey) THEN 'key' ELSE '' END \
                 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
                 LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
                quoted(name),
            ),
            _ => {
                let sql =
                    "SELECT name, lower(type), CASE WHEN pk > 0 THEN 'key' ELSE '' END FROM pragma_table_info($1)";
                (sql, name.to_owned())
            }
        };
        let rows = query(db, sql, &[given]).await?;
        let columns = |row: &QueryResult| -> Result<(String, String, String), DbErr> { row.try_get_many_by_index() };
        let columns: Vec<_> =
            rows.iter().map(columns).collect::<Result<_, DbErr>>().map_err(|error| unreadable(&error))?;
        let mut keys = columns.iter().filter(|(.., part)| part == "key").map(|(name, ..)| name.clone());
        let key = keys.next().filter(|_| keys.next().is_none());
        let columns: Vec<_> = columns.into_iter().map(|(name, kind, _)| (name, kind)).collect();
        Ok((!columns.is_empty()).then(|| Self { name: name.to_owned(), columns, key }))
    }

    fn kind(&self, column: &str) -> &str {
        self.columns.iter().find(|(name, _)| name == column).map_or("", |(_, kind)| kind)
    }

    fn must_have<'b>(&self, wanted: impl Iterator<Item = &'b str>) -> Result<()> {
        let is_there = |column: &str| self.columns.iter().any(|(name, _)| name == column);
        let absent: Vec<String> = wanted.filter(|column| !is_there(column)).map(str::to_owned).collect();
        let there: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let text = Text::new("source-table-lacks-columns").with("table", self.name.as_str());
        Err(Error::BadInput(missing(text, &absent, &there)))
    }
}

/// A name in quotes; mappings accept no names with quotes. A schema and its table are quoted separately.
fn quoted(name: &str) -> String {
    name.split('.').map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(".")
}

async fn query(db: &Pool, sql: &str, values: &[String]) -> Result<Vec<QueryResult>> {
    let values = values.iter().map(|value| Value::from(value.as_str()));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.query_all_raw(statement).await.map_err(|error| unreadable(&error))
}

/// An error of the source database, explained for the operator.
fn unreadable(error: &DbErr) -> Error {
    Error::internal(unusable(database::explain(error)).english())
}
