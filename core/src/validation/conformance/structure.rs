//! A StructureDefinition as a whole: its type, its base, and how the one follows from the other (FHIR R4
//! §5.4.3).

use fhir_models::definition::{Derivation, STRUCTURE_BASE, StructureDefinition, StructureKind};
use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::element::{self, Holder};
use super::ground::Ground;
use super::{broken, differential, doubtful, extension, obligation, text};

/// Checks a StructureDefinition.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, structure: Value<'d>) {
    let definitions = walk.types.definitions();
    let Some(type_name) = text(structure, "type") else { return };
    legal_type(walk, structure, &type_name);
    let base = text(structure, "baseDefinition");
    let ground = base.as_deref().and_then(|base| Ground::of(definitions, base));
    match (ground.as_ref().and_then(Ground::base), base) {
        (Some(base), _) => follows(walk, structure, &type_name, base),
        (None, Some(base))
            if base.strip_prefix(STRUCTURE_BASE).is_none_or(|it| !extension::LATER.contains(&it)) =>
        {
            let message = if text(structure, "url").as_deref() == Some(&*base) {
                "a structure can't be its own base: its differential was not checked".to_owned()
            } else {
                format!("the base {} is not at hand: the differential was not checked", plain(&base))
            };
            let place = structure.get(name::BASE_DEFINITION).unwrap_or(structure);
            doubtful(walk, place, IssueType::NotFound, message);
        }
        (None, _) => {}
    }
    extension::check(walk, structure, &type_name);
    let constraint = structure.get(name::DERIVATION).is_some_and(|it| it.is_str("constraint"));
    // Without its base a structure is only checked against itself.
    let holder = Holder {
        structure,
        type_name: type_name.rsplit('/').next().unwrap_or_default(),
        constraint,
        ground: ground.as_ref(),
        ids: [name::SNAPSHOT, name::DIFFERENTIAL]
            .iter()
            .flat_map(|part| structure.path(&[*part, name::ELEMENT, name::ID]))
            .filter_map(Value::as_str)
            .collect(),
    };
    if constraint {
        differential::check(walk, &holder);
    }
    element::check(walk, &holder, name::DIFFERENTIAL);
    element::check(walk, &holder, name::SNAPSHOT);
    obligation::check(walk, &holder);
}

/// A name without namespace is a type of FHIR; other types are URLs.
fn legal_type<'d>(walk: &mut Walk<'_, 'd>, structure: Value<'d>, type_name: &str) {
    let of_fhir = text(structure, "url").is_some_and(|url| url.starts_with(STRUCTURE_BASE));
    if of_fhir || type_name.contains([':', '/']) {
        return;
    }
    if walk.types.definitions().structure(type_name).is_none() {
        let at = structure.get(name::TYPE).unwrap_or(structure);
        let message = format!(
            "{} is no type of FHIR R4: a type of one's own is named by an absolute URL",
            plain(type_name)
        );
        broken(walk, at, IssueType::NotFound, message);
    }
}

/// Type, kind and derivation fit the base.
fn follows<'d>(walk: &mut Walk<'_, 'd>, structure: Value<'d>, type_name: &str, base: &StructureDefinition) {
    let derivation = match text(structure, "derivation").as_deref() {
        Some("constraint") => Derivation::Constraint,
        Some("specialization") => Derivation::Specialization,
        Some(_) => return,
        None => {
            let message = "a structure with a base says how it derives from it: \
                           give `derivation`, constraint or specialization";
            return broken(walk, structure, IssueType::Required, message);
        }
    };
    let kind = text(structure, "kind");
    let same_kind = kind.as_deref() == Some(kind_code(base.kind));
    if !same_kind && kind.is_some() && (derivation == Derivation::Constraint || !base.is_abstract) {
        let message = format!(
            "the kind is {}, but that of the base {} is {}",
            plain(&kind.unwrap_or_default()),
            base.url,
            kind_code(base.kind)
        );
        broken(walk, structure, IssueType::Invalid, message);
    }
    match derivation {
        Derivation::Constraint if type_name != base.type_name => {
            let message = format!(
                "a profile has the type of its base: {} constrains {}, not {}",
                base.url,
                base.type_name,
                plain(type_name)
            );
            broken(walk, structure, IssueType::Invalid, message);
        }
        Derivation::Specialization if type_name == base.type_name => {
            let message = format!(
                "a specialization is a new type, but {} is also the type of its base {}",
                plain(type_name),
                base.url
            );
            broken(walk, structure, IssueType::Invalid, message);
        }
        _ => {}
    }
}

fn kind_code(kind: StructureKind) -> &'static str {
    match kind {
        StructureKind::PrimitiveType => "primitive-type",
        StructureKind::ComplexType => "complex-type",
        StructureKind::Resource => "resource",
        StructureKind::Logical => "logical",
    }
}
