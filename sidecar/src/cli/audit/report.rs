//! `varco audit report`: who saw whose data, when and why (Regulation (EU) 2025/327, article 9 and Annex II §3.2).

use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use varco::store::{TrailCondition, TrailTime, TrailValue, period};
use varco_core::audit::{Access, AccessDecision};
use varco_core::interaction::Id;

use super::tell::{self, Heading};
use super::{Source, could_not_run};

/// Tells who asked for whose data: person, organisation and country, patient, categories, time, purpose, origin, and whether
/// it was given. Attempts that were denied are told as well.
///
/// It is about a patient, a resource or an agent, or about what several of them have in common. A record of a search says
/// what was asked and whose data was given, not which resources: a report about a resource tells of reads, versions,
/// histories and writes of it; what searches gave is told under its patient.
///
/// Exits 0 where the report is complete, 2 where it could not be made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco audit report --config varco.toml --patient Patient/7
  varco audit report --config varco.toml --patient 7 --from 2026-10 --to 2026-10 --output html > accesses.html
  varco audit report --store backup/varco.sqlite --patient 7 --output json
  varco audit report --config varco.toml --resource Observation/7 --from 2026-10
  varco audit report --config varco.toml --agent 'urn:oid:2.16.840.1.113883.2.9.4.1.2|030943' --to 2026-12-31
  varco audit report --config varco.toml --agent RSSMRA71E01F205E --patient 7

A date may be a year, a month, a day or a time; --to includes all of it. With --output json, one object is printed:
its `accesses` hold recorded, interaction, person, name, roles, organizations, countries, application, address,
patients, resources, purposes, categories, decision, reason, site and id. Over HTTP the same records are AuditEvent?patient=Patient/7.")]
#[command(group(ArgGroup::new("about").required(true).multiple(true).args(["patient", "resource", "agent"])))]
pub struct Report {
    #[command(flatten)]
    source: Source,
    /// The patient of the hospital's server: Patient/7, or 7.
    #[arg(long, value_name = "PATIENT")]
    patient: Option<String>,
    /// A resource of the hospital's server: Observation/7.
    #[arg(long, value_name = "TYPE/ID")]
    resource: Option<String>,
    /// A person, an organisation or an application by its identifier: SYSTEM|VALUE, or the value alone.
    #[arg(long, value_name = "IDENTIFIER")]
    agent: Option<String>,
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
        let asked = match self.asked() {
            Ok(asked) => asked,
            Err(fault) => return could_not_run(fault),
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
        let removed = match trail.reader.anchor() {
            Ok(anchor) => anchor.map(|anchor| anchor.removed),
            Err(error) => return could_not_run(error),
        };
        let heading = Heading {
            patient: asked.patient,
            resource: asked.resource,
            agent: self.agent,
            site: trail.site,
            from: self.from,
            to: self.to,
            made: Timestamp::now(),
            removed,
        };
        let mut conditions = asked.conditions;
        conditions.push(TrailCondition::Recorded(vec![time]));
        let mut teller = Teller { output: self.output, zone, heading, told: 0, denied: 0 };
        teller.begin();
        let mut readable = true;
        let told = trail.reader.each(&conditions, |body| {
            match OwnedDocument::parse_json(body, &Limits::default()) {
                Ok(document) => teller.access(&Access::of(document.root())),
                Err(_) => readable = false,
            }
            readable
        });
        match told {
            Err(error) => return could_not_run(error),
            Ok(()) if !readable => {
                return could_not_run("a record can't be read; `varco audit verify` names it");
            }
            Ok(()) => {}
        }
        teller.end();
        ExitCode::SUCCESS
    }

    /// What the options ask for, or what is wrong with them.
    fn asked(&self) -> Result<Asked, &'static str> {
        let mut asked = Asked::default();
        if let Some(patient) = &self.patient {
            let id = Id::parse(patient.strip_prefix("Patient/").unwrap_or(patient))
                .ok_or("--patient names a Patient of the hospital's server, as in Patient/7")?;
            asked.patient = Some(format!("Patient/{}", id.as_str()));
        }
        if let Some(resource) = &self.resource {
            let fault = "--resource names a resource of the hospital's server, as in Observation/7";
            let (kind, id) = resource.split_once('/').ok_or(fault)?;
            let id = Id::parse(id).ok_or(fault)?;
            let named = kind.starts_with(|first: char| first.is_ascii_uppercase())
                && kind.bytes().all(|byte| byte.is_ascii_alphabetic());
            named.then_some(()).ok_or(fault)?;
            asked.conditions.push(is("entity", id.as_str(), Some(kind)));
            asked.resource = Some(format!("{kind}/{}", id.as_str()));
        }
        if let Some(agent) = &self.agent {
            let (system, value) = match agent.rsplit_once('|') {
                Some((system, value)) => (Some(system), value),
                None => (None, agent.as_str()),
            };
            if value.is_empty() {
                return Err("--agent names a person, an organisation or an application, as in \
                            urn:oid:2.16.840.1.113883.2.9.4.1.2|030943");
            }
            asked.conditions.push(is("agent:identifier", value, system));
        }
        asked
            .conditions
            .extend(asked.patient.iter().map(|patient| TrailCondition::patients([patient.as_str()])));
        Ok(asked)
    }
}

/// What a report is about.
#[derive(Default)]
struct Asked {
    patient: Option<String>,
    resource: Option<String>,
    conditions: Vec<TrailCondition>,
}

fn is(parameter: &'static str, value: &str, system: Option<&str>) -> TrailCondition {
    TrailCondition::Term { parameter, values: vec![TrailValue::is(value, system)], not: false }
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
