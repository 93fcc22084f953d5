#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// A folder with the files that a good configuration names.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("server.pem", &certificate.pem());
        write("server.key", &key.serialize_pem());
        write("other.key", &KeyPair::generate().unwrap().serialize_pem());
        write(
            "hub.jwks.json",
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        );
        write("shared.jwks.json", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"s"}]}"#);
        Folder(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("varco.toml")
    }

    fn faults(&self, text: &str) -> Vec<(usize, String)> {
        match from_text(text, &self.file()) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Faulty { faults, .. }) => faults
                .into_iter()
                .map(|fault| (fault.line, format!("{}: {} {}", fault.setting, fault.cause, fault.cure)))
                .collect(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The one fault of a configuration: its line, and whether its words hold all of these.
    fn fault(&self, text: &str, words: &[&str]) -> usize {
        let faults = self.faults(text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        for word in words {
            assert!(faults[0].1.contains(word), "{:?} lacks {word}", faults[0].1);
        }
        faults[0].0
    }
}

const GOOD: &str = r#"[site]
id = "030913"
base_url = "https://fhir.niguarda.example/fhir"
[listen]
address = "0.0.0.0:8443"
tls = { certificate = "server.pem", key = "server.key" }
[upstream]
url = "http://127.0.0.1:8080/fhir"
[tokens]
issuer = "https://hub.example"
jwks = "hub.jwks.json"
[store]
path = "varco.sqlite"
"#;

#[test]
fn ten_lines_are_enough() {
    let folder = Folder::new();
    let config = from_text(GOOD, &folder.file()).unwrap();
    assert_eq!(config.site.base_path(), "/fhir");
    assert_eq!(config.limits.page_size, 50);
    assert_eq!(config.consent.without_consent, WithoutConsent::Deny);
    assert_eq!(config.store.path, folder.0.path().join("varco.sqlite"));
}

#[test]
fn windows_line_ends_change_nothing() {
    let folder = Folder::new();
    let windows = GOOD.replace('\n', "\r\n");
    assert!(from_text(&windows, &folder.file()).is_ok());
    assert_eq!(folder.fault(&windows.replace("8080/fhir\"", "8080/fhir"), &["not TOML"]), 8);
}

#[test]
fn a_slip_of_the_hand_is_named_with_its_line_and_the_right_name() {
    let folder = Folder::new();
    let faults = folder.faults(&GOOD.replace("issuer =", "isuer ="));
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].0 == 9 && faults[0].1.contains("`issuer` is missing"), "{faults:?}");
    assert!(faults[1].0 == 10 && faults[1].1.contains("Did you mean `issuer`?"), "{faults:?}");
}

#[test]
fn shape_faults_name_line_cause_and_cure() {
    let folder = Folder::new();
    let with = |line: &str| format!("{GOOD}{line}\n");
    assert_eq!(
        folder.fault(&with("[limits]\npage_sise = 3"), &["limits.page_sise", "Did you mean `page_size`?"]),
        15
    );
    assert_eq!(
        folder.fault(&with("[limits]\nburst = 0"), &["limits.burst", "too small", "The least is 1"]),
        15
    );
    assert_eq!(folder.fault(&with("[log]\nlevel = \"loud\""), &["log.level", "\"info\""]), 15);
    assert_eq!(
        folder.fault(&GOOD.replace("id = \"030913\"", "id = 30913"), &["site.id", "wrong type", "a string"]),
        2
    );
    assert_eq!(
        folder.fault(&GOOD.replace("[store]\npath = \"varco.sqlite\"\n", ""), &["`store` is missing"]),
        1
    );
    assert_eq!(folder.fault(&with("[site]"), &["not TOML"]), 14);
}

#[test]
fn several_faults_are_all_told() {
    let folder = Folder::new();
    let faults = folder.faults(&GOOD.replace("id = ", "ident = ").replace("issuer =", "holder ="));
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn the_world_must_fit() {
    let folder = Folder::new();
    let change = |from: &str, to: &str| GOOD.replace(from, to);
    assert_eq!(
        folder.fault(&change("server.key", "other.key"), &["listen.tls.key", "don't belong together"]),
        6
    );
    assert_eq!(
        folder.fault(&change("server.pem", "missing.pem"), &["listen.tls.certificate", "missing.pem"]),
        6
    );
    assert_eq!(folder.fault(&change("hub.jwks", "shared.jwks"), &["tokens.jwks", "symmetric"]), 11);
    assert_eq!(folder.fault(&change("http://127", "https://127"), &["upstream.url", "Add `ca`"]), 8);
    assert_eq!(
        folder.fault(&change("\"varco.sqlite", "\"missing/varco.sqlite"), &["store.path", "doesn't exist"]),
        13
    );
    let clear = GOOD.replace("tls = { certificate = \"server.pem\", key = \"server.key\" }\n", "");
    assert_eq!(folder.fault(&clear, &["listen.address", "without TLS", "behind_tls_terminator"]), 5);
    assert!(folder.faults(&clear.replace("0.0.0.0", "127.0.0.1")).is_empty());
    let twice = format!(
        "{GOOD}[[identity.alias]]\nlocal = \"a\"\nnetwork = \"b\"\n[[identity.alias]]\nlocal = \"b\"\nnetwork = \"c\"\n"
    );
    folder.fault(&twice, &["identity.alias", "stands in two groups"]);
    let zone = format!("{GOOD}[consent]\ntime_zone = \"Europe/Roma\"\n");
    assert_eq!(folder.fault(&zone, &["consent.time_zone", "Europe/Rome"]), 15);
}

#[test]
fn the_schema_allows_what_the_types_read_and_nothing_else() {
    let folder = Folder::new();
    let all = format!(
        "{GOOD}[admin]\naddress = \"127.0.0.1:9000\"\n[consent]\ncombining = \"most-recent\"\nwithout_consent = \"permit\"\n\
         inherit_labels = \"all\"\n[fse]\nmasking = true\nmasking_systems = [\"urn:m\"]\nprescription_systems = [\"urn:p\"]\nrole_systems = [\"urn:r\"]\n\
         [[identity.alias]]\nlocal = \"a\"\nnetwork = \"b\"\nalso = [\"c\"]\n[log]\nlevel = \"debug\"\n"
    );
    let config = from_text(&all, &folder.file()).unwrap();
    assert_eq!(config.consent.combining, Combining::MostRecent);
    assert_eq!(config.consent.inherit_labels, InheritLabels::All);
    let systems = config.fse.systems();
    assert!(config.fse.masking && systems.masking.len() == 3 && systems.prescription.len() == 3);
    assert_eq!(systems.roles, ["urn:r"]);
    assert_eq!(config.identity.alias.len(), 1);
    assert_eq!(config.log.level, Level::Debug);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("no/such/varco.toml")).err().unwrap();
    assert!(error.to_string().starts_with("no/such/varco.toml: can't be read"));
}

const ROUTE: &str = "[[route]]\nname = \"lab\"\ntypes = [\"Observation\"]\n[route.validation]\nrequests = \"enforce\"\n\
    [[route.validation.profile]]\ntype = \"Observation\"\ncanonical = \"http://hl7.org/fhir/StructureDefinition/vitalsigns\"\n";

#[test]
fn routes_name_profiles_that_are_at_hand_and_fit() {
    let folder = Folder::new();
    let good = format!("{GOOD}{ROUTE}");
    let config = from_text(&good, &folder.file()).unwrap();
    let [route] = config.route.as_slice() else { panic!("{:?}", config.route) };
    assert_eq!(route.validation.mode(Direction::Requests), ValidationMode::Enforce);
    assert_eq!(route.validation.mode(Direction::Responses), ValidationMode::Off);
    assert_eq!(route.validation.profiles(Direction::Requests, "Observation").count(), 1);
    assert!(route.takes("Observation", "ward") && !route.takes("Patient", "ward"));
    let change = |from: &str, to: &str| good.replace(from, to);
    assert_eq!(
        folder.fault(&change("vitalsigns", "vitalsins"), &["canonical", "vitalsins", "validation.packages"]),
        21
    );
    folder.fault(
        &change("StructureDefinition/vitalsigns", "StructureDefinition/bmi\"\ndirection = \"responses"),
        &["has no effect", "responses"],
    );
    folder.fault(&change("\"enforce\"", "\"enforced\""), &["route[0].validation.requests", "\"warn\""]);
    folder.fault(
        &change("[\"Observation\"]", "[\"Observation\", \"Osservazione\"]"),
        &["no resource type Osservazione"],
    );
    let patient = change("type = \"Observation\"", "type = \"Patient\"").replace("vitalsigns", "Patient");
    folder.fault(&patient, &["does not take Patient"]);
    folder.fault(
        &change("types = [\"Observation\"]\n", "").replace("type = \"Observation\"", "type = \"Patient\""),
        &["one of Observation"],
    );
    folder.fault(&format!("{good}[[route]]\nname = \"lab\"\n"), &["route[1].name", "taken"]);
    folder.fault(
        &format!("{GOOD}[[route]]\nname = \"all\"\n[[route]]\nname = \"none\"\n"),
        &["No request comes here"],
    );
    folder.fault(
        &format!("{good}[validation]\npackages = [\"missing.tgz\"]\n"),
        &["validation", "missing.tgz"],
    );
}

#[test]
fn a_profile_from_a_file_is_at_hand() {
    let folder = Folder::new();
    let profile = r#"{"resourceType":"StructureDefinition","url":"http://example.org/p","name":"P","status":"draft",
        "kind":"resource","abstract":false,"type":"Observation","derivation":"constraint",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Observation","differential":{"element":[
        {"id":"Observation.issued","path":"Observation.issued","min":1}]}}"#;
    std::fs::write(folder.0.path().join("p.json"), profile).unwrap();
    let text =
        format!("{GOOD}{ROUTE}").replace("hl7.org/fhir/StructureDefinition/vitalsigns", "example.org/p");
    folder.fault(&text, &["example.org/p"]);
    assert!(folder.faults(&format!("{text}[validation]\ndefinitions = [\"p.json\"]\n")).is_empty());
}

#[test]
fn a_terminology_server_is_reachable_in_safety() {
    let folder = Folder::new();
    let with = |lines: &str| format!("{GOOD}[terminology]\n{lines}\n");
    let config = from_text(&with("url = \"http://127.0.0.1:9999/r4\""), &folder.file()).unwrap();
    assert_eq!(config.terminology.unwrap().questions, 200);
    assert!(from_text(GOOD, &folder.file()).unwrap().terminology.is_none(), "never on by default");
    folder.fault(&with("url = \"https://tx.example.org\""), &["terminology.url", "Add `ca`"]);
    assert!(folder.faults(&with("url = \"https://tx.example.org\"\nca = \"server.pem\"")).is_empty());
    let secret = "token_file = \"server.key\"";
    folder.fault(
        &with(&format!("url = \"http://127.0.0.1:1\"\n{secret}")),
        &["terminology.token_file", "no bearer token"],
    );
    std::fs::write(folder.0.path().join("tx.token"), "abc\n").unwrap();
    let secret = "token_file = \"tx.token\"";
    assert!(folder.faults(&with(&format!("url = \"http://127.0.0.1:1\"\n{secret}"))).is_empty());
    folder.fault(
        &with(&format!("url = \"http://tx.example.org\"\n{secret}")),
        &["terminology.url", "in the clear"],
    );
    folder.fault(&with("url = \"http://127.0.0.1:1\"\ntotal_seconds = 2"), &["terminology.total_seconds"]);
}

const MLLP: &str =
    "[mllp]\naddress = \"127.0.0.1:2575\"\n[[mllp.sender]]\nname = \"lis\"\napplication = \"LAB\"\n";

#[test]
fn messages_need_an_address_and_a_sender_and_the_rest_has_defaults() {
    let folder = Folder::new();
    let config = from_text(&format!("{GOOD}{MLLP}"), &folder.file()).unwrap();
    let mllp = config.mllp.unwrap();
    assert_eq!((mllp.zone.as_str(), mllp.validation), ("Europe/Rome", ValidationMode::Enforce));
    assert_eq!((mllp.processing, mllp.remember_hours), (vec!["P".to_owned()], 72));
    assert!(mllp.sender[0].sends("ORU", "R01"));
    let without = format!("{GOOD}[mllp]\naddress = \"127.0.0.1:2575\"\n");
    assert_eq!(folder.fault(&without, &["`sender` is missing", "Who may send"]), 14);
}

#[test]
fn each_fault_of_the_messages_names_line_cause_and_cure() {
    let folder = Folder::new();
    let tls = "tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"server.pem\" }\n";
    let changed = |from: &str, to: &str| format!("{GOOD}{}", MLLP.replace(from, to));
    let header = |more: &str| changed("[[mllp", &format!("{more}[[mllp"));
    let cases: [(String, usize, &[&str]); 14] = [
        (
            format!("{GOOD}{MLLP}limits = {{ burst = 9 }}\n"),
            19,
            &["limits.burst", "no effect without a rate"],
        ),
        (format!("{GOOD}{MLLP}limits = {{ at_a_time = 9 }}\n"), 19, &["at_a_time"]),
        (changed("127.0.0.1:2575", "127.0.0.1:9464"), 15, &["operator's port"]),
        (header("zone = \"Europe/Milan\"\n"), 16, &["no time zone Europe/Milan", "Europe/Rome"]),
        (header("validation = \"warn\"\n"), 16, &["not one of the choices", "enforce"]),
        (header("sendr = 3\n"), 16, &["Did you mean `sender`?"]),
        (
            header("tls = { certificate = \"server.pem\", key = \"other.key\" }\n"),
            16,
            &["don't belong together"],
        ),
        (header(&format!("{tls}in_the_clear = true\n")), 17, &["no effect beside TLS"]),
        (
            format!("{GOOD}{MLLP}certificate_name = \"lis.example.org\"\n"),
            19,
            &["never be let in", "client_ca"],
        ),
        (
            format!("{}certificate_sha256 = \"ab:cd\"\n", header(tls)),
            20,
            &["not a SHA-256 fingerprint", "openssl"],
        ),
        (format!("{}certificate_name = \"lis 1\"\n", header(tls)), 20, &["not a DNS name"]),
        (format!("{GOOD}{MLLP}types = [\"oru\"]\n"), 19, &["not the right form"]),
        (format!("{GOOD}{MLLP}addresses = [\"lis.example.org\"]\n"), 19, &["not the right form"]),
        (
            format!(
                "{GOOD}{MLLP}[[mllp.sender]]\nname = \"other\"\napplication = \"LAB\"\nfacility = \"1\"\n"
            ),
            21,
            &["from this sender and from lis", "facility"],
        ),
    ];
    for (text, line, words) in &cases {
        assert_eq!(folder.fault(text, words), *line, "{text}");
    }
}

#[test]
fn a_message_port_that_others_reach_needs_tls_and_senders_that_are_told_by_more_than_a_header() {
    let folder = Folder::new();
    let open = MLLP.replace("127.0.0.1", "10.0.0.1");
    let faults = folder.faults(&format!("{GOOD}{open}"));
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].0 == 15 && faults[0].1.contains("without TLS"), "{faults:?}");
    assert!(faults[1].0 == 16 && faults[1].1.contains("call himself LAB"), "{faults:?}");
    let clear = open.replace("[[", "in_the_clear = true\n[[");
    assert_eq!(folder.fault(&format!("{GOOD}{clear}"), &["call himself LAB", "addresses"]), 17);
    assert!(
        from_text(&format!("{GOOD}{clear}addresses = [\"10.0.0.7\", \"::1\"]\n"), &folder.file()).is_ok()
    );
    let tls = "tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"server.pem\" }\n[[";
    let certified = format!("{GOOD}{}certificate_name = \"lis.example.org\"\n", open.replace("[[", tls));
    assert!(from_text(&certified, &folder.file()).is_ok(), "{:?}", folder.faults(&certified));
}

#[test]
fn keys_come_from_a_file_or_from_a_url_that_may_be_fetched() {
    let folder = Folder::new();
    let with = |lines: &str| GOOD.replace("jwks = \"hub.jwks.json\"\n", lines);
    let https = "jwks_url = \"https://hub.example/keys\"\n";
    let good =
        with(&format!("{https}jwks_ca = \"server.pem\"\njwks_networks = [\"10.1.0.0/16\", \"::1\"]\n"));
    let config = from_text(&good, &folder.file()).unwrap();
    let issuer = config.issuers().next().unwrap();
    assert_eq!((issuer.refresh_seconds, issuer.max_age_seconds), (300, 86_400));
    assert_eq!(issuer.jwks_ca.as_deref(), Some(folder.0.path().join("server.pem").as_path()));
    let clear = |host: &str| with(&format!("jwks_url = \"http://{host}/keys\"\njwks_in_the_clear = true\n"));
    for host in ["127.0.0.1:8080", "localhost", "[::1]:80"] {
        assert!(from_text(&clear(host), &folder.file()).is_ok(), "{host}");
    }
    folder.fault(&clear("10.1.2.3"), &["tokens.jwks_url", "is not https"]);
    folder.fault(&with(""), &["tokens: The issuer's keys are missing.", "`jwks_url`"]);
    folder.fault(&with(https), &["tokens.jwks_url", "Add `jwks_ca`"]);
    folder.fault(
        &with("jwks_url = \"http://127.0.0.1/keys\"\n"),
        &["in the clear", "jwks_in_the_clear = true"],
    );
    folder.fault(&with("jwks_url = \"ftp://hub/keys\"\n"), &["tokens.jwks_url", "https URL"]);
    folder.fault(
        &good.replace("10.1.0.0/16", "10.1.0.0/33"),
        &["jwks_networks[0]", "10.1.0.0/33 is not a range"],
    );
    folder.fault(&good.replace("jwks_ca", "jwks_caa"), &["tokens.jwks_caa", "Did you mean `jwks_ca`?"]);
    folder.fault(&GOOD.replace("jwks =", "jwks_in_the_clear = true\njwks ="), &["has no effect on a file"]);
    folder.fault(
        &GOOD.replace("jwks =", "max_age_seconds = 60\njwks ="),
        &["too old before they are read anew"],
    );
    folder.fault(
        &GOOD.replace("jwks =", "algorithms = [\"HS256\"]\njwks ="),
        &["tokens.algorithms[0]", "\"ES256\""],
    );
}

#[test]
fn several_issuers_stand_beside_each_other_once_each() {
    let folder = Folder::new();
    let more = "[[issuer]]\nissuer = \"https://other.example\"\njwks = \"hub.jwks.json\"\n";
    assert_eq!(from_text(&format!("{GOOD}{more}"), &folder.file()).unwrap().issuers().count(), 2);
    let alone = GOOD.replace("[tokens]", "[[issuer]]");
    assert_eq!(from_text(&alone, &folder.file()).unwrap().issuers().count(), 1);
    let line =
        folder.fault(&format!("{alone}{}", more.replace("other", "hub")), &["issuer[1].issuer", "twice"]);
    assert_eq!(line, 15);
    folder.fault(
        &format!("{GOOD}{}", more.replace("hub.jwks", "shared.jwks")),
        &["issuer[0].jwks", "symmetric"],
    );
    let none = GOOD.replace("[tokens]\nissuer = \"https://hub.example\"\njwks = \"hub.jwks.json\"\n", "");
    folder.fault(&none, &["Nobody's tokens are accepted", "Add [tokens]"]);
}

#[test]
fn callers_of_fse_need_a_name_authorities_and_scopes() {
    let folder = Folder::new();
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let write = |name: &str, params: &CertificateParams| {
        std::fs::write(folder.0.path().join(name), params.self_signed(&key).unwrap().pem()).unwrap();
    };
    write("fse.pem", &params);
    params.not_after = rcgen::date_time_ymd(2024, 1, 1);
    write("over.pem", &params);
    let good = format!(
        "{GOOD}[[issuer]]\nkind = \"fse\"\nissuer = \"auth:*\"\nca = \"fse.pem\"\nscopes = [\"system/*.rs\"]\n"
    );
    assert!(from_text(&good, &folder.file()).is_ok(), "{:?}", folder.faults(&good));
    for (part, by, words) in [
        ("auth:*", "integrity:X", ["issuer[0].issuer", "auth:"]),
        ("ca = \"fse.pem\"\n", "", ["issuer[0]: The authorities", "`ca`"]),
        ("fse.pem", "server.pem", ["issuer[0].ca", "not an authority's"]),
        ("fse.pem", "over.pem", ["issuer[0].ca", "None of the authorities' certificates holds now"]),
        ("scopes = [\"system/*.rs\"]\n", "", ["issuer[0]: The tokens of FSE carry no scopes", "`scopes`"]),
        ("system/*.rs", "patient/*.rs", ["issuer[0].scopes[0]", "is not a scope"]),
        (
            "kind = \"fse\"\n",
            "kind = \"fse\"\nalgorithms = [\"ES256\"]\n",
            ["algorithms", "RS256, RS384 or RS512"],
        ),
        ("kind = \"fse\"\n", "kind = \"fse\"\njwks = \"x\"\n", ["issuer[0].jwks", "no effect with kind"]),
    ] {
        folder.fault(&good.replace(part, by), &words);
    }
    folder.fault(&GOOD.replace("[store]", "ca = \"server.pem\"\n[store]"), &["tokens.ca", "without kind"]);
}

#[test]
fn emergencies_need_roles_and_go_over_what_is_known() {
    let folder = Folder::new();
    let with = |lines: &str| format!("{GOOD}[break_glass]\n{lines}\n");
    let own =
        from_text(&with("roles = [\"urn:r|AAS\", \"PSS\"]"), &folder.file()).unwrap().break_glass.unwrap();
    let rules = own.rules();
    assert_eq!((rules.roles[0].system.as_str(), rules.roles[1].code.as_str()), ("urn:r", "PSS"));
    assert_eq!((rules.overrides.len(), rules.reason_required, rules.longest), (2, true, 3600));
    folder.fault(&with("minutes = 5"), &["`roles` is missing"]);
    folder.fault(
        &with("roles = [\"AAS\"]\noverrides = [\"masked\"]"),
        &["break_glass.overrides[0]", "\"withheld\""],
    );
    folder.fault(&with("roles = [\"AAS|\"]"), &["break_glass.roles[0]"]);
}

#[test]
fn claims_are_mapped_by_name_and_systems_need_their_claim() {
    let folder = Folder::new();
    let with = |lines: &str| format!("{GOOD}[tokens.claims]\n{lines}\n");
    let config =
        from_text(&with("role = \"/realm/roles\"\nrole_system = \"urn:r\""), &folder.file()).unwrap();
    assert_eq!(config.issuers().next().unwrap().claims.role.as_deref(), Some("/realm/roles"));
    folder.fault(&with("rolle = \"x\""), &["tokens.claims.rolle", "Did you mean `role`?"]);
    folder
        .fault(&with("purpose_system = \"urn:p\""), &["tokens.claims.purpose_system", "Name the claim too."]);
    let once = GOOD.replace("[store]", "one_time = true\n[store]");
    assert_eq!(from_text(&once, &folder.file()).unwrap().issuers().next().unwrap().longest(), Some(3600));
    assert_eq!(from_text(GOOD, &folder.file()).unwrap().issuers().next().unwrap().longest(), None);
}

#[test]
fn records_are_kept_for_a_span_of_time_and_sent_in_safety() {
    let folder = Folder::new();
    let with = |lines: &str| format!("{GOOD}{lines}\n");
    let config = from_text(
        &with("[audit]\nkeep = \"5 years\"\n[audit.export]\nurl = \"http://127.0.0.1:1/fhir/AuditEvent/\"\n[telemetry.otlp]\nendpoint = \"http://127.0.0.1:4318\""),
        &folder.file(),
    )
    .unwrap();
    let export = config.audit.export.as_ref().unwrap();
    assert_eq!((export.place(), export.batch), ("http://127.0.0.1:1/fhir/AuditEvent", 100));
    assert!(config.audit.kept_for().is_some() && !config.telemetry.otlp.unwrap().audit);
    assert!(from_text(GOOD, &folder.file()).unwrap().audit.kept_for().is_none(), "all are kept");
    for (lines, words) in [
        ("[audit]\nkeep = \"five years\"", ["audit.keep", "5 years or 90 days"]),
        ("[audit.export]\nurl = \"https://arr.example/AuditEvent\"", ["audit.export.url", "Add `ca`"]),
        ("[audit.export]\nurl = \"http://arr.example/fhir\"", ["audit.export.url", "/AuditEvent at its end"]),
        (
            "[audit.export]\nurl = \"http://arr.example/AuditEvent\"\ntoken_env = \"PATH\"",
            ["audit.export.url", "in the clear"],
        ),
        (
            "[telemetry.otlp]\nendpoint = \"http://c.example\"\ncertificate = \"server.pem\"",
            ["telemetry.otlp.certificate", "Add `key`"],
        ),
        ("[telemetry.otlp]\nendpoint = \"c.example\"", ["telemetry.otlp.endpoint", "Its base URL"]),
        ("[telemetry.otlp]\nurl = \"http://c.example\"", ["telemetry.otlp", "`endpoint`"]),
        (
            "[telemetry.otlp]\nendpoint = \"http://c.example\"\naudit_includes = [\"names\"]",
            ["audit_includes", "agents"],
        ),
    ] {
        let faults = folder.faults(&with(lines));
        assert!(
            faults.iter().any(|(_, fault)| words.iter().all(|word| fault.contains(word))),
            "{lines}: {faults:?}"
        );
    }
}

#[test]
fn the_bounds_of_the_server_fit_each_other() {
    let folder = Folder::new();
    let with = |settings: &str| GOOD.replace("8080/fhir\"\n", &format!("8080/fhir\"\n{settings}\n"));
    let own = from_text(GOOD, &folder.file()).unwrap().upstream;
    assert_eq!((own.concurrency, own.first_byte(), own.idle()), (256, 30, 10));
    let own = from_text(&with("answer_seconds = 5"), &folder.file()).unwrap().upstream;
    assert_eq!((own.first_byte(), own.idle()), (5, 5), "no more than the whole");
    let two = "addresses = [\"10.0.0.1:80\", \"[fd00::1]:80\"]\n[upstream.ejection]\nseconds = 5";
    assert_eq!(from_text(&with(two), &folder.file()).unwrap().upstream.addresses.len(), 2);
    for (settings, words) in [
        ("idle_seconds = 31", ["upstream.idle_seconds", "at most `answer_seconds`"]),
        ("first_byte_seconds = 31", ["upstream.first_byte_seconds", "no effect"]),
        ("answer_seconds = 1\nqueue_milliseconds = 1001", ["upstream.queue_milliseconds", "whole answer"]),
        ("addresses = [\"10.0.0.1:80\", \"10.0.0.1:80\"]", ["upstream.addresses[1]", "twice"]),
        ("addresses = [\"0.0.0.0:80\"]", ["upstream.addresses[0]", "Nothing can be reached"]),
        ("certificate = \"server.pem\"", ["upstream.certificate", "Add `key`"]),
        ("certificate = \"server.pem\"\nkey = \"server.key\"", ["upstream.certificate", "https"]),
        (
            "breaker = { open_seconds = 9, most_open_seconds = 3 }",
            ["upstream.breaker.most_open_seconds", "9"],
        ),
        ("ejection = { seconds = 5 }", ["upstream.ejection", "several addresses"]),
    ] {
        assert!(folder.fault(&with(settings), &words) >= 8, "{settings}");
    }
    let tls = |key: &str| {
        let own = format!("ca = \"server.pem\"\ncertificate = \"server.pem\"\nkey = \"{key}\"");
        with(&own).replace("http://127", "https://127")
    };
    assert!(folder.faults(&tls("server.key")).is_empty());
    folder.fault(&tls("other.key"), &["upstream.key", "don't belong together"]);
}

#[test]
fn limits_are_told_apart_and_a_priority_lane_is_for_some_alone() {
    let folder = Folder::new();
    let with = |lines: &str| format!("{GOOD}[limits]\n{lines}\n");
    let alarms = "[[limits.priority]]\nclients = [\"monitor\"]\ninteractions = [\"create\"]\ntypes = [\"Observation\"]";
    let config = from_text(&with(alarms), &folder.file()).unwrap();
    assert_eq!((config.limits.concurrent_priority, config.limits.bulk_places()), (64, 96));
    let rule = |more: &str| format!("[[limits.rule]]\nname = \"own\"\nrequests = 1\n{more}");
    for (lines, words) in [
        (rule("per = \"ward\""), ["limits.rule[0].per", "\"tenant\""]),
        (rule("per = \"client\"").replace("own", "day"), ["limits.rule[0].name", "The name day is taken"]),
        (
            rule("per = \"client\"\ntypes = [\"Vitals\"]"),
            ["limits.rule[0].types[0]", "no resource type Vitals"],
        ),
        (
            rule("per = \"operation\"\ninteractions = [\"read\"]"),
            ["limits.rule[0].per", "one for each client"],
        ),
        (
            rule("per = \"client\"\ninteractions = [\"reed\"]"),
            ["limits.rule[0].interactions[0]", "\"vread\""],
        ),
        (
            "concurrent = 4\nconcurrent_bulk = 5".to_owned(),
            ["limits.concurrent_bulk", "at most `concurrent`"],
        ),
        (format!("concurrent_priority = 0\n{alarms}"), ["limits.concurrent_priority", "at least one place"]),
        (alarms.replace("clients = [\"monitor\"]\n", ""), ["limits.priority[0]", "tokens vouch"]),
        (
            format!("concurrent = 193\n{alarms}"),
            ["limits.concurrent", "wait behind others for the hospital's server"],
        ),
        (
            "[[route]]\nname = \"g\"\ntypes = [\"MolecularSequence\"]\ncache_seconds = 9".to_owned(),
            ["route[0].cache_seconds", "never kept"],
        ),
        ("[[limits.bulk]]".to_owned(), ["limits.bulk[0]", "every request"]),
        (
            "[[limits.quota]]\nclients = [\"a\", \"a\"]\nrequests_per_day = 1".to_owned(),
            ["limits.quota[0].clients[1]", "has a quota already"],
        ),
    ] {
        folder.fault(&with(&lines), &words);
    }
}

const PUBLICATION: &str = r#"[publication]
[[publication.route]]
name = "fse"
path = "/fse/v1"
gateway = "https://gateway.example/gateway/v1"
ca = "server.pem"
certificate = "server.pem"
key = "server.key"
callers = "network"
networks = ["10.1.4.0/24"]
"#;

#[test]
fn messages_to_the_national_gateway_need_a_path_of_their_own_and_callers_that_are_known() {
    let folder = Folder::new();
    let config = from_text(&format!("{GOOD}{PUBLICATION}"), &folder.file()).unwrap();
    let publication = config.publication.unwrap();
    assert_eq!((publication.days, publication.route[0].mode), (5, PublicationMode::FseTransparent));
    assert_eq!(publication.route[0].below("/fse/v1/documents"), Some("/documents"));
    assert_eq!(
        (publication.route[0].below("/fse/v1"), publication.route[0].below("/fse/v10")),
        (Some(""), None)
    );
    let whole = format!("{GOOD}{PUBLICATION}");
    let cases: [(&str, &str, &[&str]); 13] = [
        (
            "callers = \"network\"\n",
            "limits = { burst = 3 }\ncallers = \"network\"\n",
            &["limits.burst", "no effect without a rate"],
        ),
        ("path = \"/fse/v1\"", "path = \"/fhir/fse\"", &["route[0].path", "meets the FHIR base"]),
        ("path = \"/fse/v1\"", "path = \"fse\"", &["has not the right form"]),
        ("[publication]\n", "[publication]\ndays = 6\n", &["publication.days", "The most is 5"]),
        (
            "[publication]\n",
            "[publication]\nbytes = 1048576\n",
            &["body_bytes", "larger than the whole outbox"],
        ),
        (
            "ca = \"server.pem\"\ncertificate = \"server.pem\"\nkey = \"server.key\"\n",
            "",
            &["gateway", "needs authorities"],
        ),
        (
            "certificate = \"server.pem\"\nkey = \"server.key\"\n",
            "certificate = \"server.pem\"\n",
            &["has no key"],
        ),
        ("\nkey = \"server.key\"\n", "\nkey = \"other.key\"\n", &["key", "don't belong together"]),
        ("networks = [\"10.1.4.0/24\"]\n", "", &["callers", "No network is listed"]),
        ("10.1.4.0/24", "10.1.4.0/33", &["networks[0]", "10.1.4.0/33 is not a range"]),
        (
            "callers = \"network\"\nnetworks = [\"10.1.4.0/24\"]",
            "callers = \"tokens\"",
            &["no issuer whose two tokens"],
        ),
        ("callers = \"network\"\n", "", &["`callers` is missing", "Who may publish"]),
        (
            "callers = \"network\"\n",
            "mode = \"enforce\"\ncallers = \"network\"\n",
            &["mode", "fse-transparent"],
        ),
    ];
    for (part, by, words) in cases {
        assert!(whole.contains(part), "{part}");
        folder.fault(&whole.replace(part, by), words);
    }
    let listed = |own: &str| {
        let callers = format!("callers = \"certificates\"\ncertificates = [\"{own}\"]");
        whole.replace("callers = \"network\"\nnetworks = [\"10.1.4.0/24\"]", &callers)
    };
    folder.fault(&listed(&"0f".repeat(32)), &["callers", "No caller shows a certificate", "client_ca"]);
    let shown = "key = \"server.key\", client_ca = \"server.pem\" }";
    folder
        .fault(&listed("aa").replace("key = \"server.key\" }", shown), &["certificates[0]", "not a SHA-256"]);
    let second = PUBLICATION.replace("[publication]\n", "").replace("/fse/v1", "/fse/v1/more");
    let faults = folder.faults(&format!("{whole}{second}"));
    assert!(
        faults.iter().any(|(_, told)| told.contains("could belong to this route and to fse")),
        "{faults:?}"
    );
    assert!(faults.iter().any(|(_, told)| told.contains("The name fse is taken")), "{faults:?}");
}

#[test]
fn what_passes_through_reaches_nothing_that_is_decided_about() {
    let folder = Folder::new();
    let with = |path: &str, url: &str, more: &str| {
        format!(
            "{GOOD}\n[[passthrough]]\nname = \"files\"\npath = \"{path}\"\nmethods = [\"GET\"]\nclients = [\"ward-app\"]\n\
             consent = \"not-checked\"\nreason = \"Nothing of a patient lies there.\"\n{more}\nserver = {{ url = \"{url}\" }}\n"
        )
    };
    let own = from_text(&with("/files", "http://files:8080/a", ""), &folder.file()).unwrap();
    let own = &own.passthrough[0];
    assert_eq!((own.audit, own.body_bytes, own.answer_bytes), (PassedAudit::Each, 64 << 20, 1 << 30));
    assert_eq!(
        (own.below("/files/a"), own.below("/files"), own.below("/filesx")),
        (Some("/a"), Some(""), None)
    );
    let fhir = from_text(GOOD, &folder.file()).unwrap().upstream.url;
    let beside = fhir.replace("/fhir", "/other");
    assert!(from_text(&with("/files", &beside, ""), &folder.file()).is_ok(), "{beside}");
    let above = fhir.replace("/fhir", "");
    let below = format!("{fhir}/Binary");
    for (path, url, more, words) in [
        ("/fhir", "http://files/a", "", ["passthrough[0].path", "meets the FHIR base"]),
        ("/fhir/Binary", "http://files/a", "", ["passthrough[0].path", "meets the FHIR base"]),
        ("/files/../fhir", "http://files/a", "", ["passthrough[0].path", "climbs"]),
        ("/files", &*fhir, "", ["passthrough[0].server.url", "the hospital's FHIR server"]),
        ("/files", &*above, "", ["passthrough[0].server.url", "the hospital's FHIR server"]),
        ("/files", &*below, "", ["passthrough[0].server.url", "the hospital's FHIR server"]),
        ("/files", "https://files/a", "", ["passthrough[0].server.url", "Add `ca`"]),
        (
            "/files",
            "http://files/a",
            "headers = [\"Authorization\"]",
            ["passthrough[0].headers[0]", "never passes"],
        ),
        (
            "/files",
            "http://files/a",
            "headers = [\"X-Forwarded-For\"]",
            ["passthrough[0].headers[0]", "never passes"],
        ),
        ("/files", "http://files/a", "audit = \"none\"", ["passthrough[0].audit", "each"]),
    ] {
        folder.fault(&with(path, url, more), &words);
    }
    let good = with("/files", "http://files/a", "");
    for (part, by, words) in [
        ("consent = \"not-checked\"\n", "", ["passthrough[0]", "`consent` is missing"]),
        ("\"not-checked\"", "\"checked\"", ["passthrough[0].consent", "not-checked"]),
        ("Nothing of a patient lies there.", "because, well", ["passthrough[0].reason", "no reason"]),
        ("[\"ward-app\"]", "[\"a\", \"a\"]", ["passthrough[0].clients[1]", "twice"]),
        ("[\"GET\"]", "[\"HEAD\"]", ["passthrough[0].methods", "Add GET"]),
    ] {
        folder.fault(&good.replace(part, by), &words);
    }
    let twice = format!("{good}{}", &with("/files/more", "http://files/b", "")[GOOD.len()..]);
    assert_eq!(folder.faults(&twice).len(), 2, "the name, and a path below the other's");
}
