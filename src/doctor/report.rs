//! Findings of the doctor.

use crate::tools::text::plain;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// In order.
    Ok,
    /// Works, but should be looked at.
    Warn,
    /// Does not work.
    Fail,
}

/// Result of one check.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// Severity.
    pub level: Level,
    /// The state that was found.
    pub found: String,
    /// Advice; `None` if all is in order.
    pub remedy: Option<String>,
}

/// Findings so far.
#[derive(Debug, Default)]
pub struct Report(pub Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { check, level: Level::Ok, found: found.into(), remedy: None });
    }

    pub(super) fn warn(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        let (found, remedy) = (found.into(), Some(remedy.into()));
        self.0.push(Finding { check, level: Level::Warn, found, remedy });
    }

    pub(super) fn fail(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        let (found, remedy) = (found.into(), Some(remedy.into()));
        self.0.push(Finding { check, level: Level::Fail, found, remedy });
    }

    /// Number of findings with this level.
    pub fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }
}

impl Finding {
    /// Text of the finding, with the remedy on a second line.
    pub fn lines(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let mut lines = format!("{level}  {:9} {}", self.check, plain(&self.found));
        if let Some(remedy) = &self.remedy {
            lines.push_str(&format!("\n                → {}", plain(remedy)));
        }
        lines
    }
}
