//! Words and signs of the mapping language, FHIRPath's among them.

use super::super::error::MapFault;
use super::Located;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, keywords included.
    Word,
    /// A name in backticks.
    QuotedWord,
    /// `'text'`
    Single,
    /// `"text"`
    Double,
    /// `"""` text over several lines.
    Triple,
    /// `12`
    Integer,
    /// `12L`
    Long,
    /// `1.5`
    Decimal,
    /// `@2014-01-25`, `@2014-01-25T14:30`, `@T14:30`
    Temporal,
    /// `///` before a line of metadata.
    Metadata,
    /// An operator, bracket or comma.
    Sign,
    /// The end of the text.
    End,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub kind: TokenKind,
    /// As written; quotes included.
    pub text: &'t str,
    pub at: usize,
    /// It is the first of its line.
    pub first_of_line: bool,
}

impl Token<'_> {
    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.text == sign
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text == word
    }

    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

/// A comment: its words, and the token that it stands before.
#[derive(Debug)]
pub(super) struct Comment<'t> {
    pub text: &'t str,
    pub at: usize,
    pub before: usize,
    /// Something stands before it on its line.
    pub trails: bool,
}

/// A whole text in pieces; the last token is the end.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    pub tokens: Vec<Token<'t>>,
    pub comments: Vec<Comment<'t>>,
}

/// Signs of more than one character, longest first where one begins another.
const SIGNS: &[&str] = &["->", "<<", ">>", "..", "==", "!=", "!~", "<=", ">=", "<-", ">-"];

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    new_line: bool,
    found: Tokens<'t>,
}

/// Takes a text apart.
pub(super) fn tokens(text: &str) -> Result<Tokens<'_>, Located> {
    let found = Tokens { tokens: Vec::new(), comments: Vec::new() };
    let mut lexer = Lexer { text, at: 0, new_line: true, found };
    while lexer.next()? {}
    Ok(lexer.found)
}

impl<'t> Lexer<'t> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let text = self.text.get(self.at..self.at + length).unwrap_or_default();
        let first_of_line = std::mem::replace(&mut self.new_line, false);
        self.found.tokens.push(Token { kind, text, at: self.at, first_of_line });
        self.at += length;
    }

    fn run(&self, wanted: impl Fn(u8) -> bool) -> usize {
        self.rest().bytes().take_while(|byte| wanted(*byte)).count()
    }

    /// One more token or comment; false behind the end.
    fn next(&mut self) -> Result<bool, Located> {
        let Some(byte) = self.byte(0) else {
            self.push(TokenKind::End, 0);
            return Ok(false);
        };
        match byte {
            b'\n' | b'\r' => {
                self.new_line = true;
                self.at += 1;
            }
            b' ' | b'\t' => self.at += 1,
            0xC2 if self.byte(1) == Some(0xA0) => self.at += 2,
            b'/' if self.rest().starts_with("///") && is_metadata(self.rest()) => {
                self.push(TokenKind::Metadata, 3);
            }
            b'/' if self.byte(1) == Some(b'/') => self.line_comment(),
            b'/' if self.byte(1) == Some(b'*') => self.block_comment()?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                self.push(TokenKind::Word, self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            }
            b'0'..=b'9' => self.number(),
            b'\'' => self.quoted(TokenKind::Single, "'", "string")?,
            b'`' => self.quoted(TokenKind::QuotedWord, "`", "quoted name")?,
            b'"' if self.rest().starts_with("\"\"\"") => {
                let body = self.text.get(self.at + 3..).unwrap_or_default();
                let fault = (MapFault::Unclosed("text", "\"\"\""), self.at);
                let length = body.find("\"\"\"").ok_or(fault)?;
                self.push(TokenKind::Triple, length + 6);
            }
            b'"' => self.quoted(TokenKind::Double, "\"", "string")?,
            b'@' => {
                let length = 1 + self
                    .text
                    .get(self.at + 1..)
                    .unwrap_or_default()
                    .bytes()
                    .take_while(is_temporal)
                    .count();
                self.push(TokenKind::Temporal, length);
            }
            b'$' => {
                let length = 1 + self
                    .text
                    .get(self.at + 1..)
                    .unwrap_or_default()
                    .bytes()
                    .take_while(u8::is_ascii_alphanumeric)
                    .count();
                self.push(TokenKind::Word, length);
            }
            _ => return self.sign().map(|()| true),
        }
        Ok(true)
    }

    fn sign(&mut self) -> Result<(), Located> {
        let rest = self.rest();
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.push(TokenKind::Sign, sign.len());
            return Ok(());
        }
        let first = rest.chars().next().unwrap_or_default();
        if !"(){}[].,;:=<>+-*/|&~%!".contains(first) {
            return Err((MapFault::UnexpectedCharacter(first), self.at));
        }
        self.push(TokenKind::Sign, 1);
        Ok(())
    }

    fn number(&mut self) {
        let whole = self.run(|byte| byte.is_ascii_digit());
        let fraction = match (self.byte(whole), self.byte(whole + 1)) {
            (Some(b'.'), Some(b'0'..=b'9')) => {
                let digits = self.text.get(self.at + whole + 1..).unwrap_or_default();
                1 + digits.bytes().take_while(u8::is_ascii_digit).count()
            }
            _ => 0,
        };
        match (fraction, self.byte(whole)) {
            (0, Some(b'L')) => self.push(TokenKind::Long, whole + 1),
            (0, _) => self.push(TokenKind::Integer, whole),
            _ => self.push(TokenKind::Decimal, whole + fraction),
        }
    }

    fn quoted(&mut self, kind: TokenKind, quote: &'static str, what: &'static str) -> Result<(), Located> {
        let end = quote.as_bytes().first().copied();
        let mut length = 1;
        loop {
            match self.byte(length) {
                None => return Err((MapFault::Unclosed(what, quote), self.at)),
                Some(b'\\') => length += 2,
                byte if byte == end => break,
                Some(_) => length += 1,
            }
        }
        self.push(kind, length + 1);
        Ok(())
    }

    fn line_comment(&mut self) {
        let length = self.run(|byte| byte != b'\n' && byte != b'\r');
        let words = self.rest().get(..length).unwrap_or_default().trim_start_matches('/').trim();
        self.comment(words, length);
    }

    fn block_comment(&mut self) -> Result<(), Located> {
        let body = self.text.get(self.at + 2..).unwrap_or_default();
        let length = body.find("*/").ok_or((MapFault::Unclosed("comment", "*/"), self.at))?;
        let words = body.get(..length).unwrap_or_default().trim_matches('*').trim();
        self.comment(words, length + 4);
        Ok(())
    }

    fn comment(&mut self, text: &'t str, length: usize) {
        let comment = Comment { text, at: self.at, before: self.found.tokens.len(), trails: !self.new_line };
        self.found.comments.push(comment);
        self.at += length;
    }
}

fn is_temporal(byte: &u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b'Z' | b'+')
}

/// `/// name =` is metadata, anything else behind three strokes a comment.
fn is_metadata(line: &str) -> bool {
    let body = line.trim_start_matches('/').trim_start_matches([' ', '\t']);
    let key = body
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        .count();
    let rest = body.get(key..).unwrap_or_default().trim_start_matches([' ', '\t']);
    key > 0 && line.as_bytes().get(3) != Some(&b'/') && rest.starts_with('=') && !rest.starts_with("==")
}

/// The text between quotes, escapes undone (FHIRPath's).
pub(super) fn unquoted(token: &Token<'_>) -> String {
    let length = if token.kind == TokenKind::Triple { 3 } else { 1 };
    let inner = token.text.get(length..token.text.len().saturating_sub(length)).unwrap_or_default();
    if token.kind == TokenKind::Triple {
        return inner.trim_matches(['\r', '\n']).to_owned();
    }
    unescape(inner)
}

fn unescape(inner: &str) -> String {
    if !inner.contains('\\') {
        return inner.to_owned();
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(next) = chars.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.clone().take(4).collect();
                match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                    Some(named) if digits.len() == 4 => {
                        out.push(named);
                        chars = chars.as_str().get(4..).unwrap_or_default().chars();
                    }
                    _ => out.push('u'),
                }
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// A text in single quotes, as FHIRPath reads it.
pub(in crate::mapping) fn quoted(text: &str) -> String {
    quoted_with(text, '\'')
}

/// A text in these quotes.
pub(super) fn quoted_with(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for next in text.chars() {
        match next {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            _ if next == quote => {
                out.push('\\');
                out.push(next);
            }
            _ => out.push(next),
        }
    }
    out.push(quote);
    out
}
