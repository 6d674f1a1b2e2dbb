//! Passkeys of users.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob, boolean, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let passkeys = Table::create()
            .table("passkeys")
            .col(uuid("id").primary_key().take())
            .col(uuid("user_id"))
            .col(blob("digest").unique_key().take())
            .col(blob("credential_id"))
            .col(blob("public_key"))
            .col(text("domain"))
            .col(text("name"))
            .col(blob("model"))
            .col(boolean("is_synced"))
            .col(big_integer("counter"))
            .col(text("transports"))
            .col(big_integer("created_at"))
            .col(big_integer_null("last_used_at"))
            .foreign_key(
                ForeignKey::create().from("passkeys", "user_id").to("users", "id").on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(passkeys).await?;
        let by_user = Index::create().name("passkeys_by_user").table("passkeys").col("user_id").take();
        manager.create_index(by_user).await
    }
}
