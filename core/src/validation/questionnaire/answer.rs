//! One answer: its type, the options, lengths and bounds that the question sets.

use std::cmp::Ordering;
use std::sync::Arc;

use fhir_models::definition::ValueSet;
use fhir_models::document::{Value, name};
use regex::RegexBuilder;

use crate::outcome::IssueType;
use crate::terminology::{Code, Codes, Membership};

use super::super::coding::alike;
use super::super::profile::{compare_ucum, matches};
use super::super::resources::implied_type;
use super::super::walk::Walk;
use super::{BASE, broken, chosen, extension, list, number_of, text, value_of};

const SDC: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-";
/// Most bytes of a compiled pattern: patterns come from outside.
const LARGEST_PATTERN: usize = 1 << 20;
const UCUM: &str = "http://unitsofmeasure.org";

/// The properties that an answer to a question of this type may use.
pub(super) fn properties(kind: &str) -> &'static [&'static str] {
    match kind {
        "boolean" => &["valueBoolean"],
        "decimal" => &["valueDecimal", "valueInteger"],
        "integer" => &["valueInteger"],
        "date" => &["valueDate"],
        "dateTime" => &["valueDateTime", "valueDate"],
        "time" => &["valueTime"],
        "string" | "text" => &["valueString"],
        "url" => &["valueUri"],
        "choice" => {
            &["valueCoding", "valueString", "valueDate", "valueTime", "valueInteger", "valueReference"]
        }
        "open-choice" => {
            &["valueCoding", "valueString", "valueDate", "valueTime", "valueInteger", "valueReference"]
        }
        "attachment" => &["valueAttachment"],
        "reference" => &["valueReference"],
        "quantity" => &["valueQuantity"],
        _ => &[],
    }
}

/// The properties that any answer may use (FHIR R4 §2.41, `QuestionnaireResponse.item.answer.value[x]`).
const ANSWERS: &[&str] = &[
    "valueBoolean",
    "valueDecimal",
    "valueInteger",
    "valueDate",
    "valueDateTime",
    "valueTime",
    "valueString",
    "valueUri",
    "valueAttachment",
    "valueCoding",
    "valueQuantity",
    "valueReference",
];

/// Checks an answer to a question of this type.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, question: Value<'_>, kind: &str, answer: Value<'d>) {
    // What no answer may use has been reported as unknown.
    let Some(value) = value_of(answer).filter(|it| ANSWERS.contains(&it.name().text())) else { return };
    let allowed = properties(kind);
    if !allowed.is_empty() && !allowed.contains(&value.name().text()) {
        let message = format!("the question is of type {kind}; this answer is of another type");
        return broken(walk, value, IssueType::Structure, message);
    }
    lengths(walk, question, value);
    match kind {
        "quantity" => quantity(walk, question, value),
        "reference" => reference(walk, question, value),
        _ => {}
    }
    options(walk, question, kind, answer, value);
}

fn lengths<'d>(walk: &mut Walk<'_, 'd>, question: Value<'_>, value: Value<'d>) {
    let Some(own) = value.as_str() else { return };
    let length = own.chars().count();
    if let Some(max) = question.get_key("maxLength").and_then(number_of).filter(|max| length > *max) {
        broken(walk, value, IssueType::TooLong, format!("the answer has at most {max} characters"));
    }
    for pattern in extension(question, &[BASE, "regex"].concat()) {
        let Some(pattern) = pattern.as_str() else { continue };
        // A pattern beyond the bound, or none at all, is the questionnaire's fault.
        let whole = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(LARGEST_PATTERN).build();
        if whole.is_ok_and(|whole| !whole.is_match(&own)) {
            broken(
                walk,
                value,
                IssueType::Value,
                "the answer does not have the form that the question asks for",
            );
        }
    }
    let least = extension(question, &[BASE, "minLength"].concat()).next().and_then(number_of);
    if let Some(min) = least.filter(|min| length < *min) {
        broken(walk, value, IssueType::Value, format!("the answer has at least {min} characters"));
    }
}

/// The value is one of `answerOption`, or a code of `answerValueSet`.
fn options<'d>(
    walk: &mut Walk<'_, 'd>,
    question: Value<'_>,
    kind: &str,
    answer: Value<'d>,
    value: Value<'d>,
) {
    let open = kind == "open-choice" && value.as_str().is_some();
    let all: Vec<Value<'_>> = list(question, "answerOption").filter_map(value_of).collect();
    if !all.is_empty() && !open {
        let same = |option: &Value<'_>| match value.is_object() {
            true => {
                let key = |key: &str| {
                    value.get_key(key).and_then(Value::as_str) == option.get_key(key).and_then(Value::as_str)
                };
                if value.get(name::REFERENCE).is_some() {
                    key("reference")
                } else {
                    key("system") && key("code")
                }
            }
            false => matches(value, *option),
        };
        if !all.iter().any(same) {
            let typed = all.iter().any(|option| option.name() == value.name());
            let at = if value.is_object() || !typed { answer } else { value };
            broken(walk, at, IssueType::CodeInvalid, "the answer is none of the options of the question");
        }
        return;
    }
    let Some(canonical) = text(question, "answerValueSet") else { return };
    let set = value_set(walk, question, &canonical);
    if value.name().text() == "valueCoding" {
        return coding_option(walk, question, &canonical, set.as_deref(), answer, value);
    }
    let Some(own) = value.as_str().filter(|_| !open && value.name().text() == "valueString") else { return };
    match walk.codes.in_value_set(set.as_deref(), &canonical, Code::bare(&own)) {
        Membership::Member => {}
        Membership::Unknown => walk.unknown_code(value, &canonical),
        Membership::NotMember if kind == "choice" && set.is_some_and(|set| is_named(&set, &own)) => {}
        Membership::NotMember => {
            let message =
                format!("the answer is none of the values of the value set {canonical} of the question");
            broken(walk, value, IssueType::CodeInvalid, message);
        }
    }
}

/// A value set by its canonical, or the one that the questionnaire contains.
fn value_set(walk: &Walk<'_, '_>, question: Value<'_>, canonical: &str) -> Option<Arc<ValueSet>> {
    let definitions = walk.codes.definitions();
    let Some(id) = canonical.strip_prefix('#') else { return definitions.value_set(canonical) };
    let contained = question.document().root().get(name::CONTAINED)?;
    let found = contained.items().find(|it| it.get(name::ID).is_some_and(|own| own.is_str(id)))?;
    definitions.read_value_set(found).ok().map(Arc::new)
}

/// True for the name of one of the codes.
fn is_named(set: &ValueSet, text: &str) -> bool {
    set.codes().is_some_and(|codes| codes.iter().any(|it| it.display.is_some_and(|own| alike(own, text))))
}

fn coding_option<'d>(
    walk: &mut Walk<'_, 'd>,
    question: Value<'_>,
    canonical: &str,
    set: Option<&ValueSet>,
    answer: Value<'d>,
    value: Value<'d>,
) {
    let (Some(system), Some(code)) = (value.str_of(name::SYSTEM), value.str_of(name::CODE)) else {
        walk.unknown_code(value, canonical);
        return;
    };
    let version = value.str_of(name::VERSION);
    let asked = Code { system: Some(&system), version: version.as_deref(), code: &code };
    match walk.codes.in_value_set(set, canonical, asked) {
        Membership::NotMember => {
            let message = format!("the code is not in the value set {canonical} of the question");
            return broken(walk, answer, IssueType::CodeInvalid, message);
        }
        Membership::Member => {}
        Membership::Unknown => walk.unknown_code(value, canonical),
    }
    let Some(shown) = value.str_of(name::DISPLAY) else { return };
    if chosen::is_another(walk.codes.definitions(), set, question, value, (&system, &code, &shown)) {
        let message = "the display is not that of the code: which of the two was chosen?";
        broken(walk, answer, IssueType::CodeInvalid, message);
    }
}

fn coded(codes: &Codes<'_>, canonical: &str, value: Value<'_>) -> Option<Membership> {
    let (system, code) = (value.str_of(name::SYSTEM)?, value.str_of(name::CODE)?);
    let version = value.str_of(name::VERSION);
    let code = Code { system: Some(&system), version: version.as_deref(), code: &code };
    Some(codes.in_value_set_of(canonical, code))
}

/// An option that excludes the others stands alone.
pub(super) fn exclusive<'d>(walk: &mut Walk<'_, 'd>, question: Value<'_>, answers: &[Value<'d>]) {
    if answers.len() < 2 {
        return;
    }
    let url = [BASE, "questionnaire-optionExclusive"].concat();
    let alone: Vec<Value<'_>> = list(question, "answerOption")
        .filter(|option| extension(*option, &url).any(|it| it.as_bool() == Some(true)))
        .filter_map(value_of)
        .collect();
    for answer in answers {
        if value_of(*answer).is_some_and(|value| alone.iter().any(|option| matches(value, *option))) {
            broken(
                walk,
                *answer,
                IssueType::Structure,
                "this option excludes all others, and there are others",
            );
        }
    }
}

fn quantity<'d>(walk: &mut Walk<'_, 'd>, question: Value<'_>, value: Value<'d>) {
    for (tail, wrong, word) in
        [("minQuantity", Ordering::Less, "least"), ("maxQuantity", Ordering::Greater, "most")]
    {
        for bound in extension(question, &[SDC, tail].concat()) {
            match compare(value, bound) {
                Compared::Order(order) if order == wrong => {
                    broken(
                        walk,
                        value,
                        IssueType::Value,
                        format!("the quantity is beyond the {word} that the question allows"),
                    );
                }
                Compared::Order(_) | Compared::Unknown => {}
                Compared::Never => {
                    broken(
                        walk,
                        value,
                        IssueType::Value,
                        format!(
                            "the quantity can't be compared with the {word} that the question allows: give a coded unit of its kind"
                        ),
                    );
                }
            }
        }
    }
    let unit = |it: Value<'_>| {
        (it.str_of(name::SYSTEM).map(|it| it.into_owned()), it.str_of(name::CODE).map(|it| it.into_owned()))
    };
    let own = unit(value);
    let allowed: Vec<_> =
        extension(question, &[BASE, "questionnaire-unitOption"].concat()).map(unit).collect();
    if !allowed.is_empty() && !allowed.contains(&own) {
        broken(walk, value, IssueType::CodeInvalid, "the unit is none of those that the question allows");
    }
    for set in extension(question, &[BASE, "questionnaire-unitValueSet"].concat()) {
        let Some(canonical) = set.as_str() else { continue };
        let answer =
            if own.1.is_none() { Some(Membership::NotMember) } else { coded(&walk.codes, &canonical, value) };
        match answer {
            Some(Membership::NotMember) => {
                broken(
                    walk,
                    value,
                    IssueType::CodeInvalid,
                    format!("the unit is not in the value set {canonical}"),
                );
            }
            Some(Membership::Member) => {}
            Some(Membership::Unknown) | None => walk.unknown_code(value, &canonical),
        }
    }
}

enum Compared {
    Order(Ordering),
    /// They have no common unit.
    Never,
    Unknown,
}

fn compare(value: Value<'_>, bound: Value<'_>) -> Compared {
    let number =
        |it: Value<'_>| it.get(name::VALUE).and_then(Value::as_number).and_then(|it| it.parse::<f64>().ok());
    let (Some(a), Some(b)) = (number(value), number(bound)) else { return Compared::Unknown };
    let system = |it: Value<'_>| it.str_of(name::SYSTEM).map(|it| it.into_owned());
    let code = |it: Value<'_>| it.str_of(name::CODE).map(|it| it.into_owned());
    let (Some(own), Some(other)) = (code(value), code(bound)) else { return Compared::Never };
    if system(value).is_none() || system(value) != system(bound) {
        return Compared::Never;
    }
    if own == other {
        return a.partial_cmp(&b).map_or(Compared::Unknown, Compared::Order);
    }
    if system(value).as_deref() == Some(UCUM) { units(value, &own, bound, &other) } else { Compared::Never }
}

/// Two UCUM units that differ.
fn units(value: Value<'_>, own: &str, bound: Value<'_>, other: &str) -> Compared {
    match compare_ucum(value, own, bound, other) {
        Some(order) => Compared::Order(order),
        None => Compared::Never,
    }
}

fn reference<'d>(walk: &mut Walk<'_, 'd>, question: Value<'_>, value: Value<'d>) {
    let Some(own) = value.str_of(name::REFERENCE) else { return };
    let allowed: Vec<_> = extension(question, &[BASE, "questionnaire-referenceResource"].concat())
        .filter_map(|it| it.as_str().map(|it| it.into_owned()))
        .collect();
    let found = implied_type(walk.types, &own);
    if let Some(found) = found
        && !allowed.is_empty()
        && !allowed.iter().any(|it| it == found.text())
    {
        let message = format!("the question allows references to {} only", allowed.join(", "));
        broken(walk, value, IssueType::Structure, message);
    }
    // `https://server/Type/id`: a name at that place that FHIR lacks is a slip.
    let shape = own.starts_with("http").then(|| own.rsplit('/').nth(1)).flatten();
    if found.is_none()
        && shape.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_uppercase()))
        && own.matches('/').count() == 4
    {
        broken(walk, value, IssueType::Value, "the reference names no resource type of FHIR R4");
    }
}
