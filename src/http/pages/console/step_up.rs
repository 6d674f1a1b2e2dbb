//! Proof of identity before sensitive actions. If one is due, the page asks for it and repeats the form in hidden
//! fields, except passwords. So nothing else has to be typed again, and the proof and the action are one click.

use axum::response::Response;

use super::super::view::PasskeyForm;
use super::super::{Failure, passkeys};
use super::fields::{Control, Field};
use super::question::Question;
use super::{StaffForm, StaffVisit};
use crate::domain::account::reauthenticate::{self, TypedProof};
use crate::domain::auth::passkeys::assertion;
use crate::domain::auth::second_factor::SecondProof;
use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;

/// Field of a form that was asked for a proof.
const ASKED: &str = "proof";

/// Fields of a proof. The script for passkeys fills in the last one.
const PROOFS: [&str; 3] = ["proofPassword", "proofCode", "passkey"];

/// Fields that no page repeats.
const PASSWORDS: [&str; 2] = ["password", "passwordConfirm"];

/// Checks the proof in a form that was asked for one. The form then continues as if it had been proved before.
pub(super) async fn prove(form: StaffForm) -> Result<StaffForm, Response> {
    if form.field(ASKED).is_empty() {
        return Ok(form);
    }
    if let Err(error) = try_prove(&form).await {
        return Err(form.ask_for_proof(Some(error)).await);
    }
    let StaffForm { staff: StaffVisit { visit, caller }, path, fields } = form;
    let refresh = visit.refresh_token();
    let caller = match visit.app.authenticate_page(&visit.now, &visit.client, refresh).await {
        Ok(caller) => caller,
        Err(_) => caller,
    };
    Ok(StaffForm { staff: StaffVisit { visit, caller }, path, fields })
}

async fn try_prove(form: &StaffForm) -> Result<()> {
    let visit = &form.staff.visit;
    let [password, code, passkey] = PROOFS.map(|name| form.field(name));
    let answer = passkeys::answer(passkey)?;
    let typed = match (&answer, password, code) {
        (Some(answer), ..) => TypedProof::Code(SecondProof::Passkey(answer)),
        (None, "", "") => return Err(Refusal::new(Code::Required, "console-proof-required").into()),
        (None, "", code) => TypedProof::Code(SecondProof::Either(code)),
        (None, password, _) => TypedProof::Password(password),
    };
    let owner = form.staff.caller.session_user()?;
    reauthenticate::reauthenticate(&visit.app.db, &visit.now, owner, visit.app.sign_in_rules(), typed).await?;
    Ok(())
}

impl StaffForm {
    /// True if the action failed because a proof is due.
    pub(super) fn needs_proof(error: &Error) -> bool {
        let is_proof = |refusal: &Refusal| refusal.code == Code::ReauthenticationRequired;
        matches!(error, Error::Refused(refusals) if refusals.iter().any(is_proof))
    }

    /// Asks for a proof, also after a wrong one, and keeps the form.
    pub(super) async fn ask_for_proof(&self, error: Option<Error>) -> Response {
        match self.proof_question(error.map(at_proof).as_ref()).await {
            Ok(question) => self.staff.show(&question),
            Err(error) => self.staff.refuse(super::shell::Screen::Users, error),
        }
    }

    async fn proof_question(&self, failure: Option<&Failure>) -> Result<Question<'_>> {
        let visit = &self.staff.visit;
        let (app, owner) = (&visit.app, self.staff.caller.session_user()?);
        let user = owner.user();
        let mut question = Question::new(&self.staff, &Text::new("console-proof-title"), &self.path, &self.path);
        if let Some(failure) = failure {
            question.shell = question.shell.failing(failure);
        }
        if user.password_hash.is_some() {
            let control = Control::Password("current-password");
            question.fields.push(Field::new("proofPassword", Text::new("console-label-own-password"), control, ""));
        }
        if user.has_second_factor {
            let field = Field::new("proofCode", Text::new("page-label-code"), Control::Password("one-time-code"), "");
            question.fields.push(field.hinting(Text::new("page-hint-second-factor")));
        }
        let refusals = &question.shell.refusals;
        question.fields = question.fields.into_iter().map(|field| field.with_error(refusals)).collect();
        let rules = app.second_factor_rules();
        let options = assertion::request_of(app.db.reader(), &visit.now, rules, user).await?;
        question.passkey = options.map(|options| PasskeyForm::get(&options.into()));
        let is_own =
            |name: &str| [ASKED, "csrf", "once"].contains(&name) || PROOFS.contains(&name) || PASSWORDS.contains(&name);
        let kept = self.fields.iter().filter(|(name, _)| !is_own(name)).cloned();
        question.hidden = kept.chain([(ASKED.to_owned(), "1".to_owned())]).collect();
        question.paragraphs.push(Text::new("console-proof-reason"));
        if PASSWORDS.iter().any(|name| !self.field(name).is_empty()) {
            question.paragraphs.push(Text::new("console-proof-password"));
        }
        question.button = Some(Text::new("console-button-continue"));
        Ok(question)
    }
}

/// A wrong proof, reported at its field on the page.
fn at_proof(error: Error) -> Failure {
    let moved = |refusal: Refusal| {
        let field = match refusal.field {
            Some("password") => Some("proofPassword"),
            Some("totpCode" | "recoveryCode") => Some("proofCode"),
            _ => None,
        };
        Refusal { field, ..refusal }
    };
    let failure = Failure::from(error);
    Failure { refusals: failure.refusals.iter().cloned().map(moved).collect(), ..failure }
}
