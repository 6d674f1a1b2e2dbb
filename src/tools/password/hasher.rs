use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, MIN_SALT_LEN, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::engine::Memory;
use super::{Argon2Engine, Argon2Params, DjangoHash, MAX_LENGTH, Password};
use crate::error::{Code, Error, Refusal, Result};
use crate::tools::metrics::{self, Counter, Histogram, Registry, Unit};
use crate::tools::secret::Secret;

/// Timeout for a permit, whatever the cost of a hash.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// Retry delay when too many passwords wait to be hashed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Hashes and verifies passwords, a few at a time. Clones share the limits.
#[derive(Clone)]
pub struct Hasher(Arc<Inner>);

/// Result of [`Hasher::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True if the password matches the stored hash.
    pub matches: bool,
    /// True if the stored hash has other parameters than the configured ones, or comes from Django. If it matches too,
    /// store a new one.
    pub outdated: bool,
}

/// Load of a [`Hasher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Number of running hashes.
    pub running: usize,
    /// Number of waiting hashes.
    pub waiting: usize,
}

impl Hasher {
    /// A hasher that computes at most `permits` hashes (at least one) concurrently, each with its own thread and
    /// memory, and lets at most `queue` more wait. Memory stays allocated after its first use.
    pub fn new(engine: Argon2Engine, params: Argon2Params, permits: usize, queue: usize) -> Self {
        let permits = permits.clamp(1, Semaphore::MAX_PERMITS);
        let places = permits.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            engine: engine.checked(),
            params,
            places: Arc::new(Semaphore::new(places)),
            running: Arc::new(Semaphore::new(permits)),
            permits,
            most: places,
            max_wait: MAX_WAIT,
            memory: Mutex::new(Vec::new()),
            waits: metrics::times(),
            times: metrics::times(),
            refused: Counter::default(),
        }))
    }

    /// The current load.
    pub fn load(&self) -> Load {
        let running = self.0.permits - self.0.running.available_permits();
        let all = self.0.most - self.0.places.available_permits();
        Load { running, waiting: all.saturating_sub(running) }
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let Inner { waits, times, refused, .. } = &*self.0;
        let help = "How long passwords waited to be hashed";
        registry.register_with_unit("password_hash_wait", help, Unit::Seconds, waits.clone());
        let help = "How long hashing a password took, without the wait";
        registry.register_with_unit("password_hash", help, Unit::Seconds, times.clone());
        let help = "Passwords that were not hashed because too many waited: their requests got SERVICE_UNAVAILABLE";
        registry.register("password_hashes_refused", help, refused.clone());
    }

    /// The hash for storage, with a fresh salt, as a PHC string (`$argon2id$v=19$m=…`).
    ///
    /// Refuses a password that is too long, which the policy should have done before. [`Error::Unavailable`] if too
    /// many wait, or memory is short.
    pub async fn hash(&self, password: &Password) -> Result<String> {
        if password.is_too_long() {
            return Err(Refusal::new(Code::TooLong, "password-too-long").with("max", MAX_LENGTH).into());
        }
        let fresh = Stored::blank(self.0.params);
        let password = password.clone();
        self.run(move |inner| Ok(Stored { tag: inner.tag(&password, &fresh)?, ..fresh }.to_phc())).await?
    }

    /// Checks the password against `stored`, a PHC string or a hash from Django.
    ///
    /// Without a stored hash (no such account, or one without a password), or with one that is unreadable or out of
    /// bounds, a hash is computed all the same, so that a rejection takes as long. [`Error::Unavailable`] if too many
    /// wait, or memory is short.
    pub async fn verify(&self, password: &Password, stored: Option<&str>) -> Result<Verdict> {
        if let Some(Ok(foreign)) = stored.map(DjangoHash::parse) {
            let password = password.clone();
            let is_long = password.is_too_long();
            let compare = move |inner: &Inner| {
                let matches = foreign.matches(&password, inner.engine)? && !is_long;
                Ok(Verdict { matches, outdated: true })
            };
            return self.run(compare).await?;
        }
        let known = stored.and_then(Stored::parse);
        let may_match = known.is_some() && !password.is_too_long();
        let compared = known.unwrap_or_else(|| Stored::blank(self.0.params));
        let outdated = compared.params != self.0.params;
        let password = password.clone();
        self.run(move |inner| {
            let same = inner.tag(&password, &compared)? == compared.tag;
            Ok(Verdict { matches: same && may_match, outdated })
        })
        .await?
    }

    /// Runs another computation on a password, such as its strength, on a blocking thread. It takes a permit like a
    /// hash, so hashes and estimates together use no more threads than there are permits.
    ///
    /// [`Error::Unavailable`] if too many wait.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let held = self.permit().await?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = held;
            work()
        });
        done.instrument(tracing::debug_span!("judge_password")).await.map_err(Error::internal)
    }

    /// Runs the work on a blocking thread. It keeps its permit and its place until it ends, even if the caller has
    /// stopped waiting.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.0);
        let held = self.permit().await?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = held;
            let began = Instant::now();
            let result = work(&inner);
            inner.times.observe(began.elapsed().as_secs_f64());
            result
        });
        done.instrument(tracing::debug_span!("hash")).await.map_err(Error::internal)
    }

    /// A permit and a place in the queue; waits at most [`MAX_WAIT`] for the permit, and never for the place.
    async fn permit(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let inner = &self.0;
        let place = Arc::clone(&inner.places).try_acquire_owned().map_err(|_| inner.refuse())?;
        let came = Instant::now();
        let acquired = timeout(inner.max_wait, Arc::clone(&inner.running).acquire_owned()).await;
        let permit = acquired.map_err(|_| inner.refuse())?.map_err(Error::internal)?;
        inner.waits.observe(came.elapsed().as_secs_f64());
        Ok((permit, place))
    }
}

struct Inner {
    engine: Argon2Engine,
    params: Argon2Params,
    /// One for each running or waiting hash.
    places: Arc<Semaphore>,
    /// One for each running hash.
    running: Arc<Semaphore>,
    /// Number of permits and of places.
    permits: usize,
    most: usize,
    max_wait: Duration,
    /// Unused memory, allocated before for `params`.
    memory: Mutex<Vec<Memory>>,
    waits: Histogram,
    times: Histogram,
    refused: Counter,
}

impl Inner {
    /// The error when too many wait.
    fn refuse(&self) -> Error {
        self.refused.inc();
        Error::Unavailable(RETRY_AFTER)
    }

    /// The tag of the password with the salt, the parameters, and the length of `like`.
    fn tag(&self, password: &Password, like: &Stored) -> Result<Output> {
        let ours = like.params == self.params;
        let spare = if ours { self.memory.lock().unwrap_or_else(PoisonError::into_inner).pop() } else { None };
        let mut memory = spare.unwrap_or_else(|| self.engine.memory(like.params));
        let mut tag = vec![0; like.tag.len()];
        let hashed = memory.tag(like.params, password.reveal().as_bytes(), &like.salt, &mut tag);
        if ours {
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        }
        hashed?;
        Output::new(&tag).map_err(Error::internal)
    }
}

/// A parsed hash.
struct Stored {
    params: Argon2Params,
    salt: Salt,
    tag: Output,
}

impl Stored {
    /// A hash with a fresh salt and an empty tag.
    fn blank(params: Argon2Params) -> Self {
        let salt: [u8; 16] = Secret::<16>::random().reveal();
        let salt = Salt::new(&salt).expect("16 bytes are a salt");
        Self { params, salt, tag: Output::new(&[0; 32]).expect("32 bytes are a tag") }
    }

    /// Parses a hash of the service's own kind: Argon2id, version 19, parameters within bounds, nothing omitted.
    /// Otherwise `None`.
    fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) {
            return None;
        }
        let (salt, tag) = (hash.salt?, hash.hash?);
        let params = hash.params.to_string().parse().ok()?;
        (salt.len() >= MIN_SALT_LEN).then_some(Self { params, salt, tag })
    }

    fn to_phc(&self) -> String {
        format!("$argon2id$v=19${}${}${}", self.params, self.salt, self.tag)
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hasher({})", self.0.params)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn hasher(params: &str) -> Hasher {
        Hasher::new(Argon2Engine::default(), params.parse().unwrap(), 1, 1)
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn what_was_hashed_matches_and_nothing_else_does() {
        let hasher = hasher("m=8,t=1,p=1");
        let stored = hasher.hash(&Password::new("caf\u{e9} au lait")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        for (typed, matches) in [
            ("caf\u{e9} au lait", true),
            ("cafe\u{301} au lait", true),
            ("caf\u{e9} au laiT", false),
            (" caf\u{e9} au lait", false),
            ("caf\u{e9} au lait ", false),
            ("", false),
        ] {
            let verdict = hasher.verify(&Password::new(typed), Some(&stored)).await.unwrap();
            assert_eq!(verdict, Verdict { matches, outdated: false }, "{typed}");
        }
        assert_ne!(
            hasher.hash(&Password::new("same")).await.unwrap(),
            hasher.hash(&Password::new("same")).await.unwrap()
        );
    }

    #[tokio::test]
    async fn the_last_of_128_characters_counts_and_longer_passwords_never_match() {
        let hasher = hasher("m=8,t=1,p=1");
        let longest = "a".repeat(MAX_LENGTH);
        let stored = hasher.hash(&Password::new(&longest)).await.unwrap();
        assert!(hasher.verify(&Password::new(&longest), Some(&stored)).await.unwrap().matches);
        let changed = format!("{}b", "a".repeat(MAX_LENGTH - 1));
        assert!(!hasher.verify(&Password::new(&changed), Some(&stored)).await.unwrap().matches);

        let too_long = Password::new(&"a".repeat(MAX_LENGTH + 1));
        assert!(matches!(hasher.hash(&too_long).await, Err(Error::Refused(_))));
        let blank = Stored::blank(hasher.0.params);
        let tag = hasher.0.tag(&too_long, &blank).unwrap();
        let forced = Stored { tag, ..blank }.to_phc();
        assert!(!hasher.verify(&too_long, Some(&forced)).await.unwrap().matches);
    }

    /// The hash is one of the test vectors of the reference implementation.
    #[tokio::test]
    async fn hashes_with_other_parameters_are_verified_and_called_outdated() {
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let verdict = hasher("m=8,t=1,p=1").verify(&Password::new("password"), Some(stored)).await.unwrap();
        assert_eq!(verdict, Verdict { matches: true, outdated: true });
        let verdict = hasher("m=256,t=2,p=1").verify(&Password::new("password"), Some(stored)).await.unwrap();
        assert_eq!(verdict, Verdict { matches: true, outdated: false });
        let verdict = hasher("m=8,t=1,p=1").verify(&Password::new("passwort"), Some(stored)).await.unwrap();
        assert_eq!(verdict, Verdict { matches: false, outdated: true });
    }

    #[tokio::test]
    async fn a_hash_is_computed_even_where_none_can_match() {
        let tail = "c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let unusable = [
            None,
            Some(String::new()),
            Some("!".to_owned()),
            Some("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ".to_owned()),
            Some(format!("$argon2id$v=19$m=4294967295,t=1,p=1${tail}")),
            Some(format!("$argon2id$v=19$m=8,t=4294967295,p=1${tail}")),
            Some(format!("$argon2id$v=19$m=1048576,t=1,p=17${tail}")),
            Some(format!("$argon2id$v=16$m=256,t=2,p=1${tail}")),
            Some(format!("$argon2i$v=19$m=256,t=2,p=1${tail}")),
            Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbA$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".to_owned()),
            Some("$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW".to_owned()),
            Some("pbkdf2_sha256$4294967295$salt$JM2ps/JoxSyNkt56S4caqsvpX+YVAAz64SpyHTsCRMo=".to_owned()),
        ];
        for stored in unusable {
            let hasher = hasher("m=16,t=1,p=1");
            let verdict = hasher.verify(&Password::new("password"), stored.as_deref()).await.unwrap();
            assert_eq!(verdict, Verdict { matches: false, outdated: false }, "{stored:?}");
            assert_eq!(hasher.0.memory.lock().unwrap().len(), 1, "a hash with our parameters, {stored:?}");
        }
    }

    #[tokio::test]
    async fn one_is_computed_one_waits_and_others_are_turned_away_at_once() {
        let hasher = hasher("m=8,t=1,p=1");
        let password = Password::new("open sesame");
        let (finish, finished) = mpsc::channel::<()>();
        let mut first = pin!(hasher.run(move |_| finished.recv().is_ok()));
        assert!(poll(first.as_mut()).is_pending());
        let mut second = Box::pin(hasher.hash(&password));
        assert!(poll(second.as_mut()).is_pending());
        let clone = hasher.clone();
        assert!(matches!(clone.hash(&password).await, Err(Error::Unavailable(wait)) if wait == Duration::from_secs(1)));
        assert!(matches!(clone.verify(&password, None).await, Err(Error::Unavailable(_))));

        drop(second);
        let mut third = pin!(hasher.hash(&password));
        assert!(poll(third.as_mut()).is_pending(), "who gave up has left the place to the next");
        finish.send(()).unwrap();
        assert!(first.await.unwrap());
        assert!(third.await.unwrap().starts_with("$argon2id$"));
        assert_eq!(hasher.0.places.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_wait_ends_after_its_time_and_leaves_its_place() {
        let mut hasher = hasher("m=8,t=1,p=1");
        Arc::get_mut(&mut hasher.0).unwrap().max_wait = Duration::ZERO;
        let (finish, finished) = mpsc::channel::<()>();
        let mut first = pin!(hasher.run(move |_| finished.recv().is_ok()));
        assert!(poll(first.as_mut()).is_pending());
        let refused = hasher.hash(&Password::new("open sesame")).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))));
        assert_eq!((hasher.load().waiting, hasher.0.refused.get()), (0, 1));
        finish.send(()).unwrap();
        assert!(first.await.unwrap());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_holds_its_permit_until_it_ends() {
        let hasher = hasher("m=8,t=1,p=1");
        let (finish, finished) = mpsc::channel::<()>();
        let mut abandoned = Box::pin(hasher.run(move |_| finished.recv().is_ok()));
        assert!(poll(abandoned.as_mut()).is_pending());
        drop(abandoned);
        assert_eq!((hasher.0.running.available_permits(), hasher.0.places.available_permits()), (0, 1));
        finish.send(()).unwrap();
        hasher.hash(&Password::new("open sesame")).await.unwrap();
        assert_eq!((hasher.0.running.available_permits(), hasher.0.places.available_permits()), (1, 2));
    }

    #[tokio::test]
    async fn work_that_panics_is_a_fault_of_ours_and_gives_back_its_permit() {
        let hasher = hasher("m=8,t=1,p=1");
        assert!(matches!(hasher.run(|_| panic!("expected by this test")).await, Err::<(), _>(Error::Internal(_))));
        assert!(hasher.verify(&Password::new("open sesame"), None).await.is_ok());
    }
}
