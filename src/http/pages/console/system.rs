//! The installation, for superusers.

use askama::Template;
use axum::response::Response;

use super::super::frame::Frame;
use super::StaffVisit;
use super::shell::{Page, Screen, Shell};
use super::time::Time;
use crate::doctor::report::{Finding, Level};
use crate::doctor::system::{self, System};
use crate::domain::auth::signing_keys::KeyState;
use crate::error::Result;
use crate::texts::Text;

/// `GET /console/system`
pub(super) async fn show(staff: StaffVisit) -> Response {
    match load(&staff).await {
        Ok(page) => staff.show(&page),
        Err(error) => staff.refuse(Screen::System, error),
    }
}

async fn load(staff: &StaffVisit) -> Result<SystemPage<'_>> {
    let app = &staff.visit.app;
    let viewer = staff.staff()?;
    Ok(SystemPage {
        frame: staff.frame(),
        shell: Shell::new(Screen::System, Text::new("console-system-title").english()),
        system: system::system(&app.db, &staff.visit.now, viewer.superuser()?, &app.config).await?,
    })
}

#[derive(Template)]
#[template(path = "console/system.html", config = "src/http/pages/askama.toml")]
struct SystemPage<'a> {
    frame: Frame<'a>,
    shell: Shell,
    system: System,
}

impl Page for SystemPage<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

/// A signing key: id, time of creation, kind and label of its state, and the time that belongs to the state.
struct Key<'a> {
    kid: &'a str,
    created: Time,
    badge: &'static str,
    state: String,
    at: Option<Time>,
}

impl SystemPage<'_> {
    fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        self.system.signing_keys.iter().map(|key| {
            let (badge, state, at) = match key.state {
                KeyState::Signing => ("good", Text::new("console-key-signing"), None),
                KeyState::Published(start) => ("plain", Text::new("console-key-published"), Some(start)),
                KeyState::Verifying(end) => ("plain", Text::new("console-key-verifying"), Some(end)),
                KeyState::Expired(end) => ("warn", Text::new("console-key-expired"), Some(end)),
            };
            Key {
                kid: &key.kid,
                created: Time::minute(key.created_at),
                badge,
                state: state.english(),
                at: at.map(Time::minute),
            }
        })
    }

    /// Size of the database in MiB, and its latency in milliseconds.
    fn database(&self) -> String {
        let found = &self.system.database;
        Text::new("console-system-database")
            .with("version", found.version.as_str())
            .with("size", u64::try_from(found.size >> 20).unwrap_or_default())
            .english()
    }

    /// Kind and label of a severity.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    fn level(&self, finding: &Finding) -> (&'static str, String) {
        match finding.level {
            Level::Ok => ("good", Text::new("console-level-ok").english()),
            Level::Warn => ("warn", Text::new("console-level-warning").english()),
            Level::Fail => ("bad", Text::new("console-level-failure").english()),
        }
    }
}
