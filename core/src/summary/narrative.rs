//! Narrative as XHTML (FHIR R4 §2.4.1). Every text is escaped and bounded.

const DIV: &str = "<div xmlns=\"http://www.w3.org/1999/xhtml\">";
/// The most characters of a cell; what is longer stands in the resource.
const LONGEST_CELL: usize = 300;

/// The columns of a section's table.
const HEADS: [&str; 4] = ["What", "Details", "Date", "Status"];

/// A section's table while it is written.
pub(super) struct Table {
    out: String,
}

impl Table {
    pub(super) fn new() -> Table {
        let mut out = format!("{DIV}<table><thead>");
        write_row(&mut out, "th", &HEADS);
        out.push_str("</thead><tbody>");
        Table { out }
    }

    pub(super) fn row(&mut self, cells: [String; HEADS.len()]) {
        write_row(&mut self.out, "td", &cells);
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</tbody></table></div>");
        self.out
    }
}

/// Texts, one below the other.
pub(super) fn paragraphs<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut out = DIV.to_owned();
    for text in texts {
        write_element(&mut out, "p", text);
    }
    out.push_str("</div>");
    out
}

fn write_row(out: &mut String, tag: &str, cells: &[impl AsRef<str>]) {
    out.push_str("<tr>");
    for cell in cells {
        write_element(out, tag, cell.as_ref());
    }
    out.push_str("</tr>");
}

fn write_element(out: &mut String, tag: &str, text: &str) {
    out.push('<');
    out.push_str(tag);
    out.push('>');
    for character in text.chars().take(LONGEST_CELL) {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no place for these.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}');
            }
            other => out.push(other),
        }
    }
    if text.chars().nth(LONGEST_CELL).is_some() {
        out.push('…');
    }
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}
