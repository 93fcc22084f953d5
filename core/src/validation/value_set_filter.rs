//! The filters of a ValueSet: the system defines the property, takes the operator, and the value is one that
//! the property can have (FHIR R4 §4.9, `filter-operator`; §4.8 `CodeSystem.filter`; SNOMED CT: §4.3.17).

use fhir_models::definition::CodeSystem;
use fhir_models::document::{Value, name};
use fhir_models::primitive::Primitive;
use regex::RegexBuilder;

use crate::outcome::IssueType;
use crate::terminology::{Membership, ecl, snomed};

use super::profile::plain;
use super::value_set::{broken, doubtful, has_code, is_whole};
use super::walk::Walk;

/// Properties that every code system has or may have by FHIR's own list
/// (<http://hl7.org/fhir/concept-properties>), with the type of each.
pub(super) const CONCEPT_PROPERTIES: &[(&str, &str)] = &[
    ("inactive", "boolean"),
    ("status", "code"),
    ("effectiveDate", "dateTime"),
    ("deprecationDate", "dateTime"),
    ("retirementDate", "dateTime"),
    ("notSelectable", "boolean"),
    ("parent", "code"),
    ("child", "code"),
    ("partOf", "code"),
    ("synonym", "code"),
    ("comment", "string"),
    ("itemWeight", "decimal"),
];

/// Operators that follow the hierarchy.
const HIERARCHICAL: &[&str] =
    &["is-a", "descendent-of", "is-not-a", "generalizes", "child-of", "descendent-leaf"];

/// Largest pattern that is compiled, in bytes.
const LARGEST_PATTERN: usize = 1 << 20;

/// One filter, in words.
struct Filter<'t, 'd> {
    place: Value<'d>,
    system: &'t str,
    version: Option<&'t str>,
    property: &'t str,
    op: &'t str,
    value: &'t str,
}

/// Checks a filter.
pub(super) fn check<'d>(
    walk: &mut Walk<'_, 'd>,
    place: Value<'d>,
    system: &str,
    version: Option<&str>,
    held: Option<&CodeSystem>,
) {
    let text = |key| place.str_of(key);
    let (Some(property), Some(op), Some(value)) = (text(name::PROPERTY), text(name::OP), text(name::VALUE))
    else {
        return;
    };
    let filter = Filter { place, system, version, property: &property, op: &op, value: &value };
    match &*op {
        "exists" if !matches!(&*value, "true" | "false") => {
            return broken(
                walk,
                place,
                IssueType::Value,
                "with exists, the value of a filter is true or false",
            );
        }
        "regex" => {
            pattern(walk, &filter);
            return;
        }
        _ => {}
    }
    if system == snomed::SNOMED {
        return of_snomed(walk, &filter);
    }
    if matches!(&*property, "concept" | "code") {
        return of_codes(walk, &filter);
    }
    if let Some(held) = held {
        of_property(walk, &filter, held);
    }
}

fn pattern<'d>(walk: &mut Walk<'_, 'd>, filter: &Filter<'_, 'd>) {
    let built = RegexBuilder::new(filter.value).size_limit(LARGEST_PATTERN).build();
    if let Err(regex::Error::Syntax(error)) = built {
        // Other engines look around and refer back.
        if !error.contains("look-around") && !error.contains("backreference") {
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("the value of the filter is no regular expression: {why}");
            broken(walk, filter.place, IssueType::Value, message);
        }
    }
}

fn listed<'t>(op: &str, value: &'t str) -> Vec<&'t str> {
    if matches!(op, "in" | "not-in") { value.split(',').map(str::trim).collect() } else { vec![value] }
}

/// A filter on the code itself: its value names codes of the system.
fn of_codes<'d>(walk: &mut Walk<'_, 'd>, filter: &Filter<'_, 'd>) {
    for code in listed(filter.op, filter.value) {
        if has_code(&walk.codes, filter.system, filter.version, code) == Membership::NotMember {
            let message = format!(
                "the code system {} has no code {:?}, which the filter names",
                filter.system,
                plain(code)
            );
            broken(walk, filter.place, IssueType::CodeInvalid, message);
        }
    }
}

fn of_property<'d>(walk: &mut Walk<'_, 'd>, filter: &Filter<'_, 'd>, held: &CodeSystem) {
    let declared = held.properties.iter().find(|it| it.code == filter.property);
    let own_filter = held.filters.iter().find(|it| it.code == filter.property);
    let well_known = CONCEPT_PROPERTIES.iter().find(|(code, _)| *code == filter.property);
    if let Some(own) =
        own_filter.filter(|it| !it.operators.is_empty() && !it.operators.iter().any(|op| op == filter.op))
        && declared.is_none()
    {
        let message = format!(
            "the code system {} takes the filter {} with {} only",
            held.url,
            own.code,
            own.operators.join(", ")
        );
        return broken(walk, filter.place, IssueType::Value, message);
    }
    let kind = match (declared, own_filter, well_known) {
        (Some(declared), ..) => declared.kind.as_str(),
        // What the value of a filter of its own means is the code system's business.
        (None, Some(_), _) => return,
        (None, None, Some((_, kind))) => kind,
        (None, None, None) => {
            if is_whole(held) && !matches!(filter.property, "display" | "definition" | "designation") {
                let message = format!(
                    "the code system {} declares no property {:?}: servers may not understand the filter",
                    held.url,
                    plain(filter.property)
                );
                doubtful(walk, filter.place, message);
            }
            return;
        }
    };
    if filter.op == "exists" {
        return;
    }
    if HIERARCHICAL.contains(&filter.op) && !matches!(kind, "code" | "Coding") {
        let message = format!(
            "{} follows a hierarchy, which the property {} of type {kind} has none of",
            filter.op, filter.property
        );
        return broken(walk, filter.place, IssueType::Value, message);
    }
    for value in listed(filter.op, filter.value) {
        of_kind(walk, filter, kind, value, declared.is_some());
    }
}

/// A value of a property's type.
fn of_kind<'d>(walk: &mut Walk<'_, 'd>, filter: &Filter<'_, 'd>, kind: &str, value: &str, declared: bool) {
    let fits = match kind {
        "boolean" => matches!(value, "true" | "false"),
        "integer" => Primitive::Integer.is_valid(value),
        "decimal" => Primitive::Decimal.is_valid(value),
        "dateTime" => Primitive::DateTime.is_valid(value),
        _ => true,
    };
    let wrong =
        |walk: &mut Walk<'_, 'd>, message: String| broken(walk, filter.place, IssueType::Value, message);
    if !fits {
        let message = format!(
            "the property {} has the type {kind}, which {:?} is not of",
            filter.property,
            plain(value)
        );
        // Servers read comparisons into numbers and dates.
        return if kind == "boolean" { wrong(walk, message) } else { doubtful(walk, filter.place, message) };
    }
    match kind {
        "Coding" => match value.rsplit_once('#') {
            Some((canonical, code)) if !canonical.is_empty() && !code.is_empty() => {
                let (system, version) = match canonical.split_once('|') {
                    Some((system, version)) => (system, Some(version)),
                    None => (canonical, None),
                };
                if has_code(&walk.codes, system, version, code) == Membership::NotMember {
                    let message = format!("the code system {} has no code {:?}", plain(system), plain(code));
                    wrong(walk, message);
                }
            }
            _ => {
                let message = format!(
                    "the property {} is a Coding: the filter names one as system#code or system|version#code",
                    filter.property
                );
                wrong(walk, message);
            }
        },
        // Which codes a status has is not said anywhere; others name concepts of the system.
        "code"
            if declared && filter.property != "status" || matches!(filter.property, "parent" | "child") =>
        {
            concept_of(walk, filter, value);
        }
        _ => {}
    }
}

/// A property's value that names a concept of the system.
fn concept_of<'d>(walk: &mut Walk<'_, 'd>, filter: &Filter<'_, 'd>, value: &str) {
    if has_code(&walk.codes, filter.system, filter.version, value) == Membership::NotMember {
        let message = format!(
            "the property {} has codes of {}, which {:?} is not",
            filter.property,
            filter.system,
            plain(value)
        );
        doubtful(walk, filter.place, message);
    }
}

/// SNOMED CT's own filters: concepts, reference sets, expression constraints, attributes.
fn of_snomed<'d>(walk: &mut Walk<'_, 'd>, filter: &Filter<'_, 'd>) {
    match (filter.property, filter.op) {
        ("constraint" | "expression", "=") => {
            if let Err(error) = ecl::check(filter.value) {
                let message = format!("the value of the filter is no expression constraint (ECL): {error}");
                broken(walk, filter.place, IssueType::Value, message);
            }
        }
        // The older way to write a constraint.
        ("concept", "=") if ecl::check(filter.value).is_ok() && !snomed::is_id(filter.value) => {}
        ("concept" | "code", _) => of_codes(walk, filter),
        ("expressions" | "inactive" | "sufficientlyDefined" | "defined", "=") => {
            if !matches!(filter.value, "true" | "false") {
                let message = format!("the value of the filter {} is true or false", filter.property);
                broken(walk, filter.place, IssueType::Value, message);
            }
        }
        ("parent" | "child", _) => of_codes(walk, filter),
        (property, op) if snomed::is_concept_id(property) => {
            if matches!(op, "=" | "in") {
                of_codes(walk, filter);
            } else {
                let message =
                    format!("SNOMED CT takes an attribute as a filter with = or in only, not with {op}");
                broken(walk, filter.place, IssueType::Value, message);
            }
        }
        ("moduleId" | "effectiveTime" | "semanticTag" | "normalForm" | "normalFormTerse", _) => {}
        (property, _) => {
            let message = format!(
                "SNOMED CT has no property {:?}: servers may not understand the filter",
                plain(property)
            );
            doubtful(walk, filter.place, message);
        }
    }
}
