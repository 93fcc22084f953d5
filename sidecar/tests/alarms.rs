//! Alarms on a thread of their own: which connections go there, which leave, and that none loses a request on its way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use harness::authority::Authority;
use harness::serving::Serving;
use harness::{Asking, FHIR, Setup, by_hand, consent};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use varco_conformance::hospital::{Effect, Fault, Hospital, HospitalOptions};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LANES: &str = "[log]\nlevel = \"error\"\n[limits]\nrequests_per_second = 1000\nburst = 10000\n\
    [[limits.priority]]\nclients = [\"monitor\"]\ninteractions = [\"create\"]\ntypes = [\"Observation\"]\n";

/// A hospital, and before it a sidecar in a process of its own that knows alarms.
struct Ward {
    hospital: Hospital,
    setup: Setup,
    serving: Serving,
    /// Sends alarms, and what else it likes.
    monitor: String,
    ward: String,
}

impl Ward {
    async fn start(listen: &str, more: &str) -> Ward {
        let hospital =
            Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
        hospital.seed([json!({ "resourceType": "Patient", "id": "anna" }).to_string()]).unwrap();
        // A machine that stands still for a while cuts nobody off in the middle of a header.
        let listen = format!("header_seconds = 120\nidle_seconds = 600\n{listen}");
        let setup = Setup::listening(hospital.base_url(), &listen, &format!("{LANES}{more}"));
        let serving = Serving::start(&setup).await;
        let token = |client: &str| setup.token(json!({ "client_id": client }));
        let (monitor, ward) = (token("monitor"), token("ward"));
        Ward { hospital, setup, serving, monitor, ward }
    }

    /// With what the patient agreed to, which is told in the clear.
    async fn permitting(listen: &str) -> Ward {
        let ward = Ward::start(listen, "").await;
        let permit = consent("Patient/anna", json!({ "type": "permit" }));
        let told = ward.asking(&ward.ward).post("Consent", &permit).await;
        assert_eq!(told.status, StatusCode::CREATED, "{:?}", told.body);
        ward
    }

    fn asking(&self, token: &str) -> Asking {
        self.setup.client().with_token(Some(token.to_owned()))
    }

    async fn open(&self) -> Held<TcpStream> {
        Held(BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, self.setup.port)).await.unwrap()))
    }

    /// How many connections went to this side so far.
    async fn moved(&self, to: &str) -> u32 {
        let url = format!("http://127.0.0.1:{}/metrics", self.setup.admin);
        let text = String::from_utf8(self.asking(&self.ward).get(&url).await.body.to_vec()).unwrap();
        let sample = format!("varco_connections_moved_total{{to=\"{to}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok()).unwrap_or_default()
    }

    /// Waits until so many have.
    async fn until_moved(&self, to: &str, count: u32) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.moved(to).await != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "{} instead of {count} went to {to}", self.moved(to).await);
    }

    /// Whether the process has a thread for alarms.
    fn has_thread(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.serving.0.id())).unwrap();
        tasks.flatten().any(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "worker-alarms\n")
        })
    }

    /// Tells the sidecar to stop; whether it was content in the end.
    async fn stop(mut self) -> bool {
        let id = self.serving.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let ended = ends(&mut self.serving).await;
        self.hospital.stop().await;
        ended
    }
}

async fn ends(serving: &mut Serving) -> bool {
    let ended = async {
        loop {
            if let Some(code) = serving.0.try_wait().unwrap() {
                return code.success();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the process must end")
}

fn observation() -> Value {
    json!({ "resourceType": "Observation", "status": "final", "code": { "text": "asystole" },
        "subject": { "reference": "Patient/anna" } })
}

fn create(token: &str) -> String {
    let body = observation().to_string();
    let length = body.len();
    format!(
        "POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {FHIR}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

fn read(token: &str) -> String {
    format!("GET /fhir/Patient/anna HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// A connection that is kept open, asked by hand.
struct Held<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Held<S> {
    async fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    /// The status, and whether the answer says that the connection ends.
    async fn answer(&mut self) -> (u16, bool) {
        let answer = by_hand::answer(&mut self.0);
        tokio::time::timeout(PATIENCE, answer).await.expect("an answer")
    }

    async fn ask(&mut self, text: &str) -> u16 {
        self.send(text).await;
        self.answer().await.0
    }

    /// Sends alarms and reads by turns, each answered in its turn: first one right after the other, cut into pieces that end
    /// anywhere, then each as soon as the one before is answered, while the connection is on its way to the other thread.
    async fn mixed(&mut self, ward: &Ward) {
        const ROUNDS: usize = 12;
        let (alarm, read) = (create(&ward.monitor), read(&ward.monitor));
        let text = format!("{alarm}{read}").repeat(ROUNDS);
        let mut rest = text.as_str();
        for length in [1, 40, 333, 700, 1_400, 90, 2_222].iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*length));
            self.send(piece).await;
            rest = after;
            if rest.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        for turn in 0..ROUNDS {
            assert_eq!(self.answer().await, (201, false), "alarm {turn}");
            assert_eq!(self.answer().await, (200, false), "read {turn}");
        }
        for turn in 0..3 * ROUNDS {
            for (text, status) in [(&alarm, 201), (&read, 200)] {
                let (first, second) = text.split_at(turn * text.len() / (3 * ROUNDS));
                self.send(first).await;
                tokio::task::yield_now().await;
                self.send(second).await;
                assert_eq!(self.answer().await, (status, false), "turn {turn}");
            }
        }
        assert!(ward.moved("alarms").await > 1 && ward.moved("ordinary").await > 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarms_connection_goes_to_their_thread_and_back_with_its_first_other_request() {
    let ward = Ward::permitting("").await;
    // Neither what others create, nor what the monitor reads, nor what is refused it are alarms.
    let (mut others, mut own) = (ward.open().await, ward.open().await);
    assert_eq!(others.ask(&create(&ward.ward)).await, 201);
    assert_eq!(own.ask(&read(&ward.monitor)).await, 200);
    assert_eq!(others.ask(&create("not-a-token")).await, 401);
    assert_eq!(others.ask(&read(&ward.ward)).await, 200);
    assert!(!ward.has_thread(), "no alarm yet");
    for _ in 0..3 {
        assert_eq!(own.ask(&create(&ward.monitor)).await, 201);
        ward.until_moved("alarms", 1).await;
    }
    assert!(ward.has_thread());
    assert_eq!(own.ask(&read(&ward.monitor)).await, 200);
    ward.until_moved("ordinary", 1).await;
    assert_eq!(own.ask(&read(&ward.monitor)).await, 200);
    assert_eq!(others.ask(&read(&ward.ward)).await, 200);
    assert_eq!(own.ask(&create(&ward.monitor)).await, 201);
    ward.until_moved("alarms", 2).await;
    assert_eq!(ward.moved("ordinary").await, 1);
    assert!(ward.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_alarm_came_from_the_next_connection_begins_with_the_alarms() {
    let ward = Ward::permitting("").await;
    assert_eq!(ward.open().await.ask(&create(&ward.monitor)).await, 201);
    ward.until_moved("alarms", 1).await;
    // It is there from the first; what is no alarm leaves with its answer.
    assert_eq!(ward.open().await.ask(&create(&ward.monitor)).await, 201);
    let mut other = ward.open().await;
    assert_eq!(other.ask(&read(&ward.ward)).await, 200);
    ward.until_moved("ordinary", 1).await;
    assert_eq!(other.ask(&read(&ward.ward)).await, 200);
    // From an address that sends other things too only those that have proven it begin there.
    assert_eq!(ward.open().await.ask(&read(&ward.ward)).await, 200);
    assert_eq!(ward.open().await.ask(&create(&ward.monitor)).await, 201);
    ward.until_moved("alarms", 2).await;
    assert_eq!(ward.moved("ordinary").await, 1);
    assert!(ward.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_http2_a_connection_goes_after_some_alarms_and_whatever_is_under_way_on_it() {
    let ward = Ward::permitting("").await;
    let http2 = ward.asking(&ward.monitor).over_http2();
    let alarm =
        async || assert_eq!(http2.post("Observation", &observation()).await.status, StatusCode::CREATED);
    let read = async || assert_eq!(http2.get("Patient/anna").await.status, StatusCode::OK);
    // One of several kinds stays where it is.
    for _ in 0..6 {
        read().await;
        alarm().await;
        alarm().await;
    }
    assert_eq!(ward.moved("alarms").await, 0);
    alarm().await;
    ward.until_moved("alarms", 1).await;
    // An answer that takes its time is not lost with that.
    ward.hospital.inject(Fault::new(Effect::Delay(Duration::from_secs(1))).on_path("/Observation").times(1));
    let late = observation();
    let (slow, ()) = tokio::join!(http2.post("Observation", &late), async {
        for _ in 0..12 {
            read().await;
        }
    });
    assert_eq!(slow.status, StatusCode::CREATED);
    ward.until_moved("ordinary", 1).await;
    let mut many = tokio::task::JoinSet::new();
    for number in 0..60 {
        let http2 = http2.clone();
        many.spawn(async move {
            match number / 15 % 2 {
                0 => http2.post("Observation", &observation()).await.status == StatusCode::CREATED,
                _ => http2.get("Patient/anna").await.status == StatusCode::OK,
            }
        });
    }
    assert!(many.join_all().await.into_iter().all(|answered| answered));
    assert!(ward.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_its_connection_is_moved() {
    let ward = Ward::permitting("").await;
    let mut own = ward.open().await;
    own.mixed(&ward).await;
    // What comes without a pause goes too, with all that was read ahead.
    let before = ward.moved("ordinary").await;
    assert_eq!(own.ask(&create(&ward.monitor)).await, 201);
    tokio::time::sleep(Duration::from_millis(200)).await;
    own.send(&read(&ward.monitor).repeat(40)).await;
    for number in 0..40 {
        assert_eq!(own.answer().await, (200, false), "{number}");
    }
    assert_eq!(ward.moved("ordinary").await, before + 1);
    assert!(ward.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_within_tls_while_its_connection_is_moved() {
    let network = Authority::new();
    let keys = tempfile::tempdir().unwrap();
    network.write(keys.path(), &network.issue("fhir.niguarda.example"));
    let file = |name: &str| keys.path().join(name).display().to_string();
    let tls =
        format!("[listen.tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", file("server.pem"), file("server.key"));
    let ward = Ward::start("", &tls).await;
    let open = async || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, ward.setup.port)).await.unwrap();
        let connector = TlsConnector::from(Arc::new(network.client(None)));
        Held(BufReader::new(
            connector.connect("fhir.niguarda.example".try_into().unwrap(), stream).await.unwrap(),
        ))
    };
    let mut own = open().await;
    let permit = consent("Patient/anna", json!({ "type": "permit" })).to_string();
    let length = permit.len();
    let told = format!(
        "POST /fhir/Consent HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {FHIR}\r\n\
         Content-Length: {length}\r\n\r\n{permit}",
        ward.ward
    );
    assert_eq!(own.ask(&told).await, 201);
    own.mixed(&ward).await;
    let mut next = open().await;
    assert_eq!(next.ask(&create(&ward.monitor)).await, 201);
    assert_eq!(next.ask(&create(&ward.monitor)).await, 201);
    assert!(ward.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_is_under_way_is_answered_before_the_process_ends() {
    let ward = Ward::permitting("").await;
    let (mut own, mut resting) = (ward.open().await, ward.open().await);
    for held in [&mut own, &mut resting] {
        assert_eq!(held.ask(&create(&ward.monitor)).await, 201);
    }
    ward.until_moved("alarms", 2).await;
    ward.hospital.inject(Fault::new(Effect::Delay(Duration::from_secs(2))).on_path("/Observation"));
    ward.hospital.forget_requests();
    own.send(&create(&ward.monitor)).await;
    while ward.hospital.request_count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopped = tokio::spawn(ward.stop());
    assert_eq!(own.answer().await.0, 201);
    assert!(stopped.await.unwrap());
    let mut nothing = String::new();
    assert_eq!(resting.0.read_line(&mut nothing).await.unwrap(), 0, "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarms_connection_outlives_a_new_process_by_one_answer() {
    let mut ward = Ward::permitting("handoff = \"handoff.sock\"\n").await;
    let mut own = ward.open().await;
    assert_eq!(own.ask(&create(&ward.monitor)).await, 201);
    ward.until_moved("alarms", 1).await;
    let next = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["serve", "--config"])
        .arg(ward.setup.config_file())
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut before = std::mem::replace(&mut ward.serving, Serving(next.unwrap()));
    // Until it is handed over the answer does not say that it is the last.
    while {
        own.send(&create(&ward.monitor)).await;
        let (status, closes) = own.answer().await;
        assert_eq!(status, 201);
        !closes
    } {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ends(&mut before).await);
    assert_eq!(ward.open().await.ask(&create(&ward.monitor)).await, 201);
    assert!(ward.stop().await);
}
