//! A clock that is set back, and instances with different clocks.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::database::{Kind, Place, faketime};
use crate::load::create;
use crate::outcome::{Findings, Outcome, because, wait_until};
use crate::rows::Lab;
use crate::service::{PASSWORD, Service};
use crate::sink::Sink;

const RESET: &str = "mutation($input: RequestResetInput!) { requestReset(input: $input) { success errors { code } } }";
const CONFIRM: &str =
    "mutation($input: ConfirmResetInput!) { confirmReset(input: $input) { success errors { code } } }";
const LOGOUT: &str = "mutation { logout { success errors { code } } }";

/// Reason to skip these rows.
pub(super) fn left_out() -> Option<&'static str> {
    faketime().is_none().then_some("libfaketime is not installed (on Debian: apt-get install faketime)")
}

/// Starts an instance whose clock offset is read from a file.
async fn start(place: &Place, offset: &Path, settings: &[(&str, &str)]) -> Outcome<Service> {
    let library = faketime().ok_or("libfaketime is not installed")?;
    let (library, offset) = (library.to_string_lossy(), offset.to_string_lossy());
    let faked = [
        ("LD_PRELOAD", library.as_ref()),
        ("FAKETIME_TIMESTAMP_FILE", offset.as_ref()),
        ("FAKETIME_NO_CACHE", "1"),
        // Setting the clock does not change the monotonic clock.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    Service::start(place, &[&faked, settings].concat()).await
}

/// Sets the clock of a running service back by two hours.
pub(super) async fn step_back(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let (place, sink) = (lab.place(kind).await?, Sink::start().await?);
    let offset = place.folder.path().join("offset");
    std::fs::write(&offset, "+0s")?;
    let mail_url = sink.url();
    let service = start(&place, &offset, &[("VESTIBULE_MAIL_URL", &mail_url), ("VESTIBULE_LIMITS", "on")]).await?;
    let admin = service.admin().await?;
    for name in ["ada", "bob", "cy"] {
        create(&admin, json!({ "email": format!("{name}@example.com"), "username": name, "password": PASSWORD }))
            .await?;
    }

    // An ended session, a session with a used refresh token and successor, a used link, and an exhausted limit.
    let ended = service.client().sign_in("ada", PASSWORD).await?;
    ended.data(LOGOUT, &Value::Null).await?;
    let first = service.client().sign_in("bob", PASSWORD).await?;
    let second = first.refreshed().await?;
    second.me().await?.must_succeed()?;
    service.client().data(RESET, &json!({ "input": { "email": "cy@example.com" } })).await?;
    let reset = || {
        sink.taken()
            .into_iter()
            .filter(|mail| mail.recipient == "cy@example.com")
            .find(|mail| mail.parameter("token").is_some())
    };
    wait_until(Duration::from_secs(20), async || Ok(reset().is_some())).await?;
    let link = reset().ok_or("the mail is there")?;
    let input = json!({ "uid": link.parameter("uid"), "token": link.parameter("token"), "newPassword": "some quite new phrase" });
    let confirm = json!({ "input": input });
    service.client().data(CONFIRM, &confirm).await?;
    for _ in 0..10 {
        service.client().login("nobody", "a wrong password").await?.must_be("INVALID_CREDENTIALS")?;
    }
    service.client().login("nobody", "a wrong password").await?.must_be("RATE_LIMITED")?;

    let before = shown(&service).await?;
    std::fs::write(&offset, "-7200s")?;
    let stepped = before - shown(&service).await?;
    because((7100..7300).contains(&stepped), || format!("the service's clock went back by {stepped} s"))?;

    ended.me().await?.must_be("UNAUTHENTICATED")?;
    ended.refresh_with(&ended.refresh).await?.must_be("INVALID_TOKEN")?;
    service.client().ask(CONFIRM, &confirm).await?.must_be("INVALID_TOKEN")?;
    service.client().login("cy", PASSWORD).await?.must_be("INVALID_CREDENTIALS")?;
    second.me().await?.must_succeed()?;
    first.refresh_with(&first.refresh).await?.must_be("INVALID_TOKEN")?;
    second.me().await?.must_be("UNAUTHENTICATED")?;
    // No limit is off or lasts longer than it should; at most it restarts.
    let mut looked_at = 0;
    for _ in 0..12 {
        let answer = service.client().login("nobody", "a wrong password").await?;
        looked_at += usize::from(answer.code() == Some("INVALID_CREDENTIALS"));
    }
    because(looked_at <= 10, || format!("{looked_at} consecutive wrong passwords were checked"))?;
    service.client().sign_in("ada", PASSWORD).await?;
    // Emails are sent.
    service.client().data(RESET, &json!({ "input": { "email": "ada@example.com" } })).await?;
    let arrived =
        || sink.taken().iter().any(|mail| mail.recipient == "ada@example.com" && mail.parameter("token").is_some());
    wait_until(Duration::from_secs(20), async || Ok(arrived())).await.map_err(|error| format!("the mail: {error}"))?;
    std::fs::write(&offset, "+0s")?;
    admin.me().await?.must_succeed()?;
    service.check_log()?;
    Ok(Findings { acknowledged: 5, ..Findings::default() })
}

/// Time of the service's clock in seconds since the epoch, from the expiry of a new access token.
async fn shown(service: &Service) -> Outcome<i64> {
    let login = "mutation($input: LoginInput!) { login(input: $input) { tokens { accessExpiresAt } errors { code } } }";
    let input = json!({ "input": { "identifier": "admin", "password": PASSWORD } });
    let data = service.client().data(login, &input).await?;
    let text = data["login"]["tokens"]["accessExpiresAt"].as_str().ok_or("an access token expires")?;
    let at = vestibule::tools::clock::Timestamp::parse(text).ok_or("it is a time")?;
    Ok(at.seconds())
}

/// Checks that two instances with different clocks accept each other's tokens.
pub(super) async fn skew(lab: &Lab, kind: Kind) -> Outcome<Findings> {
    let mut tried = 0;
    for seconds in ["3", "60"] {
        let place = lab.place(kind).await?;
        let (behind, ahead) = (place.folder.path().join("behind"), place.folder.path().join("ahead"));
        std::fs::write(&behind, format!("-{seconds}s"))?;
        std::fs::write(&ahead, format!("+{seconds}s"))?;
        let (behind, ahead) = (start(&place, &behind, &[]).await?, start(&place, &ahead, &[]).await?);
        for (one, two) in [(&behind, &ahead), (&ahead, &behind)] {
            let mut client: Client = one.admin().await?;
            for round in 0..4 {
                let address = if round % 2 == 0 { &two.address } else { &one.address };
                client = client.at(address);
                client.me().await?.must_succeed().map_err(|error| format!("{seconds} s apart: {error}"))?;
                client = client.refreshed().await.map_err(|error| format!("{seconds} s apart: {error}"))?;
                tried += 1;
            }
        }
        behind.check_log()?;
        ahead.check_log()?;
    }
    Ok(Findings { acknowledged: tried, ..Findings::default() })
}
