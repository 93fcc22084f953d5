//! Limits of a parse, and what a text that breaks the grammar is told.

use std::fmt;

/// The bounds a parse keeps. A document beyond one of them is refused, whatever it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest source text, in bytes. At most 4 GiB, the reach of a node's offsets.
    pub bytes: usize,
    /// Deepest nesting of objects and arrays.
    pub depth: usize,
    /// Most nodes (values) in one document.
    pub nodes: usize,
}

impl Default for Limits {
    /// 64 MiB of text, 128 levels, 8 million nodes: above every resource of the R4 specification and of
    /// common record exports, far below what would hurt a server.
    fn default() -> Self {
        Limits { bytes: 64 << 20, depth: 128, nodes: 8_000_000 }
    }
}

/// A place in a text, as an editor shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1. CR LF, LF and CR each end one line.
    pub line: usize,
    /// Column in characters (Unicode scalar values), from 1.
    pub column: usize,
}

impl Position {
    /// The position of byte `offset` in `bytes`. An offset past the end gives the end.
    pub fn of(bytes: &[u8], offset: usize) -> Position {
        let before = bytes.get(..offset).unwrap_or(bytes);
        let mut line = 1;
        let mut start = 0;
        for (at, &byte) in before.iter().enumerate() {
            let ends_line = byte == b'\n' || (byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
            if ends_line {
                line += 1;
                start = at + 1;
            }
        }
        let continuation = |byte: &&u8| (**byte & 0xC0) == 0x80;
        let tail = before.get(start..).unwrap_or_default();
        Position { line, column: tail.len() - tail.iter().filter(continuation).count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a text is not a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxErrorKind {
    /// More bytes than [`Limits::bytes`].
    #[error("the document is larger than {0} bytes")]
    TooLarge(usize),
    /// Deeper than [`Limits::depth`].
    #[error("values are nested more than {0} levels deep")]
    TooDeep(usize),
    /// More values than [`Limits::nodes`].
    #[error("the document holds more than {0} values")]
    TooManyNodes(usize),
    /// Bytes that are not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// A byte-order mark before the first value (RFC 8259 §8.1).
    #[error("the text begins with a byte-order mark; send UTF-8 without one")]
    ByteOrderMark,
    /// The text ended inside a value.
    #[error("the text ends too early")]
    UnexpectedEnd,
    /// Something stands where a value must begin.
    #[error("a value is expected here")]
    ExpectedValue,
    /// Something stands where a property name must begin.
    #[error("a property name in double quotes is expected here")]
    ExpectedName,
    /// A property name without its colon.
    #[error("a colon is expected after the property name")]
    ExpectedColon,
    /// Neither a comma nor the closing bracket follows a value.
    #[error("a comma or the closing bracket is expected here")]
    ExpectedCommaOrEnd,
    /// A comma before a closing bracket.
    #[error("a comma must not stand before a closing bracket")]
    TrailingComma,
    /// Text after the end of the document.
    #[error("there is text after the end of the document")]
    TrailingText,
    /// A control character in a string.
    #[error("a control character in a string must be escaped")]
    ControlCharacter,
    /// An escape that JSON does not define.
    #[error("this escape sequence is not one of JSON's")]
    BadEscape,
    /// Half of a surrogate pair.
    #[error("this escape is half of a surrogate pair")]
    LoneSurrogate,
    /// A number outside JSON's grammar.
    #[error("this is not a number by JSON's grammar")]
    BadNumber,
    /// The same property name twice in one object.
    #[error("the property name stands twice in one object")]
    DuplicateName,
    /// A property name of 64 KiB or more.
    #[error("a property name is longer than 65535 bytes")]
    NameTooLong,
    /// A character that XML 1.0 allows nowhere (§2.2).
    #[error("this character is not allowed in XML")]
    ForbiddenCharacter,
    /// Something else stands where XML's grammar asks for this.
    #[error("{0} is expected here")]
    ExpectedMarkup(&'static str),
    /// An XML declaration that is malformed or names another version.
    #[error(
        "the XML declaration must read <?xml version=\"1.0\" encoding=\"UTF-8\"?>, at the very beginning"
    )]
    BadDeclaration,
    /// Another encoding than UTF-8 (FHIR R4 §2.6.1).
    #[error("the XML declaration names another encoding than UTF-8; send UTF-8")]
    NotUtf8Encoding,
    /// A document type declaration: it could define entities and defaults.
    #[error("a document type declaration is not allowed in FHIR XML; remove it")]
    DocumentType,
    /// A comment in JSON.
    #[error("JSON has no comments; remove it")]
    Comment,
    /// An entity other than XML's own five.
    #[error("this entity is not one of XML's own; write the character, or its number as in &#160;")]
    UnknownEntity,
    /// A reference to no character.
    #[error("this reference names no character that XML allows; a plain ampersand is written &amp;")]
    BadReference,
    /// `--` in a comment.
    #[error("a comment must not hold two hyphens in a row")]
    BadComment,
    /// An end tag for another element.
    #[error("this end tag is not that of the element that is open")]
    MismatchedTag,
    /// The same attribute twice.
    #[error("the attribute stands twice in one element")]
    DuplicateAttribute,
    /// Too many attributes on one element.
    #[error("an element has more than {0} attributes")]
    TooManyAttributes(usize),
    /// Too many namespace declarations at one place.
    #[error("more than {0} namespaces are declared here")]
    TooManyNamespaces(usize),
    /// A declaration that Namespaces in XML does not allow.
    #[error("this namespace declaration is not allowed")]
    BadNamespace,
    /// A prefix without declaration.
    #[error("the prefix is not bound to a namespace")]
    UndeclaredPrefix,
    /// An element outside FHIR's namespace.
    #[error(
        "the element is not in FHIR's namespace; declare xmlns=\"http://hl7.org/fhir\" on the root element"
    )]
    WrongNamespace,
    /// A narrative that is not a `div` with its own declaration of XHTML's namespace.
    #[error("the narrative must be <div xmlns=\"http://www.w3.org/1999/xhtml\">, without a prefix")]
    ExpectedDiv,
    /// Text where FHIR has none.
    #[error("text is not allowed between elements: FHIR keeps values in attributes")]
    StrayText,
    /// An attribute that FHIR does not define here.
    #[error("FHIR defines no such attribute here")]
    UnexpectedAttribute,
    /// An element for what FHIR writes as an attribute.
    #[error("FHIR XML writes this as an attribute, not as an element")]
    ExpectedAttribute,
    /// A name that JSON uses for something else.
    #[error("no element can have this name: FHIR JSON uses it for something else")]
    ReservedName,
    /// A root element that is not the one of the logical model.
    #[error("the root element must have the name and namespace that the logical model says")]
    OtherRoot,
    /// An element of a logical model that is written otherwise than its definition says.
    #[error(
        "the logical model writes this otherwise in XML: by another name, in another namespace, or as an attribute or element"
    )]
    OtherForm,
    /// More than one resource where one is held.
    #[error("this element holds one resource and no more")]
    ExpectedOneResource,
}

/// A text that is not a document: what is wrong, and where.
///
/// The message never quotes the text: it may hold a person's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} ({position})")]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// Byte offset in the source text.
    pub offset: usize,
    /// The same place as line and column.
    pub position: Position,
}

impl SyntaxError {
    pub(crate) fn at(kind: SyntaxErrorKind, bytes: &[u8], offset: usize) -> SyntaxError {
        SyntaxError { kind, offset, position: Position::of(bytes, offset) }
    }

    /// True where a limit, not the grammar, was broken: a server answers 413 rather than 400.
    pub fn is_limit(&self) -> bool {
        self.kind.is_limit()
    }
}

impl SyntaxErrorKind {
    /// True where a limit, not the grammar, was broken.
    pub fn is_limit(self) -> bool {
        use SyntaxErrorKind::{TooDeep, TooLarge, TooManyAttributes, TooManyNamespaces, TooManyNodes};
        matches!(
            self,
            TooLarge(_) | TooDeep(_) | TooManyNodes(_) | TooManyAttributes(_) | TooManyNamespaces(_)
        )
    }
}
