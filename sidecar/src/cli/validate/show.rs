//! An issue as a person reads it: what is wrong, where, the line itself and a caret under the place.

use varco_core::outcome::{Issue, IssueSeverity};

use super::input::Record;

/// Most characters of a source line that are shown.
const WIDTH: usize = 96;
/// Characters shown before the place, where the line is longer than that.
const BEFORE: usize = 32;

const BOLD: &str = "\u{1b}[1m";
const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const BLUE: &str = "\u{1b}[1;34m";
const PLAIN: &str = "\u{1b}[0m";

/// Writes issues as text.
#[derive(Debug)]
pub(super) struct Renderer {
    colours: bool,
}

impl Renderer {
    pub fn new(colours: bool) -> Renderer {
        Renderer { colours }
    }

    /// The text of an issue of `record`, which stands in the input `name`.
    pub fn issue(&self, issue: &Issue, name: &str, record: &Record<'_>) -> String {
        let colour = match issue.severity {
            IssueSeverity::Fatal | IssueSeverity::Error => RED,
            IssueSeverity::Warning => YELLOW,
            IssueSeverity::Information => BLUE,
        };
        let severity = match issue.severity {
            IssueSeverity::Information => "note",
            other => other.code(),
        };
        let rule = issue.rule.map(|rule| format!("[{rule}]")).unwrap_or_default();
        let head = self.paint(colour, &format!("{severity}{rule}"));
        let mut text = format!("{head}: {}\n", self.paint(BOLD, &issue.message));
        let place = issue.position.map_or_else(String::new, |position| {
            format!(":{}:{}", position.line + record.line, position.column)
        });
        let element = issue
            .expression
            .as_ref()
            .or(issue.location.as_ref())
            .map(|it| format!(" at {it}"))
            .unwrap_or_default();
        let number = issue.position.map(|it| (it.line + record.line).to_string()).unwrap_or_default();
        let margin = " ".repeat(number.len());
        text += &format!("{margin}{} {name}{place}{element}\n", self.paint(BLUE, "-->"));
        if let Some(position) = issue.position {
            let (line, caret) = excerpt(&line_of(record.text, position.line), position.column);
            let bar = self.paint(BLUE, "|");
            text += &format!("{} {bar} {line}\n", self.paint(BLUE, &number));
            text += &format!("{margin} {bar} {}\n", self.paint(colour, &caret));
        }
        text
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{PLAIN}") } else { text.to_owned() }
    }
}

/// A line of the text, from 1. CR LF, LF and CR each end one line.
fn line_of(text: &[u8], number: usize) -> String {
    let mut rest = text;
    for _ in 1..number {
        let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { break };
        let pair = rest.get(at) == Some(&b'\r') && rest.get(at + 1) == Some(&b'\n');
        rest = rest.get(at + 1 + usize::from(pair)..).unwrap_or_default();
    }
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
    String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned()
}

/// The part of a line around a column (from 1), and carets under the token that begins there.
fn excerpt(line: &str, column: usize) -> (String, String) {
    let at = column.saturating_sub(1);
    let total = line.chars().count();
    let start = if total > WIDTH { at.saturating_sub(BEFORE) } else { 0 };
    let shown: String =
        line.chars().skip(start).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let token = token_length(line, at).min((start + WIDTH).saturating_sub(at)).max(1);
    let lead = if start > 0 { "…" } else { "" };
    let tail = if total > start + WIDTH { "…" } else { "" };
    let indent = " ".repeat(at - start + lead.chars().count());
    (format!("{lead}{shown}{tail}"), format!("{indent}{}", "^".repeat(token)))
}

/// Characters of the string or word that begins at character `at`.
fn token_length(line: &str, at: usize) -> usize {
    let mut rest = line.chars().skip(at);
    match rest.next() {
        Some('"') => {
            let mut escaped = false;
            let inner = rest
                .take_while(|&c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    !ends
                })
                .count();
            inner + 2
        }
        Some(c) if c.is_alphanumeric() || c == '-' => {
            1 + rest.take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '+')).count()
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_name() {
        let (line, caret) = excerpt(r#"  "gender": "maschio","#, 3);
        assert_eq!(line, r#"  "gender": "maschio","#);
        assert_eq!(caret, "  ^^^^^^^^");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let long = format!("{}\"città\":1{}", "x".repeat(500), "y".repeat(500));
        let (line, caret) = excerpt(&long, 501);
        assert!(line.starts_with('…') && line.ends_with('…'));
        assert_eq!(caret.trim_start(), "^^^^^^^");
        let under = line.chars().skip(caret.len() - 7).take(7).collect::<String>();
        assert_eq!(under, "\"città\"");
    }

    #[test]
    fn lines_end_as_in_windows_too() {
        assert_eq!(line_of(b"a\r\nb\rc\nd", 2), "b");
        assert_eq!(line_of(b"a\r\nb\rc\nd", 3), "c");
        assert_eq!(line_of(b"a\r\nb\rc\nd", 4), "d");
        assert_eq!(line_of(b"a", 9), "a");
    }
}
