//! Mappings of earlier imports, by their set of headings.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::mapping::{Mapping, folded};
use crate::database::Db;
use crate::domain::audit::{self, Event};
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Staff;
use crate::entity::audit_event::Action;
use crate::entity::import_job::MatchBy;
use crate::entity::import_mapping::{self, Column};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::clock::Now;
use crate::tools::secret::digest_text;

/// Maximum number of remembered mappings. The one that was not used for longest is forgotten.
pub const MAX_MAPPINGS: u64 = 100;

/// The mapping that was last used for a set of headings.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// Its id.
    pub id: Uuid,
    /// The mapping.
    pub mapping: Mapping,
    /// The row.
    pub row: import_mapping::Model,
}

impl Remembered {
    fn of(row: import_mapping::Model) -> Result<Self> {
        let mapping = serde_json::from_str(&row.mapping).map_err(Error::internal)?;
        Ok(Self { id: row.id, mapping, row })
    }
}

/// Digest of a set of headings, in any order and case.
fn digest<'a>(headings: impl Iterator<Item = &'a str>) -> String {
    let mut headings: Vec<String> = headings.map(folded).collect();
    headings.sort_unstable();
    digest_text(&headings.join("\0"))
}

/// The mapping for these headings, if there was one before.
pub(super) async fn find<'a>(
    db: &impl ConnectionTrait,
    headings: impl Iterator<Item = &'a str>,
) -> Result<Option<Remembered>> {
    let found = import_mapping::Entity::find().filter(Column::Digest.eq(digest(headings)));
    found.one(db).await?.map(Remembered::of).transpose()
}

/// Remembers a mapping that covers all headings of a sheet.
pub(super) async fn keep(txn: &DatabaseTransaction, now: &Now, mapping: &Mapping, match_by: MatchBy) -> Result<()> {
    let row = import_mapping::ActiveModel {
        id: Set(now.id()),
        digest: Set(digest(mapping.columns.iter().map(|column| column.heading.as_str()))),
        mapping: Set(serde_json::to_string(mapping).map_err(Error::internal)?),
        match_by: Set(match_by),
        used_at: Set(now.at),
    };
    let again = OnConflict::column(Column::Digest)
        .update_columns([Column::Mapping, Column::MatchBy, Column::UsedAt])
        .to_owned();
    import_mapping::Entity::insert(row).on_conflict(again).exec_without_returning(txn).await?;
    let old = import_mapping::Entity::find().order_by_desc(Column::UsedAt).offset(MAX_MAPPINGS).limit(MAX_MAPPINGS);
    let old: Vec<Uuid> = old.select_only().column(Column::Id).into_tuple().all(txn).await?;
    if !old.is_empty() {
        import_mapping::Entity::delete_many().filter(Column::Id.is_in(old)).exec(txn).await?;
    }
    Ok(())
}

/// The remembered mappings, the last used first.
pub async fn list(db: &Db, _staff: Staff<'_>) -> Result<Vec<Remembered>> {
    let rows = import_mapping::Entity::find().order_by_desc(Column::UsedAt).order_by_desc(Column::Id);
    rows.all(db.reader()).await?.into_iter().map(Remembered::of).collect()
}

/// Forgets a mapping.
///
/// # Errors
/// [`Code::NotFound`] of `id`.
pub async fn forget(db: &Db, now: &Now, staff: Staff<'_>, id: &str) -> Result<()> {
    let missing = || Refusal::new(Code::NotFound, "import-mapping-unknown").of("id");
    let id = Uuid::parse_str(id).map_err(|_| missing())?;
    staff.session_user()?;
    let authorized = staff.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let deleted = import_mapping::Entity::delete_many().filter(Column::Id.eq(id)).exec(txn).await?;
    if deleted.rows_affected == 0 {
        return Err(missing().into());
    }
    audit::record(txn, now, Event::by(&authorized, Action::ImportMappingDeleted, None)).await?;
    authorized.commit().await
}
