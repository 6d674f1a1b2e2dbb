//! The outbox: mails to send and sent, without their text.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, blob_null, integer, text, text_null, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("mails")
            .col(uuid("id").primary_key().take())
            .col(text("kind"))
            .col(text("recipient"))
            .col(uuid_null("user_id"))
            .col(blob_null("sealed_token"))
            .col(text("status"))
            .col(integer("attempts"))
            .col(text_null("last_error"))
            .col(big_integer("created_at"))
            .col(big_integer_null("next_attempt_at"))
            .col(big_integer_null("leased_until"))
            .col(big_integer_null("sent_at"))
            .foreign_key(
                ForeignKey::create().from("mails", "user_id").to("users", "id").on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        let index = Index::create().name("mails_due").table("mails").col("status").col("next_attempt_at").take();
        manager.create_index(index).await?;
        let index = Index::create().name("mails_by_user").table("mails").col("user_id").take();
        manager.create_index(index).await?;
        Ok(())
    }
}
