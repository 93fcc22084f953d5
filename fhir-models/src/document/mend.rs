//! Mending JSON that breaks the grammar, so that a validator can judge the rest.
//!
//! What cannot be misunderstood is mended and noted: a name that stands twice (the first counts), commas too
//! many or too few, comments, single quotes, control characters and escapes in strings, numbers that are
//! none (they stay as strings), text after the end. Invariant: what is mended is JSON by RFC 8259, and every
//! difference from the source is noted. Brackets that do not match and a text that ends too early are beyond
//! mending. One pass without recursion.

use std::collections::HashSet;

use super::form::Tolerance;
use super::json::is_number;
use super::scan::{next_stop, skip_space};
use super::text::{check_escape, unescape};
use super::write::quote;
use super::xml::SourceMap;
use super::{Format, Limits, SyntaxErrorKind as Why};

type Fault = (Why, usize);

/// Writes the mended text to `json`, and to `map` what came from where and what was wrong; `None` where
/// that can't be done, or would leave nothing: what is no object is no resource.
pub(super) fn mend(bytes: &[u8], limits: &Limits, json: &mut Vec<u8>, map: &mut SourceMap) -> Option<()> {
    let mut tolerance = Tolerance::some();
    let text = String::from_utf8_lossy(bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        tolerance.note((Why::NotUtf8, error.valid_up_to())).ok()?;
    }
    if text.len() >= u32::MAX as usize / 8 {
        return None;
    }
    json.clear();
    map.begin(Format::Json, &text);
    let mut mender =
        Mender { bytes: text.as_bytes(), text: &text, at: 0, depth: limits.depth, json, map, tolerance };
    mender.document().ok()?;
    let faults = mender.tolerance.into_faults();
    map.tolerate(faults);
    Some(())
}

struct Mender<'t> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
    depth: usize,
    json: &'t mut Vec<u8>,
    map: &'t mut SourceMap,
    tolerance: Tolerance,
}

/// An object or array whose end has not been met.
#[derive(Default)]
struct Open {
    /// The names met, for an object.
    names: Option<HashSet<Box<str>>>,
    filled: bool,
    /// Where the last member begins in the mended text, its comma included.
    member: usize,
    /// The last member's name stood there before: it is to be left out.
    repeated: bool,
}

impl<'t> Mender<'t> {
    fn document(&mut self) -> Result<(), Fault> {
        if self.text.starts_with('\u{FEFF}') {
            self.note(Why::ByteOrderMark)?;
            self.at = '\u{FEFF}'.len_utf8();
        }
        self.skip()?;
        if self.peek() != Some(b'{') {
            return Err((Why::ExpectedValue, self.at));
        }
        let mut open: Vec<Open> = Vec::new();
        loop {
            // A value, or the end of what holds none.
            self.skip()?;
            match self.peek() {
                Some(byte @ (b'{' | b'[')) => {
                    if open.len() >= self.depth {
                        return Err((Why::TooDeep(self.depth), self.at));
                    }
                    self.begin_value(&mut open);
                    self.json.push(byte);
                    self.at += 1;
                    let names = (byte == b'{').then(HashSet::new);
                    open.push(Open { names, ..Open::default() });
                    if self.next_member(&mut open, false)? {
                        continue;
                    }
                }
                Some(b',' | b']' | b'}') if !open.is_empty() => self.absent(&mut open)?,
                _ => {
                    self.begin_value(&mut open);
                    self.scalar()?;
                }
            }
            loop {
                let Some(last) = open.last_mut() else { return self.rest() };
                if std::mem::take(&mut last.repeated) {
                    last.filled = self.json.get(last.member) == Some(&b',');
                    let member = last.member;
                    self.json.truncate(member);
                    self.map.unmark(member);
                    self.tolerance.cut(member);
                }
                if self.next_member(&mut open, true)? {
                    break;
                }
            }
        }
    }

    /// What follows the root: nothing.
    fn rest(&mut self) -> Result<(), Fault> {
        self.skip()?;
        if self.at < self.bytes.len() {
            self.note(Why::TrailingText)?;
        }
        Ok(())
    }

    /// The comma before an item, and a mark.
    fn begin_value(&mut self, open: &mut [Open]) {
        if let Some(array) = open.last_mut().filter(|it| it.names.is_none()) {
            array.member = self.json.len();
            if std::mem::replace(&mut array.filled, true) {
                self.json.push(b',');
            }
        }
        self.map.mark(self.json.len(), self.at as u32);
    }

    /// Nothing stands where a value must: the member is left out.
    fn absent(&mut self, open: &mut [Open]) -> Result<(), Fault> {
        self.note(Why::ExpectedValue)?;
        if let Some(object) = open.last_mut().filter(|it| it.names.is_some()) {
            object.repeated = true;
        }
        Ok(())
    }

    /// Goes on to the next value of the innermost container, past commas and a name; `filled`: a member stands
    /// before. False where the container ends; it is closed then, and the one around it is the innermost.
    fn next_member(&mut self, open: &mut Vec<Open>, filled: bool) -> Result<bool, Fault> {
        let Some(last) = open.last() else { return Ok(false) };
        let is_object = last.names.is_some();
        let end = if is_object { b'}' } else { b']' };
        self.skip()?;
        let mut commas = 0;
        while self.peek() == Some(b',') {
            if commas > 0 || !filled {
                self.note(if is_object { Why::ExpectedName } else { Why::ExpectedValue })?;
            }
            commas += 1;
            self.at += 1;
            self.skip()?;
        }
        match self.peek() {
            None => Err((Why::UnexpectedEnd, self.at)),
            Some(byte) if byte == end => {
                if commas > 0 && filled {
                    self.note(Why::TrailingComma)?;
                }
                self.at += 1;
                self.json.push(end);
                open.pop();
                Ok(false)
            }
            Some(b'}' | b']' | b':') => Err((Why::ExpectedCommaOrEnd, self.at)),
            Some(_) => {
                if commas == 0 && filled {
                    self.note(Why::ExpectedCommaOrEnd)?;
                }
                match open.last_mut() {
                    Some(object) if is_object => self.name(object)?,
                    _ => {}
                }
                Ok(true)
            }
        }
    }

    /// A name and its colon.
    fn name(&mut self, object: &mut Open) -> Result<(), Fault> {
        object.member = self.json.len();
        if std::mem::replace(&mut object.filled, true) {
            self.json.push(b',');
        }
        let (start, source) = (self.json.len(), self.at);
        self.map.mark(start, source as u32);
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'\'') => {
                self.note(Why::ExpectedName)?;
                self.single_quoted()?;
            }
            _ => {
                self.note(Why::ExpectedName)?;
                let word = self.word()?;
                quote(self.json, word);
            }
        }
        let written = self.json.get(start + 1..self.json.len() - 1).unwrap_or_default();
        let written = unescape(std::str::from_utf8(written).unwrap_or_default());
        let new = object.names.as_mut().is_none_or(|names| names.insert(written.into_owned().into()));
        if !new {
            self.tolerance.note_near((Why::DuplicateName, source), object.member)?;
            object.repeated = true;
        }
        self.skip()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            None => return Err((Why::UnexpectedEnd, self.at)),
            Some(_) => self.note(Why::ExpectedColon)?,
        }
        self.json.push(b':');
        Ok(())
    }

    /// A string, number or word.
    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Err((Why::UnexpectedEnd, self.at)),
            Some(b'"') => self.string(),
            Some(b'\'') => {
                self.note(Why::ExpectedValue)?;
                self.single_quoted()
            }
            Some(byte) => {
                let start = self.at;
                let word = self.word()?;
                if matches!(word, "true" | "false" | "null") || is_number(word) {
                    self.json.extend_from_slice(word.as_bytes());
                    return Ok(());
                }
                let numeric = byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
                let kind = if numeric { Why::BadNumber } else { Why::ExpectedValue };
                self.tolerance.note_near((kind, start), self.json.len())?;
                quote(self.json, word);
                Ok(())
            }
        }
    }

    /// Letters, digits and what numbers hold; never empty.
    fn word(&mut self) -> Result<&'t str, Fault> {
        let start = self.at;
        let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-._$".contains(byte) || **byte >= 0x80;
        let length = self.bytes.get(start..).unwrap_or_default().iter().take_while(belongs).count();
        if length == 0 {
            return Err((Why::ExpectedValue, start));
        }
        self.at += length;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// A string in double quotes.
    fn string(&mut self) -> Result<(), Fault> {
        self.json.push(b'"');
        self.at += 1;
        loop {
            let plain = self.at;
            self.at = next_stop(self.bytes, plain);
            self.json.extend_from_slice(self.bytes.get(plain..self.at).unwrap_or_default());
            match self.peek() {
                None => return Err((Why::UnexpectedEnd, self.at)),
                Some(b'"') => {
                    self.json.push(b'"');
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(control) => {
                    self.note(Why::ControlCharacter)?;
                    self.json.extend_from_slice(format!("\\u{control:04x}").as_bytes());
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let start = self.at;
        match check_escape(self.bytes, start) {
            Ok(end) => {
                self.json.extend_from_slice(self.bytes.get(start..end).unwrap_or_default());
                self.at = end;
            }
            Err((Why::LoneSurrogate, _)) => {
                self.note(Why::LoneSurrogate)?;
                self.json.extend_from_slice(b"\\ufffd");
                self.at += "\\uD800".len();
            }
            Err((Why::BadEscape, _)) => {
                self.note(Why::BadEscape)?;
                self.json.extend_from_slice(b"\\\\");
                self.at += 1;
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// A string in single quotes, without escapes.
    fn single_quoted(&mut self) -> Result<(), Fault> {
        let start = self.at + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.find(['\'', '\n', '\\']).ok_or((Why::UnexpectedEnd, self.bytes.len()))?;
        self.at = start + length;
        if self.peek() != Some(b'\'') {
            return Err((Why::ExpectedValue, self.at));
        }
        self.at += 1;
        quote(self.json, rest.get(..length).unwrap_or_default());
        Ok(())
    }

    /// Passes over white space and comments.
    fn skip(&mut self) -> Result<(), Fault> {
        loop {
            self.at = skip_space(self.bytes, self.at);
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").ok_or((Why::UnexpectedEnd, self.bytes.len()))? + 2
            } else {
                return Ok(());
            };
            self.note(Why::Comment)?;
            self.at += length;
        }
    }

    fn note(&mut self, kind: Why) -> Result<(), Fault> {
        self.tolerance.note_near((kind, self.at), self.json.len())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}
