//! A SearchParameter: its expression leads somewhere, and its parts fit its type (FHIR R4 §3.1.1, §5.8).

use fhir_models::definition::SearchParameter;
use fhir_models::document::{Value, name};

use crate::fhirpath::{CompileFault, Expression, Options};
use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::search_type::compares;
use super::{broken, doubtful, expression, list, text};

/// Checks a SearchParameter.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, parameter: Value<'d>) {
    let kind = text(parameter, "type").unwrap_or_default();
    if let Some(place) = parameter.get(name::EXPRESSION)
        && let Some(path) = place.as_str()
    {
        leads_somewhere(walk, place, &path, None);
        compared(walk, place, &path, &kind);
    }
    if kind != "reference"
        && let Some(target) = list(parameter, "target").next()
    {
        let message = format!("only a parameter of type reference has targets; this one is {}", plain(&kind));
        broken(walk, target, IssueType::Invalid, message);
    }
    let components: Vec<Value<'d>> = list(parameter, "component").collect();
    if kind == "composite" && components.is_empty() {
        let message = "a composite parameter needs the components that it is made of";
        broken(walk, parameter, IssueType::Required, message);
    }
    for component in components {
        if kind != "composite" {
            let message =
                format!("only a parameter of type composite has components; this one is {}", plain(&kind));
            broken(walk, component, IssueType::Invalid, message);
            break;
        }
        if let Some(place) = component.get(name::EXPRESSION)
            && let Some(path) = place.as_str()
        {
            expression::readable(walk, place, &path);
        }
    }
    derived(walk, parameter, &kind);
}

/// A path that the types of FHIR have. `on`: the type that it starts from.
pub(super) fn leads_somewhere<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, path: &str, on: Option<&str>) {
    expression::readable(walk, at, path);
    let options = Options { on, ..Options::strict() };
    let Err(error) = Expression::compile(path, walk.types.model(), &options) else { return };
    if matches!(error.fault, CompileFault::UnknownElement { .. } | CompileFault::UnknownFunction(_)) {
        broken(walk, at, IssueType::Invalid, format!("the expression leads nowhere: {error}"));
    }
}

/// The expression gives something that a parameter of this type can compare.
fn compared<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, path: &str, kind: &str) {
    let Ok(expression) = Expression::compile(path, walk.types.model(), &Options::default()) else { return };
    let definitions = walk.types.definitions();
    let types = expression.types().unwrap_or_default();
    if types.is_empty() || types.iter().any(|it| compares(definitions, kind, it)) {
        return;
    }
    let message = format!(
        "a parameter of type {} can't compare what the expression gives: {}",
        plain(kind),
        types.join(", ")
    );
    broken(walk, at, IssueType::Invalid, message);
}

/// What is derived from another parameter keeps its type and stays within its bases.
fn derived<'d>(walk: &mut Walk<'_, 'd>, parameter: Value<'d>, kind: &str) {
    let Some(url) = text(parameter, "derivedFrom") else { return };
    let definitions = walk.types.definitions();
    let Some(document) = definitions.resource_of_type("SearchParameter", &url) else { return };
    let Ok(origin) = SearchParameter::read(document.root()) else { return };
    for base in list(parameter, "base") {
        let Some(own) = base.as_str() else { continue };
        if !origin.base.iter().any(|it| definitions.is_subtype(&own, it)) {
            let message =
                format!("{} is for {}, not for {}", plain(&url), origin.base.join(", "), plain(&own));
            broken(walk, parameter, IssueType::BusinessRule, message);
        }
    }
    let theirs = text(document.root(), "type");
    if let Some(theirs) = theirs.filter(|it| !kind.is_empty() && it != kind) {
        let message = format!("{} is of type {theirs}, and this is {}", plain(&url), plain(kind));
        broken(walk, parameter, IssueType::BusinessRule, message);
    }
    let own = text(parameter, "expression");
    if let (Some(own), Some(theirs)) = (own, &origin.expression)
        && !theirs.contains(own.trim())
    {
        let message = format!("{} has another expression: {theirs}", plain(&url));
        doubtful(walk, parameter, IssueType::BusinessRule, message);
    }
}
