use std::sync::Arc;

use jiff::tz::TimeZone;

use super::*;
use crate::consent::{ACT_CODE, ACT_REASON, CONFIDENTIALITY, LiteralReference, ResourceFacts};
use crate::requester::{BusinessIdentifier, Code, Requester};

const ROLES: &str = "urn:test:roles";

fn compiled(text: &str, without: WithoutPolicy) -> Arc<SitePolicies> {
    let source = PolicySource { name: "policies/site.cedar".to_owned(), text: text.to_owned() };
    Arc::new(SitePolicies::compile(&[source], without).unwrap_or_else(|errors| panic!("{errors}")))
}

fn faults(text: &str) -> Vec<PolicyFault> {
    let source = PolicySource { name: "site.cedar".to_owned(), text: text.to_owned() };
    SitePolicies::compile(&[source], WithoutPolicy::Permit).map(|_| ()).unwrap_err().faults
}

fn doctor() -> Requester {
    Requester {
        client_id: "ward".to_owned(),
        subject: Some(BusinessIdentifier::new("urn:test:people", "rossi")),
        roles: vec![Code::new(ROLES, "doctor")],
        organizations: vec![BusinessIdentifier::new("urn:test:sites", "030943")],
        purposes: vec![Code::new(ACT_REASON, "TREAT")],
        scopes: vec!["system/*.rs".to_owned()],
        ..Requester::default()
    }
}

fn asking(policies: &Arc<SitePolicies>, requester: &Requester) -> PolicyRequest {
    // A Sunday; in Rome it is half past midnight.
    let at = "2026-11-21T23:30:00Z".parse().unwrap();
    PolicyRequest::new(policies.clone(), requester, at, &TimeZone::get("Europe/Rome").unwrap())
}

fn facts(kind: &str, labels: &[(&str, &str)]) -> ResourceFacts {
    ResourceFacts {
        reference: LiteralReference::parse(&format!("{kind}/1")),
        resource_type: kind.to_owned(),
        labels: labels.iter().map(|(system, code)| Code::new(*system, *code)).collect(),
        ..ResourceFacts::default()
    }
}

fn decide(
    text: &str,
    without: WithoutPolicy,
    requester: &Requester,
    facts: &ResourceFacts,
) -> PolicyDecision {
    let policies = compiled(text, without);
    let patients = ["Patient/1".to_owned()];
    let resource = PolicyResource { facts, patients: &patients, patient_count: 1, site: "030913" };
    PolicyDecision::clone(&asking(&policies, requester).decide(PolicyAction::Read, &resource))
}

/// Whether a condition holds for the doctor who reads this.
fn holds(condition: &str, facts: &ResourceFacts) -> bool {
    let text = format!("permit(principal, action, resource) when {{ {condition} }};");
    decide(&text, WithoutPolicy::Deny, &doctor(), facts).permitted
}

fn names(policies: &[Arc<SitePolicy>]) -> Vec<&str> {
    policies.iter().map(|policy| policy.name.as_str()).collect()
}

#[test]
fn a_forbid_wins_and_silence_is_the_sites_default() {
    let text = r#"
        @id("doctors") permit(principal in Role::"urn:test:roles|doctor", action in Action::"access", resource);
        @id("no-flags") @reason("flags are internal") @obligation("mask")
        forbid(principal, action, resource) when { resource.type == "Flag" };"#;
    let decided = |without, requester: &Requester, kind: &str| {
        let decision = decide(text, without, requester, &facts(kind, &[]));
        (decision.permitted, decision.by.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>())
    };
    let nurse = Requester { roles: vec![Code::new(ROLES, "nurse")], ..doctor() };
    for without in [WithoutPolicy::Deny, WithoutPolicy::Permit] {
        assert_eq!(decided(without, &doctor(), "Observation"), (true, vec!["doctors".to_owned()]));
        assert_eq!(decided(without, &doctor(), "Flag"), (false, vec!["no-flags".to_owned()]));
        assert_eq!(decided(without, &nurse, "Observation"), (without == WithoutPolicy::Permit, vec![]));
    }
}

#[test]
fn every_fact_of_the_schema_can_be_asked_for() {
    let mut full = facts("DocumentReference", &[(CONFIDENTIALITY, "R"), (ACT_CODE, "ETHUD")]);
    full.codes = vec![Code::new("http://loinc.org", "11502-2")];
    full.classes = vec![Code::new("urn:ietf:bcp:13", "application/pdf")];
    full.profiles = vec!["http://example.org/p".to_owned()];
    full.authors = Some(vec![crate::consent::Party {
        reference: LiteralReference::parse("Practitioner/7"),
        identifiers: vec![BusinessIdentifier::new("urn:test:people", "rossi")],
    }]);
    full.period = crate::consent::Interval::of_date_time("2026-01-02", &TimeZone::UTC);
    for condition in [
        r#"principal.client == "ward""#,
        r#"principal has person && principal.person == "urn:test:people|rossi""#,
        r#"principal.roles.contains("urn:test:roles|doctor") && principal in Role::"urn:test:roles|doctor""#,
        r#"principal in Organization::"urn:test:sites|030943" && principal.organizations.contains("urn:test:sites|030943")"#,
        "!(principal has patient)",
        r#"resource.type == "DocumentReference" && resource == Resource::"DocumentReference/1""#,
        r#"resource.labels.contains("http://terminology.hl7.org/CodeSystem/v3-ActCode|ETHUD")"#,
        r#"resource.labels.contains("http://terminology.hl7.org/CodeSystem/v3-ActCode|SUD")"#,
        "resource has confidentiality && resource.confidentiality == 5",
        r#"resource.codes.contains("http://loinc.org|11502-2")"#,
        r#"resource.classes.contains("urn:ietf:bcp:13|application/pdf")"#,
        r#"resource.profiles.contains("http://example.org/p")"#,
        r#"resource has authors && principal has person && resource.authors.contains(principal.person)"#,
        r#"resource has authors && resource.authors.contains("Practitioner/7")"#,
        r#"resource has start && resource.start == datetime("2026-01-02T00:00:00Z")"#,
        r#"resource has end && resource.end <= datetime("2026-01-03T00:00:00Z")"#,
        r#"resource.patients.contains("Patient/1") && resource.patient_count == 1"#,
        r#"resource.site == "030913""#,
        r#"context.purposes.contains("http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT") && !context.emergency"#,
        r#"context.scopes.contains("system/*.rs")"#,
        r#"context.now == datetime("2026-11-21T23:30:00Z")"#,
        "context.hour == 0 && context.weekday == 7",
    ] {
        assert!(holds(condition, &full), "{condition}");
        assert!(!holds(&format!("!({condition})"), &full), "{condition}");
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let bare = ResourceFacts { resource_type: "Observation".to_owned(), ..ResourceFacts::default() };
    for attribute in ["confidentiality", "authors", "start", "end"] {
        assert!(!holds(&format!("resource has {attribute}"), &bare), "{attribute}");
    }
    let odd = facts("Observation", &[(CONFIDENTIALITY, "X"), (CONFIDENTIALITY, "N")]);
    assert!(holds("resource has confidentiality && resource.confidentiality == 6", &odd));
}

#[test]
fn whoever_breaks_the_glass_is_in_an_emergency() {
    let text = r#"permit(principal, action, resource) when { context.emergency };"#;
    for (purpose, emergency) in [("TREAT", false), ("ETREAT", true), ("BTG", true), ("HRESCH", false)] {
        let requester = Requester { purposes: vec![Code::new(ACT_REASON, purpose)], ..doctor() };
        let decision = decide(text, WithoutPolicy::Deny, &requester, &facts("Observation", &[]));
        assert_eq!(decision.permitted, emergency, "{purpose}");
    }
    let other = Requester { purposes: vec![Code::new("urn:other", "ETREAT")], ..doctor() };
    assert!(!decide(text, WithoutPolicy::Deny, &other, &facts("Observation", &[])).permitted);
}

#[test]
fn a_policy_that_fails_denies_whatever_the_others_say() {
    let text = r#"
        @id("all") permit(principal, action, resource);
        @id("broken") permit(principal, action, resource)
        when { resource.patient_count + 9223372036854775807 > 0 };"#;
    for without in [WithoutPolicy::Deny, WithoutPolicy::Permit] {
        let decision = decide(text, without, &doctor(), &facts("Observation", &[]));
        assert!(!decision.permitted);
        assert_eq!(names(&decision.failed), ["broken"]);
        assert!(decision.by.is_empty());
    }
}

#[test]
fn resources_that_agree_in_what_is_mentioned_are_decided_about_once() {
    let text = r#"@id("n") permit(principal, action, resource) when { resource.type == "Observation" };"#;
    let mut asking = asking(&compiled(text, WithoutPolicy::Deny), &doctor());
    let resource = |facts| PolicyResource { facts, patients: &[], patient_count: 1, site: "" };
    let (one, other) = (facts("Observation", &[]), facts("Observation", &[(CONFIDENTIALITY, "V")]));
    let first = asking.decide(PolicyAction::Read, &resource(&one));
    assert!(Arc::ptr_eq(&first, &asking.decide(PolicyAction::Read, &resource(&other))));
    assert!(!Arc::ptr_eq(&first, &asking.decide(PolicyAction::Search, &resource(&one))));
    assert!(!asking.decide(PolicyAction::Read, &resource(&facts("Condition", &[]))).permitted);
}

#[test]
fn a_request_is_refused_early_only_where_no_resource_could_change_that() {
    let refused = |text: &str, without, action, kind: &str| {
        asking(&compiled(text, without), &doctor())
            .refused(action, kind)
            .map(|decision| decision.by.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>())
    };
    let by_type = r#"@id("t") forbid(principal, action == Action::"delete", resource) when { resource.type == "Patient" };"#;
    let (permit, deny) = (WithoutPolicy::Permit, WithoutPolicy::Deny);
    assert_eq!(refused(by_type, permit, PolicyAction::Delete, "Patient"), Some(vec!["t".to_owned()]));
    assert_eq!(refused(by_type, permit, PolicyAction::Delete, "Flag"), None);
    assert_eq!(refused(by_type, permit, PolicyAction::Read, "Patient"), None);
    let by_label = r#"forbid(principal, action, resource) when { resource.labels.contains("x|V") };"#;
    assert_eq!(refused(by_label, permit, PolicyAction::Read, "Patient"), None);
    let reads =
        r#"permit(principal, action in Action::"access", resource) when { resource.patient_count == 1 };"#;
    assert_eq!(refused(reads, deny, PolicyAction::Read, "Patient"), None);
    assert_eq!(refused(reads, deny, PolicyAction::Create, "Patient"), Some(vec![]));
    let of_type = r#"permit(principal, action, resource) when { resource.type == "Flag" };"#;
    assert_eq!(refused(of_type, deny, PolicyAction::Create, "Flag"), None);
    assert_eq!(refused(of_type, deny, PolicyAction::Create, "Patient"), Some(vec![]));
}

#[test]
fn faults_name_the_place_the_cause_and_the_cure() {
    let told = |text: &str| {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{found:?}");
        let fault = &found[0];
        (text[fault.span.clone()].to_owned(), fault.position.line, fault.cause.clone(), fault.cure.clone())
    };
    for (text, part, line, cause, cure) in [
        (
            "permit(principal, action, resource)\nwhen { resource.typo == \"x\" };",
            "resource.typo",
            2,
            "typo",
            "type",
        ),
        (
            "permit(principal, action, resource)\nwhen { resource.confidentiality > 3 };",
            "resource.confidentiality",
            2,
            "confidentiality",
            "has",
        ),
        ("permit(principal, action == Action::\"reed\", resource);", "Action::\"reed\"", 1, "reed", "read"),
        (
            "permit(principal, action, resource)\nwhen { resource.labels == 3 };",
            "resource.labels",
            2,
            "type",
            "operands",
        ),
        ("permit(principal, action, resource)", "", 1, "end of input", "Correct"),
        ("permit(principal, action, resource) when { false };", "permit", 1, "impossible", "Correct"),
        (
            "@obligation(\"email\")\nforbid(principal, action, resource);",
            "@obligation",
            1,
            "`email`",
            "@reason",
        ),
        (
            "@obligation(\"mask\")\npermit(principal, action, resource);",
            "@obligation",
            1,
            "can't hide",
            "@reason",
        ),
        (
            "@obligaton(\"mask\")\nforbid(principal, action, resource);",
            "@obligaton",
            1,
            "@obligaton",
            "@reason",
        ),
        ("permit(principal == ?principal, action, resource);", "?principal", 1, "template", "Name"),
        (
            "@id(\"a\") permit(principal, action, resource);\n@id(\"a\") forbid(principal, action, resource);",
            "a",
            2,
            "another",
            "of its own",
        ),
    ] {
        let (at, found_line, found_cause, found_cure) = told(text);
        let note = format!("{text}: {at:?} {found_line} {found_cause} {found_cure}");
        assert!(at.starts_with(part), "{note}");
        assert_eq!(found_line, line, "{note}");
        assert!(found_cause.contains(cause), "{note}");
        assert!(found_cure.contains(cure), "{note}");
    }
}

#[test]
fn what_is_forbidden_hides_what_holds_it_and_silence_inside_does_not() {
    let text = r#"
        @id("lists") permit(principal, action, resource) when { ["List", "Observation"].contains(resource.type) };
        @id("no-flags") forbid(principal, action, resource) when { resource.type == "Flag" };"#;
    let policies = compiled(text, WithoutPolicy::Deny);
    let inside = |kind: &str| {
        let json = format!(
            r#"{{"resourceType":"List","id":"1","contained":[{{"resourceType":"Device","id":"d"}},{{"resourceType":"{kind}","id":"c"}}]}}"#
        );
        let document = fhir_models::document::OwnedDocument::parse_json(json, &Default::default()).unwrap();
        let facts = facts("List", &[]);
        let whole = PolicyResource { facts: &facts, patients: &[], patient_count: 1, site: "" };
        let mut asking = asking(&policies, &doctor());
        assert!(asking.decide(PolicyAction::Read, &whole).permitted);
        let found = asking.forbidden_inside(PolicyAction::Read, document.root(), &whole, &Default::default());
        found.map(|decision| decision.by[0].name.clone())
    };
    assert_eq!(inside("Flag").as_deref(), Some("no-flags"));
    assert_eq!(inside("Observation"), None);
    assert_eq!(inside("Procedure"), None);
}

#[test]
fn a_site_that_permits_nothing_by_mistake_is_told() {
    let source = PolicySource {
        name: "site.cedar".to_owned(),
        text: "forbid(principal, action, resource) when { context.emergency };".to_owned(),
    };
    let errors = SitePolicies::compile(&[source], WithoutPolicy::Deny).map(|_| ()).unwrap_err();
    assert!(errors.to_string().contains("No policy permits anything"), "{errors}");
}

#[test]
fn a_policy_without_id_is_named_by_file_and_number() {
    let text = "permit(principal, action, resource);\n\npermit(principal, action, resource) when { context.emergency };";
    let policies = compiled(text, WithoutPolicy::Deny);
    assert_eq!(
        policies.policies().map(|policy| policy.name.as_str()).collect::<Vec<_>>(),
        ["site.cedar#1", "site.cedar#2"]
    );
}

#[test]
fn a_change_is_told_by_names() {
    let before = compiled(
        r#"@id("a") permit(principal, action, resource); @id("b") forbid(principal, action, resource) when { context.emergency };"#,
        WithoutPolicy::Deny,
    );
    let after = compiled(
        r#"@id("b") forbid(principal, action, resource) when { !context.emergency }; // new
           @id("c") permit(principal, action, resource);"#,
        WithoutPolicy::Deny,
    );
    assert_eq!(before.difference(&after).to_string(), "added: c; removed: a; changed: b");
    assert_eq!(before.difference(&before).to_string(), "nothing but comments or order");
}

#[test]
fn patients_are_counted_once_and_unknown_ones_each() {
    use crate::access::{PatientLink, PatientReference, PatientRole, Patients};
    let document = fhir_models::document::OwnedDocument::parse_json("{}", &Default::default()).unwrap();
    let link = |patient| PatientLink {
        patient,
        identifiers: Vec::new(),
        role: PatientRole::Subject,
        at: document.root().id(),
    };
    let literal = |text: &str| PatientReference::Literal(LiteralReference::parse(text).unwrap());
    let patients = Patients {
        links: vec![
            link(literal("Patient/1")),
            link(literal("https://elsewhere.example/Patient/2")),
            link(literal("https://elsewhere.example/Patient/2")),
            link(PatientReference::Unresolved),
            link(PatientReference::Unresolved),
        ],
        unattributed: Vec::new(),
    };
    assert_eq!(patient_count(&["Patient/1".to_owned()], &patients), 4);
    assert_eq!(patient_count(&[], &Patients::default()), 0);
}
