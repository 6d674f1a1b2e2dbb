//! The application: what was built once at the start, shared by all faces.

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
use crate::domain::auth::authenticate;
use crate::domain::auth::identity::{Caller, Client};
use crate::domain::auth::live_connections::LiveConnections;
use crate::domain::auth::passwords::Passwords;
use crate::domain::auth::refused_rights::RefusedRights;
use crate::domain::auth::signing_keys::{self, Start};
use crate::domain::auth::token_issuer::TokenIssuer;
use crate::domain::import::spreadsheet::Importer;
use crate::domain::instance;
use crate::domain::operator::Operator;
use crate::domain::operator::keys::{self as operator_keys, Resealed, Rotation};
use crate::domain::outbox::{self, DeliveryMetrics, Mailer};
use crate::domain::presence::Presence;
use crate::domain::rate_limits::Limits;
use crate::domain::users::address_keys;
use crate::domain::users::superuser::{self, FirstPassword, Username};
use crate::entity::mail;
use crate::error::{Error, Reason, Result};
use crate::tools::api_token::ApiToken;
use crate::tools::clock::{Clock, Now};
use crate::tools::image::AvatarEncoder;
use crate::tools::mail::{Site, Transport};
use crate::tools::media::MediaStore;
use crate::tools::metrics::Registry;
use crate::tools::password::Hasher;
use crate::tools::password_policy::PasswordPolicy;
use crate::tools::rate::RateLimiter;
use crate::tools::request_metrics::RequestMetrics;
use crate::tools::secret::{InstanceName, MasterKeys, MasterSecrets};
use crate::tools::secret_file;
use crate::tools::sheet;
use crate::tools::token::{KeyRing, SharedRing};

/// Maximum number of passwords that wait for each that is being hashed. Long before it is reached, the time limit of the
/// hasher ends their wait, unless hashes are cheap.
const HASHES_WAITING: usize = 512;

/// Between two looks for a signing key that a token names and the ring does not have.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// How long it may take to find out who sent a token; the statements of it take milliseconds, but a database that is stuck
/// does not even say so.
const RECOGNITION: Duration = Duration::from_secs(5);

/// What was built once at the start.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// Where clients reach the service.
    pub public_url: BaseUrl,
    /// The database.
    pub db: Db,
    /// Where the time comes from.
    pub clock: Clock,
    /// The rules and the hashing of passwords.
    pub passwords: Passwords,
    /// What mails are delivered with.
    pub mailer: Mailer,
    /// Who was seen since the worker last wrote it down.
    pub presence: Presence,
    /// Who stays connected.
    pub live_connections: LiveConnections,
    /// Where files of users are kept.
    pub media: MediaStore,
    /// Where avatars are made.
    pub avatar_encoder: AvatarEncoder,
    /// What spreadsheets are imported with.
    pub importer: Importer,
    /// How often what may be asked for.
    pub limits: Limits,
    /// The log lines about refused rights.
    pub refused_rights: RefusedRights,
    /// What comes in.
    pub traffic: RequestMetrics,
    /// All that is counted and timed.
    pub measures: Registry,
    master_keys: Arc<MasterKeys>,
    ring: SharedRing,
    looks: HealthChecks,
    pace: RateLimiter,
}

/// Looks for signing keys that the ring does not have.
#[derive(Debug, Default)]
struct HealthChecks {
    /// How many have begun.
    begun: AtomicU64,
    /// The number of the last one, and when it began; held while one lasts.
    last: Mutex<(u64, Option<Instant>)>,
}

/// The account that was made because there was no superuser.
#[derive(Debug)]
pub struct FirstSuperuser {
    /// Its address.
    pub email: String,
    /// Its password, where no setting gave one; to be shown once.
    pub generated_password: Option<String>,
}

impl App {
    /// Opens the database, brings it up to date, and loads the keys. `public_url` is where clients reach the service.
    ///
    /// # Errors
    /// [`Error::Internal`] with a sentence for the operator.
    pub async fn open(config: Config, public_url: BaseUrl, clock: Clock) -> Result<Self> {
        let path = config.secret_key_path();
        let found = secret_file::known(config.secret_key.as_ref().map(SecretKey::bytes), &path);
        let found = found.map_err(|error| named(&path.display(), &error))?;
        let url = config.database_url();
        if let Some(folder) = url.sqlite_path().and_then(std::path::Path::parent) {
            secret_file::make_folder(folder).map_err(|error| named(&folder.display(), &error))?;
        }
        let options = database::Options::of(&config).map_err(Error::BadInput)?;
        let trust = options.trust.clone();
        let db = Db::connect(&url, &options).await.map_err(|error| named(&"VESTIBULE_DATABASE_URL", &error))?;
        if let Some(Unfit { found, remedy }) = db.unfit().await? {
            return Err(Error::BadInput(format!("VESTIBULE_DATABASE_URL: {found}: {remedy}")));
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
            .where_reachable(config.is_reachable());
        let importer = Importer::new(sheet::Reader::of_this_program()?, limits.clone(), clock);
        let frontend = config.frontend_url.clone().unwrap_or_else(|| public_url.clone());
        let mailer = Mailer {
            transport: Transport::new(&config.mail_url(), &trust),
            from: config.mail_from.clone(),
            site: Site {
                name: config.site_name.clone(),
                support: config.support.clone(),
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
        let traffic = RequestMetrics::default();
        let mut measures = Registry::with_prefix("vestibule");
        traffic.register(&mut measures);
        db.register(&mut measures);
        passwords.register(&mut measures);
        limits.register(&mut measures);
        mailer.delivery_metrics.register(&mut measures);
        Ok(Self {
            config,
            public_url,
            db,
            clock,
            passwords,
            mailer,
            presence: Presence::new(&now),
            live_connections: LiveConnections::default(),
            media,
            avatar_encoder: AvatarEncoder::default(),
            importer,
            limits,
            refused_rights: RefusedRights::default(),
            traffic,
            measures,
            master_keys,
            ring: SharedRing::new(ring),
            looks: HealthChecks::default(),
            pace,
        })
    }

    /// Makes the first superuser where there is none, by the settings; instances that start together make one.
    ///
    /// # Errors
    /// The refusal of the address or the password in the settings.
    pub async fn ensure_superuser(&self) -> Result<Option<FirstSuperuser>> {
        let now = self.clock.now();
        let txn = self.db.begin_alone().await?;
        if superuser::exists(&txn).await? {
            return Ok(None);
        }
        let password: FirstPassword = match &self.config.admin_password {
            Some(given) => given.reveal().into(),
            None => FirstPassword::generate(),
        };
        let (email, username) = (&self.config.admin_email, Username::First);
        let row = superuser::prepare(&now, &self.passwords, email, username, password.clone()).await?;
        let user = superuser::insert(&txn, &now, row).await?;
        txn.commit().await?;
        Ok(Some(FirstSuperuser { email: user.email, generated_password: password.generated().map(str::to_owned) }))
    }

    /// What tokens are made with at present.
    pub fn token_issuer(&self) -> TokenIssuer {
        TokenIssuer { ring: self.ring(), master_keys: Arc::clone(&self.master_keys), lives: self.config.sessions }
    }

    /// The keys that sign and verify access tokens at present.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.present()
    }

    /// Finds out who sent an access token or an API token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason; [`Error::Unavailable`] where the database does not answer.
    pub async fn authenticate(&self, now: &Now, client: &Client, token: &str) -> Result<Caller> {
        let caller = self.authenticate_unseen(now, client, token).await?;
        self.presence.saw(caller.user_id(), now.at);
        Ok(caller)
    }

    /// Authenticates without counting it as activity, for what clients send by themselves.
    ///
    /// # Errors
    /// As for [`App::authenticate`].
    pub async fn authenticate_unseen(&self, now: &Now, client: &Client, token: &str) -> Result<Caller> {
        in_time(self.recognise(now, client, token)).await
    }

    async fn recognise(&self, now: &Now, client: &Client, token: &str) -> Result<Caller> {
        let ring = self.ring();
        match authenticate::authenticate(&self.db, now, (&self.ring, &self.limits), client, token).await {
            Err(Error::Unauthenticated(Reason::Invalid))
                if !ApiToken::is_meant_by(token) && !ring.knows_key_of(token) =>
            {
                self.look_for_key(now).await?;
                authenticate::authenticate(&self.db, now, (&self.ring, &self.limits), client, token).await
            }
            recognised => recognised,
        }
    }

    /// Finds out what has become of a caller who stays connected.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason; [`Error::Unavailable`] where the database does not answer.
    pub async fn renew(&self, now: &Now, caller: &Caller) -> Result<Caller> {
        let caller = in_time(authenticate::renew(&self.db, now, caller)).await?;
        self.presence.saw(caller.user_id(), now.at);
        Ok(caller)
    }

    /// Loads the signing keys anew, so that a key that another instance or the command line made is known.
    pub async fn reload_keys(&self, now: &Now) -> Result<()> {
        let ring = signing_keys::load(self.db.reader(), now, &self.master_keys, self.public_url.as_str()).await?;
        self.ring.replace(ring);
        Ok(())
    }

    /// Adds a signing key and lets the others expire.
    pub async fn rotate_keys(&self, now: &Now, operator: &Operator, start: Start) -> Result<Rotation> {
        let rules = (&*self.master_keys, &self.config.sessions);
        let rotation = operator_keys::rotate(&self.db, now, operator, rules, start).await?;
        self.reload_keys(now).await?;
        Ok(rotation)
    }

    /// Removes a signing key, and returns the one that signs now.
    ///
    /// # Errors
    /// [`crate::error::Code::NotFound`].
    pub async fn revoke_key(&self, now: &Now, operator: &Operator, kid: &str) -> Result<String> {
        let signs = operator_keys::revoke(&self.db, now, operator, &self.master_keys, kid).await?;
        self.reload_keys(now).await?;
        Ok(signs)
    }

    /// Seals everything under the present secret key.
    pub async fn reseal(&self, now: &Now, operator: &Operator) -> Result<Resealed> {
        operator_keys::reseal(&self.db, now, operator, &self.master_keys).await
    }

    /// Takes mails that are due, as many as these at most and as the setting for their rate allows, for nobody else to send
    /// for a minute.
    pub async fn take_mails(&self, now: &Now, most: usize) -> Result<Vec<mail::Model>> {
        let most = self.pace.take(now.at, most);
        if most == 0 {
            return Ok(Vec::new());
        }
        let taken = outbox::take(&self.db, now, most).await;
        self.pace.give_back(most - taken.as_ref().map_or(0, Vec::len).min(most));
        taken
    }

    /// Tries to send a mail that was taken.
    pub async fn send_mail(&self, now: &Now, mail: mail::Model) {
        outbox::deliver(&self.db, now, &self.master_keys, &self.mailer, mail).await;
    }

    /// Loads the signing keys anew, because a token names one that is unknown here. Anybody can name a key that does not
    /// exist, so that is not done for each: all who come before a look begins share it.
    async fn look_for_key(&self, now: &Now) -> Result<()> {
        let before = self.looks.begun.load(Ordering::SeqCst);
        let mut last = self.looks.last.lock().await;
        if last.0 > before {
            return Ok(());
        }
        if let Some(began) = last.1 {
            sleep_until(began + LOOK_PAUSE).await;
        }
        last.1 = Some(Instant::now());
        let number = self.looks.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.reload_keys(now).await?;
        last.0 = number;
        Ok(())
    }
}

/// The secret of a new installation. A database that has keys has had one, which must not be replaced by accident.
async fn first_secret(txn: &DatabaseTransaction, path: &Path) -> Result<Vec<u8>> {
    // Another instance may have made both meanwhile.
    if !path.exists() && signing_keys::are_there(txn).await? {
        let found = "the database has signing keys, and the secret that they are sealed with is not here";
        let remedy = format!("Set VESTIBULE_SECRET_KEY, or restore {}", path.display());
        let last = "Where it is lost for good: `vestibule keys reset --lost-secret`";
        return Err(Error::BadInput(format!("{found}. {remedy}. {last}")));
    }
    secret_file::read_or_create(path).map_err(|error| named(&path.display(), &error))
}

/// What this yields, unless it takes too long.
async fn in_time<T>(recognition: impl Future<Output = Result<T>>) -> Result<T> {
    let slow = |_| Error::Unavailable(Duration::from_secs(1));
    tokio::time::timeout(RECOGNITION, recognition).await.map_err(slow)?
}

/// A fault at the start, under the name of what it is about.
fn named(name: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("{name}: {error}"))
}
