//! The face: an argument in, a domain call, a type out. One file per feature, named as in `domain/`; rules stand there.

use std::sync::Arc;

use async_graphql::http::GraphiQLSource;
use async_graphql::{MergedObject, MergedSubscription, ObjectType, Response, SDLExportOptions, Schema, SchemaBuilder};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::app::App;

mod account;
mod api_tokens;
mod audit;
mod avatars;
// What resolvers know of their request.
pub mod context;
pub(crate) mod errors;
// The execution of operations.
pub mod execution;
mod federation;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod import;
mod loaders;
mod mails;
mod paging;
mod passwords;
mod presence;
mod registration;
mod samples;
mod scalars;
mod sessions;
mod sign_in;
mod users;
// What changed between two schemas.
pub mod schema_diff;
mod user_errors;
mod password_reset;

/// How deep fields may be nested; the standard introspection query needs 15.
const MAX_DEPTH: usize = 20;

/// How many values a request may ask for, lists counted by their length.
const MAX_COMPLEXITY: usize = 10_000;

/// What can be asked, feature by feature.
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
);

/// What can be asked.
#[derive(MergedObject, Default)]
pub struct Query(Features);

/// What can be asked.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct SubgraphQuery(Features, federation::Entities);

/// What can be changed. Each field takes one `input` and returns a payload whose `errors` tell what the person can mend.
#[derive(MergedObject, Default)]
pub struct Mutation(
    sign_in::SignInMutation,
    password_reset::ResetMutation,
    account::AccountMutation,
    sessions::SessionsMutation,
    users::UsersMutation,
    samples::SamplesMutation,
    api_tokens::ApiTokensMutation,
    registration::RegistrationMutation,
    avatars::AvatarsMutation,
    mails::MailsMutation,
    import::ImportMutation,
);

/// What can be listened to, over WebSocket by the protocol graphql-transport-ws.
#[derive(MergedSubscription, Default)]
pub struct Subscription(presence::PresenceSubscription);

/// The schema that requests are executed against.
pub enum VestibuleSchema {
    /// It stands for itself.
    Alone(Schema<Query, Mutation, Subscription>),
    /// It is a part of a graph that a gateway composes.
    Subgraph(Schema<SubgraphQuery, Mutation, Subscription>),
}

impl VestibuleSchema {
    /// Answers a query or mutation.
    pub async fn execute(&self, request: async_graphql::Request) -> Response {
        match self {
            Self::Alone(schema) => schema.execute(request).await,
            Self::Subgraph(schema) => schema.execute(request).await,
        }
    }

    /// Answers a subscription as often as there is something to tell, and everything else once.
    pub fn execute_stream(&self, request: async_graphql::Request) -> BoxStream<'static, Response> {
        match self {
            Self::Alone(schema) => schema.execute_stream(request).boxed(),
            Self::Subgraph(schema) => schema.execute_stream(request).boxed(),
        }
    }

    /// All that can be asked for, with what only gateways ask for.
    pub fn document(&self) -> String {
        match self {
            Self::Alone(schema) => schema.sdl_with_options(sdl_options()),
            Self::Subgraph(schema) => schema.sdl_with_options(sdl_options()),
        }
    }
}

/// The schema of a running application.
pub fn schema(app: &Arc<App>) -> VestibuleSchema {
    if app.config.federation {
        let builder = limit(app, build::<SubgraphQuery>()).extension(federation::EntityCost);
        VestibuleSchema::Subgraph(builder.finish())
    } else {
        VestibuleSchema::Alone(limit(app, build::<Query>()).finish())
    }
}

/// The schema as a document for clients and their generators; the same for the same code, whatever the settings.
pub fn sdl() -> String {
    build::<Query>().finish().sdl_with_options(sdl_options())
}

/// The schema as a document for the composition of a graph, by Apollo Federation 2.
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
    let builder =
        builder.limit_depth(MAX_DEPTH).limit_complexity(MAX_COMPLEXITY).limit_directives(10).data(Arc::clone(app));
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

/// The page to explore the schema with.
pub fn graphiql_page(base: &str) -> String {
    let endpoint = format!("{base}/graphql");
    GraphiQLSource::build().endpoint(&endpoint).subscription_endpoint(&endpoint).title("Vestibule: GraphiQL").finish()
}

/// Puts what resolvers need of their request into it.
pub fn with_request_data(
    query: async_graphql::Request,
    app: &Arc<App>,
    request: Arc<context::Request>,
) -> async_graphql::Request {
    let loaders = loaders::Loaders::new(app, &request);
    query.data(loaders).data(request)
}
