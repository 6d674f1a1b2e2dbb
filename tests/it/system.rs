//! The state of the installation, for superusers.

use serde_json::json;
use test_macros::both_databases;
use vestibule::config::{Setting, SettingOrigin};

use crate::api_tokens::make;
use crate::test_app::TestApp;
use crate::test_database::Place;

const SYSTEM: &str = "{ system {
    version database databaseSize
    settings { name value source } signingKeys { kid createdAt state at } findings { check level found remedy }
} }";

#[both_databases]
async fn a_superuser_sees_version_settings_keys_and_findings(place: Place) {
    let setting = |name: &str, value: &str, origin| Setting { name: name.into(), value: Some(value.into()), origin };
    let app = TestApp::start_with(&place, |config| {
        config.settings = vec![
            setting("site_name", "Acme", SettingOrigin::Named("VESTIBULE_SITE_NAME".into())),
            setting("secret_key", "(set)", SettingOrigin::Default),
        ];
        config.limits.limits = false;
    })
    .await;
    let system = app.admin().await.data(SYSTEM, json!({})).await["system"].clone();
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    let database = system["database"].as_str().unwrap();
    assert!(database.starts_with("SQLite 3.") || database.starts_with("PostgreSQL "), "{database}");
    assert_eq!(
        system["settings"],
        json!([
            { "name": "site_name", "value": "Acme", "source": "VESTIBULE_SITE_NAME" },
            { "name": "secret_key", "value": "(set)", "source": "default" },
        ])
    );
    assert_eq!(system["signingKeys"][0]["state"], "SIGNING");
    assert_eq!(system["signingKeys"][0]["at"], json!(null));
    let findings = system["findings"].as_array().unwrap();
    let found = |level: &str, text: &str| {
        findings.iter().any(|one| one["level"] == level && one["found"].as_str().unwrap().contains(text))
    };
    assert!(found("WARNING", "rate limiting is off"), "{findings:?}");
    assert!(found("OK", "no pending migrations"), "{findings:?}");
}

#[both_databases]
async fn nobody_else_sees_the_installation(place: Place) {
    let app = TestApp::start(&place).await;
    let admin = app.admin().await;
    let token = app.anyone().with_token(make(&admin, &["READ", "MANAGE_USERS", "EXPORT"]).await.1);
    let staff = app.add_staff("boss").await.sign_in(&app).await;
    for client in [&token, &staff] {
        assert_eq!(client.code(SYSTEM, json!({})).await, "FORBIDDEN");
    }
    assert_eq!(app.anyone().code(SYSTEM, json!({})).await, "UNAUTHENTICATED MISSING");
}
