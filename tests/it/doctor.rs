//! `vestibule doctor`: findings and remedies.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use test_macros::{both_databases, sqlite_only};

use sea_orm::{ActiveValue::Set, ConnectionTrait as _, Database, EntityTrait as _};
use vestibule::entity::audit_event::{self, Action};
use vestibule::tools::clock::{Clock, SetClock, Timestamp};
use vestibule::tools::mail::SendError;

use crate::fixture::furnish;
use crate::process::{command, run};
use crate::test_app::TestApp;
use crate::test_database::Place;

/// The doctor with a short time for measuring hashes.
fn doctor(place: &Place) -> Command {
    let mut command = command(place);
    command.args(["doctor", "--time", "2ms"]);
    command
}

/// Returns true if the doctor found no failure, and its output.
fn examined(command: Command) -> (bool, String) {
    let (success, printed, errors) = run(command, &[], "");
    assert_eq!(success, errors.is_empty(), "{errors}");
    assert_eq!(success, printed.trim_end().ends_with(" 0 failures"), "{printed}");
    assert!(!printed.contains("geheim"), "{printed}");
    (success, printed)
}

/// The line with this beginning, and the remedy below it.
fn finding(printed: &str, beginning: &str) -> String {
    let mut lines = printed.lines().skip_while(|line| !line.starts_with(beginning));
    let line = lines.next().unwrap_or_else(|| panic!("no line begins with {beginning}: {printed}"));
    format!("{line} {}", lines.next().unwrap_or_default().trim())
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path.display().to_string()] })
        // SQLite keeps these files while a database is open, and a reader may not delete them.
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

#[both_databases]
async fn a_healthy_system_has_no_failures(place: Place) {
    // The database in the data folder, the default, or on the server.
    let well = |mut command: Command| {
        if place.database_url.starts_with("sqlite") {
            command.env_remove("VESTIBULE_DATABASE_URL");
        }
        command
    };
    let create = ["create-superuser", "--email", "root@example.com", "--password-stdin"];
    assert!(run(well(command(&place)), &create, "correct horse battery staple\n").0);
    let before = files(&place.folder);
    let (success, printed) = examined(well(doctor(&place)));
    assert!(success, "{printed}");
    for check in ["files", "database", "users", "keys", "clock", "mail", "media", "hashing"] {
        assert!(finding(&printed, &format!("ok    {check:9} ")).len() > 20);
    }
    // About the parameters of the tests, and a secret unknown to other instances.
    let odd: Vec<&str> = printed.lines().filter(|line| line.starts_with("warn  ")).collect();
    assert!(odd.iter().all(|line| line.starts_with("warn  settings  ")), "{odd:?}");
    assert_eq!(files(&place.folder), before, "nothing was left behind");
}

#[both_databases]
async fn quick_checks_send_and_measure_nothing(place: Place) {
    TestApp::start_on_files(&place).await;
    let mut quick = command(&place);
    quick.env("VESTIBULE_DATA_DIR", &place.folder).args(["doctor", "--quick"]);
    // Nothing listens on port 1, and the check is skipped.
    quick.env("VESTIBULE_MAIL_URL", "smtp://127.0.0.1:1");
    let (_, printed) = examined(quick);
    let checks = |name: &str| printed.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
    assert!(checks("database") && checks("settings"), "{printed}");
    assert!(!printed.contains("127.0.0.1:1 ") && !checks("media") && !checks("hashing"), "{printed}");
}

#[sqlite_only]
async fn a_machine_on_which_nothing_was_started_yet_only_waits_for_that(place: Place) {
    let (well, printed) = examined(doctor(&place));
    assert!(well, "{printed}");
    assert!(finding(&printed, "warn  database").contains("`vestibule migrate`"));
    assert_eq!(files(&place.folder), [""; 0], "nothing was made");
}

#[both_databases]
async fn each_failure_is_reported_with_its_remedy(place: Place) {
    let app = TestApp::start(&place).await;
    furnish(&app).await;
    app.transport().fail_next(1, &SendError::temporary("451 later"));
    app.add_user("cyd").await;
    app.transport().fail_next(1, &SendError::permanent("550 no"));
    let reset = "mutation { requestReset(input: { email: \"cyd@example.com\" }) { success } }";
    app.anyone().data(reset, serde_json::json!({})).await;
    app.deliver().await;
    fs::set_permissions(place.folder.join("secret.key"), Permissions::from_mode(0o644)).unwrap();
    fs::rename(place.folder.join("media"), place.folder.join("elsewhere")).unwrap();
    let later = Clock::Set(SetClock::new(Timestamp::from_millis(Clock::System.now().at.millis() + 3_600_000))).now();
    let event = audit_event::ActiveModel {
        id: Set(later.id()),
        action: Set(Action::Login),
        actor_id: Set(None),
        target_id: Set(None),
        ip: Set(None),
        user_agent: Set(None),
        created_at: Set(later.at),
        reason: Set(None),
        changes: Set(None),
    };
    audit_event::Entity::insert(event).exec_without_returning(app.db()).await.unwrap();
    let mut broken = doctor(&place);
    // Nothing listens on port 1.
    broken.env("VESTIBULE_DATA_DIR", &place.folder).env("VESTIBULE_MAIL_URL", "smtp://me:geheim@127.0.0.1:1");
    let (well, printed) = examined(broken);
    assert!(!well);
    for (beginning, told, remedy) in [
        ("FAIL  files", "is accessible to other users (mode 644)", "→ chmod 600 "),
        ("FAIL  clock", "an event was recorded at ", "→ set the clock"),
        (
            "FAIL  mail      2 emails waiting",
            "1 failed; the oldest has been due since 2026-01-05T",
            "→ check that the service is running",
        ),
        ("FAIL  mail      smtp://me:***@127.0.0.1:1", ": connect failed", "→ check host, port"),
        ("FAIL  media", "but users have avatars", "→ restore it"),
    ] {
        let found = finding(&printed, beginning);
        assert!(found.contains(told) && found.contains(remedy), "{found}");
    }
    fs::create_dir(place.folder.join("media")).unwrap();
    let mut emptied = doctor(&place);
    emptied.env("VESTIBULE_DATA_DIR", &place.folder);
    let (_, printed) = examined(emptied);
    assert!(finding(&printed, "FAIL  media").contains("but it is the avatar of a user"));
    assert!(finding(&printed, "ok    keys").contains(" has been signing since 2026-01-05T"));
}

#[both_databases]
async fn a_database_that_is_away_or_does_not_fit_hinders_no_other_check(place: Place) {
    let mut away = doctor(&place);
    away.env("VESTIBULE_DATABASE_URL", "postgres://u:geheim@127.0.0.1:1/x").env("VESTIBULE_SECRET_KEY", "short");
    let (success, _, errors) = run(away, &[], "");
    assert!(!success && errors.starts_with("vestibule: VESTIBULE_SECRET_KEY: "), "{errors}");
    let mut away = doctor(&place);
    away.env("VESTIBULE_DATABASE_URL", "postgres://u:geheim@127.0.0.1:1/x")
        .env("VESTIBULE_MEDIA_URL", "file:/proc/nowhere");
    let (well, printed) = examined(away);
    assert!(!well && finding(&printed, "FAIL  database").contains("no server listens there"), "{printed}");
    assert!(printed.contains("\nok    mail ") && printed.contains("\nok    hashing "), "{printed}");

    assert!(finding(&printed, "FAIL  media").contains("cannot be created"), "{printed}");

    let empty = place.second_database().await;
    if empty.starts_with("sqlite") {
        fs::write(place.folder.join("second.db"), "").unwrap();
    }
    let other = |url: &str| {
        let mut other = doctor(&place);
        other.env("VESTIBULE_DATABASE_URL", url);
        examined(other)
    };
    let (well, printed) = other(&empty);
    assert!(
        !well && finding(&printed, "FAIL  database").contains("pending migrations → back up the database"),
        "{printed}"
    );
    let db = Database::connect(&empty).await.unwrap();
    db.execute_unprepared("SELECT 1 FROM seaql_migrations").await.expect_err("the doctor does not migrate");
    db.close().await.unwrap();

    assert!(run(command(&place), &["migrate"], "").0);
    let db = Database::connect(&place.database_url).await.unwrap();
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_tomorrow', 0)";
    db.execute_unprepared(newer).await.unwrap();
    db.close().await.unwrap();
    let (well, printed) = other(&place.database_url);
    assert!(!well && finding(&printed, "FAIL  database").contains("a newer version of Vestibule"), "{printed}");

    if empty.starts_with("sqlite") {
        fs::write(place.folder.join("second.db"), "no database at all, but long enough to be looked at".repeat(100))
            .unwrap();
        let (well, printed) = other(&empty);
        assert!(!well && printed.contains("FAIL  database") && printed.contains("\nok    hashing "), "{printed}");
    }
}

#[both_databases]
async fn a_missing_or_different_secret_is_reported(place: Place) {
    assert!(run(command(&place), &["migrate"], "").0);
    let mut other = doctor(&place);
    other.env("VESTIBULE_SECRET_KEY", "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W");
    let (well, printed) = examined(other);
    assert!(!well && finding(&printed, "FAIL  keys").contains("does not match the signing key"), "{printed}");
    fs::write(place.folder.join("data/secret.key"), "short").unwrap();
    assert!(finding(&examined(doctor(&place)).1, "FAIL  files").contains("too short → restore it"));
    fs::remove_file(place.folder.join("data/secret.key")).unwrap();
    let (well, printed) = examined(doctor(&place));
    assert!(
        !well && finding(&printed, "FAIL  keys").contains("the secret key for the sealed signing keys is missing"),
        "{printed}"
    );
    assert!(!place.folder.join("data/secret.key").exists(), "none was made");
}

#[both_databases]
async fn valid_but_unwise_settings_are_reported(place: Place) {
    let told = |settings: &[(&str, &str)], beginning: &str| {
        let mut unwise = doctor(&place);
        unwise.env("VESTIBULE_SECRET_KEY", "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W").envs(settings.iter().copied());
        finding(&run(unwise, &[], "").1, beginning)
    };
    let https = ("VESTIBULE_PUBLIC_URL", "https://id.example.com");
    for (settings, told_so) in [
        ([("VESTIBULE_LISTEN", "0.0.0.0:0"), ("VESTIBULE_LIMITS", "on")], "set VESTIBULE_PUBLIC_URL"),
        ([https, ("VESTIBULE_TRUSTED_PROXIES", "")], "set VESTIBULE_TRUSTED_PROXIES"),
        ([("VESTIBULE_LIMITS", "off"), ("VESTIBULE_LOG", "info")], "set VESTIBULE_LIMITS=on"),
        ([("VESTIBULE_ADMIN_PASSWORD", "geheim"), ("VESTIBULE_LOG", "info")], "unset it once"),
    ] {
        let settings: Vec<_> = settings.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let found = told(&settings, "warn  settings");
        assert!(found.contains(told_so), "{found}");
    }
    let proxied = [https, ("VESTIBULE_TRUSTED_PROXIES", "10.0.0.0/8")];
    assert!(told(&proxied, "warn  settings  emails are written to").contains("not delivered"));
    let with = |name, value| [proxied[0], proxied[1], (name, value)];
    let origins = with("VESTIBULE_ALLOWED_ORIGINS", "http://app.example.com");
    assert!(told(&origins, "warn  settings  allowed origin http://app.example.com").contains("only https"));
    let frontend = with("VESTIBULE_FRONTEND_URL", "https://app.example.com/at");
    assert!(told(&frontend, "warn  settings  links in emails lead").contains("add https://app.example.com to"));
    let clear = [("VESTIBULE_PUBLIC_URL", "http://id.example.com")];
    assert!(told(&clear, "FAIL  settings").contains("are sent unencrypted → put a TLS proxy in front"));
    let logo = [("VESTIBULE_SITE_LOGO", "/missing.svg")];
    assert!(told(&logo, "FAIL  settings").contains("VESTIBULE_SITE_LOGO: /missing.svg: "));
    let weak = doctor(&place);
    assert!(
        finding(&examined(weak).1, "warn  settings  VESTIBULE_ARGON2=m=8,t=1,p=1").contains("less memory than OWASP")
    );
}

#[both_databases]
async fn unencrypted_connections_are_reported(place: Place) {
    // Names that do not exist, so nothing is sent.
    let told = |settings: &[(&str, &str)]| {
        let mut exposed = doctor(&place);
        exposed.env("VESTIBULE_SECRET_KEY", "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W").envs(settings.iter().copied());
        run(exposed, &[], "").1
    };
    let printed = told(&[
        ("VESTIBULE_DATABASE_URL", "postgres://u:geheim@db.invalid/x?sslmode=require"),
        ("VESTIBULE_MAIL_URL", "smtp://u:geheim@mx.invalid?tls=opportunistic"),
        ("VESTIBULE_OTLP_ENDPOINT", "http://collector.invalid:4318"),
        ("VESTIBULE_BREACHED_PASSWORDS_API", "http://ranges.invalid/range/"),
    ]);
    for (beginning, remedy) in [
        ("warn  settings  connections to PostgreSQL on db.invalid can be read", "?sslmode=verify-full"),
        ("warn  settings  smtp://u:***@mx.invalid?tls=opportunistic is used without TLS", "?tls=required"),
        ("warn  settings  traces are sent unencrypted to http://collector.invalid", "https://"),
        ("warn  settings  parts of password hashes are sent unencrypted to http://ranges.invalid/range", "https://"),
    ] {
        let found = finding(&printed, beginning);
        assert!(found.contains(remedy) && !found.contains("geheim"), "{found}");
    }
    let plain = told(&[("VESTIBULE_MAIL_URL", "smtp://mx.invalid")]);
    assert!(
        finding(&plain, "warn  settings  links in emails are sent unencrypted to smtp://mx.invalid").contains("?tls=")
    );
    let safe = told(&[
        ("VESTIBULE_DATABASE_URL", "postgres://u@db.invalid/x?sslmode=verify-full"),
        ("VESTIBULE_MAIL_URL", "smtp://u:geheim@mx.invalid?tls=required"),
        ("VESTIBULE_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("VESTIBULE_BREACHED_PASSWORDS_API", "http://127.0.0.1:9/range/"),
    ]);
    assert!(!safe.contains("unencrypted") && !safe.contains("without TLS"), "{safe}");
}

#[both_databases]
async fn pending_work_on_secrets_is_reported(place: Place) {
    let (old, new) = ("IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W", "mI3s0iV+PpVUxwdBQ0n0Gq7nq0cXl3Jr0i6d0r6Yb1s=");
    let with = |mut command: Command, (current, previous): (&str, Option<&str>)| {
        command.env("VESTIBULE_SECRET_KEY", current);
        command.envs(previous.map(|previous| ("VESTIBULE_SECRET_KEY_PREVIOUS", previous)));
        command
    };
    let mut create = with(command(&place), (old, None));
    create.args(["create-superuser", "--email", "root@example.com"]);
    assert!(run(create, &[], "").0);
    let printed = examined(with(doctor(&place), (old, None))).1;
    assert!(
        finding(&printed, "warn  users     1 temporary password has").contains("sign in and change each"),
        "{printed}"
    );
    let printed = examined(with(doctor(&place), (new, Some(old)))).1;
    assert!(finding(&printed, "warn  keys      1 stored secret is not sealed").contains("`vestibule keys reseal`"));
    assert!(run(with(command(&place), (new, Some(old))), &["keys", "reseal"], "").0);
    let printed = examined(with(doctor(&place), (new, Some(old)))).1;
    assert!(
        finding(&printed, "warn  keys      no stored secret is sealed with").contains("unset it once"),
        "{printed}"
    );
    let (_, printed) = examined(with(doctor(&place), (new, None)));
    assert!(finding(&printed, "ok    keys").contains(" has been signing since "), "{printed}");

    let file = place.folder.join("key");
    fs::write(&file, new).unwrap();
    // The folder of a test is private, which would be sufficient.
    fs::set_permissions(&place.folder, Permissions::from_mode(0o755)).unwrap();
    let given = |mode: u32| {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let mut given = doctor(&place);
        given.env("VESTIBULE_SECRET_KEY_FILE", &file);
        examined(given).1
    };
    assert!(finding(&given(0o644), "warn  files     VESTIBULE_SECRET_KEY_FILE is read from").contains("→ chmod o= "));
    assert!(finding(&given(0o640), "ok    files     VESTIBULE_SECRET_KEY_FILE is read from").contains("(mode 640)"));
    fs::create_dir_all(place.folder.join("data")).unwrap();
    let settings = place.folder.join("data/vestibule.toml");
    fs::write(&settings, "").unwrap();
    fs::set_permissions(&settings, Permissions::from_mode(0o666)).unwrap();
    assert!(finding(&given(0o640), "FAIL  files     ").contains("is writable by other users → chmod go-w "));
}

#[sqlite_only]
async fn a_time_for_a_hash_is_answered_with_parameters(place: Place) {
    let mut asked = command(&place);
    asked.args(["doctor", "--time", "5ms", "--json", "--mail-to", "ada@example.com"]);
    let (success, printed, errors) = run(asked, &[], "");
    assert!(success, "{errors}");
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let lines = found.as_array().unwrap();
    let of = |check: &str| {
        let lines = lines.iter().filter(|line| line["check"] == check && line["level"] == "ok");
        lines.map(|line| line["found"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    };
    let hashing = of("hashing");
    assert!(hashing.contains("hashes/s") && hashing.contains("5 ms allow VESTIBULE_ARGON2=m="), "{hashing}");
    let params = hashing.split("VESTIBULE_ARGON2=").nth(1).unwrap().split(' ').next().unwrap();
    params.parse::<vestibule::tools::password::Argon2Params>().unwrap();
    assert!(of("mail").contains("sent a test email to ada@example.com"));
    assert_eq!(fs::read_dir(place.folder.join("data/mail")).unwrap().count(), 1);
    let mut refused = command(&place);
    refused.args(["doctor", "--time", "1h"]);
    assert!(run(refused, &[], "").2.contains("'1h' is not between 1ms and 10s"));
}
