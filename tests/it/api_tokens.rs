//! API tokens: scopes, expiry, and the right to create them.

use std::collections::HashMap;
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::{Value, json};
use vestibule::entity::audit_event::Action;
use vestibule::entity::{api_token, audit_event, user};

use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

pub(crate) const CREATE: &str = "mutation($input: CreateApiTokenInput!) { createApiToken(input: $input) {
    apiToken { id name scopes prefix createdAt lastUsedAt expiresAt } secret errors { code field }
} }";

const ROTATE: &str = "mutation($id: ID!) { rotateApiToken(input: { id: $id }) {
    apiToken { id name scopes prefix createdAt lastUsedAt expiresAt } secret errors { code field }
} }";

const DELETE: &str =
    "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { apiToken { id } errors { code field } } }";

const LIST: &str = "{ apiTokens { id name scopes prefix createdAt lastUsedAt expiresAt } }";

const ME: &str = "{ me { username } }";

const RECORD: &str =
    "mutation { recordSample(input: { key: \"K\", title: \"T\" }) { sample { key } errors { code } } }";

/// Creates a token with these scopes, and returns its id and secret.
pub(crate) async fn make(owner: &Client, scopes: &[&str]) -> (String, String) {
    let input = json!({ "input": { "name": "a script", "scopes": scopes } });
    let data = owner.data(CREATE, input).await;
    let payload = &data["createApiToken"];
    assert_eq!(payload["errors"], json!([]));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&payload["apiToken"]["id"]), text(&payload["secret"]))
}

#[both_databases]
async fn each_scope_allows_its_operations_and_exports_only(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_staff("boss").await;
    let boss = person.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    for scopes in [
        &["READ"][..],
        &["WRITE"],
        &["EXPORT"],
        &["MANAGE_USERS"],
        &["READ", "WRITE"],
        &["READ", "WRITE", "EXPORT"],
        &["READ", "WRITE", "EXPORT", "MANAGE_USERS"],
    ] {
        let (_, secret) = make(&boss, scopes).await;
        let token = app.anyone().with_token(secret);
        let user = json!({ "id": person.id });
        let queries = [
            (ME, json!({})),
            ("query($id: ID!) { user(id: $id) { email } }", user.clone()),
            ("{ users { nodes { email } } }", json!({})),
            ("{ recentSamples { key } }", json!({})),
            ("{ statistics(days: 1) { users } }", json!({})),
            ("query($id: ID!) { signInProblems(id: $id) { kind } }", user.clone()),
            (LIST, json!({})),
        ];
        let mutations = [
            (RECORD, json!({})),
            ("mutation { updateMe(input: { bio: \"by a script\" }) { user { bio } } }", json!({})),
            ("mutation { removeAvatar { user { id } } }", json!({})),
        ];
        let other = json!({ "id": ada.id });
        let managing = [
            ("mutation($id: ID!) { toggleActive(input: { id: $id, isActive: true }) { user { id } } }", other.clone()),
            ("mutation($id: ID!) { updateUser(input: { id: $id, bio: \"x\" }) { user { id } } }", other.clone()),
            (
                "mutation($id: ID!) { setUsersActive(input: { ids: [$id], isActive: true }) { errors { code } } }",
                other.clone(),
            ),
            (
                "mutation($id: ID!) { sendLink(input: { id: $id, kind: INVITATION }) { errors { code } } }",
                other.clone(),
            ),
            ("mutation($id: ID!) { holdMails(input: { ids: [$id] }) { errors { code } } }", other.clone()),
            ("mutation($id: ID!) { releaseMails(input: { ids: [$id] }) { errors { code } } }", other.clone()),
            ("mutation($id: ID!) { cancelMails(input: { ids: [$id] }) { errors { code } } }", other.clone()),
            ("mutation($id: ID!) { retryMail(input: { id: $id }) { mail { id } } }", other),
            ("mutation { createUser(input: { email: \"x\" }) { user { id } } }", json!({})),
        ];
        let emails = [("{ allEmails }", json!({}))];
        for (scope, documents) in
            [("READ", &queries[..]), ("WRITE", &mutations), ("EXPORT", &emails), ("MANAGE_USERS", &managing)]
        {
            for (document, variables) in documents {
                match scopes.contains(&scope) {
                    true => drop(token.data(document, variables.clone()).await),
                    false => assert_eq!(token.code(document, variables.clone()).await, "FORBIDDEN", "{document}"),
                }
            }
        }
        for path in ["/export/samples.csv", "/export/users.csv", "/export/users.xlsx"] {
            let status = if scopes.contains(&"EXPORT") { 200 } else { 403 };
            assert_eq!(token.get(path).await.status, status, "{path} {scopes:?}");
        }
    }
}

/// Operations added later belong in this list.
#[both_databases]
async fn no_token_touches_credentials_sessions_or_tokens(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let (id, secret) = make(&boss, &["READ", "WRITE", "EXPORT", "MANAGE_USERS"]).await;
    let token = app.anyone().with_token(&secret);
    let create_user = "mutation($p: String) { createUser(input: { email: \"eve@example.com\", password: $p }) {
        user { id } errors { code } } }";
    for (document, variables) in [
        (CREATE, json!({ "input": { "name": "more", "scopes": ["READ"] } })),
        (ROTATE, json!({ "id": id })),
        (DELETE, json!({ "id": id })),
        ("mutation { logout { success } }", json!({})),
        ("mutation { logout(input: { everywhere: true }) { success } }", json!({})),
        (create_user, json!({ "p": PASSWORD })),
        ("mutation { createUser(input: { email: \"a@example.com\", isStaff: true }) { user { id } } }", json!({})),
        ("mutation { createUser(input: { email: \"a@example.com\", role: ADMIN }) { user { id } } }", json!({})),
        ("mutation { toggleStaff(input: { id: \"x\" }) { user { id } } }", json!({})),
        ("mutation { changePassword(input: { oldPassword: \"x\", newPassword: \"y\" }) { success } }", json!({})),
        (
            "mutation { updateMe(input: { email: \"x@example.com\", currentPassword: \"y\" }) { user { id } } }",
            json!({}),
        ),
        ("{ sessions { id } }", json!({})),
        ("mutation { revokeSession(input: { id: \"x\" }) { session { id } } }", json!({})),
        ("mutation { revokeOtherSessions { success } }", json!({})),
        ("mutation { withdrawEmailChange { user { id } } }", json!({})),
        ("mutation { resendEmailChange { user { id } } }", json!({})),
        ("mutation { startTotpEnrollment { errors { code } } }", json!({})),
        (
            "mutation { confirmTotpEnrollment(input: { enrollmentToken: \"x\", totpCode: \"1\" }) { recoveryCodes } }",
            json!({}),
        ),
        ("mutation { regenerateRecoveryCodes { recoveryCodes } }", json!({})),
        ("mutation { deleteFactor(input: { id: \"x\" }) { deletedId } }", json!({})),
        ("mutation { resetFactors(input: { id: \"x\" }) { user { id } } }", json!({})),
        ("mutation { endUserSessions(input: { id: \"x\" }) { user { id } } }", json!({})),
        ("mutation { revokeUserApiToken(input: { id: \"x\" }) { apiToken { id } } }", json!({})),
        ("mutation { deactivateMe(input: { currentPassword: \"x\" }) { success } }", json!({})),
        ("mutation { deleteMe(input: { currentPassword: \"x\" }) { outcome } }", json!({})),
    ] {
        assert_eq!(token.code(document, variables).await, "FORBIDDEN", "{document}");
    }
    token.data(ME, json!({})).await;
    boss.data(ME, json!({})).await;
    assert_eq!(boss.data(LIST, json!({})).await["apiTokens"].as_array().unwrap().len(), 1);
    token
        .data("mutation { updateMe(input: { bio: \"by a script\" }) { user { bio } errors { code } } }", json!({}))
        .await;
    let created = token.data(create_user, json!({ "p": null })).await;
    assert_eq!(created["createUser"]["errors"], json!([]));
}

#[both_databases]
async fn a_token_of_staff_changes_nobodys_credentials_or_rights(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let ada = app.add_user("ada").await;
    let (_, token) = make(&boss, &["READ", "WRITE", "MANAGE_USERS"]).await;
    let script = app.anyone().with_token(token);
    let update = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code field } } }";
    for change in [
        json!({ "email": "mine@example.com" }),
        json!({ "password": PASSWORD }),
        json!({ "isStaff": true }),
        json!({ "role": "ADMIN" }),
        json!({ "role": "MANAGER" }),
        json!({ "permission": "DOWNLOAD" }),
    ] {
        let mut input = json!({ "id": ada.id, "firstName": "Mallory" });
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(script.code(update, json!({ "input": input })).await, "FORBIDDEN", "{change}");
    }
    let details = json!({ "id": ada.id, "firstName": "Ada", "lastName": "L", "phone": "1", "address": "x", "bio": "y",
        "username": "countess", "isActive": false });
    assert_eq!(script.refusals(update, json!({ "input": details })).await, [""; 0]);
    // Unchanged values are no change, so a script may send a user back as it was read.
    let same =
        json!({ "id": ada.id, "email": ada.email, "role": "MEMBER", "permission": "ONLY_VIEW", "isStaff": false });
    assert_eq!(script.refusals(update, json!({ "input": same })).await, [""; 0]);
    let shown = "query($id: ID!) { user(id: $id) { username firstName email role permission isStaff isActive } }";
    assert_eq!(
        script.data(shown, json!({ "id": ada.id })).await["user"],
        json!({ "username": "countess", "firstName": "Ada", "email": "ada@example.com", "role": "MEMBER",
            "permission": "ONLY_VIEW", "isStaff": false, "isActive": false })
    );
}

#[both_databases]
async fn a_token_of_staff_reaches_neither_staff_nor_its_owner(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await;
    let colleague = app.add_staff("colleague").await;
    let director = app.add(json!({ "username": "director", "email": "director@example.com", "role": "ADMIN" })).await;
    let admin = app.admin().await;
    let superuser = admin.data("{ me { id } }", json!({})).await["me"]["id"].as_str().unwrap().to_owned();
    // Not even a superuser's token reaches them.
    for owner in [&boss.sign_in(&app).await, &admin] {
        let (_, token) = make(owner, &["READ", "WRITE", "EXPORT", "MANAGE_USERS"]).await;
        let script = app.anyone().with_token(token);
        for id in [&boss.id, &colleague.id, &director.id, &superuser] {
            for document in [
                "mutation($id: ID!) { updateUser(input: { id: $id, firstName: \"x\" }) { errors { code } } }",
                "mutation($id: ID!) { updateUser(input: { id: $id, permission: FULL_ACCESS }) { errors { code } } }",
                "mutation($id: ID!) { updateUser(input: { id: $id, isActive: false }) { errors { code } } }",
                "mutation($id: ID!) { updateUser(input: { id: $id, isActive: true }) { errors { code } } }",
                "mutation($id: ID!) { updateUser(input: { id: $id }) { errors { code } } }",
                "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }",
                "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: true }) { errors { code } } }",
                "mutation($id: ID!) { toggleStaff(input: { id: $id }) { errors { code } } }",
            ] {
                assert_eq!(script.code(document, json!({ "id": id })).await, "FORBIDDEN", "{document}");
            }
        }
    }
    let staff = user::Entity::find().all(app.db()).await.unwrap();
    assert_eq!(staff.len(), 4);
    assert!(staff.iter().all(|user| user.is_active && user.first_name.is_empty()));
    // Changes to the owner's account need WRITE, and `updateMe`.
    let (_, token) = make(&boss.sign_in(&app).await, &["MANAGE_USERS"]).await;
    let own = "mutation { updateMe(input: { firstName: \"Bo\" }) { errors { code } } }";
    assert_eq!(app.anyone().with_token(token).code(own, json!({})).await, "FORBIDDEN");
}

#[both_databases]
async fn a_token_of_staff_makes_accounts_without_rights_only(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_staff("boss").await;
    let boss = person.sign_in(&app).await;
    let (_, token) = make(&boss, &["MANAGE_USERS"]).await;
    app.mails().await;
    let script = app.anyone().with_token(token);
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) {
        user { role permission isStaff isVerified } errors { code field } } }";
    for rights in [
        json!({ "role": "MANAGER" }),
        json!({ "role": "AGENT" }),
        json!({ "role": "ADMIN" }),
        json!({ "permission": "DOWNLOAD" }),
        json!({ "permission": "FULL_ACCESS" }),
        json!({ "isStaff": true }),
        json!({ "password": PASSWORD }),
    ] {
        let mut input = json!({ "email": "eve@example.com" });
        input.as_object_mut().unwrap().extend(rights.as_object().unwrap().clone());
        assert_eq!(script.code(create, json!({ "input": input })).await, "FORBIDDEN", "{rights}");
    }
    assert!(app.mails().await.is_empty());
    let created = script.data(create, json!({ "input": { "email": "eve@example.com", "firstName": "Eve" } })).await;
    assert_eq!(
        created["createUser"]["user"],
        json!({ "role": "MEMBER", "permission": "ONLY_VIEW", "isStaff": false, "isVerified": false })
    );
    assert_eq!(app.mails().await.len(), 1);
    let demote = "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: false }) { errors { code } } }";
    assert_eq!(app.admin().await.refusals(demote, json!({ "id": person.id })).await, [""; 0]);
    let input = json!({ "input": { "email": "mallory@example.com" } });
    assert_eq!(script.code(create, input).await, "FORBIDDEN", "its owner is not staff any more");
}

#[both_databases]
async fn only_staff_make_tokens_that_administer_users(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let input = json!({ "input": { "name": "for the day of my promotion", "scopes": ["READ", "MANAGE_USERS"] } });
    assert_eq!(ada.refusals(CREATE, input.clone()).await, ["INVALID scopes"]);
    assert_eq!(api_token::Entity::find().count(app.db()).await.unwrap(), 0);
    let person = app.add_staff("boss").await;
    let boss = person.sign_in(&app).await;
    let (id, _) = make(&boss, &["MANAGE_USERS"]).await;
    assert_eq!(boss.refusals(ROTATE, json!({ "id": id })).await, [""; 0]);
    let demote = "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: false }) { errors { code } } }";
    app.admin().await.data(demote, json!({ "id": person.id })).await;
    assert_eq!(boss.refusals(ROTATE, json!({ "id": id })).await, ["INVALID"]);
}

#[both_databases]
async fn viewer_can_agrees_with_the_scopes_of_a_token(place: Place) {
    let app = TestApp::start(&place).await;
    let (boss, ada) = (app.add_staff("boss").await, app.add_user("ada").await);
    let session = boss.sign_in(&app).await;
    let can = "query($id: ID!) { user(id: $id) { viewerCan {
        update { allowed } toggleActive { allowed } toggleStaff { allowed } setPassword { allowed } delete { allowed }
        sendLink { allowed } endSessions { allowed } revokeApiTokens { allowed }
    } } }";
    for (scopes, id, reached) in [
        (&["READ"][..], &ada.id, false),
        (&["READ", "WRITE"], &ada.id, false),
        (&["READ", "MANAGE_USERS"], &ada.id, true),
        (&["READ", "MANAGE_USERS"], &boss.id, false),
    ] {
        let script = app.anyone().with_token(make(&session, scopes).await.1);
        let said = script.data(can, json!({ "id": id })).await["user"]["viewerCan"].clone();
        for (deed, expected) in [
            ("update", reached),
            ("toggleActive", reached),
            ("toggleStaff", false),
            ("setPassword", false),
            ("delete", false),
            ("sendLink", reached),
            ("endSessions", false),
            ("revokeApiTokens", false),
        ] {
            assert_eq!(said[deed]["allowed"], expected, "{scopes:?} {deed}");
        }
    }
    // A mutation returns the whole user to a token that is allowed to run it.
    let script = app.anyone().with_token(make(&session, &["MANAGE_USERS"]).await.1);
    let update = "mutation($id: ID!) { updateUser(input: { id: $id, bio: \"x\" }) {
        user { bio externalId recentSamples { key } viewerCan { update { allowed } delete { allowed } } } errors { code } } }";
    let user = script.data(update, json!({ "id": ada.id })).await["updateUser"]["user"].clone();
    assert_eq!(user["viewerCan"], json!({ "update": { "allowed": true }, "delete": { "allowed": false } }));
}

#[both_databases]
async fn a_token_is_valid_no_longer_than_the_setting_allows(place: Place) {
    let app = TestApp::start_with(&place, |config| config.api_tokens.api_token_ttl = Duration::from_hours(48)).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let create = async |end: Value| {
        let mut input = json!({ "name": "x", "scopes": ["READ"] });
        if end != "left out" {
            input["expiresAt"] = end;
        }
        ada.data(&CREATE.replace("code field", "code field message"), json!({ "input": input })).await["createApiToken"]
            .clone()
    };
    for end in [json!("left out"), Value::Null, json!("2026-01-07T09:00:00Z")] {
        assert_eq!(create(end.clone()).await["apiToken"]["expiresAt"], "2026-01-07T09:00:00.000Z", "{end}");
    }
    let refused = create(json!("2026-01-07T09:00:00.001Z")).await["errors"].clone();
    let message =
        "An API token can be valid until 2026-01-07T09:00:00.000Z at most. Choose an earlier expiry, or leave it out.";
    assert_eq!(refused, json!([{ "code": "INVALID", "field": "expiresAt", "message": message }]));
    assert_eq!(create(json!("9999-12-31T23:59:59.999Z")).await["errors"][0]["code"], "INVALID");
    // Rotation does not extend the validity.
    let made = create(json!("left out")).await;
    app.wait(Duration::from_hours(24));
    let ada = app.anyone().sign_in("ada", PASSWORD).await;
    let rotated = ada.data(ROTATE, json!({ "id": made["apiToken"]["id"] })).await["rotateApiToken"].clone();
    assert_eq!(rotated["apiToken"]["expiresAt"], "2026-01-07T09:00:00.000Z");
    app.wait(Duration::from_hours(24));
    let token = app.anyone().with_token(rotated["secret"].as_str().unwrap());
    assert_eq!(token.code(ME, json!({})).await, "UNAUTHENTICATED EXPIRED");
}

#[both_databases]
async fn the_owner_is_mailed_of_each_new_secret(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_user("ada").await;
    let ada = person.sign_in(&app).await;
    let input = json!({ "input": { "name": "<b>nightly</b>", "scopes": ["READ", "EXPORT"] } });
    let made = ada.data(CREATE, input).await["createApiToken"].clone();
    let rotated = ada.data(ROTATE, json!({ "id": made["apiToken"]["id"] })).await["rotateApiToken"].clone();
    // Refused operations send no mail.
    ada.refusals(CREATE, json!({ "input": { "name": "" } })).await;
    ada.refusals(ROTATE, json!({ "id": person.id })).await;
    let mails = app.mails().await;
    let subjects: Vec<&str> = mails.iter().map(|mail| mail.subject.as_str()).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    assert!(subjects.contains(&"A new API token for your account at Vestibule"), "{subjects:?}");
    assert!(subjects.contains(&"An API token of your account at Vestibule has a new secret"), "{subjects:?}");
    for mail in &mails {
        assert_eq!(mail.to, person.email);
        assert!(mail.text.contains("Name: <b>nightly</b>\nScopes: READ, EXPORT"), "{}", mail.text);
        assert!(mail.html.contains("&#60;b&#62;nightly") && !mail.html.contains("<b>nightly"), "{}", mail.html);
        assert!(mail.text.contains("/account/forgot"), "{}", mail.text);
        for payload in [&made, &rotated] {
            let secret = payload["secret"].as_str().unwrap();
            assert!(!mail.text.contains(&secret[4..]) && !mail.html.contains(&secret[4..]));
        }
    }
    let kinds = "{ outgoingMails { nodes { kind } } }";
    let kinds = app.admin().await.data(kinds, json!({})).await["outgoingMails"]["nodes"].clone();
    for kind in ["API_TOKEN_CREATED", "API_TOKEN_ROTATED"] {
        assert!(kinds.as_array().unwrap().iter().any(|mail| mail["kind"] == kind), "{kinds}");
    }
}

#[both_databases]
async fn the_mail_about_a_deleted_token_is_sent_all_the_same(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (id, _) = make(&ada, &["READ"]).await;
    ada.data(DELETE, json!({ "id": id })).await;
    let mails = app.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject, "A new API token for your account at Vestibule");
    assert!(!mails[0].text.contains("Name:"), "{}", mails[0].text);
}

#[both_databases]
async fn creating_and_rotating_is_limited(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_api_token = "3/1h".parse().unwrap()).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (id, secret) = make(&ada, &["READ"]).await;
    // Operations refused for other reasons are not counted.
    for _ in 0..5 {
        ada.refusals(CREATE, json!({ "input": { "name": "" } })).await;
        ada.refusals(ROTATE, json!({ "id": "nothing" })).await;
    }
    make(&ada, &["READ"]).await;
    assert_eq!(ada.refusals(ROTATE, json!({ "id": id })).await, [""; 0]);
    assert_eq!(app.mails().await.len(), 3);
    assert_eq!(ada.code(CREATE, json!({ "input": { "name": "x" } })).await, "RATE_LIMITED");
    let before = api_token::Entity::find().all(app.db()).await.unwrap();
    assert_eq!(ada.code(ROTATE, json!({ "id": id })).await, "RATE_LIMITED");
    assert_eq!(api_token::Entity::find().all(app.db()).await.unwrap(), before, "what is refused changes nothing");
    assert!(app.mails().await.is_empty());
    assert_eq!(app.anyone().with_token(secret).code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    make(&app.admin().await, &["READ"]).await;
    app.wait(Duration::from_mins(20));
    let ada = app.anyone().sign_in("ada", PASSWORD).await;
    assert_eq!(ada.refusals(ROTATE, json!({ "id": id })).await, [""; 0]);
}

#[both_databases]
async fn public_operations_ignore_tokens(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let session = ada.sign_in(&app).await;
    let (_, secret) = make(&session, &["EXPORT"]).await;
    let token = app.anyone().with_token(secret);
    token.data("{ passwordPolicy { minLength } }", json!({})).await;
    token.data("mutation { requestReset(input: { email: \"a@example.com\" }) { success } }", json!({})).await;
    let mut other = token.clone().sign_in("ada", PASSWORD).await;
    other.refresh().await.unwrap();
    let logout = "mutation($token: String) { logout(input: { refreshToken: $token }) { success errors { code } } }";
    token.data(logout, json!({ "token": other.refresh })).await;
    assert_eq!(other.code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
    session.data(ME, json!({})).await;
}

#[both_databases]
async fn a_token_has_its_owners_rights_of_today(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_user("ada").await;
    let (_, secret) = make(&person.sign_in(&app).await, &["READ", "WRITE", "EXPORT"]).await;
    let token = app.anyone().with_token(secret);
    assert_eq!(token.data(ME, json!({})).await["me"]["username"], "ada");
    assert_eq!(token.code("{ users { totalCount } }", json!({})).await, "FORBIDDEN");
    assert_eq!(token.code("{ allEmails }", json!({})).await, "FORBIDDEN");
    assert_eq!(token.get("/export/users.csv").await.status, 403);
    toggle(&app, "toggleStaff", &person).await;
    token.data("{ users { totalCount } allEmails }", json!({})).await;
    assert_eq!(token.get("/export/users.csv").await.status, 200);
    toggle(&app, "toggleStaff", &person).await;
    assert_eq!(token.code("{ users { totalCount } }", json!({})).await, "FORBIDDEN");
}

async fn toggle(app: &TestApp, what: &str, person: &Person) {
    let document = format!("mutation($id: ID!) {{ {what}(input: {{ id: $id }}) {{ errors {{ code }} }} }}");
    app.admin().await.data(&document, json!({ "id": person.id })).await;
}

#[both_databases]
async fn a_token_ends_at_its_time(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let input = json!({ "input": { "name": "a day", "scopes": ["READ"], "expiresAt": "2026-01-06T10:00:00+01:00" } });
    let data = ada.data(CREATE, input).await;
    assert_eq!(data["createApiToken"]["apiToken"]["expiresAt"], "2026-01-06T09:00:00.000Z");
    let token = app.anyone().with_token(data["createApiToken"]["secret"].as_str().unwrap());
    let (_, longest) = make(&ada, &["READ"]).await;
    app.wait(Duration::from_millis(24 * 60 * 60 * 1000 - 1));
    token.data(ME, json!({})).await;
    app.wait(Duration::from_millis(1));
    assert_eq!(token.code(ME, json!({})).await, "UNAUTHENTICATED EXPIRED");
    assert_eq!(token.get("/export/samples.csv").await.code(), "UNAUTHENTICATED EXPIRED");
    let ada = app.anyone().sign_in("ada", PASSWORD).await;
    let id = json!({ "id": data["createApiToken"]["apiToken"]["id"] });
    assert_eq!(ada.refusals(ROTATE, id).await, ["INVALID id"]);
    // A token without an expiry date expires after a year.
    app.wait(Duration::from_millis(364 * 24 * 60 * 60 * 1000 - 1));
    let longest = app.anyone().with_token(longest);
    longest.data(ME, json!({})).await;
    app.wait(Duration::from_millis(1));
    assert_eq!(longest.code(ME, json!({})).await, "UNAUTHENTICATED EXPIRED");
}

#[both_databases]
async fn rotating_kills_the_old_secret_and_keeps_the_rest(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let input = json!({ "input": { "name": "ci", "scopes": ["EXPORT", "READ"], "expiresAt": "2027-01-01T00:00:00Z" } });
    let before = ada.data(CREATE, input).await["createApiToken"].clone();
    app.wait(Duration::from_secs(1));
    let after = ada.data(ROTATE, json!({ "id": before["apiToken"]["id"] })).await["rotateApiToken"].clone();
    for field in ["id", "name", "scopes", "createdAt", "expiresAt"] {
        assert_eq!(before["apiToken"][field], after["apiToken"][field]);
    }
    assert_eq!(after["apiToken"]["scopes"], json!(["READ", "EXPORT"]));
    let secret = |payload: &Value| payload["secret"].as_str().unwrap().to_owned();
    assert_ne!(secret(&before), secret(&after));
    assert!(secret(&after).starts_with(after["apiToken"]["prefix"].as_str().unwrap()));
    let client = |payload: &Value| app.anyone().with_token(secret(payload));
    assert_eq!(client(&before).code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    client(&after).data(ME, json!({})).await;
}

#[both_databases]
async fn a_deleted_token_is_dead(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (id, secret) = make(&ada, &["READ", "EXPORT"]).await;
    let token = app.anyone().with_token(secret);
    token.data(ME, json!({})).await;
    let deleted = ada.data(DELETE, json!({ "id": id })).await;
    assert_eq!(deleted["deleteApiToken"]["apiToken"]["id"], json!(id));
    assert_eq!(token.code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    assert_eq!(token.get("/export/samples.csv").await.code(), "UNAUTHENTICATED INVALID");
    assert_eq!(ada.data(LIST, json!({})).await["apiTokens"], json!([]));
    assert_eq!(ada.refusals(DELETE, json!({ "id": id })).await, ["NOT_FOUND id"]);
    assert_eq!(ada.refusals(ROTATE, json!({ "id": id })).await, ["NOT_FOUND id"]);
}

#[both_databases]
async fn a_token_does_not_outlive_the_deactivation_of_its_owner(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_user("ada").await;
    let (_, secret) = make(&person.sign_in(&app).await, &["READ", "EXPORT"]).await;
    let token = app.anyone().with_token(secret);
    toggle(&app, "toggleActive", &person).await;
    assert_eq!(token.code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    let export = token.get("/export/samples.csv").await;
    assert_eq!((export.status, export.code().as_str()), (401, "UNAUTHENTICATED INVALID"));
    toggle(&app, "toggleActive", &person).await;
    assert_eq!(token.code(ME, json!({})).await, "UNAUTHENTICATED INVALID", "activating does not revive it");
}

#[both_databases]
async fn a_user_has_fifty_tokens_even_when_two_are_made_at_once(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    for _ in 0..49 {
        make(&ada, &["READ"]).await;
    }
    let input = json!({ "input": { "name": "one more" } });
    let attempts = futures_util::future::join_all((0..6).map(|_| ada.refusals(CREATE, input.clone()))).await;
    assert_eq!(attempts.iter().filter(|refusals| refusals.is_empty()).count(), 1);
    assert_eq!(attempts.iter().filter(|refusals| **refusals == ["INVALID"]).count(), 5);
    assert_eq!(api_token::Entity::find().count(app.db()).await.unwrap(), 50);
    make(&app.admin().await, &["READ"]).await;
}

#[both_databases]
async fn errors_in_a_token_are_reported_per_field(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    for (input, refusals) in [
        (json!({ "name": " " }), &["REQUIRED name"][..]),
        (json!({ "name": "x".repeat(101) }), &["TOO_LONG name"]),
        (json!({ "name": "a\nb" }), &["INVALID name"]),
        (json!({ "name": "x", "scopes": [] }), &["REQUIRED scopes"]),
        (json!({ "name": "x", "expiresAt": "2026-01-05T09:00:00Z" }), &["INVALID expiresAt"]),
        (json!({ "name": "x", "expiresAt": "2027-01-05T09:00:00.001Z" }), &["INVALID expiresAt"]),
        (json!({ "name": "x", "expiresAt": "9999-12-31T23:59:59Z" }), &["INVALID expiresAt"]),
        (
            json!({ "name": "", "scopes": [], "expiresAt": "1970-01-01T00:00:00Z" }),
            &["REQUIRED name", "REQUIRED scopes", "INVALID expiresAt"],
        ),
    ] {
        assert_eq!(ada.refusals(CREATE, json!({ "input": input })).await, refusals, "{input}");
    }
    for input in [
        json!({ "name": "x", "scopes": ["ADMIN"] }),
        json!({ "name": "x", "expiresAt": "tomorrow" }),
        json!({ "name": "x", "expiresAt": "9999-12-31T23:59:59-23:59" }),
    ] {
        assert_eq!(ada.code(CREATE, json!({ "input": input })).await, "BAD_USER_INPUT");
    }
    assert_eq!(api_token::Entity::find().count(app.db()).await.unwrap(), 0);
    let made = ada.data(CREATE, json!({ "input": { "name": " é ", "scopes": ["READ", "READ"] } })).await;
    let token = &made["createApiToken"]["apiToken"];
    assert_eq!((&token["name"], &token["scopes"]), (&json!("é"), &json!(["READ"])));
}

#[both_databases]
async fn anothers_token_is_not_found(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (id, secret) = make(&ada, &["READ"]).await;
    let admin = app.admin().await;
    for id in [id.as_str(), "nonsense", ""] {
        for document in [ROTATE, DELETE] {
            assert_eq!(admin.refusals(document, json!({ "id": id })).await, ["NOT_FOUND id"]);
        }
    }
    assert_eq!(admin.data(LIST, json!({})).await["apiTokens"], json!([]));
    app.anyone().with_token(secret).data(ME, json!({})).await;
    for (document, variables) in [
        (LIST, json!({})),
        (CREATE, json!({ "input": { "name": "x" } })),
        (ROTATE, json!({ "id": id })),
        (DELETE, json!({ "id": id })),
    ] {
        assert_eq!(app.anyone().code(document, variables).await, "UNAUTHENTICATED MISSING");
    }
}

#[both_databases]
async fn a_secret_is_shown_once_and_kept_nowhere(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (first, one) = make(&ada, &["READ"]).await;
    app.wait(Duration::from_secs(1));
    let (second, two) = make(&ada, &["READ"]).await;
    assert_eq!((one.len(), &one[..4]), (53, "vst_"));
    let list = ada.data(LIST, json!({})).await;
    let ids: Vec<&str> = list["apiTokens"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second, first]);
    assert_eq!(list["apiTokens"][0]["prefix"], json!(two[..8]));
    let rows = format!("{list} {:?}", api_token::Entity::find().all(app.db()).await.unwrap());
    for secret in [&one, &two] {
        assert!(!rows.contains(&secret[8..47]));
    }
    assert_eq!(ada.code("{ apiTokens { secret } }", json!({})).await, "GRAPHQL_VALIDATION_FAILED");
}

#[both_databases]
async fn a_mistyped_token_costs_no_query(place: Place) {
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let app = TestApp::start_counting(&place, std::sync::Arc::clone(&counter)).await;
    let (_, secret) = make(&app.admin().await, &["READ"]).await;
    let statements = || counter.load(std::sync::atomic::Ordering::SeqCst);
    let swapped = format!("{}{}", &secret[..52], if secret.ends_with('A') { "B" } else { "A" });
    let before = statements();
    for text in [&secret[..52], &swapped, "vst_", "vst_ü", &format!("{secret}x"), &secret.to_uppercase()] {
        let client = app.anyone().with_header("authorization", format!("Bearer {text}"));
        assert_eq!(client.code(ME, json!({})).await, "UNAUTHENTICATED INVALID", "{text}");
    }
    assert_eq!(statements(), before);
    let token = app.anyone().with_token(secret);
    token.data(ME, json!({})).await;
    assert_eq!(statements(), before + 2, "the token with its owner, and the note of its use");
    token.data(ME, json!({})).await;
    assert_eq!(statements(), before + 3);
}

#[both_databases]
async fn the_last_use_is_kept_to_the_minute(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let (_, secret) = make(&ada, &["READ"]).await;
    let token = app.anyone().with_token(secret);
    let last = async || ada.data(LIST, json!({})).await["apiTokens"][0]["lastUsedAt"].clone();
    assert_eq!(last().await, Value::Null);
    for (wait, expected) in [(0, "09:00:00"), (59, "09:00:00"), (1, "09:01:00"), (61, "09:02:01")] {
        app.wait(Duration::from_secs(wait));
        token.data(ME, json!({})).await;
        assert_eq!(last().await, format!("2026-01-05T{expected}.000Z"));
    }
}

#[both_databases]
async fn making_renewing_and_deleting_leave_events(place: Place) {
    let app = TestApp::start(&place).await;
    let person = app.add_user("ada").await;
    let ada = person.sign_in(&app).await;
    let (id, secret) = make(&ada, &["READ"]).await;
    ada.data(ROTATE, json!({ "id": id })).await;
    ada.data(DELETE, json!({ "id": id })).await;
    ada.refusals(DELETE, json!({ "id": id })).await;
    ada.refusals(CREATE, json!({ "input": { "name": "" } })).await;
    app.anyone().with_token(secret).code(ME, json!({})).await;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let own = person.id.parse().ok();
    for event in audit_event::Entity::find().all(app.db()).await.unwrap() {
        if [Action::ApiTokenCreated, Action::ApiTokenRotated, Action::ApiTokenDeleted].contains(&event.action) {
            assert_eq!((event.actor_id, event.target_id), (own, own));
            *seen.entry(format!("{:?}", event.action)).or_default() += 1;
        }
    }
    let expected = ["ApiTokenCreated", "ApiTokenRotated", "ApiTokenDeleted"].map(|action| (action.to_owned(), 1));
    assert_eq!(seen, HashMap::from(expected));
}
