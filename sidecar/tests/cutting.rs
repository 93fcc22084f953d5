//! What is hidden inside of what is not: with `access.nested = "cut"` it is taken out, in every answer alike, and nothing
//! tells that it was there. Twin worlds: in the other, the holder was written without it.
#![allow(clippy::unwrap_used)]

mod harness;

use harness::twins::seen;
use harness::{Asking, FHIR, Region, Reply, consent};
use serde_json::{Value, json};
use varco_conformance::hospital::{Effect, Fault};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// Limits that no test meets, and these settings of `[access]`.
fn access(settings: &str) -> String {
    format!("[limits]\nrequests_per_second = 10000\nburst = 10000\n[access]\n{settings}\n")
}

async fn same(with: &Region, without: &Region, asking: (&Asking, &Asking), path: &str) -> Reply {
    let (in_a, in_b) = (asking.0.get(path).await, asking.1.get(path).await);
    assert_eq!(seen(&in_a, with.setup.port), seen(&in_b, without.setup.port), "{path}");
    in_a
}

/// Anna forbids what is labelled R, beside what she permits.
async fn forbid_restricted(asking: &Asking) {
    let label = json!([{ "system": CONFIDENTIALITY, "code": "R" }]);
    let mut own = consent("Patient/anna", json!({ "type": "deny", "securityLabel": label }));
    own["policyRule"]["coding"][0]["code"] = "OPTIN".into();
    own["provision"]["type"] = "permit".into();
    assert_eq!(asking.post("Consent", &own).await.status, 201);
}

fn condition(id: &str, patient: &str, text: &str) -> Value {
    json!({ "resourceType": "Condition", "id": id, "subject": { "reference": format!("Patient/{patient}") },
        "code": { "text": text } })
}

/// A label; what has none is not permitted by a consent that forbids some.
fn label(code: &str) -> Value {
    json!({ "security": [{ "system": CONFIDENTIALITY, "code": code }] })
}

fn restricted(mut resource: Value) -> Value {
    resource["meta"] = label("R");
    resource
}

fn entry(resource: &Value) -> Value {
    json!({ "fullUrl": format!("urn:uuid:{}", resource["id"].as_str().unwrap()), "resource": resource })
}

/// A document about Anna: what is hidden in it stands there in one world alone.
fn document(hidden: bool) -> Value {
    let patient = json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": "Forlì" }] });
    let asthma = condition("asthma", "anna", "Asthma");
    let mut composition = json!({ "resourceType": "Composition", "id": "c", "status": "final",
        "type": { "text": "Summary" }, "subject": { "reference": "urn:uuid:anna" }, "date": "2026-01-01",
        "author": [{ "display": "Ward" }], "title": "Summary",
        "section": [{ "title": "Problems", "entry": [{ "reference": "urn:uuid:asthma" }] }] });
    let mut encounter = json!({ "resourceType": "Encounter", "id": "e", "status": "finished", "class": { "code": "AMB" },
        "subject": { "reference": "urn:uuid:anna" }, "reasonReference": [{ "reference": "Condition/asthma" }] });
    let mut entries = vec![];
    if hidden {
        composition["text"] = json!({ "status": "generated", "div": "<div>Asthma and HIV</div>" });
        let section = &mut composition["section"];
        section[0]["text"] = json!({ "status": "generated", "div": "<div>HIV</div>" });
        section[0]["entry"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "reference": "urn:uuid:hiv", "display": "HIV" }));
        section
            .as_array_mut()
            .unwrap()
            .push(json!({ "title": "Mother", "entry": [{ "reference": "Condition/mother" }] }));
        encounter["reasonReference"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "reference": "urn:uuid:hiv", "display": "HIV" }));
    }
    entries.extend([entry(&composition), entry(&patient), entry(&asthma), entry(&encounter)]);
    if hidden {
        let mut hiv = restricted(condition("hiv", "anna", "HIV"));
        hiv["subject"] = json!({ "reference": "urn:uuid:anna" });
        entries.push(entry(&hiv));
        entries.push(entry(&condition("mother", "carla", "HIV")));
    }
    json!({ "resourceType": "Bundle", "id": "doc", "meta": label("N"), "type": "document", "entry": entries,
        "identifier": { "system": "urn:x", "value": "doc" } })
}

/// An observation of Anna's that contains a specimen and, in one world, what her mother has.
fn observation(hidden: bool) -> Value {
    let mut own = json!({ "resourceType": "Observation", "id": "obs", "meta": label("N"), "status": "final", "code": { "text": "Albumin" },
        "subject": { "reference": "Patient/anna" }, "specimen": { "reference": "#s" },
        "contained": [{ "resourceType": "Specimen", "id": "s" }] });
    if hidden {
        own["text"] = json!({ "status": "generated", "div": "<div>HIV</div>" });
        own["contained"].as_array_mut().unwrap().push(condition("m", "carla", "HIV"));
        own["extension"] =
            json!([{ "url": "urn:x", "valueReference": { "reference": "#m", "display": "HIV" } }]);
    }
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_parts_are_cut_and_leave_no_trace() {
    let cut = access("nested = \"cut\"");
    let (with, without) = (Region::start(&cut).await, Region::start(&cut).await);
    let (a, b) = (with.asking(), without.asking());
    for (region, asking, hidden) in [(&with, &a, true), (&without, &b, false)] {
        forbid_restricted(asking).await;
        region.seed(&document(hidden));
        region.seed(&observation(hidden));
        let mut inner = document(hidden);
        inner["id"] = "inner".into();
        region.seed(&json!({ "resourceType": "Bundle", "id": "outer", "type": "collection", "entry": [entry(&inner)] }));
    }
    // Only in one world: what can't be cut, and what would be nothing.
    let mut signed = document(true);
    signed["id"] = "signed".into();
    signed["signature"] = json!({ "type": [{ "code": "1.2.840.10065.1.12.1.1" }], "when": "2026-01-01T00:00:00Z",
        "who": { "display": "Ward" }, "data": "c2ln" });
    with.seed(&signed);
    with.seed(&json!({ "resourceType": "Bundle", "id": "all", "type": "collection",
        "entry": [entry(&condition("x", "carla", "HIV"))] }));

    for path in [
        "Bundle/doc",
        "Bundle/outer",
        "Bundle/signed",
        "Bundle/all",
        "Observation/obs",
        "Bundle",
        "Bundle?identifier=urn:x%7Cdoc",
        "Bundle?type=document&_elements=entry",
        "Bundle?_summary=count",
        "Observation?patient=anna",
        "Observation?_elements=contained",
        "Patient?_id=anna&_revinclude=Observation:patient",
    ] {
        let reply = same(&with, &without, (&a, &b), path).await;
        assert!(!String::from_utf8_lossy(&reply.body).contains("HIV"), "{path}");
    }
    let entries =
        ["Bundle/doc", "Observation/obs"].map(|url| json!({ "request": { "method": "GET", "url": url } }));
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    let (in_a, in_b) = (a.post("", &batch).await, b.post("", &batch).await);
    assert_eq!(seen(&in_a, with.setup.port), seen(&in_b, without.setup.port));

    let shown = a.get("Bundle/doc").await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.json()["entry"].as_array().unwrap().len(), 4);
    let meta = &shown.json()["meta"];
    assert_eq!((&meta["security"], meta.get("tag")), (&label("N")["security"], None));
    assert_eq!(a.get("Bundle/signed").await.status, 404);
    assert_eq!(a.get("Bundle/all").await.status, 404);
    // What a caller does not see whole is not overwritten with the part that it saw.
    assert_eq!(a.put("Bundle/doc", &shown.json()).await.status, 404);
    assert_eq!(a.get("Bundle/doc/_history").await.status, 404);
    assert!(with.hospital.resource("Bundle", "doc").unwrap().contains("HIV"));
    // On record for both patients: what was released, and that something was not.
    let records = a.get(&format!("AuditEvent?entity:identifier=%7C{}", shown.request_id())).await.json();
    assert!(records["total"] == 2 && records.to_string().contains("Bundle/doc"), "{records}");
    with.stop().await;
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_the_whole_is_withheld() {
    let with = Region::start("").await;
    let a = with.asking();
    forbid_restricted(&a).await;
    with.seed(&document(true));
    with.seed(&observation(true));
    let mut plain = document(false);
    plain["id"] = "plain".into();
    with.seed(&plain);
    assert_eq!(a.get("Bundle/plain").await.status, 200);
    assert_eq!(a.get("Bundle/doc").await.status, 404);
    assert_eq!(a.get("Observation/obs").await.status, 404);
    with.stop().await;
}

/// An observation of Anna's; elements that bear a hidden label stand there in one world alone.
fn measured(hidden: bool) -> Value {
    let inline = |code: &str| {
        json!([{ "url": "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label",
            "valueCoding": { "system": CONFIDENTIALITY, "code": code } }])
    };
    let mut own = json!({ "resourceType": "Observation", "id": "obs", "meta": label("N"), "status": "final",
        "code": { "text": "Albumin", "extension": inline("N") }, "subject": { "reference": "Patient/anna" },
        "performer": [{ "reference": "Practitioner/p" }] });
    if hidden {
        own["text"] = json!({ "status": "generated", "div": "<div>HIV</div>" });
        own["note"] = json!([{ "text": "HIV", "extension": inline("R") }]);
        own["performer"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "reference": "Practitioner/q", "display": "HIV ward", "extension": inline("R") }));
        own["effectiveDateTime"] = "2026-01-01".into();
        own["_effectiveDateTime"] = json!({ "extension": inline("R") });
    }
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_elements_are_cut_and_no_search_tells_of_them() {
    let cut = access("elements = \"cut\"");
    let (with, without) = (Region::start(&cut).await, Region::start(&cut).await);
    let (a, b) = (with.asking(), without.asking());
    for (region, asking, hidden) in [(&with, &a, true), (&without, &b, false)] {
        forbid_restricted(asking).await;
        region.seed(&measured(hidden));
        for id in ["p", "q"] {
            region.seed(&json!({ "resourceType": "Practitioner", "id": id, "name": [{ "family": id }] }));
        }
    }
    // Only in one world: what can't do without what is hidden.
    let mut needed = measured(true);
    needed["id"] = "needed".into();
    needed["code"]["extension"] = needed["note"][0]["extension"].clone();
    with.seed(&needed);

    for path in [
        "Observation/obs",
        "Observation/needed",
        "Observation",
        "Observation?_id=obs,needed",
        "Observation?patient=anna",
        "Observation?subject=Patient/anna&_sort=-_lastUpdated",
        "Observation?performer=Practitioner/p",
        "Observation?performer=Practitioner/q",
        "Observation?performer=Practitioner/p,Practitioner/q",
        "Observation?performer:Practitioner.family=q",
        "Observation?patient=anna&_summary=count",
        "Observation?patient=anna&_elements=note,effective",
        "Observation?patient=anna&_include=Observation:performer",
        "Practitioner?_has:Observation:performer:patient=anna",
        "Practitioner?_id=p,q&_revinclude=Observation:performer",
        "Patient?_id=anna&_revinclude=Observation:patient",
        "Patient/anna/$everything",
    ] {
        let reply = same(&with, &without, (&a, &b), path).await;
        assert!(!String::from_utf8_lossy(&reply.body).contains("HIV"), "{path}");
    }
    for (path, total) in [
        ("Observation?patient=anna", 1),
        ("Observation?performer=Practitioner/p", 1),
        ("Observation?performer=Practitioner/q", 0),
        // By what might have been cut, it is not found, whether that was cut or not.
        ("Observation?date=2026", 0),
        ("Observation?date:missing=true", 0),
        ("Observation?performer:missing=false", 0),
        ("Observation?status=final", 0),
        ("Observation?specimen:missing=true", 0),
        ("Observation?patient=anna&_sort=date", 0),
    ] {
        assert_eq!(a.get(path).await.json()["total"], total, "{path}");
    }
    let shown = a.get("Observation/obs").await;
    assert_eq!(shown.status, 200);
    let own = shown.json();
    for gone in ["text", "note", "effectiveDateTime", "_effectiveDateTime"] {
        assert_eq!(own.get(gone), None, "{own}");
    }
    assert_eq!(own["performer"], json!([{ "reference": "Practitioner/p" }]));
    assert_eq!(own["meta"]["security"], label("N")["security"]);
    // What is not shown is not lost by writing back what is, and has no past.
    assert_eq!(a.put("Observation/obs", &own).await.status, 405);
    for past in ["Observation/obs/_history", "Observation/obs/_history/1", "Observation/needed/_history"] {
        assert_eq!(a.get(past).await.status, 404, "{past}");
    }
    assert!(with.hospital.resource("Observation", "obs").unwrap().contains("HIV"));
    with.stop().await;
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_a_hidden_element_hides_its_resource() {
    let with = Region::start(&access("nested = \"cut\"")).await;
    let a = with.asking();
    forbid_restricted(&a).await;
    with.seed(&measured(true));
    assert_eq!(a.get("Observation/obs").await.status, 404);
    assert_eq!(a.get("Observation?patient=anna").await.json()["total"], 0);
    with.stop().await;
}

/// What Anna's doctor sees, with references to what is Carla's and to what is nowhere.
fn referring() -> Vec<Value> {
    let anna = json!({ "reference": "Patient/anna" });
    vec![
        condition("c", "anna", "Asthma"),
        json!({ "resourceType": "Encounter", "id": "e", "status": "finished", "class": { "code": "AMB" }, "subject": anna,
            "text": { "status": "generated", "div": "<div>HIV</div>" },
            "diagnosis": [{ "condition": { "reference": "Condition/h", "display": "HIV" }, "rank": 1 },
                { "condition": { "reference": "Condition/c", "display": "Asthma" } }],
            "reasonReference": [{ "reference": "Condition/h", "display": "HIV", "identifier": { "value": "HIV" } }] }),
        json!({ "resourceType": "DocumentReference", "id": "d", "status": "current", "subject": anna,
            "content": [{ "attachment": { "title": "HIV", "url": "Binary/hb" } },
                { "attachment": { "title": "T", "url": "https://files.example/hiv.pdf" } }] }),
        json!({ "resourceType": "Observation", "id": "o", "status": "final", "subject": anna, "code": { "text": "Albumin" },
            "performer": [{ "reference": "Practitioner/p" }, { "reference": "Practitioner/absent" }],
            "hasMember": [{ "reference": "Observation/h/_history/1" }] }),
        json!({ "resourceType": "Practitioner", "id": "p", "name": [{ "family": "Rossi" }] }),
    ]
}

/// Two regions with these settings: what is Carla's stands in the first alone.
async fn referring_twins(settings: &str) -> (Region, Region) {
    let settings = access(settings);
    let (with, without) = (Region::start(&settings).await, Region::start(&settings).await);
    for region in [&with, &without] {
        referring().iter().for_each(|own| region.seed(own));
    }
    let carla = json!({ "reference": "Patient/carla" });
    for hidden in [
        condition("h", "carla", "HIV"),
        json!({ "resourceType": "Observation", "id": "h", "status": "final", "subject": carla, "code": { "text": "HIV" } }),
        json!({ "resourceType": "Binary", "id": "hb", "contentType": "text/plain", "securityContext": carla, "data": "SElW" }),
    ] {
        with.seed(&hidden);
    }
    (with, without)
}

const REFERRING: &[&str] = &[
    "Encounter/e",
    "Encounter",
    "Encounter?_elements=diagnosis",
    "Encounter?_include=Encounter:diagnosis",
    "Encounter?diagnosis=Condition/h",
    "Encounter?diagnosis=Condition/c",
    "Encounter?diagnosis=Condition/h,Condition/c",
    "Encounter?diagnosis:Condition.subject=Patient/carla",
    "Observation?has-member=Observation/h",
    "DocumentReference/d",
    "DocumentReference?patient=anna",
    "Observation?_id=o&_include=*",
    "Practitioner?_has:Observation:performer:patient=anna",
    "Patient?_id=anna&_revinclude=*",
    "Condition?_revinclude=Encounter:diagnosis",
];

#[tokio::test(flavor = "multi_thread")]
async fn references_to_what_is_hidden_are_cut_as_those_to_what_is_absent() {
    let (with, without) = referring_twins("references = \"cut\"\nattachments = \"local\"").await;
    let (a, b) = (with.asking(), without.asking());
    for path in REFERRING {
        let reply = same(&with, &without, (&a, &b), path).await;
        // Links say what was asked.
        let mut shown = reply.json();
        shown.as_object_mut().unwrap().remove("link");
        let own = shown.to_string();
        for gone in ["Condition/h", "Observation/h", "Binary/hb", "HIV", "absent\"", "files.example"] {
            assert!(!own.contains(gone), "{path}: {gone} in {own}");
        }
    }
    let encounter = a.get("Encounter/e").await.json();
    assert_eq!(encounter.get("reasonReference"), None);
    assert_eq!(encounter["diagnosis"][1]["condition"]["display"], "Asthma");
    assert_eq!(encounter["diagnosis"][0]["condition"]["extension"][0]["valueCode"], "unknown");
    assert_eq!(encounter["subject"]["reference"], "Patient/anna");
    for (path, total) in [
        ("Encounter?diagnosis=Condition/h", 0),
        ("Encounter?diagnosis=Condition/c", 1),
        ("Observation?has-member=Observation/h", 0),
    ] {
        assert_eq!(a.get(path).await.json()["total"], total, "{path}");
    }
    let document = a.get("DocumentReference/d").await.json();
    assert_eq!(document["content"].as_array().unwrap().len(), 2);
    assert_eq!(document["content"][1]["attachment"], json!({ "title": "T" }));
    let observation = a.get("Observation/o").await.json();
    assert_eq!(observation["performer"], json!([{ "reference": "Practitioner/p" }]));
    // What is not shown is not lost by writing back what is.
    let (in_a, in_b) = (a.put("Encounter/e", &encounter).await, b.put("Encounter/e", &encounter).await);
    assert_eq!((in_a.status.as_u16(), in_b.status.as_u16()), (405, 405));
    assert_eq!(seen(&in_a, with.setup.port), seen(&in_b, without.setup.port));
    with.stop().await;
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_references_say_where_they_lead_and_nothing_else() {
    let (with, without) = referring_twins("references = \"bare\"").await;
    let (a, b) = (with.asking(), without.asking());
    for path in REFERRING {
        let reply = same(&with, &without, (&a, &b), path).await;
        assert!(!String::from_utf8_lossy(&reply.body).contains("\"HIV\""), "{path}");
    }
    let encounter = a.get("Encounter/e").await.json();
    assert_eq!(encounter["reasonReference"], json!([{ "reference": "Condition/h" }]));
    assert_eq!(encounter["diagnosis"][1]["condition"]["display"], "Asthma");
    assert_eq!(a.get("Encounter?diagnosis=Condition/h").await.json()["total"], 1);
    with.stop().await;
    without.stop().await;
}

/// As many questions to the hospital's server, and the same ones, whether or not what is hidden is there: what a caller
/// could time is alike.
#[tokio::test(flavor = "multi_thread")]
async fn the_hospital_is_asked_as_often_whether_or_not_hidden_resources_are_there() {
    for settings in ["", "references = \"cut\"\nnested = \"cut\""] {
        let (with, without) = referring_twins(settings).await;
        let (a, b) = (with.asking(), without.asking());
        let own = [
            "Condition/h",
            "Binary/hb",
            "Condition/h/_history",
            "Condition/h/_history/1",
            "Condition?patient=carla",
        ];
        for path in REFERRING.iter().chain(&own) {
            let mut asked = Vec::new();
            for (region, asking) in [(&with, &a), (&without, &b)] {
                let before = region.hospital.requests().len();
                asking.get(path).await;
                let all = region.hospital.requests();
                // Whose holders of a Binary are looked for is not known where there is none.
                let target =
                    |target: &str| target.split("patient=Patient/").next().unwrap_or_default().to_owned();
                let questions =
                    all.iter().skip(before).map(|seen| format!("{} {}", seen.method, target(&seen.target)));
                asked.push(questions.collect::<Vec<_>>());
            }
            assert_eq!(asked[0], asked[1], "{path} {settings}");
        }
        with.stop().await;
        without.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_of_the_servers_searchset_holds_for_each_entry() {
    let region = Region::start("").await;
    let asking = region.asking();
    forbid_restricted(&asking).await;
    let mut own = condition("c", "anna", "HIV");
    own["meta"] = label("N");
    for (code, total) in [("N", 1), ("R", 0)] {
        let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "meta": label(code), "entry": [{ "resource": own }] });
        region.hospital.inject(Fault::new(Effect::Reply {
            status: 200,
            content_type: FHIR.to_owned(),
            body: bundle.to_string().into_bytes(),
        }));
        let found = asking.get("Condition?patient=anna").await;
        region.hospital.clear_faults();
        assert_eq!(found.json()["total"], total, "{code}: {:?}", found.body);
        assert_eq!(found.json().to_string().contains("HIV"), total == 1);
    }
    region.stop().await;
}
