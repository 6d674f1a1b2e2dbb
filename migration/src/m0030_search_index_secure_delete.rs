//! A trigram index in SQLite that removes the letters of a deleted user immediately. The index of
//! `m0013_user_search_index` only marked rows as deleted and kept their trigrams until a merge.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            manager.get_connection().execute_unprepared(&rebuilt()).await?;
        }
        Ok(())
    }
}

/// The index stores no text, so that deleting a row requires its indexed text. Two line feeds at the end let every
/// letter start a trigram.
fn rebuilt() -> String {
    let add = |row: &str| {
        format!("INSERT INTO user_trigrams (rowid, terms) SELECT {row}number, {row}search_text || char(10, 10)")
    };
    let (add, add_all) = (add("new."), add("users."));
    let remove = "INSERT INTO user_trigrams (user_trigrams, rowid, terms) \
                  VALUES ('delete', old.number, old.search_text || char(10, 10))";
    format!(
        "
        DROP TRIGGER user_trigrams_insert;
        DROP TRIGGER user_trigrams_delete;
        DROP TRIGGER user_trigrams_update;
        DROP TABLE user_trigram_terms;
        DROP TABLE user_trigrams;
        CREATE VIRTUAL TABLE user_trigrams USING fts5(
            terms, tokenize = 'trigram case_sensitive 1', content = '', detail = none);
        INSERT INTO user_trigrams (user_trigrams, rank) VALUES ('secure-delete', 1);
        CREATE VIRTUAL TABLE user_trigram_terms USING fts5vocab(user_trigrams, 'row');
        {add_all} FROM users;
        CREATE TRIGGER user_trigrams_insert AFTER INSERT ON users BEGIN {add}; END;
        CREATE TRIGGER user_trigrams_delete AFTER DELETE ON users BEGIN {remove}; END;
        CREATE TRIGGER user_trigrams_update
            AFTER UPDATE OF username_key, email_key, first_name_key, last_name_key ON users
            WHEN old.search_text <> new.search_text
            BEGIN {remove}; {add}; END;
        "
    )
}
