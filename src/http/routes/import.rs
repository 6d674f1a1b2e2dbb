//! The sheet to fill in with users to import.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;

use crate::app::App;
use crate::domain::exports::{self, Export};
use crate::error::{Error, Result};
use crate::http::auth::OptionalCaller;
use crate::http::routes::exports::{chunks, download, nothing, workbook};

/// The sheet without users: it is the same for all, so that it costs nothing to ask for it again and again.
static HEADINGS: OnceCell<Vec<u8>> = OnceCell::const_new();

/// `/import/users.xlsx`: the headings for anyone, with today's users beneath them for those who may export users.
pub(in crate::http) async fn users_xlsx(State(app): State<Arc<App>>, visitor: OptionalCaller) -> Response {
    match sheet(&app, &visitor).await {
        Ok(body) => download(&visitor.now, "import-users", "xlsx", body),
        Err(error) => visitor.refuse(error),
    }
}

/// `HEAD /import/users.xlsx`: what GET would answer, without a list that nobody reads.
pub(in crate::http) async fn users_xlsx_head(visitor: OptionalCaller) -> Response {
    download(&visitor.now, "import-users", "xlsx", nothing())
}

async fn sheet(app: &Arc<App>, visitor: &OptionalCaller) -> Result<Body> {
    let now = &visitor.now;
    let granted = async {
        let exporter = visitor.caller.as_ref().ok_or(Error::Forbidden)?.exporter()?;
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
