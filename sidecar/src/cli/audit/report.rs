//! `varco audit report`: who saw a patient's data, when and why (Regulation (EU) 2025/327, article 9).

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use varco::store::{TrailCondition, TrailSearch, TrailTime, period};
use varco_core::audit::{Access, AccessDecision};
use varco_core::interaction::Id;

use super::tell::{self, Heading};
use super::{Source, could_not_run};

/// Records read at a time.
const STEP: usize = 500;

/// Tells who asked for a patient's data: person, organisation and country, time, categories, purpose, and whether it
/// was given. Attempts that were denied are told as well.
///
/// Exits 0 where the report is complete, 2 where it could not be made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco audit report --config varco.toml --patient Patient/7
  varco audit report --config varco.toml --patient 7 --from 2026-10 --to 2026-10 --output html > accesses.html
  varco audit report --store backup/varco.sqlite --patient 7 --output json

A date may be a year, a month, a day or a time; --to includes all of it. With --output json, one object is printed:
its `accesses` hold recorded, interaction, person, name, roles, organizations, countries, application, address,
purposes, categories, decision, reason, site and id. Over HTTP the same records are AuditEvent?patient=Patient/7.")]
pub struct Report {
    #[command(flatten)]
    source: Source,
    /// The patient of the hospital's server: Patient/7, or 7.
    #[arg(long, value_name = "PATIENT")]
    patient: String,
    /// From this date on.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Until the end of this date.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// How to print the report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    Html,
}

impl Report {
    pub fn run(self) -> ExitCode {
        let Some(patient) = Id::parse(self.patient.strip_prefix("Patient/").unwrap_or(&self.patient)) else {
            return could_not_run("--patient names a Patient of the hospital's server, as in Patient/7");
        };
        let trail = match self.source.open() {
            Ok(trail) => trail,
            Err(code) => return code,
        };
        let zone = trail.zone;
        let mut times = [None, None];
        for (time, asked) in times.iter_mut().zip([&self.from, &self.to]) {
            if let Some(text) = asked {
                *time = period(text, &zone);
                if time.is_none() {
                    return could_not_run(format!("{text} is no date; write it as 2026-10-31 or 2026-10"));
                }
            }
        }
        let [from, to] = times;
        let time = TrailTime::between(from.map(|(first, _)| first), to.map(|(_, after)| after));
        let mut wanted = TrailSearch {
            conditions: vec![
                TrailCondition::Patients(vec![format!("Patient/{}", patient.as_str())]),
                TrailCondition::Recorded(vec![time]),
            ],
            oldest_first: true,
            after: None,
            most: STEP,
        };
        let heading = Heading {
            patient: format!("Patient/{}", patient.as_str()),
            site: trail.site,
            from: self.from,
            to: self.to,
            made: Timestamp::now(),
        };
        let mut teller = Teller { output: self.output, zone, heading, told: 0, denied: 0 };
        teller.begin();
        loop {
            let page = match trail.reader.page(&wanted) {
                Ok(page) => page,
                Err(error) => return could_not_run(error),
            };
            for body in page.records {
                match OwnedDocument::parse_json(body, &Limits::default()) {
                    Ok(document) => teller.access(&Access::of(document.root())),
                    Err(_) => return could_not_run("a record can't be read; `varco audit verify` names it"),
                }
            }
            match page.next {
                Some(next) => wanted.after = Some(next),
                None => break,
            }
        }
        teller.end();
        ExitCode::SUCCESS
    }
}

/// Prints each access as it is read: the report takes no more memory than a page.
struct Teller {
    output: Output,
    zone: TimeZone,
    heading: Heading,
    told: u64,
    denied: u64,
}

impl Teller {
    fn begin(&self) {
        match self.output {
            Output::Text => tell::text_begin(&self.heading),
            Output::Json => tell::json_begin(&self.heading),
            Output::Html => tell::html_begin(&self.heading, &self.zone),
        }
    }

    fn access(&mut self, access: &Access) {
        match self.output {
            Output::Text => tell::text(access, &self.zone),
            Output::Json => tell::json(access, self.told == 0),
            Output::Html => tell::html(access, &self.zone),
        }
        self.told += 1;
        self.denied += u64::from(access.decision == AccessDecision::NotGiven);
    }

    fn end(&self) {
        match self.output {
            Output::Text => tell::text_end(self.told, self.denied),
            Output::Json => tell::json_end(self.told, self.denied),
            Output::Html => tell::html_end(self.told, self.denied),
        }
    }
}
