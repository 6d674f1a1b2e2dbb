//! Accounts and tokens, written in batches with their audit events and mails.

use std::collections::{HashMap, HashSet};

use ring::digest;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::entries::Entry;
use super::second_factors::{self, Holder};
use super::tokens::{self, Owner};
use super::{Options, Problem, Report, RightsChange};
use crate::domain::audit::{self, Event};
use crate::domain::auth::identity::Actor;
use crate::domain::auth::second_factor::SecondFactorRules;
use crate::domain::import::spreadsheet::rights::Rights;
use crate::domain::users::account_change::{AccountChange, ChangedBy};
use crate::domain::users::guard_rails::{self, Change};
use crate::domain::users::reserved::{self, ReservationHolder, WantedAddress, WrittenAccount};
use crate::domain::users::search_terms::{self, searchable};
use crate::domain::users::username_allocator::UsernameAllocator;
use crate::domain::users::{Names, blank, retry_on_conflict};
use crate::domain::{outbox, rate_limits};
use crate::entity::audit_event::Action;
use crate::entity::user::{self, Column, Permission, Role};
use crate::entity::{email_undo, imported_id, mail};
use crate::error::Result;
use crate::texts::Text;
use crate::tools::clock::Now;
use crate::tools::identifier;
use crate::tools::password::{DjangoHash, NotKept};

/// Writes a batch of users, and adds the results to `report`.
pub(super) async fn write(
    txn: &DatabaseTransaction,
    now: &Now,
    second_factor: SecondFactorRules<'_>,
    entries: Vec<Entry>,
    options: Options,
    report: &mut Report,
) -> Result<()> {
    let known = Known::read(txn, now, &entries).await?;
    let (seen, usernames, addresses) = (HashSet::new(), UsernameAllocator::default(), HashMap::new());
    let mut batch = Batch { txn, now, options, known, seen, usernames, addresses, report };
    let (mut rows, mut events, mut owners, mut holders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in &entries {
        if !batch.seen.insert(entry.id.clone()) {
            batch.refuse(entry, "id", Text::new("django-id-repeated"));
            continue;
        }
        let known = batch.known.by_id.remove(&entry.id);
        let before = known.as_ref().filter(|_| entry.factors.is_some()).cloned();
        let account = match known {
            Some(account) => batch.change(entry, account, &mut events).await?,
            None => match batch.make(entry, &mut events).await? {
                Some(row) => {
                    events.push(Event::by_operator(Action::UserCreated, row.id));
                    if row.is_staff {
                        events.push(Event::by_operator(Action::StaffGranted, row.id));
                    }
                    rows.push(row.clone().into_active_model().reset_all());
                    Some(row)
                }
                None => None,
            },
        };
        holders.extend(holder(entry, before.as_ref(), account.as_ref()));
        owners.extend(account.map(|account| Owner { account, token: entry.token.as_ref() }));
    }
    if !rows.is_empty() {
        let users = rows.iter().cloned().map(user::Model::try_from);
        let users: Vec<user::Model> = users.collect::<Result<_, _>>().map_err(crate::error::Error::from)?;
        user::Entity::insert_many(rows.into_iter().map(searchable))
            .exec_without_returning(txn)
            .await
            .map_err(retry_on_conflict)?;
        let written: Vec<WrittenAccount<'_>> = users.iter().map(WrittenAccount::new).collect();
        reserved::claim_all(txn, now, &written).await?;
        // Strangers may have guessed at the addresses before.
        let new: Vec<Uuid> = users.iter().map(|user| user.id).collect();
        rate_limits::forget_guesses(txn, &new).await?;
    }
    let taken: Vec<String> = owners.iter().filter_map(|owner| owner.account.external_id.clone()).collect();
    remember(txn, taken.iter().map(|id| digest_of_id(id))).await?;
    audit::record_all(txn, now, events).await?;
    second_factors::write::write(txn, now, second_factor, &holders, batch.report).await?;
    if options.tokens {
        tokens::write(txn, now, &owners, options.token_life, batch.report).await?;
    }
    if options.send_resets {
        batch.report.resets += mail_links(txn, now, &owners).await?;
    }
    Ok(())
}

/// The account of an entry with second factors, as it was before and is now, unless it was not imported. Superusers are
/// imported and not changed.
fn holder<'a>(entry: &'a Entry, before: Option<&user::Model>, now: Option<&user::Model>) -> Option<Holder<'a>> {
    let factors = entry.factors.as_ref()?;
    let account = now.or(before.filter(|account| account.moved_at.is_some()))?;
    let may_change = now.is_some() && !before.is_some_and(|account| account.is_superuser);
    let email = account.email.clone();
    Some(Holder { user: account.id, email, id: &entry.id, is_new: before.is_none(), may_change, factors })
}

/// Existing records with the ids, addresses and usernames of a batch.
struct Known {
    /// Accounts by their ids in Django; their rows are locked.
    by_id: HashMap<String, user::Model>,
    by_email: HashMap<String, user::Model>,
    /// The owners of usernames, reserved ones included.
    names: HashMap<String, Uuid>,
    /// The preferred usernames by the ids of the entries.
    wanted: HashMap<String, String>,
    /// Address changes that can still be undone.
    undos: Vec<email_undo::Model>,
    /// Digests of ids that were imported before.
    moved: HashSet<Vec<u8>>,
}

impl Known {
    async fn read(txn: &DatabaseTransaction, now: &Now, entries: &[Entry]) -> Result<Self> {
        let addresses = Column::EmailKey.is_in(entries.iter().map(|entry| entry.email_key.as_str()));
        let by_email = user::Entity::find().filter(addresses).all(txn).await?;
        // Reversed, so that the first entry with an id wins; the others are refused.
        let wanted: HashMap<String, String> =
            entries.iter().rev().map(|entry| (entry.id.clone(), wanted(entry))).collect();
        let names = Column::UsernameKey.is_in(wanted.values().map(|name| identifier::fold(name)));
        let names = user::Entity::find().filter(names).select_only().columns([Column::UsernameKey, Column::Id]);
        let names: Vec<(String, Uuid)> = names.into_tuple().all(txn).await?;
        // A reserved name counts as that of its holder, unless an account has it.
        let keys: Vec<String> = wanted.values().map(|name| identifier::fold(name)).collect();
        let mut owners = reserved::usernames(txn, now, keys.iter().map(String::as_str)).await?;
        owners.extend(names);
        let undos = reserved::addresses(txn, now, entries.iter().map(|entry| entry.email_key.as_str())).await?;
        let digests = imported_id::Column::Digest.is_in(entries.iter().map(|entry| digest_of_id(&entry.id)));
        let moved = imported_id::Entity::find().filter(digests).all(txn).await?;
        // After the others: an account that another import adds meanwhile has its id in the last statement, if one of
        // its address or username was seen.
        let ids = Column::ExternalId.is_in(entries.iter().map(|entry| entry.id.as_str()));
        let by_id = user::Entity::find().filter(ids).order_by_asc(Column::ExternalId).lock_exclusive().all(txn).await?;
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

/// The preferred username of an entry: its own, or a neutral one.
fn wanted(entry: &Entry) -> String {
    entry.username.clone().unwrap_or_else(identifier::neutral_username)
}

/// A batch in progress.
struct Batch<'a> {
    txn: &'a DatabaseTransaction,
    now: &'a Now,
    options: Options,
    known: Known,
    /// The ids of earlier entries.
    seen: HashSet<String>,
    /// The usernames of earlier entries.
    usernames: UsernameAllocator<'static>,
    /// The addresses of earlier entries by their keys.
    addresses: HashMap<String, String>,
    report: &'a mut Report,
}

impl Batch<'_> {
    fn refuse(&mut self, entry: &Entry, field: &'static str, text: impl Into<Text>) {
        let message = text.into().english();
        self.report.refused.push(Problem { id: entry.id.clone(), field: Some(field), message });
    }

    /// The account to insert for a user without one; none if the user is refused or left alone.
    async fn make(&mut self, entry: &Entry, events: &mut Vec<Event<'static>>) -> Result<Option<user::Model>> {
        if self.known.moved.contains(&digest_of_id(&entry.id)) {
            self.report.kept += 1;
            return Ok(None);
        }
        if let Some(account) = self.known.by_email.get(&entry.email_key).cloned() {
            if identifier::same_address(&account.email, &entry.email) {
                self.meet(entry, &account, events).await?;
            } else {
                self.refuse(entry, "email", resembles_account(&entry.email, &account.email));
            }
            return Ok(None);
        }
        if self.is_barred(Uuid::nil(), &entry.email_key, &entry.email) {
            self.refuse(entry, "email", reserved::RETURNS);
            return Ok(None);
        }
        if let Some(other) = self.addresses.get(&entry.email_key).cloned() {
            let text = match identifier::same_address(&other, &entry.email) {
                true => Text::new("django-email-repeated"),
                false => resembles_account(&entry.email, &other),
            };
            self.refuse(entry, "email", text);
            return Ok(None);
        }
        let Some(username) = self.free_name(entry).await? else {
            self.refuse(entry, "username", Text::new("django-username-clash"));
            return Ok(None);
        };
        self.addresses.insert(entry.email_key.clone(), entry.email.clone());
        let is_superuser = entry.is_superuser == Some(true);
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let names = Names {
            email: entry.email.clone(),
            username,
            first_name: name(&entry.first_name),
            last_name: name(&entry.last_name),
        };
        let role = if is_superuser { Role::Admin } else { Role::Member };
        let permission = if is_superuser { Permission::FullAccess } else { Permission::OnlyView };
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
            ..blank(self.now, names)
        };
        let account = user::Model::try_from(row).map_err(crate::error::Error::from)?;
        self.report.created += 1;
        self.note_password(entry, &account);
        Ok(Some(account))
    }

    /// Links or refuses a user whose address belongs to an account without the user's id.
    async fn meet(&mut self, entry: &Entry, account: &user::Model, events: &mut Vec<Event<'static>>) -> Result<()> {
        if let Some(other) = &account.external_id {
            self.refuse(entry, "email", Text::new("django-email-of-id").with("id", other.as_str()));
        } else if self.options.link {
            let linked = user::Model { external_id: Some(entry.id.clone()), ..account.clone() };
            let tied = user::Entity::update_many()
                .col_expr(Column::ExternalId, entry.id.clone().into())
                .col_expr(Column::SearchTerms, search_terms::of(&linked).into())
                .filter(Column::Id.eq(account.id))
                .filter(Column::ExternalId.is_null());
            let tied = tied.exec(self.txn).await.map_err(retry_on_conflict)?;
            if tied.rows_affected > 0 {
                events.push(Event::by_operator(Action::UserUpdated, account.id));
            }
            self.report.linked += usize::try_from(tied.rows_affected).unwrap_or_default();
            self.known.by_email.remove(&entry.email_key);
            self.addresses.insert(entry.email_key.clone(), entry.email.clone());
            remember(self.txn, std::iter::once(digest_of_id(&entry.id))).await?;
        } else {
            self.refuse(entry, "email", Text::new("django-email-of-account"));
        }
        Ok(())
    }

    /// The user's username, or a neutral one if the options allow it; none if it is taken.
    async fn free_name(&mut self, entry: &Entry) -> Result<Option<String>> {
        let name = self.known.wanted.get(&entry.id).cloned().unwrap_or_else(|| wanted(entry));
        let key = identifier::fold(&name);
        if !self.known.names.contains_key(&key) && self.usernames.take(key) {
            return Ok(Some(name));
        }
        if entry.username.is_some() && !self.options.make_usernames {
            return Ok(None);
        }
        self.usernames.one_neutral(self.txn, self.now).await.map(Some)
    }

    /// Updates the account from the entry, unless it was changed here since the last import. Returns the account
    /// afterwards; none if it was left alone or refused.
    async fn change(
        &mut self,
        entry: &Entry,
        account: user::Model,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Option<user::Model>> {
        let change = changed(entry, &account);
        if account.moved_at.is_none_or(|at| account.updated_at > at) {
            self.report.kept += 1;
            return Ok(None);
        }
        if change.is_empty() {
            self.report.unchanged += 1;
            return Ok(Some(account));
        }
        if let Err(refusal) = guard_rails::check(Actor::Operator, &account, Change::Details) {
            self.report.refused.push(Problem { id: entry.id.clone(), field: None, message: refusal.message() });
            return Ok(None);
        }
        if let Some((field, text)) = self.conflict(&account, change.after()) {
            self.refuse(entry, field, text);
            return Ok(None);
        }
        let after = change.write(self.txn, self.now).await?;
        let rights = Rights::of(&after).changes(Rights::of(&account)).into_iter();
        self.report.rights.extend(rights.map(|(field, before, after)| RightsChange {
            id: entry.id.clone(),
            field,
            before,
            after,
        }));
        let event = |action| Event::by_operator(action, account.id).changing(&account, &after);
        events.extend(change.actions().map(event));
        self.report.updated += 1;
        if after.password_hash != account.password_hash {
            self.note_password(entry, &after);
        }
        Ok(Some(after))
    }

    /// The field in which an account would collide with another one, and the reason.
    fn conflict(&mut self, account: &user::Model, after: &user::Model) -> Option<(&'static str, Text)> {
        let is_other = |owner: Uuid| owner != account.id;
        if let Some(owner) = self.known.by_email.get(&after.email_key)
            && is_other(owner.id)
            && !identifier::same_address(&owner.email, &after.email)
        {
            return Some(("email", resembles_account(&after.email, &owner.email)));
        }
        if self.is_barred(account.id, &after.email_key, &after.email) {
            return Some(("email", reserved::RETURNS.into()));
        }
        if after.email_key != account.email_key
            && (self.known.by_email.get(&after.email_key).is_some_and(|owner| is_other(owner.id))
                || self.addresses.insert(after.email_key.clone(), after.email.clone()).is_some())
        {
            return Some(("email", Text::new("django-email-taken")));
        }
        if after.username_key != account.username_key
            && (self.known.names.get(&after.username_key).is_some_and(|owner| is_other(*owner))
                || !self.usernames.take(after.username_key.clone()))
        {
            return Some(("username", Text::new("django-username-taken")));
        }
        None
    }

    /// True if the address resembles one that another account can still return to.
    fn is_barred(&self, user: Uuid, key: &str, email: &str) -> bool {
        let wanted = WantedAddress { user, email, key, by: ReservationHolder::Other };
        self.known.undos.iter().any(|undo| reserved::bars(undo, wanted))
    }

    /// Reports an account without a password, or with a weak hash.
    fn note_password(&mut self, entry: &Entry, account: &user::Model) {
        self.report.without_password += usize::from(account.password_hash.is_none());
        let is_refused = matches!(entry.password, Some(Err(NotKept::Weak)));
        self.report.weak_hashes += usize::from(is_refused || has_weak_hash(account));
        let text = match &entry.password {
            None | Some(Ok(_) | Err(NotKept::Unusable)) => return,
            Some(Err(NotKept::Unknown)) => Text::new("django-hash-unknown"),
            Some(Err(NotKept::Broken)) => Text::new("django-hash-broken"),
            Some(Err(NotKept::Costly)) => Text::new("django-hash-costly"),
            Some(Err(NotKept::Weak)) => Text::new("django-hash-weak"),
        };
        self.report.notes.push(Problem { id: entry.id.clone(), field: Some("password"), message: text.english() });
    }
}

/// The text about an address that looks like that of another account.
fn resembles_account(email: &str, other: &str) -> Text {
    Text::new("email-resembles-account").with("email", email).with("other", other)
}

/// The change of an account by an entry.
fn changed(entry: &Entry, account: &user::Model) -> AccountChange {
    let mut after = account.clone();
    after.email.clone_from(&entry.email);
    for (field, text) in [
        (&mut after.username, &entry.username),
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
    after.is_superuser = entry.is_superuser.unwrap_or(account.is_superuser);
    let becomes_superuser = after.is_superuser && !account.is_superuser;
    after.role = entry.role.unwrap_or(if becomes_superuser { Role::Admin } else { account.role });
    let permission = if becomes_superuser { Permission::FullAccess } else { account.permission };
    after.permission = entry.permission.unwrap_or(permission);
    after.is_active = entry.is_active.unwrap_or(account.is_active);
    after.is_staff = entry.is_staff.unwrap_or(account.is_staff);
    after.is_verified |= entry.is_verified.unwrap_or(false);
    after.date_joined = entry.date_joined.unwrap_or(account.date_joined);
    // A sign-in in Django alone does not count as a change of a superuser.
    if !account.is_superuser {
        after.last_login = account.last_login.max(entry.last_login);
    }
    // A password that was set or rehashed here is kept.
    let is_theirs = account.password_hash.as_deref().is_none_or(|hash| DjangoHash::parse(hash).is_ok());
    if let (true, Some(password)) = (is_theirs, &entry.password) {
        after.password_hash = password.clone().ok();
        after.temporary_password_at = None;
    }
    AccountChange::new(ChangedBy::Django, account, after)
}

/// Digest by which an imported id is recognized.
fn digest_of_id(id: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, format!("user {id}").as_bytes()).as_ref().to_vec()
}

/// Records digests of imported ids or tokens, so that they are not imported again.
pub(super) async fn remember(txn: &DatabaseTransaction, digests: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let rows: Vec<_> = digests.map(|digest| imported_id::ActiveModel { digest: Set(digest) }).collect();
    if !rows.is_empty() {
        let skip = OnConflict::column(imported_id::Column::Digest).do_nothing().to_owned();
        imported_id::Entity::insert_many(rows).on_conflict(skip).exec_without_returning(txn).await?;
    }
    Ok(())
}

/// True if the account has a weak hash of Django's.
fn has_weak_hash(account: &user::Model) -> bool {
    let hash = account.password_hash.as_deref().map(DjangoHash::parse);
    hash.is_some_and(|hash| hash.is_ok_and(|hash| hash.is_weak()))
}

/// Queues one mail with a link to set a password for each active user without a password or with a weak hash. Users
/// with an earlier mail of this kind are skipped.
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
