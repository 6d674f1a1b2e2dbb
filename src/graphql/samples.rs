//! Samples that users record.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::domain::paging;
use crate::domain::samples::{self, Record};
use crate::entity::sample;
use crate::graphql::context::{app, request, viewer};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::loaders;
use crate::graphql::paging::list_complexity;
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;
use crate::graphql::users::User;

/// Sample, as its row has it.
#[derive(Clone)]
pub(crate) struct Sample(pub(crate) sample::Model);

/// A sample owned by another system, with the user who modified it last.
#[Object]
impl Sample {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Name of the sample in the system that owns it; unique.
    async fn key(&self) -> &str {
        &self.0.key
    }

    /// Title.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// Time of creation.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Time of the last `recordSample`.
    async fn modified_at(&self) -> DateTime {
        self.0.modified_at.into()
    }

    /// User of the last `recordSample`; null if unknown or not visible to you.
    async fn modified_by(&self, ctx: &Context<'_>) -> Answer<Option<User>> {
        loaders::user(ctx, self.0.modified_by).await
    }
}

/// Sample to record.
#[derive(InputObject)]
pub(crate) struct RecordSampleInput {
    /// Name of the sample in the system that owns it: at most 200 characters.
    key: String,
    /// Title: at most 200 characters.
    title: String,
}

/// Result of `recordSample`.
#[derive(SimpleObject)]
pub(crate) struct RecordSamplePayload {
    /// Sample; null if there are errors.
    sample: Option<Sample>,
    /// REQUIRED, INVALID or TOO_LONG for `key` or `title`.
    errors: Vec<UserError>,
}

/// Samples that this user modified last, newest first.
pub(crate) async fn recent(ctx: &Context<'_>, user: uuid::Uuid, first: i32) -> Answer<Vec<Sample>> {
    let first = paging::count("first", first)?;
    Ok(loaders::samples_by_modifier(ctx, user, first).await?.into_iter().map(Sample).collect())
}

#[derive(Default)]
pub(crate) struct SamplesQuery;

#[Object]
impl SamplesQuery {
    /// Returns the samples that you modified last, newest first. API tokens need the scope READ.
    #[graphql(complexity = "list_complexity(first, child_complexity)")]
    async fn recent_samples(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of samples: at most 200.", default = 20)] first: i32,
    ) -> Answer<Option<Vec<Sample>>> {
        Ok(Some(recent(ctx, viewer(ctx)?.user().id, first).await?))
    }
}

#[derive(Default)]
pub(crate) struct SamplesMutation;

#[Object]
impl SamplesMutation {
    /// Creates the sample with this key or changes its title. API tokens need the scope WRITE. You become the user who
    /// modified it last.
    async fn record_sample(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Sample to record.")] input: RecordSampleInput,
    ) -> Answer<Option<RecordSamplePayload>> {
        let record = Record { key: input.key, title: input.title };
        let recorded = samples::record(&app(ctx).db, &request(ctx).now, viewer(ctx)?, record).await;
        let (sample, errors) = outcome(ctx, recorded)?;
        Ok(Some(RecordSamplePayload { sample: sample.map(Sample), errors }))
    }
}
