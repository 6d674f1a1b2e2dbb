//! Vestibule as a subgraph of Apollo Federation 2: other services refer to users and samples by id. Active only if
//! federation is enabled in the settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextValidation};
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition};
use async_graphql::{
    Context, ErrorExtensionValues, ID, Object, ServerError, ServerResult, ValidationResult, Variables,
};
use async_graphql_value::{ConstValue, Value};
use uuid::Uuid;

use super::MAX_COMPLEXITY;
use crate::graphql::context::viewer;
use crate::graphql::errors::Answer;
use crate::graphql::execution::selections::top_fields;
use crate::graphql::loaders;
use crate::graphql::samples::Sample;
use crate::graphql::users::User;

/// Maximum number of entities per request.
const MAX_REPRESENTATIONS: usize = 100;

#[derive(Default)]
pub(crate) struct Entities;

/// Resolvers that the library calls once per representation; the loaders batch them into one statement.
#[Object]
impl Entities {
    /// Returns the user with this id; null if it does not exist or is not visible to you.
    #[graphql(entity)]
    async fn find_user_by_id(&self, ctx: &Context<'_>, id: ID) -> Answer<Option<User>> {
        viewer(ctx)?;
        loaders::user(ctx, Uuid::parse_str(&id).ok()).await
    }

    /// Returns the sample with this id; null if it does not exist or is not visible to you. Staff see all samples,
    /// others those that they modified last.
    #[graphql(entity)]
    async fn find_sample_by_id(&self, ctx: &Context<'_>, id: ID) -> Answer<Option<Sample>> {
        viewer(ctx)?;
        let Ok(id) = Uuid::parse_str(&id) else { return Ok(None) };
        Ok(loaders::sample(ctx, id).await?.map(Sample))
    }
}

/// Multiplies the complexity of a selection on entities by their number; the library counts it once.
pub(crate) struct EntityCost;

impl ExtensionFactory for EntityCost {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Counter::default())
    }
}

/// Number of entities of a request.
#[derive(Default)]
struct Counter(AtomicUsize);

#[async_graphql::async_trait::async_trait]
impl Extension for Counter {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        self.0.store(representations(&document, variables), Ordering::Relaxed);
        Ok(document)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        let count = self.0.load(Ordering::Relaxed);
        if count > MAX_REPRESENTATIONS {
            return Err(too_complex(format!("A request may select at most {MAX_REPRESENTATIONS} entities.")));
        }
        if result.complexity.saturating_mul(count) > MAX_COMPLEXITY {
            return Err(too_complex("The query is too complex for this number of entities.".to_owned()));
        }
        Ok(result)
    }
}

fn too_complex(message: String) -> Vec<ServerError> {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", "QUERY_TOO_COMPLEX");
    vec![ServerError { extensions: Some(extensions), ..ServerError::new(message, None) }]
}

/// Number of entities that the operations of this document request.
fn representations(document: &ExecutableDocument, variables: &Variables) -> usize {
    let of_operation = |operation: &OperationDefinition| -> usize {
        let fields = top_fields(document, &operation.selection_set.node);
        let entities = fields.into_iter().filter(|field| field.name.node == "_entities");
        entities.map(|field| asked_for(field, operation, variables)).sum()
    };
    document.operations.iter().map(|(_, operation)| of_operation(&operation.node)).sum()
}

fn asked_for(field: &Field, operation: &OperationDefinition, variables: &Variables) -> usize {
    match field.get_argument("representations").map(|value| &value.node) {
        Some(Value::List(list)) => list.len(),
        Some(Value::Variable(name)) => {
            let definition =
                operation.variable_definitions.iter().find(|definition| definition.node.name.node == *name);
            let default = definition.and_then(|definition| definition.node.default_value.as_ref());
            match variables.get(name).or(default.map(|value| &value.node)) {
                Some(ConstValue::List(list)) => list.len(),
                _ => 1,
            }
        }
        // GraphQL coerces a single value to a list of one.
        _ => 1,
    }
}
