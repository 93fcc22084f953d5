//! The HTML report: one file that needs no other, for people who were not there when the run was made.
//!
//! Input is hostile here too. Markup is written by [`markup::Page`], which takes markup from the program text alone and
//! escapes everything else; a Content-Security-Policy names the one style sheet and the one script by their
//! digests, so that nothing else in the file could run, load or send anything. Without the script the report is
//! whole: only the filters are absent.

mod faults;
mod markup;
mod summary;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::findings::Fault;
use super::tally::{Tally, counted};
use markup::Page;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// What the report is about.
#[derive(Debug, Default)]
pub(super) struct About {
    /// As the arguments name them.
    pub inputs: Vec<String>,
    pub packages: Vec<String>,
    pub profiles: Vec<String>,
    /// Date and time of the run, for people.
    pub made: String,
    /// Most faults shown.
    pub limit: usize,
    /// Findings that are only counted.
    pub beyond: usize,
}

/// The report as a whole HTML document. The faults are shown by input.
pub(super) fn page(about: &About, tally: &Tally, faults: &[Fault]) -> String {
    let shown = faults.get(..about.limit.min(faults.len())).unwrap_or_default();
    let left: usize = faults.iter().skip(shown.len()).map(|fault| fault.count).sum();
    let mut page = Page::new();
    head(&mut page, tally);
    page.raw("<body>\n<a class=\"skip\" href=\"#findings\">Skip to the findings</a>\n");
    summary::header(&mut page, about, tally);
    page.raw("<main>\n");
    summary::figures(&mut page, tally);
    summary::tables(&mut page, tally);
    faults::all(&mut page, shown, left.saturating_add(about.beyond));
    page.raw("</main>\n");
    footer(&mut page, about);
    page.raw("<script>").raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    page.finish()
}

fn head(page: &mut Page, tally: &Tally) {
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-");
    page.text(&digest(STYLE)).raw("'; script-src 'sha256-").text(&digest(SCRIPT));
    page.raw("'; base-uri 'none'; form-action 'none'\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<title>Validation report: ").text(&summary::verdict(tally)).raw("</title>\n");
    page.raw("<style>").raw(STYLE).raw("</style>\n</head>\n");
}

fn footer(page: &mut Page, about: &About) {
    page.raw("<footer>\n<p>Made by Varco ").text(env!("CARGO_PKG_VERSION")).raw(" on ").text(&about.made);
    page.raw(", by the definitions of FHIR R4 (4.0.1)");
    for (word, named) in [(" with ", &about.packages), (", against ", &about.profiles)] {
        for (at, name) in named.iter().enumerate() {
            page.raw(if at == 0 { word } else { ", " }).raw("<code>").shown(name).raw("</code>");
        }
    }
    page.raw(".</p>\n<p>The same fault in one file is shown once, with a count. Codes that no value set at hand can judge ");
    page.raw("and invariants that can't be evaluated are counted, never held against a resource.</p>\n");
    page.raw("<p class=\"care\">Source lines may hold personal data: keep this file as you keep the resources.</p>\n</footer>\n");
}

/// What a Content-Security-Policy names an inline text by.
fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// `1 error`, `1,234 errors`.
fn amount(count: usize, noun: &str) -> String {
    counted(count, noun).replacen(&count.to_string(), &thousands(count), 1)
}

/// A number as people read it: `12,345`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
