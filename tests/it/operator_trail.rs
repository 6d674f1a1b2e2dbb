//! The audit trail of commands: each account that a command changes is the target of an event by the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use test_macros::both_databases;

use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde_json::{Value, json};
use uuid::Uuid;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::{api_token, session, signing_key, user};

use crate::api_tokens::make;
use crate::cli_admin::{beside, done};
use crate::process::run;
use crate::second_factor::enroll;
use crate::test_app::{Person, TestApp};
use crate::test_database::Place;

/// Commands that change neither accounts nor what belongs to them. A new command belongs to this list, or to
/// [`every_account_that_a_command_changes_has_an_event`].
const OTHERS: [&str; 24] = [
    "api-tokens-list",
    "audit-list",
    "backup",
    "breached-passwords-build",
    "completions",
    "config-show",
    "copy",
    "doctor",
    "keys-list",
    "limits-show",
    "mail-cancel",
    "mail-hold",
    "mail-list",
    "mail-release",
    "mail-retry",
    "mail-show",
    "man",
    "migrate",
    "schema-diff",
    "serve",
    "sessions-list",
    "users-list",
    "users-show",
    "users-why",
];

/// All commands, such as `users-list`, from the names of their man pages.
pub(crate) fn commands(place: &Place) -> BTreeSet<String> {
    let (success, _, errors) = run(beside(place), &["man", "pages"], "");
    assert!(success, "{errors}");
    let pages = fs::read_dir(place.folder.join("pages")).unwrap().map(|page| page.unwrap().path());
    // A command with commands of its own is a group.
    let commands = pages.filter(|page| !fs::read_to_string(page).unwrap().contains(".SH SUBCOMMANDS"));
    let names = commands.map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned());
    names.filter_map(|name| name.strip_prefix("vestibule-").map(str::to_owned)).collect()
}

/// An account with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
struct Account {
    user: user::Model,
    sessions: Vec<session::Model>,
    tokens: Vec<api_token::Model>,
}

async fn accounts(app: &TestApp) -> BTreeMap<Uuid, Account> {
    let users = user::Entity::find().all(app.db()).await.unwrap().into_iter();
    let mut accounts: BTreeMap<Uuid, Account> =
        users.map(|user| (user.id, Account { user, sessions: Vec::new(), tokens: Vec::new() })).collect();
    for session in session::Entity::find().order_by_asc(session::Column::Id).all(app.db()).await.unwrap() {
        accounts.get_mut(&session.user_id).unwrap().sessions.push(session);
    }
    for token in api_token::Entity::find().order_by_asc(api_token::Column::Id).all(app.db()).await.unwrap() {
        accounts.get_mut(&token.user_id).unwrap().tokens.push(token);
    }
    accounts
}

async fn events(app: &TestApp) -> BTreeMap<Uuid, audit_event::Model> {
    let events = audit_event::Entity::find().all(app.db()).await.unwrap();
    events.into_iter().map(|event| (event.id, event)).collect()
}

/// Runs commands beside a service, and records their names.
struct Operator<'a> {
    app: &'a TestApp,
    place: &'a Place,
    /// Commands that changed something.
    ran: BTreeSet<String>,
}

impl Operator<'_> {
    /// Runs a command, and checks its events. Returns their actions, sorted, and the number of changed accounts.
    async fn run(&self, arguments: &[&str]) -> (Vec<String>, usize) {
        let (mut before, known) = (accounts(self.app).await, events(self.app).await);
        done(self.place, arguments);
        let (mut after, mut new) = (accounts(self.app).await, events(self.app).await);
        new.retain(|id, _| !known.contains_key(id));
        for event in new.values() {
            let told = (event.actor_id, event.ip.as_deref(), event.user_agent.as_deref());
            assert_eq!(told, (None, None, Some("command line")), "{arguments:?}: {event:?}");
        }
        // One event for the sessions of everybody names nobody.
        if new.values().any(|event| event.action == Action::SessionsRevoked) {
            for account in before.values_mut().chain(after.values_mut()) {
                account.sessions.clear();
            }
        }
        let ids: BTreeSet<Uuid> = before.keys().chain(after.keys()).copied().collect();
        let changed: Vec<Uuid> = ids.into_iter().filter(|id| before.get(id) != after.get(id)).collect();
        for id in &changed {
            let is_named = new.values().any(|event| event.target_id == Some(*id));
            assert!(is_named, "{arguments:?}: {:?} became {:?}", before.get(id), after.get(id));
        }
        let mut actions: Vec<String> = new.values().map(|event| format!("{:?}", event.action)).collect();
        actions.sort();
        (actions, changed.len())
    }

    /// Runs a command that changes this number of accounts, and has these events.
    async fn changes(&mut self, command: &[&str], arguments: &[&str], accounts: usize, actions: &[&str]) {
        self.ran.insert(command.join("-"));
        let arguments = [command, arguments].concat();
        let (found, changed) = self.run(&arguments).await;
        assert_eq!((found, changed), (actions.iter().map(ToString::to_string).collect(), accounts), "{arguments:?}");
    }
}

/// An export of Django: ann, whose fields may change, and eve, who has an account here.
fn dump(changes: &Value, has_token: bool) -> String {
    let mut ann = json!({
        "username": "ann", "email": "ann@example.com", "first_name": "", "last_name": "", "groups": [],
        "password": "pbkdf2_sha256$36000$KFv8N8T3Nz0BA5PEA93Riz$XPd08s4DB/E+VJBLOR8OvIoON+7bT+MlVpOGz5a6VR4=",
        "is_active": true, "is_staff": false, "is_superuser": false, "last_login": null,
        "date_joined": "2020-02-03T04:05:06.789Z",
    });
    let mut eve = ann.clone();
    for (field, value) in [("username", "eve"), ("email", "eve@example.com"), ("password", "!")] {
        eve[field] = json!(value);
    }
    for (field, value) in changes.as_object().unwrap() {
        ann[field] = value.clone();
    }
    let mut rows = vec![
        json!({ "model": "auth.user", "pk": 1, "fields": ann }),
        json!({ "model": "auth.user", "pk": 2, "fields": eve }),
    ];
    if has_token {
        let fields = json!({ "user": 1, "created": "2020-02-03T04:05:06.789Z" });
        rows.push(
            json!({ "model": "authtoken.token", "pk": "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b", "fields": fields }),
        );
    }
    json!(rows).to_string()
}

async fn account(app: &TestApp, person: &Person) -> Account {
    accounts(app).await.remove(&person.id.parse::<Uuid>().unwrap()).unwrap()
}

#[both_databases]
async fn every_account_that_a_command_changes_has_an_event(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let (ada, bob) = (app.add_user("ada").await, app.add_user("bob").await);
    let _eve = app.add_user("eve").await;
    let mut operator = Operator { app: &app, place: &place, ran: BTreeSet::new() };
    let wrong = "mutation { login(input: { identifier: \"ada\", password: \"x\" }) { errors { code } } }";
    app.anyone().data(wrong, json!({})).await;
    operator.changes(&["limits", "lift"], &["--user", "ada"], 0, &["LimitsLifted"]).await;

    make(&ada.sign_in(&app).await, &["READ"]).await;
    operator.changes(&["users", "disable"], &["ada"], 1, &["Deactivated"]).await;
    operator.changes(&["users", "disable"], &["ada"], 0, &[]).await;
    operator.changes(&["users", "enable"], &["ada"], 1, &["Activated"]).await;
    operator.changes(&["users", "reset"], &["ada"], 0, &["ResetRequested"]).await;

    enroll(&app, &ada.sign_in(&app).await).await;
    operator.changes(&["users", "reset-factors"], &["ada"], 1, &["FactorsReset"]).await;
    operator.changes(&["users", "reset-factors"], &["ada"], 0, &[]).await;

    for _ in 0..3 {
        ada.sign_in(&app).await;
    }
    let id = account(&app, &ada).await.sessions[0].id.to_string();
    operator.changes(&["sessions", "end"], &[&id], 1, &["SessionRevoked"]).await;
    operator.changes(&["sessions", "end"], &["--user", "ada"], 1, &["SessionRevoked"; 2]).await;
    let (adas, bobs) = (ada.sign_in(&app).await, bob.sign_in(&app).await);
    for number in 0..6 {
        make(if number < 4 { &adas } else { &bobs }, &["READ"]).await;
    }
    let id = account(&app, &ada).await.tokens[0].id.to_string();
    let deleted = ["ApiTokenDeleted"; 3];
    operator.changes(&["api-tokens", "revoke"], &[&id], 1, &deleted[..1]).await;
    operator.changes(&["api-tokens", "revoke"], &["--user", "bob"], 1, &deleted[..2]).await;
    operator.changes(&["api-tokens", "revoke"], &["--all"], 1, &deleted).await;
    make(&adas, &["READ"]).await;
    operator.changes(&["sessions", "revoke"], &["--all"], 0, &["SessionsRevoked"]).await;
    let both = ["ApiTokenDeleted", "SessionsRevoked"];
    operator.changes(&["sessions", "revoke"], &["--all", "--api-tokens"], 1, &both).await;
    assert!(accounts(&app).await.values().all(|account| account.sessions.is_empty() && account.tokens.is_empty()));

    operator.changes(&["create-superuser"], &["--email", "root@example.com"], 1, &["UserCreated"]).await;
    let promote = ["--promote", "--email", "bob@example.com"];
    operator.changes(&["create-superuser"], &promote, 1, &["StaffGranted", "UserUpdated"]).await;

    let file = place.folder.join("people");
    let path = file.to_str().unwrap();
    fs::write(&file, "email,first_name,role\nada@example.com,Ada,ADMIN\ncyd@example.com,,\n").unwrap();
    operator.changes(&["import", "users"], &[path, "--dry-run"], 0, &[]).await;
    operator.changes(&["import", "users"], &[path], 2, &["UserCreated", "UserUpdated", "UsersImported"]).await;
    operator.changes(&["import", "users"], &[path], 0, &[]).await;
    fs::write(&file, "email,is_active\nada@example.com,no\n").unwrap();
    operator.changes(&["import", "users"], &[path], 1, &["Deactivated", "UsersImported"]).await;

    fs::write(&file, dump(&json!({}), true)).unwrap();
    let options = [path, "--tokens", "--link"];
    operator.changes(&["import", "django"], &[&options[..], &["--dry-run"]].concat(), 0, &[]).await;
    let made = ["ApiTokenCreated", "UserCreated", "UserUpdated", "UsersImported"];
    operator.changes(&["import", "django"], &options, 2, &made).await;
    operator.changes(&["import", "django"], &options, 0, &[]).await;
    fs::write(&file, dump(&json!({}), false)).unwrap();
    operator.changes(&["import", "django"], &options, 1, &["ApiTokenDeleted"]).await;
    let other = json!({
        "email": "anna@example.com", "is_staff": true, "is_active": false,
        "password": "pbkdf2_sha1$36000$8WunNAIB4RsVpjIDxzn9NG$OO7GMmJgSqqBzLrlFO3iFZrLHNs=",
    });
    fs::write(&file, dump(&other, false)).unwrap();
    let changed = ["Deactivated", "EmailChanged", "PasswordSet", "StaffGranted", "UserUpdated", "UsersImported"];
    operator.changes(&["import", "django"], &options, 1, &changed).await;

    operator.changes(&["keys", "rotate"], &["--now"], 0, &["SigningKeyRotated"]).await;
    let key = signing_key::Entity::find().one(app.db()).await.unwrap().unwrap().kid;
    operator.changes(&["keys", "revoke"], &[&key], 0, &["SigningKeyRevoked"]).await;
    operator.changes(&["keys", "reseal"], &[], 0, &["SecretsResealed"]).await;
    fs::remove_file(place.folder.join("secret.key")).unwrap();
    operator.changes(&["keys", "reset"], &["--lost-secret"], 0, &["SessionsRevoked", "SigningKeyRevoked"]).await;

    let others: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    assert!(others.is_disjoint(&operator.ran));
    assert_eq!(commands(&place), &others | &operator.ran, "every command is in one of the lists");
}

#[both_databases]
async fn commands_that_only_read_change_nothing_and_have_no_event(place: Place) {
    let app = TestApp::start_at_system_time(&place).await;
    let ada = app.add_user("ada").await;
    let client = ada.sign_in(&app).await;
    make(&client, &["READ"]).await;
    let operator = Operator { app: &app, place: &place, ran: BTreeSet::new() };
    let backup = place.folder.join("backup.db");
    for arguments in [
        ["api-tokens", "list"].as_slice(),
        &["audit", "list", "--user", "ada"],
        &["backup", backup.to_str().unwrap()],
        &["config", "show"],
        &["keys", "list"],
        &["limits", "show", "--user", "ada"],
        // They concern emails, and no account.
        &["mail", "hold", "--kind", "WELCOME"],
        &["mail", "release", "--kind", "WELCOME"],
        &["mail", "cancel", "--kind", "WELCOME"],
        &["mail", "retry", "--all"],
        &["mail", "list"],
        &["migrate"],
        &["sessions", "list", "ada"],
        &["users", "list"],
        &["users", "show", "ada"],
        &["users", "why", "ada"],
    ] {
        assert_eq!(operator.run(arguments).await, (vec![], 0), "{arguments:?}");
    }
    client.data("{ me { id } }", json!({})).await;
}
