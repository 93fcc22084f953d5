//! Writing JSON: a push writer for resources that Varco makes itself.

use std::fmt;
use std::io::Write as _;

use super::scan::{is_plain, next_stop};

/// Writes one JSON value, commas and escapes included.
///
/// Brackets must be closed in order; the writer does not check that, its callers are few and tested. Nothing of it is inlined: what
/// calls it is long and runs once, and is the sooner fetched the shorter it is.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    comma: bool,
}

impl JsonWriter {
    /// An empty writer.
    pub fn new() -> JsonWriter {
        JsonWriter::default()
    }

    /// An empty writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> JsonWriter {
        JsonWriter { out: Vec::with_capacity(bytes), comma: false }
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Begins an object, here an item or the value of the last key.
    pub fn begin_object(&mut self) -> &mut Self {
        self.begin(b'{')
    }

    /// Ends an object.
    pub fn end_object(&mut self) -> &mut Self {
        self.end(b'}')
    }

    /// Begins an array.
    pub fn begin_array(&mut self) -> &mut Self {
        self.begin(b'[')
    }

    /// Ends an array.
    pub fn end_array(&mut self) -> &mut Self {
        self.end(b']')
    }

    /// A property name of the program's own, without a character to escape: those are not looked for.
    #[inline(never)]
    pub fn key(&mut self, key: &'static str) -> &mut Self {
        debug_assert!(is_plain(key.as_bytes()), "{key:?} has to be escaped");
        self.out.reserve(key.len() + 4);
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    /// A property name that comes from elsewhere.
    pub fn key_of(&mut self, key: &str) -> &mut Self {
        self.separate();
        self.quote(key);
        self.out.push(b':');
        self.comma = false;
        self
    }

    /// A string.
    #[inline(never)]
    pub fn string(&mut self, text: &str) -> &mut Self {
        self.separate();
        self.quote(text);
        self
    }

    /// A value that is JSON already: copied as it is.
    #[inline(never)]
    pub fn raw(&mut self, json: &[u8]) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(json);
        self
    }

    /// The same, of pieces that follow each other.
    #[inline(never)]
    pub fn raw_pieces(&mut self, pieces: &[&str]) -> &mut Self {
        self.separate();
        pieces.iter().for_each(|piece| self.out.extend_from_slice(piece.as_bytes()));
        self
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.raw(if value { b"true" } else { b"false" })
    }

    /// A whole number.
    pub fn integer(&mut self, value: i64) -> &mut Self {
        self.separate();
        // Writing to memory can't fail.
        let _ = write!(self.out, "{value}");
        self
    }

    /// A string, as the value is shown to people.
    pub fn shown(&mut self, value: impl fmt::Display) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        let _ = fmt::Write::write_fmt(&mut Quoted(&mut self.out), format_args!("{value}"));
        self.out.push(b'"');
        self
    }

    /// A property with a string value.
    #[inline(never)]
    pub fn member(&mut self, key: &'static str, text: &str) -> &mut Self {
        self.key(key).string(text)
    }

    /// A property with a string value, or nothing.
    pub fn optional(&mut self, key: &'static str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.member(key, text),
            None => self,
        }
    }

    #[inline(never)]
    fn begin(&mut self, bracket: u8) -> &mut Self {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
        self
    }

    #[inline(never)]
    fn end(&mut self, bracket: u8) -> &mut Self {
        self.out.push(bracket);
        self.comma = true;
        self
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    fn quote(&mut self, text: &str) {
        quote(&mut self.out, text);
    }
}

/// Writes a text as a JSON string, quotes included.
pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    quoted(out, text);
    out.push(b'"');
}

/// What stands between the quotes.
fn quoted(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if is_plain(bytes) { out.extend_from_slice(bytes) } else { escape(out, bytes) }
}

/// Escapes what is written piece by piece.
struct Quoted<'o>(&'o mut Vec<u8>);

impl fmt::Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        quoted(self.0, text);
        Ok(())
    }
}

#[inline(never)]
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut copied = 0;
    loop {
        let at = next_stop(bytes, copied);
        out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
        match bytes.get(at) {
            None => break,
            Some(b'"') => out.extend_from_slice(b"\\\""),
            Some(b'\\') => out.extend_from_slice(b"\\\\"),
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(b'\t') => out.extend_from_slice(b"\\t"),
            Some(control) => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        copied = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_escapes_come_out_right() {
        let mut json = JsonWriter::new();
        json.begin_object().member("a", "tab\t \"q\" \\ \u{1} è").key("list").begin_array();
        json.integer(-3).boolean(true).begin_object().end_object().raw(b"1.50").end_array();
        json.optional("none", None).optional("some", Some("x"));
        json.key("shown").shown(format_args!("{:?} {}", "a\tb", 7)).end_object();
        let text = String::from_utf8(json.into_bytes()).unwrap_or_default();
        assert_eq!(
            text,
            r#"{"a":"tab\t \"q\" \\ \u0001 è","list":[-3,true,{},1.50],"some":"x","shown":"\"a\\tb\" 7"}"#
        );
    }
}
