//! Digests of the secrets in mailed links; one valid link per user and purpose.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("one_time_tokens")
            .col(blob("digest").primary_key().take())
            .col(uuid("user_id"))
            .col(text("purpose"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("one_time_tokens", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("one_time_tokens_user_purpose")
            .table("one_time_tokens")
            .col("user_id")
            .col("purpose")
            .unique()
            .take();
        manager.create_index(index).await?;
        Ok(())
    }
}
