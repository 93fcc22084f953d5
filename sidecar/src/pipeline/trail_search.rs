//! From a FHIR search for AuditEvents to conditions on the trail. What the trail can't answer is refused.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;
use varco_core::audit::{SEARCHED, folded, split_reference};
use varco_core::interaction::{
    Criterion, Modifier, ParameterKind, Prefix, Search, SearchReference, SearchValue, Token,
};

use super::Refusal;
use super::own::{is_joined_or_shaped, patient_key};
use crate::store::{TrailCondition, TrailSearch, TrailText, TrailTime, TrailValue, period};

/// The search parameters of AuditEvent that are served, for the capability statement.
pub(super) const PARAMETERS: &[&str] = &[
    "action",
    "address",
    "agent",
    "agent-name",
    "agent-role",
    "altid",
    "date",
    "entity",
    "entity-name",
    "entity-role",
    "entity-type",
    "outcome",
    "patient",
    "policy",
    "site",
    "source",
    "subtype",
    "type",
];
/// The parameters that `:identifier` goes with.
const BY_IDENTIFIER: &[(&str, &str)] = &[
    ("agent", "agent:identifier"),
    ("entity", "entity:identifier"),
    ("patient", "patient:identifier"),
    ("source", "source:identifier"),
];
const UNSERVED: Refusal = Refusal::NotServed(
    "Audit records are searched by `_id`, the parameters that R4 defines for AuditEvent, `_sort` by date and `_count`; \
     of modifiers, by `:identifier`, `:exact`, `:contains`, a type, and `:not` on type, action and outcome.",
);

/// The conditions of a search. `now` is what `ap` is measured from; dates without a time zone are of `zone`.
pub(super) fn trail_search(search: &Search, now: Timestamp, zone: &TimeZone) -> Result<TrailSearch, Refusal> {
    if is_joined_or_shaped(search) {
        return Err(UNSERVED);
    }
    let mut wanted = TrailSearch::default();
    if !search.ids.is_empty() {
        let ids = search.ids.iter().map(|id| id.as_str().to_owned()).collect();
        wanted.conditions.push(TrailCondition::Ids(ids));
    }
    match search.sort.as_slice() {
        [] => {}
        [key] if matches!(&*key.parameter, "date" | "_lastUpdated") => wanted.oldest_first = !key.descending,
        _ => return Err(UNSERVED),
    }
    for criterion in &search.criteria {
        wanted.conditions.push(condition(criterion, now, zone).ok_or(UNSERVED)?);
    }
    Ok(wanted)
}

fn condition(criterion: &Criterion, now: Timestamp, zone: &TimeZone) -> Option<TrailCondition> {
    let (name, modifier, values) = (criterion.name(), criterion.modifier(), criterion.values());
    if matches!(name, "date" | "_lastUpdated") {
        let times = values.iter().map(|value| match value {
            SearchValue::Date(prefix, text) => time(*prefix, text, now, zone),
            _ => None,
        });
        return times.collect::<Option<_>>().filter(|_| modifier.is_none()).map(TrailCondition::Recorded);
    }
    if let Some(requests) = requests(name, modifier, values) {
        return Some(TrailCondition::Requests(requests));
    }
    if name == "patient"
        && modifier.is_none()
        && let Some(keys) = values.iter().map(patient).collect::<Option<Vec<_>>>()
    {
        return Some(TrailCondition::patients(keys.iter().map(String::as_str)));
    }
    let &(own, always_once) = SEARCHED.iter().find(|(own, _)| *own == name)?;
    let parameter = match modifier {
        Some(Modifier::Identifier) => BY_IDENTIFIER.iter().find(|(own, _)| *own == name)?.1,
        _ => own,
    };
    let not = modifier == Some(&Modifier::Not);
    let values: Option<Vec<TrailValue>> =
        values.iter().map(|value| term(value, criterion.kind(), modifier)).collect();
    (!not || always_once).then_some(TrailCondition::Term { parameter, values: values?, not })
}

fn patient(value: &SearchValue) -> Option<String> {
    match value {
        SearchValue::Reference(reference) => patient_key(reference),
        _ => None,
    }
}

/// Ids that this gateway gave to requests: found without the index.
fn requests(name: &str, modifier: Option<&Modifier>, values: &[SearchValue]) -> Option<Vec<String>> {
    let own = |value: &SearchValue| match value {
        SearchValue::Token(Token { system, code: Some(code) }) => {
            let plain = system.as_deref().is_none_or(str::is_empty);
            Uuid::parse_str(code).ok().filter(|_| plain).map(|_| code.clone())
        }
        _ => None,
    };
    let asked = name == "entity" && modifier == Some(&Modifier::Identifier);
    if asked { values.iter().map(own).collect() } else { None }
}

fn term(value: &SearchValue, kind: ParameterKind, modifier: Option<&Modifier>) -> Option<TrailValue> {
    let is = TrailValue::is;
    Some(match (value, modifier) {
        (SearchValue::Token(Token { system, code }), None | Some(Modifier::Not | Modifier::Identifier)) => {
            let value = code.clone().map_or(TrailText::Any, TrailText::Is);
            TrailValue { value, system: system.clone() }
        }
        (SearchValue::Reference(reference), modifier) => match (reference, modifier) {
            (SearchReference::Id(id), None) => is(id.as_str(), None),
            (SearchReference::Id(id), Some(Modifier::Type(kind))) => is(id.as_str(), Some(kind.as_str())),
            (SearchReference::Instance(kind, id), None) => is(id.as_str(), Some(kind.as_str())),
            (SearchReference::Url(url), None) => {
                let (kind, id) = split_reference(url);
                is(id, Some(kind))
            }
            _ => return None,
        },
        (SearchValue::Text(text), None) => {
            TrailValue { value: TrailText::Begins(folded(text)), system: None }
        }
        (SearchValue::Text(text), Some(Modifier::Exact)) => is(&folded(text), Some(text)),
        (SearchValue::Text(text), Some(Modifier::Contains)) => {
            TrailValue { value: TrailText::Contains(folded(text)), system: None }
        }
        (SearchValue::Uri(uri), None) if kind == ParameterKind::Uri => is(uri, None),
        _ => return None,
    })
}

/// What a date with its prefix says about an instant (FHIR R4 §3.1.1.4.5 and §3.1.1.4.7).
fn time(prefix: Option<Prefix>, text: &str, now: Timestamp, zone: &TimeZone) -> Option<TrailTime> {
    let (from, until) = period(text, zone)?;
    let at_or_after = |at| TrailTime::between(Some(at), None);
    let before = |at| TrailTime::between(None, Some(at));
    Some(match prefix.unwrap_or(Prefix::Equal) {
        Prefix::Equal => TrailTime::between(Some(from), Some(until)),
        Prefix::NotEqual => TrailTime { outside: true, ..TrailTime::between(Some(from), Some(until)) },
        Prefix::GreaterThan | Prefix::StartsAfter => at_or_after(until),
        Prefix::GreaterOrEqual => at_or_after(from),
        Prefix::LessThan | Prefix::EndsBefore => before(from),
        Prefix::LessOrEqual => before(until),
        Prefix::Approximately => {
            // A tenth of the time from then until now, on either side.
            let gap = now.duration_since(from).abs().checked_div(10)?;
            let (from, until) = (from.checked_sub(gap).ok()?, until.checked_add(gap).ok()?);
            TrailTime::between(Some(from), Some(until))
        }
    })
}

#[cfg(test)]
#[path = "trail_search_tests.rs"]
mod tests;
