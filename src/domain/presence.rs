//! Who was seen when: collected in memory, written in batches, because a write at each request would cost more than the
//! request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::database::Db;
use crate::entity::user::{self, Column};
use crate::error::Result;
use crate::tools::clock::Timestamp;

/// How many users one statement updates.
const BATCH: usize = 200;

/// When each user was last seen since the last flush.
#[derive(Debug, Default)]
pub struct Presence(Mutex<HashMap<Uuid, Timestamp>>);

impl Presence {
    /// Notes that a user was seen.
    pub fn saw(&self, user: Uuid, at: Timestamp) {
        self.lock().insert(user, at);
    }

    /// Writes down what was noted. What cannot be written is noted again, unless the user was seen since.
    pub async fn flush(&self, db: &Db) -> Result<()> {
        let seen: Vec<(Uuid, Timestamp)> = self.lock().drain().collect();
        let mut batches = seen.chunks(BATCH);
        while let Some(batch) = batches.next() {
            if let Err(error) = write(db, batch).await {
                let mut notes = self.lock();
                for (user, at) in batch.iter().chain(batches.flatten()) {
                    notes.entry(*user).or_insert(*at);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(db: &Db, batch: &[(Uuid, Timestamp)]) -> Result<()> {
    let mut latest = CaseStatement::new();
    for (user, at) in batch {
        // Another instance may have seen the user later.
        let newer = Condition::any().add(Column::LastActivity.is_null()).add(Column::LastActivity.lt(*at));
        latest = latest.case(Condition::all().add(Column::Id.eq(*user)).add(newer), *at);
    }
    user::Entity::update_many()
        .col_expr(Column::LastActivity, latest.finally(Expr::col(Column::LastActivity)).into())
        .filter(Column::Id.is_in(batch.iter().map(|(user, _)| *user)))
        .exec(db.writer())
        .await?;
    Ok(())
}
