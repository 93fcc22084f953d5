//! What a run comes to: counts by type, by profile and by rule, what could not be judged, and how fast it went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use varco_core::outcome::IssueSeverity;

use super::checker::Checked;

/// Most names from the input that are counted apart: they must not grow memory without bound.
const MOST_NAMES: usize = 1_000;
/// What is counted under no name of its own.
const OTHERS: &str = "(others)";
/// What has no type of FHIR's.
pub(super) const NO_TYPE: &str = "(no FHIR type)";

/// Resources, and those with errors.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub all: usize,
    pub faulty: usize,
}

/// Counts of one run.
#[derive(Debug)]
pub(super) struct Tally {
    started: Instant,
    /// Fatal issues and errors.
    pub errors: usize,
    pub warnings: usize,
    pub notes: usize,
    /// Codes that no value set at hand could judge.
    pub unknown_codes: usize,
    /// Invariants that could not be evaluated.
    pub unchecked_invariants: usize,
    /// All resources.
    pub total: Share,
    /// Resources without error that have a warning.
    pub warned: usize,
    pub bytes: usize,
    pub types: BTreeMap<Arc<str>, Share>,
    pub profiles: BTreeMap<Arc<str>, Share>,
    /// Issues by rule.
    pub rules: BTreeMap<&'static str, usize>,
}

/// How fast a run was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub seconds: f64,
    pub resources_per_second: f64,
    /// Millions of bytes a second.
    pub megabytes_per_second: f64,
}

impl Tally {
    /// Nothing counted yet; the time runs.
    pub fn start() -> Tally {
        Tally {
            started: Instant::now(),
            errors: 0,
            warnings: 0,
            notes: 0,
            unknown_codes: 0,
            unchecked_invariants: 0,
            total: Share::default(),
            warned: 0,
            bytes: 0,
            types: BTreeMap::new(),
            profiles: BTreeMap::new(),
            rules: BTreeMap::new(),
        }
    }

    /// Counts a resource of so many bytes. Gives what it is known by: the profiles that it claims, else its
    /// type.
    pub fn resource(&mut self, checked: &Checked, bytes: usize) -> Vec<Arc<str>> {
        let (mut errors, mut warnings) = (0, 0);
        for issue in &checked.issues {
            match issue.severity {
                IssueSeverity::Fatal | IssueSeverity::Error => errors += 1,
                IssueSeverity::Warning => warnings += 1,
                IssueSeverity::Information => self.notes += 1,
            }
            if let Some(rule) = issue.rule {
                *self.rules.entry(rule).or_default() += 1;
            }
        }
        self.errors += errors;
        self.warnings += warnings;
        self.unknown_codes += checked.unknown_codes;
        self.unchecked_invariants += checked.unchecked_invariants;
        self.bytes += bytes;
        let faulty = errors > 0;
        self.total.add(faulty);
        self.warned += usize::from(!faulty && warnings > 0);
        let own_type =
            add(&mut self.types, checked.resource_type.map_or(NO_TYPE, |name| name.text()), faulty);
        if checked.profiles.is_empty() {
            return vec![own_type];
        }
        checked.profiles.iter().map(|profile| add(&mut self.profiles, profile, faulty)).collect()
    }

    /// How fast it went so far.
    pub fn pace(&self) -> Pace {
        let seconds = self.started.elapsed().as_secs_f64();
        let per_second = |amount: f64| amount / seconds.max(1e-9);
        Pace {
            seconds,
            resources_per_second: per_second(self.total.all as f64),
            megabytes_per_second: per_second(self.bytes as f64 / 1e6),
        }
    }

    /// All in one line.
    pub fn line(&self) -> String {
        let mut line = match (self.total.all, self.total.faulty) {
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
        if self.total.all < 2 {
            return text;
        }
        let pace = self.pace();
        text += &format!(
            "\n{:.1} MB in {:.2} s: {:.0} resources/s, {:.1} MB/s",
            self.bytes as f64 / 1e6,
            pace.seconds,
            pace.resources_per_second,
            pace.megabytes_per_second
        );
        for (head, shares) in [("type", &self.types), ("profile claimed", &self.profiles)] {
            if shares.is_empty() {
                continue;
            }
            text += &format!("\n\n  resources  faulty  {head}");
            for (name, share) in shares {
                text += &format!("\n  {:>9}  {:>6}  {name}", share.all, share.faulty);
            }
        }
        if !self.rules.is_empty() {
            text += "\n\n     issues  rule";
            for (rule, count) in &self.rules {
                text += &format!("\n  {count:>9}  {rule}");
            }
        }
        if self.unchecked_invariants > 0 {
            text += &format!(
                "\n\n{} could not be evaluated: counted, not held against the resources",
                counted(self.unchecked_invariants, "invariant")
            );
        }
        text
    }
}

impl Share {
    fn add(&mut self, faulty: bool) {
        self.all += 1;
        self.faulty += usize::from(faulty);
    }
}

/// Counts a resource under a name from the input; gives the name it was counted under.
fn add(shares: &mut BTreeMap<Arc<str>, Share>, name: &str, faulty: bool) -> Arc<str> {
    let own = super::excerpt::visible(name);
    let full = shares.len() >= MOST_NAMES && !shares.contains_key(&*own);
    let name: Arc<str> = Arc::from(if full { OTHERS } else { &*own });
    shares.entry(Arc::clone(&name)).or_default().add(faulty);
    name
}

/// `1 error`, `2 errors`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use fhir_models::document::Name;
    use varco_core::outcome::{Issue, IssueType};

    use super::*;

    fn checked(type_name: &str, profiles: &[&str], severities: &[IssueSeverity]) -> Checked {
        Checked {
            issues: severities.iter().map(|it| Issue::new(*it, IssueType::Value, "x")).collect(),
            resource_type: Some(Name::of(type_name)),
            profiles: profiles.iter().map(|it| (*it).to_owned()).collect(),
            unknown_codes: 1,
            unchecked_invariants: 2,
        }
    }

    #[test]
    fn resources_are_counted_by_type_and_by_profile() {
        let mut tally = Tally::start();
        let own = tally.resource(&checked("Patient", &[], &[IssueSeverity::Error]), 10);
        assert_eq!(own, [Arc::from("Patient")]);
        let own =
            tally.resource(&checked("Patient", &["http://a", "http://b"], &[IssueSeverity::Warning]), 5);
        assert_eq!(own, [Arc::from("http://a"), Arc::from("http://b")]);
        assert_eq!(tally.types.get("Patient"), Some(&Share { all: 2, faulty: 1 }));
        assert_eq!(tally.profiles.get("http://b"), Some(&Share { all: 1, faulty: 0 }));
        assert_eq!((tally.errors, tally.warnings, tally.warned, tally.bytes), (1, 1, 1, 15));
        let summary = tally.summary();
        assert!(summary.contains("2 resources checked: 1 with 1 error; 2 codes could not"), "{summary}");
        assert!(summary.contains("          1       0  http://b"), "{summary}");
        assert!(summary.contains("4 invariants could not be evaluated"), "{summary}");
    }

    #[test]
    fn names_from_the_input_do_not_grow_memory() {
        let mut tally = Tally::start();
        for number in 0..MOST_NAMES + 50 {
            tally.resource(&checked("Patient", &[&format!("http://p/{number}")], &[]), 1);
        }
        assert_eq!(tally.profiles.len(), MOST_NAMES + 1);
        assert_eq!(tally.profiles.get(OTHERS), Some(&Share { all: 50, faulty: 0 }));
    }
}
