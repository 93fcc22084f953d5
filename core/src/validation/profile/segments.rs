//! The way from a profile's root to an element, out of its id or its path and slice name.
//!
//! An id names every slice on the way (`Observation.component:systolic.code`). A differential written by hand
//! may lack ids; then the slice names of the elements before tell which slice a path goes through.

use fhir_models::definition::ElementDefinition;

/// One step: an element's name, and a slice of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub name: String,
    pub slice: Option<String>,
}

impl Segment {
    fn read(text: &str) -> Segment {
        match text.split_once(':') {
            Some((name, slice)) => Segment { name: name.to_owned(), slice: Some(slice.to_owned()) },
            None => Segment { name: text.to_owned(), slice: None },
        }
    }
}

/// The way to each element, the root's own step left out.
pub(crate) fn ways(elements: &[ElementDefinition]) -> Vec<Vec<Segment>> {
    let without_ids = elements.iter().any(|it| it.slice_name.is_some() && !it.id.contains(':'));
    if !without_ids {
        return elements
            .iter()
            .map(|element| split(&element.id).skip(1).map(Segment::read).collect())
            .collect();
    }
    let mut ways = Vec::with_capacity(elements.len());
    // The slices that are open: depth and name of the last one at each.
    let mut open: Vec<Option<(String, Option<String>)>> = Vec::new();
    for element in elements {
        let names: Vec<&str> = element.path.split('.').skip(1).collect();
        let mut way = Vec::with_capacity(names.len());
        let last = names.len().saturating_sub(1);
        let mut same = true;
        for (depth, name) in names.iter().enumerate() {
            let kept = open.get(depth).cloned().flatten().filter(|(own, _)| same && own == name);
            let slice =
                if depth == last { element.slice_name.clone() } else { kept.clone().and_then(|it| it.1) };
            same &= kept.is_some();
            way.push(Segment { name: (*name).to_owned(), slice });
        }
        open = way.iter().map(|segment| Some((segment.name.clone(), segment.slice.clone()))).collect();
        ways.push(way);
    }
    ways
}

/// The steps of an id. A dot in a slice name belongs to the name only where no element could begin there,
/// which an id does not tell: ids follow FHIR R4 §2.29.0.3, where slice names hold no dots.
fn split(id: &str) -> impl Iterator<Item = &str> {
    id.split('.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn element(path: &str, id: &str, slice: Option<&str>) -> ElementDefinition {
        ElementDefinition {
            path: path.to_owned(),
            id: id.to_owned(),
            slice_name: slice.map(str::to_owned),
            ..ElementDefinition::default()
        }
    }

    fn shown(elements: &[ElementDefinition]) -> Vec<String> {
        let step = |segment: &Segment| match &segment.slice {
            Some(slice) => format!("{}:{slice}", segment.name),
            None => segment.name.clone(),
        };
        ways(elements).iter().map(|way| way.iter().map(step).collect::<Vec<_>>().join(".")).collect()
    }

    #[test]
    fn ids_name_every_slice() {
        let id = "Observation.component:systolic.code";
        assert_eq!(shown(&[element("Observation.component.code", id, None)]), ["component:systolic.code"]);
    }

    #[test]
    fn without_ids_the_slice_before_counts() {
        let path = "Observation.component";
        let code = "Observation.component.code";
        let elements = [
            element("Observation", "Observation", None),
            element(path, path, None),
            element(code, code, None),
            element(path, path, Some("systolic")),
            element(code, code, None),
            element(path, path, Some("diastolic")),
            element(code, code, None),
        ];
        assert_eq!(
            shown(&elements),
            [
                "",
                "component",
                "component.code",
                "component:systolic",
                "component:systolic.code",
                "component:diastolic",
                "component:diastolic.code"
            ]
        );
    }
}
