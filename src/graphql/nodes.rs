//! Objects by their id, as in the Relay specification of global object identification. An id does not name the type of
//! its object, so that each type is looked up, in one statement for all ids of a request.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{Context, ID, Interface, Object};
use uuid::Uuid;

use crate::app::App;
use crate::domain::auth::passkeys;
use crate::domain::auth::second_factor::factors;
use crate::domain::auth::{api_tokens, sessions};
use crate::domain::{audit, outbox, samples, users};
use crate::error::Error;
use crate::graphql::api_tokens::ApiToken;
use crate::graphql::audit::AuditEvent;
use crate::graphql::context::{Request, viewer};
use crate::graphql::errors::Answer;
use crate::graphql::import_jobs::ImportJob;
use crate::graphql::loaders;
use crate::graphql::mails::OutgoingMail;
use crate::graphql::paging::list_complexity;
use crate::graphql::passkeys::Passkey;
use crate::graphql::samples::Sample;
use crate::graphql::second_factor::Factor;
use crate::graphql::sessions::Session;
use crate::graphql::users::User;
use crate::texts::Text;

/// Maximum number of ids in `nodes`.
const MAX_IDS: usize = 100;

/// An object that `node` finds by its id.
#[derive(Clone, Interface)]
#[expect(clippy::large_enum_variant, reason = "a request has at most a hundred of them, for a short time")]
#[graphql(field(name = "id", ty = "ID", desc = "Opaque id, never reused and unique among all types."))]
pub(crate) enum Node {
    User(User),
    Sample(Sample),
    Session(Session),
    ApiToken(ApiToken),
    AuditEvent(AuditEvent),
    OutgoingMail(OutgoingMail),
    Factor(Factor),
    Passkey(Passkey),
    ImportJob(ImportJob),
}

#[derive(Default)]
pub(crate) struct NodesQuery;

#[Object]
impl NodesQuery {
    /// Returns the object with this id; null if it does not exist or you may not read it. You may read your account, the
    /// samples that you modified last, and your sessions, second factors, passkeys and API tokens; staff also other users
    /// with their second factors and passkeys, samples, audit events, emails and imports. Superusers, and events and
    /// emails about them, are visible to superusers only. API tokens need the scope READ, and do not find sessions.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "Id of the object.")] id: ID) -> Answer<Option<Node>> {
        Ok(find(ctx, &[id]).await?.into_iter().next().flatten())
    }

    /// Returns the objects with these ids, in the same order, each as `node` does.
    #[graphql(complexity = "list_complexity(ids.len(), child_complexity)")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Ids of the objects: at most 100.")] ids: Vec<ID>,
    ) -> Answer<Vec<Option<Node>>> {
        find(ctx, &ids).await
    }
}

async fn find(ctx: &Context<'_>, ids: &[ID]) -> Answer<Vec<Option<Node>>> {
    viewer(ctx)?;
    if ids.len() > MAX_IDS {
        return Err(Error::BadInput(Text::new("nodes-too-many").with("max", MAX_IDS)).into());
    }
    // A malformed id belongs to no object.
    let ids: Vec<Option<Uuid>> = ids.iter().map(|id| Uuid::parse_str(id).ok()).collect();
    let found = loaders::nodes(ctx, ids.iter().copied().flatten()).await?;
    Ok(ids.into_iter().map(|id| found.get(&id?).cloned()).collect())
}

/// Objects by id, limited to those that the viewer may read.
pub(crate) struct Nodes {
    pub(crate) app: Arc<App>,
    pub(crate) request: Arc<Request>,
}

impl Loader<Uuid> for Nodes {
    type Value = Node;
    type Error = Error;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Node>, Error> {
        let Ok(viewer) = self.request.viewer() else { return Ok(HashMap::new()) };
        let (db, now, lives) = (&self.app.db, &self.request.now, &self.app.config.sessions);
        let (staff, owner) = (viewer.staff().ok(), viewer.session_user().ok());
        let sessions = async {
            let Some(owner) = owner else { return Ok(HashMap::new()) };
            let found = sessions::find_many(db, now, owner, lives, ids).await?;
            let own = found.into_iter().map(|(id, row)| (id, Session::new(lives, owner.session(), row)));
            Ok::<HashMap<Uuid, Session>, Error>(own.collect())
        };
        let events = async {
            let Some(staff) = staff else { return Ok(HashMap::new()) };
            audit::list::find_many(db, staff, ids).await
        };
        let mails = async {
            let Some(staff) = staff else { return Ok(HashMap::new()) };
            outbox::list::find_many(db, staff, ids).await
        };
        let imports = async {
            let Some(staff) = staff else { return Ok(HashMap::new()) };
            self.app.import_jobs().find_many(staff, ids).await
        };
        let (users, samples, sessions, api_tokens, events, mails, factors, passkeys, imports) = tokio::try_join!(
            users::list::find_many(db, viewer, ids),
            samples::find_many(db, viewer, ids),
            sessions,
            api_tokens::find_many(db, viewer, ids),
            events,
            mails,
            factors::find_many(db, viewer, ids),
            passkeys::list::find_many(db, viewer, ids),
            imports,
        )?;
        // Versions before 0.2 gave some events the id of an email. The event replaces it here, because it is kept longer.
        let mut found = HashMap::new();
        found.extend(mails.into_iter().map(|(id, row)| (id, OutgoingMail(row).into())));
        found.extend(events.into_iter().map(|(id, row)| (id, AuditEvent(row).into())));
        found.extend(api_tokens.into_iter().map(|(id, row)| (id, ApiToken(row).into())));
        found.extend(sessions.into_iter().map(|(id, session)| (id, session.into())));
        found.extend(samples.into_iter().map(|(id, row)| (id, Sample(row).into())));
        found.extend(factors.into_iter().map(|(id, row)| (id, Factor(row).into())));
        found.extend(passkeys.into_iter().map(|(id, row)| (id, Passkey(row).into())));
        found.extend(imports.into_iter().map(|(id, row)| (id, ImportJob::from(row).into())));
        found.extend(users.into_iter().map(|(id, row)| (id, User(row).into())));
        Ok(found)
    }
}
