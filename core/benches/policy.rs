//! A resource's decision by 20 site policies: evaluated anew, and remembered from a resource that agrees with it in all that
//! the policies mention; and the making of a request.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use varco_core::consent::{LiteralReference, ResourceFacts};
use varco_core::policy::{
    PolicyAction, PolicyRequest, PolicyResource, PolicySource, SitePolicies, WithoutPolicy,
};
use varco_core::requester::{BusinessIdentifier, Code, Requester};

const REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const LEVEL: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// Ten roles that each may treat, and ten things that are forbidden to one of them.
fn policies() -> Arc<SitePolicies> {
    let mut text = String::new();
    for number in 0..10 {
        write!(
            text,
            r#"@id("permit-{number}") permit(principal in Role::"urn:r|{number}", action in Action::"access", resource)
               when {{ context.purposes.contains("{REASON}|TREAT") }};
               @id("forbid-{number}") forbid(principal in Role::"urn:r|{number}", action, resource)
               when {{ ["MedicationRequest", "Flag"].contains(resource.type) ||
                       (resource has confidentiality && resource.confidentiality >= 6) ||
                       resource.labels.contains("urn:l|{number}") }};"#
        )
        .unwrap();
    }
    let source = PolicySource { name: "bench.cedar".to_owned(), text };
    Arc::new(SitePolicies::compile(&[source], WithoutPolicy::Deny).unwrap())
}

fn decisions(criterion: &mut Criterion) {
    let policies = policies();
    let requester = Requester {
        subject: Some(BusinessIdentifier::new("urn:people", "rossi")),
        roles: vec![Code::new("urn:r", "7")],
        purposes: vec![Code::new(REASON, "TREAT")],
        ..Requester::default()
    };
    let facts = ResourceFacts {
        reference: LiteralReference::parse("Observation/500"),
        resource_type: "Observation".to_owned(),
        labels: vec![Code::new(LEVEL, "R")],
        codes: vec![Code::new("http://loinc.org", "8867-4")],
        ..ResourceFacts::default()
    };
    let patients = ["Patient/1".to_owned()];
    let resource = PolicyResource { facts: &facts, patients: &patients, patient_count: 1, site: "030913" };
    let at = "2026-11-22T09:00:00Z".parse().unwrap();
    let fresh = PolicyRequest::new(policies.clone(), &requester, at, &TimeZone::UTC);
    let mut group = criterion.benchmark_group("policy");
    group.bench_function("decision/20 policies", |bencher| {
        bencher.iter_batched_ref(
            || fresh.clone(),
            |request| black_box(request.decide(PolicyAction::Search, black_box(&resource))).permitted,
            criterion::BatchSize::SmallInput,
        );
    });
    let mut warm = fresh.clone();
    assert!(warm.decide(PolicyAction::Search, &resource).permitted);
    group.bench_function("decision/remembered", |bencher| {
        bencher.iter(|| black_box(warm.decide(PolicyAction::Search, black_box(&resource))).permitted);
    });
    group.bench_function("request", |bencher| {
        bencher.iter(|| {
            let request = PolicyRequest::new(policies.clone(), black_box(&requester), at, &TimeZone::UTC);
            black_box(request.refused(PolicyAction::Search, "Observation")).is_none()
        });
    });
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
