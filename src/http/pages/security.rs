//! Pages of a signed-in user for second factors and passkeys.

use axum::response::Response;

use super::own::{OwnForm, OwnVisit};
use super::view::{Field, Form, PasskeyForm, Section, View};
use super::{Outcome, Visit, form, passkeys, without_fields};
use crate::app::App;
use crate::domain::account::passkeys::register::{self, Registered};
use crate::domain::account::passkeys::{delete as delete_passkey, rename};
use crate::domain::account::second_factor::enroll::{self, Enrollment};
use crate::domain::account::second_factor::{delete as delete_factor, recovery_codes};
use crate::domain::auth::identity::SessionUser;
use crate::domain::auth::passkeys::list;
use crate::domain::auth::second_factor::factors;
use crate::entity::{factor, passkey, user};
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;
use crate::tools::clock::Timestamp;

const SECURITY: &str = "/account/security";

/// `GET /account/security`
pub(super) async fn overview(own: OwnVisit) -> Response {
    let notice = match own.visit.parameter("done") {
        "app-removed" => Some(Text::new("page-app-removed")),
        "passkey-removed" => Some(Text::new("page-passkey-removed")),
        "passkey-renamed" => Some(Text::new("page-passkey-renamed")),
        "passkey-added" => Some(Text::new("page-passkey-added")),
        "enroll" => Some(Text::new("enrollment-required")),
        "proved" => Some(Text::new("page-proved")),
        _ => None,
    };
    let shown = async {
        let (app, user) = (&own.visit.app, own.user()?.user().clone());
        let factors = factors::list(&app.db, &[user.id]).await?.remove(&user.id).unwrap_or_default();
        let passkeys = list::list(&app.db, &[user.id]).await?.remove(&user.id).unwrap_or_default();
        let codes = factors::recovery_codes_left(&app.db, &[user.id]).await?.remove(&user.id).unwrap_or_default();
        Ok(View {
            notice,
            paragraphs: vec![Text::new("page-security-account").with("email", user.email.as_str())],
            sections: vec![
                app_section(&factors),
                passkey_section(app, &passkeys),
                codes_section(codes, &factors, &passkeys),
            ],
            links: vec![password_link(&user)],
            ..View::own(Text::new("page-security-title"))
        })
    };
    match shown.await {
        Ok(view) => own.visit.show(&view),
        Err(error) => own.visit.refuse(View::new(Text::new("page-security-title")), error),
    }
}

/// Link to the page that changes the password, or sets the first one.
fn password_link(user: &user::Model) -> (Text, String) {
    match user.password_hash {
        Some(_) => (Text::new("page-link-change-password"), "/account/password".to_owned()),
        None => (Text::new("page-link-set-password"), "/account/forgot".to_owned()),
    }
}

/// `GET` of a form whose page is the overview.
pub(super) async fn overview_instead(visit: Visit) -> Response {
    visit.redirect(SECURITY)
}

fn app_section(factors: &[factor::Model]) -> Section {
    let button = |label, path| Form { is_quiet: true, ..form(path, Text::new(label)) };
    let (paragraphs, forms) = match factors.first() {
        None => (vec![Text::new("page-app-none")], vec![button("page-button-app-add", "/account/security/app")]),
        Some(factor) => {
            let remove = Form {
                hidden: vec![("id", factor.id.to_string())],
                ..button("page-button-app-remove", "/account/security/app/remove")
            };
            let facts = Text::new("page-app-present").with("added", day(factor.created_at));
            (vec![facts], vec![button("page-button-app-replace", "/account/security/app"), remove])
        }
    };
    Section { paragraphs, forms, ..Section::new(Text::new("page-app-heading")) }
}

fn passkey_section(app: &App, passkeys: &[passkey::Model]) -> Section {
    let heading = Text::new("page-passkeys-heading");
    if app.relying_party.is_none() {
        return Section { paragraphs: vec![Text::new("page-passkeys-unavailable")], ..Section::new(heading) };
    }
    let mut paragraphs = vec![Text::new("page-passkeys-effect")];
    if passkeys.is_empty() {
        paragraphs.push(Text::new("page-passkeys-none"));
    }
    let mut links = vec![(Text::new("page-link-passkey-add"), "/account/security/passkey".to_owned())];
    for passkey in passkeys {
        let used = passkey.last_used_at.map_or_else(|| Text::new("page-passkey-never-used").english(), day);
        let label = Text::new("page-passkey-present").with("name", name_of(passkey)).with("used", used);
        links.push((label, format!("/account/security/passkey?id={}", passkey.id)));
    }
    Section { paragraphs, links, ..Section::new(heading) }
}

fn codes_section(left: i64, factors: &[factor::Model], passkeys: &[passkey::Model]) -> Section {
    let heading = Text::new("page-codes-heading");
    if factors.is_empty() && passkeys.is_empty() {
        return Section { paragraphs: vec![Text::new("page-codes-none")], ..Section::new(heading) };
    }
    let renew = Form { is_quiet: true, ..form("/account/security/codes", Text::new("page-button-codes-renew")) };
    Section {
        paragraphs: vec![Text::new("page-codes-left").with("count", usize::try_from(left).unwrap_or_default())],
        forms: vec![renew],
        ..Section::new(heading)
    }
}

fn name_of(passkey: &passkey::Model) -> String {
    match passkey.name.as_str() {
        "" => Text::new("page-passkey-nameless").english(),
        name => name.to_owned(),
    }
}

/// A time as people read it on these pages: its day in UTC.
fn day(at: Timestamp) -> String {
    at.to_string().split_once('T').map(|(day, _)| day.to_owned()).unwrap_or_default()
}

/// `POST /account/security/app`: starts the enrolment of an app.
pub(super) async fn start_app(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let (rules, site) = (visit.app.second_factor_rules(), &visit.app.config.site_name);
    match own.user().and_then(|user| enroll::start(&visit.now, user, rules, site)) {
        Ok(enrollment) => visit.show(&app_view(&enrollment)),
        Err(error) => own.fail(back_view("page-app-heading"), error),
    }
}

/// `POST /account/security/app/confirm`
pub(super) async fn confirm_app(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let token = own.sent.field("enrollmentToken");
    let confirming = async {
        let rules = visit.app.second_factor_rules();
        enroll::confirm(&visit.app.db, &visit.now, own.user()?, rules, token, own.sent.field("totpCode")).await
    };
    match confirming.await {
        Ok(confirmed) => visit.keep_device(visit.show(&codes_view("page-app-added", confirmed.recovery_codes))),
        Err(Error::Refused(refusals)) if refusals.iter().any(|one| one.field == Some("totpCode")) => {
            let read = own.user().and_then(|user| {
                let rules = visit.app.second_factor_rules();
                enroll::read(&visit.now, user, rules, &visit.app.config.site_name, token)
            });
            match read {
                Ok(enrollment) => visit.refuse(app_view(&enrollment), Error::Refused(refusals)),
                Err(error) => own.fail(back_view("page-app-heading"), error),
            }
        }
        Err(error) => own.fail(back_view("page-app-heading"), without_fields(error)),
    }
}

fn app_view(enrollment: &Enrollment) -> View {
    let field = Field {
        required: true,
        inputmode: "numeric",
        hint: Some(Text::new("page-hint-app-code")),
        ..Field::new("totpCode", Text::new("page-label-app-code"), "one-time-code")
    };
    let picture = Section {
        paragraphs: vec![Text::new("page-app-secret").with("secret", grouped(&enrollment.secret))],
        picture: Some(enrollment.qr_code.clone()),
        ..Section::new(Text::new("page-app-scan-heading"))
    };
    let confirm = Section {
        forms: vec![Form {
            hidden: vec![("enrollmentToken", enrollment.token.clone())],
            fields: vec![field],
            ..form("/account/security/app/confirm", Text::new("page-button-app-confirm"))
        }],
        ..Section::new(Text::new("page-app-confirm-heading"))
    };
    View {
        paragraphs: vec![Text::new("page-app-steps")],
        sections: vec![picture, confirm],
        links: vec![back_link()],
        ..View::new(Text::new("page-app-title"))
    }
}

/// A secret in groups of four, for typing.
fn grouped(secret: &str) -> String {
    let chars: Vec<char> = secret.chars().collect();
    chars.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

/// `POST /account/security/app/remove`
pub(super) async fn remove_app(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let removing = async { delete_factor::delete(&visit.app.db, &visit.now, own.user()?, own.sent.field("id")).await };
    match removing.await {
        Ok(_) => visit.redirect("/account/security?done=app-removed"),
        Err(error) => own.fail(back_view("page-app-heading"), without_fields(error)),
    }
}

/// `POST /account/security/codes`
pub(super) async fn renew_codes(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let renewing = async { recovery_codes::renew(&visit.app.db, &visit.now, own.user()?).await };
    match renewing.await {
        Ok(codes) => visit.show(&codes_view("page-codes-renewed", codes)),
        Err(error) => own.fail(back_view("page-codes-heading"), error),
    }
}

pub(super) fn codes_view(notice: &'static str, codes: Vec<String>) -> View {
    let list = Section { codes, ..Section::new(Text::new("page-codes-list-heading")) };
    View {
        notice: Some(Text::new(notice)),
        paragraphs: vec![Text::new("page-codes-effect")],
        sections: vec![list],
        links: vec![back_link()],
        ..View::new(Text::new("page-codes-title"))
    }
}

/// `GET /account/security/passkey`: a new passkey or, with `id`, the name of one.
pub(super) async fn passkey_form(own: OwnVisit) -> Response {
    let id = own.visit.parameter("id");
    let shown = async {
        let user = own.user()?;
        if id.is_empty() {
            return new_passkey_view(&own.visit, user).await;
        }
        let mut passkeys = list::list(&own.visit.app.db, &[user.user().id]).await?;
        let passkeys = passkeys.remove(&user.user().id).unwrap_or_default();
        let passkey = passkeys.into_iter().find(|passkey| passkey.id.to_string() == id);
        let passkey = passkey.ok_or_else(|| Refusal::new(Code::NotFound, "passkey-unknown"))?;
        Ok(passkey_view(id, &passkey.name))
    };
    match shown.await {
        Ok(view) => own.visit.show(&view),
        Err(Error::Refused(refusals)) if refusals.iter().any(|one| one.code == Code::ReauthenticationRequired) => {
            own.visit.detour("/account/prove")
        }
        Err(error) => own.visit.refuse(back_view("page-passkeys-heading"), error),
    }
}

async fn new_passkey_view(visit: &Visit, user: SessionUser<'_>) -> Result<View> {
    let app = &visit.app;
    let options = register::start(&app.db, &visit.now, user, app.sign_in_rules(), &app.config.site_name).await?;
    let field = Field {
        hint: Some(Text::new("page-hint-passkey-name")),
        ..Field::new("name", Text::new("page-label-passkey-name"), "off")
    };
    let add = Form {
        fields: vec![field],
        passkey: Some(PasskeyForm::create(&options.into())),
        ..form("/account/security/passkey", Text::new("page-button-passkey-add"))
    };
    Ok(View {
        paragraphs: vec![Text::new("page-passkey-steps"), Text::new("page-passkey-needs-script")],
        form: Some(add),
        links: vec![back_link()],
        ..View::new(Text::new("page-passkey-add-title"))
    })
}

fn passkey_view(id: &str, name: &str) -> View {
    let hidden = || vec![("id", id.to_owned())];
    let field = Field {
        value: name.to_owned(),
        required: true,
        ..Field::new("name", Text::new("page-label-passkey-name"), "off")
    };
    let rename = Form {
        hidden: hidden(),
        fields: vec![field],
        ..form("/account/security/passkey/rename", Text::new("page-button-passkey-rename"))
    };
    let remove = Section {
        paragraphs: vec![Text::new("page-passkey-remove-effect")],
        forms: vec![Form {
            hidden: hidden(),
            is_quiet: true,
            ..form("/account/security/passkey/remove", Text::new("page-button-passkey-remove"))
        }],
        ..Section::new(Text::new("page-passkey-remove-heading"))
    };
    View {
        form: Some(rename),
        sections: vec![remove],
        links: vec![back_link()],
        ..View::new(Text::new("page-passkey-title"))
    }
}

/// `POST /account/security/passkey`
pub(super) async fn add_passkey(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let adding = async {
        let new = passkeys::new_passkey(own.sent.field("passkey"), own.sent.field("name"))?;
        register::finish(&visit.app.db, &visit.now, own.user()?, visit.app.sign_in_rules(), &new).await
    };
    match own.sent.once(Box::pin(adding)).await {
        Outcome::Done(Registered { recovery_codes: Some(codes), .. }) => {
            visit.keep_device(visit.show(&codes_view("page-passkey-added", codes)))
        }
        Outcome::Done(_) => visit.keep_device(visit.redirect("/account/security?done=passkey-added")),
        Outcome::Repeated => visit.redirect("/account/security?done=passkey-added"),
        Outcome::Failed(error) => own.fail(back_view("page-passkey-add-title"), without_fields(error)),
    }
}

/// `POST /account/security/passkey/rename`
pub(super) async fn rename_passkey(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let (id, name) = (own.sent.field("id"), own.sent.field("name"));
    let renaming = async { rename::rename(&visit.app.db, &visit.now, own.user()?, id, name).await };
    match renaming.await {
        Ok(_) => visit.redirect("/account/security?done=passkey-renamed"),
        Err(error) => own.fail(passkey_view(id, name), error),
    }
}

/// `POST /account/security/passkey/remove`
pub(super) async fn remove_passkey(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let removing = async { delete_passkey::delete(&visit.app.db, &visit.now, own.user()?, own.sent.field("id")).await };
    match removing.await {
        Ok(_) => visit.redirect("/account/security?done=passkey-removed"),
        Err(error) => own.fail(back_view("page-passkeys-heading"), without_fields(error)),
    }
}

pub(super) fn back_link() -> (Text, String) {
    (Text::new("page-link-security"), SECURITY.to_owned())
}

pub(super) fn back_view(title: &'static str) -> View {
    View { links: vec![back_link()], ..View::new(Text::new(title)) }
}
