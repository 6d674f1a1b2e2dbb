//! The audit trail; rows outlive the users they refer to.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, text_null, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("audit_events")
            .col(uuid("id").primary_key().take())
            .col(text("action"))
            .col(uuid_null("actor_id"))
            .col(uuid_null("target_id"))
            .col(text_null("ip"))
            .col(text_null("user_agent"))
            .col(big_integer("created_at"))
            .take();
        manager.create_table(table).await?;
        Ok(())
    }
}
