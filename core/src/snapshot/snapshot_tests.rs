#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument};
use serde_json::{Value, json};

use super::published_tests::{aspects, elements};
use super::{Snapshot, SnapshotError, snapshot};
use crate::validation::Validator;

const BASE: &str = "http://hl7.org/fhir/StructureDefinition/";

fn profile(name: &str, of: &str, base: &str, elements: Value) -> Value {
    let base = if base.contains(':') { base.to_owned() } else { format!("{BASE}{base}") };
    json!({ "resourceType": "StructureDefinition", "url": format!("http://example.it/{name}"), "name": name,
        "status": "draft", "kind": "resource", "abstract": false, "type": of, "baseDefinition": base,
        "derivation": "constraint", "differential": { "element": elements } })
}

fn read(json: &Value) -> OwnedDocument {
    OwnedDocument::parse_json(json.to_string(), &Limits::default()).unwrap()
}

fn with(others: &[&Value]) -> Arc<Definitions> {
    let mut builder = Definitions::builder();
    for (number, other) in others.iter().enumerate() {
        assert!(builder.definition(&number.to_string(), other.to_string().as_bytes()).unwrap());
    }
    Arc::new(builder.build().unwrap())
}

fn made(structure: &Value, others: &[&Value]) -> Result<Snapshot, SnapshotError> {
    snapshot(read(structure).root(), &with(others))
}

/// The snapshot's elements.
fn all(structure: &Value, others: &[&Value]) -> Vec<Value> {
    let made = made(structure, others).unwrap();
    assert_eq!(made.warnings, Vec::<String>::new());
    let whole: Value = serde_json::from_str(&made.json).unwrap();
    let list = whole["snapshot"]["element"].as_array().unwrap().clone();
    assert_eq!(list.len(), made.elements);
    list
}

fn ids(elements: &[Value]) -> Vec<&str> {
    elements.iter().map(|it| it["id"].as_str().unwrap()).collect()
}

fn by_id<'e>(elements: &'e [Value], id: &str) -> &'e Value {
    elements
        .iter()
        .find(|it| it["id"] == id)
        .unwrap_or_else(|| panic!("{id} is not there: {:?}", ids(elements)))
}

fn keys(element: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    element["constraint"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (text(&it["key"]), text(&it["source"])))
        .collect()
}

#[test]
fn the_base_shows_through_and_the_differential_adds() {
    let rule = json!({ "key": "it-1", "severity": "error", "human": "x", "expression": "true" });
    let own = profile(
        "p",
        "Patient",
        "Patient",
        json!([
        { "id": "Patient", "path": "Patient", "constraint": [rule] },
        { "id": "Patient.identifier", "path": "Patient.identifier", "min": 1, "mustSupport": true },
        { "id": "Patient.gender", "path": "Patient.gender", "short": "sesso" }]),
    );
    let elements = all(&own, &[]);
    let identifier = by_id(&elements, "Patient.identifier");
    assert_eq!(
        (&identifier["min"], &identifier["max"], &identifier["mustSupport"]),
        (&json!(1), &json!("*"), &json!(true))
    );
    assert_eq!(identifier["base"], json!({ "path": "Patient.identifier", "min": 0, "max": "*" }));
    let gender = by_id(&elements, "Patient.gender");
    assert_eq!((&gender["short"], &gender["binding"]["strength"]), (&json!("sesso"), &json!("required")));
    let root = keys(by_id(&elements, "Patient"));
    assert!(root.contains(&("it-1".into(), "http://example.it/p".into())), "{root:?}");
    assert!(root.contains(&("dom-2".into(), format!("{BASE}DomainResource"))), "{root:?}");
    let order: Vec<String> = elements[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), order.len());
}

#[test]
fn datatypes_unfold_where_the_differential_walks_into_them() {
    let own = profile(
        "p",
        "Patient",
        "Patient",
        json!([
        { "id": "Patient.name.family", "path": "Patient.name.family", "min": 1 }]),
    );
    let elements = all(&own, &[]);
    let below: Vec<&str> = ids(&elements).into_iter().filter(|it| it.starts_with("Patient.name.")).collect();
    assert_eq!(
        below,
        [
            "Patient.name.id",
            "Patient.name.extension",
            "Patient.name.use",
            "Patient.name.text",
            "Patient.name.family",
            "Patient.name.given",
            "Patient.name.prefix",
            "Patient.name.suffix",
            "Patient.name.period"
        ]
    );
    let family = by_id(&elements, "Patient.name.family");
    assert_eq!(family["base"]["path"], "HumanName.family");
    assert_eq!(family["min"], 1);
}

#[test]
fn a_type_in_the_name_of_a_choice_is_a_slice_of_it() {
    let own = profile(
        "p",
        "Observation",
        "Observation",
        json!([
        { "id": "Observation.valueQuantity", "path": "Observation.valueQuantity", "min": 1 },
        { "id": "Observation.valueQuantity.unit", "path": "Observation.valueQuantity.unit", "min": 1 },
        { "id": "Observation.valueString", "path": "Observation.valueString", "short": "testo" }]),
    );
    let elements = all(&own, &[]);
    let choice = by_id(&elements, "Observation.value[x]");
    let types: Vec<&Value> = choice["type"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert_eq!(types, ["Quantity", "string"]);
    assert_eq!(choice["slicing"]["rules"], "closed");
    let slice = by_id(&elements, "Observation.value[x]:valueQuantity");
    assert_eq!(
        (&slice["path"], &slice["sliceName"], &slice["min"]),
        (&json!("Observation.value[x]"), &json!("valueQuantity"), &json!(1))
    );
    assert_eq!(
        by_id(&elements, "Observation.value[x]:valueQuantity.unit")["path"],
        "Observation.value[x].unit"
    );
    assert_eq!(by_id(&elements, "Observation.value[x]:valueString")["min"], 0);
}

#[test]
fn slices_and_slices_of_slices_stand_in_their_order() {
    let slicing = json!({ "discriminator": [{ "type": "value", "path": "system" }], "rules": "open" });
    let own = profile(
        "p",
        "Patient",
        "Patient",
        json!([
        { "id": "Patient.identifier", "path": "Patient.identifier", "slicing": slicing, "min": 1 },
        { "id": "Patient.identifier:cf", "path": "Patient.identifier", "sliceName": "cf", "max": "1",
          "slicing": { "discriminator": [{ "type": "value", "path": "use" }], "rules": "open" } },
        { "id": "Patient.identifier:cf.system", "path": "Patient.identifier.system", "fixedUri": "urn:cf" },
        { "id": "Patient.identifier:ts", "path": "Patient.identifier", "sliceName": "ts" },
        { "id": "Patient.identifier:cf/old", "path": "Patient.identifier", "sliceName": "cf/old" }]),
    );
    let elements = all(&own, &[]);
    let slices: Vec<&str> = ids(&elements)
        .into_iter()
        .filter(|it| {
            !it.contains(".system") && it.starts_with("Patient.identifier:") && it.matches('.').count() == 1
        })
        .collect();
    assert_eq!(slices, ["Patient.identifier:cf", "Patient.identifier:cf/old", "Patient.identifier:ts"]);
    assert_eq!(by_id(&elements, "Patient.identifier:cf/old.system")["fixedUri"], "urn:cf");
    assert!(by_id(&elements, "Patient.identifier:ts")["slicing"].is_null());
    assert_eq!(by_id(&elements, "Patient.identifier:ts")["min"], 0, "a slice need not stand");
}

#[test]
fn a_slice_without_ids_is_found_by_the_elements_before() {
    let own = profile(
        "p",
        "Observation",
        "Observation",
        json!([
        { "path": "Observation" },
        { "path": "Observation.component", "slicing": { "discriminator": [{ "type": "value", "path": "code" }], "rules": "open" } },
        { "path": "Observation.component", "sliceName": "sistolica", "min": 1 },
        { "path": "Observation.component.code", "patternCodeableConcept": { "text": "x" } }]),
    );
    let elements = all(&own, &[]);
    assert!(by_id(&elements, "Observation.component:sistolica.code")["patternCodeableConcept"].is_object());
    assert!(by_id(&elements, "Observation.component.code")["patternCodeableConcept"].is_null());
}

#[test]
fn what_an_element_refers_to_unfolds_below_it() {
    let own = profile(
        "p",
        "Questionnaire",
        "Questionnaire",
        json!([
        { "id": "Questionnaire.item.item.text", "path": "Questionnaire.item.item.text", "min": 1 }]),
    );
    let elements = all(&own, &[]);
    assert_eq!(by_id(&elements, "Questionnaire.item.item.text")["min"], 1);
    assert_eq!(by_id(&elements, "Questionnaire.item.text")["min"], 0);
    let inner = by_id(&elements, "Questionnaire.item.item");
    assert_eq!(
        (&inner["contentReference"], &inner["type"][0]["code"]),
        (&Value::Null, &json!("BackboneElement"))
    );
    assert_eq!(by_id(&elements, "Questionnaire.item.item.item")["contentReference"], "#Questionnaire.item");
}

#[test]
fn an_extension_brings_its_words_and_the_profile_of_a_type_its_elements() {
    let own = profile(
        "p",
        "Patient",
        "Patient",
        json!([
        { "id": "Patient.extension:nascita", "path": "Patient.extension", "sliceName": "nascita", "max": "1",
          "type": [{ "code": "Extension", "profile": [format!("{BASE}patient-birthPlace")] }] },
        { "id": "Patient.extension:nascita.value[x]", "path": "Patient.extension.value[x]", "min": 1 }]),
    );
    let elements = all(&own, &[]);
    assert_eq!(by_id(&elements, "Patient.extension")["slicing"]["discriminator"][0]["path"], "url");
    let url = by_id(&elements, "Patient.extension:nascita.url");
    assert_eq!(url["fixedUri"], format!("{BASE}patient-birthPlace"));
    let value = by_id(&elements, "Patient.extension:nascita.value[x]");
    assert_eq!(value["type"][0]["code"], "Address", "the extension's own definition narrows its value");
    assert_ne!(
        by_id(&elements, "Patient.extension:nascita")["short"],
        by_id(&elements, "Patient.extension")["short"]
    );
}

#[test]
fn bases_without_snapshot_get_theirs_first_and_prose_goes_on() {
    let lower = profile(
        "a",
        "Patient",
        "Patient",
        json!([
        { "id": "Patient.name", "path": "Patient.name", "min": 1, "definition": "Il nome.", "alias": ["nome"],
          "constraint": [{ "key": "a-1", "severity": "error", "human": "x", "expression": "family.exists()" }] }]),
    );
    let upper = profile(
        "b",
        "Patient",
        "http://example.it/a",
        json!([
        { "id": "Patient.name", "path": "Patient.name", "max": "1", "definition": "...Uno solo.", "alias": ["name"],
          "constraint": [{ "key": "b-1", "severity": "warning", "human": "x", "expression": "given.exists()" }] }]),
    );
    let elements = all(&upper, &[&lower]);
    let own = by_id(&elements, "Patient.name");
    assert_eq!((&own["min"], &own["max"]), (&json!(1), &json!("1")));
    assert_eq!(own["definition"], "Il nome.\nUno solo.");
    assert_eq!(own["alias"], json!(["nome", "name"]));
    let keys = keys(own);
    assert!(keys.contains(&("a-1".into(), "http://example.it/a".into())), "{keys:?}");
    assert!(keys.contains(&("b-1".into(), "http://example.it/b".into())), "{keys:?}");
}

#[test]
fn a_type_adds_elements_to_those_of_its_base() {
    let mut own = profile(
        "Visita",
        "Visita",
        "Element",
        json!([
        { "id": "Visita", "path": "Visita", "short": "visita" },
        { "id": "Visita.ora", "path": "Visita.ora", "min": 1, "max": "1", "type": [{ "code": "dateTime" }] },
        { "id": "Visita.esito", "path": "Visita.esito", "min": 0, "max": "*", "type": [{ "code": "BackboneElement" }] },
        { "id": "Visita.esito.testo", "path": "Visita.esito.testo", "min": 0, "max": "1", "type": [{ "code": "string" }] }]),
    );
    own["derivation"] = "specialization".into();
    own["kind"] = "logical".into();
    let elements = all(&own, &[]);
    assert_eq!(
        ids(&elements),
        [
            "Visita",
            "Visita.id",
            "Visita.extension",
            "Visita.ora",
            "Visita.esito",
            "Visita.esito.id",
            "Visita.esito.extension",
            "Visita.esito.modifierExtension",
            "Visita.esito.testo"
        ]
    );
    assert_eq!(by_id(&elements, "Visita.ora")["base"], json!({ "path": "Visita.ora", "min": 1, "max": "1" }));
    assert_eq!(by_id(&elements, "Visita.id")["base"]["path"], "Element.id");
}

#[test]
fn what_stands_in_the_way_is_said() {
    let wrong = profile(
        "p",
        "Patient",
        "Patient",
        json!([
        { "id": "Patient.nome", "path": "Patient.nome", "min": 1 },
        { "id": "Patient.deceased[x].value", "path": "Patient.deceased[x].value", "min": 1 },
        { "id": "Patient.deceasedQuantity", "path": "Patient.deceasedQuantity" }]),
    );
    let Err(SnapshotError::Elements { faults, .. }) = made(&wrong, &[]) else { panic!() };
    let faults: Vec<&str> = faults.iter().map(|it| it.element.as_str()).collect();
    assert_eq!(faults, ["Patient.nome", "Patient.deceased[x].value", "Patient.deceasedQuantity"]);
    let lost = profile("p", "Patient", "http://example.it/none", json!([{ "path": "Patient" }]));
    let text = made(&lost, &[]).unwrap_err().to_string();
    assert!(text.contains("http://example.it/none") && text.contains("not at hand"), "{text}");
    let one = profile("one", "Patient", "http://example.it/two", json!([{ "path": "Patient" }]));
    let two = profile("two", "Patient", "http://example.it/one", json!([{ "path": "Patient" }]));
    assert!(matches!(made(&one, &[&two, &one]), Err(SnapshotError::Circle(_))));
    assert!(matches!(made(&json!({ "resourceType": "Patient" }), &[]), Err(SnapshotError::NotAStructure)));
    let none = profile("p", "Patient", "Patient", json!([]));
    assert!(matches!(made(&none, &[]), Err(SnapshotError::NoDifferential(_))));
    let wide = profile("p", "Patient", "Patient", json!([{ "path": "Patient.birthDate", "max": "*" }]));
    assert!(made(&wide, &[]).unwrap().warnings[0].contains("max * is above"));
}

#[test]
fn a_chain_of_bases_has_an_end() {
    let chain: Vec<Value> = (0..40)
        .map(|at| {
            profile(
                &format!("p{at}"),
                "Patient",
                &format!("http://example.it/p{}", at + 1),
                json!([{ "path": "Patient" }]),
            )
        })
        .collect();
    let others: Vec<&Value> = chain.iter().collect();
    assert!(matches!(made(&chain[0], &others), Err(SnapshotError::TooLong(_))));
}

/// Built-in packs keep the ids that a differential named, not the differential: what those elements say in the
/// published snapshot, said over the base, gives the published snapshot again.
#[test]
fn built_in_snapshots_follow_from_what_their_profiles_change() {
    const DIFFERENT: &[(&str, &str)] = &[
        ("bp", "a slice of a choice is published as the choice itself"),
        ("catalog", "a slice is published without what it slices"),
        ("familymemberhistory-genetic", "elements of the base are lost"),
        ("elementdefinition-de", "extensions are unfolded though nothing is said below them"),
        ("provenance-relevant-history", "slices don't have what the profile says of all repetitions"),
        (
            "Observation-results-radiology-uv-ips",
            "slices don't have what the profile says of all repetitions",
        ),
        ("Bundle-uv-ips", "isSummary is lost where a profile of the resource is named"),
        ("address-official", "the pack does not tell how the differential names the choice"),
        ("quantity-accuracy", "the pack does not tell how the differential names the choice"),
        ("quantity-confidenceInterval", "the pack does not tell how the differential names the choice"),
    ];
    let definitions = Definitions::r4();
    let (mut structures, mut equal, mut different) = (0, 0, Vec::new());
    for url in definitions.canonicals("StructureDefinition") {
        let Some(document) = definitions.resource_of_type("StructureDefinition", &url) else { continue };
        let mut own: Value = serde_json::from_str(document.text()).unwrap();
        let Some(changed) = own["changed"].as_array().cloned() else { continue };
        let tail = url.rsplit('/').next().unwrap();
        if DIFFERENT.iter().any(|(known, _)| *known == tail) || !own["snapshot"].is_object() {
            continue;
        }
        let short = |id: &str| -> String {
            let steps = id.split('.').map(|it| it.split_once("[x]:").map_or(it, |(_, slice)| slice));
            steps.collect::<Vec<_>>().join(".")
        };
        let published = elements(&own);
        let all = own["snapshot"]["element"].as_array().unwrap();
        let mut differential: Vec<Value> = Vec::new();
        for element in all {
            let id = element["id"].as_str().unwrap();
            let short = short(id);
            if changed.contains(&element["id"]) {
                differential.push(element.clone());
            } else if changed.iter().any(|own| own == &short) {
                let mut element = element.clone();
                let path =
                    short.split('.').map(|it| it.split(':').next().unwrap()).collect::<Vec<_>>().join(".");
                (element["id"], element["path"]) = (short.into(), path.into());
                element.as_object_mut().unwrap().remove("sliceName");
                differential.push(element);
            }
        }
        let raised: BTreeSet<String> = all
            .iter()
            .filter(|it| it["slicing"].is_object() && !changed.contains(&it["id"]))
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        own["differential"] = json!({ "element": differential });
        structures += 1;
        match snapshot(read(&own).root(), &definitions) {
            Ok(made) => {
                let made: Value = serde_json::from_str(&made.json).unwrap();
                let made: Vec<_> = made["snapshot"]["element"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|it| (it["id"].as_str().unwrap().to_owned(), aspects(it)))
                    .collect();
                let order = |list: &[(String, _)]| list.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
                if order(&made) != order(&published) {
                    different.push(format!("{url}: other elements"));
                }
                // Later tools raise the least number of a sliced element to the sum of its slices'.
                let alike = |(own, other): &(&(String, _), &(String, _))| {
                    let bare = |it: &(String, std::collections::BTreeMap<&'static str, Value>)| {
                        let mut it = it.clone();
                        if raised.contains(&it.0) {
                            it.1.remove("min");
                        }
                        it
                    };
                    bare(own) == bare(other)
                };
                let same = made.iter().zip(&published).filter(alike).count();
                equal += same;
                if same != published.len() {
                    different.push(format!("{url}: {same} of {}", published.len()));
                }
            }
            Err(error) => different.push(format!("{url}: {error}")),
        }
    }
    assert!(structures > 700, "{structures}");
    assert!(different.is_empty(), "{equal} equal; {} {different:#?}", different.len());
}

/// Validation by a differential, which is compiled directly, and by the snapshot made of it find the same.
#[test]
fn validation_by_differential_and_by_snapshot_agree() {
    let rule =
        json!({ "key": "it-1", "severity": "error", "human": "un nome", "expression": "name.exists()" });
    let slicing = json!({ "discriminator": [{ "type": "value", "path": "system" }], "rules": "open" });
    let patient = profile(
        "p",
        "Patient",
        "Patient",
        json!([
        { "id": "Patient", "path": "Patient", "constraint": [rule] },
        { "id": "Patient.extension:nascita", "path": "Patient.extension", "sliceName": "nascita", "min": 1,
          "type": [{ "code": "Extension", "profile": [format!("{BASE}patient-birthPlace")] }] },
        { "id": "Patient.identifier", "path": "Patient.identifier", "slicing": slicing, "min": 1 },
        { "id": "Patient.identifier:cf", "path": "Patient.identifier", "sliceName": "cf", "min": 1, "max": "1" },
        { "id": "Patient.identifier:cf.system", "path": "Patient.identifier.system", "min": 1, "fixedUri": "urn:cf" },
        { "id": "Patient.identifier:cf.value", "path": "Patient.identifier.value", "min": 1, "maxLength": 16 },
        { "id": "Patient.name.family", "path": "Patient.name.family", "min": 1 },
        { "id": "Patient.deceased[x]", "path": "Patient.deceased[x]", "type": [{ "code": "boolean" }] },
        { "id": "Patient.gender", "path": "Patient.gender", "min": 1 },
        { "id": "Patient.contact", "path": "Patient.contact", "max": "0" }]),
    );
    let patients = [
        json!({ "resourceType": "Patient" }),
        json!({ "resourceType": "Patient", "gender": "male", "identifier": [{ "system": "urn:cf", "value": "X" }], "name": [{ "family": "Rossi" }],
            "extension": [{ "url": format!("{BASE}patient-birthPlace"), "valueAddress": { "city": "Roma" } }] }),
        json!({ "resourceType": "Patient", "identifier": [{ "system": "urn:cf" }, { "system": "urn:cf", "value": "12345678901234567" }],
            "name": [{ "given": ["Anna"] }], "deceasedDateTime": "2020", "contact": [{ "gender": "male" }] }),
        json!({ "resourceType": "Patient", "identifier": [{ "system": "urn:x" }], "gender": "x" }),
    ];
    let observation = profile(
        "o",
        "Observation",
        "Observation",
        json!([
        { "id": "Observation.valueQuantity", "path": "Observation.valueQuantity" },
        { "id": "Observation.valueQuantity.unit", "path": "Observation.valueQuantity.unit", "min": 1 },
        { "id": "Observation.component", "path": "Observation.component",
          "slicing": { "discriminator": [{ "type": "pattern", "path": "code" }], "rules": "closed" } },
        { "id": "Observation.component:a", "path": "Observation.component", "sliceName": "a", "max": "1" },
        { "id": "Observation.component:a.code", "path": "Observation.component.code", "patternCodeableConcept": { "text": "a" } },
        { "id": "Observation.component:a.valueString", "path": "Observation.component.valueString", "min": 1 }]),
    );
    let base = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" } });
    let more = |parts: Value| {
        let mut own = base.clone();
        own.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
        own
    };
    let observations = [
        base.clone(),
        more(json!({ "valueQuantity": { "value": 1 } })),
        more(json!({ "valueQuantity": { "value": 1, "unit": "kg" } })),
        more(json!({ "valueString": "x" })),
        more(
            json!({ "component": [{ "code": { "text": "a" } }, { "code": { "text": "b" }, "valueString": "x" }] }),
        ),
        more(json!({ "component": [{ "code": { "text": "a" }, "valueInteger": 1 }] })),
    ];
    let mut findings = 0;
    for (structure, instances) in [(&patient, &patients[..]), (&observation, &observations[..])] {
        let mut whole: Value = serde_json::from_str(&made(structure, &[]).unwrap().json).unwrap();
        whole.as_object_mut().unwrap().remove("differential");
        let url = structure["url"].as_str().unwrap();
        let [by_differential, by_snapshot] =
            [structure, &whole].map(|it| Validator::new(with(&[it])).with_profile(url));
        for instance in instances {
            let document = read(instance);
            let told = |validator: &Validator| -> Vec<(Option<&'static str>, Option<String>, String)> {
                let mut told: Vec<_> = validator
                    .validate(document.document())
                    .issues
                    .into_iter()
                    .map(|it| (it.rule, it.expression, it.severity.code().to_owned()))
                    .collect();
                told.sort();
                told
            };
            let own = told(&by_differential);
            assert_eq!(own, told(&by_snapshot), "{instance}");
            findings += own.len();
        }
    }
    assert!(findings > 20, "{findings}");
}
