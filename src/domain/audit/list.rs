//! Looking through the trail, the newest events first. Ids are in the order of time, so that one index serves both.

use sea_orm::sea_query::{Expr, Query, UnionType};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::access::Staff;
use crate::domain::paging::{Key, Page, Span, Term, Terms, Window};
use crate::entity::audit_event::{self, Action, Column};
use crate::error::{Error, Result};
use crate::tools::clock::Timestamp;

/// Which events are wanted; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The id of the user who did it or to whom it was done.
    pub user: Option<String>,
    /// What happened.
    pub action: Option<Action>,
    /// It happened after this time.
    pub after: Option<Timestamp>,
    /// It happened before this time.
    pub before: Option<Timestamp>,
}

impl Filter {
    fn user(&self) -> Result<Option<Uuid>> {
        let id = self.user.as_deref().map(Uuid::parse_str).transpose();
        id.map_err(|_| Error::BadInput("`userId` is no id of a user.".to_owned()))
    }

    /// The events, whoever is in them.
    fn condition(&self) -> Condition {
        Condition::all()
            .add_option(self.action.map(|action| Column::Action.eq(action)))
            .add_option(self.after.map(|time| Column::Id.gte(first_id(time.millis().saturating_add(1)))))
            .add_option(self.before.map(|time| Column::Id.lt(first_id(time.millis()))))
    }
}

/// The lowest id that an event of this millisecond can have (RFC 9562, section 5.7).
fn first_id(millis: i64) -> Uuid {
    let mut bytes = [0; 16];
    let (time, _) = bytes.split_at_mut(6);
    time.copy_from_slice(&millis.clamp(0, (1 << 48) - 1).to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

fn newest_first() -> Terms<audit_event::Model> {
    let sql = Expr::col((audit_event::Entity, Column::Id));
    Terms(vec![Term { tag: 0, descends: true, sql, key: Key::Id(|event| event.id) }])
}

/// A page of the events.
///
/// # Errors
/// [`Error::BadInput`] where the window or the filter makes no sense.
pub async fn page(db: &Db, _staff: Staff<'_>, filter: &Filter, window: &Window) -> Result<Page<audit_event::Model>> {
    let span = Span::new(window, newest_first())?;
    let wanted = filter.condition();
    let events = match filter.user()? {
        None => audit_event::Entity::find().filter(wanted),
        Some(user) => {
            // What somebody did and what was done to them are two walks; each goes as far as the page may need.
            let of = |role: Column| {
                let own = wanted.clone().add(role.eq(user)).add(span.between());
                let mut events = Query::select().column(Column::Id).from(audit_event::Entity).cond_where(own).take();
                span.sort(&mut events);
                let events = events.limit(span.depth()).take();
                Query::select().column(Column::Id).from_subquery(events, "audit_events").take()
            };
            let either = of(Column::ActorId).union(UnionType::Distinct, of(Column::TargetId)).take();
            audit_event::Entity::find().filter(Column::Id.in_subquery(either))
        }
    };
    Ok(span.page(span.of(events).all(db.reader()).await?))
}

/// How many events there are.
///
/// # Errors
/// [`Error::BadInput`] where the filter makes no sense.
pub async fn count(db: &Db, _staff: Staff<'_>, filter: &Filter) -> Result<u64> {
    let in_it = |user: Uuid| Condition::any().add(Column::ActorId.eq(user)).add(Column::TargetId.eq(user));
    let wanted = filter.condition().add_option(filter.user()?.map(in_it));
    Ok(audit_event::Entity::find().filter(wanted).count(db.reader()).await?)
}
