#![allow(clippy::unwrap_used)]

use fhir_models::document::{Limits as DocumentLimits, OwnedDocument};
use proptest::prelude::*;

use super::*;

fn parsed(json: &str) -> OwnedDocument {
    OwnedDocument::parse_json(json, &DocumentLimits::default()).unwrap()
}

/// A map from Patient to Person, or between other types, with the groups given.
fn mapper(from: &str, to: &str, groups: &str) -> Mapper {
    let base = "http://hl7.org/fhir/StructureDefinition/";
    let text = format!(
        "map \"http://example.org/m\" = m\nuses \"{base}{from}\" alias From as source\nuses \"{base}{to}\" alias To as target\n{groups}"
    );
    let mut mapper = Mapper::new(Definitions::r4());
    mapper.add("m.map", text.as_bytes()).unwrap();
    mapper
}

fn ran(mapper: &Mapper, source: &str) -> Result<Output, String> {
    let map = mapper
        .compile(0)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let source = parsed(source);
    let counted = Counted::default();
    let settings = Settings { randomness: Some(&counted), report: true, ..Settings::default() };
    map.run(&[source.document()], &settings).map_err(|error| error.to_string())
}

fn mapped(from: &str, to: &str, rules: &str, source: &str) -> Result<Output, String> {
    ran(&mapper(from, to, &format!("group main(source src : From, target tgt : To) {{ {rules} }}")), source)
}

fn text(from: &str, to: &str, rules: &str, source: &str) -> String {
    match mapped(from, to, rules, source) {
        Ok(output) => output.text().to_owned(),
        Err(error) => panic!("{error}"),
    }
}

fn refused(from: &str, to: &str, rules: &str) -> String {
    mapped(from, to, rules, r#"{"resourceType":"Patient"}"#).map(|it| it.text().to_owned()).unwrap_err()
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","gender":"male","birthDate":"1971-05-01",
  "name":[{"use":"official","family":"Rossi","given":["Anna","Maria"]},{"use":"nickname","given":["Nina"]}],
  "telecom":[{"system":"phone","value":"02 1234"},{"system":"email","value":"a@example.org"}],
  "extension":[{"url":"urn:peso","valueDecimal":72.50}],
  "_gender":{"id":"g"},"multipleBirthInteger":2}"#;

#[test]
fn elements_come_in_the_order_of_the_definition_with_their_digits() {
    assert_eq!(
        text(
            "Patient",
            "Patient",
            "src -> tgt: gender, id, multipleBirth, name; src.extension -> tgt.extension;",
            PATIENT
        ),
        r#"{"resourceType":"Patient","id":"p1","extension":[{"url":"urn:peso","valueDecimal":72.50}],"name":[{"use":"official","family":"Rossi","given":["Anna","Maria"]},{"use":"nickname","given":["Nina"]}],"gender":"male","_gender":{"id":"g"},"multipleBirthInteger":2}"#
    );
}

#[test]
fn source_list_modes_pick_items() {
    let given = |mode: &str| {
        let rule = format!(
            "src.name first as n then {{ n.given {mode} as g -> tgt.name as m single, m.given = g; }};"
        );
        text("Patient", "Person", &rule, PATIENT)
            .replace(r#"{"resourceType":"Person","name":[{"given":["#, "")
            .replace("]}]}", "")
    };
    assert_eq!(given("first"), r#""Anna""#);
    assert_eq!(given("last"), r#""Maria""#);
    assert_eq!(given("not_first"), r#""Maria""#);
    assert_eq!(given("not_last"), r#""Anna""#);
    let only = mapped("Patient", "Person", "src.name only_one as n -> tgt.name = n;", PATIENT).unwrap_err();
    assert!(only.contains("src.name is there 2 times, and the rule takes only one"), "{only}");
}

#[test]
fn cardinality_is_enforced() {
    let error =
        mapped("Patient", "Person", "src.name 0..1 as n -> tgt.name = n \"names\";", PATIENT).unwrap_err();
    assert!(
        error.contains("src.name is there 2 times, and the rule takes 0..1 (rule main / names"),
        "{error}"
    );
    let error = mapped("Patient", "Person", "src.photo 1..* as n -> tgt.photo = n;", PATIENT).unwrap_err();
    assert!(error.contains("src.photo is there 0 times, and the rule takes 1..*"), "{error}");
    assert!(mapped("Patient", "Person", "src.name 2..2 as n -> tgt.name = n;", PATIENT).is_ok());
    assert!(
        refused("Patient", "Person", "src.gender 2..3 as g -> tgt.gender = g;").contains("does not repeat")
    );
}

#[test]
fn conditions_checks_defaults_and_logs() {
    assert_eq!(
        text("Patient", "Person", "src.telecom as t where (system = 'email') -> tgt.telecom = t;", PATIENT),
        r#"{"resourceType":"Person","telecom":[{"system":"email","value":"a@example.org"}]}"#
    );
    let error = mapped(
        "Patient",
        "Person",
        "src.telecom as t check system = 'phone' -> tgt.telecom = t \"tel\";",
        PATIENT,
    );
    let error = error.unwrap_err();
    assert!(error.contains("the check system = 'phone' does not hold for ContactPoint"), "{error}");
    assert!(error.contains("at Patient.telecom[1], line 3, column 51 of the source"), "{error}");
    assert_eq!(
        text("Patient", "Person", "src.language as p default ('x') -> tgt.id = p;", PATIENT),
        r#"{"resourceType":"Person","id":"x"}"#
    );
    let output =
        mapped("Patient", "Person", "src.name first as n log(family & '!') -> tgt.active = true;", PATIENT)
            .unwrap();
    assert_eq!(output.notes[0].kind, NoteKind::Log("Rossi!".to_owned()));
}

#[test]
fn transforms_make_values() {
    let identifier = |rule: &str| {
        text(
            "Patient",
            "Person",
            &format!(
                "src.name first as n, src.gender as g -> tgt.identifier as i then {{ src -> {rule}; }};"
            ),
            PATIENT,
        )
        .replace(r#"{"resourceType":"Person","identifier":[{"#, "")
        .strip_suffix("}]}")
        .unwrap()
        .to_owned()
    };
    assert_eq!(identifier("i.value = truncate('città', 4)"), r#""value":"citt""#);
    assert_eq!(identifier("i.value = append('a', g, 'b')"), r#""value":"amaleb""#);
    assert_eq!(identifier("i.value = escape('a<b', 'plain', 'xml')"), r#""value":"a&lt;b""#);
    assert_eq!(identifier("i.value = uuid()"), r#""value":"00000000-0000-4000-8000-000000000001""#);
    assert_eq!(identifier("i.value = (n.family & '-' & g)"), r#""value":"Rossi-male""#);
    assert_eq!(identifier("i.value = evaluate(n, given.first())"), r#""value":"Anna""#);
    assert_eq!(identifier("i.value = reference(src)"), r#""value":"Patient/p1""#);
    assert_eq!(identifier("i.value = pointer(src)"), r#""value":"urn:uuid:p1""#);
    assert_eq!(
        identifier("i.type = cc('s', 'c', 'd')"),
        r#""type":{"coding":[{"system":"s","code":"c","display":"d"}]}"#
    );
    assert_eq!(identifier("i.type = cc('only text')"), r#""type":{"text":"only text"}"#);
    let person = |rule: &str| text("Patient", "Person", rule, PATIENT);
    assert_eq!(
        person("src.id as v -> tgt.identifier = id('http://example.org/s', v, 'MR');"),
        r#"{"resourceType":"Person","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"http://example.org/s","value":"p1"}]}"#
    );
    assert_eq!(
        person("src.telecom as t where system = 'email' then { t.value as v -> tgt.telecom = cp(v); };"),
        r#"{"resourceType":"Person","telecom":[{"system":"email","value":"a@example.org"}]}"#
    );
    assert_eq!(
        text("Patient", "Observation", "src -> tgt.value = qty('<= 5.50 mg');", PATIENT),
        r#"{"resourceType":"Observation","valueQuantity":{"value":5.50,"comparator":"<=","unit":"mg"}}"#
    );
    assert_eq!(
        text(
            "Observation",
            "Patient",
            "src.effective as e -> tgt.birthDate = cast(e, 'date');",
            r#"{"resourceType":"Observation","effectiveDateTime":"2020-02-03T10:00:00Z"}"#
        ),
        r#"{"resourceType":"Patient","birthDate":"2020-02-03"}"#
    );
}

#[test]
fn what_is_made_can_be_referred_to() {
    let rules = "src -> tgt.entry as e, e.resource = create('Patient') as p, tgt.entry as f, \
                 f.resource = create('Observation') as o, o.subject as s, s.reference = reference(p);";
    assert_eq!(
        text("Patient", "Bundle", rules, PATIENT),
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"00000000-0000-4000-8000-000000000001"}},{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/00000000-0000-4000-8000-000000000001"}}}]}"#
    );
}

#[test]
fn target_list_modes_place_items() {
    let rules = "src.name as n -> tgt.name = n first;";
    let first = text("Patient", "Person", rules, PATIENT);
    assert!(first.find("Nina").unwrap() < first.find("Rossi").unwrap(), "{first}");
    let shared = "src.name as n then { n.family as f -> tgt.name as m share one, m.family = f; n.use as u -> tgt.name as m share one, m.use = u; };";
    assert_eq!(
        text("Patient", "Person", shared, PATIENT),
        r#"{"resourceType":"Person","name":[{"use":"official","family":"Rossi"},{"use":"nickname"}]}"#
    );
}

const CODES: &str = r##"
conceptmap "#sex" {
  prefix s = "http://hl7.org/fhir/administrative-gender"
  prefix t = "http://example.org/sesso"
  s:male == t:M
  s:female == t:F
  s:other == t:X
  s:other == t:Y
}
"##;

#[test]
fn codes_are_translated_kept_or_refused() {
    let run = |gender: &str, rule: &str| {
        let groups = format!("{CODES} group main(source src : From, target tgt : To) {{ {rule} }}");
        let source = format!(
            r#"{{"resourceType":"Patient","gender":"{gender}","maritalStatus":{{"coding":[{{"system":"u","code":"x","display":"d"}}],"text":"t"}}}}"#
        );
        ran(&mapper("Patient", "Person", &groups), &source)
    };
    let rule = "src.gender as g -> tgt.language = translate(g, '#sex', 'code');";
    assert_eq!(run("male", rule).unwrap().text(), r#"{"resourceType":"Person","language":"M"}"#);
    let kept = run("unknown", rule).unwrap();
    assert_eq!(kept.text(), r#"{"resourceType":"Person","language":"unknown"}"#);
    assert_eq!(kept.notes[0].kind, NoteKind::Unmapped { map: "#sex".to_owned(), code: "unknown".to_owned() });
    let error = run("other", rule).unwrap_err();
    assert!(error.contains("the concept map #sex has 2 targets for other"), "{error}");
    let coding = "src.gender as g -> tgt.meta as m, m.tag = translate(g, '#sex', 'Coding');";
    assert_eq!(
        run("female", coding).unwrap().text(),
        r#"{"resourceType":"Person","meta":{"tag":[{"system":"http://example.org/sesso","code":"F"}]}}"#
    );
    let concept = "src.maritalStatus as s -> tgt.identifier as i, i.type = translate(s, '#sex');";
    let kept = run("male", concept).unwrap();
    assert_eq!(
        kept.text(),
        r#"{"resourceType":"Person","identifier":[{"type":{"coding":[{"system":"u","code":"x","display":"d"}],"text":"t"}}]}"#
    );
    assert!(kept.notes[0].to_string().contains("u|x is not in the concept map #sex and was kept as it is"));
}

#[test]
fn a_wider_target_gives_way_and_what_is_excluded_is_no_target() {
    let codes = r##"conceptmap "#sex" { prefix s = "a" prefix t = "b"
      unmapped for s = provided
      s:male <= t:person  s:male == t:M  s:female - -  s:other != t:M }"##;
    let run = |gender: &str| {
        let rule = "src.gender as g -> tgt.language = translate(g, '#sex', 'code');";
        let groups = format!("{codes} group main(source src : From, target tgt : To) {{ {rule} }}");
        let source = format!(r#"{{"resourceType":"Patient","gender":"{gender}"}}"#);
        let output = ran(&mapper("Patient", "Person", &groups), &source).unwrap();
        (output.text().to_owned(), output.notes.len())
    };
    let language = |it: &str| format!(r#"{{"resourceType":"Person","language":"{it}"}}"#);
    assert_eq!(run("male"), (language("M"), 0));
    assert_eq!(run("female"), (language("female"), 1));
    assert_eq!(run("other"), (language("other"), 0));
    assert_eq!(run("unknown"), (language("unknown"), 0));
}

#[test]
fn concept_maps_are_found_by_canonical_and_version_with_those_they_send_to() {
    let concept_map = |url: &str, version: &str, target: &str, unmapped: &str| {
        format!(r#"{{"resourceType":"ConceptMap","url":"{url}","version":"{version}","status":"active","group":[{{"source":"a","target":"b","targetVersion":"9",
          "element":[{{"code":"x","target":[{{"code":"{target}","equivalence":"equivalent","dependsOn":[]}},
            {{"code":"never","equivalence":"equal","dependsOn":[{{"property":"p","value":"v"}}]}}]}}]{unmapped}}}]}}"#).replace(r#","dependsOn":[]"#, "")
    };
    let other = r#","unmapped":{"mode":"other-map","url":"http://example.org/cm/second"}"#;
    let first = concept_map("http://example.org/cm", "1", "one", "");
    let newer = concept_map("http://example.org/cm", "2", "two", other);
    let second = concept_map("http://example.org/cm/second", "1", "three", "")
        .replace(r#""code":"x""#, r#""code":"y""#);
    let run = |definitions: &[&String], map: &str, code: &str| {
        let mut builder = Definitions::builder();
        for one in definitions {
            builder.definition("cm.json", one.as_bytes()).unwrap();
        }
        let mut mapper = Mapper::new(Arc::new(builder.build().unwrap()));
        let text = format!(
            "map \"http://example.org/m\" = m\nuses \"http://hl7.org/fhir/StructureDefinition/Patient\" as source\n\
          uses \"http://hl7.org/fhir/StructureDefinition/Person\" as target\n\
          group main(source src : Patient, target tgt : Person) {{ src.maritalStatus as s -> tgt.identifier as i, i.type = translate(s, '{map}'); }}"
        );
        mapper.add("m.map", text.as_bytes()).unwrap();
        let source = format!(
            r#"{{"resourceType":"Patient","maritalStatus":{{"coding":[{{"system":"a","code":"{code}"}}]}}}}"#
        );
        ran(&mapper, &source).map(|it| it.text().to_owned())
    };
    let coding = |code: &str| {
        format!(
            r#"{{"resourceType":"Person","identifier":[{{"type":{{"coding":[{{"system":"b","version":"9","code":"{code}"}}]}}}}]}}"#
        )
    };
    let all = [&first, &newer, &second];
    assert_eq!(run(&all, "http://example.org/cm|1", "x").unwrap(), coding("one"));
    assert_eq!(run(&all, "http://example.org/cm|2", "x").unwrap(), coding("two"));
    assert_eq!(run(&all, "http://example.org/cm|2", "y").unwrap(), coding("three"));
    let error = run(&all, "http://example.org/cm|3", "x").unwrap_err();
    assert!(error.contains("there is no concept map \"http://example.org/cm|3\" here"), "{error}");
    let error = run(&[&newer], "http://example.org/cm", "x").unwrap_err();
    assert!(error.contains("unmapped codes go to http://example.org/cm/second: give it too"), "{error}");
}

#[test]
fn constants_keep_their_type_in_expressions() {
    let groups = "let born = @1971-05-01; let noon = @T12:00; let then = @2020-01-01T00:00:00Z; let less = -2; let name = 'p1';
      group main(source src : From, target tgt : To) {
        src where (birthDate = %born and id = %name and 3 - %less = 5 and @T13:00 > %noon and @2021-01-01T00:00:00Z > then) -> tgt.active = true;
        src -> tgt.birthDate = born;
      }";
    assert_eq!(
        ran(&mapper("Patient", "Person", groups), PATIENT).unwrap().text(),
        r#"{"resourceType":"Person","birthDate":"1971-05-01","active":true}"#
    );
}

#[test]
fn identity_rules_take_the_default_group_of_both_types() {
    let groups = "
      group main(source src : From, target tgt : To) { src.name -> tgt.name; src.telecom -> tgt.telecom; }
      group names(source s : HumanName, target t : HumanName) <<types>> { s.family as f -> t.text = f; }";
    assert_eq!(
        ran(&mapper("Patient", "Person", groups), PATIENT).unwrap().text(),
        r#"{"resourceType":"Person","name":[{"text":"Rossi"}],"telecom":[{"system":"phone","value":"02 1234"},{"system":"email","value":"a@example.org"}]}"#
    );
    let twice = groups.to_owned()
        + "group more(source s : HumanName, target t : HumanName) <<type+>> { s.use -> t.use; }";
    let error = ran(&mapper("Patient", "Person", &twice), PATIENT).unwrap_err();
    assert!(error.contains("both names and more would serve for HumanName to Person.name"), "{error}");
    let none = "group main(source src : From, target tgt : To) { src.name -> tgt.telecom; }";
    let error = ran(&mapper("Patient", "Person", none), PATIENT).unwrap_err();
    assert!(
        error.contains("m.map:4:50: no group maps HumanName to Person.telecom (ContactPoint)"),
        "{error}"
    );
}

#[test]
fn groups_extend_import_and_call_each_other() {
    let base = "http://hl7.org/fhir/StructureDefinition/";
    let library = format!(
        "map \"http://example.org/lib-names\" = lib\nuses \"{base}HumanName\" alias HN as source\nlet mark = '*';\n\
         group Base(source s, target t) {{ s.id -> t.id; }}\n\
         group name(source s, target t : HN) {{ s.family as f -> t.family = append(f, mark); }}"
    );
    let main = format!(
        "map \"http://example.org/m\" = m\nuses \"{base}Patient\" as source\nuses \"{base}Person\" as target\nimports \"http://example.org/lib-*\"\n\
         group main(source src : Patient, target tgt : Person) extends Base {{ src.name first as n -> tgt.name as m then name(n, m); }}"
    );
    let mut mapper = Mapper::new(Definitions::r4());
    mapper.add("m.map", main.as_bytes()).unwrap();
    assert!(
        ran(&mapper, PATIENT)
            .unwrap_err()
            .contains("no map with the URL \"http://example.org/lib-*\" is at hand")
    );
    mapper.add("lib.map", library.as_bytes()).unwrap();
    assert_eq!(
        ran(&mapper, PATIENT).unwrap().text(),
        r#"{"resourceType":"Person","id":"p1","name":[{"family":"Rossi*"}]}"#
    );
}

#[test]
fn maps_that_cannot_work_are_refused_with_their_place() {
    let cases = [
        ("src.nome as n -> tgt.name = n;", "4:50: Patient has no element \"nome\"; did you mean name?"),
        ("src.name as n -> tgt.nam = n;", "4:67: Person has no element \"nam\"; did you mean name?"),
        ("src.name as n -> tgt.birthDate = n;", "Person.birthDate holds date, not HumanName"),
        ("src.name : Address as n -> tgt.name = n;", "this can never be Address: it is HumanName"),
        (
            "src.name as n where (famly = 'x') -> tgt.name = n;",
            "4:71: the expression can't be used: HumanName has no element famly; did you mean family?",
        ),
        ("src.name as n -> tgt.name = m;", "there is no variable \"m\" here; known here: n, src, tgt"),
        ("src.name as n -> tgt.name as m then other(n, m);", "there is no group \"other\" here"),
        ("src.name as n -> src.name = n;", "this variable is a source"),
        ("src.name as n -> tgt.name as m then main(n);", "the group main takes 2 values, not 1"),
        ("src.name as n -> tgt.name as m then main(n, m);", "this can never be Patient: it is HumanName"),
        (
            "src.gender as g -> tgt.gender = translate(g, '#none', 'code');",
            "there is no concept map \"#none\" here",
        ),
        ("src -> tgt.name = create('Nessuno');", "there is no type \"Nessuno\" here"),
        ("src -> tgt.birthDate = dateOp('x');", "write the calculation in FHIRPath"),
        ("src -> tgt.contained as c;", "Person.contained may hold Resource; say which with create"),
        ("src -> tgt.active = truncate('a');", "truncate() takes a text and a length, not 1"),
    ];
    for (rule, wanted) in cases {
        let error = refused("Patient", "Person", rule);
        assert!(error.contains(wanted), "{rule}\n{error}");
    }
}

#[test]
fn what_does_not_fit_is_told_with_value_and_place() {
    let error =
        mapped("Patient", "Person", "src.id as i -> tgt.birthDate = i \"born\";", PATIENT).unwrap_err();
    assert!(
        error.contains(
            "p1 can't stand in Person.birthDate, which holds date (rule main / born, at Patient.id"
        ),
        "{error}"
    );
    let error =
        mapped("Patient", "Person", "src.name as n -> tgt.active = true;", r#"{"resourceType":"Group"}"#)
            .unwrap_err();
    assert!(error.contains("the map is for Patient, and the source is Group"), "{error}");
    let replaced = mapped(
        "Patient",
        "Person",
        "src -> tgt.gender = 'other'; src.gender as g -> tgt.gender = g;",
        PATIENT,
    )
    .unwrap();
    assert_eq!(replaced.text(), r#"{"resourceType":"Person","gender":"male","_gender":{"id":"g"}}"#);
    assert_eq!(replaced.notes[0].kind, NoteKind::Replaced("Person.gender".to_owned()));
}

#[test]
fn what_is_copied_can_be_written_beside() {
    assert_eq!(
        text(
            "Patient",
            "Person",
            "src.name first as n -> tgt.name = n as m, m.use = 'usual', m.text = 'x';",
            PATIENT
        ),
        r#"{"resourceType":"Person","name":[{"use":"usual","text":"x","family":"Rossi","given":["Anna","Maria"]}]}"#
    );
}

#[test]
fn resources_of_any_type_are_carried_and_mapped_by_default_groups() {
    let groups = "
      group main(source src : From, target tgt : To) { src.type -> tgt.type; src.entry as e -> tgt.entry as f then { e.resource -> f.resource; }; }
      group patient(source s : Patient, target t : Person) <<types>> { s.gender -> t.gender; }";
    let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[
      {"resource":{"resourceType":"Patient","gender":"male","active":true}},{"resource":{"resourceType":"Basic","id":"b"}}]}"#;
    assert_eq!(
        ran(&mapper("Bundle", "Bundle", groups), bundle).unwrap().text(),
        r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Person","gender":"male"}},{"resource":{"resourceType":"Basic","id":"b"}}]}"#
    );
}

#[test]
fn nothing_that_is_made_holds_itself() {
    assert_eq!(
        text("Patient", "Bundle", "src -> tgt.id = 'b', tgt.entry as e, e.resource = tgt;", PATIENT),
        r#"{"resourceType":"Bundle","id":"b","entry":[{"resource":{"resourceType":"Bundle","id":"b"}}]}"#
    );
}

#[test]
fn endless_maps_end() {
    let groups = "group main(source src : From, target tgt : To) { src -> tgt then main(src, tgt); }";
    let error = ran(&mapper("Patient", "Person", groups), PATIENT).unwrap_err();
    assert!(error.contains("the map may call itself without end"), "{error}");
    let wide = "group main(source src : From, target tgt : To) { src.name as a, src.name as b, src.name as c -> tgt.name = a; }";
    let map = mapper("Patient", "Person", wide).compile(0).unwrap();
    let names = vec![r#"{"text":"x"}"#; 200].join(",");
    let source = parsed(&format!(r#"{{"resourceType":"Patient","name":[{names}]}}"#));
    let limits = Limits { steps: 5_000, ..Limits::default() };
    let error = map.run(&[source.document()], &Settings { limits, ..Settings::default() }).unwrap_err();
    assert_eq!(error.fault, RunFault::Limit(5_000, "steps"));
}

#[test]
fn the_loss_report_names_every_leaf_that_nothing_read_and_the_nearest_rule() {
    let rules = "src.name as n where (use = 'official') -> tgt.name as m, m.family = (n.family) \"official\"; src.id -> tgt.id;";
    let output = mapped("Patient", "Person", rules, PATIENT).unwrap();
    let lost: Vec<String> = output
        .loss
        .iter()
        .map(|it| {
            let rule =
                it.rule.as_ref().map_or_else(String::new, |(rule, cause)| format!(" [{rule}: {cause:?}]"));
            format!("{}{rule}", it.path)
        })
        .collect();
    assert_eq!(
        lost,
        [
            "Patient.gender",
            "Patient.birthDate",
            "Patient.name[0].given[0] [main / official: PartNotTaken]",
            "Patient.name[0].given[1] [main / official: PartNotTaken]",
            "Patient.name[1].given[0] [main / official: PassedOver]",
            "Patient.telecom[0].system",
            "Patient.telecom[0].value",
            "Patient.telecom[1].system",
            "Patient.telecom[1].value",
            "Patient.extension[0].url",
            "Patient.extension[0].valueDecimal",
            "Patient.gender.id",
            "Patient.multipleBirthInteger",
        ]
    );
    assert_eq!(output.trace[0].rule, "main / official");
    assert_eq!(output.lost, [(String::new(), 10), ("main / official".to_owned(), 3)]);
}

#[test]
fn a_condition_on_presence_or_type_reads_no_parts() {
    let bundle = r#"{"resourceType":"Bundle","type":"collection","meta":{"source":"a"},"entry":[{"resource":{"resourceType":"Basic","id":"b"}}]}"#;
    let groups = "group main(source src : From, target tgt : To) { src.type -> tgt.type;
      src as s where (entry.resource is Basic and meta.exists()) -> tgt.language = (entry.resource.type().name); }";
    let output = ran(&mapper("Bundle", "Bundle", groups), bundle).unwrap();
    assert_eq!(output.text(), r#"{"resourceType":"Bundle","language":"Basic","type":"collection"}"#);
    let lost: Vec<&str> = output.loss.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(lost, ["Bundle.meta.source", "Bundle.entry[0].resource.id"]);
}

#[test]
fn a_value_whose_presence_alone_is_asked_is_lost() {
    let patient = r#"{"resourceType":"Patient","gender":"female","birthDate":"1980-01-01"}"#;
    let rules = "src as s where (birthDate.exists() and gender = 'female') -> tgt.active = true;";
    let output = mapped("Patient", "Person", rules, patient).unwrap();
    assert!(output.text().contains(r#""active":true"#));
    let lost: Vec<&str> = output.loss.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(lost, ["Patient.birthDate"]);
}

#[test]
fn a_round_trip_tells_what_it_lost() {
    let there = text("Patient", "Person", "src -> tgt: name, gender;", PATIENT);
    let again = text("Person", "Patient", "src -> tgt: name, gender; src -> tgt.active = true;", &there);
    let (before, after) = (parsed(PATIENT), parsed(&again));
    let found: Vec<String> = differences(before.document(), after.document())
        .iter()
        .map(|it| format!("{} {}", it.kind.text(), it.path))
        .collect();
    assert_eq!(
        found,
        [
            "lost Patient.id",
            "lost Patient.birthDate",
            "lost Patient.telecom",
            "lost Patient.extension",
            "lost Patient.multipleBirthInteger",
            "added Patient.active",
        ]
    );
}

fn model(name: &str, namespace: bool, elements: &str) -> String {
    let extension = if namespace {
        r#""extension":[{"url":"http://hl7.org/fhir/tools/StructureDefinition/xml-namespace","valueUri":"urn:example:v3"}],"#
    } else {
        ""
    };
    format!(
        r#"{{"resourceType":"StructureDefinition",{extension}"url":"http://example.org/model/{name}","name":"{name}","status":"draft","kind":"logical","abstract":false,
        "type":"{name}","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Base","derivation":"specialization",
        "differential":{{"element":[{{"id":"{name}","path":"{name}","min":0,"max":"*"}},{elements}]}}}}"#
    )
}

fn with_models(models: &[String], map: &str) -> Mapper {
    let mut builder = Definitions::builder();
    for model in models {
        builder.definition("model.json", model.as_bytes()).unwrap();
    }
    let mut mapper = Mapper::new(Arc::new(builder.build().unwrap()));
    mapper.add("m.map", map.as_bytes()).unwrap();
    mapper
}

#[test]
fn logical_models_are_read_and_written() {
    let element = |path: &str, max: &str, ty: &str, more: &str| {
        format!(r#"{{"id":"{path}","path":"{path}","min":0,"max":"{max}","type":[{{"code":"{ty}"}}]{more}}}"#)
    };
    let attribute = r#","representation":["xmlAttr"]"#;
    let models = [
        model(
            "Misura",
            false,
            &[element("Misura.codice", "1", "string", ""), element("Misura.valore", "*", "decimal", "")]
                .join(","),
        ),
        model(
            "Doc",
            true,
            &[
                element("Doc.classCode", "1", "code", attribute),
                element("Doc.title", "1", "http://example.org/model/Testo", ""),
                element(
                    "Doc.part",
                    "*",
                    "http://example.org/model/Testo",
                    r#","representation":["typeAttr"]"#,
                ),
            ]
            .join(","),
        ),
        model(
            "Testo",
            true,
            &[
                element("Testo.lang", "1", "code", attribute),
                element("Testo.data", "1", "string", r#","representation":["xmlText"]"#),
            ]
            .join(","),
        ),
    ];
    let map = "map \"http://example.org/m\" = m\nuses \"http://example.org/model/Misura\" as source\nuses \"http://example.org/model/Doc\" as target\n\
      group main(source src : Misura, target tgt : Doc) {\n\
        src.codice as c -> tgt.classCode = c, tgt.title as t, t.data = 'a < b', t.lang = 'it';\n\
        src.valore as v -> tgt.part as p, p.data = v;\n}";
    let mapper = with_models(&models, map);
    assert_eq!(
        ran(&mapper, r#"{"codice":"x","valore":[1.50,2]}"#).unwrap().text(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Doc xmlns=\"urn:example:v3\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" classCode=\"x\">\
         <title lang=\"it\">a &lt; b</title><part xsi:type=\"Testo\">1.50</part><part xsi:type=\"Testo\">2</part></Doc>\n"
    );
}

#[test]
fn the_xml_of_logical_models_is_read_with_its_types() {
    let element = |path: &str, max: &str, types: &[&str], more: &str| {
        let types: Vec<String> = types.iter().map(|it| format!(r#"{{"code":"{it}"}}"#)).collect();
        format!(
            r#"{{"id":"{path}","path":"{path}","min":0,"max":"{max}","type":[{}]{more}}}"#,
            types.join(",")
        )
    };
    let attribute = r#","representation":["xmlAttr"]"#;
    let (quantity, text) = ("http://example.org/model/PQ", "http://example.org/model/ST");
    let models = [
        model(
            "Obs",
            true,
            &[
                element("Obs.code", "1", &[text], ""),
                element("Obs.value", "*", &[text, quantity], r#","representation":["typeAttr"]"#),
            ]
            .join(","),
        ),
        model(
            "PQ",
            true,
            &[
                element("PQ.unit", "1", &["code"], attribute),
                element("PQ.value", "1", &["decimal"], attribute),
            ]
            .join(","),
        ),
        model("ST", true, &element("ST.data", "1", &["string"], r#","representation":["xmlText"]"#)),
    ];
    let map = "map \"http://example.org/m\" = m\nuses \"http://example.org/model/Obs\" as source\n\
      uses \"http://hl7.org/fhir/StructureDefinition/Observation\" as target\n\
      group main(source src : Obs, target tgt : Observation) {\n\
        src.code as c -> tgt.code as k then { c.data as d -> k.text = d; };\n\
        src.value : PQ as v -> tgt.value = create('Quantity') as q then { v.value as n -> q.value = n; v.unit as u -> q.unit = u; };\n\
        src.value : ST as v -> tgt.note as a then { v.data as d -> a.text = d; };\n}";
    let mapper = with_models(&models, map);
    let map = mapper.compile(0).unwrap_or_else(|errors| panic!("{}", errors[0]));
    let xml = "<obs xmlns='urn:example:v3' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'><code>peso</code>\
      <value xsi:type='PQ' value='72.50' unit='kg'/><value xsi:type='ST'>a &amp; b</value></obs>";
    let source = map.read_source(0, xml.as_bytes(), &DocumentLimits::default()).unwrap();
    let output = map.run(&[source.document()], &Settings::default()).unwrap();
    assert_eq!(
        output.text(),
        r#"{"resourceType":"Observation","code":{"text":"peso"},"valueQuantity":{"value":72.50,"unit":"kg"},"note":[{"text":"a & b"}]}"#
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_map_upsets_the_engine(rules in prop::collection::vec((
        prop::sample::select(vec!["src", "src.name", "src.telecom", "src.gender", "src.contact", "src.id", "v.given", "v", "w.x"]),
        prop::sample::select(vec!["", " first", " as v", " as v where (true)", " 0..1 as v", " default ('a') as v", " as w check id.exists()"]),
        prop::sample::select(vec![
            "", " -> tgt.name", " -> tgt.name as w", " -> tgt.name = v", " -> tgt.id = 'x'", " -> tgt = v", " -> tgt.gender = (%v)",
            " -> tgt.telecom = cp(v)", " -> tgt.link as w, w.target as z, z.reference = reference(src)", " -> tgt.name as w share q, w.given = v",
            " -> tgt as w", " -> (v) as w", " -> tgt.identifier = id('a', v)", " -> w.text = append(v, 'a')"]),
        prop::sample::select(vec!["", " then main(src, tgt)", " then { v.use as u -> tgt.id = u; }", " then other(v, tgt)"]),
    ), 1..5)) {
        let body: String = rules.iter().map(|(source, more, target, then)| format!("{source}{more}{target}{then};\n")).collect();
        let groups = format!("group main(source src : From, target tgt : To) {{ {body} }} group other(source v, target tgt) {{ v.given as g -> tgt.name as n, n.given = g; }}");
        if let Ok(output) = ran(&mapper("Patient", "Person", &groups), PATIENT) {
            parsed(output.text());
        }
    }
}
