//! Page that asks for a new proof of identity.

use axum::response::Response;

use super::super::security::{back_link, back_view};
use super::super::view::{Field, Form, View};
use super::super::{Visit, form, passkeys, second_factor};
use super::{OwnForm, OwnVisit};
use crate::domain::account::reauthenticate::{self, TypedProof};
use crate::domain::auth::identity::Caller;
use crate::domain::auth::second_factor::SecondProof;
use crate::entity::session::Method;
use crate::error::Result;
use crate::texts::Text;

/// `GET /account/prove`: asks for a new proof of identity.
pub(in crate::http::pages) async fn prove_form(own: OwnVisit) -> Response {
    match prove_view(&own.visit, &own.caller).await {
        Ok(view) => own.visit.show(&view),
        Err(error) => own.visit.refuse(back_view("page-prove-title"), error),
    }
}

/// `POST /account/prove`
pub(in crate::http::pages) async fn prove(own: OwnForm) -> Response {
    let visit = &own.sent.visit;
    let (password, code, passkey) = (own.sent.field("password"), own.sent.field("code"), own.sent.field("passkey"));
    let proving = async {
        let answer = passkeys::answer(passkey)?;
        let typed = match (&answer, password.is_empty()) {
            (Some(answer), _) => TypedProof::Code(SecondProof::Passkey(answer)),
            (None, false) => TypedProof::Password(password),
            (None, true) => TypedProof::Code(SecondProof::Either(code)),
        };
        reauthenticate::reauthenticate(&visit.app.db, &visit.now, own.user()?, visit.app.sign_in_rules(), typed).await
    };
    match proving.await {
        Ok(_) => visit.go_on("/account/security?done=proved"),
        Err(error) => match prove_view(visit, &own.caller).await {
            Ok(view) => visit.refuse(view, second_factor::on_the_form(error)),
            Err(error) => visit.refuse(back_view("page-prove-title"), error),
        },
    }
}

async fn prove_view(visit: &Visit, caller: &Caller) -> Result<View> {
    let app = &visit.app;
    let accepted = reauthenticate::accepted(&app.db, &visit.now, caller.enrolling_user()?, app.sign_in_rules()).await?;
    let mut fields = Vec::new();
    if accepted.methods.contains(&Method::Password) {
        fields.push(Field {
            required: false,
            ..Field::password("password", Text::new("page-label-password"), "current-password")
        });
    }
    if accepted.methods.iter().any(|method| matches!(method, Method::Totp | Method::RecoveryCode)) {
        fields.push(second_factor::code_field());
    }
    let passkey = accepted.passkey.map(|options| passkeys::section(options, "/account/prove", Vec::new()));
    Ok(View {
        paragraphs: vec![Text::new("page-prove-reason")],
        form: (!fields.is_empty()).then(|| Form {
            fields,
            has_focus: true,
            ..form("/account/prove", Text::new("page-button-prove"))
        }),
        sections: passkey.into_iter().collect(),
        links: vec![back_link()],
        ..View::new(Text::new("page-prove-title"))
    })
}
