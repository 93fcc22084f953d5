#![allow(clippy::unwrap_used)]

use fhir_models::definition::Definitions;
use fhir_models::document::xml::DefinitionSchema;
use proptest::prelude::*;

use super::*;

fn read(text: &str) -> StructureMap {
    match parse_text("m.map", text) {
        Ok(map) => map,
        Err(error) => panic!("{error}"),
    }
}

fn refused(text: &str) -> String {
    parse_text("m.map", text).unwrap_err().to_string()
}

/// What was read prints, and what was printed reads to the same print.
fn stable(text: &str) -> String {
    let once = print(&read(text));
    assert_eq!(print(&read(&once)), once, "{once}");
    once
}

const WHOLE: &str = r##"
/// title = 'Ricette'
/// status = 'draft'
/// experimental = true
// not kept
map "http://example.org/m" = ricette

conceptmap "#sessi" {
  prefix s = "http://example.org/sesso"
  prefix t = "http://hl7.org/fhir/administrative-gender"
  unmapped for s = provided
  s:M == t:male
  s:"1-2 x" <= t:female
  s:X --
}

uses "http://hl7.org/fhir/StructureDefinition/Patient" alias P as source // who comes
uses "http://hl7.org/fhir/StructureDefinition/Bundle" as target
imports "http://example.org/*"
let system = 'http://example.org/cf';
let most = 20;

// The first group,
// with two lines of comment.
group main(source src : P, target tgt : Bundle) extends base <<type+>> {
  // an identity
  src.id -> tgt.id;
  src -> tgt: language, implicitRules "both";
  src.name : HumanName 0..* default ('x' & "y\"z") first as n where (use = 'official') check (family.exists()) log ('a')
    -> tgt.entry as e share names, e.resource = create('Patient') as p then one(n, p), two(n, 'x', 3) {
      n.given as g -> p.name as h last, h.given = truncate(g, most) "inner";
    } "outer";
  src.gender as g where value = 'male' -> (g & 'x') as both, tgt.language = translate(g, '#sessi', 'code');
  src.birthDate as d, src.deceased as x -> tgt.timestamp = (%d + 5 days), tgt.identifier = id(system, d);
  src as s -> tgt.type = evaluate(s, iif(true, "a", 'b')), tgt.total = -1, tgt.language = d.value;
}
"##;

#[test]
fn a_whole_map_is_read_and_printed() {
    let map = read(WHOLE);
    assert_eq!((map.url.as_str(), map.name.as_str()), ("http://example.org/m", "ricette"));
    assert_eq!(map.metadata.len(), 3);
    assert_eq!(map.concept_maps[0].pairs.len(), 3);
    assert_eq!(map.concept_maps[0].pairs[1].source.code, "1-2 x");
    assert_eq!(map.structures[0].documentation.as_deref(), Some("who comes"));
    assert_eq!(map.groups[0].documentation.as_deref(), Some("The first group,\nwith two lines of comment."));
    let rules = &map.groups[0].rules;
    assert_eq!(rules.len(), 7);
    assert!(rules[0].is_identity() && rules[1].is_identity() && rules[2].is_identity());
    assert_eq!(rules[2].name.as_deref(), Some("both-implicitRules"));
    let outer = &rules[3];
    assert_eq!(outer.sources[0].default.as_ref().unwrap().text, r#"'x' & 'y"z'"#);
    assert_eq!(outer.targets[0].list_rule.as_deref(), Some("names"));
    assert_eq!((outer.dependents.len(), outer.rules.len()), (2, 1));
    assert_eq!(rules[4].sources[0].condition.as_ref().unwrap().text, "value = 'male'");
    assert!(rules[4].targets[0].context.is_none());
    assert_eq!(rules[5].sources.len(), 2);
    let printed = stable(WHOLE);
    assert!(printed.contains("evaluate(s, iif(true, 'a', 'b'))"), "{printed}");
    assert!(printed.contains("tgt.language = (d.value)"), "{printed}");
}

#[test]
fn conditions_may_lack_their_parentheses() {
    let rule = |text: &str| {
        let map = read(&format!("group g(source s, target t) {{ {text} }}"));
        map.groups[0].rules[0].clone()
    };
    let old = rule("s.item as item where linkId.value in ('a' | 'b') -> t.x = 'y';");
    assert_eq!(old.sources[0].condition.as_ref().unwrap().text, "linkId.value in ('a' | 'b')");
    let both = rule("s.a as v where (a = 1) and (b = 2) check c then g(v, t) \"n\";");
    assert_eq!(both.sources[0].condition.as_ref().unwrap().text, "(a = 1) and (b = 2)");
    assert_eq!(both.sources[0].check.as_ref().unwrap().text, "c");
    assert_eq!(both.name.as_deref(), Some("n"));
    let typed = rule("s.value where $this as Quantity = 1 'mg' -> t.x = 'y';");
    assert_eq!(typed.sources[0].condition.as_ref().unwrap().text, "$this as Quantity = 1 'mg'");
}

#[test]
fn faults_say_where_and_what_to_do() {
    assert_eq!(
        refused("group g(source s, target t) {\n  s.a -> t.b\n}"),
        "m.map:3:1: a semicolon, then, as, or the rule's name is expected here, not }"
    );
    assert_eq!(
        refused("map \"x\" = y\nuse \"z\" as source"),
        "m.map:2:1: map, uses, imports, conceptmap, let or group is expected here, not use"
    );
    assert!(refused("group g(source s, target t) { s -> t.x = make('a'); }").contains("no transform make()"));
    assert!(refused("group g(source s, target t) { s -> t.x = 'a; }").contains("close it with '"));
    assert!(refused("conceptmap \"#x\" { s:a == t:b }").contains("declare it with prefix"));
    assert!(refused("").contains("group is expected here, not the end"));
}

#[test]
fn nesting_is_bounded() {
    let deep = |depth: usize| {
        let rules = "s.a as a then { ".repeat(depth) + "s.b -> t.b;" + &"} ;".repeat(depth);
        parse_text("m", &format!("group g(source s, target t) {{ {rules} }}"))
    };
    assert!(deep(60).is_ok());
    assert_eq!(deep(80).unwrap_err().fault, MapFault::TooDeep(DEEPEST));
    let expression = format!(
        "group g(source s, target t) {{ s where {}a{} -> t.x = 1; }}",
        "(".repeat(500),
        ")".repeat(500)
    );
    assert!(matches!(parse_text("m", &expression).unwrap_err().fault, MapFault::TooDeep(_)));
}

#[test]
fn resources_and_text_give_one_model() {
    let json = r#"{"resourceType":"StructureMap","url":"http://example.org/m","name":"m","status":"draft",
      "structure":[{"url":"http://hl7.org/fhir/StructureDefinition/Patient","mode":"source","alias":"P"}],
      "group":[{"name":"g","typeMode":"none","input":[{"name":"s","type":"P","mode":"source"},{"name":"t","mode":"target"}],
        "rule":[
          {"name":"a","source":[{"context":"s","element":"id","variable":"vvv"}],
           "target":[{"context":"t","contextType":"variable","element":"id","variable":"vvv","transform":"create"}]},
          {"name":"b","source":[{"context":"s","element":"name","min":1,"max":"1","listMode":"first","variable":"n","condition":"use = 'usual'"}],
           "target":[{"context":"t","element":"x","transform":"truncate","parameter":[{"valueId":"n"},{"valueInteger":3}],"listMode":["share"],"listRuleId":"q"}],
           "dependent":[{"name":"h","variable":["n","t"]}]}]}]}"#;
    let schema = DefinitionSchema::new(Definitions::r4());
    let map = parse("m.json", json.as_bytes(), &schema).unwrap();
    let printed = print(&map);
    assert_eq!(
        printed,
        "/// status = 'draft'\nmap \"http://example.org/m\" = \"m\"\n\nuses \"http://hl7.org/fhir/StructureDefinition/Patient\" alias P as source\n\n\
         group g(source s : P, target t) {\n  s.id as vvv -> t.id as vvv \"a\";\n  \
         s.name 1..1 first as n where (use = 'usual') -> t.x = truncate(n, 3) share q then h(n, t) \"b\";\n}\n"
    );
    assert!(map.groups[0].rules[0].is_identity());
    assert_eq!(print(&read(&printed)), printed);
    let xml = r#"<StructureMap xmlns="http://hl7.org/fhir"><url value="u"/><name value="n"/><group><name value="g"/>
      <input><name value="s"/><mode value="source"/></input><rule><source><context value="s"/></source>
      <target><context value="t"/><element value="x"/><transform value="copy"/><parameter><valueBoolean value="true"/></parameter></target></rule></group></StructureMap>"#;
    let map = parse("m.xml", xml.as_bytes(), &schema).unwrap();
    assert!(print(&map).contains("s -> t.x = true;"));
    let wrong = parse("m.json", br#"{"resourceType":"Patient"}"#, &schema).unwrap_err();
    assert!(wrong.to_string().contains("it is Patient"), "{wrong}");
}

proptest! {
    #[test]
    fn no_text_upsets_the_parser(text in "\\PC{0,200}") {
        if let Ok(map) = parse_text("m", &text) {
            stable(&print(&map));
        }
    }

    #[test]
    fn no_heap_of_tokens_upsets_the_parser(tokens in prop::collection::vec(prop::sample::select(vec![
        "s", "t", "s.a", "t.b", "->", "=", ";", ",", "(", ")", "{", "}", "as", "where", "check", "log", "default", "first",
        "share", "then", "'x'", "\"y\"", "1", "1..*", "1.5", "@2014", "truncate(", "evaluate(", "create('P')", ":", "%v",
        "a = 'b'", "`q r`", "// c\n", "/* d */", "-", "[", "]", "and", "uuid()"]), 0..30)) {
        let text = format!("group g(source s : A, target t) {{ {} }}", tokens.join(" "));
        if parse_text("m", &text).is_ok() {
            stable(&text);
        }
    }
}
