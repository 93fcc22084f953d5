//! The names under which an `Identifier` stands in FHIR R4.
//!
//! Some of them also name elements of other types; none of those has a `system`, so an object under one of
//! these names that has a `system` is an Identifier. A test holds the list against the definitions.

use std::sync::LazyLock;

use fhir_models::document::Name;

const NAMES: &[&str] = &[
    "accessionIdentifier",
    "additionalIdentifier",
    "authorisationReferenceNumber",
    "cTerminalModificationId",
    "component",
    "crossReference",
    "defaultValueIdentifier",
    "element",
    "fixedIdentifier",
    "groupIdentifier",
    "identifier",
    "immediatePackaging",
    "masterIdentifier",
    "nTerminalModificationId",
    "organismId",
    "outerPackaging",
    "parentSubstanceId",
    "patternIdentifier",
    "paymentIdentifier",
    "preAdmissionIdentifier",
    "predecessor",
    "reference",
    "requestIdentifier",
    "requisition",
    "target",
    "targetIdentifier",
    "valueIdentifier",
];

static TABLE: LazyLock<Box<[bool]>> = LazyLock::new(|| {
    let mut table = vec![false; Name::count()].into_boxed_slice();
    for name in NAMES {
        if let Some(slot) = table.get_mut(Name::of(name).index()) {
            *slot = true;
        }
    }
    if let Some(unknown) = table.first_mut() {
        *unknown = false;
    }
    table
});

/// True for a name under which an Identifier may stand.
pub(crate) fn is_identifier_element(name: Name) -> bool {
    TABLE.get(name.index()).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fhir_models::definition::Definitions;

    use super::*;

    #[test]
    fn the_list_is_that_of_the_definitions() {
        let definitions = Definitions::r4();
        let mut identifiers = BTreeSet::new();
        let mut with_system = BTreeSet::new();
        let names: Vec<String> = definitions.type_names().map(str::to_owned).collect();
        for structure in names.iter().filter_map(|name| definitions.structure(name)) {
            for element in &structure.elements {
                for kind in &element.types {
                    let tail = element.tail();
                    let own = match tail.strip_suffix("[x]") {
                        Some(stem) => {
                            let mut letters = kind.code.chars();
                            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
                            format!("{stem}{}{}", first.unwrap_or_default(), letters.as_str())
                        }
                        None => tail.to_owned(),
                    };
                    match kind.code.as_str() {
                        "Identifier" => identifiers.insert(own),
                        "ContactPoint" | "Coding" | "Quantity" | "Age" | "Duration" | "Count"
                        | "Distance" | "Money" | "SimpleQuantity" => with_system.insert(own),
                        _ => false,
                    };
                }
            }
        }
        assert_eq!(identifiers, NAMES.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(identifiers.intersection(&with_system).count(), 0);
        assert!(NAMES.iter().all(|name| is_identifier_element(Name::of(name))));
        assert!(!is_identifier_element(Name::of("telecom")));
        assert!(!is_identifier_element(Name::UNKNOWN));
    }
}
