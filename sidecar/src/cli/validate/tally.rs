//! What a run comes to: counts by resource type and by rule, and how fast it went.

use std::collections::BTreeMap;
use std::time::Instant;

use fhir_models::document::Name;
use varco_core::outcome::Issue;

/// Counts of one run.
#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    /// Resources read.
    pub resources: usize,
    /// Fatal issues and errors.
    pub errors: usize,
    /// All issues that were to be printed or kept.
    pub issues: usize,
    /// Codes that no value set at hand could judge.
    pub unknown_codes: usize,
    faulty: usize,
    bytes: usize,
    /// Resources and faulty resources by type.
    types: BTreeMap<String, (usize, usize)>,
    rules: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn start() -> Tally {
        Tally {
            started: Instant::now(),
            resources: 0,
            errors: 0,
            issues: 0,
            unknown_codes: 0,
            faulty: 0,
            bytes: 0,
            types: BTreeMap::new(),
            rules: BTreeMap::new(),
        }
    }

    /// Counts a resource and its issues.
    pub fn resource(&mut self, resource_type: Option<&str>, issues: &[Issue], bytes: usize) {
        let errors = issues.iter().filter(|issue| issue.severity.is_error()).count();
        self.resources += 1;
        self.errors += errors;
        self.faulty += usize::from(errors > 0);
        self.bytes += bytes;
        // Names outside FHIR come from the input and would grow without bound.
        let known = resource_type.filter(|text| Name::of(text) != Name::UNKNOWN).unwrap_or("(no FHIR type)");
        let of_type = self.types.entry(known.to_owned()).or_default();
        of_type.0 += 1;
        of_type.1 += usize::from(errors > 0);
        for rule in issues.iter().filter_map(|issue| issue.rule) {
            *self.rules.entry(rule).or_default() += 1;
        }
    }

    /// All in one line.
    pub fn line(&self) -> String {
        let mut line = match (self.resources, self.faulty) {
            (0, _) => "no resource was read".to_owned(),
            (1, 0) => "1 resource checked: no error".to_owned(),
            (1, _) => format!("1 resource checked: {}", counted(self.errors, "error")),
            (all, 0) => format!("{all} resources checked: no error"),
            (all, faulty) => {
                format!("{all} resources checked: {faulty} with {}", counted(self.errors, "error"))
            }
        };
        if self.unknown_codes > 0 {
            line += &format!(
                "; {} could not be judged by the value sets at hand",
                counted(self.unknown_codes, "code")
            );
        }
        line
    }

    /// The line, and for several resources the tables.
    pub fn summary(&self) -> String {
        let mut text = self.line();
        if self.resources < 2 {
            return text;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let megabytes = self.bytes as f64 / 1e6;
        if megabytes >= 1.0 {
            let speed = megabytes / seconds.max(1e-9);
            text += &format!("\n{megabytes:.1} MB in {seconds:.2} s: {speed:.0} MB/s");
        }
        text += "\n\n  resources  faulty  type";
        for (name, (all, faulty)) in &self.types {
            text += &format!("\n  {all:>9}  {faulty:>6}  {name}");
        }
        if !self.rules.is_empty() {
            text += "\n\n     issues  rule";
            for (rule, count) in &self.rules {
                text += &format!("\n  {count:>9}  {rule}");
            }
        }
        text
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
