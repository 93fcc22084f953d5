//! A Measure: parts that a report must name can be told apart, and its populations suit its scoring (FHIR R4
//! §9.9, Measure: population basics).

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::walk::Walk;
use super::code_match::code_of;
use super::{doubtful, list};

pub(super) const SCORING: &str = "http://terminology.hl7.org/CodeSystem/measure-scoring";
pub(super) const POPULATION: &str = "http://terminology.hl7.org/CodeSystem/measure-population";

/// Checks a Measure.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, measure: Value<'d>) {
    let scoring = code_of(measure.get_key("scoring"), SCORING);
    let groups: Vec<Value<'d>> = list(measure, "group").collect();
    told_apart(walk, &groups, "group");
    for group in groups {
        let populations: Vec<Value<'d>> = list(group, "population").collect();
        told_apart(walk, &populations, "population");
        let stratifiers: Vec<Value<'d>> = list(group, "stratifier").collect();
        told_apart(walk, &stratifiers, "stratifier");
        for stratifier in stratifiers {
            let components: Vec<Value<'d>> = list(stratifier, "component").collect();
            told_apart(walk, &components, "component");
        }
        let Some(scoring) = scoring.as_deref() else { continue };
        for population in populations {
            let Some(code) = code_of(population.get(name::CODE), POPULATION) else { continue };
            if !suits(scoring, &code) {
                let message = format!("a measure with the scoring {scoring} has no population {code}");
                doubtful(walk, population, IssueType::BusinessRule, message);
            }
        }
    }
}

fn told_apart<'d>(walk: &mut Walk<'_, 'd>, parts: &[Value<'d>], what: &str) {
    if parts.len() < 2 {
        return;
    }
    for part in parts.iter().filter(|it| it.get(name::CODE).is_none() && it.get(name::ID).is_none()) {
        let message = format!("a report can't name this {what}: give each a code");
        doubtful(walk, *part, IssueType::Required, message);
    }
}

/// The populations that a scoring allows.
fn suits(scoring: &str, population: &str) -> bool {
    let allowed: &[&str] = match scoring {
        "proportion" => &[
            "initial-population",
            "denominator",
            "denominator-exclusion",
            "denominator-exception",
            "numerator",
            "numerator-exclusion",
        ],
        "ratio" => &[
            "initial-population",
            "denominator",
            "denominator-exclusion",
            "numerator",
            "numerator-exclusion",
            "measure-observation",
        ],
        "continuous-variable" => &[
            "initial-population",
            "measure-population",
            "measure-population-exclusion",
            "measure-observation",
        ],
        "cohort" => &["initial-population"],
        _ => return true,
    };
    allowed.contains(&population)
}
