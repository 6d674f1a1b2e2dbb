//! Sessions of users; an ended session has no row.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, text_null, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("sessions")
            .col(uuid("id").primary_key().take())
            .col(uuid("user_id"))
            .col(integer("counter"))
            .col(integer("used"))
            .col(big_integer("rotated_at"))
            .col(big_integer("created_at"))
            .col(big_integer("last_used_at"))
            .col(big_integer("expires_at"))
            .col(text_null("ip"))
            .col(text_null("user_agent"))
            .foreign_key(
                ForeignKey::create().from("sessions", "user_id").to("users", "id").on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index =
            Index::create().name("sessions_by_user").table("sessions").col("user_id").col("last_used_at").take();
        manager.create_index(index).await?;
        Ok(())
    }
}
