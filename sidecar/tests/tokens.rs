//! Given a token that must not be accepted, when a request comes with it, then the caller learns nothing but that, and the
//! cause stands in the log beside the request's id. Given one that is accepted, then it opens what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::serving::Logged;
use harness::{Asking, Issuer, Region, Setup, now};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

fn header() -> Header {
    Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::EdDSA) }
}

/// A token of which every part is written as it stands here.
fn raw(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

const SEARCH: &str = "Consent?patient=Patient/anna";

#[tokio::test]
async fn each_refused_token_has_its_cause_in_the_log_and_nowhere_else() {
    let setup = Setup::new("http://127.0.0.1:9/fhir", "");
    setup.replace("[store]", "max_lifetime_seconds = 3600\n[store]");
    let serving = Logged::start(&setup).await;
    let asking = setup.client();
    let claims = |changed: Value| Issuer::claims(&setup.base(), changed);
    let good = claims(json!({}));
    let with = |changed: Value| Some(setup.token(changed));
    let signed = |header: Header| Some(setup.issuer.sign(header, &good));
    let stranger = Issuer::new();
    // The public key as if it were a shared secret: the classic swap of algorithms.
    let public = URL_SAFE_NO_PAD.decode(setup.issuer.jwk("k1")["x"].as_str().unwrap()).unwrap();
    let swapped = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
    let swapped = encode(&swapped, &good, &EncodingKey::from_secret(&public)).unwrap();
    let whole = setup.token(json!({}));
    let signature = whole.rsplit('.').next().unwrap();
    let edited =
        raw(&json!({ "alg": "EdDSA", "kid": "k1" }), &claims(json!({ "sub": "another" })), signature);
    let own_key = Header { jwk: serde_json::from_value(stranger.jwk("k1")).unwrap(), ..header() };
    let cases: Vec<(&str, Option<String>, &str)> = vec![
        ("none at all", None, "carries no bearer token"),
        ("not a JWT", Some("x".to_owned()), "not a signed JWT"),
        ("alg none", Some(raw(&json!({ "alg": "none" }), &good, "")), "not a signed JWT"),
        (
            "alg none, signed",
            Some(raw(&json!({ "alg": "none", "kid": "k1" }), &good, signature)),
            "not a signed JWT",
        ),
        ("alg swapped", Some(swapped), "algorithm"),
        (
            "another algorithm of the list",
            signed(Header { alg: Algorithm::EdDSA, kid: Some("k2".into()), ..header() }),
            "doesn't hold",
        ),
        ("no signature", Some(whole[..=whole.rfind('.').unwrap()].to_owned()), "InvalidSignature"),
        ("edited", Some(edited), "InvalidSignature"),
        ("another's key", Some(stranger.sign(header(), &good)), "InvalidSignature"),
        ("a key in the header", Some(stranger.sign(own_key, &good)), "InvalidSignature"),
        ("an extension", signed(Header { crit: Some(vec!["b64".to_owned()]), ..header() }), "crit"),
        ("another issuer", with(json!({ "iss": "https://elsewhere.test" })), "of no configured issuer"),
        ("no issuer", with(json!({ "iss": null })), "not a signed JWT"),
        ("another audience", with(json!({ "aud": "https://elsewhere.test/fhir" })), "InvalidAudience"),
        ("no audience", with(json!({ "aud": null })), "aud"),
        ("no end", with(json!({ "exp": null })), "exp"),
        ("its end as text", with(json!({ "exp": (now() + 300).to_string() })), "exp"),
        ("over", with(json!({ "exp": now() - 31 })), "ExpiredSignature"),
        ("not yet", with(json!({ "nbf": now() + 3600 })), "ImmatureSignature"),
        ("issued in the future", with(json!({ "iat": now() + 3600 })), "issued in the future"),
        ("valid for years", with(json!({ "exp": now() + 100_000_000 })), "longer than max_lifetime_seconds"),
        (
            "another certificate",
            with(json!({ "cnf": { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" } })),
            "client certificate",
        ),
        (
            "bound by DPoP",
            with(json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } })),
            "cnf",
        ),
        ("a patient that is no id", with(json!({ "patient": ["anna", "bruno"] })), "claim patient"),
    ];
    let mut expected = Vec::new();
    for (case, token, cause) in cases {
        let refused = asking.with_token(token).get(SEARCH).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{case}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer realm=\"fhir\"", "{case}");
        assert_eq!(
            refused.issue(),
            ("login".to_owned(), "A valid access token is needed.".to_owned()),
            "{case}"
        );
        expected.push((case, refused.request_id().to_owned(), cause));
    }
    // Clocks may differ by the leeway, and no further.
    for changed in [json!({ "exp": now() - 5 }), json!({ "nbf": now() + 20 }), json!({ "iat": now() + 20 })] {
        let accepted = asking.with_token(Some(setup.token(changed.clone()))).get(SEARCH).await;
        assert_eq!(accepted.status, StatusCode::OK, "{changed}");
    }
    let log = serving.log();
    for (case, request_id, cause) in expected {
        let told = log[&request_id]["cause"].as_str().unwrap_or_default();
        assert!(told.contains(cause), "{case}: {told:?} lacks {cause:?}");
        assert!(!told.contains("dr-rossi"), "{case}: {told}");
    }
}

#[tokio::test]
async fn a_token_that_counts_once_counts_once() {
    let region = Region::edited("", "", |setup| setup.replace("[store]", "one_time = true\n[store]")).await;
    let with = |changed: Value| region.asking().with_token(Some(region.setup.token(changed)));
    let first = with(json!({ "jti": "1" }));
    let accepted = first.get(SEARCH).await;
    assert_eq!(accepted.status, StatusCode::OK);
    assert_eq!(first.get(SEARCH).await.status, StatusCode::UNAUTHORIZED);
    let again = with(json!({ "jti": "1", "sub": "another" }));
    assert_eq!(
        again.get(SEARCH).await.status,
        StatusCode::UNAUTHORIZED,
        "the identifier counts, not the token"
    );
    assert_eq!(with(json!({})).get(SEARCH).await.status, StatusCode::UNAUTHORIZED, "no identifier");
    let long = with(json!({ "jti": "2", "exp": now() + 7200 }));
    assert_eq!(
        long.get(SEARCH).await.status,
        StatusCode::UNAUTHORIZED,
        "it would have to be remembered too long"
    );
    let both = with(json!({ "jti": "3" }));
    let (one, other) = tokio::join!(both.get(SEARCH), both.get(SEARCH));
    let mut statuses = [one.status, other.status];
    statuses.sort();
    let named = with(json!({ "jti": "4" }))
        .get(&format!(
            "AuditEvent?entity:identifier=%7C{}&policy=urn:ietf:params:oauth:jti:1",
            accepted.request_id()
        ))
        .await;
    assert_eq!(named.json()["total"], 1, "the audit names the token: {:?}", named.body);
    assert_eq!(statuses, [StatusCode::OK, StatusCode::UNAUTHORIZED]);
    region.stop().await;
}

#[tokio::test]
async fn issuers_have_their_own_keys_audiences_and_claims() {
    let second = Issuer::new();
    let settings = r#"[[issuer]]
issuer = "https://region.test"
audience = "hospitals"
jwks = "region.jwks.json"
[issuer.claims]
purpose = "/why/code"
purpose_system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
client = "app"
"#;
    let region = Region::edited("", settings, |setup| {
        std::fs::write(setup.folder.path().join("region.jwks.json"), second.jwks()).unwrap();
    })
    .await;
    consented(&region).await;
    let own = |changed: Value| {
        let mut claims = json!({ "iss": "https://region.test", "aud": "hospitals", "exp": now() + 300, "sub": "dr-verdi",
            "app": "portal", "scope": ["system/*.rs"], "why": { "code": "TREAT" } });
        changed.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
        claims
    };
    let by =
        |issuer: &Issuer, claims: &Value| region.asking().with_token(Some(issuer.sign(header(), claims)));
    let read = by(&second, &own(json!({}))).get("Patient/anna").await;
    assert_eq!(read.status, StatusCode::OK);
    let agents = region.audited(&read).await["agent"].to_string();
    assert!(agents.contains("portal") && agents.contains("dr-verdi"), "{agents}");
    let other_purpose = by(&second, &own(json!({ "why": { "code": "HMARKT" } })));
    assert_eq!(other_purpose.get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        region.asking().get("Patient/anna").await.status,
        StatusCode::OK,
        "the first issuer's claims stay"
    );
    for (case, caller) in [
        ("signed by the other issuer", by(&region.setup.issuer, &own(json!({})))),
        ("the other issuer's audience", by(&second, &own(json!({ "aud": region.setup.base() })))),
        ("the other issuer's name", by(&second, &Issuer::claims(&region.setup.base(), json!({})))),
        ("a claim of another form", by(&second, &own(json!({ "why": { "code": 7 } })))),
    ] {
        assert_eq!(caller.get("Patient/anna").await.status, StatusCode::UNAUTHORIZED, "{case}");
    }
    region.stop().await;
}

#[tokio::test]
async fn a_patients_scopes_open_that_patients_data_alone() {
    let region = Region::start("").await;
    for (id, patient) in [("own", "anna"), ("other", "bruno")] {
        region.seed(
            &json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
            "subject": { "reference": format!("Patient/{patient}") } }),
        );
    }
    let with = |changed: Value| region.asking().with_token(Some(region.setup.token(changed)));
    let anna = with(json!({ "scope": "patient/*.rs", "patient": "anna" }));
    for own in ["Patient/anna", "Observation/own"] {
        assert_eq!(anna.get(own).await.status, StatusCode::OK, "{own}");
    }
    // Visible to a doctor, absent for her: as absent as what never was.
    for (other, nothing) in
        [("Patient/bruno", "Patient/nobody"), ("Observation/other", "Observation/nothing")]
    {
        assert_eq!(region.asking().get(other).await.status, StatusCode::OK, "{other}");
        assert_eq!(anna.get(other).await.appearance(), anna.get(nothing).await.appearance(), "{other}");
    }
    let found = anna.get("Observation").await.json();
    assert_eq!((found["total"].clone(), found["entry"].as_array().unwrap().len()), (json!(1), 1), "{found}");
    assert_eq!(found["entry"][0]["resource"]["id"], "own");
    let joined = anna.get("Observation?_include=Observation:subject&_revinclude=Provenance:target").await;
    assert!(!String::from_utf8_lossy(&joined.body).contains("bruno"), "{:?}", joined.body);
    let whole = anna.get("Patient/anna/$everything").await.json();
    assert_eq!(whole["total"], 2, "{whole}");
    assert_eq!(anna.get("Patient/bruno/$everything").await.status, StatusCode::NOT_FOUND);
    assert_eq!(anna.get("Observation/$lastn?patient=bruno&category=x").await.json()["total"], 0);
    // Consents and writes are not confined to a patient, so such scopes don't open them.
    assert_eq!(anna.get("Consent?patient=Patient/anna").await.status, StatusCode::FORBIDDEN);
    let unnamed = with(json!({ "scope": "patient/*.rs" }));
    assert_eq!(unnamed.get("Patient/anna").await.status, StatusCode::FORBIDDEN, "no patient claim, no data");
    let reference = with(json!({ "scope": "patient/*.rs", "patient": "Patient/bruno" }));
    assert_eq!(reference.get("Patient/bruno").await.status, StatusCode::OK);
    assert_eq!(reference.get("Patient/anna").await.status, StatusCode::NOT_FOUND);
    region.stop().await;
}

/// A patient who consented to treatment, whoever asks.
async fn consented(region: &Region) {
    region.seed(&json!({ "resourceType": "Patient", "id": "anna", "name": [{ "family": "Forlì" }],
        "identifier": [{ "system": "http://hl7.it/sid/codiceFiscale", "value": "CF-anna" }] }));
    let purpose =
        json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" }]);
    let permit = harness::consent("Patient/anna", json!({ "type": "permit", "purpose": purpose }));
    let asking: Asking = region.asking();
    assert_eq!(asking.post("Consent", &permit).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_about_one_person_opens_nobody_elses_data() {
    let region = Region::start("").await;
    let observation = |id: &str, patients: &[&str]| {
        let subject = json!({ "reference": format!("Patient/{}", patients[0]) });
        let performer: Vec<Value> =
            patients[1..].iter().map(|other| json!({ "reference": format!("Patient/{other}") })).collect();
        let mut own = json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
            "subject": subject });
        if !performer.is_empty() {
            own["performer"] = performer.into();
        }
        own
    };
    region.seed(&observation("own", &["anna"]));
    region.seed(&observation("other", &["bruno"]));
    region.seed(&observation("both", &["anna", "bruno"]));
    region.seed(&json!({ "resourceType": "Organization", "id": "o", "name": "Niguarda" }));
    let about = |person: &str| {
        let iua = json!({ "subject_name": "Lucia Rossi", "subject_organization": "ASST Niguarda",
            "subject_organization_id": "urn:oid:2.16.840.1.113883.2.9.4.1.2|030913", "person_id": person,
            "home_community_id": "urn:oid:2.16.840.1.113883.2.9.2.30",
            "subject_role": { "system": "urn:test:role", "code": "AAS" },
            "purpose_of_use": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT" } });
        region.asking().with_token(Some(region.setup.token(json!({ "extensions": { "ihe_iua": iua } }))))
    };
    let anna = about("CF-anna^^^&2.16.840.1.113883.2.9.4.3.2&ISO");
    for open in ["Patient/anna", "Observation/own", "Organization/o"] {
        assert_eq!(anna.get(open).await.status, StatusCode::OK, "{open}");
    }
    for (hidden, nothing) in [
        ("Patient/bruno", "Patient/nobody"),
        ("Observation/other", "Observation/nothing"),
        ("Observation/both", "Observation/nothing"),
    ] {
        assert_eq!(region.asking().get(hidden).await.status, StatusCode::OK, "{hidden}");
        assert_eq!(anna.get(hidden).await.appearance(), anna.get(nothing).await.appearance(), "{hidden}");
    }
    let found = anna.get("Observation").await.json();
    assert_eq!(
        (&found["total"], &found["entry"][0]["resource"]["id"]),
        (&json!(1), &json!("own")),
        "{found}"
    );
    assert_eq!(anna.get("Patient?identifier=CF-bruno").await.json()["total"], 0);
    // Writes, the gateway's own consents and its trail are within the same bound.
    let mut written = observation("new", &["bruno"]);
    written.as_object_mut().unwrap().remove("id");
    assert_eq!(anna.post("Observation", &written).await.status, StatusCode::FORBIDDEN);
    written["subject"]["reference"] = "Patient/anna".into();
    assert_eq!(anna.post("Observation", &written).await.status, StatusCode::CREATED);
    let born = |code: &str| {
        json!({ "resourceType": "Patient",
        "identifier": [{ "system": "urn:oid:2.16.840.1.113883.2.9.4.3.2", "value": code }] })
    };
    assert_eq!(anna.post("Patient", &born("CF-bruno")).await.status, StatusCode::FORBIDDEN);
    let given = harness::consent("Patient/bruno", json!({ "type": "permit" }));
    assert_eq!(anna.post("Consent", &given).await.status, StatusCode::FORBIDDEN);
    let kept = region.asking().get("Consent?patient=Patient/bruno").await.json();
    let consent = format!("Consent/{}", kept["entry"][0]["resource"]["id"].as_str().unwrap());
    assert_eq!(anna.get("Consent?patient=Patient/bruno").await.json()["total"], 0);
    assert_eq!(anna.get("Consent?patient=Patient/anna").await.json()["total"], 1);
    assert_eq!(anna.get(&consent).await.appearance(), anna.get("Consent/nothing").await.appearance());
    assert_eq!(anna.put(&consent, &kept["entry"][0]["resource"]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(anna.get("AuditEvent?patient=Patient/bruno").await.json()["total"], 0);
    assert_ne!(anna.get("AuditEvent?patient=Patient/anna").await.json()["total"], 0);
    assert_eq!(anna.get("AuditEvent").await.json()["total"], 0);
    // Who asks stands in the record by name, as BALP has it.
    let record = region.audited(&anna.get("Observation/own").await).await;
    let provider =
        record["agent"].as_array().unwrap().iter().find(|own| own["type"]["coding"][0]["code"] == "PROV");
    assert_eq!(provider.unwrap()["who"]["display"], "ASST Niguarda", "{record}");
    assert!(record.to_string().contains("home-community"), "{record}");
    let denied = region.audited(&anna.get("Observation/other").await).await;
    assert!(denied["outcomeDesc"].as_str().unwrap().contains("about another patient alone"), "{denied}");
    // Nobody clearly named, nobody's token.
    for unclear in ["CF-anna", "CF-anna^^^MEF", "|CF-anna", "CF-anna^^^&x&ISO"] {
        assert_eq!(about(unclear).get("Patient/anna").await.status, StatusCode::UNAUTHORIZED, "{unclear}");
    }
    region.stop().await;
}
