//! Listing and revoking API tokens.

use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use super::Operator;
use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::audit;
use crate::entity::api_token::{self, Column};
use crate::entity::audit_event::Action;
use crate::entity::user;
use crate::error::{Code, Refusal, Result};
use crate::tools::clock::Now;

/// A page of API tokens with their owners, the newest first: of one user, or of all. One row more than `first` is returned
/// where there are more.
pub async fn list(
    db: &Db,
    _operator: &Operator,
    owner: Option<Uuid>,
    (first, offset): (u32, u32),
) -> Result<Vec<(api_token::Model, Option<user::Model>)>> {
    let wanted = Condition::all().add_option(owner.map(|owner| Column::UserId.eq(owner)));
    let tokens = api_token::Entity::find().filter(wanted).order_by_desc(Column::Id);
    let page = tokens.limit(u64::from(first) + 1).offset(u64::from(offset));
    Ok(page.find_also_related(user::Entity).all(db.reader()).await?)
}

/// Which API tokens to revoke.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one with this id.
    One(String),
    /// All of this user.
    Of(Uuid),
    /// All of all users.
    All,
}

/// Deletes API tokens, with an event for each, and returns how many there were. Each is dead at once. A thousand are deleted in
/// one transaction, so that others can write meanwhile.
///
/// # Errors
/// [`Code::NotFound`] where there is no token of this id.
pub async fn revoke(db: &Db, now: &Now, operator: &Operator, which: Which) -> Result<u64> {
    let missing = || Refusal::new(Code::NotFound, "There is no such API token.");
    let (wanted, must_be) = match which {
        Which::One(id) => (Column::Id.eq(Uuid::parse_str(&id).map_err(|_| missing())?).into(), true),
        Which::Of(user) => (Column::UserId.eq(user).into(), false),
        Which::All => (Condition::all(), false),
    };
    let mut revoked = 0;
    loop {
        let step = batch_delete::step::<api_token::Entity>(api_token::PrimaryKey::Id, &wanted);
        let (txn, _) = db.begin(now).await?;
        let deleted = api_token::Entity::delete_many().filter(step).exec_with_returning(&txn).await?;
        // What held the tokens comes first in the trail.
        let now = &now.anew();
        let events = deleted.iter().map(|token| operator.did(Action::ApiTokenDeleted, token.user_id));
        audit::record_all(&txn, now, events.collect()).await?;
        txn.commit().await?;
        let count = deleted.len() as u64;
        revoked += count;
        if count < batch_delete::STEP {
            break;
        }
    }
    if must_be && revoked == 0 { Err(missing().into()) } else { Ok(revoked) }
}
