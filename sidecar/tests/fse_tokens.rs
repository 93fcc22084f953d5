//! Given the two tokens of FSE 2.0, when they are not of one holder, not vouched for, or not made for the request, then the
//! caller learns nothing but that, and the cause stands in the log. When they are, what they say binds the request.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use harness::serving::Logged;
use harness::{Asking, FHIR, Region, Reply, Setup, now};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RsaKeySize,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const CN: &str = "S1#030#OSPEDALE";
const CF: &str = "http://hl7.it/sid/codiceFiscale";

/// `Authorization` and `FSE-JWT-Signature`.
type Pair = (String, Option<String>);

/// An authority, and what it vouches for.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Holder {
    x5c: Vec<String>,
    key: EncodingKey,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for signatures, in the name of an organisation, after this change.
    fn vouches_for(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> Holder {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "Ospedale");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();
        Holder { x5c: vec![STANDARD.encode(certificate.der())], key }
    }
}

impl Holder {
    fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let header = Header { x5c: Some(self.x5c.clone()), ..Header::new(algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

fn over(mut claims: Value, changed: &Value) -> Value {
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// Claims of both tokens.
fn common(audience: &str, issuer: &str) -> Value {
    json!({ "iss": format!("{issuer}:{CN}"), "aud": audience, "exp": now() + 300, "iat": now() - 5, "jti": "1",
        "sub": "RSSMRA71E01F205E^^^&2.16.840.1.113883.2.9.4.3.2&ISO" })
}

fn calling(audience: &str, changed: Value) -> Value {
    over(common(audience, "auth"), &changed)
}

fn signing(audience: &str, changed: Value) -> Value {
    let own = json!({ "subject_organization_id": "030", "subject_organization": "Regione Lombardia",
        "locality": "NIGUARDA^^^^^&2.16.840.1.113883.2.9.4.1.2&ISO^^^^030913", "subject_role": "AAS",
        "person_id": "CF-anna^^^&2.16.840.1.113883.2.9.4.3.2&ISO", "patient_consent": true,
        "purpose_of_use": "TREATMENT", "action_id": "READ" });
    over(over(common(audience, "integrity"), &own), &changed)
}

/// Both tokens on a request.
async fn send(asking: &Asking, method: Method, path: &str, tokens: (&str, &str), body: Bytes) -> Reply {
    let caller = asking.with_token(Some(tokens.0.to_owned()));
    let mut headers = vec![("fse-jwt-signature", tokens.1)];
    if !body.is_empty() {
        headers.push(("content-type", FHIR));
    }
    caller.send(method, path, &headers, body).await
}

fn settings(ca: &str, issuer: &str) -> String {
    format!(
        "[[issuer]]\nkind = \"fse\"\nissuer = \"{issuer}\"\nca = \"{ca}\"\nscopes = [\"system/*.cruds\"]\n\
         max_lifetime_seconds = 3600\n"
    )
}

#[tokio::test]
async fn each_refused_pair_has_its_cause_in_the_log_and_nowhere_else() {
    let (authority, stranger) = (Authority::new("CA"), Authority::new("CA"));
    let setup = Setup::new("http://127.0.0.1:9/fhir", &settings("fse.pem", "auth:*"));
    std::fs::write(setup.folder.path().join("fse.pem"), &authority.pem).unwrap();
    let serving = Logged::start(&setup).await;
    let base = setup.base();
    let good = authority.vouches_for(CN, |_| {});
    let day = std::time::Duration::from_secs(86_400);
    let expired = authority.vouches_for(CN, |params| params.not_after = rcgen::date_time_ymd(2024, 1, 1));
    let future =
        authority.vouches_for(CN, |params| params.not_before = rcgen::date_time_ymd(2099, 1, 1) + day);
    let for_keys =
        authority.vouches_for(CN, |params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    let an_authority =
        authority.vouches_for(CN, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let unknown = stranger.vouches_for(CN, |_| {});
    let elsewhere = authority
        .vouches_for(CN, |params| params.distinguished_name.push(DnType::OrganizationName, "Altrove"));
    let other_name = authority.vouches_for("S1#030#ALTRO", |_| {});
    let (rs, auth, integrity) = (Algorithm::RS256, calling(&base, json!({})), signing(&base, json!({})));
    let pair = |holder: &Holder| (holder.sign(rs, &auth), Some(holder.sign(rs, &integrity)));
    let called = |changed: Value| (good.sign(rs, &calling(&base, changed)), Some(good.sign(rs, &integrity)));
    let signed = |changed: Value| (good.sign(rs, &auth), Some(good.sign(rs, &signing(&base, changed))));
    let bare = |claims: &Value| encode(&Header::new(rs), claims, &good.key).unwrap();
    let cases: Vec<(&str, Pair, &str)> = vec![
        ("one token alone", (good.sign(rs, &auth), None), "no FSE-JWT-Signature"),
        ("no chain", (bare(&auth), Some(good.sign(rs, &integrity))), "no `x5c`"),
        ("no chain in the second", (good.sign(rs, &auth), Some(bare(&integrity))), "no `x5c`"),
        (
            "the wrong way round",
            (good.sign(rs, &integrity), Some(good.sign(rs, &auth))),
            "of no configured issuer",
        ),
        ("the first token twice", (good.sign(rs, &auth), Some(good.sign(rs, &auth))), "InvalidIssuer"),
        (
            "another algorithm",
            (good.sign(Algorithm::PS256, &auth), Some(good.sign(rs, &integrity))),
            "algorithm",
        ),
        ("an unknown authority", pair(&unknown), "no configured authority vouches"),
        ("over", pair(&expired), "no configured authority vouches"),
        ("not yet", pair(&future), "no configured authority vouches"),
        ("a certificate for keys", pair(&for_keys), "key usage"),
        ("an authority itself", pair(&an_authority), "no configured authority vouches"),
        ("another name in the certificate", pair(&other_name), "InvalidIssuer"),
        (
            "two holders of one name",
            (good.sign(rs, &auth), Some(elsewhere.sign(rs, &integrity))),
            "differ in the holder of their certificates",
        ),
        (
            "another's chain over one's own key",
            (
                Holder { x5c: good.x5c.clone(), key: unknown.key.clone() }.sign(rs, &auth),
                Some(good.sign(rs, &integrity)),
            ),
            "InvalidSignature",
        ),
        ("two persons", called(json!({ "sub": "another" })), "differ in sub"),
        ("no person", called(json!({ "sub": null })), "differ in sub"),
        ("two organisations", called(json!({ "subject_organization_id": "120" })), "subject_organization_id"),
        ("another audience", signed(json!({ "aud": "https://elsewhere.test" })), "InvalidAudience"),
        ("over", signed(json!({ "exp": now() - 60 })), "ExpiredSignature"),
        (
            "valid for years",
            signed(json!({ "exp": now() + 100_000_000 })),
            "longer than max_lifetime_seconds",
        ),
        ("a role that FSE has not", signed(json!({ "subject_role": "PRIMARIO" })), "claim subject_role"),
        ("a purpose that FSE has not", signed(json!({ "purpose_of_use": "TREAT" })), "claim purpose_of_use"),
        ("an action that FSE has not", signed(json!({ "action_id": "SEARCH" })), "claim action_id"),
        ("nobody clearly", signed(json!({ "person_id": "CF-anna" })), "claim person_id"),
        ("a type that can't be read", signed(json!({ "resource_hl7_type": "('x')" })), "resource_hl7_type"),
        ("a hash that is none", signed(json!({ "attachment_hash": "00" })), "attachment_hash"),
        ("no word of consent", signed(json!({ "patient_consent": null })), "patient_consent"),
        ("consent as a text", signed(json!({ "patient_consent": "true" })), "expected a boolean"),
        ("another action", signed(json!({ "action_id": "UPDATE" })), "not the action"),
        (
            "a hash of another body",
            signed(json!({ "attachment_hash": "00".repeat(32) })),
            "not the one that `attachment_hash`",
        ),
    ];
    let asking = setup.client();
    let mut expected = Vec::new();
    for (case, (auth, signature), cause) in cases {
        let caller = asking.with_token(Some(auth));
        let headers: Vec<_> = signature.iter().map(|own| ("fse-jwt-signature", own.as_str())).collect();
        let refused = caller.send(Method::GET, "Consent?patient=Patient/anna", &headers, Bytes::new()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{case}: {:?}", refused.body);
        let told = ("login".to_owned(), "A valid access token is needed.".to_owned());
        assert_eq!(refused.issue(), told, "{case}");
        expected.push((case, refused.request_id().to_owned(), cause));
    }
    let twice = [("fse-jwt-signature", "a"), ("fse-jwt-signature", "b")];
    let caller = asking.with_token(Some(good.sign(rs, &auth)));
    let refused = caller.send(Method::GET, "Patient", &twice, Bytes::new()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let log = serving.log();
    for (case, request_id, cause) in expected {
        let told = log[&request_id]["cause"].as_str().unwrap_or_default();
        assert!(told.contains(cause), "{case}: {told:?} lacks {cause:?}");
        assert!(!told.contains("RSSMRA") && !told.contains("CF-anna"), "{case}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_claims_say_binds_the_request() {
    let authority = Authority::new("CA");
    let pem = authority.pem.clone();
    let more = settings("fse.pem", &format!("auth:{CN}"));
    let region = Region::edited("", &more, |setup| {
        std::fs::write(setup.folder.path().join("fse.pem"), &pem).unwrap();
    })
    .await;
    let desk = region.asking();
    for id in ["anna", "bruno"] {
        region.seed(&json!({ "resourceType": "Patient", "id": id,
            "identifier": [{ "system": CF, "value": format!("CF-{id}") }] }));
        let given = harness::consent(&format!("Patient/{id}"), json!({ "type": "permit" }));
        assert_eq!(desk.post("Consent", &given).await.status, StatusCode::CREATED);
    }
    for (id, code) in [("lettera", "11502-2"), ("profilo", "60591-5")] {
        region.seed(&json!({ "resourceType": "DocumentReference", "id": id, "status": "current",
            "type": { "coding": [{ "system": "http://loinc.org", "code": code }] },
            "subject": { "reference": "Patient/anna" },
            "content": [{ "attachment": { "contentType": "application/pdf" } }] }));
    }
    let base = region.setup.base();
    let holder = authority.vouches_for(CN, |_| {});
    let asking = region.asking();
    let auth = holder.sign(Algorithm::RS512, &calling(&base, json!({})));
    let sign = |changed: Value| holder.sign(Algorithm::RS256, &signing(&base, changed));
    let get = async |path: &str, changed: Value| {
        send(&asking, Method::GET, path, (&auth, &sign(changed)), Bytes::new()).await
    };
    let read = get("Patient/anna", json!({})).await;
    assert_eq!(read.status, StatusCode::OK, "{:?}", read.body);
    let record = region.audited(&read).await.to_string();
    for told in [CN, "RSSMRA71E01F205E", "Regione Lombardia", "030913", "\"TREAT\"", "\"AAS\""] {
        assert!(record.contains(told), "{told}: {record}");
    }
    let absent = get("Patient/nobody", json!({})).await.appearance();
    assert_eq!(get("Patient/bruno", json!({})).await.appearance(), absent, "another person");
    assert_eq!(get("Patient/anna", json!({ "patient_consent": false })).await.appearance(), absent);
    let emergency = json!({ "patient_consent": false, "purpose_of_use": "EMERGENCY" });
    assert_eq!(get("Patient/anna", emergency).await.status, StatusCode::OK);
    let discharge = json!({ "resource_hl7_type": "('11502-2^^2.16.840.1.113883.6.1')" });
    assert_eq!(get("DocumentReference/lettera", discharge.clone()).await.status, StatusCode::OK);
    let other = get("DocumentReference/profilo", discharge.clone()).await;
    assert_eq!(other.appearance(), get("DocumentReference/nothing", discharge.clone()).await.appearance());
    assert_eq!(get("DocumentReference?patient=anna", discharge).await.json()["total"], 1);
    assert_eq!(get("DocumentReference?patient=anna", json!({})).await.json()["total"], 2);

    let body = Bytes::from(
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": { "reference": "Patient/anna" } })
        .to_string(),
    );
    let hash = format!("{:x}", Sha256::digest(&body));
    let post = async |body: Bytes, changed: Value| {
        send(&asking, Method::POST, "Observation", (&auth, &sign(changed)), body).await.status
    };
    let create = json!({ "action_id": "CREATE", "attachment_hash": hash.clone() });
    let longer = Bytes::from([&body[..], b" "].concat());
    let before = region.hospital.requests().len();
    assert_eq!(post(longer, create.clone()).await, StatusCode::UNAUTHORIZED, "another body");
    assert_eq!(
        post(body.clone(), json!({ "action_id": "CREATE" })).await,
        StatusCode::UNAUTHORIZED,
        "no hash"
    );
    let reading = json!({ "attachment_hash": hash });
    assert_eq!(post(body.clone(), reading).await, StatusCode::UNAUTHORIZED, "another action");
    assert_eq!(region.hospital.requests().len(), before, "nothing was forwarded");
    assert_eq!(post(body.clone(), create).await, StatusCode::CREATED);
    // One token names one action: a batch is several.
    let batch = Bytes::from(json!({ "resourceType": "Bundle", "type": "batch" }).to_string());
    let refused = send(&asking, Method::POST, "", (&auth, &sign(json!({}))), batch).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    // Other issuers' tokens need no second one.
    assert_eq!(desk.get("Patient/bruno").await.status, StatusCode::OK);
    region.stop().await;
}
