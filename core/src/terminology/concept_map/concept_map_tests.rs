#![allow(clippy::unwrap_used, clippy::expect_used)]

use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;

use super::*;

fn parsed(json: &str) -> OwnedDocument {
    OwnedDocument::parse_json(json, &Limits::default()).unwrap()
}

fn read(groups: &str) -> Result<ConceptMap, ConceptMapFault> {
    ConceptMap::read(parsed(&of("main", groups)).root(), &|_| None)
}

fn of(name: &str, groups: &str) -> String {
    format!(
        r#"{{"resourceType":"ConceptMap","url":"urn:x:{name}","version":"1","status":"active","sourceUri":"urn:x:from","group":[{groups}]}}"#
    )
}

fn from<'a>(system: &'a str, code: &'a str) -> Asked<'a> {
    Asked::of(Concept::of(Some(system), code))
}

/// `equivalence system|code` of each match.
fn told(answer: &Translation<'_>) -> Vec<String> {
    let one = |it: &Match<'_>| match it.concept {
        Some(concept) => format!("{} {}|{}", it.equivalence, concept.system.unwrap_or("-"), concept.code),
        None => it.equivalence.to_string(),
    };
    answer.matches.iter().map(one).collect()
}

fn preferred(map: &ConceptMap, asked: &Asked<'_>) -> String {
    match map.translate(asked).preferred() {
        Preferred::None => "none".to_owned(),
        Preferred::One(it) => it.concept.unwrap().code.to_owned(),
        Preferred::Several(them) => {
            let codes: Vec<_> = them.iter().map(|it| it.concept.unwrap().code).collect();
            format!("several: {}", codes.join(" "))
        }
    }
}

#[test]
fn what_is_excluded_is_told_and_is_no_result() {
    let map = read(
        r#"{"source":"a","target":"b","element":[
          {"code":"1","target":[{"equivalence":"unmatched"}]},
          {"code":"2","target":[{"code":"x","equivalence":"disjoint"}]},
          {"code":"3","target":[{"code":"x","equivalence":"disjoint"},{"code":"y","equivalence":"narrower"}]},
          {"code":"4","noMap":true}]}"#,
    )
    .unwrap();
    for (code, matches, result) in [
        ("1", vec!["unmatched"], false),
        ("2", vec!["disjoint b|x"], false),
        ("3", vec!["disjoint b|x", "narrower b|y"], true),
        ("4", vec!["unmatched"], false),
        ("5", vec![], false),
    ] {
        let asked = from("a", code);
        let answer = map.translate(&asked);
        assert_eq!(
            (told(&answer), answer.result),
            (matches.iter().map(|it| it.to_string()).collect(), result)
        );
        assert_eq!(answer.message.is_some(), !result);
        assert_eq!(preferred(&map, &asked), "none");
    }
    assert_eq!(map.translate(&from("z", "3")).matches.len(), 0);
    assert_eq!(map.translate(&from("a", "3")).matches[1].source, "urn:x:main|1");
}

#[test]
fn of_several_targets_the_nearest_is_preferred_and_equals_are_left_open() {
    let map = read(
        r#"{"source":"a","target":"b","element":[
          {"code":"1","target":[{"code":"x","equivalence":"wider"},{"code":"y","equivalence":"equivalent"},{"code":"z","equivalence":"inexact"}]},
          {"code":"2","target":[{"code":"x","equivalence":"wider"},{"code":"y","equivalence":"subsumes"}]},
          {"code":"3","target":[{"code":"x","equivalence":"equal"},{"code":"y","equivalence":"equivalent"}]},
          {"code":"4","target":[{"code":"x","relationship":"related-to"},{"code":"y","relationship":"source-is-narrower-than-target"}]}]},
         {"source":"a","target":"b","element":[{"code":"1","target":[{"code":"y","equivalence":"equivalent"}]}]}"#,
    )
    .unwrap();
    let answers = ["1", "2", "3", "4"].map(|code| preferred(&map, &from("a", code)));
    assert_eq!(answers, ["y", "several: x y", "x", "y"]);
}

#[test]
fn a_mapping_that_depends_holds_only_where_its_value_is_given() {
    let map = read(
        r#"{"source":"a","target":"b","element":[{"code":"1","target":[
          {"code":"general","equivalence":"equivalent"},
          {"code":"fasting","equivalence":"equivalent","dependsOn":[{"property":"urn:x:when","system":"urn:x:s","value":"F"}],
           "product":[{"property":"urn:x:method","value":"glucose meter"}]},
          {"code":"child","equivalence":"equivalent","dependsOn":[{"property":"urn:x:when","value":"F"},{"attribute":"urn:x:age","valueCode":"C"}]}]}]}"#,
    )
    .unwrap();
    let given = |element: &str, system: Option<&str>, value: &str| Dependency {
        element: element.to_owned(),
        system: system.map(str::to_owned),
        value: value.to_owned(),
        display: None,
    };
    let answer = |dependencies: &[Dependency]| preferred(&map, &Asked { dependencies, ..from("a", "1") });
    assert_eq!(answer(&[]), "general");
    assert_eq!(answer(&[given("urn:x:when", None, "F")]), "fasting");
    assert_eq!(answer(&[given("urn:x:when", Some("urn:x:other"), "F")]), "general");
    assert_eq!(answer(&[given("urn:x:when", None, "F"), given("urn:x:age", None, "C")]), "child");
    let dependencies = [given("urn:x:when", Some("urn:x:s"), "F")];
    let asked = Asked { dependencies: &dependencies, ..from("a", "1") };
    let translation = map.translate(&asked);
    assert_eq!(translation.matches[1].product[0].value, "glucose meter");
    assert!(translation.message.unwrap().contains("depends on urn:x:age"));
}

#[test]
fn unmapped_codes_are_kept_fixed_or_sent_on() {
    let groups = r#"{"source":"a","target":"b","element":[
        {"code":"1","target":[{"code":"x","equivalence":"equivalent"}]},
        {"code":"2","target":[{"equivalence":"unmatched"}]},
        {"code":"3","target":[{"code":"x","equivalence":"disjoint"}]}],
      "unmapped":"#;
    let provided = read(&format!(r#"{groups}{{"mode":"provided"}}}}"#)).unwrap();
    let fixed = read(&format!(r#"{groups}{{"mode":"fixed","code":"other","display":"Other"}}}}"#)).unwrap();
    let sent = format!(r#"{groups}{{"mode":"other-map","url":"urn:x:second|1"}}}}"#);
    let second = of(
        "second",
        r#"{"source":"a","target":"b","element":[{"code":"9","target":[{"code":"z","equivalence":"wider"}]}]}"#,
    );
    let other = |canonical: &str| (canonical == "urn:x:second|1").then(|| parsed(&second));
    let other = ConceptMap::read(parsed(&of("main", &sent)).root(), &other).unwrap();
    for (map, answers) in [
        (
            &provided,
            [vec!["equivalent b|x"], vec!["unmatched"], vec!["disjoint b|x", "equal a|3"], vec!["equal a|9"]],
        ),
        (
            &fixed,
            [
                vec!["equivalent b|x"],
                vec!["unmatched"],
                vec!["disjoint b|x", "relatedto b|other"],
                vec!["relatedto b|other"],
            ],
        ),
        (&other, [vec!["equivalent b|x"], vec!["unmatched"], vec!["disjoint b|x"], vec!["wider b|z"]]),
    ] {
        for (code, wanted) in ["1", "2", "3", "9"].iter().zip(answers) {
            assert_eq!(told(&map.translate(&from("a", code))), wanted, "{code}");
            // Another system's codes are none of the group's business.
            assert_eq!(map.translate(&from("c", code)).matches, []);
        }
    }
    assert_eq!(other.translate(&from("a", "9")).matches[0].source, "urn:x:second|1");
    assert!(other.absent().is_empty());
    assert_eq!((other.source_scope(), other.target_scope()), (Some("urn:x:from"), None));
    assert_eq!(other.systems().collect::<Vec<_>>(), [(Some("a"), Some("b"))]);
    let alone = read(&sent).unwrap();
    assert_eq!(alone.absent(), ["urn:x:second|1"]);
    let answer = alone.translate(&from("a", "9")).message.unwrap();
    assert_eq!(answer, "unmapped codes go to the concept map urn:x:second|1, which is not known here");
}

#[test]
fn unmapped_speaks_for_its_own_target_system() {
    let map = read(
        r#"{"source":"a","target":"b","element":[{"code":"1","target":[{"code":"x","equivalence":"equal"}]}]},
           {"source":"a","target":"c","unmapped":{"mode":"fixed","code":"other"}}"#,
    )
    .unwrap();
    assert_eq!(told(&map.translate(&from("a", "1"))), ["equal b|x", "relatedto c|other"]);
    assert_eq!(preferred(&map, &from("a", "1")), "x");
    let asked = Asked { target_system: Some("c"), ..from("a", "1") };
    assert_eq!(told(&map.translate(&asked)), ["relatedto c|other"]);
}

#[test]
fn in_reverse_all_codes_are_told_that_map_to_it() {
    let map = read(
        r#"{"source":"a","sourceVersion":"7","target":"b","element":[
          {"code":"1","display":"One","target":[{"code":"x","equivalence":"wider","dependsOn":[{"property":"urn:x:p","value":"v"}]}]},
          {"code":"2","target":[{"code":"x","equivalence":"equivalent"},{"code":"y","equivalence":"specializes"}]},
          {"code":"3","target":[{"code":"x","equivalence":"disjoint"}]}]},
         {"source":"d","target":"b","element":[{"code":"4","target":[{"code":"x","equivalence":"equal"}]}]}"#,
    )
    .unwrap();
    let back = |code, target_system| {
        let asked = Asked { reverse: true, target_system, ..from("b", code) };
        let answer = map.translate(&asked);
        told(&answer)
    };
    assert_eq!(back("x", None), ["narrower a|1", "equivalent a|2", "disjoint a|3", "equal d|4"]);
    assert_eq!(back("x", Some("d")), ["equal d|4"]);
    assert_eq!(back("y", None), ["subsumes a|2"]);
    let asked = Asked { reverse: true, ..from("b", "x") };
    let first = map.translate(&asked).matches[0];
    assert_eq!(first.concept.unwrap().version, Some("7"));
    assert_eq!(first.product[0].element, "urn:x:p");
    let asked = Asked { reverse: true, ..from("a", "1") };
    assert!(!map.translate(&asked).result);
}

#[test]
fn versions_of_code_systems_are_told_apart_where_both_are_stated() {
    let map = read(
        r#"{"source":"a|1","target":"b","element":[{"code":"1","target":[{"code":"old","equivalence":"equal"}]}]},
           {"source":"a","sourceVersion":"2","target":"b","element":[{"code":"1","target":[{"code":"new","equivalence":"equal"}]}]}"#,
    )
    .unwrap();
    let with = |version| Asked::of(Concept { version, ..Concept::of(Some("a"), "1") });
    assert_eq!(preferred(&map, &with(Some("1"))), "old");
    assert_eq!(preferred(&map, &with(Some("2"))), "new");
    assert_eq!(preferred(&map, &with(None)), "several: old new");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let target = |it: &str| read(&format!(r#"{{"element":[{{"code":"1","target":[{it}]}}]}}"#)).unwrap_err();
    assert_eq!(
        target(r#"{"code":"x","equivalence":"similar"}"#),
        ConceptMapFault::Equivalence("1".to_owned(), "similar".to_owned())
    );
    assert_eq!(
        target(r#"{"code":"x","dependsOn":[{"attribute":"a","valueSet":"urn:x:v"}]}"#),
        ConceptMapFault::DependsOnValueSet("1".to_owned())
    );
    assert_eq!(
        target(r#"{"code":"x","dependsOn":[{"value":"a"}]}"#),
        ConceptMapFault::Dependency("1".to_owned())
    );
    let unmapped = |it: &str| read(&format!(r#"{{"unmapped":{it}}}"#)).unwrap_err();
    assert_eq!(unmapped(r#"{"mode":"fixed"}"#), ConceptMapFault::FixedCode);
    assert_eq!(unmapped(r#"{"mode":"drop"}"#), ConceptMapFault::Mode("drop".to_owned()));
    let to = |name: &str| format!(r#"{{"unmapped":{{"mode":"other-map","url":"urn:x:{name}"}}}}"#);
    let circle = |canonical: &str| match canonical {
        "urn:x:b" => Some(parsed(&of("b", &to("main")))),
        _ => None,
    };
    let fault = ConceptMap::read(parsed(&of("main", &to("b"))).root(), &circle).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the concept map urn:x:b, where unmapped codes go: unmapped codes go from map to map and come back to urn:x:main"
    );
    let chain = |canonical: &str| {
        let number: u32 = canonical.strip_prefix("urn:x:")?.parse().ok()?;
        Some(parsed(&of(&number.to_string(), &to(&(number + 1).to_string()))))
    };
    let fault = ConceptMap::read(parsed(&of("0", &to("1"))).root(), &chain).unwrap_err();
    assert!(fault.to_string().ends_with("unmapped codes go through more than 8 maps"), "{fault}");
}

#[test]
fn a_map_that_many_groups_send_to_is_asked_once() {
    let group = |name: &str| format!(r#"{{"unmapped":{{"mode":"other-map","url":"urn:x:{name}"}}}}"#);
    let wide = |canonical: &str| {
        let number: u32 = canonical.strip_prefix("urn:x:")?.parse().ok()?;
        let next = match number {
            6 => r#"{"target":"b","unmapped":{"mode":"fixed","code":"z"}}"#.to_owned(),
            _ => vec![group(&(number + 1).to_string()); 200].join(","),
        };
        Some(parsed(&of(&number.to_string(), &next)))
    };
    let map = ConceptMap::read(wide("urn:x:0").unwrap().root(), &wide).unwrap();
    assert_eq!(told(&map.translate(&from("a", "1"))), ["relatedto b|z"]);
}

proptest! {
    #[test]
    fn what_a_map_says_it_says_in_both_directions(pairs in prop::collection::vec((0..4u8, 0..4u8, 0..10usize), 0..30)) {
        let kinds = ["relatedto", "equivalent", "equal", "wider", "subsumes", "narrower", "specializes", "inexact", "disjoint", "unmatched"];
        let elements: Vec<String> = pairs.iter().map(|(from, to, kind)| {
            format!(r#"{{"code":"s{from}","target":[{{"code":"t{to}","equivalence":"{}"}}]}}"#, kinds[*kind])
        }).collect();
        let map = read(&format!(r#"{{"source":"a","target":"b","element":[{}]}}"#, elements.join(","))).unwrap();
        for from_code in 0..4u8 {
            for to_code in 0..4u8 {
                let (source, target) = (format!("s{from_code}"), format!("t{to_code}"));
                let there = from("a", &source);
                let there = map.translate(&there);
                let there: Vec<_> = there.matches.iter().filter(|it| it.concept.unwrap().code == target).map(|it| it.equivalence).collect();
                let back = Asked { reverse: true, ..from("b", &target) };
                let back = map.translate(&back);
                let back: Vec<_> = back.matches.iter().filter(|it| it.concept.unwrap().code == source).map(|it| it.equivalence.reversed()).collect();
                prop_assert_eq!(there, back);
            }
        }
    }
}
