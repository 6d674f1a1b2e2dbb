//! Rate limits. They are rows in the database, so that they persist across restarts and instances. They are counted per
//! execution of a field, so that aliases and batches cannot bypass them.
//!
//! A limit of three an hour allows three requests at first and then one each twenty minutes. It needs one number per
//! row, the time when everything is given back (the generic cell rate algorithm, ITU-T I.371), and one statement to
//! decide.

// Audit events about exhausted limits.
mod exhausted;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::config::{Limit, LimitConfig};
use crate::database::Db;
use crate::database::batch_delete;
use crate::domain::auth::identity::{Client, Viewer};
use crate::domain::auth::known_networks;
use crate::domain::rate_limits::exhausted::{Exhausted, LimitSubject, Target, Waiting};
use crate::entity::audit_event::Reason;
use crate::entity::limit::{self, Column};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::tools::clock::{Now, SKEW, Timestamp};
use crate::tools::identifier;
use crate::tools::metrics::{Counter, EncodeLabelSet, Family, Label, Registry, counters};
use crate::tools::network::{Networks, SITE_FACTOR};
use crate::tools::secret;

/// Kinds of limits, each with a setting: `VESTIBULE_LIMIT_SIGN_IN` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Mails to an address caused by strangers, for each [`Purpose`].
    MailToAddress,
    /// Requests from one client that send mails.
    MailFromClient,
    /// Wrong passwords for one account from one client.
    SignIn,
    /// Wrong passwords from one client.
    SignInFromClient,
    /// Wrong passwords for one account.
    SignInToAccount,
    /// Wrong links from one client; those of opened pages are counted separately.
    Link,
    /// Registration attempts of one client, and username attempts of one user.
    Register,
    /// Exports and imports of one user.
    Bulk,
    /// Welcome mails caused by one user, account by account.
    Welcome,
    /// API tokens created or rotated by one user, each of which sends a mail.
    ApiToken,
    /// Changes by one user.
    Writes,
    /// Wrong codes of a second factor for one account.
    SecondFactor,
}

impl LimitKind {
    const ALL: [Self; 12] = [
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
        Self::Writes,
        Self::SecondFactor,
    ];

    /// Name of the setting, without its prefix.
    pub fn name(self) -> &'static str {
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
            Self::Writes => "writes",
            Self::SecondFactor => "second_factor",
        }
    }

    /// The reason in an audit event about its exhaustion.
    pub fn reason(self) -> Reason {
        match self {
            Self::MailToAddress => Reason::LimitMailAddress,
            Self::MailFromClient => Reason::LimitMailClient,
            Self::SignIn => Reason::LimitSignIn,
            Self::SignInFromClient => Reason::LimitSignInClient,
            Self::SignInToAccount => Reason::LimitSignInAccount,
            Self::Link => Reason::LimitLink,
            Self::Register => Reason::LimitRegister,
            Self::Bulk => Reason::LimitBulk,
            Self::Welcome => Reason::LimitWelcome,
            Self::ApiToken => Reason::LimitApiToken,
            Self::Writes => Reason::LimitWrites,
            Self::SecondFactor => Reason::LimitSecondFactor,
        }
    }
}

/// The configured limits, and counters of exhausted ones.
#[derive(Clone, Debug)]
pub struct Limits {
    config: LimitConfig,
    reached: Family<Reached, Counter>,
    waiting: Waiting,
    /// Requester and account of an exhausted limit; without them it is not reported.
    concerned: Option<Arc<LimitSubject>>,
}

/// Labels of an exhausted limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reached {
    limit: Label,
}

impl Limits {
    /// Limits with these settings.
    pub fn new(config: LimitConfig) -> Self {
        let reached = counters(LimitKind::ALL.map(|what| Reached { limit: what.name() }));
        Self { config, reached, waiting: Waiting::default(), concerned: None }
    }

    /// The same limits, for a request whose exhausted limits are recorded in the audit trail.
    fn concerning(&self, concerned: Arc<LimitSubject>) -> Self {
        Self { concerned: Some(concerned), ..self.clone() }
    }

    /// Records the audit events of limits that were exhausted since the last call; called by the worker.
    ///
    /// # Errors
    /// Database errors.
    pub async fn report(&self, db: &Db, now: &Now) -> Result<()> {
        self.waiting.report(db, now).await
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Number of times a limit was exhausted, by its setting without the prefix VESTIBULE_LIMIT_";
        registry.register("limits_reached", help, self.reached.clone());
    }

    /// True if limits are enabled.
    fn hold(&self) -> bool {
        self.config.limits
    }

    fn of(&self, what: LimitKind) -> Limit {
        let config = &self.config;
        match what {
            LimitKind::MailToAddress => config.limit_mail_address,
            LimitKind::MailFromClient => config.limit_mail_client,
            LimitKind::SignIn => config.limit_sign_in,
            LimitKind::SignInFromClient => config.limit_sign_in_client,
            LimitKind::SignInToAccount => config.limit_sign_in_account,
            LimitKind::Link => config.limit_link,
            LimitKind::Register => config.limit_register,
            LimitKind::Bulk => config.limit_bulk,
            LimitKind::Welcome => config.limit_welcome,
            LimitKind::ApiToken => config.limit_api_token,
            LimitKind::Writes => config.limit_writes,
            LimitKind::SecondFactor => config.limit_second_factor,
        }
    }
}

/// Purposes of mails that others can cause. Each has its own budget per address, so that mails of one kind cannot
/// suppress mails of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Link that resets a forgotten password.
    Reset,
    /// Link that completes a registration, first or sent again.
    Registration,
    /// Link that confirms the new address of an account.
    NewAddress,
    /// Retry of a mail by staff.
    Retry,
}

/// The party that requests a mail.
#[derive(Clone, Copy, Debug)]
pub enum Requester<'a> {
    /// Anyone, at this client.
    Anyone(&'a Client),
    /// A signed-in user.
    Viewer(&'a Viewer),
}

impl<'a> Requester<'a> {
    fn client(self) -> &'a Client {
        match self {
            Self::Anyone(client) => client,
            Self::Viewer(viewer) => viewer.client(),
        }
    }

    /// The subject of events about mails to this address.
    fn subject(self, email: &str) -> Arc<LimitSubject> {
        let target = Target::Address(email.to_owned());
        match self {
            Self::Anyone(client) => LimitSubject::stranger(client, target),
            Self::Viewer(viewer) => LimitSubject::viewer_for(viewer, target),
        }
    }
}

/// Takes one request for a mail to this address, from the client's limit and from the address's limit for this purpose.
///
/// Nobody else can use up the resets of an account's owner: networks from which the account signed in recently have
/// their own budget at its address. Everybody else uses the shared budgets, with the same statements for addresses with
/// and without an account.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait, the same with and without an account at the address.
pub async fn take_mail(
    db: &Db,
    now: &Now,
    by: Requester<'_>,
    limits: &Limits,
    purpose: Purpose,
    email: &str,
) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let limits = &limits.concerning(by.subject(email));
    let networks = networks(by.client());
    limits.take(db.writer(), now, &limits.share(LimitKind::MailFromClient, &networks.subnet)).await?;
    let shared = async {
        if let Some(site) = limits.site_share(LimitKind::MailFromClient, &networks, str::to_owned) {
            limits.take(db.writer(), now, &site).await?;
        }
        take_address(db.writer(), now, limits, purpose, email).await
    };
    let refused = match shared.await {
        Err(Error::RateLimited(wait)) if purpose == Purpose::Reset => Error::RateLimited(wait),
        taken => return taken,
    };
    if !known_networks::leads_to(db, now, &networks.subnet, email).await? {
        return Err(refused);
    }
    limits.take(db.writer(), now, &limits.reset_reserve(email, &networks)).await
}

/// Takes one mail of this purpose from the address's limit, for a known requester.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_address(
    db: &impl ConnectionTrait,
    now: &Now,
    limits: &Limits,
    purpose: Purpose,
    email: &str,
) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    limits.take(db, now, &limits.mails_to(email, purpose)).await
}

/// Takes one welcome mail caused by the viewer, from the viewer's limit and from the address's limit.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_welcome(
    db: &impl ConnectionTrait,
    now: &Now,
    viewer: &Viewer,
    limits: &Limits,
    email: &str,
) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let limits = &limits.concerning(LimitSubject::viewer(viewer));
    let user = viewer.user().id.to_string();
    limits.take(db, now, &limits.share(LimitKind::Welcome, &user)).await?;
    limits.take(db, now, &limits.welcome_to(email)).await
}

/// Takes one welcome mail for each of these addresses, from the addresses' limits. Returns the addresses whose limit is
/// exhausted, as given. All callers pass them in the order of the addresses. An import may pass hundreds at a time.
pub async fn take_welcomes<'a>(
    db: &impl ConnectionTrait,
    now: &Now,
    limits: &Limits,
    emails: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<&'a str>> {
    if !limits.hold() {
        return Ok(Vec::new());
    }
    let emails: Vec<(&str, Share)> = emails.into_iter().map(|email| (email, limits.welcome_to(email))).collect();
    let Some((_, any)) = emails.first() else { return Ok(Vec::new()) };
    // A statement may contain each row only once. The caller's order is kept, so that two imports do not deadlock.
    let mut met = HashSet::new();
    let rows: Vec<_> =
        emails.iter().filter(|(_, share)| met.insert(&share.key)).map(|(_, share)| share.row(now)).collect();
    let taken = limit::Entity::insert_many(rows).on_conflict(any.one_more(now)).exec_with_returning(db).await?;
    let taken: HashSet<String> = taken.into_iter().map(|row| row.key).collect();
    let refused: Vec<&str> =
        emails.iter().filter(|(_, share)| !taken.contains(&share.key)).map(|(email, _)| *email).collect();
    if !refused.is_empty() {
        limits.note(LimitKind::MailToAddress);
    }
    Ok(refused)
}

/// Takes one creation or rotation of an API token by the viewer.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_api_token(db: &impl ConnectionTrait, now: &Now, viewer: &Viewer, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let limits = &limits.concerning(LimitSubject::viewer(viewer));
    let user = viewer.user().id.to_string();
    limits.take(db, now, &limits.share(LimitKind::ApiToken, &user)).await
}

/// Takes one attempt at a mailed link before it is looked up. It counts as a wrong one until it is given back.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_link(db: &Db, now: &Now, client: &Client, limits: &Limits) -> Result<Attempt> {
    if !limits.hold() {
        return Ok(Attempt::default());
    }
    let taken = limits.take_by_client(db, now, LimitKind::Link, client, str::to_owned).await?;
    Ok(Attempt { taken, is_void: false })
}

/// Takes one attempt at a mailed link whose page is opened. Any site can make a browser open pages, so these attempts have
/// a budget of their own and use up none of [`take_link`].
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_opened_link(db: &Db, now: &Now, client: &Client, limits: &Limits) -> Result<Attempt> {
    if !limits.hold() {
        return Ok(Attempt::default());
    }
    Ok(Attempt { taken: limits.take_by_client(db, now, LimitKind::Link, client, opened).await?, is_void: false })
}

/// Takes one attempt to register, whatever its result: before anything is looked up, since a refusal reveals that a
/// username is taken, and before the password is checked, which is expensive.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_registration(db: &Db, now: &Now, client: &Client, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    limits.take_by_client(db, now, LimitKind::Register, client, str::to_owned).await?;
    Ok(())
}

/// Takes one attempt of a signed-in user to change the username, since the result reveals whether it is taken.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_username(db: &Db, now: &Now, user: Uuid, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let limits = &limits.concerning(LimitSubject::user(user));
    limits.take(db.writer(), now, &limits.share(LimitKind::Register, &format!("user\0{user}"))).await
}

/// Takes one export or import by this user.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_bulk(db: &Db, now: &Now, viewer: &Viewer, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let limits = &limits.concerning(LimitSubject::viewer(viewer));
    let user = viewer.user().id.to_string();
    limits.take(db.writer(), now, &limits.share(LimitKind::Bulk, &user)).await
}

/// Takes one change by this user, in the transaction of the change: refused changes and changes without effect cost
/// nothing.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub async fn take_write(db: &impl ConnectionTrait, now: &Now, user: Uuid, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let limits = &limits.concerning(LimitSubject::user(user));
    limits.take(db, now, &limits.share(LimitKind::Writes, &user.to_string())).await
}

/// Checks that this user may make a change, without taking one: before work that is expensive even if the change is then
/// refused.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub(in crate::domain) async fn check_write(db: &Db, now: &Now, user: Uuid, limits: &Limits) -> Result<()> {
    if !limits.hold() {
        return Ok(());
    }
    let limits = &limits.concerning(LimitSubject::user(user));
    limits.check(db, now, &limits.share(LimitKind::Writes, &user.to_string())).await
}

/// Checks the same for a change that only ends something, as [`take_ending`] takes it.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub(in crate::domain) async fn check_ending(
    db: &Db,
    now: &Now,
    user: Uuid,
    credential: Uuid,
    limits: &Limits,
) -> Result<()> {
    match check_write(db, now, user, limits).await {
        Err(Error::RateLimited(_)) => limits.check(db, now, &limits.ending_reserve(credential)).await,
        checked => checked,
    }
}

/// Takes one change by this user that only ends something: a session, an API token, an account, or rights.
///
/// A thief with a stolen session or a leaked API token can use up the owner's changes, but not the owner's means to end
/// the theft. Once the user's budget is used up, each credential has its own budget of the same size for such changes.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub(in crate::domain) async fn take_ending(
    db: &impl ConnectionTrait,
    now: &Now,
    user: Uuid,
    credential: Uuid,
    limits: &Limits,
) -> Result<()> {
    match take_write(db, now, user, limits).await {
        Err(Error::RateLimited(_)) => limits.take(db, now, &limits.ending_reserve(credential)).await,
        taken => taken,
    }
}

/// Takes one change of the own password by a user who proves the current one instead of a session. If the changes of the user
/// are used up, each client network has a budget of its own, so that a leaked credential does not block the owner.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait.
pub(in crate::domain) async fn take_own_password(
    db: &impl ConnectionTrait,
    now: &Now,
    user: Uuid,
    client: &Client,
    limits: &Limits,
) -> Result<()> {
    match take_write(db, now, user, limits).await {
        Err(Error::RateLimited(_)) => limits.take(db, now, &limits.own_password_reserve(user, &networks(client))).await,
        taken => taken,
    }
}

/// Takes one attempt at the second factor of an account whose row is locked. It counts as a wrong code until it is given
/// back. Attempts within a session have a count of their own: its thief, who needs no password, must not stop the codes of
/// sign-ins.
///
/// # Errors
/// [`Error::RateLimited`] after too many wrong codes.
pub(in crate::domain) async fn take_second_factor(
    txn: &DatabaseTransaction,
    now: &Now,
    client: &Client,
    limits: &Limits,
    user: Uuid,
    session: Option<Uuid>,
) -> Result<Attempt> {
    if !limits.hold() {
        return Ok(Attempt::default());
    }
    let subject = match session {
        Some(_) => LimitSubject::user(user),
        None => LimitSubject::stranger(client, Some(user)),
    };
    let limits = limits.concerning(subject);
    let share = limits.wrong_codes(user, session);
    limits.take(txn, now, &share).await?;
    Ok(Attempt { taken: vec![share], is_void: false })
}

/// True if this account had so many wrong codes, at sign-ins or within this session, that codes of its authenticator app
/// are not compared.
pub(in crate::domain) async fn has_stopped_totp(
    db: &impl ConnectionTrait,
    now: &Now,
    limits: &Limits,
    user: Uuid,
    session: Option<Uuid>,
) -> Result<bool> {
    if !limits.hold() {
        return Ok(false);
    }
    let share = limits.wrong_codes(user, session);
    let row = limit::Entity::find_by_id(share.key.as_str()).one(db).await?;
    Ok(row.is_some_and(|row| row.full_until > share.room(now) && row.full_until <= share.furthest(now)))
}

/// The account whose password is attempted.
#[derive(Clone, Copy, Debug)]
pub enum Account<'a> {
    /// The account with this folded name or address, if there is one.
    Named(&'a str, Option<Uuid>),
    /// The account of a signed-in user.
    Own(&'a Viewer),
    /// The account of a mailed link, whose reader is not signed in.
    OfLink(Uuid),
}

/// An admitted attempt at a password or a link. It counts as a wrong one until it is given back.
#[derive(Debug, Default)]
pub struct Attempt {
    taken: Vec<Share>,
    /// True if it was admitted for appearance only: the password must not be compared.
    pub is_void: bool,
}

/// Takes one attempt at the password of an account before it is compared, so that concurrent attempts cannot exceed the
/// limits. Unknown accounts are limited in the same way, by name.
///
/// An account has two names: its username, which is public, and its address. An exhausted limit of one also applies to
/// the other, but reporting it would reveal the address's owner. Such an attempt is void, and callers answer it like a
/// wrong password.
///
/// Nobody can lock an account's owner out by guessing: budgets that a client shares with strangers do not apply to
/// networks from which the account signed in during the last ninety days.
///
/// # Errors
/// [`Error::RateLimited`] with the time to wait; at the same count for existing and unknown names.
pub async fn take_attempt(
    db: &Db,
    now: &Now,
    client: &Client,
    limits: &Limits,
    account: Account<'_>,
) -> Result<Attempt> {
    if !limits.hold() {
        return Ok(Attempt::default());
    }
    let networks = networks(client);
    let (name, user) = match account {
        Account::Named(name, user) => (Some(name), user),
        Account::Own(viewer) => (None, Some(viewer.user().id)),
        Account::OfLink(user) => (None, Some(user)),
    };
    let reported = limits.concerning(match account {
        Account::Own(viewer) => LimitSubject::viewer(viewer),
        Account::Named(..) | Account::OfLink(_) => LimitSubject::stranger(client, user),
    });
    let mut attempt = Attempt::default();
    let (txn, ref now) = db.begin(now).await?;
    let taking = Taking { now, limits: &reported, networks: &networks, user };
    taking.take_own(&txn, LimitKind::SignInFromClient, str::to_owned, &mut attempt).await?;
    if let Some(name) = name {
        taking.take(&txn, &format!("name\0{name}"), &mut attempt).await?;
    }
    // Without a user, the same work is done for an unused row.
    let owner = user.map_or_else(|| format!("nobody\0{}", name.unwrap_or_default()), |user| user.to_string());
    // An event about a limit exhausted under another name would show staff that both names belong to one superuser.
    let taking = Taking { limits: if name.is_some() { limits } else { &reported }, ..taking };
    match taking.take(&txn, &owner, &mut attempt).await {
        Err(Error::RateLimited(_)) if name.is_some() => attempt.is_void = true,
        taken => taken?,
    }
    txn.commit().await?;
    Ok(attempt)
}

/// The client and account of an attempt.
struct Taking<'a> {
    now: &'a Now,
    limits: &'a Limits,
    networks: &'a Networks,
    user: Option<Uuid>,
}

impl Taking<'_> {
    /// Takes an attempt at the account with this key, from the client's limit and from the shared limit.
    async fn take(&self, txn: &DatabaseTransaction, key: &str, attempt: &mut Attempt) -> Result<()> {
        self.take_own(txn, LimitKind::SignIn, |network| format!("{key}\0{network}"), attempt).await?;
        self.take_shared(txn, self.limits.share(LimitKind::SignInToAccount, key), attempt).await
    }

    /// Takes an attempt from a limit of the client: of its subnet, and of its site, which strangers may share.
    async fn take_own(
        &self,
        txn: &DatabaseTransaction,
        what: LimitKind,
        who: impl Fn(&str) -> String,
        attempt: &mut Attempt,
    ) -> Result<()> {
        let here = self.limits.share(what, &who(&self.networks.subnet));
        self.limits.take(txn, self.now, &here).await?;
        attempt.taken.push(here);
        match self.limits.site_share(what, self.networks, who) {
            Some(site) => self.take_shared(txn, site, attempt).await,
            None => Ok(()),
        }
    }

    /// Takes an attempt from a limit that strangers can use up, and that does not apply to known networks.
    async fn take_shared(&self, txn: &DatabaseTransaction, share: Share, attempt: &mut Attempt) -> Result<()> {
        match self.limits.take(txn, self.now, &share).await {
            Ok(()) => attempt.taken.push(share),
            Err(Error::RateLimited(wait)) => {
                if !known_networks::is_known(txn, self.now, self.user, &self.networks.subnet).await? {
                    return Err(Error::RateLimited(wait));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Gives back an attempt with the right password or link.
pub async fn give_back(db: &impl ConnectionTrait, attempt: Attempt) -> Result<()> {
    // In the order in which they are taken, to avoid deadlocks.
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

/// Gives back all wrong passwords for these accounts from everywhere. Their rows are locked.
pub(in crate::domain) async fn forget_guesses(txn: &DatabaseTransaction, users: &[Uuid]) -> Result<()> {
    let accounts = user::Entity::find().filter(user::Column::Id.is_in(users.iter().copied())).select_only();
    let accounts = accounts.columns([user::Column::UsernameKey, user::Column::EmailKey]);
    let names: Vec<(String, String)> = accounts.into_tuple().all(txn).await?;
    let names = names.into_iter().flat_map(|(username, email)| [username, email]);
    // First by name and then by account, in the order in which an attempt takes them, to avoid deadlocks.
    for keys in [
        names.map(|name| key(LimitKind::SignInToAccount, &format!("name\0{name}"))).collect::<Vec<_>>(),
        users.iter().map(|user| key(LimitKind::SignInToAccount, &user.to_string())).collect(),
    ] {
        limit::Entity::delete_many().filter(Column::Key.is_in(keys)).exec(txn).await?;
    }
    Ok(())
}

/// Gives back all wrong codes of the second factor of this account.
pub(in crate::domain) async fn forget_wrong_codes(txn: &DatabaseTransaction, user: Uuid) -> Result<()> {
    let key = key(LimitKind::SecondFactor, &user.to_string());
    limit::Entity::delete_many().filter(Column::Key.eq(key)).exec(txn).await?;
    Ok(())
}

/// The name under which a network's opened links are counted.
fn opened(network: &str) -> String {
    format!("opened\0{network}")
}

fn key(what: LimitKind, who: &str) -> String {
    secret::digest_text(&format!("{what:?}\0{who}"))
}

/// A limit of one client or account.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) what: LimitKind,
    /// Key of its row.
    pub(super) key: String,
    pub(super) limit: Limit,
}

impl Share {
    /// Time until one is given back.
    pub(super) fn step(&self) -> Duration {
        self.limit.per / self.limit.count
    }

    /// The row after the first one taken.
    fn row(&self, now: &Now) -> limit::ActiveModel {
        let full_until = now.at.plus(self.step());
        limit::ActiveModel { key: Set(self.key.clone()), full_until: Set(full_until), reported_at: Set(None) }
    }

    /// Latest value of the row that leaves room for one more.
    pub(super) fn room(&self, now: &Now) -> Timestamp {
        now.at.plus(self.limit.per).minus(self.step())
    }

    /// Latest value of the row, unless the clock was set back since. The limit then starts again instead of refusing
    /// everybody for that time.
    fn furthest(&self, now: &Now) -> Timestamp {
        now.at.plus(self.limit.per).plus(SKEW)
    }

    /// True if one more can be taken from this row.
    fn has_room(&self, row: &limit::Model, now: &Now) -> bool {
        row.full_until <= self.room(now) || row.full_until > self.furthest(now)
    }

    /// Takes one more from an existing row, if there is room.
    fn one_more(&self, now: &Now) -> OnConflict {
        let furthest = self.furthest(now);
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
    /// All limits of an account: those for requests from anywhere, those for requests from these networks, the networks'
    /// own, and the reserves of these credentials.
    pub(super) fn of_account(&self, user: &user::Model, networks: &[Networks], credentials: &[Uuid]) -> Vec<Share> {
        let id = user.id.to_string();
        let names = [format!("name\0{}", user.username_key), format!("name\0{}", user.email_key), id.clone()];
        let mut shares: Vec<Share> = names.iter().map(|name| self.share(LimitKind::SignInToAccount, name)).collect();
        for networks in networks {
            for name in &names {
                let who = |network: &str| format!("{name}\0{network}");
                shares.push(self.share(LimitKind::SignIn, &who(&networks.subnet)));
                shares.extend(self.site_share(LimitKind::SignIn, networks, who));
            }
            shares.push(self.reset_reserve(&user.email, networks));
            shares.push(self.own_password_reserve(user.id, networks));
            shares.extend(self.of_client(networks));
        }
        let mails = [Purpose::Reset, Purpose::Registration, Purpose::NewAddress, Purpose::Retry];
        shares.extend(mails.map(|purpose| self.mails_to(&user.email, purpose)));
        shares.push(self.welcome_to(&user.email));
        shares.push(self.share(LimitKind::Register, &format!("user\0{id}")));
        shares.extend(credentials.iter().map(|credential| self.ending_reserve(*credential)));
        shares.extend(
            [LimitKind::Bulk, LimitKind::Welcome, LimitKind::ApiToken, LimitKind::Writes, LimitKind::SecondFactor]
                .map(|what| self.share(what, &id)),
        );
        shares
    }

    /// All limits of a client.
    pub(super) fn of_client(&self, networks: &Networks) -> Vec<Share> {
        let limits = [LimitKind::SignInFromClient, LimitKind::MailFromClient, LimitKind::Link, LimitKind::Register];
        let shares = limits.into_iter().flat_map(|what| self.shares_of_client(what, networks, str::to_owned));
        shares.chain(self.shares_of_client(LimitKind::Link, networks, opened)).collect()
    }

    /// The share of the client's subnet, and that of its site.
    fn shares_of_client(&self, what: LimitKind, networks: &Networks, who: fn(&str) -> String) -> Vec<Share> {
        let own = self.share(what, &who(&networks.subnet));
        std::iter::once(own).chain(self.site_share(what, networks, who)).collect()
    }

    fn share(&self, what: LimitKind, who: &str) -> Share {
        Share { what, key: key(what, who), limit: self.of(what) }
    }

    /// Welcome mails to this address. They have their own count, so that they use up no resets.
    fn welcome_to(&self, email: &str) -> Share {
        self.share(LimitKind::MailToAddress, &format!("welcome\0{}", identifier::canonical_address(email)))
    }

    /// Mails of this purpose to this address. Only equal addresses share a count: a look-alike is another mailbox, and
    /// its mails must not suppress those to this one.
    fn mails_to(&self, email: &str, purpose: Purpose) -> Share {
        self.share(LimitKind::MailToAddress, &format!("{purpose:?}\0{}", identifier::canonical_address(email)))
    }

    /// Resets of this address that strangers cannot use up, for a known network of its account.
    fn reset_reserve(&self, email: &str, networks: &Networks) -> Share {
        let to = identifier::canonical_address(email);
        self.share(LimitKind::MailToAddress, &format!("{:?}\0{to}\0{}", Purpose::Reset, networks.subnet))
    }

    /// Changes with this credential that only end something, once the changes of its user are used up.
    fn ending_reserve(&self, credential: Uuid) -> Share {
        self.share(LimitKind::Writes, &format!("ending\0{credential}"))
    }

    /// Changes of the own password from this network, once the other changes of the user are used up.
    fn own_password_reserve(&self, user: Uuid, networks: &Networks) -> Share {
        self.share(LimitKind::Writes, &format!("own password\0{user}\0{}", networks.subnet))
    }

    /// Wrong codes of the second factor of this account, at sign-ins or within this session.
    fn wrong_codes(&self, user: Uuid, session: Option<Uuid>) -> Share {
        let who = match session {
            Some(session) => format!("session\0{session}"),
            None => user.to_string(),
        };
        self.share(LimitKind::SecondFactor, &who)
    }

    /// Counts an exhausted limit.
    fn note(&self, what: LimitKind) {
        tracing::warn!(limit = ?what, "rate limit exhausted");
        self.reached.get_or_create(&Reached { limit: what.name() }).inc();
    }

    /// The share of the client's site, with its larger budget; `None` with IPv4.
    fn site_share(&self, what: LimitKind, networks: &Networks, who: impl Fn(&str) -> String) -> Option<Share> {
        let mut share = self.share(what, &who(networks.site.as_deref()?));
        share.limit.count = share.limit.count.saturating_mul(SITE_FACTOR);
        Some(share)
    }

    /// Takes one from a limit of the client: of its subnet, and of its site.
    async fn take_by_client(
        &self,
        db: &Db,
        now: &Now,
        what: LimitKind,
        client: &Client,
        who: fn(&str) -> String,
    ) -> Result<Vec<Share>> {
        let limits = self.concerning(LimitSubject::stranger(client, None));
        let shares = self.shares_of_client(what, &networks(client), who);
        for share in &shares {
            limits.take(db.writer(), now, share).await?;
        }
        Ok(shares)
    }

    /// Takes one from a limit.
    async fn take(&self, db: &impl ConnectionTrait, now: &Now, share: &Share) -> Result<()> {
        let insert = limit::Entity::insert(share.row(now)).on_conflict(share.one_more(now));
        let taken = insert.exec_without_returning(db).await?;
        if taken > 0 {
            return Ok(());
        }
        let full = limit::Entity::find_by_id(share.key.as_str()).one(db).await?;
        Err(self.exhausted(now, share, full.as_ref()))
    }

    /// Checks that a limit has room for one more.
    async fn check(&self, db: &Db, now: &Now, share: &Share) -> Result<()> {
        let row = limit::Entity::find_by_id(share.key.as_str()).one(db.reader()).await?;
        match row.filter(|row| !share.has_room(row, now)) {
            Some(full) => Err(self.exhausted(now, share, Some(&full))),
            None => Ok(()),
        }
    }

    /// Notes an exhausted limit with its row.
    fn exhausted(&self, now: &Now, share: &Share, full: Option<&limit::Model>) -> Error {
        let wait = full.map_or(1, |row| row.full_until.millis() - share.room(now).millis());
        self.note(share.what);
        let since = now.at.minus(share.limit.per);
        let is_due = full.is_some_and(|row| row.reported_at.is_none_or(|reported| reported <= since));
        if let Some(concerned) = self.concerned.clone().filter(|_| is_due) {
            self.waiting.add(Exhausted { reason: share.what.reason(), key: share.key.clone(), since, concerned });
        }
        Error::RateLimited(Duration::from_millis(u64::try_from(wait).unwrap_or(1)))
    }
}

/// Removes the rows of limits that are fully given back.
pub async fn sweep(db: &Db, now: &Now) -> Result<()> {
    let unused = Condition::all().add(Column::FullUntil.lte(now.at));
    batch_delete::delete::<limit::Entity>(db, limit::PrimaryKey::Key, &unused).await?;
    Ok(())
}

/// The networks under which a client is counted.
pub fn networks(client: &Client) -> Networks {
    Networks::of_text(client.ip.as_deref())
}
