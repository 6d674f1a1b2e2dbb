//! Pending registrations, and the registration of a mail.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob_null, text, text_null, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("registrations")
            .col(uuid("id").primary_key().take())
            .col(text("email"))
            .col(text("email_key").unique_key().take())
            .col(text_null("username"))
            .col(text("password_hash"))
            .col(text("first_name"))
            .col(text("last_name"))
            .col(text("phone"))
            .col(blob_null("digest").unique_key().take())
            .col(big_integer_null("link_made_at"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .take();
        manager.create_table(table).await?;
        let index = Index::create().name("registrations_expiry").table("registrations").col("expires_at").take();
        manager.create_index(index).await?;
        let column = Table::alter().table("mails").add_column(uuid_null("registration_id")).take();
        manager.alter_table(column).await?;
        Ok(())
    }
}
