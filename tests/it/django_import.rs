//! Import of a Django project's users with passwords, ids and tokens. `tests/django/run` does the same with projects
//! that Django itself creates.

use std::time::Duration;
use test_macros::both_databases;

use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vestibule::domain::import::django::mapping::Mapping;
use vestibule::domain::import::django::source::Source;
use vestibule::domain::import::django::{self, Options, Report};
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::user;
use vestibule::error::Error;
use vestibule::tools::certificates::Trust;

use crate::process::{command, run};
use crate::spreadsheet_import::download;
use crate::test_app::{ADMIN, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

/// Plain text of [`HASHES`].
pub(crate) const OLD: &str = "l\u{e8}tmein";

/// Hashes of [`OLD`] by each of Django's hashers. The first three have the rounds of Django 1.11, the others fewer.
pub(crate) const HASHES: [(&str, &str); 6] = [
    ("pbkdf2", "pbkdf2_sha256$36000$KFv8N8T3Nz0BA5PEA93Riz$XPd08s4DB/E+VJBLOR8OvIoON+7bT+MlVpOGz5a6VR4="),
    ("sha1", "pbkdf2_sha1$36000$8WunNAIB4RsVpjIDxzn9NG$OO7GMmJgSqqBzLrlFO3iFZrLHNs="),
    (
        "argon",
        "argon2$argon2id$v=19$m=1024,t=2,p=8$dDZ0UHNYZVVLczA2a0ExbFBjTzZPSQ$c7XJge+KRoe6ylY7TJAXTDZ7TAHn8oqwsTX9BuulcJo",
    ),
    ("bcrypt256", "bcrypt_sha256$$2b$04$AMse7Fb7aCBeAt5yG1EFce4uuwr.5MWSVkv8dSOkKiZYA44bMKB6O"),
    ("bcrypt", "bcrypt$$2b$04$f.95N0jA.ZFqtGOqofskT.rqhAegMixfzzrlFILO1PRjwpDiYSXkS"),
    (
        "scrypt",
        "scrypt$1024$mKFxw8MaHzvg8nKJpMClkU$8$5$LIu/nI+h+P/ZBTnwXhPVgXjnZGCRovNnbfgoDTj3iaSdOSJ1gVp8l4uX4vBBzrwcZ6MS+G6tLXU3U7qXslxsRw==",
    ),
];

const KEY: &str = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b";

/// A user in the format of `manage.py dumpdata`, with some fields changed.
pub(crate) fn user(pk: u32, name: &str, changes: &Value) -> Value {
    let mut fields = json!({
        "username": name, "email": format!("{name}@example.com"), "password": HASHES[0].1, "first_name": "", "last_name": "",
        "is_active": true, "is_staff": false, "is_superuser": false, "date_joined": "2020-02-03T04:05:06.789Z",
        "last_login": null, "groups": [],
    });
    for (field, value) in changes.as_object().unwrap() {
        fields[field] = value.clone();
    }
    json!({ "model": "auth.user", "pk": pk, "fields": fields })
}

fn token(user: u32, key: &str) -> Value {
    json!({ "model": "authtoken.token", "pk": key, "fields": { "user": user, "created": "2020-02-03T04:05:06.789Z" } })
}

async fn try_moving(app: &TestApp, dump: &[Value], options: Options) -> Result<Report, Error> {
    let path = app.app.config.data_dir.join("dump.json");
    std::fs::write(&path, json!(dump).to_string()).unwrap();
    let mapping = Mapping::default();
    let options = Options { token_life: app.app.config.api_tokens.api_token_ttl, ..options };
    let source = Source::open(path.to_str().unwrap(), &Trust::default(), &mapping, options.tokens).await?;
    let mut report = Report::default();
    let input = django::Import { source, mapping: &mapping, options, second_factor: app.app.second_factor_rules() };
    django::take_over(&app.app.db, &app.app.clock, input, &mut report, &|_| ()).await?;
    Ok(report)
}

pub(crate) async fn move_in(app: &TestApp, dump: &[Value], options: Options) -> Report {
    try_moving(app, dump, options).await.unwrap()
}

/// Imports tables of the service's own database.
pub(crate) async fn move_in_database(app: &TestApp, place: &Place, mapping: &str) -> Result<Report, Error> {
    let mapping = Mapping::parse(mapping).unwrap();
    let source = Source::open(&place.database_url, &Trust::default(), &mapping, false).await?;
    let (options, second_factor) = (Options::default(), app.app.second_factor_rules());
    let mut report = Report::default();
    let input = django::Import { source, mapping: &mapping, options, second_factor };
    django::take_over(&app.app.db, &app.app.clock, input, &mut report, &|_| ()).await?;
    Ok(report)
}

fn counts(report: &Report) -> (usize, usize, usize, usize) {
    (report.created, report.updated, report.unchanged, report.kept)
}

pub(crate) fn told(report: &Report) -> Vec<String> {
    let all = report.refused.iter().chain(&report.notes);
    all.map(|problem| format!("{} {}: {}", problem.id, problem.field.unwrap_or("-"), problem.message)).collect()
}

pub(crate) async fn row(app: &TestApp, name: &str) -> user::Model {
    let found = user::Entity::find().filter(user::Column::UsernameKey.eq(name)).one(app.db()).await.unwrap();
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

async fn by_address(app: &TestApp, email: &str) -> user::Model {
    let found = user::Entity::find().filter(user::Column::Email.eq(email)).one(app.db()).await.unwrap();
    found.unwrap_or_else(|| panic!("there is no {email}"))
}

/// First error code of `login`, or `None` on success.
async fn attempt(app: &TestApp, identifier: &str, password: &str) -> Option<String> {
    let query = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) {
        user { id } errors { code } } }";
    let data = app.anyone().data(query, json!({ "i": identifier, "p": password })).await;
    data["login"]["errors"][0]["code"].as_str().map(str::to_owned)
}

#[both_databases]
async fn people_sign_in_with_the_passwords_that_django_hashed(place: Place) {
    let app = TestApp::start(&place).await;
    let dump: Vec<Value> =
        HASHES.iter().zip(1..).map(|((name, hash), pk)| user(pk, name, &json!({ "password": hash }))).collect();
    let options = Options { weak_hashes: true, ..Options::default() };
    assert_eq!(counts(&move_in(&app, &dump, options).await), (6, 0, 0, 0));
    for (name, hash) in HASHES {
        assert_eq!(row(&app, name).await.password_hash.as_deref(), Some(hash), "kept letter by letter");
        assert_eq!(attempt(&app, name, "letmein").await.as_deref(), Some("INVALID_CREDENTIALS"));
        assert_eq!(row(&app, name).await.password_hash.as_deref(), Some(hash), "a wrong password replaces nothing");
        assert_eq!(attempt(&app, name, OLD).await, None, "{name}");
        let ours = row(&app, name).await;
        assert!(ours.password_hash.unwrap().starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{name}");
        assert_eq!(ours.last_login, Some(app.clock_now()));
        assert_eq!(attempt(&app, &format!("{name}@EXAMPLE.com"), OLD).await, None, "{name}");
        assert_eq!(attempt(&app, name, "letmein").await.as_deref(), Some("INVALID_CREDENTIALS"));
    }
    let joined = row(&app, "scrypt").await;
    assert_eq!((joined.date_joined.to_string().as_str(), joined.is_verified), ("2020-02-03T04:05:06.789Z", true));
}

#[both_databases]
async fn users_without_a_usable_password_are_mailed_a_link_once(place: Place) {
    let app = TestApp::start(&place).await;
    let dump = [
        user(1, "ann", &json!({ "password": "!x7" })),
        user(2, "bob", &json!({ "password": "", "is_active": false })),
        user(3, "cy", &json!({})),
    ];
    let report = move_in(&app, &dump, Options::default()).await;
    assert_eq!((counts(&report), report.without_password, report.resets), ((3, 0, 0, 0), 2, 0));
    assert!(app.mails().await.is_empty());
    for name in ["ann", "bob", "nobody"] {
        for password in ["!x7", "", OLD] {
            assert_eq!(attempt(&app, name, password).await.as_deref(), Some("INVALID_CREDENTIALS"));
        }
    }
    let options = Options { send_resets: true, ..Options::default() };
    assert_eq!(move_in(&app, &dump, options).await.resets, 1);
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "ann@example.com"));
    assert!(mails[0].text.contains("/account/reset?uid="), "{}", mails[0].text);
    assert_eq!(move_in(&app, &dump, options).await.resets, 0);
}

#[both_databases]
async fn a_hash_that_costs_too_much_is_not_kept(place: Place) {
    let app = TestApp::start(&place).await;
    let costly = HASHES[0].1.replace("$36000$", "$10000001$");
    let dump = [
        user(1, "ann", &json!({ "password": costly })),
        user(2, "bob", &json!({ "password": "md5$salt$0cc175b9c0f1b6a831c399e269772661" })),
        user(3, "cy", &json!({ "password": "pbkdf2_sha256$1000$salt$" })),
    ];
    let report = move_in(&app, &dump, Options::default()).await;
    assert_eq!((counts(&report), report.without_password), ((3, 0, 0, 0), 3));
    let expected = [
        "1 password: The account has no password: checking its hash would take too much time or memory.",
        "2 password: The account has no password: its hash was created by an unsupported algorithm.",
        "3 password: The account has no password: its hash cannot be read.",
    ];
    assert_eq!(told(&report), expected);
    assert_eq!(row(&app, "ann").await.password_hash, None);
    assert_eq!(attempt(&app, "ann", OLD).await.as_deref(), Some("INVALID_CREDENTIALS"));
}

#[both_databases]
async fn a_weak_hash_is_not_kept_unless_the_operator_asks(place: Place) {
    let app = TestApp::start(&place).await;
    let hash = |(name, hash): &(&str, &str), pk| user(pk, name, &json!({ "password": hash }));
    let mut dump: Vec<Value> = HASHES.iter().zip(1..).map(|(one, pk)| hash(one, pk)).collect();
    let barely = HASHES[0].1.replace("$36000$", "$35999$");
    dump.push(user(7, "barely", &json!({ "password": barely })));
    let options = Options { send_resets: true, ..Options::default() };
    let report = move_in(&app, &dump, options).await;
    assert_eq!((counts(&report), report.without_password, report.weak_hashes), ((7, 0, 0, 0), 4, 4));
    let because = "The account has no password: its hash uses fewer rounds than Django 1.11. \
                   Use --weak-hashes to keep it.";
    assert_eq!(told(&report), ["4", "5", "6", "7"].map(|id| format!("{id} password: {because}")));
    for name in ["bcrypt256", "bcrypt", "scrypt", "barely"] {
        assert_eq!(row(&app, name).await.password_hash, None, "{name}");
        assert_eq!(attempt(&app, name, OLD).await.as_deref(), Some("INVALID_CREDENTIALS"));
    }
    for name in ["pbkdf2", "sha1", "argon"] {
        assert_eq!(attempt(&app, name, OLD).await, None, "{name}");
    }
    let mut mailed: Vec<String> = app.mails().await.into_iter().map(|mail| mail.to).collect();
    mailed.sort();
    assert_eq!(mailed, ["barely", "bcrypt256", "bcrypt", "scrypt"].map(|name| format!("{name}@example.com")));
    assert_eq!(report.resets, 4);
}

#[both_databases]
async fn a_weak_hash_that_is_kept_is_replaced_by_a_reset_or_a_sign_in(place: Place) {
    let app = TestApp::start(&place).await;
    let dump = [
        user(1, "ann", &json!({ "password": HASHES[5].1 })),
        user(2, "bob", &json!({ "password": HASHES[5].1 })),
        user(3, "cy", &json!({})),
    ];
    let options = Options { weak_hashes: true, ..Options::default() };
    let report = move_in(&app, &dump, options).await;
    assert_eq!((counts(&report), report.without_password, report.weak_hashes), ((3, 0, 0, 0), 0, 2));
    assert_eq!(attempt(&app, "ann", OLD).await, None);
    assert!(row(&app, "ann").await.password_hash.unwrap().starts_with("$argon2id$"));
    assert_eq!(row(&app, "bob").await.password_hash.as_deref(), Some(HASHES[5].1));
    // Of the users who can sign in, one still has a weak hash.
    let options = Options { send_resets: true, ..options };
    assert_eq!(move_in(&app, &dump, options).await.resets, 1);
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "bob@example.com"));
    assert_eq!(move_in(&app, &dump, options).await.resets, 0);
    // Tokens are removed if the import no longer asks for them.
    let report = move_in(&app, &dump, Options::default()).await;
    assert_eq!((counts(&report), report.weak_hashes), ((0, 1, 2, 0), 1));
    assert_eq!(row(&app, "bob").await.password_hash, None);
    assert_eq!(attempt(&app, "ann", OLD).await, None);
}

#[both_databases]
async fn changes_there_are_imported_and_changes_here_stay(place: Place) {
    let app = TestApp::start(&place).await;
    let before =
        [user(1, "ann", &json!({})), user(2, "bob", &json!({})), user(3, "cy", &json!({})), user(4, "di", &json!({}))];
    move_in(&app, &before, Options::default()).await;
    app.wait(Duration::from_secs(60));
    assert_eq!(counts(&move_in(&app, &before, Options::default()).await), (0, 0, 4, 0));

    let bob = app.anyone().sign_in("bob", OLD).await;
    let cy = app.anyone().sign_in("cy", OLD).await;
    cy.data("mutation { updateMe(input: { firstName: \"Own\" }) { errors { code } } }", json!({})).await;
    let other = json!({ "password": HASHES[1].1.replace("NG$OO7G", "NG$aaaa"), "first_name": "New" });
    let after = [
        user(1, "anna", &json!({ "email": "anna@example.com", "password": HASHES[2].1, "is_staff": true })),
        user(2, "bob", &other),
        user(3, "cy", &other),
        user(4, "di", &json!({ "is_active": false })),
    ];
    app.wait(Duration::from_secs(60));
    assert_eq!(counts(&move_in(&app, &after, Options::default()).await), (0, 3, 0, 1));
    let mut told: Vec<String> = app.mails().await.into_iter().map(|mail| mail.to).collect();
    told.sort();
    assert_eq!(told, ["ann@example.com", "anna@example.com"], "of the other address, and of the other password");
    assert_eq!(attempt(&app, "anna@example.com", OLD).await, None);
    let ann = row(&app, "anna").await;
    assert!(ann.is_staff && ann.external_id.as_deref() == Some("1"));
    assert_eq!(row(&app, "bob").await.first_name, "New");
    assert_eq!(attempt(&app, "bob", OLD).await, None, "whoever has signed in here has the password that holds here");
    bob.data("{ me { id } }", json!({})).await;
    assert_eq!(row(&app, "cy").await.first_name, "Own");
    assert_eq!(attempt(&app, "di", OLD).await.as_deref(), Some("ACCOUNT_INACTIVE"));
    app.wait(Duration::from_secs(60));
    assert_eq!(counts(&move_in(&app, &after, Options::default()).await), (0, 0, 3, 1));

    let events =
        audit_event::Entity::find().filter(audit_event::Column::TargetId.eq(ann.id)).all(app.db()).await.unwrap();
    let mut actions: Vec<String> = events.into_iter().map(|event| format!("{:?}", event.action)).collect();
    actions.sort();
    assert_eq!(actions, ["EmailChanged", "Login", "PasswordSet", "StaffGranted", "UserCreated", "UserUpdated"]);
    let imports = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::UsersImported));
    assert_eq!(imports.count(app.db()).await.unwrap(), 2, "one for each run that changed something");
}

#[both_databases]
async fn users_deleted_here_do_not_come_back(place: Place) {
    let app = TestApp::start(&place).await;
    let dump = [user(1, "ann", &json!({}))];
    move_in(&app, &dump, Options::default()).await;
    let delete = "mutation($id: ID!) { deleteUser(input: { id: $id }) { errors { code } } }";
    app.admin().await.data(delete, json!({ "id": row(&app, "ann").await.id })).await;
    assert_eq!(counts(&move_in(&app, &dump, Options::default()).await), (0, 0, 0, 1));
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
}

#[both_databases]
async fn users_that_cannot_be_imported_are_reported_and_block_no_others(place: Place) {
    let app = TestApp::start(&place).await;
    let dump = [
        user(1, "ann", &json!({})),
        user(2, "bob", &json!({ "email": "" })),
        user(3, "cy", &json!({ "email": "ANN@example.com" })),
        user(4, "ANN", &json!({ "email": "other@example.com" })),
        user(5, "di@elsewhere.example", &json!({ "email": "di@example.com", "first_name": "a\u{202e}b" })),
        user(6, "eve@example.com", &json!({ "email": "eve@example.com" })),
        user(6, "fay", &json!({})),
        user(7, "admin", &json!({ "email": "gil@example.com" })),
    ];
    let report = move_in(&app, &dump, Options::default()).await;
    assert_eq!(counts(&report), (2, 0, 0, 0));
    let all = told(&report);
    let of = |start: &str| all.iter().any(|line| line.starts_with(start));
    assert!(of("2 email: Enter an email address."), "{all:?}");
    assert!(of("3 email: Another user above has this email address"), "{all:?}");
    assert!(of("4 username: Another user has this username"), "{all:?}");
    assert!(of("5 username: ") && of("5 first_name: "), "{all:?}");
    assert!(of("6 id: Another user above has this id"), "{all:?}");
    assert!(of("7 username: Another user has this username"), "{all:?}");
    let eve = by_address(&app, "eve@example.com").await.username;
    assert!(eve.starts_with("user-"), "an address is no username: {eve}");

    let options = Options { make_usernames: true, ..Options::default() };
    let report = move_in(&app, &dump, options).await;
    assert_eq!(counts(&report), (2, 0, 2, 0), "{:?}", told(&report));
    for email in ["other@example.com", "gil@example.com"] {
        let made = user::Entity::find().filter(user::Column::Email.eq(email)).one(app.db()).await.unwrap().unwrap();
        assert!(made.username.starts_with("user-"), "nothing of the address is in it: {}", made.username);
    }
}

#[both_databases]
async fn an_account_of_the_same_address_is_given_the_id_where_the_operator_says_so(place: Place) {
    let app = TestApp::start(&place).await;
    let dump = [user(1, "root", &json!({ "email": "ADMIN@localhost", "first_name": "R" })), token(1, KEY)];
    let report = move_in(&app, &dump, Options::default()).await;
    assert!(told(&report)[0].starts_with("1 email: An account that was not imported has this email address."));
    let options = Options { link: true, tokens: true, ..Options::default() };
    let report = move_in(&app, &dump, options).await;
    assert_eq!((report.linked, report.refused.len(), report.tokens), (1, 0, 0));
    let admin = row(&app, "admin").await;
    assert_eq!((admin.external_id.as_deref(), admin.first_name.as_str()), (Some("1"), ""));
    assert_eq!(attempt(&app, "admin", OLD).await.as_deref(), Some("INVALID_CREDENTIALS"));
    assert_eq!(attempt(&app, "admin", ADMIN.1).await, None);
    assert_eq!(counts(&move_in(&app, &dump, options).await), (0, 0, 0, 1));
}

#[both_databases]
async fn a_user_whose_address_merely_resembles_an_accounts_is_not_linked(place: Place) {
    let app = TestApp::start(&place).await;
    app.add_user("ada").await;
    let look_alike = "\u{430}da@example.com";
    for address in [look_alike, "ada@xn--exmple-4nf.com"] {
        let dump = [user(1, "countess", &json!({ "email": address }))];
        for link in [true, false] {
            let report = move_in(&app, &dump, Options { link, ..Options::default() }).await;
            assert_eq!((report.linked, report.created, report.refused.len()), (0, 0, 1));
            let told = &told(&report)[0];
            assert!(told.contains(address) && told.contains("another account, ada@example.com"), "{told}");
        }
    }
    assert_eq!(row(&app, "ada").await.external_id, None);
    // Two users there, and one who changes to a look-alike.
    let dump = [user(2, "bob", &json!({})), user(3, "rob", &json!({ "email": "b\u{43e}b@example.com" }))];
    let report = move_in(&app, &dump, Options::default()).await;
    assert_eq!(counts(&report), (1, 0, 0, 0));
    assert!(told(&report)[0].contains("another account, bob@example.com"), "{:?}", told(&report));
    app.wait(Duration::from_secs(60));
    let report = move_in(&app, &[user(2, "bob", &json!({ "email": look_alike }))], Options::default()).await;
    assert!(told(&report)[0].contains("another account, ada@example.com"), "{:?}", told(&report));
}

#[both_databases]
async fn a_change_of_address_there_is_announced(place: Place) {
    let app = TestApp::start(&place).await;
    move_in(&app, &[user(1, "ada", &json!({}))], Options::default()).await;
    app.wait(Duration::from_secs(60));
    let moved = [user(1, "countess", &json!({ "email": "countess@example.com", "is_staff": true }))];
    let report = move_in(&app, &moved, Options::default()).await;
    assert_eq!(counts(&report), (0, 1, 0, 0));
    let rights: Vec<_> = report.rights.iter().map(|change| (change.id.as_str(), change.after.as_str())).collect();
    assert_eq!(rights, [("1", "true")]);
    let mails = app.mails().await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "ada@example.com"));
    assert!(!mails[0].text.contains("token="), "nobody proved here to read that address");
    assert_eq!(row(&app, "countess").await.email, "countess@example.com");
    // The former username is reserved for her.
    let other = user(2, "ada", &json!({ "email": "other@example.com" }));
    let report = move_in(&app, &[other], Options::default()).await;
    assert_eq!((report.created, told(&report).len()), (0, 1));
}

#[both_databases]
async fn superusers_are_taken_over_but_not_changed(place: Place) {
    let app = TestApp::start(&place).await;
    let boss = |name: &str, login: Value| {
        user(1, "boss", &json!({ "is_superuser": true, "is_staff": true, "first_name": name, "last_login": login }))
    };
    move_in(&app, &[boss("", Value::Null)], Options::default()).await;
    let made = row(&app, "boss").await;
    let granted = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::StaffGranted));
    assert_eq!(granted.count(app.db()).await.unwrap(), 1);
    assert_eq!(
        (made.is_superuser, made.role, made.permission),
        (true, user::Role::Admin, user::Permission::FullAccess)
    );
    let again = move_in(&app, &[boss("", json!("2026-01-01T00:00:00Z"))], Options::default()).await;
    assert_eq!((counts(&again), again.refused.len()), ((0, 0, 1, 0), 0));
    let again = move_in(&app, &[boss("Bo", Value::Null)], Options::default()).await;
    assert_eq!(
        (counts(&again), told(&again)),
        ((0, 0, 0, 0), vec!["1 -: Superusers cannot be changed here.".to_owned()])
    );
    assert_eq!(row(&app, "boss").await, made);
}

/// Status of a route for a script with this `Authorization` header.
async fn status(client: &Client, path: &str, authorization: &str) -> u16 {
    client.request("GET", path).header("authorization", authorization).send().await.unwrap().status().as_u16()
}

#[both_databases]
async fn tokens_export_and_do_nothing_else(place: Place) {
    let app = TestApp::start(&place).await;
    let (staffs, inactives) = ("a".repeat(40), "b".repeat(40));
    let dump = [
        user(1, "ann", &json!({})),
        user(2, "staff", &json!({ "is_staff": true })),
        user(3, "gone", &json!({ "is_active": false })),
        token(1, KEY),
        token(2, &staffs),
        token(3, &inactives),
    ];
    assert_eq!(move_in(&app, &dump, Options::default()).await.tokens, 0);
    let options = Options { tokens: true, ..Options::default() };
    assert_eq!(move_in(&app, &dump, options).await.tokens, 2);
    let anyone = app.anyone();
    for scheme in ["Token", "token", "Bearer"] {
        for (path, key, expected) in [
            ("/export/samples.csv", KEY, 200),
            ("/export/users.csv", KEY, 403),
            ("/export/users.csv", staffs.as_str(), 200),
            ("/export/samples.csv", inactives.as_str(), 401),
            ("/export/samples.csv", &KEY[1..], 401),
            ("/export/samples.csv", &KEY.to_uppercase(), 401),
        ] {
            assert_eq!(status(&anyone, path, &format!("{scheme} {key}")).await, expected, "{scheme} {path} {key}");
        }
    }
    let ours = app.admin().await.access.unwrap();
    assert_eq!(status(&anyone, "/export/users.csv", &format!("Token {ours}")).await, 401, "of an access token");
    assert_eq!(app.anyone().with_token(staffs).code("{ me { id } }", json!({})).await, "FORBIDDEN");
    let ann = app.anyone().sign_in("ann", OLD).await;
    let tokens = ann.data("{ apiTokens { name scopes prefix expiresAt } }", json!({})).await;
    let expected = json!([{ "name": "Imported from Django", "scopes": ["EXPORT"], "prefix": "9944b091", "expiresAt": "2027-01-05T09:00:00.000Z" }]);
    assert_eq!(tokens["apiTokens"], expected);
    app.wait(Duration::from_hours(24 * 365));
    assert_eq!(status(&anyone, "/export/samples.csv", &format!("Token {KEY}")).await, 401, "it ended after a year");
}

#[both_databases]
async fn a_token_that_ended_here_does_not_come_back(place: Place) {
    let app = TestApp::start(&place).await;
    let dump =
        |key: &str| [user(1, "ann", &json!({})), user(2, "bob", &json!({})), token(1, key), token(2, &"c".repeat(40))];
    let options = Options { tokens: true, ..Options::default() };
    move_in(&app, &dump(KEY), options).await;
    let ann = app.anyone().sign_in("ann", OLD).await;
    let id = ann.data("{ apiTokens { id } }", json!({})).await["apiTokens"][0]["id"].clone();
    ann.data("mutation($id: ID!) { deleteApiToken(input: { id: $id }) { errors { code } } }", json!({ "id": id }))
        .await;
    assert_eq!(move_in(&app, &dump(KEY), options).await.tokens, 0);
    assert_eq!(status(&ann, "/export/samples.csv", &format!("Token {KEY}")).await, 401);

    // A token created there since replaces the previous one.
    let (second, third) = ("d".repeat(40), "e".repeat(40));
    assert_eq!(move_in(&app, &dump(&second), options).await.tokens, 1);
    assert_eq!(status(&ann, "/export/samples.csv", &format!("Token {second}")).await, 200);
    assert_eq!(move_in(&app, &dump(&third), options).await.tokens, 1);
    assert_eq!(status(&ann, "/export/samples.csv", &format!("Token {second}")).await, 401);
    assert_eq!(status(&ann, "/export/samples.csv", &format!("Token {third}")).await, 200);
    assert_eq!(status(&ann, "/export/samples.csv", &format!("Token {}", "c".repeat(40))).await, 200);
}

#[both_databases]
async fn old_ids_are_for_staff(place: Place) {
    let app = TestApp::start(&place).await;
    move_in(&app, &[user(17, "ann", &json!({})), user(170, "bob", &json!({ "is_staff": true }))], Options::default())
        .await;
    let find =
        "query($id: String!) { users(filter: { externalId: $id }) { totalCount nodes { username externalId } } }";
    let (admin, bob) = (app.admin().await, app.anyone().sign_in("bob", OLD).await);
    for client in [&admin, &bob] {
        let users = client.data(find, json!({ "id": "17" })).await["users"].clone();
        assert_eq!(users, json!({ "totalCount": 1, "nodes": [{ "username": "ann", "externalId": "17" }] }));
        for id in ["1", "", "17 ", "' OR 1=1 --"] {
            assert_eq!(client.data(find, json!({ "id": id })).await["users"]["totalCount"], 0, "{id}");
        }
    }
    let ann = app.anyone().sign_in("ann", OLD).await;
    assert_eq!(ann.data("{ me { externalId } }", json!({})).await["me"]["externalId"], Value::Null);
    assert_eq!(admin.data("{ me { externalId } }", json!({})).await["me"]["externalId"], Value::Null);
    let table = String::from_utf8(download(&bob, "/export/users.csv").await).unwrap();
    assert!(
        table.lines().next().unwrap().ends_with(",\"external_id\",\"id\"") && table.contains(",\"17\","),
        "{table}"
    );
}

#[both_databases]
async fn a_dry_run_takes_nobody_over(place: Place) {
    let app = TestApp::start(&place).await;
    let dump = [user(1, "ann", &json!({ "password": "!" })), user(2, "bob", &json!({ "email": "" })), token(1, KEY)];
    let options = Options { dry_run: true, tokens: true, send_resets: true, ..Options::default() };
    let report = move_in(&app, &dump, options).await;
    assert_eq!((counts(&report), report.tokens, report.resets, report.refused.len()), ((1, 0, 0, 0), 1, 1, 1));
    assert_eq!(user::Entity::find().count(app.db()).await.unwrap(), 1);
    assert!(app.mails().await.is_empty());
    assert_eq!(status(&app.anyone(), "/export/samples.csv", &format!("Token {KEY}")).await, 401);
}

#[both_databases]
async fn a_database_is_read_by_a_mapping_and_not_written(place: Place) {
    let app = TestApp::start(&place).await;
    // Other tables of the same database serve as those of another application.
    for statement in [
        "CREATE TABLE people (nr integer PRIMARY KEY, mail text, pass text, \"First Name\" text, active boolean, kind integer)",
        "CREATE TABLE profiles (person integer, tel text)",
        "INSERT INTO people SELECT n, 'p' || n || '@example.com', '!', 'P', n <> 2, n FROM
            (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1203) SELECT n FROM c) AS numbers",
        "INSERT INTO profiles VALUES (2, '+44')",
    ] {
        app.db().execute_unprepared(statement).await.unwrap();
    }
    let mapping = Mapping::parse(
        "table = 'people'\nid_prefix = 'old-'\n[columns]\nid = 'nr'\nemail = 'mail'\npassword = 'pass'\nfirst_name = 'First Name'\n\
         is_active = 'active'\nusername = ''\nlast_name = ''\nis_staff = ''\nis_superuser = ''\ndate_joined = ''\n\
         last_login = ''\nphone = 'profile.tel'\nrole = 'kind'\n[joins.profile]\ntable = 'profiles'\nuser = 'person'\n\
         [roles]\n1 = 'MANAGER'\n2 = 'AGENT'\n[defaults]\nrole = 'MEMBER'\n",
    );
    let mapping = mapping.unwrap();
    let mut report = Report::default();
    let source = Source::open(&place.database_url, &Trust::default(), &mapping, false).await.unwrap();
    assert_eq!(source.users(), 1203);
    let (options, second_factor) = (Options::default(), app.app.second_factor_rules());
    let input = django::Import { source, mapping: &mapping, options, second_factor };
    django::take_over(&app.app.db, &app.app.clock, input, &mut report, &|_| ()).await.unwrap();
    assert_eq!((report.created, report.refused.len()), (2, 1201), "those whose kind means nothing are told");
    let two = by_address(&app, "p2@example.com").await;
    assert_eq!((two.external_id.as_deref(), two.phone.as_str(), two.first_name.as_str()), (Some("old-2"), "+44", "P"));
    assert_eq!((two.is_active, two.role), (false, user::Role::Agent));

    let refused = Source::open(&place.database_url, &Trust::default(), &Mapping::default(), false).await.unwrap_err();
    assert!(matches!(refused, Error::BadInput(text) if text.english().starts_with("No table auth_user in the source")));
    let missing = Mapping::parse("table = 'people'\n[columns]\nid = 'nr'").unwrap();
    let refused = Source::open(&place.database_url, &Trust::default(), &missing, false).await.unwrap_err();
    assert!(
        matches!(refused, Error::BadInput(text) if text.english().starts_with("The table people has no username, email, password"))
    );
}

#[both_databases]
async fn the_command_line_moves_in(place: Place) {
    let file = place.folder.join("users.csv");
    let heading =
        "id,username,email,password,first_name,last_name,is_active,is_staff,is_superuser,date_joined,last_login";
    let ann = format!("1,ann,ann@example.com,{},Ann,,t,f,f,2020-02-03 04:05:06+00,", HASHES[0].1);
    std::fs::write(&file, format!("{heading}\n{ann}\n2,bob,nonsense,!,,,t,f,f,2020-02-03 04:05:06,\n")).unwrap();
    let import = ["import", "django", file.to_str().unwrap()];
    let (success, printed, errors) = run(command(&place), &import, "");
    assert!(!success);
    assert_eq!(
        printed,
        "id 2, email: Enter an email address such as name@example.com.\ncreated: 1, updated: 0, unchanged: 0\n"
    );
    assert_eq!(
        errors,
        "vestibule: 1 user was not imported: fix the source or the mapping, and run the command again\n"
    );

    std::fs::write(&file, format!("{heading}\n{ann}\n")).unwrap();
    let (success, printed, errors) = run(command(&place), &import, "");
    assert_eq!((success, printed.as_str(), errors.as_str()), (true, "created: 0, updated: 0, unchanged: 1\n", ""));

    let mapping = place.folder.join("mapping.toml");
    std::fs::write(&mapping, "[columns]\nshoe_size = 'x'").unwrap();
    let (success, _, errors) =
        run(command(&place), &[&import[..], &["--mapping", mapping.to_str().unwrap()]].concat(), "");
    assert!(!success && errors.contains("mapping.toml: Unknown field shoe_size in [columns]"), "{errors}");
    let (success, _, errors) = run(command(&place), &["import", "django", "sqlite:///nowhere/at/all.db"], "");
    assert!(!success && errors.starts_with("vestibule: SOURCE: "), "{errors}");
    let (success, _, errors) = run(command(&place), &["import", "django", "mysql://u:geheim@host/x"], "");
    assert!(!success && errors.starts_with("vestibule: SOURCE: it must start with") && !errors.contains("geheim"));
}

#[both_databases]
async fn files_in_common_formats_are_read_or_reported(place: Place) {
    let file = place.folder.join("dump");
    let mapping = place.folder.join("mapping.toml");
    let profiles = "[columns]\nphone = 'p.tel'\n[joins.p]\ntable = 'accounts_profile'\nuser = 'user_id'\n";
    std::fs::write(&mapping, profiles).unwrap();
    let import = |file_of: &[u8]| {
        std::fs::write(&file, file_of).unwrap();
        let (file, mapping) = (file.to_str().unwrap(), mapping.to_str().unwrap());
        run(command(&place), &["import", "django", file, "--mapping", mapping], "")
    };
    // PowerShell stores the output of `dumpdata` in UTF-16; a profile of a deleted user remains; Django can store times
    // without a zone.
    let profile =
        |user: Value| json!({ "model": "accounts.profile", "pk": 1, "fields": { "user": user, "tel": "+44" } });
    let naive = json!({ "date_joined": "2026-07-05T09:00:00" });
    let dump = json!([profile(Value::Null), user(1, "ann", &naive), profile(json!(1))]).to_string();
    let wide: Vec<u8> = format!("\u{feff}{dump}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (success, printed, errors) = import(&wide);
    let expected = "created: 1, updated: 0, unchanged: 0\n\
                    times without a time zone read as UTC (set time_zone in the mapping to change this): 1\n";
    assert_eq!((success, printed.as_str(), errors.as_str()), (true, expected, ""));
    std::fs::write(&mapping, format!("time_zone = 'Europe/Berlin'\n{profiles}")).unwrap();
    let (success, printed, _) = import(dump.as_bytes());
    assert_eq!((success, printed.as_str()), (true, "created: 0, updated: 1, unchanged: 0\n"));
    let users = run(command(&place), &["users", "show", "ann"], "");
    assert!(users.1.contains("2026-07-05T07:00:00"), "{}", users.1);

    std::fs::write(&mapping, "").unwrap();
    let heading =
        "id,username,email,password,first_name,last_name,is_active,is_staff,is_superuser,date_joined,last_login";
    let row = |id: u8, name: &str| format!("{id},{name},{name}@example.com,!,,,t,f,f,2020-02-03 04:05:06+00,");
    let dump = json!([user(2, "half", &json!({ "first_name": "x" }))]).to_string().replace("\"x\"", "\"\\ud83d\"");
    for (text, problem) in [
        (
            format!("{heading}\n{}\n{}\n{}\n", row(2, "bob").replace(",!,", ",\"!,"), row(3, "cy"), row(4, "di")),
            "Line 2: the quotation mark that opens a cell is never closed.",
        ),
        (format!("{heading}\n{}\n1,2\n", row(2, "bob")), "Row 3 has 2 cells, but the heading has 11."),
        (dump, "Line 1: \\ud83d is an unpaired surrogate."),
    ] {
        let (success, printed, errors) = import(text.as_bytes());
        assert!(!success && printed.is_empty() && errors.contains(problem), "{errors}");
    }
    let blank = format!("{heading}\n{}\n,,,,,,,,,,\n", row(5, "eve"));
    let (_, printed, errors) = import(blank.as_bytes());
    assert_eq!(printed.lines().last(), Some("without a password until they set one with a link: 1"), "{errors}");
}
