//! A ValueSet's own statements: codes that their system has, filters that it can compute (FHIR R4 §4.9,
//! `filter-operator`).
//!
//! A code system that is here whole decides; one that is a grammar decides by form; of others a terminology
//! server may have said something. What is left is not judged.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use fhir_models::definition::{CodeRules, CodeSystem, Content, Definitions};
use fhir_models::document::{Value, name};

use crate::fhirpath::{CompileFault, Expression, Options};
use crate::outcome::{IssueSeverity, IssueType};
use crate::terminology::{Code, Codes, Membership, rules};

use super::conformance::is_grammar;
use super::finding::{Fault, Rule};
use super::profile::plain;
use super::value_set_filter as filter;
use super::walk::Walk;

/// Most codes of one value set that are looked at.
const MOST_CODES: usize = 20_000;

pub(super) fn broken<'d>(
    walk: &mut Walk<'_, 'd>,
    at: Value<'d>,
    code: IssueType,
    message: impl Into<String>,
) {
    walk.report(at, at, Rule::Resource.error(code, message));
}

pub(super) fn doubtful<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, message: impl Into<String>) {
    let (severity, code, message) = (IssueSeverity::Warning, IssueType::BusinessRule, message.into());
    walk.report(at, at, Fault { rule: Rule::Resource, severity, code, message });
}

/// Whether a code is one of a system, by whoever knows.
pub(super) fn has_code(codes: &Codes<'_>, system: &str, version: Option<&str>, code: &str) -> Membership {
    let held = codes.definitions().code_system(system).filter(|held| {
        // Another edition may have other codes.
        version.is_none_or(|version| held.version.as_deref() == Some(version))
    });
    let known =
        held.filter(|held| !held.is_supplement()).map_or(Membership::Unknown, |held| held.membership(code));
    let ruled = || rules::Rules.membership(system, code);
    match if known == Membership::Unknown { ruled() } else { known } {
        Membership::Unknown => {
            let asked = Code { system: Some(system), version, code };
            codes.ask(asked, None, None).map_or(Membership::Unknown, |it| it.membership)
        }
        known => known,
    }
}

/// Code systems of FHIR itself, which change with FHIR's version alone.
const FHIR: &str = "http://hl7.org/fhir/";

/// True for a code system in an edition that is built in: a resource may be written for another one.
pub(super) fn is_edition(codes: &Codes<'_>, system: &str) -> bool {
    // The table of units is an edition too.
    if system == "http://unitsofmeasure.org" {
        return true;
    }
    // One that isn't here whole is judged by its rules, which don't change.
    let built_in = Definitions::r4().code_system(system).filter(|own| is_whole(own));
    built_in.is_some_and(|own| {
        codes.definitions().code_system(system).is_some_and(|held| Arc::ptr_eq(&own, &held))
    })
}

/// Checks a ValueSet.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) {
    let parameters = Parameters::of(resource);
    let mut left = MOST_CODES;
    for part in [name::INCLUDE, name::EXCLUDE] {
        for clause in resource.path(&[name::COMPOSE, part]) {
            if walk.full {
                return;
            }
            clause_of(walk, clause, &parameters, &mut left);
        }
    }
    parameters.unused(walk);
}

fn clause_of<'d>(walk: &mut Walk<'_, 'd>, clause: Value<'d>, parameters: &Parameters<'d>, left: &mut usize) {
    let Some(system) = clause.str_of(name::SYSTEM) else { return };
    let version = clause.str_of(name::VERSION);
    let held = walk.codes.definitions().code_system(&system);
    if held.as_ref().is_some_and(|held| held.is_supplement()) {
        let place = clause.get(name::SYSTEM).unwrap_or(clause);
        let message = "this code system only supplements another one: include that one, and name this one in \
                       the extension valueset-supplement";
        return broken(walk, place, IssueType::CodeInvalid, message);
    }
    for concept in clause.get(name::CONCEPT).into_iter().flat_map(Value::items) {
        let Some(code) = concept.str_of(name::CODE) else { continue };
        let Some(fewer) = left.checked_sub(1) else { return };
        *left = fewer;
        if has_code(&walk.codes, &system, version.as_deref(), &code) == Membership::NotMember {
            let message = format!("the code system {system} has no code {:?}", plain(&code));
            let severity = if is_edition(&walk.codes, &system) && !system.starts_with(FHIR) {
                IssueSeverity::Warning
            } else {
                IssueSeverity::Error
            };
            let fault = Fault { rule: Rule::Resource, severity, code: IssueType::CodeInvalid, message };
            walk.report(concept, concept, fault);
        }
    }
    for filter in clause.get(name::FILTER).into_iter().flat_map(Value::items) {
        if let Some(twin) = filter.get_key("_value") {
            parameters.expression(walk, twin);
        }
        filter::check(walk, filter, &system, version.as_deref(), held.as_deref());
    }
}

/// The parameters that a value set declares (extension `valueset-parameter`), for its filters' expressions.
struct Parameters<'d> {
    declared: Vec<(Value<'d>, Cow<'d, str>)>,
    used: std::cell::RefCell<HashSet<String>>,
}

const PARAMETER: &str = "http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter";
const EXPRESSION: &str = "http://hl7.org/fhir/StructureDefinition/cqf-expression";

impl<'d> Parameters<'d> {
    fn of(resource: Value<'d>) -> Parameters<'d> {
        let named = |extension: Value<'d>| {
            let parts = extension.get(name::EXTENSION).into_iter().flat_map(Value::items);
            let mut names = parts.filter(|part| part.get(name::URL).is_some_and(|url| url.is_str("name")));
            let value = names.next()?.children().find(|it| it.name().text().starts_with("value"))?;
            Some((extension, value.as_str()?))
        };
        let all = resource.get(name::EXTENSION).into_iter().flat_map(Value::items);
        let own = all.filter(|it| it.get(name::URL).is_some_and(|url| url.is_str(PARAMETER)));
        Parameters { declared: own.filter_map(named).collect(), used: Default::default() }
    }

    /// Checks the expression that stands in for a filter's value.
    fn expression(&self, walk: &mut Walk<'_, 'd>, twin: Value<'d>) {
        let extensions = twin.get(name::EXTENSION).into_iter().flat_map(Value::items);
        for extension in extensions.filter(|it| it.get(name::URL).is_some_and(|url| url.is_str(EXPRESSION))) {
            let Some(value) = extension.get_key("valueExpression") else { continue };
            let language = value.get_key("language");
            if let Some(place) = language.filter(|it| !it.is_str("text/fhirpath")) {
                let message = "the expression of a value set is in FHIRPath: language is text/fhirpath";
                broken(walk, place, IssueType::Value, message);
                continue;
            }
            let Some(text) = value.get_key("expression").and_then(Value::as_str) else { continue };
            let names: Vec<&str> = self.declared.iter().map(|(_, name)| &**name).collect();
            let options = Options { variables: &names, ..Options::default() };
            // A fault of the grammar is told of every Expression.
            if let Err(error) = Expression::compile(&delimited(&text, &names), walk.types.model(), &options)
                && !is_grammar(&error.fault)
            {
                let message = match &error.fault {
                    CompileFault::UnknownVariable(name) => {
                        format!(
                            "the expression asks for the parameter {name:?}, which the value set does not declare"
                        )
                    }
                    _ => format!("this is not FHIRPath: {error}"),
                };
                broken(walk, value, IssueType::Value, message);
            }
            let used = names
                .iter()
                .filter(|name| text.contains(&format!("%{name}")) || text.contains(&format!("%`{name}`")));
            self.used.borrow_mut().extend(used.map(|it| (*it).to_owned()));
        }
    }

    fn unused(&self, walk: &mut Walk<'_, 'd>) {
        for (place, name) in &self.declared {
            if !self.used.borrow().contains(&**name) {
                doubtful(walk, *place, format!("no filter uses the parameter {name:?}"));
            }
        }
    }
}

/// The expression with names that FHIRPath has to delimit, as people write them in value sets: `%p-inactive`.
fn delimited(text: &str, names: &[&str]) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        written.push_str(before);
        let end =
            after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        let delimit = name.contains('-') && names.contains(&name);
        written.push_str(&if delimit { format!("%`{name}`") } else { format!("%{name}") });
        rest = tail;
    }
    written + rest
}

/// True for a system of which everything is here.
pub(super) fn is_whole(held: &CodeSystem) -> bool {
    held.content == Content::Complete
}
