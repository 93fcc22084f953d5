//! Finds the members to cut in one pass over the bytes, without building a tree, and splices the rest together.
//!
//! Invariant: cuts are ascending and don't overlap; every byte outside of them is copied as it was.

/// How deep objects and arrays may nest. FHIR R4 examples stay below 20.
const MAX_DEPTH: u32 = 64;

/// The body is not JSON, or nests deeper than 64 levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// Which kinds of free text stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// `text`, where it is a Narrative.
    pub narrative: bool,
    /// `note`.
    pub note: bool,
    /// `display`.
    pub display: bool,
}

impl Kept {
    /// Reads the array `keep` of the settings, whose shape the manifest's `settings_schema` has checked.
    pub fn from_settings(settings: &str) -> Self {
        let mut scan = Scan::new(settings.as_bytes(), Self::default());
        scan.kept_names().unwrap_or_default()
    }
}

/// The body without its free text, or nothing where there was none to cut.
pub fn free_text(body: &[u8], kept: Kept) -> Result<Option<Vec<u8>>, NotJson> {
    let mut scan = Scan::new(body, kept);
    scan.white_space();
    scan.value(0)?;
    scan.white_space();
    if scan.at != body.len() {
        return Err(NotJson);
    }
    if scan.cuts.is_empty() {
        return Ok(None);
    }
    let mut rest = Vec::with_capacity(body.len());
    let mut from = 0;
    for (start, end) in scan.cuts {
        rest.extend_from_slice(body.get(from..start).ok_or(NotJson)?);
        from = end;
    }
    rest.extend_from_slice(body.get(from..).ok_or(NotJson)?);
    Ok(Some(rest))
}

/// What is left of a value after the cuts inside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Something,
    Nothing,
}

struct Scan<'a> {
    body: &'a [u8],
    at: usize,
    kept: Kept,
    cuts: Vec<(usize, usize)>,
}

impl<'a> Scan<'a> {
    fn new(body: &'a [u8], kept: Kept) -> Self {
        Self { body, at: 0, kept, cuts: Vec::new() }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.take(byte) { Ok(()) } else { Err(NotJson) }
    }

    fn value(&mut self, depth: u32) -> Result<Left, NotJson> {
        match self.peek() {
            Some(b'{') => self.members(depth, b'}'),
            Some(b'[') => self.members(depth, b']'),
            Some(b'"') => self.string().map(|_| Left::Something),
            Some(_) => self.literal().map(|()| Left::Something),
            None => Err(NotJson),
        }
    }

    /// The members of an object or the items of an array, whose last byte is `close`.
    fn members(&mut self, depth: u32, close: u8) -> Result<Left, NotJson> {
        if depth >= MAX_DEPTH {
            return Err(NotJson);
        }
        self.at += 1;
        let inside = self.at;
        self.white_space();
        if self.take(close) {
            return Ok(Left::Something);
        }
        let cuts_before = self.cuts.len();
        let mut left = Left::Nothing;
        // Where this member starts: after the opening bracket, or at the comma before it.
        let mut start = inside;
        loop {
            self.white_space();
            let name = if close == b'}' { Some(self.name()?) } else { None };
            let value = self.at;
            let cuts_inside = self.cuts.len();
            let mut rest = self.value(depth + 1)?;
            if name.is_some_and(|name| self.is_free_text(name, value)) {
                rest = Left::Nothing;
            }
            let end = self.at;
            self.white_space();
            let comma = self.at;
            let last = !self.take(b',');
            if rest == Left::Nothing {
                self.cuts.truncate(cuts_inside);
                // The first member that stays must have no comma before it.
                match (left, last) {
                    (Left::Nothing, false) => self.cuts.push((start, self.at)),
                    _ => self.cuts.push((start, end)),
                }
            } else {
                left = Left::Something;
            }
            if last {
                self.expect(close)?;
                break;
            }
            start = if left == Left::Nothing { self.at } else { comma };
        }
        if left == Left::Nothing {
            self.cuts.truncate(cuts_before);
        }
        Ok(left)
    }

    /// The name of a member, without its quotes, up to the start of its value.
    fn name(&mut self) -> Result<&'a [u8], NotJson> {
        let name = self.string()?;
        self.white_space();
        self.expect(b':')?;
        self.white_space();
        Ok(name)
    }

    fn is_free_text(&self, name: &[u8], value: usize) -> bool {
        // Most names end here: none of the others starts like this, whether plain or escaped.
        if !matches!(name.first(), Some(b't' | b'n' | b'd' | b'_' | b'\\')) {
            return false;
        }
        let first = self.body.get(value).copied();
        if reads(name, b"text") {
            return !self.kept.narrative && first == Some(b'{');
        }
        if reads(name, b"note") {
            return !self.kept.note;
        }
        if reads(name, b"display") || reads(name, b"_display") {
            return !self.kept.display;
        }
        false
    }

    /// What stands between the quotes of a string.
    fn string(&mut self) -> Result<&'a [u8], NotJson> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            let rest = self.body.get(self.at..).ok_or(NotJson)?;
            let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).ok_or(NotJson)?;
            self.at += stop;
            match rest.get(stop) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                _ => return Err(NotJson),
            }
        }
        let text = self.body.get(start..self.at).ok_or(NotJson)?;
        self.at += 1;
        Ok(text)
    }

    /// A number, `true`, `false` or `null`. The gateway has parsed the body: here it is only delimited.
    fn literal(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while let Some(b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(NotJson) } else { Ok(()) }
    }

    fn kept_names(&mut self) -> Result<Kept, NotJson> {
        let mut kept = Kept::default();
        self.white_space();
        self.expect(b'{')?;
        self.white_space();
        while self.peek() == Some(b'"') {
            let name = self.name()?;
            if name == b"keep" {
                self.expect(b'[')?;
                self.white_space();
                while self.peek() == Some(b'"') {
                    match self.string()? {
                        b"text" => kept.narrative = true,
                        b"note" => kept.note = true,
                        b"display" => kept.display = true,
                        _ => return Err(NotJson),
                    }
                    self.white_space();
                    self.take(b',');
                    self.white_space();
                }
                self.expect(b']')?;
            } else {
                self.value(0)?;
            }
            self.white_space();
            self.take(b',');
            self.white_space();
        }
        self.expect(b'}')?;
        Ok(kept)
    }
}

/// Whether the raw text of a JSON string reads `word`, also where escapes write some of its letters.
fn reads(raw: &[u8], word: &[u8]) -> bool {
    if !raw.contains(&b'\\') {
        return raw == word;
    }
    let mut at = 0;
    for letter in word {
        if raw.get(at) == Some(letter) {
            at += 1;
            continue;
        }
        let Some([b'\\', b'u', digits @ ..]) = raw.get(at..at + 6) else {
            return false;
        };
        let code = digits
            .iter()
            .try_fold(0_u32, |code, digit| char::from(*digit).to_digit(16).map(|digit| code * 16 + digit));
        if code != Some(u32::from(*letter)) {
            return false;
        }
        at += 6;
    }
    at == raw.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn stripped(body: &str) -> String {
        let rest = free_text(body.as_bytes(), Kept::default()).unwrap();
        rest.map_or_else(|| body.to_owned(), |rest| String::from_utf8(rest).unwrap())
    }

    #[test]
    fn narratives_go_and_the_text_of_a_concept_stays() {
        assert_eq!(
            stripped(r#"{"text":{"div":"<div/>"},"code":{"text":"Glucose"}}"#),
            r#"{"code":{"text":"Glucose"}}"#
        );
    }

    #[test]
    fn commas_stay_right_wherever_the_cut_is() {
        for (body, expected) in [
            (r#"{"note":[],"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1,"note":[]}"#, r#"{"a":1}"#),
            (r#"{"a":1,"note":[],"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"note":[],"display":"x","a":1,"display":"y","b":2}"#, r#"{"a":1,"b":2}"#),
            ("{\n  \"note\": [],\n  \"a\": 1\n}", "{\n  \"a\": 1\n}"),
            ("{\n  \"a\": 1,\n  \"note\": []\n}", "{\n  \"a\": 1\n}"),
        ] {
            assert_eq!(stripped(body), expected, "{body}");
        }
    }

    #[test]
    fn an_element_that_loses_everything_goes_with_its_array() {
        assert_eq!(stripped(r#"{"a":1,"performer":[{"display":"Dr. Bianchi"}]}"#), r#"{"a":1}"#);
        assert_eq!(
            stripped(
                r#"{"performer":[{"display":"x"},{"reference":"Practitioner/1","display":"y"},{"display":"z"}]}"#
            ),
            r#"{"performer":[{"reference":"Practitioner/1"}]}"#
        );
    }

    #[test]
    fn every_entry_and_contained_resource_of_a_bundle_is_stripped() {
        assert_eq!(
            stripped(
                r#"{"entry":[{"resource":{"id":"1","text":{"div":"x"}}},{"resource":{"id":"2","contained":[{"id":"3","text":{"div":"x"}}]}}]}"#
            ),
            r#"{"entry":[{"resource":{"id":"1"}},{"resource":{"id":"2","contained":[{"id":"3"}]}}]}"#
        );
    }

    #[test]
    fn an_escaped_name_is_the_same_name() {
        assert_eq!(stripped(r#"{"a":1,"te\u0078t":{"div":"x"},"\u006eote":"y"}"#), r#"{"a":1}"#);
        assert_eq!(stripped(r#"{"a":1,"te\nt":{"div":"x"}}"#), r#"{"a":1,"te\nt":{"div":"x"}}"#);
    }

    #[test]
    fn what_stays_is_not_reprinted() {
        let body = r#"{ "v" : 1.500e0 , "s":"a\/b\u00e8" , "note":1 }"#;
        assert_eq!(stripped(body), r#"{ "v" : 1.500e0 , "s":"a\/b\u00e8"  }"#);
    }

    #[test]
    fn broken_text_is_an_error_and_never_a_panic() {
        let body = r#"{"a":[1,{"note":[{"text":"x"}],"b":"\u00e8\""}],"text":{"div":"y"}}"#;
        for end in 0..body.len() {
            assert_eq!(
                free_text(body.get(..end).unwrap().as_bytes(), Kept::default()),
                Err(NotJson),
                "{end}"
            );
        }
        assert_eq!(free_text(b"{} {}", Kept::default()), Err(NotJson));
        assert_eq!(free_text("[".repeat(100_000).as_bytes(), Kept::default()), Err(NotJson));
    }

    #[test]
    fn settings_name_what_stays() {
        assert_eq!(Kept::from_settings("{}"), Kept::default());
        assert_eq!(
            Kept::from_settings(r#"{"other": {"x": 1}, "keep": ["display", "note"]}"#),
            Kept { narrative: false, note: true, display: true }
        );
        let kept = Kept { display: true, ..Kept::default() };
        assert_eq!(free_text(br#"{"code":{"display":"x"}}"#, kept), Ok(None));
    }
}
