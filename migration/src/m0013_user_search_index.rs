//! Search among a million users: sort keys for names, an index for each order and filter, and a trigram index for parts
//! of names and addresses. Search terms of one or two letters, which have no trigram, use another query.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text;
use sea_orm_migration::sea_orm::{DatabaseBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Searched text of a user: a search term matches within one line.
const SEARCH_TEXT: &str = "username_key || '\n' || email_key || '\n' || first_name_key || ' ' || last_name_key";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for key in ["first_name_key", "last_name_key"] {
            let column = text(key).default("").take();
            manager.alter_table(Table::alter().table("users").add_column(column).take()).await?;
        }
        let db = manager.get_connection();
        db.execute_unprepared("UPDATE users SET first_name_key = lower(first_name), last_name_key = lower(last_name)")
            .await?;
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => {
                db.execute_unprepared("CREATE EXTENSION IF NOT EXISTS pg_trgm").await?;
                let schema = db.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, EXTENSION_SCHEMA));
                let schema: String = schema.await?.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
                db.execute_unprepared(&postgres(&schema)).await?
            }
            _ => db.execute_unprepared(&sqlite()).await?,
        };
        for (name, columns) in [
            ("users_by_first_name", ["first_name_key", "id"].as_slice()),
            ("users_by_last_name", &["last_name_key", "id"]),
            ("users_by_active", &["is_active", "date_joined", "id"]),
            ("users_by_staff", &["is_staff", "date_joined", "id"]),
            ("users_by_verified", &["is_verified", "date_joined", "id"]),
            ("users_by_role", &["role", "date_joined", "id"]),
        ] {
            let mut index = Index::create().name(name).table("users").take();
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        db.execute_unprepared("CREATE INDEX users_superusers ON users (id) WHERE is_superuser").await?;
        db.execute_unprepared("CREATE INDEX users_by_last_activity ON users (COALESCE(last_activity, 0), id)").await?;
        Ok(())
    }
}

/// The schema of the extension, quoted, because it may be outside the search path.
const EXTENSION_SCHEMA: &str = "SELECT quote_ident(n.nspname) FROM pg_extension e \
                                JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'";

/// Keys are compared by bytes, so that both databases sort alike.
fn postgres(schema: &str) -> String {
    format!(
        r#"
        ALTER TABLE users
            ALTER COLUMN username_key TYPE text COLLATE "C",
            ALTER COLUMN email_key TYPE text COLLATE "C",
            ALTER COLUMN first_name_key TYPE text COLLATE "C",
            ALTER COLUMN last_name_key TYPE text COLLATE "C";
        ALTER TABLE users ADD COLUMN search_text text COLLATE "C" GENERATED ALWAYS AS ({SEARCH_TEXT}) STORED;
        CREATE INDEX users_by_trigrams ON users USING gin (search_text {schema}.gin_trgm_ops);
        CREATE FUNCTION vestibule_grams(term text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
            COST 1000 AS $$
            DECLARE
                letters text[] := string_to_array(term, NULL);
                grams text[] := letters;
            BEGIN
                FOR place IN 2..cardinality(letters) LOOP
                    grams := grams || (letters[place - 1] || letters[place]);
                END LOOP;
                RETURN grams;
            END
            $$;
        CREATE INDEX users_by_grams ON users USING gin (vestibule_grams(search_text));
        "#
    )
}

/// The index stores no text. Two line feeds at the end let every letter start a trigram.
fn sqlite() -> String {
    let add = |row: &str| {
        format!("INSERT INTO user_trigrams (rowid, terms) SELECT {row}number, {row}search_text || char(10, 10)")
    };
    let (add, add_all) = (add("new."), add("users."));
    let remove = "DELETE FROM user_trigrams WHERE rowid = old.number";
    format!(
        "
        ALTER TABLE users ADD COLUMN search_text TEXT GENERATED ALWAYS AS ({SEARCH_TEXT}) VIRTUAL;
        CREATE VIRTUAL TABLE user_trigrams USING fts5(
            terms, tokenize = 'trigram case_sensitive 1', content = '', contentless_delete = 1, detail = none);
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
