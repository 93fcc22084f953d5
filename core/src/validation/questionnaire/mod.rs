//! A QuestionnaireResponse against its Questionnaire (FHIR R4 §2.40.5, §2.41).
//!
//! Items answer items of the same `linkId` at the same depth; what the questionnaire requires, repeats,
//! enables and allows as an answer holds. A response whose questionnaire isn't at hand is not judged: that
//! is a warning.

mod answer;
mod chosen;
mod enabled;
mod form;

use fhir_models::document::{OwnedDocument, Value, name};

use crate::outcome::{IssueSeverity, IssueType};

use super::finding::{Fault, Rule};
use super::profile::plain;
use super::walk::Walk;

pub(super) use form::check as check_form;

/// Deepest nesting of items.
const DEPTH: usize = 32;

pub(super) const BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// What holds for a whole response.
struct Response<'d> {
    root: Value<'d>,
    /// It says that it is complete: what is required must be there.
    complete: bool,
}

/// Checks a QuestionnaireResponse.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, response: Value<'d>) {
    let Some(place) = response.get_key("questionnaire") else { return };
    let Some(canonical) = place.as_str() else { return };
    let definitions = walk.types.definitions();
    let found = match canonical.strip_prefix('#') {
        Some(_) => {
            let inside = walk.resources().resolve(response, &canonical);
            inside.and_then(|it| OwnedDocument::parse_json(it.raw(), &Default::default()).ok())
        }
        None => definitions.resource_of_type("Questionnaire", &canonical),
    };
    let Some(questionnaire) = found else {
        let other = definitions
            .resource(&canonical)
            .and_then(|it| it.root().resource_type().map(|it| it.into_owned()));
        let (severity, message) = match other {
            Some(other) => (
                IssueSeverity::Error,
                format!("this is the canonical of a {other}; a response names its Questionnaire"),
            ),
            None => (
                IssueSeverity::Warning,
                format!(
                    "the questionnaire {} is not at hand: the answers were not checked",
                    plain(&canonical)
                ),
            ),
        };
        return walk.report(
            place,
            place,
            Fault { rule: Rule::Questionnaire, severity, code: IssueType::NotFound, message },
        );
    };
    let complete =
        !response.get(name::STATUS).is_some_and(|it| it.is_str("in-progress") || it.is_str("stopped"));
    let form = Response { root: response, complete };
    let items: Vec<Value<'_>> = list(questionnaire.root(), "item").collect();
    inside(walk, &form, response, &items, 0);
}

fn list<'q>(holder: Value<'q>, key: &str) -> impl Iterator<Item = Value<'q>> {
    holder.get_key(key).into_iter().flat_map(Value::items)
}

fn text<'q>(holder: Value<'q>, key: &str) -> Option<std::borrow::Cow<'q, str>> {
    holder.get_key(key).and_then(Value::as_str)
}

fn flag(holder: Value<'_>, key: &str) -> bool {
    holder.get_key(key).and_then(Value::as_bool) == Some(true)
}

/// The value of an extension of this url, whatever its type.
fn extension<'q>(holder: Value<'q>, url: &str) -> impl Iterator<Item = Value<'q>> {
    let all = holder.get(name::EXTENSION).into_iter().flat_map(Value::items);
    let url = url.to_owned();
    all.filter(move |it| it.get(name::URL).is_some_and(|own| own.is_str(&url))).filter_map(value_of)
}

/// The `value[x]` of an extension, answer or option.
fn value_of(holder: Value<'_>) -> Option<Value<'_>> {
    holder.children().find(|it| !it.is_underscored() && it.name().text().starts_with("value"))
}

fn number_of(value: Value<'_>) -> Option<usize> {
    value.as_number().and_then(|digits| digits.parse().ok())
}

fn broken<'d>(walk: &mut Walk<'_, 'd>, at: Value<'d>, code: IssueType, message: impl Into<String>) {
    walk.report(at, at, Rule::Questionnaire.error(code, message));
}

/// The items of one level. `holder` is the response, an item or an answer.
fn inside<'d>(
    walk: &mut Walk<'_, 'd>,
    form: &Response<'d>,
    holder: Value<'d>,
    asked: &[Value<'_>],
    depth: usize,
) {
    if depth > DEPTH || walk.full {
        return;
    }
    let given: Vec<Value<'d>> = list(holder, "item").collect();
    for item in &given {
        let Some(id) = text(*item, "linkId") else { continue };
        if !asked.iter().any(|it| text(*it, "linkId").as_deref() == Some(&id)) {
            let message = "an item with this linkId is not in the questionnaire at this place";
            walk.report(holder, *item, Rule::Questionnaire.error(IssueType::Structure, message));
        }
    }
    ordered(walk, holder, &given, asked);
    for question in asked {
        let Some(id) = text(*question, "linkId") else { continue };
        let own: Vec<Value<'d>> =
            given.iter().filter(|it| text(**it, "linkId").as_deref() == Some(&id)).copied().collect();
        one(walk, form, holder, *question, &own, depth);
    }
}

/// Items come in the order of their questions.
fn ordered<'d>(walk: &mut Walk<'_, 'd>, holder: Value<'d>, given: &[Value<'d>], asked: &[Value<'_>]) {
    let mut last = 0;
    for item in given {
        let id = text(*item, "linkId");
        let Some(at) = asked.iter().position(|it| id.is_some() && text(*it, "linkId") == id) else {
            continue;
        };
        if at < last {
            let message = "items stand in the order of the questionnaire: move this one up";
            return walk.report(holder, *item, Rule::Questionnaire.error(IssueType::Structure, message));
        }
        last = at;
    }
}

fn one<'d>(
    walk: &mut Walk<'_, 'd>,
    form: &Response<'d>,
    holder: Value<'d>,
    question: Value<'_>,
    items: &[Value<'d>],
    depth: usize,
) {
    let kind = text(question, "type").unwrap_or_default();
    let id = text(question, "linkId").unwrap_or_default();
    let repeats = flag(question, "repeats");
    let required = flag(question, "required");
    let enabled = enabled::is_enabled(form.root, question);
    if enabled == Some(false) {
        for item in items.iter().filter(|it| it.get_key("answer").is_some()) {
            broken(
                walk,
                *item,
                IssueType::Structure,
                "this item is answered, but the questionnaire does not enable it",
            );
        }
        return;
    }
    if items.is_empty() {
        if required && form.complete && enabled == Some(true) && &*kind != "display" {
            let message = format!("the required item {} is missing", plain(&id));
            walk.report(holder, holder, Rule::Questionnaire.error(IssueType::Required, message));
        }
        return;
    }
    let many = if &*kind == "group" { !repeats } else { true };
    if let (true, Some(second)) = (many, items.get(1)) {
        broken(
            walk,
            *second,
            IssueType::Structure,
            "the item stands more than once; a question that repeats has several answers in one item",
        );
    }
    let below: Vec<Value<'_>> = list(question, "item").collect();
    for item in items {
        let answers: Vec<Value<'d>> = list(*item, "answer").collect();
        if matches!(&*kind, "group" | "display" | "question") {
            if !answers.is_empty() {
                broken(walk, *item, IssueType::Structure, format!("an item of type {kind} has no answers"));
            }
            inside(walk, form, *item, &below, depth + 1);
            continue;
        }
        counted(walk, form, *item, question, answers.len(), required, repeats);
        for given in &answers {
            answer::check(walk, question, &kind, *given);
            inside(walk, form, *given, &below, depth + 1);
        }
        answer::exclusive(walk, question, &answers);
        if answers.is_empty() || item.get_key("item").is_some() {
            inside(walk, form, *item, &below, depth + 1);
        }
    }
}

fn counted<'d>(
    walk: &mut Walk<'_, 'd>,
    form: &Response<'d>,
    item: Value<'d>,
    question: Value<'_>,
    answers: usize,
    required: bool,
    repeats: bool,
) {
    let bound = |tail: &str| extension(question, &[BASE, tail].concat()).next().and_then(number_of);
    if !repeats && answers > 1 {
        broken(walk, item, IssueType::Structure, format!("the question has one answer; this has {answers}"));
    }
    if form.complete && required && answers == 0 {
        broken(walk, item, IssueType::Required, "the question must be answered");
    } else if let Some(min) = bound("questionnaire-minOccurs").filter(|min| form.complete && answers < *min) {
        broken(
            walk,
            item,
            IssueType::Required,
            format!("the question has at least {min} answers; this has {answers}"),
        );
    }
    if let Some(max) = bound("questionnaire-maxOccurs").filter(|max| answers > *max) {
        broken(
            walk,
            item,
            IssueType::Structure,
            format!("the question has at most {max} answers; this has {answers}"),
        );
    }
}
