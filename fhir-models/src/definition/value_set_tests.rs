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
    assert_eq!(codes(&filter("regex", "r.*|w.+m")), ["warm", "red"]);
    assert_eq!(filter("regex", "(").membership(C, "red"), Membership::Unknown);
    assert!(filter("regex", "(").codes().is_none());
    assert_eq!(codes(&filter("generalizes", "blue")), ["cold", "blue"]);
    assert_eq!(codes(&filter("child-of", "cold")), ["blue"]);
    assert_eq!(codes(&filter("descendent-leaf", "warm")), ["red", "orange"]);
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
        r#""compose":{"include":[{"system":"http://example.it/colours"}],"exclude":[{"system":"http://example.it/colours","filter":[{"property":"taste","op":"=","value":"sweet"}]}]}"#,
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

fn filtered_by(property: &str, op: &str, value: &str) -> Arc<ValueSet> {
    one(&format!(
        r#""compose":{{"include":[{{"system":"http://example.it/colours","filter":[{{"property":"{property}","op":"{op}","value":"{value}"}}]}}]}}"#
    ))
}

#[test]
fn properties_answer_to_every_operator() {
    assert_eq!(codes(&filtered_by("status", "exists", "true")), ["blue"]);
    assert_eq!(codes(&filtered_by("status", "exists", "false")), ["warm", "red", "orange", "cold"]);
    assert_eq!(codes(&filtered_by("status", "regex", "re.*")), ["blue"]);
    assert_eq!(codes(&filtered_by("parent", "=", "warm")), ["red", "orange"]);
    assert_eq!(codes(&filtered_by("child", "=", "red")), ["warm"]);
    assert_eq!(codes(&filtered_by("display", "=", "Rosso")), ["red"]);
    assert_eq!(filtered_by("status", "like", "re").membership(C, "blue"), Membership::Unknown);
}

#[test]
fn codes_out_of_use_can_be_left_out() {
    let compose = |inactive: &str| {
        one(&format!(r#""compose":{{{inactive}"include":[{{"system":"http://example.it/colours"}}]}}"#))
    };
    assert_eq!(compose("").membership(C, "blue"), Membership::Member);
    assert_eq!(compose(r#""inactive":false,"#).membership(C, "blue"), Membership::NotMember);
    assert_eq!(compose(r#""inactive":false,"#).membership(C, "red"), Membership::Member);
}

#[test]
fn names_come_from_the_set_and_from_the_system() {
    let set = one(
        r#""compose":{"include":[{"system":"http://example.it/colours","concept":[{"code":"red","display":"Red","designation":[{"language":"fr","value":"Rouge"}]}]},
        {"system":"http://example.it/colours"}]}"#,
    );
    assert_eq!(set.names("http://example.it/colours", "red"), ["Red", "Rouge", "Rosso"]);
    assert!(set.names("http://example.it/colours", "green").is_empty());
}

/// Knows even numbers.
struct Even;

impl CodeRules for Even {
    fn membership(&self, system: &str, code: &str) -> Membership {
        match code.parse::<u32>() {
            _ if system != "http://example.it/even" => Membership::Unknown,
            Ok(number) if number % 2 == 0 => Membership::Member,
            _ => Membership::NotMember,
        }
    }

    fn passes(&self, _: &str, code: &str, property: &str, _: &str, value: &str) -> Membership {
        match property {
            "digits" if code.len().to_string() == value => Membership::Member,
            "digits" => Membership::NotMember,
            _ => Membership::Unknown,
        }
    }
}

#[test]
fn rules_decide_systems_that_are_no_lists() {
    let set = |filters: &str| {
        one(&format!(r#""compose":{{"include":[{{"system":"http://example.it/even"{filters}}}]}}"#))
    };
    let asked = |set: &ValueSet, code: &str| set.membership_by(Some("http://example.it/even"), code, &Even);
    let all = set("");
    assert_eq!((asked(&all, "12"), asked(&all, "13")), (Membership::Member, Membership::NotMember));
    assert_eq!(all.membership(None, "13"), Membership::Unknown);
    assert_eq!(all.membership_by(None, "13", &Even), Membership::NotMember);
    let some = set(
        r#","filter":[{"property":"code","op":"regex","value":"1."},{"property":"digits","op":"=","value":"2"}]"#,
    );
    let answers = ["12", "22", "13", "124"].map(|code| asked(&some, code));
    assert_eq!(
        answers,
        [Membership::Member, Membership::NotMember, Membership::NotMember, Membership::NotMember]
    );
    let unknown = set(r#","filter":[{"property":"taste","op":"=","value":"sweet"}]"#);
    assert_eq!((asked(&unknown, "12"), asked(&unknown, "13")), (Membership::Unknown, Membership::NotMember));
}

#[test]
fn contained_value_sets_and_supplements() {
    let mut builder = DefinitionsBuilder::empty();
    let profile = r##"{"resourceType":"StructureDefinition","url":"http://example.it/profile","contained":[{"resourceType":"ValueSet","id":"vs",
        "compose":{"include":[{"system":"http://example.it/colours","concept":[{"code":"red"}]}]}}]}"##;
    let supplement = r#"{"resourceType":"CodeSystem","url":"http://example.it/more","content":"supplement","supplements":"http://example.it/colours|2.0.0",
        "property":[{"code":"taste","type":"string"}],"concept":[{"code":"red","designation":[{"language":"de","value":"Rot"}],"property":[{"code":"taste","valueString":"sweet"}]}]}"#;
    let set = r#"{"resourceType":"ValueSet","url":"http://example.it/sweet","compose":{"include":[{"system":"http://example.it/colours","filter":[{"property":"taste","op":"=","value":"sweet"}]}]}}"#;
    for (file, text) in [("p", profile), ("c", COLOURS), ("s", supplement), ("v", set)] {
        builder.definition(file, text.as_bytes()).unwrap();
    }
    let definitions = builder.build().unwrap();
    let contained = definitions.value_set("http://example.it/profile#vs").unwrap();
    assert_eq!(codes(&contained), ["red"]);
    assert!(definitions.value_set("http://example.it/profile#other").is_none());
    assert_eq!(definitions.supplements("http://example.it/colours").len(), 1);
    let sweet = definitions.value_set("http://example.it/sweet").unwrap();
    assert_eq!(codes(&sweet), ["red"]);
    assert_eq!(sweet.names("http://example.it/colours", "red"), ["Rosso", "Rot"]);
}
