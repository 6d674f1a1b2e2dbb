//! A database with rows of every kind.

use std::time::Duration;

use image::ImageFormat;
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use serde_json::json;
use vestibule::domain::auth::signing_keys::Start;
use vestibule::domain::operator::Operator;
use vestibule::entity::{
    email_undo, former_username, import_file, import_job, import_mapping, imported_id, known_device, passkey,
    pending_deletion, recovery_code, sent_form, sign_in_challenge,
};
use vestibule::tools::clock::Timestamp;
use vestibule::tools::mail::SendError;

use crate::avatars::{file, upload};
use crate::parity::registration::{REGISTER, wanted};
use crate::second_factor::plant;
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;

/// Values to check after an upgrade or a copy.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Furnished {
    /// Ada's access and refresh token.
    pub(crate) access: String,
    pub(crate) refresh: String,
    /// Secret of her API token.
    pub(crate) api_token: String,
}

const PROFILE: &str = "mutation($input: UpdateMeInput!) { updateMe(input: $input) { errors { code field } } }";
const RECORD: &str =
    "mutation { recordSample(input: { key: \"S-1\", title: \"Gr\\u00fcn \\ud83d\\udc3b\" }) { errors { code } } }";
const RESET: &str = "mutation($e: String!) { requestReset(input: { email: $e }) { success } }";

/// Inserts a row into every table, with non-default values in most columns.
#[expect(clippy::too_many_lines, reason = "a row for each table")]
pub(crate) async fn furnish(app: &TestApp) -> Furnished {
    let ada = app.add_user("ada").await;
    let bob = app.add_user("bob").await;
    let client = ada.sign_in(app).await;
    upload(&client, file(80, 80, ImageFormat::Png)).await;
    let profile = json!({ "firstName": "Ad\u{e4}", "lastName": "O'Lovelace \u{1f43b}", "phone": "+49 30 1", "address": "1 Street\nTown",
        "bio": "line one\nline \"two\"; \\ -- 'three' \u{1f43b}", "email": "countess@example.com", "currentPassword": PASSWORD });
    assert_eq!(client.refusals(PROFILE, json!({ "input": profile })).await, [""; 0]);
    assert_eq!(client.refusals(RECORD, json!({})).await, [""; 0]);
    let make = "mutation { createApiToken(input: { name: \"x\", scopes: [READ, EXPORT] }) { secret } }";
    let api_token = client.data(make, json!({})).await["createApiToken"]["secret"].as_str().unwrap().to_owned();
    let anyone = app.anyone().with_header("user-agent", "b\u{e4}r/1.0");
    anyone.data(REGISTER, wanted("eve@example.com")).await;
    let wrong = "mutation { login(input: { identifier: \"bob\", password: \"wrong\" }) { errors { code } } }";
    anyone.data(wrong, json!({})).await;
    app.mails().await;
    let admin = app.admin().await;
    app.transport().fail_next(1, &SendError::permanent("550 no"));
    anyone.data(RESET, json!({ "e": bob.email })).await;
    app.mails().await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    anyone.data(RESET, json!({ "e": ada.email })).await;
    app.deliver().await;
    plant(app, &bob).await;
    let bob_id: uuid::Uuid = bob.id.parse().unwrap();
    let code = recovery_code::ActiveModel {
        digest: Set(vec![5; 32]),
        user_id: Set(bob_id),
        created_at: Set(app.clock_now()),
        sealed_code: Set(Some(
            app.app.second_factor_rules().master_keys.seal(&format!("recovery code {bob_id}"), b"mfrggzdf"),
        )),
    };
    recovery_code::Entity::insert(code).exec_without_returning(app.db()).await.unwrap();
    let passkey = passkey::ActiveModel {
        id: Set(uuid::Uuid::from_u128(9)),
        user_id: Set(bob.id.parse().unwrap()),
        digest: Set(vec![1; 32]),
        credential_id: Set(vec![2; 16]),
        public_key: Set(vec![3; 77]),
        domain: Set("localhost".to_owned()),
        name: Set("Bob's phone".to_owned()),
        model: Set(vec![0; 16]),
        is_synced: Set(true),
        counter: Set(0),
        transports: Set("internal".to_owned()),
        user_handle: Set(Some(vec![4; 3])),
        // A deactivation ends younger ones.
        created_at: Set(app.clock_now().minus(Duration::from_secs(30 * 24 * 60 * 60))),
        last_used_at: Set(None),
    };
    passkey::Entity::insert(passkey).exec_without_returning(app.db()).await.unwrap();
    let row = sign_in_challenge::ActiveModel {
        id: Set(uuid::Uuid::from_u128(8)),
        proofs: Set(3),
        is_spent: Set(true),
        expires_at: Set(Timestamp::from_millis(i64::MAX)),
    };
    sign_in_challenge::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let toggle = "mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }";
    assert_eq!(admin.refusals(toggle, json!({ "id": bob.id })).await, [""; 0]);
    app.app.rotate_keys(&app.app.clock.now(), &Operator::new(), Start::AtOnce).await.unwrap();
    let row = pending_deletion::ActiveModel {
        name: Set("avatars/0123456789abcdef-256.jpg".to_owned()),
        due_at: Set(Timestamp::from_millis(i64::MAX)),
    };
    pending_deletion::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = imported_id::ActiveModel { digest: Set(vec![7; 32]) };
    imported_id::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = email_undo::ActiveModel {
        mail_id: Set(uuid::Uuid::from_u128(7)),
        user_id: Set(ada.id.parse().unwrap()),
        step: Set(3),
        by_staff: Set(true),
        email: Set("B\u{e4}r@example.com".to_owned()),
        email_key: Set("b\u{e4}r@example.com".to_owned()),
        digest: Set(Some(vec![8; 32])),
        expires_at: Set(Timestamp::from_millis(i64::MAX)),
    };
    email_undo::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = former_username::ActiveModel {
        digest: Set("x".repeat(43)),
        user_id: Set(ada.id.parse().unwrap()),
        free_at: Set(Timestamp::from_millis(i64::MAX)),
    };
    former_username::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = sent_form::ActiveModel { digest: Set(vec![9; 32]), expires_at: Set(Timestamp::from_millis(i64::MAX)) };
    sent_form::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = known_device::ActiveModel {
        id: Set(uuid::Uuid::from_u128(10)),
        user_id: Set(ada.id.parse().unwrap()),
        digest: Set(vec![4; 32]),
        first_seen_at: Set(app.clock_now()),
        last_seen_at: Set(Timestamp::from_millis(i64::MAX)),
    };
    known_device::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = import_job::ActiveModel {
        id: Set(uuid::Uuid::from_u128(10)),
        user_id: Set(Some(ada.id.parse().unwrap())),
        file_name: Set("B\u{e4}ren.xlsx".to_owned()),
        created_at: Set(app.clock_now()),
        match_by: Set(import_job::MatchBy::ExternalId),
        mapping: Set("{\"columns\":[]}".to_owned()),
        send_welcome: Set(true),
        state: Set(import_job::State::Refused),
        failure: Set(None),
        percent: Set(100),
        created: Set(None),
        updated: Set(None),
        unchanged: Set(None),
        rights_changes: Set(0),
        errors: Set(3),
        seen_at: Set(app.clock_now()),
        applied_at: Set(None),
    };
    import_job::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = import_file::ActiveModel {
        job_id: Set(uuid::Uuid::from_u128(10)),
        file: Set(vec![0, 1, 255]),
        columns: Set(vec![2; 32]),
        report: Set(None),
        expires_at: Set(Timestamp::from_millis(i64::MAX)),
    };
    import_file::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    let row = import_mapping::ActiveModel {
        id: Set(uuid::Uuid::from_u128(11)),
        digest: Set("y".repeat(43)),
        mapping: Set("{\"columns\":[]}".to_owned()),
        match_by: Set(import_job::MatchBy::Username),
        used_at: Set(app.clock_now()),
    };
    import_mapping::Entity::insert(row).exec_without_returning(app.db()).await.unwrap();
    Furnished { access: client.access.unwrap(), refresh: client.refresh, api_token }
}

impl Furnished {
    /// Checks all values on a service with the same database and secret.
    pub(crate) async fn check(&self, app: &TestApp) {
        let mut ada = app.anyone().with_token(&self.access);
        self.refresh.clone_into(&mut ada.refresh);
        let me = ada.data("{ me { username lastName bio pendingEmail avatarUrl } }", json!({})).await["me"].clone();
        assert_eq!(me["lastName"], "O'Lovelace \u{1f43b}");
        assert_eq!(me["bio"], "line one\nline \"two\"; \\ -- 'three' \u{1f43b}");
        assert_eq!(me["pendingEmail"], "countess@example.com");
        assert!(me["avatarUrl"].is_string());
        ada.refresh().await.unwrap();
        let script = app.anyone().with_token(&self.api_token);
        let tokens = script.data("{ apiTokens { name expiresAt } }", json!({})).await;
        assert!(tokens["apiTokens"][0]["expiresAt"].is_string(), "every API token has an end: {tokens}");
        let samples = script.data("{ recentSamples { key title } }", json!({})).await;
        assert_eq!(samples["recentSamples"][0]["title"], "Gr\u{fc}n \u{1f43b}");
        let admin = app.admin().await;
        // By a part of a name, and by a single letter: they have different indexes. By terms that the service computed.
        let searches =
            [("OVELAC", 1), ("ad\u{e4}", 1), ("\u{1f43b}", 1), ("olovelace adae", 1), ("0049 301", 1), ("nobody", 0)];
        for (search, count) in searches {
            let found =
                admin.data("query($s: String!) { users(search: $s) { totalCount } }", json!({ "s": search })).await;
            assert_eq!(found["users"]["totalCount"], count, "{search}");
        }
        assert_eq!(
            admin.data("{ users(filter: { isActive: false }) { nodes { username } } }", json!({})).await,
            json!({ "users": { "nodes": [{ "username": "bob" }] } })
        );
        app.add_user("cyd").await;
        self.check_waiting_mail(app, &admin).await;
    }

    /// Checks that the second attempt of a mail has the link of the first.
    async fn check_waiting_mail(&self, app: &TestApp, admin: &Client) {
        app.wait(std::time::Duration::from_secs(10));
        let mails = app.mails().await;
        let text = mails.iter().find(|mail| mail.to == "ada@example.com").map(|mail| mail.text.clone());
        let text = text.expect("the pending mail is sent");
        let (_, rest) = text.split_once("uid=").unwrap();
        let (uid, rest) = rest.split_once("&token=").unwrap();
        let token: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
        let valid = "query($u: ID!, $t: String!) { resetTokenIsValid(uid: $u, token: $t) }";
        assert_eq!(admin.data(valid, json!({ "u": uid, "t": token })).await["resetTokenIsValid"], true);
    }
}
