//! Fuzzing targets of the tools.

use std::io::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use crate::error::Error;
use crate::fuzzing::Target;
use crate::tools::api_token::{ApiToken, MovedToken};
use crate::tools::breached_passwords::{self, BreachedList, PasswordSha1, parse_row, range_contains};
use crate::tools::clock::Timestamp;
use crate::tools::identifier::{self, MAX_EMAIL_BYTES, MAX_USERNAME_LENGTH};
use crate::tools::image;
use crate::tools::password::{DjangoHash, Password};
use crate::tools::secret::{InstanceName, MasterKeys, MasterSecrets, Secret};
use crate::tools::sheet::{self, read::SheetRow};
use crate::tools::token::{Claims, KeyPair, KeyRing, RefreshToken};

const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);
const ISSUER: &str = "https://accounts.example.com";

/// Only issued tokens verify, and only before they expire.
pub(crate) const ACCESS_TOKEN: Target = Target {
    name: "access_token",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let later = Timestamp::from_millis(NOW.millis() + 3_600_000);
        if let Ok(claims) = ISSUED.ring.verify(text, NOW) {
            assert!(ISSUED.tokens.iter().any(|(token, issued)| (token.as_str(), issued) == (text, &claims)));
            assert!(ISSUED.ring.knows_key_of(text));
        }
        assert!(ISSUED.ring.verify(text, later).is_err());
    },
    seeds: || {
        let stranger = KeyRing::new("https://elsewhere.example", &pair(8), []);
        let claims = claims(0);
        let theirs = [stranger.sign(&claims), stranger.sign(&Claims { aud: "x".into(), ..claims })];
        ISSUED.tokens.iter().map(|(token, _)| token.clone()).chain(theirs).map(String::into_bytes).collect()
    },
};

struct Issued {
    ring: KeyRing,
    tokens: Vec<(String, Claims)>,
}

static ISSUED: LazyLock<Issued> = LazyLock::new(|| {
    let pair = pair(7);
    let ring = KeyRing::new(ISSUER, &pair, [(pair.kid.clone(), pair.public.clone())]);
    let tokens = [claims(0), claims(1), Claims { nbf: Some(NOW.seconds()), ..claims(2) }];
    let tokens = tokens.map(|claims| (ring.sign(&claims), claims));
    Issued { ring, tokens: tokens.into() }
});

/// A deterministic key pair, so that recorded inputs stay valid.
fn pair(seed: u8) -> KeyPair {
    // Prefix of a private key of Ed25519 in PKCS #8 (RFC 8410, section 7).
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any 32 bytes are a key");
    let public = key.public_key().as_ref().to_vec();
    KeyPair { kid: format!("key {seed}"), public, private: [HEAD.as_slice(), &[seed; 32]].concat() }
}

fn claims(generation: i32) -> Claims {
    let id = Uuid::from_u128(7);
    Claims {
        kid: "key 7".to_owned(),
        iss: ISSUER.to_owned(),
        aud: ISSUER.to_owned(),
        sub: id,
        sid: id,
        jti: id,
        generation,
        iat: NOW.seconds(),
        exp: NOW.seconds() + 300,
        nbf: None,
        auth_time: None,
        amr: Vec::new(),
        acr: None,
        role: "MEMBER".to_owned(),
        permission: "ONLY_VIEW".to_owned(),
        staff: false,
        superuser: false,
    }
}

/// Only issued tokens are accepted, and only in their exact spelling.
pub(crate) const REFRESH_TOKEN: Target = Target {
    name: "refresh_token",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Some(token) = RefreshToken::from_text(text, &master_keys()) {
            assert!(refresh_tokens().contains(&token));
            assert_eq!(token.to_text(&master_keys()), text);
        }
    },
    seeds: || refresh_tokens().iter().map(|token| token.to_text(&master_keys()).into_bytes()).collect(),
};

fn master_keys() -> MasterKeys {
    let secrets = MasterSecrets { current: b"a secret for fuzzing".to_vec(), previous: None };
    MasterKeys::new(&secrets, InstanceName { id: Uuid::from_u128(1), public_url: ISSUER })
}

fn refresh_tokens() -> [RefreshToken; 3] {
    [0, 1, i32::MAX].map(|counter| RefreshToken { session: Uuid::from_u128(7), counter })
}

/// An accepted token is printed as the same text, and recognized as an API token.
pub(crate) const API_TOKEN: Target = Target {
    name: "api_token",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Some(token) = ApiToken::from_text(text) {
            assert_eq!(token.to_text(), text);
            assert!(ApiToken::is_meant_by(text) && text.starts_with(&token.prefix()));
        }
        if let Some(token) = MovedToken::from_text(text) {
            assert!(ApiToken::is_meant_by(text) && text.len() == 40 && text.starts_with(&token.prefix()));
        }
    },
    seeds: || {
        let ours = [0, 7, 255].map(|byte| ApiToken::new(Secret::new([byte; 32])).to_text().into_bytes());
        ours.into_iter().chain([b"9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b".to_vec()]).collect()
    },
};

/// A row of the public list is accepted only with the digits of its hash, and a range finds only hashes that it contains.
pub(crate) const BREACHED_ROWS: Target = Target {
    name: "breached_rows",
    run: |bytes| {
        const SUFFIX: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";
        let upper = bytes.to_ascii_uppercase();
        if let Ok((hash, _)) = parse_row(bytes) {
            assert!(upper.starts_with(format!("{}:", hash.to_hex()).as_bytes()));
        }
        if range_contains(bytes, SUFFIX) == Ok(true) {
            assert!(upper.windows(SUFFIX.len() + 1).any(|part| part == format!("{SUFFIX}:").as_bytes()));
        }
    },
    seeds: || {
        let range = b"1E4C9B93F3F0682250B6CF8331B7EE68FD8:52\r\n1e4c9b93f3f0682250b6cf8331b7ee68fd9:0\r\n".to_vec();
        let row = b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:52".to_vec();
        vec![range, row, b"8846F7EAEE8FB117AD06BDD830B7586C:52".to_vec()]
    },
};

/// Any file is refused or answers. A list with a correct checksum is readable everywhere.
pub(crate) const BREACHED_LIST: Target = Target {
    name: "breached_list",
    run: |bytes| {
        let mut file = tempfile::tempfile().expect("there is a temporary directory");
        file.write_all(bytes).expect("the file can be written");
        let Ok(list) = BreachedList::from_file(file) else { return };
        let looked_up = ["password", "letmein", ""].map(|text| list.contains(PasswordSha1::of(&Password::new(text))));
        if list.verify().is_ok() {
            assert!(looked_up.iter().all(Result::is_ok));
        }
    },
    seeds: || {
        let built = |text: &str| {
            let folder = tempfile::tempdir().expect("there is a temporary directory");
            let path = folder.path().join("list");
            breached_passwords::build(text.as_bytes(), &path, 1).expect("the rows are valid");
            std::fs::read(path).expect("the list was written")
        };
        let rows: Vec<String> = (0..100_u8).map(|number| format!("{number:02X}{}:1\n", "7".repeat(38))).collect();
        vec![built(""), built("5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:52\n"), built(&rows.concat())]
    },
};

/// An accepted hash has a known algorithm and differs from the service's own format. Parsing computes no hash.
pub(crate) const DJANGO_HASH: Target = Target {
    name: "django_hash",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if DjangoHash::parse(text).is_ok() {
            let hasher = text.split('$').next().unwrap_or_default();
            let known = ["pbkdf2_sha256", "pbkdf2_sha1", "scrypt", "argon2", "bcrypt", "bcrypt_sha256"];
            assert!(known.contains(&hasher) && text.len() < 2048);
        }
    },
    seeds: || {
        let tag = |length: usize| STANDARD.encode(vec![7; length]);
        [
            format!("pbkdf2_sha256$1000000$KFv8N8T3Nz0BA5PEA93Riz${}", tag(32)),
            format!("pbkdf2_sha1$1000$s${}", tag(20)),
            format!("scrypt$16384$mKFxw8MaHzvg8nKJpMClkU$8$5${}", tag(64)),
            "argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".to_owned(),
            "argon2$argon2i$m=512,t=2,p=2$c2Vhc2FsdDI$vwe0XDi/QsYQhfhuGNIf7g".to_owned(),
            "bcrypt_sha256$$2b$12$AMse7Fb7aCBeAt5yG1EFce4uuwr.5MWSVkv8dSOkKiZYA44bMKB6O".to_owned(),
        ]
        .map(String::into_bytes)
        .into()
    },
};

/// Folding is idempotent and independent of the normalisation form. Accepted values stay accepted, and no username is
/// an address.
pub(crate) const IDENTIFIER: Target = Target {
    name: "identifier",
    run: |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let folded = identifier::fold(text);
        assert_eq!(identifier::fold(&folded), folded);
        assert_eq!(identifier::fold(&text.nfd().collect::<String>()), folded);
        assert_eq!(identifier::fold(&text.to_ascii_uppercase()), folded);
        if let Ok(address) = identifier::email(text) {
            assert_eq!(identifier::email(&address), Ok(address.clone()));
            assert!(address.len() <= MAX_EMAIL_BYTES && !address.contains(|c: char| c.is_control() || c == ' '));
            assert_eq!(identifier::fold(&address).matches('@').count(), 1);
            let canonical = identifier::canonical_address(&address);
            assert_eq!(identifier::canonical_address(&canonical), canonical);
            assert_eq!(identifier::fold(&canonical), identifier::fold(&address));
        }
        if let Ok(name) = identifier::username(text) {
            assert_eq!(identifier::username(&name), Ok(name.clone()));
            assert!(name.chars().count() <= MAX_USERNAME_LENGTH && !identifier::fold(&name).contains('@'));
        }
    },
    seeds: || {
        let texts =
            ["Ann.Lee+news@Quarry.example", "jose\u{301}@mu\u{308}nchen.example", "иван", "ａｄｍｉｎ", "straße"];
        texts.map(|text| text.as_bytes().to_vec()).into()
    },
};

/// Rows are in order and within the limits. Invalid files are refused without internal errors.
pub(crate) const SHEET: Target = Target {
    name: "sheet",
    run: |bytes| {
        let mut last = 0;
        let read = sheet::read::read(bytes, &["email".to_owned()], &mut |row: SheetRow| {
            assert!(last < row.number && row.number <= sheet::read::MAX_ROW);
            assert!(
                row.cells.len() <= sheet::read::MAX_COLUMNS && row.cells.last().is_some_and(|cell| !cell.is_empty())
            );
            assert!(row.faults.iter().all(|(column, _)| *column < row.cells.len()));
            last = row.number;
            Ok(())
        });
        assert!(matches!(read, Ok(_) | Err(Error::Refused(_))));
    },
    seeds: || {
        let text = |text: &str| text.as_bytes().to_vec();
        let mut book = rust_xlsxwriter::Workbook::new();
        let page = book.add_worksheet();
        page.write_row(0, 0, ["email", "phone"]).expect("there is room");
        page.write(1, 0, 12.5).expect("there is room").write(2, 1, true).expect("there is room");
        let book = book.save_to_buffer().expect("memory takes everything");
        vec![text("email,phone\r\na@x.example,'+44\r\n\r\n\"x\r\ny\",\r\n"), text("\u{feff}a;b\n1;\"2;\"\"\"\n"), book]
    },
};

/// The container of a picture declares at least as many pixels as its decoder finds.
pub(crate) const PICTURE: Target = Target { name: "picture", run: image::check_frame, seeds: image::samples };
