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

/// A page of API tokens with their owners, newest first: of one user, or of all. Returns one row more than `first` if
/// there are more.
pub async fn list(
    db: &Db,
    _operator: &Operator,
    owner: Option<Uuid>,
    first: u32,
    offset: u32,
) -> Result<Vec<(api_token::Model, Option<user::Model>)>> {
    let wanted = Condition::all().add_option(owner.map(|owner| Column::UserId.eq(owner)));
    let tokens = api_token::Entity::find().filter(wanted).order_by_desc(Column::Id);
    let page = tokens.limit(u64::from(first) + 1).offset(u64::from(offset));
    Ok(page.find_also_related(user::Entity).all(db.reader()).await?)
}

/// Selection of API tokens to revoke.
#[derive(Clone, Debug)]
pub enum Which {
    /// The token with this id.
    One(String),
    /// All tokens of this user.
    Of(Uuid),
    /// All tokens of all users.
    All,
}

/// Deletes API tokens, with an event for each, and returns their number. They stop working immediately. Each
/// transaction deletes at most a thousand, so that others can write in between.
///
/// # Errors
/// [`Code::NotFound`] if no token has this id.
pub async fn revoke(db: &Db, now: &Now, operator: &Operator, which: Which) -> Result<u64> {
    let missing = || Refusal::new(Code::NotFound, "operator-api-token-missing");
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
        // Earlier changes of these tokens come first in the trail.
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
