//! The list of names that the document parser knows: `data/names.txt`.
//!
//! Every type of FHIR and every element of every type, choices written out (`valueQuantity` for `value[x]`),
//! one a line, sorted. Profiles add none, a slice has no name in an instance; nor do logical models.

use std::collections::BTreeSet;

use super::pack_format::TYPE_FACET;
use super::{DefinitionError, Pack, StructureDefinition, StructureKind};
use crate::document::{Limits, Tape};

/// The names that a pack's types define, one a line, sorted by byte.
///
/// # Errors
/// [`DefinitionError`] where a type of the pack can't be read.
pub fn names_of(pack: &Pack) -> Result<String, DefinitionError> {
    let mut names = BTreeSet::from(["resourceType".to_owned()]);
    let mut tape = Tape::new();
    for entry in pack.with_facet("StructureDefinition", TYPE_FACET) {
        let text = pack.text(entry).map_err(|error| DefinitionError::Pack(error.to_string()))?;
        let document = tape.parse_json(&text, &Limits::default()).map_err(DefinitionError::Syntax)?;
        let structure = StructureDefinition::read(document.root())?;
        if structure.kind == StructureKind::Logical {
            continue;
        }
        names.insert(structure.type_name.clone());
        for element in structure.elements.iter().skip(1) {
            let Some(stem) = element.tail().strip_suffix("[x]") else {
                names.insert(element.tail().to_owned());
                continue;
            };
            names.insert(stem.to_owned());
            names.extend(element.types.iter().map(|it| choice_name(stem, &it.code)));
        }
    }
    let mut out = String::new();
    for name in names {
        out.push_str(&name);
        out.push('\n');
    }
    Ok(out)
}

/// The name in an instance of a choice element with a value of this type: `valueQuantity` for `value` and
/// `Quantity`, `valueDateTime` for `value` and `dateTime` (FHIR R4 §2.24.0.2).
pub fn choice_name(stem: &str, type_code: &str) -> String {
    let mut chars = type_code.chars();
    stem.chars().chain(chars.next().into_iter().flat_map(char::to_uppercase)).chain(chars).collect()
}
