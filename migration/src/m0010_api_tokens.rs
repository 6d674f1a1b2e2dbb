//! API tokens of scripts; and an index that lists a user's samples in an order unaffected by their changes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("api_tokens")
            .col(uuid("id").primary_key().take())
            .col(uuid("user_id"))
            .col(text("name"))
            .col(text("scopes"))
            .col(blob("digest").unique_key().take())
            .col(text("prefix"))
            .col(big_integer("created_at"))
            .col(big_integer_null("last_used_at"))
            .col(big_integer_null("expires_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("api_tokens", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index =
            Index::create().name("api_tokens_by_user").table("api_tokens").col("user_id").col("created_at").take();
        manager.create_index(index).await?;
        let index =
            Index::create().name("samples_by_modifier_and_id").table("samples").col("modified_by").col("id").take();
        manager.create_index(index).await?;
        Ok(())
    }
}
