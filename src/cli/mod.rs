//! The command line: one file per command.

mod address;
mod api_tokens;
mod audit;
mod backup;
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
use sea_orm::DbErr;

use self::reload::Reload;
use self::traces::Traces;
use crate::app::App;
use crate::config::{Config, Setting, Sources};
use crate::database::{self, Db};
use crate::error::Error;
use crate::tools::certificates::Trust;
use crate::tools::clock::Clock;
use crate::tools::io_error;
use crate::tools::sheet;

/// A GraphQL identity service: one binary, one database
#[derive(Parser)]
#[command(name = "vestibule", version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    config: Config,

    /// The settings as they were read
    #[arg(skip)]
    settings: Vec<Setting>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve; the same as no command
    Serve,
    /// Bring the database up to date, and exit
    Migrate,
    /// Copy everything into another database, from SQLite to PostgreSQL or back
    Copy(copy::Options),
    /// Write the database into a file while the service runs
    Backup(backup::Options),
    /// Look at what the service stands on, and say what to do; changes nothing
    Doctor(doctor::Options),
    /// The settings in use
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make a superuser
    CreateSuperuser(create_superuser::Options),
    /// Create and update users from a spreadsheet or a Django project
    #[command(subcommand)]
    Import(ImportCommand),
    /// Print the GraphQL schema; with `--federation`, as a subgraph's
    Schema {
        #[command(subcommand)]
        command: Option<SchemaCommand>,
    },
    /// The keys that sign access tokens
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Where people are signed in
    #[command(subcommand)]
    Sessions(sessions::SessionsCommand),
    /// The API tokens of users
    #[command(subcommand)]
    ApiTokens(api_tokens::ApiTokensCommand),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Limits on sign-ins, mails and the like
    #[command(subcommand)]
    Limits(limits::LimitsCommand),
    /// Users, when nobody can sign in
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// The outbox
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Print the completions of a shell
    Completions(shell::CompletionsOptions),
    /// Print the manual page, or write all pages into a folder
    Man(shell::ManOptions),
}

#[derive(Subcommand)]
enum SchemaCommand {
    /// Tell what changed since an older schema; fails where a change breaks clients
    Diff(schema::DiffOptions),
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Create and update users, all rows or none; a row's user is found by the email address
    Users(import::Options),
    /// Take over the users of a Django project, with their passwords; run again, it takes over what changed there since
    Django(import_django::Options),
}

/// The line below a password that was printed.
const TEMPORARY: &str =
    "this password is temporary: replace it. Where others can reach the service, it expires after 24 hours";

/// Time limit on the end of threads after the command.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs the command that the process was started with. A failure is one line on standard error.
pub fn run() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == sheet::COMMAND) {
        // What the service starts to read a file has no settings, and no memory to spare.
        let heading = std::env::args().nth(2).unwrap_or_default();
        return sheet::serve(&heading).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
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
        // The doctor says itself what it found.
        logs = Some(logging::start(&cli.config, traces.as_ref()));
        if cli.config.ignored_file {
            tracing::warn!("ignoring vestibule.toml in the working folder: name it by VESTIBULE_CONFIG or --config");
        }
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let config = cli.config;
    let outcome = runtime.block_on(async {
        let settings = config.clone();
        let outcome = match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::run(config, Reload { settings: cli.settings, logs }).await,
            Command::Migrate => migrate::run(config).await,
            Command::Copy(options) => copy::run(config, options).await,
            Command::Backup(options) => backup::run(config, options).await,
            Command::Doctor(options) => doctor::run(config, options).await,
            Command::Config(command) => config::run(&cli.settings, &command),
            Command::CreateSuperuser(options) => create_superuser::run(config, options).await,
            Command::Import(ImportCommand::Users(options)) => import::run(config, options).await,
            Command::Import(ImportCommand::Django(options)) => import_django::run(config, options).await,
            Command::Schema { command: None } => schema::print(&config),
            Command::Schema { command: Some(SchemaCommand::Diff(options)) } => schema::diff(&config, &options),
            Command::Keys(command) => keys::run(config, command).await,
            Command::ApiTokens(command) => api_tokens::run(config, command).await,
            Command::Audit(command) => audit::run(config, command).await,
            Command::Limits(command) => limits::run(config, command).await,
            Command::Sessions(command) => sessions::run(config, command).await,
            Command::Users(command) => users::run(config, command).await,
            Command::Mail(command) => mail::run(config, command).await,
            Command::Completions(options) => shell::complete(Cli::command(), &options),
            Command::Man(options) => shell::man(Cli::command(), options),
        };
        match outcome {
            Err(Error::Unavailable(_)) => Err(match diagnose(&settings).await {
                Some(problem) => problem,
                None => explain(&Error::Unavailable(Duration::ZERO)),
            }),
            outcome => outcome.map_err(|error| explain(&error)),
        }
    });
    // What hangs, or waits for a thread that does, is not waited for.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    if let Some(traces) = traces {
        traces.finish();
    }
    match outcome {
        Ok(()) => lost_output().map_or(ExitCode::SUCCESS, |problem| fail(&problem)),
        Err(problem) => fail(&problem),
    }
}

fn parse() -> Result<Cli, ExitCode> {
    let sources = Sources::read(Cli::command()).map_err(|problem| fail(&problem))?;
    let matches = sources.command.clone().try_get_matches().map_err(|error| {
        if error.use_stderr() {
            return fail(&sources.explain(&error));
        }
        // Help and version are no errors.
        match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    })?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| fail(&sources.explain(&error)))?;
    sources.complete(&mut cli.config).map_err(|problem| fail(&problem))?;
    cli.settings = sources.settings(&matches, &cli.config);
    check(&cli.config).map_err(|problem| fail(&problem))?;
    Ok(cli)
}

/// Checks the settings against each other.
fn check(config: &Config) -> Result<(), String> {
    logging::check(config).and_then(|()| config.validate())
}

fn fail(problem: &str) -> ExitCode {
    // Where nobody listens, the exit code has to do.
    let _ = writeln!(io::stderr(), "vestibule: {problem}");
    ExitCode::FAILURE
}

/// The error in a line for the operator.
fn explain(error: &Error) -> String {
    match error {
        Error::Refused(refusals) => refusals
            .iter()
            .map(|refusal| match refusal.field {
                Some(field) => format!("{field}: {}", refusal.message),
                None => refusal.message.clone(),
            })
            .collect::<Vec<_>>()
            .join(" "),
        Error::Internal(source) => match source.downcast_ref::<DbErr>() {
            Some(error) => database::explain(error).replace('\n', " "),
            None => source.to_string().replace('\n', " "),
        },
        Error::Unavailable(_) => "the database did not do it in time: try again".to_owned(),
        Error::BadInput(message) => message.clone(),
        other => format!("{other:?}"),
    }
}

/// The first error of the output, where there was one.
static OUTPUT: OnceLock<io::Error> = OnceLock::new();

/// Prints a line for people and pipes. A reader who has seen enough, such as `head`, keeps no command from its work;
/// any other failure is told at the end.
fn say(line: &str) {
    let mut output = io::stdout().lock();
    if let Err(error) = writeln!(output, "{line}").and_then(|()| output.flush()) {
        // The first says most.
        let _ = OUTPUT.set(error);
    }
}

/// The failure of the output, unless its reader went away.
fn lost_output() -> Option<String> {
    let error = OUTPUT.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
    Some(format!("the output cannot be written: {}", io_error::describe(error)))
}

/// A number with the words for one and for several.
fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Message of commands that may not migrate.
const OUTDATED: &str = "the database is not up to date: make a backup, and run `vestibule migrate`. Instances of the older version fail then";

/// The application for commands that do not listen. A database that is empty is made; one of an older version is left as it
/// is, for that version may be serving.
async fn open(config: Config) -> Result<Arc<App>, Error> {
    let url = config.database_url();
    if url.sqlite_path().is_none_or(Path::is_file) {
        let db = look(&config).await?;
        let state = (db.is_empty().await?, db.is_migrated().await?);
        db.close().await?;
        if state == (false, false) {
            return Err(Error::BadInput(OUTDATED.to_owned()));
        }
    }
    open_and_migrate(config).await
}

/// The same, with the database brought up to date.
async fn open_and_migrate(config: Config) -> Result<Arc<App>, Error> {
    let public_url = config.public_url.clone().or_else(|| config.listen.url()).ok_or_else(without_url)?;
    Ok(Arc::new(Box::pin(App::open(config, public_url, Clock::System)).await?))
}

/// An error about the database that the settings name.
fn of_database(problem: impl std::fmt::Display) -> Error {
    Error::BadInput(format!("VESTIBULE_DATABASE_URL: {problem}"))
}

/// The authorities that the settings trust.
fn trust(config: &Config) -> Result<Trust, Error> {
    Ok(database::Options::of(config).map_err(Error::BadInput)?.trust)
}

/// The error where nothing says how clients reach the service.
fn without_url() -> Error {
    Error::internal("VESTIBULE_PUBLIC_URL: set it where the service listens on a socket file")
}

/// The configured database, only to be read.
async fn look(config: &Config) -> Result<Db, Error> {
    let url = config.database_url();
    if let Some(file) = url.sqlite_path().filter(|file| !file.is_file()) {
        return Err(Error::BadInput(format!("there is no database at {}", file.display())));
    }
    Db::look(&url, &trust(config)?).await.map_err(of_database)
}

/// The configured database, as far as it is there and up to date: for commands that must not migrate what an older version
/// serves.
async fn reach(config: &Config) -> Result<Db, Error> {
    let db = look(config).await?;
    let is_migrated = db.is_migrated().await?;
    db.close().await?;
    if !is_migrated {
        return Err(Error::BadInput(OUTDATED.to_owned()));
    }
    let options = database::Options::of(config).map_err(Error::BadInput)?;
    Db::connect(&config.database_url(), &options).await.map_err(of_database)
}

/// The reason for a failure, found out by trying once more.
async fn diagnose(config: &Config) -> Option<String> {
    let options = database::Options::of(config).ok()?;
    let problem = Db::diagnose(&config.database_url(), &options).await?;
    Some(format!("VESTIBULE_DATABASE_URL: {problem}"))
}
