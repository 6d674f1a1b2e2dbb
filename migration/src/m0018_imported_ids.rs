//! Imported users: their id in the other system, the time of the last import, and digests of all imported ids and
//! tokens, so that deleted accounts and tokens do not return.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, blob, text_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [text_null("external_id"), big_integer_null("moved_at")] {
            manager.alter_table(Table::alter().table("users").add_column(column).take()).await?;
        }
        let index = Index::create().name("users_external_id").table("users").col("external_id").unique().take();
        manager.create_index(index).await?;
        let table = Table::create().table("imported_ids").col(blob("digest").primary_key().take()).take();
        manager.create_table(table).await
    }
}
