//! Twin worlds: in one the hidden resources exist, in the other they don't. A caller without the right must get the
//! same answers in both.
#![allow(clippy::unwrap_used)]

mod harness;

use bytes::Bytes;
use harness::{Asking, Region, Reply};
use http::Method;
use serde_json::{Value, json};

/// What a caller sees, without what differs between any two servers: ports, dates of storing, sealed links.
fn seen(reply: &Reply, port: u16) -> String {
    let (status, headers, body) = reply.appearance();
    let headers: Vec<_> =
        headers.into_iter().filter(|(name, _)| name != "last-modified" && name != "content-length").collect();
    let body = String::from_utf8(body.to_vec()).unwrap().replace(&format!("127.0.0.1:{port}"), "HOST");
    let mut body: Value = serde_json::from_str(&body).unwrap_or_default();
    forget_times(&mut body);
    format!("{status} {headers:?} {body}")
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("lastUpdated");
            if let Some(Value::String(url)) = members.get_mut("url")
                && let Some(at) = url.find("_page=")
            {
                url.truncate(at);
            }
            members.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        _ => {}
    }
}

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

async fn pages(asking: &Asking, path: &str, port: u16) -> Vec<String> {
    let mut all = Vec::new();
    let mut url = path.to_owned();
    loop {
        let reply = asking.get(&url).await;
        all.push(seen(&reply, port));
        let bundle = reply.json();
        let next =
            bundle["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next").cloned();
        match next {
            Some(next) => url = next["url"].as_str().unwrap().to_owned(),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_resources_leave_no_trace_in_any_answer() {
    let limits = "[limits]\nrequests_per_second = 10000\nburst = 10000\n";
    let (with, without) = (Region::start(limits).await, Region::start(limits).await);
    for number in 0..120 {
        // Every third resource is of the patient without consent, and some are about both.
        let hidden = number % 3 == 0;
        let mut made = resource(number, if hidden { "carla" } else { "anna" });
        if hidden && number % 2 == 0 {
            made["subject"] = json!({ "reference": "Patient/anna" });
            made["contained"] = json!([{ "resourceType": "Observation", "id": "k", "subject": { "reference": "Patient/carla" } }]);
        }
        with.seed(&made);
        if !hidden {
            without.seed(&made);
        }
    }
    let (a, b) = (with.asking(), without.asking());
    let (port_a, port_b) = (with.setup.port, without.setup.port);
    let found = a.get("Observation?patient=anna").await.json();
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
            let path = format!("{kind}{query}");
            assert_eq!(pages(&a, &path, port_a).await, pages(&b, &path, port_b).await, "{path}");
            compared += 1;
        }
        for number in 0..24 {
            for (method, path) in [
                (Method::GET, format!("{kind}/r{number}")),
                (Method::GET, format!("{kind}/r{number}/_history/1")),
                (Method::GET, format!("{kind}/r{number}/_history/9")),
            ] {
                let (in_a, in_b) = (
                    a.send(method.clone(), &path, &[], Bytes::new()).await,
                    b.send(method.clone(), &path, &[], Bytes::new()).await,
                );
                assert_eq!(seen(&in_a, port_a), seen(&in_b, port_b), "{method} {path}");
                compared += 1;
            }
        }
    }
    for status in ["final", "amended", "final,amended"] {
        let path = format!("Observation?status={status}&date=ge2026-01-01");
        assert_eq!(pages(&a, &path, port_a).await, pages(&b, &path, port_b).await, "{path}");
    }
    assert!(compared > 250, "{compared}");
    with.stop().await;
    without.stop().await;
}
