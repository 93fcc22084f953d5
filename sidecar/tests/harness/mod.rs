//! A sidecar before a FHIR server, with tokens to ask it by. Tests read as scripts on top of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod authority;
pub mod by_hand;
pub mod frames;
pub mod mllp;
pub mod national;
pub mod sekmet;
pub mod serving;
pub mod twins;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use metrics_exporter_prometheus::PrometheusBuilder;
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};
use tempfile::TempDir;
use varco::config;
use varco::run::{self, Running};
use varco_conformance::hospital::{Hospital, HospitalOptions};

pub const ISSUER: &str = "https://hub.test";
pub const FHIR: &str = "application/fhir+json";

/// The issuer of tokens.
pub struct Issuer(KeyPair);

impl Issuer {
    pub fn new() -> Issuer {
        Issuer(KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    /// Its public key under a name of its own.
    pub fn jwk(&self, id: &str) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key_raw());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "alg": "EdDSA", "use": "sig", "x": x })
    }

    /// These claims, signed under a header that has the right algorithm.
    pub fn sign(&self, header: Header, claims: &Value) -> String {
        encode(&header, claims, &EncodingKey::from_ed_der(&self.0.serialize_der())).unwrap()
    }

    /// The claims of a good token, with these over them; a null takes a claim away.
    pub fn claims(audience: &str, changed: Value) -> Value {
        let mut claims = json!({
            "iss": ISSUER, "aud": audience, "exp": now() + 300, "nbf": now() - 5, "sub": "dr-rossi", "client_id": "ward-app",
            "scope": "system/*.cruds",
            "extensions": { "ihe_iua": {
                "subject_name": "Dott.ssa Lucia Rossi",
                "subject_organization_id": ["urn:oid:2.16.840.1.113883.2.9.4.1.2|030943"],
                "subject_role": [{ "system": "urn:test:role", "code": "AAS" }],
                "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }],
            }},
        });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk("k1")] }).to_string()
    }

    /// A token with these claims over good ones; a null takes a claim away.
    pub fn token(&self, audience: &str, changed: Value) -> String {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::EdDSA) };
        self.sign(header, &Issuer::claims(audience, changed))
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn free_port() -> u16 {
    let [port] = free_ports();
    port
}

/// Ports that are free and different: all are held until all are known.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A folder with all that a sidecar needs, and its configuration.
pub struct Setup {
    pub folder: TempDir,
    pub issuer: Issuer,
    pub port: u16,
    pub admin: u16,
}

impl Setup {
    /// A configuration before the FHIR server at `upstream`; `more` is appended to it.
    pub fn new(upstream: &str, more: &str) -> Setup {
        Setup::listening(upstream, "", more)
    }

    /// The same, with more settings of the listener.
    pub fn listening(upstream: &str, listen: &str, more: &str) -> Setup {
        let (folder, issuer) = (tempfile::tempdir().unwrap(), Issuer::new());
        let [port, admin] = free_ports();
        std::fs::write(folder.path().join("hub.jwks.json"), issuer.jwks()).unwrap();
        let text = format!(
            "[site]\nid = \"030913\"\nname = \"Ospedale Niguarda\"\nbase_url = \"http://127.0.0.1:{port}/fhir\"\n\
             [listen]\naddress = \"127.0.0.1:{port}\"\ndrain_seconds = 5\n{listen}[upstream]\nurl = \"{upstream}\"\nanswer_seconds = 5\n\
             [tokens]\nissuer = \"{ISSUER}\"\njwks = \"hub.jwks.json\"\n[store]\npath = \"varco.sqlite\"\n\
             [admin]\naddress = \"127.0.0.1:{admin}\"\n{more}\n"
        );
        std::fs::write(folder.path().join("varco.toml"), text).unwrap();
        Setup { folder, issuer, port, admin }
    }

    pub fn config_file(&self) -> std::path::PathBuf {
        self.folder.path().join("varco.toml")
    }

    /// Writes the configuration anew, with one part of it replaced.
    pub fn replace(&self, part: &str, by: &str) {
        let text = std::fs::read_to_string(self.config_file()).unwrap();
        assert!(text.contains(part), "{text}");
        std::fs::write(self.config_file(), text.replace(part, by)).unwrap();
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/fhir", self.port)
    }

    pub fn token(&self, changed: Value) -> String {
        self.issuer.token(&self.base(), changed)
    }

    pub fn client(&self) -> Asking {
        Asking {
            base: self.base(),
            token: Some(self.token(json!({}))),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub fn request_id(&self) -> &str {
        self.headers["x-request-id"].to_str().unwrap()
    }

    /// What a caller can tell two answers apart by.
    pub fn appearance(&self) -> (StatusCode, Vec<(String, String)>, Bytes) {
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        (self.status, headers, self.body.clone())
    }

    /// The code and the text of an OperationOutcome.
    pub fn issue(&self) -> (String, String) {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
        let issue = &outcome["issue"][0];
        (issue["code"].as_str().unwrap().to_owned(), issue["details"]["text"].as_str().unwrap().to_owned())
    }
}

/// A sidecar in this process, before a simulated hospital.
pub struct Region {
    pub setup: Setup,
    pub hospital: Hospital,
    pub running: Running,
}

impl Region {
    /// A hospital with two patients who consented to treatment at Humanitas, one who did not, and their data.
    pub async fn start(more: &str) -> Region {
        let region = Region::start_bare(more).await;
        let asking = region.asking();
        for (id, family) in [("anna", "Forlì"), ("bruno", "D'Amico"), ("carla", "Nascosti")] {
            region.seed(&json!({ "resourceType": "Patient", "id": id, "name": [{ "family": family }],
                "identifier": [{ "system": "http://hl7.it/sid/codiceFiscale", "value": format!("CF-{id}") }] }));
            if id != "carla" {
                let permit = json!({ "type": "permit", "purpose": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }] });
                let recorded = asking.post("Consent", &consent(&format!("Patient/{id}"), permit)).await;
                assert_eq!(recorded.status, StatusCode::CREATED, "{:?}", recorded.body);
            }
        }
        region
    }

    /// A hospital without any data; `more` is appended to the configuration.
    pub async fn start_bare(more: &str) -> Region {
        Region::configured("", more).await
    }

    /// The same, with more settings of the listener.
    pub async fn start_bare_listening(listen: &str) -> Region {
        Region::configured(listen, "").await
    }

    async fn configured(listen: &str, more: &str) -> Region {
        Region::edited(listen, more, |_| {}).await
    }

    /// The same, with the folder and the configuration changed before it starts.
    pub async fn edited(listen: &str, more: &str, edit: impl Fn(&Setup)) -> Region {
        let hospital =
            Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await.unwrap();
        // A port that was free a moment ago may be taken by another test's connection: then others are chosen.
        for _ in 0..5 {
            let setup = Setup::listening(hospital.base_url(), listen, more);
            edit(&setup);
            let metrics = PrometheusBuilder::new().build_recorder().handle();
            match run::start(config::load(&setup.config_file()).unwrap(), metrics).await {
                Ok(running) => return Region { setup, hospital, running },
                Err(run::StartError::Bind { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no port is free");
    }

    pub fn asking(&self) -> Asking {
        self.setup.client()
    }

    pub fn seed(&self, resource: &Value) {
        self.hospital.seed([resource.to_string()]).unwrap();
    }

    /// The audit record of an answered request.
    pub async fn audited(&self, reply: &Reply) -> Value {
        let found = self
            .asking()
            .get(&format!("AuditEvent?entity:identifier=%7C{}", reply.request_id()))
            .await
            .json();
        assert_eq!(found["total"], 1, "{found}");
        found["entry"][0]["resource"].clone()
    }

    pub async fn stop(self) {
        self.running.stop().await;
        self.hospital.stop().await;
    }
}

/// A caller of a sidecar.
#[derive(Clone)]
pub struct Asking {
    pub base: String,
    pub token: Option<String>,
    pub client: Client<HttpConnector, Full<Bytes>>,
}

impl Asking {
    pub fn with_token(&self, token: Option<String>) -> Asking {
        Asking { token, ..self.clone() }
    }

    /// Over HTTP/2 without TLS, by prior knowledge.
    pub fn over_http2(&self) -> Asking {
        Asking { client: Client::builder(TokioExecutor::new()).http2_only(true).build_http(), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, &[("content-type", FHIR)], Bytes::from(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, &[("content-type", FHIR)], Bytes::from(body.to_string())).await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, hyper_util::client::legacy::Error> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}/{path}", self.base) };
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.client.request(request.body(Full::new(body)).unwrap()).await?;
        let (head, body) = answer.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => panic!("an answer broke off: {error}"),
        };
        Ok(Reply { status: head.status, version: head.version, headers: head.headers, body })
    }
}

/// A consent about `patient`: nothing but what `permit` says.
pub fn consent(patient: &str, permit: Value) -> Value {
    json!({
        "resourceType": "Consent", "status": "active",
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://loinc.org", "code": "59284-0" }] }],
        "patient": { "reference": patient }, "dateTime": "2026-01-01",
        "policyRule": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT" }] },
        "provision": { "type": "deny", "provision": [permit] },
    })
}

/// Waits until a port takes connections.
pub async fn listening(port: u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for _ in 0..600 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing listens on port {port}");
}
