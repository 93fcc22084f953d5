//! `StructureDefinition` as typed values (FHIR R4 §5.4).
//!
//! Invariant: `elements` is the snapshot in its published order, parents before children; where a profile
//! was published without a snapshot, `elements` is empty and `differential` holds what it says.

use super::element::text_of;
use super::{DefinitionError, ElementDefinition};
use crate::document::{Value, name};

/// What a structure describes (`StructureDefinition.kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StructureKind {
    /// A primitive datatype: `string`, `dateTime`.
    PrimitiveType,
    /// A datatype with elements: `HumanName`, and also `Extension`.
    ComplexType,
    /// A resource, abstract ones included.
    Resource,
    /// A logical model.
    Logical,
}

/// How a structure relates to its base (`StructureDefinition.derivation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Derivation {
    /// It defines a new type.
    Specialization,
    /// It is a profile: it narrows a type.
    Constraint,
}

/// Where an extension may be used (`StructureDefinition.context`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionContext {
    /// `element`, `extension` or `fhirpath`.
    pub kind: String,
    /// An element path, an extension's canonical, or a FHIRPath expression.
    pub expression: String,
}

/// A structure: a type of FHIR, or a profile of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureDefinition {
    /// Canonical URL, without version.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Computer-friendly name.
    pub name: String,
    /// The type it defines or constrains: `Patient`, `HumanName`.
    pub type_name: String,
    /// What it describes.
    pub kind: StructureKind,
    /// No instance is only of this type.
    pub is_abstract: bool,
    /// `None` only for the roots, `Element` and `Resource`.
    pub derivation: Option<Derivation>,
    /// Canonical of the structure it specialises or constrains.
    pub base_definition: Option<String>,
    /// Where an extension may be used; empty for anything else.
    pub context: Vec<ExtensionContext>,
    /// FHIRPath rules about the use of an extension.
    pub context_invariants: Vec<String>,
    /// The snapshot: every element, parents before children; the first is the structure itself.
    pub elements: Vec<ElementDefinition>,
    /// For a profile, what it changes in its base. Built-in packs keep it only where no snapshot stands.
    pub differential: Vec<ElementDefinition>,
    /// Ids of the elements that the profile changes, where they are known.
    pub changed: Vec<String>,
}

impl StructureDefinition {
    /// Reads a `StructureDefinition` resource.
    ///
    /// # Errors
    /// [`DefinitionError::NotA`] for another resource, [`DefinitionError::Missing`] and
    /// [`DefinitionError::BadCode`] where a required element is absent or not what R4 allows.
    pub fn read(resource: Value<'_>) -> Result<StructureDefinition, DefinitionError> {
        if resource.resource_type().as_deref() != Some("StructureDefinition") {
            return Err(DefinitionError::NotA("StructureDefinition"));
        }
        let url = text_of(resource.get(name::URL)).ok_or(DefinitionError::Missing("url"))?;
        let required = |name, label| text_of(resource.get(name)).ok_or(DefinitionError::Missing(label));
        let kind = match required(name::KIND, "kind")?.as_str() {
            "primitive-type" => StructureKind::PrimitiveType,
            "complex-type" => StructureKind::ComplexType,
            "resource" => StructureKind::Resource,
            "logical" => StructureKind::Logical,
            _ => return Err(DefinitionError::BadCode("kind")),
        };
        let derivation = match text_of(resource.get(name::DERIVATION)).as_deref() {
            Some("specialization") => Some(Derivation::Specialization),
            Some("constraint") => Some(Derivation::Constraint),
            None => None,
            Some(_) => return Err(DefinitionError::BadCode("derivation")),
        };
        let changed = items(resource.get_key(CHANGED)).filter_map(|id| text_of(Some(id))).collect();
        let mut structure = StructureDefinition {
            url,
            version: text_of(resource.get(name::VERSION)),
            name: text_of(resource.get(name::NAME)).unwrap_or_default(),
            type_name: required(name::TYPE, "type")?,
            kind,
            is_abstract: resource.get(name::ABSTRACT).and_then(Value::as_bool).unwrap_or(false),
            derivation,
            base_definition: text_of(resource.get(name::BASE_DEFINITION)),
            context: items(resource.get_key("context")).filter_map(context).collect(),
            context_invariants: items(resource.get_key("contextInvariant"))
                .filter_map(|rule| text_of(Some(rule)))
                .collect(),
            elements: elements(resource.get(name::SNAPSHOT))?,
            differential: elements(resource.get(name::DIFFERENTIAL))?,
            changed,
        };
        let own = structure.url.as_str();
        for element in structure.elements.iter_mut().chain(&mut structure.differential) {
            for constraint in &mut element.constraints {
                constraint.source = constraint.source.take().filter(|source| source != own);
            }
        }
        if structure.changed.is_empty() {
            structure.changed =
                structure.differential.iter().filter(|e| !e.id.is_empty()).map(|e| e.id.clone()).collect();
        }
        Ok(structure)
    }

    /// True for a type of FHIR, false for a profile of one.
    pub fn is_type(&self) -> bool {
        self.derivation != Some(Derivation::Constraint)
    }

    /// The element with this id (`Patient.contact`, `Observation.component:systolic.value[x]`).
    pub fn element(&self, id: &str) -> Option<&ElementDefinition> {
        self.elements.iter().find(|element| element.id == id)
    }
}

/// The property under which a pack keeps the ids of a profile's differential.
pub(super) const CHANGED: &str = "changed";

fn context(value: Value<'_>) -> Option<ExtensionContext> {
    Some(ExtensionContext {
        kind: text_of(value.get(name::TYPE))?,
        expression: text_of(value.get(name::EXPRESSION))?,
    })
}

fn elements(container: Option<Value<'_>>) -> Result<Vec<ElementDefinition>, DefinitionError> {
    items(container.and_then(|it| it.get(name::ELEMENT))).map(ElementDefinition::read).collect()
}

pub(super) fn items(value: Option<Value<'_>>) -> impl Iterator<Item = Value<'_>> {
    value.into_iter().flat_map(Value::items)
}

#[cfg(test)]
#[path = "structure_tests.rs"]
pub(super) mod tests;
