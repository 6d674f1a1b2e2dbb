//! `/account`: the entrance to the pages of a signed-in user.

use axum::response::Response;

use super::super::view::{Fact, Row, Section, View};
use super::{OwnVisit, photo};
use crate::domain::auth::{api_tokens, sessions};
use crate::entity::user;
use crate::error::{Error, Result};
use crate::texts::Text;

/// `GET /account`
pub(in crate::http::pages) async fn page(own: OwnVisit) -> Response {
    let view = view(&own).await;
    own.show(view, Text::new("page-account-title"))
}

async fn view(own: &OwnVisit) -> Result<View> {
    let config = &own.visit.app.config;
    let user = own.user()?.user().clone();
    let notice = match own.visit.parameter("done") {
        "password" => Some(Text::new("page-password-changed-title")),
        _ => None,
    };
    let mut links = Vec::new();
    if own.caller.manager().is_ok() {
        links.push((Text::new("console-link-open"), "/console".to_owned()));
    }
    if let Some(frontend) = &config.frontend_url {
        links.push((Text::new("page-link-site"), frontend.as_str().to_owned()));
    }
    if config.graphiql {
        links.push((Text::new("page-link-graphiql"), "/graphiql".to_owned()));
    }
    links.push((Text::new("page-link-sign-out-everywhere"), "/account/sign-out".to_owned()));
    Ok(View {
        notice,
        paragraphs: vec![Text::new("page-security-account").with("email", user.email.as_str())],
        sections: vec![personal(own, &user), sign_in(own, &user).await?, data()],
        links,
        ..View::new(Text::new("page-account-title"))
    })
}

fn personal(own: &OwnVisit, user: &user::Model) -> Section {
    let profile = row(&Text::new("page-profile-title"), "/account/profile", Fact::Typed(user.name()));
    let mut email = row(&Text::new("page-email-title"), "/account/email", Fact::Typed(user.email.clone()));
    email.badge = user.pending_email.as_ref().map(|_| Text::new("page-email-pending-badge"));
    Section {
        photo: photo::address(&own.visit, user),
        rows: vec![profile, email],
        ..Section::new(Text::new("page-account-personal"))
    }
}

async fn sign_in(own: &OwnVisit, user: &user::Model) -> Result<Section> {
    let (app, now) = (&own.visit.app, &own.visit.now);
    let factor = match user.has_second_factor {
        true => Text::new("page-account-factor-on"),
        false => Text::new("page-account-factor-off"),
    };
    let mut rows = vec![
        row(
            &Text::new("page-change-password-title"),
            "/account/password",
            Fact::Sentence(Text::new("page-account-password-effect")),
        ),
        row(&Text::new("page-security-title"), "/account/security", Fact::Sentence(factor)),
    ];
    match own.caller.session_user() {
        Ok(owner) => {
            let devices = sessions::list(&app.db, now, owner, &app.config.sessions).await?.len();
            let tokens = api_tokens::list(&app.db, &owner).await?.len();
            let devices = Text::new("page-account-devices").with("count", devices);
            let tokens = Text::new("page-account-tokens").with("count", tokens);
            rows.push(row(&Text::new("page-sessions-title"), "/account/sessions", Fact::Sentence(devices)));
            rows.push(row(&Text::new("page-tokens-title"), "/account/tokens", Fact::Sentence(tokens)));
        }
        Err(Error::EnrollmentRequired) => {}
        Err(error) => return Err(error),
    }
    Ok(Section { rows, ..Section::new(Text::new("page-account-sign-in")) })
}

fn data() -> Section {
    let rows = vec![
        row(&Text::new("page-data-title"), "/account/data", Fact::Sentence(Text::new("page-account-data-effect"))),
        row(
            &Text::new("page-deactivate-title"),
            "/account/deactivate",
            Fact::Sentence(Text::new("page-account-deactivate-effect")),
        ),
        row(
            &Text::new("page-delete-title"),
            "/account/delete",
            Fact::Sentence(Text::new("page-account-delete-effect")),
        ),
    ];
    Section { rows, ..Section::new(Text::new("page-account-data")) }
}

fn row(title: &Text, href: &str, fact: Fact) -> Row {
    Row { href: Some(href.to_owned()), facts: vec![fact], ..Row::new(title.english()) }
}
