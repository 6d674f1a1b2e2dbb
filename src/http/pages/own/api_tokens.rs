//! The user's API tokens.

use std::time::Duration;

use axum::response::Response;

use super::super::view::{Choice, Fact, Field, Form, Row, Section, View};
use super::super::{Outcome, Visit, form, without_fields};
use super::{OwnForm, OwnVisit};
use crate::domain::auth::api_tokens::{self, Create, Rules};
use crate::domain::auth::identity::SessionUser;
use crate::entity::api_token::{self, Scope};
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;
use crate::tools::api_token::ApiToken;

const TOKENS: &str = "/account/tokens";

/// Lifetimes to choose from, in days, beside the longest one.
const LIFETIMES: [(&str, u64); 4] = [("7", 7), ("30", 30), ("90", 90), ("180", 180)];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The scopes with the names of their checkboxes.
const SCOPES: [(&str, Scope); 4] = [
    ("scope-read", Scope::Read),
    ("scope-write", Scope::Write),
    ("scope-export", Scope::Export),
    ("scope-manage-users", Scope::ManageUsers),
];

/// `GET /account/tokens`
pub(in crate::http::pages) async fn page(own: OwnVisit) -> Response {
    let notice = match own.visit.parameter("done") {
        "deleted" => Some(Text::new("page-token-deleted")),
        "repeated" => Some(Text::new("page-token-repeated")),
        _ => None,
    };
    let shown = async {
        let tokens = api_tokens::list(&own.visit.app.db, &*own.caller.session_user()?).await?;
        Ok(View { notice, ..list_view(&own.visit, &tokens) })
    };
    let shown = shown.await;
    own.show(shown, Text::new("page-tokens-title"))
}

/// `GET /account/tokens/new`. A proof that is due comes first, so that no input is lost.
pub(in crate::http::pages) async fn new_form(own: OwnVisit) -> Response {
    let shown = own.caller.session_user().and_then(|owner| {
        owner.check_recent_proof(&own.visit.now)?;
        Ok(new_view(&own.visit, owner, &|name| (name == "scope-export").then(|| "1".to_owned())))
    });
    own.show(shown, Text::new("page-token-new-title"))
}

/// `POST /account/tokens/new`: shows the secret once.
pub(in crate::http::pages) async fn create(own: OwnForm) -> Response {
    let (visit, sent) = (&own.sent.visit, &own.sent);
    let app = &visit.app;
    let days = LIFETIMES.iter().find(|(value, _)| *value == sent.field("expiresAt"));
    let input = Create {
        name: sent.field("name").to_owned(),
        scopes: SCOPES.iter().filter(|(name, _)| !sent.field(name).is_empty()).map(|(_, scope)| *scope).collect(),
        expires_at: days.map(|(_, days)| visit.now.at.plus(DAY * u32::try_from(*days).unwrap_or_default())),
    };
    let rules = Rules { longest_life: app.config.api_tokens.api_token_ttl, limits: &app.limits };
    let creating = async {
        api_tokens::create(&app.db, &visit.now, own.caller.session_user()?, rules, input, Some(&sent.form)).await
    };
    match sent.once(Box::pin(creating)).await {
        Outcome::Done((token, secret)) => visit.show(&secret_view(&token, &secret)),
        Outcome::Repeated => visit.redirect("/account/tokens?done=repeated"),
        Outcome::Failed(error) => match own.caller.session_user() {
            Ok(owner) => own.fail(new_view(visit, owner, &|name| sent.given(name)), error),
            Err(error) => own.fail(View::own(Text::new("page-token-new-title")), error),
        },
    }
}

/// `GET /account/tokens/token?id=…`
pub(in crate::http::pages) async fn token_page(own: OwnVisit) -> Response {
    let shown = async { token_view(&own.visit, own.caller.session_user()?, own.visit.parameter("id")).await }.await;
    match shown {
        Err(Error::Refused(refusals)) => own.visit.refuse(gone_view(), Error::Refused(refusals)),
        shown => own.show(shown, Text::new("page-tokens-title")),
    }
}

/// `POST /account/tokens/rotate`: shows the new secret once.
pub(in crate::http::pages) async fn rotate(own: OwnForm) -> Response {
    let (visit, sent) = (&own.sent.visit, &own.sent);
    let (app, id) = (&visit.app, sent.field("id"));
    let rotating = async {
        let owner = own.caller.session_user()?;
        api_tokens::rotate(&app.db, &visit.now, owner, &app.limits, id, Some(&sent.form)).await
    };
    match sent.once(Box::pin(rotating)).await {
        Outcome::Done((token, secret)) => visit.show(&secret_view(&token, &secret)),
        Outcome::Repeated => visit.redirect("/account/tokens?done=repeated"),
        Outcome::Failed(error) => fail(&own, id, error).await,
    }
}

/// `POST /account/tokens/delete`
pub(in crate::http::pages) async fn delete(own: OwnForm) -> Response {
    let (visit, id) = (&own.sent.visit, own.sent.field("id"));
    let deleting = async { api_tokens::delete(&visit.app.db, &visit.now, own.caller.session_user()?, id).await };
    match deleting.await {
        Ok(_) => visit.redirect("/account/tokens?done=deleted"),
        Err(error) => fail(&own, id, error).await,
    }
}

/// The page of the token with an error, or a link to the list if there is no such token.
async fn fail(own: &OwnForm, id: &str, error: Error) -> Response {
    let shown = async { token_view(&own.sent.visit, own.caller.session_user()?, id).await }.await;
    own.fail(shown.unwrap_or_else(|_| gone_view()), without_fields(error))
}

fn list_view(visit: &Visit, tokens: &[api_token::Model]) -> View {
    let rows =
        tokens.iter().map(|token| Row { href: Some(format!("{TOKENS}/token?id={}", token.id)), ..row(visit, token) });
    let mut paragraphs = vec![Text::new("page-tokens-effect")];
    if tokens.is_empty() {
        paragraphs.push(Text::new("page-tokens-none"));
    }
    View {
        paragraphs,
        sections: vec![Section {
            rows: rows.collect(),
            links: vec![(Text::new("page-link-token-new"), format!("{TOKENS}/new"))],
            ..Section::untitled()
        }],
        ..View::own(Text::new("page-tokens-title"))
    }
}

fn row(visit: &Visit, token: &api_token::Model) -> Row {
    let is_expired = token.expires_at.is_some_and(|end| end <= visit.now.at);
    let scopes: Vec<String> = token.scopes.iter().map(|scope| label(scope).english()).collect();
    let mut facts = vec![
        Fact::Sentence(Text::new("page-token-scopes").with("scopes", scopes.join(", "))),
        Fact::Sentence(Text::new("page-token-prefix").with("prefix", token.prefix.as_str())),
        match token.last_used_at {
            Some(at) => Fact::Time(Text::new("page-label-last-used"), at),
            None => Fact::Sentence(Text::new("page-token-never-used")),
        },
    ];
    facts.extend(token.expires_at.map(|end| Fact::Time(Text::new("page-label-expires"), end)));
    Row { badge: is_expired.then(|| Text::new("page-token-expired")), facts, ..Row::new(token.name.as_str()) }
}

fn label(scope: Scope) -> Text {
    match scope {
        Scope::Read => Text::new("scope-read"),
        Scope::Write => Text::new("scope-write"),
        Scope::Export => Text::new("scope-export"),
        Scope::ManageUsers => Text::new("scope-manage-users"),
    }
}

fn effect(scope: Scope) -> Text {
    match scope {
        Scope::Read => Text::new("scope-read-effect"),
        Scope::Write => Text::new("scope-write-effect"),
        Scope::Export => Text::new("scope-export-effect"),
        Scope::ManageUsers => Text::new("scope-manage-users-effect"),
    }
}

/// The form with these typed values.
fn new_view(visit: &Visit, owner: SessionUser<'_>, typed: &dyn Fn(&str) -> Option<String>) -> View {
    let value = |name: &str| typed(name).unwrap_or_default();
    let longest = visit.app.config.api_tokens.api_token_ttl;
    let scopes = SCOPES.into_iter().filter(|(_, scope)| *scope != Scope::ManageUsers || owner.staff().is_ok());
    let scopes = scopes.map(|(name, scope)| Choice {
        value: name,
        label: label(scope),
        hint: Some(effect(scope)),
        is_chosen: !value(name).is_empty(),
    });
    let lives = LIFETIMES.into_iter().filter(|(_, days)| DAY.as_secs() * days < longest.as_secs());
    let lives = lives.map(|(name, days)| Choice {
        value: name,
        label: Text::new("page-token-days").with("days", days),
        hint: None,
        is_chosen: value("expiresAt") == name,
    });
    let longest = Choice {
        value: "longest",
        label: Text::new("page-token-longest").with("days", longest.as_secs() / DAY.as_secs()),
        hint: None,
        is_chosen: !LIFETIMES.iter().any(|(name, _)| value("expiresAt") == *name),
    };
    let fields = vec![
        Field {
            required: true,
            value: value("name"),
            hint: Some(Text::new("page-hint-token-name")),
            ..Field::new("name", Text::new("page-label-token-name"), "off")
        },
        Field {
            kind: "checkboxes",
            choices: scopes.collect(),
            ..Field::new("scopes", Text::new("page-label-token-scopes"), "off")
        },
        Field {
            kind: "select",
            choices: lives.chain([longest]).collect(),
            ..Field::new("expiresAt", Text::new("page-label-token-life"), "off")
        },
    ];
    View {
        form: Some(Form { fields, ..form("/account/tokens/new", Text::new("page-button-token-create")) }),
        ..below_list(Text::new("page-token-new-title"))
    }
}

async fn token_view(visit: &Visit, owner: SessionUser<'_>, id: &str) -> Result<View> {
    let tokens = api_tokens::list(&visit.app.db, &owner).await?;
    let token = tokens.into_iter().find(|token| token.id.to_string() == id);
    let token = token.ok_or_else(|| Refusal::new(Code::NotFound, "api-token-unknown"))?;
    let hidden = || vec![("id", token.id.to_string())];
    let rotate = Form {
        hidden: hidden(),
        is_quiet: true,
        ..form("/account/tokens/rotate", Text::new("page-button-token-rotate"))
    };
    let delete = Form {
        hidden: hidden(),
        is_quiet: true,
        is_dangerous: true,
        ..form("/account/tokens/delete", Text::new("page-button-token-delete"))
    };
    let is_expired = token.expires_at.is_some_and(|end| end <= visit.now.at);
    let mut sections = vec![Section { rows: vec![row(visit, &token)], ..Section::untitled() }];
    if !is_expired {
        sections.push(Section {
            paragraphs: vec![Text::new("page-token-rotate-effect")],
            forms: vec![rotate],
            ..Section::new(Text::new("page-token-rotate-heading"))
        });
    }
    sections.push(Section {
        paragraphs: vec![Text::new("page-token-delete-effect")],
        forms: vec![delete],
        ..Section::new(Text::new("page-token-delete-heading"))
    });
    Ok(View { sections, ..below_list(Text::new("page-token-title")) })
}

fn secret_view(token: &api_token::Model, secret: &ApiToken) -> View {
    let list = Section { codes: vec![secret.to_text()], ..Section::new(Text::new("page-token-secret-heading")) };
    View {
        notice: Some(Text::new("page-token-created").with("name", token.name.as_str())),
        paragraphs: vec![Text::new("page-token-secret-effect")],
        sections: vec![list],
        ..below_list(Text::new("page-token-secret-title"))
    }
}

fn gone_view() -> View {
    below_list(Text::new("page-token-title"))
}

/// A page with this heading below the list.
fn below_list(title: Text) -> View {
    View { back: Some((Text::new("page-tokens-title"), TOKENS.to_owned())), ..View::new(title) }
}
