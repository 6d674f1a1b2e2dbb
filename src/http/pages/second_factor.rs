//! Page that asks for the second factor of a sign-in.

use axum::response::Response;

use super::view::{Field, Form, View};
use super::{Outcome, Sent, Visit, form, passkeys, without_fields};
use crate::domain::auth::second_factor::SecondProof;
use crate::domain::auth::second_factor::challenge::{self, Challenge, Complete, Completed};
use crate::entity::session::Method;
use crate::error::{Code, Error, Result};
use crate::texts::Text;

/// Shows the forms for a challenge. It is in a hidden field, so that no cookie exists before the sign-in.
pub(super) fn ask(visit: &Visit, challenge: Challenge) -> Response {
    visit.show(&view(challenge))
}

/// `GET /account/second-factor`: without a challenge, a sign-in starts with the password.
pub(super) async fn form_without_challenge(visit: Visit) -> Response {
    visit.redirect("/account/sign-in")
}

/// `POST /account/second-factor`
pub(super) async fn complete(sent: Sent) -> Response {
    let visit = &sent.visit;
    let app = &visit.app;
    let token = sent.field("challengeToken");
    match sent.once(Box::pin(try_complete(&sent))).await {
        Outcome::Done(Completed { session, user, has_new_password }) => {
            let tokens = app.token_issuer().tokens(&visit.now, &session, &user);
            visit.keep_device(match has_new_password {
                true => visit.with_session(visit.go_on("/account?done=password"), &tokens),
                false => visit.signed_in_as(&user, &tokens),
            })
        }
        Outcome::Repeated => visit.go_on("/account"),
        Outcome::Failed(error) => {
            match challenge::show_again(&app.db, &visit.now, app.second_factor_rules(), token).await {
                Ok(challenge) if !is_ended(&error) => visit.refuse(view(challenge), on_the_form(error)),
                Ok(_) => visit.refuse(ended_view(), without_fields(error)),
                Err(ended) => visit.refuse(ended_view(), without_fields(ended)),
            }
        }
    }
}

async fn try_complete(sent: &Sent) -> Result<Completed> {
    let visit = &sent.visit;
    let app = &visit.app;
    let answer = passkeys::answer(sent.field("passkey"))?;
    let code = answer.as_ref().map_or_else(|| SecondProof::Either(sent.field("code")), SecondProof::Passkey);
    let token = sent.field("challengeToken");
    let answer = Complete { token, code, replaces: visit.refresh_token(), form: Some(&sent.form) };
    challenge::complete(&app.db, &visit.now, &visit.client, app.sign_in_rules(), answer).await
}

/// The field for a code of either kind.
pub(super) fn code_field() -> Field {
    Field {
        hint: Some(Text::new("page-hint-second-factor")),
        ..Field::new("code", Text::new("page-label-code"), "one-time-code")
    }
}

/// The error at the field for codes, or at no field.
pub(super) fn on_the_form(error: Error) -> Error {
    match error {
        Error::Refused(refusals) => {
            let move_there = |refusal: crate::error::Refusal| crate::error::Refusal {
                field: refusal.field.filter(|field| *field == "code"),
                ..refusal
            };
            Error::Refused(refusals.into_iter().map(move_there).collect())
        }
        error => error,
    }
}

fn is_ended(error: &Error) -> bool {
    matches!(error, Error::Refused(refusals) if refusals.iter().any(|refusal| refusal.code == Code::InvalidToken))
}

fn view(challenge: Challenge) -> View {
    let hidden = vec![("challengeToken", challenge.token)];
    let has_codes = challenge.methods.iter().any(|method| matches!(method, Method::Totp | Method::RecoveryCode));
    let section = challenge.passkey.map(|options| passkeys::section(options, "/account/second-factor", hidden.clone()));
    let code = Form {
        hidden,
        fields: vec![Field { required: true, ..code_field() }],
        has_focus: true,
        ..form("/account/second-factor", Text::new("page-button-sign-in"))
    };
    View {
        form: has_codes.then_some(code),
        sections: section.into_iter().collect(),
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
