//! Secret key: replacement without downtime, isolation of installations, and secure ways to provide it.

use std::fs;
use test_macros::both_databases;

use serde_json::json;
use vestibule::database::{Db, Options};
use vestibule::domain::operator::Operator;
use vestibule::domain::operator::copy;
use vestibule::domain::operator::keys::Resealed;

use crate::fixture::furnish;
use crate::process::{Serving, command, run};
use crate::test_app::{ADMIN, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;

const OLD: &str = "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W";
const NEW: &str = "mI3s0iV+PpVUxwdBQ0n0Gq7nq0cXl3Jr0i6d0r6Yb1s=";
const ME: &str = "{ me { id } }";

#[both_databases]
async fn a_copy_elsewhere_neither_takes_nor_makes_the_originals_refresh_tokens(place: Place) {
    let app = TestApp::start(&place).await;
    let mut ada = app.add_user("ada").await.sign_in(&app).await;
    let url = place.second_database().await;
    let target = Db::connect(&url.parse().unwrap(), &Options::default()).await.unwrap();
    copy::copy(&app.app.db, &target, &|_| {}).await.unwrap();
    target.close().await.unwrap();
    // With the same secret and a copy of the database.
    let there = Place { database_url: url, folder: place.folder.clone() };
    let elsewhere = |config: &mut vestibule::config::Config| {
        config.public_url = Some("http://staging.example.com".parse().unwrap());
    };
    let staging = app.start_second_with(&there, elsewhere).await;
    let mut stolen = staging.anyone();
    ada.refresh.clone_into(&mut stolen.refresh);
    assert_eq!(stolen.refresh().await.unwrap_err(), "INVALID_TOKEN");
    let stolen = staging.anyone().with_token(ada.access.clone().unwrap());
    assert_eq!(stolen.code(ME, json!({})).await, "UNAUTHENTICATED INVALID");
    // The same session yields other tokens there.
    let token = app.app.token_issuer().read_refresh(&ada.refresh).unwrap();
    assert_eq!(token.to_text(&app.app.token_issuer().master_keys), ada.refresh);
    assert_ne!(token.to_text(&staging.app.token_issuer().master_keys), ada.refresh);
    ada.refresh().await.unwrap();
    // Users can sign in there, and their tokens are invalid here.
    let mut visitor = staging.anyone().sign_in(ADMIN.0, ADMIN.1).await;
    let mut back = app.anyone();
    visitor.refresh.clone_into(&mut back.refresh);
    assert_eq!(back.refresh().await.unwrap_err(), "INVALID_TOKEN");
    visitor.refresh().await.unwrap();
}

#[both_databases]
async fn the_secret_key_is_replaced_and_everything_works(place: Place) {
    let app = TestApp::start_with(&place, |config| config.secret_key = Some(OLD.parse().unwrap())).await;
    let mut furnished = furnish(&app).await;
    let both = app.start_second_with(&place, |config| {
        config.secret_key = Some(NEW.parse().unwrap());
        config.secret_key_previous = Some(OLD.parse().unwrap());
    });
    let both = both.await;
    let mut ada = both.anyone().with_token(&furnished.access);
    furnished.refresh.clone_into(&mut ada.refresh);
    ada.data(ME, json!({})).await;
    ada.refresh().await.unwrap();
    let done = both.app.reseal(&both.app.clock.now(), &Operator::new()).await.unwrap();
    assert!(done.signing_keys == 2 && done.factors == 1 && done.mails >= 1 && done.unreadable == 0, "{done:?}");
    assert_eq!(done.recovery_codes, 1, "an imported one; the others are digests");
    let again = both.app.reseal(&both.app.clock.now(), &Operator::new()).await.unwrap();
    assert_eq!(again, Resealed::default());

    // From now on, the old one is not needed.
    let new = app.start_second_with(&place, |config| config.secret_key = Some(NEW.parse().unwrap())).await;
    let mut late = new.anyone();
    furnished.refresh.clone_into(&mut late.refresh);
    assert_eq!(late.refresh().await.unwrap_err(), "INVALID_TOKEN", "what the old one signed ends with it");
    furnished.access = ada.access.clone().unwrap();
    furnished.refresh.clone_from(&ada.refresh);
    furnished.check(&new).await;
}

#[both_databases]
async fn the_secret_key_is_replaced_on_the_command_line(place: Place) {
    let with = |current: &str, previous: Option<&str>| {
        let mut command = command(&place);
        command.env("VESTIBULE_SECRET_KEY", current);
        command.envs(previous.map(|previous| ("VESTIBULE_SECRET_KEY_PREVIOUS", previous)));
        command
    };
    assert!(run(with(OLD, None), &["migrate"], "").0);
    assert!(!run(with(NEW, None), &["migrate"], "").0);
    let (success, printed, errors) = run(with(NEW, Some(OLD)), &["keys", "reseal"], "");
    assert!(success, "{errors}");
    assert_eq!(printed, "resealed 1 signing key, 0 second factors and 0 emails\n");
    assert!(run(with(NEW, None), &["migrate"], "").0);
    let (success, _, errors) = run(with(OLD, None), &["migrate"], "");
    assert!(!success && errors.contains("VESTIBULE_SECRET_KEY is not the key"), "{errors}");
}

#[both_databases]
async fn a_lost_secret_is_replaced_on_purpose_only(place: Place) {
    let phrase = "a rather long phrase of mine";
    let mut first = command(&place);
    first.env("VESTIBULE_ADMIN_PASSWORD", phrase);
    let serving = Serving::start(first);
    let before = Client::new(&serving.url).sign_in("admin", phrase).await;
    serving.stop();
    let reset = ["keys", "reset", "--lost-secret"];
    let (success, _, errors) = run(command(&place), &reset, "");
    assert!(!success && errors.contains("the secret key is not lost: it unseals the signing keys"), "{errors}");

    let secret = place.folder.join("data/secret.key");
    fs::remove_file(&secret).unwrap();
    for arguments in
        [["serve"].as_slice(), &["migrate"], &["keys", "rotate"], &["create-superuser", "--email", "a@b.example"]]
    {
        let (success, _, errors) = run(command(&place), arguments, "");
        assert!(!success && errors.contains("the secret key that they are sealed with is missing"), "{errors}");
        assert!(errors.contains("restore data/secret.key") && errors.contains("`vestibule keys reset --lost-secret`"));
        assert!(!secret.exists(), "none is made beside a database that has keys");
    }
    assert!(!run(command(&place), &["keys", "reset"], "").0);
    let (success, printed, errors) = run(command(&place), &reset, "");
    assert!(
        success && printed.starts_with("1 signing key deleted, 1 session ended; a new signing key is active\n"),
        "{errors}"
    );
    assert!(secret.exists());

    let serving = Serving::start(command(&place));
    let mut late = Client::new(&serving.url);
    before.refresh.clone_into(&mut late.refresh);
    assert_eq!(late.refresh().await.unwrap_err(), "INVALID_TOKEN");
    let mut again = Client::new(&serving.url).sign_in("admin", phrase).await;
    again.refresh().await.unwrap();
    again.data(ME, json!({})).await;
}

#[both_databases]
async fn no_secret_is_a_flag(place: Place) {
    for (flag, variable) in [
        ("--secret-key", "VESTIBULE_SECRET_KEY"),
        ("--admin-password", "VESTIBULE_ADMIN_PASSWORD"),
        ("--database-url", "VESTIBULE_DATABASE_URL"),
        ("--mail-url", "VESTIBULE_MAIL_URL"),
        ("--media-url", "VESTIBULE_MEDIA_URL"),
    ] {
        let (success, printed, errors) = run(command(&place), &["migrate", flag, "geheim"], "");
        assert!(!success && printed.is_empty());
        assert!(errors.starts_with(&format!("vestibule: there is no flag {flag}: ")), "{errors}");
        assert!(errors.contains(&format!("Set {variable}_FILE or {variable} in")), "{errors}");
        assert!(errors.lines().count() == 1 && !errors.contains("geheim"), "{errors}");
    }
}

#[both_databases]
async fn secrets_are_read_from_files_and_credentials(place: Place) {
    let file = |name: &str, text: &str| {
        let path = place.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut given = command(&place);
    given.env_remove("VESTIBULE_DATABASE_URL");
    given.env("VESTIBULE_DATABASE_URL_FILE", file("url", &format!("{}\n", place.database_url)));
    given.env("VESTIBULE_ADMIN_PASSWORD_FILE", file("password", "a rather long phrase of mine\r\n"));
    file("vestibule.secret_key", NEW);
    given.env("CREDENTIALS_DIRECTORY", &place.folder);
    let serving = Serving::start(given);
    assert_eq!(serving.printed, ["first superuser: admin@localhost"]);
    Client::new(&serving.url).sign_in("admin", "a rather long phrase of mine").await;
    drop(serving);
    // The credential was used as the secret.
    let mut same = command(&place);
    same.env("VESTIBULE_SECRET_KEY", NEW);
    assert!(run(same, &["migrate"], "").0);
    assert!(!place.folder.join("data/secret.key").exists());

    for (name, value, expected) in [
        ("VESTIBULE_DATABASE_URL_FILE", "url", "VESTIBULE_DATABASE_URL and VESTIBULE_DATABASE_URL_FILE are both set"),
        ("VESTIBULE_SECRET_KEY_FILE", "geheim", "VESTIBULE_SECRET_KEY_FILE: cannot read the file: No such file"),
        ("VESTIBULE_MAIL_URL_FILE", "password", "VESTIBULE_MAIL_URL_FILE: expected `file:PATH`"),
    ] {
        let mut wrong = command(&place);
        wrong.env(name, value);
        let (success, _, errors) = run(wrong, &["migrate"], "");
        assert!(!success && errors.starts_with(&format!("vestibule: {expected}")), "{errors}");
        assert!(errors.lines().count() == 1 && !errors.contains("geheim") && !errors.contains("phrase"), "{errors}");
    }
}

#[both_databases]
async fn an_address_with_a_password_is_no_argument(place: Place) {
    for arguments in [
        ["copy", "--to", "postgres://u:geheim@127.0.0.1:1/x"],
        ["copy", "--to", "postgres://u@127.0.0.1:1/x?password=geheim"],
        ["import", "django", "postgresql://u:geheim@127.0.0.1:1/x"],
    ] {
        let (success, _, errors) = run(command(&place), &arguments, "");
        assert!(!success && errors.contains("could read the password in the process list. Use @FILE"), "{errors}");
        assert!(errors.lines().count() == 1 && !errors.contains("geheim"), "{errors}");
    }
    assert!(run(command(&place), &["migrate"], "").0);
    let (success, _, errors) = run(command(&place), &["copy", "--to", "@/nowhere/geheim"], "");
    assert!(!success && errors.starts_with("vestibule: --to: cannot read the database URL: No such file"), "{errors}");
    let target = place.folder.join("target.db");
    let (success, _, errors) =
        run(command(&place), &["copy", "--to", "-"], &format!("sqlite://{}\n", target.display()));
    assert!(success && target.exists(), "{errors}");
    let by_file = place.folder.join("source");
    fs::write(&by_file, "postgres://u:geheim@127.0.0.1:1/x\n").unwrap();
    let (success, _, errors) = run(command(&place), &["import", "django", &format!("@{}", by_file.display())], "");
    assert!(!success && !errors.contains("process list") && !errors.contains("geheim"), "{errors}");
}

#[both_databases]
async fn no_error_repeats_a_password(place: Place) {
    let file = place.folder.join("address");
    let from_file = format!("@{}", file.display());
    let failed = |command: std::process::Command, arguments: &[&str], name: &str| {
        let (success, printed, errors) = run(command, arguments, "");
        assert!(!success, "{arguments:?} {printed}");
        let problem = errors.strip_prefix(&format!("vestibule: {name}: ")).unwrap_or_default();
        let known = ["invalid database URL. ", "the port must be ", "the host is ", "it must be a database URL "];
        assert!(known.iter().any(|text| problem.starts_with(text)), "{arguments:?} {errors}");
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
        assert!(!errors.contains("geheim") && !printed.contains("geheim"), "{printed}{errors}");
    };
    for address in [
        "postgres://app:pa#geheim@127.0.0.1:1/db",
        "postgres://app:pa/geheim@127.0.0.1:1/db",
        "postgres://app:pa?geheim@127.0.0.1:1/db",
        "postgresql://app:7?geheim=1@127.0.0.1:1/db",
        "postgres://app:pa%geheim@127.0.0.1:1/db",
        "postgres://app:pa@geheim@127.0.0.1:1/db",
    ] {
        for arguments in [["serve"].as_slice(), &["migrate"], &["backup", "there.db"], &["users", "list"], &["doctor"]]
        {
            let mut wrong = command(&place);
            wrong.env("VESTIBULE_DATABASE_URL", address);
            failed(wrong, arguments, "VESTIBULE_DATABASE_URL");
        }
        fs::write(&file, address).unwrap();
        failed(command(&place), &["copy", "--to", &from_file], "--to");
        failed(command(&place), &["import", "django", &from_file], "SOURCE");
    }
    for (name, value) in [
        ("VESTIBULE_MAIL_URL", "smtps://app:pa#geheim@mx.example"),
        ("VESTIBULE_MEDIA_URL", "s3://app:geheim@bucket"),
        ("VESTIBULE_OTLP_ENDPOINT", "https://app:geheim@collector.example"),
        ("VESTIBULE_PUBLIC_URL", "https://app:geheim@id.example"),
        ("VESTIBULE_ALLOWED_ORIGINS", "https://app:geheim@app.example"),
    ] {
        let mut wrong = command(&place);
        wrong.env(name, value);
        let (success, _, errors) = run(wrong, &["migrate"], "");
        assert!(!success && errors.starts_with(&format!("vestibule: {name}: ")), "{errors}");
        assert!(!errors.contains("geheim"), "{errors}");
    }
    // A valid secret does not appear in errors about unreachable servers either.
    fs::write(&file, "postgres://app:geheim%23%2F@127.0.0.1:1/db").unwrap();
    for arguments in [["migrate"].as_slice(), &["copy", "--to", &from_file], &["import", "django", &from_file]] {
        let mut away = command(&place);
        if arguments == ["migrate"] {
            away.env_remove("VESTIBULE_DATABASE_URL").env("VESTIBULE_DATABASE_URL_FILE", &file);
        } else {
            assert!(run(command(&place), &["migrate"], "").0);
        }
        let (success, _, errors) = run(away, arguments, "");
        assert!(!success && !errors.contains("geheim"), "{errors}");
    }
}

#[both_databases]
async fn settings_are_read_from_a_file_that_was_named_or_in_the_data_folder(place: Place) {
    // With a secret in each folder, the database would have two.
    let command = |place: &Place| {
        let mut command = command(place);
        command.env("VESTIBULE_SECRET_KEY", OLD);
        command
    };
    let here = place.folder.join("vestibule.toml");
    fs::write(&here, "limits = 'off'\nadmin_email = 'strange@example.com'").unwrap();
    fs::create_dir(place.folder.join("elsewhere")).unwrap();
    fs::write(place.folder.join("elsewhere/vestibule.toml"), "admin_email = 'chief@example.com'").unwrap();
    let line = "ignoring vestibule.toml in the working directory: set VESTIBULE_CONFIG or --config to use it";
    let (success, _, errors) = run(command(&place), &["migrate"], "");
    assert!(success && errors.matches(line).count() == 1, "{errors}");
    let (_, printed, _) = run(command(&place), &["doctor", "--time", "2ms"], "");
    assert!(printed.contains("warn  settings  vestibule.toml in the working directory is ignored"), "{printed}");
    assert!(!printed.contains("set VESTIBULE_LIMITS=on"), "{printed}");

    let mut named = command(&place);
    named.args(["--config", "elsewhere/vestibule.toml", "serve"]);
    let serving = Serving::start(named);
    assert_eq!(serving.printed[0], "first superuser: chief@example.com");
    drop(serving);
    let mut there = command(&place);
    there.args(["--data-dir", "elsewhere"]);
    fs::write(place.folder.join("elsewhere/vestibule.toml"), "access_ttl = '60d'").unwrap();
    let (success, _, errors) = run(there, &["migrate"], "");
    assert!(!success && errors.contains("VESTIBULE_ACCESS_TTL must not be longer"), "{errors}");
    let mut here = command(&place);
    here.env("VESTIBULE_CONFIG", "vestibule.toml");
    let (success, _, errors) = run(here, &["migrate"], "");
    assert!(success && !errors.contains("ignoring"), "{errors}");

    for (name, text, expected) in [
        ("elsewhere/vestibule.toml", "data_dir = 'x'", "elsewhere/vestibule.toml:1: data_dir cannot be set in a file"),
        ("elsewhere/vestibule.toml", "acess_ttl = '1m'", "elsewhere/vestibule.toml:1: unknown setting acess_ttl"),
    ] {
        fs::write(place.folder.join(name), text).unwrap();
        let mut wrong = command(&place);
        wrong.env("VESTIBULE_DATA_DIR", "elsewhere");
        let (success, _, errors) = run(wrong, &["migrate"], "");
        assert!(!success && errors.starts_with(&format!("vestibule: {expected}")), "{errors}");
    }
}
