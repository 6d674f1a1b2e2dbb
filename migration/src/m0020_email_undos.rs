//! Changes of address that can be undone by a link mailed to the old address.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob_null, integer, text, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("email_undos")
            .col(uuid("mail_id").primary_key().take())
            .col(uuid("user_id"))
            .col(integer("step"))
            .col(text("email"))
            .col(text("email_key"))
            .col(blob_null("digest"))
            .col(big_integer("expires_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("email_undos", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        for (name, column, is_unique) in [
            ("email_undos_user", "user_id", false),
            ("email_undos_email_key", "email_key", false),
            ("email_undos_digest", "digest", true),
            ("email_undos_expires_at", "expires_at", false),
        ] {
            let mut index = Index::create().name(name).table("email_undos").col(column).take();
            if is_unique {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
