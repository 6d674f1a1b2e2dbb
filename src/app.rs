//! The application state, created once at the start and shared by GraphQL, pages, worker and command line.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use sea_orm::DatabaseTransaction;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::config::{BaseUrl, Config, SecretKey};
use crate::database::{self, Db, Unfit};
use crate::domain::account::registration::register;
use crate::domain::account::verify_email;
use crate::domain::auth::authenticate;
use crate::domain::auth::identity::{Actor, Caller, Client};
use crate::domain::auth::live_connections::LiveConnections;
use crate::domain::auth::passwords::Passwords;
use crate::domain::auth::refused_rights::RefusedRights;
use crate::domain::auth::second_factor::SecondFactorRules;
use crate::domain::auth::sign_in::SignInRules;
use crate::domain::auth::signing_keys::{self, Start};
use crate::domain::auth::token_issuer::TokenIssuer;
use crate::domain::import::spreadsheet::Importer;
use crate::domain::import::spreadsheet::jobs::Jobs;
use crate::domain::instance;
use crate::domain::operator::Operator;
use crate::domain::operator::keys::{self as operator_keys, Resealed, Rotation};
use crate::domain::outbox::{self, DeliveryMetrics, Mailer};
use crate::domain::presence::Presence;
use crate::domain::rate_limits::Limits;
use crate::domain::statistics::PastDays;
use crate::domain::users::superuser::{self, FirstPassword, Username};
use crate::domain::users::{address_keys, search_terms};
use crate::entity::mail;
use crate::error::{Error, Reason, Result};
use crate::tools::api_token::ApiToken;
use crate::tools::brand::Brand;
use crate::tools::breached_passwords::{BreachedList, BreachedPasswords, RangeApi};
use crate::tools::certificates::Trust;
use crate::tools::clock::{Clock, Now};
use crate::tools::concurrency_limit::ConcurrencyLimit;
use crate::tools::image::AvatarEncoder;
use crate::tools::mail::{Site, Transport};
use crate::tools::media::MediaStore;
use crate::tools::metrics::{Gauge, Registry};
use crate::tools::password::Hasher;
use crate::tools::password_policy::PasswordPolicy;
use crate::tools::rate::RateLimiter;
use crate::tools::request_metrics::RequestMetrics;
use crate::tools::secret::{InstanceName, MasterKeys, MasterSecrets};
use crate::tools::secret_file;
use crate::tools::sheet;
use crate::tools::token::{KeyRing, RefreshToken, SharedRing};
use crate::tools::webauthn::RelyingParty;

/// Maximum number of queued passwords per core. Usually the timeout of the hasher is reached long before, unless hashes
/// are cheap.
const HASHES_WAITING: usize = 512;

/// Maximum memory of responses that clients have not read yet, in KiB.
const RESPONSE_MEMORY: u32 = 256 * 1024;

/// Maximum memory of the responses to one client, in KiB. The largest response takes about 26 MiB.
const RESPONSE_MEMORY_PER_CLIENT: u32 = 32 * 1024;

/// Maximum number of unread responses over HTTP/2. Each takes about 13 KiB besides its body.
const UNREAD_RESPONSES: u32 = 16 * 1024;

/// Maximum number of unread responses over HTTP/2 to one client.
const UNREAD_RESPONSES_PER_CLIENT: u32 = 2 * 1024;

/// Minimum interval between reloads of the signing keys for tokens with an unknown key.
const KEY_LOOKUP_INTERVAL: Duration = Duration::from_millis(100);

/// Timeout of authenticating a token. The statements take milliseconds, but a stuck database does not report an error.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(5);

/// The application state, created once at the start.
#[derive(Debug)]
pub struct App {
    /// Settings.
    pub config: Config,
    /// URL that clients use.
    pub public_url: BaseUrl,
    /// Look of pages and emails.
    pub brand: Brand,
    /// Database.
    pub db: Db,
    /// Source of the time.
    pub clock: Clock,
    /// Rules and hashing of passwords.
    pub passwords: Passwords,
    /// Delivery of emails.
    pub mailer: Mailer,
    /// Activity of users since the worker last recorded it.
    pub presence: Presence,
    /// Numbers of events of past days.
    pub past_days: PastDays,
    /// Connected callers.
    pub live_connections: LiveConnections,
    /// Store of users' files.
    pub media: MediaStore,
    /// Encoder of avatars.
    pub avatar_encoder: AvatarEncoder,
    /// Importer of spreadsheets.
    pub importer: Importer,
    /// Rate limits.
    pub limits: Limits,
    /// Logging of refused rights.
    pub refused_rights: RefusedRights,
    /// Metrics of requests.
    pub request_metrics: RequestMetrics,
    /// Limit on the memory of responses, in KiB.
    pub(crate) response_memory: ConcurrencyLimit,
    /// Limit on the number of unread responses over HTTP/2.
    pub(crate) unread_responses: ConcurrencyLimit,
    /// All metrics.
    pub measures: Registry,
    /// The service as browsers know it; `None` if the public URL has no domain.
    pub relying_party: Option<RelyingParty>,
    master_keys: Arc<MasterKeys>,
    ring: SharedRing,
    key_lookups: KeyLookups,
    pace: RateLimiter,
}

/// Reloads of the signing keys for tokens with an unknown key.
#[derive(Debug, Default)]
struct KeyLookups {
    /// Number of reloads started.
    begun: AtomicU64,
    /// Number and start of the last reload; locked during a reload.
    last: Mutex<(u64, Option<Instant>)>,
}

/// The first superuser, created because none existed.
#[derive(Debug)]
pub struct FirstSuperuser {
    /// Email address.
    pub email: String,
    /// Generated password if no setting gave one; to be shown once.
    pub generated_password: Option<String>,
}

impl App {
    /// Opens the database, applies pending migrations, and loads the keys. `public_url` is the URL that clients use.
    ///
    /// # Errors
    /// [`Error::Internal`] with a message for the operator.
    pub async fn open(config: Config, public_url: BaseUrl, clock: Clock) -> Result<Self> {
        let path = config.secret_key_path();
        let found = secret_file::known(config.secret_key.as_ref().map(SecretKey::bytes), &path);
        let found = found.map_err(|error| named(&path.display(), &error))?;
        let relying_party = config.relying_party(&public_url).map_err(Error::Command)?;
        let brand = config.brand.read().map_err(Error::Command)?;
        let url = config.database_url();
        if let Some(folder) = url.sqlite_path().and_then(std::path::Path::parent) {
            secret_file::make_folder(folder).map_err(|error| named(&folder.display(), &error))?;
        }
        let options = database::Options::of(&config).map_err(Error::Command)?;
        let trust = options.trust.clone();
        let breached = breached_passwords(&config, &trust)?;
        let db = Db::connect(&url, &options).await.map_err(|error| named(&"VESTIBULE_DATABASE_URL", &error))?;
        if let Some(Unfit { found, remedy }) = db.unfit().await? {
            return Err(Error::Command(format!("VESTIBULE_DATABASE_URL: {found}: {remedy}")));
        }
        let now = clock.now();
        let txn = db.begin_alone().await?;
        Db::migrate(&txn).await?;
        let current = match found {
            Some(secret) => secret,
            None => first_secret(&txn, &path).await?,
        };
        let previous = config.secret_key_previous.as_ref().map(|key| key.bytes().to_vec());
        let secrets = MasterSecrets { current, previous };
        let instance = InstanceName { id: instance::ensure(&txn, &now).await?, public_url: public_url.as_str() };
        address_keys::renew(&txn).await?;
        search_terms::renew(&txn).await?;
        let master_keys = Arc::new(MasterKeys::new(&secrets, instance));
        signing_keys::ensure(&txn, &now, &master_keys).await?;
        let ring = signing_keys::load(&txn, &now, &master_keys, public_url.as_str()).await?;
        txn.commit().await?;

        let cores = available_parallelism().map_or(1, usize::from);
        let hasher = Hasher::new(config.argon2_engine, config.argon2, cores, cores * HASHES_WAITING);
        let policy = PasswordPolicy { min_length: config.password_min_length.into() };
        let host = public_url.as_str().split("://").nth(1).unwrap_or_default();
        let host = host.split([':', '/']).next().unwrap_or_default().to_owned();
        let limits = Limits::new(config.limits);
        let passwords = Passwords::new(hasher, policy, vec![config.site_name.clone(), host], limits.clone())
            .rejecting_breached(breached)
            .where_reachable(config.is_reachable());
        let importer = Importer::new(sheet::Reader::of_this_program()?, limits.clone(), clock);
        let frontend = config.frontend_url.clone().unwrap_or_else(|| public_url.clone());
        let mailer = Mailer {
            transport: Transport::new(&config.mail_url(), &trust),
            from: config.mail_from.clone(),
            site: Site {
                name: config.site_name.clone(),
                support: config.support.clone(),
                color: brand.color,
                legal: brand.legal.clone(),
                sign_in: format!("{}/account/sign-in", frontend.as_str()),
                forgot_password: format!("{}/account/forgot", frontend.as_str()),
            },
            frontend,
            links: config.links,
            registration: config.registration,
            delivery_metrics: DeliveryMetrics::default(),
        };
        let media = MediaStore::open(&config.media_url()).map_err(|error| named(&"VESTIBULE_MEDIA_URL", &error))?;
        let pace = RateLimiter::new(config.mail_rate.map(|rate| (rate.count, rate.per)));
        let request_metrics = RequestMetrics::default();
        let mut measures = Registry::with_prefix("vestibule");
        request_metrics.register(&mut measures);
        db.register(&mut measures);
        passwords.register(&mut measures);
        limits.register(&mut measures);
        mailer.delivery_metrics.register(&mut measures);
        Ok(Self {
            config,
            public_url,
            brand,
            db,
            clock,
            passwords,
            mailer,
            presence: Presence::new(&now),
            past_days: PastDays::default(),
            live_connections: LiveConnections::default(),
            media,
            avatar_encoder: AvatarEncoder::default(),
            importer,
            limits,
            refused_rights: RefusedRights::default(),
            response_memory: ConcurrencyLimit::new(RESPONSE_MEMORY, RESPONSE_MEMORY_PER_CLIENT, Gauge::default()),
            unread_responses: ConcurrencyLimit::new(UNREAD_RESPONSES, UNREAD_RESPONSES_PER_CLIENT, Gauge::default()),
            request_metrics,
            measures,
            relying_party,
            master_keys,
            ring: SharedRing::new(ring),
            key_lookups: KeyLookups::default(),
            pace,
        })
    }

    /// Creates the first superuser from the settings if none exists. Instances that start together create only one.
    ///
    /// # Errors
    /// A refusal of the configured address or password.
    pub async fn ensure_superuser(&self) -> Result<Option<FirstSuperuser>> {
        let now = self.clock.now();
        if superuser::exists(self.db.reader()).await? {
            return Ok(None);
        }
        let password: FirstPassword = match &self.config.admin_password {
            Some(given) => given.reveal().into(),
            None => FirstPassword::generate(),
        };
        let (email, username) = (&self.config.admin_email, Username::First);
        let row = superuser::prepare(&now, &self.passwords, email, username, password.clone()).await?;
        let txn = self.db.begin_alone().await?;
        if superuser::exists(&txn).await? {
            return Ok(None);
        }
        let user = superuser::insert(&txn, &now, Actor::Anyone, row).await?;
        txn.commit().await?;
        Ok(Some(FirstSuperuser { email: user.email, generated_password: password.generated().map(str::to_owned) }))
    }

    /// Issuer of tokens, with the current keys.
    pub fn token_issuer(&self) -> TokenIssuer {
        TokenIssuer { ring: self.ring(), master_keys: Arc::clone(&self.master_keys), lives: self.config.sessions }
    }

    /// Dependencies of operations that open a session.
    pub fn sign_in_rules(&self) -> SignInRules<'_> {
        SignInRules {
            passwords: &self.passwords,
            lives: &self.config.sessions,
            second_factor: self.second_factor_rules(),
        }
    }

    /// Dependencies of registration.
    pub fn register_rules(&self) -> register::Rules<'_> {
        register::Rules {
            registration: self.config.registration,
            passwords: &self.passwords,
            verify_ttl: self.config.links.verify_ttl,
            limits: &self.limits,
            second_factor: self.second_factor_rules(),
        }
    }

    /// Dependencies of the confirmation of addresses.
    pub fn verify_rules(&self) -> verify_email::Rules<'_> {
        verify_email::Rules {
            registration: self.config.registration,
            passwords: &self.passwords,
            lives: &self.config.sessions,
            second_factor: self.second_factor_rules(),
        }
    }

    /// Dependencies of operations on second factors.
    pub fn second_factor_rules(&self) -> SecondFactorRules<'_> {
        SecondFactorRules {
            policy: self.config.second_factor,
            master_keys: &self.master_keys,
            limits: &self.limits,
            relying_party: self.relying_party.as_ref(),
        }
    }

    /// The imports that are kept, and the work on them.
    pub fn import_jobs(&self) -> Jobs {
        let (db, importer) = (self.db.clone(), self.importer.clone());
        Jobs { db, importer, master_keys: Arc::clone(&self.master_keys), clock: self.clock }
    }

    /// Current keys that sign and verify access tokens.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.present()
    }

    /// Authenticates the caller by an access token or API token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason; [`Error::Unavailable`] if the database does not respond.
    pub async fn authenticate(&self, now: &Now, client: &Client, token: &str) -> Result<Caller> {
        let caller = self.authenticate_unseen(now, client, token).await?;
        self.presence.record_activity(caller.user_id(), now.at);
        Ok(caller)
    }

    /// Authenticates without recording activity, for requests that clients send automatically.
    ///
    /// # Errors
    /// As for [`App::authenticate`].
    pub async fn authenticate_unseen(&self, now: &Now, client: &Client, token: &str) -> Result<Caller> {
        in_time(self.verify(now, client, token)).await
    }

    /// Authenticates the visitor of a page by the refresh token in the cookie, which stays valid.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a token that `refresh` would accept; [`Error::Unavailable`] if the database
    /// does not respond.
    pub async fn authenticate_page(&self, now: &Now, client: &Client, token: Option<RefreshToken>) -> Result<Caller> {
        let token = token.ok_or(Error::Unauthenticated(Reason::Missing))?;
        let rules = self.authentication_rules();
        let caller = in_time(authenticate::by_refresh_token(&self.db, now, rules, client, token)).await?;
        self.presence.record_activity(caller.user_id(), now.at);
        Ok(caller)
    }

    fn authentication_rules(&self) -> authenticate::Rules<'_> {
        authenticate::Rules {
            ring: &self.ring,
            limits: &self.limits,
            lives: &self.config.sessions,
            second_factor: self.config.second_factor,
        }
    }

    async fn verify(&self, now: &Now, client: &Client, token: &str) -> Result<Caller> {
        let ring = self.ring();
        let rules = self.authentication_rules();
        match authenticate::authenticate(&self.db, now, rules, client, token).await {
            Err(Error::Unauthenticated(Reason::Invalid))
                if !ApiToken::is_meant_by(token) && !ring.knows_key_of(token) =>
            {
                self.look_up_key(now).await?;
                authenticate::authenticate(&self.db, now, rules, client, token).await
            }
            verified => verified,
        }
    }

    /// Reloads a caller with an open connection.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason; [`Error::Unavailable`] if the database does not respond.
    pub async fn renew(&self, now: &Now, caller: &Caller) -> Result<Caller> {
        let caller = in_time(authenticate::renew(&self.db, now, caller)).await?;
        self.presence.record_activity(caller.user_id(), now.at);
        Ok(caller)
    }

    /// Reloads the signing keys, to include keys created by another instance or the command line.
    pub async fn reload_keys(&self, now: &Now) -> Result<()> {
        let ring = signing_keys::load(self.db.reader(), now, &self.master_keys, self.public_url.as_str()).await?;
        self.ring.replace(ring);
        Ok(())
    }

    /// Adds a signing key and sets an expiry for the others.
    pub async fn rotate_keys(&self, now: &Now, operator: &Operator, start: Start) -> Result<Rotation> {
        let (master_keys, lives) = (&self.master_keys, &self.config.sessions);
        let rotation = operator_keys::rotate(&self.db, now, operator, master_keys, lives, start).await?;
        self.reload_keys(now).await?;
        Ok(rotation)
    }

    /// Removes a signing key, and returns the id of the key that signs now.
    ///
    /// # Errors
    /// [`crate::error::Code::NotFound`].
    pub async fn revoke_key(&self, now: &Now, operator: &Operator, kid: &str) -> Result<String> {
        let signs = operator_keys::revoke(&self.db, now, operator, &self.master_keys, kid).await?;
        self.reload_keys(now).await?;
        Ok(signs)
    }

    /// Seals all stored secrets with the current secret key.
    pub async fn reseal(&self, now: &Now, operator: &Operator) -> Result<Resealed> {
        operator_keys::reseal(&self.db, now, operator, &self.master_keys).await
    }

    /// Leases up to `most` due emails for a minute, within the configured rate.
    pub async fn take_mails(&self, now: &Now, most: usize) -> Result<Vec<mail::Model>> {
        let most = self.pace.take(now.at, most);
        if most == 0 {
            return Ok(Vec::new());
        }
        let taken = outbox::take(&self.db, now, most).await;
        self.pace.give_back(most - taken.as_ref().map_or(0, Vec::len).min(most));
        taken
    }

    /// Tries to send a leased email.
    pub async fn send_mail(&self, now: &Now, mail: mail::Model) {
        outbox::deliver(&self.db, now, &self.master_keys, &self.mailer, mail).await;
    }

    /// Reloads the signing keys because a token names an unknown one. Anyone can name a key that does not exist, so all
    /// requests that arrive before a reload starts share it.
    async fn look_up_key(&self, now: &Now) -> Result<()> {
        let before = self.key_lookups.begun.load(Ordering::SeqCst);
        let mut last = self.key_lookups.last.lock().await;
        if last.0 > before {
            return Ok(());
        }
        if let Some(began) = last.1 {
            sleep_until(began + KEY_LOOKUP_INTERVAL).await;
        }
        last.1 = Some(Instant::now());
        let number = self.key_lookups.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.reload_keys(now).await?;
        last.0 = number;
        Ok(())
    }
}

/// Creates the secret key of a new installation. A database with signing keys already had one, which must not be
/// replaced by accident.
async fn first_secret(txn: &DatabaseTransaction, path: &Path) -> Result<Vec<u8>> {
    // Another instance may have created both meanwhile.
    if !path.exists() && signing_keys::are_there(txn).await? {
        let found = "the database has signing keys, but the secret key that they are sealed with is missing";
        let remedy = format!("Set VESTIBULE_SECRET_KEY, or restore {}", path.display());
        let last = "If it is lost permanently, run `vestibule keys reset --lost-secret`";
        return Err(Error::Command(format!("{found}. {remedy}. {last}")));
    }
    secret_file::read_or_create(path).map_err(|error| named(&path.display(), &error))
}

/// The configured sources of breached passwords.
fn breached_passwords(config: &Config, trust: &Trust) -> Result<BreachedPasswords> {
    let list = config.breached_passwords_file.as_ref().map(|path| {
        let list = BreachedList::open(path);
        list.map_err(|problem| {
            Error::Command(format!("VESTIBULE_BREACHED_PASSWORDS_FILE: {}: {problem}", path.display()))
        })
    });
    let api = config.breached_passwords_api.as_ref().map(|url| {
        let api = RangeApi::new(url.as_str(), trust);
        api.map_err(|problem| Error::Command(format!("VESTIBULE_BREACHED_PASSWORDS_API: {problem}")))
    });
    Ok(BreachedPasswords::new(list.transpose()?, api.transpose()?))
}

/// Result of the work, or [`Error::Unavailable`] after a timeout.
async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let slow = |_| Error::Unavailable(Duration::from_secs(1));
    tokio::time::timeout(AUTHENTICATION_TIMEOUT, work).await.map_err(slow)?
}

/// Error at the start, prefixed with a name.
fn named(name: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("{name}: {error}"))
}
