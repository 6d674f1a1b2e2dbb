//! The face: an argument in, a domain call, a type out. One file per feature, named as in `domain/`; rules stand there.

use std::sync::Arc;

use async_graphql::http::GraphiQLSource;
use async_graphql::{EmptySubscription, MergedObject, SDLExportOptions, Schema};

use crate::app::App;

mod account;
mod api_tokens;
mod avatars;
// Nulls where fields failed, as the specification has them.
pub mod completion;
// What resolvers know of their request.
pub mod context;
// What a document may cost, decided before it is executed.
pub mod document;
pub(crate) mod errors;
mod loaders;
mod paging;
mod passwords;
mod registration;
mod reset;
mod samples;
mod scalars;
mod sessions;
mod sign_in;
mod users;

/// How deep fields may be nested; the standard introspection query needs 15.
const MAX_DEPTH: usize = 20;

/// How many values a request may ask for, lists counted by their length.
const MAX_COMPLEXITY: usize = 10_000;

/// What can be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    users::UsersQuery,
    samples::SamplesQuery,
    sessions::SessionsQuery,
    reset::ResetQuery,
    passwords::PasswordsQuery,
    api_tokens::ApiTokensQuery,
);

/// What can be changed. Each field takes one `input` and returns a payload whose `errors` tell what the person can mend.
#[derive(MergedObject, Default)]
pub struct Mutation(
    sign_in::SignInMutation,
    reset::ResetMutation,
    account::AccountMutation,
    sessions::SessionsMutation,
    users::UsersMutation,
    samples::SamplesMutation,
    api_tokens::ApiTokensMutation,
    registration::RegistrationMutation,
    avatars::AvatarsMutation,
);

/// The schema that requests are executed against.
pub type VestibuleSchema = Schema<Query, Mutation, EmptySubscription>;

/// The schema of a running application.
pub fn schema(app: &Arc<App>) -> VestibuleSchema {
    let mut builder = Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .limit_directives(10)
        .data(Arc::clone(app));
    if !app.config.introspection {
        builder = builder.disable_introspection().disable_suggestions();
    }
    builder.finish()
}

/// The schema as a document for clients and their generators; the same for the same code, whatever the settings.
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by()
        .use_space_ident();
    Schema::build(Query::default(), Mutation::default(), EmptySubscription).finish().sdl_with_options(options)
}

/// The page to explore the schema with.
pub fn graphiql_page() -> String {
    GraphiQLSource::build().endpoint("/graphql").title("Vestibule: GraphiQL").finish()
}

/// Puts what resolvers need of their request into it.
pub fn equip(query: async_graphql::Request, app: &Arc<App>, request: Arc<context::Request>) -> async_graphql::Request {
    let loaders = loaders::Loaders::new(app, request.viewer().ok());
    query.data(request).data(loaders)
}
