//! Settings from flags, variables, files and credentials.

use std::ffi::OsString;
use std::path::Path;

use super::sources::{SettingsFile, explain_setting, explain_usage, flag};
use super::*;

fn parse(file: &str, flags: &[&str]) -> Result<Config, String> {
    parse_all(file, flags, &[])
}

fn parse_all(file: &str, flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
    let variable = |name: &str| -> Option<OsString> {
        let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
        Some(value.into())
    };
    let mut file = SettingsFile::parse(Path::new("f"), file)?;
    let secrets = secrets::find(&variable, &mut file)?;
    let command = file.put_below(Config::augment_args(Command::new("vestibule")))?;
    let command = command.mut_args(|arg| arg.env(Resettable::Reset));
    let explain = |error: clap::Error| match explain_setting(&error) {
        Some((name, text)) if flags.is_empty() => file.locate(&name, &text),
        Some((_, text)) => text,
        None => explain_usage(&error),
    };
    let matches = command.try_get_matches_from([&["vestibule"], flags].concat()).map_err(explain)?;
    let mut config = Config::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    secrets.put_into(&mut config)?;
    Ok(config)
}

fn with_variable(name: &str, value: &str) -> Result<Config, String> {
    parse_all("", &[], &[(name, value)])
}

#[test]
fn flags_go_before_the_file_and_the_file_before_defaults() {
    let config = parse("listen = '0.0.0.0:80'\nrefresh_grace = '3s'", &["--refresh-grace", "4s"]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.sessions.refresh_grace, Duration::from_secs(4));
    assert_eq!(config.sessions.access_ttl, Duration::from_secs(300));
}

#[test]
fn lists_and_numbers_may_be_written_as_such() {
    let file = "allowed_origins = ['http://a.example', 'http://b.example:1']\npassword_min_length = 15";
    let config = parse(file, &[]).unwrap();
    assert_eq!(config.allowed_origins.len(), 2);
    assert_eq!(config.password_min_length, 15);
    let file = "otlp_sample = 0.1\ntrusted_proxies = []\nlimits = false\nallowed_origins = ['http://a.example']";
    let config = parse(file, &[]).unwrap();
    assert!((config.watch.otlp_sample - 0.1).abs() < 1e-9 && !config.limits.limits);
    assert!(config.trusted_proxies.is_empty() && config.allowed_origins.len() == 1);
    assert!((parse("otlp_sample = 1", &[]).unwrap().watch.otlp_sample - 1.0).abs() < 1e-9);
    let spaced = parse("trusted_proxies = '10.0.0.0/8, ::1 ,127.0.0.1'", &[]).unwrap();
    assert_eq!(spaced.trusted_proxies.len(), 3);
    for (file, kinds) in [
        ("listen = 2026-01-01", "number or a boolean"),
        ("[refresh_ttl]\na = 1", "number or a boolean"),
        ("registration = []", "number or a boolean"),
        ("trusted_proxies = [['10.0.0.0/8']]", "number, a boolean, or a list of these"),
    ] {
        let name = file.trim_start_matches('[').split([' ', ']']).next().unwrap();
        assert_eq!(parse(file, &[]).unwrap_err(), format!("f:1: {name} must be a string, a {kinds}"));
    }
}

/// Values of each type in TOML.
const VALUES: [&str; 27] = [
    "''",
    "'x'",
    "'on'",
    "'15'",
    "'10m'",
    "'3/1h'",
    "'0.5'",
    "\"\"\"\n10m\"\"\"",
    "true",
    "false",
    "0",
    "1",
    "15",
    "-1",
    "0x0f",
    "9223372036854775807",
    "0.5",
    "15.0",
    "1e-3",
    "nan",
    "-inf",
    "2026-01-05",
    "2026-01-05T09:00:00+01:00",
    "00:10:00",
    "[]",
    "['x']",
    "{ x = 1 }",
];

/// The values that a setting accepts, by the name of its value in the help; `None` for a setting with a syntax of its
/// own, whose example is given.
fn accepted(kind: &str) -> (Option<&'static [&'static str]>, &'static str) {
    match kind {
        "BOOL" | "ON|OFF" => (Some(&["'on'", "true", "false", "0", "1"]), "true"),
        "DURATION" => (Some(&["'10m'", "\"\"\"\n10m\"\"\""]), "'10m'"),
        "LIMIT" => (Some(&["'3/1h'"]), "'3/1h'"),
        "NUMBER" | "CHARACTERS" => (Some(&["'15'", "15", "0x0f", "15.0"]), "15"),
        "SHARE" => (Some(&["'0.5'", "0", "1", "0.5", "1e-3"]), "0.5"),
        "ORIGINS" => (None, "['https://a.example', 'http://b.example:1']"),
        "NETWORKS" => (None, "['10.0.0.0/8', '::1']"),
        "ADDRESS" => (None, "'127.0.0.1:15'"),
        "URL" => (None, "'https://a.example'"),
        "MAILBOX" => (None, "'A <a@example.com>'"),
        "PARAMETERS" => (None, "'m=19456,t=3,p=1'"),
        "ENGINE" => (None, "'portable'"),
        "STATE" => (None, "'closed'"),
        "DOMAIN" => (None, "'example.com'"),
        "COLOR" => (None, "'#1f4fbf'"),
        "POLICY" => (None, "'staff'"),
        "FORMAT" => (None, "'json'"),
        // Any text.
        "DIR" | "FILE" | "TEXT" | "NAME" | "EMAIL" | "FILTER" => (None, "'x'"),
        other => panic!("{other} is a new kind of value"),
    }
}

#[test]
fn each_setting_reads_or_refuses_every_type_of_value() {
    let command = Config::augment_args(Command::new("vestibule"));
    let settings = command.get_arguments().filter(|arg| arg.get_env().is_some() && arg.get_id() != "config_file");
    let mut seen = 0;
    for setting in settings {
        let (name, kind) = (setting.get_id().as_str(), setting.get_value_names().unwrap()[0].as_str());
        let (accepted, example) = accepted(kind);
        parse(&format!("{name} = {example}"), &[]).unwrap_or_else(|problem| panic!("{example}: {problem}"));
        let is_list = setting.get_value_delimiter().is_some();
        // Their limits differ.
        let differs = |value: &str| matches!((kind, value), ("NUMBER", "1") | ("DURATION", "0"));
        for value in VALUES.into_iter().filter(|value| !differs(value)) {
            let read = parse(&format!("{name} = {value}"), &[]);
            if let Some(accepted) = accepted {
                assert_eq!(read.is_ok(), accepted.contains(&value), "{name} = {value}: {:?}", read.err());
            }
            let is_time = value.starts_with("2026") || value.starts_with("00:");
            let is_of_no_setting = is_time || value.starts_with('{') || value.starts_with('[') && !is_list;
            assert!(!is_of_no_setting || read.is_err(), "{name} = {value}");
            if let Err(problem) = read {
                let is_named =
                    problem.contains(&format!("VESTIBULE_{}", name.to_uppercase())) || problem.contains(name);
                let is_short = problem.lines().count() == 1 && problem.len() < 200;
                assert!(problem.starts_with("f:1: ") && is_named && is_short, "{name} = {value}: {problem}");
            }
        }
        seen += 1;
    }
    assert!(seen > 40, "the settings were not found");
    for secret in secrets::names() {
        for value in VALUES.into_iter().filter(|value| !value.starts_with(['\'', '"'])) {
            let problem = parse(&format!("{secret} = {value}"), &[]).unwrap_err();
            assert_eq!(problem, format!("f:1: {secret} must be a string"), "{value}");
        }
    }
}

#[test]
fn the_look_of_the_site_is_checked() {
    for (file, problem) in [
        ("site_color = 'blue'", "VESTIBULE_SITE_COLOR: 'blue' is not a color such as #1f4fbf"),
        ("terms_url = 'javascript:alert(1)'", "VESTIBULE_TERMS_URL: it must be a URL"),
        ("privacy_url = '/privacy'", "VESTIBULE_PRIVACY_URL: it must be a URL"),
        ("imprint_url = 'https://me:pass@example.com'", "VESTIBULE_IMPRINT_URL: it must be a URL"),
    ] {
        let found = parse(file, &[]).unwrap_err();
        assert!(found.starts_with(&format!("f:1: {problem}")) && !found.contains("pass@"), "{found}");
    }
    let config = parse("imprint_url = 'https://example.com/a?b=c#d'\nsite_logo = '/missing.svg'", &[]).unwrap();
    assert_eq!(config.brand.imprint_url.as_ref().unwrap().as_str(), "https://example.com/a?b=c#d");
    let problem = config.brand.read().unwrap_err();
    assert!(problem.starts_with("VESTIBULE_SITE_LOGO: /missing.svg: "), "{problem}");
}

#[test]
fn numbers_and_flags_have_the_values_of_the_file() {
    let config = parse("sockets = 0x0f\nlimits = 0\ngraphiql = 'off'\nfederation = true\nsite_name = 7", &[]).unwrap();
    assert_eq!(
        (config.sockets.sockets, config.limits.limits, config.graphiql, config.federation),
        (15, false, false, true)
    );
    assert_eq!(config.site_name, "7");
    let config =
        parse("reset_ttl = \"\"\"\n10m\"\"\"\nlimit_link = '3/1h'\nallowed_origins = 'https://a.example'", &[])
            .unwrap();
    assert_eq!(config.links.reset_ttl, Duration::from_secs(600));
    assert_eq!((config.limits.limit_link.count, config.limits.limit_link.per), (3, Duration::from_secs(3600)));
    assert_eq!(config.allowed_origins.iter().map(Origin::as_str).collect::<Vec<_>>(), ["https://a.example"]);
    for (file, problem) in [
        ("a = 1\na = 2", "f:2: duplicate key"),
        ("listen.port = 80", "f:1: listen must be a string, a number or a boolean"),
        (
            "[[allowed_origins]]\na = 1",
            "f:1: allowed_origins must be a string, a number, a boolean, or a list of these",
        ),
        ("\n[database]\nreaders = 3", "f:2: unknown setting database"),
        ("'refresh ttl' = '1d'", "f:1: unknown setting refresh ttl"),
        ("log = 08", "f:1: "),
    ] {
        let found = parse(file, &[]).unwrap_err();
        assert!(found.starts_with(problem) && found.lines().count() == 1, "{found}");
    }
}

#[test]
fn origins_are_compared_as_browsers_write_them() {
    let origin = |text: &str| text.parse::<Origin>().map(|origin| origin.as_str().to_owned());
    assert_eq!(origin("https://App.Example:443/").as_deref(), Ok("https://app.example"));
    assert_eq!(origin("http://bücher.example:8080").as_deref(), Ok("http://xn--bcher-kva.example:8080"));
    for app in ["capacitor://localhost", "ionic://localhost", "tauri://localhost", "moz-extension://0a1b-2c3d"] {
        assert_eq!(origin(app).as_deref(), Ok(app));
    }
    let extension = "chrome-extension://abcdefghijklmnop/";
    assert_eq!(origin(extension).as_deref(), Ok("chrome-extension://abcdefghijklmnop"));
    for text in ["capacitor://", "ws://a.example", "javascript://a", "capacitor://a/b", "Capacitor://a", "a b://c"] {
        assert!(origin(text).is_err(), "{text}");
    }
    let same = |one: &str, other: &str| one.parse::<Origin>().unwrap().may_be_same_site(&other.parse().unwrap());
    assert!(same("https://app.example.com", "https://id.example.com:8443"));
    assert!(same("http://localhost:5173", "http://localhost:8000"));
    assert!(!same("http://localhost:5173", "http://127.0.0.1:8000"));
    assert!(!same("http://127.0.0.1:5173", "http://127.0.0.2:8000"));
    assert!(!same("http://app.example.com", "https://id.example.com"));
    assert!(!same("capacitor://localhost", "http://localhost:8000"));
    for text in
        ["*", "null", "https://*.example", "app.example", "file:///", "https://a.example/b", "https://u@a.example"]
    {
        assert!(origin(text).is_err(), "{text}");
    }
    let public: BaseUrl = "https://Accounts.Example:443/at/home".parse().unwrap();
    assert_eq!(public.origin().as_str(), "https://accounts.example");
}

#[test]
fn an_error_is_one_line_that_names_the_setting() {
    let problem = |file: &str, flags: &[&str]| parse(file, flags).unwrap_err();
    assert_eq!(problem("\nlisen = 'x'", &[]), "f:2: unknown setting lisen");
    assert_eq!(problem("listen = 'x:1'\nlog = [", &[]), "f:2: unclosed array, expected `]`");
    assert_eq!(
        problem("# a day\n\naccess_ttl = 'soon'", &[]),
        "f:3: VESTIBULE_ACCESS_TTL: 'soon' is not a duration such as 10s, 5m, 1h or 30d"
    );
    for (life, reason) in [
        ("0s", "'0s' is shorter than a minute"),
        ("none", "'none' is not a duration such as 10s, 5m, 1h or 30d"),
        ("11years", "'11years' is longer than ten years"),
    ] {
        assert_eq!(problem("", &["--api-token-ttl", life]), format!("VESTIBULE_API_TOKEN_TTL: {reason}"));
    }
    for wrong in ["here", "8000", "localhost", "localhost:", "localhost:99999", "1.2.3:80", "a b:1", "unix:", ":80"] {
        let problem = problem("", &["--listen", wrong]);
        let expected = format!("VESTIBULE_LISTEN: '{wrong}' is not an address such as 127.0.0.1:8000");
        assert!(problem.starts_with(&expected), "{problem}");
    }
    for (text, is_local) in [
        ("[::1]:80", true),
        ("0.0.0.0:80", false),
        ("localhost:80", true),
        ("id.example.com:80", false),
        ("unix:/run/x.sock", true),
    ] {
        let listen: Listen = text.parse().unwrap();
        assert_eq!((listen.to_string().as_str(), listen.is_on_loopback()), (text, is_local));
    }
    let config = parse("listen = 'unix:/run/x.sock'", &[]).unwrap();
    assert!(config.validate().unwrap_err().starts_with("VESTIBULE_PUBLIC_URL is required"));
    assert!(problem("", &["--password-min-length", "7"]).starts_with("VESTIBULE_PASSWORD_MIN_LENGTH: 7 is not in"));
    assert!(problem("database_url = 'mysql://u:geheim@h'", &[]).starts_with("f:1: VESTIBULE_DATABASE_URL: it must"));
    assert!(!problem("database_url = 'mysql://u:geheim@h'", &[]).contains("geheim"));
    assert_eq!(problem("config_file = 'x'", &[]), "f:1: unknown setting config_file");
    assert!(problem("", &["--allowed-origins", "https://a.example/path"]).starts_with("VESTIBULE_ALLOWED_ORIGINS: "));
}

#[test]
fn contradictory_settings_are_reported() {
    let config = parse("access_ttl = '40d'", &[]).unwrap();
    assert_eq!(config.validate().unwrap_err(), "VESTIBULE_ACCESS_TTL must not be longer than VESTIBULE_REFRESH_TTL");
    assert!(Config::defaults().validate().is_ok());
    for good in ["https://example.com/id", "https://example.com/a-1/b.2/~c_3/", "https://example.com"] {
        assert!(parse(&format!("public_url = '{good}'"), &[]).unwrap().validate().is_ok(), "{good}");
    }
    for path in ["/a;b", "/a%20b", "/a//b", "/../a", "/a/.", "/é"] {
        let config = parse(&format!("public_url = 'https://example.com{path}'"), &[]).unwrap();
        assert!(config.validate().unwrap_err().starts_with("VESTIBULE_PUBLIC_URL: use only letters"), "{path}");
    }
    let config = parse("public_url = 'https://example.com/account'", &[]).unwrap();
    assert!(config.validate().unwrap_err().contains("the path /account is reserved"));
    for (setting, problem) in [
        ("sockets = 20000", "VESTIBULE_SOCKETS must not be more than VESTIBULE_CONNECTIONS"),
        (
            "connections_per_client = 50",
            "VESTIBULE_SOCKETS_PER_CLIENT must not be more than VESTIBULE_CONNECTIONS_PER_CLIENT",
        ),
    ] {
        assert_eq!(parse(setting, &[]).unwrap().validate().unwrap_err(), problem);
    }
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    for weak in [
        "changeme",
        "secret",
        "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/",
        "change-me-change-me-change-me-change-me",
        "00000000000000000000000000000000",
        "0123456789abcdef0123456789abcdef",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "passwordpasswordpasswordpassword123",
        "qwertyuiopasdfghjklzxcvbnm1234567890",
    ] {
        assert!(problem_of(weak).starts_with("VESTIBULE_SECRET_KEY: it must be at least 32 random"), "{weak}");
    }
    assert_eq!(problem_of(""), "VESTIBULE_SECRET_KEY is empty. Set or remove it");
    for good in [
        "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "mI3s0iV+PpVUxwdBQ0n0Gq7nq0cXl3Jr0i6d0r6Yb1s=",
    ] {
        assert!(with_variable("VESTIBULE_SECRET_KEY", good).is_ok(), "{good}");
    }
    for _ in 0..200 {
        let bytes = crate::tools::secret::Secret::<16>::random().reveal();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let few = hex.chars().collect::<std::collections::HashSet<_>>().len() < 10;
        assert!(few || hex.parse::<SecretKey>().is_ok(), "{hex}");
    }
}

fn problem_of(secret: &str) -> String {
    with_variable("VESTIBULE_SECRET_KEY", secret).unwrap_err()
}

#[test]
fn secrets_are_not_printed() {
    let variables = [
        ("VESTIBULE_ADMIN_PASSWORD", "geheim"),
        ("VESTIBULE_DATABASE_URL", "postgres://u:geheim@h/d"),
        ("VESTIBULE_MAIL_URL", "smtp://u:geheim@h"),
        ("VESTIBULE_MEDIA_URL", "s3://bucket?secret=geheim"),
        ("VESTIBULE_SECRET_KEY", "geheimYYdP2T5b6fhxojgUuL+tybRyxHOaR/W"),
        ("VESTIBULE_SECRET_KEY_PREVIOUS", "geheimXYdP2T5b6fhxojgUuL+tybRyxHOaR/W"),
    ];
    let config = parse_all("", &[], &variables).unwrap();
    assert!(config.media_url.is_some() && config.secret_key_previous.is_some());
    assert!(!format!("{config:?}").contains("geheim"));
}

#[test]
fn a_secret_is_no_flag() {
    for flag in
        ["--secret-key", "--secret-key-previous", "--admin-password", "--database-url", "--mail-url", "--media-url"]
    {
        let joined = format!("{flag}=geheim");
        for flags in [&[flag, "geheim"][..], &[joined.as_str()]] {
            let problem = parse("", flags).unwrap_err();
            assert!(problem.starts_with(&format!("there is no flag {flag}: every user")), "{problem}");
            assert!(problem.contains("_FILE or VESTIBULE_") && !problem.contains("geheim"), "{problem}");
        }
    }
}

#[test]
fn secrets_come_from_variables_files_and_credentials_in_this_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let credentials = folder.path().display().to_string();
    let password = |file: &str, variables: &[(&str, &str)]| {
        let config = parse_all(file, &[], variables)?;
        Ok::<_, String>(config.admin_password.map(|password| password.reveal().to_owned()))
    };
    let by_file = file("by-file", "by file\r\n");
    let by_key = format!("admin_password_file = '{}'", file("by-key", "by key\n\n"));
    file("vestibule.admin_password", "by credential");
    let (variable, named) = (("VESTIBULE_ADMIN_PASSWORD", "by variable"), ("VESTIBULE_ADMIN_PASSWORD_FILE", &*by_file));
    let credential = ("CREDENTIALS_DIRECTORY", &*credentials);
    let is = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(password(&by_key, &[variable, credential]), is("by variable"));
    assert_eq!(password(&by_key, &[named, credential]), is("by file"));
    assert_eq!(password(&by_key, &[credential]), is("by key\n"));
    assert_eq!(password("admin_password = 'by text'", &[credential]), is("by text"));
    assert_eq!(password("", &[credential]), is("by credential"));
    assert_eq!(password("", &[("CREDENTIALS_DIRECTORY", "/nowhere")]), Ok(None));
    for (file, variables, expected) in [
        ("", vec![variable, named], "VESTIBULE_ADMIN_PASSWORD and VESTIBULE_ADMIN_PASSWORD_FILE are both set"),
        (
            &*format!("admin_password = 'x'\n{by_key}"),
            vec![],
            "f:2: admin_password and admin_password_file are both set",
        ),
        ("admin_password = 7", vec![], "f:1: admin_password must be a string"),
    ] {
        assert!(password(file, &variables).unwrap_err().starts_with(expected), "{expected}");
    }
}

#[test]
fn an_unreadable_secret_file_is_reported_without_its_path_and_content() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    for (path, expected) in [
        ("/nowhere/geheim".to_owned(), "cannot read the file: No such file"),
        (folder.path().display().to_string(), "cannot read the file: Is a directory"),
        (file("empty", b"\n"), "cannot read the file: it is empty"),
        (file("binary", b"geheim\xff"), "cannot read the file: not valid UTF-8"),
        (file("large", &vec![b'g'; 70_000]), "cannot read the file: larger than 64 KiB"),
        (file("weak", b"geheim"), "it must be at least 32 random characters"),
    ] {
        let problem = with_variable("VESTIBULE_SECRET_KEY_FILE", &path).unwrap_err();
        assert!(problem.starts_with(&format!("VESTIBULE_SECRET_KEY_FILE: {expected}")), "{problem}");
        assert!(!problem.contains("geheim") && !problem.contains(&path), "{problem}");
    }
}

#[test]
fn flags_are_found_before_the_command_line_is_parsed() {
    let found = |arguments: &[&str]| {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        flag(&arguments, "--data-dir").map(|value| value.into_string().unwrap())
    };
    assert_eq!(found(&["serve", "--data-dir", "a"]).as_deref(), Some("a"));
    assert_eq!(found(&["--data-dir=b=c", "serve"]).as_deref(), Some("b=c"));
    assert_eq!(found(&["serve", "--data-directory", "a"]), None);
    assert_eq!(found(&["--", "--data-dir", "a"]), None);
}
