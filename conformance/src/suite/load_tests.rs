//! Faults of suite files: each is told with its line and pointer.
#![allow(clippy::unwrap_used)]

use std::io;

use super::*;

const HEAD: &str = "id: x\ntitle: X\nversion: 1.0.0\nrequirements-file: r.csv\nrequirements: [R1]\n";
const CSV: &str = "id,level,text,source\nR1,SHALL,Be there,§1\nR2,SHOULD,Be kind,§2\n";

fn parse(text: &str) -> Result<Suite, SuiteError> {
    Suite::parse("x.yaml", text, &|file| match file {
        "r.csv" => Ok(CSV.to_owned()),
        "patient.json" => Ok("{}".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    })
}

/// The faults of a suite with one test, whose steps are given as YAML flow.
fn faults_of_steps(steps: &str) -> Vec<SuiteFault> {
    let test = format!("tests:\n  - id: t\n    title: T\n    verifies: [R1]\n    steps:\n{steps}");
    parse(&format!("{HEAD}{test}")).map_or_else(|error| error.faults, |_| Vec::new())
}

#[test]
fn a_small_suite_is_read() {
    let steps = "      - request: { method: GET, path: /metadata, as: nobody }\n        save: { v: { path: fhirVersion } }\n      - request: { method: POST, path: '/Patient/${v}', body-file: patient.json }";
    assert_eq!(faults_of_steps(steps), []);
}

#[test]
fn shape_faults_name_line_pointer_and_key() {
    let text = format!(
        "{HEAD}tests:\n  - id: T t\n    title: T\n    verifies: [R1]\n    stepz: []\n    steps: []\n"
    );
    let error = parse(&text).unwrap_err();
    let told = error.to_string();
    for part in ["x.yaml:7:", "(/tests/0/id)", "\"T t\"", "'stepz'", "(/tests/0/steps)"] {
        assert!(told.contains(part), "{part} is missing from\n{told}");
    }
    let id = error.faults.iter().find(|fault| fault.pointer == "/tests/0/id").unwrap();
    assert_eq!((id.line, id.column), (Some(7), Some(9)));
}

#[test]
fn yaml_faults_name_their_line() {
    let error = parse("id: x\ntitle: [\n").unwrap_err();
    assert!(error.to_string().contains("this is not YAML"), "{error}");
    assert!(error.faults[0].line.is_some());
}

#[test]
fn a_decimal_in_a_structure_is_refused() {
    let faults = faults_of_steps("      - request: { method: POST, path: /Patient, json: { a: [1, 2.50] } }");
    assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, "/tests/0/steps/0/request/json/a/1"));
    assert!(faults[0].message.contains("loses its digits"));
    assert!(faults[0].line.is_some());
    let faults =
        faults_of_steps("      - { request: { method: GET }, expect: { body: [{ path: a, equals: 1.5 }] } }");
    assert_eq!(faults[0].pointer, "/tests/0/steps/0/expect/body/0/equals");
}

#[test]
fn references_that_lead_nowhere_are_told() {
    for (step, pointer, part) in [
        ("{ request: { method: GET, path: '/Patient/${id}' } }", "/request/path", "${id} is not set here"),
        ("{ request: { method: GET, path: '/Patient/${id' } }", "/request/path", "no closing brace"),
        ("{ request: { method: GET, path: Patient } }", "/request/path", "begins with /"),
        ("{ request: { method: GET, as: reader } }", "/request/as", "no actor reader"),
        (
            "{ request: { method: GET, headers: { Authorization: x } } }",
            "/request/headers/Authorization",
            "name an actor",
        ),
        ("{ request: { method: PUT, body: x, json: {} } }", "/request", "one of body, json"),
        ("{ request: { method: PUT, body-file: none.json } }", "/request/body-file", "can't be read"),
        (
            "{ request: { method: GET }, expect: { headers: { ETag: { matches: '(' } } } }",
            "/expect/headers/ETag",
            "regular expression",
        ),
        (
            "{ request: { method: GET }, expect: { body: [{ path: 'a[', exists: true }] } }",
            "/expect/body/0",
            "a[",
        ),
        (
            "{ request: { method: GET }, expect: { body: [{ path: a }] } }",
            "/expect/body/0",
            "says what is expected",
        ),
        (
            "{ request: { method: GET }, expect: { same-as: { response: other } } }",
            "/expect/same-as",
            "saves a response as other",
        ),
        ("{ request: { method: GET }, verifies: [R2] }", "/verifies/0", "does not verify R2"),
        ("{ request: { method: GET }, save: { x: { pointer: a } } }", "/save/x", "does not begin with /"),
    ] {
        let faults = faults_of_steps(&format!("      - {step}"));
        assert_eq!(faults.len(), 1, "{step}: {faults:?}");
        assert_eq!(faults[0].pointer, format!("/tests/0/steps/0{pointer}"), "{step}");
        assert!(faults[0].message.contains(part), "{step}: {}", faults[0].message);
        assert!(faults[0].line.is_some_and(|line| line >= 11), "{step}");
    }
}

#[test]
fn requirements_and_tests_must_agree() {
    let test = |id: &str, verifies: &str| {
        format!(
            "  - {{ id: {id}, title: T, verifies: [{verifies}], steps: [{{ request: {{ method: GET }} }}] }}\n"
        )
    };
    let told = |head: &str, tests: &[String]| {
        parse(&format!("{head}tests:\n{}", tests.concat())).unwrap_err().to_string()
    };
    assert!(told(HEAD, &[test("a", "R2")]).contains("the suite has no requirement R2"));
    assert!(told(HEAD, &[test("a", "R2")]).contains("no test verifies the requirement R1"));
    assert!(told(HEAD, &[test("a", "R1"), test("a", "R1")]).contains("the id a stands in the suite twice"));
    let unknown = HEAD.replace("[R1]", "[R1, R9]");
    assert!(told(&unknown, &[test("a", "R1, R9")]).contains("R9 does not stand in r.csv"));
    let elsewhere = HEAD.replace("r.csv", "other.csv");
    assert!(told(&elsewhere, &[test("a", "R1")]).contains("other.csv"));
    let outside = HEAD.replace("r.csv", "../../etc/passwd");
    assert!(told(&outside, &[test("a", "R1")]).contains("/requirements-file"));
}

#[test]
fn a_requirement_names_the_tests_that_verify_it_and_no_others() {
    let told = |row: &str, verifies: &str| {
        let csv = format!("id,level,text,source,extent,tests,note\n{row}\nR2,SHALL,Be kind,§2,tested,b,\n");
        let test = |id: &str, verifies: &str| {
            format!(
                "  - {{ id: {id}, title: T, verifies: [{verifies}], steps: [{{ request: {{ method: GET }} }}] }}\n"
            )
        };
        let head = HEAD.replace("[R1]", "[R1, R2]");
        let text = format!("{head}tests:\n{}{}", test("a", verifies), test("b", "R2"));
        let suite = Suite::parse("x.yaml", &text, &|_| Ok(csv.clone()));
        suite.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(told("R1,SHALL,x,§1,tested,a tests/own.rs::one,", "R1"), "");
    assert!(told("R1,SHALL,x,§1,tested,a none,", "R1").contains("R1 names the test none"));
    assert!(
        told("R1,SHALL,x,§1,tested,b,", "R1").contains("the test a verifies R1, and r.csv does not name it")
    );
    assert!(told("R1,SHALL,x,§1,not-testable,,not built", "R1").contains("the test a verifies R1"));
}

#[test]
fn what_one_world_alone_saves_has_a_value_in_the_other() {
    let step = |extra: &str| {
        format!(
            "      - {{ only-in: first, request: {{ method: POST, path: /Patient }}, save: {{ hidden: id }}{extra} }}"
        )
    };
    let faults = faults_of_steps(&step(""));
    assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, "/tests/0/steps/0/save/hidden"));
    assert!(faults[0].message.contains("a value for the other in `variables`"));
    let text = format!(
        "{HEAD}variables: {{ hidden: '${{uuid}}' }}\ntests:\n  - id: t\n    title: T\n    verifies: [R1]\n    twin: {{}}\n    steps:\n{}",
        step("")
    );
    assert!(parse(&text).is_ok());
    assert!(parse(&text.replace("only-in: first", "only-in: second")).is_err());
}

#[test]
fn variables_of_one_test_are_unknown_to_another() {
    let text = format!(
        "{HEAD}tests:\n  - id: a\n    title: A\n    verifies: [R1]\n    variables: {{ mine: x }}\n    steps: [{{ request: {{ method: GET, path: '/${{mine}}' }} }}]\n  - id: b\n    title: B\n    verifies: [R1]\n    steps: [{{ request: {{ method: GET, path: '/${{mine}}' }} }}]\n"
    );
    let error = parse(&text).unwrap_err();
    assert_eq!(error.faults.len(), 1, "{error}");
    assert_eq!(error.faults[0].pointer, "/tests/1/steps/0/request/path");
}

#[test]
fn the_published_schema_is_a_schema() {
    let schema: serde_json::Value = serde_json::from_str(SUITE_SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
}

#[test]
fn the_example_of_the_readme_is_sound() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("```yaml\n").unwrap();
    let (yaml, _) = after.split_once("```").unwrap();
    let csv = "id,level,text,source\nHIDE-READ,SHALL,Be invisible,§1\n";
    let suite = Suite::parse("README.md", yaml, &|file| match file {
        "requirements.csv" => Ok(csv.to_owned()),
        "document.json" => Ok("{}".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    });
    assert_eq!(suite.unwrap().used_actors(), ["owner", "stranger"]);
}
