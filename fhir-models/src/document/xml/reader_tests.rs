#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::document::xml::character::first_forbidden;

/// The tokens of a text, each as a few words.
fn tokens(text: &str) -> Result<Vec<String>, Fault> {
    if let Some(at) = first_forbidden(text) {
        return Err((Kind::ForbiddenCharacter, at));
    }
    let mut strict = Tolerance::none();
    let mut reader = Reader::new(text, 16, &mut strict)?;
    let mut found = Vec::new();
    loop {
        match reader.next()? {
            Token::Start(start) => {
                let mut told = format!("<{}", reader.slice(start.local));
                for it in &reader.attributes {
                    let value = reference::attribute_value(reader.slice(it.value.clone()));
                    told += &format!(" {}={value}", reader.slice(it.local.clone()));
                }
                found.push(told);
            }
            Token::End(_) => found.push(">".to_owned()),
            Token::Text(_) => found.push("text".to_owned()),
            Token::EndOfDocument => return Ok(found),
        }
    }
}

fn refused(text: &str) -> (Kind, usize) {
    tokens(text).err().unwrap_or_else(|| panic!("accepted: {text}"))
}

#[test]
fn a_document_is_read() {
    let text = "\u{FEFF}<?xml version='1.0' encoding=\"utf-8\" standalone = 'no' ?>\n<!-- c --><?p i?>\
        <f:a xmlns:f='urn:x' b = 'c&#x20;d&amp;' f:b=\"'\"\n><b/>t<![CDATA[<]]></f:a >\n<!---->";
    assert_eq!(tokens(text).unwrap(), ["<a b=c d& b='", "<b", ">", "text", "text", ">"]);
}

#[test]
fn what_xml_does_not_allow_is_refused_where_it_stands() {
    use Kind::*;
    assert_eq!(refused(""), (UnexpectedEnd, 0));
    assert_eq!(refused("  x<a/>"), (ExpectedMarkup("an element"), 2));
    assert_eq!(refused("<a/>x"), (TrailingText, 4));
    assert_eq!(refused("<a/><b/>"), (TrailingText, 4));
    assert_eq!(refused("<a>"), (UnexpectedEnd, 3));
    assert_eq!(refused("<a><b></a>"), (MismatchedTag, 6));
    assert_eq!(refused("<a></a:a>"), (MismatchedTag, 3));
    assert_eq!(refused("</a>"), (MismatchedTag, 0));
    assert_eq!(refused("<a b='1' b='2'/>"), (DuplicateAttribute, 9));
    assert_eq!(refused("<a xmlns='u' xmlns='v'/>"), (DuplicateAttribute, 13));
    assert_eq!(refused("<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>"), (DuplicateAttribute, 34));
    assert_eq!(refused("<a b='1'c='2'/>"), (ExpectedMarkup("white space or the end of the tag"), 8));
    assert_eq!(refused("<a b='<'/>"), (ExpectedMarkup("`&lt;` in place of `<`"), 6));
    assert_eq!(refused("<a>]]></a>"), (ExpectedMarkup("`]]&gt;` in place of `]]>`"), 3));
    assert_eq!(refused("<a b=c/>"), (ExpectedMarkup("a value in quotes"), 5));
    assert_eq!(refused("<a b/>"), (ExpectedMarkup("an equals sign"), 4));
    assert_eq!(refused("< a/>"), (ExpectedMarkup("a name"), 1));
    assert_eq!(refused("<a:b:c/>"), (ExpectedMarkup("a name with one colon at most"), 4));
    assert_eq!(refused("<p:a/>"), (UndeclaredPrefix, 0));
    assert_eq!(refused("<a p:b=''/>"), (UndeclaredPrefix, 3));
    assert_eq!(refused("<a><b xmlns:p='u'/><p:c/></a>"), (UndeclaredPrefix, 19));
    assert_eq!(refused("<a xmlns:p=''/>"), (BadNamespace, 3));
    assert_eq!(refused("<a xmlns:xml='u'/>"), (BadNamespace, 3));
    assert_eq!(refused("<a xmlns:xmlns='u'/>"), (BadNamespace, 3));
    assert_eq!(refused("<a><!-- -- --></a>"), (BadComment, 10));
    assert_eq!(refused("<a><!-- --->"), (BadComment, 10));
    assert_eq!(refused("<a><?xml version='1.0'?></a>"), (BadDeclaration, 3));
    assert_eq!(refused("<![CDATA[]]><a/>"), (ExpectedMarkup("an element or a comment"), 0));
    assert_eq!(refused("<a>\u{1}</a>"), (ForbiddenCharacter, 3));
}

#[test]
fn nothing_from_outside_the_text_is_asked_for() {
    use Kind::*;
    let entity = r#"<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>"#;
    assert_eq!(refused(entity), (DocumentType, 0));
    assert_eq!(refused("<a>&b;</a>"), (UnknownEntity, 3));
    assert_eq!(refused("<a b='&lol9;'/>"), (UnknownEntity, 6));
    assert_eq!(refused("<a>&#xD800;</a>"), (BadReference, 3));
    assert_eq!(refused("<a>&#0;</a>"), (BadReference, 3));
    assert_eq!(refused("<a>a & b</a>"), (BadReference, 5));
}

#[test]
fn only_utf8_and_xml_1_0_are_declared() {
    use Kind::*;
    assert_eq!(refused("<?xml version='1.0' encoding='ISO-8859-1'?><a/>"), (NotUtf8Encoding, 20));
    assert_eq!(refused("<?xml version='1.0' encoding='UTF-16'?><a/>"), (NotUtf8Encoding, 20));
    assert_eq!(refused("<?xml version='1.1'?><a/>"), (BadDeclaration, 6));
    assert_eq!(refused("<?xml encoding='UTF-8'?><a/>"), (BadDeclaration, 6));
    assert_eq!(refused("<?xml?><a/>"), (BadDeclaration, 0));
    assert_eq!(refused(" <?xml version='1.0'?><a/>"), (BadDeclaration, 1));
    assert!(tokens("<?xml version='1.0' encoding='utf-8'?><a/>").is_ok());
    assert!(tokens("<?xml-stylesheet href='x'?><a/>").is_ok());
}

#[test]
fn limits_hold() {
    let deep = "<a>".repeat(17);
    assert_eq!(refused(&deep), (Kind::TooDeep(16), 48));
    let attributes: String = (0..129).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(refused(&format!("<a{attributes}/>")).0, Kind::TooManyAttributes(MAX_ATTRIBUTES));
    let declared: String = (0..65).map(|n| format!(" xmlns:a{n}='u'")).collect();
    assert!(matches!(refused(&format!("<a{declared}/>")).0, Kind::TooManyNamespaces(_)));
    assert_eq!(refused(&format!("<{}/>", "a".repeat(1025))), (Kind::NameTooLong, 1));
}

#[test]
fn prefixes_are_resolved_where_they_are_bound() {
    let text = "<p:a xmlns:p='http://hl7.org/fhir'><b xmlns='http://www.w3.org/1999/xhtml'/><c/></p:a>";
    let mut strict = Tolerance::none();
    let mut reader = Reader::new(text, 16, &mut strict).unwrap();
    let mut namespaces = Vec::new();
    loop {
        match reader.next().unwrap() {
            Token::Start(start) => namespaces.push((start.namespace, start.declared_here)),
            Token::EndOfDocument => break,
            _ => {}
        }
    }
    let (fhir, xhtml, none) = (Namespace::Fhir, Namespace::Xhtml, Namespace::None);
    assert_eq!(namespaces, [(fhir, false), (xhtml, true), (none, false)]);
}

proptest! {
    #[test]
    fn near_xml_gives_tokens_or_an_error_in_the_text(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<", ">", "/>", "</", "a", "b", ":", "=", "'", "\"", " ", "\n", "<a", "<a>", "</a>", "<b/>", "&amp;",
            "&#10;", "&", ";", "<!--", "-->", "--", "<?", "?>", "xml", "<![CDATA[", "]]>", "xmlns", "='u'",
            " a='1'", "è", "<!DOCTYPE", "\u{FEFF}", "1", "-",
        ]), 0..24),
    ) {
        let text = parts.concat();
        if let Err((_, at)) = tokens(&text) {
            prop_assert!(at <= text.len());
        }
    }

    #[test]
    fn each_tag_that_begins_ends(text in r#"<a( b='[a&amp;]{0,3}')?>(<b/>|<c>[xè ]{0,3}</c>|<!-- - -->){0,6}</a>"#) {
        if let Ok(found) = tokens(&text) {
            let ends = found.iter().filter(|it| *it == ">").count();
            prop_assert_eq!(found.iter().filter(|it| it.starts_with('<')).count(), ends);
        }
    }
}
