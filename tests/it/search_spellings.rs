//! Search by what people type: words in any order, other spellings of names, telephone numbers and external ids.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sea_orm::{ConnectionTrait as _, EntityTrait as _};
use serde_json::json;
use test_macros::both_databases;
use unicode_normalization::UnicodeNormalization as _;
use vestibule::domain::import::django::Options;
use vestibule::entity::user;

use crate::django_import::{self, move_in};
use crate::parity::registration::{VERIFY, register};
use crate::spreadsheet_import::{counts, import};
use crate::test_app::{PASSWORD, TestApp};
use crate::test_client::Client;
use crate::test_database::Place;
use crate::undo_email_change::{UNDO, move_to, undo_token};
use crate::user_search::found;

/// Adds users with these usernames, names and telephone numbers, and signs in as staff.
async fn people(app: &TestApp, people: &[(&str, &str, &str, &str)]) -> Client {
    for (username, first_name, last_name, phone) in people {
        let email = format!("{username}@example.com");
        let input = json!({ "username": username, "email": email, "firstName": first_name, "lastName": last_name,
            "phone": phone });
        app.add(input).await;
    }
    app.add_staff("zz-staff").await.sign_in(app).await
}

#[both_databases]
async fn every_spelling_of_an_umlaut_finds_every_other(place: Place) {
    let app = TestApp::start(&place).await;
    let named = [
        ("u1", "Jürgen", "Müller", ""),
        ("u2", "Juergen", "Mueller", ""),
        ("u3", "Jurgen", "Muller", ""),
        ("u4", "Anna", "Größmann", ""),
        ("u5", "Åse", "Bjørnsen", ""),
        ("u6", "Barbara", "Bär", ""),
        ("u7", "Işık", "Łukasiewicz", ""),
        ("u8", "Ὀδυσσεύς", "Алёшин", ""),
    ];
    let staff = people(&app, &named).await;
    let cases: &[(&[&str], &[&str])] = &[
        (&["Müller", "MUELLER", "muller", "Mu\u{308}ller", "muell", "MÜLL", "Jürgen Muller"], &["u1", "u2", "u3"]),
        (&["Größmann", "Grossmann", "GROESSMANN", "GRÖẞMANN", "größ", "Großmann"], &["u4"]),
        (&["Åse", "aase", "ase", "bjørn", "Bjoernsen", "BJORNSEN", "A\u{30a}se Björnsen"], &["u5"]),
        (&["Bär", "baer"], &["u6"]),
        (&["IŞIK", "ışık", "isik", "Isik lukas", "łukas"], &["u7"]),
        (&["ΟΔΥΣΣΕΎΣ", "οδυσσευς", "АЛЕШИН", "алёш"], &["u8"]),
        (&["Ås"], &["u5"]),
        (&["Ö"], &["u4"]),
        (&["mü q"], &[]),
    ];
    for (searches, expected) in cases {
        for search in *searches {
            assert_eq!(found(&staff, search).await, *expected, "{search}");
        }
    }
}

#[both_databases]
async fn words_are_found_in_any_order_and_in_any_field(place: Place) {
    let app = TestApp::start(&place).await;
    let named = [
        ("anna.g", "Anna", "Größmann", ""),
        ("annette", "Annette", "Grossmann", ""),
        ("ob1", "Sinéad", "O\u{2019}Brien", ""),
        ("ob2", "Conan", "OBrien", ""),
        ("ob3", "Flann", "O Brien", ""),
        ("lena", "Anna-Lena", "van der Meer", ""),
        ("li", "小龍", "李", ""),
        ("yw", "Öz", "Ng", ""),
    ];
    let staff = people(&app, &named).await;
    let cases: &[(&[&str], &[&str])] = &[
        (&["Größmann Anna", "Anna Größmann", "GROSSMANN, ANNA", "anna.g grossmann"], &["anna.g"]),
        (&["grossm ann", "ann GROSSM", "grossm ann a"], &["anna.g", "annette"]),
        (&["O'Brien", "OBrien", "o brien", "O\u{2019}BRIEN", "obri"], &["ob1", "ob2", "ob3"]),
        (
            &["Anna-Lena", "annalena", "anna lena", "lena anna", "Lena <lena@example.com>", "vandermeer", "meer van"],
            &["lena"],
        ),
        (&["小龍 李", "李小龍", "李小", "龍"], &["li"]),
        (&["öz", "oz ng", "NG Ö"], &["yw"]),
        (&["anna bob", "größmann conan"], &[]),
    ];
    for (searches, expected) in cases {
        for search in *searches {
            assert_eq!(found(&staff, search).await, *expected, "{search}");
        }
    }
}

#[both_databases]
async fn a_telephone_number_is_found_as_it_is_dialled(place: Place) {
    let app = TestApp::start(&place).await;
    let named = [
        ("abroad", "", "", "+49 170 1234567"),
        ("home", "", "", "0170/123 45 67"),
        ("other", "", "", "030 98765"),
        ("n4567", "", "", ""),
    ];
    let staff = people(&app, &named).await;
    let cases: &[(&str, &[&str])] = &[
        ("+49 170 1234567", &["abroad", "home"]),
        ("0170/1234567", &["abroad", "home"]),
        ("0170 123 45 67", &["abroad", "home"]),
        ("0049 (0)170-12345", &["abroad", "home"]),
        ("home 0170 123", &["home"]),
        ("234567", &["abroad", "home"]),
        ("4567", &["abroad", "home", "n4567"]),
        // Fewer than four digits are part of too many numbers.
        ("567", &["n4567"]),
        ("030 9876", &["other"]),
        ("aedcb", &[]),
    ];
    for (search, expected) in cases {
        assert_eq!(found(&staff, search).await, *expected, "{search}");
    }
}

#[both_databases]
async fn no_text_is_an_error_and_every_part_of_a_name_is_found(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = people(&app, &[("ann", "Zoë \"%_\"", "d\u{2019}Ærø-Şahin", "+49 170 1234567")]).await;
    let mut runner = TestRunner::deterministic();
    let texts = prop_oneof![
        "\\PC{0,12}",
        "[a-z%_\\\\\"'*:^(){}$?+. -]{1,12}",
        "(AND|OR|NOT|NEAR|\"|\\*| |a|é){1,8}",
        "[0-9+()/. -]{1,14}",
        any::<String>().prop_map(|text| text.chars().filter(|c| !c.is_control()).take(100).collect::<String>()),
    ];
    for _ in 0..150 {
        let text = texts.new_tree(&mut runner).unwrap().current();
        // It fails unless pages and count agree.
        found(&staff, &text).await;
    }
    for text in ["%_", "\"%", "d'æ", "ærø-ş", "SAHIN zoe", "zoe\u{308}", "Ærø ë", "d’aeroe"] {
        assert_eq!(found(&staff, text).await, ["ann"], "{text}");
        assert_eq!(found(&staff, &text.nfd().collect::<String>()).await, ["ann"], "{text}");
    }
}

/// The search terms of all users, as stored.
async fn stored(app: &TestApp) -> BTreeMap<String, String> {
    let users = user::Entity::find().all(app.db()).await.unwrap();
    users.into_iter().map(|user| (user.email, user.search_terms)).collect()
}

/// Computes the search terms as at the first start after an upgrade.
async fn renewed(app: &TestApp, place: &Place) -> BTreeMap<String, String> {
    app.db().execute_unprepared("UPDATE instance SET search_terms = 0").await.unwrap();
    stored(&app.start_second(place).await).await
}

#[both_databases]
async fn every_change_of_a_user_changes_how_they_are_found(place: Place) {
    let app = TestApp::start_with(&place, |config| config.limits.limits = false).await;
    let admin = app.admin().await;
    let input = json!({ "email": "jörg@example.com", "password": PASSWORD, "passwordConfirm": PASSWORD,
        "firstName": "Jörg", "phone": "0170 1111111", "username": "jörg" });
    let link = register(&app, json!({ "input": input })).await;
    app.anyone().data(VERIFY, link.variables()).await;
    assert_eq!(found(&admin, "joerg").await, ["jörg"]);

    let ada = app.add_reader("ada").await;
    let client = ada.sign_in(&app).await;
    let own = "mutation { updateMe(input: { lastName: \"O'Größe\", phone: \"0170 2222222\" }) { errors { code } } }";
    client.data(own, json!({})).await;
    assert_eq!(found(&admin, "ogroesse 2222222").await, ["ada"]);
    app.mails().await;
    let told = move_to(&app, &client, PASSWORD, "bäuerin@example.com").await;
    assert_eq!(found(&admin, "baeuerin@").await, ["ada"]);
    app.anyone().data(UNDO, json!({ "t": undo_token(&told) })).await;
    assert_eq!(found(&admin, "baeuerin@").await, [""; 0]);

    let sheet = "email,first_name,phone,username\nada@example.com,Zoë,+49 170 3333333,ada\nnew@example.com,Chloé,0170 4444444,neu\n";
    assert_eq!(counts(&import(&admin, sheet).await), (1, 1, 0));
    for (search, expected) in [("zoe", "ada"), ("0170 3333333", "ada"), ("chloe", "neu"), ("4444444", "neu")] {
        assert_eq!(found(&admin, search).await, [expected], "{search}");
    }
    assert_eq!(found(&admin, "2222222").await, [""; 0]);

    let dump = [
        django_import::user(4711, "anke", &json!({ "first_name": "Änne" })),
        django_import::user(4712, "neu", &json!({ "email": "new@example.com" })),
    ];
    let report = move_in(&app, &dump, Options { link: true, ..Options::default() }).await;
    assert_eq!((report.created, report.linked), (1, 1));
    for (search, expected) in [("4711", "anke"), ("4712", "neu"), ("aenne 4711", "anke")] {
        assert_eq!(found(&admin, search).await, [expected], "{search}");
    }
    let terms = stored(&app).await;
    assert!(terms["new@example.com"].contains("\nchloe") && terms["new@example.com"].contains("\n4712"));
    assert_eq!(renewed(&app, &place).await, terms, "every write computes the same terms as an upgrade");

    let record = "mutation { recordSample(input: { key: \"S-1\", title: \"x\" }) { errors { code } } }";
    let eve = app.add(json!({ "email": "eve@example.com", "firstName": "Éve", "password": PASSWORD })).await;
    eve.sign_in(&app).await.data(record, json!({})).await;
    let delete = "mutation($id: ID!) { deleteUser(input: { id: $id }) { outcome errors { code } } }";
    let data = admin.data(delete, json!({ "id": eve.id })).await;
    assert_eq!(data["deleteUser"]["outcome"], "ANONYMIZED");
    assert_eq!(found(&admin, "eve@example").await, [""; 0]);
    let terms = stored(&app).await;
    assert_eq!(renewed(&app, &place).await, terms, "so does a deletion");
}

#[both_databases]
async fn users_of_an_older_version_are_found_after_the_upgrade(place: Place) {
    let app = TestApp::start(&place).await;
    let staff = people(&app, &[("ada", "Anna", "Größmann", "0170 1234567"), ("bob", "", "", "")]).await;
    app.db().execute_unprepared("UPDATE users SET search_terms = ''").await.unwrap();
    assert_eq!(found(&staff, "grossmann").await, [""; 0]);
    assert_eq!(found(&staff, "ANN").await, ["ada"], "the keys are searched all the same");
    renewed(&app, &place).await;
    for search in ["grossmann", "groess ann", "+49 170 1234567"] {
        assert_eq!(found(&staff, search).await, ["ada"], "{search}");
    }
}
