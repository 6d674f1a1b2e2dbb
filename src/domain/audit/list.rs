//! Reading the trail, newest events first. Ids are in the order of time, so that one index serves both.
//!
//! Superusers are visible to superusers only, and so are their traces. For other staff, `visible` omits the events
//! about superusers, and `mask` removes superusers from the others. A failed sign-in to a superuser gets the reason of
//! an unknown account:
//!
//! | actor | target | other staff see |
//! |---|---|---|
//! | a superuser | a superuser, or nobody | nothing |
//! | a superuser | another user | the event without actor, address and program, as if done on the command line |
//! | a stranger | a superuser | the event without target if strangers cause it by a name (LOGIN_FAILED, LIMIT_REACHED, RESET_REQUESTED, REGISTERED), because its absence would reveal that the name exists; otherwise nothing |
//! | the operator, or another user | a superuser | nothing |

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sea_orm::sea_query::{Asterisk, Expr, Func, Query, SelectStatement, SimpleExpr, UnionType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _, QueryTrait, Select,
};
use uuid::Uuid;

use super::COMMAND_LINE;
use crate::database::Db;
use crate::domain::auth::identity::Staff;
use crate::domain::paging::{Key, OrderBy, OrderTerm, Page, PageArgs, PageQuery};
use crate::entity::audit_event::{self, Action, Column, Reason};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::clock::Timestamp;

/// Maximum number of events that are filtered one by one.
const FEW: u64 = 500;

/// Selection of events.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Id of the user as actor or target.
    pub user: Option<String>,
    /// Kind of event.
    pub action: Option<Action>,
    /// Events after this time.
    pub after: Option<Timestamp>,
    /// Events before this time.
    pub before: Option<Timestamp>,
    /// Events of requests from this network address.
    pub ip: Option<String>,
}

impl Filter {
    fn user(&self) -> Result<Option<Uuid>> {
        let id = self.user.as_deref().map(Uuid::parse_str).transpose();
        id.map_err(|_| Error::BadInput(Text::new("user-id-invalid")))
    }

    /// Condition for time and network address.
    fn span(&self) -> Condition {
        Condition::all()
            .add_option(self.ip.as_deref().map(|ip| Column::Ip.eq(ip.trim())))
            .add_option(self.after.map(|time| Column::Id.gte(time.plus(Duration::from_millis(1)).first_id())))
            .add_option(self.before.map(|time| Column::Id.lt(time.first_id())))
    }

    /// Condition for what staff other than superusers see of the selected events. An address must not tell which events
    /// are those of a superuser: it is not shown with them.
    fn visible(&self) -> Condition {
        let is_shown =
            || Condition::any().add(Column::ActorId.is_null()).add(Column::ActorId.not_in_subquery(superusers()));
        Condition::all().add(visible()).add_option(self.ip.is_some().then(is_shown))
    }

    /// The same for the events of a user; the same for a superuser as for a user who does not exist.
    fn visible_of(&self, user: Uuid) -> Condition {
        self.visible().add(Expr::value(user).not_in_subquery(superusers()))
    }

    /// Condition for time, address and action.
    fn condition(&self) -> Condition {
        self.span().add_option(self.action.map(|action| Column::Action.eq(action)))
    }

    /// Ids of all events with this action, if a user is also selected and the events are few enough to be filtered one
    /// by one.
    async fn few(&self, db: &Db) -> Result<Option<Vec<Uuid>>> {
        if self.action.is_none() || self.user.is_none() {
            return Ok(None);
        }
        let some = audit_event::Entity::find().filter(self.condition()).select_only().column(Column::Id);
        let ids: Vec<Uuid> = some.limit(FEW + 1).into_tuple().all(db.reader()).await?;
        Ok((ids.len() as u64 <= FEW).then_some(ids))
    }
}

fn newest_first() -> OrderBy<audit_event::Model> {
    let sql = Expr::col((audit_event::Entity, Column::Id));
    OrderBy(vec![OrderTerm { tag: 0, descends: true, sql, key: Key::Id(|event| event.id) }])
}

/// Exactly these events: the limit keeps the database from choosing another index first.
fn these(ids: Vec<Uuid>) -> Select<audit_event::Entity> {
    let mut rows = Query::select().column(Asterisk).from(audit_event::Entity).and_where(Column::Id.is_in(ids)).take();
    let mut events = audit_event::Entity::find();
    QueryTrait::query(&mut events).from_clear().from_subquery(rows.limit(FEW).take(), "audit_events");
    events
}

/// The action, for comparisons along another index: by the action's own, SQLite would scan the events of all users.
fn unindexed_action() -> SimpleExpr {
    Expr::expr(Func::coalesce([Expr::col(Column::Action), Expr::value("")]))
}

fn in_it(user: Uuid) -> Condition {
    Condition::any().add(Column::ActorId.eq(user)).add(Column::TargetId.eq(user))
}

/// Ids of the superusers, who are few.
fn superusers() -> SelectStatement {
    Query::select().column((user::Entity, user::Column::Id)).from(user::Entity).and_where(user::superusers()).take()
}

/// Events that staff other than superusers see; true or false for every row, never null.
fn visible() -> Condition {
    let by_a_stranger =
        Condition::all().add(Column::ActorId.is_null()).add(by_operator().not()).add(Column::Action.is_in([
            Action::LoginFailed,
            Action::LimitReached,
            Action::ResetRequested,
            Action::Registered,
        ]));
    // Only accounts with a second factor have this limit, so that even an event without its target tells of one.
    let of_a_hidden_factor = Condition::all()
        .add(Column::Action.eq(Action::LimitReached))
        .add(Column::Reason.is_not_null())
        .add(Column::Reason.eq(Reason::LimitSecondFactor))
        .add(Column::TargetId.is_not_null())
        .add(Column::TargetId.in_subquery(superusers()));
    let by_a_stranger = by_a_stranger.add(of_a_hidden_factor.not());
    let to_another =
        Condition::any().add(Column::TargetId.is_null()).add(Column::TargetId.not_in_subquery(superusers()));
    let to_somebody = Condition::any()
        .add(Column::TargetId.is_not_null())
        .add(Column::ActorId.is_null())
        .add(Column::ActorId.not_in_subquery(superusers()));
    Condition::any().add(by_a_stranger).add(Condition::all().add(to_another).add(to_somebody))
}

/// Events of the operator. A stranger may claim to be the command line, but has an address; true or false, never null.
fn by_operator() -> Condition {
    let is_named = Column::UserAgent.is_not_null().and(Column::UserAgent.eq(COMMAND_LINE));
    Condition::all().add(Column::Ip.is_null()).add(is_named)
}

/// Removes superusers from events that such staff see.
async fn mask<'a>(db: &Db, events: impl Iterator<Item = &'a mut audit_event::Model>) -> Result<()> {
    let events: Vec<&mut audit_event::Model> = events.collect();
    let named: HashSet<Uuid> = events.iter().flat_map(|event| [event.actor_id, event.target_id]).flatten().collect();
    if named.is_empty() {
        return Ok(());
    }
    let hidden = user::Entity::find().filter(user::superusers()).filter(user::Column::Id.is_in(named));
    let hidden: HashSet<Uuid> =
        hidden.select_only().column(user::Column::Id).into_tuple().all(db.reader()).await?.into_iter().collect();
    let is_hidden = |id: Option<Uuid>| id.is_some_and(|id| hidden.contains(&id));
    for event in events {
        if is_hidden(event.target_id) {
            event.target_id = None;
            if event.action == Action::LoginFailed {
                event.reason = Some(Reason::UnknownAccount);
            }
        }
        if is_hidden(event.actor_id) {
            *event = audit_event::Model { actor_id: None, ip: None, user_agent: None, ..event.clone() };
        }
    }
    Ok(())
}

/// A page of the events that these staff may see.
///
/// # Errors
/// [`Error::BadInput`] if the page arguments or the filter are invalid.
pub async fn page(db: &Db, staff: Staff<'_>, filter: &Filter, page: &PageArgs) -> Result<Page<audit_event::Model>> {
    page_of(db, staff.user().is_superuser, filter, page).await
}

/// A page of the events that superusers see, or other staff.
///
/// # Errors
/// As for [`page`].
pub(in crate::domain) async fn page_of(
    db: &Db,
    sees_all: bool,
    filter: &Filter,
    page: &PageArgs,
) -> Result<Page<audit_event::Model>> {
    let span = PageQuery::new(page, newest_first())?;
    let seen = || if sees_all { Condition::all() } else { filter.visible() };
    let seen_of = |user| if sees_all { Condition::all() } else { filter.visible_of(user) };
    let events = match (filter.user()?, filter.few(db).await?) {
        (None, _) => audit_event::Entity::find().filter(filter.condition()).filter(seen()),
        (Some(_), Some(few)) if few.is_empty() => return Ok(span.page(Vec::new())),
        // Users with many events may have none of this action: a scan of their events would take too long.
        (Some(user), Some(few)) => these(few).filter(in_it(user)).filter(seen_of(user)),
        (Some(user), None) => {
            // Events by a user and events about a user are two index scans. Each reads as many rows as the page may
            // need, along the user's index, which includes the action.
            let is_wanted =
                filter.span().add_option(filter.action.map(|wanted| unindexed_action().eq(wanted))).add(seen_of(user));
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
    let mut page = span.page(span.of(events).all(db.reader()).await?);
    if !sees_all {
        mask(db, page.rows.iter_mut().map(|(event, _)| event)).await?;
    }
    Ok(page)
}

/// The visible ones of these events, in one statement, and one more that finds the superusers to be removed from them.
pub async fn find_many(db: &Db, staff: Staff<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, audit_event::Model>> {
    let sees_all = staff.user().is_superuser;
    let found = audit_event::Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
    let events = found.filter(Condition::all().add_option((!sees_all).then(visible)));
    let mut events = events.all(db.reader()).await?;
    if !sees_all {
        mask(db, events.iter_mut()).await?;
    }
    Ok(events.into_iter().map(|event| (event.id, event)).collect())
}

/// Number of events that these staff may see.
///
/// # Errors
/// [`Error::BadInput`] if the filter is invalid.
pub async fn count(db: &Db, staff: Staff<'_>, filter: &Filter) -> Result<u64> {
    let events = || audit_event::Entity::find().filter(filter.condition());
    match (staff.user().is_superuser, filter.user()?) {
        (true, user) => Ok(events().filter(Condition::all().add_option(user.map(in_it))).count(db.reader()).await?),
        (false, Some(user)) => {
            Ok(events().filter(in_it(user)).filter(filter.visible_of(user)).count(db.reader()).await?)
        }
        (false, None) if filter.ip.is_some() => Ok(events().filter(filter.visible()).count(db.reader()).await?),
        (false, None) => count_visible(db, filter).await,
    }
}

/// Times and actions of the events of these actions since a time that only superusers see. They are found by the events of
/// the superusers, who are few.
pub(in crate::domain) async fn hidden(
    db: &Db,
    since: Timestamp,
    actions: &[Action],
) -> Result<Vec<(Timestamp, Action)>> {
    let later = || Condition::all().add(Column::Id.gte(since.first_id()));
    let events = audit_event::Entity::find()
        .filter(Column::Id.in_subquery(of_superusers(&later)))
        .filter(unindexed_action().is_in(actions.iter().copied()))
        .filter(visible().not())
        .select_only()
        .columns([Column::CreatedAt, Column::Action]);
    Ok(events.into_tuple().all(db.reader()).await?)
}

/// Ids of the events by superusers, and of those about superusers, that match a condition.
fn of_superusers(which: &impl Fn() -> Condition) -> SelectStatement {
    let of = |role: Column| {
        let theirs = which().add(role.in_subquery(superusers()));
        Query::select().column(Column::Id).from(audit_event::Entity).cond_where(theirs).take()
    };
    of(Column::ActorId).union(UnionType::Distinct, of(Column::TargetId)).take()
}

/// Number of events that staff other than superusers see. All events are counted by one index; the events of superusers
/// are found by their own indexes and subtracted.
async fn count_visible(db: &Db, filter: &Filter) -> Result<u64> {
    let count = || Query::select().expr(Func::count(Expr::col(Asterisk))).from(audit_event::Entity).take();
    let all = count().cond_where(filter.condition()).take();
    let theirs = of_superusers(&Condition::all);
    let hidden = count().cond_where(filter.condition().add(Column::Id.in_subquery(theirs)).add(visible().not())).take();
    let [all, hidden] = [all, hidden].map(|counted| Expr::SubQuery(None, Box::new(counted.into())));
    let seen = Query::select().expr(all.sub(hidden)).take();
    let row = db.reader().query_one(&seen).await?;
    let seen = row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
    Ok(seen.and_then(|seen| u64::try_from(seen).ok()).unwrap_or_default())
}
