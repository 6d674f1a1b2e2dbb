//! Second factors of a batch, brought in line with Django.
//!
//! Each app, code and passkey that was imported follows Django until it is changed here: a code used there is used up
//! here, one that was removed there is removed here, and one that was removed here stays so. Of accounts that the import
//! leaves alone, only used codes are followed.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::here::{Here, passkey_digest};
use super::{App, Holder, Passkey};
use crate::domain::account::passkeys::register::transports;
use crate::domain::audit::{self, Event};
use crate::domain::auth::passkeys::assertion::digest_of;
use crate::domain::auth::second_factor::imported::{self, NewApp};
use crate::domain::auth::second_factor::{SecondFactorRules, factors};
use crate::domain::import::django::write::remember;
use crate::domain::import::django::{Problem, Report};
use crate::domain::{outbox, rate_limits};
use crate::entity::audit_event::Action;
use crate::entity::{factor, mail, passkey, recovery_code};
use crate::error::Result;
use crate::texts::Text;
use crate::tools::clock::Now;
use crate::tools::recovery_code::ImportedCode;
use crate::tools::secret::digest_parts;
use crate::tools::totp::TimeStep;
use crate::tools::webauthn::{self, Credential};

/// Number of values per statement, below the limit of SQLite.
pub(super) const STEP: usize = 10_000;

/// Number of passkeys per statement, for the same reason.
const PASSKEYS: usize = 1000;

/// A passkey in Django with its credential.
pub(super) struct Registered<'a> {
    passkey: &'a Passkey,
    pub(super) credential: Credential,
    /// Digest by which it is recognized.
    pub(super) digest: Vec<u8>,
}

/// Changes of a batch.
#[derive(Default)]
struct Changes<'a> {
    apps: Vec<NewApp<'a>>,
    codes: Vec<(Uuid, &'a ImportedCode)>,
    passkeys: Vec<passkey::ActiveModel>,
    /// Users who get a passkey.
    with_passkey: Vec<Uuid>,
    ended_apps: Vec<Uuid>,
    ended_codes: Vec<Vec<u8>>,
    ended_passkeys: Vec<Uuid>,
    /// Users who lose an app or a passkey.
    losers: BTreeSet<Uuid>,
    used: Vec<(Uuid, i64)>,
    events: Vec<Event<'static>>,
    mails: Vec<(mail::Kind, String, Uuid)>,
    imported: Vec<Vec<u8>>,
}

impl Changes<'_> {
    /// Records an event, and a mail to the owner of an account that existed before.
    fn tell(&mut self, holder: &Holder<'_>, action: Action, kind: mail::Kind) {
        self.events.push(Event::by_operator(action, holder.user));
        if !holder.is_new {
            self.mails.push((kind, holder.email.clone(), holder.user));
        }
    }
}

/// Writes the second factors of a batch, whose accounts are locked or new.
pub(in crate::domain::import::django) async fn write(
    txn: &DatabaseTransaction,
    now: &Now,
    rules: SecondFactorRules<'_>,
    holders: &[Holder<'_>],
    report: &mut Report,
) -> Result<()> {
    if holders.is_empty() {
        return Ok(());
    }
    let registered: Vec<Vec<Registered<'_>>> =
        holders.iter().map(|holder| credentials(rules, holder, report)).collect();
    let mut here = Here::read(txn, rules, holders, &registered).await?;
    let mut changes = Changes::default();
    for (holder, registered) in holders.iter().zip(registered) {
        let note = |text: Text| problem(holder, &text);
        report.notes.extend(holder.factors.notes.iter().cloned().map(note));
        let has_app = here.settle_app(now, holder, &mut changes, report);
        let has_passkey = here.settle_passkeys(now, rules, holder, registered, &mut changes, report);
        here.settle_codes(holder, has_app || has_passkey, &mut changes, report);
    }
    apply(txn, now, rules, changes).await
}

fn problem(holder: &Holder<'_>, text: &Text) -> Problem {
    Problem { id: holder.id.to_owned(), field: Some("second factor"), message: text.english() }
}

/// The passkeys of a user that work here; others are reported.
fn credentials<'a>(rules: SecondFactorRules<'_>, holder: &Holder<'a>, report: &mut Report) -> Vec<Registered<'a>> {
    let mut found = Vec::new();
    for passkey in &holder.factors.passkeys {
        let read = rules.relying_party.map(|service| webauthn::registered_elsewhere(service, &passkey.attestation));
        let reason = match read {
            Some(Ok(credential)) => {
                let digest = digest_parts(&[b"passkey", holder.id.as_bytes(), &credential.id]);
                found.push(Registered { passkey, credential, digest });
                continue;
            }
            Some(Err(rejected)) => rejected.to_string(),
            None => "the public URL has no domain".to_owned(),
        };
        report.notes.push(problem(holder, &Text::new("django-factor-passkey").with("reason", reason)));
    }
    found
}

impl Here {
    /// Adds, replaces or removes the app, or uses up its codes. Returns true if the account has an app afterwards.
    fn settle_app<'a>(
        &mut self,
        now: &Now,
        holder: &Holder<'a>,
        changes: &mut Changes<'a>,
        report: &mut Report,
    ) -> bool {
        let (own, wanted) = (self.apps.remove(&holder.user), holder.factors.app.as_ref());
        let last_step = |app: &App| {
            let latest = app.secret.form().step_at(now.at).0 + 1;
            if app.is_estimated { app.last_step.0.min(latest) } else { app.last_step.0 }
        };
        if let (Some(own), Some(app)) = (&own, wanted)
            && own.secret.as_ref().is_some_and(|own| own.reveal() == app.secret.reveal())
        {
            if last_step(app) > own.row.last_step {
                changes.used.push((own.row.id, last_step(app)));
            }
            return true;
        }
        let has_app = own.is_some();
        if own.as_ref().is_some_and(|own| !own.is_imported) {
            return true;
        }
        let new = wanted.map(|app| (app, App::digest(holder.id, &app.secret)));
        let new = new.filter(|(_, digest)| !self.imported.contains(digest));
        // An app that was removed here, while Django still has it.
        if new.is_none() && (wanted.is_some() || own.is_none()) {
            return has_app;
        }
        if !holder.may_change {
            report.notes.push(problem(holder, &Text::new("django-factor-kept")));
            return has_app;
        }
        changes.ended_apps.extend(own.map(|own| own.row.id));
        if let Some((app, digest)) = new {
            let last_step = TimeStep(last_step(app));
            changes.apps.push(NewApp { user: holder.user, secret: &app.secret, last_step });
            changes.imported.push(digest);
            changes.tell(holder, Action::FactorAdded, mail::Kind::FactorAdded);
            report.factors += 1;
            return true;
        }
        changes.losers.insert(holder.user);
        changes.tell(holder, Action::FactorRemoved, mail::Kind::FactorRemoved);
        report.removed_factors += 1;
        false
    }

    /// Adds and removes passkeys. Returns true if the account has one afterwards.
    fn settle_passkeys<'a>(
        &mut self,
        now: &Now,
        rules: SecondFactorRules<'_>,
        holder: &Holder<'a>,
        registered: Vec<Registered<'a>>,
        changes: &mut Changes<'a>,
        report: &mut Report,
    ) -> bool {
        let own = self.passkeys.remove(&holder.user).unwrap_or_default();
        let mut count = own.len();
        for known in own.iter().filter(|_| holder.may_change) {
            let digest = passkey_digest(holder.id, known);
            if self.imported.contains(&digest) && registered.iter().all(|other| other.digest != digest) {
                changes.ended_passkeys.push(known.id);
                changes.losers.insert(holder.user);
                changes.tell(holder, Action::PasskeyRemoved, mail::Kind::PasskeyRemoved);
                report.removed_factors += 1;
                count -= 1;
            }
        }
        for Registered { passkey, credential, digest } in registered {
            let is_known = self.imported.contains(&digest) || !self.credentials.insert(digest_of(&credential.id));
            if is_known || !holder.may_change {
                continue;
            }
            let domain = rules.relying_party.map(|service| service.id.clone()).unwrap_or_default();
            changes.passkeys.push(row(now, holder.user, domain, passkey, credential));
            changes.with_passkey.push(holder.user);
            changes.imported.push(digest);
            changes.tell(holder, Action::PasskeyAdded, mail::Kind::PasskeyAdded);
            report.factors += 1;
            count += 1;
        }
        count > 0
    }

    /// Removes codes that were used or renewed in Django, and adds new ones to an account with a second factor.
    fn settle_codes<'a>(
        &mut self,
        holder: &Holder<'a>,
        has_factor: bool,
        changes: &mut Changes<'a>,
        report: &mut Report,
    ) {
        let wanted = &holder.factors.codes;
        let own = self.codes.remove(&holder.user).unwrap_or_default();
        let ended = own.iter().filter(|(_, own)| wanted.iter().all(|wanted| wanted.code != *own));
        changes.ended_codes.extend(ended.map(|(digest, _)| digest.clone()));
        if !has_factor || !holder.may_change || self.renewed.contains(&holder.user) {
            return;
        }
        for wanted in wanted.iter().filter(|wanted| !self.imported.contains(&wanted.digest)) {
            changes.imported.push(wanted.digest.clone());
            if own.iter().all(|(_, own)| *own != wanted.code) {
                changes.codes.push((holder.user, &wanted.code));
                report.recovery_codes += 1;
            }
        }
    }
}

fn row(now: &Now, user: Uuid, domain: String, passkey: &Passkey, credential: Credential) -> passkey::ActiveModel {
    passkey::ActiveModel {
        id: Set(now.id()),
        user_id: Set(user),
        digest: Set(digest_of(&credential.id)),
        credential_id: Set(credential.id),
        public_key: Set(credential.public_key.as_bytes().to_owned()),
        domain: Set(domain),
        name: Set(passkey.name.clone()),
        model: Set(credential.model.to_vec()),
        is_synced: Set(credential.state.is_synced),
        counter: Set(credential.state.counter.into()),
        transports: Set(transports(&passkey.transports)),
        user_handle: Set(Some(passkey.user_handle.clone())),
        // Young ones end with a reset, which many imported users need.
        created_at: Set(passkey.created_at.map_or(now.at, |at| at.min(now.at))),
        last_used_at: Set(passkey.last_used_at),
    }
}

async fn apply(txn: &DatabaseTransaction, now: &Now, rules: SecondFactorRules<'_>, changes: Changes<'_>) -> Result<()> {
    for (factor, step) in changes.used {
        factor::Entity::update_many()
            .col_expr(factor::Column::LastStep, Expr::value(step))
            .filter(factor::Column::Id.eq(factor))
            .filter(factor::Column::LastStep.lt(step))
            .exec(txn)
            .await?;
    }
    factor::Entity::delete_many().filter(factor::Column::Id.is_in(changes.ended_apps)).exec(txn).await?;
    passkey::Entity::delete_many().filter(passkey::Column::Id.is_in(changes.ended_passkeys)).exec(txn).await?;
    for part in changes.ended_codes.chunks(STEP) {
        let ended = recovery_code::Column::Digest.is_in(part.iter().map(Vec::as_slice));
        recovery_code::Entity::delete_many().filter(ended).exec(txn).await?;
    }
    for app in &changes.apps {
        // Earlier wrong codes were not for this app.
        rate_limits::forget_wrong_codes(txn, app.user).await?;
    }
    imported::add_apps(txn, now, rules.master_keys, &changes.apps).await?;
    for part in changes.passkeys.chunks(PASSKEYS) {
        passkey::Entity::insert_many(part.iter().cloned()).exec_without_returning(txn).await?;
    }
    imported::mark_all(txn, changes.with_passkey.into_iter()).await?;
    for user in changes.losers {
        factors::settle(txn, user).await?;
    }
    imported::add_codes(txn, now, rules.master_keys, &changes.codes).await?;
    remember(txn, changes.imported.into_iter()).await?;
    audit::record_all(txn, now, changes.events).await?;
    for kind in
        [mail::Kind::FactorAdded, mail::Kind::FactorRemoved, mail::Kind::PasskeyAdded, mail::Kind::PasskeyRemoved]
    {
        let recipients = changes.mails.iter().filter(|(other, ..)| *other == kind);
        let recipients = recipients.map(|(_, email, user)| (email.clone(), *user)).collect();
        outbox::enqueue_all(txn, now, kind, recipients).await?;
    }
    Ok(())
}
