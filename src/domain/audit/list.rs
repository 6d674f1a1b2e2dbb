//! Looking through the trail, the newest events first. Ids are in the order of time, so that one index serves both.

use std::time::Duration;

use sea_orm::sea_query::{Asterisk, Expr, Func, Query, UnionType};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, PaginatorTrait as _, QueryFilter as _,
    QuerySelect as _, QueryTrait, Select,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::access::Staff;
use crate::domain::paging::{Key, Page, Span, Term, Terms, Window};
use crate::entity::audit_event::{self, Action, Column};
use crate::error::{Error, Result};
use crate::tools::clock::Timestamp;

/// How many events of an action are few.
const FEW: u64 = 500;

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

    /// The events of the time.
    fn span(&self) -> Condition {
        Condition::all()
            .add_option(self.after.map(|time| Column::Id.gte(time.plus(Duration::from_millis(1)).first_id())))
            .add_option(self.before.map(|time| Column::Id.lt(time.first_id())))
    }

    /// The events, whoever is in them.
    fn condition(&self) -> Condition {
        self.span().add_option(self.action.map(|action| Column::Action.eq(action)))
    }

    /// The ids of all events with this action, where a user is looked for as well and they are so few that it is best to
    /// look at all of them.
    async fn few(&self, db: &Db) -> Result<Option<Vec<Uuid>>> {
        if self.action.is_none() || self.user.is_none() {
            return Ok(None);
        }
        let some = audit_event::Entity::find().filter(self.condition()).select_only().column(Column::Id);
        let ids: Vec<Uuid> = some.limit(FEW + 1).into_tuple().all(db.reader()).await?;
        Ok((ids.len() as u64 <= FEW).then_some(ids))
    }
}

fn newest_first() -> Terms<audit_event::Model> {
    let sql = Expr::col((audit_event::Entity, Column::Id));
    Terms(vec![Term { tag: 0, descends: true, sql, key: Key::Id(|event| event.id) }])
}

/// These events, before anything else is asked of them: the limit keeps the database from beginning elsewhere.
fn these(ids: Vec<Uuid>) -> Select<audit_event::Entity> {
    let mut rows = Query::select().column(Asterisk).from(audit_event::Entity).and_where(Column::Id.is_in(ids)).take();
    let mut events = audit_event::Entity::find();
    QueryTrait::query(&mut events).from_clear().from_subquery(rows.limit(FEW).take(), "audit_events");
    events
}

fn in_it(user: Uuid) -> Condition {
    Condition::any().add(Column::ActorId.eq(user)).add(Column::TargetId.eq(user))
}

/// A page of the events.
///
/// # Errors
/// [`Error::BadInput`] where the window or the filter makes no sense.
pub async fn page(db: &Db, _staff: Staff<'_>, filter: &Filter, window: &Window) -> Result<Page<audit_event::Model>> {
    let span = Span::new(window, newest_first())?;
    let events = match (filter.user()?, filter.few(db).await?) {
        (None, _) => audit_event::Entity::find().filter(filter.condition()),
        // Whoever did much may have done this never: a walk along what they did would not end soon.
        (Some(user), Some(few)) => these(few).filter(in_it(user)),
        (Some(user), None) => {
            // What somebody did and what was done to them are two walks; each goes as far as the page may need, along the
            // index of the user, which has the action in it. Asked for as it is, the action would lead SQLite to its own
            // index, and so through the events of everybody.
            let action = || Expr::expr(Func::coalesce([Expr::col(Column::Action), Expr::value("")]));
            let is_wanted = filter.span().add_option(filter.action.map(|wanted| action().eq(wanted)));
            let of = |role: Column| {
                let own = is_wanted.clone().add(role.eq(user)).add(span.between());
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
    let wanted = filter.condition().add_option(filter.user()?.map(in_it));
    Ok(audit_event::Entity::find().filter(wanted).count(db.reader()).await?)
}
