//! What all lists of the schema share: connections by the Relay cursor specification.

use async_graphql::{ComplexObject, Context, OutputType, SimpleObject};

use crate::domain::paging::{DEFAULT_PAGE, Page};
use crate::domain::{audit, outbox, users};
use crate::graphql::audit::AuditEvent;
use crate::graphql::context::{app, request, staff};
use crate::graphql::errors::Answer;
use crate::graphql::mails::OutgoingMail;
use crate::graphql::users::User;

/// A part of a list, by the Relay cursor specification.
#[derive(SimpleObject)]
#[graphql(
    complex,
    shareable,
    concrete(name = "UserConnection", params(User)),
    concrete(name = "AuditEventConnection", params(AuditEvent)),
    concrete(name = "OutgoingMailConnection", params(OutgoingMail))
)]
pub(crate) struct Connection<T: OutputType + Clone>
where
    Edge<T>: OutputType,
{
    /// The rows with their cursors.
    edges: Vec<Edge<T>>,
    /// The rows.
    nodes: Vec<T>,
    /// Where this part stands in the list.
    page_info: PageInfo,
    #[graphql(skip)]
    whole: CountQuery,
}

/// A row in a list.
#[derive(SimpleObject)]
#[graphql(
    shareable,
    concrete(name = "UserEdge", params(User)),
    concrete(name = "AuditEventEdge", params(AuditEvent)),
    concrete(name = "OutgoingMailEdge", params(OutgoingMail))
)]
pub(crate) struct Edge<T: OutputType> {
    /// The row.
    node: T,
    /// The row's place in the list, for `after` and `before`.
    cursor: String,
}

/// Where a part stands in its list, by the Relay cursor specification.
#[derive(SimpleObject)]
#[graphql(shareable)]
pub(crate) struct PageInfo {
    /// Whether there are rows before this part.
    has_previous_page: bool,
    /// Whether there are rows after this part.
    has_next_page: bool,
    /// The cursor of the first row; null where there is none.
    start_cursor: Option<String>,
    /// The cursor of the last row; null where there is none.
    end_cursor: Option<String>,
}

/// The whole list that a part is of.
pub(crate) enum CountQuery {
    /// Users.
    Users(users::list::List),
    /// Events.
    Audit(audit::list::Filter),
    /// Mails.
    Mails(outbox::list::Filter),
}

impl<T: OutputType + Clone> Connection<T>
where
    Edge<T>: OutputType,
{
    /// The part that this page is, of this list.
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
    /// How many rows the whole list has; counted only where it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Answer<u64> {
        let (db, staff) = (&app(ctx).db, staff(ctx)?);
        Ok(match &self.whole {
            CountQuery::Users(list) => users::list::count(db, &request(ctx).now, staff, list).await?,
            CountQuery::Audit(filter) => audit::list::count(db, staff, filter).await?,
            CountQuery::Mails(filter) => outbox::list::count(db, staff, filter).await?,
        })
    }
}

/// What a page of a list may cost: its length times what each row costs.
pub(crate) fn list_complexity(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let length = first.or(last).and_then(|length| usize::try_from(length).ok());
    length.unwrap_or(usize::try_from(DEFAULT_PAGE).unwrap_or_default()) * child
}
