//! The slow, obvious evaluator, straight from the document, and the property that the fast one agrees with it.
//!
//! It shares no code with the fast one: it reads JSON as it goes, compiles nothing, looks upwards for what a
//! permit takes over, and compares texts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use fhir_models::document::{Limits, OwnedDocument};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::requester::{BusinessIdentifier, Code, Requester};

const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CONF: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const PART: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const TYPES: &str = "http://hl7.org/fhir/resource-types";
const LOINC: &str = "http://loinc.org";
const SNOMED: &str = "http://snomed.info/sct";
const ROLES: &str = "https://example.org/ruoli";
const CF: &str = "http://hl7.it/sid/codiceFiscale";
const HSP: &str = "http://hl7.it/sid/hsp";

// ---------------------------------------------------------------- the reference evaluator

/// Yes, no, can't tell for this question, can't be told at all.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Says {
    Yes,
    No,
    Unclear,
    Never,
}
use Says::{Never, No, Unclear, Yes};

struct World<'a> {
    requester: &'a Requester,
    known_as: &'a [LiteralReference],
    action: &'a str,
    at: Timestamp,
    facts: &'a ResourceFacts,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value.get(key) {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

fn concept(value: &Value) -> Vec<(&str, &str)> {
    list(value, "coding").into_iter().map(|coding| (text(coding, "system"), text(coding, "code"))).collect()
}

fn narrower(broad: (&str, &str), narrow: (&str, &str)) -> bool {
    let below: &[&str] = match broad {
        (REASON, "TREAT") => &["ETREAT", "BTG"],
        (REASON, "ETREAT") => &["BTG"],
        (ACT, "SUD") => &["ETHUD"],
        _ => &[],
    };
    broad.0 == narrow.0 && below.contains(&narrow.1)
}

fn covers(rule: (&str, &str), code: (&str, &str)) -> bool {
    rule == code || narrower(rule, code)
}

fn pair(code: &Code) -> (&str, &str) {
    (&code.system, &code.code)
}

/// One code of a rule against a list of codes.
fn in_list(rule: (&str, &str), codes: &[Code], if_empty: Says) -> Says {
    if rule.0.is_empty() {
        return Never;
    }
    if codes.is_empty() {
        return if_empty;
    }
    if codes.iter().any(|code| covers(rule, pair(code))) {
        return Yes;
    }
    if codes.iter().any(|code| code.system == rule.0) { No } else { Unclear }
}

/// `None` where the text is no date.
fn date(text: &str) -> Option<(Timestamp, Timestamp)> {
    let whole = |start: String, span: jiff::Span| {
        let start: jiff::civil::Date = start.parse().ok()?;
        let end = start.checked_add(span).ok()?;
        let at = |date: jiff::civil::Date| date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        Some((at(start), at(end)))
    };
    match text.len() {
        4 => whole(format!("{text}-01-01"), 1.year()),
        7 => whole(format!("{text}-01"), 1.month()),
        10 => whole(text.to_owned(), 1.day()),
        20 => text.parse::<Timestamp>().ok().map(|at| (at, at + 1.second())),
        _ => None,
    }
}

fn period(value: &Value) -> Option<(Timestamp, Timestamp)> {
    let start = match value.get("start") {
        None => Timestamp::MIN,
        Some(start) => date(start.as_str()?)?.0,
    };
    let end = match value.get("end") {
        None => Timestamp::MAX,
        Some(end) => date(end.as_str()?)?.1,
    };
    (start < end).then_some((start, end))
}

/// What can be compared of a reference, and the identifiers behind it.
fn target<'a>(consent: &'a Value, reference: &'a Value) -> (Option<&'a str>, Vec<(&'a str, &'a str)>) {
    let mut identifiers: Vec<(&str, &str)> = Vec::new();
    if let Some(own) = reference.get("identifier") {
        identifiers.push((text(own, "system"), text(own, "value")));
    }
    let literal = text(reference, "reference");
    if let Some(fragment) = literal.strip_prefix('#') {
        for inner in list(consent, "contained").into_iter().filter(|inner| text(inner, "id") == fragment) {
            for own in list(inner, "identifier") {
                identifiers.push((text(own, "system"), text(own, "value")));
            }
        }
    }
    let usable = literal.contains('/') && !literal.contains(' ');
    (usable.then_some(literal), identifiers)
}

fn same(a: &str, b: &str) -> Says {
    let tail = |text: &str| text.rsplit('/').take(2).map(str::to_owned).collect::<Vec<_>>();
    if a == b {
        Yes
    } else if a.starts_with("http") == b.starts_with("http") || tail(a) != tail(b) {
        No
    } else {
        Unclear
    }
}

fn weigh(evidence: &[Says]) -> Says {
    [Yes, No].into_iter().find(|says| evidence.contains(says)).unwrap_or(Unclear)
}

fn greatest(all: &[Says]) -> Says {
    [Yes, Unclear].into_iter().find(|says| all.contains(says)).unwrap_or(No)
}

fn same_identifier(wanted: &[(&str, &str)], own: &[&BusinessIdentifier]) -> Says {
    let mut evidence = Vec::new();
    for (system, value) in wanted {
        for own in own.iter().filter(|own| !system.is_empty() && own.system == *system) {
            evidence.push(if own.value == *value { Yes } else { No });
        }
    }
    weigh(&evidence)
}

fn actor_says(consent: &Value, actor: &Value, world: &World<'_>) -> Says {
    let roles = actor.get("role").map(concept).unwrap_or_default();
    let recipient = roles.iter().any(|(system, code)| *system == PART && ["IRCP", "PRCP"].contains(code));
    let functional: Vec<_> =
        roles.iter().copied().filter(|(system, _)| !system.is_empty() && *system != PART).collect();
    let role = match (recipient, functional.as_slice()) {
        (true, _) => Yes,
        (false, []) => return Never,
        (false, several) => {
            let all: Vec<_> =
                several.iter().map(|role| in_list(*role, &world.requester.roles, Unclear)).collect();
            greatest(&all)
        }
    };
    let Some(reference) = actor.get("reference") else {
        return if recipient { Never } else { role };
    };
    let (literal, identifiers) = target(consent, reference);
    if literal.is_none() && identifiers.iter().all(|(system, _)| system.is_empty()) {
        return Never;
    }
    let type_of = |literal: &str| literal.rsplit('/').nth(1).map(str::to_owned);
    let mut evidence = Vec::new();
    if let Some(literal) = literal {
        let alike: Vec<_> =
            world.known_as.iter().filter(|known| type_of(known.as_str()) == type_of(literal)).collect();
        if !alike.is_empty() {
            let all: Vec<_> = alike.iter().map(|known| same(literal, known.as_str())).collect();
            evidence.push(greatest(&all));
        }
    }
    let kind = match text(reference, "type") {
        "" => literal.and_then(type_of).unwrap_or_default(),
        kind => kind.to_owned(),
    };
    let mut own: Vec<&BusinessIdentifier> = Vec::new();
    if kind.is_empty() || kind == "Practitioner" {
        own.extend(&world.requester.subject);
    }
    if kind.is_empty() || kind == "Organization" {
        own.extend(&world.requester.organizations);
    }
    evidence.push(same_identifier(&identifiers, &own));
    let who = weigh(&evidence);
    if role == No || who == No {
        No
    } else if role == Yes && who == Yes {
        Yes
    } else {
        Unclear
    }
}

fn label_says(label: &Value, effect: &str, world: &World<'_>) -> Says {
    let rule = (text(label, "system"), text(label, "code"));
    if rule.0.is_empty() {
        return Never;
    }
    if rule.0 == CONF {
        let order = "ULMNRV";
        let Some(mark) = order.find(rule.1) else { return Never };
        let own: Vec<_> = world.facts.labels.iter().filter(|label| label.system == CONF).collect();
        let known: Vec<_> = own.iter().filter_map(|label| order.find(label.code.as_str())).collect();
        let strange = known.len() < own.len();
        let highest = known.iter().max().copied();
        return match (effect, highest) {
            (_, None) => Unclear,
            ("permit", Some(_)) if strange => Unclear,
            ("permit", Some(highest)) => {
                if highest <= mark {
                    Yes
                } else {
                    No
                }
            }
            (_, Some(highest)) if highest >= mark => Yes,
            _ => {
                if strange {
                    Unclear
                } else {
                    No
                }
            }
        };
    }
    let each: Vec<_> = world
        .facts
        .labels
        .iter()
        .map(|own| {
            if covers(rule, pair(own)) {
                Yes
            } else if narrower(pair(own), rule) || (own.system.is_empty() && own.code == rule.1) {
                Unclear
            } else {
                No
            }
        })
        .collect();
    greatest(&each)
}

fn class_says(class: &Value, world: &World<'_>) -> Says {
    let rule = (text(class, "system"), text(class, "code"));
    let yes = |yes: bool| if yes { Yes } else { No };
    match rule {
        ("", _) => Never,
        (TYPES, "Resource") => Yes,
        (TYPES, "DomainResource") => yes(world.facts.resource_type != "Bundle"),
        (TYPES, kind) => yes(world.facts.resource_type == kind),
        ("urn:ietf:rfc:3986", canonical) => yes(world
            .facts
            .profiles
            .iter()
            .any(|own| own == canonical || own.starts_with(&format!("{canonical}|")))),
        _ => in_list(rule, &world.facts.classes, No),
    }
}

fn data_says(consent: &Value, data: &Value, world: &World<'_>) -> Says {
    let Some(reference) = data.get("reference") else { return Never };
    let (literal, identifiers) = target(consent, reference);
    if literal.is_none() && identifiers.iter().all(|(system, _)| system.is_empty()) {
        return Never;
    }
    let own: Vec<_> = world.facts.identifiers.iter().collect();
    let mut evidence = vec![same_identifier(&identifiers, &own)];
    if let Some(literal) = literal {
        evidence.push(world.facts.reference.as_ref().map_or(No, |own| same(literal, own.as_str())));
    }
    let itself = weigh(&evidence);
    let among = |references: &[LiteralReference]| match literal {
        None => Unclear,
        Some(literal) => {
            greatest(&references.iter().map(|other| same(literal, other.as_str())).collect::<Vec<_>>())
        }
    };
    match text(data, "meaning") {
        "instance" => itself,
        "dependents" => greatest(&[itself, among(&world.facts.references)]),
        "related" => {
            let context = literal.is_some_and(|literal| literal.contains("Encounter/"));
            let referred = match &world.facts.referred_by {
                Some(referring) => among(referring),
                None if context => No,
                None => Unclear,
            };
            greatest(&[itself, among(&world.facts.references), referred])
        }
        "authoredby" => match &world.facts.authors {
            None => Unclear,
            Some(authors) => {
                let each: Vec<_> = authors
                    .iter()
                    .map(|author| {
                        let mut evidence = Vec::new();
                        if let (Some(literal), Some(own)) = (literal, &author.reference) {
                            evidence.push(same(literal, own.as_str()));
                        }
                        let own: Vec<_> = author.identifiers.iter().collect();
                        evidence.push(same_identifier(&identifiers, &own));
                        weigh(&evidence)
                    })
                    .collect();
                greatest(&each)
            }
        },
        _ => Never,
    }
}

/// The codings of one concept, of which any will do.
fn concept_says(value: &Value, each: impl Fn((&str, &str)) -> Says) -> Says {
    let all: Vec<_> = concept(value).into_iter().map(each).filter(|says| *says != Never).collect();
    if all.is_empty() { Never } else { greatest(&all) }
}

/// What each alternative of an element says.
fn element_says(
    consent: &Value,
    element: &str,
    stated: &Value,
    effect: &str,
    world: &World<'_>,
) -> Vec<Says> {
    let items = match stated {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    };
    let one = |item: &Value| match element {
        "actor" => actor_says(consent, item, world),
        "action" => concept_says(item, |(_, code)| match code {
            "access" | "correct" => {
                if code == world.action {
                    Yes
                } else {
                    No
                }
            }
            _ => Never,
        }),
        "purpose" => in_list((text(item, "system"), text(item, "code")), &world.requester.purposes, Unclear),
        "securityLabel" => label_says(item, effect, world),
        "class" => class_says(item, world),
        "code" => concept_says(item, |rule| in_list(rule, &world.facts.codes, No)),
        "dataPeriod" => match (period(item), &world.facts.period) {
            (None, _) => Never,
            (_, None) => Unclear,
            (Some((start, end)), Some(own)) => {
                let inside = start <= own.start && own.end <= end;
                let touching = start < own.end && own.start < end;
                if if effect == "permit" { inside } else { touching } { Yes } else { No }
            }
        },
        "data" => data_says(consent, item, world),
        _ => unreachable!(),
    };
    if element == "purpose" && effect == "permit" {
        return vec![all_purposes(&items, &world.requester.purposes)];
    }
    items.into_iter().map(one).collect()
}

/// Every purpose claimed must be covered, but for those that a narrower claim makes superfluous.
fn all_purposes(items: &[&Value], claims: &[Code]) -> Says {
    for claim in claims {
        let covered = items.iter().any(|item| {
            let rule = (text(item, "system"), text(item, "code"));
            !rule.0.is_empty() && covers(rule, pair(claim))
        });
        if !covered && !claims.iter().any(|other| narrower(pair(claim), pair(other))) {
            return No;
        }
    }
    if claims.is_empty() { No } else { Yes }
}

const ON_REQUEST: &[&str] = &["actor", "action", "purpose"];
const ON_DATA: &[&str] = &["securityLabel", "class", "code", "dataPeriod", "data"];

fn effect_of(provision: &Value) -> &str {
    if text(provision, "type") == "permit" { "permit" } else { "deny" }
}

/// Whether the last provision of a chain (root first) applies, as far as these elements go.
fn applies(
    consent: &Value,
    chain: &[&Value],
    effect: &str,
    elements: &[&str],
    with_period: bool,
    world: &World<'_>,
) -> bool {
    let own = chain.last().unwrap();
    if own.get("modifierExtension").is_some() {
        return effect == "deny";
    }
    if let (true, true, Some(stated)) = (with_period, chain.len() > 1, own.get("period")) {
        match period(stated) {
            Some((start, end)) if !(start <= world.at && world.at < end) => return false,
            None if effect == "permit" => return false,
            _ => {}
        }
    }
    elements.iter().all(|element| {
        let stated = match effect {
            "permit" => chain.iter().rev().find_map(|provision| provision.get(element)),
            _ => own.get(element),
        };
        let Some(stated) = stated else { return true };
        let says = element_says(consent, element, stated, effect, world);
        match effect {
            "permit" => says.contains(&Yes),
            _ => says.is_empty() || says.iter().any(|says| *says != No),
        }
    })
}

fn applies_wholly(consent: &Value, chain: &[&Value], effect: &str, world: &World<'_>) -> bool {
    applies(consent, chain, effect, ON_REQUEST, true, world)
        && applies(consent, chain, effect, ON_DATA, false, world)
}

/// The effect of the exceptions to the last provision of a chain.
fn exceptions<'a>(
    consent: &Value,
    chain: &[&'a Value],
    denies_only: bool,
    world: &World<'_>,
) -> Option<&'static str> {
    let parent: &'a Value = chain.last().unwrap();
    let mut found = Vec::new();
    for exception in list(parent, "provision") {
        let effect = effect_of(exception);
        let chain: Vec<&Value> = chain.iter().copied().chain([exception]).collect();
        let lost = parent.get("modifierExtension").is_some() && effect == "permit";
        if lost || (denies_only && effect == "permit") || !applies_wholly(consent, &chain, effect, world) {
            continue;
        }
        let own = if effect == "permit" { "permit" } else { "deny" };
        found.push(exceptions(consent, &chain, denies_only, world).unwrap_or(own));
    }
    ["deny", "permit"].into_iter().find(|effect| found.contains(effect))
}

/// What one consent says: `silent`, `elsewhere`, `withheld`, `permit`, `deny`; and whether it speaks about the
/// request.
fn verdict(consent: &Value, world: &World<'_>) -> (&'static str, bool) {
    let status = text(consent, "status");
    let scopes = consent.get("scope").map(concept).unwrap_or_default();
    let scopes: Vec<_> = scopes
        .iter()
        .filter(|(system, _)| system.ends_with("/consentscope"))
        .map(|(_, code)| *code)
        .collect();
    let strange = consent.get("modifierExtension").is_some();
    if !strange && ["draft", "proposed", "rejected", "inactive", "entered-in-error"].contains(&status) {
        return ("silent", false);
    }
    let undecidable = strange || status != "active";
    let elsewhere = matches!(scopes.first(), Some(&("adr" | "research" | "treatment")));
    if !undecidable && !scopes.contains(&"patient-privacy") && elsewhere {
        return ("silent", false);
    }
    let undecidable = undecidable || !scopes.contains(&"patient-privacy");

    let nothing = json!({});
    let root = consent.get("provision").unwrap_or(&nothing);
    let mut doubtful = date(text(consent, "dateTime")).is_some_and(|(start, _)| start > world.at);
    if let Some(stated) = root.get("period") {
        match period(stated) {
            None => doubtful = true,
            Some((start, end)) if !(start <= world.at && world.at < end) => return ("silent", false),
            Some(_) => {}
        }
    }
    let rules: Vec<&str> = consent
        .get("policyRule")
        .map(concept)
        .unwrap_or_default()
        .into_iter()
        .filter(|(system, code)| *system == ACT && (code.starts_with("OPTIN") || code.starts_with("OPTOUT")))
        .map(|(_, code)| code)
        .collect();
    let base = match (root.get("type").and_then(Value::as_str), rules.as_slice()) {
        (Some("permit"), _) => "permit",
        (Some("deny"), _) => "deny",
        (Some(_), _) | (None, []) => "none",
        (None, ["OPTINR"]) if root.as_object().unwrap().is_empty() => "none",
        (None, [one]) => {
            if one.starts_with("OPTIN") {
                "permit"
            } else {
                "deny"
            }
        }
        (None, _) => "none",
    };
    if undecidable || base == "none" || root.get("modifierExtension").is_some() {
        return ("deny", true);
    }
    let chain = [root];
    let addressed = applies(consent, &chain, base, ON_REQUEST, false, world)
        || list(root, "provision").into_iter().any(|exception| {
            let effect = effect_of(exception);
            (base == "deny" || effect == "permit")
                && applies(consent, &[root, exception], effect, ON_REQUEST, true, world)
        });
    if base == "permit" && !addressed {
        return ("elsewhere", false);
    }
    let found = exceptions(consent, &chain, doubtful && base == "deny", world);
    let says = match found {
        Some(effect) => effect,
        None if applies_wholly(consent, &chain, base, world) => base,
        None => {
            if base == "permit" {
                "withheld"
            } else {
                "silent"
            }
        }
    };
    (if doubtful && says == "permit" { "withheld" } else { says }, addressed)
}

fn reference(consents: &[Value], combining: Combining, world: &World<'_>) -> Outcome {
    let all: Vec<_> = consents.iter().map(|consent| (consent, verdict(consent, world))).collect();
    let elsewhere = all.iter().any(|(_, (says, _))| *says == "elsewhere");
    let taking_part: Vec<&str> = all
        .iter()
        .filter(|(consent, (_, addressed))| match combining {
            Combining::DenyOverrides => true,
            Combining::RefuseAmbiguous => *addressed,
            Combining::MostRecent => {
                let dated = |consent: &Value| date(text(consent, "dateTime"));
                let newer = |(other, (_, speaks)): &&(&Value, (&str, bool))| {
                    *speaks && dated(other).zip(dated(consent)).is_some_and(|(theirs, own)| theirs.0 >= own.1)
                };
                *addressed && !all.iter().any(|other| newer(&other))
            }
        })
        .map(|(_, (says, _))| *says)
        .collect();
    let has = |says: &str| taking_part.contains(&says);
    let agree = combining != Combining::DenyOverrides;
    if has("deny") || (agree && has("withheld")) {
        Outcome::Deny
    } else if has("permit") {
        Outcome::Permit
    } else if has("withheld") || elsewhere {
        Outcome::Deny
    } else {
        Outcome::NoConsent
    }
}

// ---------------------------------------------------------------- generated consents and questions

fn coding(choices: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(choices).prop_map(|(system, code)| match system {
        "" => json!({"code": code}),
        system => json!({"system": system, "code": code}),
    })
}

fn one_or_two(item: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    prop::collection::vec(item, 1..3).prop_map(Value::from)
}

/// Some stand more than once: the more often two sides meet, the more there is to compare.
const PURPOSES: &[(&str, &str)] = &[
    (REASON, "TREAT"),
    (REASON, "TREAT"),
    (REASON, "TREAT"),
    (REASON, "TREAT"),
    (REASON, "BTG"),
    (REASON, "ETREAT"),
    (REASON, "HRESCH"),
    ("https://example.org/fini", "FooBar"),
    ("", "TREAT"),
];
const LABELS: &[(&str, &str)] = &[
    (CONF, "N"),
    (CONF, "N"),
    (CONF, "R"),
    (CONF, "R"),
    (CONF, "V"),
    (CONF, "L"),
    (CONF, "STRANO"),
    (ACT, "PSY"),
    (ACT, "SUD"),
    (ACT, "ETHUD"),
    ("", "PSY"),
];
const CODES: &[(&str, &str)] = &[(LOINC, "8867-4"), (LOINC, "7917-8"), (SNOMED, "86406008"), ("", "7917-8")];
const CLASSES: &[(&str, &str)] = &[
    (TYPES, "DocumentReference"),
    (TYPES, "Observation"),
    (TYPES, "DomainResource"),
    (TYPES, "Resource"),
    ("urn:ietf:rfc:3986", "http://example.org/p"),
    ("urn:ietf:rfc:3986", "http://example.org/p|1"),
    (LOINC, "11502-2"),
    (LOINC, "34105-7"),
    ("", "x"),
];
const REFERENCES: &[&str] = &[
    "Practitioner/1",
    "Practitioner/2",
    "Organization/1",
    "https://h2.example/fhir/Practitioner/1",
    "Encounter/7",
    "DocumentReference/5",
    "Observation/6",
    "Group/3",
];
const DATES: &[&str] = &[
    "2024",
    "2025",
    "2026",
    "2025-06",
    "2026-05",
    "2026-05-01",
    "2026-05-02",
    "2026-05-01T12:00:00Z",
    "ieri",
    "2027-01-01",
];

fn role() -> impl Strategy<Value = Value> + Clone {
    const CHOICES: &[(&str, &str)] = &[
        (PART, "IRCP"),
        (PART, "IRCP"),
        (PART, "PRCP"),
        (PART, "CST"),
        (ROLES, "APR"),
        (ROLES, "INF"),
        ("", "APR"),
    ];
    coding(CHOICES).prop_map(|coding| json!({"coding": [coding]}))
}

fn a_reference() -> impl Strategy<Value = Value> + Clone {
    const IDENTIFIERS: &[(&str, &str, &str)] = &[
        (CF, "RSSMRA71E01F205E", "Practitioner"),
        (CF, "GTWGWY82B42G920M", ""),
        (HSP, "030913", "Organization"),
        (HSP, "030943", ""),
        ("", "030913", "Organization"),
        (CF, "RSSMRA71E01F205E", "PractitionerRole"),
    ];
    prop_oneof![
        4 => prop::sample::select(REFERENCES).prop_map(|reference| json!({"reference": reference})),
        4 => prop::sample::select(IDENTIFIERS).prop_map(|(system, value, kind)| {
            let mut reference = json!({"identifier": {"value": value}});
            if !system.is_empty() {
                reference["identifier"]["system"] = system.into();
            }
            if !kind.is_empty() {
                reference["type"] = kind.into();
            }
            reference
        }),
        1 => Just(json!({"reference": "#a"})),
        1 => Just(json!({"reference": "Practitioner?name=x y"})),
        1 => Just(json!({"display": "la mia dottoressa"})),
    ]
}

fn actor() -> impl Strategy<Value = Value> + Clone {
    (prop::option::weighted(0.95, role()), prop::option::weighted(0.9, a_reference())).prop_map(
        |(role, reference)| {
            let mut actor = json!({});
            if let Some(role) = role {
                actor["role"] = role;
            }
            if let Some(reference) = reference {
                actor["reference"] = reference;
            }
            actor
        },
    )
}

fn a_period() -> impl Strategy<Value = Value> {
    let end = || prop::option::of(prop::sample::select(DATES));
    (end(), end()).prop_map(|(start, end)| {
        let mut period = json!({});
        if let Some(start) = start {
            period["start"] = start.into();
        }
        if let Some(end) = end {
            period["end"] = end.into();
        }
        period
    })
}

fn data() -> impl Strategy<Value = Value> + Clone {
    let meaning = prop::sample::select(&["instance", "related", "dependents", "authoredby", "strano"][..]);
    (meaning, a_reference())
        .prop_map(|(meaning, reference)| json!({"meaning": meaning, "reference": reference}))
}

fn action() -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(&["access", "correct", "strano"][..]).prop_map(|code| {
        json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": code}]})
    })
}

fn a_code() -> impl Strategy<Value = Value> + Clone {
    prop_oneof![
        6 => coding(CODES).prop_map(|coding| json!({"coding": [coding]})),
        2 => (coding(CODES), coding(CODES)).prop_map(|(a, b)| json!({"coding": [a, b]})),
        1 => Just(json!({"text": "esami dell'HIV"})),
    ]
}

/// A provision, at most `depth` levels of exceptions below it. Few conditions each, so that many match.
fn provision(depth: u32) -> BoxedStrategy<Value> {
    let rarely = |strategy: BoxedStrategy<Value>| prop::option::weighted(0.08, strategy);
    let request = (
        rarely(a_period().boxed()),
        prop::option::weighted(0.18, one_or_two(actor())),
        rarely(one_or_two(action()).boxed()),
        prop::option::weighted(0.3, one_or_two(coding(PURPOSES))),
    );
    let content = (
        prop::option::weighted(0.25, one_or_two(coding(LABELS))),
        rarely(one_or_two(coding(CLASSES)).boxed()),
        rarely(one_or_two(a_code()).boxed()),
        rarely(a_period().boxed()),
        rarely(one_or_two(data()).boxed()),
    );
    let kind = prop_oneof![18 => Just("permit"), 12 => Just("deny"), 1 => Just("strano"), 2 => Just("")];
    let exceptions = match depth {
        0 => Just(Vec::new()).boxed(),
        _ => prop::collection::vec(provision(depth - 1), 0..3).boxed(),
    };
    let strange = prop::bool::weighted(0.015);
    (kind, request, content, exceptions, strange)
        .prop_map(
            |(
                kind,
                (period, actor, action, purpose),
                (label, class, code, data_period, data),
                inner,
                strange,
            )| {
                let mut provision = json!({});
                if !kind.is_empty() {
                    provision["type"] = kind.into();
                }
                for (element, value) in [
                    ("period", period),
                    ("actor", actor),
                    ("action", action),
                    ("purpose", purpose),
                    ("securityLabel", label),
                    ("class", class),
                    ("code", code),
                    ("dataPeriod", data_period),
                    ("data", data),
                ] {
                    if let Some(value) = value {
                        provision[element] = value;
                    }
                }
                if !inner.is_empty() {
                    provision["provision"] = inner.into();
                }
                if strange {
                    provision["modifierExtension"] =
                        json!([{"url": "http://example.org/x", "valueBoolean": true}]);
                }
                provision
            },
        )
        .boxed()
}

fn a_consent() -> impl Strategy<Value = Value> {
    let status = prop_oneof![
        60 => Just("active"), 1 => Just("draft"), 1 => Just("entered-in-error"), 1 => Just("strano"), 1 => Just("")
    ];
    let scope = prop_oneof![60 => Just("patient-privacy"), 1 => Just("research"), 1 => Just("strano")];
    let rule = prop_oneof![
        8 => Just(vec![]), 3 => Just(vec!["OPTIN"]), 2 => Just(vec!["OPTOUT"]), 1 => Just(vec!["OPTINR"]),
        1 => Just(vec!["OPTIN", "OPTOUT"]), 1 => Just(vec!["altro"])
    ];
    const GIVEN: &[&str] =
        &["2024", "2024-03-01", "2025-06", "2025-06-10", "2026-05-01", "2027-01-01", "ieri"];
    let dated = prop::option::weighted(0.9, prop::sample::select(GIVEN));
    let root = prop::option::weighted(0.95, provision(3));
    (status, scope, rule, dated, root, prop::bool::weighted(0.01)).prop_map(
        |(status, scope, rule, dated, root, strange)| {
            let mut consent = json!({
                "resourceType": "Consent", "id": "c1", "status": status,
                "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": scope}]},
                "patient": {"reference": "Patient/p1"},
                "contained": [{"resourceType": "Practitioner", "id": "a", "identifier": [{"system": CF, "value": "RSSMRA71E01F205E"}]}],
            });
            if !rule.is_empty() {
                let codings: Vec<_> = rule.iter().map(|code| json!({"system": ACT, "code": code})).collect();
                consent["policyRule"] = json!({"coding": codings});
            }
            if let Some(dated) = dated {
                consent["dateTime"] = dated.into();
            }
            if let Some(root) = root {
                consent["provision"] = root;
            }
            if strange {
                consent["modifierExtension"] = json!([{"url": "http://example.org/x", "valueBoolean": true}]);
            }
            consent
        },
    )
}

fn codes(choices: &'static [(&'static str, &'static str)], most: usize) -> impl Strategy<Value = Vec<Code>> {
    prop::collection::vec(
        prop::sample::select(choices).prop_map(|(system, code)| Code::new(system, code)),
        0..=most,
    )
}

fn claims() -> impl Strategy<Value = Vec<Code>> {
    let one = prop::sample::select(PURPOSES).prop_map(|(system, code)| Code::new(system, code));
    prop_oneof![9 => prop::collection::vec(one, 1..3), 1 => Just(Vec::new())]
}

fn references(most: usize) -> impl Strategy<Value = Vec<LiteralReference>> {
    let one = prop::sample::select(REFERENCES).prop_map(|text| LiteralReference::parse(text).unwrap());
    prop::collection::vec(one, 0..=most)
}

fn identifiers(most: usize) -> impl Strategy<Value = Vec<BusinessIdentifier>> {
    const CHOICES: &[(&str, &str)] = &[
        (CF, "RSSMRA71E01F205E"),
        (CF, "GTWGWY82B42G920M"),
        (HSP, "030913"),
        (HSP, "030943"),
        ("", "030913"),
    ];
    let one =
        prop::sample::select(CHOICES).prop_map(|(system, value)| BusinessIdentifier::new(system, value));
    prop::collection::vec(one, 0..=most)
}

fn a_requester() -> impl Strategy<Value = (Requester, Vec<LiteralReference>)> {
    const ROLE_CHOICES: &[(&str, &str)] =
        &[(ROLES, "APR"), (ROLES, "INF"), ("https://example.org/altri", "APR")];
    (identifiers(1), identifiers(1), codes(ROLE_CHOICES, 1), claims(), references(2)).prop_map(
        |(subject, organizations, roles, purposes, known_as)| {
            let subject = subject.into_iter().next();
            (Requester { subject, organizations, roles, purposes, ..Requester::default() }, known_as)
        },
    )
}

fn facts() -> impl Strategy<Value = ResourceFacts> {
    let span =
        prop::option::of((prop::sample::select(DATES), prop::sample::select(DATES)).prop_map(|(a, b)| {
            let utc = jiff::tz::TimeZone::UTC;
            let all = [a, b].map(|text| Interval::of_date_time(text, &utc).unwrap_or(Interval::ALWAYS));
            all[0].hull(&all[1])
        }));
    let authors = prop::option::of(prop::collection::vec(
        (references(1), identifiers(1)).prop_map(|(reference, identifiers)| Party {
            reference: reference.into_iter().next(),
            identifiers,
        }),
        0..2,
    ));
    let own = prop::option::of(prop::sample::select(&["DocumentReference/5", "Observation/6"][..]));
    let profile = prop::collection::vec(
        prop::sample::select(&["http://example.org/p|1", "http://example.org/p", "http://example.org/q"][..])
            .prop_map(str::to_owned),
        0..2,
    );
    let kind = prop::sample::select(&["DocumentReference", "Observation", "Bundle"][..]);
    (
        (own, kind, identifiers(1), codes(LABELS, 3), codes(CODES, 3), codes(CLASSES, 2)),
        (profile, span, references(2), prop::option::of(references(1)), authors),
    )
        .prop_map(
            |(
                (own, kind, identifiers, labels, codes, classes),
                (profiles, period, references, referred_by, authors),
            )| {
                ResourceFacts {
                    reference: own.map(|own| LiteralReference::parse(own).unwrap()),
                    resource_type: kind.to_owned(),
                    identifiers,
                    labels,
                    codes,
                    classes,
                    profiles,
                    period,
                    references,
                    referred_by,
                    authors,
                }
            },
        )
}

fn compiled(consent: &Value) -> CompiledConsent {
    let document = OwnedDocument::parse_json(consent.to_string(), &Limits::default()).unwrap();
    CompiledConsent::compile(document.root(), &Reading::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Given any consents, request and resource: the cheap answer, the explained answer and the request-level
    /// answer settled by its residual rules are all that of the reference.
    #[test]
    fn fast_and_slow_agree(
        consents in prop::collection::vec(a_consent(), 0..4),
        (requester, known_as) in a_requester(),
        correct in any::<bool>(),
        resources in prop::collection::vec(facts(), 1..6),
    ) {
        let fast: Vec<CompiledConsent> = consents.iter().map(compiled).collect();
        let fast: Vec<&CompiledConsent> = fast.iter().collect();
        let action = if correct { Action::Correct } else { Action::Access };
        let at: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let question = Question::new(&requester, action, at).known_as(&known_as);
        for &combining in Combining::ALL {
            let before = decide(&fast, &question, combining);
            prop_assert!(consents.is_empty() || before.because.len() >= consents.len());
            prop_assert_eq!(outcome(&fast, &question, combining), before.outcome);
            for facts in &resources {
                let world = World { requester: &requester, known_as: &known_as, action: action.code(), at, facts };
                let expected = reference(&consents, combining, &world);
                let question = question.about(facts);
                let decision = decide(&fast, &question, combining);
                prop_assert_eq!(outcome(&fast, &question, combining), expected, "{:?}", combining);
                prop_assert_eq!(decision.outcome, expected);
                prop_assert_eq!(before.settle(facts), expected, "{:?} {:#?}", combining, before);
                serde_json::from_slice::<Value>(&decision.to_json()).unwrap();
            }
            serde_json::from_slice::<Value>(&before.to_json()).unwrap();
        }
    }

    /// Whatever stands in a document, compiling and asking it ends without a panic.
    #[test]
    fn any_document_can_be_asked(mut consent in a_consent(), at in 0usize..2_000, junk in "[a-z0-9{}\\[\\]\",:]{0,3}") {
        consent["id"] = "x".into();
        let mut text = consent.to_string();
        let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
        text.insert_str(at, &junk);
        let Ok(document) = OwnedDocument::parse_json(text, &Limits::default()) else { return Ok(()) };
        let Ok(consent) = CompiledConsent::compile(document.root(), &Reading::default()) else { return Ok(()) };
        let facts = ResourceFacts::of_resource(document.root(), &Reading::default());
        let requester = Requester::default();
        let question = Question::new(&requester, Action::Access, Timestamp::UNIX_EPOCH);
        decide(&[&consent], &question, Combining::DenyOverrides);
        decide(&[&consent], &question.about(&facts), Combining::DenyOverrides);
    }
}

/// The generator is worth its name only if every answer is common.
#[test]
fn generated_questions_get_every_answer() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..600 {
        let consents = prop::collection::vec(a_consent(), 1..3).new_tree(&mut runner).unwrap().current();
        let (requester, known_as) = a_requester().new_tree(&mut runner).unwrap().current();
        let facts = facts().new_tree(&mut runner).unwrap().current();
        let at = "2026-05-01T12:00:00Z".parse().unwrap();
        let world = World { requester: &requester, known_as: &known_as, action: "access", at, facts: &facts };
        *seen.entry(reference(&consents, Combining::DenyOverrides, &world).code()).or_insert(0) += 1;
    }
    let least = [("permit", 50), ("deny", 100), ("no-consent", 10)];
    assert!(least.iter().all(|(code, least)| seen.get(code) >= Some(least)), "{seen:?}");
}
