//! Accounts and tokens, written batch by batch, each with its audit events and mails.

use std::collections::{HashMap, HashSet};

use ring::digest;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::entries::Entry;
use super::tokens::{self, Owner};
use super::{Options, Problem, Report, RightsChange};
use crate::domain::account::undo_email_change::{self, MadeBy};
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Client;
use crate::domain::auth::revocation::{self, Cause};
use crate::domain::import::spreadsheet::rights::Rights;
use crate::domain::outbox;
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::users::reserved::{self, ReservationHolder};
use crate::domain::users::{blank, retry_on_conflict};
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Column, Permission, Role};
use crate::entity::{email_undo, imported_id, mail};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::password::{DjangoHash, NotKept};
use crate::tools::{identifier, text};

/// Writes a batch of users, and adds what became of them to `report`.
pub(super) async fn write(
    txn: &DatabaseTransaction,
    now: &Now,
    entries: Vec<Entry>,
    options: Options,
    report: &mut Report,
) -> Result<()> {
    let known = Known::read(txn, now, &entries).await?;
    let mut batch = Batch { txn, now, options, known, seen: HashSet::new(), addresses: HashMap::new(), report };
    let (mut rows, mut events, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &entries {
        if !batch.seen.insert(format!("id {}", entry.id)) {
            batch.refuse(entry, "id", "Another user above has this id already.");
            continue;
        }
        let account = match batch.known.by_id.remove(&entry.id) {
            Some(account) => batch.change(entry, account, &mut events).await?,
            None => match batch.make(entry).await? {
                Some(row) => {
                    events.push(Event::by_anyone(&OPERATOR, Action::UserCreated, row.id));
                    if row.is_staff {
                        events.push(Event::by_anyone(&OPERATOR, Action::StaffGranted, row.id));
                    }
                    rows.push(row.clone().into_active_model().reset_all());
                    Some(row)
                }
                None => None,
            },
        };
        owners.extend(account.map(|account| Owner { account, token: entry.token.as_ref() }));
    }
    if !rows.is_empty() {
        let written = rows.iter().cloned().map(|row| user::Model::try_from(row).map(|user| (None, user)));
        let written: Vec<_> = written.collect::<Result<_, _>>().map_err(crate::error::Error::from)?;
        user::Entity::insert_many(rows).exec_without_returning(txn).await.map_err(retry_on_conflict)?;
        reserved::claim_all(txn, now, &written).await?;
    }
    let taken: Vec<String> = owners.iter().filter_map(|owner| owner.account.external_id.clone()).collect();
    remember(txn, taken.iter().map(|id| digest_of_id(id))).await?;
    audit::record_all(txn, now, events).await?;
    if options.tokens {
        tokens::write(txn, now, &owners, options.token_life, batch.report).await?;
    }
    if options.send_resets {
        batch.report.resets += mail_links(txn, now, &owners).await?;
    }
    Ok(())
}

/// Nobody is signed in at the command line.
static OPERATOR: Client = Client { ip: None, user_agent: None };

/// What there is already of what a batch names.
struct Known {
    /// Accounts by the ids that they had there; their rows are locked.
    by_id: HashMap<String, user::Model>,
    by_email: HashMap<String, user::Model>,
    /// The owners of usernames, and those for whom one is reserved.
    names: HashMap<String, Uuid>,
    /// The usernames that the entries would have, unless they are taken, by the ids of the entries.
    wanted: HashMap<String, String>,
    /// The changes of address that can be undone.
    undos: Vec<email_undo::Model>,
    /// The digests of ids that were taken over once.
    moved: HashSet<Vec<u8>>,
}

impl Known {
    async fn read(txn: &DatabaseTransaction, now: &Now, entries: &[Entry]) -> Result<Self> {
        let ids = Column::ExternalId.is_in(entries.iter().map(|entry| entry.id.as_str()));
        let by_id = user::Entity::find().filter(ids).order_by_asc(Column::ExternalId).lock_exclusive().all(txn).await?;
        let addresses = Column::EmailKey.is_in(entries.iter().map(|entry| entry.email_key.as_str()));
        let by_email = user::Entity::find().filter(addresses).all(txn).await?;
        // Of entries with the same id the first one counts: the others are refused.
        let wanted: HashMap<String, String> =
            entries.iter().rev().map(|entry| (entry.id.clone(), wanted(entry))).collect();
        let names = Column::UsernameKey.is_in(wanted.values().map(|name| identifier::fold(name)));
        let names = user::Entity::find().filter(names).select_only().columns([Column::UsernameKey, Column::Id]);
        let names: Vec<(String, Uuid)> = names.into_tuple().all(txn).await?;
        // A name that is reserved for somebody counts as theirs, unless another account has it.
        let keys: Vec<String> = wanted.values().map(|name| identifier::fold(name)).collect();
        let mut owners = reserved::usernames(txn, now, keys.iter().map(String::as_str)).await?;
        owners.extend(names);
        let undos = reserved::addresses(txn, now, entries.iter().map(|entry| entry.email_key.as_str())).await?;
        let digests = imported_id::Column::Digest.is_in(entries.iter().map(|entry| digest_of_id(&entry.id)));
        let moved = imported_id::Entity::find().filter(digests).all(txn).await?;
        let id = |account: user::Model| Some((account.external_id.clone()?, account));
        Ok(Self {
            by_id: by_id.into_iter().filter_map(id).collect(),
            by_email: by_email.into_iter().map(|account| (account.email_key.clone(), account)).collect(),
            names: owners,
            wanted,
            undos,
            moved: moved.into_iter().map(|row| row.digest).collect(),
        })
    }
}

/// The username that an entry would have: its own, or a neutral one.
fn wanted(entry: &Entry) -> String {
    entry.username.clone().unwrap_or_else(identifier::neutral_username)
}

/// A batch while it is gone through.
struct Batch<'a> {
    txn: &'a DatabaseTransaction,
    now: &'a Now,
    options: Options,
    known: Known,
    /// The ids and names of the entries before.
    seen: HashSet<String>,
    /// The addresses of the entries before, by their keys.
    addresses: HashMap<String, String>,
    report: &'a mut Report,
}

impl Batch<'_> {
    fn refuse(&mut self, entry: &Entry, field: &'static str, message: impl Into<String>) {
        self.report.refused.push(Problem { id: entry.id.clone(), field: Some(field), message: message.into() });
    }

    /// The account to insert of a user who has none; none where there will not be one.
    async fn make(&mut self, entry: &Entry) -> Result<Option<user::Model>> {
        if self.known.moved.contains(&digest_of_id(&entry.id)) {
            self.report.kept += 1;
            return Ok(None);
        }
        if let Some(account) = self.known.by_email.get(&entry.email_key).cloned() {
            if identifier::same_address(&account.email, &entry.email) {
                self.meet(entry, &account).await?;
            } else {
                let message = look_alike(&entry.email, &account.email);
                self.refuse(entry, "email", message);
            }
            return Ok(None);
        }
        if self.is_barred(Uuid::nil(), &entry.email_key, &entry.email) {
            self.refuse(entry, "email", reserved::RETURNS);
            return Ok(None);
        }
        if let Some(other) = self.addresses.get(&entry.email_key).cloned() {
            let message = match identifier::same_address(&other, &entry.email) {
                true => "Another user above has this address, in this or another case.".to_owned(),
                false => look_alike(&entry.email, &other),
            };
            self.refuse(entry, "email", message);
            return Ok(None);
        }
        let Some(username) = self.free_name(entry).await? else {
            let message = "Another user has this username, in this or another case, or one that looks the same: \
                           rename one, or take users over with --make-usernames.";
            self.refuse(entry, "username", message);
            return Ok(None);
        };
        self.addresses.insert(entry.email_key.clone(), entry.email.clone());
        let is_superuser = entry.is_superuser == Some(true);
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let names = (name(&entry.first_name), name(&entry.last_name));
        let role = if is_superuser { Role::Admin } else { Role::Member };
        let permission = if is_superuser { Permission::FullAccess } else { Permission::OnlyView };
        let row = blank(self.now, (entry.email.clone(), username), names);
        let row = user::ActiveModel {
            password_hash: Set(entry.password.clone().and_then(Result::ok)),
            phone: Set(name(&entry.phone)),
            address: Set(name(&entry.address)),
            bio: Set(name(&entry.bio)),
            role: Set(entry.role.unwrap_or(role)),
            permission: Set(entry.permission.unwrap_or(permission)),
            is_active: Set(entry.is_active.unwrap_or(true)),
            is_staff: Set(entry.is_staff.unwrap_or(is_superuser)),
            is_superuser: Set(is_superuser),
            is_verified: Set(entry.is_verified.unwrap_or(true)),
            date_joined: Set(entry.date_joined.unwrap_or(self.now.at)),
            last_login: Set(entry.last_login),
            external_id: Set(Some(entry.id.clone())),
            moved_at: Set(Some(self.now.at)),
            ..row
        };
        let account = user::Model::try_from(row).map_err(crate::error::Error::from)?;
        self.report.created += 1;
        self.note_password(entry, &account);
        Ok(Some(account))
    }

    /// A user whose address an account has that is not known to be theirs.
    async fn meet(&mut self, entry: &Entry, account: &user::Model) -> Result<()> {
        if let Some(other) = &account.external_id {
            self.refuse(entry, "email", format!("The user with the id {other} has this address already."));
        } else if self.options.link {
            let tied = user::Entity::update_many()
                .col_expr(Column::ExternalId, entry.id.clone().into())
                .filter(Column::Id.eq(account.id))
                .filter(Column::ExternalId.is_null());
            let tied = tied.exec(self.txn).await.map_err(retry_on_conflict)?;
            self.report.linked += usize::try_from(tied.rows_affected).unwrap_or_default();
            self.known.by_email.remove(&entry.email_key);
            self.addresses.insert(entry.email_key.clone(), entry.email.clone());
            remember(self.txn, std::iter::once(digest_of_id(&entry.id))).await?;
        } else {
            let message = "There is an account with this address, which was not taken over: with --link it is given the \
                           id, and stays as it is otherwise.";
            self.refuse(entry, "email", message);
        }
        Ok(())
    }

    /// The user's name, or a neutral one, where that may be. None where it is taken.
    async fn free_name(&mut self, entry: &Entry) -> Result<Option<String>> {
        let mut name = self.known.wanted.get(&entry.id).cloned().unwrap_or_else(|| wanted(entry));
        let may_differ = entry.username.is_none() || self.options.make_usernames;
        let mut is_taken = self.known.names.contains_key(&identifier::fold(&name));
        loop {
            let key = identifier::fold(&name);
            if !is_taken && self.seen.insert(format!("name {key}")) {
                return Ok(Some(name));
            }
            if !may_differ {
                return Ok(None);
            }
            name = identifier::neutral_username();
            let same = user::Entity::find().filter(Column::UsernameKey.eq(identifier::fold(&name)));
            is_taken = same.one(self.txn).await?.is_some();
            let key = identifier::fold(&name);
            is_taken |= !reserved::usernames(self.txn, self.now, [key.as_str()]).await?.is_empty();
        }
    }

    /// Makes the account what the user is there, where it was not changed here since. The account as it is then; none where it
    /// was left alone.
    async fn change(
        &mut self,
        entry: &Entry,
        account: user::Model,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Option<user::Model>> {
        let changes = Changes::of(entry, &account);
        if account.moved_at.is_none_or(|at| account.updated_at > at) {
            self.report.kept += 1;
            return Ok(None);
        }
        if changes.after == account {
            self.report.unchanged += 1;
            return Ok(Some(account));
        }
        if let Err(refusal) = guard_rails::check(None, &account, Change::Details) {
            self.report.refused.push(Problem { id: entry.id.clone(), field: None, message: refusal.message });
            return Ok(None);
        }
        if let Some((field, message)) = self.is_in_the_way(&account, &changes.after) {
            self.refuse(entry, field, message);
            return Ok(None);
        }
        let after = user::Model { updated_at: self.now.at, moved_at: Some(self.now.at), ..changes.after };
        for cause in changes.causes {
            revocation::revoke(self.txn, &[account.id], cause).await?;
        }
        after.clone().into_active_model().reset_all().update(self.txn).await.map_err(retry_on_conflict)?;
        reserved::claim_all(self.txn, self.now, &[(Some(account.clone()), after.clone())]).await?;
        if after.email != account.email {
            undo_email_change::announce(self.txn, self.now, MadeBy::Staff { sets_password: false }, &account, &after)
                .await?;
        }
        if account.password_hash.is_some()
            && after.password_hash.is_some()
            && after.password_hash != account.password_hash
        {
            outbox::enqueue(self.txn, self.now, mail::Kind::PasswordChanged, &after.email, Some(after.id)).await?;
        }
        if after.is_active && !account.is_active {
            outbox::release(self.txn, self.now, &[after.id]).await?;
        }
        let rights = Rights::of(&after).changes(Rights::of(&account)).into_iter();
        self.report.rights.extend(rights.map(|(field, before, after)| RightsChange {
            id: entry.id.clone(),
            field,
            before,
            after,
        }));
        events.extend(
            changes
                .actions
                .into_iter()
                .map(|action| Event::by_anyone(&OPERATOR, action, account.id).changing(&account, &after)),
        );
        self.report.updated += 1;
        if after.password_hash != account.password_hash {
            self.note_password(entry, &after);
        }
        Ok(Some(after))
    }

    /// Whose address or name an account would take.
    fn is_in_the_way(&mut self, account: &user::Model, after: &user::Model) -> Option<(&'static str, String)> {
        let is_other = |owner: Uuid| owner != account.id;
        if let Some(owner) = self.known.by_email.get(&after.email_key)
            && is_other(owner.id)
            && !identifier::same_address(&owner.email, &after.email)
        {
            return Some(("email", look_alike(&after.email, &owner.email)));
        }
        if self.is_barred(account.id, &after.email_key, &after.email) {
            return Some(("email", reserved::RETURNS.to_owned()));
        }
        if after.email_key != account.email_key
            && (self.known.by_email.get(&after.email_key).is_some_and(|owner| is_other(owner.id))
                || self.addresses.insert(after.email_key.clone(), after.email.clone()).is_some())
        {
            return Some(("email", "Another user has this address already.".to_owned()));
        }
        if after.username_key != account.username_key
            && (self.known.names.get(&after.username_key).is_some_and(|owner| is_other(*owner))
                || !self.seen.insert(format!("name {}", after.username_key)))
        {
            return Some(("username", "Another user has this username already.".to_owned()));
        }
        None
    }

    /// Whether the address looks like one that an account may return to.
    fn is_barred(&self, user: Uuid, key: &str, email: &str) -> bool {
        self.known.undos.iter().any(|undo| reserved::bars(undo, user, (key, email), ReservationHolder::Other))
    }

    /// Reports an account without a password, or with a weak one.
    fn note_password(&mut self, entry: &Entry, account: &user::Model) {
        self.report.without_password += usize::from(account.password_hash.is_none());
        let is_refused = matches!(entry.password, Some(Err(NotKept::Weak)));
        self.report.weak_hashes += usize::from(is_refused || has_weak_hash(account));
        if let Some(Err(reason)) = &entry.password
            && *reason != NotKept::Unusable
        {
            let message = format!("The account has no password, because {reason}.");
            self.report.notes.push(Problem { id: entry.id.clone(), field: Some("password"), message });
        }
    }
}

/// The refusal of an address that looks like another account's.
fn look_alike(email: &str, other: &str) -> String {
    format!("The address {email} looks like the address of another account, {other}, but is not the same.")
}

/// What an account becomes.
struct Changes {
    after: user::Model,
    actions: Vec<Action>,
    /// Events that end what the account was used by.
    causes: Vec<Cause>,
}

impl Changes {
    fn of(entry: &Entry, account: &user::Model) -> Self {
        let mut after = account.clone();
        after.email.clone_from(&entry.email);
        after.email_key.clone_from(&entry.email_key);
        if let Some(username) = &entry.username {
            after.username_key = identifier::fold(username);
            after.username.clone_from(username);
        }
        for (field, text) in [
            (&mut after.first_name, &entry.first_name),
            (&mut after.last_name, &entry.last_name),
            (&mut after.phone, &entry.phone),
            (&mut after.address, &entry.address),
            (&mut after.bio, &entry.bio),
        ] {
            if let Some(text) = text {
                field.clone_from(text);
            }
        }
        after.first_name_key = text::fold(&after.first_name);
        after.last_name_key = text::fold(&after.last_name);
        after.is_superuser = entry.is_superuser.unwrap_or(account.is_superuser);
        let becomes_superuser = after.is_superuser && !account.is_superuser;
        after.role = entry.role.unwrap_or(if becomes_superuser { Role::Admin } else { account.role });
        let permission = if becomes_superuser { Permission::FullAccess } else { account.permission };
        after.permission = entry.permission.unwrap_or(permission);
        after.is_active = entry.is_active.unwrap_or(account.is_active);
        after.is_staff = entry.is_staff.unwrap_or(account.is_staff);
        after.is_verified |= entry.is_verified.unwrap_or(false);
        after.date_joined = entry.date_joined.unwrap_or(account.date_joined);
        // A password that was set or renewed here is the user's by now.
        let is_theirs = account.password_hash.as_deref().is_none_or(|hash| DjangoHash::parse(hash).is_ok());
        if let (true, Some(password)) = (is_theirs, &entry.password) {
            after.password_hash = password.clone().ok();
            after.temporary_password_at = None;
        }
        let is_of_details = after != *account;
        let is_other_address = !identifier::same_address(&after.email, &account.email);
        // That somebody signed in there is no change of a superuser.
        if !account.is_superuser {
            after.last_login = account.last_login.max(entry.last_login);
        }
        let toggled = |before: bool, now: bool, on, off| (before != now).then_some(if now { on } else { off });
        let actions = [
            is_of_details.then_some(Action::UserUpdated),
            is_other_address.then_some(Action::EmailChanged),
            (after.password_hash != account.password_hash).then_some(Action::PasswordSet),
            toggled(account.is_staff, after.is_staff, Action::StaffGranted, Action::StaffRevoked),
            toggled(account.is_active, after.is_active, Action::Activated, Action::Deactivated),
        ];
        let causes = [
            is_other_address.then_some(Cause::EmailImported),
            (after.password_hash != account.password_hash).then_some(Cause::PasswordSet),
            (account.is_active && !after.is_active).then_some(Cause::Deactivated),
        ];
        let causes: Vec<Cause> = causes.into_iter().flatten().collect();
        if causes.iter().any(|cause| cause.ends().links) {
            after.pending_email = None;
        }
        Self { actions: actions.into_iter().flatten().collect(), causes, after }
    }
}

/// What is kept of an id that was taken over.
fn digest_of_id(id: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, format!("user {id}").as_bytes()).as_ref().to_vec()
}

/// Notes what was taken over, so that it is not again.
pub(super) async fn remember(txn: &DatabaseTransaction, digests: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let rows: Vec<_> = digests.map(|digest| imported_id::ActiveModel { digest: Set(digest) }).collect();
    if !rows.is_empty() {
        let skip = OnConflict::column(imported_id::Column::Digest).do_nothing().to_owned();
        imported_id::Entity::insert_many(rows).on_conflict(skip).exec_without_returning(txn).await?;
    }
    Ok(())
}

/// Whether the account's hash is one of Django's that costs too little to guess.
fn has_weak_hash(account: &user::Model) -> bool {
    let hash = account.password_hash.as_deref().map(DjangoHash::parse);
    hash.is_some_and(|hash| hash.is_ok_and(|hash| hash.is_weak()))
}

/// Queues a mail with a link to set a password for each user who may sign in and has none, or a weak one, unless one was
/// queued before.
async fn mail_links(txn: &DatabaseTransaction, now: &Now, owners: &[Owner<'_>]) -> Result<usize> {
    let needs_one = |user: &&user::Model| user.is_active && (user.password_hash.is_none() || has_weak_hash(user));
    let without: Vec<_> = owners.iter().map(|owner| &owner.account).filter(needs_one).collect();
    let theirs = mail::Column::UserId.is_in(without.iter().map(|user| user.id));
    let sent = mail::Entity::find().filter(theirs).filter(mail::Column::Kind.eq(mail::Kind::ResetPassword));
    let sent: Vec<Option<Uuid>> = sent.select_only().column(mail::Column::UserId).into_tuple().all(txn).await?;
    let open = without.into_iter().filter(|user| !sent.contains(&Some(user.id)));
    let recipients: Vec<_> = open.map(|user| (user.email.clone(), user.id)).collect();
    let count = recipients.len();
    outbox::enqueue_all(txn, now, mail::Kind::ResetPassword, recipients).await?;
    Ok(count)
}
