//! `enableWhen`: whether a question is asked at all, by the answers given (FHIR R4 §2.40.5.2.1).

use std::cmp::Ordering;

use fhir_models::document::{Value, name};

use super::{list, text, value_of};

/// Whether the item is enabled; `None` where that can't be told.
pub(super) fn is_enabled(response: Value<'_>, question: Value<'_>) -> Option<bool> {
    let conditions: Vec<Option<bool>> = list(question, "enableWhen").map(|it| holds(response, it)).collect();
    if conditions.is_empty() {
        return Some(true);
    }
    if text(question, "enableBehavior").as_deref() == Some("all") {
        if conditions.contains(&Some(false)) {
            return Some(false);
        }
        return if conditions.contains(&None) { None } else { Some(true) };
    }
    if conditions.contains(&Some(true)) {
        return Some(true);
    }
    if conditions.contains(&None) { None } else { Some(false) }
}

fn holds(response: Value<'_>, condition: Value<'_>) -> Option<bool> {
    let id = text(condition, "question")?;
    let answers = answers_of(response, &id);
    let operator = text(condition, "operator")?;
    let wanted = condition.children().find(|it| it.name().text().starts_with("answer"))?;
    if &*operator == "exists" {
        return Some(answers.is_empty() != wanted.as_bool()?);
    }
    let values: Vec<Value<'_>> = answers.into_iter().filter_map(value_of).collect();
    let same = |value: &Value<'_>| order(*value, wanted).map(|it| it == Ordering::Equal);
    let any = |test: &dyn Fn(Ordering) -> bool| -> Option<bool> {
        let orders: Option<Vec<Ordering>> = values.iter().map(|value| order(*value, wanted)).collect();
        Some(orders?.into_iter().any(test))
    };
    match &*operator {
        "=" => Some(values.iter().any(|it| same(it) == Some(true))),
        "!=" => Some(!values.is_empty() && values.iter().all(|it| same(it) != Some(true))),
        ">" => any(&Ordering::is_gt),
        "<" => any(&Ordering::is_lt),
        ">=" => any(&Ordering::is_ge),
        "<=" => any(&Ordering::is_le),
        _ => None,
    }
}

/// The answers to a question, wherever in the response they stand.
fn answers_of<'d>(response: Value<'d>, id: &str) -> Vec<Value<'d>> {
    let items =
        response.descendants().filter(|it| it.is_object() && text(*it, "linkId").as_deref() == Some(id));
    items.flat_map(|item| list(item, "answer").collect::<Vec<_>>()).collect()
}

/// The order of an answer and a wanted value; for codes and references only equality.
fn order(value: Value<'_>, wanted: Value<'_>) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (value.as_number(), wanted.as_number()) {
        return a.parse::<f64>().ok()?.partial_cmp(&b.parse::<f64>().ok()?);
    }
    if let (Some(a), Some(b)) = (value.as_str(), wanted.as_str()) {
        return Some(a.cmp(&b));
    }
    if let (Some(a), Some(b)) = (value.as_bool(), wanted.as_bool()) {
        return Some(a.cmp(&b));
    }
    if !value.is_object() || !wanted.is_object() {
        return Some(Ordering::Less);
    }
    let same = |key: &str| value.get_key(key).map(Value::raw) == wanted.get_key(key).map(Value::raw);
    if wanted.get(name::VALUE).is_some() {
        let units = same("unit") || (same("code") && same("system"));
        return units.then(|| order(value.get(name::VALUE)?, wanted.get(name::VALUE)?)).flatten();
    }
    if wanted.get(name::CODE).is_some() {
        let equal = same("code") && (same("system") || wanted.get(name::SYSTEM).is_none());
        return Some(if equal { Ordering::Equal } else { Ordering::Less });
    }
    Some(if same("reference") { Ordering::Equal } else { Ordering::Less })
}
