//! What users record.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::domain::paging;
use crate::domain::samples::{self, Record};
use crate::entity::sample;
use crate::graphql::context::{app, request, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::loaders;
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// A sample that another system owns, and who modified it last.
pub(crate) struct Sample(pub(crate) sample::Model);

/// A sample that another system owns, and who modified it last.
#[Object]
impl Sample {
    /// Its id, opaque and never given twice.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The name that the system owning the sample knows it by; unique.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Its title.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// When it was first recorded.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it was last recorded.
    async fn modified_at(&self) -> DateTime {
        self.0.modified_at.into()
    }

    /// Who recorded it last; null where that is nobody whom you may see.
    async fn modified_by(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        loaders::user(ctx, self.0.modified_by).await
    }
}

/// A sample to record.
#[derive(InputObject)]
pub(crate) struct RecordSampleInput {
    /// The name that the system owning the sample knows it by: 200 characters at most.
    key: String,
    /// Its title: 200 characters at most.
    title: String,
}

/// The outcome of `recordSample`.
#[derive(SimpleObject)]
pub(crate) struct RecordSamplePayload {
    /// The sample; null where there are errors.
    sample: Option<Sample>,
    /// REQUIRED, INVALID or TOO_LONG of `key` or `title`.
    errors: Vec<UserError>,
}

/// The samples that this user modified last, newest first.
pub(crate) async fn recent(ctx: &Context<'_>, user: uuid::Uuid, first: i32) -> Answer<Vec<Sample>> {
    let first = paging::count("first", first)?;
    Ok(loaders::samples_by_modifier(ctx, user, first).await?.into_iter().map(Sample).collect())
}

#[derive(Default)]
pub(crate) struct SamplesQuery;

#[Object]
impl SamplesQuery {
    /// The samples that the signed-in user modified last, newest first.
    #[graphql(complexity = "usize::try_from(first).unwrap_or(0) * child_complexity")]
    async fn recent_samples(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many: 200 at most.", default = 20)] first: i32,
    ) -> Answer<Option<Vec<Sample>>> {
        Ok(Some(recent(ctx, viewer(ctx)?.user().id, first).await?))
    }
}

#[derive(Default)]
pub(crate) struct SamplesMutation;

#[Object]
impl SamplesMutation {
    /// Creates the sample with this key or changes its title: signed-in users. The caller becomes the one who modified
    /// it last.
    async fn record_sample(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The sample to record.")] input: RecordSampleInput,
    ) -> Answer<Option<RecordSamplePayload>> {
        let record = Record { key: input.key, title: input.title };
        let recorded = samples::record(&app(ctx).db, &request(ctx).now, viewer(ctx)?, record).await;
        let (sample, errors) = outcome(ctx, recorded)?;
        Ok(Some(RecordSamplePayload { sample: sample.map(Sample), errors }))
    }
}
