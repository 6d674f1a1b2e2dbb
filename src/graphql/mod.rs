//! The GraphQL schema. It only translates: arguments in, a domain call, a type out. One file per feature, named as in
//! `domain/`, which has the rules.

use std::sync::Arc;

use async_graphql::{MergedObject, MergedSubscription, ObjectType, Response, SDLExportOptions, Schema, SchemaBuilder};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::app::App;

mod account;
mod api_tokens;
mod audit;
mod avatars;
// Request data for resolvers.
pub mod context;
pub(crate) mod errors;
// Execution of operations.
pub mod execution;
mod federation;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod import;
mod import_jobs;
mod loaders;
mod mails;
// Objects by id.
mod nodes;
mod paging;
mod passwords;
pub(crate) mod passkeys;
mod presence;
mod reauthentication;
mod registration;
mod samples;
mod scalars;
mod second_factor;
mod sessions;
mod sign_in;
mod system;
mod statistics;
mod users;
// Changes between two schemas.
pub mod schema_diff;
mod user_errors;
mod password_reset;

/// Maximum nesting depth of fields; the standard introspection query needs 15. The limit on selections, fragments
/// included, is `execution::limits::MAX_SELECTION_NESTING`.
const MAX_FIELD_DEPTH: usize = 20;

/// Maximum number of values per request; a list counts by its length.
const MAX_COMPLEXITY: usize = 10_000;

/// Queries, by feature.
#[derive(MergedObject, Default)]
struct Features(
    users::UsersQuery,
    samples::SamplesQuery,
    sessions::SessionsQuery,
    password_reset::ResetQuery,
    passwords::PasswordsQuery,
    api_tokens::ApiTokensQuery,
    audit::AuditQuery,
    mails::MailsQuery,
    presence::PresenceQuery,
    statistics::StatisticsQuery,
    users::SupportQuery,
    nodes::NodesQuery,
    system::SystemQuery,
    import_jobs::ImportJobsQuery,
);

/// Queries.
#[derive(MergedObject, Default)]
pub struct Query(Features);

/// Queries.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct SubgraphQuery(Features, federation::Entities);

/// Mutations. Each field takes one `input` and returns a payload; `errors` lists problems the user can fix.
#[derive(MergedObject, Default)]
pub struct Mutation(
    sign_in::SignInMutation,
    password_reset::ResetMutation,
    account::AccountMutation,
    sessions::SessionsMutation,
    users::UsersMutation,
    users::SupportMutation,
    users::SetActiveMutation,
    samples::SamplesMutation,
    api_tokens::ApiTokensMutation,
    registration::RegistrationMutation,
    avatars::AvatarsMutation,
    mails::MailsMutation,
    import::ImportMutation,
    import_jobs::ImportJobsMutation,
    reauthentication::ReauthenticationMutation,
    second_factor::SecondFactorMutation,
    passkeys::PasskeysMutation,
);

/// Subscriptions, over WebSocket with the protocol graphql-transport-ws.
#[derive(MergedSubscription, Default)]
pub struct Subscription(presence::PresenceSubscription);

/// Schema that requests are executed against.
pub enum VestibuleSchema {
    /// A schema of its own.
    Alone(Schema<Query, Mutation, Subscription>),
    /// A subgraph that a gateway composes into a graph.
    Subgraph(Schema<SubgraphQuery, Mutation, Subscription>),
}

impl VestibuleSchema {
    /// Executes a query or mutation.
    pub async fn execute(&self, request: async_graphql::Request) -> Response {
        match self {
            Self::Alone(schema) => schema.execute(request).await,
            Self::Subgraph(schema) => schema.execute(request).await,
        }
    }

    /// Executes any operation: a subscription yields a response per event, all others yield one.
    pub fn execute_stream(&self, request: async_graphql::Request) -> BoxStream<'static, Response> {
        match self {
            Self::Alone(schema) => schema.execute_stream(request).boxed(),
            Self::Subgraph(schema) => schema.execute_stream(request).boxed(),
        }
    }

    /// SDL of the schema, with the fields for gateways.
    pub fn document(&self) -> String {
        match self {
            Self::Alone(schema) => schema.sdl_with_options(sdl_options()),
            Self::Subgraph(schema) => schema.sdl_with_options(sdl_options()),
        }
    }
}

/// Schema of a running application.
pub fn schema(app: &Arc<App>) -> VestibuleSchema {
    if app.config.federation {
        let builder = limit(app, build::<SubgraphQuery>()).extension(federation::EntityCost);
        VestibuleSchema::Subgraph(builder.finish())
    } else {
        VestibuleSchema::Alone(limit(app, build::<Query>()).finish())
    }
}

/// Adds the data that resolvers need: the caller, and loaders for this request.
pub fn with_request_data(
    query: async_graphql::Request,
    app: &Arc<App>,
    request: &Arc<context::Request>,
) -> async_graphql::Request {
    query.data(loaders::Loaders::new(app, request)).data(Arc::clone(request))
}

/// SDL for clients and code generators; independent of the settings.
pub fn sdl() -> String {
    build::<Query>().finish().sdl_with_options(sdl_options())
}

/// SDL for composition by Apollo Federation 2.
pub fn federation_sdl() -> String {
    build::<SubgraphQuery>().finish().sdl_with_options(sdl_options().federation())
}

fn build<Q: ObjectType + Default + 'static>() -> SchemaBuilder<Q, Mutation, Subscription> {
    Schema::build(Q::default(), Mutation::default(), Subscription::default()).enable_subscription_in_federation()
}

fn limit<Q>(
    app: &Arc<App>,
    builder: SchemaBuilder<Q, Mutation, Subscription>,
) -> SchemaBuilder<Q, Mutation, Subscription> {
    let builder = builder
        .limit_depth(MAX_FIELD_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .limit_directives(10)
        .data(Arc::clone(app));
    if app.config.introspection { builder } else { builder.disable_introspection().disable_suggestions() }
}

fn sdl_options() -> SDLExportOptions {
    SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by()
        .use_space_ident()
}
