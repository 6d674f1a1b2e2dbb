//! Presence of users: the time of their last activity, and the online users. Activity is collected in memory and
//! written in batches, because a write at each request would cost more than the request.
//!
//! Subscribers with the same rights share one list of online users, which is read once per change. Instances on one
//! database notify each other when a user comes online. Each instance notices by itself when a user goes offline.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, Order, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::database::{Channel, Db};
use crate::domain::auth::identity::{Staff, Viewer};
use crate::entity::user::{self, Column, last_seen, visible_to_staff};
use crate::error::Result;
use crate::tools::clock::{Now, Timestamp};

/// Time for which a user counts as online after the last activity.
pub const ONLINE: Duration = Duration::from_secs(5 * 60);

/// Maximum length of the list of online users.
pub const MOST: u64 = 200;

/// Maximum number of users that one statement updates, and of unwritten users in one query.
const BATCH: usize = 200;

/// Channel on which instances announce that a user came online.
const CHANNEL: Channel = Channel("vestibule_presence");

/// Activity seen by this process, and the subscribers.
#[derive(Debug)]
pub struct Presence {
    notes: Mutex<HashMap<Uuid, Note>>,
    news: Notify,
    /// The lists for staff and for superusers.
    boards: [OnlineUsers; 2],
    /// Name of this instance, by which it ignores its own announcements.
    own_name: String,
}

/// Time of a user's last activity.
#[derive(Clone, Copy, Debug)]
struct Note {
    at: Timestamp,
    /// The time that was last written to the database.
    written: Option<Timestamp>,
}

impl Note {
    /// True if the user is not online yet according to the database.
    fn is_arrival(&self) -> bool {
        self.written.is_none_or(|written| written <= self.at.minus(ONLINE))
    }
}

/// The online users that a group of viewers may see.
#[derive(Debug)]
pub struct Online {
    /// The users, most recently active first.
    pub users: Vec<user::Model>,
    /// Their sorted ids, to detect arrivals and departures.
    ids: Vec<Uuid>,
}

/// The list shared by subscribers with the same rights.
#[derive(Debug)]
struct OnlineUsers {
    is_superuser: bool,
    shown: watch::Sender<Option<Arc<Online>>>,
    /// Number of reads begun.
    begun: AtomicU64,
    /// The number of the read whose result is shown. Locked while reading: a task that waits for the lock reuses the
    /// result of a read that began after its call.
    shown_read: tokio::sync::Mutex<u64>,
}

impl OnlineUsers {
    fn new(is_superuser: bool) -> Self {
        Self {
            is_superuser,
            shown: watch::Sender::new(None),
            begun: AtomicU64::new(0),
            shown_read: tokio::sync::Mutex::default(),
        }
    }
}

/// A subscription to the online users.
#[derive(Debug)]
pub struct Listening {
    is_superuser: bool,
    changes: watch::Receiver<Option<Arc<Online>>>,
    last: Option<Arc<Online>>,
}

impl Presence {
    /// Presence without any activity yet.
    pub fn new(now: &Now) -> Self {
        let boards = [OnlineUsers::new(false), OnlineUsers::new(true)];
        Self { notes: Mutex::default(), news: Notify::new(), boards, own_name: now.id().simple().to_string() }
    }

    /// Records activity of a user.
    pub fn record_activity(&self, user: Uuid, at: Timestamp) {
        let mut notes = self.lock();
        let before = notes.get(&user).copied();
        let is_news = before.is_none_or(|note| note.at <= at.minus(ONLINE));
        notes.insert(user, Note { at, written: before.and_then(|note| note.written) });
        drop(notes);
        if is_news {
            self.news.notify_one();
        }
    }

    /// Waits until a user comes online, at this or another instance.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Writes recorded activity to the database. Returns true if a user came online.
    pub async fn flush(&self, db: &Db) -> Result<bool> {
        let unwritten = |(user, note): (&Uuid, &Note)| (note.written != Some(note.at)).then_some((*user, *note));
        let seen: Vec<(Uuid, Note)> = self.lock().iter().filter_map(unwritten).collect();
        for batch in seen.chunks(BATCH) {
            write(db, batch).await?;
            let mut notes = self.lock();
            for (user, note) in batch {
                if let Some(present) = notes.get_mut(user) {
                    present.written = Some(note.at);
                }
            }
        }
        Ok(seen.iter().any(|(_, note)| note.is_arrival()))
    }

    /// Writes recorded activity to the database, and notifies subscribers and other instances of changes.
    pub async fn publish(&self, db: &Db, now: &Now) -> Result<()> {
        if self.flush(db).await? {
            db.notify(CHANNEL, &self.own_name).await?;
        }
        self.lock().retain(|_, note| note.at > now.at.minus(ONLINE) || note.written != Some(note.at));
        for board in self.boards.iter().filter(|board| board.shown.receiver_count() > 0) {
            self.refresh(db, now, board).await?;
        }
        Ok(())
    }

    /// Listens to other instances until the connection to the database fails. Returns immediately for databases without
    /// notifications.
    pub async fn listen_for_notifications(&self, db: &Db) -> Result<()> {
        let Some(mut others) = db.listen(CHANNEL).await? else { return Ok(()) };
        // Earlier announcements may have been missed.
        self.news.notify_one();
        loop {
            let said = others.next().await?;
            if said.is_none_or(|name| name != self.own_name) {
                self.news.notify_one();
            }
        }
    }

    /// The online users, most recently active first: at most [`MOST`].
    pub async fn list(&self, db: &Db, now: &Now, staff: Staff<'_>) -> Result<Vec<user::Model>> {
        self.read(db, now, staff.user().is_superuser).await
    }

    /// Number of online users. Superusers are counted for superusers only.
    pub async fn count(&self, db: &Db, now: &Now, viewer: &Viewer) -> Result<u64> {
        let online = online(now, &self.arrivals(now)).add(user::visible_to_staff(viewer.user().is_superuser));
        Ok(user::Entity::find().filter(online).count(db.reader()).await?)
    }

    /// Number of online users, for callers outside of requests.
    pub(super) async fn how_many(&self, db: &Db, now: &Now) -> Result<u64> {
        let online = online(now, &self.arrivals(now));
        Ok(user::Entity::find().filter(online).count(db.reader()).await?)
    }

    /// Subscribes to the online users.
    pub fn listen(&self, staff: Staff<'_>) -> Listening {
        let is_superuser = staff.user().is_superuser;
        Listening { is_superuser, changes: self.board(is_superuser).shown.subscribe(), last: None }
    }

    fn board(&self, is_superuser: bool) -> &OnlineUsers {
        let [staff, superusers] = &self.boards;
        if is_superuser { superusers } else { staff }
    }

    /// Reads the online users and shows them to all subscribers. Reuses the result of a read that began after this
    /// call.
    async fn refresh(&self, db: &Db, now: &Now, board: &OnlineUsers) -> Result<Arc<Online>> {
        let before = board.begun.load(Ordering::SeqCst);
        let mut shown_read = board.shown_read.lock().await;
        let shown = board.shown.borrow().clone();
        if let Some(shown) = shown.filter(|_| *shown_read > before) {
            return Ok(shown);
        }
        let own_read = board.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let users = self.read(db, now, board.is_superuser).await?;
        let mut ids: Vec<Uuid> = users.iter().map(|user| user.id).collect();
        ids.sort_unstable();
        let online = Arc::new(Online { users, ids });
        board.shown.send_if_modified(|shown| {
            let changed = shown.as_ref().is_none_or(|shown| shown.ids != online.ids);
            *shown = Some(Arc::clone(&online));
            changed
        });
        *shown_read = own_read;
        Ok(online)
    }

    async fn read(&self, db: &Db, now: &Now, is_superuser: bool) -> Result<Vec<user::Model>> {
        let arrivals = self.arrivals(now);
        let mut online = user::Entity::find().filter(online(now, &arrivals)).filter(visible_to_staff(is_superuser));
        if !arrivals.is_empty() {
            let arrived = CaseStatement::new().case(Column::Id.is_in(arrivals), now.at);
            online = online.order_by(Expr::expr(arrived.finally(last_seen())), Order::Desc);
        }
        let mut users = online.order_by(last_seen(), Order::Desc).limit(MOST).all(db.reader()).await?;
        let notes = self.lock();
        for user in &mut users {
            if let Some(note) = notes.get(&user.id) {
                // None is less than any time.
                user.last_activity = std::cmp::max(user.last_activity, Some(note.at));
            }
        }
        drop(notes);
        users.sort_by_key(|user| std::cmp::Reverse((user.last_activity, user.id)));
        Ok(users)
    }

    /// The latest online users that the database does not count as online yet.
    fn arrivals(&self, now: &Now) -> Vec<Uuid> {
        let notes = self.lock();
        let unknown = notes.iter().filter(|(_, note)| note.is_arrival() && note.at > now.at.minus(ONLINE));
        let mut unknown: Vec<(Timestamp, Uuid)> = unknown.map(|(user, note)| (note.at, *user)).collect();
        drop(notes);
        unknown.sort_unstable_by(|one, other| other.cmp(one));
        unknown.into_iter().take(BATCH).map(|(_, user)| user).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    /// The online users: the first time immediately, then after each arrival or departure.
    pub async fn next(&mut self, presence: &Presence, db: &Db, now: &Now) -> Result<Arc<Online>> {
        let next = match &self.last {
            None => presence.refresh(db, now, presence.board(self.is_superuser)).await?,
            Some(last) => loop {
                if self.changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                let shown = self.changes.borrow_and_update().clone();
                if let Some(shown) = shown.filter(|shown| shown.ids != last.ids) {
                    break shown;
                }
            },
        };
        self.last = Some(Arc::clone(&next));
        Ok(next)
    }
}

/// The condition for online users: recent activity in the database, or one of these ids.
fn online(now: &Now, arrivals: &[Uuid]) -> Condition {
    let mut seen = Condition::any().add(last_seen().gt(now.at.minus(ONLINE).millis()));
    if !arrivals.is_empty() {
        seen = seen.add(Column::Id.is_in(arrivals.iter().copied()));
    }
    // With an equality, SQLite would use the index of active users, which are nearly all.
    Condition::all().add(Column::IsActive.ne(false)).add(seen)
}

async fn write(db: &Db, batch: &[(Uuid, Note)]) -> Result<()> {
    let mut latest = CaseStatement::new();
    for (user, Note { at, .. }) in batch {
        // Another instance may have written a later time.
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
