//! What the language has beside the everyday: each construct does what it says, as text and as resource, and still does
//! when it has been printed.
#![allow(clippy::unwrap_used)]

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits as DocumentLimits, OwnedDocument};

use proptest::prelude::*;

use super::{Counted, Limits, Mapper, Settings, regional_maps, syntax};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","gender":"male","birthDate":"1971-05-01",
  "name":[{"use":"official","family":"Rossi","given":["Anna","Maria"]},{"use":"nickname","given":["Nina"]}]}"#;

fn ran(mapper: &Mapper, source: &str) -> Result<String, String> {
    let map = mapper.compile(0).map_err(|errors| errors[0].to_string())?;
    let source = OwnedDocument::parse_json(source, &DocumentLimits::default()).unwrap();
    let counted = Counted::default();
    let settings = Settings { randomness: Some(&counted), ..Settings::default() };
    map.run(&[source.document()], &settings).map(|it| it.text().to_owned()).map_err(|it| it.to_string())
}

fn mapper(files: &[&str]) -> Mapper {
    let mut mapper = Mapper::new(Definitions::r4());
    for (at, text) in files.iter().enumerate() {
        mapper.add(&format!("{at}.map"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    }
    mapper
}

fn whole(to: &str, groups: &str) -> String {
    let base = "http://hl7.org/fhir/StructureDefinition/";
    format!(
        "map \"urn:x:m\" = m\nuses \"{base}Patient\" alias From as source\nuses \"{base}{to}\" alias To as target\n{groups}"
    )
}

/// Runs a map of one group as it is and as it is printed: the same comes of both.
fn made(to: &str, rules: &str) -> String {
    let text = whole(to, &format!("group main(source src : From, target tgt : To) {{ {rules} }}"));
    let first = ran(&mapper(&[&text]), PATIENT).unwrap_or_else(|error| panic!("{error}"));
    let printed = syntax::print(&syntax::parse_text("m.map", &text).unwrap());
    assert_eq!(ran(&mapper(&[&printed]), PATIENT).unwrap(), first, "{printed}");
    first.replace(&format!(r#"{{"resourceType":"{to}","#), "{")
}

#[test]
fn the_rest_of_the_transforms() {
    assert_eq!(made("Person", "src.gender as g -> tgt.gender = copy(g);"), r#"{"gender":"male"}"#);
    assert_eq!(
        made("Person", "src -> tgt.meta as m, m.tag = c('s', 'x');"),
        r#"{"meta":{"tag":[{"system":"s","code":"x"}]}}"#
    );
    assert_eq!(
        made("Person", "src -> tgt.meta as m, m.tag = c('s', 'x', 'X');"),
        r#"{"meta":{"tag":[{"system":"s","code":"x","display":"X"}]}}"#
    );
    assert_eq!(
        made("Observation", "src -> tgt.value = qty(5.50, 'mg');"),
        r#"{"valueQuantity":{"value":5.50,"unit":"mg"}}"#
    );
    assert_eq!(
        made("Observation", "src -> tgt.value = qty(5.50, 'milligram', 'http://unitsofmeasure.org', 'mg');"),
        r#"{"valueQuantity":{"value":5.50,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}}"#
    );
    assert_eq!(
        made("Person", "src.id as i -> tgt.identifier = id('s', i);"),
        r#"{"identifier":[{"system":"s","value":"p1"}]}"#
    );
    assert_eq!(
        made("Person", "src -> tgt.telecom = cp('email', 'a@example.org');"),
        r#"{"telecom":[{"system":"email","value":"a@example.org"}]}"#
    );
    assert_eq!(
        made("Person", "src -> uuid() as u, tgt.id = u;"),
        r#"{"id":"00000000-0000-4000-8000-000000000001"}"#
    );
    assert_eq!(made("Person", "src.birthDate as b -> tgt.id = cast(b, 'string');"), r#"{"id":"1971-05-01"}"#);
}

#[test]
fn target_list_modes() {
    let names = |mode: &str| made("Person", &format!("src.name as n -> tgt.name = n {mode};"));
    let (official, nick) = (
        r#"{"use":"official","family":"Rossi","given":["Anna","Maria"]}"#,
        r#"{"use":"nickname","given":["Nina"]}"#,
    );
    assert_eq!(names(""), format!(r#"{{"name":[{official},{nick}]}}"#));
    assert_eq!(names("last"), format!(r#"{{"name":[{official},{nick}]}}"#));
    assert_eq!(names("first"), format!(r#"{{"name":[{nick},{official}]}}"#));
    let text = whole(
        "Person",
        "group main(source src : From, target tgt : To) { src.name as n -> tgt.name as m single, m.text = 'x'; }",
    );
    assert_eq!(
        ran(&mapper(&[&text]), PATIENT).unwrap(),
        r#"{"resourceType":"Person","name":[{"text":"x"}]}"#
    );
}

#[test]
fn a_type_plus_group_serves_its_source_type_wherever_it_meets_it() {
    let text = whole(
        "Person",
        "group main(source src : From, target tgt : To) { src.name -> tgt.name; src.birthDate -> tgt.birthDate; }
         group names(source s : HumanName, target t : HumanName) <<type+>> { s.given as g -> t.given = append(g, '!'); }",
    );
    assert_eq!(
        ran(&mapper(&[&text]), PATIENT).unwrap(),
        r#"{"resourceType":"Person","name":[{"given":["Anna!","Maria!"]},{"given":["Nina!"]}],"birthDate":"1971-05-01"}"#
    );
}

#[test]
fn what_an_import_imports_can_be_used_too_and_a_nearer_group_goes_before() {
    let main = whole(
        "Person",
        "imports \"urn:x:one-*\"\ngroup main(source src : From, target tgt : To) extends base { src.name as n -> tgt.name as m then name(n, m); }",
    );
    let one = "map \"urn:x:one-lib\" = one\nimports \"urn:x:two\"\ngroup base(source s, target t) extends root { s.gender -> t.gender; }";
    let two = "map \"urn:x:two\" = two\ngroup root(source s, target t) { s.id -> t.id; } group name(source s, target t) { s.use -> t.use; }";
    assert_eq!(
        ran(&mapper(&[&main, one, two]), PATIENT).unwrap(),
        r#"{"resourceType":"Person","id":"p1","name":[{"use":"official"},{"use":"nickname"}],"gender":"male"}"#
    );
    let twin = "map \"urn:x:one-more\" = more\ngroup name(source s, target t) { s.family -> t.family; }";
    let error = ran(&mapper(&[&main, one, two, twin]), PATIENT).unwrap_err();
    assert!(error.contains("the group name"), "{error}");
    let own = format!("{main} group name(source s, target t) {{ s.family -> t.family; }}");
    assert!(
        ran(&mapper(&[&own, one, two, twin]), PATIENT).unwrap().contains(r#""name":[{"family":"Rossi"}"#)
    );
}

#[test]
fn conditions_without_parentheses_and_variables_of_outer_rules() {
    assert_eq!(
        made(
            "Person",
            "src.name as n where use = 'official' or use = 'usual' then { n.given as g where g != 'Anna' -> tgt.id = (g & '-' & n.family & '-' & src.gender); };"
        ),
        r#"{"id":"Maria-Rossi-male"}"#
    );
}

#[test]
fn several_sources_give_all_pairs() {
    assert_eq!(
        made("Person", "src.name as n, n.given as g -> tgt.link as l, l.id = g;"),
        r#"{"link":[{"id":"Anna"},{"id":"Maria"},{"id":"Nina"}]}"#
    );
}

/// R4 and R5 write parameters, dependents and defaults in different ways, and JSON and XML too.
#[test]
fn a_structure_map_runs_as_its_text_does() {
    let r4 = r##"{"resourceType":"StructureMap","url":"urn:x:m","name":"m","status":"draft",
      "contained":[{"resourceType":"ConceptMap","id":"sex","status":"draft","group":[{"element":[{"code":"male","target":[{"code":"M","equivalence":"equal"}]}]}]}],
      "structure":[{"url":"http://hl7.org/fhir/StructureDefinition/Patient","mode":"source","alias":"From"},
        {"url":"http://hl7.org/fhir/StructureDefinition/Person","mode":"target","alias":"To"}],
      "group":[{"name":"main","extends":"base","typeMode":"none","input":[{"name":"src","type":"From","mode":"source"},{"name":"tgt","type":"To","mode":"target"}],
        "rule":[
          {"name":"a","source":[{"context":"src","element":"gender","variable":"g"}],
           "target":[{"context":"tgt","contextType":"variable","element":"language","transform":"translate","parameter":[{"valueId":"g"},{"valueString":"#sex"},{"valueString":"code"}]}]},
          {"name":"b","source":[{"context":"src","element":"name","variable":"n","listMode":"first","condition":"use = 'official'"}],
           "target":[{"context":"tgt","contextType":"variable","element":"name","variable":"m"}],
           "dependent":[{"name":"name","variable":["n","m"]}]},
          {"name":"c","source":[{"context":"src","element":"active","variable":"v","defaultValueBoolean":true}],
           "target":[{"context":"tgt","contextType":"variable","element":"active","transform":"copy","parameter":[{"valueId":"v"}]}]}]},
        {"name":"name","typeMode":"none","input":[{"name":"s","mode":"source"},{"name":"t","mode":"target"}],
         "rule":[{"name":"f","source":[{"context":"s","element":"family","variable":"f"}],
           "target":[{"context":"t","contextType":"variable","element":"family","transform":"truncate","parameter":[{"valueId":"f"},{"valueInteger":3}]}]}]},
        {"name":"base","typeMode":"none","input":[{"name":"s","mode":"source"},{"name":"t","mode":"target"}],
         "rule":[{"name":"i","source":[{"context":"s","element":"id","variable":"i"}],
           "target":[{"context":"t","contextType":"variable","element":"id","transform":"copy","parameter":[{"valueId":"i"}]}]}]}]}"##;
    let wanted =
        r#"{"resourceType":"Person","id":"p1","language":"M","name":[{"family":"Ros"}],"active":true}"#;
    assert_eq!(ran(&mapper(&[r4]), PATIENT).unwrap(), wanted);
    let r5 = r4
        .replace(
            r#""dependent":[{"name":"name","variable":["n","m"]}]"#,
            r#""dependent":[{"name":"name","parameter":[{"valueId":"n"},{"valueId":"m"}]}]"#,
        )
        .replace(r#""defaultValueBoolean":true"#, r#""defaultValue":"true""#)
        .replace(r#""contextType":"variable","#, "")
        .replace(r#""equivalence":"equal""#, r#""relationship":"equivalent""#)
        .replace(r#""typeMode":"none","#, "");
    assert_eq!(ran(&mapper(&[&r5]), PATIENT).unwrap(), wanted);
}

#[test]
fn the_maps_that_come_with_varco_print_to_maps_that_print_the_same() {
    for map in regional_maps() {
        let read = syntax::parse_text(map.url, map.text).unwrap();
        let printed = syntax::print(&read);
        let again =
            syntax::parse_text(map.url, &printed).unwrap_or_else(|error| panic!("{}: {error}", map.url));
        assert_eq!(syntax::print(&again), printed, "{}", map.url);
    }
}

/// Pieces of maps: words, numbers, quoted texts, signs.
fn pieces(text: &str) -> Vec<&str> {
    let kind = |it: char| match it {
        _ if it.is_alphanumeric() || it == '_' => 0,
        _ if it.is_whitespace() => 1,
        _ => 2,
    };
    let mut found = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, character) in text.char_indices() {
        let own = kind(character);
        if last.is_some_and(|last| last != own || own == 2) {
            found.push(&text[start..at]);
            start = at;
        }
        last = Some(own);
    }
    found.push(&text[start..]);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Real maps with pieces left out, doubled, exchanged or taken from elsewhere: what is still read prints to what reads the
    /// same, what still compiles runs within its bounds and gives a document.
    #[test]
    fn no_damaged_map_upsets_the_engine(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8), 1..4),
        source in 0..3usize,
    ) {
        let maps = regional_maps();
        let map = which.get(maps);
        let mut parts: Vec<&str> = pieces(map.text);
        for (one, other, what) in damage {
            let (one, other) = (one.index(parts.len()), other.index(parts.len()));
            match what {
                0 => _ = parts.remove(one),
                1 => parts.insert(one, parts[other]),
                2 => parts.swap(one, other),
                _ => parts[one] = parts[other],
            }
        }
        let text = parts.concat();
        if let Ok(read) = syntax::parse_text("m.map", &text) {
            let printed = syntax::print(&read);
            let again = syntax::parse_text("m.map", &printed);
            prop_assert!(again.is_ok(), "{:?}\n{}", again.err(), printed);
            prop_assert_eq!(syntax::print(&again.unwrap()), printed);
        }
        let mut mapper = Mapper::new(Definitions::r4());
        if mapper.add("m.map", text.as_bytes()).is_ok() && let Ok(map) = mapper.compile(0) {
            let sources = [
                PATIENT,
                include_str!("../../../testdata/mapping/fse-lab.json"),
                include_str!("../../../testdata/mapping/synthetic-cup.json"),
            ];
            let source = OwnedDocument::parse_json(sources[source], &DocumentLimits::default()).unwrap();
            let counted = Counted::default();
            let limits = Limits { steps: 20_000, nodes: 20_000, bytes: 1 << 20, ..Limits::default() };
            let settings = Settings { limits, randomness: Some(&counted), report: true, ..Settings::default() };
            if let Ok(output) = map.run(&[source.document()], &settings) {
                for result in output.results.iter().filter(|it| it.text.starts_with('{')) {
                    prop_assert!(OwnedDocument::parse_json(result.text.as_str(), &DocumentLimits::default()).is_ok());
                }
            }
        }
    }
}
