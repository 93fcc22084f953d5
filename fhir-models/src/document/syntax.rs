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
    #[error("objects and arrays are nested more than {0} levels deep")]
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
        use SyntaxErrorKind::{TooDeep, TooLarge, TooManyNodes};
        matches!(self.kind, TooLarge(_) | TooDeep(_) | TooManyNodes(_))
    }
}
