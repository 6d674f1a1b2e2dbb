//! Samples recorded by users.

use std::collections::HashMap;

use sea_orm::sea_query::{Alias, Asterisk, OnConflict, Query, UnionType};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, FromQueryResult as _, Order,
    QueryFilter as _,
};
use uuid::Uuid;

use crate::database::Db;
use crate::domain::auth::authorize::Also;
use crate::domain::auth::identity::Viewer;
use crate::entity::sample::{self, Column};
use crate::error::Result;
use crate::tools::clock::Now;
use crate::tools::text;

/// Maximum length of keys and titles, in characters.
const MAX_LENGTH: usize = 200;

/// A sample to record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its key in the owning system.
    pub key: String,
    /// Its title.
    pub title: String,
}

/// Creates the sample with this key, or changes its title. The viewer becomes the last to have modified it.
///
/// # Errors
/// Those of [`text::required_line`] for `key` and `title`.
pub async fn record(db: &Db, now: &Now, viewer: &Viewer, input: Record) -> Result<sample::Model> {
    let key = text::required_line("key", &input.key, MAX_LENGTH)?;
    let title = text::required_line("title", &input.title, MAX_LENGTH)?;
    let authorized = viewer.begin(db, now, Also::Nobody).await?;
    let (txn, now) = authorized.parts();
    let row = sample::ActiveModel {
        id: Set(now.id()),
        key: Set(key),
        title: Set(title),
        created_at: Set(now.at),
        modified_at: Set(now.at),
        modified_by: Set(Some(viewer.user().id)),
    };
    let changed = [Column::Title, Column::ModifiedAt, Column::ModifiedBy];
    let upsert = OnConflict::column(Column::Key).update_columns(changed).to_owned();
    let sample = sample::Entity::insert(row).on_conflict(upsert).exec_with_returning(txn).await?;
    authorized.commit().await?;
    Ok(sample)
}

/// The visible ones of these samples, in one statement. Staff see all samples; other users see those that they were the
/// last to modify.
pub async fn find_many(db: &Db, viewer: &Viewer, ids: &[Uuid]) -> Result<HashMap<Uuid, sample::Model>> {
    let own = viewer.staff().is_err().then(|| Column::ModifiedBy.eq(viewer.user().id));
    let found = sample::Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
    let found = found.filter(Condition::all().add_option(own));
    Ok(found.all(db.reader()).await?.into_iter().map(|sample| (sample.id, sample)).collect())
}

/// The `first` newest samples that each of these users was the last to modify, in one statement.
pub async fn recent(db: &Db, users: &[Uuid], first: u64) -> Result<HashMap<Uuid, Vec<sample::Model>>> {
    let mut found: HashMap<Uuid, Vec<sample::Model>> = HashMap::new();
    let mut each = users.iter().map(|user| {
        let newest = Query::select()
            .column(Asterisk)
            .from(sample::Entity)
            .and_where(Column::ModifiedBy.eq(*user))
            .order_by(Column::ModifiedAt, Order::Desc)
            .order_by(Column::Id, Order::Desc)
            .limit(first)
            .take();
        // SQLite accepts a limit inside a union only in a subquery.
        Query::select().column(Asterisk).from_subquery(newest, Alias::new("newest")).take()
    });
    let Some(mut query) = each.next() else { return Ok(found) };
    for other in each {
        query.union(UnionType::All, other);
    }
    let rows = db.reader().query_all(&query).await?;
    for row in rows {
        let sample = sample::Model::from_query_result(&row, "")?;
        if let Some(user) = sample.modified_by {
            found.entry(user).or_default().push(sample);
        }
    }
    for samples in found.values_mut() {
        samples.sort_by_key(|sample| std::cmp::Reverse((sample.modified_at, sample.id)));
    }
    Ok(found)
}
