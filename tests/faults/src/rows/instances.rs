//! Several instances on one database.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::database::Kind;
use crate::load::create;
use crate::outcome::{Findings, Outcome, because, wait_until};
use crate::rows::Lab;
use crate::service::{PASSWORD, Service};
use crate::sink::Sink;

/// Number of simultaneous requests to each of the two instances.
const EACH: usize = 25;

const RESET: &str = "mutation($input: RequestResetInput!) { requestReset(input: $input) { success errors { code } } }";
const CONFIRM: &str =
    "mutation($input: ConfirmResetInput!) { confirmReset(input: $input) { success errors { code } } }";
const REGISTER: &str =
    "mutation($input: RegisterInput!) { register(input: $input) { registrationSecret errors { code } } }";
const VERIFY: &str =
    "mutation($input: VerifyEmailInput!) { verifyEmail(input: $input) { user { id } errors { code } } }";
const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) { user { id } errors { code } } }";
const MOVE: &str = "mutation($input: UpdateMeInput!) { updateMe(input: $input) { user { id } errors { code } } }";
const RECORD: &str =
    "mutation($input: RecordSampleInput!) { recordSample(input: $input) { sample { id } errors { code } } }";

/// Sends simultaneous requests to both instances, and counts the winners. All others must get this code.
async fn winners<F: Future<Output = Outcome<Answer>>>(
    both: &[Client; 2],
    ask: impl Fn(Client, usize) -> F,
    loser: &str,
) -> Outcome<usize> {
    let asked = (0..2 * EACH).map(|number| ask(both[number % 2].clone(), number));
    let mut won = 0;
    for answer in join_all(asked).await {
        let answer = answer?;
        match answer.code() {
            None => won += 1,
            Some(_) => answer.must_be(loser)?,
        }
    }
    Ok(won)
}

/// Everything single-use, fifty times simultaneously on two instances.
pub(super) async fn race(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    let mail_url = sink.url();
    let settings = [("VESTIBULE_MAIL_URL", mail_url.as_str())];
    let (one, two) = (Service::start(&place, &settings).await?, Service::start(&place, &settings).await?);
    let admin = one.admin().await?;
    let both = [one.client(), two.client()];
    let staff = [admin.clone(), admin.at(&two.address)];
    let ask = |document: &'static str, input: Value| {
        move |client: Client, _: usize| {
            let input = json!({ "input": input });
            async move { client.ask(document, &input).await }
        }
    };
    let mut wins = Vec::new();

    create(&admin, json!({ "email": "ada@example.com", "username": "ada", "password": PASSWORD })).await?;
    one.client().data(RESET, &json!({ "input": { "email": "ada@example.com" } })).await?;
    let (uid, token) = (link(&sink, "ada@", "uid").await?, link(&sink, "ada@", "token").await?);
    let confirm = move |client: Client, number: usize| {
        let password = format!("the long phrase of number {number}");
        let input = json!({ "input": { "uid": uid, "token": token, "newPassword": password } });
        async move { client.ask(CONFIRM, &input).await }
    };
    wins.push(("reset link", winners(&both, confirm, "INVALID_TOKEN").await?));

    let wanted = json!({ "email": "new@example.com", "username": "new", "password": PASSWORD });
    let registered = one.client().data(REGISTER, &json!({ "input": wanted })).await?;
    let secret = &registered["register"]["registrationSecret"];
    let token = link(&sink, "new@", "token").await?;
    let verify = ask(VERIFY, json!({ "token": token, "registrationSecret": secret }));
    wins.push(("verification link", winners(&both, verify, "INVALID_TOKEN").await?));

    let address = ask(CREATE, json!({ "email": "same@example.com" }));
    wins.push(("address", winners(&staff, address, "ALREADY_EXISTS").await?));
    let name = |client: Client, number: usize| {
        let input = json!({ "input": { "email": format!("other-{number}@example.com"), "username": "SameName" } });
        async move { client.ask(CREATE, &input).await }
    };
    wins.push(("username", winners(&staff, name, "ALREADY_EXISTS").await?));

    let new = one.client().sign_in("new", PASSWORD).await?;
    let input = json!({ "email": "moved@example.com", "currentPassword": PASSWORD });
    new.data(MOVE, &json!({ "input": input })).await?;
    let moved = ask(VERIFY, json!({ "token": link(&sink, "moved@", "token").await? }));
    let owner = [new.clone(), new.at(&two.address)];
    wins.push(("link to another address", winners(&owner, moved, "INVALID_TOKEN").await?));
    for (what, won) in &wins {
        because(*won == 1, || format!("{what}: {won} winners"))?;
    }

    // All requests that record the same sample get the same one.
    let record = ask(RECORD, json!({ "key": "one", "title": "One" }));
    winners(&staff, record, "none may fail").await?;
    let samples = place.texts("SELECT key FROM samples").await?.len();
    because(samples == 1, || format!("{samples} samples of one key"))?;

    // A simultaneously used refresh token has one successor, and the session stays valid.
    let asked = (0..2 * EACH).map(|number| {
        let (client, token) = (both[number % 2].clone(), new.refresh.clone());
        async move { client.refresh_with(&token).await }
    });
    let mut successors = HashSet::new();
    for answer in join_all(asked).await {
        let answer = answer?;
        answer.must_succeed()?;
        successors.insert(answer.body["data"]["refresh"]["tokens"]["refreshToken"].to_string());
    }
    because(successors.len() == 1, || format!("{} successors of one refresh token", successors.len()))?;
    limits(&place, &settings).await?;

    // Each email was sent by one of the two.
    let queued = async || Ok(place.texts("SELECT recipient FROM mails WHERE status = 'QUEUED'").await?.is_empty());
    wait_until(Duration::from_secs(30), queued).await?;
    let sent = place.texts("SELECT recipient FROM mails").await?.len();
    let duplicates = sink.taken().len().saturating_sub(sent);
    one.check_log()?;
    two.check_log()?;
    Ok(Findings {
        acknowledged: wins.len() + sent,
        lost: sent.saturating_sub(sink.taken().len()),
        duplicates,
        recovery: None,
        ..Findings::default()
    })
}

/// Checks that simultaneous wrong passwords at both instances share one limit.
async fn limits(place: &crate::database::Place, settings: &[(&str, &str)]) -> Outcome<()> {
    let settings = [settings, &[("VESTIBULE_LIMITS", "on")]].concat();
    let (one, two) = (Service::start(place, &settings).await?, Service::start(place, &settings).await?);
    let both = [one.client(), two.client()];
    let asked = (0..2 * EACH).map(|number| both[number % 2].login("moved@example.com", "a wrong password"));
    let mut looked_at = 0;
    for answer in join_all(asked).await {
        let answer = answer?;
        match answer.code() {
            Some("INVALID_CREDENTIALS") => looked_at += 1,
            _ => answer.must_be("RATE_LIMITED")?,
        }
    }
    because(looked_at == 10, || format!("{looked_at} wrong passwords were checked instead of 10"))
}

/// A parameter of the link in the last email to this address, once it has arrived.
async fn link(sink: &Sink, recipient: &str, parameter: &str) -> Outcome<String> {
    let found = || {
        let taken = sink.taken().into_iter().rev();
        let mut to_them = taken.filter(|mail| mail.recipient.starts_with(recipient));
        to_them.find_map(|mail| mail.parameter(parameter))
    };
    wait_until(Duration::from_secs(20), async || Ok(found().is_some())).await?;
    Ok(found().unwrap_or_default())
}

/// Starts four instances simultaneously on an empty database.
pub(super) async fn start_together(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let mut slowest = Duration::ZERO;
    for _ in 0..3 {
        let place = lab.place(kind).await?;
        let started = join_all((0..4).map(|_| Service::start(&place, &[]))).await;
        let instances = started.into_iter().collect::<Outcome<Vec<_>>>()?;
        let made = instances.iter().filter(|instance| instance.made_superuser).count();
        because(made == 1, || format!("{made} instances created the first superuser"))?;
        let client = instances[0].admin().await?;
        for instance in &instances {
            client.at(&instance.address).me().await?.must_succeed()?;
            instance.check_log()?;
            slowest = slowest.max(instance.started_in);
        }
    }
    Ok(Findings { acknowledged: 12, recovery: Some(slowest), ..Findings::default() })
}

/// Starts on a database changed by a newer version.
pub(super) async fn older_binary(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let place = lab.place(kind).await?;
    Service::start(&place, &[]).await?.kill().await?;
    let db = place.connect().await?;
    db.execute_unprepared("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_tomorrow', 0)").await?;
    db.close().await?;
    let log = place.folder.path().join("log");
    std::fs::write(&log, "")?;
    let refused = Service::start(&place, &[]).await.err().map(|error| error.to_string());
    let expected = "vestibule: the database was changed by a newer version of Vestibule. Run that version";
    because(refused.as_deref() == Some(expected), || format!("it said {refused:?}"))?;
    let lines = std::fs::read_to_string(&log)?.lines().count();
    because(lines == 1, || format!("the error has {lines} lines"))?;
    Ok(Findings { acknowledged: 1, ..Findings::default() })
}
