//! Words and signs of FHIRPath (FHIRPath §Lexical Elements).

use std::borrow::Cow;

use super::error::CompileFault;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, keywords included.
    Word,
    /// A name in backticks.
    QuotedWord,
    /// `'text'`
    Text,
    /// `12`
    Integer,
    /// `12L`
    Long,
    /// `1.5`
    Decimal,
    /// `@2014-01-25`
    Date,
    /// `@2014-01-25T14:30`
    DateTime,
    /// `@T14:30`
    Time,
    /// `$this`, `$index`, `$total`
    Special,
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
}

pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

type Fault = (CompileFault, usize);

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0 }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// The next token.
    pub fn next(&mut self) -> Result<Token<'t>, Fault> {
        self.skip()?;
        let start = self.at;
        let Some(byte) = self.byte(0) else {
            return Ok(Token { kind: TokenKind::End, text: "", at: start });
        };
        let kind = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                TokenKind::Word
            }
            b'0'..=b'9' => self.number(),
            b'\'' => self.quoted(b'\'', "string", "'")?,
            b'`' => self.quoted(b'`', "quoted name", "`")?,
            // FHIR R4 still writes `%"vs-name"`.
            b'"' => self.quoted(b'"', "quoted name", "\"")?,
            b'@' => self.temporal()?,
            b'$' => {
                self.at += 1;
                self.run(|byte| byte.is_ascii_alphanumeric());
                TokenKind::Special
            }
            _ => self.sign()?,
        };
        Ok(Token { kind, text: self.text.get(start..self.at).unwrap_or_default(), at: start })
    }

    fn run(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&wanted) {
            self.at += 1;
        }
    }

    /// White space and comments.
    fn skip(&mut self) -> Result<(), Fault> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b' ' | b'\t' | b'\r' | b'\n'), _) => self.at += 1,
                (Some(b'/'), Some(b'/')) => self.run(|byte| byte != b'\n' && byte != b'\r'),
                (Some(b'/'), Some(b'*')) => {
                    let body = self.text.get(self.at + 2..).unwrap_or_default();
                    let Some(length) = body.find("*/") else {
                        return Err((CompileFault::Unclosed("comment", "*/"), self.at));
                    };
                    self.at += length + 4;
                }
                // A byte order mark and no-break spaces come with copied text.
                (Some(0xC2), Some(0xA0)) => self.at += 2,
                _ => return Ok(()),
            }
        }
    }

    fn number(&mut self) -> TokenKind {
        self.run(|byte| byte.is_ascii_digit());
        if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.run(|byte| byte.is_ascii_digit());
            return TokenKind::Decimal;
        }
        let word_follows = self.byte(1).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if self.byte(0) == Some(b'L') && !word_follows {
            self.at += 1;
            return TokenKind::Long;
        }
        TokenKind::Integer
    }

    fn quoted(&mut self, quote: u8, what: &'static str, end: &'static str) -> Result<TokenKind, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.byte(0) {
                None => return Err((CompileFault::Unclosed(what, end), start)),
                Some(b'\\') => self.at += 1 + usize::from(self.byte(1).is_some()),
                Some(byte) if byte == quote => break,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(if quote == b'\'' { TokenKind::Text } else { TokenKind::QuotedWord })
    }

    /// `@` and a date, a date with time, or a time; what it says is read later.
    fn temporal(&mut self) -> Result<TokenKind, Fault> {
        let start = self.at;
        self.at += 1;
        if self.byte(0) == Some(b'T') {
            self.at += 1;
            self.clock();
            // A zone makes no sense here; taken along, it is refused with the rest.
            self.zone();
            return Ok(TokenKind::Time);
        }
        self.run(|byte| byte.is_ascii_digit());
        for _ in 0..2 {
            if self.byte(0) == Some(b'-') && self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) {
                self.at += 1;
                self.run(|byte| byte.is_ascii_digit());
            }
        }
        if self.at == start + 1 {
            return Err((CompileFault::BadTemporal, start));
        }
        if self.byte(0) != Some(b'T') {
            return Ok(TokenKind::Date);
        }
        self.at += 1;
        if self.clock() {
            self.zone();
        }
        Ok(TokenKind::DateTime)
    }

    fn clock(&mut self) -> bool {
        let start = self.at;
        self.run(|byte| byte.is_ascii_digit());
        while self.at > start && self.byte(0) == Some(b':') {
            self.at += 1;
            self.run(|byte| byte.is_ascii_digit());
        }
        if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.run(|byte| byte.is_ascii_digit());
        }
        self.at > start
    }

    fn zone(&mut self) {
        let digit = |ahead: usize| self.byte(ahead).is_some_and(|byte| byte.is_ascii_digit());
        match self.byte(0) {
            Some(b'Z') => self.at += 1,
            Some(b'+' | b'-')
                if digit(1) && digit(2) && self.byte(3) == Some(b':') && digit(4) && digit(5) =>
            {
                self.at += 6;
            }
            _ => {}
        }
    }

    fn sign(&mut self) -> Result<TokenKind, Fault> {
        let length = match (self.byte(0), self.byte(1)) {
            (Some(b'<' | b'>' | b'!'), Some(b'=')) | (Some(b'!'), Some(b'~')) => 2,
            (
                Some(
                    b'.' | b',' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'+' | b'-' | b'*' | b'/' | b'&'
                    | b'|' | b'<' | b'>' | b'=' | b'~' | b'%',
                ),
                _,
            ) => 1,
            _ => {
                let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
                return Err((CompileFault::UnexpectedCharacter(found.unwrap_or('?')), self.at));
            }
        };
        self.at += length;
        Ok(TokenKind::Sign)
    }
}

/// The text between the quotes, with its escapes undone. A backslash before any other character goes.
pub(super) fn unquoted(token: Token<'_>) -> Result<Cow<'_, str>, Fault> {
    let end = token.text.len().saturating_sub(1);
    let inner = token.text.get(1..end).unwrap_or_default();
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(slash) = rest.find('\\') {
        out.push_str(rest.get(..slash).unwrap_or_default());
        let escape = rest.get(slash + 1..).unwrap_or_default();
        let Some(first) = escape.chars().next() else { break };
        let mut used = first.len_utf8();
        match first {
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'f' => out.push('\u{c}'),
            'u' => match code_unit(escape.get(1..).unwrap_or_default()) {
                None => out.push('u'),
                Some(unit) => {
                    let (found, length) =
                        character(unit, escape).ok_or((CompileFault::LoneSurrogate, token.at))?;
                    out.push(found);
                    used = length;
                }
            },
            other => out.push(other),
        }
        rest = escape.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn code_unit(text: &str) -> Option<u32> {
    let digits = text.get(..4).filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// The character of a `uXXXX` escape, or of two that form a surrogate pair, and the length read.
fn character(unit: u32, escape: &str) -> Option<(char, usize)> {
    if !(0xD800..0xE000).contains(&unit) {
        return char::from_u32(unit).map(|it| (it, 5));
    }
    let low =
        code_unit(escape.get(5..)?.strip_prefix("\\u")?).filter(|low| (0xDC00..0xE000).contains(low))?;
    let high = unit.checked_sub(0xD800).filter(|high| *high < 0x400)?;
    char::from_u32(0x10000 + (high << 10) + (low - 0xDC00)).map(|it| (it, 11))
}
