//! The regional maps: laboratory reports of the national gateway (FSE 2.0) to the EU Laboratory report and back, on sixty
//! synthetic documents. What comes back is what went in, but for the places that the loss reports name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod round_trip;

use std::fs;
use std::path::Path;

use fhir_models::definition::Definitions;
use round_trip::{Dice, compiled, errors, ran, resources, unnamed, value};
use serde_json::{Value, json};
use varco_core::mapping::{EU_LAB_TO_FSE_LAB, FSE_LAB_TO_EU_LAB, regional_map, regional_maps};
use varco_core::validation::Validator;

const ITALY: &str = "urn:oid:2.16.840.1.113883.2.9";
const LAB: &str = "urn:oid:2.16.840.1.113883.2.9.2.30.6.11";
const MASKING: &str = "urn:oid:2.16.840.1.113883.2.9.3.3.6.1.3";
const CONFIDENTIALITY: &str = "urn:oid:2.16.840.1.113883.5.25";
const REGIME: &str = "urn:ita:2022:administrativeRequest";
const DOCUMENTS: u64 = 60;

/// A test of the laboratory: its own code, LOINC, name, text of the unit, bounds.
type Test = (&'static str, &'static str, &'static str, &'static str, (u64, u64));
const TESTS: &[Test] = &[
    ("0090334.02", "14957-5", "Microalbumin [Mass/volume] in Urine", "mg/L", (0, 20)),
    ("0090271.01", "2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dl", (70, 100)),
    ("0090441.03", "2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mEq/L", (136, 145)),
    ("0090622.05", "718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", (12, 16)),
    ("0090622.07", "6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10^3/uL", (4, 10)),
    ("0090043.02", "2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", (0, 200)),
    ("0090422.01", "3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "uUI/mL", (0, 4)),
    ("0090999.99", "1751-7", "Albumin [Mass/volume] in Serum or Plasma", "unita arbitrarie", (3, 5)),
];

fn entry(kind: &str, id: &str, resource: Value) -> Value {
    let mut resource = resource;
    resource["resourceType"] = json!(kind);
    resource["id"] = json!(id);
    json!({"fullUrl": format!("urn:uuid:{id}"), "resource": resource, "request": {"method": "POST", "url": kind}})
}

fn uuid(document: u64, kind: u64, number: u64) -> String {
    format!("{document:08x}-{kind:04x}-4000-8000-{number:012x}")
}

fn quantity(dice: &mut Dice, value: u64, unit: &str) -> Value {
    let mut quantity = json!({"value": value, "unit": unit});
    if dice.of(8) == 0 {
        quantity["comparator"] = json!("<");
    }
    if dice.of(6) == 0 && unit == "mg/dL" {
        quantity["system"] = json!("http://unitsofmeasure.org");
        quantity["code"] = json!("mg/dL");
    }
    quantity
}

/// A report as the gateway writes it.
fn report(number: u64) -> Value {
    let dice = &mut Dice(number.wrapping_mul(7919).wrapping_add(17));
    let url = |kind: u64, nth: u64| format!("urn:uuid:{}", uuid(number, kind, nth));
    let day = format!("2025-{:02}-{:02}", 1 + dice.of(12), 1 + dice.of(28));
    let time = format!("{day}T{:02}:{:02}:00+01:00", 7 + dice.of(12), dice.of(60));
    let subject = json!({"reference": url(1, 0)});
    let kind = json!({"coding": [{"system": "http://loinc.org", "code": "11502-2", "display": "Laboratory report"}]});

    let mut patient = json!({
        "identifier": [{"system": format!("{}{}.4.3.2", dice.one(&["urn:oid:", ""]), ITALY.trim_start_matches("urn:oid:")), "value": dice.one(&["RSSMRA71E01F205E", "GTWGWY82B42G920M", "RSSMRA71E01F2LRW"])}],
        "gender": dice.one(&["male", "female"]), "birthDate": format!("19{}-05-01", 40 + dice.of(50)),
        "address": [{"city": "Milano", "state": dice.one(&["030", "050", "190", "999"]), "country": dice.one(&["100", "100", "215"])}],
    });
    if dice.of(4) == 0 {
        let team = json!({"system": format!("{ITALY}.4.3.7"), "value": format!("FRA.{number}")});
        patient["identifier"].as_array_mut().unwrap().push(team);
    }
    if dice.of(10) == 0 {
        patient["name"] = json!([{"family": "Verdi", "given": ["Luca"]}]);
    }

    let mut observations = Vec::new();
    for nth in 0..1 + dice.of(6) {
        let (own, loinc, display, unit, (low, high)) = dice.one(TESTS);
        let mut codings = vec![json!({"system": "http://loinc.org", "code": loinc, "display": display})];
        if dice.of(5) != 0 {
            let at = usize::try_from(dice.of(2)).unwrap();
            codings.insert(at, json!({"system": LAB, "code": own}));
        }
        let mut observation = json!({
            "status": "final", "subject": subject, "effectiveDateTime": time, "performer": [{"reference": url(2, 0)}],
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
            "code": {"coding": codings},
        });
        match dice.of(4) {
            0 => observation["valueString"] = json!("assente"),
            1 => {
                observation["component"] = json!([{
                    "code": {"coding": [{"system": LAB, "code": own}, {"system": "http://loinc.org", "code": loinc}]},
                    "valueQuantity": quantity(dice, 7, unit),
                }]);
            }
            _ => {
                observation["valueQuantity"] = quantity(dice, low + dice.0 % 50, unit);
                observation["referenceRange"] =
                    json!([{"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}}]);
            }
        }
        if dice.chance() {
            observation["specimen"] = json!({"reference": url(3, 0)});
        }
        if dice.of(5) == 0 {
            observation["meta"] =
                json!({"profile": ["http://example.org/fhir/StructureDefinition/observation-fse"]});
        }
        observations.push(entry("Observation", &uuid(number, 4, nth), observation));
    }
    let results: Vec<Value> = observations.iter().map(|it| json!({"reference": it["fullUrl"]})).collect();

    let document = json!({"system": format!("{ITALY}.2.30.4.4"), "value": format!("030943.LAB.{number:06}")});
    let composition = json!({
        "identifier": document, "status": "final", "type": kind, "subject": subject, "date": time,
        "author": [{"reference": url(5, 0)}], "title": "Referto di Medicina di Laboratorio", "confidentiality": dice.one(&["N", "R", "V"]),
        "custodian": {"reference": url(2, 0)},
        "section": [{"code": {"coding": [{"system": "http://loinc.org", "code": "18719-5"}]}, "entry": [{"reference": url(6, 0)}]}],
    });
    let mut diagnostic = json!({
        "identifier": [document], "status": "final", "code": kind, "subject": subject, "effectiveDateTime": time,
        "performer": [{"reference": url(2, 0)}], "result": results,
    });
    if dice.of(3) == 0 {
        diagnostic["conclusionCode"] =
            json!([{"coding": [{"system": "http://hl7.org/fhir/sid/icd-9", "code": "250.00"}]}]);
    }
    if dice.of(4) == 0 {
        diagnostic["presentedForm"] = json!([{"contentType": "text/plain", "data": "cmVmZXJ0bw=="}]);
    }
    let mut confidentiality = vec![json!({"system": CONFIDENTIALITY, "code": dice.one(&["N", "R", "V"])})];
    if dice.of(5) == 0 {
        confidentiality.push(json!({"system": "http://example.org/labels", "code": "locale"}));
    }
    let mut index = json!({
        "masterIdentifier": document, "status": "current", "type": kind, "subject": subject, "date": time,
        "custodian": {"reference": url(2, 0)},
        "securityLabel": [{"coding": confidentiality}],
        "content": [{
            "attachment": {"contentType": "application/pdf", "language": "it-IT", "url": "https://repository.example.org/030/documento", "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "size": 51234},
            "format": {"system": "http://example.org/formati", "code": "pdf-cda"},
        }],
        "context": {"facilityType": {"text": "ospedale"}},
    });
    if dice.chance() {
        let mask = dice.one(&["P97", "P98", "P99", "P00"]);
        index["context"]["event"] = json!([{"coding": [{"system": MASKING, "code": mask}]}]);
    }

    let mut entries = vec![
        entry("Composition", &uuid(number, 0, 0), composition),
        entry("Patient", &uuid(number, 1, 0), patient),
        entry(
            "Organization",
            &uuid(number, 2, 0),
            json!({
                "identifier": [{"system": format!("{ITALY}.4.1.2"), "value": "030943"}], "name": "Laboratorio di prova",
                "address": [{"state": "030", "country": "100"}],
            }),
        ),
        entry(
            "Practitioner",
            &uuid(number, 5, 0),
            json!({"identifier": [{"system": format!("{ITALY}.4.3.2"), "value": "RSSMRA71E01F205E"}]}),
        ),
        entry("DiagnosticReport", &uuid(number, 6, 0), diagnostic),
        entry(
            "Specimen",
            &uuid(number, 3, 0),
            json!({"subject": subject, "type": {"coding": [{"system": "http://snomed.info/sct", "code": "119364003"}]}}),
        ),
    ];
    entries.extend(observations);
    entries.push(entry("DocumentReference", &uuid(number, 7, 0), index));
    if dice.of(3) == 0 {
        // The Composition stands anywhere.
        let first = usize::try_from(dice.of(entries.len() as u64 - 1)).unwrap();
        entries.rotate_left(first);
    }
    let mut bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    if dice.of(3) == 0 {
        bundle["meta"] = json!({"lastUpdated": time});
    }
    bundle
}

#[test]
fn every_map_compiles_and_names_itself() {
    for map in regional_maps() {
        assert!(map.text.contains(&format!("map \"{}\"", map.url)), "{}", map.url);
        assert!(map.text.contains(&format!("title = '{}'", map.title)), "{}", map.title);
        compiled(map.url);
    }
}

#[test]
fn sixty_reports_go_to_europe_and_come_back_but_for_what_the_loss_reports_name() {
    let (there, back) = (compiled(FSE_LAB_TO_EU_LAB), compiled(EU_LAB_TO_FSE_LAB));
    let validator = Validator::new(Definitions::r4());
    let mut bad = Vec::new();
    for number in 0..DOCUMENTS {
        let before = report(number);
        let sent = ran(&there, &before).unwrap();
        let returned = ran(&back, &value(&sent)).unwrap();
        for (what, text) in [("source", &*before.to_string()), ("EU", sent.text()), ("FSE", returned.text())]
        {
            // An OID without urn:oid is what some laboratories write; it is wrong, and it is put right.
            let faults = errors(&validator, text).into_iter();
            let faults = faults.filter(|it| what != "source" || !it.contains("absolute URI"));
            bad.extend(faults.map(|it| format!("{number} {what}: {it}")));
        }
        let faults = unnamed(&before, &sent, &value(&returned), &returned);
        bad.extend(faults.into_iter().map(|it| format!("{number}: {it}")));
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/mapping").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_published_pair_is_what_the_map_makes() {
    let sent = ran(&compiled(FSE_LAB_TO_EU_LAB), &fixture("fse-lab.json")).unwrap();
    assert_eq!(value(&sent), fixture("eu-lab.json"));
}

#[test]
fn the_local_code_stands_beside_loinc_and_the_unit_gets_its_code() {
    let sent = ran(&compiled(FSE_LAB_TO_EU_LAB), &fixture("fse-lab.json")).unwrap();
    let document = value(&sent);
    assert_eq!(document["type"], "document");
    assert_eq!(document["entry"][0]["resource"]["resourceType"], "Composition");
    assert_eq!(
        resources(&document, "Observation")[0]["code"]["coding"],
        json!([
            {"system": "http://loinc.org", "code": "14957-5", "display": "Microalbumin [Mass/volume] in Urine"},
            {"system": LAB, "code": "0090334.02"}
        ])
    );
    assert_eq!(
        resources(&document, "Observation")[0]["valueQuantity"],
        json!({"value": 12, "unit": "mg/l", "system": "http://unitsofmeasure.org", "code": "mg/L"})
    );
    let patient = resources(&document, "Patient")[0];
    assert_eq!(patient["name"][0]["extension"][0]["valueCode"], "unknown");
    assert_eq!(patient["name"][0].as_object().unwrap().len(), 1);
    assert_eq!(patient["identifier"][0]["system"], "http://hl7.it/sid/codiceFiscale");
    assert_eq!(patient["address"], json!([{"city": "Milano", "state": "IT-25", "country": "IT"}]));
}

#[test]
fn a_unit_that_is_unknown_gets_no_code_and_is_noted() {
    let mut before = fixture("fse-lab.json");
    let observation =
        before["entry"].as_array_mut().unwrap().iter_mut().find(|it| it["request"]["url"] == "Observation");
    observation.unwrap()["resource"]["valueQuantity"]["unit"] = json!("gocce");
    let sent = ran(&compiled(FSE_LAB_TO_EU_LAB), &before).unwrap();
    assert_eq!(
        resources(&value(&sent), "Observation")[0]["valueQuantity"],
        json!({"value": 12, "unit": "gocce"})
    );
    assert!(
        sent.notes[0].to_string().contains("no UCUM code is known for the unit gocce"),
        "{}",
        sent.notes[0]
    );
}

#[test]
fn masking_and_confidentiality_become_labels_of_the_document_and_return() {
    let act = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    for (mask, system, code) in
        [("P97", act, "NOAUTH"), ("P98", act, "NOPAT"), ("P99", act, "NODSCLCD"), ("P00", MASKING, "P00")]
    {
        for level in ["N", "R", "V"] {
            let mut before = fixture("fse-lab.json");
            let index = before["entry"].as_array_mut().unwrap().last_mut().unwrap();
            index["resource"]["context"] =
                json!({"event": [{"coding": [{"system": MASKING, "code": mask}]}]});
            index["resource"]["securityLabel"] =
                json!([{"coding": [{"system": CONFIDENTIALITY, "code": level}]}]);
            let (event, label) =
                (index["resource"]["context"]["event"].clone(), index["resource"]["securityLabel"].clone());
            let sent = value(&ran(&compiled(FSE_LAB_TO_EU_LAB), &before).unwrap());
            assert_eq!(
                sent["meta"]["security"],
                json!([{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": level}, {"system": system, "code": code}])
            );
            let returned = value(&ran(&compiled(EU_LAB_TO_FSE_LAB), &sent).unwrap());
            let index = resources(&returned, "DocumentReference")[0];
            assert_eq!((&index["context"]["event"], &index["securityLabel"]), (&event, &label));
        }
    }
}

#[test]
fn a_transaction_with_a_label_of_its_own_is_refused_and_so_is_one_without_report() {
    let there = compiled(FSE_LAB_TO_EU_LAB);
    let mut before = fixture("fse-lab.json");
    before["meta"] = json!({"security": [{"system": MASKING, "code": "P99"}]});
    let error = ran(&there, &before).unwrap_err();
    assert!(error.contains("the check security.empty() does not hold"), "{error}");
    let mut before = fixture("fse-lab.json");
    before["entry"].as_array_mut().unwrap().retain(|it| it["request"]["url"] != "DiagnosticReport");
    let error = ran(&there, &before).unwrap_err();
    assert!(error.contains("document / one-report"), "{error}");
}

#[test]
fn codes_of_other_editions_are_translated_both_ways() {
    let coded = |system: &str, code: &str| json!([{"coding": [{"system": system, "code": code}]}]);
    let (there, back) = (compiled(FSE_LAB_TO_EU_LAB), compiled(EU_LAB_TO_FSE_LAB));
    let conclusion = |bundle: &Value| resources(bundle, "DiagnosticReport")[0]["conclusionCode"].clone();
    let (icd, atc) = ("http://hl7.org/fhir/sid/icd-9", "https://atcddd.fhi.no");
    for (written, code, europe, own) in [
        (icd, "250.00", "http://hl7.org/fhir/sid/icd-9-cm", icd),
        ("urn:oid:2.16.840.1.113883.6.103", "250.00", "http://hl7.org/fhir/sid/icd-9-cm", icd),
        (atc, "C09AA05", "http://www.whocc.no/atc", atc),
        ("urn:oid:2.16.840.1.113883.6.73", "C09AA05", "http://www.whocc.no/atc", atc),
        ("urn:oid:2.16.840.1.113883.6.1", "14957-5", "http://loinc.org", "http://loinc.org"),
    ] {
        let mut before = fixture("fse-lab.json");
        altered(&mut before, "DiagnosticReport")["conclusionCode"] = coded(written, code);
        let sent = value(&ran(&there, &before).unwrap());
        assert_eq!(conclusion(&sent), coded(europe, code));
        let returned = value(&ran(&back, &sent).unwrap());
        assert_eq!(conclusion(&returned), coded(own, code));
    }
}

fn altered<'d>(document: &'d mut Value, kind: &str) -> &'d mut Value {
    let mut entries = document["entry"].as_array_mut().unwrap().iter_mut();
    let entry = entries.find(|it| it["resource"]["resourceType"] == kind).unwrap();
    &mut entry["resource"]
}

#[test]
fn loinc_stands_first_by_its_oid_too() {
    let mut before = fixture("fse-lab.json");
    altered(&mut before, "Observation")["code"] = json!({"coding": [
        {"system": LAB, "code": "0090334.02"}, {"system": "urn:oid:2.16.840.1.113883.6.1", "code": "14957-5"}
    ]});
    let sent = value(&ran(&compiled(FSE_LAB_TO_EU_LAB), &before).unwrap());
    let wanted =
        json!([{"system": "http://loinc.org", "code": "14957-5"}, {"system": LAB, "code": "0090334.02"}]);
    assert_eq!(resources(&sent, "Observation")[0]["code"]["coding"], wanted);
}

#[test]
fn the_regime_of_a_report_becomes_a_coverage_and_returns() {
    let (there, back) = (compiled(FSE_LAB_TO_EU_LAB), compiled(EU_LAB_TO_FSE_LAB));
    let validator = Validator::new(Definitions::r4());
    for regime in ["SSN", "NOSSN"] {
        let own = json!([{"url": REGIME, "valueCoding": {"system": REGIME, "code": regime}}]);
        let mut before = fixture("fse-lab.json");
        altered(&mut before, "DocumentReference")["extension"] = own.clone();
        let sent = ran(&there, &before).unwrap();
        assert_eq!(errors(&validator, sent.text()), [] as [&str; 0]);
        let document = value(&sent);
        let coverage = resources(&document, "Coverage")[0];
        assert_eq!(coverage["type"]["coding"][0], json!({"system": REGIME, "code": regime}));
        assert_eq!(coverage["type"]["coding"][1]["code"] == "PUBLICPOL", regime == "SSN");
        assert_eq!(coverage["payor"][0]["display"] == "Servizio Sanitario Nazionale", regime == "SSN");
        assert_eq!(coverage["beneficiary"], resources(&before, "DocumentReference")[0]["subject"]);
        let returned = value(&ran(&back, &document).unwrap());
        assert_eq!(resources(&returned, "DocumentReference")[0]["extension"], own);
        assert!(resources(&returned, "Coverage").is_empty());
    }
}

#[test]
fn the_units_that_the_maps_name_are_those_that_they_translate() {
    let there = regional_map("urn:varco:map:fse-to-europe").unwrap().text;
    let line = |text: &'static str| text.lines().find(|it| it.starts_with("let units = ")).unwrap();
    assert_eq!(line(there), line(regional_map("urn:varco:map:europe-to-fse").unwrap().text));
    let listed: Vec<&str> = line(there).split('\'').nth(1).unwrap().trim_matches('|').split('|').collect();
    let table = there.split("conceptmap \"#ucum\"").nth(1).unwrap().split('}').next().unwrap();
    let translated: Vec<&str> =
        table.lines().filter_map(|it| it.trim().strip_prefix("s:\"")?.split('"').next()).collect();
    assert_eq!(listed, translated);
}
