//! The devices on which the user is signed in.

use axum::response::Response;

use super::super::view::{Fact, Form, Row, Section, View};
use super::super::{Visit, form, without_fields};
use super::{OwnForm, OwnVisit};
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::sessions;
use crate::entity::session;
use crate::error::{Error, Result};
use crate::texts::Text;
use crate::tools::device;

/// `GET /account/sessions`
pub(in crate::http::pages) async fn page(own: OwnVisit) -> Response {
    let notice = match own.visit.parameter("done") {
        "ended" => Some(Text::new("page-session-ended")),
        "others-ended" => Some(Text::new("page-sessions-others-ended")),
        _ => None,
    };
    let shown = async { Ok(View { notice, ..view(&own.visit, own.caller.session_user()?).await? }) }.await;
    own.show(shown, Text::new("page-sessions-title"))
}

/// `POST /account/sessions/end`
pub(in crate::http::pages) async fn end(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let ending =
        async { sessions::revoke(&visit.app.db, &visit.now, own.caller.session_user()?, own.sent.field("id")).await };
    match ending.await {
        Ok(_) => visit.redirect("/account/sessions?done=ended"),
        Err(error) => fail(&own, error).await,
    }
}

/// `POST /account/sessions/end-others`
pub(in crate::http::pages) async fn end_others(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let ending = async { sessions::revoke_others(&visit.app.db, &visit.now, own.caller.session_user()?).await };
    match ending.await {
        Ok(()) => visit.redirect("/account/sessions?done=others-ended"),
        Err(error) => fail(&own, error).await,
    }
}

async fn fail(own: &OwnForm, error: Error) -> Response {
    let shown = async { view(&own.sent.visit, own.caller.session_user()?).await }.await;
    own.fail(shown.unwrap_or_else(|_| View::own(Text::new("page-sessions-title"))), without_fields(error))
}

async fn view(visit: &Visit, owner: SessionUser<'_>) -> Result<View> {
    let sessions = sessions::list(&visit.app.db, &visit.now, owner, &visit.app.config.sessions).await?;
    let (present, others): (Vec<_>, Vec<_>) = sessions.iter().partition(|session| session.id == owner.session());
    let here = Row { badge: Some(Text::new("page-session-present")), ..row(present.first().copied()) };
    let others: Vec<Row> = others.into_iter().map(other).collect();
    let mut sections = vec![Section { rows: vec![here], ..Section::untitled() }];
    if !others.is_empty() {
        let end = Form {
            is_quiet: true,
            is_dangerous: true,
            ..form("/account/sessions/end-others", Text::new("page-button-sessions-end-others"))
        };
        sections.push(Section {
            paragraphs: vec![Text::new("page-sessions-advice")],
            rows: others,
            forms: vec![end],
            ..Section::new(Text::new("page-sessions-others"))
        });
    }
    Ok(View {
        paragraphs: vec![Text::new("page-sessions-effect")],
        sections,
        ..View::own(Text::new("page-sessions-title"))
    })
}

fn other(session: &session::Model) -> Row {
    let end = Form {
        hidden: vec![("id", session.id.to_string())],
        is_quiet: true,
        ..form("/account/sessions/end", Text::new("page-button-session-end"))
    };
    Row { forms: vec![end], ..row(Some(session)) }
}

fn row(session: Option<&session::Model>) -> Row {
    let Some(session) = session else { return Row::new(device::name(None)) };
    let address = session.ip.as_deref().map(|ip| Fact::Sentence(Text::new("page-session-address").with("ip", ip)));
    let times = [
        Fact::Time(Text::new("page-label-last-used"), session.last_used_at),
        Fact::Time(Text::new("page-label-signed-in"), session.created_at),
    ];
    let facts = times.into_iter().chain(address).collect();
    Row { facts, ..Row::new(device::name(session.user_agent.as_deref())) }
}
