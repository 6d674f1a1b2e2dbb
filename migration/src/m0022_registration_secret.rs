//! Digest of the secret that only the registering client has.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::blob_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = blob_null("secret_digest");
        manager.alter_table(Table::alter().table("registrations").add_column(column).take()).await
    }
}
