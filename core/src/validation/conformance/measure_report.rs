//! A MeasureReport against its Measure: its groups, populations and stratifiers are those that the measure
//! defines, each once (FHIR R4 §9.10, MeasureReport).
//!
//! Parts are matched by their codes. Parts without a code are matched by their id, or by being the only one.

use fhir_models::document::{OwnedDocument, Value, name};

use crate::outcome::IssueType;

use super::super::profile::plain;
use super::super::walk::Walk;
use super::code_match::{code_of, same, same_code, shown};
use super::measure::{POPULATION, SCORING};
use super::{broken, doubtful, list, score, text};

/// Most parts of one kind that are matched: both sides may come from one document.
const MOST: usize = 200;
/// Most components of one stratifier.
const MOST_COMPONENTS: usize = 32;

/// What holds for a whole report.
pub(super) struct Report {
    /// `individual`, `subject-list`, `summary`, `data-collection`.
    pub kind: String,
    pub scoring: Option<String>,
    /// It is final: what the measure asks for is there.
    pub complete: bool,
}

/// Checks a MeasureReport.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, report: Value<'d>) {
    let Some(place) = report.get_key("measure") else { return };
    let Some(canonical) = place.as_str() else { return };
    let found = match canonical.strip_prefix('#') {
        Some(_) => {
            let inside = walk.resources().resolve(report, &canonical);
            inside.and_then(|it| OwnedDocument::parse_json(it.raw(), &Default::default()).ok())
        }
        None => walk.types.definitions().resource_of_type("Measure", &canonical),
    };
    let Some(measure) = found else {
        let message =
            format!("the measure {} is not at hand: the groups were not checked", plain(&canonical));
        return doubtful(walk, place, IssueType::NotFound, message);
    };
    let measure = measure.root();
    let about = Report {
        kind: text(report, "type").unwrap_or_default().into_owned(),
        scoring: code_of(measure.get_key("scoring"), SCORING),
        complete: report.get(name::STATUS).is_some_and(|it| it.is_str("complete")),
    };
    let defined: Vec<Value<'_>> = list(measure, "group").take(MOST).collect();
    let given: Vec<Value<'d>> = list(report, "group").take(MOST).collect();
    let matched = pair(walk, &given, &defined, "group", same_code);
    for (group, definition) in given.iter().zip(&matched) {
        let Some(definition) = definition.and_then(|at| defined.get(at)) else { continue };
        inside(walk, &about, *group, *definition);
    }
    if about.kind != "data-collection" {
        missing(walk, report, &defined, &matched, "group");
    }
}

fn inside<'d>(walk: &mut Walk<'_, 'd>, report: &Report, group: Value<'d>, definition: Value<'_>) {
    let (given, defined): (Vec<Value<'d>>, Vec<Value<'_>>) =
        (list(group, "population").take(MOST).collect(), list(definition, "population").take(MOST).collect());
    let matched = pair(walk, &given, &defined, "population", same_code);
    for population in &given {
        subjects(walk, report, *population);
    }
    // Observations are inputs to the score, not results.
    let results: Vec<Value<'_>> = defined.clone();
    let observation =
        |it: &Value<'_>| code_of(it.get(name::CODE), POPULATION).as_deref() == Some("measure-observation");
    for (at, population) in results.iter().enumerate() {
        if !observation(population) && !matched.contains(&Some(at)) {
            let message = format!("the report lacks the population {} of its measure", shown(*population));
            broken(walk, group, IssueType::BusinessRule, message);
        }
    }
    score::check(walk, report, group);
    let (given, defined): (Vec<Value<'d>>, Vec<Value<'_>>) =
        (list(group, "stratifier").take(MOST).collect(), list(definition, "stratifier").take(MOST).collect());
    let matched = pair(walk, &given, &defined, "stratifier", same_stratifier);
    missing(walk, group, &defined, &matched, "stratifier");
}

/// The number of the definition that each part meets; what meets none or one that is taken is reported.
fn pair<'d>(
    walk: &mut Walk<'_, 'd>,
    given: &[Value<'d>],
    defined: &[Value<'_>],
    what: &str,
    same: impl Fn(Value<'_>, Value<'_>) -> bool,
) -> Vec<Option<usize>> {
    let mut taken: Vec<Option<usize>> = Vec::with_capacity(given.len());
    let only = given.len() == 1 && defined.len() == 1;
    for part in given {
        let by_code = defined.iter().position(|it| same(*part, *it));
        let bare = |it: Value<'_>| it.get(name::CODE).is_none() && list(it, "component").next().is_none();
        let unnamed = bare(*part) && strata_codes(*part).is_empty();
        let anonymous = |it: &Value<'_>| unnamed && (bare(*it) || only);
        let by_id = || {
            defined.iter().position(|it| {
                (anonymous(it) || bare(*it) && only)
                    && (only || text(*part, "id").is_some() && text(*part, "id") == text(*it, "id"))
            })
        };
        let found = by_code.or_else(by_id);
        match found {
            None => {
                let message = format!("the measure defines no {what} {}", shown(*part));
                broken(walk, *part, IssueType::BusinessRule, message);
                taken.push(None);
            }
            Some(at) if taken.contains(&Some(at)) => {
                let message = format!("the {what} {} stands more than once", shown(*part));
                broken(walk, *part, IssueType::BusinessRule, message);
                taken.push(None);
            }
            found => taken.push(found),
        }
    }
    taken
}

/// A stratifier is known by its code, or, where it has components instead, by the codes of these.
fn same_stratifier(given: Value<'_>, defined: Value<'_>) -> bool {
    if list(given, "code").next().is_some() {
        let own = defined.get(name::CODE);
        return own.is_some_and(|own| list(given, "code").any(|code| same(code, own)));
    }
    let components: Vec<Value<'_>> = list(defined, "component").take(MOST_COMPONENTS).collect();
    let own = strata_codes(given);
    let known = |code: &Value<'_>| {
        components.iter().any(|it| it.get(name::CODE).is_some_and(|defined| same(*code, defined)))
    };
    !own.is_empty() && !components.is_empty() && own.iter().all(known)
}

/// The codes of the components of a reported stratifier.
fn strata_codes(stratifier: Value<'_>) -> Vec<Value<'_>> {
    let strata = list(stratifier, "stratum");
    strata
        .flat_map(|it| list(it, "component").collect::<Vec<_>>())
        .filter_map(|it| it.get(name::CODE))
        .take(MOST)
        .collect()
}

fn missing<'d>(
    walk: &mut Walk<'_, 'd>,
    holder: Value<'d>,
    defined: &[Value<'_>],
    matched: &[Option<usize>],
    what: &str,
) {
    for (at, part) in defined.iter().enumerate() {
        if !matched.contains(&Some(at)) {
            let message = format!("the report lacks the {what} {} of its measure", shown(*part));
            broken(walk, holder, IssueType::BusinessRule, message);
        }
    }
}

/// Lists of subjects are for reports of that type.
fn subjects<'d>(walk: &mut Walk<'_, 'd>, report: &Report, population: Value<'d>) {
    if report.kind != "subject-list"
        && let Some(place) = population.get_key("subjectResults")
    {
        let message = "only a report of type subject-list names the subjects of a population";
        broken(walk, place, IssueType::BusinessRule, message);
    }
}
