#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::definition::{Definitions, StructureKind, choice_name};
use crate::document::{Format, Kind, Limits, OwnedDocument, SyntaxErrorKind, Tape};

static R4: LazyLock<DefinitionSchema> = LazyLock::new(|| DefinitionSchema::new(Definitions::r4()));

fn in_fhir(xml: &str) -> String {
    xml.replacen('>', " xmlns=\"http://hl7.org/fhir\">", 1)
}

/// The JSON that an XML text stands for; `xmlns` is added to its root.
fn json(xml: &str) -> String {
    OwnedDocument::parse_xml(in_fhir(xml).as_bytes(), &*R4, &Limits::default()).unwrap().text().to_owned()
}

/// Why a text is refused, and the line and column.
fn refused(xml: &str) -> (SyntaxErrorKind, usize, usize) {
    let error = OwnedDocument::parse_xml(xml.as_bytes(), &*R4, &Limits::default()).err().unwrap();
    (error.kind, error.position.line, error.position.column)
}

fn xml(json: &str) -> Result<String, (XmlWriteErrorKind, String)> {
    let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    let written = write_xml(document.root(), &*R4).map_err(|error| (error.kind, error.expression));
    written.map(|text| text.strip_prefix(head).unwrap().replacen(" xmlns=\"http://hl7.org/fhir\"", "", 1))
}

#[test]
fn what_repeats_is_an_array_and_what_does_not_is_not() {
    assert_eq!(
        json(
            "<Patient><id value='p'/><name><family value='Forlì'/><given value='A'/></name><name/></Patient>"
        ),
        r#"{"resourceType":"Patient","id":"p","name":[{"family":"Forlì","given":["A"]},{}]}"#
    );
}

#[test]
fn booleans_and_numbers_are_typed_by_their_definition_and_keep_their_digits() {
    assert_eq!(
        json("<Patient><active value='true'/><multipleBirthInteger value='2'/></Patient>"),
        r#"{"resourceType":"Patient","active":true,"multipleBirthInteger":2}"#
    );
    assert_eq!(
        json("<Observation><valueQuantity><value value='1.50e-2'/></valueQuantity></Observation>"),
        r#"{"resourceType":"Observation","valueQuantity":{"value":1.50e-2}}"#
    );
    assert_eq!(
        json("<Patient><active value='yes'/><multipleBirthInteger value='two'/></Patient>"),
        r#"{"resourceType":"Patient","active":"yes","multipleBirthInteger":"two"}"#
    );
    assert_eq!(
        json("<Patient><multipleBirthInteger value='+2'/></Patient>"),
        r#"{"resourceType":"Patient","multipleBirthInteger":2}"#
    );
}

#[test]
fn ids_and_extensions_of_primitives_stand_in_their_twins() {
    let extension = "<extension url='http://e'><valueCode value='x'/></extension>";
    assert_eq!(
        json(&format!("<Patient><birthDate id='b' value='1980'>{extension}</birthDate></Patient>")),
        r#"{"resourceType":"Patient","birthDate":"1980","_birthDate":{"id":"b","extension":[{"url":"http://e","valueCode":"x"}]}}"#
    );
    assert_eq!(
        json(&format!(
            "<HumanName><given value='A'/><given>{extension}</given><given value='C' id='c'/></HumanName>"
        )),
        r#"{"resourceType":"HumanName","given":["A",null,"C"],"_given":[null,{"extension":[{"url":"http://e","valueCode":"x"}]},{"id":"c"}]}"#
    );
    assert_eq!(
        json(&format!("<Patient><birthDate>{extension}</birthDate></Patient>")),
        r#"{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://e","valueCode":"x"}]}}"#
    );
    assert_eq!(json("<Patient><birthDate/></Patient>"), r#"{"resourceType":"Patient","birthDate":null}"#);
}

#[test]
fn resources_inside_resources_say_their_type() {
    assert_eq!(
        json(
            "<Patient><contained><Organization><id value='o'/></Organization></contained><contained><Group/></contained></Patient>"
        ),
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"},{"resourceType":"Group"}]}"#
    );
    assert_eq!(
        json("<Bundle><entry><resource><Patient/></resource></entry><entry/></Bundle>"),
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}},{}]}"#
    );
}

#[test]
fn the_narrative_stays_to_the_byte() {
    let div =
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"> <p\n>a &lt; \"b\" &#232;<!-- c --><br/>\r\n</p></div>";
    let document = OwnedDocument::parse_xml(
        in_fhir(&format!("<Patient><text><status value='generated'/>{div}</text></Patient>")).as_bytes(),
        &*R4,
        &Limits::default(),
    )
    .unwrap();
    let read = document.root().get_key("text").unwrap().get_key("div").unwrap();
    assert_eq!(read.as_str().unwrap(), div);
    let again = write_xml(document.root(), &*R4).unwrap();
    assert!(again.contains(div));
}

#[test]
fn what_no_definition_knows_is_kept_where_it_stands() {
    assert_eq!(
        json(
            "<Patient><colour value='red'/><id value='p'/><pet><name value='Fido'/><name value='Rex'/></pet><note/><colour id='c'/></Patient>"
        ),
        r#"{"resourceType":"Patient","colour":["red",null],"_colour":[null,{"id":"c"}],"id":"p","pet":{"name":["Fido","Rex"]},"note":{}}"#
    );
    assert_eq!(json("<Nessuno><a><b/></a></Nessuno>"), r#"{"resourceType":"Nessuno","a":{"b":{}}}"#);
    assert_eq!(
        json("<Patient><gender value='male'/><gender value='female'/></Patient>"),
        r#"{"resourceType":"Patient","gender":["male","female"]}"#
    );
}

#[test]
fn positions_are_those_of_the_xml() {
    let text = "<?xml version=\"1.0\"?>\n<Patient xmlns=\"http://hl7.org/fhir\">\n  <name id=\"n\">\n    <given value=\"è\"/> <given value=\"B\" id=\"x\"/>\n  </name>\n  <birthDate value=\"1980\"/>\n</Patient>";
    let document = OwnedDocument::parse(text, &*R4, &Limits::default()).unwrap();
    let position = |expression: &str| {
        let found = document.root().descendants().filter(|value| value.expression() == expression);
        found.map(|it| (it.position().line, it.position().column)).collect::<Vec<_>>()
    };
    assert_eq!(document.document().format(), Format::Xml);
    assert_eq!(document.root().position().line, 2);
    assert_eq!(position("Patient.name"), [(3, 3)]);
    assert_eq!(position("Patient.name[0].id"), [(3, 9)]);
    assert_eq!(position("Patient.name[0].given[1]"), [(4, 24), (4, 24)]);
    assert_eq!(position("Patient.birthDate"), [(6, 3)]);
    assert_eq!(document.document().source(), text);
}

#[test]
fn elements_out_of_order_are_told() {
    let misplaced = |xml: &str| {
        let document = OwnedDocument::parse_xml(in_fhir(xml).as_bytes(), &*R4, &Limits::default()).unwrap();
        let ids = document.document().misplaced();
        let told = ids.iter().map(|id| document.document().value(*id).unwrap().expression());
        told.collect::<Vec<_>>()
    };
    assert!(misplaced("<Patient><id value='p'/><name/><name/><gender value='male'/></Patient>").is_empty());
    assert_eq!(
        misplaced(
            "<Patient><gender id='g' value='male'/><name/><active value='true'/><gender value='x'/></Patient>"
        ),
        ["Patient.name[0]", "Patient.active"]
    );
    assert_eq!(misplaced("<Patient><name/><gender value='male'/><name/></Patient>"), ["Patient.name[1]"]);
}

#[test]
fn what_json_can_not_hold_is_refused_where_it_stands() {
    use SyntaxErrorKind::*;
    let inside = |xml: &str| refused(&format!("<Patient xmlns='http://hl7.org/fhir'>\n{xml}</Patient>"));
    assert_eq!(refused("<Patient/>"), (WrongNamespace, 1, 1));
    assert_eq!(refused("<Patient xmlns='http://hl7.org/fhir/'/>"), (WrongNamespace, 1, 1));
    assert_eq!(refused("<Patient xmlns='http://hl7.org/fhir' id='p'/>"), (UnexpectedAttribute, 1, 38));
    assert_eq!(inside(" text"), (StrayText, 2, 2));
    assert_eq!(inside("<name use='official'/>"), (UnexpectedAttribute, 2, 7));
    assert_eq!(inside("<name value='x'/>"), (UnexpectedAttribute, 2, 7));
    assert_eq!(inside("<active value='true' lang='it'/>"), (UnexpectedAttribute, 2, 22));
    assert_eq!(inside("<name><id value='x'/></name>"), (ExpectedAttribute, 2, 7));
    assert_eq!(inside("<extension><url value='x'/></extension>"), (ExpectedAttribute, 2, 12));
    assert_eq!(inside("<name xmlns='urn:x'/>"), (WrongNamespace, 2, 1));
    assert_eq!(inside("<active xmlns='http://www.w3.org/1999/xhtml'/>"), (WrongNamespace, 2, 1));
    assert_eq!(inside("<text><div/></text>"), (ExpectedDiv, 2, 7));
    assert_eq!(inside("<text><h:div xmlns:h='http://www.w3.org/1999/xhtml'/></text>"), (ExpectedDiv, 2, 7));
    assert_eq!(inside("<_active/>"), (ReservedName, 2, 1));
    assert_eq!(inside("<resourceType value='x'/>"), (ReservedName, 2, 1));
    assert_eq!(inside("<contained><Group/><Group/></contained>"), (ExpectedOneResource, 2, 20));
    assert_eq!(inside("<contained id='x'><Group/></contained>"), (UnexpectedAttribute, 2, 12));
    assert_eq!(inside("<what id='1'><id value='2'/></what>").0, DuplicateName);
}

#[test]
fn hints_for_schema_processors_and_prefixes_change_nothing() {
    let text = "<f:Patient xmlns:f='http://hl7.org/fhir' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' \
        xsi:schemaLocation='http://hl7.org/fhir x.xsd'><f:id value='p'/></f:Patient>";
    let document = OwnedDocument::parse_xml(text.as_bytes(), &*R4, &Limits::default()).unwrap();
    assert_eq!(document.text(), r#"{"resourceType":"Patient","id":"p"}"#);
}

#[test]
fn limits_hold_for_xml_too() {
    let limits = Limits { bytes: 500, depth: 5, nodes: 12 };
    let kind = |text: &str| {
        let error = Tape::new().parse_xml(in_fhir(text).as_bytes(), &*R4, &limits).err();
        error.map(|it| (it.kind, it.is_limit()))
    };
    assert_eq!(kind("<Patient><name><given value='A'/></name></Patient>"), None);
    assert_eq!(kind("<a><a><a><a><a><a/></a></a></a></a></a>"), Some((SyntaxErrorKind::TooDeep(5), true)));
    // Five objects and arrays are deeper than five elements.
    let nested = "<Patient><contact><name><extension url='x'/></name></contact></Patient>";
    assert_eq!(kind(nested), Some((SyntaxErrorKind::TooDeep(5), true)));
    let many = format!("<Patient>{}</Patient>", "<name/>".repeat(12));
    assert_eq!(kind(&many), Some((SyntaxErrorKind::TooManyNodes(12), true)));
    assert_eq!(kind(&format!("<a>{}</a>", " ".repeat(500))), Some((SyntaxErrorKind::TooLarge(500), true)));
}

#[test]
fn nesting_is_bounded_whatever_the_limits_say() {
    let limits = Limits { depth: usize::MAX, ..Limits::default() };
    let nested = |depth: usize| {
        let text = in_fhir(&format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth)));
        Tape::new().parse_xml(text.as_bytes(), &*R4, &limits).err().map(|error| error.kind)
    };
    assert_eq!(nested(256), None);
    assert_eq!(nested(257), Some(SyntaxErrorKind::TooDeep(256)));
    let extensions = format!("{}{}", r#"{"extension":["#.repeat(300), "]}".repeat(300));
    let json = format!(r#"{{"resourceType":"Patient","extension":[{extensions}]}}"#);
    let document = OwnedDocument::parse_json(json, &limits).unwrap();
    assert_eq!(write_xml(document.root(), &*R4).err().unwrap().kind, XmlWriteErrorKind::TooDeep);
}

#[test]
fn elements_are_written_in_the_order_of_their_definition() {
    assert_eq!(
        xml(
            r#"{"name":[{"given":["A","B"],"family":"F","id":"n"}],"id":"p","active":true,"resourceType":"Patient"}"#
        ),
        Ok("<Patient><id value=\"p\"/><active value=\"true\"/><name id=\"n\"><family value=\"F\"/>\
            <given value=\"A\"/><given value=\"B\"/></name></Patient>"
            .to_owned())
    );
    assert_eq!(
        xml(r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"},"fullUrl":"a\"<&\n"}]}"#),
        Ok("<Bundle><entry><fullUrl value=\"a&quot;&lt;&amp;&#xA;\"/><resource><Patient/></resource></entry></Bundle>".to_owned())
    );
    assert_eq!(
        xml(r#"{"resourceType":"HumanName","_given":[null,{"id":"b"}],"given":["A",null]}"#),
        Ok("<HumanName><given value=\"A\"/><given id=\"b\"/></HumanName>".to_owned())
    );
}

#[test]
fn what_xml_would_lose_is_not_written() {
    use XmlWriteErrorKind::*;
    let refused = |members: &str| xml(&format!(r#"{{"resourceType":"Patient",{members}}}"#)).err().unwrap();
    let told = |kind, expression: &str| (kind, expression.to_owned());
    assert_eq!(xml("{}").err(), Some(told(UnknownResource, "$this")));
    assert_eq!(xml(r#"{"resourceType":"Nessuno"}"#).err(), Some(told(UnknownResource, "Nessuno")));
    assert_eq!(xml("[1]").err().unwrap().0, UnknownResource);
    assert_eq!(refused(r#""colour":"red""#), told(UnknownElement, "Patient.colour"));
    assert_eq!(refused(r#""_name":[{"id":"x"}],"name":[{}]"#).0, Nothing);
    assert_eq!(refused(r#""_name":[{"id":"x"}]"#), told(UnknownElement, "Patient.name"));
    assert_eq!(refused(r#""name":{"family":"F"}"#), told(WrongForm, "Patient.name"));
    assert_eq!(refused(r#""gender":["male"]"#), told(WrongForm, "Patient.gender"));
    assert_eq!(refused(r#""active":"true""#), told(WrongForm, "Patient.active"));
    assert_eq!(refused(r#""name":["Forlì"]"#), told(WrongForm, "Patient.name[0]"));
    assert_eq!(refused(r#""name":[]"#), told(Nothing, "Patient.name"));
    assert_eq!(refused(r#""name":[{}]"#), told(Nothing, "Patient.name[0]"));
    assert_eq!(refused(r#""gender":null"#), told(Nothing, "Patient.gender"));
    assert_eq!(refused(r#""name":[{"given":[null]}]"#), told(Nothing, "Patient.name[0].given[0]"));
    assert_eq!(refused(r#""name":[{"given":["A"],"_given":[null,null]}]"#).0, WrongForm);
    assert_eq!(refused(r#""id":"\u0001""#), told(ForbiddenCharacter, "Patient.id"));
    assert_eq!(refused(r#""name":[{"id":1}]"#), told(WrongForm, "Patient.name[0].id"));
    let narrative = |div: &str| refused(&format!(r#""text":{{"div":"{div}"}}"#));
    for div in [
        "",
        "<div>x</div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'>&nbsp;</div>",
        "<p xmlns='http://www.w3.org/1999/xhtml'/>",
        "<div xmlns='http://www.w3.org/1999/xhtml'/><evil/>",
        " <div xmlns='http://www.w3.org/1999/xhtml'/>",
        "<div xmlns='http://www.w3.org/1999/xhtml'>",
    ] {
        assert_eq!(narrative(div), told(BadNarrative, "Patient.text.div"), "{div}");
    }
}

/// Makes resources of any type from a seed.
struct Maker(u64);

impl Maker {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    /// The members of an object: those of `path` in the definition of `type_name`.
    fn members(&mut self, type_name: &str, path: &str, depth: usize) -> Vec<String> {
        let definitions = Definitions::r4();
        let structure = definitions.structure(type_name).unwrap();
        let mut members = Vec::new();
        for element in structure.elements.iter().skip(1) {
            let Some(tail) = element.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            if tail.contains('.') || self.below(if depth > 3 { 12 } else { 3 }) > 0 {
                continue;
            }
            let nested =
                element.content_reference.as_deref().map(|it| it.rsplit('#').next().unwrap().to_owned());
            let code = match (&nested, element.types.len()) {
                (None, 0) => continue,
                (None, count) => element.types[self.below(count)].code.clone(),
                _ => String::new(),
            };
            let name = tail.strip_suffix("[x]").map_or(tail.to_owned(), |stem| choice_name(stem, &code));
            let own_path = nested.unwrap_or_else(|| element.path.clone());
            let is_nested = structure.elements.iter().any(|it| it.path.starts_with(&format!("{own_path}.")));
            let repeats = element.is_array();
            let count = if repeats { 1 + self.below(3) } else { 1 };
            let primitive = !is_nested
                && definitions.type_kind(&code) == Some(StructureKind::PrimitiveType)
                && code != "xhtml";
            let mut values = Vec::new();
            let mut twins = Vec::new();
            for _ in 0..count {
                if primitive {
                    let bare = element.xml_attribute;
                    let twin = if bare || self.below(4) > 0 { "null".to_owned() } else { self.twin() };
                    let absent = twin != "null" && self.below(3) == 0;
                    values.push(if absent { "null".to_owned() } else { self.primitive(&code) });
                    twins.push(twin);
                } else if is_nested {
                    values.push(self.object(type_name, &own_path, depth));
                } else if code == "Resource" {
                    values.push(self.resource(depth + 1));
                } else if code == "xhtml" {
                    let text = self.pick(&["a", "è &lt;", "\\n\\t", "<b>\\\"</b>", "<br/>", "<!-- x -->"]);
                    values.push(format!(r#""<div xmlns=\"http://www.w3.org/1999/xhtml\">{text}</div>""#));
                } else {
                    values.push(self.object(&code, &code, depth));
                }
            }
            let write = |values: &[String]| {
                if repeats { format!("[{}]", values.join(",")) } else { values[0].clone() }
            };
            if values.iter().any(|value| value != "null") {
                members.push(format!("\"{name}\":{}", write(&values)));
            }
            if twins.iter().any(|twin| twin != "null") {
                members.push(format!("\"_{name}\":{}", write(&twins)));
            }
        }
        members
    }

    /// An object that is not empty.
    fn object(&mut self, type_name: &str, path: &str, depth: usize) -> String {
        let mut members = if depth > 5 { Vec::new() } else { self.members(type_name, path, depth + 1) };
        if members.is_empty() {
            members.push(format!("\"id\":\"{}\"", self.below(9)));
        }
        format!("{{{}}}", members.join(","))
    }

    fn twin(&mut self) -> String {
        match self.below(3) {
            0 => r#"{"id":"t"}"#.to_owned(),
            1 => r#"{"extension":[{"url":"http://e","valueDecimal":1.0}]}"#.to_owned(),
            _ => r#"{"id":"u","extension":[{"url":"http://e","_valueString":{"id":"v"}}]}"#.to_owned(),
        }
    }

    fn primitive(&mut self, code: &str) -> String {
        match code {
            "boolean" => self.pick(&["true", "false"]).to_owned(),
            "decimal" => self.pick(&["1.50", "-0.0", "1e-7", "120"]).to_owned(),
            "integer" | "positiveInt" | "unsignedInt" => self.pick(&["1", "42"]).to_owned(),
            _ => self
                .pick(&[r#""a""#, r#"" x\ty\r\nz ""#, r#""<&>'\"""#, r#""è😀""#, r#""""#, r#""\\u""#])
                .to_owned(),
        }
    }

    fn resource(&mut self, depth: usize) -> String {
        let type_name = self.pick(&[
            "Patient",
            "Bundle",
            "Observation",
            "Questionnaire",
            "Parameters",
            "ValueSet",
            "Claim",
            "Consent",
            "Composition",
            "Binary",
            "StructureDefinition",
        ]);
        let mut members = if depth > 3 { Vec::new() } else { self.members(type_name, type_name, depth) };
        members.push(format!("\"resourceType\":\"{type_name}\""));
        members.rotate_right(1);
        format!("{{{}}}", members.join(","))
    }
}

proptest! {
    #[test]
    fn generated_resources_survive_the_way_to_xml_and_back(seed: u64) {
        let json = Maker(seed).resource(0);
        let document = OwnedDocument::parse_json(json.as_str(), &Limits::default()).unwrap();
        let xml = write_xml(document.root(), &*R4).unwrap();
        let back = OwnedDocument::parse_xml(xml.as_bytes(), &*R4, &Limits::default()).unwrap();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        prop_assert!(read(back.text()) == read(&json), "{}\n{}", json, back.text());
        // Only the order of members differs, not the digits of a number.
        prop_assert_eq!(back.text().len(), json.len());
        prop_assert!(back.document().misplaced().is_empty());
    }

    #[test]
    fn any_bytes_give_a_document_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut tape = Tape::new();
        if let Err(error) = tape.parse_xml(&bytes, &*R4, &Limits::default()) {
            prop_assert!(error.offset <= bytes.len());
        }
    }

    #[test]
    fn near_fhir_gives_a_document_or_an_error(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<name>", "</name>", "<name/>", "<given value='A'/>", "<given id='x'/>", "<birthDate value='1'>", "</birthDate>", "<id value='i'/>",
            "<extension url='u'>", "</extension>", "<valueString value='v'/>", "<contained>", "</contained>", "<Patient>", "</Patient>",
            "<text>", "</text>", "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>", "<x/>", "<x value='1'/>", "<x>", "</x>", "<!-- c -->", " ",
        ]), 0..16),
    ) {
        let text = format!("<Patient xmlns='http://hl7.org/fhir'>{}</Patient>", parts.concat());
        let mut tape = Tape::new();
        if let Ok(document) = tape.parse_xml(text.as_bytes(), &*R4, &Limits::default()) {
            let values = std::iter::once(document.root()).chain(document.root().descendants());
            for value in values.filter(|value| value.kind() != Kind::Null) {
                prop_assert!(text.is_char_boundary(document.source_offset(value.span().start)));
            }
            if let Ok(written) = write_xml(document.root(), &*R4) {
                let mut second = Tape::new();
                let again = second.parse_xml(written.as_bytes(), &*R4, &Limits::default()).unwrap();
                prop_assert_eq!(again.len(), document.len());
            }
        }
    }
}
