//! Audit trail: one event per action, in the same transaction.

use std::collections::HashSet;
use test_macros::both_databases;

use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, EntityTrait as _, Iterable as _, QueryFilter as _, QueryOrder as _};
use serde_json::json;
use vestibule::domain::auth::signing_keys::Start;
use vestibule::domain::operator::{self, Operator};
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{import_job, import_mapping};

use crate::parity::recovery::reset_link;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_database::Place;

async fn events(app: &TestApp) -> Vec<audit_event::Model> {
    audit_event::Entity::find().order_by_asc(audit_event::Column::CreatedAt).all(app.db()).await.unwrap()
}

#[both_databases]
async fn each_operation_leaves_its_event(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let ada = app.add_user("ada").await;
    let staff = boss.sign_in(&app).await;
    let known = events(&app).await.len();
    let id = |person: &crate::test_app::Person| Some(person.id.parse::<uuid::Uuid>().unwrap());
    let (boss_id, ada_id) = (id(&boss), id(&ada));

    let mut expected = Vec::new();
    let mut next = async |action, actor, target| {
        app.wait(std::time::Duration::from_secs(1));
        expected.push((action, actor, target));
        let events = events(&app).await;
        let seen: Vec<_> =
            events[known..].iter().map(|event| (event.action, event.actor_id, event.target_id)).collect();
        assert_eq!(seen, expected);
        let last = events.last().unwrap();
        assert_eq!(last.ip.as_deref(), Some("127.0.0.1"));
    };
    let anyone = app.anyone().with_header("user-agent", "a test\u{9}of ours");
    let login = "mutation($p: String!) { login(input: { identifier: \"ada\", password: $p }) { errors { code } } }";
    anyone.data(login, json!({ "p": "wrong" })).await;
    next(Action::LoginFailed, None, ada_id).await;
    anyone.data(&login.replace("ada", "nobody"), json!({ "p": "wrong" })).await;
    next(Action::LoginFailed, None, None).await;
    let client = anyone.clone().sign_in("ada", PASSWORD).await;
    next(Action::Login, ada_id, ada_id).await;
    client.data("mutation { logout { success } }", json!({})).await;
    next(Action::Logout, ada_id, ada_id).await;
    let (uid, token) = reset_link(&app, &ada.email).await;
    next(Action::ResetRequested, None, ada_id).await;
    let input = json!({ "input": { "uid": uid, "token": token, "newPassword": "quite a new long phrase" } });
    anyone.data("mutation($input: ConfirmResetInput!) { confirmReset(input: $input) { success } }", input).await;
    next(Action::PasswordReset, ada_id, ada_id).await;

    let toggle = |what: &str, field: &str, to: bool| {
        format!("mutation($id: ID!) {{ {what}(input: {{ id: $id, {field}: {to} }}) {{ errors {{ code }} }} }}")
    };
    for (what, field, to, action) in [
        ("toggleStaff", "isStaff", true, Action::StaffGranted),
        ("toggleStaff", "isStaff", false, Action::StaffRevoked),
        ("toggleActive", "isActive", false, Action::Deactivated),
        ("toggleActive", "isActive", true, Action::Activated),
    ] {
        staff.data(&toggle(what, field, to), json!({ "id": ada.id })).await;
        next(action, boss_id, ada_id).await;
    }
    staff.data("{ allEmails }", json!({})).await;
    next(Action::Exported, boss_id, None).await;
    let create = "mutation { createUser(input: { email: \"eve@example.com\" }) { user { id } } }";
    let eve = staff.data(create, json!({})).await["createUser"]["user"]["id"].as_str().unwrap().parse().ok();
    next(Action::UserCreated, boss_id, eve).await;
    assert_eq!(events(&app).await[known].user_agent.as_deref(), Some("a testof ours"));
}

#[expect(clippy::too_many_lines, reason = "it goes through all actions, one after the other")]
#[both_databases]
async fn each_of_the_actions_leaves_exactly_one_event(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let admin = app.admin().await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_reader("ada").await;
    let mut done = Vec::new();
    // The clock is fixed, so only ids distinguish new events from old ones.
    let known = async || events(&app).await.into_iter().map(|event| event.id).collect::<HashSet<_>>();
    let since = async |known: &HashSet<uuid::Uuid>| {
        let events = events(&app).await.into_iter().filter(|event| !known.contains(&event.id));
        events.map(|event| event.action).collect::<Vec<_>>()
    };
    macro_rules! leaves {
        ($action:expr, $($step:tt)*) => {{
            let before = known().await;
            $($step)*
            assert_eq!(since(&before).await, [$action]);
            done.push($action);
        }};
    }
    let say = async |client: &crate::test_client::Client, document: &str, variables: serde_json::Value| {
        client.send(document, variables).await.body
    };
    let sign_in = "mutation($p: String!) { login(input: { identifier: \"ada\", password: $p }) { tokens { accessToken refreshToken } } }";
    leaves!(Action::Login, say(&app.anyone(), sign_in, json!({ "p": PASSWORD })).await;);
    leaves!(Action::LoginFailed, say(&app.anyone(), sign_in, json!({ "p": "wrong" })).await;);
    let client = ada.sign_in(&app).await;
    leaves!(Action::Logout, say(&client, "mutation { logout { success } }", json!({})).await;);
    let mut thief = ada.sign_in(&app).await;
    let mut owner = thief.clone();
    owner.refresh().await.unwrap();
    owner.data("{ me { id } }", json!({})).await;
    app.wait(std::time::Duration::from_secs(11));
    leaves!(
        Action::RefreshReused,
        for _ in 0..3 {
            thief.refresh().await.unwrap_err();
        }
    );
    app.mails().await;

    let wanted = crate::parity::registration::wanted("eve@example.com");
    let link;
    leaves!(Action::Registered, link = crate::parity::registration::register(&app, wanted).await;);
    leaves!(Action::EmailVerified, say(&app.anyone(), crate::parity::registration::VERIFY, link.variables()).await;);

    let client = ada.sign_in(&app).await;
    let mv = "mutation($p: String!) { updateMe(input: { email: \"countess@example.com\", currentPassword: $p }) { errors { code } } }";
    leaves!(Action::UserUpdated, say(&client, mv, json!({ "p": PASSWORD })).await;);
    let link = crate::parity::registration::token(&app.mails().await[0]);
    leaves!(Action::EmailChanged, say(&client, crate::parity::registration::VERIFY, json!({ "token": link })).await;);
    let link = crate::parity::registration::token_of(&app.mails().await[0], "/account/undo?token=");
    let undo = "mutation($t: String!) { undoEmailChange(input: { token: $t }) { success } }";
    leaves!(Action::EmailChangeUndone, say(&app.anyone(), undo, json!({ "t": link })).await;);
    app.mails().await;

    let reset;
    leaves!(Action::ResetRequested, reset = reset_link(&app, "ada@example.com").await;);
    let confirm = "mutation($u: ID!, $t: String!, $p: String!) { confirmReset(input: { uid: $u, token: $t, newPassword: $p }) { success } }";
    leaves!(Action::PasswordReset, say(&app.anyone(), confirm, json!({ "u": reset.0, "t": reset.1, "p": PASSWORD })).await;);
    let client = app.anyone().sign_in("ada", PASSWORD).await;
    let change =
        "mutation($p: String!) { changePassword(input: { oldPassword: $p, newPassword: $p }) { errors { code } } }";
    leaves!(Action::PasswordChanged, say(&client, change, json!({ "p": PASSWORD })).await;);
    let set =
        "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) { errors { code } } }";
    leaves!(Action::PasswordSet, say(&boss, set, json!({ "id": ada.id, "p": PASSWORD })).await;);

    let create = "mutation { createUser(input: { email: \"bob@example.com\" }) { user { id } } }";
    let bob;
    leaves!(Action::UserCreated, bob = say(&boss, create, json!({})).await["data"]["createUser"]["user"]["id"].clone(););
    for (field, to, action) in [
        ("toggleStaff", "isStaff: true", Action::StaffGranted),
        ("toggleStaff", "isStaff: false", Action::StaffRevoked),
        ("toggleActive", "isActive: false", Action::Deactivated),
        ("toggleActive", "isActive: true", Action::Activated),
    ] {
        let document = format!("mutation($id: ID!) {{ {field}(input: {{ id: $id, {to} }}) {{ errors {{ code }} }} }}");
        leaves!(action, say(&boss, &document, json!({ "id": bob })).await;);
    }
    let mails = "{ outgoingMails(recipient: \"bob@example.com\") { nodes { id } } }";
    let mail = boss.data(mails, json!({})).await["outgoingMails"]["nodes"][0]["id"].clone();
    for (field, action) in [
        ("holdMails", Action::MailHeld),
        ("releaseMails", Action::MailReleased),
        ("cancelMails", Action::MailCancelled),
    ] {
        let document = format!("mutation($id: ID!) {{ {field}(input: {{ ids: [$id] }}) {{ errors {{ code }} }} }}");
        leaves!(action, say(&boss, &document, json!({ "id": mail })).await;);
    }
    let send = "mutation($id: ID!) { sendLink(input: { id: $id, kind: INVITATION }) { errors { code } } }";
    leaves!(Action::InvitationSent, say(&boss, send, json!({ "id": bob })).await;);
    let file = "email,first_name\nada@nowhere.example,Ada\n";
    let before = known().await;
    crate::spreadsheet_import::import(&boss, file).await;
    let new = since(&before).await;
    assert_eq!(new.iter().filter(|action| **action == Action::UsersImported).count(), 1, "{new:?}");
    done.push(Action::UsersImported);

    let client = app.anyone().sign_in("ada", PASSWORD).await;
    let make = "mutation { createApiToken(input: { name: \"a\", scopes: [READ] }) { apiToken { id } } }";
    let made;
    leaves!(Action::ApiTokenCreated, made = say(&client, make, json!({})).await["data"]["createApiToken"]["apiToken"]["id"].clone(););
    let rotate = "mutation($id: ID!) { rotateApiToken(input: { id: $id }) { errors { code } } }";
    leaves!(Action::ApiTokenRotated, say(&client, rotate, json!({ "id": made })).await;);
    let delete = "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { errors { code } } }";
    leaves!(Action::ApiTokenDeleted, say(&client, delete, json!({ "id": made })).await;);
    let prove = "mutation($p: String!) { reauthenticate(input: { proof: { password: $p } }) { errors { code } } }";
    leaves!(Action::Reauthenticated, say(&client, prove, json!({ "p": PASSWORD })).await;);
    let phone;
    leaves!(Action::FactorAdded, phone = crate::second_factor::enroll(&app, &client).await;);
    let before = known().await;
    crate::second_factor::sign_in_by(&app, "ada", json!({ "recoveryCode": phone.recovery_codes[0] })).await;
    let mut new = since(&before).await;
    new.retain(|action| *action != Action::Login);
    assert_eq!(new, [Action::RecoveryCodeUsed]);
    done.push(Action::RecoveryCodeUsed);
    app.wait(crate::second_factor::STEP);
    let before = known().await;
    crate::second_factor::sign_in_on(&app, "ada", json!({ "totpCode": phone.code(&app) })).await;
    let mut new = since(&before).await;
    new.retain(|action| *action != Action::Login);
    assert_eq!(new, [Action::NewDevice]);
    done.push(Action::NewDevice);
    let renew = "mutation { regenerateRecoveryCodes { errors { code } } }";
    leaves!(Action::RecoveryCodesRenewed, say(&client, renew, json!({})).await;);
    let delete = "mutation($id: ID!) { deleteFactor(input: { id: $id }) { errors { code } } }";
    leaves!(Action::FactorRemoved, say(&client, delete, json!({ "id": phone.id })).await;);
    let mut authenticator = crate::authenticator::Authenticator::new(&crate::passkeys::origin(&app));
    let added;
    leaves!(Action::PasskeyAdded, added = crate::passkeys::register(&client, &mut authenticator).await;);
    let delete = "mutation($id: ID!) { deletePasskey(input: { id: $id }) { errors { code } } }";
    leaves!(Action::PasskeyRemoved, say(&client, delete, json!({ "id": added["passkey"]["id"] })).await;);
    crate::second_factor::enroll(&app, &client).await;
    let reset = "mutation($id: ID!) { resetFactors(input: { id: $id }) { errors { code } } }";
    leaves!(Action::FactorsReset, say(&boss, reset, json!({ "id": ada.id })).await;);
    let client = app.anyone().sign_in("ada", PASSWORD).await;
    let other = app.anyone().sign_in("ada", PASSWORD).await;
    let id = other.data("{ sessions { id isCurrent } }", json!({})).await["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|session| session["isCurrent"] == true)
        .unwrap()["id"]
        .clone();
    let revoke = "mutation($id: ID!) { revokeSession(input: { id: $id }) { errors { code } } }";
    leaves!(Action::SessionRevoked, say(&client, revoke, json!({ "id": id })).await;);
    leaves!(Action::Exported, client.get("/export/samples.csv").await;);

    let mapping = uuid::Uuid::from_u128(1);
    let row = import_mapping::ActiveModel {
        id: Set(mapping),
        digest: Set("y".repeat(43)),
        mapping: Set("{\"columns\":[]}".to_owned()),
        match_by: Set(import_job::MatchBy::Email),
        used_at: Set(app.clock_now()),
    };
    import_mapping::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let forget = "mutation($id: ID!) { deleteImportMapping(input: { id: $id }) { errors { code } } }";
    leaves!(Action::ImportMappingDeleted, say(&admin, forget, json!({ "id": mapping })).await;);

    let remove = "mutation($id: ID!) { deleteUser(input: { id: $id }) { errors { code } } }";
    leaves!(Action::Deleted, say(&admin, remove, json!({ "id": bob })).await;);
    client.data("mutation { recordSample(input: { key: \"k\", title: \"t\" }) { errors { code } } }", json!({})).await;
    leaves!(Action::Anonymized, say(&admin, remove, json!({ "id": ada.id })).await;);

    let (now, operator) = (app.app.clock.now(), Operator::new());
    leaves!(Action::SessionsRevoked, operator::sessions::end_everybodys(&app.app.db, &now, &operator).await.unwrap(););
    let key;
    leaves!(
        Action::SigningKeyRotated,
        key = app.app.rotate_keys(&now, &operator, Start::AtOnce).await.unwrap().kid;
    );
    leaves!(Action::SigningKeyRevoked, app.app.revoke_key(&now, &operator, &key).await.unwrap(););
    leaves!(Action::SecretsResealed, app.app.reseal(&now, &operator).await.unwrap(););

    let limited =
        app.start_second_with(&place, |config| config.limits.limit_mail_address = "1/1h".parse().unwrap()).await;
    // A user who never signed in has no reserve.
    app.add_user("carol").await;
    let ask = "mutation { requestReset(input: { email: \"carol@example.com\" }) { success } }";
    leaves!(Action::ResetRequested, say(&limited.anyone(), ask, json!({})).await;);
    leaves!(
        Action::LimitReached,
        for _ in 0..3 {
            say(&limited.anyone(), ask, json!({})).await;
            limited.app.limits.report(&app.app.db, &now).await.unwrap();
        }
    );
    let carol = operator::users::find(&app.app.db, &operator, "carol").await.unwrap();
    let whose = operator::limits::LimitOwner::User(Box::new(carol));
    leaves!(
        Action::LimitsLifted,
        let lifted = operator::limits::lift(&app.app.db, &now, &operator, &limited.app.limits, &whose).await.unwrap();
        assert_eq!(lifted, 2);
    );

    let untold: Vec<Action> = Action::iter().filter(|action| !done.contains(action)).collect();
    assert_eq!((Action::iter().count(), untold), (46, vec![]));
}

#[both_databases]
async fn refused_operations_leave_no_event(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let staff = boss.sign_in(&app).await;
    let before = events(&app).await.len();
    staff
        .data("mutation($id: ID!) { toggleStaff(input: { id: $id }) { errors { code } } }", json!({ "id": boss.id }))
        .await;
    staff.data("mutation { createUser(input: { email: \"ADA@example.com\" }) { errors { code } } }", json!({})).await;
    ada.code("{ allEmails }", json!({})).await;
    app.anyone().data("mutation { requestReset(input: { email: \"x\" }) { errors { code } } }", json!({})).await;
    assert_eq!(events(&app).await.len(), before);
}

#[both_databases]
async fn staff_rights_leave_an_event_with_the_account_too(place: Place) {
    let app = TestApp::start(&place).await;
    let granted = async |id: &str| {
        let of = audit_event::Column::TargetId.eq(id.parse::<uuid::Uuid>().unwrap());
        let events = audit_event::Entity::find().filter(of).all(app.db()).await.unwrap();
        events.iter().filter(|event| event.action == Action::StaffGranted).count()
    };
    let (boss, ann) = (app.add_staff("boss").await, app.add_user("ann").await);
    assert_eq!((granted(&boss.id).await, granted(&ann.id).await), (1, 0));
}
