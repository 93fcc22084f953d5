//! Reads and edits JSON without parsing it into a tree and without printing it again.
//!
//! What isn't edited keeps its bytes: FHIR decimals are text (`1.50` is not `1.5`), and the order of members and white
//! space stay. Everything here is bounded: 64 levels, no recursion over values that are only skipped.
//!
//! ```
//! use varco_plugin::json::{Edit, rewrite};
//!
//! let patient = br#"{"resourceType":"Patient","name":[{"family":"Rossi"}],"multipleBirthInteger":2}"#;
//! let without = rewrite(patient, |place, _value| if place.is("name") { Edit::Cut } else { Edit::Keep });
//! assert_eq!(without.unwrap().unwrap(), br#"{"resourceType":"Patient","multipleBirthInteger":2}"#);
//! ```

use std::borrow::Cow;

/// How deep objects and arrays may nest. FHIR R4 examples stay below 20.
const MAX_DEPTH: usize = 64;

/// The bytes are not one JSON value, or nest deeper than 64 levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// What to do with a member of an object or an item of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Leave it as it is, with all that is inside.
    Keep,
    /// Ask about each member or item inside. A string, number or literal is left as it is.
    Enter,
    /// Take it out. An object or array that loses its last part goes too: FHIR JSON (R4 2.1.6.1) has no empty ones.
    Cut,
    /// Put this JSON text in its place.
    Replace(Vec<u8>),
}

/// A value inside JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Value<'a> {
    /// The value that `text` holds. Only its beginning is looked at.
    ///
    /// # Errors
    ///
    /// [`NotJson`] where there is nothing but white space.
    pub fn new(text: &'a [u8]) -> Result<Self, NotJson> {
        let at = space(text, 0);
        if at < text.len() { Ok(Self { text, at }) } else { Err(NotJson) }
    }

    fn first(self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.first() == Some(b'{')
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.first() == Some(b'[')
    }

    /// Whether it is a string.
    pub fn is_string(self) -> bool {
        self.first() == Some(b'"')
    }

    /// Its bytes, as they stand.
    pub fn bytes(self) -> Option<&'a [u8]> {
        self.text.get(self.at..end(self.text, self.at).ok()?)
    }

    /// What a string says, without quotes and escapes.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let stop = string_end(self.text, self.at).ok()?;
        unescape(self.text.get(self.at.checked_add(1)?..stop.checked_sub(1)?)?)
    }

    /// The member of this name; of two, the first.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let mut found = None;
        if self.is_object() {
            let _ = parts(self.text, self.at, |own, at| {
                if own.is_some_and(|own| own == name) {
                    found = Some(Value { text: self.text, at });
                }
                found.is_none()
            });
        }
        found
    }

    /// The string that the member of this name is.
    pub fn str(self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.as_str()
    }

    /// The members of an object, up to where it is no JSON; nothing for another value.
    pub fn members(self) -> Vec<(Cow<'a, str>, Value<'a>)> {
        let mut found = Vec::new();
        if self.is_object() {
            // What is broken ends the list.
            let _ = parts(self.text, self.at, |name, at| {
                found.push((name.unwrap_or_default(), Value { text: self.text, at }));
                true
            });
        }
        found
    }

    /// The items of an array, up to where it is no JSON; nothing for another value.
    pub fn items(self) -> Vec<Value<'a>> {
        let mut found = Vec::new();
        if self.is_array() {
            let _ = parts(self.text, self.at, |_, at| {
                found.push(Value { text: self.text, at });
                true
            });
        }
        found
    }
}

/// One step from the root to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// The member of this name.
    Name(Cow<'a, str>),
    /// The item of this number, from 0.
    Item(usize),
}

/// Where a value stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Place<'a> {
    /// The steps from the root.
    pub fn steps(&self) -> &[Step<'a>] {
        &self.steps
    }

    /// The name of the member: for an item, of the one that holds its array. Empty at the root.
    pub fn name(&self) -> &str {
        self.names().next_back().unwrap_or_default()
    }

    /// The names from the root, without the places in arrays.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            Step::Name(name) => Some(&**name),
            Step::Item(_) => None,
        })
    }

    /// Whether the names from the root are those of `path`, which separates them by dots and leaves places in arrays out:
    /// `contact.name` is the name of each contact.
    pub fn is(&self, path: &str) -> bool {
        self.names().eq(path.split('.'))
    }

    /// The place as `component[1].code.coding`, which is how an [`crate::Addition`] names it.
    pub fn path(&self) -> String {
        self.steps.iter().enumerate().fold(String::new(), |path, (number, step)| match step {
            Step::Name(name) if number == 0 => name.to_string(),
            Step::Name(name) => path + "." + name,
            Step::Item(item) => path + "[" + &item.to_string() + "]",
        })
    }
}

/// Asks `edit` about each member of the outermost object (or item of the outermost array), and gives the text with its
/// answers carried out; nothing where no answer changes anything.
///
/// # Errors
///
/// [`NotJson`]: nothing can be said about such a text.
pub fn rewrite<'a>(
    text: &'a [u8],
    mut edit: impl FnMut(&Place<'a>, Value<'a>) -> Edit,
) -> Result<Option<Vec<u8>>, NotJson> {
    let mut editor = Editor { text, cuts: Vec::new(), place: Place::default(), edit: &mut edit };
    let start = space(text, 0);
    let (stop, _) = editor.value(start)?;
    if space(text, stop) != text.len() {
        return Err(NotJson);
    }
    let cuts = editor.cuts;
    if cuts.is_empty() {
        return Ok(None);
    }
    let mut rest = Vec::with_capacity(text.len());
    let mut from = 0;
    for (start, stop, put) in cuts {
        rest.extend_from_slice(text.get(from..start).ok_or(NotJson)?);
        rest.extend_from_slice(&put);
        from = stop;
    }
    rest.extend_from_slice(text.get(from..).ok_or(NotJson)?);
    Ok(Some(rest))
}

/// A string as JSON text, with quotes.
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{0}'..='\u{1f}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes())
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
    out
}

struct Editor<'a, 'e> {
    text: &'a [u8],
    /// Ascending, apart from one another: from, to, what comes there instead.
    cuts: Vec<(usize, usize, Vec<u8>)>,
    place: Place<'a>,
    edit: &'e mut dyn FnMut(&Place<'a>, Value<'a>) -> Edit,
}

impl<'a> Editor<'a, '_> {
    /// Walks the value at `at`. Gives where it ends and whether anything of it is left.
    fn value(&mut self, at: usize) -> Result<(usize, bool), NotJson> {
        match self.text.get(at) {
            Some(b'{' | b'[') => self.parts(at),
            Some(_) => Ok((end(self.text, at)?, true)),
            None => Err(NotJson),
        }
    }

    fn parts(&mut self, open: usize) -> Result<(usize, bool), NotJson> {
        if self.place.steps.len() >= MAX_DEPTH {
            return Err(NotJson);
        }
        let is_object = self.text.get(open) == Some(&b'{');
        let close = if is_object { b'}' } else { b']' };
        let mut at = space(self.text, open + 1);
        if self.text.get(at) == Some(&close) {
            return Ok((at + 1, true));
        }
        let cuts_before = self.cuts.len();
        // Where the part would be cut from: the comma before it once something is left, else the part's own start.
        let mut from = open + 1;
        let mut left = false;
        let mut number = 0_usize;
        loop {
            let step = if is_object {
                let (name, value) = member(self.text, at)?;
                at = value;
                Step::Name(name)
            } else {
                Step::Item(number)
            };
            let cuts_inside = self.cuts.len();
            self.place.steps.push(step);
            let (stop, stays) = self.part(at)?;
            self.place.steps.pop();
            let comma = space(self.text, stop);
            let more = match self.text.get(comma) {
                Some(b',') => true,
                Some(byte) if *byte == close => false,
                _ => return Err(NotJson),
            };
            if stays {
                left = true;
            } else {
                self.cuts.truncate(cuts_inside);
                let to = if more && !left { comma + 1 } else { stop };
                self.cuts.push((from, to, Vec::new()));
            }
            if !more {
                if !left {
                    self.cuts.truncate(cuts_before);
                }
                return Ok((comma + 1, left));
            }
            from = if left { comma } else { comma + 1 };
            at = space(self.text, comma + 1);
            number += 1;
        }
    }

    fn part(&mut self, at: usize) -> Result<(usize, bool), NotJson> {
        let value = Value { text: self.text, at };
        match (self.edit)(&self.place, value) {
            Edit::Keep => Ok((end(self.text, at)?, true)),
            Edit::Enter => self.value(at),
            Edit::Cut => Ok((end(self.text, at)?, false)),
            Edit::Replace(put) => {
                let stop = end(self.text, at)?;
                self.cuts.push((at, stop, put));
                Ok((stop, true))
            }
        }
    }
}

/// Calls `found` with the name, in an object, and the start of each part, for as long as it answers true.
fn parts<'a>(
    text: &'a [u8],
    open: usize,
    mut found: impl FnMut(Option<Cow<'a, str>>, usize) -> bool,
) -> Result<(), NotJson> {
    let is_object = text.get(open) == Some(&b'{');
    let close = if is_object { b'}' } else { b']' };
    let mut at = space(text, open + 1);
    if text.get(at) == Some(&close) {
        return Ok(());
    }
    loop {
        let name = if is_object {
            let (name, value) = member(text, at)?;
            at = value;
            Some(name)
        } else {
            None
        };
        if !found(name, at) {
            return Ok(());
        }
        let comma = space(text, end(text, at)?);
        match text.get(comma) {
            Some(b',') => at = space(text, comma + 1),
            Some(byte) if *byte == close => return Ok(()),
            _ => return Err(NotJson),
        }
    }
}

/// The name of the member at `at`, and where its value starts.
fn member(text: &[u8], at: usize) -> Result<(Cow<'_, str>, usize), NotJson> {
    let stop = string_end(text, at)?;
    let name = unescape(text.get(at + 1..stop - 1).ok_or(NotJson)?).ok_or(NotJson)?;
    let colon = space(text, stop);
    if text.get(colon) != Some(&b':') {
        return Err(NotJson);
    }
    Ok((name, space(text, colon + 1)))
}

fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Where the value at `at` ends. Brackets must fit; what stands between them is for the gateway's parser to judge.
fn end(text: &[u8], at: usize) -> Result<usize, NotJson> {
    let mut open = [0_u8; MAX_DEPTH];
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match *text.get(at).ok_or(NotJson)? {
            b'"' => at = string_end(text, at)?,
            bracket @ (b'{' | b'[') => {
                *open.get_mut(depth).ok_or(NotJson)? = if bracket == b'{' { b'}' } else { b']' };
                depth += 1;
                at += 1;
            }
            bracket @ (b'}' | b']') => {
                depth = depth.checked_sub(1).ok_or(NotJson)?;
                if open.get(depth) != Some(&bracket) {
                    return Err(NotJson);
                }
                at += 1;
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' if depth > 0 => at += 1,
            b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E' => {
                while let Some(b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E') = text.get(at) {
                    at += 1;
                }
            }
            _ => return Err(NotJson),
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}

/// The byte after the closing quote of the string at `at`.
fn string_end(text: &[u8], at: usize) -> Result<usize, NotJson> {
    if text.get(at) != Some(&b'"') {
        return Err(NotJson);
    }
    let mut at = at + 1;
    loop {
        let rest = text.get(at..).ok_or(NotJson)?;
        let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).ok_or(NotJson)?;
        match rest.get(stop) {
            Some(b'"') => return Ok(at + stop + 1),
            Some(b'\\') => at += stop + 2,
            _ => return Err(NotJson),
        }
    }
}

/// The text between the quotes of a string. None where it isn't UTF-8 or an escape is wrong; half a surrogate pair
/// becomes U+FFFD.
fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    let raw = std::str::from_utf8(raw).ok()?;
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = after.chars();
        match characters.next()? {
            'u' => {
                let (unit, tail) = unit(characters.as_str())?;
                rest = tail;
                let low = rest.strip_prefix("\\u").and_then(unit_of_pair);
                match (char::from_u32(unit.into()), low) {
                    (Some(character), _) => out.push(character),
                    (None, Some((low, tail))) if (0xd800..0xdc00).contains(&unit) => {
                        let high = (u32::from(unit) - 0xd800) << 10;
                        out.push(char::from_u32(0x10000 + high + (u32::from(low) - 0xdc00))?);
                        rest = tail;
                    }
                    _ => out.push('\u{fffd}'),
                }
                continue;
            }
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            plain @ ('"' | '\\' | '/') => out.push(plain),
            _ => return None,
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u16::from_str_radix(digits, 16).ok()?, text.get(4..)?))
}

fn unit_of_pair(text: &str) -> Option<(u16, &str)> {
    unit(text).filter(|(unit, _)| (0xdc00..0xe000).contains(unit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn without(text: &str, names: &[&str]) -> String {
        let cut = |place: &Place<'_>, _: Value<'_>| {
            if names.contains(&place.name()) { Edit::Cut } else { Edit::Enter }
        };
        let cut = rewrite(text.as_bytes(), cut).unwrap();
        cut.map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_not_cut_keeps_its_bytes() {
        for (before, after) in [
            (r#"{"a":1.50,"x":2,"b":3}"#, r#"{"a":1.50,"b":3}"#),
            (r#"{"x":1, "a": 2}"#, r#"{ "a": 2}"#),
            (r#"{"a":1,"x":2}"#, r#"{"a":1}"#),
            (r#"{"x":1,"x":2,"a":3}"#, r#"{"a":3}"#),
            (r#"{"a":1,"x":[1,2],"x":{"a":1},"b":2,"x":0}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":[{"x":1},{"b":2}]}"#, r#"{"a":[{"b":2}]}"#),
            (r#"{"c":{"x":1},"a":{"b":{"x":{}}},"d":1}"#, r#"{"d":1}"#),
            (r#"{"a":{},"b":[]}"#, r#"{"a":{},"b":[]}"#),
            (r#" {"a":"}\"{","x":"\\"} "#, r#" {"a":"}\"{"} "#),
        ] {
            assert_eq!(without(before, &["x"]), after, "{before}");
        }
    }

    #[test]
    fn a_replacement_inside_of_what_is_cut_goes_with_it() {
        let text = br#"{"a":{"b":1,"c":2},"d":3}"#;
        let edited = rewrite(text, |place, _| match place.name() {
            "b" => Edit::Replace(b"9".to_vec()),
            "c" => Edit::Cut,
            _ => Edit::Enter,
        });
        assert_eq!(edited.unwrap().unwrap(), br#"{"a":{"b":9},"d":3}"#);
    }

    #[test]
    fn a_place_has_names_and_a_path() {
        let mut seen = Vec::new();
        let text = br#"{"component":[{"c":1},{"code":{"coding":[{}]}}]}"#;
        let _ = rewrite(text, |place, _| {
            if place.is("component.code.coding") {
                seen.push(place.path());
            }
            Edit::Enter
        });
        assert_eq!(seen, ["component[1].code.coding", "component[1].code.coding[0]"]);
    }

    #[test]
    fn broken_text_is_refused_and_never_a_panic() {
        let deep = "[".repeat(100_000);
        let nested = format!("{}1{}", "[".repeat(70), "]".repeat(70));
        for text in [
            "",
            " ",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1}}",
            "[1 2",
            "{]",
            "\"",
            "\"\\",
            "{\"a\\q\":1}",
            "{a:1}",
            "[}",
            &deep,
            &nested,
        ] {
            assert_eq!(rewrite(text.as_bytes(), |_, _| Edit::Enter), Err(NotJson), "{}", text.len());
        }
    }

    #[test]
    fn strings_are_read_with_their_escapes() {
        for (raw, text) in [
            (r#""a\u0041\n\"""#, "aA\n\""),
            (r#""\ud83d\ude00x""#, "\u{1f600}x"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ude00""#, "\u{fffd}"),
        ] {
            assert_eq!(Value::new(raw.as_bytes()).unwrap().as_str().unwrap(), text, "{raw}");
        }
        for raw in [r#""\u00g1""#, r#""\u+123""#, r#""\x""#, "\"", "1", "\"\u{1}\""] {
            assert_eq!(Value::new(raw.as_bytes()).unwrap().as_str(), None, "{raw}");
        }
        let text = "\"\\\u{0}\u{1f600}é";
        assert_eq!(Value::new(&quote(text)).unwrap().as_str().unwrap(), text);
    }

    #[test]
    fn members_are_found_by_name() {
        let value = Value::new(br#" {"a":[1,{"b":"c"}],"b":"d"} "#).unwrap();
        assert_eq!(value.str("b").unwrap(), "d");
        assert_eq!(value.get("a").unwrap().items()[1].str("b").unwrap(), "c");
        assert_eq!(value.get("a").unwrap().items()[1].bytes().unwrap(), br#"{"b":"c"}"#);
        assert!(value.get("c").is_none() && value.items().is_empty());
    }
}
