//! Page that asks for the second factor of a sign-in.

use axum::response::Response;

use super::account::after_sign_in;
use super::view::{Field, Form, View};
use super::{Outcome, Sent, Visit, form};
use crate::domain::auth::second_factor::TypedCode;
use crate::domain::auth::second_factor::challenge::{self, Challenge, Complete};
use crate::error::{Code, Error, Refusal};
use crate::texts::Text;

/// Shows the form for a challenge. It is in a hidden field, so that no cookie exists before the sign-in.
pub(super) fn ask(visit: &Visit, challenge: Challenge) -> Response {
    visit.show(&view(challenge.token))
}

/// `GET /account/second-factor`: without a challenge, a sign-in starts with the password.
pub(super) async fn form_without_challenge(visit: Visit) -> Response {
    visit.redirect("/account/sign-in")
}

/// `POST /account/second-factor`
pub(super) async fn complete(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let (token, typed) = (sent.field("challengeToken"), sent.field("code"));
    // Only codes of an app consist of digits alone.
    let is_totp = typed.chars().all(|char| char.is_ascii_digit() || char.is_whitespace());
    let code = if is_totp { TypedCode::Totp(typed) } else { TypedCode::Recovery(typed) };
    let answer = Complete { token, code, replaces: visit.refresh_token(), form: Some(&sent.form) };
    let completing = challenge::complete(&app.db, &visit.now, &visit.client, app.sign_in_rules(), answer);
    match sent.once(Box::pin(completing)).await {
        Outcome::Done(completed) => {
            let tokens = app.token_issuer().tokens(&visit.now, &completed.session, &completed.user);
            let to = match completed.has_new_password {
                true => "/account/sign-in?done=changed",
                false => after_sign_in(&completed.user),
            };
            visit.redirect_signed_in(to, &tokens)
        }
        Outcome::Repeated => visit.redirect("/account/sign-in?done=signed-in"),
        Outcome::Failed(Error::Refused(refusals)) if refusals.iter().any(is_of_challenge) => {
            let shown = refusals.into_iter().map(|refusal| Refusal { field: None, ..refusal }).collect();
            visit.refuse(ended_view(), Error::Refused(shown))
        }
        Outcome::Failed(Error::Refused(refusals)) => {
            let shown = refusals.into_iter().map(|refusal| refusal.of("code")).collect();
            visit.refuse(view(token.to_owned()), Error::Refused(shown))
        }
        Outcome::Failed(error) => visit.refuse(view(token.to_owned()), error),
    }
}

fn is_of_challenge(refusal: &Refusal) -> bool {
    refusal.code == Code::InvalidToken
}

fn view(token: String) -> View {
    let field = Field {
        hint: Some(Text::new("page-hint-second-factor")),
        required: true,
        ..Field::new("code", Text::new("page-label-code"), "one-time-code")
    };
    let hidden = vec![("challengeToken", token)];
    View {
        form: Some(Form {
            hidden,
            fields: vec![field],
            ..form("/account/second-factor", Text::new("page-button-sign-in"))
        }),
        links: vec![(Text::new("page-link-back-to-sign-in"), "/account/sign-in".to_owned())],
        ..View::new(Text::new("page-second-factor-title"))
    }
}

fn ended_view() -> View {
    View {
        links: vec![(Text::new("page-link-back-to-sign-in"), "/account/sign-in".to_owned())],
        ..View::new(Text::new("page-second-factor-ended-title"))
    }
}
