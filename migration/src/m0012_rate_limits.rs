//! Usage of rate limits.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table =
            Table::create().table("limits").col(text("key").primary_key().take()).col(big_integer("full_until")).take();
        manager.create_table(table).await?;
        let index = Index::create().name("limits_by_time").table("limits").col("full_until").take();
        manager.create_index(index).await?;
        Ok(())
    }
}
