#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::outcome::IssueType;

fn schema() -> SearchSchema {
    let types = ["Patient", "Observation", "Group", "Organization"];
    SearchSchema::new(types, |resource_type| {
        let named: &[(&str, ParameterKind)] = match resource_type {
            "Patient" => &[
                ("identifier", ParameterKind::Token),
                ("family", ParameterKind::Text),
                ("birthdate", ParameterKind::Date),
                ("organization", ParameterKind::Reference),
            ],
            "Organization" => &[("name", ParameterKind::Text), ("partof", ParameterKind::Reference)],
            "Observation" => &[
                ("identifier", ParameterKind::Token),
                ("code", ParameterKind::Token),
                ("patient", ParameterKind::Reference),
                ("subject", ParameterKind::Reference),
                ("date", ParameterKind::Date),
                ("value-quantity", ParameterKind::Quantity),
                ("code-value-quantity", ParameterKind::Composite),
                ("_text", ParameterKind::Text),
            ],
            _ => &[],
        };
        let targets = |name: &str| -> &[&str] {
            match name {
                "organization" | "partof" => &["Organization"],
                "patient" => &["Patient"],
                "subject" => &["Patient", "Group"],
                _ => &[],
            }
        };
        let made = |(name, kind): &(&str, ParameterKind)| {
            SearchParameter::new(name, *kind).leading_to(targets(name))
        };
        named.iter().map(made).collect()
    })
}

fn parse(method: &str, path: &str, query: &str) -> Result<Interaction, InteractionError> {
    let query = if query.is_empty() { None } else { Some(query) };
    Interaction::parse(method, path, query, None, &schema())
}

fn refused(method: &str, path: &str, query: &str) -> u16 {
    let error = parse(method, path, query).unwrap_err();
    assert!(!error.to_string().is_empty());
    error.status()
}

#[test]
fn each_interaction_is_recognised_and_written_anew() {
    for (method, path, name, upstream) in [
        ("GET", "/metadata", "capabilities", "GET /metadata"),
        ("GET", "/Patient/p%31", "read", "GET /Patient/p1"),
        ("GET", "Patient/p1/_history/2", "vread", "GET /Patient/p1/_history/2"),
        ("GET", "Patient/p1/%5Fhistory", "history-instance", "GET /Patient/p1/_history"),
        ("GET", "Patient", "search-type", "GET /Patient"),
        ("POST", "Patient/_search", "search-type", "GET /Patient"),
        ("POST", "Patient", "create", "POST /Patient"),
        ("PUT", "Patient/p1", "update", "PUT /Patient/p1"),
        ("DELETE", "Patient/p1", "delete", "DELETE /Patient/p1"),
        ("POST", "Patient/$validate", "operation", "POST /Patient/$validate"),
        ("POST", "Patient/p1/$validate", "operation", "POST /Patient/p1/$validate"),
    ] {
        let interaction = parse(method, path, "").unwrap();
        assert_eq!(interaction.name(), name);
        assert_eq!(interaction.is_write(), ["create", "update", "patch", "delete", "batch"].contains(&name));
        let request = interaction.to_request();
        assert_eq!(format!("{} {}", request.method, request.path_and_query), upstream);
        assert!(!interaction.to_string().contains("p1"), "{interaction}");
    }
}

#[test]
fn what_fhir_does_not_know_is_404() {
    for (method, path) in [
        ("GET", "/nothing"),
        ("GET", "/Patients"),
        ("GET", "/patient/p1"),
        ("GET", "/Patient/p1/_history/2/x"),
        ("GET", "/Patient/p1/nothing"),
        ("GET", "/$export"),
        ("GET", "/Patient/$everything"),
        ("GET", "/Patient/p1/%24lastn"),
        ("POST", "/Observation/p1/%24everything"),
        ("POST", "/Patient/$nothing"),
    ] {
        assert_eq!(refused(method, path, ""), 404, "{method} {path}");
    }
}

#[test]
fn what_fhir_knows_and_we_do_not_serve_is_405_with_the_methods_that_are() {
    for (method, path, query, allow) in [
        ("GET", "", "_type=Patient", &["POST"][..]),
        ("DELETE", "/", "", &["POST"]),
        ("POST", "/_history", "", &["GET"]),
        ("POST", "/_search", "", &[]),
        ("POST", "/Patient/_history", "", &["GET"]),
        ("GET", "/Patient/p1/Observation", "", &[]),
        ("GET", "/Patient/p1/*", "", &[]),
        ("POST", "/Patient/p1/%24everything", "", &["GET"]),
        ("HEAD", "/Patient", "", &["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ("HEAD", "/Patient/p1", "", &["GET", "PUT", "PATCH", "DELETE"]),
        ("get", "/Patient/p1", "", &["GET", "PUT", "PATCH", "DELETE"]),
        ("GET", "/Patient/_search", "", &["POST"]),
        ("DELETE", "/metadata", "", &["GET"]),
        ("DELETE", "/Patient/p1/_history/1", "", &["GET"]),
    ] {
        let error = parse(method, path, query).unwrap_err();
        assert_eq!((error.status(), error.allow()), (405, Some(allow)), "{method} {path}");
    }
}

#[test]
fn paths_that_can_be_read_in_two_ways_are_refused() {
    for path in [
        "//Patient/p1",
        "/Patient//p1",
        "/Patient/p1/",
        "/./Patient",
        "/Patient/../Observation",
        "/Patient/%2e%2e/Observation",
        "/Patient%2Fp1",
        "/Patient/p1%00",
        "/Patient/p1%",
        "/Patient/%FF",
        "/Patient/p_1",
        "/Patient/p%2531",
        &format!("/Patient/{}", "x".repeat(65)),
    ] {
        assert_eq!(refused("GET", path, ""), 400, "{path}");
    }
}

#[test]
fn a_search_is_the_same_by_get_and_by_post() {
    let by_get =
        parse("GET", "/Observation", "patient=Patient/p1&code=http%3A%2F%2Floinc.org%7C1-8").unwrap();
    let schema = schema();
    let post = |query, form: &[u8]| {
        Interaction::parse("POST", "/Observation/_search", query, Some(form), &schema).unwrap()
    };
    assert_eq!(post(None, b"patient=Patient%2Fp1&code=http%3A//loinc.org|1-8"), by_get);
    assert_eq!(post(Some("patient=Patient/p1"), b"code=http://loinc.org%7C1-8"), by_get);
    assert_eq!(by_get.to_string(), "search-type Observation (patient, code)");
    assert!(Interaction::expects_form("POST", "/Observation/%5fsearch"));
    assert!(!Interaction::expects_form("POST", "/Observation"));
}

#[test]
fn a_form_belongs_to_a_search_by_post_alone() {
    for (method, path) in [("GET", "/Patient"), ("POST", "/Patient"), ("PUT", "/Patient/p1")] {
        let error = Interaction::parse(method, path, None, Some(b"family=x"), &schema()).unwrap_err();
        assert_eq!(error.status(), 415);
    }
}

#[test]
fn parameters_that_are_not_built_are_refused_under_every_spelling() {
    for query in [
        "_filter=x",
        "%5Ffilter=x",
        "_query=x",
        "_text=x",
        "_content=x",
        "_list=x",
        "_contained=true",
        "_containedType=both",
        "patient._filter=x",
        "_has:Observation:patient:_filter=x",
    ] {
        let error = parse("GET", if query.starts_with("_has") { "/Patient" } else { "/Observation" }, query);
        let error = error.unwrap_err();
        assert_eq!((error.status(), error.issue_type()), (400, IssueType::NotSupported), "{query}");
    }
    assert_eq!(refused("GET", "/Patient/p1/_history", "_list=1"), 400);
}

fn joined(path: &str, query: &str) -> Vec<String> {
    let search = parse("GET", path, query).unwrap();
    assert_eq!(again(&search.to_request()), Ok(forwarded(search.clone())));
    let shown = |(resource_type, parameters): &(&ResourceType, Vec<&str>)| {
        format!("{resource_type}?{}", parameters.join("&"))
    };
    search.joined_reads().iter().map(shown).collect()
}

#[test]
fn each_hop_of_a_join_is_a_read_of_its_type() {
    assert_eq!(joined("/Observation", "patient.family=x"), ["Patient?family"]);
    assert_eq!(joined("/Observation", "patient%3APatient%2Efamily=x"), ["Patient?family"]);
    assert_eq!(joined("/Observation", "subject:Patient.identifier=a|b"), ["Patient?identifier"]);
    assert_eq!(
        joined("/Observation", "subject:Patient.organization.name:exact=x"),
        ["Patient?organization", "Organization?name"]
    );
    assert_eq!(joined("/Observation", "patient._id=p1,p2"), ["Patient?_id"]);
    assert_eq!(joined("/Patient", "%5Fhas:Observation:patient:code=1"), ["Observation?patient&code"]);
    assert_eq!(
        joined("/Organization", "_has:Patient:organization:_has:Observation:patient:date=ge2026"),
        ["Patient?organization", "Observation?patient&date"]
    );
    assert_eq!(joined("/Observation", "_include=Observation:subject:Patient"), ["Patient?"]);
    assert_eq!(joined("/Patient", "_revinclude:iterate=Observation:patient"), ["Observation?patient"]);
    assert_eq!(joined("/Observation", "_include=*&_include:iterate=Patient:*"), Vec::<String>::new());
    let schema = schema();
    let include = parse("GET", "/Observation", "_include=Observation:subject").unwrap();
    let types =
        include.search().unwrap().includes[0].reads(&schema, &schema.resource_type("Observation").unwrap());
    assert_eq!(types.iter().map(ResourceType::as_str).collect::<Vec<_>>(), ["Group", "Patient"]);
    let canonical = parse("GET", "/Observation", "patient.family=x").unwrap();
    assert_eq!(canonical.to_request().path_and_query, "/Observation?patient:Patient.family=x");
}

#[test]
fn joins_that_can_be_read_in_two_ways_are_refused() {
    for query in [
        "subject.family=x",
        "subject:Observation.code=x",
        "subject:Nobody.code=x",
        "patient.nothing=x",
        "patient.family:of-type=x",
        "code.family=x",
        "patient.organization.partof.partof.name=x",
        "patient.=x",
        ".family=x",
        "patient..family=x",
        "_has=x",
        "_has:Observation=x",
        "_has:Observation:patient:code=x",
        "_include=Patient",
        "_include=Observation:code",
        "_include=Observation:patient:Group",
        "_include:recurse=Observation:patient",
        "_include=Nobody:patient",
        "_revinclude=*",
        "_include=Observation:patient:Patient:x",
        "_summary=true&_elements=id",
        "_summary=maybe",
        "_elements=a.b",
        "_total=7",
        "_total=none&_total=none",
        "_pretty=yes",
    ] {
        assert_eq!(refused("GET", "/Observation", query), 400, "{query}");
    }
    let many = vec!["patient.family=x"; MOST_JOINS + 1].join("&");
    assert_eq!(parse("GET", "/Observation", &many).unwrap_err().issue_type(), IssueType::TooCostly);
}

#[test]
fn unknown_parameters_are_left_out_where_the_caller_prefers_it() {
    let lenient = |query: &str| {
        Interaction::parse_with("GET", "/Patient", Some(query), None, &schema(), Handling::Lenient)
    };
    assert_eq!(lenient("family=x&nothing=1&organization.nothing=2"), parse("GET", "/Patient", "family=x"));
    for kept in ["family:text=x", "_filter=x", "birthdate=x", "_include=Patient:nothing:x:y"] {
        assert_eq!(lenient(kept).unwrap_err().status(), 400, "{kept}");
    }
}

#[test]
fn criteria_stand_in_the_place_of_an_id() {
    for (method, name) in [("PUT", "update"), ("PATCH", "patch"), ("DELETE", "delete")] {
        let own = parse(method, "/Patient", "identifier=a%7Cb&_format=json").unwrap();
        assert_eq!((own.name(), own.instance(), own.condition().is_some()), (name, None, true));
        assert_eq!(own.to_request().path_and_query, "/Patient?identifier=a%7Cb");
        assert_eq!(again(&own.to_request()), Ok(own));
        for bad in
            ["", "_format=json", "identifier=a&_count=1", "identifier=a&_sort=family", "_summary=count"]
        {
            assert_eq!(refused(method, "/Patient", bad), 400, "{method} {bad}");
        }
    }
    let create = parse("POST", "/Patient", "").unwrap();
    let conditional = create.clone().unless_exists("?identifier=a%7Cb", &schema()).unwrap();
    assert_eq!(conditional.to_request().if_none_exist.as_deref(), Some("identifier=a%7Cb"));
    assert_eq!(conditional.to_request().path_and_query, "/Patient");
    for bad in ["", "?", "Patient?identifier=a", "http://x/Patient?identifier=a", "_format=json&identifier=a"]
    {
        assert!(create.clone().unless_exists(bad, &schema()).is_err(), "{bad}");
    }
    let update = parse("PUT", "/Patient/p1", "").unwrap();
    assert!(update.unless_exists("identifier=a", &schema()).is_err());
}

#[test]
fn everything_has_the_parameters_of_its_operation() {
    let query = "start=2026-01-01&end=2026-02&_since=2026-01-01T00:00:00Z&_type=Observation,Group&_count=5";
    let own = parse("GET", "/Patient/p1/$everything", query).unwrap();
    assert_eq!(own.count(), Some(5));
    assert_eq!(again(&own.to_request_with_count(5)), Ok(own));
    let twice = parse("GET", "/Patient/p1/$everything", "_type=Group&_type=Patient,Group").unwrap();
    assert_eq!(twice.to_request().path_and_query, "/Patient/p1/$everything?_type=Group,Patient");
    assert_eq!(twice.question().unwrap(), "/Patient/p1/$everything?_type=Group,Patient");
    for bad in ["start=x", "_type=Nobody", "_since=2026", "code=1", "_count=0"] {
        assert_eq!(refused("GET", "/Patient/p1/$everything", bad), 400, "{bad}");
    }
}

#[test]
fn parameters_outside_the_definitions_are_refused() {
    for query in ["nothing=1", "_nothing=1", "Family=x", "_HAS:x=1", "family%00=x", "=x", "family", "family="]
    {
        assert_eq!(refused("GET", "/Patient", query), 400, "{query}");
    }
    assert_eq!(refused("GET", "/Patient/p1", "family=x"), 400);
    assert_eq!(refused("POST", "/Patient", "identifier=x"), 400);
    assert_eq!(refused("GET", "/Patient/p1", "_summary=true"), 400);
    assert_eq!(refused("GET", "/metadata", "mode=full"), 400);
}

#[test]
fn what_may_stand_once_stands_once() {
    for query in ["_count=1&_count=1", "_count=1&%5Fcount=2", "_id=a&_id=b", "_sort=date&_sort=-date"] {
        assert_eq!(refused("GET", "/Observation", query), 400, "{query}");
    }
    let split = Interaction::parse("POST", "/Patient/_search", Some("_id=a"), Some(b"_id=b"), &schema());
    assert_eq!(split.unwrap_err().status(), 400);
    assert!(parse("GET", "/Observation", "date=ge2026&date=lt2027&patient=1&patient=2").is_ok());
}

#[test]
fn modifiers_are_those_that_fit_the_parameter() {
    for good in [
        "family:exact=x",
        "family:contains=x",
        "family:missing=true",
        "identifier:not=a|b",
        "identifier:text=card",
        "_profile:below=http://x",
        "_security:in=http://x/labels",
        "_tag:above=a|b",
        "_source=http://x%23y",
    ] {
        assert!(parse("GET", "/Patient", good).is_ok(), "{good}");
    }
    for good in ["patient:Patient=p1", "patient:identifier=http://hl7.it/sid/codiceFiscale|X", "_tag:not=a|b"]
    {
        assert!(parse("GET", "/Observation", good).is_ok(), "{good}");
    }
    for bad in [
        "family:text=x",
        "family:exact:exact=x",
        "code-value-quantity:missing=true",
        "birthdate:below=2026",
        "organization:below=1",
        "family:=x",
        "family:missing=maybe",
        "identifier:in=http://x",
        "identifier:exact=x",
        "birthdate:exact=2026",
        "_id:not=x",
        "_count:exact=1",
        "_security:in=x",
    ] {
        assert_eq!(refused("GET", "/Patient", bad), 400, "{bad}");
    }
    for bad in ["patient:Nobody=p1", "patient:Patient=Group/1", "patient:Patient=http://x/Patient/1"] {
        assert_eq!(refused("GET", "/Observation", bad), 400, "{bad}");
    }
}

#[test]
fn the_callers_page_size_is_read_and_not_forwarded() {
    let search = parse("GET", "/Patient", "family=x&_count=100000").unwrap();
    assert_eq!(search.count(), Some(100_000));
    assert_eq!(search.to_request().path_and_query, "/Patient?family=x");
    assert_eq!(search.to_request_with_count(50).path_and_query, "/Patient?family=x&_count=50");
    assert_eq!(search.search().unwrap().self_query(), "family=x&_count=100000");
    for bad in ["0", "-1", "1.5", "x", "99999999999", "+1"] {
        assert_eq!(refused("GET", "/Patient", &format!("_count={bad}")), 400, "{bad}");
    }
    let history = parse("GET", "/Patient/p1/_history", "_count=2&_since=2026-01-01T00:00:00Z").unwrap();
    assert_eq!(history.count(), Some(2));
    assert_eq!(
        history.to_request_with_count(9).path_and_query,
        "/Patient/p1/_history?_since=2026-01-01T00:00:00Z&_count=9"
    );
}

#[test]
fn only_json_may_be_asked_for() {
    for good in ["json", "application/fhir%2Bjson", "application/json"] {
        assert!(parse("GET", "/Patient/p1", &format!("_format={good}")).is_ok());
        assert!(parse("GET", "/metadata", &format!("_format={good}")).is_ok());
    }
    assert_eq!(refused("GET", "/Patient/p1", "_format=xml"), 406);
    assert_eq!(refused("GET", "/Patient", "_format=json&_format=json"), 400);
    assert!(Interaction::asks_format(Some("%5Fformat=json"), None));
    assert!(!Interaction::asks_format(Some("x_format=json"), None));
}

#[test]
fn sizes_are_bounded() {
    let many = vec!["birthdate=2026"; MOST_PARAMETERS + 1].join("&");
    let wide = format!("_id={}", vec!["a"; MOST_VALUES + 1].join(","));
    let wide_token = format!("identifier={}", vec!["a"; MOST_VALUES + 1].join(","));
    let long = format!("family={}", "x".repeat(LONGEST_QUERY));
    for query in [many, wide, wide_token, long] {
        assert_eq!(parse("GET", "/Patient", &query).unwrap_err().issue_type(), IssueType::TooCostly);
    }
}

#[test]
fn a_long_search_goes_on_as_a_form() {
    let ids = vec!["0123456789abcdef"; 300].join(",");
    let search = parse("GET", "/Patient", &format!("_id={ids}")).unwrap();
    let request = search.to_request();
    assert_eq!((request.method, request.path_and_query.as_str()), (Method::Post, "/Patient/_search"));
    assert_eq!(again(&request).unwrap(), search);
}

#[test]
fn a_decision_can_narrow_a_search() {
    let schema = schema();
    let mut search = parse("GET", "/Observation", "code=1-8").unwrap();
    let observation = schema.resource_type("Observation").unwrap();
    let own = Criterion::parse(&schema, &observation, "patient", "Patient/p1,Patient/p2").unwrap();
    search.search_mut().unwrap().criteria.push(own);
    assert_eq!(search.to_request().path_and_query, "/Observation?code=1-8&patient=Patient/p1,Patient/p2");
}

#[test]
fn nothing_a_person_can_be_known_by_is_displayed() {
    let search = parse("GET", "/Patient", "identifier=x|RSSMRA71E01F205E&_id=p1&family:exact=Rossi").unwrap();
    assert_eq!(search.to_string(), "search-type Patient (_id, identifier, family:exact)");
    for (path, query) in [("/Patient", "RSSMRA71E01F205E=x"), ("/RSSMRA71E01F205E", "")] {
        assert!(!parse("GET", path, query).unwrap_err().to_string().contains("RSSMRA"));
    }
}

/// Parses what would be sent to the server behind.
fn again(request: &UpstreamRequest) -> Result<Interaction, InteractionError> {
    let (path, query) = match request.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path_and_query.as_str(), None),
    };
    let form = request.form.as_deref().map(str::as_bytes);
    Interaction::parse(request.method.as_str(), path, query, form, &schema())
}

/// The interaction without what is never forwarded.
fn forwarded(mut interaction: Interaction) -> Interaction {
    match &mut interaction {
        Interaction::SearchType(search) => search.count = None,
        Interaction::History(history) => history.count = None,
        Interaction::Everything(own) => own.count = None,
        Interaction::LastN(own) => own.search.count = None,
        Interaction::DocRef(own) => own.count = None,
        _ => {}
    }
    interaction
}

fn piece() -> impl Strategy<Value = String> {
    let names = "(patient\\.family|subject:Patient\\.identifier|_has:Observation:patient:code|_include|_revinclude|_summary|_elements|_total|_at|start|mode|identifier|family|birthdate|code|patient|date|value-quantity|code-value-quantity|_id|_count|_sort|_tag|_lastUpdated|_profile|_format|_has|_since)";
    let modifiers =
        "(|:iterate|:below|:in|:text|:exact|:contains|:missing|:not|:of-type|:identifier|:Patient)";
    let values = prop_oneof![
        "(Observation:patient|Observation:\\*|Observation:subject:Patient|\\*|count|none|create|2026-01-01|p1|Patient/p1|true|false|ge2026-01|2026-02-03T10:00Z|json|-date|date|5|5.40|lt5\\|\\|mg|a\\|b|a\\|b\\|c|a\\$b)(,p2)?",
        r"[a-zA-Z0-9,|$\\ %:/è&=+._-]{1,12}",
    ];
    (names, modifiers, values).prop_map(|(name, modifier, value)| {
        let mut out = format!("{name}{modifier}=");
        percent::encode_into(&mut out, &value);
        out
    })
}

/// A parameter of observations that is mostly right, so that most searches made of it are parsed.
fn likely() -> impl Strategy<Value = String> {
    let text = r"[a-zA-Z0-9è /:%&=+._-]{1,8}";
    let token = (prop::option::of(text), text).prop_map(|(system, code)| {
        system.map_or_else(|| code.clone(), |system| format!("{}|{code}", system.replace(' ', "")))
    });
    let escaped = r"(a|\\,|\\\||\\\$|\\\\){1,4}";
    let pair = prop_oneof![
        ("(code|code:not|identifier|patient:identifier|_security|_tag:not)", token.boxed()),
        ("(code|identifier)", escaped.boxed()),
        ("(patient|patient:Patient)", "(p1|p2)(,p3)?".boxed()),
        ("patient", "(Patient/p1|Group/g|https://x\\.example/Patient/1)".boxed()),
        ("(date|_lastUpdated)", "(ge|lt|)2026(-0[1-9](-1[0-9](T1[0-9]:00(:00)?(Z|\\+01:00)?)?)?)?".boxed()),
        ("value-quantity", "(ge|)[0-9]\\.[0-9](\\|(urn:u)?\\|mg)?".boxed()),
        ("code-value-quantity", "a\\|b\\$lt[0-9]".boxed()),
        (
            "(patient\\.family|subject:Patient\\.organization\\.name|subject:Patient\\.family:exact)",
            text.boxed()
        ),
        ("patient:Patient\\._id", "a(,b)?".boxed()),
        (
            "(_include|_include:iterate)",
            "(Observation:patient|Observation:subject:Group|Patient:\\*|\\*)".boxed()
        ),
        ("_revinclude", "(Observation:\\*|Observation:subject)".boxed()),
        ("code:(text|below|not)", "a1".boxed()),
        ("(date|code|patient):missing", "(true|false)".boxed()),
        ("_profile", "http://x\\.example/p".boxed()),
    ];
    pair.prop_map(|(name, value)| {
        let mut out = format!("{name}=");
        percent::encode_into(&mut out, &value);
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_request_is_parsed_or_refused(method in "(GET|POST|PUT|DELETE|[A-Z]{1,6})", path in ".{0,40}", query in ".{0,60}", form in prop::option::of(prop::collection::vec(any::<u8>(), 0..60))) {
        let _ = Interaction::parse(&method, &path, Some(&query), form.as_deref(), &schema());
    }

    #[test]
    fn a_parsed_request_is_the_same_after_it_was_written(
        method in "(GET|POST|PUT|PATCH|DELETE)",
        path in "/((Patient|Observation|metadata)(/[a-zA-Z0-9.-]{1,4})?(/_history|/_search|/\\$everything|/\\$summary|/\\$lastn|/\\$validate)?(/[0-9])?|_history)?",
        pieces in prop::collection::vec(piece(), 0..5),
    ) {
        if let Ok(interaction) = Interaction::parse(&method, &path, Some(&pieces.join("&")), None, &schema()) {
            let request = interaction.to_request();
            prop_assert!(request.path_and_query.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(again(&request), Ok(forwarded(interaction)), "{:?}", request);
        }
    }

    #[test]
    fn a_parsed_search_is_the_same_after_it_was_written(pieces in prop::collection::vec(piece(), 1..4)) {
        for path in ["/Patient", "/Observation"] {
            if let Ok(search) = Interaction::parse("GET", path, Some(&pieces.join("&")), None, &schema()) {
                prop_assert_eq!(again(&search.to_request()), Ok(forwarded(search)));
            }
        }
    }

    #[test]
    fn a_likely_search_is_parsed_and_the_same_after_it_was_written(
        pieces in prop::collection::vec(likely(), 1..5),
        ids in prop::option::of("_id=[a-z]{1,3}(,[a-z])?"),
        sort in prop::option::of("_sort=-?(date|code)(,-_lastUpdated)?"),
        count in prop::option::of(1u32..500),
    ) {
        let count_pair = count.map(|count| format!("_count={count}"));
        let query: Vec<String> = pieces.into_iter().chain(ids).chain(sort).chain(count_pair).collect();
        let parsed = Interaction::parse("GET", "/Observation", Some(&query.join("&")), None, &schema());
        prop_assert!(parsed.is_ok(), "{:?} {:?}", query, parsed);
        let search = parsed.unwrap();
        prop_assert_eq!(search.count(), count);
        prop_assert_eq!(again(&search.to_request()), Ok(forwarded(search.clone())));
        let own_link = Interaction::parse("GET", "/Observation", Some(&search.search().unwrap().self_query()), None, &schema());
        prop_assert_eq!(own_link, Ok(search));
    }
}
