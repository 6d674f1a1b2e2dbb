//! The outbox.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use crate::domain::auth::identity::Staff;
use crate::domain::outbox::failure::Failure;
use crate::domain::outbox::list;
use crate::domain::outbox::selected::{self, Decision};
use crate::domain::paging::PageArgs;
use crate::entity::mail::{self, Kind, Status};
use crate::graphql::context::{app, manager, reader, request, staff};
use crate::graphql::errors::{Answer, UserError};
use crate::graphql::paging::{Connection, CountQuery, page_complexity};
use crate::graphql::scalars::DateTime;
use crate::graphql::user_errors::outcome;

/// Email, as its row has it. Its text is not stored.
#[derive(Clone)]
pub(crate) struct OutgoingMail(pub(crate) mail::Model);

/// An email in the outbox. Its body and the secrets in it are never returned.
#[Object]
impl OutgoingMail {
    /// Opaque id, never reused.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// Kind of email.
    async fn kind(&self) -> MailKind {
        self.0.kind.into()
    }

    /// Address of the recipient.
    async fn recipient(&self) -> &str {
        &self.0.recipient
    }

    /// Delivery status.
    async fn status(&self) -> MailStatus {
        self.0.status.into()
    }

    /// Number of delivery attempts.
    async fn attempts(&self) -> i32 {
        self.0.attempts
    }

    /// Error of the last failed attempt; null if none failed.
    async fn last_error(&self) -> Option<&str> {
        self.0.last_error.as_deref()
    }

    /// Reason of the last failed attempt in words, with advice, in English; null if none failed.
    async fn failure(&self) -> Option<String> {
        Failure::of(&self.0).map(|failure| failure.text().english())
    }

    /// Time of creation.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Time of the next attempt; null if the email was sent or has failed, and while it waits for its account to be
    /// activated.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.0.next_attempt_at.map(DateTime)
    }

    /// Time of delivery to the mail server; null if not delivered.
    async fn sent_at(&self) -> Option<DateTime> {
        self.0.sent_at.map(DateTime)
    }
}

/// Kinds of email.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Kind")]
pub(crate) enum MailKind {
    /// Link to confirm the address of a new account.
    VerifyEmail,
    /// Notice that someone tried to register an address that already has an account.
    AlreadyRegistered,
    /// Link to reset a forgotten password.
    ResetPassword,
    /// Notice that the password was changed.
    PasswordChanged,
    /// Welcome to an account that staff created.
    Welcome,
    /// Link to confirm the new address of an account, sent to that address.
    ConfirmNewEmail,
    /// Notice that the account has another address, sent to the old one with a link that undoes the change.
    EmailChanged,
    /// Notice that a change of address was undone, sent to the address that was removed.
    EmailChangeUndone,
    /// Warning that a refresh token was reused, possibly after theft, and its session ended.
    RefreshReused,
    /// Notice that an API token was created.
    ApiTokenCreated,
    /// Notice that an API token was given a new secret.
    ApiTokenRotated,
    /// Notice that staff revoked an API token.
    ApiTokenRevoked,
    /// Notice that a second factor was added.
    FactorAdded,
    /// Notice that the second factor was removed, by its owner, staff or the operator.
    FactorRemoved,
    /// Notice that a recovery code was used.
    RecoveryCodeUsed,
    /// Notice that new recovery codes were created.
    RecoveryCodesRenewed,
    /// Notice that someone signed in with a second factor from a new device.
    NewDevice,
    /// Warning that codes of the authenticator app are not accepted after too many wrong ones.
    TotpStopped,
    /// Notice that a passkey was added.
    PasskeyAdded,
    /// Notice that a passkey was removed.
    PasskeyRemoved,
    /// Notice that the counter of a passkey went back, so that it may have been copied.
    PasskeyCopied,
}

/// Delivery status of an email.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Status")]
pub(crate) enum MailStatus {
    /// Waiting for the next attempt.
    Queued,
    /// Handed over to the mail server.
    Sent,
    /// Delivery failed permanently. `retryMail` queues it again.
    Failed,
    /// Not sent and never will be: its link became invalid because the password or address changed or the account was
    /// deactivated, or an operator cancelled it.
    Cancelled,
    /// Held back by an operator until released.
    Held,
}

/// Email to retry.
#[derive(InputObject)]
pub(crate) struct RetryMailInput {
    /// Id of the email.
    id: ID,
}

/// Result of `retryMail`.
#[derive(SimpleObject)]
pub(crate) struct RetryMailPayload {
    /// Queued email; null if there are errors.
    mail: Option<OutgoingMail>,
    /// NOT_FOUND, or INVALID if the email was already sent or its link would no longer be valid.
    errors: Vec<UserError>,
}

/// A page of the emails to this user; `None` for callers who are not staff.
pub(crate) async fn of_user(ctx: &Context<'_>, user: Uuid, args: PageArgs) -> Answer<Option<Connection<OutgoingMail>>> {
    let Ok(staff) = reader(ctx)?.staff() else { return Ok(None) };
    page(ctx, staff, list::Filter { user: Some(user), ..list::Filter::default() }, args).await
}

async fn page(
    ctx: &Context<'_>,
    staff: Staff<'_>,
    filter: list::Filter,
    args: PageArgs,
) -> Answer<Option<Connection<OutgoingMail>>> {
    let page = list::page(&app(ctx).db, staff, &filter, &args).await?;
    Ok(Some(Connection::new(page, CountQuery::Mails(filter), OutgoingMail)))
}

#[derive(Default)]
pub(crate) struct MailsQuery;

#[Object]
impl MailsQuery {
    /// Returns the emails in the outbox, newest first. Staff only; API tokens need the scope READ. A page has 20 emails
    /// by default and at most 200. Emails to superusers are visible to superusers only.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "the schema has them")]
    async fn outgoing_mails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of items from the start of the list, or after `after`.")] first: Option<i32>,
        #[graphql(desc = "Cursor after which the page starts.")] after: Option<String>,
        #[graphql(desc = "Number of items from the end of the list, or before `before`.")] last: Option<i32>,
        #[graphql(desc = "Cursor before which the page ends.")] before: Option<String>,
        #[graphql(desc = "Delivery status; by default all match.")] status: Option<MailStatus>,
        #[graphql(desc = "Address of the recipient, in any spelling; by default all match.")] recipient: Option<String>,
        #[graphql(desc = "Kind of email; by default all match.")] kind: Option<MailKind>,
    ) -> Answer<Option<Connection<OutgoingMail>>> {
        let filter = list::Filter { status: status.map(Into::into), recipient, kind: kind.map(Into::into), user: None };
        page(ctx, staff(ctx)?, filter, PageArgs { first, after, last, before, offset: None }).await
    }
}

/// Emails to hold, release or cancel.
#[derive(InputObject)]
pub(crate) struct SelectedMailsInput {
    /// Ids of the emails: at most 500.
    ids: Vec<ID>,
}

/// Result of `holdMails`, `releaseMails` and `cancelMails`.
#[derive(SimpleObject)]
pub(crate) struct SelectedMailsPayload {
    /// Emails that were changed, without those to which the mutation does not apply; null if there are errors.
    mails: Option<Vec<OutgoingMail>>,
    /// REQUIRED or TOO_LONG for no ids or too many.
    errors: Vec<UserError>,
}

async fn decide(
    ctx: &Context<'_>,
    input: SelectedMailsInput,
    decision: Decision,
) -> Answer<Option<SelectedMailsPayload>> {
    let ids: Vec<String> = input.ids.into_iter().map(|id| id.0).collect();
    let decided = selected::decide(&app(ctx).db, &request(ctx).now, manager(ctx)?, &ids, decision).await;
    let (mails, errors) = outcome(ctx, decided)?;
    let mails = mails.map(|mails| mails.into_iter().map(OutgoingMail).collect());
    Ok(Some(SelectedMailsPayload { mails, errors }))
}

#[derive(Default)]
pub(crate) struct MailsMutation;

#[Object]
impl MailsMutation {
    /// Queues a failed or waiting email for immediate delivery. Staff only; API tokens need the scope MANAGE_USERS.
    /// RATE_LIMITED if too many emails to the address were retried.
    async fn retry_mail(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Email to retry.")] input: RetryMailInput,
    ) -> Answer<Option<RetryMailPayload>> {
        let app = app(ctx);
        let retried = list::retry(&app.db, &request(ctx).now, manager(ctx)?, &app.limits, &input.id).await;
        let (mail, errors) = outcome(ctx, retried)?;
        Ok(Some(RetryMailPayload { mail: mail.map(OutgoingMail), errors }))
    }

    /// Holds waiting invitations and reset emails back until `releaseMails`. Staff only. API tokens need the scope
    /// MANAGE_USERS, and apply only to emails to users without staff rights. Emails that are being sent at this moment are
    /// not held. Notices to owners cannot be held.
    async fn hold_mails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Emails to hold.")] input: SelectedMailsInput,
    ) -> Answer<Option<SelectedMailsPayload>> {
        decide(ctx, input, Decision::Hold).await
    }

    /// Queues invitations and reset emails that are held back for immediate delivery. Rights as for `holdMails`.
    async fn release_mails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Emails to release.")] input: SelectedMailsInput,
    ) -> Answer<Option<SelectedMailsPayload>> {
        decide(ctx, input, Decision::Release).await
    }

    /// Cancels invitations and reset emails that wait, are held back or failed, and ends their links. Rights as for
    /// `holdMails`. `sendLink` sends new ones.
    async fn cancel_mails(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Emails to cancel.")] input: SelectedMailsInput,
    ) -> Answer<Option<SelectedMailsPayload>> {
        decide(ctx, input, Decision::Cancel).await
    }
}
