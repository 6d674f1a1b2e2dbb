//! Lists of the schema: connections as in the Relay cursor specification.

use async_graphql::{ComplexObject, Context, OutputType, SimpleObject};

use crate::domain::import::spreadsheet::jobs;
use crate::domain::paging::{DEFAULT_PAGE, Page};
use crate::domain::{audit, outbox, users};
use crate::graphql::audit::AuditEvent;
use crate::graphql::context::{app, request, staff};
use crate::graphql::errors::Answer;
use crate::graphql::import_jobs::ImportJob;
use crate::graphql::mails::OutgoingMail;
use crate::graphql::users::User;

/// A page of a list, as in the Relay cursor specification.
#[derive(SimpleObject)]
#[graphql(
    complex,
    shareable,
    concrete(name = "UserConnection", params(User)),
    concrete(name = "AuditEventConnection", params(AuditEvent)),
    concrete(name = "OutgoingMailConnection", params(OutgoingMail)),
    concrete(name = "ImportJobConnection", params(ImportJob))
)]
pub(crate) struct Connection<T: OutputType + Clone>
where
    Edge<T>: OutputType,
{
    /// Items of the page with their cursors.
    edges: Vec<Edge<T>>,
    /// Items of the page.
    nodes: Vec<T>,
    /// Position of the page in the list.
    page_info: PageInfo,
    #[graphql(skip)]
    whole: CountQuery,
}

/// An item of a list.
#[derive(SimpleObject)]
#[graphql(
    shareable,
    concrete(name = "UserEdge", params(User)),
    concrete(name = "AuditEventEdge", params(AuditEvent)),
    concrete(name = "OutgoingMailEdge", params(OutgoingMail)),
    concrete(name = "ImportJobEdge", params(ImportJob))
)]
pub(crate) struct Edge<T: OutputType> {
    /// The item.
    node: T,
    /// Cursor of the item, for `after` and `before`.
    cursor: String,
}

/// Position of a page in its list, as in the Relay cursor specification.
#[derive(SimpleObject)]
#[graphql(shareable)]
pub(crate) struct PageInfo {
    /// True if there are items before this page.
    has_previous_page: bool,
    /// True if there are items after this page.
    has_next_page: bool,
    /// Cursor of the first item; null if the page is empty.
    start_cursor: Option<String>,
    /// Cursor of the last item; null if the page is empty.
    end_cursor: Option<String>,
}

/// List that a page belongs to, for the total count.
pub(crate) enum CountQuery {
    /// Users.
    Users(users::list::List),
    /// Events.
    Audit(audit::list::Filter),
    /// Emails.
    Mails(outbox::list::Filter),
    /// Imports.
    Imports,
}

impl<T: OutputType + Clone> Connection<T>
where
    Edge<T>: OutputType,
{
    /// Creates the connection for a page of this list.
    pub(crate) fn new<M>(page: Page<M>, whole: CountQuery, node: impl Fn(M) -> T) -> Self {
        let page_info = PageInfo {
            has_previous_page: page.has_previous,
            has_next_page: page.has_next,
            start_cursor: page.rows.first().map(|(_, cursor)| cursor.clone()),
            end_cursor: page.rows.last().map(|(_, cursor)| cursor.clone()),
        };
        let edge = |(row, cursor)| Edge { node: node(row), cursor };
        let edges: Vec<Edge<T>> = page.rows.into_iter().map(edge).collect();
        Self { nodes: edges.iter().map(|edge| edge.node.clone()).collect(), edges, page_info, whole }
    }
}

#[ComplexObject]
impl<T: OutputType + Clone> Connection<T>
where
    Edge<T>: OutputType,
{
    /// Number of items in the whole list; computed only if selected.
    async fn total_count(&self, ctx: &Context<'_>) -> Answer<u64> {
        let (db, staff) = (&app(ctx).db, staff(ctx)?);
        Ok(match &self.whole {
            CountQuery::Users(list) => users::list::count(db, &request(ctx).now, staff, list).await?,
            CountQuery::Audit(filter) => audit::list::count(db, staff, filter).await?,
            CountQuery::Mails(filter) => outbox::list::count(db, staff, filter).await?,
            CountQuery::Imports => jobs::count(db, staff).await?,
        })
    }
}

/// Largest complexity of a field. It is far above the limit of a document, and sums of the library cannot overflow.
const MAX_FIELD_COMPLEXITY: usize = 1 << 32;

/// Complexity of a page: its length times the complexity of a row.
pub(crate) fn page_complexity(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    match first.or(last) {
        Some(length) => list_complexity(length, child),
        None => list_complexity(DEFAULT_PAGE, child),
    }
}

/// Complexity of a list: its length times the complexity of an item. An empty one counts as one item, because a page
/// also has a count.
pub(crate) fn list_complexity(length: impl TryInto<usize>, child: usize) -> usize {
    let items: usize = length.try_into().unwrap_or_default().max(1);
    items.saturating_mul(child).min(MAX_FIELD_COMPLEXITY)
}
