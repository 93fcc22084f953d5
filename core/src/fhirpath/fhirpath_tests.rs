#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The engine as a whole: given a resource, when an expression is evaluated, then these items.

use super::*;
use fhir_models::document::{Document, OwnedDocument, Value};
use proptest::prelude::*;

const PATIENT: &str = r##"{
  "resourceType": "Patient",
  "id": "p1",
  "meta": {"versionId": "2", "lastUpdated": "2026-03-29T02:30:00.000+02:00"},
  "contained": [{"resourceType": "Organization", "id": "org", "name": "ASST Niguarda"}],
  "extension": [{"url": "http://example.org/height", "valueQuantity":
    {"value": 172, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"}}],
  "active": true,
  "name": [
    {"use": "official", "family": "Rossi", "given": ["Mario", "Luigi"]},
    {"use": "nickname", "given": ["Gino", null], "_given": [null, {"extension": [{"url": "http://example.org/unknown"}]}]}
  ],
  "telecom": [
    {"system": "phone", "value": "02 1234", "rank": 2},
    {"system": "email", "value": "m.rossi@example.org", "rank": 1}
  ],
  "gender": "male",
  "birthDate": "1980-03",
  "_birthDate": {"id": "b1", "extension": [{"url": "http://example.org/birthTime", "valueDateTime": "1980-03-15T10:30:00+01:00"}]},
  "_maritalStatus": {"id": "none"},
  "deceasedBoolean": false,
  "multipleBirthInteger": 2,
  "managingOrganization": {"reference": "#org"}
}"##;

fn patient() -> OwnedDocument {
    OwnedDocument::parse_json(PATIENT, &fhir_models::document::Limits::default()).unwrap()
}

fn now() -> Context<'static> {
    Context { now: Temporal::parse_date_time("2026-11-21T22:15:30.123+01:00"), ..Context::default() }
}

fn outcome(text: &str, options: &Options<'_>, document: Document<'_>, context: &Context<'_>) -> String {
    let expression = match Expression::compile(text, &Model::r4(), options) {
        Ok(expression) => expression,
        Err(error) => return format!("compile error: {error}"),
    };
    // What a context borrows is of another lifetime than the document here; none of the tests share them.
    let context = Context { now: context.now, limits: context.limits, ..Context::default() };
    match expression.evaluate(document, &context) {
        Err(error) => format!("error: {error}"),
        Ok(found) => {
            let text = |item: ResultItem<'_, '_>| match item.text() {
                Some(text) => text.into_owned(),
                None => format!("<{}>", item.type_name()),
            };
            found.iter().map(text).collect::<Vec<_>>().join(", ")
        }
    }
}

/// The items that an expression for patients gives in strict mode, as text.
fn on_patient(text: &str) -> String {
    let options = Options { on: Some("Patient"), ..Options::strict() };
    outcome(text, &options, patient().document(), &now())
}

fn judge(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(on_patient(text), *expected, "{text}");
    }
}

/// Expressions that must fail, with words of the reason.
fn refused(cases: &[(&str, &str)]) {
    for (text, reason) in cases {
        let found = on_patient(text);
        assert!(found.contains("error") && found.contains(reason), "{text}: {found}");
    }
}

#[test]
fn paths_lead_through_the_tree() {
    judge(&[
        ("name.given", "Mario, Luigi, Gino, <string>"),
        ("Patient.name.family", "Rossi"),
        ("Resource.id | DomainResource.id", "p1"),
        ("name[0].given[1]", "Luigi"),
        ("name[7]", ""),
        ("birthDate.extension.value", "1980-03-15T10:30:00+01:00"),
        ("birthDate.id", "b1"),
        ("deceased", "false"),
        ("multipleBirth + 1", "3"),
        ("name.given.where(hasValue().not()).extension.url", "http://example.org/unknown"),
        ("name.given.count()", "4"),
        ("name.children().count()", "7"),
        ("managingOrganization.resolve().name", "ASST Niguarda"),
        ("contained.name", "ASST Niguarda"),
        ("descendants().where($this is Organization).id", "org"),
        ("extension('http://example.org/height').value.unit", "cm"),
        ("meta.versionId.toInteger() + 1", "3"),
        ("$this.id", "p1"),
        ("%resource.id & %context.id & %rootResource.id", "p1p1p1"),
        ("contained.select(%resource.id)", "p1"),
    ]);
}

#[test]
fn strict_mode_refuses_what_can_not_exist() {
    refused(&[
        ("name.givn", "did you mean given?"),
        ("deceasedBoolean", "write deceased"),
        ("Encounter.status", "can't hold for Patient"),
        ("name.where(usage = 'official')", "HumanName has no element usage"),
        ("(deceased as dateTime).given", "has no element given"),
        ("birthDate.startsWith('1980')", "strings, not on date"),
        ("frobnicate()", "no function frobnicate()"),
        ("name.first(1)", "takes no arguments, not 1"),
        ("is(Patiente)", "Patiente is not a type"),
        ("ofType(1)", "name of a type is expected"),
        ("%weight", "no variable %weight"),
        ("$total", "only within aggregate()"),
        ("'a'.matches('(')", "regular expression"),
        ("children().first()", "no order"),
        ("iif('yes', 1, 2)", "booleans, not on String"),
        ("name.", "a name is expected"),
    ]);
}

#[test]
fn lenient_mode_gives_nothing_for_what_can_not_exist() {
    let lenient = |text: &str| {
        outcome(text, &Options { on: Some("Patient"), ..Options::default() }, patient().document(), &now())
    };
    assert_eq!(lenient("name.givn"), "");
    assert_eq!(lenient("Encounter.status"), "");
    assert_eq!(lenient("name.as(HumanName).use"), "official, nickname");
    assert_eq!(lenient("deceased is Boolean"), "true");
    assert_eq!(on_patient("deceased is Boolean"), "false");
    assert!(on_patient("name.as(HumanName)").contains("needs one item"));
}

#[test]
fn types_and_their_hierarchy() {
    judge(&[
        ("gender is code and gender is string and (gender is id).not()", "true"),
        ("$this is DomainResource and $this is FHIR.Resource", "true"),
        ("gender.as(string)", "male"),
        ("gender.as(id)", ""),
        ("deceased.ofType(boolean)", "false"),
        ("deceased.ofType(dateTime)", ""),
        ("name[0].type().name & '/' & name.type().first().namespace", "HumanName/FHIR"),
        ("1.type().namespace & '.' & 1.type().name", "System.Integer"),
        (
            "1 is Integer and 1.0 is Decimal and 1L is Long and 'a' is String and true is System.Boolean",
            "true",
        ),
        ("@2026 is Date and @2026T is DateTime and @T10 is Time and 1 day is Quantity", "true"),
        ("extension.value is Quantity", "true"),
        ("extension.value is System.Quantity", "false"),
        ("{} is Integer", ""),
        ("name.first() is System.Nothing", "false"),
    ]);
}

#[test]
fn existence_and_subsets() {
    judge(&[
        ("name.exists() and link.empty() and link.exists().not()", "true"),
        ("name.exists(use = 'official')", "true"),
        ("telecom.all(value.exists()) and {}.all(false)", "true"),
        ("telecom.where(system = 'phone').value", "02 1234"),
        ("telecom.where($index = 1).value", "m.rossi@example.org"),
        ("(true | false).anyTrue() and (true | false).anyFalse()", "true"),
        ("(true | true).allTrue() and (false).allFalse()", "true"),
        ("(1 | 2).subsetOf(1 | 2 | 3) and (1 | 2 | 3).supersetOf(2 | 1)", "true"),
        ("{}.subsetOf(1) and (1).subsetOf({}).not()", "true"),
        ("(1 | 2 | 2).combine(2).distinct()", "1, 2"),
        ("name.given.isDistinct()", "true"),
        ("1 'm' | 100 'cm'", "1 'm'"),
        ("(1 | 2 | 3).tail() = (2 | 3)", "true"),
        ("(1 | 2 | 3 | 4).skip(1).take(2)", "2, 3"),
        ("(1 | 2).skip(-1) | {}.first()", "1, 2"),
        ("(1 | 2 | 3).intersect(2 | 4) | (1 | 2 | 3).exclude(2 | 3)", "2, 1"),
        ("name.given.first().single() & name.last().use", "Marionickname"),
        ("(1 | 2 | 3 | 4).where($this mod 2 = 0)", "2, 4"),
        ("(3 | 1 | 2).sort()", "1, 2, 3"),
        ("(3 | 1 | 2).sort($this desc)", "3, 2, 1"),
        ("telecom.sort(rank).system", "email, phone"),
        ("telecom.sort(-system).system", "phone, email"),
        ("name.sort(family desc, use).use", "official, nickname"),
        ("name.sort(family).use", "nickname, official"),
        ("coalesce(link, name.family, 'none')", "Rossi"),
        ("(1).repeat(iif($this < 5, $this + 1, {}))", "2, 3, 4, 5"),
        ("(1).repeatAll(iif($this < 3, $this + 1, {}))", "2, 3"),
        ("name.select(given.first() & ' ' & family)", "Mario Rossi, Gino "),
    ]);
    refused(&[
        ("name.single()", "needs one item"),
        ("(true | 'x').allTrue()", "booleans"),
        ("(1 | 'a').sort()", "can't bring"),
        // Once a panic: the order of things that have none is not one.
        ("descendants().sort()", "sort works on"),
    ]);
}

#[test]
fn equality_and_order() {
    judge(&[
        ("gender = 'male'", "true"),
        ("'male' != gender", "false"),
        ("{} = {}", ""),
        ("name = name and (name[0] = name[1]).not()", "true"),
        ("(1 | 2) = (2 | 1)", "false"),
        ("(1 | 2) ~ (2 | 1)", "true"),
        ("name.given = 'Mario'", "false"),
        ("maritalStatus.text = 'x'", ""),
        ("1 = 1.0 and 1.10 = 1.1 and 1L = 1", "true"),
        ("'a' = 1", "false"),
        ("23 = 23 '1'", "true"),
        ("birthDate = @1980-03", "true"),
        ("birthDate = @1980-03-15", ""),
        ("birthDate != @1981", "true"),
        ("birthDate = 'x'", "false"),
        ("'ABC d' ~ 'abc\\td' and 1.19 ~ 1.2 and {} ~ {}", "true"),
        ("@2012-01 ~ @2012", "false"),
        ("1 > 2 or 'a' < 'b'", "true"),
        ("birthDate < today() and now() > birthDate", "true"),
        ("@2018-03 < @2018-03-01", ""),
        ("extension.value > 1.5 'm' and extension.value = 172 'cm'", "true"),
        ("1 'cm' < 1 's'", ""),
        ("2 in (1 | 2) and (1 | 2) contains 2 and (3 in {}).not()", "true"),
        ("{} in (1 | 2)", ""),
    ]);
    refused(&[
        ("1 < 'a'", "can't bring Integer and String together"),
        ("(1 | 2) > 1", "needs one item"),
        ("name[0] > 1", "HumanName"),
        ("name.given in ('a')", "needs one item"),
    ]);
}

#[test]
fn logic_has_three_values() {
    judge(&[
        ("true and {}", ""),
        ("{} and false", "false"),
        ("{} or true", "true"),
        ("false or {}", ""),
        ("true xor false", "true"),
        ("true xor {}", ""),
        ("false implies {}", "true"),
        ("{} implies true", "true"),
        ("{} implies false", ""),
        ("active and 'text'", "true"),
        ("(0).not()", "false"),
        ("{}.not()", ""),
        ("deceased.not()", "true"),
    ]);
    refused(&[("name and true", "needs one item"), ("(1 | 2).not()", "needs one item")]);
}

#[test]
fn arithmetic() {
    judge(&[
        ("1 + 2 * 3 - 4 div 3", "6"),
        ("7 mod 4 + -7 mod 4", "0"),
        ("1 / 4", "0.25"),
        ("(1.2 / 1.8).round(2)", "0.67"),
        ("1 / 0 | 1 div 0 | 1.0 mod 0", ""),
        ("2147483647 + 1", ""),
        ("2147483647L + 1", "2147483648"),
        ("0.1 + 0.2", "0.3"),
        ("'a' + 'b' & {} & 'c'", "abc"),
        ("'a' + {}", ""),
        ("2.0 'cm' * 2.0 'm' = 0.040 'm2'", "true"),
        ("12 'cm2' / 3 'cm'", "4 'cm'"),
        ("3 'm' + 3 'cm'", "3.03 'm'"),
        ("2 minutes + 60 seconds", "3 minutes"),
        ("1 year + 12 months", ""),
        ("3 * 2 'cm'", "6 'cm'"),
        ("-(5 'mg') | +(1.5)", "-5 'mg', 1.5"),
        ("(-5.5).abs() | 1.1.ceiling() | (-1.1).floor() | (-1.56).truncate()", "5.5, 2, -2, -1"),
        ("2.power(10) | 2.5.power(2) | 2.power(-1) | 81.sqrt()", "1024, 6.25, 0.5, 9"),
        ("(-1).sqrt() | (-1).power(0.5)", ""),
        ("16.log(2) | 100.0.log(10.0) | 0.exp() | 1.ln()", "4, 2, 1, 0"),
        ("(1 | 2 | 3).sum() | (1.5 | 2.5).avg() | ('b' | 'a').min() | (1 | 3).max()", "6, 2.0, a, 3"),
        ("(1 | 2 | 3 | 4).aggregate($this + $total, 0)", "10"),
        ("(3 | 1 | 2).aggregate(iif($total.empty(), $this, iif($this < $total, $this, $total)))", "1"),
    ]);
    refused(&[
        ("1 + 'a'", "can't bring"),
        ("-'a'", "numbers and quantities"),
        ("-1.convertsToInteger()", "numbers and quantities"),
        ("1.5.round(-1)", "from 0 up"),
        ("0.ln() | 0.log(2)", "above 0"),
        ("(1 | 'a').sum()", "can't bring"),
    ]);
}

#[test]
fn dates_move_by_the_calendar() {
    judge(&[
        ("@2026-01-31 + 1 month", "2026-02-28"),
        ("@2014 + 23 months", "2015"),
        ("@T23:30:00 + 1 hour", "00:30:00"),
        ("@1973-12-25T00:00:00.000+10:00 + 42.53 seconds", "1973-12-25T00:00:42.530+10:00"),
        ("@1973-12-25 - 1 'wk'", "1973-12-18"),
        ("birthDate + 1 year", "1981-03"),
        ("now().toString().length() > 20 and today() = @2026-11-21 and timeOfDay() = @T22:15:30.123", "true"),
        ("@2014-01-05T10:30:00.000.precision() | @T10:30.precision() | 1.58700.precision()", "17, 4, 5"),
        ("birthDate.lowBoundary() | birthDate.highBoundary()", "1980-03-01, 1980-03-31"),
        ("1.587.lowBoundary() | 1.587.highBoundary(2)", "1.58650000, 1.59"),
        (
            "@2012-01-01T12:30:40.002-07:00.select(yearOf() | monthOf() | hourOf() | millisecondOf() | timezoneOffsetOf())",
            "2012, 1, 12, 2, -7.0",
        ),
        ("@2012-03-01T12:30:40Z.dateOf() | @2012-03-01T12:30:40Z.timeOf()", "2012-03-01, 12:30:40"),
        (
            "@1980-03-15.duration(@2026-03-14, 'years') | @1980-03-15.difference(@2026-03-14, 'year')",
            "45, 46",
        ),
    ]);
    refused(&[
        ("@2026-01-01 + 1 'mo'", "can't be moved"),
        ("@2026-01-01 + 1 'cm'", "can't be moved"),
        ("@2026-01-01 + 1", "can't bring"),
        ("@9999-12-31 + 1 day", "years 1 to 9999"),
    ]);
}

#[test]
fn conversions() {
    judge(&[
        ("'TRUE'.toBoolean() | 'n'.toBoolean() | 1.0.toBoolean()", "true, false"),
        ("2.toBoolean() | 'x'.toInteger() | '1.5'.toInteger() | 'st'.toDecimal()", ""),
        ("'+5'.toInteger() | true.toInteger() | '9999999999'.toLong()", "5, 1, 9999999999"),
        ("'9999999999'.convertsToInteger()", "false"),
        ("'1.50'.toDecimal() | true.toDecimal()", "1.50, 1.0"),
        (
            "'2015-02'.toDate() | @2015-02-04T10:00:00Z.toDate() | '15-01-2024'.toDate('dd-MM-yyyy')",
            "2015-02, 2015-02-04, 2024-01-15",
        ),
        ("'2015-02-04T14'.toDateTime() | '14:34'.toTime()", "2015-02-04T14, 14:34"),
        (
            "'10 \\'mm[Hg]\\''.toQuantity() | '4 days'.toQuantity() | 5.toQuantity()",
            "10 'mm[Hg]', 4 days, 5 '1'",
        ),
        ("52 'cm'.toQuantity('m')", "0.52 'm'"),
        ("'1 wk'.convertsToQuantity() or 'a'.convertsToDate() or '25'.convertsToTime()", "false"),
        ("name.first().convertsToString() or {}.convertsToString().exists()", "false"),
        ("1.50.toString() & @T10:00.toString() & (1 'kg').toString()", "1.5010:001 'kg'"),
        ("iif(active, 'yes', 'no') & iif({}, 'a')", "yes"),
        ("link.iif(empty(), 'none', 'some')", "none"),
    ]);
    refused(&[("('a' | 'b').toInteger()", "needs one item"), ("name.iif(true, 1)", "needs one item")]);
}

#[test]
fn strings() {
    judge(&[
        ("'a🔥b'.indexOf('b') | 'abc abc'.lastIndexOf('a') | 'abc'.indexOf('x')", "2, 4, -1"),
        ("'abcdefg'.substring(1, 2) | 'abc'.substring(2)", "bc, c"),
        ("'abc'.substring(3) | 'abc'.substring(-1, 1)", ""),
        ("'abc'.substring(1, 0).length()", "0"),
        ("'abc'.startsWith('') and 'abc'.endsWith('c') and 'abc'.contains('b')", "true"),
        ("'àb'.upper() | 'ÀB'.lower()", "ÀB, àb"),
        ("'abc'.replace('', 'x') | 'abcabc'.replace('b', '')", "xaxbxcx, acac"),
        ("'abc'.matches('b') and 'abc'.matchesFull('b').not() and 'aB'.matches('ab', 'i')", "true"),
        ("gender.matches('^m' & 'ale$')", "true"),
        (
            "'11/30/1972'.replaceMatches('\\\\b(?<m>\\\\d+)/(?<d>\\\\d+)/(?<y>\\\\d+)\\\\b', '${d}-${m}-${y}')",
            "30-11-1972",
        ),
        ("'héé'.length() | 'ab'.toChars()", "3, a, b"),
        ("'A,,C'.split(',').count() | ('A' | 'B').join('-') | ('A' | 'B').join()", "3, A-B, AB"),
        ("'test'.encode('base64').decode('base64') | 'A&B'.escape('html').unescape('html')", "test, A&B"),
        ("'  x '.trim() & '|'", "x|"),
        ("{}.length() | 'a'.startsWith({}) | 'a'.matches({})", ""),
    ]);
    refused(&[
        ("name.given.upper()", "needs one item"),
        ("1.toString().contains(1)", "string as argument"),
        ("'a'.encode('rot13')", "no such format"),
        ("'a'.substring('b')", "whole numbers"),
    ]);
}

#[test]
fn variables_live_on_the_chain_that_defines_them() {
    judge(&[
        ("defineVariable('n', name.first()).select(%n.family & %n.use)", "Rossiofficial"),
        ("name.defineVariable('n', first()).last().select(%n.use & use)", "officialnickname"),
        ("defineVariable(defineVariable('p', 'q').select(%p), 'r').select(%q)", "r"),
        ("name.defineVariable('all').first().select(%all.count())", "2"),
        (
            "name.select(defineVariable('n').given.first().select($this & %n.use))",
            "Marioofficial, Ginonickname",
        ),
        ("defineVariable('a', 1).select(%a) | defineVariable('a', 2).select(%a)", "1, 2"),
        ("'x'.replace(defineVariable('v', 'x').select(%v), defineVariable('v', 'y').select(%v))", "y"),
    ]);
    refused(&[
        ("defineVariable('a', 1).select(%b)", "no variable %b"),
        ("defineVariable('a', 1).active | %a", "no variable %a"),
        ("defineVariable('a', 1).defineVariable('a', 2)", "defined already"),
        ("defineVariable('context', 1)", "defined already"),
    ]);
    let variables: &[(&str, Vec<Argument<'_>>)] =
        &[("weight", vec![Argument::Integer(70)]), ("unit", vec![Argument::Text("kg")])];
    let options = Options { variables: &["weight", "unit"], ..Options::strict() };
    let expression =
        Expression::compile("%weight.toString() & %unit & %`vs-x`", &Model::r4(), &options).unwrap();
    let document = patient();
    let context = Context { variables, ..Context::default() };
    let found = expression.evaluate(document.document(), &context).unwrap();
    assert_eq!(found.first().unwrap().text().unwrap(), "70kghttp://hl7.org/fhir/ValueSet/x");
}

struct Answers;

impl Terminology for Answers {
    fn member_of(&self, code: &Code<'_>, value_set: &str) -> Answer {
        match (value_set, &*code.code) {
            ("http://example.org/sexes", "male" | "female") => Answer::Yes,
            ("http://example.org/sexes", _) => Answer::No,
            _ => Answer::Unknown,
        }
    }

    fn subsumes(&self, code: &Code<'_>, other: &Code<'_>) -> Answer {
        if code.code == other.code { Answer::Yes } else { Answer::No }
    }
}

impl Profiles for Answers {
    fn conforms_to(&self, value: Value<'_>, profile: &str) -> Answer {
        if profile == "http://example.org/adult" && value.is_object() { Answer::Yes } else { Answer::Unknown }
    }
}

impl Trace for std::sync::Mutex<Vec<String>> {
    fn trace(&self, name: &str, items: &[String]) {
        self.lock().unwrap().push(format!("{name}: {}", items.join("; ")));
    }
}

#[test]
fn others_answer_what_the_document_can_not() {
    let log = std::sync::Mutex::new(Vec::new());
    let document = patient();
    let context = Context {
        terminology: Some(&Answers),
        profiles: Some(&Answers),
        trace: Some(&log),
        ..Context::default()
    };
    let test = |text: &str| {
        let expression =
            Expression::compile(text, &Model::r4(), &Options { on: Some("Patient"), ..Options::strict() });
        expression.unwrap().test(document.document(), &context)
    };
    assert_eq!(test("gender.memberOf('http://example.org/sexes')"), Ok(Some(true)));
    assert_eq!(test("language.memberOf('http://example.org/sexes')"), Ok(None));
    assert_eq!(test("gender.memberOf('http://example.org/other')"), Ok(None));
    assert_eq!(test("gender.subsumes('male') and gender.subsumedBy('female').not()"), Ok(Some(true)));
    assert_eq!(test("conformsTo('http://example.org/adult')"), Ok(Some(true)));
    assert_eq!(test("conformsTo('http://hl7.org/fhir/StructureDefinition/Person')"), Ok(Some(false)));
    assert_eq!(test("name.trace('names', given).exists() and gender.trace('sex').exists()"), Ok(Some(true)));
    assert_eq!(
        *log.lock().unwrap(),
        [
            "names: Mario; Luigi; Gino; {\"extension\": [{\"url\": \"http://example.org/unknown\"}]}",
            "sex: male"
        ]
    );
    refused(&[
        ("gender.memberOf('x')", "no terminology"),
        ("conformsTo('http://example.org/adult')", "no profiles"),
        ("slice('a', 'b')", "can't be answered"),
        ("elementDefinition()", "can't be answered"),
    ]);
    let timeless = outcome("now()", &Options::strict(), document.document(), &Context::default());
    assert!(timeless.contains("no time"), "{timeless}");
}

#[test]
fn references_are_resolved_within_a_bundle() {
    let text = r##"{"resourceType":"Bundle","type":"collection","entry":[
      {"fullUrl":"https://a.example/fhir/Observation/o1","resource":{"resourceType":"Observation","id":"o1",
        "subject":{"reference":"Patient/p1"},"performer":[{"reference":"urn:uuid:1"},{"reference":"#d"},{"reference":"Patient/p9"}],
        "contained":[{"resourceType":"Device","id":"d","owner":{"reference":"#"}}]}},
      {"fullUrl":"https://b.example/fhir/Patient/p1","resource":{"resourceType":"Patient","id":"p1","gender":"female"}},
      {"fullUrl":"https://a.example/fhir/Patient/p1","resource":{"resourceType":"Patient","id":"p1","gender":"male"}},
      {"fullUrl":"urn:uuid:1","resource":{"resourceType":"Practitioner","id":"x"}}]}"##;
    let bundle = OwnedDocument::parse_json(text, &fhir_models::document::Limits::default()).unwrap();
    let on = |text: &str| {
        outcome(
            text,
            &Options { on: Some("Bundle"), ..Options::strict() },
            bundle.document(),
            &Context::default(),
        )
    };
    let observation = "entry.resource.ofType(Observation)";
    assert_eq!(on(&format!("{observation}.subject.resolve().gender")), "male");
    assert_eq!(on(&format!("{observation}.performer.resolve().type().name")), "Practitioner, Device");
    assert_eq!(on(&format!("{observation}.contained.owner.resolve().id")), "o1");
    assert_eq!(on("entry.resource.where($this is Patient).count()"), "2");
    assert_eq!(on("entry.resource.name"), "");

    struct Elsewhere(OwnedDocument);
    impl Resolver for Elsewhere {
        fn resolve<'r>(&'r self, reference: &str) -> Option<Document<'r>> {
            (reference == "Patient/p9").then(|| self.0.document())
        }
    }
    let elsewhere = Elsewhere(patient());
    let text = format!("{observation}.performer.resolve().ofType(Patient).name.family");
    let expression = Expression::compile(&text, &Model::r4(), &Options::strict()).unwrap();
    let context = Context { resolver: Some(&elsewhere), ..Context::default() };
    let found = expression.evaluate(bundle.document(), &context).unwrap();
    assert_eq!(found.first().unwrap().text().unwrap(), "Rossi");
    assert_eq!(found.first().unwrap().path().unwrap(), "Patient.name[0].family");
}

#[test]
fn invariants_hold_on_elements() {
    let model = Model::r4();
    let document = patient();
    let ask = |expression: &str, on: &str, value: Value<'_>| {
        let options = Options { on: Some(on), ..Options::default() };
        let expression = Expression::compile(expression, &model, &options).unwrap();
        let focus = Focus::element(value, model.type_of(on).unwrap());
        expression.test(focus, &Context::default()).unwrap()
    };
    let root = document.root();
    let ele_1 = "hasValue() or (children().count() > id.count())";
    assert_eq!(ask(ele_1, "Patient", root), Some(true));
    assert_eq!(
        ask(ele_1, "Patient.name", root.get_key("name").unwrap().children().next().unwrap()),
        Some(true)
    );
    assert_eq!(ask(ele_1, "code", root.get_key("gender").unwrap()), Some(true));
    assert_eq!(ask(ele_1, "CodeableConcept", root.get_key("_maritalStatus").unwrap()), Some(false));
    let extension = root.get_key("extension").unwrap().children().next().unwrap();
    assert_eq!(ask("extension.exists() != value.exists()", "Extension", extension), Some(true));
    let contained = root.get_key("contained").unwrap().children().next().unwrap();
    assert_eq!(
        ask("%rootResource.id = 'p1' and %resource.id = 'org'", "Organization", contained),
        Some(true)
    );
    let reference = root.get_key("managingOrganization").unwrap();
    let ref_1 = "reference.startsWith('#').not() or (reference.substring(1) in %rootResource.contained.id)";
    assert_eq!(ask(ref_1, "Reference", reference), Some(true));
    assert_eq!(ask("text.`div`.htmlChecks()", "Patient", root), None);
}

#[test]
fn every_r4_invariant_compiles() {
    let definitions = fhir_models::definition::Definitions::r4();
    let model = Model::r4();
    let (mut distinct, mut strict) = (std::collections::BTreeSet::new(), Vec::new());
    for name in definitions.type_names() {
        let structure = definitions.structure(name).unwrap();
        for element in &structure.elements {
            for constraint in &element.constraints {
                let Some(expression) = &constraint.expression else { continue };
                if !distinct.insert(expression.clone()) {
                    continue;
                }
                let options = Options { on: Some(&element.path), ..Options::default() };
                Expression::compile(expression, &model, &options).expect(expression);
                if Expression::compile(expression, &model, &Options { strict: true, ..options }).is_err() {
                    strict.push(constraint.key.clone());
                }
            }
        }
    }
    assert!(distinct.len() > 190, "{} distinct", distinct.len());
    assert_eq!(strict, Vec::<String>::new());
}

#[test]
fn an_evaluation_ends_within_its_bounds() {
    let bounded = |text: &str| {
        let limits = Limits { steps: 20_000, items: 5_000, ..Limits::default() };
        outcome(text, &Options::default(), patient().document(), &Context { limits: Some(limits), ..now() })
    };
    assert!(bounded("'a'.repeatAll($this)").contains("error"));
    assert!(bounded("(1 | 2).repeatAll($this.combine($this))").contains("error"));
    assert!(bounded("'x'.repeat($this & 'x').count()").contains("error"));
    assert!(
        bounded("'xxxxxxxxxx'.replace('', 'yyyyyyyyyy').replace('', 'zzzzzzzzzz').replace('', 'wwwwwwwwww')")
            .contains("error")
    );
    let nested = "iif(true, ".repeat(90) + "1" + &")".repeat(90);
    assert_eq!(bounded(&nested), "1");
    let deep = "name".to_owned() + &".where(true)".repeat(90) + ".count()";
    assert_eq!(bounded(&deep), "2");
    let inner = "name.where(".repeat(90) + "true" + &")".repeat(90);
    assert_eq!(bounded(&inner), "");
    let signs = "1".to_owned() + &" + 1".repeat(90);
    assert_eq!(bounded(&signs), "91");
    let shallow = Limits { depth: 10, ..Limits::default() };
    let found = outcome(
        &nested,
        &Options::default(),
        patient().document(),
        &Context { limits: Some(shallow), ..now() },
    );
    assert!(found.contains("nested too deeply"), "{found}");
}

#[test]
fn results_know_their_place() {
    let document = patient();
    let expression = Expression::compile("telecom.value | 1", &Model::r4(), &Options::default()).unwrap();
    let found = expression.evaluate(document.document(), &Context::default()).unwrap();
    let places: Vec<_> =
        found.iter().map(|item| (item.type_name(), item.path(), item.position().map(|it| it.line))).collect();
    assert_eq!(places[1], ("string", Some("Patient.telecom[1].value".to_owned()), Some(15)));
    assert_eq!(places[2], ("integer", None, None));
    assert!(found.iter().nth(2).unwrap().is_computed());
}

fn words() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "name",
        "given",
        "Patient",
        "birthDate",
        "telecom",
        "extension",
        "value",
        "'a'",
        "'1'",
        "1",
        "-1",
        "1.5",
        "2L",
        "{}",
        "true",
        "@2014-01",
        "@2014-01-31T10:00:00Z",
        "@T10:30",
        "4 days",
        "1 'mg'",
        "$this",
        "$index",
        "%context",
        "(name)",
        "(1 | 2 | 3)",
        "('b' | 'a')",
    ])
}

fn criteria() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "use = 'official'",
        "system != 'phone' or value.exists()",
        "given.exists() and family.empty()",
        "given.exists() = family.exists()",
        "given.where(hasValue().not()).empty()",
        "given.all($this = 'Mario') implies use = 'nickname'",
        "hasValue() or (children().count() > id.count())",
        "extension.exists() xor HumanName.family.exists()",
        "extension.url = 'http://example.org/unknown'",
    ])
}

fn calls() -> impl Strategy<Value = String> {
    let filters = prop::sample::select(vec!["where", "exists", "all"]);
    let plain = prop::sample::select(vec![
        "empty()",
        "count()",
        "not()",
        "first()",
        "last()",
        "tail()",
        "single()",
        "distinct()",
        "isDistinct()",
        "allTrue()",
        "toInteger()",
        "toLong()",
        "toDecimal()",
        "toDate()",
        "toDateTime()",
        "toTime()",
        "toQuantity()",
        "toString()",
        "toBoolean()",
        "convertsToQuantity()",
        "length()",
        "upper()",
        "toChars()",
        "trim()",
        "abs()",
        "ceiling()",
        "floor()",
        "exp()",
        "ln()",
        "sqrt()",
        "truncate()",
        "round()",
        "children()",
        "descendants()",
        "lowBoundary()",
        "highBoundary()",
        "precision()",
        "type()",
        "hasValue()",
        "getValue()",
        "resolve()",
        "htmlChecks()",
        "sum()",
        "avg()",
        "min()",
        "max()",
        "sort()",
        "join()",
        "yearOf()",
        "timezoneOffsetOf()",
        "checkModifiers()",
        "name",
        "given",
        "value",
        "[0]",
    ]);
    let unary = prop::sample::select(vec![
        "where",
        "select",
        "exists",
        "all",
        "repeat",
        "skip",
        "take",
        "union",
        "combine",
        "intersect",
        "exclude",
        "subsetOf",
        "startsWith",
        "contains",
        "indexOf",
        "substring",
        "matches",
        "split",
        "power",
        "log",
        "round",
        "sort",
        "coalesce",
        "aggregate",
        "trace",
        "toQuantity",
        "toDate",
        "lowBoundary",
        "comparable",
        "extension",
        "encode",
        "unescape",
        "memberOf",
    ]);
    prop_oneof![
        plain.prop_map(|call| if call == "[0]" { call.to_owned() } else { format!(".{call}") }),
        (unary, words()).prop_map(|(name, word)| format!(".{name}({word})")),
        (filters, criteria()).prop_map(|(name, criterion)| format!(".{name}({criterion})")),
    ]
}

fn expressions() -> impl Strategy<Value = String> {
    let chain = || {
        (words(), prop::collection::vec(calls(), 0..4))
            .prop_map(|(word, calls)| word.to_owned() + &calls.concat())
    };
    let operators = prop::sample::select(vec![
        "+", "-", "*", "/", "&", "div", "mod", "|", "=", "!=", "~", "!~", "<", "<=", ">", ">=", "in",
        "contains", "and", "or", "xor", "implies",
    ]);
    (chain(), prop::collection::vec((operators, chain()), 0..3)).prop_map(|(first, rest)| {
        rest.into_iter().fold(first, |text, (operator, next)| format!("({text}) {operator} {next}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_expression_upsets_the_evaluation(text in expressions(), strict in any::<bool>()) {
        let limits = Limits { steps: 50_000, items: 10_000, ..Limits::default() };
        let options = Options { strict, on: Some("Patient"), ..Options::default() };
        let document = patient();
        if let Ok(expression) = Expression::compile(&text, &Model::r4(), &options) {
            let context = Context { limits: Some(limits), ..now() };
            let found = expression.evaluate(document.document(), &context);
            let test = expression.test(document.document(), &context);
            let long = Expression::compile(&text, &Model::r4(), &options).unwrap().without_short_ways();
            prop_assert_eq!(&long.test(document.document(), &context), &test, "{}", text);
            let shown = |found: &Collection<'_>| {
                let shown = found.iter().map(|it| (it.path(), it.text().map(|it| it.into_owned())));
                shown.collect::<Vec<_>>()
            };
            if let (Ok(long), Ok(short)) = (long.evaluate(document.document(), &context), &found) {
                prop_assert_eq!(shown(&long), shown(short), "{}", text);
            }
            // The quick way to a boolean and the collection agree.
            if let (Ok(found), Ok(test)) = (&found, &test)
                && found.len() == 1
                && let Some(Scalar::Boolean(value)) = found.first().unwrap().scalar()
            {
                prop_assert_eq!(*test, Some(value), "{}", text);
            }
            if let (Ok(found), Err(_)) = (&found, &test) {
                prop_assert!(found.len() > 1, "{}", text);
            }
        }
    }
}
