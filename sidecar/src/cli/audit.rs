//! `varco audit`: the audit trail, proven and told.
//!
//! Exit codes are a contract: 0 all well, 1 the trail is not as it was written, 2 could not run.

mod report;
mod review;
mod tell;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use varco::config;
use varco::store::TrailReader;

use super::{check, say};

/// Proves that the audit trail is as it was written, and tells patients who saw their data.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Report(report::Report),
    Review(review::Review),
    Verify(verify::Verify),
}

impl Audit {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            AuditCommand::Report(command) => command.run(),
            AuditCommand::Review(command) => command.run(),
            AuditCommand::Verify(command) => command.run(),
        }
    }
}

/// Where the trail is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The sidecar's configuration file; the sidecar may be running.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The store's database file alone, such as a copy on another machine.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// A trail, and how its hospital writes times.
struct Trail {
    reader: TrailReader,
    zone: TimeZone,
    site: Option<String>,
}

impl Source {
    /// Opens the trail; says why where it can't be.
    fn open(&self) -> Result<Trail, ExitCode> {
        let (path, zone, site) = match (&self.config, &self.store) {
            (Some(path), _) => {
                let config = config::load(path).map_err(|error| {
                    check::show(&error);
                    ExitCode::from(2)
                })?;
                let site = config.site.name.unwrap_or(config.site.id);
                (config.store.path, config.consent.time_zone, Some(site))
            }
            (None, Some(path)) => (path.clone(), "Europe/Rome".to_owned(), None),
            (None, None) => return Err(ExitCode::from(2)),
        };
        let reader = TrailReader::open(&path).map_err(could_not_run)?;
        Ok(Trail { reader, zone: TimeZone::get(&zone).unwrap_or(TimeZone::UTC), site })
    }
}

fn could_not_run(fault: impl std::fmt::Display) -> ExitCode {
    say::note(format!("varco audit: {fault}"));
    ExitCode::from(2)
}
