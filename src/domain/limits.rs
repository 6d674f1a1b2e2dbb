//! Limits on what can be asked for: rows in the database, so that they hold across restarts and instances, and counted
//! for each execution of a field, so that aliases and batches do not get around them.
//!
//! A limit of three an hour lets three through at once and then one each twenty minutes. That needs one number a row,
//! the time when everything is given back (the generic cell rate algorithm, ITU-T I.371), and one statement to decide.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::config::{Limit, LimitConfig};
use crate::database::Db;
use crate::domain::access::{Client, Viewer};
use crate::domain::sweeping;
use crate::entity::audit_event::{self, Action};
use crate::entity::limit::{self, Column};
use crate::error::{Error, Result};
use crate::tools::clock::{Moment, SKEW, Timestamp};
use crate::tools::identifier;
use crate::tools::metrics::{Counter, EncodeLabelSet, Family, Label, Registry, counters};
use crate::tools::secret;

/// What is limited, each by the setting of its name: `VESTIBULE_LIMIT_SIGN_IN` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Mails that strangers can have sent to an address: resets, verifications.
    MailToAddress,
    /// Requests from one client that send mails.
    MailFromClient,
    /// Wrong passwords for one account from one client.
    SignIn,
    /// Wrong passwords from one client.
    SignInFromClient,
    /// Wrong passwords for one account.
    SignInToAccount,
    /// Wrong links from one client.
    Link,
    /// Registrations that one client tries, and usernames that one user tries.
    Register,
    /// Whole lists given out to one user, or taken in from them.
    Bulk,
    /// Welcome mails that one user causes, account by account.
    Welcome,
    /// API tokens that one user creates or rotates, each of which mails them.
    ApiToken,
}

impl What {
    const ALL: [Self; 10] = [
        Self::MailToAddress,
        Self::MailFromClient,
        Self::SignIn,
        Self::SignInFromClient,
        Self::SignInToAccount,
        Self::Link,
        Self::Register,
        Self::Bulk,
        Self::Welcome,
        Self::ApiToken,
    ];

    /// The setting, without what all of them begin with.
    fn name(self) -> &'static str {
        match self {
            Self::MailToAddress => "mail_address",
            Self::MailFromClient => "mail_client",
            Self::SignIn => "sign_in",
            Self::SignInFromClient => "sign_in_client",
            Self::SignInToAccount => "sign_in_account",
            Self::Link => "link",
            Self::Register => "register",
            Self::Bulk => "bulk",
            Self::Welcome => "welcome",
            Self::ApiToken => "api_token",
        }
    }
}

/// How often what may be asked for, and how often more was.
#[derive(Clone, Debug)]
pub struct Limits {
    config: LimitConfig,
    reached: Family<Reached, Counter>,
}

/// Which limit was reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reached {
    limit: Label,
}

impl Limits {
    /// By these settings.
    pub fn new(config: LimitConfig) -> Self {
        Self { config, reached: counters(What::ALL.map(|what| Reached { limit: what.name() })) }
    }

    /// Puts what is counted among what is told to those who watch.
    pub fn register(&self, registry: &mut Registry) {
        let help = "How often a limit was reached, by its setting without the beginning VESTIBULE_LIMIT_";
        registry.register("limits_reached", help, self.reached.clone());
    }

    /// Whether there are any limits.
    fn hold(&self) -> bool {
        self.config.limits
    }

    fn of(&self, what: What) -> Limit {
        let config = &self.config;
        match what {
            What::MailToAddress => config.limit_mail_address,
            What::MailFromClient => config.limit_mail_client,
            What::SignIn => config.limit_sign_in,
            What::SignInFromClient => config.limit_sign_in_client,
            What::SignInToAccount => config.limit_sign_in_account,
            What::Link => config.limit_link,
            What::Register => config.limit_register,
            What::Bulk => config.limit_bulk,
            What::Welcome => config.limit_welcome,
            What::ApiToken => config.limit_api_token,
        }
    }
}

/// For how long a client that signed in to an account counts as one of its owner's.
const KNOWN: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How many of an account's sign-ins are looked through for the client.
const LATEST: u64 = 200;

/// Takes one request for a mail to this address: of the address's limit and of the client's.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait, the same whether or not the address has an account.
pub async fn take_mail(db: &Db, now: &Moment, client: &Client, limits: &Limits, email: &str) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let client = network(client);
    limits.take(db.writer(), now, &limits.share(What::MailFromClient, &client)).await?;
    take_address(db.writer(), now, limits, email).await
}

/// Takes one mail of the address's limit, for whoever is known.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_address(db: &impl ConnectionTrait, now: &Moment, limits: &Limits, email: &str) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let to = identifier::fold(email);
    limits.take(db, now, &limits.share(What::MailToAddress, &to)).await
}

/// Takes one welcome mail to this address that the viewer causes: of the viewer's limit, and of what the address may receive.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_welcome(
    db: &impl ConnectionTrait,
    now: &Moment,
    viewer: &Viewer,
    limits: &Limits,
    email: &str,
) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let user = viewer.user().id.to_string();
    limits.take(db, now, &limits.share(What::Welcome, &user)).await?;
    limits.take(db, now, &limits.welcome_to(email)).await
}

/// Takes one welcome mail to each of these addresses, of what the address may receive. Returns those that may receive none at
/// present, as they were given. All callers name them in the order of the addresses. An import may name some hundreds at a time.
pub async fn take_welcomes<'a>(
    db: &impl ConnectionTrait,
    now: &Moment,
    limits: &Limits,
    emails: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<&'a str>> {
    if !limits.hold() {
        return Ok(Vec::new());
    }
    let emails: Vec<(&str, Share)> = emails.into_iter().map(|email| (email, limits.welcome_to(email))).collect();
    let Some((_, any)) = emails.first() else { return Ok(Vec::new()) };
    // No row may be met twice by one statement. They stay in the caller's order, so that two imports do not wait for each other.
    let mut met = HashSet::new();
    let rows: Vec<_> =
        emails.iter().filter(|(_, share)| met.insert(&share.key)).map(|(_, share)| share.row(now)).collect();
    let taken = limit::Entity::insert_many(rows).on_conflict(any.one_more(now)).exec_with_returning(db).await?;
    let taken: HashSet<String> = taken.into_iter().map(|row| row.key).collect();
    let refused: Vec<&str> =
        emails.iter().filter(|(_, share)| !taken.contains(&share.key)).map(|(email, _)| *email).collect();
    if !refused.is_empty() {
        limits.note(What::MailToAddress);
    }
    Ok(refused)
}

/// Takes one API token that the viewer creates or rotates.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_api_token(db: &impl ConnectionTrait, now: &Moment, viewer: &Viewer, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let user = viewer.user().id.to_string();
    limits.take(db, now, &limits.share(What::ApiToken, &user)).await
}

/// Takes one attempt at a mailed link, before it is looked up. It counts as a wrong one until it is given back.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_link(db: &Db, now: &Moment, client: &Client, limits: &Limits) -> Result<Attempt> {
    if !limits.hold() {
        return Ok(Attempt::default());
    }
    let share = limits.share(What::Link, &network(client));
    limits.take(db.writer(), now, &share).await?;
    Ok(Attempt { taken: vec![share], is_void: false })
}

/// Takes one attempt to register, whatever comes of it: before anything is looked up for it, since a refusal shows that a
/// username is taken, and before its password is judged, which costs time.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_registration(db: &Db, now: &Moment, client: &Client, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    limits.take(db.writer(), now, &limits.share(What::Register, &network(client))).await
}

/// Takes one attempt of a signed-in user at another username, which shows whether that is taken.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_username(db: &Db, now: &Moment, user: Uuid, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    limits.take(db.writer(), now, &limits.share(What::Register, &format!("user\0{user}"))).await
}

/// Takes one export or import by this user.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_bulk(db: &Db, now: &Moment, viewer: &Viewer, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let user = viewer.user().id.to_string();
    limits.take(db.writer(), now, &limits.share(What::Bulk, &user)).await
}

/// Whose password is attempted.
#[derive(Clone, Copy, Debug)]
pub enum Account<'a> {
    /// Of whoever has this folded name or address, if anybody has it.
    Named(&'a str, Option<Uuid>),
    /// Of a user who is signed in.
    Own(Uuid),
}

/// An attempt at a password or a link that was let through. It counts as a wrong one until it is given back.
#[derive(Debug, Default)]
pub struct Attempt {
    taken: Vec<Share>,
    /// Whether it was let through for appearance only: the password must not be looked at.
    pub is_void: bool,
}

/// Takes one attempt at the password of an account, before it is looked at, so that of many at once no more are than the
/// limits say. An account that there is none of is limited in the same way, by its name.
///
/// An account has two names, its username, which everybody knows, and its address. What was used up by one of them holds
/// for the other as well, but to say so would tell whose address it is: such an attempt is void, and to be answered like
/// a wrong password.
///
/// Nobody can lock an account's owner out by guessing: what all others used up does not count for clients that signed in
/// to it in the last ninety days.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait, for a name at the same count whether or not anybody has it.
pub async fn take_attempt(
    db: &Db,
    now: &Moment,
    client: &Client,
    limits: &Limits,
    account: Account<'_>,
) -> Result<Attempt> {
    if !limits.hold() {
        return Ok(Attempt::default());
    }
    let network = network(client);
    let (name, user) = match account {
        Account::Named(name, user) => (Some(name), user),
        Account::Own(user) => (None, Some(user)),
    };
    let taking = Taking { now, limits, network: &network, user };
    let mut attempt = Attempt::default();
    let (txn, ref now) = db.begin(now).await?;
    let from_client = limits.share(What::SignInFromClient, &network);
    limits.take(&txn, now, &from_client).await?;
    attempt.taken.push(from_client);
    if let Some(name) = name {
        taking.take(&txn, &format!("name\0{name}"), &mut attempt).await?;
    }
    // Without a user, the same work is done for a row that nobody asks for.
    let owner = user.map_or_else(|| format!("nobody\0{}", name.unwrap_or_default()), |user| user.to_string());
    match taking.take(&txn, &owner, &mut attempt).await {
        Err(Error::RateLimited(_)) if name.is_some() => attempt.is_void = true,
        taken => taken?,
    }
    txn.commit().await?;
    Ok(attempt)
}

/// What attempts at an account are taken by.
struct Taking<'a> {
    now: &'a Moment,
    limits: &'a Limits,
    network: &'a str,
    user: Option<Uuid>,
}

impl Taking<'_> {
    /// Takes an attempt at what is known by this key: of the client's limit, and of everybody's.
    async fn take(&self, txn: &DatabaseTransaction, key: &str, attempt: &mut Attempt) -> Result<()> {
        let Self { now, limits, network, user } = *self;
        let here = limits.share(What::SignIn, &format!("{key}\0{network}"));
        limits.take(txn, now, &here).await?;
        attempt.taken.push(here);
        let budget = limits.share(What::SignInToAccount, key);
        match limits.take(txn, now, &budget).await {
            Ok(()) => attempt.taken.push(budget),
            Err(Error::RateLimited(wait)) => match user {
                Some(user) if is_known(txn, now, user, network).await? => {}
                _ => return Err(Error::RateLimited(wait)),
            },
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Gives an attempt back whose password or link was right.
pub async fn give_back(db: &impl ConnectionTrait, attempt: Attempt) -> Result<()> {
    // In the order in which they are taken, so that nobody waits for each other.
    for share in attempt.taken {
        let step = i64::try_from(share.step().as_millis()).unwrap_or(i64::MAX);
        limit::Entity::update_many()
            .col_expr(Column::FullUntil, Expr::col(Column::FullUntil).sub(step))
            .filter(Column::Key.eq(share.key))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Whether somebody signed in to this account from this network lately.
async fn is_known(db: &impl ConnectionTrait, now: &Moment, user: Uuid, here: &str) -> Result<bool> {
    let sign_ins = audit_event::Entity::find()
        .filter(audit_event::Column::ActorId.eq(user))
        .filter(audit_event::Column::Action.eq(Action::Login))
        .filter(audit_event::Column::CreatedAt.gt(now.at.minus(KNOWN)))
        .order_by_desc(audit_event::Column::Id)
        .limit(LATEST);
    let sign_ins = sign_ins.all(db).await?;
    Ok(sign_ins.into_iter().any(|event| network(&Client { ip: event.ip, user_agent: None }) == here))
}

/// One of somebody's limit.
#[derive(Debug)]
struct Share {
    what: What,
    key: String,
    limit: Limit,
}

impl Share {
    /// After how long one is given back.
    fn step(&self) -> Duration {
        self.limit.per / self.limit.count
    }

    /// The row of the first one taken.
    fn row(&self, now: &Moment) -> limit::ActiveModel {
        limit::ActiveModel { key: Set(self.key.clone()), full_until: Set(now.at.plus(self.step())) }
    }

    /// Until when the row may be full, for one more to be taken.
    fn room(&self, now: &Moment) -> Timestamp {
        now.at.plus(self.limit.per).minus(self.step())
    }

    /// Takes one more where there is a row already, as long as there is room.
    fn one_more(&self, now: &Moment) -> OnConflict {
        // Further ahead than this no limit can be: the clock was set back since, and the limit begins anew, instead of
        // refusing everybody for as long as it was set back by.
        let furthest = now.at.plus(self.limit.per).plus(SKEW);
        let holds = Column::FullUntil.gt(now.at).and(Column::FullUntil.lte(furthest));
        let from = CaseStatement::new().case(holds, Expr::col((limit::Entity, Column::FullUntil)));
        let next = Expr::expr(from.finally(now.at)).add(i64::try_from(self.step().as_millis()).unwrap_or(i64::MAX));
        OnConflict::column(Column::Key)
            .value(Column::FullUntil, next)
            .action_and_where(Column::FullUntil.lte(self.room(now)).or(Column::FullUntil.gt(furthest)))
            .to_owned()
    }
}

impl Limits {
    fn share(&self, what: What, who: &str) -> Share {
        Share { what, key: secret::digest_text(&format!("{what:?}\0{who}")), limit: self.of(what) }
    }

    /// The welcome mails to this address. They have a count of their own, so that they use up no reset.
    fn welcome_to(&self, email: &str) -> Share {
        self.share(What::MailToAddress, &format!("welcome\0{}", identifier::fold(email)))
    }

    /// Counts, for those who watch, that a limit was reached.
    fn note(&self, what: What) {
        tracing::warn!(?what, "a limit was reached");
        self.reached.get_or_create(&Reached { limit: what.name() }).inc();
    }

    /// Takes one of a limit.
    async fn take(&self, db: &impl ConnectionTrait, now: &Moment, share: &Share) -> Result<()> {
        let insert = limit::Entity::insert(share.row(now)).on_conflict(share.one_more(now));
        let taken = insert.exec_without_returning(db).await?;
        if taken > 0 {
            return Ok(());
        }
        let full = limit::Entity::find_by_id(share.key.as_str()).one(db).await?;
        let wait = full.map_or(1, |row| row.full_until.millis() - share.room(now).millis());
        self.note(share.what);
        Err(Error::RateLimited(Duration::from_millis(u64::try_from(wait).unwrap_or(1))))
    }
}

/// Removes the rows of limits of which nothing is taken any more.
pub async fn sweep(db: &Db, now: &Moment) -> Result<()> {
    let unused = Condition::all().add(Column::FullUntil.lte(now.at));
    sweeping::delete::<limit::Entity>(db, limit::PrimaryKey::Key, &unused).await?;
    Ok(())
}

/// The network that a client counts as: its address or, with IPv6, the first 64 bits, of which one household has all.
pub fn network(client: &Client) -> String {
    match client.ip.as_deref().and_then(|ip| ip.parse().ok()) {
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(IpAddr::V4(ip)) => ip.to_string(),
        None => "unknown".to_owned(),
    }
}
