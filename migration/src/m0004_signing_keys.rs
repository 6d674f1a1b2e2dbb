//! The keys that sign access tokens, sealed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob, text};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("signing_keys")
            .col(text("kid").primary_key().take())
            .col(blob("public_key"))
            .col(blob("sealed_private_key"))
            .col(big_integer("created_at"))
            .col(big_integer_null("expires_at"))
            .take();
        manager.create_table(table).await?;
        Ok(())
    }
}
