//! Leases for work that one instance does at a time, such as an import.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("leases")
            .col(text("name").primary_key().take())
            .col(uuid("holder"))
            .col(big_integer("ends_at"))
            .take();
        manager.create_table(table).await
    }
}
