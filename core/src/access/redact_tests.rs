#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits, Tape};
use proptest::prelude::*;

use super::*;

/// Hides every resource whose id begins with `h`.
fn by_id(candidate: &Candidate<'_>) -> Verdict {
    let id = candidate.resource.and_then(|resource| resource.str_of(name::ID));
    if id.is_some_and(|id| id.starts_with('h')) { Verdict::Hide } else { Verdict::Show }
}

fn bundle(text: &str, rules: &BundleRules) -> Result<RedactedBundle, RedactError> {
    let mut tape = Tape::new();
    redact_bundle(tape.parse_json(text.as_bytes(), &Limits::default()).unwrap(), rules, by_id)
}

fn resource(text: &str) -> Option<String> {
    let mut tape = Tape::new();
    let document = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
    redact_resource(document, by_id).map(|json| String::from_utf8(json).unwrap())
}

#[test]
fn an_answer_that_is_no_searchset_is_refused() {
    let refused = |text: &str| bundle(text, &BundleRules::default()).unwrap_err();
    for text in [
        "[]",
        r#"{"resourceType":"Patient","type":"searchset"}"#,
        r#"{"resourceType":"Bundle"}"#,
        r#"{"resourceType":"Bundle","type":"document"}"#,
    ] {
        assert_eq!(refused(text), RedactError::NotASearchset, "{text}");
    }
    for entry in [r#"{}"#, r#"[[]]"#, r#"["x"]"#, r#"[{"resource":[]}]"#, r#"[{"resource":{"id":"h1"}}]"#] {
        let text = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":{entry}}}"#);
        assert_eq!(refused(&text), RedactError::BadEntry, "{text}");
    }
}

#[test]
fn links_and_total_can_be_the_gateways_own() {
    let text = r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://inside/x"}],"entry":[{"resource":{"resourceType":"Flag","id":"a"}}]}"#;
    let links = Some(vec![("self".to_owned(), "https://varco.example/Flag?a=\"b\"".to_owned())]);
    let rules = BundleRules { total: Total::Exactly(7), links };
    let json = String::from_utf8(bundle(text, &rules).unwrap().json).unwrap();
    assert_eq!(
        json,
        r#"{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Flag","id":"a"}}],"total":7,"link":[{"relation":"self","url":"https://varco.example/Flag?a=\"b\""}]}"#
    );
}

#[test]
fn members_that_a_searchset_has_no_use_for_go() {
    let text = r#"{"resourceType":"Bundle","id":"b","signature":{"data":"x"},"type":"history","hiddenCount":1,"_total":{"extension":[]},"timestamp":"2026-01-01T00:00:00Z"}"#;
    let json = String::from_utf8(bundle(text, &BundleRules::default()).unwrap().json).unwrap();
    assert_eq!(
        json,
        r#"{"resourceType":"Bundle","id":"b","type":"history","timestamp":"2026-01-01T00:00:00Z"}"#
    );
}

#[test]
fn outcomes_includes_and_scores_go() {
    let text = r#"{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"match","score":0.5},"resource":{"resourceType":"Flag","id":"a"}},{"search":{"mode":"include"},"resource":{"resourceType":"Flag","id":"b"}},{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome"}},{"resource":{"resourceType":"OperationOutcome"}}]}"#;
    let redacted = bundle(text, &BundleRules::default()).unwrap();
    assert_eq!((redacted.shown, redacted.hidden, redacted.dropped), (1, 0, 3));
    assert_eq!(
        String::from_utf8(redacted.json).unwrap(),
        r#"{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"match"},"resource":{"resourceType":"Flag","id":"a"}}]}"#
    );
}

#[test]
fn a_hidden_contained_resource_takes_the_narrative_along() {
    let text = r##"{"resourceType":"Observation","text":{"status":"generated","div":"<div>HIV</div>"},"contained":[{"resourceType":"Condition","id":"h1"},{"resourceType":"Device","id":"d"}],"note":[{"text":"plain"}]}"##;
    assert_eq!(
        resource(text).unwrap(),
        r#"{"resourceType":"Observation","contained":[{"resourceType":"Device","id":"d"}],"note":[{"text":"plain"}]}"#
    );
    assert_eq!(resource(&text.replace("\"h1\"", "\"c1\"")), None);
}

#[test]
fn hidden_entries_of_a_document_take_every_narrative_along() {
    let text = r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","text":{"div":"<div/>"},"section":[{"title":"T","text":{"div":"<div>HIV</div>"}}]}},{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Condition","id":"h1"}},{"resource":{"resourceType":"Parameters","parameter":[{"name":"x","resource":{"resourceType":"Flag","id":"h2"}},{"name":"y","valueString":"z"}]}}]}"#;
    assert_eq!(
        resource(text).unwrap(),
        r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Composition","section":[{"title":"T"}]}},{"resource":{"resourceType":"Parameters","parameter":[{"name":"y","valueString":"z"}]}}]}"#
    );
}

#[test]
fn what_hides_in_a_hidden_resource_is_not_asked_for() {
    let text = r#"{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Flag","id":"h1","contained":[{"resourceType":"Patient","id":"p"}]}}]}"#;
    let mut tape = Tape::new();
    let document = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
    let mut asked = 0;
    redact_bundle(document, &BundleRules::default(), |candidate| {
        asked += 1;
        by_id(candidate)
    })
    .unwrap();
    assert_eq!(asked, 1);
}

#[test]
fn resources_beside_an_entrys_own_go() {
    let text = r#"{"resourceType":"Bundle","type":"history","meta":{"odd":{"resourceType":"Flag","id":"h0"}},"entry":[{"resource":{"resourceType":"Flag","id":"a"},"response":{"status":"200","outcome":{"resourceType":"OperationOutcome","contained":[{"resourceType":"Flag","id":"h1"}]}},"odd":{"resourceType":"Flag","id":"h2"}}]}"#;
    let redacted = bundle(text, &BundleRules::default()).unwrap();
    assert_eq!(
        String::from_utf8(redacted.json).unwrap(),
        r#"{"resourceType":"Bundle","type":"history","entry":[{"resource":{"resourceType":"Flag","id":"a"},"response":{"status":"200"}}]}"#
    );
}

#[test]
fn a_resource_under_another_name_goes() {
    let text = r#"{"resourceType":"Bundle","type":"searchset","meta":{"resourceType":"Flag","id":"h0"},"entry":[{"fullUrl":"urn:uuid:1","serource":{"resourceType":"Flag","id":"h1"}}]}"#;
    let redacted = bundle(text, &BundleRules::default()).unwrap();
    assert_eq!(
        String::from_utf8(redacted.json).unwrap(),
        r#"{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"urn:uuid:1"}]}"#
    );
}

#[test]
fn a_hidden_resource_goes_from_a_text_that_is_no_resource() {
    assert_eq!(resource(r#"{"odd":{"resourceType":"Flag","id":"h1"},"x":1}"#).unwrap(), r#"{"x":1}"#);
    assert_eq!(resource(r#"[{"resourceType":"Flag","id":"h1"},2]"#).unwrap(), "[2]");
}

/// How a server writes JSON.
#[derive(Debug, Clone, Copy)]
enum Style {
    Compact,
    Indented,
    /// Brackets of objects in arrays on one line, as some servers do.
    Hugging,
}

impl Style {
    fn object(self, depth: usize, members: &[String]) -> String {
        match self {
            Style::Compact => format!("{{{}}}", members.join(",")),
            Style::Indented | Style::Hugging => {
                let pad = "  ".repeat(depth + 1);
                let lines: Vec<String> = members.iter().map(|member| format!("{pad}{member}")).collect();
                format!("{{\n{}\n{}}}", lines.join(",\n"), "  ".repeat(depth))
            }
        }
    }

    fn array(self, depth: usize, items: &[String]) -> String {
        match self {
            Style::Compact => format!("[{}]", items.join(",")),
            Style::Hugging => format!("[ {} ]", items.join(", ")),
            Style::Indented => {
                let pad = "  ".repeat(depth + 1);
                let lines: Vec<String> = items.iter().map(|item| format!("{pad}{item}")).collect();
                format!("[\n{}\n{}]", lines.join(",\n"), "  ".repeat(depth))
            }
        }
    }

    fn colon(self) -> &'static str {
        if matches!(self, Style::Compact) { ":" } else { ": " }
    }

    fn member(self, key: &str, value: &str) -> String {
        format!("\"{key}\"{}{value}", self.colon())
    }
}

#[derive(Debug, Clone)]
struct Entry {
    hidden: bool,
    mode: Option<&'static str>,
    score: bool,
    contained: bool,
    number: u16,
}

impl Entry {
    fn write(&self, style: Style) -> String {
        let prefix = if self.hidden { "h" } else { "s" };
        let mut members = vec![
            style.member("resourceType", "\"Observation\""),
            style.member("id", &format!("\"{prefix}{}\"", self.number)),
            style.member("text", &style.object(4, &[style.member("div", "\"<div/>\"")])),
        ];
        if self.contained {
            let inner = style.object(5, &[style.member("resourceType", "\"Patient\"")]);
            members.push(style.member("contained", &style.array(4, &[inner])));
        }
        let mut own = vec![style.member("resource", &style.object(3, &members))];
        if let Some(mode) = self.mode {
            let mut search = vec![style.member("mode", &format!("\"{mode}\""))];
            if self.score {
                search.push(style.member("score", "0.25"));
            }
            own.push(style.member("search", &style.object(3, &search)));
        }
        style.object(2, &own)
    }
}

#[derive(Debug, Clone)]
struct World {
    style: Style,
    total: bool,
    next: bool,
    signed: bool,
    entries_first: bool,
    empty_array: bool,
    entries: Vec<Entry>,
}

impl World {
    /// The searchset as a server writes it that has all the entries, or only those that are not hidden.
    fn write(&self, with_hidden: bool) -> String {
        let style = self.style;
        let there: Vec<&Entry> = self.entries.iter().filter(|entry| with_hidden || !entry.hidden).collect();
        let mut members =
            vec![style.member("resourceType", "\"Bundle\""), style.member("type", "\"searchset\"")];
        let mut links = vec![("self", "http://inside/Observation")];
        if self.next && (with_hidden || !self.entries.iter().any(|entry| entry.hidden)) {
            links.insert(0, ("next", "http://inside/Observation?page=2"));
        }
        let links: Vec<String> = links
            .into_iter()
            .map(|(relation, url)| {
                let own = [
                    style.member("relation", &format!("\"{relation}\"")),
                    style.member("url", &format!("\"{url}\"")),
                ];
                style.object(2, &own)
            })
            .collect();
        let total = there.iter().filter(|entry| entry.mode.is_none_or(|mode| mode == "match")).count();
        let mut rest = vec![style.member("link", &style.array(1, &links))];
        if self.total {
            rest.push(style.member("total", &total.to_string()));
        }
        if self.signed {
            rest.push(style.member("signature", "{}"));
        }
        let entries: Vec<String> = there.iter().map(|entry| entry.write(style)).collect();
        if !entries.is_empty() || self.empty_array {
            let member = style.member("entry", &style.array(1, &entries));
            if self.entries_first { rest.insert(0, member) } else { rest.push(member) }
        }
        members.extend(rest);
        style.object(0, &members)
    }
}

fn world() -> impl Strategy<Value = World> {
    let style = prop_oneof![Just(Style::Compact), Just(Style::Indented), Just(Style::Hugging)];
    let mode = prop_oneof![
        4 => Just(Some("match")), 2 => Just(None), 1 => Just(Some("include")), 1 => Just(Some("outcome"))
    ];
    let entry = (any::<bool>(), mode, any::<bool>(), any::<bool>(), any::<u16>()).prop_map(
        |(hidden, mode, score, contained, number)| Entry { hidden, mode, score, contained, number },
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (style, flags, prop::collection::vec(entry, 0..6)).prop_map(
        |(style, (total, next, signed, entries_first, empty_array), entries)| World {
            style,
            total,
            next,
            signed,
            entries_first,
            empty_array,
            entries,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_hidden_entry_can_not_be_told_from_one_that_never_was(world in world(), own_links in any::<bool>()) {
        for total in [Total::Remove, Total::Shown, Total::Exactly(3)] {
            let links = own_links.then(|| vec![("self".to_owned(), "https://varco.example/".to_owned())]);
            let rules = BundleRules { total, links };
            let with = bundle(&world.write(true), &rules).unwrap();
            let without = bundle(&world.write(false), &rules).unwrap();
            prop_assert_eq!(String::from_utf8(with.json.clone()).unwrap(), String::from_utf8(without.json).unwrap());
            prop_assert_eq!(with.shown, without.shown);
            let mut tape = Tape::new();
            let after = tape.parse_json(&with.json, &Limits::default()).unwrap();
            prop_assert!(!after.root().descendants().any(|value| value.as_str().is_some_and(|text| text.starts_with('h') && text.len() > 1 && !text.starts_with("http"))));
        }
    }

    #[test]
    fn nothing_goes_where_nothing_is_hidden(world in world()) {
        let mut world = world;
        world.entries.retain(|entry| !entry.hidden && entry.mode != Some("include") && entry.mode != Some("outcome") && !entry.score);
        world.signed = false;
        world.next = false;
        world.empty_array = false;
        let text = world.write(true);
        let redacted = bundle(&text, &BundleRules { total: Total::Shown, links: None }).unwrap();
        prop_assert_eq!(String::from_utf8(redacted.json).unwrap(), text);
    }
}

/// Where a label may stand.
const LABELS: &[&str] = &[
    r#""meta":{"security":[{"system":"urn:s","code":"SEGRETO"}]}"#,
    r#""meta":{"security":[{"system":"urn:s","code":"ALTRO"},{"system":"urn:s","code":"SEGRETO"}]}"#,
    r#""securityLabel":[{"coding":[{"system":"urn:s","code":"SEGRETO"}]}]"#,
    r#""meta":{"security":[{"system":"urn:s","code":"ALTRO"}]}"#,
    r#""status":"current""#,
    r#""status":"final""#,
    r#""status":"active""#,
];

/// A resource with resources inside, at most this deep, in every place where one may stand and in some where none
/// may.
fn a_resource(depth: u32) -> BoxedStrategy<String> {
    let kind = prop::sample::select(
        &["DocumentReference", "Composition", "Observation", "Bundle", "Parameters"][..],
    );
    let label = prop::sample::select(LABELS);
    let inner = match depth {
        0 => Just(Vec::new()).boxed(),
        _ => prop::collection::vec((0usize..7, a_resource(depth - 1)), 0..3).boxed(),
    };
    (kind, label, inner)
        .prop_map(|(kind, label, inner)| {
            let mut members = vec![
                format!("\"resourceType\":\"{kind}\""),
                label.to_owned(),
                r#""text":{"div":"<div>narrative</div>"}"#.to_owned(),
            ];
            for (number, (place, resource)) in inner.into_iter().enumerate() {
                members.push(match place {
                    0 => format!("\"contained{number}\":[{resource}]"),
                    1 => format!("\"entry{number}\":[{{\"fullUrl\":\"urn:uuid:1\",\"resource\":{resource}}}]"),
                    2 => format!("\"parameter{number}\":[{{\"name\":\"a\",\"part\":[{{\"name\":\"b\",\"resource\":{resource}}}]}}]"),
                    3 => format!("\"odd{number}\":{resource}"),
                    4 => format!("\"odd{number}\":[[{resource}],1]"),
                    5 => format!("\"entry{number}\":[{{\"response\":{{\"outcome\":{resource}}}}}]"),
                    _ => format!("\"extension{number}\":[{{\"url\":\"urn:x\",\"valueReference\":{{\"contained\":{resource}}}}}]"),
                });
            }
            if members.len() > 3 && kind.len() % 2 == 0 {
                members.rotate_left(1);
            }
            format!("{{{}}}", members.join(","))
        })
        .boxed()
}

/// Hides what carries the forbidden label, itself or in a part.
fn by_label(candidate: &Candidate<'_>) -> Verdict {
    let secret = candidate.resource.is_some_and(|own| crate::access::Labels::of(own).has("urn:s", "SEGRETO"));
    if secret { Verdict::Hide } else { Verdict::Show }
}

/// How many resources inside carry the forbidden label.
fn secrets(json: &[u8]) -> usize {
    let mut tape = Tape::new();
    let document = tape.parse_json(json, &Limits::default()).unwrap();
    let inside = resources(document.root());
    let secret = |own: &&NestedResource<'_>| crate::access::Labels::own(own.value).has("urn:s", "SEGRETO");
    inside.iter().skip(1).filter(secret).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever a server answers, no resource with a forbidden label is in what leaves, however deep it stands.
    #[test]
    fn no_resource_with_a_forbidden_label_leaves(entries in prop::collection::vec((a_resource(3), a_resource(1)), 1..4)) {
        let entries: Vec<String> = entries
            .iter()
            .map(|(own, beside)| format!(r#"{{"resource":{own},"response":{{"status":"200","outcome":{beside}}}}}"#))
            .collect();
        let text = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#, entries.join(","));
        let mut tape = Tape::new();
        let document = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
        let redacted = redact_bundle(document, &BundleRules::default(), by_label).unwrap();
        prop_assert_eq!(secrets(&redacted.json), 0, "{}", String::from_utf8_lossy(&redacted.json));
        let whole = redact_resource(document, by_label);
        prop_assert_eq!(secrets(whole.as_deref().unwrap_or(text.as_bytes())), 0);
    }
}
