//! Concurrent revocation: a request behind the end of its session, the deletion of its API token, or a change of its
//! user's rights changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use test_macros::both_databases;

use futures_util::future::join_all;
use sea_orm::{
    ColumnTrait as _, ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
};
use serde_json::{Value, json};
use uuid::Uuid;
use vestibule::config::Config;
use vestibule::entity::audit_event::{Action, Reason};
use vestibule::entity::{api_token, audit_event, user};

use crate::second_factor::plant;
use crate::test_app::{PASSWORD, Person, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;
use crate::undo_email_change::{move_by_staff, undo_token};

/// Blocks all other writers (on PostgreSQL, writers to the actor's account), and reports the waiting ones.
struct Hold {
    outside: DatabaseConnection,
    counter: Arc<AtomicUsize>,
    is_sqlite: bool,
}

impl Hold {
    async fn begin(app: &TestApp, place: &Place, counter: &Arc<AtomicUsize>) -> Self {
        // Earlier writes release their connection first.
        while app.app.db.pools().iter().any(|pool| pool.idle < pool.open as usize) {
            tokio::task::yield_now().await;
        }
        let is_sqlite = place.database_url.starts_with("sqlite");
        let mut options = ConnectOptions::new(&place.database_url);
        let outside = Database::connect(options.max_connections(1).to_owned()).await.unwrap();
        let statements: &[&str] = match is_sqlite {
            true => &["BEGIN IMMEDIATE"],
            false => &["BEGIN", "SELECT 1 FROM users WHERE username = 'mallory' FOR UPDATE"],
        };
        for statement in statements {
            outside.execute_unprepared(statement).await.unwrap();
        }
        Self { outside, counter: Arc::clone(counter), is_sqlite }
    }

    /// Waits until a revocation is blocked.
    async fn first_waits(&self, app: &TestApp) {
        loop {
            let waits = match self.is_sqlite {
                true => app.app.db.pools().iter().any(|pool| pool.name == "write" && pool.idle == 0),
                false => self.waiting().await == 1,
            };
            if waits {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until this number of requests are authenticated and blocked behind the revocation.
    async fn others_wait(&self, before: usize, count: usize) {
        loop {
            let waits = match self.is_sqlite {
                true => self.counter.load(Ordering::SeqCst) >= before + count,
                false => self.waiting().await == i64::try_from(count + 1).unwrap(),
            };
            if waits {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Number of transactions that wait for a lock in this database.
    async fn waiting(&self) -> i64 {
        let sql = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_locks \
                   WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        let statement = sea_orm::Statement::from_string(sea_orm::DatabaseBackend::Postgres, sql);
        let row = self.outside.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    async fn end(self) {
        self.outside.execute_unprepared("ROLLBACK").await.unwrap();
        self.outside.close().await.unwrap();
    }
}

/// Concurrent operations of a staff member.
const UNDER_WAY: [(&str, &str); 9] = [
    ("createApiToken", "mutation { createApiToken(input: { name: \"mine\", scopes: [READ] }) { errors { code } } }"),
    ("updateMe", "mutation { updateMe(input: { firstName: \"Mallory\" }) { errors { code } } }"),
    ("updateUser", "mutation($victim: ID!) { updateUser(input: { id: $victim, role: MANAGER }) { errors { code } } }"),
    ("toggleActive", "mutation($victim: ID!) { toggleActive(input: { id: $victim }) { errors { code } } }"),
    (
        "createUser",
        "mutation { createUser(input: { email: \"crony@example.com\", role: MANAGER }) { errors { code } } }",
    ),
    ("resetFactors", "mutation($victim: ID!) { resetFactors(input: { id: $victim }) { errors { code } } }"),
    (
        "setUsersActive",
        "mutation($victim: ID!) { setUsersActive(input: { ids: [$victim], isActive: false }) { errors { code } } }",
    ),
    ("endUserSessions", "mutation($victim: ID!) { endUserSessions(input: { id: $victim }) { errors { code } } }"),
    ("deleteUser", "mutation($other: ID!) { deleteUser(input: { id: $other }) { errors { code } } }"),
];

/// A staff member with concurrent requests, and the affected users.
struct Scene {
    app: TestApp,
    place: Place,
    counter: Arc<AtomicUsize>,
    actor: Person,
    client: Client,
    victim: Person,
    other: Person,
}

impl Scene {
    async fn set(place: Place) -> Self {
        let counter = Arc::new(AtomicUsize::new(0));
        // Limits are rows, too; counting an attempt would block before the attempt itself.
        let no_limits = |config: &mut Config| config.limits.limits = false;
        let app = TestApp::start_counting_with(&place, Arc::clone(&counter), no_limits).await;
        let actor = app.add_staff("mallory").await;
        let (victim, other) = (app.add_user("victim").await, app.add_user("bystander").await);
        plant(&app, &victim).await;
        let client = used(actor.sign_in(&app).await).await;
        Self { app, place, counter, actor, client, victim, other }
    }

    /// Queues a revocation, queues these documents behind it, and releases them. Returns the codes of the documents.
    async fn run(&self, client: &Client, revocation: impl Future<Output = ()>, documents: &[&str]) -> Vec<String> {
        let hold = Hold::begin(&self.app, &self.place, &self.counter).await;
        let stale = async {
            hold.first_waits(&self.app).await;
            let before = self.counter.load(Ordering::SeqCst);
            let variables = json!({ "victim": self.victim.id, "other": self.other.id });
            let sent = join_all(documents.iter().map(|document| client.send(document, variables.clone())));
            let release = async {
                hold.others_wait(before, documents.len()).await;
                self.app.wait(Duration::from_secs(1));
                hold.end().await;
            };
            let (answers, ()) = tokio::join!(sent, release);
            answers.iter().map(|answer| outcome(&answer.body)).collect()
        };
        tokio::join!(revocation, stale).1
    }

    /// Asserts that all operations of staff are refused and have no effect.
    async fn nothing_was_done(&self, revocation: impl Future<Output = ()>, expected: &str) {
        let documents = UNDER_WAY.map(|(_, document)| document);
        let codes = self.run(&self.client, revocation, &documents).await;
        assert_eq!(codes, [expected; 9]);
        self.rows_are_as_before().await;
    }

    async fn rows_are_as_before(&self) {
        let db = self.app.db();
        let tokens = api_token::Column::UserId.eq(id(&self.actor));
        assert_eq!(api_token::Entity::find().filter(tokens).count(db).await.unwrap(), 0);
        let find = |person: &Person| user::Entity::find_by_id(id(person)).one(db);
        let (actor, victim) = (find(&self.actor).await.unwrap().unwrap(), find(&self.victim).await.unwrap().unwrap());
        assert_eq!(actor.first_name, "");
        assert_eq!((victim.role, victim.is_active, victim.has_second_factor), (user::Role::Member, true, true));
        assert!(find(&self.other).await.unwrap().is_some());
        let crony = user::Column::Email.eq("crony@example.com");
        assert_eq!(user::Entity::find().filter(crony).count(db).await.unwrap(), 0);
    }
}

/// Error code of a response or its payload; empty on success.
fn outcome(body: &Value) -> String {
    let extensions = &body["errors"][0]["extensions"];
    match (extensions["code"].as_str(), extensions["reason"].as_str()) {
        (Some(code), Some(reason)) => format!("{code} {reason}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => {
            let payload =
                body["data"].as_object().and_then(|data| data.values().next()).expect("the response has a payload");
            payload["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
        }
    }
}

/// The same client after its token was used once. The first use is recorded, which would be blocked as well.
async fn used(client: Client) -> Client {
    client.data("{ me { id } }", json!({})).await;
    client
}

fn id(person: &Person) -> Uuid {
    person.id.parse().unwrap()
}

async fn done(client: &Client, document: &str, variables: Value) {
    assert_eq!(outcome(&client.send(document, variables).await.body), "");
}

#[both_databases]
async fn a_request_behind_the_reset_of_its_password_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let request = "mutation($e: String!) { requestReset(input: { email: $e }) { success } }";
    done(&scene.app.anyone(), request, json!({ "e": scene.actor.email })).await;
    let text = scene.app.mails().await.remove(0).text;
    let token = text.split_once("&token=").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let confirm = "mutation($u: ID!, $t: String!) { confirmReset(input: { uid: $u, token: $t,
        newPassword: \"a phrase of the true owner\" }) { errors { code } } }";
    let anyone = scene.app.anyone();
    let reset = done(&anyone, confirm, json!({ "u": scene.actor.id, "t": token }));
    scene.nothing_was_done(reset, "UNAUTHENTICATED REVOKED").await;
}

#[both_databases]
async fn a_request_behind_a_password_that_staff_set_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let admin = used(scene.app.admin().await).await;
    let set = "mutation($id: ID!) { setUserPassword(input: { id: $id, password: \"a phrase by a colleague\" }) {
        errors { code } } }";
    let set = done(&admin, set, json!({ "id": scene.actor.id }));
    scene.nothing_was_done(set, "UNAUTHENTICATED REVOKED").await;
}

#[both_databases]
async fn a_request_behind_a_logout_everywhere_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let elsewhere = used(scene.actor.sign_in(&scene.app).await).await;
    let logout = "mutation($t: String!) { logout(input: { refreshToken: $t, everywhere: true }) { errors { code } } }";
    let logout = done(&elsewhere, logout, json!({ "t": elsewhere.refresh }));
    scene.nothing_was_done(logout, "UNAUTHENTICATED REVOKED").await;
}

#[both_databases]
async fn a_request_behind_the_end_of_its_session_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let sessions = scene.client.data("{ sessions { id } }", json!({})).await;
    let session = sessions["sessions"][0]["id"].clone();
    let elsewhere = used(scene.actor.sign_in(&scene.app).await).await;
    let revoke = "mutation($id: ID!) { revokeSession(input: { id: $id }) { errors { code } } }";
    let revoke = done(&elsewhere, revoke, json!({ "id": session }));
    scene.nothing_was_done(revoke, "UNAUTHENTICATED REVOKED").await;
}

#[both_databases]
async fn a_request_behind_the_end_of_all_other_sessions_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let elsewhere = used(scene.actor.sign_in(&scene.app).await).await;
    let revoke = done(&elsewhere, "mutation { revokeOtherSessions { errors { code } } }", json!({}));
    scene.nothing_was_done(revoke, "UNAUTHENTICATED REVOKED").await;
}

#[both_databases]
async fn a_request_behind_a_change_of_the_password_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let elsewhere = used(scene.actor.sign_in(&scene.app).await).await;
    let change = "mutation($p: String!) { changePassword(input: { oldPassword: $p,
        newPassword: \"a phrase of the true owner\" }) { errors { code } } }";
    let change = done(&elsewhere, change, json!({ "p": PASSWORD }));
    scene.nothing_was_done(change, "UNAUTHENTICATED REVOKED").await;
}

#[both_databases]
async fn a_request_behind_a_deactivation_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let admin = used(scene.app.admin().await).await;
    let off = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";
    let off = done(&admin, off, json!({ "id": scene.actor.id }));
    scene.nothing_was_done(off, "UNAUTHENTICATED DISABLED").await;
    let by_actor = audit_event::Column::ActorId.eq(id(&scene.actor));
    let by_actor = audit_event::Entity::find().filter(by_actor).all(scene.app.db()).await.unwrap();
    assert!(by_actor.iter().all(|event| event.action == Action::Login), "{by_actor:?}");
}

#[both_databases]
async fn a_request_behind_a_demotion_does_only_what_is_left_to_its_user(place: Place) {
    let scene = Scene::set(place).await;
    let admin = used(scene.app.admin().await).await;
    let demote = "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: false }) { errors { code } } }";
    let demote = done(&admin, demote, json!({ "id": scene.actor.id }));
    let of_staff: Vec<&str> = UNDER_WAY.iter().skip(2).map(|(_, document)| *document).collect();
    let codes = scene.run(&scene.client, demote, &of_staff).await;
    assert_eq!(codes, ["FORBIDDEN"; 7]);
    scene.rows_are_as_before().await;
    done(&scene.client, UNDER_WAY[1].1, json!({})).await;
}

#[both_databases]
async fn a_request_behind_the_deletion_of_its_token_changes_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let (token, secret) = crate::api_tokens::make(&scene.client, &["WRITE"]).await;
    let script = scene.app.anyone().with_token(secret);
    // The first use is recorded, which would be blocked as well.
    done(&script, "mutation { updateMe(input: { lastName: \"M\" }) { errors { code } } }", json!({})).await;
    let delete = "mutation($id: ID!) { deleteApiToken(input: { id: $id }) { errors { code } } }";
    let delete = done(&scene.client, delete, json!({ "id": token }));
    let codes = scene.run(&script, delete, &[UNDER_WAY[1].1]).await;
    assert_eq!(codes, ["UNAUTHENTICATED REVOKED"]);
    scene.rows_are_as_before().await;
}

#[both_databases]
async fn a_list_behind_a_demotion_is_neither_given_out_nor_recorded(place: Place) {
    let scene = Scene::set(place).await;
    let admin = used(scene.app.admin().await).await;
    let demote = "mutation($id: ID!) { toggleStaff(input: { id: $id, isStaff: false }) { errors { code } } }";
    let demote = done(&admin, demote, json!({ "id": scene.actor.id }));
    assert_eq!(scene.run(&scene.client, demote, &["{ allEmails }"]).await, ["FORBIDDEN"]);
    let exported = audit_event::Column::Action.eq(Action::Exported);
    assert_eq!(audit_event::Entity::find().filter(exported).count(scene.app.db()).await.unwrap(), 0);
}

#[both_databases]
async fn a_password_that_is_replaced_meanwhile_proves_nothing(place: Place) {
    let scene = Scene::set(place).await;
    let change = "mutation($p: String!) { changePassword(input: { oldPassword: $p,
        newPassword: \"a phrase of the true owner\" }) { errors { code } } }";
    let change = done(&scene.client, change, json!({ "p": PASSWORD }));
    let with_old = |field: &str| format!("mutation {{ {field} }}").replace("OLD", PASSWORD);
    let documents = [
        with_old("updateMe(input: { email: \"evil@example.com\", currentPassword: \"OLD\" }) { errors { code } }"),
        with_old("deactivateMe(input: { currentPassword: \"OLD\" }) { errors { code } }"),
        with_old("deleteMe(input: { currentPassword: \"OLD\" }) { errors { code } }"),
    ];
    let documents = documents.each_ref().map(String::as_str);
    assert_eq!(scene.run(&scene.client, change, &documents).await, ["PASSWORD_INCORRECT"; 3]);
    let mallory = user::Entity::find_by_id(id(&scene.actor)).one(scene.app.db()).await.unwrap().unwrap();
    assert_eq!((mallory.pending_email, mallory.is_active), (None, true));
}

#[both_databases]
async fn events_that_wait_for_an_account_come_later_in_the_trail(place: Place) {
    let scene = Scene::set(place).await;
    scene.app.prove(&scene.actor).await;
    let told = move_by_staff(&scene.app, &scene.actor, "moved@example.com").await;
    let admin = used(scene.app.admin().await).await;
    let toggle =
        "mutation($id: ID!, $to: Boolean) { toggleStaff(input: { id: $id, isStaff: $to }) { errors { code } } }";
    let demote = done(&admin, toggle, json!({ "id": scene.actor.id, "to": false }));
    let login = format!(
        "mutation {{ login(input: {{ identifier: \"mallory\", password: \"{PASSWORD}\" }}) {{ errors {{ code }} }} }}"
    );
    assert_eq!(scene.run(&scene.client, demote, &[&login]).await, [""]);
    let off = "mutation($id: ID!) { toggleActive(input: { id: $id, isActive: false }) { errors { code } } }";
    let off = done(&admin, off, json!({ "id": scene.actor.id }));
    let undo = format!(
        "mutation {{ undoEmailChange(input: {{ token: \"{}\" }}) {{ errors {{ code }} }} }}",
        undo_token(&told)
    );
    assert_eq!(scene.run(&scene.client, off, &[&undo]).await, [""]);

    let theirs = audit_event::Column::TargetId.eq(id(&scene.actor));
    let events = audit_event::Entity::find().filter(theirs).all(scene.app.db()).await.unwrap();
    let time = |action| {
        let times = events.iter().filter(|event| event.action == action).map(|event| event.created_at.millis());
        times.max().unwrap()
    };
    assert!(time(Action::Login) >= time(Action::StaffRevoked), "the sign-in waited for the demotion");
    assert!(time(Action::EmailChangeUndone) >= time(Action::Deactivated), "the undo waited for the deactivation");
}

/// Sign-in events of the victim, oldest first.
async fn sign_in_events(app: &TestApp, target: &Person) -> Vec<(Action, Option<Reason>)> {
    let target: Uuid = target.id.parse().unwrap();
    let events = audit_event::Entity::find().filter(audit_event::Column::TargetId.eq(target));
    let events = events.order_by_asc(audit_event::Column::CreatedAt).order_by_asc(audit_event::Column::Id);
    events.all(app.db()).await.unwrap().into_iter().map(|event| (event.action, event.reason)).collect()
}

#[both_databases]
async fn a_failed_sign_in_is_recorded_after_the_change_it_waited_for(place: Place) {
    let scene = Scene::set(place).await;
    let login = "mutation { login(input: { identifier: \"mallory\", password: \"wrong\" }) { errors { code } } }";
    let right = format!(
        "mutation {{ login(input: {{ identifier: \"mallory\", password: \"{PASSWORD}\" }}) {{ errors {{ code }} }} }}"
    );
    let admin = used(scene.app.admin().await).await;
    let toggle = async || {
        let variables = json!({ "id": scene.actor.id });
        admin.data("mutation($id: ID!) { toggleActive(input: { id: $id }) { errors { code } } }", variables).await;
    };
    let anyone = scene.app.anyone();
    // On PostgreSQL, a wrong password waits for no lock.
    let documents: &[&str] = if scene.place.database_url.starts_with("sqlite") { &[login, &right] } else { &[&right] };
    let mut reasons = Vec::new();
    for document in documents {
        scene.run(&anyone, toggle(), &[document]).await;
        let events = sign_in_events(&scene.app, &scene.actor).await;
        let ended = events.iter().rposition(|(action, _)| *action == Action::Deactivated).unwrap();
        let failed: Vec<_> = events[ended..].iter().filter(|(action, _)| *action == Action::LoginFailed).collect();
        assert_eq!(failed.len(), 1, "{events:?}");
        reasons.push(failed[0].1);
        toggle().await;
    }
    assert!(reasons.contains(&Some(Reason::ChangedMeanwhile)), "{reasons:?}");
}
