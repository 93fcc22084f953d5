//! HL7 v2 messages before `sekmet-fhir`, a FHIR R4 server that nobody here wrote. The variable `SEKMET` names its
//! program.
#![allow(clippy::unwrap_used)]

mod harness;

use harness::mllp::{Line, TWO_SENDERS, acknowledged, admission, result};
use harness::sekmet::Sekmet;
use harness::{Asking, Setup};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use metrics_exporter_prometheus::PrometheusBuilder;
use varco::{config, run};

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_a_server_that_nobody_here_wrote() {
    let Some(sekmet) = Sekmet::start().await else { return };
    let base = sekmet.base();
    let setup = Setup::new(&base, TWO_SENDERS);
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let running = run::start(config::load(&setup.config_file()).unwrap(), metrics).await.unwrap();
    let server = Asking { base, token: None, client: Client::builder(TokioExecutor::new()).build_http() };
    let total = async |query: &str| server.get(query).await.json()["total"].as_u64();

    let mut line = Line::open(running.mllp.unwrap()).await;
    let answer = line.exchange(admission("1").as_bytes()).await;
    assert_eq!(acknowledged(&answer), ("AA", "1"), "{answer}");
    let answer = line.exchange(result("2").as_bytes()).await;
    assert_eq!(acknowledged(&answer), ("AA", "2"), "{answer}");
    // As if its answer had been lost with the store.
    std::fs::remove_file(setup.folder.path().join("varco.sqlite")).unwrap();
    running.stop().await;
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let running = run::start(config::load(&setup.config_file()).unwrap(), metrics).await.unwrap();
    let mut line = Line::open(running.mllp.unwrap()).await;
    assert_eq!(acknowledged(&line.exchange(result("2").as_bytes()).await), ("AA", "2"));

    let patient = "Patient?identifier=urn:oid:2.16.840.1.113883.2.9.2.30.4.1%7C4711";
    assert_eq!((total(patient).await, total("Encounter").await), (Some(1), Some(1)));
    assert_eq!((total("Condition").await, total("Observation").await), (Some(1), Some(2)));
    running.stop().await;
}
