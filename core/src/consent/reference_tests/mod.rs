//! The slow, obvious evaluator, straight from the document, and the property that the fast one agrees with it.
//!
//! It shares no code with the fast one: it reads JSON as it goes, compiles nothing, looks upwards for what a
//! permit takes over, and compares texts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod evaluator;
mod generator;

use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;

use self::evaluator::{World, reference};
use self::generator::{a_consent, a_requester, born, facts};
use super::*;
use crate::requester::Requester;

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

fn compiled(consent: &Value) -> CompiledConsent {
    let document = OwnedDocument::parse_json(consent.to_string(), &Limits::default()).unwrap();
    CompiledConsent::compile(document.root(), &Reading::default()).unwrap()
}

/// How many resources each set of consents and request is asked about.
const RESOURCES: usize = 5;

/// How many triples of consents, request and resource a run compares; `VARCO_CONSENT_TRIPLES` asks for more.
fn cases() -> ProptestConfig {
    let triples = std::env::var("VARCO_CONSENT_TRIPLES").map_or(10_000, |text| text.parse().unwrap());
    ProptestConfig::with_cases(u32::div_ceil(triples, RESOURCES as u32))
}

proptest! {
    #![proptest_config(cases())]

    /// Given any consents, request and resource: the cheap answer, the explained answer and the request-level
    /// answer settled by its residual rules are all that of the reference.
    #[test]
    fn fast_and_slow_agree(
        consents in prop::collection::vec(a_consent(), 0..4),
        (requester, known_as) in a_requester(),
        correct in any::<bool>(),
        born in born(),
        resources in prop::collection::vec(facts(), RESOURCES),
    ) {
        let fast: Vec<CompiledConsent> = consents.iter().map(compiled).collect();
        let fast: Vec<&CompiledConsent> = fast.iter().collect();
        let action = if correct { Action::Correct } else { Action::Access };
        let at: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
        let of_age = born.map(|born| ComingOfAge::of_birth_date(born, 18, &jiff::tz::TimeZone::UTC));
        let question = Question::new(&requester, action, at).known_as(&known_as).of_age(of_age);
        for &combining in Combining::ALL {
            let before = decide(&fast, &question, combining);
            prop_assert!(consents.is_empty() || before.because.len() >= consents.len());
            prop_assert_eq!(outcome(&fast, &question, combining), before.outcome);
            for facts in &resources {
                let world = World { requester: &requester, known_as: &known_as, action: action.code(), at, born, facts };
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
        let world = World {
            requester: &requester,
            known_as: &known_as,
            action: "access",
            at,
            born: None,
            facts: &facts,
        };
        *seen.entry(reference(&consents, Combining::DenyOverrides, &world).code()).or_insert(0) += 1;
    }
    let least = [("permit", 50), ("deny", 100), ("no-consent", 10)];
    assert!(least.iter().all(|(code, least)| seen.get(code) >= Some(least)), "{seen:?}");
}
