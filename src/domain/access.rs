//! Who is asking, and what they may do.
//!
//! A right is a value: an operation for signed-in users takes a [`Viewer`], one for staff takes a [`Staff`], and neither
//! can be had but by [`authenticate`] and [`Viewer::staff`]. So no operation can forget to ask.

use std::ops::Deref;

use sea_orm::EntityTrait as _;
use uuid::Uuid;

use crate::database::Db;
use crate::domain::sessions;
use crate::entity::{session, user};
use crate::error::{Error, Reason, Result};
use crate::tools::clock::Moment;
use crate::tools::token::KeyRing;

/// Where a request comes from, as far as it can be known; kept with sessions and audit events.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The address, behind trusted proxies the one that they report.
    pub ip: Option<String>,
    /// The program, as it names itself.
    pub user_agent: Option<String>,
}

/// The signed-in user of a request, as the database knows them at its start.
#[derive(Clone, Debug)]
pub struct Viewer {
    user: user::Model,
    session: Uuid,
    client: Client,
}

impl Viewer {
    /// The user.
    pub fn user(&self) -> &user::Model {
        &self.user
    }

    /// The session that the request belongs to.
    pub fn session(&self) -> Uuid {
        self.session
    }

    /// Where the request comes from.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The proof that the user is here in person.
    pub fn owner(&self) -> Result<Owner<'_>> {
        Ok(Owner(self))
    }

    /// The proof that the user is staff: by flag, by the role of an administrator, or as a superuser.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for everybody else.
    pub fn staff(&self) -> Result<Staff<'_>> {
        if self.user.is_staff_member() { Ok(Staff(self)) } else { Err(Error::Forbidden) }
    }
}

/// The proof that the signed-in user is here in person, with a session.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a>(&'a Viewer);

impl Deref for Owner<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.0
    }
}

/// The proof that the signed-in user is staff.
#[derive(Clone, Copy, Debug)]
pub struct Staff<'a>(&'a Viewer);

impl Deref for Staff<'_> {
    type Target = Viewer;

    fn deref(&self) -> &Viewer {
        self.0
    }
}

/// Finds out who sent an access token. The database is asked each time, so that an ended session or a deactivated
/// account is out at once, and that rights are today's and not the token's.
///
/// # Errors
/// [`Error::Unauthenticated`] with the reason.
pub async fn authenticate(db: &Db, now: &Moment, ring: &KeyRing, client: Client, token: &str) -> Result<Viewer> {
    let claims = ring.verify(token, now.at).map_err(Error::Unauthenticated)?;
    let found = session::Entity::find_by_id(claims.sid).find_also_related(user::Entity).one(db.reader()).await?;
    let Some((session, Some(user))) = found else {
        return Err(Error::Unauthenticated(Reason::Revoked));
    };
    if user.id != claims.sub {
        return Err(Error::Unauthenticated(Reason::Invalid));
    }
    if session.expires_at <= now.at {
        return Err(Error::Unauthenticated(Reason::Revoked));
    }
    if !user.is_active {
        return Err(Error::Unauthenticated(Reason::Disabled));
    }
    if session.used < claims.generation {
        sessions::mark_used(db, session.id, claims.generation).await?;
    }
    Ok(Viewer { user, session: session.id, client })
}
