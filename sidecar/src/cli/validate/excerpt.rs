//! The piece of a source line around a finding, fit to be shown.
//!
//! Input is hostile until shown otherwise: control characters, which a terminal would obey, and characters that
//! turn the direction of writing are made visible. The work and the size are bounded by the piece, not by the
//! line, which may be the whole of a document.

use std::borrow::Cow;
use std::ops::Range;

use fhir_models::document::Position;

/// Most characters of a source line that are shown.
const WIDTH: usize = 96;
/// Characters shown before the place, where the line is longer than that.
const BEFORE: usize = 32;

/// A piece of a line, and the token in it that the finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// Safe to print. `…` stands at an end that was cut.
    pub text: String,
    /// The token, in bytes of the text; empty where the text ends before it.
    pub marked: Range<usize>,
}

impl Excerpt {
    /// The piece of `source` around this position.
    pub fn of(source: &[u8], position: Position) -> Excerpt {
        let line = line_of(source, position.line);
        let at = forward(line, 0, position.column.saturating_sub(1));
        let whole = forward(line, 0, WIDTH) == line.len();
        let from = if whole { 0 } else { back(line, at, BEFORE) };
        let to = forward(line, from, WIDTH);
        let mut text = String::new();
        if from > 0 {
            text.push('…');
        }
        push(&mut text, line.get(from..at));
        let start = text.len();
        let end = at.saturating_add(token(line.get(at..to).unwrap_or_default()));
        push(&mut text, line.get(at..end));
        let marked = start..text.len();
        push(&mut text, line.get(end..to));
        if to < line.len() {
            text.push('…');
        }
        Excerpt { text, marked }
    }
}

fn push(text: &mut String, bytes: Option<&[u8]>) {
    text.push_str(&visible(&String::from_utf8_lossy(bytes.unwrap_or_default())));
}

/// A text in which nothing commands a terminal or turns the direction of writing.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => shown.push_str("    "),
            '\u{0}'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => shown.push('\u{2421}'),
            c if hidden(c) => shown.push_str(&format!("<U+{:04X}>", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A line of the text, from 1, without its end. CR LF, LF and CR each end one line.
fn line_of(text: &[u8], number: usize) -> &[u8] {
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let mut rest = text;
    for _ in 1..number {
        let Some(at) = rest.iter().position(ends) else { break };
        let pair = rest.get(at) == Some(&b'\r') && rest.get(at + 1) == Some(&b'\n');
        rest = rest.get(at + 1 + usize::from(pair)..).unwrap_or_default();
    }
    let end = rest.iter().position(ends).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

fn begins_character(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// The offset `count` characters after `from`; the end of the line where there are fewer.
fn forward(line: &[u8], from: usize, count: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    let mut starts = rest.iter().enumerate().filter(|(_, byte)| begins_character(**byte));
    starts.nth(count).map_or(line.len(), |(at, _)| from + at)
}

/// The offset `count` characters before `at`; 0 where there are fewer.
fn back(line: &[u8], at: usize, count: usize) -> usize {
    let before = line.get(..at).unwrap_or_default();
    let starts = before.iter().enumerate().rev().filter(|(_, byte)| begins_character(**byte));
    starts.take(count).last().map_or(at, |(start, _)| start)
}

/// Bytes of the string, tag or word that the text begins with.
fn token(text: &[u8]) -> usize {
    let Some(first) = text.first() else { return 0 };
    let word = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_') || *byte >= 0x80
    };
    match first {
        b'"' => {
            let mut escaped = false;
            let closing = text.iter().skip(1).position(|&byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            closing.map_or(text.len(), |inner| inner + 2)
        }
        b'<' => 1 + text.iter().skip(1).take_while(|&byte| word(byte) || matches!(byte, b':' | b'/')).count(),
        byte if word(byte) => text.iter().take_while(|&byte| word(byte)).count(),
        _ => 1,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excerpt(text: &str, line: usize, column: usize) -> (String, String) {
        let excerpt = Excerpt::of(text.as_bytes(), Position { line, column });
        (excerpt.text.clone(), excerpt.text.get(excerpt.marked).unwrap().to_owned())
    }

    #[test]
    fn the_property_name_is_marked() {
        let line = r#"  "gender": "maschio","#;
        assert_eq!(excerpt(line, 1, 3), (line.to_owned(), "\"gender\"".to_owned()));
        assert_eq!(excerpt("<a>\n  <gender value=\"x\"/>", 2, 3).1, "<gender");
        assert_eq!(excerpt(r#"{"a\"b": 1}"#, 1, 2).1, r#""a\"b""#);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let long = format!("{}\"città\":1{}", "x".repeat(500), "y".repeat(500));
        let (text, marked) = excerpt(&long, 1, 501);
        assert!(text.starts_with('…') && text.ends_with('…'));
        assert_eq!(text.chars().count(), WIDTH + 2);
        assert_eq!(marked, "\"città\"");
        let (text, marked) = excerpt(&format!("\"{}\"", "z".repeat(500)), 1, 1);
        assert!(
            !text.starts_with('…') && text.ends_with('…'),
            "a token longer than the piece is cut with it"
        );
        assert_eq!(marked.len(), WIDTH);
    }

    #[test]
    fn lines_end_as_in_windows_too() {
        for (number, line) in ["a", "b", "c", "d"].iter().enumerate() {
            assert_eq!(excerpt("a\r\nb\rc\nd", number + 1, 1).0, *line);
        }
    }

    #[test]
    fn nothing_commands_the_terminal() {
        let (text, marked) = excerpt("{\"\u{1b}[31mrosso\":\t1, \"\u{202e}\u{9b}\": 2}", 1, 2);
        assert_eq!(text, "{\"␛[31mrosso\":    1, \"<U+202E><U+009B>\": 2}");
        assert_eq!(marked, "\"␛[31mrosso\"");
        assert_eq!(visible("Niccolò Dell'Acqua, città"), "Niccolò Dell'Acqua, città");
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_piece_with_a_token_in_it(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'"')], 0..300),
            line in 1usize..6,
            column in 1usize..400,
        ) {
            let excerpt = Excerpt::of(&bytes, Position { line, column });
            prop_assert!(excerpt.text.get(excerpt.marked.clone()).is_some());
            prop_assert!(!excerpt.text.chars().any(char::is_control));
        }
    }
}
