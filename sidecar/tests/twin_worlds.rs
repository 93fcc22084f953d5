//! Twin worlds: in one the hidden resources exist, in the other they don't. A caller without the right must get the
//! same answers in both.
#![allow(clippy::unwrap_used)]

mod harness;

use bytes::Bytes;
use harness::twins::seen;
use harness::{Asking, FHIR, Region, Reply};
use http::Method;
use serde_json::{Value, json};
use varco_conformance::hospital::{Effect, Fault};

/// A resource of some type about some patient; the same number gives the same resource.
fn resource(number: u32, patient: &str) -> Value {
    let id = format!("r{number}");
    let subject = json!({ "reference": format!("Patient/{patient}") });
    let code =
        json!({ "coding": [{ "system": "http://loinc.org", "code": format!("{}-1", 1000 + number % 3) }] });
    match number % 4 {
        0 => {
            json!({ "resourceType": "Observation", "id": id, "status": "final", "subject": subject, "code": code,
            "effectiveDateTime": format!("2026-0{}-01", 1 + number % 9) })
        }
        1 => json!({ "resourceType": "Condition", "id": id, "subject": subject, "code": code }),
        2 => json!({ "resourceType": "DocumentReference", "id": id, "status": "current", "subject": subject,
            "content": [{ "attachment": { "contentType": "text/plain" } }] }),
        _ => {
            json!({ "resourceType": "Observation", "id": id, "status": "amended", "subject": subject, "code": code,
            "contained": [{ "resourceType": "Condition", "id": "c", "subject": subject }] })
        }
    }
}

async fn pages(region: &Region, path: &str) -> Vec<String> {
    let (asking, mut all, mut url) = (region.asking(), Vec::new(), path.to_owned());
    loop {
        let reply = asking.get(&url).await;
        all.push(seen(&reply, region.setup.port));
        let bundle = reply.json();
        let next =
            bundle["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next").cloned();
        match next {
            Some(next) => url = next["url"].as_str().unwrap().to_owned(),
            None => return all,
        }
    }
}

/// Two regions, one with and one without what is hidden, and a caller of each.
struct Twins {
    with: Region,
    without: Region,
    a: Asking,
    b: Asking,
}

impl Twins {
    async fn start() -> Twins {
        let limits = "[limits]\nrequests_per_second = 10000\nburst = 10000\n";
        let (with, without) = (Region::start(limits).await, Region::start(limits).await);
        let (a, b) = (with.asking(), without.asking());
        Twins { with, without, a, b }
    }

    /// With references from visible to hidden resources and back.
    async fn linked() -> Twins {
        let twins = Twins::start().await;
        twins.seed_both(&[
            result("v1", "anna"),
            result("v2", "bruno"),
            report("d1", "anna", &["v1", "h1"]),
            report("d2", "anna", &["h1", "h2"]),
        ]);
        for hidden in [result("h1", "carla"), result("h2", "carla"), report("d9", "carla", &["v1", "v2"])] {
            twins.with.seed(&hidden);
        }
        twins
    }

    fn seed_both(&self, resources: &[Value]) {
        for own in resources {
            self.with.seed(own);
            self.without.seed(own);
        }
    }

    /// A read looks the same in both.
    async fn alike(&self, path: &str) {
        let (in_a, in_b) = (self.a.get(path).await, self.b.get(path).await);
        assert_eq!(seen(&in_a, self.with.setup.port), seen(&in_b, self.without.setup.port), "{path}");
    }

    /// All pages of a search do.
    async fn pages_alike(&self, path: &str) {
        assert_eq!(pages(&self.with, path).await, pages(&self.without, path).await, "{path}");
    }

    /// A caller in the first world, with these scopes.
    fn narrow(&self, scope: &str) -> Asking {
        self.a.with_token(Some(self.with.setup.token(json!({ "scope": scope }))))
    }

    async fn stop(self) {
        self.with.stop().await;
        self.without.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_resources_leave_no_trace_in_any_answer() {
    let twins = Twins::start().await;
    for number in 0..120 {
        // Every third resource is of the patient without consent, and some are about both.
        let hidden = number % 3 == 0;
        let mut made = resource(number, if hidden { "carla" } else { "anna" });
        if hidden && number % 2 == 0 {
            made["subject"] = json!({ "reference": "Patient/anna" });
            made["contained"] = json!([{ "resourceType": "Observation", "id": "k", "subject": { "reference": "Patient/carla" } }]);
        }
        twins.with.seed(&made);
        if !hidden {
            twins.without.seed(&made);
        }
    }
    let found = twins.a.get("Observation?patient=anna").await.json();
    assert!(found["total"].as_u64().unwrap() > 20, "the caller must see something: {found}");
    let mut compared = 0;
    for kind in ["Observation", "Condition", "DocumentReference"] {
        for query in [
            "",
            "?_count=1",
            "?_count=7",
            "?_count=1000",
            "?_sort=_lastUpdated",
            "?_sort=-_lastUpdated&_count=5",
            "?patient=anna",
            "?patient=carla",
            "?patient=anna,carla",
            "?patient:missing=true",
            "?_security=http://x%7Cy",
            "?_id=r0,r1,r2,r3,r4,r5,r6",
            "?subject=Patient/carla&_count=3",
            "?_lastUpdated=ge2020-01-01&_count=4",
        ] {
            twins.pages_alike(&format!("{kind}{query}")).await;
            compared += 1;
        }
        for number in 0..24 {
            for version in ["", "/_history/1", "/_history/9"] {
                twins.alike(&format!("{kind}/r{number}{version}")).await;
                compared += 1;
            }
        }
    }
    for status in ["final", "amended", "final,amended"] {
        twins.pages_alike(&format!("Observation?status={status}&date=ge2026-01-01")).await;
    }
    assert!(compared > 250, "{compared}");
    twins.stop().await;
}

fn report(id: &str, patient: &str, results: &[&str]) -> Value {
    let results: Vec<Value> =
        results.iter().map(|id| json!({ "reference": format!("Observation/{id}") })).collect();
    json!({ "resourceType": "DiagnosticReport", "id": id, "status": "final", "code": { "coding": [{ "system": "urn:x", "code": id }] },
        "subject": { "reference": format!("Patient/{patient}") }, "result": results })
}

fn result(id: &str, patient: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "coding": [{ "system": "urn:x", "code": id }] },
        "subject": { "reference": format!("Patient/{patient}") }, "note": [{ "text": "n" }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_and_includes_lead_to_no_hidden_resource() {
    let twins = Twins::linked().await;
    let a = &twins.a;
    for (path, total, entries) in [
        ("Observation?_has:DiagnosticReport:result:code=urn:x%7Cd1", 1, 1),
        ("Observation?_has:DiagnosticReport:result:code=urn:x%7Cd9", 0, 0),
        ("Observation?_has:DiagnosticReport:result:subject=Patient/carla", 0, 0),
        ("DiagnosticReport?result:Observation.code=urn:x%7Cv1", 1, 1),
        ("DiagnosticReport?result.code=urn:x%7Ch1", 0, 0),
        ("DiagnosticReport?result.code=urn:x%7Ch1,urn:x%7Cv1", 1, 1),
        ("DiagnosticReport?result._id=h1,h2", 0, 0),
        ("Observation?patient.family=Nascosti", 0, 0),
        ("Observation?patient.family=Forl", 1, 1),
        ("Observation?patient.identifier=http://hl7.it/sid/codiceFiscale%7CCF-carla", 0, 0),
        ("Patient?_has:Observation:patient:code=urn:x%7Cv2", 1, 1),
        ("Patient?_has:Observation:patient:code=urn:x%7Ch1", 0, 0),
        ("Patient?_has:Observation:patient:_has:DiagnosticReport:result:code=urn:x%7Cd1,urn:x%7Cd9", 1, 1),
        ("DiagnosticReport?_include=DiagnosticReport:result", 2, 3),
        ("DiagnosticReport?_include=DiagnosticReport:result&_count=1", 2, 2),
        ("DiagnosticReport?_include=*", 2, 4),
        (
            "DiagnosticReport?_include=DiagnosticReport:result&_include:iterate=Observation:subject:Patient",
            2,
            4,
        ),
        ("Observation?_revinclude=DiagnosticReport:result", 2, 3),
        ("Patient?_revinclude=Observation:subject&_revinclude:iterate=DiagnosticReport:result", 2, 5),
        ("Observation?_summary=count", 2, 0),
        ("Observation?_summary=true&_total=accurate", 2, 2),
        ("Observation?_summary=text", 2, 2),
        ("Observation?_elements=note&_sort=-_lastUpdated&_count=1", 2, 1),
    ] {
        twins.pages_alike(path).await;
        let bundle = a.get(path).await.json();
        let found = bundle["entry"].as_array().map_or(0, Vec::len);
        assert_eq!((bundle["total"].as_u64(), found), (Some(total), entries), "{path}: {bundle}");
        assert!(!bundle["entry"].to_string().contains("Patient/carla"), "{path}");
    }
    let none = a.get("Observation?_total=none").await.json();
    assert_eq!((none.get("total"), none["entry"].as_array().map(Vec::len)), (None, Some(2)));
    let part = a.get("Observation?_elements=note&_id=v1").await.json();
    let part = &part["entry"][0]["resource"];
    assert!(part.get("note").is_some() && part.get("subject").is_none(), "{part}");
    assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");

    // Each hop is a search of its type: scopes that don't cover it refuse a named type, and leave an unnamed one out.
    let narrow = twins.narrow("system/DiagnosticReport.rs system/Patient.rs");
    for path in [
        "DiagnosticReport?result:Observation.code=urn:x%7Cv1",
        "Patient?_has:Observation:patient:code=urn:x%7Cv1",
        "Patient?_revinclude=Observation:subject",
        "DiagnosticReport?_include=DiagnosticReport:subject:Group",
    ] {
        assert_eq!(narrow.get(path).await.status, 403, "{path}");
    }
    let left_out = narrow.get("DiagnosticReport?_include=DiagnosticReport:result").await.json();
    assert_eq!(left_out["entry"].as_array().unwrap().len(), 2);
    // What the gateway keeps itself is joined to nothing, and the server behind never sees a join.
    assert_eq!(a.get("Patient?_has:Consent:patient:status=active").await.status, 405);
    assert_eq!(a.get("Patient?_revinclude=AuditEvent:patient").await.status, 405);
    let forwarded = twins.with.hospital.requests();
    assert!(!forwarded.iter().any(|seen| {
        let asked = format!("{seen:?}");
        asked.contains("_has") || asked.contains("include") || asked.contains("_elements")
    }));
    twins.stop().await;
}

/// Anna's visit, with what it refers to, and observations of hers.
fn visit() -> Vec<Value> {
    let anna = json!({ "reference": "Patient/anna" });
    let measured = |id: &str, codes: &[&str], at: &str| {
        let mut made = result(id, "anna");
        made["code"]["coding"] =
            codes.iter().map(|code| json!({ "system": "urn:x", "code": code })).collect();
        made["effectiveDateTime"] = at.into();
        made["category"] = json!([{ "coding": [{ "system": "urn:x", "code": "lab" }] }]);
        made
    };
    vec![
        json!({ "resourceType": "Organization", "id": "whole", "name": "Regione" }),
        json!({ "resourceType": "Organization", "id": "ward", "name": "Reparto", "partOf": { "reference": "Organization/whole" } }),
        json!({ "resourceType": "Organization", "id": "elsewhere", "name": "Altrove" }),
        json!({ "resourceType": "Encounter", "id": "e1", "status": "finished", "class": { "code": "AMB" }, "subject": anna,
            "period": { "start": "2026-02-01", "end": "2026-02-03" }, "serviceProvider": { "reference": "Organization/ward" } }),
        json!({ "resourceType": "DocumentReference", "id": "dr1", "status": "current", "subject": anna, "date": "2026-05-01T10:00:00Z",
            "type": { "coding": [{ "system": "http://loinc.org", "code": "34133-9" }] },
            "content": [{ "attachment": { "contentType": "text/plain" } }], "context": { "period": { "start": "2026-02-02" } } }),
        json!({ "resourceType": "DocumentReference", "id": "dr2", "status": "current", "subject": anna, "date": "2025-05-01T10:00:00Z",
            "content": [{ "attachment": { "contentType": "text/plain" } }] }),
        measured("m1", &["a"], "2026-01-01"),
        measured("m2", &["a", "b"], "2026-02-01"),
        measured("m3", &["b"], "2026-03-01"),
        measured("m4", &["c"], "2026-03-01"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_release_what_reads_and_searches_would() {
    let twins = Twins::linked().await;
    let Twins { with, without, a, b } = &twins;
    twins.seed_both(&visit());
    // More recent, of anna and of carla both; and a hidden way to an organisation.
    let carla = json!([{ "reference": "Patient/carla" }]);
    for at in ["2026-04-01", "2026-04-02"] {
        let mut hidden = result(&format!("h-{at}"), "anna");
        hidden["code"]["coding"][0]["code"] = "a".into();
        hidden["category"] = json!([{ "coding": [{ "system": "urn:x", "code": "lab" }] }]);
        hidden["effectiveDateTime"] = at.into();
        hidden["performer"] = carla.clone();
        with.seed(&hidden);
    }
    with.seed(
        &json!({ "resourceType": "Encounter", "id": "eh", "status": "finished", "class": { "code": "AMB" },
        "subject": carla[0], "serviceProvider": { "reference": "Organization/elsewhere" } }),
    );
    with.seed(
        &json!({ "resourceType": "DocumentReference", "id": "drh", "status": "current", "subject": carla[0],
        "content": [{ "attachment": { "contentType": "text/plain" } }] }),
    );
    let lab = "category=urn:x%7Clab";
    for (path, total, entries) in [
        // The patient, a visit, two reports, two documents, five observations; and two organisations.
        ("Patient/anna/$everything".to_owned(), 11, 13),
        ("Patient/anna/$everything?_count=4".to_owned(), 11, 4),
        ("Patient/anna/$everything?_type=Observation".to_owned(), 5, 5),
        ("Patient/anna/$everything?_type=Observation&_since=2020-01-01T00:00:00Z&_count=2".to_owned(), 5, 2),
        ("Patient/anna/$everything?_type=Organization".to_owned(), 0, 2),
        ("Patient/anna/$everything?_type=Encounter,Organization&_type=Patient".to_owned(), 2, 4),
        ("Patient/anna/$everything?_since=2100-01-01T00:00:00Z".to_owned(), 1, 1),
        // What bears no date stays: the patient, two reports, one observation.
        ("Patient/anna/$everything?start=2026-02-02&end=2026-02-28".to_owned(), 6, 8),
        ("Patient/anna/$everything?end=2025-12-31".to_owned(), 5, 5),
        ("Patient/bruno/$everything".to_owned(), 2, 2),
        (format!("Observation/$lastn?patient=anna&{lab}"), 2, 2),
        (format!("Observation/$lastn?patient=anna&{lab}&max=2"), 3, 3),
        (format!("Observation/$lastn?subject=Patient/anna&{lab}&max=9&_count=1"), 4, 1),
        ("Observation/$lastn?patient=anna&code=urn:x%7Ca&max=5".to_owned(), 2, 2),
        (format!("Observation/$lastn?patient=carla&{lab}"), 0, 0),
        (format!("Observation/$lastn?patient=anna&{lab}&performer=Patient/carla"), 0, 0),
        ("DocumentReference/$docref?patient=anna".to_owned(), 2, 2),
        ("DocumentReference/$docref?patient=anna&_count=1".to_owned(), 2, 1),
        ("DocumentReference/$docref?patient=anna&type=http://loinc.org%7C34133-9".to_owned(), 1, 1),
        ("DocumentReference/$docref?patient=anna&start=2026-03-01&on-demand=false".to_owned(), 1, 1),
        ("DocumentReference/$docref?patient=anna&end=2025-12-31".to_owned(), 1, 1),
        ("DocumentReference/$docref?patient=carla".to_owned(), 0, 0),
        ("DocumentReference/$docref?patient=nobody".to_owned(), 0, 0),
    ] {
        twins.pages_alike(&path).await;
        let bundle = a.get(&path).await.json();
        let found: Vec<_> = bundle["entry"].as_array().into_iter().flatten().collect();
        let found = found.iter().filter(|entry| entry["search"]["mode"] != "outcome").count();
        assert_eq!((bundle["total"].as_u64(), found), (Some(total), entries), "{path}: {bundle}");
        assert!(!bundle["entry"].to_string().contains("Patient/carla"), "{path}");
        assert!(!bundle["entry"].to_string().contains("elsewhere"), "{path}");
    }
    let hidden = a.get("Patient/carla/$everything").await;
    assert_eq!(hidden.status, 404);
    for path in ["Patient/carla/$everything", "Patient/nobody/$everything?_type=Observation"] {
        twins.alike(path).await;
        assert_eq!(seen(&a.get(path).await, with.setup.port), seen(&hidden, with.setup.port), "{path}");
    }
    let last = a.get(&format!("Observation/$lastn?patient=anna&{lab}")).await;
    let ids: Vec<Value> = last.json()["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["id"].clone())
        .collect();
    assert_eq!(ids, ["m3", "m4"]);
    let told = a.get("metadata").await.json().to_string();
    for operation in ["Patient-everything", "Observation-lastn", "OperationDefinition/docref", "history-type"]
    {
        assert!(told.contains(operation), "{operation}");
    }
    // The server is asked nothing but plain searches, and the trail holds what was asked.
    assert!(!with.hospital.requests().iter().any(|seen| seen.target.contains('$')));
    // Where nothing of carla's is withheld, there is one record.
    let asked = b.get(&format!("Observation/$lastn?patient=anna&{lab}")).await;
    let record = without.audited(&asked).await;
    assert_eq!(record["subtype"][0]["code"], "search-type");
    assert!(record["entity"].to_string().contains("query"), "{record}");
    let whole = b.get("Patient/anna/$everything").await;
    assert_eq!(without.audited(&whole).await["subtype"][0]["code"], "operation");
    // Each type is read by the caller's scopes: a named one is refused, an unnamed one stays out.
    let narrow = twins.narrow("system/Patient.rs system/Encounter.rs");
    assert_eq!(narrow.get("Patient/anna/$everything").await.json()["total"], 2);
    assert_eq!(narrow.get("Patient/anna/$everything?_type=Observation").await.status, 403);
    assert_eq!(narrow.get(&format!("Observation/$lastn?patient=anna&{lab}")).await.status, 403);
    twins.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_leave_all_or_none() {
    let twins = Twins::start().await;
    let Twins { with, without, a, b } = &twins;
    // Carla forbids what is labelled R; her other data may be read.
    let system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
    let label = |code: &str| json!([{ "system": system, "code": code }]);
    let restricted = label("R");
    let labelled = |id: &str, code: &str| {
        let mut made = result(id, "carla");
        made["meta"] = json!({ "security": label(code) });
        made
    };
    for (region, asking) in [(with, a), (without, b)] {
        let mut own =
            harness::consent("Patient/carla", json!({ "type": "deny", "securityLabel": restricted }));
        own["policyRule"]["coding"][0]["code"] = "OPTIN".into();
        own["provision"]["type"] = "permit".into();
        assert_eq!(asking.post("Consent", &own).await.status, 201);
        let mut open = labelled("open", "N");
        region.seed(&open);
        open["status"] = "amended".into();
        region.seed(&open);
    }
    // Only in one world: an observation whose first version was restricted, and one that is restricted today.
    for version in
        [labelled("once", "R"), labelled("once", "N"), labelled("late", "N"), labelled("late", "R")]
    {
        // Each at an instant of its own.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        with.seed(&version);
    }
    assert_eq!(a.get("Observation/open").await.status, 200);

    let history = a.get("Observation/open/_history").await.json();
    assert_eq!(
        (history["type"].as_str(), history["total"].as_u64()),
        (Some("history"), Some(2)),
        "{history}"
    );
    let newest = &history["entry"][0];
    assert_eq!(
        (newest["resource"]["status"].as_str(), newest["request"]["method"].as_str()),
        (Some("amended"), Some("PUT"))
    );
    assert_eq!(newest["response"]["etag"], "W/\"2\"");
    let first = a.get("Observation/open/_history?_count=1").await.json();
    assert_eq!(first["entry"].as_array().unwrap().len(), 1);
    let next = first["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let second = a.get(next["url"].as_str().unwrap()).await.json();
    assert_eq!(second["entry"][0]["resource"]["meta"]["versionId"], "1");
    assert_eq!(a.get("Observation/open/_history?_since=2100-01-01T00:00:00Z").await.json()["total"], 0);
    assert_eq!(a.get("Observation/open/_history?_at=2100").await.json()["total"], 1);
    assert_eq!(a.get("Observation/open/_history/1").await.json()["status"], "final");
    assert_eq!(a.get("Observation/once").await.status, 200);

    let (port_a, port_b) = (with.setup.port, without.setup.port);
    for path in [
        "Observation/late",
        "Observation/late/_history",
        "Observation/late/_history/1",
        "Observation/late/_history/2",
        "Observation/late/_history?_since=2020-01-01T00:00:00Z",
        "Observation/once/_history",
        "Observation/once/_history/1",
        "Observation/once/_history/2",
        "Observation/open/_history/9",
    ] {
        twins.alike(path).await;
    }
    // Of many resources: as if the histories of the visible ones were laid side by side.
    let today = with.hospital.resource("Observation", "once").unwrap();
    let today: Value = serde_json::from_str(&today).unwrap();
    let since_once = format!("_since={}", today["meta"]["lastUpdated"].as_str().unwrap());
    for (path, total) in [
        ("Observation/_history".to_owned(), Some(2)),
        ("Observation/_history?_count=1".to_owned(), Some(2)),
        ("Observation/_history?_at=2100".to_owned(), Some(1)),
        ("Observation/_history?_since=2020-01-01T00:00:00Z&_count=1".to_owned(), Some(2)),
        // What is listed after this instant is not restricted; what was before it is.
        (format!("Observation/_history?{since_once}"), Some(0)),
        ("Condition/_history".to_owned(), Some(0)),
        ("_history".to_owned(), Some(4)),
        ("_history?_count=2".to_owned(), Some(4)),
        (format!("_history?{since_once}"), Some(0)),
        ("_history?_list=l".to_owned(), None),
        ("Consent/_history".to_owned(), None),
    ] {
        twins.pages_alike(&path).await;
        assert_eq!(a.get(&path).await.json()["total"].as_u64(), total, "{path}");
    }
    let record = a.get("Observation/_history?_count=1").await;
    let record = with.audited(&record).await;
    assert_eq!(record["subtype"][0]["code"], "history-type", "{record}");
    for (scope, path, status) in [
        ("system/Observation.r", "Observation/_history", 403),
        ("system/Observation.rs", "Observation/_history", 200),
        ("system/Observation.rs", "_history", 403),
    ] {
        assert_eq!(twins.narrow(scope).get(path).await.status, status, "{scope} {path}");
    }
    let theirs = json!({ "scope": "patient/*.rs", "patient": "anna" });
    let theirs = a.with_token(Some(with.setup.token(theirs))).get("_history").await.json();
    assert_eq!(theirs["total"], 1, "{theirs}");
    // A server that gives no such list.
    for status in [400, 404, 501] {
        with.hospital.inject(Fault::new(Effect::Status(status)).on_path("/Observation/_history").times(1));
        let (code, text) = a.get("Observation/_history").await.issue();
        assert!(code == "not-supported" && text.contains("of one resource"), "{code} {text}");
    }
    // Deleted: no version is left to be seen, alone or in a list.
    assert_eq!(a.send(Method::DELETE, "Observation/open", &[], Bytes::new()).await.status, 204);
    assert_eq!(a.get("Observation/_history").await.json()["total"], 0);
    assert_eq!(a.get("Observation/open/_history").await.status, 404);
    with.seed(&labelled("open", "N"));

    // What a caller knows already is a 304 only where it may be seen.
    let known = |path: &'static str| a.send(Method::GET, path, &[("if-none-match", "W/\"4\"")], Bytes::new());
    assert_eq!(known("Observation/open").await.status, 304);
    assert_eq!(known("Observation/late").await.status, 404);
    assert_eq!(known("Observation/open/_history/1").await.status, 200);
    // It is decided and audited as the read that it is, and says nothing more about what is hidden or absent.
    let unchanged = known("Observation/open").await;
    assert!(unchanged.body.is_empty() && unchanged.headers["etag"] == "W/\"4\"", "{unchanged:?}");
    let record = with.audited(&unchanged).await;
    assert_eq!(
        (record["subtype"][0]["code"].as_str(), record["outcome"].as_str()),
        (Some("read"), Some("0"))
    );
    assert!(record["entity"].to_string().contains("Patient/carla"), "{record}");
    let date = unchanged.headers["last-modified"].to_str().unwrap().to_owned();
    for (name, value) in
        [("if-none-match", "W/\"1\", W/\"2\""), ("if-none-match", "*"), ("if-modified-since", &*date)]
    {
        let hidden = a.send(Method::GET, "Observation/late", &[(name, value)], Bytes::new()).await;
        let absent = b.send(Method::GET, "Observation/late", &[(name, value)], Bytes::new()).await;
        assert_eq!(
            (hidden.status.as_u16(), seen(&hidden, port_a)),
            (404, seen(&absent, port_b)),
            "{name}: {value}"
        );
    }
    let since = a.send(Method::GET, "Observation/open", &[("if-modified-since", &date)], Bytes::new()).await;
    assert_eq!(since.status, 304);
    twins.stop().await;
}

/// Method, path, headers, body, and the status that both worlds answer.
type Case = (Method, String, Vec<(&'static str, String)>, String, u16);

#[tokio::test(flavor = "multi_thread")]
async fn writes_on_a_condition_and_patches_tell_nothing_of_hidden_resources() {
    let twins = Twins::linked().await;
    let new = |code: &str| {
        let mut made = result(code, "anna");
        made.as_object_mut().unwrap().remove("id");
        made.to_string()
    };
    // Ids are drawn by the server: they are no difference between the worlds.
    let plain = |reply: &Reply, region: &Region| {
        let text = seen(reply, region.setup.port);
        let text = text.replace(&format!("127.0.0.1:{}", region.setup.port), "HOST");
        match reply.status.as_u16() {
            201 => text.replace(reply.json()["id"].as_str().unwrap(), "ID"),
            _ => text,
        }
    };
    let test = json!([{ "op": "test", "path": "/status", "value": "final" }]).to_string();
    let amend = json!([{ "op": "replace", "path": "/status", "value": "amended" }]).to_string();
    let replace =
        |path: &str, value: Value| json!([{ "op": "replace", "path": path, "value": value }]).to_string();
    let by_path = |path: &str| {
        let parts = json!([{ "name": "type", "valueCode": "replace" }, { "name": "path", "valueString": path }, { "name": "value", "valueCode": "corrected" }]);
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": parts }] })
            .to_string()
    };
    let fhir = || ("content-type", FHIR.to_owned());
    let create = |code: &str, status| -> Case {
        let only = ("if-none-exist", format!("code=urn:x%7C{code}"));
        (Method::POST, "Observation".to_owned(), vec![fhir(), only], new(code), status)
    };
    let put = |query: &str, body: String, status| -> Case {
        (Method::PUT, format!("Observation?{query}"), vec![fhir()], body, status)
    };
    let delete =
        |path: &str, status| -> Case { (Method::DELETE, path.to_owned(), vec![], String::new(), status) };
    let patch_as = |content_type: &str, path: &str, body: String, status| -> Case {
        (Method::PATCH, path.to_owned(), vec![("content-type", content_type.to_owned())], body, status)
    };
    let patch = |path: &str, body: &str, status| {
        patch_as("application/json-patch+json", path, body.to_owned(), status)
    };
    let mut of_another_version = patch("DiagnosticReport/d2", &test, 412);
    of_another_version.2.push(("if-match", "W/\"9\"".to_owned()));
    let cases: Vec<Case> = vec![
        // A hidden match counts as none.
        create("h1", 201),
        create("v1", 200),
        put("code=urn:x%7Ch2", new("h2"), 201),
        put("code=urn:x%7Cx1", result("h2", "anna").to_string(), 400),
        put("code=urn:x%7Cv1", new("v1"), 200),
        put("code=urn:x%7Cv1", result("h1", "anna").to_string(), 400),
        put("status=final", new("v1"), 412),
        delete("DiagnosticReport?code=urn:x%7Cd9", 404),
        delete("Observation?patient.family=Nascosti", 404),
        patch("DiagnosticReport?code=urn:x%7Cd9", &amend, 404),
        patch("DiagnosticReport?code=urn:x%7Cd1", &amend, 200),
        // A test is no oracle.
        patch("DiagnosticReport/d9", &test, 404),
        patch("Observation/h1", "[]", 404),
        patch("DiagnosticReport/d2", &test, 200),
        patch("DiagnosticReport/d2", &test.replace("final", "amended"), 422),
        patch_as(FHIR, "DiagnosticReport/d1", by_path("DiagnosticReport.conclusion"), 422),
        patch_as(FHIR, "DiagnosticReport/d1", by_path("DiagnosticReport.status"), 200),
        patch_as(FHIR, "DiagnosticReport/d9", by_path("DiagnosticReport.status"), 404),
        // A patch can't give a resource to another patient, or another identity.
        patch("DiagnosticReport/d2", &replace("/subject/reference", json!("Patient/carla")), 403),
        patch("DiagnosticReport/d2", &replace("", result("h1", "anna")), 400),
        patch("DiagnosticReport/d2", &replace("/id", json!("d9")), 400),
        patch_as(
            "application/merge-patch+json",
            "DiagnosticReport/d2",
            json!({ "status": "amended" }).to_string(),
            405,
        ),
        of_another_version,
        delete("Observation?code=urn:x%7Cv2", 204),
    ];
    for (method, path, headers, body, status) in cases {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ask =
            async |asking: &Asking| asking.send(method.clone(), &path, &headers, body.clone().into()).await;
        let (in_a, in_b) = (ask(&twins.a).await, ask(&twins.b).await);
        assert_eq!(in_a.status, status, "{method} {path} {body}: {:?}", in_a.body);
        assert_eq!(plain(&in_a, &twins.with), plain(&in_b, &twins.without), "{method} {path} {body}");
    }
    let stored = |id: &str| twins.with.hospital.resource("DiagnosticReport", id).unwrap();
    assert!(stored("d9").contains("final") && stored("d1").contains("corrected"));
    twins.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_batch_gets_what_it_would_get_alone() {
    let twins = Twins::linked().await;
    let Twins { with, without, a, b } = &twins;
    let base_a = a.base.clone();
    let entry = |method: &str, url: &str| json!({ "request": { "method": method, "url": url } });
    let urls = [
        "Observation/v1",
        "Observation/h1",
        "Observation/none",
        "Observation?_has:DiagnosticReport:result:code=urn:x%7Cd9",
        "DiagnosticReport?_include=DiagnosticReport:result",
        "Observation/h1/_history",
        "//127.0.0.1/fhir/Observation/h1",
        "./Observation/h1",
        "https://elsewhere.test/fhir/Observation/v1",
        "Observation/%2e%2e/Patient/carla",
        "Patient/$everything",
        "",
    ];
    let batch =
        json!({ "resourceType": "Bundle", "type": "batch", "entry": urls.map(|url| entry("GET", url)) });
    let (in_a, in_b) = (a.post("", &batch).await, b.post("", &batch).await);
    assert_eq!(seen(&in_a, with.setup.port), seen(&in_b, without.setup.port));
    let statuses = |answered: &Value| -> Vec<String> {
        let entries = answered["entry"].as_array().unwrap();
        entries.iter().map(|it| it["response"]["status"].as_str().unwrap().to_owned()).collect()
    };
    let answered = in_a.json();
    assert_eq!(
        statuses(&answered),
        ["200", "404", "404", "200", "200", "404", "400", "400", "400", "400", "404", "400"]
    );
    assert!(!answered.to_string().contains("Patient/carla"));
    // One record for the batch and one for each entry, under the request's id.
    let records =
        a.get(&format!("AuditEvent?entity:identifier=%7C{}&_count=100", in_a.request_id())).await.json();
    assert!(records["total"].as_u64().unwrap() > urls.len() as u64, "{}", records["total"]);

    // Writes of entries are judged like any other; deletes come first, reads last.
    let mut hidden = entry("PUT", "Observation/h1");
    hidden["resource"] = result("h1", "anna");
    let mut foreign = entry("POST", "Observation");
    foreign["resource"] = result("x", "carla");
    let mut created = entry("POST", &format!("{base_a}/Observation"));
    created["resource"] = result("x", "anna");
    created["request"]["ifNoneExist"] = "code=urn:x%7Cv9".into();
    let mut tied = entry("POST", "Observation");
    tied["resource"] = result("x", "anna");
    tied["resource"]["encounter"] = json!({ "reference": "urn:uuid:e" });
    let mut named = entry("POST", "Encounter");
    named["fullUrl"] = "urn:uuid:e".into();
    named["resource"] = json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" }, "subject": { "reference": "Patient/anna" } });
    let mut guessing = entry("POST", "Observation");
    guessing["resource"] = result("x", "anna");
    guessing["resource"]["subject"] = json!({ "reference": "Patient?identifier=CF-carla" });
    let entries = json!([
        entry("GET", "Observation/v2"),
        hidden,
        foreign,
        created,
        tied,
        named,
        guessing,
        entry("DELETE", "Observation/v2")
    ]);
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    let answered = a.post("", &batch).await.json();
    assert_eq!(statuses(&answered), ["404", "404", "403", "201", "400", "201", "400", "204"], "{answered}");
    assert!(answered["entry"][3]["response"]["location"].as_str().unwrap().starts_with(&base_a));
    assert!(with.hospital.resource("Observation", "h1").unwrap().contains("Patient/carla"));

    let transaction =
        json!({ "resourceType": "Bundle", "type": "transaction", "entry": [entry("GET", "Observation/v1")] });
    assert_eq!(a.post("", &transaction).await.json()["entry"][0]["resource"]["id"], "v1");
    let nested = json!({ "resourceType": "Bundle", "type": "batch", "entry": [{ "request": { "method": "POST", "url": "" }, "resource": batch }] });
    assert_eq!(a.post("", &nested).await.json()["entry"][0]["response"]["status"], "400");
    let narrow = twins.narrow("system/Patient.rs");
    let both = json!({ "resourceType": "Bundle", "type": "batch", "entry": [entry("GET", "Observation/v1"), entry("GET", "Patient/anna")] });
    assert_eq!(statuses(&narrow.post("", &both).await.json()), ["403", "200"]);
    twins.stop().await;
}
