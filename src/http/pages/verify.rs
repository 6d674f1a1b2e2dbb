//! Page that confirms an email address by an emailed link. A new account gets a password or a passkey there.

use axum::Json;
use axum::response::{IntoResponse as _, Response};

use super::account::{new_password, new_password_fields, sign_in_link};
use super::security::codes_view;
use super::view::{Field, Form, PasskeyForm, Section, View};
use super::{Outcome, Sent, Visit, form, invalid_link, passkeys, without_fields};
use crate::domain::account::registration::confirm;
use crate::domain::account::verify_email::{self, Confirm, Link, Verified, Waiting};
use crate::error::{Error, Refusal, Result};
use crate::graphql::passkeys::PasskeyCreationOptions;
use crate::texts::Text;

/// Path of the options for the passkey of a new account.
const OPTIONS: &str = "/account/verify/passkey-options";

/// `GET /account/verify?token=…`: asks for a click, because mail scanners open links too.
pub(super) async fn page(visit: Visit) -> Response {
    if let Some(ignored) = visit.ignored() {
        return ignored;
    }
    let token = visit.parameter("token").to_owned();
    show(&visit, &token, None).await
}

/// `POST /account/verify/passkey-options`: for the script, which asks when the user clicks, however old the page is.
pub(super) async fn options(sent: Sent) -> Response {
    let visit = &sent.visit;
    let cookie = visit.registration();
    let link = Link { token: sent.field("token"), cookie: cookie.as_ref(), registration_secret: None };
    let (app, site) = (&visit.app, visit.app.config.site_name.as_str());
    match confirm::start_passkey(&app.db, &visit.now, &visit.client, app.verify_rules(), link, site).await {
        Ok(options) => Json(PasskeyCreationOptions::from(options)).into_response(),
        Err(error) => visit.refuse(invalid_link_view(), without_fields(error)),
    }
}

/// `POST /account/verify`
pub(super) async fn verify(sent: Sent) -> Response {
    let visit = &sent.visit;
    let token = sent.field("token");
    match sent.once(Box::pin(try_verify(&sent))).await {
        Outcome::Done(verified) => verified_page(visit, verified),
        Outcome::Repeated => visit.redirect("/account/sign-in?done=verified"),
        Outcome::Failed(Error::Refused(refusals)) if refusals.iter().any(|refusal| refusal.field == Some("token")) => {
            visit.refuse(invalid_link_view(), Error::Refused(invalid_link()))
        }
        Outcome::Failed(error) => show(visit, token, Some(error)).await,
    }
}

async fn try_verify(sent: &Sent) -> Result<Verified> {
    let visit = &sent.visit;
    let passkey = match sent.field("passkey") {
        "" => None,
        written => Some(passkeys::new_passkey(written, "")?),
    };
    let cookie = visit.registration();
    let input = Confirm {
        link: Link { token: sent.field("token"), cookie: cookie.as_ref(), registration_secret: None },
        password: (!sent.field("password").is_empty()).then(|| new_password(sent)),
        passkey: passkey.as_ref(),
        signed_in: visit.signed_in(),
        form: Some(&sent.form),
    };
    verify_email::verify_email(&visit.app.db, &visit.now, &visit.client, visit.app.verify_rules(), input).await
}

/// Page after the confirmation. Recovery codes are shown only here.
fn verified_page(visit: &Visit, verified: Verified) -> Response {
    let Verified { user, session, is_other_present, recovery_codes } = verified;
    let tokens = session.map(|session| visit.app.token_issuer().tokens(&visit.now, &session, &user));
    let done = match (&tokens, is_other_present) {
        (Some(_), _) => "/account",
        (None, true) => "/account/sign-in?done=verified-beside",
        (None, false) => "/account/sign-in?done=verified",
    };
    let shown = recovery_codes.map(|codes| {
        let links = vec![(Text::new("page-link-continue"), done.to_owned())];
        visit.show(&View { links, ..codes_view("page-account-created", codes) })
    });
    match (shown, tokens) {
        (Some(shown), Some(tokens)) => visit.keep_device(visit.with_session(shown, &tokens)),
        (Some(shown), None) => visit.keep_device(shown),
        (None, Some(tokens)) => visit.signed_in_as(&user, &tokens),
        (None, None) => visit.redirect(done),
    }
}

/// Shows the address that the link confirms, with the errors of a form that was sent. Asks for a password, and for a new
/// account offers a passkey, unless the browser registered with a password, or is signed in to the account that changes
/// its address. An email links here from another site, so the browser sends no refresh cookie until the form is sent.
async fn show(visit: &Visit, token: &str, error: Option<Error>) -> Response {
    let cookie = visit.registration();
    let link = Link { token, cookie: cookie.as_ref(), registration_secret: None };
    let (app, rules, signed_in) = (&visit.app, visit.app.verify_rules(), visit.signed_in());
    let is_opened = error.is_none();
    let found = verify_email::look_up(&app.db, &visit.now, &visit.client, rules, link, signed_in, is_opened).await;
    match (found, error) {
        (Ok(Some(waiting)), None) => visit.show(&view(visit, token, &waiting)),
        (Ok(Some(waiting)), Some(error)) => visit.refuse(view(visit, token, &waiting), of_the_form(error)),
        (Ok(None), _) => visit.refuse(invalid_link_view(), Error::Refused(invalid_link())),
        (Err(failed), error) => visit.refuse(invalid_link_view(), error.unwrap_or(failed)),
    }
}

/// The error without the field for a passkey, which is hidden.
fn of_the_form(error: Error) -> Error {
    match error {
        Error::Refused(refusals) => {
            let visible =
                |refusal: Refusal| Refusal { field: refusal.field.filter(|field| *field != "passkey"), ..refusal };
            Error::Refused(refusals.into_iter().map(visible).collect())
        }
        error => error,
    }
}

fn view(visit: &Visit, token: &str, waiting: &Waiting) -> View {
    let (email, site) = (waiting.email.as_str(), visit.app.config.site_name.as_str());
    let of_site = |id| Text::new(id).with("email", email).with("site", site);
    let hidden = || vec![("token", token.to_owned())];
    let mut paragraphs = vec![match waiting.is_new {
        true => of_site("page-verify-new-account"),
        false => of_site("page-verify-new-address"),
    }];
    let mut fields = Vec::new();
    match (waiting.needs_password, waiting.is_new) {
        (true, false) => {
            paragraphs.push(Text::new("page-verify-enter-account-password"));
            fields.push(Field {
                required: false,
                ..Field::password("password", Text::new("page-label-password"), "current-password")
            });
        }
        (true, true) => fields.extend(new_password_fields(visit)),
        (false, _) => {}
    }
    let by_password = Form { hidden: hidden(), fields, ..form("/account/verify", Text::new("page-button-verify")) };
    let by_passkey = |button, is_quiet| Form {
        hidden: hidden(),
        is_quiet,
        passkey: Some(PasskeyForm::create_from(OPTIONS)),
        ..form("/account/verify", Text::new(button))
    };
    let offers_passkey = waiting.needs_password && waiting.may_have_passkey;
    let (main, section) = match (offers_passkey, waiting.is_without_password) {
        (true, true) => {
            paragraphs.push(Text::new("page-verify-create-passkey"));
            paragraphs.push(Text::new("page-verify-without-passkey"));
            let instead = Section {
                forms: vec![Form { is_quiet: true, ..by_password }],
                ..Section::new(Text::new("page-verify-password-heading"))
            };
            (by_passkey("page-button-verify-passkey", false), Some(instead))
        }
        (true, false) => {
            paragraphs.push(Text::new("page-verify-enter-password"));
            let instead = by_passkey("page-button-verify-passkey-instead", true);
            (by_password, Some(Section { forms: vec![instead], ..Section::untitled() }))
        }
        (false, true) => {
            paragraphs.push(Text::new("page-verify-set-password"));
            (by_password, None)
        }
        (false, false) => {
            if waiting.needs_password && waiting.is_new {
                paragraphs.push(Text::new("page-verify-enter-password"));
            }
            (by_password, None)
        }
    };
    View {
        paragraphs,
        form: Some(main),
        sections: section.into_iter().collect(),
        ..View::new(Text::new("page-verify-title"))
    }
}

fn invalid_link_view() -> View {
    View {
        links: vec![(Text::new("page-link-register-again"), "/account/register".to_owned()), sign_in_link()],
        ..View::new(Text::new("page-link-invalid-title"))
    }
}
