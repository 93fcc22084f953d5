//! Consents, requests and outcomes in the words of the field. The property tests beside this file show that
//! the evaluator does what its description says; these show what the description means.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;
use crate::requester::{BusinessIdentifier, Code, Requester};

const CF: &str = "http://hl7.it/sid/codiceFiscale";
const HSP: &str = "http://hl7.it/sid/hsp";

fn consent(provision: Value) -> Value {
    json!({
        "resourceType": "Consent", "id": "c", "status": "active", "dateTime": "2026-01-10",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "patient": {"reference": "Patient/p1"},
        "provision": provision,
    })
}

fn with(mut consent: Value, element: &str, value: Value) -> Value {
    consent[element] = value;
    consent
}

fn compile_with(consent: &Value, reading: &Reading) -> Result<CompiledConsent, ConsentError> {
    let document = OwnedDocument::parse_json(consent.to_string(), &Limits::default()).unwrap();
    CompiledConsent::compile(document.root(), reading)
}

fn compile(consent: &Value) -> CompiledConsent {
    compile_with(consent, &Reading::default()).unwrap()
}

fn label(code: &str) -> Value {
    let system = if code.len() == 1 { CONFIDENTIALITY } else { ACT_CODE };
    json!([{"system": system, "code": code}])
}

fn purpose(code: &str) -> Value {
    json!([{"system": ACT_REASON, "code": code}])
}

fn recipient(reference: Value) -> Value {
    let system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
    json!([{"role": {"coding": [{"system": system, "code": "IRCP"}]}, "reference": reference}])
}

fn doctor(value: &str) -> Value {
    recipient(json!({"type": "Practitioner", "identifier": {"system": CF, "value": value}}))
}

/// Doctor Rossi of hospital 030913, treating.
fn rossi() -> Requester {
    Requester {
        subject: Some(BusinessIdentifier::new(CF, "RSSMRA71E01F205E")),
        organizations: vec![BusinessIdentifier::new(HSP, "030913")],
        purposes: vec![Code::new(ACT_REASON, "TREAT")],
        ..Requester::default()
    }
}

fn claiming(purposes: &[&str]) -> Requester {
    let purposes = purposes.iter().map(|code| Code::new(ACT_REASON, *code)).collect();
    Requester { purposes, ..rossi() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn document(labels: &[&str]) -> ResourceFacts {
    let code = |code: &&str| Code::new(if code.len() == 1 { CONFIDENTIALITY } else { ACT_CODE }, *code);
    ResourceFacts {
        reference: LiteralReference::parse("DocumentReference/5"),
        resource_type: "DocumentReference".to_owned(),
        labels: labels.iter().map(code).collect(),
        ..ResourceFacts::default()
    }
}

#[track_caller]
fn answers(consents: &[Value], requester: &Requester, facts: &ResourceFacts, expected: Outcome) {
    let consents: Vec<CompiledConsent> = consents.iter().map(compile).collect();
    let consents: Vec<&CompiledConsent> = consents.iter().collect();
    let question = Question::new(requester, Action::Access, at("2026-05-01T12:00:00Z")).about(facts);
    let decision = decide(&consents, &question, Combining::DenyOverrides);
    assert_eq!(decision.outcome, expected, "{:#?}", decision.because);
}

use Outcome::{Deny, NoConsent, Permit};

#[test]
fn only_active_privacy_consents_decide() {
    let permit = consent(json!({"type": "permit"}));
    answers(std::slice::from_ref(&permit), &rossi(), &document(&[]), Permit);
    for status in ["draft", "proposed", "rejected", "inactive", "entered-in-error"] {
        answers(&[with(permit.clone(), "status", status.into())], &rossi(), &document(&[]), NoConsent);
    }
    let research = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]});
    answers(&[with(permit.clone(), "scope", research)], &rossi(), &document(&[]), NoConsent);
    answers(&[with(permit.clone(), "scope", json!({"text": "privacy"}))], &rossi(), &document(&[]), Deny);
    answers(&[with(permit.clone(), "status", "attivo".into())], &rossi(), &document(&[]), Deny);
    answers(&[with(permit, "implicitRules", "http://example.org/r".into())], &rossi(), &document(&[]), Deny);
    answers(&[], &rossi(), &document(&[]), NoConsent);
}

#[test]
fn a_policy_rule_is_the_base_where_the_root_has_no_type() {
    let rule = |code: &str| {
        let rule = json!({"coding": [{"system": ACT_CODE, "code": code}]});
        with(consent(json!({"purpose": purpose("TREAT")})), "policyRule", rule)
    };
    answers(&[rule("OPTIN")], &rossi(), &document(&[]), Permit);
    answers(&[rule("OPTINR")], &rossi(), &document(&[]), Permit);
    answers(&[rule("OPTOUT")], &rossi(), &document(&[]), Deny);
    answers(&[rule("OPTOUTE")], &rossi(), &document(&[]), Deny);
    answers(&[rule("HIPAA-AUTH")], &rossi(), &document(&[]), Deny);
    let mut bare = rule("OPTINR");
    bare.as_object_mut().unwrap().remove("provision");
    answers(&[bare], &rossi(), &document(&[]), Deny);
}

#[test]
fn a_period_ends_with_its_last_day_in_the_zone_of_the_deployment() {
    let may = consent(json!({"type": "permit", "period": {"start": "2026-05-01", "end": "2026-05-31"}}));
    let rome = Reading { zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(), ..Reading::default() };
    let (utc, rome) = (compile(&may), compile_with(&may, &rome).unwrap());
    let says = |consent: &CompiledConsent, time: &str| {
        outcome(&[consent], &Question::new(&rossi(), Action::Access, at(time)), Combining::DenyOverrides)
    };
    assert_eq!(says(&utc, "2026-05-31T23:30:00Z"), Permit);
    assert_eq!(says(&rome, "2026-05-31T23:30:00Z"), NoConsent);
    assert_eq!(says(&rome, "2026-04-30T22:30:00Z"), Permit);
    assert_eq!(says(&utc, "2026-04-30T22:30:00Z"), NoConsent);
}

#[test]
fn outside_its_conditions_a_permit_withholds_and_a_deny_is_silent() {
    let research = claiming(&["HRESCH"]);
    answers(
        &[consent(json!({"type": "permit", "purpose": purpose("TREAT")}))],
        &research,
        &document(&[]),
        Deny,
    );
    answers(
        &[consent(json!({"type": "deny", "purpose": purpose("TREAT")}))],
        &research,
        &document(&[]),
        NoConsent,
    );
    let other = consent(json!({"type": "permit", "purpose": purpose("HRESCH")}));
    let both = [consent(json!({"type": "permit", "purpose": purpose("TREAT")})), other];
    answers(&both, &research, &document(&[]), Permit);
    assert!(NoConsent.allows(WithoutConsent::Permit) && !NoConsent.allows(WithoutConsent::Deny));
    assert!(!Deny.allows(WithoutConsent::Permit));
}

#[test]
fn every_purpose_claimed_must_be_permitted_and_one_denied_is_enough() {
    let treat = consent(json!({"type": "permit", "purpose": purpose("TREAT")}));
    answers(std::slice::from_ref(&treat), &claiming(&["TREAT", "HRESCH"]), &document(&[]), Deny);
    answers(std::slice::from_ref(&treat), &claiming(&["TREAT", "BTG"]), &document(&[]), Permit);
    answers(std::slice::from_ref(&treat), &claiming(&[]), &document(&[]), Deny);
    let not_research =
        consent(json!({"type": "permit", "provision": [{"type": "deny", "purpose": purpose("HRESCH")}]}));
    answers(std::slice::from_ref(&not_research), &claiming(&["TREAT", "CLINTRCH"]), &document(&[]), Deny);
    answers(&[not_research], &claiming(&["TREAT"]), &document(&[]), Permit);
}

#[test]
fn normal_data_for_all_and_restricted_data_for_one_doctor() {
    let focused = consent(json!({
        "type": "permit", "purpose": purpose("TREAT"), "securityLabel": label("N"),
        "provision": [{"type": "permit", "securityLabel": label("R"), "actor": doctor("RSSMRA71E01F205E")}]
    }));
    let bianchi = Requester { subject: Some(BusinessIdentifier::new(CF, "GTWGWY82B42G920M")), ..rossi() };
    let focused = std::slice::from_ref(&focused);
    answers(focused, &rossi(), &document(&["R"]), Permit);
    answers(focused, &bianchi, &document(&["R"]), Deny);
    answers(focused, &bianchi, &document(&["N"]), Permit);
    answers(focused, &bianchi, &document(&["L"]), Permit);
    answers(focused, &rossi(), &document(&["V"]), Deny);
    answers(focused, &rossi(), &document(&[]), Deny);
    // The exception says nothing of purposes: it takes over the root's.
    answers(focused, &claiming(&["HRESCH"]), &document(&["R"]), Deny);
}

#[test]
fn break_glass_opens_what_dissent_closes() {
    let dissent =
        consent(json!({"type": "deny", "provision": [{"type": "permit", "purpose": purpose("BTG")}]}));
    answers(std::slice::from_ref(&dissent), &claiming(&["BTG"]), &document(&[]), Permit);
    answers(std::slice::from_ref(&dissent), &claiming(&["TREAT", "BTG"]), &document(&[]), Permit);
    answers(&[dissent], &claiming(&["TREAT"]), &document(&[]), Deny);
}

#[test]
fn exceptions_to_exceptions() {
    let nested = consent(json!({
        "type": "permit",
        "provision": [{"type": "deny", "securityLabel": label("HIV"), "provision": [
            {"type": "permit", "actor": doctor("RSSMRA71E01F205E"), "provision": [{"type": "deny", "purpose": purpose("HRESCH")}]}
        ]}]
    }));
    let bianchi = Requester { subject: Some(BusinessIdentifier::new(CF, "GTWGWY82B42G920M")), ..rossi() };
    let nested = std::slice::from_ref(&nested);
    answers(nested, &rossi(), &document(&["HIV"]), Permit);
    answers(nested, &bianchi, &document(&["HIV"]), Deny);
    answers(nested, &bianchi, &document(&["PSY"]), Permit);
    answers(nested, &claiming(&["HRESCH"]), &document(&["HIV"]), Deny);
    answers(nested, &claiming(&["HRESCH"]), &document(&["PSY"]), Permit);
}

#[test]
fn of_exceptions_side_by_side_a_deny_wins() {
    let both = consent(json!({"type": "deny", "provision": [
        {"type": "permit", "actor": doctor("RSSMRA71E01F205E")}, {"type": "deny", "securityLabel": label("V")}
    ]}));
    answers(std::slice::from_ref(&both), &rossi(), &document(&["N"]), Permit);
    answers(&[both], &rossi(), &document(&["V"]), Deny);
}

#[test]
fn what_cannot_be_compared_restricts() {
    let nurse =
        Requester { subject: Some(BusinessIdentifier::new("https://h1.example/matricole", "77")), ..rossi() };
    let not_bianchi = consent(
        json!({"type": "permit", "provision": [{"type": "deny", "actor": doctor("GTWGWY82B42G920M")}]}),
    );
    answers(std::slice::from_ref(&not_bianchi), &rossi(), &document(&[]), Permit);
    answers(std::slice::from_ref(&not_bianchi), &nurse, &document(&[]), Deny);
    answers(
        &[consent(json!({"type": "permit", "actor": doctor("GTWGWY82B42G920M")}))],
        &nurse,
        &document(&[]),
        Deny,
    );
    for undecidable in [
        json!({"actor": recipient(json!({"display": "la mia dottoressa"}))}),
        json!({"actor": [{"reference": {"reference": "Organization/1"}}]}),
        json!({"purpose": [{"code": "TREAT"}]}),
        json!({"purpose": "TREAT"}),
        json!({"action": [{"text": "guardare"}]}),
        json!({"securityLabel": [{"system": CONFIDENTIALITY, "code": "SEGRETO"}]}),
        json!({"code": [{"text": "HIV"}]}),
        json!({"dataPeriod": {"start": "ieri"}}),
        json!({"data": [{"meaning": "instance", "reference": {"display": "il referto"}}]}),
        json!({"data": [{"meaning": "instance", "reference": {"reference": "DocumentReference/5"}, "modifierExtension": [{"url": "http://example.org/x"}]}]}),
        json!({"actor": [{"role": {"coding": [{"system": "https://example.org/ruoli", "code": "APR"}]}, "modifierExtension": [{"url": "http://example.org/x"}]}]}),
        json!({"documentType": [{"code": "x"}]}),
        json!({"class": []}),
        json!({"period": {"end": "31/12/2026"}}),
        json!({"modifierExtension": [{"url": "http://example.org/x", "valueBoolean": true}]}),
    ] {
        let nested = |base: &str, kind: &str| {
            let mut exception = undecidable.clone();
            exception["type"] = kind.into();
            consent(json!({"type": base, "provision": [exception]}))
        };
        answers(&[nested("permit", "deny")], &rossi(), &document(&["N"]), Deny);
        answers(&[nested("deny", "permit")], &rossi(), &document(&["N"]), Deny);
    }
    let untyped = json!({"type": "permit", "provision": [{"purpose": purpose("TREAT")}]});
    answers(&[consent(untyped)], &rossi(), &document(&[]), Deny);
}

#[test]
fn an_organization_is_not_a_person_with_the_same_number() {
    let org = |value: &str| {
        recipient(json!({"type": "Organization", "identifier": {"system": HSP, "value": value}}))
    };
    let for_hospital = consent(json!({"type": "permit", "actor": org("030913")}));
    answers(std::slice::from_ref(&for_hospital), &rossi(), &document(&[]), Permit);
    let impostor = Requester {
        subject: Some(BusinessIdentifier::new(HSP, "030913")),
        organizations: vec![BusinessIdentifier::new(HSP, "030943")],
        ..rossi()
    };
    answers(&[for_hospital], &impostor, &document(&[]), Deny);
}

#[test]
fn literal_actors_need_to_know_whom_the_requester_is_here() {
    let org = compile(&consent(
        json!({"type": "permit", "actor": recipient(json!({"reference": "Organization/h1"}))}),
    ));
    let rossi = rossi();
    let question = Question::new(&rossi, Action::Access, at("2026-05-01T12:00:00Z"));
    let says = |known_as: &[LiteralReference]| {
        outcome(&[&org], &question.known_as(known_as), Combining::DenyOverrides)
    };
    let known = |text: &str| LiteralReference::parse(text).unwrap();
    assert_eq!(says(&[]), Deny);
    assert_eq!(says(&[known("Practitioner/7"), known("Organization/h1")]), Permit);
    assert_eq!(says(&[known("Organization/h2")]), Deny);
}

#[test]
fn a_functional_role_may_stand_without_a_name() {
    let role = json!([{"role": {"coding": [{"system": "https://example.org/ruoli", "code": "APR"}]}}]);
    let gps = consent(json!({"type": "permit", "actor": role}));
    let with_role =
        |code: &str| Requester { roles: vec![Code::new("https://example.org/ruoli", code)], ..rossi() };
    answers(std::slice::from_ref(&gps), &with_role("APR"), &document(&[]), Permit);
    answers(std::slice::from_ref(&gps), &with_role("OAM"), &document(&[]), Deny);
    answers(&[gps], &rossi(), &document(&[]), Deny);
}

#[test]
fn three_documents_for_a_second_opinion_and_no_other() {
    let data = |id: &str| json!({"meaning": "instance", "reference": {"reference": format!("https://h1.example/fhir/DocumentReference/{id}")}});
    let second_opinion = consent(json!({
        "type": "permit", "period": {"start": "2026-05-01", "end": "2026-05-14"}, "actor": doctor("RSSMRA71E01F205E"),
        "data": [data("5"), data("6"), data("7")]
    }));
    let reading = Reading { bases: vec!["https://h1.example/fhir".to_owned()], ..Reading::default() };
    let compiled = compile_with(&second_opinion, &reading).unwrap();
    let rossi = rossi();
    let question = Question::new(&rossi, Action::Access, at("2026-05-10T09:00:00Z"));
    let fourth = ResourceFacts { reference: LiteralReference::parse("DocumentReference/8"), ..document(&[]) };
    assert_eq!(outcome(&[&compiled], &question.about(&document(&[])), Combining::DenyOverrides), Permit);
    assert_eq!(outcome(&[&compiled], &question.about(&fourth), Combining::DenyOverrides), Deny);
    let before = decide(&[&compiled], &question, Combining::DenyOverrides);
    assert_eq!((before.outcome, before.rest, before.residual.len()), (Permit, Deny, 1));
    // Without the server's own address, an absolute reference may be another server's document.
    assert_eq!(
        outcome(&[&compile(&second_opinion)], &question.about(&document(&[])), Combining::DenyOverrides),
        Deny
    );
}

#[test]
fn a_deny_wins_over_any_number_of_permits() {
    let permit = consent(json!({"type": "permit"}));
    let deny = consent(json!({"type": "deny", "actor": doctor("RSSMRA71E01F205E")}));
    answers(&[permit.clone(), deny, permit], &rossi(), &document(&[]), Deny);
}

#[test]
fn the_most_recent_consent_decides_where_that_is_the_setting() {
    let dated =
        |kind: &str, date: &str| compile(&with(consent(json!({"type": kind})), "dateTime", date.into()));
    let rossi = rossi();
    let question = Question::new(&rossi, Action::Access, at("2026-05-01T12:00:00Z"));
    let says = |consents: &[CompiledConsent], combining| {
        outcome(&consents.iter().collect::<Vec<_>>(), &question, combining)
    };
    let changed_mind = [dated("deny", "2025-03-01"), dated("permit", "2026-03-01")];
    assert_eq!(says(&changed_mind, Combining::MostRecent), Permit);
    assert_eq!(says(&changed_mind, Combining::DenyOverrides), Deny);
    assert_eq!(says(&changed_mind, Combining::RefuseAmbiguous), Deny);
    assert_eq!(says(&[dated("deny", "2026-03-01"), dated("permit", "2025")], Combining::MostRecent), Deny);
    // 2026 may be before or after March 2026: nobody can tell, so both must agree.
    assert_eq!(says(&[dated("deny", "2026"), dated("permit", "2026-03-01")], Combining::MostRecent), Deny);
    assert_eq!(
        says(&[dated("permit", "2026"), dated("permit", "2026-03-01")], Combining::RefuseAmbiguous),
        Permit
    );
}

#[test]
fn a_consent_from_the_future_restricts_but_does_not_permit() {
    let future = |kind: &str| with(consent(json!({"type": kind})), "dateTime", "2026-05-02".into());
    answers(&[future("permit")], &rossi(), &document(&[]), Deny);
    answers(&[future("permit"), consent(json!({"type": "permit"}))], &rossi(), &document(&[]), Permit);
    answers(&[future("deny"), consent(json!({"type": "permit"}))], &rossi(), &document(&[]), Deny);
    let reopening =
        json!({"type": "deny", "provision": [{"type": "permit", "actor": doctor("RSSMRA71E01F205E")}]});
    let reopening = with(consent(reopening), "dateTime", "2026-05-02".into());
    answers(&[reopening, consent(json!({"type": "permit"}))], &rossi(), &document(&[]), Deny);
}

/// What one consent denies "but for", another's permit does not lift.
#[test]
fn a_permit_lifts_denials_of_its_own_consent_only() {
    let doubtful = with(
        consent(json!({"type": "permit", "provision": [
            {"type": "deny", "provision": [{"type": "permit", "securityLabel": label("PSY")}]}
        ]})),
        "dateTime",
        "2026-05-02".into(),
    );
    let normal = consent(json!({"type": "permit", "securityLabel": label("N")}));
    let consents = [compile(&doubtful), compile(&normal)];
    let consents: Vec<&CompiledConsent> = consents.iter().collect();
    let rossi = rossi();
    let question = Question::new(&rossi, Action::Access, at("2026-05-01T12:00:00Z"));
    let before = decide(&consents, &question, Combining::DenyOverrides);
    for (labels, expected) in [(&["N"][..], Deny), (&["N", "PSY"], Permit), (&["R", "PSY"], Deny)] {
        let facts = document(labels);
        assert_eq!(
            outcome(&consents, &question.about(&facts), Combining::DenyOverrides),
            expected,
            "{labels:?}"
        );
        assert_eq!(before.settle(&facts), expected, "{labels:?}");
    }
}

#[test]
fn whose_consent_it_is() {
    let patient = |patient: Value| {
        let contained = json!([{"resourceType": "Patient", "id": "p", "identifier": [{"system": CF, "value": "RSSMRA71E01F205E"}]}]);
        compile(&with(with(consent(json!({})), "patient", patient), "contained", contained)).patient().clone()
    };
    assert_eq!(patient(json!({"reference": "Patient/p1"})).reference.unwrap().as_str(), "Patient/p1");
    let logical = patient(json!({"identifier": {"system": CF, "value": "GTWGWY82B42G920M"}}));
    assert_eq!(logical.identifiers, [BusinessIdentifier::new(CF, "GTWGWY82B42G920M")]);
    assert_eq!(patient(json!({"reference": "#p"})).identifiers[0].value, "RSSMRA71E01F205E");
    assert_eq!(patient(json!({"display": "Maria"})), ConsentPatient::default());
}

#[test]
fn bounds_are_kept_and_what_does_not_compile_stays_closed() {
    let mut deep = json!({"type": "deny"});
    for _ in 0..=MAX_DEPTH {
        deep = json!({"type": "deny", "provision": [deep]});
    }
    let reading = Reading::default();
    let error = |consent: Value| compile_with(&consent, &reading).unwrap_err();
    assert_eq!(error(consent(deep)), ConsentError::TooDeep(MAX_DEPTH));
    let wide: Vec<Value> = (0..MAX_PROVISIONS).map(|_| json!({"type": "deny"})).collect();
    assert_eq!(
        error(consent(json!({"type": "permit", "provision": wide}))),
        ConsentError::TooManyProvisions(MAX_PROVISIONS)
    );
    let codes: Vec<Value> =
        (0..=MAX_CONDITIONS).map(|n| json!({"system": "http://loinc.org", "code": n.to_string()})).collect();
    assert_eq!(
        error(consent(json!({"type": "permit", "class": codes}))),
        ConsentError::TooManyConditions(MAX_CONDITIONS)
    );
    assert_eq!(error(json!({"resourceType": "Patient"})), ConsentError::NotConsent);
    let closed = CompiledConsent::unreadable("Consent/9", ConsentPatient::default());
    let rossi = rossi();
    let question = Question::new(&rossi, Action::Access, at("2026-05-01T12:00:00Z"));
    assert_eq!(
        decide(&[&closed, &compile(&consent(json!({"type": "permit"})))], &question, Combining::MostRecent)
            .outcome,
        Deny
    );
}

#[test]
fn reasons_name_elements_and_no_data() {
    let refusing = compile(&consent(json!({
        "type": "permit", "purpose": purpose("TREAT"),
        "provision": [{"type": "deny", "securityLabel": label("HIV"), "actor": doctor("GTWGWY82B42G920M")}]
    })));
    let nurse = Requester { subject: None, ..rossi() };
    let facts = document(&["HIV"]);
    let question = Question::new(&nurse, Action::Access, at("2026-05-01T12:00:00Z")).about(&facts);
    let decision = decide(&[&refusing], &question, Combining::DenyOverrides);
    let [reason] = decision.because.as_slice() else { panic!("{:?}", decision.because) };
    assert_eq!((&*reason.consent, &*reason.provision), ("Consent/c", "provision.provision[0]"));
    assert_eq!(
        reason.text,
        "denies: its securityLabel matches; its actor can't be compared with this request, which restricts"
    );
    assert!(
        !decision.because.iter().any(|reason| reason.text.contains("GTW") || reason.text.contains("HIV"))
    );
}

#[test]
fn residual_rules_are_written_as_ihe_pcf_has_them() {
    let normal = compile(&consent(json!({
        "type": "permit", "securityLabel": label("N"),
        "provision": [{"type": "deny", "dataPeriod": {"start": "2022", "end": "2022"}}]
    })));
    let rossi = rossi();
    let question = Question::new(&rossi, Action::Access, at("2026-05-01T12:00:00Z"));
    let decision = decide(&[&normal], &question, Combining::DenyOverrides);
    let json: Value = serde_json::from_slice(&decision.to_json()).unwrap();
    assert_eq!(
        json["residual"],
        json!([
            {"type": "forbid"},
            {"type": "permit", "consent": "Consent/c", "provision": "provision",
             "securityLabel": [{"system": CONFIDENTIALITY, "code": "N"}]},
            {"type": "forbid", "consent": "Consent/c", "provision": "provision.provision[0]",
             "dataPeriod": {"start": "2022", "end": "2022"}},
        ])
    );
    let open = compile(&consent(
        json!({"type": "permit", "provision": [{"type": "deny", "securityLabel": label("R")}]}),
    ));
    let decision = decide(&[&open], &question, Combining::DenyOverrides);
    let json: Value = serde_json::from_slice(&decision.to_json()).unwrap();
    assert_eq!(json["residual"].as_array().unwrap().len(), 1);
    assert_eq!(json["residual"][0]["type"], "forbid");
}
