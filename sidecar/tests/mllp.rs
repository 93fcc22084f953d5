//! HL7 v2 over MLLP, end to end: given this message from a department's system, when it has been taken or refused,
//! then this is answered, this stands at the hospital's server, and this is recorded.
#![allow(clippy::unwrap_used)]

mod harness;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use harness::mllp::{Line, TWO_SENDERS, acknowledged, admission, field, result, sample};
use harness::{Asking, Region, Setup, free_port, listening};
use http::{Method, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use varco::store::TrailSearch;
use varco_conformance::hospital::{Effect, Fault, Hospital, HospitalOptions};
use varco_core::hl7v2::mllp_frame;

fn address(region: &Region) -> SocketAddr {
    region.running.mllp.unwrap()
}

/// The hospital's own server, asked beside the sidecar.
fn hospital(region: &Region) -> Asking {
    let base = region.hospital.base_url().to_owned();
    Asking { base, token: None, client: Client::builder(TokioExecutor::new()).build_http() }
}

async fn found(region: &Region, query: &str) -> Vec<Value> {
    let bundle = hospital(region).get(query).await.json();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|mut entry| entry["resource"].take()).collect()
}

/// All audit records, newest first.
async fn audit(region: &Region) -> Vec<Value> {
    let wanted = TrailSearch { most: 100, ..TrailSearch::default() };
    let page = region.running.gateway().store().search_trail(&wanted).await.unwrap();
    page.records.iter().map(|body| serde_json::from_slice(body).unwrap()).collect()
}

fn transactions(region: &Region) -> usize {
    region.hospital.requests().iter().filter(|request| request.method == Method::POST).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_and_a_result_reach_the_server_and_the_audit_trail() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let mut ward = Line::open(address(&region)).await;
    assert_eq!(acknowledged(&ward.exchange(&sample("01-admission.hl7")).await), ("CA", "M01"));
    let mut laboratory = Line::open(address(&region)).await;
    let answer = laboratory.exchange(result("R1").as_bytes()).await;
    assert_eq!(acknowledged(&answer), ("AA", "R1"));
    assert_eq!((field(&answer, "MSH", 2), field(&answer, "MSH", 4)), ("VARCO", "LAB"));

    let patients = found(&region, "Patient?identifier=urn:oid:2.16.840.1.113883.2.9.2.30.4.1%7C4711").await;
    assert_eq!(patients.len(), 1, "one patient, by both departments");
    let patient = format!("Patient/{}", patients[0]["id"].as_str().unwrap());
    let observations = found(&region, &format!("Observation?subject={patient}")).await;
    assert_eq!(observations.len(), 2);

    let records = audit(&region).await;
    assert_eq!(records.len(), 2);
    for (record, who) in records.iter().zip(["lis", "adt"]) {
        assert_eq!((&record["outcome"], &record["subtype"][0]["code"]), (&"0".into(), &"transaction".into()));
        let text = record.to_string();
        assert!(text.contains(&patient) && text.contains(&format!("\"value\":\"{who}\"")), "{text}");
        assert!(!text.contains("Rossi") && !text.contains("RSSMRA"), "{text}");
    }
    assert!(records[0].to_string().contains("Observation/"), "what was written is named");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_message_is_cut_on_its_way_changes_nothing() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let mut line = Line::open(address(&region)).await;
    let frame = |control_id: &str| [b"\x0b", admission(control_id).as_bytes(), b"\x1c\r"].concat();
    line.write(&[frame("1"), frame("2"), frame("3")].concat()).await;
    for expected in ["1", "2", "3"] {
        assert_eq!(acknowledged(&line.answer().await), ("AA", expected), "in order");
    }
    for piece in frame("4").chunks(50) {
        line.write(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(acknowledged(&line.answer().await), ("AA", "4"));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_answered_with_place_and_cause_and_reaches_nobody() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let mut line = Line::open(address(&region)).await;
    let good = admission("B1");
    let changed = |from: &str, to: &str| good.replace(from, to).into_bytes();
    // Message, MSA-1, ERR-2, ERR-3.
    let cases: [(Vec<u8>, &str, &str, &str); 13] = [
        (b"HELLO|".to_vec(), "AE", "", "100"),
        (changed("19710501", "19711301"), "AE", "PID^1^7^1^1", "102"),
        (changed("Rossi^Mario", "Rossi\\Mario"), "AE", "PID^1^5", "102"),
        (changed("\r", "\r\n"), "AE", "", "102"),
        (changed("EVN|A01|20260301101500\r", ""), "AE", "", "100"),
        (changed("ADT^A01^ADT_A01", "BAR^P01^BAR_P01"), "AR", "MSH^1^9", "200"),
        (changed("|P|2.5.1", "|T|2.5.1"), "AR", "MSH^1^11", "202"),
        (changed("|P|2.5.1", "|P|3"), "AR", "MSH^1^12", "203"),
        (changed("|B1|", "||"), "AE", "MSH^1^10", "101"),
        (changed("ADT|030924|", "ADT|030925|"), "AR", "MSH^1^3", "204"),
        (changed("ADT|030924|", "LAB|030924|"), "AR", "MSH^1^9", "200"),
        (format!("{good}{good}").into_bytes(), "AE", "", "100"),
        (changed("|M\r", "|M|||Via Mazzini\u{e0}\r"), "AE", "", "102"),
    ];
    for (message, code, place, number) in &cases {
        let answer = line.exchange(message).await;
        let shown = String::from_utf8_lossy(message);
        assert_eq!(field(&answer, "MSA", 1), *code, "{shown} {answer}");
        assert_eq!(field(&answer, "ERR", 2), *place, "{shown} {answer}");
        assert_eq!(field(&answer, "ERR", 3).split('^').next(), Some(*number), "{shown} {answer}");
        assert!(!field(&answer, "ERR", 8).is_empty() && !answer.contains("Rossi"), "{answer}");
    }
    assert_eq!(region.hospital.request_count(), 0);
    // No record of those whom nobody knows: they must not be able to fill the trail.
    let records = audit(&region).await;
    assert_eq!(records.len(), cases.len() - 2);
    assert!(records.iter().all(|record| record["outcome"] == "4" && !record.to_string().contains("Rossi")));
    assert_eq!(acknowledged(&line.exchange(good.as_bytes()).await), ("AA", "B1"), "the line goes on");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_valid_fhir_is_refused_by_rule_and_element() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let mut line = Line::open(address(&region)).await;
    let message = result("V1").replace("||N|||F|||20260301093000\rOBX|2", "||N|||Q|||20260301093000\rOBX|2");
    let answer = line.exchange(message.as_bytes()).await;
    assert_eq!(acknowledged(&answer), ("AE", "V1"));
    assert!(field(&answer, "ERR", 8).contains("Bundle.entry[") && answer.contains(".status"), "{answer}");
    assert_eq!(region.hospital.request_count(), 0);
    region.stop().await;
    let region = Region::start_bare(&TWO_SENDERS.replacen("\n", "\nvalidation = \"log\"\n", 1)).await;
    let mut line = Line::open(address(&region)).await;
    assert_eq!(acknowledged(&line.exchange(message.as_bytes()).await), ("AA", "V1"));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_again_gets_its_answer_again_and_does_nothing() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let first = Line::open(address(&region)).await.exchange(result("D1").as_bytes()).await;
    let resources = region.hospital.resource_count();
    let again = Line::open(address(&region)).await.exchange(result("D1").as_bytes()).await;
    assert_eq!(first, again, "byte by byte");
    assert_eq!((transactions(&region), audit(&region).await.len()), (1, 1));
    // The same control id, another message: the sender's mistake must not lose a result.
    let other = result("D1").replace("|12.5|", "|13.5|");
    let answer = Line::open(address(&region)).await.exchange(other.as_bytes()).await;
    assert_eq!(acknowledged(&answer), ("AA", "D1"));
    assert_eq!((transactions(&region), audit(&region).await.len()), (2, 2));
    assert_eq!(region.hospital.resource_count(), resources + 2, "two more observations, the rest was there");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_fails_the_sender_is_told_to_come_again_and_nothing_is_done_twice() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let mut line = Line::open(address(&region)).await;
    let message = result("U1");
    for status in [503, 429] {
        region.hospital.inject(Fault::new(Effect::Status(status)).times(1));
        let answer = line.exchange(message.as_bytes()).await;
        assert_eq!(acknowledged(&answer), ("AR", "U1"));
        assert!(answer.contains("again later"), "{answer}");
    }
    region.hospital.inject(Fault::new(Effect::Drop));
    assert_eq!(acknowledged(&line.exchange(message.as_bytes()).await), ("AR", "U1"));
    region.hospital.clear_faults();
    assert_eq!(region.hospital.resource_count(), 0);
    // Done at the server, and its answer lost on the way.
    let lose = |response: &mut http::Response<bytes::Bytes>| *response.status_mut() = StatusCode::BAD_GATEWAY;
    region.hospital.inject(Fault::new(Effect::Alter(Arc::new(lose))).times(1));
    assert_eq!(acknowledged(&line.exchange(message.as_bytes()).await), ("AR", "U1"));
    let resources = region.hospital.resource_count();
    assert!(resources >= 4);
    assert_eq!(acknowledged(&line.exchange(message.as_bytes()).await), ("AA", "U1"));
    assert_eq!(region.hospital.resource_count(), resources);
    let outcomes: Vec<Value> = audit(&region).await.iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["0", "8", "8", "8", "8"]);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_an_error_of_the_message_or_of_its_configuration() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let mut line = Line::open(address(&region)).await;
    region.hospital.inject(Fault::new(Effect::Status(405)).times(1));
    let answer = line.exchange(admission("N1").as_bytes()).await;
    assert_eq!(acknowledged(&answer), ("AE", "N1"));
    assert!(answer.contains("takes no transactions"), "{answer}");
    let twin = r#"{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.16.840.1.113883.2.9.2.30.4.1","value":"4711"}]}"#;
    region.hospital.seed([twin, twin]).unwrap();
    let answer = line.exchange(admission("N2").as_bytes()).await;
    assert_eq!((acknowledged(&answer).0, &field(&answer, "ERR", 3)[..3]), ("AE", "205"), "{answer}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_leaves_only_when_outcome_and_audit_are_on_disk() {
    let region = Region::start_bare(TWO_SENDERS).await;
    let file = region.setup.folder.path().join("varco.sqlite");
    let beside = rusqlite::Connection::open(file).unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut line = Line::open(address(&region)).await;
    line.send(admission("W1").as_bytes()).await;
    while region.hospital.resource_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let early = tokio::time::timeout(Duration::from_millis(300), line.next()).await;
    assert!(early.is_err(), "answered before it was recorded: {early:?}");
    beside.execute_batch("ROLLBACK").unwrap();
    assert_eq!(acknowledged(&line.answer().await), ("AA", "W1"));
    let count = |table: &str| -> i64 {
        beside.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("audit"), count("received")), (1, 1));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_are_looked_for_as_this_hospital_writes_them() {
    let alias = "[[identity.alias]]\nlocal = \"urn:oid:2.16.840.1.113883.2.9.4.3.2\"\nnetwork = \"http://hl7.it/sid/codiceFiscale\"\n";
    let region = Region::start_bare(&format!("{TWO_SENDERS}{alias}")).await;
    let known = r#"{"resourceType":"Patient","id":"mario","identifier":[{"system":"urn:oid:2.16.840.1.113883.2.9.4.3.2","value":"RSSMRA71E01F205E"}]}"#;
    region.hospital.seed([known]).unwrap();
    let mut line = Line::open(address(&region)).await;
    assert_eq!(acknowledged(&line.exchange(&sample("01-admission.hl7")).await).0, "CA");
    assert_eq!(found(&region, "Patient").await.len(), 1);
    assert!(region.hospital.resource("Patient", "mario").unwrap().contains("Mazzini"));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_places_are_taken_a_message_waits_and_is_not_refused() {
    let region =
        Region::start_bare(&format!("{TWO_SENDERS}lane = \"bulk\"\n[limits]\nconcurrent = 1\n")).await;
    region.hospital.inject(Fault::new(Effect::Delay(Duration::from_secs(2))).times(1));
    let (mut ward, mut laboratory) = (Line::open(address(&region)).await, Line::open(address(&region)).await);
    ward.send(admission("W1").as_bytes()).await;
    while region.hospital.request_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    laboratory.send(result("L1").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(region.hospital.request_count(), 1, "it waits for the place");
    assert_eq!(acknowledged(&ward.answer().await), ("AA", "W1"));
    assert_eq!(acknowledged(&laboratory.answer().await), ("AA", "L1"));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_does_and_answers_what_is_in_hand() {
    let region = Region::start_bare(TWO_SENDERS).await;
    region.hospital.inject(Fault::new(Effect::Delay(Duration::from_millis(500))).times(1));
    let mut line = Line::open(address(&region)).await;
    line.send(admission("S1").as_bytes()).await;
    while region.hospital.request_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let Region { running, hospital, .. } = region;
    let (_, answer) = tokio::join!(running.stop(), line.next());
    assert_eq!(acknowledged(&answer.unwrap()), ("AA", "S1"));
    assert_eq!(line.next().await, None);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_the_frame_is_slow_or_silent_is_cut_off() {
    let bounds = "\nmessage_seconds = 1\nidle_seconds = 1\nmessage_bytes = 1024\n";
    let region = Region::start_bare(&TWO_SENDERS.replacen("\n", bounds, 1)).await;
    let open = async || Line::open(address(&region)).await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x0bMSH|\x0bMSH|",
        b"\x0bMSH|\x1cX",
        b"\x0bMSH|^~\\&|ADT|030924",
        b"",
    ] {
        let mut line = open().await;
        line.write(bytes).await;
        assert_eq!(line.next().await, None, "{bytes:?}");
    }
    let mut line = open().await;
    line.send(admission("L1").replace("Mario", &"M".repeat(1024)).as_bytes()).await;
    let answer = line.answer().await;
    assert_eq!(acknowledged(&answer), ("AR", "L1"));
    assert!(answer.contains("1024 bytes"), "{answer}");
    assert_eq!(line.next().await, None);
    assert_eq!((region.hospital.request_count(), audit(&region).await.len()), (0, 0));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_counts_and_causes_and_nobodys_data() {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    let port = free_port();
    let senders = TWO_SENDERS.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let limits = "limits = { per_second = 1, burst = 1, per_day = 5 }\n";
    let setup = Setup::new(hospital.base_url(), &format!("{senders}{limits}"));
    let varco = |command: &str| {
        let mut own = Command::new(env!("CARGO_BIN_EXE_varco"));
        own.args([command, "--config"]).arg(setup.config_file());
        own
    };
    let told = String::from_utf8(varco("check").output().unwrap().stdout).unwrap();
    for words in [
        format!("HL7 v2 messages arrive on 127.0.0.1:{port} in the clear"),
        "lis: application LAB, any facility".to_owned(),
        "at most 1 messages a second (1 at once), 5 a day".to_owned(),
    ] {
        assert!(told.contains(&words), "{told}");
    }
    let log = setup.folder.path().join("log");
    let mut serving =
        varco("serve").stdout(Stdio::from(std::fs::File::create(&log).unwrap())).spawn().unwrap();
    listening(port).await;
    let mut line = Line::open(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    // A number that no time of day, port or duration in the log can hold by chance.
    let result = |id: &str| result(id).replace("4711", "MRN4711");
    assert!(result("O1").contains("MRN4711"));
    for (message, code) in [
        (result("O1"), "AA"),
        (result("O1"), "AA"),
        (result("O2").replace("19710501", "Rossi"), "AE"),
        (result("O3").replace("|LAB|030924", "|PACS|030924"), "AR"),
    ] {
        assert_eq!(acknowledged(&line.exchange(message.as_bytes()).await).0, code);
    }
    // More than it may send: taken later, in order; above the day's number refused.
    let many: Vec<u8> =
        ["P1", "P2", "P3", "P4"].iter().flat_map(|id| mllp_frame(result(id).as_bytes())).collect();
    line.write(&many).await;
    for id in ["P1", "P2", "P3"] {
        assert_eq!(acknowledged(&line.answer().await), ("AA", id));
    }
    let refused = line.answer().await;
    assert_eq!(acknowledged(&refused), ("AR", "P4"));
    assert!(refused.contains("may send 5 messages a day"), "{refused}");
    line.write(b"Rossi").await;
    assert_eq!(line.next().await, None);
    let metrics = Asking {
        base: format!("http://127.0.0.1:{}", setup.admin),
        token: None,
        client: setup.client().client,
    };
    let metrics = String::from_utf8(metrics.get("metrics").await.body.to_vec()).unwrap();
    assert!(Command::new("kill").args(["-TERM", &serving.id().to_string()]).status().unwrap().success());
    assert!(serving.wait().unwrap().success());
    for sample in [
        "varco_mllp_messages_total{sender=\"lis\",outcome=\"accepted\",cause=\"\"} 4",
        "varco_mllp_messages_total{sender=\"lis\",outcome=\"duplicate\",cause=\"\"} 1",
        "varco_mllp_messages_total{sender=\"lis\",outcome=\"refused\",cause=\"mapping\"} 1",
        "varco_mllp_messages_total{sender=\"unknown\",outcome=\"refused\",cause=\"unlisted-sender\"} 1",
        "varco_mllp_messages_total{sender=\"lis\",outcome=\"refused\",cause=\"quota\"} 1",
        "varco_mllp_broken_total{cause=\"framing\"} 1",
        "varco_mllp_waiting 0",
    ] {
        assert!(metrics.contains(sample), "{sample} is not in\n{metrics}");
    }
    let held = "varco_mllp_held_total{sender=\"lis\"} ";
    assert!(metrics.contains(held) && !metrics.contains(&format!("{held}0")), "{metrics}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"control_id\":\"O2\"") && log.contains("PID-7"), "{log}");
    for data in ["Rossi", "Mario", "MRN4711"] {
        assert!(!log.contains(data) && !metrics.contains(data), "{log}");
    }
    hospital.stop().await;
}
