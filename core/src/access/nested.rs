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
    if is_alone(root) {
        return found;
    }
    let whole =
        Open { end: usize::MAX, object: root, array: root.is_array(), under: Name::UNKNOWN, holder: 0 };
    let mut open = vec![whole];
    for value in root.descendants().filter(|value| value.is_object() || value.is_array()) {
        let span = value.span();
        while open.last().is_some_and(|around| around.end <= span.start) {
            open.pop();
        }
        let Some(&around) = open.last() else { break };
        // Items stand under the name of their array.
        let under = if around.array { around.under } else { value.name() };
        let Open { object: parent, mut holder, .. } = around;
        if is_resource(value) {
            let contained = under == name::CONTAINED;
            let alone = contained || parent.id() == root.id() || parent.get(name::RESOURCE_TYPE).is_some();
            let unit = if alone { value } else { parent };
            found.push(NestedResource { value, holder: Some(holder), contained, unit });
            holder = found.len() - 1;
        }
        let array = value.is_array();
        let object = if array { parent } else { value };
        open.push(Open { end: span.end, object, array, under, holder });
    }
    found
}

/// True where no resource stands inside this one.
pub(crate) fn is_alone(root: Value<'_>) -> bool {
    let own = usize::from(root.get(name::RESOURCE_TYPE).is_some());
    let types =
        root.nodes_below().iter().filter(|node| node.name() == name::RESOURCE_TYPE && !node.is_underscored());
    types.count() <= own
}

/// An object or array that is not yet closed.
#[derive(Clone, Copy)]
struct Open<'a> {
    /// The offset after it.
    end: usize,
    /// The innermost object: itself, or what is around an array.
    object: Value<'a>,
    array: bool,
    /// The name it stands under.
    under: Name,
    /// The innermost resource, by its place in the list.
    holder: usize,
}

fn is_resource(value: Value<'_>) -> bool {
    value.is_object() && value.get(name::RESOURCE_TYPE).is_some()
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
