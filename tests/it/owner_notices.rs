//! Mails to the owner of an account about its credentials: one for each change, by any path and by anybody.

use test_macros::both_databases;

use sea_orm::{ActiveEnum as _, EntityTrait as _};
use serde_json::json;
use vestibule::entity::mail;
use vestibule::tools::mail::Message;

use crate::api_tokens::make;
use crate::cli_admin::done;
use crate::pages::{Browser, text};
use crate::parity::recovery::{CONFIRM, link, reset_link};
use crate::parity::registration::{VERIFY, token};
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_database::Place;
use crate::undo_email_change::{UNDO, undo_token};

const CHANGE: &str = "mutation($o: String!, $n: String!) {
    changePassword(input: { oldPassword: $o, newPassword: $n }) { errors { code field } }
}";

const SET: &str = "mutation($id: ID!, $p: String!) { setUserPassword(input: { id: $id, password: $p }) {
    errors { code field }
} }";

const UPDATE: &str = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code field } } }";

const MOVE: &str = "mutation($e: String!, $p: String!) { updateMe(input: { email: $e, currentPassword: $p }) {
    errors { code field }
} }";

/// Columns of an export of Django's users.
const DJANGO: &str =
    "id,username,email,password,first_name,last_name,is_active,is_staff,is_superuser,date_joined,last_login";

/// Two hashes of one password by Django.
const HASHES: [&str; 2] = [
    "pbkdf2_sha256$36000$KFv8N8T3Nz0BA5PEA93Riz$XPd08s4DB/E+VJBLOR8OvIoON+7bT+MlVpOGz5a6VR4=",
    "pbkdf2_sha1$36000$8WunNAIB4RsVpjIDxzn9NG$OO7GMmJgSqqBzLrlFO3iFZrLHNs=",
];

/// Kinds and recipients of these mails, sorted.
async fn described(app: &TestApp, mails: &[Message]) -> Vec<String> {
    let mut told = Vec::new();
    for message in mails {
        let row = mail::Entity::find_by_id(message.id).one(app.db()).await.unwrap().expect("sent mails are kept");
        assert_eq!(row.recipient, message.to);
        told.push(format!("{} {}", row.kind.to_value(), message.to));
    }
    told.sort();
    told
}

/// Kinds and recipients of the mails since the last call, sorted.
async fn sent(app: &TestApp) -> Vec<String> {
    described(app, &app.mails().await).await
}

/// Path of the link in a mail.
fn path(app: &TestApp, mail: &Message) -> String {
    let link = mail.text.split_whitespace().find(|word| word.contains("token=")).expect("the mail has a link");
    link.strip_prefix(&app.url).unwrap().to_owned()
}

#[both_databases]
async fn each_new_password_is_announced_to_the_owner(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let ada = app.add_reader("ada").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    let announced = ["PASSWORD_CHANGED ada@example.com"];
    let phrase = |number: u32| format!("quite a new long phrase, number {number}");

    let change = json!({ "o": PASSWORD, "n": phrase(1) });
    assert_eq!(ada.sign_in(&app).await.refusals(CHANGE, change).await, [""; 0]);
    assert_eq!(sent(&app).await, announced, "by the owner");

    let mut browser = Browser::new(&app);
    let page = browser.open("/account/password").await;
    let (old, new) = (phrase(1), phrase(2));
    let typed = [("identifier", "ada"), ("oldPassword", &*old), ("newPassword", &*new), ("newPasswordConfirm", &*new)];
    let page = browser.submit(&page, &typed).await;
    assert!(text(&page).contains("Your new password is set"), "{}", text(&page));
    assert_eq!(sent(&app).await, announced, "by the owner on the page");

    let (uid, secret) = reset_link(&app, &ada.email).await;
    let reset = json!({ "input": { "uid": uid, "token": secret, "newPassword": phrase(3) } });
    assert_eq!(app.anyone().refusals(CONFIRM, reset).await, [""; 0]);
    assert_eq!(sent(&app).await, announced, "by a reset");

    let (uid, secret) = reset_link(&app, &ada.email).await;
    let new = phrase(4);
    let page = browser.open(&format!("/account/reset?uid={uid}&token={secret}")).await;
    let page = browser.submit(&page, &[("newPassword", &*new), ("newPasswordConfirm", &*new)]).await;
    assert!(text(&page).contains("Your new password is set"), "{}", text(&page));
    assert_eq!(sent(&app).await, announced, "by a reset on the page");

    for (client, who, number) in [(&staff, "staff", 5), (&app.admin().await, "a superuser", 6)] {
        assert_eq!(client.refusals(SET, json!({ "id": ada.id, "p": phrase(number) })).await, [""; 0]);
        assert_eq!(sent(&app).await, announced, "by {who}");
        let update = json!({ "input": { "id": ada.id, "password": phrase(10 + number), "firstName": who } });
        assert_eq!(client.refusals(UPDATE, update).await, [""; 0]);
        assert_eq!(sent(&app).await, announced, "by {who} among other changes");
    }

    // The first password of an account that staff created.
    let create = "mutation { createUser(input: { email: \"new@example.com\" }) { errors { code } } }";
    assert_eq!(staff.refusals(create, json!({})).await, [""; 0]);
    let mails = app.mails().await;
    assert_eq!(described(&app, &mails).await, ["WELCOME new@example.com"]);
    let (uid, secret) = link(&mails[0]);
    let first = json!({ "input": { "uid": uid, "token": secret, "newPassword": PASSWORD } });
    assert_eq!(app.anyone().refusals(CONFIRM, first).await, [""; 0]);
    assert_eq!(sent(&app).await, ["PASSWORD_CHANGED new@example.com"]);
}

/// Asks for this address as the owner, and returns the confirmation mail.
async fn wish(app: &TestApp, person: &Person, email: &str) -> Message {
    let wish = json!({ "e": email, "p": PASSWORD });
    assert_eq!(person.sign_in(app).await.refusals(MOVE, wish).await, [""; 0]);
    let mut mails = app.mails().await;
    assert_eq!(described(app, &mails).await, [format!("CONFIRM_NEW_EMAIL {email}")], "nothing has changed yet");
    mails.remove(0)
}

#[both_databases]
async fn each_new_address_is_announced_to_the_old_one(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let mut ada = app.add_reader("ada").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;

    let confirmation = wish(&app, &ada, "one@example.com").await;
    let verify = json!({ "token": token(&confirmation), "password": PASSWORD });
    assert_eq!(app.anyone().refusals(VERIFY, verify).await, [""; 0]);
    assert_eq!(sent(&app).await, ["EMAIL_CHANGED ada@example.com"], "by the owner");
    "one@example.com".clone_into(&mut ada.email);

    let confirmation = wish(&app, &ada, "two@example.com").await;
    let mut browser = Browser::new(&app);
    let page = browser.open(&path(&app, &confirmation)).await;
    let page = browser.submit(&page, &[("password", PASSWORD)]).await;
    assert_eq!(page.status, 200, "{}", text(&page));
    assert_eq!(sent(&app).await, ["EMAIL_CHANGED one@example.com"], "by the owner on the page");

    let mut addresses = vec!["two@example.com".to_owned()];
    for (client, who) in [(&staff, "staff"), (&app.admin().await, "superuser")] {
        let new = format!("{who}@example.com");
        let update = json!({ "input": { "id": ada.id, "email": new, "lastName": who } });
        assert_eq!(client.refusals(UPDATE, update).await, [""; 0]);
        let announced = format!("EMAIL_CHANGED {}", addresses.last().unwrap());
        let mails = app.mails().await;
        assert_eq!(described(&app, &mails).await, [announced], "by {who}");
        addresses.push(new);
        app.prove(&ada).await;
        let token = undo_token(&mails[0]);
        // Undone on the page and in the API.
        if who == "staff" {
            assert_eq!(app.anyone().refusals(UNDO, json!({ "t": token })).await, [""; 0]);
        } else {
            let page = browser.open(&path(&app, &mails[0])).await;
            let page = browser.submit(&page, &[]).await;
            assert_eq!(page.status, 200, "{}", text(&page));
        }
        assert_eq!(sent(&app).await, [format!("EMAIL_CHANGE_UNDONE {}", addresses.pop().unwrap())], "after {who}");
    }
}

#[both_databases]
async fn each_new_secret_of_a_token_is_announced_to_the_owner(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = app.add_staff("boss").await.sign_in(&app).await;
    let (id, _) = make(&boss, &["READ"]).await;
    assert_eq!(sent(&app).await, ["API_TOKEN_CREATED boss@example.com"]);
    let rotate = "mutation($id: ID!) { rotateApiToken(input: { id: $id }) { errors { code field } } }";
    assert_eq!(boss.refusals(rotate, json!({ "id": id })).await, [""; 0]);
    assert_eq!(sent(&app).await, ["API_TOKEN_ROTATED boss@example.com"]);
}

#[both_databases]
async fn an_import_on_the_command_line_announces_new_passwords_and_addresses(place: Place) {
    let app = TestApp::start(&place).await;
    let file = place.folder.join("users.csv");
    let path = file.to_str().unwrap();
    let take_over = |email: &str, hash: &str, first_name: &str| {
        let row = format!("1,ann,{email},{hash},{first_name},,t,f,f,2020-02-03 04:05:06+00,");
        std::fs::write(&file, format!("{DJANGO}\n{row}\n")).unwrap();
        done(&place, &["import", "django", path])
    };
    let sent_meanwhile = async || {
        let mails = app.mails_at_system_time().await;
        described(&app, &mails).await
    };
    assert!(take_over("ann@example.com", HASHES[0], "").starts_with("created: 1, updated: 0"));
    assert_eq!(sent_meanwhile().await, [""; 0], "nothing has changed for her");
    assert!(take_over("ann@example.com", HASHES[1], "").starts_with("created: 0, updated: 1"));
    assert_eq!(sent_meanwhile().await, ["PASSWORD_CHANGED ann@example.com"]);
    assert!(take_over("anna@example.com", HASHES[1], "").starts_with("created: 0, updated: 1"));
    assert_eq!(sent_meanwhile().await, ["EMAIL_CHANGED ann@example.com"]);
    assert!(take_over("anna@example.com", HASHES[1], "Anna").starts_with("created: 0, updated: 1"));
    assert_eq!(sent_meanwhile().await, [""; 0], "of a name nobody is told");
    // A sheet finds accounts by their address, and has no column for passwords.
    std::fs::write(&file, "email,first_name,role\nANNA@example.com,Ann,ADMIN\n").unwrap();
    assert!(done(&place, &["import", "users", path]).ends_with("created: 0, updated: 1, unchanged: 0\n"));
    assert_eq!(sent_meanwhile().await, [""; 0]);
}
