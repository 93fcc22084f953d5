//! What a validator says about texts that break the grammar, narratives that lead nowhere, and Bundles that do
//! not hang together.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Limits, Tape};
use varco_core::outcome::{Issue, IssueSeverity};
use varco_core::validation::Validator;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(Definitions::r4()));
static SCHEMA: LazyLock<DefinitionSchema> = LazyLock::new(|| DefinitionSchema::new(Definitions::r4()));

fn issues(text: &str) -> Vec<Issue> {
    let mut tape = Tape::new();
    let document = tape.parse_tolerant(text.as_bytes(), &*SCHEMA, &Limits::default()).unwrap();
    let report = VALIDATOR.validate(document);
    assert_eq!(VALIDATOR.is_valid(document), report.is_valid());
    report.issues
}

/// `rule place` of every finding, in the order of the text.
fn findings(text: &str) -> Vec<String> {
    let place = |issue: &Issue| issue.expression.clone().or(issue.location.clone()).unwrap_or_default();
    issues(text).iter().map(|issue| format!("{} {}", issue.rule.unwrap(), place(issue))).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn a_fault_of_json_does_not_hide_the_rest() {
    let text = "{\"resourceType\":\"Patient\",\n\"name\":[{\"family\":\"Rossi\",\"family\":\"Bianchi\",}],\n\
                \"active\":\"yes\" \"gender\":\"maschio\"}";
    assert_eq!(
        findings(text),
        [
            "syntax Patient.name[0]",
            "syntax Patient.name[0]",
            "json-form Patient.active",
            "syntax Patient",
            "binding Patient.gender"
        ]
    );
    let positions: Vec<_> = issues(text).iter().map(|it| it.position.unwrap()).collect();
    assert_eq!(positions[0].to_string(), "line 2, column 27");
    assert_eq!(positions[4].to_string(), "line 3, column 16");
}

#[test]
fn a_fault_of_xml_does_not_hide_the_rest() {
    let text = "<Patient xmlns=\"http://hl7.org/fhir\">\n <name/> [loop]\n <name use=\"x\"><family value=\"\
                R&nbsp;\"/></name>\n <gender value=\"maschio\"/><gender value=\"male\"/></Patient>";
    assert_eq!(
        findings(text),
        [
            "content Patient.name[0]",
            "syntax /f:Patient",
            "syntax /f:Patient/f:name[2]",
            "syntax /f:Patient/f:name[2]/f:family",
            "cardinality Patient",
        ]
    );
    assert_eq!(issues(text)[1].position.unwrap().to_string(), "line 2, column 10");
}

/// A Patient with this inside its narrative, and contained resource `c`.
fn narrative(inside: &str) -> Vec<String> {
    let div = format!("<div xmlns='http://www.w3.org/1999/xhtml'>{inside}</div>");
    findings(&format!(
        "{{\"resourceType\":\"Patient\",\"text\":{{\"status\":\"additional\",\"div\":\"{div}\"}},\
         \"contained\":[{{\"resourceType\":\"Organization\",\"id\":\"c\",\"name\":\"x\"}}],\
         \"managingOrganization\":{{\"reference\":\"#c\"}},\"name\":[{{\"id\":\"n\",\"family\":\"Rossi\"}}]}}"
    ))
}

#[test]
fn links_in_a_narrative_lead_somewhere() {
    assert_eq!(
        narrative("<p id='top'>a <a href='#top'>b</a> <a href='#n'>c</a> <a href='#c'>d</a></p>"),
        NONE
    );
    assert_eq!(narrative("<a name='x'>a</a> <a href='#x'>b</a> <a href='http://hl7.it#y'>c</a>"), NONE);
    assert_eq!(narrative("<a href='#lost'>a</a>"), ["narrative Patient.text.div"]);
    // What a lost image shows may come from elsewhere.
    assert_eq!(narrative("a <img src='#lost'/>"), ["narrative Patient.text.div"]);
}

#[test]
fn what_a_narrative_must_not_hold_is_named() {
    let told = |inside: &str| {
        let div = format!("<div xmlns='http://www.w3.org/1999/xhtml'>{inside}</div>");
        let text = format!(
            "{{\"resourceType\":\"Basic\",\"code\":{{\"text\":\"x\"}},\"text\":{{\"status\":\"additional\",\"div\":\"{div}\"}}}}"
        );
        issues(&text).into_iter().map(|it| it.message).collect::<String>()
    };
    assert_eq!(told("a <b class='x'>b</b>"), "");
    assert!(told("a <b class='x'>b</b><script>x</script>").contains("`script`"));
    assert!(told("<p class='x' onclick='y()'>b</p>").contains("`onclick` of `p`"));
    assert!(told("<a href='javascript:x()'>b</a>").contains("`href` of `a`"));
}

#[test]
fn a_narrative_has_the_entities_of_xml_only() {
    assert_eq!(narrative("1 &lt; 2 &amp; &#232; <a href='http://hl7.it?a=1&amp;b=2'>b</a>"), NONE);
    assert_eq!(narrative("Rossi&nbsp;Maria"), ["narrative Patient.text.div"]);
    assert_eq!(narrative("<a href='http://hl7.it?a=1&b=2'>b</a>"), ["narrative Patient.text.div"]);
}

#[test]
fn a_contained_resource_that_nothing_refers_to_is_named() {
    let text = r##"{"resourceType":"Patient","active":true,"managingOrganization":{"reference":"#b"},"contained":[
        {"resourceType":"Organization","id":"a","name":"x"},{"resourceType":"Organization","id":"b","name":"x"},
        {"resourceType":"Patient","id":"c","link":[{"other":{"reference":"#"},"type":"seealso"}]},
        {"resourceType":"Organization","id":"d","name":"x"}]}"##;
    assert_eq!(findings(text), ["invariant Patient.contained[0]", "invariant Patient.contained[3]"]);
}

const COMPOSITION: &str =
    r#""status":"final","type":{"text":"t"},"date":"2026-01-01","title":"t","author":[{"display":"a"}]"#;

/// A document whose Composition has this subject; the Patient `1` stands under this fullUrl.
fn document(base: &str, subject: &str, patient: &str, link: &str) -> Vec<String> {
    findings(&format!(
        r#"{{"resourceType":"Bundle","type":"document","timestamp":"2026-01-01T00:00:00Z",
        "identifier":{{"system":"urn:ietf:rfc:3986","value":"urn:oid:1.2.3"}},{link}"entry":[
        {{"fullUrl":"{base}","resource":{{"resourceType":"Composition","id":"c",{COMPOSITION},
          "subject":{{"reference":"{subject}"}}}}}},
        {{"fullUrl":"{patient}","resource":{{"resourceType":"Patient","id":"1","active":true}}}}]}}"#
    ))
}

#[test]
fn a_relative_reference_needs_the_base_of_a_server() {
    let server = "https://example.org/r4";
    let on = |path: &str| format!("{server}/{path}");
    let uuid = "urn:uuid:9e1f6a6e-0c1e-4a1b-9c55-2f0d3b7f5a10";
    let other = "urn:uuid:1d2c3b4a-0c1e-4a1b-9c55-2f0d3b7f5a11";
    assert_eq!(document(&on("Composition/c"), "Patient/1", &on("Patient/1"), ""), NONE);
    assert_eq!(document(&on("Composition/c"), &on("Patient/1"), &on("Patient/1"), ""), NONE);
    assert_eq!(document(uuid, other, other, ""), NONE);
    let lost = ["bundle Bundle.entry[0].resource.subject", "bundle Bundle.entry[1]"];
    assert_eq!(document(uuid, "Patient/1", other, ""), lost);
    assert_eq!(document(uuid, "Patient/1", &on("Patient/1"), ""), lost);
}

#[test]
fn a_document_has_its_style_sheets_and_no_pages() {
    let on = |path: &str| format!("https://example.org/r4/{path}");
    let linked = |relation: &str, url: &str| {
        let link = format!(r#""link":[{{"relation":"{relation}","url":"{url}"}}],"#);
        document(&on("Composition/c"), "Patient/1", &on("Patient/1"), &link)
    };
    assert_eq!(linked("stylesheet", "https://hl7.org/fhir/fhir.css"), NONE);
    assert_eq!(linked("self", "https://example.org/r4/Bundle/b"), NONE);
    assert_eq!(linked("stylesheet", "Binary/css"), ["bundle Bundle.link[0].url"]);
    assert_eq!(linked("next", "https://example.org/r4?page=2"), ["bundle Bundle.link[0].relation"]);
}

#[test]
fn a_message_holds_its_focus() {
    let message = |focus: &str| {
        format!(
            r#"{{"resourceType":"Bundle","type":"message","entry":[
            {{"fullUrl":"https://example.org/r4/MessageHeader/m","resource":{{"resourceType":"MessageHeader","id":"m",
              "eventUri":"https://example.org/event","source":{{"endpoint":"https://example.org/a"}},
              "focus":[{{"reference":"{focus}"}}]}}}},
            {{"fullUrl":"https://example.org/r4/Patient/1","resource":{{"resourceType":"Patient","id":"1","active":true}}}}]}}"#
        )
    };
    assert_eq!(findings(&message("Patient/1")), NONE);
    let lost = issues(&message("Patient/2"));
    let told: Vec<_> = lost.iter().map(|it| (it.severity, it.expression.as_deref().unwrap())).collect();
    assert_eq!(
        told,
        [
            (IssueSeverity::Error, "Bundle.entry[0].resource.focus[0]"),
            (IssueSeverity::Warning, "Bundle.entry[1]")
        ]
    );
    assert_eq!(findings(r#"{"resourceType":"Bundle","type":"message"}"#), ["bundle Bundle"]);
}

#[test]
fn a_reference_that_names_no_type_leads_nowhere() {
    let found = document("urn:uuid:9e1f6a6e-0c1e-4a1b-9c55-2f0d3b7f5a10", "1", "1", "");
    assert_eq!(
        found,
        ["reference Bundle.entry[0].resource.subject", "bundle Bundle.entry[1]", "bundle Bundle.entry[1]"],
        "its fullUrl is not absolute, its reference is malformed, and so nothing leads to it"
    );
}

/// A transaction with an Observation of this request, whose subject is relative.
fn transaction(method: &str, url: &str, full_url: &str) -> Vec<String> {
    findings(&format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{{full_url}
        "resource":{{"resourceType":"Observation","id":"o","status":"final","code":{{"text":"x"}},
          "subject":{{"reference":"Patient/1"}}}},"request":{{"method":"{method}","url":"{url}"}}}}]}}"#
    ))
}

#[test]
fn what_is_put_says_where_it_stands() {
    let at = r#""fullUrl":"https://example.org/r4/Observation/o","#;
    assert_eq!(transaction("PUT", "Observation/o", at), NONE);
    assert_eq!(transaction("POST", "Observation", ""), NONE);
    assert_eq!(
        transaction("PUT", "Observation/o", ""),
        ["bundle Bundle.entry[0]", "bundle Bundle.entry[0].resource.subject"]
    );
}

#[test]
fn the_type_of_a_reference_is_a_type() {
    let subject = |members: &str| {
        findings(&format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{{members}}}}}"#
        ))
    };
    assert_eq!(subject(r#""reference":"Patient/1","type":"Patient""#), NONE);
    assert_eq!(subject(r#""type":"Patient","identifier":{"value":"1"}"#), NONE);
    assert_eq!(
        subject(
            r#""type":"http://hl7.org/fhir/StructureDefinition/Patient","display":"x"}"#
                .trim_end_matches('}')
        ),
        NONE
    );
    assert_eq!(subject(r#""type":"http://example.org/StructureDefinition/Person","display":"x""#), NONE);
    assert_eq!(subject(r#""type":"patient","display":"x""#), ["target Observation.subject"]);
    assert_eq!(subject(r#""reference":"Patient/1","type":"Group""#), ["target Observation.subject"]);
}

/// A Patient with these further members.
fn patient(members: &str) -> Vec<String> {
    findings(&format!(r#"{{"resourceType":"Patient",{members}}}"#))
}

/// An Observation with these further members.
fn observation(members: &str) -> Vec<String> {
    findings(&format!(r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},{members}}}"#))
}

#[test]
fn the_size_of_an_attachment_is_that_of_its_data() {
    let photo = |size: usize| {
        patient(&format!(r#""photo":[{{"contentType":"image/png","data":"AAAA","size":{size}}}]"#))
    };
    assert_eq!(photo(3), NONE);
    assert_eq!(photo(4), ["resource Patient.photo[0]"]);
    assert_eq!(
        patient(r#""photo":[{"contentType":"image/png","url":"https://example.org/a.png","size":9}]"#),
        NONE
    );
}

#[test]
fn a_local_reference_leads_to_one_contained_resource() {
    let contained = |all: &str, id: &str| {
        observation(&format!(r##""contained":[{all}],"subject":{{"reference":"#{id}"}}"##))
    };
    let one = r#"{"resourceType":"Patient","id":"a","active":true}"#;
    assert_eq!(contained(one, "a"), NONE);
    assert_eq!(contained(&format!("{one},{one}"), "a"), ["contained Observation.contained[1]"]);
    assert_eq!(contained(one, "b"), ["invariant Observation.contained[0]", "reference Observation.subject"]);
    let inner = r##"{"resourceType":"Encounter","id":"e","status":"planned","class":{"code":"AMB"},"subject":{"reference":"#a"}}"##;
    assert_eq!(
        observation(&format!(r##""contained":[{one},{inner}],"encounter":{{"reference":"#e"}}"##)),
        NONE,
        "one contained resource may lead to another"
    );
    assert_eq!(observation(r##""subject":{"reference":"#a"}"##), ["reference Observation.subject"]);
}

#[test]
fn uris_of_identifiers_have_their_namespace() {
    let system = |text: &str| patient(&format!(r#""identifier":[{{"system":"{text}","value":"1"}}]"#));
    assert_eq!(system("urn:oid:2.16.840.1.113883.2.9.4.3.2"), NONE);
    assert_eq!(system("oid:2.16.840"), ["primitive Patient.identifier[0].system"]);
    assert_eq!(system("urn:oid:2.016"), ["primitive Patient.identifier[0].system"]);
    assert_eq!(system("urn:uuid:12"), ["primitive Patient.identifier[0].system"]);
}

#[test]
fn the_first_of_resources_without_ids_stands_for_all() {
    let bundle = |ids: [&str; 3]| {
        let entry = |id: &str| {
            let own = if id.is_empty() { String::new() } else { format!(r#""id":"{id}","#) };
            format!(
                r#"{{"fullUrl":"https://example.org/r4/Patient/1","resource":{{"resourceType":"Patient",{own}"active":true}}}}"#
            )
        };
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{}]}}"#, ids.map(entry).join(","))
    };
    let found = issues(&bundle(["1", "", ""]));
    let told: Vec<_> = found.iter().filter(|it| it.message.contains("has no id")).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].expression.as_deref(), Some("Bundle.entry[1]"));
    assert!(told[0].message.ends_with("(and so in 1 more entries)"));
    let found = issues(&bundle(["1", "1", "1"]));
    assert!(!found.iter().any(|it| it.message.contains("has no id")));
}

#[test]
fn a_coding_names_its_system_in_full() {
    let code = |system: &str| {
        findings(&format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"coding":[{{"system":"{system}","code":"1"}}]}}}}"#
        ))
    };
    assert_eq!(code("https://example.org/codes"), NONE);
    assert_eq!(code("codes"), ["code Observation.code.coding[0].system"]);
    assert_eq!(code("codes"), ["code Observation.code.coding[0].system"], "again");
}

#[test]
fn a_language_is_one() {
    assert_eq!(patient(r#""active":true,"language":"it-CH""#), NONE);
    assert_eq!(patient(r#""active":true,"language":"italiano""#), ["binding Patient.language"]);
    let spoken = |coding: &str| {
        let members = format!(r#""communication":[{{"language":{{{coding}}}}}]"#);
        let found = issues(&format!(r#"{{"resourceType":"Patient",{members}}}"#));
        found.iter().map(|it| it.severity).collect::<Vec<_>>()
    };
    assert_eq!(spoken(r#""coding":[{"system":"urn:ietf:bcp:47","code":"it"}]"#), []);
    assert_eq!(spoken(r#""text":"Italian""#), []);
    assert_eq!(
        spoken(r#""coding":[{"system":"http://id.loc.gov/vocabulary/iso639-1","code":"ar"}]"#),
        [IssueSeverity::Warning]
    );
}

#[test]
fn a_unit_of_ucum_is_one() {
    let of = |code: &str| {
        let unit = format!(r#"{{"value":1,"system":"http://unitsofmeasure.org","code":"{code}"}}"#);
        let json = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"valueQuantity":{unit}}}"#
        );
        issues(&json).iter().map(|it| it.severity).collect::<Vec<_>>()
    };
    assert_eq!(of("mg/dL"), []);
    assert_eq!(of("TAB"), [IssueSeverity::Warning]);
}

#[test]
fn sampled_data_are_numbers_and_marks() {
    let data = |points: &str| {
        let sampled = format!(r#"{{"origin":{{"value":0}},"period":10,"dimensions":1,"data":"{points}"}}"#);
        observation(&format!(r#""valueSampledData":{sampled}"#))
    };
    assert_eq!(data("2.5 -3 E L U 0"), NONE);
    assert_eq!(data("2.5  3"), ["resource Observation.value.ofType(SampledData)"]);
    assert_eq!(data("2,5"), ["resource Observation.value.ofType(SampledData)"]);
}

#[test]
fn an_expression_keeps_the_grammar_of_its_language() {
    let expression = |language: &str, text: &str| {
        findings(&format!(
            r#"{{"resourceType":"PlanDefinition","status":"draft","action":[{{"condition":[{{"kind":"applicability",
            "expression":{{"language":"{language}","expression":"{text}"}}}}]}}]}}"#
        ))
    };
    assert_eq!(expression("text/fhirpath", "%patient.active"), NONE);
    assert_eq!(expression("text/cql", "a..b"), NONE);
    assert_eq!(
        expression("text/fhirpath", "a..b"),
        ["resource PlanDefinition.action[0].condition[0].expression"]
    );
}
