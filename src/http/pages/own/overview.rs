//! `/account`: the entrance to the pages of a signed-in user.

use axum::response::Response;

use super::super::view::View;
use super::OwnVisit;
use crate::error::Result;
use crate::texts::Text;

/// `GET /account`
pub(in crate::http::pages) async fn page(own: OwnVisit) -> Response {
    match view(&own) {
        Ok(view) => own.visit.show(&view),
        Err(error) => own.visit.refuse(View::new(Text::new("page-account-title")), error),
    }
}

fn view(own: &OwnVisit) -> Result<View> {
    let config = &own.visit.app.config;
    let mut links = vec![
        (Text::new("page-link-own-security"), "/account/security".to_owned()),
        (Text::new("page-link-change-password"), "/account/password".to_owned()),
    ];
    if own.caller.manager().is_ok() {
        links.push((Text::new("console-link-open"), "/console".to_owned()));
    }
    if let Some(frontend) = &config.frontend_url {
        links.push((Text::new("page-link-site"), frontend.as_str().to_owned()));
    }
    if config.graphiql {
        links.push((Text::new("page-link-graphiql"), "/graphiql".to_owned()));
    }
    Ok(View {
        paragraphs: vec![Text::new("page-security-account").with("email", own.user()?.user().email.as_str())],
        links,
        ..View::new(Text::new("page-account-title"))
    })
}
