//! Submitted forms of pages, to detect a second click on the same button.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("sent_forms")
            .col(blob("digest").primary_key().take())
            .col(big_integer("expires_at"))
            .take();
        manager.create_table(table).await?;
        let index = Index::create().name("sent_forms_expires_at").table("sent_forms").col("expires_at").take();
        manager.create_index(index).await
    }
}
