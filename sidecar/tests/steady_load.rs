//! A steady load through reloads, a new certificate and a new process: no request fails, memory stays where it is, and the
//! trail tells of each request. `VARCO_STEADY_REQUESTS` and `VARCO_STEADY_RATE` (a second) make it longer:
//!
//! ```text
//! VARCO_STEADY_REQUESTS=200000 VARCO_STEADY_RATE=600 cargo test --release -p varco --test steady_load steady -- --nocapture
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod harness;

use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use harness::authority::Authority;
use harness::serving::Serving;
use harness::{Asking, FHIR, Setup, by_hand, consent};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use varco_conformance::hospital::{Effect, Fault, Hospital, HospitalOptions};

/// Configuration reloads, and those that change a plugin.
const RELOADS: usize = 20;
const PLUGIN_RELOADS: usize = 5;
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Requests that may meet a connection that is leaving: a handoff ends four in HTTP/2, a caller writes a few at a time.
const MOST_AGAIN: usize = 16;
/// How much more memory a process may hold at its end than after its warm-up: caches fill, the allocator keeps pages.
const GROWTH_KB: usize = 48 * 1024;

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

async fn hospital() -> Hospital {
    let hospital =
        Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
    hospital
        .seed([
            r#"{"resourceType":"Patient","id":"anna","name":[{"family":"Forlì"}]}"#,
            r#"{"resourceType":"Patient","id":"bruno"}"#,
        ])
        .unwrap();
    hospital
}

/// Waits until something is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

/// A page of the operator's port.
async fn operator(setup: &Setup, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, setup.admin)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn reloads(setup: &Setup) -> usize {
    let metrics = operator(setup, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("varco_config_reloads_total{result=\"done\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

fn resident_kb(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// `varco audit verify` in JSON.
fn verified(setup: &Setup) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["audit", "verify", "--output", "json", "--config"])
        .arg(setup.config_file())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Starts one more process over the same configuration. It takes over from the one that runs.
fn successor(setup: &Setup) -> Serving {
    let child = Command::new(env!("CARGO_BIN_EXE_varco"))
        .args(["serve", "--config"])
        .arg(setup.config_file())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Serving(child)
}

/// Waits for a process to end, and says whether it was content.
async fn ends(serving: &mut Serving) -> bool {
    let mut code = None;
    until("the process must end", async || {
        code = serving.0.try_wait().unwrap();
        code.is_some()
    })
    .await;
    code.unwrap().success()
}

/// Callers over TLS, which ask at a given rate whatever the answers take.
struct Load {
    clients: Vec<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
    base: String,
    token: String,
    sent: AtomicUsize,
    reads: AtomicUsize,
    creates: AtomicUsize,
    /// Requests that were sent again on another connection, as [`refuses_unprocessed`] says.
    again: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

/// Whether a request met a connection that was leaving and was not processed: RFC 9113 §6.8 lets any such request be sent
/// again, and the library that asks here leaves that to its caller. GOAWAY may arrive between the moment when it chooses
/// the connection and the moment when it writes the request, whatever the gateway does.
fn refuses_unprocessed(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
        }
        cause = error.source();
    }
    false
}

impl Load {
    fn new(setup: &Setup, authorities: &[&Authority]) -> Load {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        }
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let client = |http2: bool| {
            let builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_only();
            let connector =
                if http2 { builder.enable_http2().build() } else { builder.enable_http1().build() };
            Client::builder(TokioExecutor::new()).http2_only(http2).build(connector)
        };
        Load {
            clients: (0..8).map(|number| client(number % 2 == 1)).collect(),
            base: format!("https://127.0.0.1:{}/fhir", setup.port),
            token: setup.token(json!({ "exp": harness::now() + 14_400 })),
            sent: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            creates: AtomicUsize::new(0),
            again: AtomicUsize::new(0),
            failed: Mutex::default(),
        }
    }

    /// One request in ten is a create, the others read.
    async fn ask(&self, number: usize) {
        let client = &self.clients[number % self.clients.len()];
        let (request, wanted) = match number % 10 {
            3 => {
                let body = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
                    "subject": { "reference": "Patient/anna" } });
                self.creates.fetch_add(1, Ordering::Relaxed);
                let request =
                    Request::post(format!("{}/Observation", self.base)).header("content-type", FHIR);
                (request, (StatusCode::CREATED, Bytes::from(body.to_string())))
            }
            _ => {
                self.reads.fetch_add(1, Ordering::Relaxed);
                (Request::get(format!("{}/Patient/anna", self.base)), (StatusCode::OK, Bytes::new()))
            }
        };
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.body(Full::new(wanted.1)).unwrap();
        let answered = async {
            let mut answer = client.request(request.clone()).await;
            if answer.as_ref().is_err_and(refuses_unprocessed) {
                self.again.fetch_add(1, Ordering::Relaxed);
                answer = client.request(request).await;
            }
            let answer = answer.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
            if status == wanted.0 {
                Ok(())
            } else {
                Err(format!("{status}: {}", String::from_utf8_lossy(&body)))
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, answered).await;
        if let Err(cause) = outcome.unwrap_or_else(|_| Err("no answer".to_owned())) {
            let failed = format!(
                "request {number} ({}): {cause}",
                if number % 2 == 1 { "HTTP/2" } else { "HTTP/1.1" }
            );
            self.failed.lock().unwrap().push(failed);
        }
    }

    /// Sends so many at this rate.
    async fn run(self: Arc<Self>, count: usize, rate: usize) {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let mut open = tokio::task::JoinSet::new();
        let begun = tokio::time::Instant::now();
        while self.sent.load(Ordering::Relaxed) < count {
            ticks.tick().await;
            let due = usize::try_from(begun.elapsed().as_millis()).unwrap() * rate / 1000;
            // What could not be sent while this machine was busy is sent later, never all at once.
            let from = self.sent.load(Ordering::Relaxed);
            let to = due.min(from + rate / 20 + 1).min(count);
            for number in from..to {
                self.sent.fetch_add(1, Ordering::Relaxed);
                let load = self.clone();
                open.spawn(async move { load.ask(number).await });
            }
            while open.try_join_next().is_some() {}
        }
        while open.join_next().await.is_some() {}
    }

    async fn reached(&self, count: usize) {
        while self.sent.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Changes a configuration or what it names, and waits until the process has taken it up.
async fn change(setup: &Setup, pid: u32, change: impl FnOnce()) {
    let before = reloads(setup).await;
    change();
    signal(pid, "-HUP");
    until("the change is taken up", async || reloads(setup).await > before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_load_goes_through_reloads_a_new_certificate_and_a_new_process() {
    let (count, rate) = (setting("VARCO_STEADY_REQUESTS", 3_000), setting("VARCO_STEADY_RATE", 150));
    let hospital = hospital().await;
    let keys = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    first.write(keys.path(), &first.issue("127.0.0.1"));
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/samples/components");
    for name in ["narrative-stripper.plugin.json", "narrative-stripper.wasm"] {
        std::fs::copy(samples.join(name), keys.path().join(name)).unwrap();
    }
    let file = |name: &str| keys.path().join(name).display().to_string();
    // Files are read on SIGHUP alone, so that each change is taken up once.
    let setup = Setup::listening(
        hospital.base_url(),
        &format!(
            "handoff = \"handoff.sock\"\ntls = {{ certificate = \"{}\", key = \"{}\" }}\n",
            file("server.pem"),
            file("server.key")
        ),
        &format!(
            "[limits]\nrequests_per_second = 100000\nburst = 100001\n[log]\nlevel = \"error\"\n[reload]\nseconds = 0\n\
             [[plugin]]\nmanifest = \"{}\"\n",
            file("narrative-stripper.plugin.json")
        ),
    );
    let mut serving = Serving::start(&setup).await;
    let load = Arc::new(Load::new(&setup, &[&first, &second]));
    let recorded = Request::post(format!("{}/Consent", load.base))
        .header("content-type", FHIR)
        .header("authorization", format!("Bearer {}", load.token))
        .body(Full::new(Bytes::from(consent("Patient/anna", json!({ "type": "permit" })).to_string())))
        .unwrap();
    assert_eq!(load.clients[0].request(recorded).await.unwrap().status(), StatusCode::CREATED);
    let before = verified(&setup)["records"].as_u64().unwrap();

    let running = tokio::spawn(load.clone().run(count, rate));
    // Of forty parts: the first and the two after the handoff warm up, each other one has its event.
    let part = |number: usize| count * number / 40;
    load.reached(part(2)).await;
    let mut warm = resident_kb(serving.0.id());
    let (mut done, mut plugins) = (0, 0);
    for number in 2..38 {
        load.reached(part(number)).await;
        let pid = serving.0.id();
        match number {
            10 => {
                second.write(keys.path(), &second.issue("127.0.0.1"));
                change(&setup, pid, || {}).await;
            }
            20 => {
                let now = resident_kb(pid);
                println!("first process: {warm} kB after its warm-up, {now} kB at its end");
                assert!(now < warm + GROWTH_KB, "the first process grew from {warm} to {now} kB");
                let next = successor(&setup);
                assert!(ends(&mut serving).await, "the first process leaves content");
                serving = next;
            }
            22 => warm = resident_kb(pid),
            number if number % 6 == 5 && plugins < PLUGIN_RELOADS => {
                let path = keys.path().join("narrative-stripper.plugin.json");
                let text = std::fs::read_to_string(&path).unwrap();
                let mut manifest: Value = serde_json::from_str(&text).unwrap();
                manifest["description"] = json!(format!("the {plugins}th"));
                change(&setup, pid, || std::fs::write(&path, manifest.to_string()).unwrap()).await;
                plugins += 1;
            }
            _ if done < RELOADS => {
                let (old, new) =
                    (format!("burst = {}", 100_001 + done), format!("burst = {}", 100_002 + done));
                change(&setup, pid, || setup.replace(&old, &new)).await;
                done += 1;
            }
            _ => {}
        }
    }
    running.await.unwrap();
    let failed = load.failed.lock().unwrap().clone();
    assert!(
        failed.is_empty(),
        "{} of {count} failed:\n{}",
        failed.len(),
        failed.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
    assert_eq!((done, plugins), (RELOADS, PLUGIN_RELOADS));
    let now = resident_kb(serving.0.id());
    println!("second process: {warm} kB after its warm-up, {now} kB at its end");
    assert!(now < warm + GROWTH_KB, "the second process grew from {warm} to {now} kB");

    let proof = verified(&setup);
    assert_eq!((&proof["intact"], &proof["open"]), (&json!(true), &json!([])), "{proof}");
    let (reads, creates) = (load.reads.load(Ordering::Relaxed), load.creates.load(Ordering::Relaxed));
    // A create has two: its intent and its end.
    let records = proof["records"].as_u64().unwrap() - before;
    let again = load.again.load(Ordering::Relaxed);
    println!(
        "{count} requests, {reads} reads and {creates} creates, 0 failed, {again} met GOAWAY and were sent again; {records} \
         records, intact"
    );
    // What was sent again had not been processed; a library that takes a request back while it writes it may leave a record.
    let owed = reads + 2 * creates;
    assert!(
        (owed..=owed + 2 * again).contains(&usize::try_from(records).unwrap()),
        "{records} of {owed} records"
    );
    assert!(again <= MOST_AGAIN, "{again} requests met GOAWAY");
    serving.kill();
    hospital.stop().await;
}

/// A connection that is kept open, asked by hand.
struct Held(BufReader<TcpStream>);

impl Held {
    async fn open(port: u16) -> Held {
        Held(BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap()))
    }

    async fn send(&mut self, path: &str, token: &str) {
        let text = format!("GET /fhir/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// The status, and whether the answer says that the connection ends.
    async fn answer(&mut self) -> (u16, bool) {
        by_hand::answer(&mut self.0).await
    }
}

fn with_handoff(hospital: &Hospital) -> Setup {
    let more = "[limits]\npage_size = 1\n[log]\nlevel = \"error\"\n[reload]\nseconds = 0\n";
    Setup::listening(hospital.base_url(), "handoff = \"handoff.sock\"\n", more)
}

async fn permit(asking: &Asking, patient: &str) {
    let reply = asking.post("Consent", &consent(patient, json!({ "type": "permit" }))).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_knows_counts_for_both_while_there_are_two() {
    let hospital = hospital().await;
    let setup = with_handoff(&hospital);
    let (asking, token) = (setup.client(), setup.token(json!({})));
    let mut old = Serving::start(&setup).await;
    permit(&asking, "Patient/anna").await;
    permit(&asking, "Patient/bruno").await;
    let page = asking.get("Patient").await.json();
    let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();

    // Two connections to the old process: one has a slow request open, the other is at rest.
    let (mut slow, mut rests) = (Held::open(setup.port).await, Held::open(setup.port).await);
    rests.send("Patient/anna", &token).await;
    assert_eq!(rests.answer().await, (200, false));
    hospital.inject(Fault::new(Effect::Delay(Duration::from_secs(2))));
    slow.send("Patient/anna", &token).await;
    until("the slow request is under way", async || hospital.requests().len() >= 2).await;
    let before = control_socket(&setup);
    let new = successor(&setup);
    let fresh = setup.client();
    until("the new process takes over", async || control_socket(&setup) != before).await;
    assert!(old.0.try_wait().unwrap().is_none(), "the old process finishes what is open");
    assert_eq!(slow.answer().await, (200, true), "what was open is answered, and the connection ends");

    // A consent that the new process took counts on the connection to the old one.
    let deny = consent("Patient/anna", json!({ "type": "deny" }));
    let recorded = fresh.post("Consent", &deny).await;
    assert_eq!(recorded.status, StatusCode::CREATED, "{:?}", recorded.body);
    rests.send("Patient/anna", &token).await;
    let (status, closes) = rests.answer().await;
    assert_eq!((status, closes), (404, true), "the old process sees what the new one wrote");

    assert!(ends(&mut old).await);
    let second = fresh.get(next["url"].as_str().unwrap()).await;
    assert_eq!(second.status, StatusCode::OK, "page links outlive the process: {:?}", second.body);
    let proof = verified(&setup);
    assert_eq!(proof["intact"], true, "{proof}");
    new.kill();
    hospital.stop().await;
}

/// The control socket's file: whoever has taken over makes it anew.
fn control_socket(setup: &Setup) -> u64 {
    std::fs::metadata(setup.folder.path().join("handoff.sock")).unwrap().ino()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_fails_leaves_the_old_one_serving() {
    let hospital = hospital().await;
    let setup = with_handoff(&hospital);
    let asking = setup.client();
    let mut old = Serving::start(&setup).await;
    permit(&asking, "Patient/anna").await;
    // Keys that nobody can read end the start after the sockets were given.
    let good = std::fs::read_to_string(setup.config_file()).unwrap();
    let broken = good.replace("[admin]", "[[plugin]]\nmanifest = \"broken.plugin.json\"\n[admin]");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/samples/components");
    let manifest = std::fs::read_to_string(samples.join("narrative-stripper.plugin.json")).unwrap();
    std::fs::write(setup.folder.path().join("broken.plugin.json"), manifest).unwrap();
    std::fs::write(setup.folder.path().join("narrative-stripper.wasm"), "no component").unwrap();
    std::fs::write(setup.config_file(), broken).unwrap();
    let mut new = successor(&setup);
    assert!(!ends(&mut new).await, "it can't start");
    assert!(old.0.try_wait().unwrap().is_none());
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    assert!(!setup.folder.path().join("varco.sqlite.handoff").exists(), "nothing is shared any more");

    // A second attempt, with the cause removed, started by the old process itself.
    std::fs::write(setup.config_file(), good).unwrap();
    signal(old.0.id(), "-USR2");
    assert!(ends(&mut old).await);
    assert_eq!(asking.get("Patient/anna").await.status, StatusCode::OK);
    let heir = heir_of(&setup);
    // Told to stop, it ends and leaves nothing behind.
    signal(heir, "-TERM");
    until("the successor ends", async || !Path::new(&format!("/proc/{heir}/exe")).exists()).await;
    hospital.stop().await;
}

/// The process that serves this configuration.
fn heir_of(setup: &Setup) -> u32 {
    let config = setup.config_file().display().to_string();
    let own = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (line.contains(&config) && line.contains("serve")).then_some(pid)
    });
    own.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_old_process_is_killed_the_new_one_starts_by_itself() {
    let hospital = hospital().await;
    let setup = with_handoff(&hospital);
    let old = Serving::start(&setup).await;
    permit(&setup.client(), "Patient/anna").await;
    old.kill();
    assert!(setup.folder.path().join("handoff.sock").exists(), "its control socket is left");
    let new = Serving::start(&setup).await;
    assert_eq!(setup.client().get("Patient/anna").await.status, StatusCode::OK);
    new.kill();
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_hears_of_readiness_reloads_successors_and_the_end() {
    let hospital = hospital().await;
    let setup = with_handoff(&hospital);
    let path = setup.folder.path().join("notify");
    let manager = tokio::net::UnixDatagram::bind(&path).unwrap();
    let serve = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varco"));
        command.args(["serve", "--config"]).arg(setup.config_file()).stdout(Stdio::null());
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
        Serving(command.spawn().unwrap())
    };
    let heard = async |wanted: &str| {
        let mut buffer = [0; 512];
        let mut others = Vec::new();
        loop {
            let received = tokio::time::timeout(PATIENCE, manager.recv(&mut buffer)).await;
            let Ok(Ok(length)) = received else { panic!("{wanted} is not heard, but {others:?}") };
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.contains(wanted) {
                return text;
            }
            others.push(text);
        }
    };
    let mut old = serve();
    heard(&format!("READY=1\nMAINPID={}", old.0.id())).await;
    heard("WATCHDOG=1").await;
    signal(old.0.id(), "-HUP");
    heard("RELOADING=1\nMONOTONIC_USEC=").await;
    heard("READY=1").await;
    let mut new = serve();
    heard(&format!("MAINPID={}\nSTATUS=handed over", new.0.id())).await;
    assert!(ends(&mut old).await);
    heard("WATCHDOG=1").await;
    signal(new.0.id(), "-TERM");
    heard("STOPPING=1").await;
    assert!(ends(&mut new).await);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_the_service_manager_opened_is_listened_on() {
    let hospital = hospital().await;
    let setup = Setup::new(hospital.base_url(), "");
    // The federation's by its name, wherever it listens; the operator's by its address.
    let named = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addressed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, setup.admin)).unwrap();
    let port = named.local_addr().unwrap().port();
    let mut early = Held::open(port).await;
    early.send("metadata", "none").await;
    // The shell gives the sockets the numbers that a service manager would, and keeps its process for the program.
    let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=federation:other exec \"$@\"";
    let child = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_varco"), "serve", "--config"])
        .arg(setup.config_file())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(named)))
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(addressed)))
        .spawn()
        .unwrap();
    let mut serving = Serving(child);
    assert_eq!(early.answer().await.0, 200, "what came before the program is answered");
    until("the operator's port answers", async || {
        operator(&setup, "/ready").await.starts_with("HTTP/1.1 200")
    })
    .await;
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, setup.port)).await.is_err(), "nothing else is opened");
    signal(serving.0.id(), "-TERM");
    assert!(ends(&mut serving).await);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_says_that_it_is_not_ready_before_it_refuses() {
    let hospital = hospital().await;
    let listen = "drain_delay_seconds = 3\n";
    let setup = Setup::listening(hospital.base_url(), listen, "[log]\nlevel = \"error\"\n");
    let mut serving = Serving::start(&setup).await;
    let asking = setup.client();
    permit(&asking, "Patient/anna").await;
    signal(serving.0.id(), "-TERM");
    until("readiness turns off", async || operator(&setup, "/ready").await.starts_with("HTTP/1.1 503")).await;
    let reply = asking.try_send(Method::GET, "Patient/anna", &[], Bytes::new()).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "requests are still taken");
    assert_eq!(reply.headers["connection"], "close");
    assert!(ends(&mut serving).await);
    hospital.stop().await;
}
