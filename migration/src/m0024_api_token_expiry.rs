//! The API token of a mail; and an expiry one year from now for API tokens without one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::uuid_null;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = uuid_null("api_token_id");
        manager.alter_table(Table::alter().table("mails").add_column(column).take()).await?;
        let now = match manager.get_database_backend() {
            DatabaseBackend::Postgres => "CAST(extract(epoch FROM now()) * 1000 AS bigint)",
            _ => "CAST(strftime('%s', 'now') AS integer) * 1000",
        };
        let year: i64 = 365 * 24 * 60 * 60 * 1000;
        let update = format!("UPDATE api_tokens SET expires_at = {now} + {year} WHERE expires_at IS NULL");
        manager.get_connection().execute_unprepared(&update).await?;
        Ok(())
    }
}
