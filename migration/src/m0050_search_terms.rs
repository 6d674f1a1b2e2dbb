//! Further text by which a search finds a user: other spellings of names, digits of the telephone number, the id of an
//! imported account. The service writes it, and computes it for existing users at its first start.
//!
//! A user without such text keeps the searched text of `m0013_user_search_index`, so that no index is rebuilt.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{integer, text};
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Columns of which the searched text consists.
const COLUMNS: &str = "username_key, email_key, first_name_key, last_name_key, search_terms";

/// Searched text of a user; further terms begin with a line feed.
fn search_text(row: &str) -> String {
    format!(
        "{row}username_key || '\n' || {row}email_key || '\n' || {row}first_name_key || ' ' || {row}last_name_key \
         || {row}search_terms"
    )
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let terms = text("search_terms").default("").take();
        manager.alter_table(Table::alter().table("users").add_column(terms).take()).await?;
        let form = integer("search_terms").default(0).take();
        manager.alter_table(Table::alter().table("instance").add_column(form).take()).await?;
        let changed = match manager.get_database_backend() {
            DatabaseBackend::Postgres => postgres(),
            _ => sqlite(),
        };
        manager.get_connection().execute_unprepared(&changed).await?;
        Ok(())
    }
}

/// A trigger computes the column: another expression of a generated one would rewrite the table and its indexes.
fn postgres() -> String {
    format!(
        "
        ALTER TABLE users ALTER COLUMN search_text DROP EXPRESSION;
        CREATE FUNCTION vestibule_search_text() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.search_text := {};
                RETURN NEW;
            END
            $$;
        CREATE TRIGGER users_search_text BEFORE INSERT OR UPDATE OF {COLUMNS} ON users
            FOR EACH ROW EXECUTE FUNCTION vestibule_search_text();
        ",
        search_text("NEW.")
    )
}

/// The triggers are those of `m0030_search_index_secure_delete`, for one more column.
fn sqlite() -> String {
    let add = "INSERT INTO user_trigrams (rowid, terms) SELECT new.number, new.search_text || char(10, 10)";
    let remove = "INSERT INTO user_trigrams (user_trigrams, rowid, terms) \
                  VALUES ('delete', old.number, old.search_text || char(10, 10))";
    format!(
        "
        DROP TRIGGER user_trigrams_insert;
        DROP TRIGGER user_trigrams_delete;
        DROP TRIGGER user_trigrams_update;
        ALTER TABLE users DROP COLUMN search_text;
        ALTER TABLE users ADD COLUMN search_text TEXT GENERATED ALWAYS AS ({}) VIRTUAL;
        CREATE TRIGGER user_trigrams_insert AFTER INSERT ON users BEGIN {add}; END;
        CREATE TRIGGER user_trigrams_delete AFTER DELETE ON users BEGIN {remove}; END;
        CREATE TRIGGER user_trigrams_update AFTER UPDATE OF {COLUMNS} ON users
            WHEN old.search_text <> new.search_text
            BEGIN {remove}; {add}; END;
        ",
        search_text("")
    )
}
