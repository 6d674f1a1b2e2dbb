//! Events about wrong proofs: the same ones, wherever the proof is given.

use std::time::Duration;

use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::audit_event::{self, Action, Reason};

use super::{STEP, challenge, complete, enrolled, plant};
use crate::pages::{Browser, text};
use crate::parity::registration::{VERIFY, token};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

const WRONG: &str = "not the password at all";

async fn events(app: &TestApp) -> Vec<audit_event::Model> {
    audit_event::Entity::find().order_by_asc(audit_event::Column::Id).all(app.db()).await.unwrap()
}

#[both_databases]
async fn every_wrong_proof_leaves_the_same_event(place: Place) {
    use Reason::{WrongPassword, WrongSecondFactor};
    let app = TestApp::start_with(&place, |config| {
        config.limits.limits = false;
        config.sessions.access_ttl = Duration::from_secs(60 * 60);
    })
    .await;
    let (ada, client, phone) = enrolled(&app, "ada").await;
    let wrong_code = phone.wrong_code(&app);
    macro_rules! leaves {
        ($reason:expr, $way:expr, $step:expr) => {{
            app.wait(STEP);
            let before = events(&app).await.len();
            $step;
            let new = events(&app).await.split_off(before);
            let seen: Vec<_> = new.iter().map(|one| (one.action, one.reason, one.actor_id, one.target_id)).collect();
            assert_eq!(seen, [(Action::LoginFailed, Some($reason), None, ada.id.parse().ok())], "{}", $way);
            assert_eq!(new[0].ip.as_deref(), Some("127.0.0.1"), "{}", $way);
        }};
    }

    let login = "login(input: { identifier: \"ada\", password: $p })";
    leaves!(WrongPassword, "login", {
        let document = format!("mutation($p: String!) {{ {login} {{ errors {{ code field }} }} }}");
        assert_eq!(app.anyone().refusals(&document, json!({ "p": WRONG })).await, ["INVALID_CREDENTIALS"]);
    });
    for proof in [json!({ "totpCode": wrong_code }), json!({ "recoveryCode": WRONG })] {
        let token = challenge(&app.anyone(), "ada").await;
        leaves!(WrongSecondFactor, "completeLogin", complete(&app.anyone(), &token, proof.clone()).await);
        let document = "mutation($p: ProofInput!) { reauthenticate(input: { proof: $p }) { errors { code field } } }";
        leaves!(WrongSecondFactor, "reauthenticate", client.refusals(document, json!({ "p": proof })).await);
    }
    for call in [
        "reauthenticate(input: { proof: { password: $p } })",
        "changePassword(input: { oldPassword: $p, newPassword: \"quite another phrase of mine\" })",
        "updateMe(input: { email: \"new@example.com\", currentPassword: $p })",
        "deactivateMe(input: { currentPassword: $p })",
        "deleteMe(input: { currentPassword: $p })",
    ] {
        let document = format!("mutation($p: String!) {{ {call} {{ errors {{ code field }} }} }}");
        leaves!(WrongPassword, call, {
            let refused = client.refusals(&document, json!({ "p": WRONG })).await;
            assert!(refused.len() == 1 && refused[0].starts_with("PASSWORD_INCORRECT"), "{call}: {refused:?}");
        });
    }

    let mv = "mutation($p: String!) { updateMe(input: { email: \"new@example.com\", currentPassword: $p }) {
        errors { code field } } }";
    assert_eq!(client.refusals(mv, json!({ "p": PASSWORD })).await, [""; 0]);
    let link = token(&app.mails().await[0]);
    leaves!(WrongPassword, "verifyEmail", {
        let refused = app.anyone().refusals(VERIFY, json!({ "token": link, "password": WRONG })).await;
        assert_eq!(refused, ["PASSWORD_INCORRECT password"]);
    });

    let mut browser = Browser::new(&app);
    for (path, field) in [("/account/sign-in", "password"), ("/account/password", "oldPassword")] {
        let page = browser.open(path).await;
        let new = [("newPassword", "quite another phrase"), ("newPasswordConfirm", "quite another phrase")];
        leaves!(
            WrongPassword,
            path,
            browser.submit(&page, &[&[("identifier", "ada"), (field, WRONG)], &new[..]].concat()).await
        );
    }
    let page = browser.open("/account/sign-in").await;
    let asked = browser.submit(&page, &[("identifier", "ada"), ("password", PASSWORD)]).await;
    leaves!(WrongSecondFactor, "/account/second-factor", browser.submit(&asked, &[("code", &wrong_code)]).await);
    let done = browser.submit(&asked, &[("code", &phone.code(&app))]).await;
    assert!(text(&done).contains("You are signed in"), "{}", text(&done));
    let page = browser.open("/account/prove").await;
    leaves!(WrongPassword, "/account/prove", browser.submit(&page, &[("password", WRONG)]).await);
    leaves!(WrongSecondFactor, "/account/prove", browser.submit(&page, &[("code", &wrong_code)]).await);
}

#[both_databases]
async fn a_code_for_a_change_beyond_the_limit_leaves_the_event_of_a_password(place: Place) {
    const NEW: &str = "quite another phrase of mine";
    let app = TestApp::start_with(&place, |config| config.limits.limit_writes = "1/10m".parse().unwrap()).await;
    let ada = app.add_user("ada").await;
    let phone = plant(&app, &ada).await;
    let mut statuses = Vec::new();
    let mut browser = Browser::new(&app);
    for (old, new) in [(PASSWORD, NEW), (NEW, PASSWORD), (PASSWORD, NEW)] {
        app.wait(STEP);
        let page = browser.open("/account/password").await;
        let typed = [("identifier", "ada"), ("oldPassword", old), ("newPassword", new), ("newPasswordConfirm", new)];
        let asked = browser.submit(&page, &typed).await;
        statuses.push(browser.submit(&asked, &[("code", &phone.code(&app))]).await.status);
    }
    // One change of the user, and one for the network of the client.
    assert_eq!(statuses, [200, 200, 429]);
    let failed: Vec<_> = events(&app).await.into_iter().filter(|event| event.action == Action::LoginFailed).collect();
    assert_eq!(failed.iter().map(|event| event.reason).collect::<Vec<_>>(), [Some(Reason::LimitWrites)]);
    assert_eq!(failed[0].target_id, ada.id.parse().ok());
}
