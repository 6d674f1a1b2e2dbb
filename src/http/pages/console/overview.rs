//! The overview: figures, charts, and what needs attention.

use askama::Template;
use axum::response::Response;

use super::super::frame::Frame;
use super::StaffVisit;
use super::chart::Chart;
use super::shell::{Page, Screen, Shell};
use crate::doctor;
use crate::doctor::report::{Finding, Level};
use crate::domain::statistics::{self, Day, Statistics};
use crate::error::Result;
use crate::texts::Text;

/// Numbers of days to choose from.
const DAYS: [i32; 2] = [30, 90];

/// `GET /console`
pub(super) async fn show(staff: StaffVisit) -> Response {
    match load(&staff).await {
        Ok(page) => staff.show(&page),
        Err(error) => staff.refuse(Screen::Overview, error),
    }
}

async fn load(staff: &StaffVisit) -> Result<Overview<'_>> {
    let (app, now) = (&staff.visit.app, &staff.visit.now);
    let viewer = staff.staff()?;
    let asked = staff.visit.parameter("days").parse().ok();
    let days = DAYS.into_iter().find(|days| Some(*days) == asked).unwrap_or(DAYS[0]);
    let figures = statistics::count(&app.db, now, *viewer, &app.presence, &app.past_days, days).await?;
    let findings = match viewer.superuser() {
        Ok(_) => doctor::examine(&app.config, None).await?.0,
        Err(_) => Vec::new(),
    };
    let chart = |id, title, value: fn(&Day) -> u64| Chart::new(id, title, &figures.days, value);
    Ok(Overview {
        frame: staff.frame(),
        shell: Shell::new(Screen::Overview, Text::new("console-overview-title").english()),
        charts: [
            chart("sign-ins", Text::new("console-chart-sign-ins"), |day| day.sign_ins),
            chart("failures", Text::new("console-chart-failures"), |day| day.failed_sign_ins),
            chart("registrations", Text::new("console-chart-registrations"), |day| day.registrations),
        ],
        figures,
        days,
        findings: findings.into_iter().filter(|finding| finding.level != Level::Ok).collect(),
    })
}

#[derive(Template)]
#[template(path = "console/overview.html", config = "src/http/pages/askama.toml")]
struct Overview<'a> {
    frame: Frame<'a>,
    shell: Shell,
    figures: Statistics,
    charts: [Chart; 3],
    days: i32,
    findings: Vec<Finding>,
}

impl Page for Overview<'_> {
    fn shell(&self) -> &Shell {
        &self.shell
    }
}

/// A number with its label, the list that it counts, and true if it should be zero.
struct Figure {
    label: Text,
    number: u64,
    path: &'static str,
    is_bad: bool,
}

impl Overview<'_> {
    fn figures(&self) -> [Figure; 7] {
        let found = &self.figures;
        let figure = |label, number, path| Figure { label, number, path, is_bad: false };
        let bad = |label, number, path| Figure { label, number, path, is_bad: number > 0 };
        [
            figure(Text::new("console-figure-users"), found.users, "/console/users"),
            figure(Text::new("console-figure-active"), found.active, "/console/users?isActive=true"),
            figure(Text::new("console-figure-verified"), found.verified, "/console/users?isVerified=true"),
            figure(Text::new("console-figure-online"), found.online, "/console/users?isOnline=true"),
            bad(
                Text::new("console-figure-staff-without-factor"),
                found.staff_without_second_factor,
                "/console/users?isStaff=true&hasSecondFactor=false",
            ),
            figure(Text::new("console-figure-mails-waiting"), found.mails_waiting, "/console/mails?status=QUEUED"),
            bad(Text::new("console-figure-mails-failed"), found.mails_failed, "/console/mails?status=FAILED"),
        ]
    }

    /// Numbers of days to choose from, with true for the present one.
    fn spans(&self) -> impl Iterator<Item = (i32, String, bool)> {
        let label =
            |days: i32| Text::new("console-days").with("count", u64::try_from(days).unwrap_or_default()).english();
        DAYS.into_iter().map(move |days| (days, label(days), days == self.days))
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    fn has_failed(&self, finding: &Finding) -> bool {
        finding.level == Level::Fail
    }
}
