//! Resources inside a resource: contained, in the entries of a Bundle, in Parameters.
//!
//! Invariant: an object with a `resourceType` is found wherever it stands, also where FHIR does not foresee
//! one, so that nothing hides from a decision by standing in an odd place.

use fhir_models::document::{Name, Value, name};

/// A resource and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct NestedResource<'a> {
    /// The resource.
    pub value: Value<'a>,
    /// Its place in the list of the resource that holds it; `None` for the outermost.
    pub holder: Option<usize>,
    /// True in `contained`: it has no life of its own (FHIR R4 §2.3.0.2).
    pub contained: bool,
    /// What goes when the resource goes: the resource itself, or the entry or parameter around it.
    pub unit: Value<'a>,
}

/// The resource and every resource inside it, in source order, holders first. One pass over the value.
pub fn resources(root: Value<'_>) -> Vec<NestedResource<'_>> {
    let mut found = vec![NestedResource { value: root, holder: None, contained: false, unit: root }];
    // Each open object or array with its innermost holder, the object around it and the name it stands under.
    let mut open: Vec<(Value<'_>, usize, Value<'_>, Name)> = vec![(root, 0, root, Name::UNKNOWN)];
    while let Some((value, holder, parent, under)) = open.pop() {
        let mut inner = holder;
        if value.id() != root.id() && is_resource(value) {
            let contained = under == name::CONTAINED;
            let unit = if contained || parent.get(name::RESOURCE_TYPE).is_some() { value } else { parent };
            inner = found.len();
            found.push(NestedResource { value, holder: Some(holder), contained, unit });
        }
        for child in value.children() {
            if child.is_object() || child.is_array() {
                let (parent, under) = if value.is_array() { (parent, under) } else { (value, child.name()) };
                open.push((child, inner, parent, under));
            }
        }
    }
    in_source_order(found)
}

fn is_resource(value: Value<'_>) -> bool {
    value.is_object() && value.get(name::RESOURCE_TYPE).is_some()
}

fn in_source_order(found: Vec<NestedResource<'_>>) -> Vec<NestedResource<'_>> {
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_unstable_by_key(|&at| found.get(at).map(|resource| resource.value.id()));
    let mut place = vec![0; found.len()];
    for (new, &old) in order.iter().enumerate() {
        if let Some(slot) = place.get_mut(old) {
            *slot = new;
        }
    }
    let moved = |old: &usize| {
        let mut resource = *found.get(*old)?;
        resource.holder = resource.holder.and_then(|holder| place.get(holder).copied());
        Some(resource)
    };
    order.iter().filter_map(moved).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    #[test]
    fn resources_are_found_wherever_they_stand() {
        let document = OwnedDocument::parse_json(
            r#"{"resourceType":"Bundle","entry":[
                {"resource":{"resourceType":"Observation","id":"o","contained":[{"resourceType":"Patient","id":"p"}]},
                 "response":{"outcome":{"resourceType":"OperationOutcome"}}},
                {"resource":{"resourceType":"Parameters","parameter":[
                    {"name":"a","part":[{"name":"b","resource":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Flag"}}]}}]}]}}],
                "odd":{"resourceType":"Basic"}}"#,
            &Limits::default(),
        )
        .unwrap();
        let all = resources(document.root());
        let shown: Vec<_> = all
            .iter()
            .map(|resource| {
                let holder = resource.holder.map(|at| all[at].value.resource_type().unwrap().into_owned());
                let own = resource.value.resource_type().unwrap().into_owned();
                (own, holder.unwrap_or_default(), resource.contained, resource.unit.expression())
            })
            .collect();
        let expected = [
            ("Bundle", "", false, "Bundle"),
            ("Observation", "Bundle", false, "Bundle.entry[0]"),
            ("Patient", "Observation", true, "Bundle.entry[0].resource.contained[0]"),
            ("OperationOutcome", "Bundle", false, "Bundle.entry[0].response"),
            ("Parameters", "Bundle", false, "Bundle.entry[1]"),
            ("Bundle", "Parameters", false, "Bundle.entry[1].resource.parameter[0].part[0]"),
            ("Flag", "Bundle", false, "Bundle.entry[1].resource.parameter[0].part[0].resource.entry[0]"),
            ("Basic", "Bundle", false, "Bundle.odd"),
        ];
        let expected = expected.map(|(own, holder, contained, unit)| {
            (own.to_owned(), holder.to_owned(), contained, unit.to_owned())
        });
        assert_eq!(shown, expected);
    }
}
