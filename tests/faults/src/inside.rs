//! The service with a fault inside, as a child process: the same library with observed statements. The service itself
//! has no way to make it panic or die.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{Signal, getpid, kill_process};
use sea_orm::Statement;
use tokio::net::TcpListener;
use vestibule::app::App;
use vestibule::config::Config;
use vestibule::http;
use vestibule::tools::clock::Clock;
use vestibule::worker;

use crate::outcome::Outcome;

/// A statement with this value panics in its resolver.
pub(crate) const PANIC: &str = "panic-ordered";

/// The process dies after a refresh is committed and before its response.
pub(crate) const DIE_AFTER_REFRESH: &str = "die-after-refresh";

/// Serves like `vestibule serve`, with the fault.
pub(crate) async fn serve(fault: String) -> Outcome<()> {
    let text = |name: &str| crate::setting(name).ok_or_else(|| format!("{name} is missing"));
    let mut config = Config::defaults();
    config.data_dir = PathBuf::from(text("VESTIBULE_DATA_DIR")?);
    config.database_url = Some(text("VESTIBULE_DATABASE_URL")?.parse()?);
    config.secret_key = Some(text("VESTIBULE_SECRET_KEY")?.parse()?);
    config.admin_password = Some(text("VESTIBULE_ADMIN_PASSWORD")?.parse()?);
    config.argon2 = text("VESTIBULE_ARGON2")?.parse()?;
    let public_url = text("VESTIBULE_PUBLIC_URL")?.parse()?;
    config.limits.limits = false;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut app = App::open(config, public_url, Clock::System).await.map_err(|error| format!("{error:?}"))?;
    app.db.on_statement(move |statement| strike(&fault, statement));
    let app = Arc::new(app);
    app.ensure_superuser().await.map_err(|error| format!("{error:?}"))?;
    tokio::spawn(worker::run(Arc::clone(&app), std::future::pending()));
    crate::say(&format!("listening on http://{}", listener.local_addr()?));
    http::serve(
        listener,
        http::router(&app),
        http::ServerOptions::of(&app.config, &app.request_metrics),
        std::future::pending(),
    )
    .await;
    Ok(())
}

fn strike(fault: &str, statement: &Statement) {
    let is_ordered = fault == PANIC && format!("{:?}", statement.values).contains(PANIC);
    assert!(!is_ordered, "{PANIC}");
    let is_refresh = statement.sql.starts_with("UPDATE \"sessions\"") && statement.sql.contains("\"counter\" =");
    if fault == DIE_AFTER_REFRESH && is_refresh {
        // A failure is ignored here and makes the row fail.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
