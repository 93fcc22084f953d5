//! Element paths out of the expressions of search parameters.
//!
//! Nearly all expressions of R4's reference parameters are plain paths with a type filter at the end:
//! `Observation.subject.where(resolve() is Patient)`, `(Composition.relatesTo.target as Identifier)`. Those are
//! read here; whatever is more than that is counted as unread, and its owner must then assume the worst.

use fhir_models::document::{Name, Value};

/// A path of element names below a resource: `Patient.link.other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementPath {
    steps: Box<[Name]>,
}

impl ElementPath {
    /// The element names, without the resource type.
    pub fn steps(&self) -> &[Name] {
        &self.steps
    }

    /// The values at the path, items of arrays each for itself.
    pub fn values<'a>(&self, resource: Value<'a>) -> Vec<Value<'a>> {
        resource.path(&self.steps)
    }
}

/// The paths of an expression that concern one resource type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElementPaths {
    /// Those that could be read.
    pub paths: Vec<ElementPath>,
    /// How many alternatives of the expression are more than a path.
    pub unread: usize,
}

/// Reads the alternatives of an expression (joined by `|`) that begin with the resource type.
pub fn element_paths(resource_type: &str, expression: &str) -> ElementPaths {
    let mut found = ElementPaths::default();
    for alternative in alternatives(expression) {
        let bare = alternative.trim_start_matches(['(', ' ']);
        let own = bare
            .strip_prefix(resource_type)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', ')']));
        if !own {
            continue;
        }
        match path(resource_type, alternative) {
            Some(path) => found.paths.push(path),
            None => found.unread += 1,
        }
    }
    found
}

/// The parts between `|` that stand in no bracket.
fn alternatives(expression: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    expression
        .split(move |character| {
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && character == '|'
        })
        .map(str::trim)
}

fn path(resource_type: &str, alternative: &str) -> Option<ElementPath> {
    let mut text = alternative;
    while let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        text = inner.trim();
    }
    let mut cast = None;
    if let Some((before, after)) = text.rsplit_once(".where(resolve() is ") {
        after.strip_suffix(')').filter(|target| is_word(target))?;
        text = before;
    } else if let Some((before, target)) = text.rsplit_once(" as ") {
        (text, cast) = (before, Some(target));
    } else if let Some(rest) = text.strip_suffix(')') {
        let (before, target) = rest.rsplit_once(".as(").or_else(|| rest.rsplit_once(".ofType("))?;
        (text, cast) = (before, Some(target));
    }
    let mut steps: Vec<Name> = Vec::new();
    let below = text.trim().strip_prefix(resource_type)?.strip_prefix('.')?;
    let mut words = below.split('.').peekable();
    while let Some(word) = words.next() {
        let name = match cast {
            Some(target) if words.peek().is_none() => {
                let target = target.trim();
                let mut letters = target.chars();
                let first = letters.next().filter(|_| is_word(target))?.to_ascii_uppercase();
                let choice = Name::of(&format!("{word}{first}{}", letters.as_str()));
                // A cast of an element that has one type only, as in `Patient.deceased as dateTime`.
                if choice == Name::UNKNOWN { Name::of(word) } else { choice }
            }
            _ => Name::of(word),
        };
        if name == Name::UNKNOWN || !is_word(word) {
            return None;
        }
        steps.push(name);
    }
    Some(ElementPath { steps: steps.into() })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(resource_type: &str, expression: &str) -> (Vec<String>, usize) {
        let found = element_paths(resource_type, expression);
        let text = |path: &ElementPath| {
            let steps: Vec<&str> = path.steps().iter().map(|name| name.text()).collect();
            steps.join(".")
        };
        (found.paths.iter().map(text).collect(), found.unread)
    }

    #[test]
    fn plain_paths_and_type_filters_are_read() {
        let clinical = "AllergyIntolerance.patient | Condition.subject.where(resolve() is Patient) | Immunization.patient";
        assert_eq!(read("Condition", clinical), (vec!["subject".to_owned()], 0));
        assert_eq!(read("Observation", clinical), (vec![], 0));
        assert_eq!(read("Patient", "Patient.link.other"), (vec!["link.other".to_owned()], 0));
        let audit = "AuditEvent.agent.who.where(resolve() is Patient) | AuditEvent.entity.what.where(resolve() is Patient)";
        assert_eq!(read("AuditEvent", audit).0, ["agent.who", "entity.what"]);
    }

    #[test]
    fn casts_name_the_choice() {
        for expression in [
            "(Composition.relatesTo.target as Identifier)",
            "Composition.relatesTo.target.as(Identifier)",
            "Composition.relatesTo.target.ofType(Identifier)",
        ] {
            assert_eq!(read("Composition", expression), (vec!["relatesTo.targetIdentifier".to_owned()], 0));
        }
        assert_eq!(read("Patient", "(Patient.deceased as dateTime)").0, ["deceasedDateTime"]);
    }

    #[test]
    fn more_than_a_path_is_unread() {
        for expression in [
            "Patient.telecom.where(system='phone')",
            "Patient.deceased.exists() and Patient.deceased != false",
            "Patient.link[0].other",
            "Patient",
            "Patient.link.other.where(resolve() is Patient).first()",
        ] {
            assert_eq!(read("Patient", expression), (vec![], 1), "{expression}");
        }
    }

    #[test]
    fn a_type_is_compared_whole() {
        assert_eq!(read("Medication", "MedicationRequest.subject"), (vec![], 0));
    }
}
