//! Structures read from R4's own shapes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::{BindingStrength, DiscriminatorKind, Max, Severity, SlicingRules};
use super::*;
use crate::document::{Limits, OwnedDocument};

pub(in super::super) const PROFILE: &str = r##"{
  "resourceType": "StructureDefinition", "id": "cuore", "text": {"status": "generated", "div": "<div>x</div>"},
  "url": "http://example.it/fhir/StructureDefinition/cuore", "version": "1.0.0", "name": "Cuore", "status": "active",
  "publisher": "Regione", "kind": "resource", "abstract": false, "type": "Observation",
  "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation", "derivation": "constraint",
  "mapping": [{"identity": "rim"}],
  "snapshot": {"element": [
    {"id": "Observation", "path": "Observation", "short": "Heart", "definition": "Long prose.", "min": 0, "max": "*",
     "base": {"path": "Observation", "min": 0, "max": "*"}, "isModifier": false,
     "constraint": [
       {"key": "own-1", "severity": "warning", "human": "Own rule", "expression": "code.exists()", "xpath": "f:code",
        "source": "http://example.it/fhir/StructureDefinition/cuore"},
       {"key": "dom-6", "severity": "warning", "human": "Narrative", "expression": "text.exists()",
        "source": "http://hl7.org/fhir/StructureDefinition/DomainResource"}]},
    {"id": "Observation.component", "path": "Observation.component", "short": "Parts", "min": 1, "max": "2",
     "slicing": {"discriminator": [{"type": "pattern", "path": "code"}], "ordered": true, "rules": "closed"},
     "base": {"path": "Observation.component", "min": 0, "max": "*"}, "type": [{"code": "BackboneElement"}]},
    {"id": "Observation.component:rate.code", "path": "Observation.component.code", "short": "Rate", "min": 1, "max": "1",
     "base": {"path": "Observation.component.code", "min": 1, "max": "1"}, "type": [{"code": "CodeableConcept"}],
     "patternCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "mustSupport": true,
     "binding": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet",
        "valueCanonical": "http://example.it/fhir/ValueSet/all"},
        {"url": "http://hl7.org/fhir/StructureDefinition/elementdefinition-bindingName", "valueString": "Rate"}],
       "strength": "extensible", "description": "Codes.", "valueSet": "http://example.it/fhir/ValueSet/rates|1.0.0"}},
    {"id": "Observation.component.referenceRange", "path": "Observation.component.referenceRange", "min": 0, "max": "*",
     "base": {"path": "Observation.component.referenceRange", "min": 0, "max": "*"},
     "contentReference": "#Observation.referenceRange"},
    {"id": "Observation.value[x]", "path": "Observation.value[x]", "min": 0, "max": "1",
     "base": {"path": "Observation.value[x]", "min": 0, "max": "1"}, "type": [{"code": "Quantity"}, {"code": "string"}]}
  ]},
  "differential": {"element": [{"id": "Observation.component", "path": "Observation.component", "min": 1}]}
}"##;

pub(in super::super) fn read(json: &str) -> Result<StructureDefinition, DefinitionError> {
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    StructureDefinition::read(document.root())
}

#[test]
fn a_profile_reads_as_what_it_says() {
    let profile = read(PROFILE).unwrap();
    assert_eq!((profile.type_name.as_str(), profile.kind), ("Observation", StructureKind::Resource));
    assert!(!profile.is_type() && !profile.is_abstract);
    assert_eq!(profile.changed, ["Observation.component"]);

    let root = &profile.elements[0];
    assert_eq!(root.constraints[0].severity, Severity::Warning);
    assert_eq!(root.constraints[0].source, None, "a structure's own rules name no source");
    assert!(root.constraints[1].source.as_deref().unwrap().ends_with("/DomainResource"));

    let component = profile.element("Observation.component").unwrap();
    let slicing = component.slicing.as_ref().unwrap();
    assert_eq!((slicing.rules, slicing.ordered), (SlicingRules::Closed, true));
    assert_eq!(slicing.discriminators[0].kind, DiscriminatorKind::Pattern);
    assert_eq!((component.least(), component.most()), (1, Max::Count(2)));
    assert!(component.is_array() && !component.most().allows(3) && component.most().allows(2));

    let code = profile.element("Observation.component:rate.code").unwrap();
    assert_eq!(code.pattern.as_ref().unwrap().suffix, "CodeableConcept");
    assert!(code.must_support && !code.is_array());
    let binding = code.binding.as_ref().unwrap();
    assert_eq!(binding.strength, BindingStrength::Extensible);
    assert_eq!(binding.value_set.as_deref(), Some("http://example.it/fhir/ValueSet/rates|1.0.0"));
    assert_eq!(binding.max_value_set.as_deref(), Some("http://example.it/fhir/ValueSet/all"));

    let range = profile.element("Observation.component.referenceRange").unwrap();
    assert_eq!(range.content_reference.as_deref(), Some("#Observation.referenceRange"));
    let value = profile.element("Observation.value[x]").unwrap();
    assert!(value.is_choice() && value.tail() == "value[x]" && value.types.len() == 2);
}

#[test]
fn a_definition_that_breaks_r4_is_refused_by_the_element_at_fault() {
    let cases = [
        ("\"kind\": \"resource\"", "\"kind\": \"thing\"", DefinitionError::BadCode("kind")),
        ("\"derivation\": \"constraint\"", "\"derivation\": \"x\"", DefinitionError::BadCode("derivation")),
        ("\"max\": \"2\"", "\"max\": \"two\"", DefinitionError::BadCode("max")),
        ("\"min\": 1, \"max\": \"2\"", "\"min\": -1, \"max\": \"2\"", DefinitionError::BadCode("min")),
        (
            "\"strength\": \"extensible\"",
            "\"strength\": \"firm\"",
            DefinitionError::BadCode("element.binding.strength"),
        ),
        ("\"rules\": \"closed\"", "\"rules\": \"ajar\"", DefinitionError::BadCode("element.slicing.rules")),
        (
            "\"url\": \"http://example.it/fhir/StructureDefinition/cuore\"",
            "\"x\": 1",
            DefinitionError::Missing("url"),
        ),
        (
            "\"resourceType\": \"StructureDefinition\"",
            "\"resourceType\": \"Patient\"",
            DefinitionError::NotA("StructureDefinition"),
        ),
    ];
    for (good, bad, expected) in cases {
        let json = PROFILE.replacen(good, bad, 1);
        assert_ne!(json, PROFILE);
        assert_eq!(read(&json).unwrap_err(), expected);
    }
}
