//! The outbox.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use crate::domain::outbox::list;
use crate::domain::paging::PageArgs;
use crate::entity::mail::{self, Kind, Status};
use crate::graphql::context::{app, manager, request, staff};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::paging::{Connection, CountQuery, list_complexity};
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;

/// A mail, as its row has it: without its text, which is stored nowhere.
#[derive(Clone)]
pub(crate) struct OutgoingMail(mail::Model);

/// A mail in the outbox. Its body, and the secrets in it, are never shown.
#[Object]
impl OutgoingMail {
    /// Its id, opaque and never given twice.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// What it is about.
    async fn kind(&self) -> MailKind {
        self.0.kind.into()
    }

    /// The address that it goes to.
    async fn recipient(&self) -> &str {
        &self.0.recipient
    }

    /// How far it has come.
    async fn status(&self) -> MailStatus {
        self.0.status.into()
    }

    /// How often sending was tried.
    async fn attempts(&self) -> i32 {
        self.0.attempts
    }

    /// What went wrong at the last attempt that failed; null where none did.
    async fn last_error(&self) -> Option<&str> {
        self.0.last_error.as_deref()
    }

    /// When it was put here.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it is tried next; null where it was sent or given up, and where it waits for its account to be activated.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.0.next_attempt_at.map(DateTime)
    }

    /// When it was handed over; null where that has not happened.
    async fn sent_at(&self) -> Option<DateTime> {
        self.0.sent_at.map(DateTime)
    }
}

/// What a mail is about.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Kind")]
pub(crate) enum MailKind {
    /// The link that confirms the address of a new account.
    VerifyEmail,
    /// Somebody wanted an account for an address that has one.
    AlreadyRegistered,
    /// The link that replaces a forgotten password.
    ResetPassword,
    /// The password was changed.
    PasswordChanged,
    /// Staff made an account for the reader.
    Welcome,
    /// The link that moves an account to the address that it is sent to.
    ConfirmNewEmail,
    /// The account has moved to another address. It goes to the old one, with a link that undoes the change.
    EmailChanged,
    /// A change of address was undone. It goes to the address that was taken away.
    EmailChangeUndone,
    /// A refresh token came back that had been replaced, as a thief's does, and its session was ended.
    RefreshReused,
    /// An API token was created for the reader's account.
    ApiTokenCreated,
    /// An API token of the reader's account was given another secret.
    ApiTokenRotated,
}

/// How far a mail has come.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Status")]
pub(crate) enum MailStatus {
    /// It waits for its next attempt.
    Queued,
    /// It was handed over.
    Sent,
    /// It was given up: see `retryMail`.
    Failed,
    /// It was not sent, and is not sent any more: the link in it would no longer be valid, because of another password or
    /// address, or because the account was deactivated; or an operator cancelled it.
    Cancelled,
    /// An operator holds it back until they release it.
    Held,
}

/// Which mail to send once more.
#[derive(InputObject)]
pub(crate) struct RetryMailInput {
    /// The mail's id.
    id: ID,
}

/// The outcome of `retryMail`.
#[derive(SimpleObject)]
pub(crate) struct RetryMailPayload {
    /// The mail, in line again; null where there are errors.
    mail: Option<OutgoingMail>,
    /// NOT_FOUND, or INVALID where it was sent already or its link would no longer be valid.
    errors: Vec<UserError>,
}

#[derive(Default)]
pub(crate) struct MailsQuery;

#[Object]
impl MailsQuery {
    /// The mails that wait, were sent or were given up, the newest first: staff. A page has 20 where no number is given,
    /// and 200 at most. Mails to superusers show to superusers only.
    #[graphql(complexity = "list_complexity(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "the schema has them")]
    async fn outgoing_mails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins.")] after: Option<String>,
        #[graphql(desc = "The last so many of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "The cursor before which the page ends.")] before: Option<String>,
        #[graphql(desc = "How far they have come; left out, all.")] status: Option<MailStatus>,
        #[graphql(desc = "The address that they go to, in any spelling; left out, any.")] recipient: Option<String>,
    ) -> Answer<Option<Connection<OutgoingMail>>> {
        let filter = list::Filter { status: status.map(Into::into), recipient };
        let window = PageArgs { first, after, last, before, offset: None };
        let page = list::page(&app(ctx).db, staff(ctx)?, &filter, &window).await?;
        Ok(Some(Connection::new(page, CountQuery::Mails(filter), OutgoingMail)))
    }
}

#[derive(Default)]
pub(crate) struct MailsMutation;

#[Object]
impl MailsMutation {
    /// Puts a mail that was given up, or waits, in line for the next opportunity: staff; API tokens need
    /// MANAGE_USERS.
    async fn retry_mail(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which mail.")] input: RetryMailInput,
    ) -> Answer<Option<RetryMailPayload>> {
        let app = app(ctx);
        let retried = list::retry(&app.db, &request(ctx).now, manager(ctx)?, &app.limits, &input.id).await;
        let (mail, errors) = outcome(ctx, retried)?;
        Ok(Some(RetryMailPayload { mail: mail.map(OutgoingMail), errors }))
    }
}
