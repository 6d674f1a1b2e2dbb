//! Hashes written by Django's password hashers. They are kept until their owner signs in. Their cost is checked before
//! they are computed, because another system chose it.

use std::fmt;
use std::num::NonZeroU32;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, MIN_SALT_LEN, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, pbkdf2};

use super::engine::{self, Variant};
use super::{Argon2Engine, Argon2Params, Password};
use crate::error::{Error, Result};

/// Maximum rounds of PBKDF2; Django 5.2 writes 1,000,000.
const MAX_ITERATIONS: u32 = 10_000_000;

/// Maximum memory of one hash, in KiB; Django's Argon2 takes 100 MiB, its scrypt 16 MiB.
const MAX_MEMORY: u32 = 256 << 10;

/// Maximum work of scrypt, as N · r · p: about six times Django's.
const MAX_SCRYPT_WORK: u64 = 1 << 22;

/// Maximum cost of bcrypt; Django writes 12.
const MAX_BCRYPT_COST: u32 = 15;

/// Minimum rounds of PBKDF2 that are not weak: those of Django 1.11.
const WEAK_ITERATIONS: u32 = 36_000;

/// Minimum work of Argon2 that is not weak, as memory in KiB times passes: that of Django 1.11, 512 KiB twice.
const WEAK_ARGON2: u64 = 512 * 2;

/// Minimum cost of bcrypt that is not weak: that of Django 1.11.
const WEAK_BCRYPT: u32 = 12;

/// Minimum work of scrypt that is not weak, as N · r: that of Django 4.0, the first version with scrypt.
const WEAK_SCRYPT: u64 = (1 << 14) * 8;

/// Maximum length of a salt, in bytes.
const MAX_SALT: usize = 256;

/// A hash written by Django, within bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DjangoHash(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Pbkdf2 { is_sha1: bool, iterations: NonZeroU32, salt: String, tag: Vec<u8> },
    Scrypt { log_n: u8, r: u32, p: u32, salt: String, tag: Vec<u8> },
    Argon2 { variant: Variant, params: Argon2Params, salt: Vec<u8>, tag: Vec<u8> },
    Bcrypt { is_of_digest: bool, cost: u32, hash: String },
}

/// Reason for the rejection of a hash from Django; `Display` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// Django marks it as unusable, or it is empty.
    Unusable,
    /// The hasher is unknown.
    Unknown,
    /// The hash cannot be parsed.
    Broken,
    /// A comparison would be too expensive.
    Costly,
    /// Guessing is cheaper than with the hashes of Django 1.11, and weak hashes are not accepted.
    Weak,
}

impl DjangoHash {
    /// Parses a value of Django's column `password`.
    ///
    /// # Errors
    /// The reason for its rejection.
    pub fn parse(text: &str) -> Result<Self, NotKept> {
        if text.is_empty() || text.starts_with('!') {
            return Err(NotKept::Unusable);
        }
        let (hasher, rest) = text.split_once('$').ok_or(NotKept::Unknown)?;
        match hasher {
            "pbkdf2_sha256" => pbkdf2_parts(rest, false, digest::SHA256_OUTPUT_LEN),
            "pbkdf2_sha1" => pbkdf2_parts(rest, true, digest::SHA1_OUTPUT_LEN),
            "scrypt" => scrypt_parts(rest),
            "argon2" => argon2_parts(rest),
            "bcrypt" => bcrypt_parts(rest, false),
            "bcrypt_sha256" => bcrypt_parts(rest, true),
            _ => Err(NotKept::Unknown),
        }
        .map(Self)
    }

    /// True if guessing is cheaper than with the hashes of Django 1.11 by the same hasher.
    pub fn is_weak(&self) -> bool {
        match &self.0 {
            Kind::Pbkdf2 { iterations, .. } => iterations.get() < WEAK_ITERATIONS,
            Kind::Scrypt { log_n, r, .. } => (u64::from(*r) << log_n) < WEAK_SCRYPT,
            Kind::Argon2 { params, .. } => u64::from(params.memory) * u64::from(params.passes) < WEAK_ARGON2,
            // `2x` marks hashes of an implementation that lost bits of the password.
            Kind::Bcrypt { cost, hash, .. } => *cost < WEAK_BCRYPT || hash.starts_with("$2x$"),
        }
    }

    /// Checks the hash against this password in two forms: composed, as everywhere here, and as typed, as hashed by
    /// Django. Expensive.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is not enough memory.
    pub(super) fn matches(&self, password: &Password, engine: Argon2Engine) -> Result<bool> {
        for spelling in [Some(password.reveal()), password.as_typed()].into_iter().flatten() {
            if self.is_of(spelling.as_bytes(), engine)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_of(&self, password: &[u8], engine: Argon2Engine) -> Result<bool> {
        match &self.0 {
            Kind::Pbkdf2 { is_sha1, iterations, salt, tag } => {
                let algorithm = if *is_sha1 { pbkdf2::PBKDF2_HMAC_SHA1 } else { pbkdf2::PBKDF2_HMAC_SHA256 };
                Ok(pbkdf2::verify(algorithm, *iterations, salt.as_bytes(), password, tag).is_ok())
            }
            Kind::Scrypt { log_n, r, p, salt, tag } => {
                let mut found = vec![0; tag.len()];
                let params = scrypt::Params::new(*log_n, *r, *p);
                let computed =
                    params.is_ok_and(|params| scrypt::scrypt(password, salt.as_bytes(), &params, &mut found).is_ok());
                Ok(computed && same(&found, tag))
            }
            Kind::Argon2 { variant, params, salt, tag } => {
                let mut found = vec![0; tag.len()];
                let computed = match *variant {
                    Variant::OWN => engine.memory(*params).tag(*params, password, salt, &mut found),
                    variant => engine::older(variant, *params, password, salt, &mut found),
                };
                match computed {
                    Ok(()) => Ok(same(&found, tag)),
                    Err(Error::Unavailable(wait)) => Err(Error::Unavailable(wait)),
                    Err(_) => Ok(false),
                }
            }
            Kind::Bcrypt { is_of_digest: false, hash, .. } => Ok(bcrypt::verify(password, hash).unwrap_or(false)),
            Kind::Bcrypt { is_of_digest: true, hash, .. } => {
                let digest = digest::digest(&digest::SHA256, password);
                let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(bcrypt::verify(hex, hash).unwrap_or(false))
            }
        }
    }
}

/// `ITERATIONS$SALT$TAG`
fn pbkdf2_parts(text: &str, is_sha1: bool, length: usize) -> Result<Kind, NotKept> {
    let [iterations, salt, tag] = parts(text)?;
    let iterations = NonZeroU32::new(number(iterations)?).ok_or(NotKept::Broken)?;
    if iterations.get() > MAX_ITERATIONS {
        return Err(NotKept::Costly);
    }
    Ok(Kind::Pbkdf2 { is_sha1, iterations, salt: checked_salt(salt)?, tag: decoded(tag, length)? })
}

/// `N$SALT$R$P$TAG`
fn scrypt_parts(text: &str) -> Result<Kind, NotKept> {
    let [n, salt, r, p, tag] = parts(text)?;
    let (n, r, p) = (number(n)?, number(r)?, number(p)?);
    if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
        return Err(NotKept::Broken);
    }
    let block = u64::from(n).saturating_mul(r.into());
    if block > u64::from(MAX_MEMORY) * 8 || block.saturating_mul(p.into()) > MAX_SCRYPT_WORK {
        return Err(NotKept::Costly);
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| NotKept::Costly)?;
    scrypt::Params::new(log_n, r, p).map_err(|_| NotKept::Broken)?;
    Ok(Kind::Scrypt { log_n, r, p, salt: checked_salt(salt)?, tag: decoded(tag, 64)? })
}

/// A PHC string without its first character: Argon2i before Django 3.2, and no version with the oldest libraries.
fn argon2_parts(text: &str) -> Result<Kind, NotKept> {
    let phc = format!("${text}");
    let hash = PasswordHash::new(&phc).map_err(|_| NotKept::Broken)?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| NotKept::Unknown)?;
    let version = match hash.version {
        None => Version::V0x10,
        Some(number) => Version::try_from(number).map_err(|_| NotKept::Unknown)?,
    };
    // Signs and leading zeros would not survive a round trip; Django writes none.
    let params: Argon2Params = hash.params.to_string().parse().map_err(|_| NotKept::Costly)?;
    if params.memory > MAX_MEMORY {
        return Err(NotKept::Costly);
    }
    let (salt, tag) = (hash.salt.ok_or(NotKept::Broken)?, hash.hash.ok_or(NotKept::Broken)?);
    if salt.len() < MIN_SALT_LEN {
        return Err(NotKept::Broken);
    }
    let variant = Variant { algorithm, version };
    Ok(Kind::Argon2 { variant, params, salt: salt.to_vec(), tag: tag.as_bytes().to_vec() })
}

/// `$2b$12$…`, with salt and tag in one.
fn bcrypt_parts(text: &str, is_of_digest: bool) -> Result<Kind, NotKept> {
    let hash: bcrypt::HashParts = text.parse().map_err(|_| NotKept::Broken)?;
    match hash.get_cost() {
        ..4 => Err(NotKept::Broken),
        cost @ 4..=MAX_BCRYPT_COST if text.len() == 60 => {
            Ok(Kind::Bcrypt { is_of_digest, cost, hash: text.to_owned() })
        }
        4..=MAX_BCRYPT_COST => Err(NotKept::Broken),
        _ => Err(NotKept::Costly),
    }
}

fn parts<const N: usize>(text: &str) -> Result<[&str; N], NotKept> {
    text.split('$').collect::<Vec<_>>().try_into().map_err(|_| NotKept::Broken)
}

/// A number as written by Django: only digits, no leading zero.
fn number(text: &str) -> Result<u32, NotKept> {
    let is_plain = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain {
        return Err(NotKept::Broken);
    }
    text.parse().map_err(|_| NotKept::Costly)
}

fn checked_salt(text: &str) -> Result<String, NotKept> {
    if (1..=MAX_SALT).contains(&text.len()) { Ok(text.to_owned()) } else { Err(NotKept::Broken) }
}

/// A shorter tag than the hasher produces would be easier to match.
fn decoded(text: &str, length: usize) -> Result<Vec<u8>, NotKept> {
    STANDARD.decode(text).ok().filter(|tag| tag.len() == length).ok_or(NotKept::Broken)
}

/// Compares in constant time.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unusable => "no usable password",
            Self::Unknown => "unknown password hasher",
            Self::Broken => "unreadable password hash",
            Self::Costly => "password hash exceeds the cost limit",
            Self::Weak => "password hash weaker than those of Django 1.11; import it with --weak-hashes",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of `lètmein` by each hasher of Django 5.2, and by Argon2i of Django 3.1.
    const WRITTEN: [&str; 7] = [
        "pbkdf2_sha256$1000$KFv8N8T3Nz0BA5PEA93Riz$JM2ps/JoxSyNkt56S4caqsvpX+YVAAz64SpyHTsCRMo=",
        "pbkdf2_sha1$1000$8WunNAIB4RsVpjIDxzn9NG$vqg3Z32fBAYGbgn0MrA1GpunKWE=",
        "argon2$argon2id$v=19$m=1024,t=2,p=8$dDZ0UHNYZVVLczA2a0ExbFBjTzZPSQ$c7XJge+KRoe6ylY7TJAXTDZ7TAHn8oqwsTX9BuulcJo",
        "bcrypt_sha256$$2b$04$AMse7Fb7aCBeAt5yG1EFce4uuwr.5MWSVkv8dSOkKiZYA44bMKB6O",
        "bcrypt$$2b$04$f.95N0jA.ZFqtGOqofskT.rqhAegMixfzzrlFILO1PRjwpDiYSXkS",
        "scrypt$1024$mKFxw8MaHzvg8nKJpMClkU$8$5$LIu/nI+h+P/ZBTnwXhPVgXjnZGCRovNnbfgoDTj3iaSdOSJ1gVp8l4uX4vBBzrwcZ6MS+G6tLXU3U7qXslxsRw==",
        "argon2$argon2i$v=19$m=512,t=2,p=2$c2Vhc2FsdDI$vwe0XDi/QsYQhfhuGNIf7g",
    ];

    #[test]
    fn what_django_wrote_matches_its_password_and_no_other() {
        for text in WRITTEN {
            let hash = DjangoHash::parse(text).unwrap();
            assert!(hash.matches(&Password::new("l\u{e8}tmein"), Argon2Engine::default()).unwrap(), "{text}");
            assert!(hash.matches(&Password::new("le\u{300}tmein"), Argon2Engine::default()).unwrap(), "{text}");
            assert!(
                !hash.matches(&Password::new("letmein"), Argon2Engine::default()).unwrap()
                    && !hash.matches(&Password::new(""), Argon2Engine::default()).unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_that_django_hashed_as_it_was_typed_matches_as_it_was_typed() {
        let hash = "pbkdf2_sha256$1$salt$";
        let mut tag = [0; 32];
        let decomposed = "le\u{300}tmein";
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::MIN, b"salt", decomposed.as_bytes(), &mut tag);
        let hash = DjangoHash::parse(&format!("{hash}{}", STANDARD.encode(tag))).unwrap();
        assert!(hash.matches(&Password::new(decomposed), Argon2Engine::default()).unwrap());
        assert!(
            !hash.matches(&Password::new("l\u{e8}tmein"), Argon2Engine::default()).unwrap(),
            "nobody could sign in so at Django either"
        );
    }

    #[test]
    fn what_costs_too_much_is_not_kept() {
        let tag = |length: usize| STANDARD.encode(vec![7; length]);
        let bcrypt = "bcrypt$$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW";
        let argon2 = "argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        for (within, beyond) in [
            (format!("pbkdf2_sha256$10000000$s${}", tag(32)), format!("pbkdf2_sha256$10000001$s${}", tag(32))),
            (format!("pbkdf2_sha1$10000000$s${}", tag(20)), format!("pbkdf2_sha1$4294967296$s${}", tag(20))),
            (format!("scrypt$16384$s$8$32${}", tag(64)), format!("scrypt$16384$s$8$33${}", tag(64))),
            (format!("scrypt$262144$s$8$1${}", tag(64)), format!("scrypt$524288$s$8$1${}", tag(64))),
            (format!("scrypt$16384$s$8$1${}", tag(64)), format!("scrypt$2147483648$s$4294967295$1${}", tag(64))),
            (argon2.replace("m=102400", "m=262144"), argon2.replace("m=102400", "m=262145")),
            (argon2.replace("t=2", "t=10"), argon2.replace("t=2", "t=11")),
            (argon2.replace("p=8", "p=16"), argon2.replace("p=8", "p=17")),
            (bcrypt.replace("$12$", "$15$"), bcrypt.replace("$12$", "$16$")),
            (bcrypt.replace("bcrypt$", "bcrypt_sha256$"), bcrypt.replace("$12$", "$31$")),
        ] {
            assert!(DjangoHash::parse(&within).is_ok(), "{within}");
            assert_eq!(DjangoHash::parse(&beyond), Err(NotKept::Costly), "{beyond}");
        }
    }

    #[test]
    fn hashes_of_fewer_rounds_than_django_1_11_made_are_weak() {
        let tag = |length: usize| STANDARD.encode(vec![7; length]);
        let bcrypt = "bcrypt$$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW";
        let argon2 = "argon2$argon2i$v=19$m=512,t=2,p=2$c2Vhc2FsdDI$vwe0XDi/QsYQhfhuGNIf7g";
        for (strong, weak) in [
            (format!("pbkdf2_sha256$36000$s${}", tag(32)), format!("pbkdf2_sha256$35999$s${}", tag(32))),
            (format!("pbkdf2_sha1$36000$s${}", tag(20)), format!("pbkdf2_sha1$1$s${}", tag(20))),
            (format!("scrypt$16384$s$8$1${}", tag(64)), format!("scrypt$8192$s$8$5${}", tag(64))),
            (format!("scrypt$32768$s$4$1${}", tag(64)), format!("scrypt$16384$s$7$1${}", tag(64))),
            (argon2.to_owned(), argon2.replace("m=512", "m=511")),
            (argon2.replace("m=512,t=2", "m=1024,t=1"), argon2.replace("t=2", "t=1")),
            (bcrypt.to_owned(), bcrypt.replace("$12$", "$11$")),
            (bcrypt.replace("bcrypt$", "bcrypt_sha256$"), bcrypt.replace("bcrypt$$2b$12$", "bcrypt_sha256$$2b$04$")),
        ] {
            assert_eq!(DjangoHash::parse(&strong).map(|hash| hash.is_weak()), Ok(false), "{strong}");
            assert_eq!(DjangoHash::parse(&weak).map(|hash| hash.is_weak()), Ok(true), "{weak}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_kept() {
        let tag = STANDARD.encode([7; 32]);
        for text in ["", "!", "!xkcdkjsdkjfksjdfkjsdkfjsdkfjksdjfksdjf"] {
            assert_eq!(DjangoHash::parse(text), Err(NotKept::Unusable), "{text}");
        }
        for text in
            ["geheim", "md5$salt$0cc175b9c0f1b6a831c399e269772661", "sha1$$a", "$argon2id$v=19$m=8,t=1,p=1$", "$"]
        {
            assert_eq!(DjangoHash::parse(text), Err(NotKept::Unknown), "{text}");
        }
        for text in [
            "pbkdf2_sha256$".to_owned(),
            format!("pbkdf2_sha256$0$s${tag}"),
            format!("pbkdf2_sha256$+1$s${tag}"),
            format!("pbkdf2_sha256$01$s${tag}"),
            format!("pbkdf2_sha256$1$${tag}"),
            format!("pbkdf2_sha256$1$s${tag}$"),
            format!("pbkdf2_sha256$1${}${tag}", "s".repeat(257)),
            format!("pbkdf2_sha1$1$s${tag}"),
            "pbkdf2_sha256$1$s$".to_owned(),
            format!("scrypt$16383$s$8$1${tag}"),
            format!("scrypt$16384$s$8$1${tag}"),
            "argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ".to_owned(),
            "bcrypt$$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31l".to_owned(),
            "bcrypt$$2b$03$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW".to_owned(),
        ] {
            assert_eq!(DjangoHash::parse(&text), Err(NotKept::Broken), "{text}");
        }
    }
}
