//! Reports of dry runs, stored compressed and sealed.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde::{Deserialize, Serialize};

use super::Jobs;
use crate::domain::auth::identity::Staff;
use crate::domain::import::spreadsheet::problems::Problems;
use crate::domain::import::spreadsheet::rights::RightsChange;
use crate::entity::import_file::{self, Column};
use crate::entity::import_job::Model;
use crate::error::{Error, Result};
use crate::tools::clock::Now;
use crate::tools::sheet::read::Sheets;

/// The report of a dry run, or of an application that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The sheets of the workbook.
    pub sheets: Sheets,
    /// The changes of rights, in the order of the rows.
    pub rights: Vec<RightsChange>,
    /// Changes of rights that the previous report does not have: accounts have changed since.
    pub new_rights: Vec<RightsChange>,
    /// Changes of rights of the previous report that are no longer made.
    pub gone_rights: Vec<RightsChange>,
    /// The errors of the rows.
    pub problems: Problems,
}

impl Report {
    fn pack(&self) -> Result<Vec<u8>> {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        serde_json::to_writer(&mut packed, self).map_err(Error::internal)?;
        packed.flush().map_err(Error::internal)?;
        packed.finish().map_err(Error::internal)
    }

    fn unpack(packed: &[u8]) -> Result<Self> {
        let mut text = Vec::new();
        DeflateDecoder::new(packed).read_to_end(&mut text).map_err(Error::internal)?;
        serde_json::from_slice(&text).map_err(Error::internal)
    }
}

impl Jobs {
    /// The last report of an import; none before the first dry run ended, once it is deleted, and for other users.
    pub async fn report(&self, now: &Now, staff: Staff<'_>, job: &Model) -> Result<Option<Report>> {
        match self.kept(now, staff, job).await? {
            Some(kept) => self.open_report(kept).await,
            None => Ok(None),
        }
    }

    pub(super) async fn open_report(&self, kept: import_file::Model) -> Result<Option<Report>> {
        let Some(sealed) = kept.report else { return Ok(None) };
        let Some(packed) = self.unseal(kept.job_id, "report", &sealed) else { return Ok(None) };
        // A report of many errors takes a while to parse.
        let opened = tokio::task::spawn_blocking(move || Report::unpack(&packed));
        opened.await.map_err(Error::internal)?.map(Some)
    }

    /// Stores a report.
    pub(super) async fn keep_report(&self, job: &Model, report: Report) -> Result<()> {
        let packed = tokio::task::spawn_blocking(move || report.pack()).await.map_err(Error::internal)??;
        let sealed = self.seal(job.id, "report", &packed);
        let kept = import_file::Entity::update_many().col_expr(Column::Report, Expr::value(sealed));
        kept.filter(Column::JobId.eq(job.id)).exec(self.db.writer()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back() {
        let sheets = Sheets { read: Some("People".to_owned()), ..Sheets::default() };
        let report = Report { sheets, ..Report::default() };
        assert_eq!(Report::unpack(&report.pack().unwrap()).unwrap(), report);
    }
}
