//! Value sets decided offline, and those that can't be.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::{Definitions, DefinitionsBuilder};
use super::*;

const COLOURS: &str = r#"{"resourceType":"CodeSystem","url":"http://example.it/colours","version":"2.0.0","content":"complete","caseSensitive":true,
    "property":[{"code":"isIn","uri":"http://hl7.org/fhir/concept-properties#parent","type":"code"}],
    "concept":[{"code":"warm","concept":[{"code":"red","display":"Rosso"},{"code":"orange"}]},{"code":"cold"},
    {"code":"blue","property":[{"code":"isIn","valueCode":"cold"},{"code":"status","valueCode":"retired"}]}]}"#;
const PART: &str = r#"{"resourceType":"CodeSystem","url":"http://example.it/part","content":"fragment","caseSensitive":true,"concept":[{"code":"known"}]}"#;
const LOOSE: &str = r#"{"resourceType":"CodeSystem","url":"http://example.it/loose","content":"complete","concept":[{"code":"Kg"}]}"#;
const LOWER: &str = r#"{"resourceType":"CodeSystem","url":"http://example.it/lower","content":"complete","caseSensitive":false,"concept":[{"code":"it"},{"code":"è"}]}"#;

fn with(value_sets: &[(&str, &str)]) -> Definitions {
    let mut builder = DefinitionsBuilder::empty();
    for system in [COLOURS, PART, LOOSE, LOWER] {
        builder.definition("cs.json", system.as_bytes()).unwrap();
    }
    for (name, rest) in value_sets {
        let json = format!(r#"{{"resourceType":"ValueSet","url":"http://example.it/vs/{name}",{rest}}}"#);
        builder.definition(name, json.as_bytes()).unwrap();
    }
    builder.build().unwrap()
}

fn one(rest: &str) -> Arc<ValueSet> {
    with(&[("it", rest)]).value_set("http://example.it/vs/it").unwrap()
}

fn codes(set: &ValueSet) -> Vec<&str> {
    set.codes().expect("enumerable").into_iter().map(|it| it.code).collect()
}

const C: Option<&str> = Some("http://example.it/colours");

#[test]
fn a_whole_code_system() {
    let set = one(r#""compose":{"include":[{"system":"http://example.it/colours"}]}"#);
    assert_eq!(codes(&set), ["warm", "red", "orange", "cold", "blue"]);
    assert_eq!(set.codes().unwrap()[1].display, Some("Rosso"));
    assert_eq!(set.membership(C, "red"), Membership::Member);
    assert_eq!(set.membership(None, "red"), Membership::Member);
    assert_eq!(set.membership(C, "Red"), Membership::NotMember);
    assert_eq!(set.membership(Some("http://example.it/other"), "red"), Membership::NotMember);
    assert_eq!(set.membership(None, "green"), Membership::NotMember);
}

#[test]
fn hierarchy_filters_follow_nesting_and_parent_properties() {
    let filter = |op: &str, value: &str| {
        one(&format!(
            r#""compose":{{"include":[{{"system":"http://example.it/colours","filter":[{{"property":"concept","op":"{op}","value":"{value}"}}]}}]}}"#
        ))
    };
    assert_eq!(codes(&filter("is-a", "warm")), ["warm", "red", "orange"]);
    assert_eq!(codes(&filter("descendent-of", "warm")), ["red", "orange"]);
    assert_eq!(codes(&filter("is-a", "cold")), ["cold", "blue"]);
    assert_eq!(codes(&filter("is-not-a", "warm")), ["cold", "blue"]);
    assert_eq!(codes(&filter("in", "red, blue")), ["red", "blue"]);
    assert_eq!(filter("is-a", "green").membership(C, "red"), Membership::Unknown);
    assert_eq!(filter("regex", "r.*").membership(C, "red"), Membership::Unknown);
    assert!(filter("regex", "r.*").codes().is_none());
}

#[test]
fn property_filters() {
    let set = one(
        r#""compose":{"include":[{"system":"http://example.it/colours","filter":[{"property":"status","op":"=","value":"retired"}]}]}"#,
    );
    assert_eq!(codes(&set), ["blue"]);
    let undeclared = one(
        r#""compose":{"include":[{"system":"http://example.it/colours","filter":[{"property":"taste","op":"=","value":"sweet"}]}]}"#,
    );
    assert_eq!(undeclared.membership(C, "blue"), Membership::Unknown);
}

#[test]
fn excludes_take_away_and_imports_intersect() {
    let definitions = with(&[
        (
            "warm",
            r#""compose":{"include":[{"system":"http://example.it/colours","concept":[{"code":"red"},{"code":"orange"}]}]}"#,
        ),
        (
            "minus",
            r#""compose":{"include":[{"system":"http://example.it/colours"}],"exclude":[{"valueSet":["http://example.it/vs/warm"]}]}"#,
        ),
        (
            "both",
            r#""compose":{"include":[{"system":"http://example.it/colours","concept":[{"code":"red"},{"code":"blue"}],"valueSet":["http://example.it/vs/warm"]}]}"#,
        ),
        (
            "absent",
            r#""compose":{"include":[{"valueSet":["http://example.it/vs/nowhere"]},{"system":"http://example.it/colours","concept":[{"code":"red"}]}]}"#,
        ),
    ]);
    let set = |name: &str| definitions.value_set(&format!("http://example.it/vs/{name}")).unwrap();
    assert_eq!(codes(&set("minus")), ["warm", "cold", "blue"]);
    assert_eq!(codes(&set("both")), ["red"]);
    let absent = set("absent");
    assert!(absent.is_unbounded() && absent.codes().is_none());
    assert_eq!(absent.membership(C, "red"), Membership::Member);
    assert_eq!(absent.membership(C, "blue"), Membership::Unknown);
    assert_eq!(absent.membership(None, "anything"), Membership::Unknown);
}

#[test]
fn what_is_not_here_is_unknown_and_the_rest_is_still_decided() {
    let set = one(
        r#""compose":{"include":[{"system":"http://snomed.info/sct","filter":[{"property":"concept","op":"is-a","value":"1"}]},
        {"system":"http://example.it/colours","concept":[{"code":"red"}]},{"system":"http://example.it/part"}]}"#,
    );
    assert_eq!(set.membership(Some("http://snomed.info/sct"), "2"), Membership::Unknown);
    assert_eq!(set.membership(C, "red"), Membership::Member);
    assert_eq!(set.membership(C, "blue"), Membership::NotMember);
    assert_eq!(set.membership(Some("http://example.it/part"), "known"), Membership::Member);
    assert_eq!(set.membership(Some("http://example.it/part"), "other"), Membership::Unknown);
    assert_eq!(set.membership(Some("http://example.it/else"), "red"), Membership::NotMember);
    assert_eq!(set.membership(None, "red"), Membership::Member);
    assert_eq!(set.membership(None, "else"), Membership::Unknown);
}

#[test]
fn an_exclude_that_is_unknown_makes_its_codes_unknown() {
    let set = one(
        r#""compose":{"include":[{"system":"http://example.it/colours"}],"exclude":[{"system":"http://example.it/colours","filter":[{"property":"code","op":"regex","value":"r.*"}]}]}"#,
    );
    assert_eq!(set.membership(C, "red"), Membership::Unknown);
    assert_eq!(set.membership(C, "green"), Membership::NotMember);
}

#[test]
fn case_counts_as_the_code_system_says() {
    let listed = |system: &str, code: &str| {
        one(&format!(
            r#""compose":{{"include":[{{"system":"http://example.it/{system}","concept":[{{"code":"{code}"}}]}}]}}"#
        ))
    };
    let ask = |set: &ValueSet, code| set.membership(None, code);
    assert_eq!(ask(&listed("lower", "it"), "IT"), Membership::Member);
    assert_eq!(ask(&listed("lower", "è"), "È"), Membership::Member);
    assert_eq!(ask(&listed("loose", "Kg"), "kg"), Membership::Unknown);
    assert_eq!(ask(&listed("colours", "red"), "RED"), Membership::NotMember);
    let whole = one(r#""compose":{"include":[{"system":"http://example.it/lower"}]}"#);
    assert_eq!(ask(&whole, "IT"), Membership::Member);
}

#[test]
fn a_version_that_is_not_here_is_not_guessed() {
    let set = |version: &str| {
        one(&format!(
            r#""compose":{{"include":[{{"system":"http://example.it/colours","version":"{version}"}}]}}"#
        ))
    };
    assert_eq!(set("2.0.0").membership(C, "red"), Membership::Member);
    assert_eq!(set("2.0").membership(C, "red"), Membership::Member);
    assert_eq!(set("1.0.0").membership(C, "red"), Membership::Unknown);
}

#[test]
fn a_stored_expansion_answers_where_the_compose_can_not() {
    let set = |total: &str| {
        one(&format!(
            r#""compose":{{"include":[{{"system":"http://loinc.org","filter":[{{"property":"CLASS","op":"=","value":"X"}}]}}]}},
            "expansion":{{{total}"contains":[{{"system":"http://loinc.org","code":"1-8","contains":[{{"system":"http://loinc.org","code":"2-6"}}]}}]}}"#
        ))
    };
    assert_eq!(codes(&set("")), ["1-8", "2-6"]);
    assert_eq!(set("").membership(None, "3-4"), Membership::NotMember);
    assert_eq!(set(r#""total":90,"#).membership(None, "3-4"), Membership::Unknown, "a page of it");
}

#[test]
fn value_sets_that_import_each_other_end() {
    let mutual = r#""compose":{"include":[{"valueSet":["http://example.it/vs/b"]},{"system":"http://example.it/colours","concept":[{"code":"red"}]}]}"#;
    let definitions = with(&[("a", mutual), ("b", &mutual.replace("vs/b", "vs/a").replace("red", "blue"))]);
    for name in ["a", "b"] {
        let set = definitions.value_set(&format!("http://example.it/vs/{name}")).unwrap();
        assert_eq!(set.membership(C, "red"), Membership::Member, "{name}");
        assert_eq!(set.membership(C, "blue"), Membership::Member, "{name}");
        assert_eq!(set.membership(C, "green"), Membership::Unknown, "{name}");
    }
}

#[test]
fn a_long_chain_and_a_dense_net_of_imports_end() {
    let import = |name: usize| format!(r#"{{"valueSet":["http://example.it/vs/{name}"]}}"#);
    let chain: Vec<(String, String)> =
        (0..60).map(|n| (n.to_string(), format!(r#""compose":{{"include":[{}]}}"#, import(n + 1)))).collect();
    let net: Vec<(String, String)> = (0..40)
        .map(|n| {
            let imports: Vec<String> = (0..40).filter(|m| *m != n).map(import).collect();
            (n.to_string(), format!(r#""compose":{{"include":[{}]}}"#, imports.join(",")))
        })
        .collect();
    for sets in [chain, net] {
        let sets: Vec<(&str, &str)> =
            sets.iter().map(|(name, rest)| (name.as_str(), rest.as_str())).collect();
        let definitions = with(&sets);
        // The leaves first: what is read later must not grow deeper than the bound.
        for name in (0..sets.len()).rev() {
            let set = definitions.value_set(&format!("http://example.it/vs/{name}")).unwrap();
            assert_eq!(set.membership(None, "x"), Membership::Unknown);
        }
    }
}
