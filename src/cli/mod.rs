//! The command line: one file per command.

mod address;
mod api_tokens;
mod audit;
mod backup;
mod breached_passwords;
mod config;
mod copy;
mod create_superuser;
mod doctor;
mod import;
mod import_django;
mod keys;
mod limits;
mod logging;
mod mail;
mod migrate;
mod notify;
mod reload;
mod schema;
mod serve;
mod sessions;
mod shell;
mod table;
mod traces;
mod users;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::traces::Traces;
use crate::app::App;
use crate::config::{Config, Setting, SettingOrigin, Sources};
use crate::database::{self, Db, Unfit};
use crate::domain::operator::explain;
use crate::error::Error;
use crate::tools::certificates::Trust;
use crate::tools::clock::Clock;
use crate::tools::io_error;
use crate::tools::sheet;
use crate::tools::text::{self, counted};

/// Self-hosted identity service with a GraphQL API
#[derive(Parser)]
#[command(name = "vestibule", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Start the service (default command)
    Serve,
    /// Apply pending database migrations and exit
    Migrate,
    /// Copy all data to another database, from SQLite to PostgreSQL or back
    Copy(copy::Options),
    /// Back up the database to an SQLite file, also while the service is running
    Backup(backup::Options),
    /// Check settings, files, database and external services, and suggest fixes; changes nothing
    Doctor(doctor::Options),
    /// Show settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Create a superuser, or promote a user
    CreateSuperuser(create_superuser::Options),
    /// Import users from a spreadsheet or a Django project
    #[command(subcommand)]
    Import(ImportCommand),
    /// Print the GraphQL schema; with `--federation`, the subgraph schema
    Schema {
        #[command(subcommand)]
        command: Option<SchemaCommand>,
    },
    /// Manage the keys that sign access tokens
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// List and end sessions
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// List and revoke API tokens
    #[command(subcommand)]
    ApiTokens(api_tokens::ApiTokensCommand),
    /// Read the audit trail
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Show and lift rate limits
    #[command(subcommand)]
    Limits(limits::LimitsCommand),
    /// Manage users without signing in
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Manage outgoing emails
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Manage the list of breached passwords
    #[command(subcommand)]
    BreachedPasswords(breached_passwords::BreachedPasswordsCommand),
    /// Print shell completions
    Completions(shell::CompletionsOptions),
    /// Print the man page, or write the man pages of all commands to a directory
    Man(shell::ManOptions),
}

#[derive(Subcommand)]
enum SchemaCommand {
    /// Compare with an older schema; fails if a change breaks clients
    Diff(schema::DiffOptions),
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Create and update users from a spreadsheet, all rows or none; users are matched by email address
    Users(import::Options),
    /// Import the users of a Django project with their passwords; later runs import changes
    Django(import_django::Options),
}

/// Notice printed below a generated password.
const TEMPORARY: &str =
    "this password is temporary: change it. It expires after 24 hours if other machines can reach the service";

/// Time limit for threads to end after the command.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs the command given by the arguments. A failure is one line on standard error.
pub fn run() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == sheet::COMMAND) {
        // The child process that reads spreadsheets has no settings and a tight memory limit.
        let headings: Vec<String> = std::env::args().skip(2).collect();
        return sheet::serve(&headings).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if std::env::args_os().nth(1).is_some_and(|argument| argument == sheet::MARK_COMMAND) {
        let folder = std::env::args_os().nth(2).map(std::path::PathBuf::from).unwrap_or_default();
        let headings: Vec<String> = std::env::args().skip(3).collect();
        return sheet::serve_marked(&folder, &headings).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let traces = match cli.command {
        None | Some(Command::Serve) => Traces::of(&cli.config),
        Some(_) => Ok(None),
    };
    let traces = match traces {
        Ok(traces) => traces,
        Err(problem) => return fail(&problem),
    };
    let mut logs = None;
    if !matches!(cli.command, Some(Command::Doctor(_))) {
        // The doctor prints its findings itself.
        logs = Some(logging::start(&cli.config, traces.as_ref()));
        if cli.config.ignored_file {
            tracing::warn!(
                "ignoring vestibule.toml in the working directory: set VESTIBULE_CONFIG or --config to use it"
            );
        }
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let (config, read) = (cli.config.clone(), cli.config);
    let outcome = runtime.block_on(async {
        let outcome = match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::run(config, logs).await,
            Command::Migrate => migrate::run(config).await,
            Command::Copy(options) => copy::run(config, options).await,
            Command::Backup(options) => backup::run(config, options).await,
            Command::Doctor(options) => doctor::run(&config, options).await,
            Command::Config(command) => {
                config::run(&config.settings, &command);
                Ok(())
            }
            Command::CreateSuperuser(options) => create_superuser::run(config, options).await,
            Command::Import(ImportCommand::Users(options)) => import::run(config, options).await,
            Command::Import(ImportCommand::Django(options)) => Box::pin(import_django::run(config, options)).await,
            Command::Schema { command: None } => schema::print(&config),
            Command::Schema { command: Some(SchemaCommand::Diff(options)) } => schema::diff(&config, &options),
            Command::Keys(command) => keys::run(config, command).await,
            Command::ApiTokens(command) => api_tokens::run(config, command).await,
            Command::Audit(command) => audit::run(config, command).await,
            Command::Limits(command) => limits::run(config, command).await,
            Command::Sessions(command) => sessions::run(config, command).await,
            Command::Users(command) => users::run(config, command).await,
            Command::Mail(command) => mail::run(config, command).await,
            Command::BreachedPasswords(command) => breached_passwords::run(command).await,
            Command::Completions(options) => shell::complete(Cli::command(), &options),
            Command::Man(options) => shell::man(Cli::command(), options),
        };
        match outcome {
            Err(Error::Unavailable(_)) => Err(match diagnose(&read).await {
                Some(problem) => problem,
                None => explain(&Error::Unavailable(Duration::ZERO)),
            }),
            outcome => outcome.map_err(|error| explain(&error)),
        }
    });
    // Blocked tasks and threads are abandoned after the timeout.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    if let Some(traces) = traces {
        traces.finish();
    }
    match outcome {
        Ok(()) => lost_output().map_or(ExitCode::SUCCESS, |problem| fail(&problem)),
        Err(problem) => fail(&located(&read.settings, &problem)),
    }
}

fn parse() -> Result<Cli, ExitCode> {
    let sources = Sources::read(Cli::command()).map_err(|problem| fail(&problem))?;
    let matches = sources.command.clone().try_get_matches().map_err(|error| {
        if error.use_stderr() {
            return fail(&sources.explain(&error));
        }
        // Help and version are not errors.
        match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    })?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| fail(&sources.explain(&error)))?;
    sources.complete(&mut cli.config).map_err(|problem| fail(&problem))?;
    cli.config.settings = sources.settings(&matches, &cli.config);
    check(&cli.config).map_err(|problem| fail(&located(&cli.config.settings, &problem)))?;
    Ok(cli)
}

/// Checks combinations of settings.
fn check(config: &Config) -> Result<(), String> {
    logging::check(config).and_then(|()| config.validate())
}

/// Puts the place in the settings file before a problem that begins with the name of a setting.
fn located(settings: &[Setting], problem: &str) -> String {
    if !problem.starts_with("VESTIBULE_") {
        return problem.to_owned();
    }
    let names = problem.split(|char: char| !char.is_ascii_uppercase() && !char.is_ascii_digit() && char != '_');
    let places = names.filter_map(|name| name.strip_prefix("VESTIBULE_")).find_map(|name| {
        let setting = settings.iter().find(|setting| setting.name == name.to_lowercase())?;
        if let SettingOrigin::File(place) = &setting.origin { Some(place) } else { None }
    });
    places.map_or_else(|| problem.to_owned(), |place| format!("{place}: {problem}"))
}

fn fail(problem: &str) -> ExitCode {
    // If standard error is closed, the exit code is enough.
    let _ = writeln!(io::stderr(), "vestibule: {problem}");
    ExitCode::FAILURE
}

/// First error on standard output.
static OUTPUT: OnceLock<io::Error> = OnceLock::new();

/// Prints a line to standard output. A closed pipe, as left by `head`, does not stop the command; any other failure is
/// reported at the end.
fn say(line: &str) {
    let mut output = io::stdout().lock();
    if let Err(error) = writeln!(output, "{line}").and_then(|()| output.flush()) {
        // The first error is the most useful one.
        let _ = OUTPUT.set(error);
    }
}

/// True after an error on standard output, when further lines are lost.
fn is_output_lost() -> bool {
    OUTPUT.get().is_some()
}

/// Error on standard output, unless the pipe was closed.
fn lost_output() -> Option<String> {
    let error = OUTPUT.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
    Some(format!("cannot write to standard output: {}", io_error::describe(error)))
}

/// Path of an argument, for a message.
fn shown(path: &Path) -> String {
    text::without_url(&path.to_string_lossy()).into_owned()
}

/// Error of commands that do not migrate.
const OUTDATED: &str = "the database has pending migrations: back it up, then run `vestibule migrate`. Instances of the \
                        older version will then fail";

/// Opens the application for commands that do not listen. An empty database is migrated. A database of an older version
/// is refused, because an instance of that version may be using it.
async fn open(config: Config) -> Result<Arc<App>, Error> {
    let url = config.database_url();
    if url.sqlite_path().is_none_or(Path::is_file) {
        let db = open_read_only(&config).await?;
        let state = (db.is_empty().await?, db.is_migrated().await?);
        db.close().await?;
        if state == (false, false) {
            return Err(Error::Command(OUTDATED.to_owned()));
        }
    }
    open_and_migrate(config).await
}

/// Opens the application and applies pending migrations.
async fn open_and_migrate(config: Config) -> Result<Arc<App>, Error> {
    let public_url = config.public_url.clone().or_else(|| config.listen.url()).ok_or_else(without_url)?;
    Ok(Arc::new(Box::pin(App::open(config, public_url, Clock::System)).await?))
}

/// Error about the configured database.
fn of_database(problem: impl std::fmt::Display) -> Error {
    Error::Command(format!("VESTIBULE_DATABASE_URL: {problem}"))
}

/// Certificate authorities trusted by the settings.
fn trust(config: &Config) -> Result<Trust, Error> {
    Ok(database::Options::of(config).map_err(Error::Command)?.trust)
}

/// Error for a missing public URL.
fn without_url() -> Error {
    Error::internal("VESTIBULE_PUBLIC_URL is required when the service listens on a Unix socket")
}

/// Opens the configured database read-only.
async fn open_read_only(config: &Config) -> Result<Db, Error> {
    let url = config.database_url();
    if let Some(file) = url.sqlite_path().filter(|file| !file.is_file()) {
        return Err(Error::Command(format!("no database at {}", file.display())));
    }
    let db = Db::open_read_only(&url, &trust(config)?).await.map_err(of_database)?;
    match db.unfit().await? {
        None => Ok(db),
        Some(Unfit { found, remedy }) => Err(of_database(format!("{found}: {remedy}"))),
    }
}

/// Opens the configured database if it exists and has no pending migrations. For commands that must not migrate a
/// database that an older version may be using.
async fn open_migrated(config: &Config) -> Result<Db, Error> {
    let db = open_read_only(config).await?;
    let is_migrated = db.is_migrated().await?;
    db.close().await?;
    if !is_migrated {
        return Err(Error::Command(OUTDATED.to_owned()));
    }
    let options = database::Options::of(config).map_err(Error::Command)?;
    Db::connect(&config.database_url(), &options).await.map_err(of_database)
}

/// Reason for a failure, found by connecting again.
async fn diagnose(config: &Config) -> Option<String> {
    let options = database::Options::of(config).ok()?;
    let problem = Db::diagnose(&config.database_url(), &options).await?;
    Some(format!("VESTIBULE_DATABASE_URL: {problem}"))
}
