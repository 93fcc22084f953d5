//! Who may publish.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{CertificateParams, DnType, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::application::*;
use crate::harness::authority::Authority;
use crate::harness::national::{National, tokens};
use crate::harness::{self, Region};

#[tokio::test(flavor = "multi_thread")]
async fn the_hospitals_certificate_is_shown_for_listed_applications_alone() {
    let (network, ministry) = (Authority::new(), Authority::new());
    let keys = tempfile::tempdir().unwrap();
    let path = |name: &str| keys.path().join(name).display().to_string();
    network.write(keys.path(), &network.issue("127.0.0.1"));
    let (own, gateway) = (ministry.issue("127.0.0.1"), ministry.issue("127.0.0.1"));
    for (name, text) in [
        ("ministry.pem", &ministry.pem),
        ("own.pem", &own.0),
        ("own.key", &own.1),
        ("gateway.pem", &gateway.0),
        ("gateway.key", &gateway.1),
    ] {
        std::fs::write(keys.path().join(name), text).unwrap();
    }
    let shown = json!({ "certificate": path("gateway.pem"), "key": path("gateway.key"), "client_ca": path("ministry.pem") });
    let mut tls = varco::listen::tls::server_config(&serde_json::from_value(shown).unwrap()).unwrap();
    tls.alpn_protocols.clear();
    let national = National::over_tls(tls).await;
    let (member, peer) = (network.issue("127.0.0.1"), network.issue("127.0.0.1"));
    let der = CertificateDer::from_pem_slice(member.0.as_bytes()).unwrap();
    let fingerprint: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
    let more = format!(
        "[publication]\n[[publication.route]]\nname = \"fse\"\npath = \"/fse/v1\"\ngateway = \"https://127.0.0.1:{}/g\"\n\
         ca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\ncallers = \"certificates\"\ncertificates = [\"{}\"]\n",
        national.port,
        path("ministry.pem"),
        path("own.pem"),
        path("own.key"),
        fingerprint.join(":")
    );
    let listen = format!(
        "tls = {{ certificate = \"{}\", key = \"{}\", client_ca = \"{}\" }}\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem")
    );
    let region = Region::edited(&listen, &more, |_| {}).await;
    let send = async |identity: &(String, String)| {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(network.client(Some(identity)))
            .https_only()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
        let (caller, signature) = tokens("1", 600, &json!({}));
        let request =
            http::Request::delete(format!("https://127.0.0.1:{}/fse/v1/documents/1", region.setup.port))
                .header("authorization", format!("Bearer {caller}"))
                .header("fse-jwt-signature", signature)
                .body(Full::default())
                .unwrap();
        client.request(request).await.unwrap().status()
    };
    assert_eq!(send(&member).await, StatusCode::CREATED);
    assert_eq!(national.lines(), ["DELETE /g/documents/1"]);
    assert_eq!(
        send(&peer).await,
        StatusCode::FORBIDDEN,
        "a member of the federation is not an application of this hospital"
    );
    assert_eq!(national.lines().len(), 1);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_made_for_the_national_gateway_admit_and_open_nothing_else() {
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
    params.distinguished_name.push(DnType::CommonName, "CA");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = params.self_signed(&key).unwrap().pem();
    let authority = rcgen::Issuer::new(params, key);
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "S1#030#OSPEDALE");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let x5c = STANDARD.encode(params.signed_by(&key, &authority).unwrap().der());
    let key = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();

    let national = National::start().await;
    let tokens_alone = settings(&national, "")
        .replace("callers = \"network\"\nnetworks = [\"127.0.0.1\"]", "callers = \"tokens\"");
    let issuer = "[[issuer]]\nkind = \"fse\"\nissuer = \"auth:*\"\nca = \"fse.pem\"\nscopes = [\"system/*.rs\"]\none_time = true\n";
    let region = Region::edited("", &format!("{issuer}{tokens_alone}"), |setup| {
        std::fs::write(setup.folder.path().join("fse.pem"), &ca).unwrap();
    })
    .await;
    let audience = format!("http://127.0.0.1:{}/gateway/v1", national.port);
    let sign = |kind: &str, audience: &str| {
        let header = Header { x5c: Some(vec![x5c.clone()]), ..Header::new(Algorithm::RS256) };
        let claims = json!({ "iss": format!("{kind}:S1#030#OSPEDALE"), "aud": audience, "exp": harness::now() + 300,
            "jti": "1", "sub": "RSSMRA71E01F205E^^^&2.16.840.1.113883.2.9.4.3.2&ISO", "subject_organization_id": "030",
            "subject_role": "AAS", "person_id": "GTWGWY82B42G920M^^^&2.16.840.1.113883.2.9.4.3.2&ISO",
            "patient_consent": true, "purpose_of_use": "TREATMENT", "action_id": "DELETE" });
        encode(&header, &claims, &key).unwrap()
    };
    let application = Application::of(&region.setup);
    let delete = async |caller: String, signature: &str| {
        let url = format!("{}/documents/1", application.root);
        let asking = application.asking.with_token(Some(caller));
        asking.send(Method::DELETE, &url, &[("fse-jwt-signature", signature)], Bytes::new()).await
    };
    let (caller, signature) = (sign("auth", &audience), sign("integrity", &audience));
    for _ in 0..2 {
        let reply = delete(caller.clone(), &signature).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
        let record = &audited(&region, reply.request_id()).await[0];
        assert!(record.to_string().contains("RSSMRA71E01F205E"), "who it was is on record: {record}");
    }
    assert_eq!(national.lines().len(), 1, "the same message, sent again");
    let reader = application.asking.with_token(Some(caller.clone()));
    let opened =
        reader.send(Method::GET, "Patient", &[("fse-jwt-signature", &signature)], Bytes::new()).await;
    assert_eq!(opened.status, StatusCode::UNAUTHORIZED, "made for another audience");
    let (unsigned, unsigned_signature) = tokens("1", 600, &json!({}));
    let of_the_site = sign("auth", &region.setup.base());
    for (caller, signature) in [(unsigned, &unsigned_signature), (of_the_site, &signature)] {
        let reply = delete(caller, signature).await;
        assert_eq!((reply.status, problem(&reply).as_str()), (StatusCode::UNAUTHORIZED, "mw/unauthorized"));
    }
    assert_eq!(national.lines().len(), 1);
    region.stop().await;
}
