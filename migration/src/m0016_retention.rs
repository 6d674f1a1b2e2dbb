//! Retention: indexes for client addresses in the audit trail and expired links, and a table of files without a user.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("pending_deletions")
            .col(text("name").primary_key().take())
            .col(big_integer("due_at"))
            .take();
        manager.create_table(table).await?;
        for (name, table, column) in [
            ("pending_deletions_by_time", "pending_deletions", "due_at"),
            ("one_time_tokens_by_time", "one_time_tokens", "expires_at"),
        ] {
            manager.create_index(Index::create().name(name).table(table).col(column).take()).await?;
        }
        let db = manager.get_connection();
        db.execute_unprepared(
            "CREATE INDEX audit_events_with_client ON audit_events (created_at) WHERE ip IS NOT NULL",
        )
        .await?;
        Ok(())
    }
}
