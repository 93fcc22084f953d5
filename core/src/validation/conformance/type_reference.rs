//! The types of an element, and the profiles that they cite (FHIR R4 §2.29, `ElementDefinition.type`).

use std::sync::Arc;

use fhir_models::definition::{Derivation, StructureDefinition, StructureKind};
use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::cross_version::ForeignElement;
use super::super::profile::plain;
use super::super::walk::Walk;
use super::element::{Holder, Subject, parts};
use super::{broken, list};

/// Resource types that have a canonical URL in R4.
const CANONICAL: &[&str] = &[
    "ActivityDefinition",
    "CapabilityStatement",
    "ChargeItemDefinition",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "EffectEvidenceSynthesis",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "GraphDefinition",
    "ImplementationGuide",
    "Library",
    "Measure",
    "MessageDefinition",
    "NamingSystem",
    "ObservationDefinition",
    "OperationDefinition",
    "PlanDefinition",
    "Questionnaire",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "RiskEvidenceSynthesis",
    "SearchParameter",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "TerminologyCapabilities",
    "TestScript",
    "ValueSet",
];

/// Checks the types of an element.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>) {
    let values = parts(subject.value, "type");
    for (value, read) in values.iter().zip(&subject.element.types) {
        if read.system_type.is_some() {
            continue;
        }
        allowed(walk, subject, *value, &read.code);
        for profile in list(*value, "profile") {
            of_type(walk, subject, profile, &read.code);
        }
        for target in list(*value, "targetProfile") {
            of_target(walk, subject, target, &read.code);
        }
    }
    if values.is_empty() && !subject.differential && subject.element.path.contains('.') {
        let referring = subject.element.content_reference.is_some();
        if !referring {
            let message = format!(
                "{} needs a type, or a contentReference to the element whose content it shares",
                plain(&subject.element.id)
            );
            broken(walk, subject.value, IssueType::Required, message);
        }
    }
}

/// A contentReference within the structure leads to an element of it, or of its base.
pub(super) fn shared<'d>(walk: &mut Walk<'_, 'd>, holder: &Holder<'_, 'd>, subject: &Subject<'_, 'd>) {
    let reference = subject.element.content_reference.as_deref();
    let Some(id) = reference.and_then(|it| it.strip_prefix('#')) else { return };
    let known = holder.ids.contains(id);
    if !known && holder.ground.is_none_or(|ground| !ground.has(id)) {
        let at = subject.value.get(name::CONTENT_REFERENCE).unwrap_or(subject.value);
        let message = format!("no element of the structure has the id {}", plain(id));
        broken(walk, at, IssueType::NotFound, message);
    }
}

/// A profile takes types away; it adds none.
fn allowed<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>, at: Value<'d>, code: &str) {
    let Some(place) = subject.place.filter(|_| subject.differential) else { return };
    let Some(own) = place.element() else { return };
    let definitions = walk.types.definitions();
    if own.types.is_empty() || definitions.type_kind(code).is_none() {
        return;
    }
    let known = own.types.iter().any(|it| definitions.is_subtype(code, &it.code));
    if !known {
        let all: Vec<&str> = own.types.iter().map(|it| it.code.as_str()).collect();
        let message = format!(
            "{} has no type {} in the base; it has {}",
            plain(&subject.element.path),
            plain(code),
            all.join(", ")
        );
        broken(walk, at, IssueType::Invalid, message);
    }
}

fn of_type<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>, at: Value<'d>, code: &str) {
    let definitions = walk.types.definitions();
    let Some(url) = at.as_str() else { return };
    let Some(profile) = definitions.structure(&url) else {
        // An element of another version of FHIR: that version says whether it modifies.
        let modifies = ForeignElement::of(&url).and_then(|it| it.is_modifier(definitions));
        if let Some(modifies) = modifies.filter(|_| code == "Extension") {
            in_its_list(walk, subject, at, &url, modifies);
        }
        return;
    };
    if profile.kind == StructureKind::Logical || definitions.type_kind(code).is_none() {
        return;
    }
    if !definitions.is_subtype(&profile.type_name, code) {
        let message = format!(
            "{} is a profile of {}, and the type here is {}",
            profile.url,
            profile.type_name,
            plain(code)
        );
        return broken(walk, at, IssueType::Invalid, message);
    }
    if profile.type_name == "Extension" && profile.derivation == Some(Derivation::Constraint) {
        in_its_list(walk, subject, at, &profile.url, modifies(&profile));
    }
}

/// Modifier extensions stand in `modifierExtension`, others in `extension`.
fn in_its_list<'d>(
    walk: &mut Walk<'_, 'd>,
    subject: &Subject<'_, 'd>,
    at: Value<'d>,
    url: &str,
    modifies: bool,
) {
    let message = match (modifies, subject.element.path.rsplit('.').next()) {
        (true, Some("extension")) => {
            format!("{} is a modifier extension: it belongs under modifierExtension", plain(url))
        }
        (false, Some("modifierExtension")) => {
            format!("{} is no modifier extension: it belongs under extension", plain(url))
        }
        _ => return,
    };
    broken(walk, at, IssueType::Invalid, message);
}

fn modifies(profile: &Arc<StructureDefinition>) -> bool {
    let root = profile.elements.first().or(profile.differential.first());
    root.filter(|it| !it.path.contains('.')).is_some_and(|it| it.is_modifier)
}

fn of_target<'d>(walk: &mut Walk<'_, 'd>, subject: &Subject<'_, 'd>, at: Value<'d>, code: &str) {
    let definitions = walk.types.definitions();
    let path = plain(&subject.element.path);
    match code {
        "Reference" | "CodeableReference" | "canonical" => {}
        _ if definitions.type_kind(code).is_none() => return,
        _ => {
            let message =
                format!("{path} has no target: only references and canonicals have a targetProfile");
            return broken(walk, at, IssueType::Invalid, message);
        }
    }
    let Some(profile) = at.as_str().and_then(|url| definitions.structure(&url)) else { return };
    if profile.kind == StructureKind::Logical {
        return;
    }
    let fits = match code {
        "canonical" => profile.type_name == "Resource" || CANONICAL.contains(&profile.type_name.as_str()),
        _ => profile.kind == StructureKind::Resource,
    };
    if !fits {
        let what = if code == "canonical" { "a resource with a canonical URL" } else { "a resource" };
        let message = format!("{} describes {}, which is not {what}", profile.url, profile.type_name);
        broken(walk, at, IssueType::Invalid, message);
    }
}
