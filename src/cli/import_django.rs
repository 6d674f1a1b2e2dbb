//! `vestibule import django`

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::config::Config;
use crate::domain::import::django::mapping::Mapping;
use crate::domain::import::django::source::Source;
use crate::domain::import::django::{self, Problem, Report, RightsChange};
use crate::error::{Error, Result};

/// Which users to take over, and how.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The Django project's database (`postgres://…`, `sqlite://…`), which is only read, or a file: what `manage.py dumpdata`
    /// writes, or .csv. An address with a password: @FILE, which holds it, or - for standard input
    source: String,

    /// Where users stand where they are not Django's own: see docs/django.md
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,

    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,

    /// Take over API tokens of Django REST framework, for exports
    #[arg(long)]
    tokens: bool,

    /// Keep password hashes of fewer rounds than Django 1.11 made, until their owners sign in or set a password
    #[arg(long)]
    weak_hashes: bool,

    /// Mail those who have no usable password, or a weak hash, a link to set one, once each
    #[arg(long)]
    send_resets: bool,

    /// Generate neutral usernames where one is not allowed or taken here
    #[arg(long)]
    make_usernames: bool,

    /// Give accounts of the same address, which were not taken over, the user's id, and leave them as they are otherwise
    #[arg(long)]
    link: bool,
}

/// Takes users over.
pub(super) async fn run(config: Config, options: Options) -> Result<()> {
    let mapping = match &options.mapping {
        Some(path) => {
            let named = |error: &dyn std::fmt::Display| Error::BadInput(format!("{}: {error}", path.display()));
            let text = tokio::fs::read_to_string(path).await.map_err(|error| named(&error))?;
            Mapping::parse(&text).map_err(|problem| named(&problem))?
        }
        None => Mapping::default(),
    };
    let source = super::address::read("the source", &options.source)?;
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
    let moved = django::take_over(&app.db, &app.clock, (source, &mapping), how, &mut report, &watch).await;
    bar.finish_and_clear();
    tell(&report, how);
    if let Err(error) = moved {
        let stays = if how.dry_run { "nothing was written" } else { "what was done stays" };
        super::say(&format!("stopped after {} of {users} users; {stays}: run the same again to go on", report.read));
        return Err(error);
    }
    let refused = refused_users(&report);
    if refused > 0 {
        let users = if refused == 1 { "user" } else { "users" };
        let message =
            format!("{refused} {users} not taken over: mend that there or in the mapping, and run the same again");
        return Err(Error::BadInput(message));
    }
    Ok(())
}

/// Tells what was done, and whom it was not done for.
fn tell(report: &Report, how: django::Options) {
    let Report { created, updated, unchanged, kept, linked, without_password, tokens, resets, .. } = report;
    let weak = if how.weak_hashes {
        "weak password hashes kept, until their owners sign in or set a password"
    } else {
        "weak password hashes not kept (--weak-hashes keeps them)"
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
        (kept, "left alone, because they were changed or deleted here since"),
        (linked, "accounts given the id of their user there"),
        (without_password, "without a password, until they set one by a link"),
        (&report.weak_hashes, weak),
        (&report.naive_times, "with times without a zone, read in UTC (time_zone in the mapping names another)"),
        (tokens, "API tokens taken over"),
        (resets, "mails with a link to set a password"),
    ] {
        if *count > 0 {
            super::say(&format!("{what}: {count}"));
        }
    }
}

/// Of one user, several things may be wrong.
fn refused_users(report: &Report) -> usize {
    let mut ids: Vec<&str> = report.refused.iter().map(|problem| problem.id.as_str()).collect();
    ids.dedup();
    ids.len()
}
