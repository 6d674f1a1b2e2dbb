//! Rotations of signing keys and of the secret key: verifiers with cached keys, and copies and backups meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use test_macros::both_databases;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::json;
use vestibule::config::Config;
use vestibule::domain::auth::signing_keys::{CACHE, NOTICE, RELOAD, Start};
use vestibule::domain::operator::Operator;
use vestibule::domain::operator::keys::Resealed;
use vestibule::entity::audit_event::{self, Action};
use vestibule::entity::signing_key;
use vestibule::tools::clock::Timestamp;

use crate::fixture::furnish;
use crate::process::{command, run};
use crate::signing_keys::kid;
use crate::test_app::TestApp;
use crate::test_database::Place;

const ME: &str = "{ me { id } }";
const TTL: Duration = Duration::from_mins(5);
const OLD: &str = "IYYdP2T5b6fhxojgUuL+tybRyxHOaR/W";
const NEW: &str = "mI3s0iV+PpVUxwdBQ0n0Gq7nq0cXl3Jr0i6d0r6Yb1s=";

/// Another service, which verifies access tokens by the published keys and caches them as long as it may.
struct Verifier<'a> {
    /// The instance that it gets the keys from.
    source: &'a TestApp,
    fetched: Timestamp,
    keys: HashMap<String, Vec<u8>>,
}

impl<'a> Verifier<'a> {
    async fn new(source: &'a TestApp) -> Self {
        let mut verifier = Self { source, fetched: source.clock_now(), keys: HashMap::new() };
        verifier.fetch().await;
        verifier
    }

    async fn fetch(&mut self) {
        let answer = self.source.anyone().get("/.well-known/jwks.json").await;
        let keys = answer.body["keys"].as_array().unwrap().iter().map(|key| {
            let text = |name: &str| key[name].as_str().unwrap();
            (text("kid").to_owned(), URL_SAFE_NO_PAD.decode(text("x")).unwrap())
        });
        self.keys = keys.collect();
        self.fetched = self.source.clock_now();
    }

    /// True if it accepts the signature of a token.
    async fn accepts(&mut self, token: &Token) -> bool {
        if self.source.clock_now() >= self.fetched.plus(CACHE) {
            self.fetch().await;
        }
        let (signed, signature) = token.text.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = self.keys.get(&token.kid).map(|key| UnparsedPublicKey::new(&ED25519, key));
        key.is_some_and(|key| key.verify(signed.as_bytes(), &signature).is_ok())
    }
}

/// An access token.
struct Token {
    text: String,
    kid: String,
    ends: Timestamp,
}

async fn rotate(app: &TestApp, start: Start) {
    app.app.rotate_keys(&app.app.clock.now(), &Operator::new(), start).await.unwrap();
}

#[both_databases]
async fn verifiers_with_cached_keys_accept_every_token_during_a_rotation(place: Place) {
    let one = TestApp::start(&place).await;
    let two = one.start_second(&place).await;
    let ada = one.add_user("ada").await;
    let begin = one.clock_now();
    let (mut verifiers, mut tokens, mut used) = (Vec::<Verifier<'_>>::new(), Vec::<Token>::new(), BTreeSet::new());
    let steps = |span: Duration| span.as_secs() / RELOAD.as_secs();
    let rotation = steps(CACHE);
    for step in 0..rotation + steps(NOTICE + TTL) + 2 {
        one.app.reload_keys(&one.app.clock.now()).await.unwrap();
        if step == rotation {
            // On the command line, which is another process. One instance learns of it immediately, the other one as
            // late as it may.
            rotate(&one.start_second(&place).await, Start::Announced).await;
        }
        two.app.reload_keys(&two.app.clock.now()).await.unwrap();
        let (app, other) = if step % 2 == 0 { (&one, &two) } else { (&two, &one) };
        // Caches expire at different times.
        if step % 3 == 0 && step < rotation {
            verifiers.push(Verifier::new(app).await);
        }
        let client = ada.sign_in(app).await;
        let text = client.access.clone().unwrap();
        other.anyone().with_token(text.clone()).data(ME, json!({})).await;
        used.insert(kid(&client));
        tokens.push(Token { text, kid: kid(&client), ends: app.clock_now().plus(TTL) });
        tokens.retain(|token| token.ends > app.clock_now());
        let at = app.clock_now().millis() - begin.millis();
        for verifier in &mut verifiers {
            for token in [tokens.first(), tokens.last()].into_iter().flatten() {
                assert!(verifier.accepts(token).await, "{} after {at} ms", token.kid);
            }
        }
        one.wait(RELOAD);
    }
    assert_eq!((verifiers.len(), used.len()), (10, 2), "the new key signs");
}

/// Starts another instance on a database, with the same clock.
async fn start_on(app: &TestApp, place: &Place, database_url: &str, change: impl FnOnce(&mut Config)) -> TestApp {
    let there = Place { database_url: database_url.to_owned(), folder: place.folder.clone() };
    app.start_second_with(&there, change).await
}

/// Databases copied from the one of the test by `vestibule copy` and `vestibule backup`, while the service runs.
async fn copies(place: &Place) -> [String; 2] {
    let copy = place.second_database().await;
    let to = crate::copy::to(place, &copy);
    let backup = place.folder.join("backup.db");
    let commands = [vec!["copy", "--while-running", "--to", &to], vec!["backup", backup.to_str().unwrap()]];
    for arguments in commands {
        let command = command(place);
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let done = tokio::task::spawn_blocking(move || {
            run(command, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "")
        });
        let (success, _, errors) = done.await.unwrap();
        assert!(success, "{errors}");
    }
    [copy, format!("sqlite://{}", backup.display())]
}

#[both_databases]
async fn a_copy_during_a_rotation_completes_it(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let early = ada.sign_in(&app).await;
    // Keys of the same millisecond have no order.
    app.wait(Duration::from_secs(1));
    rotate(&app, Start::Announced).await;
    let published = async |app: &TestApp| app.anyone().get("/.well-known/jwks.json").await.body;
    let before = published(&app).await;
    let mut restored = Vec::new();
    for url in copies(&place).await {
        restored.push(start_on(&app, &place, &url, |_| {}).await);
    }
    for there in &restored {
        assert_eq!(published(there).await, before);
        there.anyone().with_token(early.access.clone().unwrap()).data(ME, json!({})).await;
        assert_eq!(kid(&ada.sign_in(there).await), kid(&early), "the new key does not sign yet");
    }
    app.wait(NOTICE);
    app.app.reload_keys(&app.app.clock.now()).await.unwrap();
    let new = kid(&ada.sign_in(&app).await);
    assert_ne!(new, kid(&early));
    for there in &restored {
        there.app.reload_keys(&there.app.clock.now()).await.unwrap();
        assert_eq!(kid(&ada.sign_in(there).await), new, "it signs from the same moment");
    }
}

#[both_databases]
async fn a_copy_has_rotations_as_a_whole(place: Place) {
    let app = TestApp::start(&place).await;
    let ada = app.add_user("ada").await;
    let stop = Arc::new(AtomicBool::new(false));
    let rotating = {
        let (app, stop) = (Arc::clone(&app.app), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut rotations = 0;
            while !stop.load(Ordering::SeqCst) {
                app.rotate_keys(&app.clock.now(), &Operator::new(), Start::AtOnce).await.unwrap();
                rotations += 1;
            }
            rotations
        })
    };
    let copies = copies(&place).await;
    stop.store(true, Ordering::SeqCst);
    assert!(rotating.await.unwrap() > 0, "nothing was rotated meanwhile");
    for url in copies {
        let there = start_on(&app, &place, &url, |_| {}).await;
        let keys = signing_key::Entity::find();
        let newest = keys.clone().filter(signing_key::Column::ExpiresAt.is_null()).count(there.db()).await.unwrap();
        assert_eq!(newest, 1, "every other key has an expiry");
        let rotated = audit_event::Entity::find().filter(audit_event::Column::Action.eq(Action::SigningKeyRotated));
        assert_eq!(keys.count(there.db()).await.unwrap(), 1 + rotated.count(there.db()).await.unwrap());
        ada.sign_in(&there).await.data(ME, json!({})).await;
    }
}

#[both_databases]
async fn a_copy_during_a_replacement_of_the_secret_key_is_resealed_by_itself(place: Place) {
    let app = TestApp::start_with(&place, |config| config.secret_key = Some(OLD.parse().unwrap())).await;
    let furnished = furnish(&app).await;
    let both = |config: &mut Config| {
        config.secret_key = Some(NEW.parse().unwrap());
        config.secret_key_previous = Some(OLD.parse().unwrap());
    };
    let new = |config: &mut Config| config.secret_key = Some(NEW.parse().unwrap());
    // A key sealed with the new secret is beside keys and emails sealed with the old one.
    rotate(&app.start_second_with(&place, both).await, Start::AtOnce).await;
    for url in copies(&place).await {
        let there = start_on(&app, &place, &url, both).await;
        let done = there.app.reseal(&there.app.clock.now(), &Operator::new()).await.unwrap();
        assert!(done.signing_keys == 2 && done.mails >= 1 && done.unreadable == 0, "{done:?}");
        there.anyone().with_token(furnished.access.clone()).data(ME, json!({})).await;
        let alone = start_on(&app, &place, &url, new).await;
        assert_eq!(alone.app.reseal(&alone.app.clock.now(), &Operator::new()).await.unwrap(), Resealed::default());
        alone.admin().await.data(ME, json!({})).await;
        alone.anyone().with_token(furnished.access.clone()).data(ME, json!({})).await;
    }
    // The original waits for its own.
    let original = app.start_second_with(&place, both).await;
    let done = original.app.reseal(&original.app.clock.now(), &Operator::new()).await.unwrap();
    assert!(done.signing_keys == 2 && done.mails >= 1, "{done:?}");
    furnished.check(&original).await;
}
