//! Second factors of accounts here, as the import finds them.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use super::write::{Registered, STEP};
use super::{App, Holder};
use crate::domain::auth::passkeys::assertion::digest_of;
use crate::domain::auth::second_factor::{SecondFactorRules, factors, imported};
use crate::entity::{factor, imported_id, passkey, recovery_code};
use crate::error::Result;
use crate::tools::recovery_code::ImportedCode;
use crate::tools::secret::digest_parts;
use crate::tools::totp::TotpSecret;

/// The app of an account here.
pub(super) struct OwnApp {
    pub(super) row: factor::Model,
    /// None if it cannot be unsealed.
    pub(super) secret: Option<TotpSecret>,
    pub(super) is_imported: bool,
}

/// Second factors here, by their users.
pub(super) struct Here {
    pub(super) apps: HashMap<Uuid, OwnApp>,
    pub(super) codes: HashMap<Uuid, Vec<(Vec<u8>, ImportedCode)>>,
    /// Users with recovery codes that were created here.
    pub(super) renewed: HashSet<Uuid>,
    pub(super) passkeys: HashMap<Uuid, Vec<passkey::Model>>,
    /// Digests of credentials that exist here, of any user.
    pub(super) credentials: HashSet<Vec<u8>>,
    /// Digests of apps, codes and passkeys that were imported before.
    pub(super) imported: HashSet<Vec<u8>>,
}

impl Here {
    /// Reads those of the holders, and the records of their factors in Django.
    pub(super) async fn read(
        txn: &DatabaseTransaction,
        rules: SecondFactorRules<'_>,
        holders: &[Holder<'_>],
        registered: &[Vec<Registered<'_>>],
    ) -> Result<Self> {
        let users = || holders.iter().map(|holder| holder.user);
        let ids: HashMap<Uuid, &str> = holders.iter().map(|holder| (holder.user, holder.id)).collect();
        let id_of = |user: Uuid| ids.get(&user).copied().unwrap_or_default();
        let rows = factor::Entity::find().filter(factor::Column::UserId.is_in(users())).all(txn).await?;
        let own = rows.into_iter().map(|row| (factors::secret_of(rules.master_keys, &row), row));
        let own: Vec<(Option<TotpSecret>, factor::Model)> = own.collect();
        let passkeys = passkey::Entity::find().filter(passkey::Column::UserId.is_in(users())).all(txn).await?;

        let digest = |secret: &Option<TotpSecret>, row: &factor::Model| {
            secret.as_ref().map(|secret| App::digest(id_of(row.user_id), secret))
        };
        let mut digests: Vec<Vec<u8>> = own.iter().filter_map(|(secret, row)| digest(secret, row)).collect();
        digests.extend(passkeys.iter().map(|known| passkey_digest(id_of(known.user_id), known)));
        for (holder, registered) in holders.iter().zip(registered) {
            digests.extend(holder.factors.app.as_ref().map(|app| App::digest(holder.id, &app.secret)));
            digests.extend(holder.factors.codes.iter().map(|code| code.digest.clone()));
            digests.extend(registered.iter().map(|registered| registered.digest.clone()));
        }
        let imported = imported_before(txn, &digests).await?;
        let offered: Vec<Vec<u8>> =
            registered.iter().flatten().map(|registered| digest_of(&registered.credential.id)).collect();
        let credentials = existing(txn, &offered).await?;
        let mut of_users: HashMap<Uuid, Vec<passkey::Model>> = HashMap::new();
        for passkey in passkeys {
            of_users.entry(passkey.user_id).or_default().push(passkey);
        }
        let app = |(secret, row): (Option<TotpSecret>, factor::Model)| {
            let is_imported = digest(&secret, &row).is_some_and(|digest| imported.contains(&digest));
            (row.user_id, OwnApp { row, secret, is_imported })
        };
        Ok(Self {
            apps: own.into_iter().map(app).collect(),
            codes: imported::codes_of(txn, rules.master_keys, users()).await?,
            renewed: with_own_codes(txn, users()).await?,
            passkeys: of_users,
            credentials,
            imported,
        })
    }
}

/// Those of these digests that were imported before.
async fn imported_before(txn: &DatabaseTransaction, digests: &[Vec<u8>]) -> Result<HashSet<Vec<u8>>> {
    let mut found = HashSet::new();
    for part in digests.chunks(STEP) {
        let known = imported_id::Column::Digest.is_in(part.iter().map(Vec::as_slice));
        let known = imported_id::Entity::find().filter(known).all(txn).await?;
        found.extend(known.into_iter().map(|row| row.digest));
    }
    Ok(found)
}

/// Those of these digests of credentials that exist here, of any user.
async fn existing(txn: &DatabaseTransaction, digests: &[Vec<u8>]) -> Result<HashSet<Vec<u8>>> {
    let mut found = HashSet::new();
    for part in digests.chunks(STEP) {
        let known = passkey::Column::Digest.is_in(part.iter().map(Vec::as_slice));
        let known = passkey::Entity::find().filter(known).all(txn).await?;
        found.extend(known.into_iter().map(|row| row.digest));
    }
    Ok(found)
}

/// The users with recovery codes that were created here.
async fn with_own_codes(txn: &DatabaseTransaction, users: impl Iterator<Item = Uuid>) -> Result<HashSet<Uuid>> {
    let theirs = recovery_code::Entity::find()
        .filter(recovery_code::Column::UserId.is_in(users))
        .filter(recovery_code::Column::SealedCode.is_null())
        .select_only()
        .column(recovery_code::Column::UserId)
        .distinct();
    let users: Vec<Uuid> = theirs.into_tuple().all(txn).await?;
    Ok(users.into_iter().collect())
}

/// Digest by which a passkey of the user with this id is recognized.
pub(super) fn passkey_digest(id: &str, known: &passkey::Model) -> Vec<u8> {
    digest_parts(&[b"passkey", id.as_bytes(), &known.credential_id])
}
