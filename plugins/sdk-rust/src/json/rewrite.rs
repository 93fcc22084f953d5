//! Edits JSON text in one pass: each part is kept, entered, cut or replaced, and the rest is spliced together.
//!
//! Invariant: cuts are ascending and don't overlap; every byte outside of them is copied as it was.

use std::borrow::Cow;

use super::{MAX_DEPTH, NotJson, Value, end, member, space};

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
/// answers carried out; nothing where no answer changes anything. Where all is cut, the outermost stays, empty.
///
/// # Errors
///
/// [`NotJson`]: nothing can be said about such a text.
pub fn rewrite<'a>(
    text: &'a [u8],
    edit: impl FnMut(&Place<'a>, Value<'a>) -> Edit,
) -> Result<Option<Vec<u8>>, NotJson> {
    // Once for all names.
    let known = std::str::from_utf8(text).map_err(|_| NotJson)?;
    let mut editor = Editor { known, text, cuts: Vec::new(), place: Place::default(), edit };
    let start = space(text, 0);
    let (stop, left) = editor.value(start)?;
    if space(text, stop) != text.len() {
        return Err(NotJson);
    }
    let cuts = if left {
        editor.cuts
    } else {
        // Between the outermost brackets.
        vec![(start + 1, stop - 1, Vec::new())]
    };
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

struct Editor<'a, F> {
    text: &'a [u8],
    /// The same text, known to be UTF-8.
    known: &'a str,
    /// Ascending, apart from one another: from, to, what comes there instead.
    cuts: Vec<(usize, usize, Vec<u8>)>,
    place: Place<'a>,
    edit: F,
}

impl<'a, F: FnMut(&Place<'a>, Value<'a>) -> Edit> Editor<'a, F> {
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
                Step::Name(name.read_in(self.known).ok_or(NotJson)?)
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
            (r#" {"x":1,"a":{"x":2}} "#, " {} "),
            (r#"[{"x":1}]"#, "[]"),
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
}
