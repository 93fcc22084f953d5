//! Generated consents, requesters and resources.
//!
//! All draw from few values, and some stand more than once: the more often two sides meet, the more there is
//! to compare.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Interval, LiteralReference, Party, ResourceFacts};
use super::{ACT, CF, CONF, HSP, LOINC, PART, REASON, ROLES, SNOMED, TYPES};
use crate::requester::{BusinessIdentifier, Code, Requester};

fn coding(choices: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(choices).prop_map(|(system, code)| match system {
        "" => json!({"code": code}),
        system => json!({"system": system, "code": code}),
    })
}

fn one_or_two(item: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Value> {
    prop::collection::vec(item, 1..3).prop_map(Value::from)
}

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
    (REASON, "HTEST"),
    (REASON, "TREAT"),
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
    let reference = prop::option::weighted(0.9, a_reference());
    (prop::option::weighted(0.95, role()), reference, modified(0.02)).prop_map(
        |(role, reference, strange)| {
            let mut actor = json!({});
            if let Some(role) = role {
                actor["role"] = role;
            }
            if let Some(reference) = reference {
                actor["reference"] = reference;
            }
            with(actor, strange)
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
        .prop_flat_map(|data| (Just(data), modified(0.02)))
        .prop_map(|(data, modified)| with(data, modified))
}

/// Now and then a member that nobody understands: a modifier extension, or one of a later release of FHIR.
fn modified(weight: f64) -> impl Strategy<Value = Option<(&'static str, Value)>> + Clone {
    let choices = prop::sample::select(vec![
        ("modifierExtension", json!([{"url": "http://example.org/x", "valueBoolean": true}])),
        ("documentType", json!([{"code": "x"}])),
        ("_documentType", json!([{"id": "x"}])),
    ]);
    prop::option::weighted(weight, choices)
}

fn with(mut element: Value, member: Option<(&'static str, Value)>) -> Value {
    if let Some((key, value)) = member {
        element[key] = value;
    }
    element
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
    let strange = modified(0.015);
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
                with(provision, strange)
            },
        )
        .boxed()
}

fn verifications() -> impl Strategy<Value = Value> {
    let date = prop::sample::select(&["2024-05-01", "2025", "2025-06", "ieri"][..]);
    let one = (any::<bool>(), prop::option::weighted(0.9, date), modified(0.02)).prop_map(
        |(yes, date, strange)| {
            let mut own = json!({"verified": yes});
            if let Some(date) = date {
                own["verificationDate"] = date.into();
            }
            with(own, strange)
        },
    );
    prop::collection::vec(one, 1..3).prop_map(Value::from)
}

/// When the patient was born, where that matters.
pub(super) fn born() -> impl Strategy<Value = Option<&'static str>> {
    const DATES: &[&str] =
        &["1960-01-01", "2008-05-01", "2008", "2007-03", "2006-06-10", "2012-01-01", "ieri"];
    prop::option::weighted(0.3, prop::sample::select(DATES))
}

pub(super) fn a_consent() -> impl Strategy<Value = Value> {
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
    let rest = (modified(0.01), prop::option::weighted(0.06, verifications()), modified(0.003));
    (status, scope, rule, dated, root, rest).prop_map(
        |(status, scope, rule, dated, root, (strange, verified, policy))| {
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
            if let Some(verified) = verified {
                consent["verification"] = verified;
            }
            consent["policy"] = json!([with(json!({"uri": "http://example.org/p"}), policy)]);
            with(consent, strange)
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

pub(super) fn a_requester() -> impl Strategy<Value = (Requester, Vec<LiteralReference>)> {
    const ROLE_CHOICES: &[(&str, &str)] =
        &[(ROLES, "APR"), (ROLES, "INF"), ("https://example.org/altri", "APR")];
    (identifiers(1), identifiers(1), codes(ROLE_CHOICES, 1), claims(), references(2)).prop_map(
        |(subject, organizations, roles, purposes, known_as)| {
            let subject = subject.into_iter().next();
            (Requester { subject, organizations, roles, purposes, ..Requester::default() }, known_as)
        },
    )
}

pub(super) fn facts() -> impl Strategy<Value = ResourceFacts> {
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
