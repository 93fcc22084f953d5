//! The suite `gateway-security` against running sidecars in two worlds: before the simulated hospital, and before
//! `sekmet-fhir`, a FHIR server that nobody here wrote. The variable `SEKMET` names its program.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod harness;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::sekmet::Sekmet;
use harness::{ISSUER, Issuer, Region, Setup, now};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use varco::{config, run};
use varco_conformance::suite::{
    Expect, Extent, RunOptions, RunReport, Runner, Suite, Test, Token, TwinTarget, Verdict,
};

const LIMITS: &str = "[limits]\nrequests_per_second = 10000\nburst = 10000\n";
const RULES: usize = 32;

fn suite() -> Suite {
    Suite::builtin("gateway-security").unwrap().unwrap()
}

/// A token for each actor of the suite.
fn tokens(setup: &Setup) -> BTreeMap<String, Token> {
    let purpose = |code: &str| {
        json!({ "extensions": { "ihe_iua": {
            "subject_organization_id": ["urn:oid:2.16.840.1.113883.2.9.4.1.2|030943"],
            "subject_role": [{ "system": "urn:test:role", "code": "AAS" }],
            "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code }] } } })
    };
    let unsigned = || {
        let claims = setup.token(json!({})).split('.').nth(1).unwrap().to_owned();
        format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))
    };
    let own = [
        ("default", setup.token(json!({}))),
        ("keeper", setup.token(purpose("HOPERAT"))),
        ("narrow", setup.token(json!({ "scope": "system/Patient.rs" }))),
        ("colleague", setup.token(json!({ "client_id": "other-app" }))),
        ("researcher", setup.token(purpose("HRESCH"))),
        ("unbound", setup.token(json!({ "scope": "patient/*.rs" }))),
        ("expired", setup.token(json!({ "exp": now() - 3600 }))),
        ("early", setup.token(json!({ "nbf": now() + 3600 }))),
        ("misaddressed", setup.token(json!({ "aud": "https://elsewhere.test/fhir" }))),
        ("foreign", Issuer::new().token(&setup.base(), json!({ "iss": ISSUER }))),
        ("unsigned", unsigned()),
    ];
    own.map(|(actor, token)| (actor.to_owned(), Token::new(token))).into()
}

/// Runs the suite: what it hides is put into the first world alone.
async fn compare(first: &Setup, twin: &Setup) -> RunReport {
    let suite = suite();
    let twin = TwinTarget { target: twin.base(), tokens: tokens(twin) };
    let options = RunOptions { tokens: tokens(first), twin: Some(twin), ..RunOptions::default() };
    let report = Runner::new(&suite, &first.base(), options).unwrap().run(&mut |_| ()).await.unwrap();
    println!("{}", report.text(&suite));
    report
}

/// Nothing failed, nothing was skipped, and much was compared.
fn assert_passed(report: &RunReport) {
    let failed: Vec<_> = report
        .tests
        .iter()
        .filter(|test| test.verdict != Verdict::Passed)
        .map(|test| format!("{}: {}", test.id, test.cause.as_deref().unwrap_or_default()))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let compared = report.tests.iter().flat_map(|test| &test.steps).flat_map(|step| &step.checks);
    let compared = compared.filter(|check| check.expected.contains("in both worlds")).count();
    assert!(compared > 300, "only {compared} answers were compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_before_the_simulated_hospital() {
    let (first, twin) = (Region::start_bare(LIMITS).await, Region::start_bare(LIMITS).await);
    let report = compare(&first.setup, &twin.setup).await;
    assert_passed(&report);
    let untested = report.gaps.iter().filter(|gap| gap.extent == Extent::NotTestable);
    assert_eq!(untested.map(|gap| gap.requirement.as_str()).collect::<Vec<_>>(), ["pitfalls@29"]);
    first.stop().await;
    twin.stop().await;
}

/// Each request of the suite that compares and changes nothing, as a test of its own without other checks.
fn one_by_one(suite: &Suite) -> Suite {
    let mut alone = suite.clone();
    alone.tests.clear();
    for test in suite.tests.iter().filter(|test| test.twin.is_some()) {
        for step in &test.steps {
            let search = step.request.path.contains("/_search");
            if step.only_in.is_none()
                && step.request.actor.is_none()
                && (search || step.request.method == "GET")
            {
                let mut step = step.clone();
                step.expect = Expect::default();
                alone.tests.push(Test { steps: vec![step], ..test.clone() });
            }
        }
    }
    alone
}

/// The suite is worth nothing where the worlds can't be told apart: a caller who may see everything must be able to.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_from_whom_nothing_is_hidden_tells_the_worlds_apart() {
    let (first, twin) = (Region::start_bare(LIMITS).await, Region::start_bare(LIMITS).await);
    let suite = one_by_one(&suite());
    let all_seeing = |setup: &Setup| {
        let mut tokens = tokens(setup);
        let keeper = tokens["keeper"].clone();
        tokens.insert("default".to_owned(), keeper);
        tokens
    };
    let options = RunOptions {
        tokens: all_seeing(&first.setup),
        twin: Some(TwinTarget { target: twin.setup.base(), tokens: all_seeing(&twin.setup) }),
        ..RunOptions::default()
    };
    let runner = Runner::new(&suite, &first.setup.base(), options).unwrap();
    let report = runner.run(&mut |_| ()).await.unwrap();
    let mut told: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for test in &report.tests {
        let of = told.entry(&test.id).or_default();
        of.0 += usize::from(test.verdict == Verdict::Failed);
        of.1 += 1;
    }
    println!("{told:#?}");
    // Refused to everybody, or about other servers; of patches the suite has writes alone.
    let silent: Vec<_> = told.iter().filter(|(_, (apart, _))| *apart == 0).map(|(id, _)| *id).collect();
    assert_eq!(silent, ["export", "graphql", "patch", "prefixes"]);
    let apart: usize = told.values().map(|(apart, _)| apart).sum();
    assert!(apart > 100, "only {apart} requests tell the worlds apart");
    first.stop().await;
    twin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_passes_before_a_server_that_nobody_here_wrote() {
    let mut worlds = Vec::new();
    for _ in 0..2 {
        let Some(server) = Sekmet::start().await else { return };
        let setup = Setup::new(&server.base(), LIMITS);
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let running = run::start(config::load(&setup.config_file()).unwrap(), metrics).await.unwrap();
        worlds.push((setup, running, server));
    }
    let report = compare(&worlds[0].0, &worlds[1].0).await;
    assert_passed(&report);
    for (_, running, ..) in worlds {
        running.stop().await;
    }
}

#[test]
fn every_rule_stands_in_the_list_and_every_test_that_it_names_exists() {
    let suite = suite();
    let ids: Vec<String> = (1..=RULES).map(|number| format!("pitfalls@{number}")).collect();
    assert_eq!(suite.requirements, ids);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for requirement in &suite.texts {
        let named = !requirement.tests.is_empty();
        assert_eq!(named, requirement.extent != Extent::NotTestable, "{}", requirement.id);
        for test in &requirement.tests {
            match test.split_once("::") {
                Some((file, function)) => {
                    let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
                    let wanted = format!("fn {function}(");
                    let before = source.split(&wanted).next().filter(|_| source.contains(&wanted));
                    let marked = before.is_some_and(|text| {
                        text.rsplit("\n\n").next().is_some_and(|head| head.contains("test"))
                    });
                    assert!(marked, "{} names {test}, which is no test", requirement.id);
                }
                None => {
                    let own = suite.tests.iter().find(|own| own.id == *test);
                    let verifies = own.is_some_and(|own| own.verifies.contains(&requirement.id));
                    assert!(verifies, "{} names {test}, which does not verify it", requirement.id);
                }
            }
        }
    }
}
