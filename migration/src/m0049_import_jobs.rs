//! Imports that are kept until they are applied, with their files for a short time, and remembered mappings of headings.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, blob, blob_null, boolean, integer, integer_null, text, text_null, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = |name: &'static str, table: &'static str, column: &'static str| {
            Index::create().name(name).table(table).col(column).take()
        };
        let mut of_user = ForeignKey::create()
            .from("import_jobs", "user_id")
            .to("users", "id")
            .on_delete(ForeignKeyAction::SetNull)
            .take();
        let jobs = Table::create()
            .table("import_jobs")
            .col(uuid("id").primary_key().take())
            .col(uuid_null("user_id"))
            .col(text("file_name"))
            .col(big_integer("created_at"))
            .col(text("match_by"))
            .col(text("mapping"))
            .col(boolean("send_welcome"))
            .col(text("state"))
            .col(text_null("failure"))
            .col(integer("percent"))
            .col(integer_null("created"))
            .col(integer_null("updated"))
            .col(integer_null("unchanged"))
            .col(integer("rights_changes"))
            .col(big_integer("errors"))
            .col(big_integer("seen_at"))
            .col(big_integer_null("applied_at"))
            .foreign_key(&mut of_user)
            .take();
        manager.create_table(jobs).await?;
        manager.create_index(index("import_jobs_by_user", "import_jobs", "user_id")).await?;
        manager.create_index(index("import_jobs_by_state", "import_jobs", "state")).await?;
        let mut of_job = ForeignKey::create()
            .from("import_files", "job_id")
            .to("import_jobs", "id")
            .on_delete(ForeignKeyAction::Cascade)
            .take();
        let files = Table::create()
            .table("import_files")
            .col(uuid("job_id").primary_key().take())
            .col(blob("file"))
            .col(blob("columns"))
            .col(blob_null("report"))
            .col(big_integer("expires_at"))
            .foreign_key(&mut of_job)
            .take();
        manager.create_table(files).await?;
        manager.create_index(index("import_files_expires_at", "import_files", "expires_at")).await?;
        let mappings = Table::create()
            .table("import_mappings")
            .col(uuid("id").primary_key().take())
            .col(text("digest").unique_key().take())
            .col(text("mapping"))
            .col(text("match_by"))
            .col(big_integer("used_at"))
            .take();
        manager.create_table(mappings).await
    }
}
