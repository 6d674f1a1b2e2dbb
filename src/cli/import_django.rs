//! `vestibule import django`

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::config::Config;
use crate::domain::import::django::mapping::Mapping;
use crate::domain::import::django::source::Source;
use crate::domain::import::django::{self, Problem, Report, RightsChange};
use crate::error::{Error, Result};

/// Options of `import django`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Database of the Django project (`postgres://…`, `sqlite://…`; only read), or a file written by `manage.py
    /// dumpdata`, or a .csv file. If the URL contains a password, use @FILE to read it from a file, or - for standard
    /// input
    source: String,

    /// Mapping of tables and columns for a custom user model: see docs/django.md
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,

    /// Report what would change without writing anything
    #[arg(long)]
    dry_run: bool,

    /// Import API tokens of Django REST framework, for exports
    #[arg(long)]
    tokens: bool,

    /// Keep password hashes weaker than Django 1.11's default until their owners sign in or set a password
    #[arg(long)]
    weak_hashes: bool,

    /// Email a link to set a password, once, to each user with an unusable password or a weak hash
    #[arg(long)]
    send_resets: bool,

    /// Generate a username if the imported one is invalid or taken
    #[arg(long)]
    make_usernames: bool,

    /// Link existing accounts with the same email address to their Django users, without changing anything else
    #[arg(long)]
    link: bool,
}

/// Imports users from a Django project.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let mapping = match &options.mapping {
        Some(path) => {
            let named = |error: &dyn std::fmt::Display| Error::Command(format!("{}: {error}", super::shown(path)));
            let text = tokio::fs::read_to_string(path).await.map_err(|error| named(&error))?;
            Mapping::parse(&text).map_err(|problem| named(&problem))?
        }
        None => Mapping::default(),
    };
    let source = super::address::read("SOURCE", &options.source)?;
    let is_address =
        source.starts_with("sqlite://") || source.starts_with("postgres://") || source.starts_with("postgresql://");
    if !is_address && *source != *options.source {
        // Text read from a file or standard input may contain a password.
        let problem = "SOURCE: it must be a database URL (sqlite://… or postgres://…) or the path of an export";
        return Err(Error::Command(problem.to_owned()));
    }
    let source = Source::open(&source, &super::trust(&config)?, &mapping, options.tokens).await?;
    let token_life = config.api_tokens.api_token_ttl;
    let app = super::open(config).await?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let watch = |progress| super::import::show(&bar, progress);
    let how = django::Options {
        dry_run: options.dry_run,
        make_usernames: options.make_usernames,
        link: options.link,
        tokens: options.tokens,
        weak_hashes: options.weak_hashes,
        send_resets: options.send_resets,
        token_life,
    };
    let mut report = Report::default();
    let users = source.users();
    let input = django::Import { source, mapping: &mapping, options: how, second_factor: app.second_factor_rules() };
    let moved = django::take_over(&app.db, &app.clock, input, &mut report, &watch).await;
    bar.finish_and_clear();
    print(&report, how);
    if let Err(error) = moved {
        let kept = if how.dry_run { "nothing was written" } else { "completed changes were kept" };
        super::say(&format!(
            "stopped after {} of {users} users; {kept}. Run the command again to continue",
            report.read
        ));
        return Err(error);
    }
    let refused = refused_users(&report);
    if refused > 0 {
        let users = super::counted(refused as u64, "user was", "users were");
        let remedy = "fix the source or the mapping, and run the command again";
        return Err(Error::Command(format!("{users} not imported: {remedy}")));
    }
    Ok(())
}

/// Prints the counts, and the users that were not imported.
fn print(report: &Report, how: django::Options) {
    let Report { created, updated, unchanged, kept, linked, without_password, tokens, resets, .. } = report;
    let weak = if how.weak_hashes {
        "weak password hashes kept until their owners sign in or set a password"
    } else {
        "weak password hashes dropped (use --weak-hashes to keep them)"
    };
    let would = if how.dry_run { "would be " } else { "" };
    for problem in report.refused.iter().chain(&report.notes) {
        let Problem { id, field, message } = problem;
        let field = field.map(|field| format!(", {field}")).unwrap_or_default();
        super::say(&format!("id {id}{field}: {message}"));
    }
    for RightsChange { id, field, before, after } in &report.rights {
        super::say(&format!("id {id}: {} {before} -> {after}", field.name()));
    }
    super::say(&format!("{would}created: {created}, {would}updated: {updated}, unchanged: {unchanged}"));
    for (count, what) in [
        (kept, "skipped because they were changed or deleted here since"),
        (linked, "existing accounts linked to their Django users"),
        (without_password, "without a password until they set one with a link"),
        (&report.weak_hashes, weak),
        (&report.naive_times, "times without a time zone read as UTC (set time_zone in the mapping to change this)"),
        (tokens, "API tokens imported"),
        (&report.factors, "authenticator apps and passkeys imported"),
        (&report.recovery_codes, "recovery codes imported"),
        (&report.removed_factors, "authenticator apps and passkeys removed, as in Django"),
        (resets, "emails with a link to set a password"),
    ] {
        if *count > 0 {
            super::say(&format!("{what}: {count}"));
        }
    }
}

/// Number of refused users. One user can have several problems.
fn refused_users(report: &Report) -> usize {
    let mut ids: Vec<&str> = report.refused.iter().map(|problem| problem.id.as_str()).collect();
    ids.dedup();
    ids.len()
}
