//! The id of an element agrees with its path and slice name (FHIR R4 §2.29.0.3).
//!
//! Tools find elements by their ids; one that contradicts its path is found at the wrong place.

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::doubtful;
use super::element::Subject;

/// Checks the id of an element.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>) {
    let element = subject.element;
    let message = if !names_path(&element.id, &element.path) {
        format!("the id {} and the path {} name different elements", plain(&element.id), plain(&element.path))
    } else if let Some(slice) = &element.slice_name
        && element.id.contains(':')
        && !element.id.ends_with(&format!(":{slice}"))
    {
        format!("the id {} and the sliceName {} name different slices", plain(&element.id), plain(slice))
    } else {
        return;
    };
    doubtful(walk, subject.value, IssueType::Invalid, message);
}

/// True where an id leads along a path: slices aside, and whichever way a choice is written.
fn names_path(id: &str, path: &str) -> bool {
    let mut names = path.split('.');
    for step in id.split('.') {
        let Some(name) = names.next() else { return false };
        let (own, slice) = match step.split_once(':') {
            Some((own, slice)) => (own, Some(slice)),
            None => (step, None),
        };
        let same = |a: &str, b: &str| {
            let stem = a.strip_suffix("[x]");
            a == b || stem.is_some_and(|stem| b.starts_with(stem))
        };
        if !same(own, name) && !same(name, own) && slice != Some(name) {
            return false;
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::names_path;

    #[test]
    fn slices_and_choices_do_not_matter() {
        assert!(names_path("Observation.component:systolic.code", "Observation.component.code"));
        assert!(names_path("Observation.value[x]:valueQuantity.unit", "Observation.valueQuantity.unit"));
        assert!(names_path("Observation.valueQuantity", "Observation.value[x]"));
        assert!(!names_path("Observation.code", "Observation.component.code"));
        assert!(!names_path("Observation.component", "Observation.code"));
        assert!(!names_path("Observation.code.text", "Observation.code"));
    }
}
