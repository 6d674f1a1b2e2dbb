//! Support for users who cannot sign in: reasons and changes in the audit trail, and commands that explain them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;
use test_macros::both_databases;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use serde_json::{Value, json};
use vestibule::entity::audit_event::{self, Action, Reason};
use vestibule::entity::user;

use crate::cli_admin::{beside, done};
use crate::test_app::{ADMIN, PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// Timeout of expected events, which normally take much less.
const TIMEOUT: Duration = Duration::from_secs(20);

const TRAIL: &str = "query($filter: AuditEventFilter) { auditEvents(first: 50, filter: $filter) { nodes {
    action reason target { username } changes { field before after }
} } }";
const LOGIN: &str = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
    errors { code }
} }";
const UPDATE: &str = "mutation($input: UpdateUserInput!) { updateUser(input: $input) { errors { code } } }";

/// Newest events of this action, as visible to this client.
async fn trail(client: &Client, action: &str) -> Vec<Value> {
    let data = client.data(TRAIL, json!({ "filter": { "action": action } })).await;
    data["auditEvents"]["nodes"].as_array().unwrap().clone()
}

/// Fails to sign in, a second after the last event: events of the same millisecond have no order.
async fn fail(app: &TestApp, identifier: &str, password: &str) {
    app.wait(Duration::from_secs(1));
    app.anyone().send(LOGIN, json!({ "i": identifier, "p": password })).await;
}

#[both_databases]
async fn a_change_of_rights_is_recorded_with_before_and_after(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let admin = app.admin().await;
    admin.data(UPDATE, json!({ "input": { "id": ada.id, "role": "MANAGER", "permission": "DOWNLOAD" } })).await;
    let changes = &trail(&admin, "USER_UPDATED").await[0]["changes"];
    let role = json!({ "field": "ROLE", "before": "MEMBER", "after": "MANAGER" });
    assert_eq!((&changes[0], &changes[1]["field"]), (&role, &json!("PERMISSION")));
    assert_eq!(changes[1]["after"], "DOWNLOAD");

    // Each flag is reported by its own event, and by no other.
    app.wait(Duration::from_secs(1));
    let both = json!({ "input": { "id": ada.id, "isStaff": true, "isActive": false, "role": "AGENT" } });
    admin.data(UPDATE, both).await;
    let change = |field: &str, before: &str, after: &str| json!([{ "field": field, "before": before, "after": after }]);
    assert_eq!(trail(&admin, "STAFF_GRANTED").await[0]["changes"], change("IS_STAFF", "false", "true"));
    assert_eq!(trail(&admin, "DEACTIVATED").await[0]["changes"], change("IS_ACTIVE", "true", "false"));
    assert_eq!(trail(&admin, "USER_UPDATED").await[0]["changes"], change("ROLE", "MANAGER", "AGENT"));
}

#[both_databases]
async fn a_change_of_personal_details_is_recorded_without_values(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await.sign_in(&app).await;
    let update = "mutation { updateMe(input: { firstName: \"Augusta\", phone: \"1\" }) { errors { code } } }";
    ada.data(update, json!({})).await;
    let changes = trail(&app.admin().await, "USER_UPDATED").await[0]["changes"].clone();
    let field = |name: &str| json!({ "field": name, "before": null, "after": null });
    assert_eq!(changes, json!([field("FIRST_NAME"), field("PHONE")]));
}

#[both_databases]
async fn an_import_records_which_rights_it_changed(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let admin = app.admin().await;
    crate::spreadsheet_import::import(&admin, "email,first_name,role,is_active\nada@example.com,Ada,AGENT,false\n")
        .await;
    let changes = trail(&admin, "USER_UPDATED").await[0]["changes"].clone();
    let name = json!({ "field": "FIRST_NAME", "before": null, "after": null });
    assert_eq!(changes, json!([name, { "field": "ROLE", "before": "MEMBER", "after": "AGENT" }]));
    let off = json!([{ "field": "IS_ACTIVE", "before": "true", "after": "false" }]);
    assert_eq!(trail(&admin, "DEACTIVATED").await[0]["changes"], off);
}

#[both_databases]
async fn a_failed_sign_in_has_a_reason_that_staff_see(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    for name in ["wrong", "inactive", "unverified"] {
        app.add_user(name).await;
    }
    app.add(json!({ "username": "invited", "email": "invited@example.com" })).await;
    set(&app, "inactive", user::Column::IsActive).await;
    set(&app, "unverified", user::Column::IsVerified).await;
    for (name, password) in
        [("nobody", "x"), ("wrong", "x"), ("invited", "x"), ("inactive", PASSWORD), ("unverified", PASSWORD)]
    {
        fail(&app, name, password).await;
    }
    let reasons: Vec<Value> = trail(&staff, "LOGIN_FAILED").await.iter().map(|event| event["reason"].clone()).collect();
    let expected = ["EMAIL_NOT_VERIFIED", "ACCOUNT_INACTIVE", "NO_PASSWORD", "WRONG_PASSWORD", "UNKNOWN_ACCOUNT"];
    assert_eq!(reasons, expected);
}

/// Clears a flag of a user in the database.
async fn set(app: &TestApp, name: &str, flag: user::Column) {
    let update = user::Entity::update_many().col_expr(flag, Expr::value(false));
    update.filter(user::Column::Username.eq(name)).exec(app.db()).await.unwrap();
}

#[both_databases]
async fn the_reason_does_not_reveal_superusers_to_staff(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    fail(&app, "admin", "x").await;
    fail(&app, "nobody", "x").await;
    let seen = trail(&staff, "LOGIN_FAILED").await;
    assert_eq!(seen[0], seen[1]);
    assert_eq!(trail(&app.admin().await, "LOGIN_FAILED").await[1]["reason"], "WRONG_PASSWORD");
}

#[both_databases]
async fn a_limit_does_not_reveal_that_two_names_are_one_superusers(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_sign_in = "3/10m".parse().unwrap()).await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    for name in ["admin", "admin", "admin", "admin@localhost", "nobody@localhost"] {
        fail(&app, name, "x").await;
    }
    app.app.limits.report(&app.app.db, &app.app.clock.now()).await.unwrap();
    assert_eq!(trail(&staff, "LIMIT_REACHED").await, [Value::Null; 0]);
    let seen = trail(&staff, "LOGIN_FAILED").await;
    assert_eq!(seen[0], seen[1]);
}

#[both_databases]
async fn limits_that_a_superuser_exhausts_are_shown_to_superusers_only(place: Place) {
    let app = TestApp::start_with(&place, |config| {
        config.limits.limit_sign_in = "3/10m".parse().unwrap();
        config.limits.limit_mail_address = "1/1h".parse().unwrap();
    })
    .await;
    app.add_staff("boss").await;
    let wrong = "mutation { reauthenticate(input: { proof: { password: \"wrong\" } }) { errors { code } } }";
    let moved = "mutation($p: String!) { updateMe(input: { email: \"new@example.com\", currentPassword: $p }) {
        errors { code } } }";
    for (name, password) in [ADMIN, ("boss", PASSWORD)] {
        let client = app.anyone().sign_in(name, password).await;
        for _ in 0..3 {
            client.send(moved, json!({ "p": password })).await;
        }
        for _ in 0..5 {
            client.send(wrong, json!({})).await;
        }
        app.app.limits.report(&app.app.db, &app.app.clock.now()).await.unwrap();
        app.wait(Duration::from_secs(3601));
    }
    let admin = app.admin().await;
    let staff = app.anyone().sign_in("boss", PASSWORD).await;
    let query = "{ auditEvents(first: 50, filter: { action: LIMIT_REACHED }) {
        nodes { reason actor { username } target { username } } } }";
    let seen = async |client: &Client| {
        let nodes = client.data(query, json!({})).await["auditEvents"]["nodes"].as_array().unwrap().clone();
        let names = nodes.iter().map(|event| (event["reason"].clone(), event["actor"]["username"].clone()));
        names.map(|(reason, actor)| format!("{} {actor}", reason.as_str().unwrap())).collect::<Vec<_>>()
    };
    let mut of_staff = seen(&staff).await;
    of_staff.sort();
    assert_eq!(of_staff, ["LIMIT_MAIL_ADDRESS \"boss\"", "LIMIT_SIGN_IN \"boss\""]);
    assert_eq!(seen(&admin).await.len(), 4);
}

#[both_databases]
async fn an_exhausted_limit_leaves_one_event_that_names_the_account(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limit_sign_in = "3/10m".parse().unwrap()).await;
    app.add_user("ada").await;
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    for name in ["ada", "admin", "nobody"] {
        for _ in 0..8 {
            fail(&app, name, "x").await;
        }
    }
    let now = app.app.clock.now();
    app.app.limits.report(&app.app.db, &now).await.unwrap();
    let reached = trail(&staff, "LIMIT_REACHED").await;
    // A superuser looks like an unknown name.
    let named: Vec<&Value> = reached.iter().filter_map(|event| event["target"].get("username")).collect();
    assert_eq!((reached.len(), named), (3, vec![&json!("ada")]));
    assert!(reached.iter().all(|event| event["reason"] == "LIMIT_SIGN_IN"), "{reached:?}");

    // More in the same ten minutes are not reported; later ones are.
    fail(&app, "ada", "x").await;
    app.app.limits.report(&app.app.db, &now).await.unwrap();
    assert_eq!(trail(&staff, "LIMIT_REACHED").await.len(), 3);
    app.wait(Duration::from_secs(601));
    for _ in 0..5 {
        fail(&app, "ada", "x").await;
    }
    app.app.limits.report(&app.app.db, &app.app.clock.now()).await.unwrap();
    assert_eq!(trail(&app.admin().await, "LIMIT_REACHED").await.len(), 4);
}

#[both_databases]
async fn why_explains_each_problem_and_what_to_do(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    let why = || done(&place, &["users", "why", "ada"]);
    assert_eq!(why(), "no problem found: ada@example.com can sign in with the right password\n");
    let wrong = || async { fail(&app, "ada", "x").await };
    wrong().await;
    assert!(why().contains("LOGIN_FAILED") && why().contains("WRONG_PASSWORD") && why().contains("127.0.0.1"));
    for _ in 0..12 {
        wrong().await;
    }
    let lift = format!("wait, or vestibule limits lift --user {}", ada.id);
    assert!(why().contains("VESTIBULE_LIMIT_SIGN_IN is exhausted until ") && why().contains(&lift), "{}", why());
    assert_eq!(done(&place, &["limits", "lift", "--user", "ada"]).split_once(' ').unwrap().1, "limits lifted\n");
    assert!(!why().contains("exhausted"), "{}", why());
    app.anyone().sign_in("ada", PASSWORD).await;

    set(&app, "ada", user::Column::IsActive).await;
    set(&app, "ada", user::Column::IsVerified).await;
    let printed = why();
    assert!(printed.contains("the account is deactivated") && printed.contains("users enable"), "{printed}");
    assert!(printed.contains("the email address is not confirmed"), "{printed}");

    // A pending registration is no user yet.
    let wanted = crate::parity::registration::wanted("eve@example.com");
    app.anyone().data(crate::parity::registration::REGISTER, wanted).await;
    let printed = done(&place, &["users", "why", "eve@example.com"]);
    assert!(printed.contains("has not opened the link in the confirmation email"), "{printed}");
}

#[both_databases]
async fn limits_are_shown_and_lifted(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    for number in 0..12 {
        fail(&app, &format!("nobody-{}", number / 6), "x").await;
    }
    let shown = done(&place, &["limits", "show", "--client", "127.0.0.1"]);
    let rows: Vec<&str> = shown.lines().collect();
    assert!(rows[1].starts_with("VESTIBULE_LIMIT_SIGN_IN_CLIENT "), "{shown}");
    assert_eq!(done(&place, &["limits", "lift", "--client", "127.0.0.1"]), "1 limit lifted\n");
    assert_eq!(done(&place, &["limits", "show", "--client", "127.0.0.1"]).lines().count(), 1);
    assert_eq!(done(&place, &["limits", "lift", "--client", "127.0.0.1"]), "0 limits lifted\n");
    let lifted = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::LimitsLifted));
    assert_eq!(lifted.all(app.db()).await.unwrap().len(), 1);
}

#[both_databases]
async fn the_trail_is_listed_by_user_action_and_time(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    app.add_user("bob").await;
    fail(&app, "ada", "x").await;
    let admin = app.admin().await;
    app.wait(Duration::from_secs(1));
    admin.data(UPDATE, json!({ "input": { "id": ada.id, "role": "AGENT" } })).await;
    let lines = |arguments: &[&str]| {
        let printed = done(&place, &[&["audit", "list"], arguments].concat());
        printed.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let of_ada = lines(&["--user", "ada"]);
    assert_eq!(of_ada.len(), 3, "{of_ada:?}");
    assert!(of_ada[0].contains("USER_UPDATED  admin@localhost") && of_ada[0].contains("ROLE=MEMBER>AGENT"));
    assert_eq!(lines(&["--user", "ada", "--action", "login_failed"]).len(), 1);
    assert_eq!(lines(&["--user", "ada", "--since", "1h"]).len(), 3);
    assert_eq!(lines(&["--since", "2200-01-01T00:00:00Z"]).len(), 0);
    let paged = lines(&["--first", "1"]);
    assert_eq!((paged.len(), paged[1].as_str()), (2, "more events exist; use --offset to list them"));
    let (success, _, errors) = crate::process::run(beside(&place), &["audit", "list", "--action", "login_fail"], "");
    assert!(!success && errors.contains("LOGIN_FAILED"), "{errors}");
}

#[both_databases]
async fn new_events_are_followed(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let mut command = beside(&place);
    command.args(["audit", "list", "--follow", "--json", "--action", "LOGIN_FAILED"]).stdout(Stdio::piped());
    let mut follower = command.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    fail(&app, "first", "x").await;
    let line = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["reason"], &event["target"]), (&json!("UNKNOWN_ACCOUNT"), &Value::Null));
    let events = audit_event::Entity::find().filter(audit_event::Column::Reason.eq(Reason::UnknownAccount));
    assert_eq!(events.order_by_asc(audit_event::Column::Id).all(app.db()).await.unwrap().len(), 1);

    // Nobody reads the next event.
    fail(&app, "second", "x").await;
    let ended = async {
        loop {
            match follower.try_wait().unwrap() {
                Some(status) => return status,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let ended = tokio::time::timeout(TIMEOUT, ended).await;
    let _ = follower.kill();
    assert!(ended.expect("the command ends with its reader").success());
}

#[both_databases]
async fn lists_are_printed_as_json(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    ada.sign_in(&app).await;
    let printed = |arguments: &[&str]| -> Value {
        serde_json::from_str(&done(&place, &[arguments, &["--json"]].concat())).unwrap()
    };
    let users = printed(&["users", "list", "--search", "ada"]);
    assert_eq!((&users[0]["username"], &users[0]["email"]), (&json!("ada"), &json!("ada@example.com")));
    assert_eq!(printed(&["users", "show", "ada"])["sessions"], "1");
    assert_eq!(printed(&["users", "why", "ada"]), json!([]));
    assert!(printed(&["sessions", "list", "ada"])[0]["signedIn"].is_string());
    assert!(printed(&["keys", "list"])[0]["state"].is_string());
    assert_eq!(printed(&["mail", "list"])[0]["kind"], "WELCOME");
    for list in [["api-tokens", "list"], ["audit", "list"]] {
        assert!(printed(&list).is_array());
    }
    assert!(printed(&["limits", "show", "--user", "ada"]).is_array());
}
