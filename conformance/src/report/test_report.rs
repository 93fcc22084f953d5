//! The result as an R4 TestReport (FHIR R4 §5.6): the evidence that a certificate will point to.

use serde_json::{Value, json};

use crate::suite::{Extent, Gap, Phase, RunReport, StepEvidence, TestResult, Verdict};

/// The system of suite ids in `TestReport.testScript.identifier`.
const SUITE_SYSTEM: &str = "urn:varco:conformance-suite";

/// Longest message of an action; the whole evidence stands in the JSON report.
const LONGEST_MESSAGE: usize = 2_000;

/// An R4 TestReport as JSON.
pub fn test_report(report: &RunReport) -> String {
    let (passed, failed) = (report.count(Verdict::Passed), report.count(Verdict::Failed));
    let mut resource = json!({
        "resourceType": "TestReport",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{}", uuid::Uuid::new_v4())},
        "name": format!("{} {}", report.suite, report.version),
        "status": "completed",
        "testScript": {
            "type": "TestScript",
            "identifier": {"system": SUITE_SYSTEM, "value": format!("{}|{}", report.suite, report.version)},
            "display": report.title,
        },
        "result": if failed == 0 { "pass" } else { "fail" },
        "tester": format!("varco {}", env!("CARGO_PKG_VERSION")),
        "issued": report.finished,
        "participant": [
            {"type": "test-engine", "uri": "urn:varco:certify", "display": format!("varco {}", env!("CARGO_PKG_VERSION"))},
            server(report),
        ],
        "test": report.tests.iter().map(test).chain(report.gaps.iter().filter_map(untested)).collect::<Vec<_>>(),
    });
    // Of the tests that apply, in percent, with one decimal.
    if let Some(score) = (passed * 1000).checked_div(passed + failed) {
        set(&mut resource, "score", json!(score as f64 / 10.0));
    }
    let setup = actions(&report.setup.iter().collect::<Vec<_>>());
    if !setup.is_empty() {
        set(&mut resource, "setup", json!({"action": setup}));
    }
    let teardown = report.teardown.iter().chain(report.tests.iter().flat_map(cleaning));
    let teardown: Vec<Value> = teardown.map(|step| json!({"operation": operation(step)})).collect();
    if !teardown.is_empty() {
        set(&mut resource, "teardown", json!({"action": teardown}));
    }
    serde_json::to_string_pretty(&resource).unwrap_or_default()
}

fn set(resource: &mut Value, key: &str, value: Value) {
    if let Some(members) = resource.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

fn server(report: &RunReport) -> Value {
    let mut participant = json!({"type": "server", "uri": report.target});
    if let Some(software) = &report.software {
        set(&mut participant, "display", json!(software));
    }
    participant
}

fn cleaning(test: &TestResult) -> impl Iterator<Item = &StepEvidence> {
    test.steps.iter().filter(|step| step.phase == Phase::Teardown)
}

fn test(result: &TestResult) -> Value {
    let steps: Vec<&StepEvidence> =
        result.steps.iter().filter(|step| step.phase != Phase::Teardown).collect();
    let mut actions = actions(&steps);
    if actions.is_empty() {
        let outcome = if result.verdict == Verdict::Skipped { "skip" } else { "fail" };
        let message = message(result.cause.as_deref().unwrap_or("nothing was done"));
        actions.push(json!({"operation": {"result": outcome, "message": message}}));
    }
    let description = format!(
        "{} Verifies {}.",
        result.title.trim_end_matches('.').to_owned() + ".",
        result.verifies.join(", ")
    );
    json!({"name": result.id, "description": description, "action": actions})
}

/// A requirement that can't be tested, as a test that was skipped.
fn untested(gap: &Gap) -> Option<Value> {
    (gap.extent == Extent::NotTestable).then(|| {
        let told = message(&format!("not testable: {}", gap.note));
        json!({"name": gap.requirement, "action": [{"operation": {"result": "skip", "message": told}}]})
    })
}

fn actions(steps: &[&StepEvidence]) -> Vec<Value> {
    let mut actions = Vec::new();
    for step in steps {
        actions.push(json!({"operation": operation(step)}));
        for check in &step.checks {
            let mut told = check.expected.clone();
            if let Some(found) = &check.found {
                told = format!("{told}, but {found}");
            }
            let outcome = if check.passed { "pass" } else { "fail" };
            actions.push(json!({"assert": {"result": outcome, "message": message(&told)}}));
        }
    }
    actions
}

fn operation(step: &StepEvidence) -> Value {
    let (outcome, told) = match (&step.fault, &step.response) {
        (Some(fault), _) => ("error", format!("{}: {fault}", step.title)),
        (None, Some(response)) => {
            ("pass", format!("{}: {} {}", step.title, response.protocol, response.status))
        }
        (None, None) => ("error", step.title.clone()),
    };
    json!({"result": outcome, "message": message(&told)})
}

/// A markdown text that is not empty and not endless.
fn message(text: &str) -> String {
    text.chars().take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hospital::{Effect, Fault, Hospital, HospitalOptions};
    use crate::suite::{RunOptions, Runner, Suite};

    #[tokio::test]
    async fn a_run_becomes_a_test_report() {
        let hospital = Hospital::start(([127, 0, 0, 1], 0).into(), HospitalOptions::default()).await.unwrap();
        hospital.inject(Fault::new(Effect::Drop).on_path("/Paziente"));
        let suite = Suite::builtin("base-r4").unwrap().unwrap();
        let runner = Runner::new(&suite, hospital.base_url(), RunOptions::default()).unwrap();
        let report = runner.run(&mut |_| {}).await.unwrap();
        let resource: Value = serde_json::from_str(&test_report(&report)).unwrap();
        assert_eq!((resource["result"].as_str(), resource["score"].as_f64()), (Some("fail"), Some(90.0)));
        assert_eq!(resource["test"].as_array().unwrap().len(), 10);
        for test in resource["test"].as_array().unwrap() {
            assert!(!test["action"].as_array().unwrap().is_empty());
        }
        let unknown = &resource["test"][7];
        assert_eq!(
            (unknown["name"].as_str(), unknown["action"][0]["operation"]["result"].as_str()),
            (Some("unknown-type"), Some("error"))
        );
        assert_eq!(resource["participant"][1]["uri"], hospital.base_url());
        let text = report.text(&suite);
        assert!(text.ends_with("9 passed, 1 failed, 0 skipped\n"), "{text}");
        assert!(super::super::json(&report).contains("\"suite\": \"base-r4\""));
    }
}
