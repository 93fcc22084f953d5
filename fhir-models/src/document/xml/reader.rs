//! Tokens of XML (XML 1.0, fifth edition; Namespaces in XML 1.0): a strict pull reader.
//!
//! It reads what FHIR needs and refuses the rest: no document type declaration, hence no entities but XML's
//! own five and no defaults; UTF-8 only. Well-formedness is checked in full: a text that another conforming
//! reader would refuse does not pass, so two readers can't be played against each other.

use std::ops::Range;

use super::character::{is_space, name_end};
use super::namespace::{Namespace, Namespaces};
use super::{Fault, reference};
use crate::document::SyntaxErrorKind as Kind;
use crate::document::form::Tolerance;
use crate::document::scan::{self, find};

/// Most attributes of one element, namespace declarations included.
pub(super) const MAX_ATTRIBUTES: usize = 128;
/// Longest name of an element or attribute, in bytes.
const MAX_NAME: usize = 1024;

/// What comes next in a document.
#[derive(Debug)]
pub(super) enum Token {
    /// A start tag; its attributes stand in [`Reader::attributes`].
    Start(Start),
    /// An end tag, or the end of an empty-element tag. The offset after it.
    End(usize),
    /// Text or CDATA that is not only white space. Where it begins.
    Text(usize),
    /// The end of the document.
    EndOfDocument,
}

/// A start tag.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// Offset of its `<`.
    pub at: usize,
    /// The name without its prefix.
    pub local: Range<usize>,
    pub namespace: Namespace,
    /// The namespace is declared on this very element, as the default.
    pub declared_here: bool,
}

/// An attribute that is not a namespace declaration.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    /// Offset of its name.
    pub at: usize,
    /// The name without its prefix.
    pub local: Range<usize>,
    /// The value between its quotes, references unresolved.
    pub value: Range<usize>,
    pub namespace: Namespace,
    prefix: Range<usize>,
}

/// A start tag's name, or an attribute as it is met.
struct Qualified {
    prefix: Range<usize>,
    local: Range<usize>,
}

/// Reads tokens.
pub(super) struct Reader<'a, 't> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// The names of the open elements, prefixes included.
    open: Vec<Range<usize>>,
    namespaces: Namespaces<'a>,
    /// Attributes of the last start tag.
    pub attributes: Vec<Attribute>,
    /// The last start tag was an empty-element tag whose end has not been told.
    ends_at_once: bool,
    /// The root element has begun.
    begun: bool,
    /// What to do about faults that the reader can go on after.
    pub tolerance: &'t mut Tolerance,
}

impl<'a, 't> Reader<'a, 't> {
    /// A reader of a text that holds only characters that XML allows. `depth` bounds the open elements.
    pub fn new(text: &'a str, depth: usize, tolerance: &'t mut Tolerance) -> Result<Reader<'a, 't>, Fault> {
        let mut reader = Reader {
            text,
            at: if text.starts_with('\u{FEFF}') { 3 } else { 0 },
            depth,
            open: Vec::new(),
            namespaces: Namespaces::new(),
            attributes: Vec::new(),
            ends_at_once: false,
            begun: false,
            tolerance,
        };
        if let Err(fault) = reader.declaration() {
            reader.tolerance.note(fault)?;
            let end = reader.rest().find("?>").ok_or((Kind::UnexpectedEnd, text.len()))?;
            reader.at += end + 2;
        }
        Ok(reader)
    }

    /// The next token. Comments and processing instructions are passed over.
    pub fn next(&mut self) -> Result<Token, Fault> {
        if self.ends_at_once {
            self.ends_at_once = false;
            self.close();
            return Ok(Token::End(self.at));
        }
        loop {
            if self.open.is_empty() {
                self.skip_space();
                match self.peek() {
                    None if self.begun => return Ok(Token::EndOfDocument),
                    None => return Err((Kind::UnexpectedEnd, self.at)),
                    Some(b'<') => {}
                    Some(_) if self.begun => return self.trailing(),
                    Some(_) => return Err((Kind::ExpectedMarkup("an element"), self.at)),
                }
            } else if let Some(at) = self.text_run()? {
                return Ok(Token::Text(at));
            }
            match self.text.as_bytes().get(self.at + 1) {
                Some(b'!') => {
                    if let Some(at) = self.bang()? {
                        return Ok(Token::Text(at));
                    }
                }
                Some(b'?') => self.instruction()?,
                Some(b'/') => return self.end_tag(),
                _ if self.open.is_empty() && self.begun => return self.trailing(),
                _ => return self.start_tag(),
            }
        }
    }

    /// Something after the root element: a document ends with that.
    fn trailing(&mut self) -> Result<Token, Fault> {
        self.tolerance.note((Kind::TrailingText, self.at))?;
        self.at = self.text.len();
        Ok(Token::EndOfDocument)
    }

    /// A comment, or CDATA: where that begins if it is not blank.
    fn bang(&mut self) -> Result<Option<usize>, Fault> {
        let rest = self.rest();
        if rest.starts_with("<!--") {
            self.comment().map(|()| None)
        } else if rest.starts_with("<![CDATA[") && !self.open.is_empty() {
            self.cdata()
        } else if rest.starts_with("<!DOCTYPE") {
            Err((Kind::DocumentType, self.at))
        } else {
            Err((Kind::ExpectedMarkup("an element or a comment"), self.at))
        }
    }

    /// XML 1.0 §2.8 and §4.3.3. What must be absent, other versions and encodings, is refused by name.
    fn declaration(&mut self) -> Result<(), Fault> {
        let begins = self.rest().strip_prefix("<?xml");
        if !begins.is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '?'])) {
            return Ok(());
        }
        let start = self.at;
        self.at += "<?xml".len();
        let mut earlier = 0;
        loop {
            let spaced = self.skip_space();
            if self.take("?>") {
                return if earlier > 0 { Ok(()) } else { Err((Kind::BadDeclaration, start)) };
            }
            let at = self.at;
            if !spaced {
                return Err(self.fault(Kind::BadDeclaration));
            }
            let (name, value) = self.plain_attribute(Kind::BadDeclaration)?;
            earlier = match (name, earlier) {
                ("version", 0) if value == "1.0" => 1,
                ("version", 0) => return Err((Kind::BadDeclaration, at)),
                ("encoding", 1) if value.eq_ignore_ascii_case("utf-8") => 2,
                ("encoding", 1) => return Err((Kind::NotUtf8Encoding, at)),
                ("standalone", 1 | 2) if matches!(value, "yes" | "no") => 3,
                _ => return Err((Kind::BadDeclaration, at)),
            };
        }
    }

    /// A name and a quoted value, neither with prefix nor references.
    fn plain_attribute(&mut self, kind: Kind) -> Result<(&'a str, &'a str), Fault> {
        let name = self.name().map_err(|(_, at)| (kind, at))?;
        self.skip_space();
        if !self.take_byte(b'=') {
            return Err(self.fault(kind));
        }
        self.skip_space();
        let value = self.quoted()?;
        Ok((self.slice(name), self.slice(value)))
    }

    fn comment(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let inner = start + "<!--".len();
        let rest = self.text.get(inner..).unwrap_or_default();
        let dashes = rest.find("--").ok_or((Kind::UnexpectedEnd, self.text.len()))?;
        self.at = inner + dashes + 2;
        if !self.take_byte(b'>') {
            self.tolerance.note(self.fault(Kind::BadComment))?;
            self.at = inner + dashes;
            let end = self.rest().find("-->").ok_or((Kind::UnexpectedEnd, self.text.len()))?;
            self.at += end + 3;
        }
        Ok(())
    }

    fn instruction(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += "<?".len();
        let target = self.name()?;
        if self.slice(target).eq_ignore_ascii_case("xml") {
            self.tolerance.note((Kind::BadDeclaration, start))?;
        }
        if !self.take("?>") {
            if !self.peek().is_some_and(is_space) {
                return Err(self.fault(Kind::ExpectedMarkup("white space")));
            }
            let end = self.rest().find("?>").ok_or((Kind::UnexpectedEnd, self.text.len()))?;
            self.at += end + 2;
        }
        Ok(())
    }

    /// Reads text up to the next markup; says where what is not white space begins.
    fn text_run(&mut self) -> Result<Option<usize>, Fault> {
        let mut found = None;
        loop {
            self.skip_space();
            match self.peek() {
                None => return Err((Kind::UnexpectedEnd, self.at)),
                Some(b'<') => return Ok(found),
                Some(b'&') => {
                    found = found.or(Some(self.at));
                    self.at += self.reference()?;
                }
                Some(b']') if self.rest().starts_with("]]>") => {
                    self.tolerance.note((Kind::ExpectedMarkup("`]]&gt;` in place of `]]>`"), self.at))?;
                    self.at += "]]>".len();
                }
                Some(_) => {
                    found = found.or(Some(self.at));
                    let special = |byte| (byte == b'<') | (byte == b'&') | (byte == b']');
                    self.at = find(self.text.as_bytes(), self.at + 1, special);
                }
            }
        }
    }

    fn cdata(&mut self) -> Result<Option<usize>, Fault> {
        let start = self.at;
        let inner = start + "<![CDATA[".len();
        let rest = self.text.get(inner..).unwrap_or_default();
        let length = rest.find("]]>").ok_or((Kind::UnexpectedEnd, self.text.len()))?;
        self.at = inner + length + 3;
        let blank = rest.bytes().take(length).all(is_space);
        Ok((!blank).then_some(start))
    }

    fn start_tag(&mut self) -> Result<Token, Fault> {
        let at = self.at;
        if self.open.len() >= self.depth {
            return Err((Kind::TooDeep(self.depth), at));
        }
        self.at += 1;
        let qualified = self.qualified()?;
        self.open.push(qualified.prefix.start..qualified.local.end);
        self.namespaces.open();
        self.begun = true;
        self.ends_at_once = self.attributes_of_tag()?;
        let prefix = self.slice(qualified.prefix.clone());
        let namespace = match self.namespaces.of_element(prefix) {
            Some(namespace) => namespace,
            None => {
                self.tolerance.note((Kind::UndeclaredPrefix, at))?;
                Namespace::Undeclared
            }
        };
        let declared_here = prefix.is_empty() && self.namespaces.default_is_declared_here();
        Ok(Token::Start(Start { at, local: qualified.local, namespace, declared_here }))
    }

    /// Reads the attributes up to the tag's end; true for an empty-element tag.
    fn attributes_of_tag(&mut self) -> Result<bool, Fault> {
        self.attributes.clear();
        let mut count = 0;
        let empty = loop {
            let spaced = self.skip_space();
            if self.take_byte(b'>') {
                break false;
            }
            if self.peek() == Some(b'/') && self.take("/>") {
                break true;
            }
            let at = self.at;
            if !spaced {
                let kind = Kind::ExpectedMarkup("white space or the end of the tag");
                self.tolerance.note(self.fault(kind))?;
            }
            count += 1;
            if count > MAX_ATTRIBUTES {
                return Err((Kind::TooManyAttributes(MAX_ATTRIBUTES), at));
            }
            let Qualified { prefix, local } = self.qualified()?;
            self.skip_space();
            if !self.take_byte(b'=') {
                return Err(self.fault(Kind::ExpectedMarkup("an equals sign")));
            }
            self.skip_space();
            let value = self.quoted()?;
            let (prefix_text, local_text) = (self.slice(prefix.clone()), self.slice(local.clone()));
            let declared = match (prefix_text, local_text) {
                ("", "xmlns") => Some(""),
                ("xmlns", prefix) => Some(prefix),
                _ => None,
            };
            if let Some(declared) = declared {
                let uri = reference::attribute_value(self.slice(value));
                if let Err(kind) = self.namespaces.declare(declared, &uri) {
                    self.tolerance.note((kind, at))?;
                }
            } else {
                self.attributes.push(Attribute { at, local, value, namespace: Namespace::None, prefix });
            }
        };
        self.resolve_attributes()?;
        Ok(empty)
    }

    /// Finds the namespaces of the attributes once all declarations are known, and refuses duplicates.
    fn resolve_attributes(&mut self) -> Result<(), Fault> {
        let mut number = 0;
        while number < self.attributes.len() {
            let (earlier, rest) = self.attributes.split_at_mut(number);
            let Some(attribute) = rest.first_mut() else { break };
            let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
            let namespace = self.namespaces.of_attribute(text(&attribute.prefix));
            attribute.namespace = namespace.unwrap_or(Namespace::Undeclared);
            let same = |it: &Attribute| {
                it.namespace == attribute.namespace && text(&it.local) == text(&attribute.local)
            };
            let kind = if namespace.is_none() {
                Kind::UndeclaredPrefix
            } else if earlier.iter().any(same) {
                Kind::DuplicateAttribute
            } else {
                number += 1;
                continue;
            };
            self.tolerance.note((kind, attribute.at))?;
            self.attributes.remove(number);
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.at += "</".len();
        let Qualified { prefix, local } = self.qualified()?;
        let name = self.slice(prefix.start..local.end);
        if self.open.last().is_none_or(|open| self.slice(open.clone()) != name) {
            return Err((Kind::MismatchedTag, start));
        }
        self.skip_space();
        if !self.take_byte(b'>') {
            return Err(self.fault(Kind::ExpectedMarkup("the end of the tag")));
        }
        self.close();
        Ok(Token::End(self.at))
    }

    fn close(&mut self) {
        self.open.pop();
        self.namespaces.close();
    }

    fn qualified(&mut self) -> Result<Qualified, Fault> {
        let first = self.name()?;
        if !self.take_byte(b':') {
            return Ok(Qualified { prefix: first.start..first.start, local: first });
        }
        let local = self.name()?;
        if self.peek() == Some(b':') {
            return Err(self.fault(Kind::ExpectedMarkup("a name with one colon at most")));
        }
        Ok(Qualified { prefix: first, local })
    }

    fn name(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        self.at = name_end(self.text, start);
        match self.at - start {
            0 => Err(self.fault(Kind::ExpectedMarkup("a name"))),
            1..=MAX_NAME => Ok(start..self.at),
            _ => Err((Kind::NameTooLong, start)),
        }
    }

    /// A value in quotes, its references checked.
    fn quoted(&mut self) -> Result<Range<usize>, Fault> {
        let Some(quote @ (b'"' | b'\'')) = self.peek() else {
            return Err(self.fault(Kind::ExpectedMarkup("a value in quotes")));
        };
        let start = self.at + 1;
        self.at = start;
        loop {
            let special = |byte| (byte == quote) | (byte == b'<') | (byte == b'&');
            self.at = find(self.text.as_bytes(), self.at, special);
            match self.peek() {
                None => return Err((Kind::UnexpectedEnd, self.at)),
                Some(b'<') => return Err((Kind::ExpectedMarkup("`&lt;` in place of `<`"), self.at)),
                Some(b'&') => self.at += self.reference()?,
                Some(_) => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
            }
        }
    }

    fn reference(&mut self) -> Result<usize, Fault> {
        match reference::read(self.rest()) {
            Ok((_, length)) => Ok(length),
            Err(kind) => {
                // The ampersand stays as it is.
                self.tolerance.note(self.fault(kind))?;
                Ok(1)
            }
        }
    }

    fn skip_space(&mut self) -> bool {
        let before = self.at;
        self.at = scan::skip_space(self.text.as_bytes(), before);
        self.at > before
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Length of the whole text.
    /// The offset after the last token.
    /// The text of a namespace name.
    pub fn namespace_text(&self, namespace: Namespace) -> Option<&str> {
        self.namespaces.text(namespace)
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    fn fault(&self, kind: Kind) -> Fault {
        if self.at >= self.text.len() { (Kind::UnexpectedEnd, self.text.len()) } else { (kind, self.at) }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
