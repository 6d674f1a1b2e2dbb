//! Template for importing users.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;

use crate::app::App;
use crate::domain::exports::{self, Export};
use crate::entity::api_token::Scope;
use crate::error::{Error, Result};
use crate::http::auth::{OptionalCaller, RequireCaller};
use crate::http::routes::exports::{CHUNK, chunks, download, nothing, workbook};

/// Template without users. It is the same for all callers, so repeated requests are cheap.
static HEADINGS: OnceCell<Vec<u8>> = OnceCell::const_new();

/// `/import/users.xlsx`: the column names for anyone, with the current users for callers who may export users.
pub(in crate::http) async fn users_xlsx(State(app): State<Arc<App>>, request: OptionalCaller) -> Response {
    match sheet(&app, &request).await {
        Ok(body) => download(&request.now, "import-users", "xlsx", body),
        Err(error) => request.refuse(error),
    }
}

/// `HEAD /import/users.xlsx`: the headers of GET, without reading the list.
pub(in crate::http) async fn users_xlsx_head(request: OptionalCaller) -> Response {
    download(&request.now, "import-users", "xlsx", nothing())
}

/// `/import/{id}/marked.xlsx`: the file of an import with its faulty cells marked, for the user who uploaded it.
pub(in crate::http) async fn marked_xlsx(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: RequireCaller,
) -> Response {
    let written = async {
        let staff = request.caller.viewer(Scope::Write)?.staff()?;
        app.import_jobs().marked(&request.now, staff, &id, &app.config.data_dir).await
    };
    match written.await {
        Ok(file) => download(&request.now, MARKED, "xlsx", marked_body(file)),
        Err(error) => request.refuse(error),
    }
}

/// Name of the file with marked cells.
pub(in crate::http) const MARKED: &str = "import-marked";

/// Body of a workbook that needs no further check: its reader uploaded the values.
pub(in crate::http) fn marked_body(file: std::fs::File) -> Body {
    let file = File::from_std(file);
    Body::from_stream(stream::try_unfold(file, async |mut file| {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then_some((chunk, file)))
    }))
}

async fn sheet(app: &Arc<App>, request: &OptionalCaller) -> Result<Body> {
    let now = &request.now;
    let granted = async {
        let exporter = request.caller.as_ref().ok_or(Error::Forbidden)?.exporter()?;
        Ok((exporter, exports::users_to_import(&app.db, now, exporter, &app.limits).await?))
    };
    match granted.await {
        Ok((exporter, users)) => {
            let grant = users.grant();
            let file = workbook(app, now, users).await?;
            exports::record_users(&app.db, &app.clock.now(), exporter).await?;
            Ok(Body::from_stream(chunks(Arc::clone(app), file, grant)))
        }
        Err(Error::Forbidden) => {
            let headings = HEADINGS.get_or_try_init(async || {
                let mut bytes = Vec::new();
                workbook(app, now, Export::no_users()).await?.read_to_end(&mut bytes).await.map_err(Error::internal)?;
                Ok::<_, Error>(bytes)
            });
            Ok(Body::from(headings.await?.as_slice()))
        }
        Err(error) => Err(error),
    }
}
