//! Samples that users record.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("samples")
            .col(uuid("id").primary_key().take())
            .col(text("key").unique_key().take())
            .col(text("title"))
            .col(big_integer("created_at"))
            .col(big_integer("modified_at"))
            .col(uuid_null("modified_by"))
            .foreign_key(
                ForeignKey::create()
                    .from("samples", "modified_by")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Restrict),
            )
            .take();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("samples_by_modifier")
            .table("samples")
            .col("modified_by")
            .col("modified_at")
            .col("id")
            .take();
        manager.create_index(index).await?;
        Ok(())
    }
}
