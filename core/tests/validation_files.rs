//! Whole files: our own with seeded faults, and cases of HL7 where they are at hand.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::outcome::IssueSeverity;
use varco_core::validation::{ValidationReport, Validator};

fn read(path: &Path) -> OwnedDocument {
    OwnedDocument::parse_json(std::fs::read(path).unwrap(), &Limits::default()).unwrap()
}

fn validate(path: &Path) -> ValidationReport {
    let validator = Validator::new(Definitions::r4());
    let document = read(path);
    let report = validator.validate(document.document());
    assert_eq!(report.is_valid(), validator.is_valid(document.document()), "{}", path.display());
    report
}

fn flagged(report: &ValidationReport) -> BTreeSet<String> {
    let faults = report.issues.iter().filter(|issue| issue.severity != IssueSeverity::Information);
    faults.filter_map(|issue| issue.expression.clone()).collect()
}

#[test]
fn seeded_faults_are_found_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/validation");
    let expected = read(&folder.join("expected.json"));
    let mut files = 0;
    for file in expected.root().children() {
        let name = file.key().unwrap();
        let elements: BTreeSet<String> =
            file.children().map(|element| element.as_str().unwrap().into_owned()).collect();
        let report = validate(&folder.join(&*name));
        assert_eq!(flagged(&report), elements, "{name}: {:#?}", report.issues);
        assert_eq!(report.is_valid(), elements.is_empty(), "{name}");
        assert!(report.issues.iter().all(|issue| issue.position.is_some()), "{name}");
        files += 1;
    }
    let json = std::fs::read_dir(&folder).unwrap().filter_map(Result::ok);
    let listed = json.filter(|entry| entry.file_name().to_string_lossy().ends_with(".json")).count();
    assert_eq!(files + 1, listed, "expected.json lists every file of the folder");
    assert_eq!(files, 11);
}

#[test]
fn cases_of_hl7_get_their_verdict() {
    let Some(folder) = std::env::var_os("FHIR_TEST_CASES").map(PathBuf::from) else {
        eprintln!("skipped: set FHIR_TEST_CASES");
        return;
    };
    // The reference "1" names neither a contained resource (#1) nor a type and id; so nothing refers to the contained
    // Organization (dom-3), which has neither name nor identifier (org-1).
    let report = validate(&folder.join("r4/patient-container-example.json"));
    let elements = ["Patient.contained[0]", "Patient.managingOrganization"];
    assert_eq!(flagged(&report), elements.map(str::to_owned).into());
    // A null in `given` is filled by the extension in `_given`; the shorter array counts as padded.
    let report = validate(&folder.join("r4/patient-name-extensions.json"));
    assert!(report.is_valid(), "{:?}", report.issues);
    let report = validate(&folder.join("r4/appointment-examplereq.json"));
    assert!(report.is_valid(), "{:?}", report.issues);
}
