//! Given an emergency and what consents say, when the deployment overrides some of it, then the rest stays shut.
#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::consent::{ACT_REASON, Action, Reading, ResourceFacts, decide};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

fn at() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn asking(purpose: &str) -> Requester {
    Requester {
        roles: vec![Code::new("urn:ruoli", "AAS")],
        purposes: vec![Code::new(ACT_REASON, purpose)],
        reason: Some("Paziente incosciente in pronto soccorso".to_owned()),
        issued: Some(1_000),
        ..Requester::default()
    }
}

fn rules(overrides: &[Overridden]) -> BreakGlass {
    BreakGlass {
        roles: vec![Code::new("", "AAS"), Code::new("urn:altri", "PSS")],
        overrides: overrides.to_vec(),
        reason_required: true,
        longest: 600,
    }
}

fn consent(provision: Value) -> CompiledConsent {
    let text = json!({ "resourceType": "Consent", "id": "1", "status": "active",
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
        "patient": { "reference": "Patient/1" }, "dateTime": "2026-01-01", "provision": provision });
    let document = OwnedDocument::parse_json(text.to_string(), &Limits::default()).unwrap();
    CompiledConsent::compile(document.root(), &Reading::default()).unwrap()
}

fn label(code: &str) -> ResourceFacts {
    ResourceFacts { labels: vec![Code::new(CONFIDENTIALITY, code)], ..ResourceFacts::default() }
}

/// What comes of a request about these facts, and which part was overridden.
fn decided(
    consents: &[&CompiledConsent],
    facts: Option<&ResourceFacts>,
    own: &BreakGlass,
) -> (Decision, Option<String>) {
    let requester = asking("BTG");
    let mut question = Question::new(&requester, Action::Access, at());
    question.resource = facts;
    let combining = Combining::DenyOverrides;
    let decision = decide(consents, &question, combining);
    let decision = own.beside(decision, consents, &question, combining, WithoutConsent::Deny);
    let opened = decision.because.iter().find(|own| &*own.consent == BREAK_GLASS);
    let opened = opened.filter(|own| own.effect == ReasonEffect::Permit).map(|own| own.provision.to_string());
    (decision, opened)
}

#[test]
fn who_has_no_role_no_reason_or_no_time_is_not_admitted() {
    let own = rules(&[]);
    assert_eq!(own.admit(&asking("BTG"), 1_600), Ok(()));
    assert_eq!(own.admit(&asking("BTG"), 1_601), Err(NotAdmitted::Over));
    let with = |change: fn(&mut Requester)| {
        let mut requester = asking("BTG");
        change(&mut requester);
        own.admit(&requester, 1_000)
    };
    assert_eq!(with(|own| own.roles = vec![Code::new("urn:ruoli", "PSS")]), Err(NotAdmitted::Role));
    assert_eq!(with(|own| own.roles = vec![Code::new("urn:altri", "PSS")]), Ok(()));
    assert_eq!(with(|own| own.roles.clear()), Err(NotAdmitted::Role));
    assert_eq!(with(|own| own.reason = None), Err(NotAdmitted::Reason));
    assert_eq!(with(|own| own.reason = Some(" \n".to_owned())), Err(NotAdmitted::Reason));
    assert_eq!(with(|own| own.issued = None), Err(NotAdmitted::Undated));
    let lenient = BreakGlass { reason_required: false, ..own };
    assert_eq!(lenient.admit(&Requester { reason: None, ..asking("BTG") }, 1_000), Ok(()));
}

#[test]
fn an_emergency_is_told_by_its_purpose() {
    for purpose in ["BTG", "ETREAT", "ERTREAT", "DISASTER", "EMERGENCY", "PUBEMERGENCY"] {
        assert!(is_emergency(&asking(purpose)), "{purpose}");
    }
    assert!(!is_emergency(&asking("TREAT")));
}

#[test]
fn only_what_is_overridden_opens() {
    let research =
        consent(json!({ "type": "permit", "purpose": [{ "system": ACT_REASON, "code": "HRESCH" }] }));
    let closed = consent(json!({ "type": "deny" }));
    let open = consent(json!({ "type": "permit" }));
    let facts = label("N");
    for (consents, against) in [
        (vec![], Overridden::NoConsent),
        (vec![&research], Overridden::Withheld),
        (vec![&closed], Overridden::Denied),
        (vec![&open, &closed], Overridden::Denied),
    ] {
        for facts in [None, Some(&facts)] {
            for &overridden in Overridden::ALL {
                let (decision, opened) = decided(&consents, facts, &rules(&[overridden]));
                let expected = (overridden == against).then(|| against.code().to_owned());
                assert_eq!(opened, expected, "{against:?} {overridden:?} {decision:?}");
                assert_eq!(decision.allows(WithoutConsent::Deny), overridden == against);
            }
        }
    }
    let (decision, opened) = decided(&[&open], Some(&facts), &rules(Overridden::ALL));
    assert_eq!((decision.outcome, opened), (Outcome::Permit, None), "nothing to override");
}

#[test]
fn what_a_provision_denies_stays_denied_beside_what_is_opened() {
    let restricted = json!({ "type": "deny", "securityLabel": [{ "system": CONFIDENTIALITY, "code": "R" }] });
    let research = json!({ "type": "permit", "purpose": [{ "system": ACT_REASON, "code": "HRESCH" }] });
    let both = [consent(research), consent(restricted)];
    let both: Vec<&CompiledConsent> = both.iter().collect();
    let own = rules(&[Overridden::NoConsent, Overridden::Withheld]);
    let (decision, opened) = decided(&both, None, &own);
    assert_eq!(opened.as_deref(), Some("withheld"));
    assert_eq!(decision.settle(&label("N")), Outcome::Permit);
    assert_eq!(decision.settle(&label("V")), Outcome::Deny);
    assert_eq!(decided(&both, Some(&label("N")), &own).0.outcome, Outcome::Permit);
    assert_eq!(decided(&both, Some(&label("V")), &own).0.outcome, Outcome::Deny);
}

#[test]
fn who_is_not_admitted_gets_nothing_and_the_explanation_says_so() {
    let requester = asking("BTG");
    let question = Question::new(&requester, Action::Access, at());
    let open = consent(json!({ "type": "permit" }));
    let decision = refused(decide(&[&open], &question, Combining::DenyOverrides), NotAdmitted::Reason);
    assert_eq!(decision.outcome, Outcome::Deny);
    let told = String::from_utf8(decision.to_json()).unwrap();
    assert!(told.contains("carries no reason") && told.contains(BREAK_GLASS), "{told}");
}

proptest! {
    /// An emergency only adds, and adds nothing that is not overridden.
    #[test]
    fn it_only_adds_what_is_overridden(
        provisions in prop::collection::vec((0..3_usize, any::<bool>()), 0..4),
        overridden in prop::sample::subsequence(Overridden::ALL.to_vec(), 0..=3),
        code in prop::sample::select(vec!["L", "N", "R", "V"]),
    ) {
        let consents: Vec<CompiledConsent> = provisions
            .into_iter()
            .map(|(kind, permit)| {
                let condition = match kind {
                    0 => json!({}),
                    1 => json!({ "securityLabel": [{ "system": CONFIDENTIALITY, "code": "R" }] }),
                    _ => json!({ "purpose": [{ "system": ACT_REASON, "code": "HRESCH" }] }),
                };
                let mut provision = condition;
                provision["type"] = if permit { "permit" } else { "deny" }.into();
                consent(provision)
            })
            .collect();
        let consents: Vec<&CompiledConsent> = consents.iter().collect();
        let facts = label(code);
        let requester = asking("BTG");
        let question = Question::new(&requester, Action::Access, at()).about(&facts);
        let before = decide(&consents, &question, Combining::DenyOverrides);
        let own = rules(&overridden);
        let after = own.beside(before.clone(), &consents, &question, Combining::DenyOverrides, WithoutConsent::Deny);
        let (was, is) = (before.allows(WithoutConsent::Deny), after.allows(WithoutConsent::Deny));
        prop_assert!(is || !was);
        prop_assert_eq!(is && !was, own.opens(&before, WithoutConsent::Deny).is_some());
        let denies = before.because.iter().any(|own| own.effect == ReasonEffect::Deny);
        prop_assert!(!(denies && is) || was || overridden.contains(&Overridden::Denied));
    }
}
