//! Administration on the command line while nobody can sign in.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::json;
use test_macros::both_databases;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{api_token, mail, session};
use vestibule::tools::mail::SendError;

use crate::api_tokens::make;
use crate::process::{command, run};
use crate::test_app::TestApp;
use crate::test_database::Place;

const ME: &str = "{ me { id } }";

/// The command line with the secret of the service under test.
pub(crate) fn beside(place: &Place) -> std::process::Command {
    let mut command = command(place);
    command.env("VESTIBULE_DATA_DIR", &place.folder);
    command
}

/// Output of a command that must succeed.
pub(crate) fn done(place: &Place, arguments: &[&str]) -> String {
    let (success, printed, errors) = run(beside(place), arguments, "");
    assert!(success, "{arguments:?}: {errors}");
    printed
}

/// Error line of a command that must be refused.
pub(crate) fn refused(place: &Place, arguments: &[&str]) -> String {
    let (success, printed, errors) = run(beside(place), arguments, "");
    assert!(!success && printed.is_empty(), "{arguments:?}: {printed}");
    let is_usage = errors.ends_with("For more information, try '--help'.\n");
    assert!(errors.lines().count() == 1 || is_usage, "{errors}");
    errors.lines().next().unwrap_or_default().strip_prefix("vestibule: ").unwrap().to_owned()
}

/// Actions on the command line, oldest first. None of them has an actor.
async fn events(app: &TestApp) -> Vec<Action> {
    let by_command = audit_event::Column::UserAgent.eq("command line");
    let events = audit_event::Entity::find().filter(by_command).order_by_asc(audit_event::Column::Id);
    let events = events.all(app.db()).await.unwrap();
    let has_target =
        |event: &audit_event::Model| event.target_id.is_some() != (event.action == Action::SessionsRevoked);
    assert!(events.iter().all(|event| event.actor_id.is_none() && event.ip.is_none() && has_target(event)));
    events.into_iter().map(|event| event.action).collect()
}

#[both_databases]
async fn a_user_is_found_shown_disabled_and_enabled(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    app.add_staff("bob").await;
    let mut client = ada.sign_in(&app).await;

    let all = done(&place, &["users", "list"]);
    let rows: Vec<&str> = all.lines().collect();
    assert!(rows[0].starts_with("ID ") && rows.last() == Some(&"3 of 3"), "{all}");
    assert!(all.contains(" active,staff ") && all.contains(" active,staff,superuser "), "{all}");
    assert!(done(&place, &["users", "list", "--search", "ADA"]).contains(&ada.id));
    assert!(done(&place, &["users", "list", "--first", "2", "--offset", "2"]).ends_with("1 of 3\n"));
    assert!(done(&place, &["users", "list", "--inactive"]).ends_with("0 of 0\n"));

    for who in [ada.id.as_str(), "ADA", "ada@example.com"] {
        let shown = done(&place, &["users", "show", who]);
        assert!(shown.contains(&ada.id) && shown.contains("sessions       1\n"), "{shown}");
        assert!(!shown.contains("$argon2"), "{shown}");
    }
    assert_eq!(done(&place, &["users", "disable", "ada"]), "ada@example.com is deactivated\n");
    assert_eq!(done(&place, &["users", "disable", &ada.id]), "ada@example.com was deactivated already\n");
    assert_eq!(client.code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
    client.refresh().await.unwrap_err();
    assert!(done(&place, &["users", "list", "--inactive"]).ends_with("1 of 1\n"));
    assert_eq!(done(&place, &["users", "enable", "ada@example.com"]), "ada@example.com is active\n");
    ada.sign_in(&app).await;
    assert_eq!(events(&app).await, [Action::Deactivated, Action::Activated]);
}

#[both_databases]
async fn the_last_superuser_is_not_disabled(place: Place) {
    let app = TestApp::start(&place).await;
    let expected = "This is the last superuser. Create another one first with `vestibule create-superuser`.";
    assert_eq!(refused(&place, &["users", "disable", "admin"]), expected);
    done(&place, &["create-superuser", "--email", "root@example.com"]);
    assert_eq!(done(&place, &["users", "disable", "admin"]), "admin@localhost is deactivated\n");
    assert_eq!(refused(&place, &["users", "disable", "root@example.com"]), expected);
    assert_eq!(events(&app).await, [Action::UserCreated, Action::Deactivated]);
}

#[both_databases]
async fn a_user_is_promoted_to_a_superuser(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let promote = ["create-superuser", "--promote", "--email", "ADA@example.com"];
    assert_eq!(done(&place, &promote), "ada@example.com is now a superuser (username ada)\n");
    assert_eq!(refused(&place, &promote), "ADA@example.com is already a superuser.");
    let nobody = ["create-superuser", "--promote", "--email", "nobody@example.com"];
    assert!(refused(&place, &nobody).starts_with("There is no user nobody@example.com"));
    // With the previous password.
    let me = ada.sign_in(&app).await.data("{ me { isSuperuser role } }", json!({})).await["me"].clone();
    assert_eq!(me, json!({ "isSuperuser": true, "role": "ADMIN" }));
    assert!(done(&place, &["users", "list", "--staff"]).ends_with("2 of 2\n"));
    let events = events(&app).await;
    assert!(events.len() == 2 && events.contains(&Action::UserUpdated) && events.contains(&Action::StaffGranted));
}

#[both_databases]
async fn a_user_is_mailed_a_link_to_another_password(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_mail_address = "1/1h".parse().unwrap()).await;
    let ada = app.add_user("ada").await;
    for _ in 0..2 {
        assert_eq!(done(&place, &["users", "reset", "ada"]), "queued an email to ada@example.com\n");
    }
    let mails = app.mails_at_system_time().await;
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| mail.to == ada.email && mail.text.contains("/account/reset?uid=")));
    done(&place, &["users", "disable", "ada"]);
    assert_eq!(
        refused(&place, &["users", "reset", "ada"]),
        "This account is deactivated. Run `vestibule users enable` first."
    );
    assert_eq!(events(&app).await, [Action::ResetRequested, Action::ResetRequested, Action::Deactivated]);
}

#[both_databases]
async fn sessions_are_listed_and_ended_one_or_all(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    let clients = [ada.sign_in(&app).await, ada.sign_in(&app).await, ada.sign_in(&app).await];
    let admin = app.admin().await;
    let listed = done(&place, &["sessions", "list", "ada"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(listed.contains("127.0.0.1"), "{listed}");
    let id = listed.lines().nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(done(&place, &["sessions", "end", id]), "1 session ended\n");
    let mut ended = 0;
    for client in &clients {
        ended += usize::from(!client.send(ME, json!({})).await.body["errors"].is_null());
    }
    assert_eq!(ended, 1);
    assert_eq!(refused(&place, &["sessions", "end", id]), "There is no session with this id. It may have ended.");
    assert_eq!(done(&place, &["sessions", "end", "--user", "ada"]), "2 sessions ended\n");
    assert_eq!(done(&place, &["sessions", "end", "--user", "ada"]), "0 sessions ended\n");
    assert_eq!(clients[0].code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
    admin.data(ME, json!({})).await;
    assert_eq!(events(&app).await, [Action::SessionRevoked; 3]);
    assert!(refused(&place, &["sessions", "end"]).contains("required"));
    assert!(refused(&place, &["sessions", "end", id, "--user", "ada"]).contains("cannot be used with"));
}

#[both_databases]
async fn names_of_clients_cannot_control_the_terminal(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    ada.sign_in(&app).await;
    let evil = "\u{9b}2J\u{202e}x\u{85}\u{2028}\u{1b}[31m";
    let update =
        session::Entity::update_many().col_expr(session::Column::UserAgent, sea_orm::sea_query::Expr::value(evil));
    update.exec(app.db()).await.unwrap();
    for arguments in [["sessions", "list", "ada"], ["users", "show", "ada"]] {
        let printed = done(&place, &arguments);
        assert!(printed.contains('x') && !printed.contains(['\u{9b}', '\u{202e}', '\u{85}', '\u{2028}', '\u{1b}']));
    }
}

#[both_databases]
async fn mails_are_listed_shown_and_tried_again(place: Place) {
    let app = TestApp::start(&place).await;
    let request = "mutation($e: String!) { requestReset(input: { email: $e }) { success } }";
    for name in ["ada", "bob", "cyd"] {
        let person = app.add_user(name).await;
        app.transport().fail_next(1, &SendError::permanent("550 no such mailbox"));
        app.anyone().data(request, json!({ "e": person.email })).await;
        assert_eq!(app.mails().await.len(), 0);
    }
    let listed = done(&place, &["mail", "list", "--failed"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(listed.contains("550 no such mailbox") && listed.contains("RESET_PASSWORD"), "{listed}");
    assert_eq!(done(&place, &["mail", "list", "--waiting"]).lines().count(), 1);
    assert_eq!(done(&place, &["mail", "list"]).lines().count(), 7);
    assert!(
        done(&place, &["mail", "list", "--first", "2"]).ends_with("more emails exist; use --offset to list them\n")
    );
    let cyds = listed.lines().find(|line| line.contains("cyd@example.com")).unwrap();
    let id = cyds.split(' ').next().unwrap();
    let shown = done(&place, &["mail", "show", id]);
    assert!(shown.contains("cyd@example.com") && shown.contains("FAILED"), "{shown}");

    assert_eq!(done(&place, &["mail", "retry", id]), "queued the email to cyd@example.com\n");
    assert_eq!(app.mails_at_system_time().await.len(), 1);
    assert_eq!(refused(&place, &["mail", "retry", id]), "This email was already sent.");
    assert_eq!(done(&place, &["mail", "retry", "--all"]), "2 emails queued\n");
    assert_eq!(app.mails_at_system_time().await.len(), 2);
    assert_eq!(
        mail::Entity::find().filter(mail::Column::Status.ne(mail::Status::Sent)).count(app.db()).await.unwrap(),
        0
    );
    assert_eq!(refused(&place, &["mail", "show", "1"]), "There is no email with this id.");
}

#[both_databases]
async fn api_tokens_are_listed_and_revoked_one_or_all(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let (ada, bob) = (app.add_user("ada").await, app.add_user("bob").await);
    let (adas, bobs) = (ada.sign_in(&app).await, bob.sign_in(&app).await);
    let (first, first_secret) = make(&adas, &["READ", "EXPORT"]).await;
    let (second, second_secret) = make(&adas, &["READ"]).await;
    let (third, third_secret) = make(&bobs, &["WRITE"]).await;
    app.anyone().with_token(&second_secret).data(ME, json!({})).await;

    let all = done(&place, &["api-tokens", "list"]);
    assert_eq!(all.lines().count(), 4, "{all}");
    assert!(all.lines().next().unwrap().starts_with("TOKEN "), "{all}");
    for (id, secret) in [(&first, &first_secret), (&second, &second_secret), (&third, &third_secret)] {
        assert!(all.contains(id) && all.contains(&secret[..8]) && !all.contains(&secret[8..]), "{all}");
    }
    for who in ["ADA", "ada@example.com", &ada.id] {
        let listed = done(&place, &["api-tokens", "list", who]);
        assert!(listed.contains(&first) && listed.contains(&second) && !listed.contains(&third), "{listed}");
        assert!(listed.contains("READ,EXPORT") && listed.contains("ada@example.com"), "{listed}");
    }
    let more = "more API tokens exist; use --offset to list them\n";
    assert!(done(&place, &["api-tokens", "list", "--first", "2"]).ends_with(more));
    assert_eq!(done(&place, &["api-tokens", "list", "--first", "2", "--offset", "2"]).lines().count(), 2);

    assert_eq!(done(&place, &["api-tokens", "revoke", &first]), "1 API token revoked\n");
    assert_eq!(refused(&place, &["api-tokens", "revoke", &first]), "There is no API token with this id.");
    assert_eq!(refused(&place, &["api-tokens", "revoke", "x"]), "There is no API token with this id.");
    let script = |secret: &str| app.anyone().with_token(secret);
    assert_eq!(script(&first_secret).code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    script(&second_secret).data(ME, json!({})).await;
    make(&bobs, &["READ"]).await;
    assert_eq!(done(&place, &["api-tokens", "revoke", "--user", "bob"]), "2 API tokens revoked\n");
    assert_eq!(script(&third_secret).code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    script(&second_secret).data(ME, json!({})).await;
    assert_eq!(done(&place, &["api-tokens", "revoke", "--all"]), "1 API token revoked\n");
    assert_eq!(script(&second_secret).code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    assert_eq!(done(&place, &["api-tokens", "revoke", "--all"]), "0 API tokens revoked\n");
    adas.data(ME, json!({})).await;
    assert_eq!(events(&app).await, [Action::ApiTokenDeleted; 4]);
    assert!(refused(&place, &["api-tokens", "revoke"]).contains("required"));
    assert!(refused(&place, &["api-tokens", "revoke", "--all", "--user", "ada"]).contains("cannot be used with"));
    let expected = "There is no user nobody@example.com. Give an id, a username or an email address.";
    for arguments in
        [&["api-tokens", "list", "nobody@example.com"][..], &["api-tokens", "revoke", "--user", "nobody@example.com"]]
    {
        assert_eq!(refused(&place, arguments), expected);
    }
}

#[both_databases]
async fn sessions_and_api_tokens_of_everybody_end_in_steps(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    let (_, secret) = make(&client, &["READ"]).await;
    // More than one step deletes.
    let now = app.app.clock.now();
    let session = session::Entity::find().one(app.db()).await.unwrap().unwrap();
    let token = api_token::Entity::find().one(app.db()).await.unwrap().unwrap();
    for _ in 0..3 {
        let sessions = (0..500).map(|_| session::ActiveModel { id: Set(now.id()), ..session.clone().into() });
        session::Entity::insert_many(sessions).exec_without_returning(app.db()).await.unwrap();
        let tokens = (0..500).map(|_| {
            let id = now.id();
            api_token::ActiveModel { id: Set(id), digest: Set(id.as_bytes().to_vec()), ..token.clone().into() }
        });
        api_token::Entity::insert_many(tokens).exec_without_returning(app.db()).await.unwrap();
    }
    let sessions = session::Entity::find().count(app.db()).await.unwrap();
    assert_eq!(done(&place, &["sessions", "revoke", "--all"]), format!("{sessions} sessions ended\n"));
    assert_eq!(session::Entity::find().count(app.db()).await.unwrap(), 0);
    assert_eq!(client.code(ME, json!({})).await, "UNAUTHENTICATED REVOKED");
    app.anyone().with_token(&secret).data(ME, json!({})).await;
    assert_eq!(events(&app).await, [Action::SessionsRevoked], "one event for all of them");
    ada.sign_in(&app).await;
    let printed = done(&place, &["sessions", "revoke", "--all", "--api-tokens"]);
    assert_eq!(printed, "1 session ended\n1501 API tokens revoked\n");
    assert_eq!(api_token::Entity::find().count(app.db()).await.unwrap(), 0);
    assert_eq!(app.anyone().with_token(&secret).code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    let events = events(&app).await;
    assert_eq!(events.iter().filter(|action| **action == Action::SessionsRevoked).count(), 2);
    assert_eq!(events.iter().filter(|action| **action == Action::ApiTokenDeleted).count(), 1501);
}

#[both_databases]
async fn keys_are_listed(place: Place) {
    done(&place, &["migrate"]);
    assert!(done(&place, &["keys", "list"]).lines().nth(1).unwrap().ends_with(" signing"));
    done(&place, &["keys", "rotate"]);
    let listed = done(&place, &["keys", "list"]);
    let states = |listed: &str| {
        let lines = listed.lines().skip(1).map(|line| line.rsplit("  ").next().unwrap().to_owned());
        lines.collect::<Vec<String>>()
    };
    let found = states(&listed);
    assert!(found[0].starts_with("published, signing from 20") && found[1] == "signing", "{listed}");
    let announced = listed.lines().nth(1).unwrap().split(' ').next().unwrap();
    let expected = format!("key {announced} is published and will sign from 20");
    assert!(done(&place, &["keys", "rotate"]).starts_with(&expected));
    assert!(done(&place, &["keys", "rotate", "--now"]).ends_with(" is signing now\n"));
    let listed = done(&place, &["keys", "list"]);
    let found = states(&listed);
    assert!(found.len() == 3 && found[0] == "signing");
    assert!(found[1..].iter().all(|state| state.starts_with("verifying until 20")), "{listed}");
    let signing = listed.lines().nth(1).unwrap().split(' ').next().unwrap();
    let printed = done(&place, &["keys", "revoke", signing]);
    let expected = format!("key {signing} revoked; running instances reject its tokens within 10 s");
    assert!(printed.starts_with(&expected), "{printed}");
    assert!(!done(&place, &["keys", "list"]).contains(signing));
    let expected = format!("There is no signing key {signing}. `vestibule keys list` lists them.");
    assert_eq!(refused(&place, &["keys", "revoke", signing]), expected);
}

#[both_databases]
async fn commands_that_find_nothing_say_so_and_make_nothing(place: Place) {
    let mut nothing = command(&place);
    nothing.env("VESTIBULE_DATABASE_URL", place.second_database().await);
    let (success, _, errors) = run(nothing, &["users", "list"], "");
    assert!(!success && (errors.contains("no database at") || errors.contains("pending migrations")), "{errors}");
    assert!(!place.folder.join("second.db").exists() && !place.folder.join("data").exists());
    let _app = TestApp::start(&place).await;
    let expected = "There is no user nobody@example.com. Give an id, a username or an email address.";
    for arguments in [["users", "show"], ["users", "disable"], ["users", "reset"], ["sessions", "list"]] {
        assert_eq!(refused(&place, &[arguments[0], arguments[1], "nobody@example.com"]), expected);
    }
    assert!(refused(&place, &["users", "list", "--first", "1000"]).contains("1000 is not in 1..=200"));
    assert!(refused(&place, &["users", "list", "--search", &"x".repeat(200)]).contains("`search`"));
}
