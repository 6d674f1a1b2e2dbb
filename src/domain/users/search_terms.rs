//! Further text by which a search finds a user: what people type differs from what is stored.

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, IntoIden as _, Query, TableRef, Value, ValueTuple};
use sea_orm::{
    ActiveValue, ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseBackend, DatabaseTransaction,
    EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
};

use crate::entity::instance;
use crate::entity::user::{self, Column};
use crate::error::Result;
use crate::tools::{phone, spelling, text};

/// Current form of the terms, counted from 0. Another form requires a higher number, so that [`renew`] computes the
/// terms of existing users.
const FORM: i32 = 1;

/// Number of users per batch of [`renew`].
const BATCH: u64 = 1000;

/// Details by which a user is found, besides the keys of their names and address.
struct Details<'a> {
    /// Folded names and address, which are searched anyway.
    keys: [&'a str; 4],
    /// First and last name.
    names: [&'a str; 2],
    username: &'a str,
    email: &'a str,
    phone: &'a str,
    external_id: Option<&'a str>,
}

impl<'a> From<&'a user::Model> for Details<'a> {
    fn from(user: &'a user::Model) -> Self {
        Self {
            keys: [&user.username_key, &user.email_key, &user.first_name_key, &user.last_name_key],
            names: [&user.first_name, &user.last_name],
            username: &user.username,
            email: &user.email,
            phone: &user.phone,
            external_id: user.external_id.as_deref(),
        }
    }
}

/// The search terms of a user: other spellings of names and address, the digits of the telephone number, and the
/// external id, each after a line feed. A term that is part of other searched text is left out, so most users have few.
pub(in crate::domain) fn of(user: &user::Model) -> String {
    terms(&user.into())
}

/// The search terms of a user with another address.
pub(in crate::domain) fn with_address(user: &user::Model, email: &str, email_key: &str) -> String {
    let details = Details::from(user);
    let [username_key, _, first_name_key, last_name_key] = details.keys;
    terms(&Details { keys: [username_key, email_key, first_name_key, last_name_key], email, ..details })
}

/// The row of a new user, with its search terms.
pub(in crate::domain) fn searchable(mut row: user::ActiveModel) -> user::ActiveModel {
    fn text(value: &ActiveValue<String>) -> &str {
        value.try_as_ref().map_or("", String::as_str)
    }
    let details = Details {
        keys: [&row.username_key, &row.email_key, &row.first_name_key, &row.last_name_key].map(text),
        names: [text(&row.first_name), text(&row.last_name)],
        username: text(&row.username),
        email: text(&row.email),
        phone: text(&row.phone),
        external_id: row.external_id.try_as_ref().and_then(Option::as_deref),
    };
    row.search_terms = ActiveValue::Set(terms(&details));
    row
}

fn terms(details: &Details<'_>) -> String {
    let Details { keys, names: [first_name, last_name], username, email, phone, external_id } = *details;
    let local_part = email.rsplit_once('@').map_or(email, |(local, _)| local);
    let whole = [first_name, last_name, username, email].map(text::fold);
    let spelled = whole.iter().flat_map(|text| [spelling::plain(text), spelling::long(text)]);
    let names = [first_name, last_name].map(|name| spelling::joined(&spelling::bare(&text::fold(name))));
    let identifiers = [username, local_part].map(|name| spelling::bare(&text::fold(name)));
    // Names such as 李小龍 have the family name first, without a blank.
    let is_unspaced = [first_name, last_name].into_iter().all(spelling::is_without_blanks);
    let full = is_unspaced.then(|| text::fold(&format!("{last_name}{first_name}")));
    let others = full.into_iter().chain(phone::stored(phone)).chain(external_id.map(text::fold));
    let mut terms = String::new();
    for term in spelled.chain(names).chain(identifiers).chain(others) {
        if !terms.contains(&term) && !keys.iter().any(|key| key.contains(&term)) {
            terms.push('\n');
            terms.push_str(&term);
        }
    }
    terms
}

/// Computes the terms of all users, unless they have the current form. Only one instance at a time may run the
/// transaction.
pub async fn renew(txn: &DatabaseTransaction) -> Result<()> {
    let outdated = instance::Column::SearchTerms.lt(FORM);
    if instance::Entity::find().filter(outdated.clone()).one(txn).await?.is_none() {
        return Ok(());
    }
    let trigger = pause_index(txn).await?;
    let mut last = None;
    loop {
        let after = Condition::all().add_option(last.map(|last| Column::Id.gt(last)));
        let batch = user::Entity::find().filter(after).order_by_asc(Column::Id).limit(BATCH).all(txn).await?;
        let Some(user) = batch.last() else { break };
        last = Some(user.id);
        store(txn, &batch).await?;
    }
    if let Some(trigger) = trigger {
        txn.execute_unprepared(REBUILD).await?;
        txn.execute_unprepared(&trigger).await?;
    }
    let done = instance::Entity::update_many().col_expr(instance::Column::SearchTerms, Expr::value(FORM));
    done.filter(outdated).exec(txn).await?;
    Ok(())
}

/// Fills the search index of SQLite as its triggers do.
const REBUILD: &str = "INSERT INTO user_trigrams (user_trigrams) VALUES ('delete-all');
    INSERT INTO user_trigrams (rowid, terms) SELECT number, search_text || char(10, 10) FROM users";

/// Drops the trigger that updates the search index of SQLite row by row, which takes several times as long as filling
/// it anew. Returns the statement that creates it; `None` on PostgreSQL.
async fn pause_index(txn: &DatabaseTransaction) -> Result<Option<String>> {
    if txn.get_database_backend() != DatabaseBackend::Sqlite {
        return Ok(None);
    }
    let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'user_trigrams_update'";
    let trigger = txn.query_one_raw(Statement::from_string(DatabaseBackend::Sqlite, trigger)).await?;
    txn.execute_unprepared("DROP TRIGGER user_trigrams_update").await?;
    Ok(trigger.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Stores the terms of these users that change, in one statement.
async fn store(txn: &DatabaseTransaction, users: &[user::Model]) -> Result<()> {
    let terms = users.iter().map(|user| (user, of(user))).filter(|(user, terms)| user.search_terms != *terms);
    let rows: Vec<ValueTuple> =
        terms.map(|(user, terms)| ValueTuple::Many(vec![Value::from(user.id), terms.into()])).collect();
    if rows.is_empty() {
        return Ok(());
    }
    // Both databases use these names for the columns of a list of values.
    let value = |column| Expr::col((Alias::new("new"), Alias::new(column)));
    let mut update = Query::update();
    update
        .table(user::Entity)
        .value(Column::SearchTerms, value("column2"))
        .from(TableRef::ValuesList(rows, Alias::new("new").into_iden()))
        .and_where(Expr::col((user::Entity, Column::Id)).eq(value("column1")));
    txn.execute(&update).await?;
    Ok(())
}
