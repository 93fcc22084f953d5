//! What a run found, kept within bounds: the same fault once, with a count and its first places.
//!
//! Two findings are the same fault if severity, rule and message agree and the element does but for
//! the numbers of repetitions; for a report by file, the input too. Invariant: memory is bounded by the number of
//! different faults kept ([`MOST_FAULTS`]) and not by the number of findings.

use std::collections::HashMap;
use std::sync::Arc;

use varco_core::outcome::{Issue, IssueSeverity};

use super::excerpt::{Excerpt, visible};
use super::input::Record;

/// Most different faults kept; the rest is counted.
pub(super) const MOST_FAULTS: usize = 5_000;
/// Most places of one fault kept; the rest is counted.
const MOST_PLACES: usize = 20;
/// Most profiles of one fault kept.
const MOST_PROFILES: usize = 8;

/// A fault, and where it was seen.
#[derive(Debug)]
pub(super) struct Fault {
    pub severity: IssueSeverity,
    /// Empty: no rule spoke.
    pub rule: &'static str,
    pub message: String,
    /// The element where it was first seen.
    pub element: Option<String>,
    pub excerpt: Option<Excerpt>,
    /// How often it was seen.
    pub count: usize,
    /// The first places, in the order in which they were seen: one at least.
    pub places: Vec<Place>,
    /// Profiles, or else the types, of the resources it was seen in.
    pub profiles: Vec<Arc<str>>,
}

/// A place in an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub input: Arc<str>,
    /// Line and column from 1; `None` where the input as a whole is meant.
    pub at: Option<(usize, usize)>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    severity: IssueSeverity,
    rule: &'static str,
    message: String,
    element: Option<String>,
    input: Option<Arc<str>>,
}

/// All faults of a run.
#[derive(Debug, Default)]
pub(super) struct Findings {
    by_input: bool,
    known: HashMap<Key, usize>,
    faults: Vec<Fault>,
    /// Findings that are only counted.
    pub beyond: usize,
}

impl Findings {
    /// Nothing found yet. `by_input`: the same fault in two inputs counts as two.
    pub fn new(by_input: bool) -> Findings {
        Findings { by_input, known: HashMap::new(), faults: Vec::new(), beyond: 0 }
    }

    /// Adds what was found in a record of this input.
    pub fn add(
        &mut self,
        issue: &Issue,
        input: &Arc<str>,
        record: Option<&Record<'_>>,
        profiles: &[Arc<str>],
    ) {
        let before = record.map_or(0, |record| record.line);
        let at = issue.position.map(|position| (position.line + before, position.column));
        let place = Place { input: Arc::clone(input), at };
        let key = Key {
            severity: issue.severity,
            rule: issue.rule.unwrap_or_default(),
            message: issue.message.clone(),
            element: element(issue).map(without_numbers),
            input: self.by_input.then(|| Arc::clone(input)),
        };
        let full = self.faults.len() >= MOST_FAULTS;
        let number = match self.known.get(&key) {
            Some(&known) => known,
            None if full => {
                self.beyond += 1;
                return;
            }
            None => {
                let excerpt =
                    issue.position.zip(record).map(|(position, record)| Excerpt::of(record.text, position));
                self.faults.push(Fault {
                    severity: issue.severity,
                    rule: key.rule,
                    message: visible(&issue.message).into_owned(),
                    element: element(issue).map(|it| visible(it).into_owned()),
                    excerpt,
                    count: 0,
                    places: Vec::new(),
                    profiles: Vec::new(),
                });
                self.known.insert(key, self.faults.len() - 1);
                self.faults.len() - 1
            }
        };
        let Some(fault) = self.faults.get_mut(number) else { return };
        fault.count += 1;
        if fault.places.len() < MOST_PLACES {
            fault.places.push(place);
        }
        for profile in profiles {
            if fault.profiles.len() < MOST_PROFILES && !fault.profiles.contains(profile) {
                fault.profiles.push(Arc::clone(profile));
            }
        }
    }

    /// The faults, the worst first, then in the order in which they were first seen.
    pub fn sorted(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| fault.severity);
        self.faults
    }
}

/// The element that an issue is about: FHIR's, or else that of the text.
fn element(issue: &Issue) -> Option<&str> {
    issue.expression.as_deref().or(issue.location.as_deref())
}

/// An expression without the numbers of repetitions: `Patient.name.given` for `Patient.name[0].given[1]`.
fn without_numbers(expression: &str) -> String {
    let mut depth = 0usize;
    expression
        .chars()
        .filter(|c| {
            depth += usize::from(*c == '[');
            let kept = depth == 0;
            depth = depth.saturating_sub(usize::from(*c == ']'));
            kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use fhir_models::document::Position;
    use varco_core::outcome::IssueType;

    use super::*;

    fn seen(findings: &mut Findings, message: &str, element: &str, input: &str, line: usize) {
        let issue = Issue::error(IssueType::Value, message).at(element).on(Position { line: 1, column: 2 });
        let text = b"{\"a\": 1}";
        let record = Record { text, line: line - 1, of_many: true, byte_order_mark: false, read: 8 };
        findings.add(&issue, &Arc::from(input), Some(&record), &[Arc::from("Patient")]);
    }

    #[test]
    fn the_same_fault_is_kept_once_and_counted() {
        let mut findings = Findings::new(false);
        for line in 1..=30 {
            seen(&mut findings, "wrong", &format!("Patient.name[{line}].given[0]"), "a.ndjson", line);
        }
        seen(&mut findings, "wrong", "Patient.contact[0].name", "a.ndjson", 31);
        seen(&mut findings, "wrong", "Patient.name[0].given[0]", "b.ndjson", 7);
        let faults = findings.sorted();
        let counts: Vec<_> = faults.iter().map(|fault| (fault.count, fault.places.len())).collect();
        assert_eq!(counts, [(31, MOST_PLACES), (1, 1)]);
        assert_eq!(
            faults.first().and_then(|fault| fault.element.as_deref()),
            Some("Patient.name[1].given[0]")
        );
        assert_eq!(faults.first().and_then(|it| it.places.get(1)).and_then(|it| it.at), Some((2, 2)));
    }

    #[test]
    fn by_input_each_has_its_own() {
        let mut findings = Findings::new(true);
        seen(&mut findings, "wrong", "Patient.name", "a.json", 1);
        seen(&mut findings, "wrong", "Patient.name", "b.json", 1);
        assert_eq!(findings.sorted().len(), 2);
    }

    #[test]
    fn the_worst_stands_first_and_memory_is_bounded() {
        let mut findings = Findings::new(false);
        for number in 0..MOST_FAULTS + 3 {
            seen(&mut findings, &number.to_string(), "Patient", "a.json", 1);
        }
        assert_eq!(findings.beyond, 3);
        let mut findings = Findings::new(false);
        let warning = Issue::new(IssueSeverity::Warning, IssueType::Value, "w");
        findings.add(&warning, &Arc::from("a"), None, &[]);
        seen(&mut findings, "e", "Patient", "a.json", 1);
        assert_eq!(findings.sorted().iter().map(|it| it.message.as_str()).collect::<Vec<_>>(), ["e", "w"]);
    }
}
