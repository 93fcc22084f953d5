//! Patient summaries (PSS) and hospital discharge letters (LDO) of the national gateway to Europe and back, on synthetic
//! documents: what comes back is what went in, but for what the reports name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod round_trip;

use fhir_models::definition::Definitions;
use round_trip::{Dice, compiled, errors, ran, resources, unnamed, value};
use serde_json::{Value, json};
use varco_core::mapping::{ChangeKind, FSE_LDO_TO_HDR, FSE_PSS_TO_IPS, HDR_TO_FSE_LDO, IPS_TO_FSE_PSS};
use varco_core::validation::Validator;

const ITALY: &str = "urn:oid:2.16.840.1.113883.2.9";
const AIC: &str = "urn:oid:2.16.840.1.113883.2.9.6.1.5";
const MASKING: &str = "urn:oid:2.16.840.1.113883.2.9.3.3.6.1.3";
const CONFIDENTIALITY: &str = "urn:oid:2.16.840.1.113883.5.25";
const ABSENT: &str = "urn:oid:2.16.840.1.113883.5.1150.1";
const REGIME: &str = "urn:ita:2022:administrativeRequest";
const UNKNOWN: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
const BUNDLE_IPS: &str = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips";
const DOCUMENTS: u64 = 40;

/// The document as it grows: its number, and the entries so far.
struct Draft {
    number: u64,
    dice: Dice,
    entries: Vec<Value>,
}

fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}]})
}

impl Draft {
    fn new(number: u64) -> Draft {
        Draft { number, dice: Dice(number.wrapping_mul(6007).wrapping_add(29)), entries: Vec::new() }
    }

    fn add(&mut self, kind: &str, resource: Value) -> Value {
        let id = format!("{:08x}-{:04x}-4000-8000-000000000000", self.number, self.entries.len());
        let (mut resource, url) = (resource, format!("urn:uuid:{id}"));
        resource["resourceType"] = json!(kind);
        resource["id"] = json!(id);
        if self.dice.of(5) == 0 {
            resource["meta"] =
                json!({"profile": [format!("http://example.org/fhir/StructureDefinition/{kind}-fse")]});
        }
        self.entries
            .push(json!({"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": kind}}));
        json!({"reference": url})
    }

    /// The patient: codici fiscali with omocodia, names with accents or none at all.
    fn patient(&mut self) -> Value {
        let code =
            self.dice.one(&["RSSMRA71E01F205E", "GTWGWY82B42G920M", "RSSMRA71E01F2LRW", "RSSMRA71E0MF20RG"]);
        let spelled = self.dice.one(&["urn:oid:", "", "urn:oid:"]);
        let bare = ITALY.trim_start_matches("urn:oid:");
        let mut patient = json!({
            "identifier": [{"system": format!("{spelled}{bare}.4.3.2"), "value": code}],
            "gender": self.dice.one(&["male", "female"]),
            "address": [{"city": self.dice.one(&["Forlì", "Cantù", "Milano"]), "state": self.dice.one(&["030", "080", "999"]), "country": "100"}],
        });
        if self.dice.of(4) != 0 {
            patient["birthDate"] = json!("1971-05-01");
        }
        if self.dice.of(3) == 0 {
            patient["name"] = json!([{"family": "D’Agostò", "given": ["Niccolò", "José"]}]);
        }
        self.add("Patient", patient)
    }

    fn authors(&mut self) -> (Value, Value) {
        let organization = match self.dice.chance() {
            true => {
                json!({"identifier": [{"system": format!("{ITALY}.4.1.2"), "value": "030913"}], "name": "Ospedale di prova"})
            }
            false => json!({"identifier": [{"system": format!("{ITALY}.4.1.1"), "value": "030321"}]}),
        };
        let practitioner =
            json!({"identifier": [{"system": format!("{ITALY}.4.3.2"), "value": "GTWGWY82B42G920M"}]});
        (self.add("Practitioner", practitioner), self.add("Organization", organization))
    }

    fn medicine(&mut self, subject: &Value) -> Value {
        let code = match self.dice.of(4) {
            0 => {
                json!({"coding": [{"system": AIC, "code": "012745283", "display": "Tachipirina"}], "text": "Tachipirina sospensione"})
            }
            1 => json!({"coding": [{"system": AIC, "code": "999999999"}]}),
            2 => {
                json!({"coding": [{"system": "https://atcddd.fhi.no", "code": "C09AA05", "display": "ramipril"}, {"system": AIC, "code": "888888888"}]})
            }
            _ => json!({"text": "Integratore"}),
        };
        let mut statement = json!({"status": "active", "subject": subject});
        if self.dice.chance() {
            statement["effectivePeriod"] = json!({"start": "2025-01-10"});
        }
        if self.dice.of(3) == 0 {
            statement["medicationReference"] = self.add("Medication", json!({"code": code}));
        } else {
            statement["medicationCodeableConcept"] = code;
        }
        self.add("MedicationStatement", statement)
    }

    fn condition(&mut self, subject: &Value) -> Value {
        let system = self.dice.one(&["http://hl7.org/fhir/sid/icd-9", "urn:oid:2.16.840.1.113883.6.103"]);
        let code = concept(system, "250.00", "Diabete mellito di tipo II");
        let status = concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active");
        self.add("Condition", json!({"subject": subject, "clinicalStatus": status, "code": code}))
    }

    fn weight(&mut self, subject: &Value) -> Value {
        self.add("Observation", json!({
            "status": "final", "subject": subject, "effectiveDateTime": "2025-02-01",
            "category": [concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital Signs")],
            "code": concept("http://loinc.org", "29463-7", "Body weight"),
            "valueQuantity": {"value": 71.50, "unit": "kg"},
        }))
    }

    fn exemption(&mut self, subject: &Value, payor: &Value) -> Value {
        let system = self.dice.one(&["urn:oid:2.16.840.1.113883.2.9.6.1.22", "mds-esenzioni"]);
        self.add("Coverage", json!({
            "status": "active", "beneficiary": subject, "payor": [payor],
            "costToBeneficiary": [{"valueMoney": {"value": 0, "currency": "EUR"}, "exception": [{"type": concept(system, "048", "Esenzione per patologia")}]}],
        }))
    }

    fn section(&mut self, code: &str, display: &str, entries: &[Value]) -> Value {
        let mut section = json!({"code": concept("http://loinc.org", code, display), "entry": entries});
        if self.dice.chance() {
            section["title"] = json!(format!("{display} (è così)"));
        }
        if self.dice.chance() {
            section["text"] = json!({"status": "additional", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Perché &amp; così</p></div>"});
        }
        section
    }

    /// The index entry, and the transaction around everything.
    fn finish(mut self, kind: &Value, subject: &Value, custodian: &Value) -> Value {
        let mut labels =
            vec![json!({"coding": [{"system": CONFIDENTIALITY, "code": self.dice.one(&["N", "R", "V"])}]})];
        if self.dice.of(6) == 0 {
            labels.push(json!({"coding": [{"system": "http://example.org/labels", "code": "locale"}]}));
        }
        if self.dice.of(6) == 0 {
            let more = json!({"system": "http://example.org/labels", "code": "altra"});
            labels[0]["coding"].as_array_mut().unwrap().push(more);
        }
        let mut index = json!({
            "masterIdentifier": {"system": format!("{ITALY}.2.30.4.4"), "value": format!("030913.{:06}", self.number)},
            "status": "current", "type": kind, "subject": subject, "date": "2025-03-04T09:30:00+01:00", "custodian": custodian,
            "securityLabel": labels,
            "content": [{"attachment": {"contentType": "application/pdf", "language": "it-IT", "url": "https://repository.example.org/030/documento", "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "size": 51234}}],
            "context": {"facilityType": {"text": "ospedale"}},
        });
        if self.dice.of(4) != 0 {
            let mask = self.dice.one(&["P97", "P98", "P99", "P00"]);
            index["context"]["event"] = json!([{"coding": [{"system": MASKING, "code": mask}]}]);
        }
        if self.dice.of(3) != 0 {
            let regime = self.dice.one(&["SSN", "NOSSN", "INPATIENT"]);
            index["extension"] = json!([{"url": REGIME, "valueCoding": {"system": REGIME, "code": regime}}]);
        }
        self.add("DocumentReference", index);
        // The Composition may stand anywhere.
        let first = usize::try_from(self.dice.of(self.entries.len() as u64)).unwrap();
        self.entries.rotate_left(first);
        json!({"resourceType": "Bundle", "type": "transaction", "entry": self.entries})
    }

    fn composition(&mut self, parts: Value, (subject, author, custodian): (&Value, &Value, &Value)) {
        let mut composition = json!({
            "identifier": {"system": format!("{ITALY}.2.30.4.4"), "value": format!("030913.{:06}", self.number)},
            "status": "final", "subject": subject, "date": "2025-03-04T09:30:00+01:00", "author": [author],
            "custodian": custodian, "confidentiality": self.dice.one(&["N", "R", "V"]),
        });
        composition.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        self.add("Composition", composition);
    }
}

fn summary(number: u64) -> Value {
    let mut draft = Draft::new(number);
    let subject = draft.patient();
    let (author, custodian) = draft.authors();
    let problems: Vec<Value> = (0..1 + draft.dice.of(3)).map(|_| draft.condition(&subject)).collect();
    let mut sections = vec![draft.section("11450-4", "Problem list", &problems)];
    sections.push(match draft.dice.of(3) {
        0 => {
            let mut section = draft.section("48765-2", "Allergies", &[]);
            section.as_object_mut().unwrap().remove("entry");
            section["text"] = json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Non rilevate</div>"});
            section["emptyReason"] = concept(
                "http://terminology.hl7.org/CodeSystem/list-empty-reason",
                "unavailable",
                "Unavailable",
            );
            section
        }
        kind => {
            let code = match kind {
                1 => concept(ABSENT, "no-known-allergies", "No known allergies"),
                _ => concept("http://snomed.info/sct", "91936005", "Allergia alla penicillina"),
            };
            let status = concept(
                "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                "active",
                "Active",
            );
            let allergy = draft.add(
                "AllergyIntolerance",
                json!({"patient": subject, "clinicalStatus": status, "code": code}),
            );
            draft.section("48765-2", "Allergies", &[allergy])
        }
    });
    let medicines: Vec<Value> = (0..1 + draft.dice.of(3)).map(|_| draft.medicine(&subject)).collect();
    sections.push(draft.section("10160-0", "History of medication use", &medicines));
    if draft.dice.chance() {
        let weight = draft.weight(&subject);
        sections.push(draft.section("8716-3", "Vital signs", &[weight]));
    }
    if draft.dice.chance() {
        let code = concept("http://hl7.org/fhir/sid/icd-9", "47.09", "Appendicectomia");
        let procedure =
            draft.add("Procedure", json!({"status": "completed", "subject": subject, "code": code}));
        sections.push(draft.section("47519-4", "Procedures", &[procedure]));
    }
    if draft.dice.chance() {
        let exemption = draft.exemption(&subject, &custodian);
        sections.push(draft.section("57827-8", "Esenzioni", &[exemption]));
    }
    let kind = concept("http://loinc.org", "60591-5", "Patient summary Document");
    let parts = json!({"type": kind, "title": "Profilo Sanitario Sintetico", "section": sections});
    draft.composition(parts, (&subject, &author, &custodian));
    draft.finish(&kind, &subject, &custodian)
}

fn discharge(number: u64) -> Value {
    let mut draft = Draft::new(number + 1000);
    let subject = draft.patient();
    let (author, custodian) = draft.authors();
    let class = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"});
    let stay = draft.add("Encounter", json!({
        "status": "finished", "class": class, "subject": subject, "period": {"start": "2025-02-20", "end": "2025-03-04"},
    }));
    let diagnosis = draft.condition(&subject);
    let mut sections = vec![draft.section("11535-2", "Diagnosi alla dimissione", &[diagnosis])];
    let medicines: Vec<Value> = (0..1 + draft.dice.of(2)).map(|_| draft.medicine(&subject)).collect();
    sections.push(draft.section("10183-2", "Terapia farmacologica alla dimissione", &medicines));
    if draft.dice.chance() {
        let weight = draft.weight(&subject);
        let mut course = draft.section("8648-8", "Decorso ospedaliero", std::slice::from_ref(&weight));
        course["section"] = json!([draft.section("8716-3", "Parametri vitali", &[weight])]);
        sections.push(course);
    }
    let display = draft.dice.one(&["Discharge summary Hospital", "Lettera di dimissione ospedaliera"]);
    let kind = concept("http://loinc.org", "34105-7", display);
    let parts =
        json!({"type": kind, "title": "Lettera di dimissione", "section": sections, "encounter": stay});
    draft.composition(parts, (&subject, &author, &custodian));
    draft.finish(&kind, &subject, &custodian)
}

fn round_trips(make: fn(u64) -> Value, (there, back): (&str, &str), judge: &Validator) {
    let (there, back) = (compiled(there), compiled(back));
    let base = Validator::new(Definitions::r4());
    let mut bad = Vec::new();
    for number in 0..DOCUMENTS {
        let before = make(number);
        let sent = ran(&there, &before).unwrap_or_else(|error| panic!("{number}: {error}"));
        let returned = ran(&back, &value(&sent)).unwrap_or_else(|error| panic!("{number} back: {error}"));
        let after = value(&returned);
        for (what, judge, text) in [
            ("source", &base, &*before.to_string()),
            ("EU", judge, sent.text()),
            ("FSE", &base, returned.text()),
        ] {
            // What the gateway's documents have otherwise than FHIR wants: OIDs without urn:oid, units as text alone.
            let known = |it: &String| {
                it.contains("absolute URI")
                    || it.contains("valueQuantity.system stands 0")
                    || it.contains("valueQuantity.code stands 0")
            };
            let faults = errors(judge, text).into_iter().filter(|it| what == "EU" || !known(it));
            bad.extend(faults.map(|it| format!("{number} {what}: {it}")));
        }
        bad.extend(
            unnamed(&before, &sent, &after, &returned).into_iter().map(|it| format!("{number}: {it}")),
        );
    }
    assert!(
        bad.is_empty(),
        "{} faults\n{}",
        bad.len(),
        bad.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn forty_summaries_become_valid_international_summaries_and_come_back_but_for_what_the_reports_name() {
    let judge = Validator::new(Definitions::r4()).with_profile(BUNDLE_IPS);
    round_trips(summary, (FSE_PSS_TO_IPS, IPS_TO_FSE_PSS), &judge);
}

#[test]
fn forty_discharge_letters_go_to_europe_and_come_back_but_for_what_the_reports_name() {
    let judge = Validator::new(Definitions::r4());
    round_trips(discharge, (FSE_LDO_TO_HDR, HDR_TO_FSE_LDO), &judge);
}

/// A document of which one resource was changed.
fn altered(mut document: Value, kind: &str, change: impl Fn(&mut Value)) -> Value {
    let entries = document["entry"].as_array_mut().unwrap().iter_mut();
    entries.map(|it| &mut it["resource"]).filter(|it| it["resourceType"] == kind).for_each(change);
    document
}

fn to_ips(document: &Value) -> Result<Value, String> {
    ran(&compiled(FSE_PSS_TO_IPS), document).map(|it| value(&it))
}

#[test]
fn the_type_of_a_discharge_is_translated_by_its_meaning_both_ways() {
    let before = discharge(0);
    let sent = ran(&compiled(FSE_LDO_TO_HDR), &before).unwrap();
    let middle = value(&sent);
    for kind in ["Composition", "DocumentReference"] {
        let codes = resources(&middle, kind)[0]["type"]["coding"].clone();
        assert_eq!((&codes[0]["code"], &codes[1]["code"]), (&json!("18842-5"), &json!("34105-7")), "{kind}");
    }
    let new = |change: &&varco_core::mapping::Change| matches!(&change.kind, ChangeKind::Added { after } if after.contains("18842-5"));
    assert_eq!(sent.changes.iter().filter(new).count(), 2);
    // Italy never reads 18842-5, from whatever Europe writes.
    let loinc = |code: &str| json!({"system": "http://loinc.org", "code": code});
    for codings in
        [json!([loinc("18842-5")]), json!([loinc("34105-7")]), json!([loinc("34105-7"), loinc("18842-5")])]
    {
        let document = altered(middle.clone(), "Composition", |it| {
            it["type"] = json!({"coding": codings, "text": "Entlassbrief"})
        });
        let returned = value(&ran(&compiled(HDR_TO_FSE_LDO), &document).unwrap());
        let kind = resources(&returned, "Composition")[0]["type"].clone();
        assert_eq!(kind, json!({"coding": [loinc("34105-7")], "text": "Entlassbrief"}));
        assert!(!returned.to_string().contains("18842-5"));
    }
}

#[test]
fn an_italian_discharge_that_is_not_from_hospital_is_refused() {
    for codes in [vec!["18842-5"], vec!["34105-7", "18842-5"], vec!["11490-0"]] {
        let codings: Vec<Value> =
            codes.iter().map(|it| json!({"system": "http://loinc.org", "code": it})).collect();
        let before = altered(discharge(0), "Composition", |it| it["type"] = json!({"coding": codings}));
        let error = ran(&compiled(FSE_LDO_TO_HDR), &before).unwrap_err();
        let rule =
            error.contains("composition / hospital-discharge") || error.contains("documentType / type");
        assert!(error.contains("does not hold") && rule, "{error}");
    }
}

#[test]
fn two_possible_types_are_an_error_and_not_a_pick() {
    let text = varco_core::mapping::regional_map(FSE_LDO_TO_HDR).unwrap().text;
    let pair = "s:\"34105-7\" == t:\"18842-5\"";
    let text = text.replace(pair, &format!("{pair}\n  s:\"34105-7\" == t:\"11490-0\""));
    let mut mapper = varco_core::mapping::Mapper::new(Definitions::r4());
    let number = mapper.add("own.fml", text.as_bytes()).unwrap();
    let error = ran(&mapper.compile(number).unwrap(), &discharge(0)).unwrap_err();
    assert!(error.contains("2 ") && error.contains("34105-7"), "{error}");
}

#[test]
fn nothing_is_known_only_where_the_summary_says_so() {
    let code = |document: &Value| resources(document, "AllergyIntolerance")[0]["code"]["coding"][0].clone();
    let none = (0..DOCUMENTS).map(summary).find(|it| it.to_string().contains("no-known-allergies")).unwrap();
    let sent = to_ips(&none).unwrap();
    assert_eq!(code(&sent)["system"], "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips");
    assert_eq!(code(&sent)["code"], "no-known-allergies");
    let reason = (0..DOCUMENTS).map(summary).find(|it| it.to_string().contains("emptyReason")).unwrap();
    let sections = |document: &Value| resources(document, "Composition")[0]["section"].clone();
    assert_eq!(sections(&to_ips(&reason).unwrap())[1]["emptyReason"], sections(&reason)[1]["emptyReason"]);
    let is = |section: &Value, code: &str| section["code"]["coding"][0]["code"] == code;
    for (required, rule) in [("11450-4", "problems"), ("48765-2", "allergies"), ("10160-0", "medications")] {
        let missing = altered(none.clone(), "Composition", |it| {
            it["section"].as_array_mut().unwrap().retain(|it| !is(it, required));
        });
        let silent = altered(none.clone(), "Composition", |it| {
            let sections = it["section"].as_array_mut().unwrap().iter_mut();
            sections.filter(|it| is(it, required)).for_each(|it| {
                it.as_object_mut().unwrap().remove("entry");
                it["text"] = json!({"status": "additional", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Vedi allegato</div>"});
            });
        });
        for document in [missing, silent] {
            let error = to_ips(&document).unwrap_err();
            assert!(error.contains(&format!("composition / {rule}")), "{error}");
        }
    }
}

#[test]
fn a_name_that_the_gateway_does_not_have_is_said_to_be_unknown() {
    let before = altered(summary(0), "Patient", |it| {
        it.as_object_mut().unwrap().remove("name");
    });
    let sent = to_ips(&before).unwrap();
    let name = resources(&sent, "Patient")[0]["name"].clone();
    assert_eq!(name, json!([{"_text": {"extension": [{"url": UNKNOWN, "valueCode": "unknown"}]}}]));
}

#[test]
fn an_aic_stays_beside_its_atc_and_an_unknown_one_is_kept_and_noted() {
    let medicine = |code: &str| {
        altered(summary(0), "MedicationStatement", |it| {
            let it = it.as_object_mut().unwrap();
            it.remove("medicationReference");
            it.insert(
                "medicationCodeableConcept".to_owned(),
                json!({"coding": [{"system": AIC, "code": code}]}),
            );
        })
    };
    let codings = |document: &Value| {
        resources(document, "MedicationStatement")[0]["medicationCodeableConcept"]["coding"].clone()
    };
    let (atc, aic) = (
        json!({"system": "http://www.whocc.no/atc", "code": "N02BE01"}),
        json!({"system": AIC, "code": "012745283"}),
    );
    assert_eq!(codings(&to_ips(&medicine("012745283")).unwrap()), json!([atc, aic]));
    let sent = ran(&compiled(FSE_PSS_TO_IPS), &medicine("777777777")).unwrap();
    assert_eq!(codings(&value(&sent)), json!([{"system": AIC, "code": "777777777"}]));
    assert!(
        sent.notes
            .iter()
            .any(|it| it.to_string().contains("777777777 is not in the concept map #aic-to-atc"))
    );
    // A site's own table takes the place of the built-in one.
    let regional = |url: &str| varco_core::mapping::regional_map(url).unwrap().text;
    let table =
        regional("urn:varco:map:aic-to-atc").replace("012745283", "777777777").replace("N02BE01", "C09AA05");
    let mut mapper = varco_core::mapping::Mapper::new(Definitions::r4());
    let number = mapper.add("summary", regional(FSE_PSS_TO_IPS).as_bytes()).unwrap();
    mapper.add("own-table.fml", table.as_bytes()).unwrap();
    let sent = ran(&mapper.compile(number).unwrap(), &medicine("777777777")).unwrap();
    assert_eq!(codings(&value(&sent))[0]["code"], "C09AA05");
}

#[test]
fn a_regime_becomes_a_coverage_and_returns() {
    for (regime, payor) in [
        ("SSN", json!([{"display": "Servizio Sanitario Nazionale"}])),
        ("NOSSN", json!([{"extension": [{"url": UNKNOWN, "valueCode": "unknown"}]}])),
    ] {
        let own = json!([{"url": REGIME, "valueCoding": {"system": REGIME, "code": regime}}]);
        let before = altered(summary(0), "DocumentReference", |it| it["extension"] = own.clone());
        let sent = to_ips(&before).unwrap();
        let is_regime = |it: &&Value| it["type"]["coding"][0]["system"] == REGIME;
        let coverage = resources(&sent, "Coverage").into_iter().find(is_regime).unwrap().clone();
        assert_eq!((&coverage["type"]["coding"][0]["code"], &coverage["payor"]), (&json!(regime), &payor));
        assert_eq!(coverage["type"]["coding"][1]["code"] == "PUBLICPOL", regime == "SSN");
        let returned = value(&ran(&compiled(IPS_TO_FSE_PSS), &sent).unwrap());
        assert_eq!(resources(&returned, "DocumentReference")[0]["extension"], own);
        assert!(!resources(&returned, "Coverage").iter().any(is_regime));
    }
}

#[test]
fn a_summary_from_abroad_gets_an_index_entry_of_its_own() {
    let mut sent = to_ips(&summary(0)).unwrap();
    sent["entry"].as_array_mut().unwrap().retain(|it| it["resource"]["resourceType"] != "DocumentReference");
    let returned = ran(&compiled(IPS_TO_FSE_PSS), &sent).unwrap();
    assert_eq!(errors(&Validator::new(Definitions::r4()), returned.text()), Vec::<String>::new());
    let returned = value(&returned);
    let index = resources(&returned, "DocumentReference")[0];
    assert_eq!(index["masterIdentifier"], sent["identifier"]);
    assert_eq!(index["securityLabel"][0]["coding"][0]["system"], CONFIDENTIALITY);
    assert_eq!(index["content"][0]["attachment"]["contentType"], "application/fhir+json");
}
