//! Usernames that were given up recently and are reserved for their former owners.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("former_usernames")
            .col(text("digest").primary_key().take())
            .col(uuid("user_id"))
            .col(big_integer("free_at"))
            .take();
        manager.create_table(table).await?;
        for (name, column) in [("former_usernames_user", "user_id"), ("former_usernames_free_at", "free_at")] {
            let index = Index::create().name(name).table("former_usernames").col(column).take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
