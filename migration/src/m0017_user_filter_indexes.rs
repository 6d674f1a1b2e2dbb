//! What keeps a large service quick: old sessions are swept away without a look at all others, and what users have in common
//! is told by the indexes alone, whatever it is combined with.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        // A user has a few sessions, which need no order. The time of the last use changes with each refresh, and goes into
        // one index instead of another.
        db.execute_unprepared(
            "
            DROP INDEX sessions_by_user;
            CREATE INDEX sessions_by_user ON sessions (user_id);
            CREATE INDEX sessions_by_last_use ON sessions (last_used_at);
            CREATE INDEX sessions_by_expiry ON sessions (expires_at);
            ",
        )
        .await?;
        // Few are inactive or staff: only they have an entry there. Whether users are so stands in no other index, or SQLite
        // would rather read all of that. Of the verified and of members there may be few or many.
        db.execute_unprepared(
            "
            DROP INDEX users_by_active;
            DROP INDEX users_by_staff;
            DROP INDEX users_by_role;
            CREATE INDEX users_inactive ON users (date_joined, id, is_verified, role) WHERE NOT is_active;
            CREATE INDEX users_staff ON users (date_joined, id, is_active, is_verified, role) WHERE is_staff;
            CREATE INDEX users_by_role ON users (role, date_joined, id, is_verified);
            ",
        )
        .await?;
        // Who looks for one kind of what somebody did need not read all that they did.
        db.execute_unprepared(
            "
            DROP INDEX audit_events_by_actor;
            DROP INDEX audit_events_by_target;
            CREATE INDEX audit_events_by_actor ON audit_events (actor_id, id, action);
            CREATE INDEX audit_events_by_target ON audit_events (target_id, id, action);
            ",
        )
        .await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            // How often what goes together: whoever is not verified may be inactive, too.
            db.execute_unprepared(
                "CREATE STATISTICS users_in_common (mcv) ON is_active, is_staff, is_verified, role FROM users",
            )
            .await?;
        }
        Ok(())
    }
}
