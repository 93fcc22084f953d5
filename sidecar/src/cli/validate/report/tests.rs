//! Reports on hostile inputs: what comes from outside stays text, and nothing else could run.
#![allow(clippy::unwrap_used)]

use fhir_models::document::Position;
use proptest::prelude::*;
use varco_core::outcome::{Issue, IssueType};

use super::super::findings::Findings;
use super::super::input::Record;
use super::*;

const HOSTILE: &str =
    "</code></pre><script>alert('città')</script><img src=x onerror=\"alert(1)\">&amp;\u{202e}";

/// A report on one fault whose every text comes from outside.
fn report(text: &str) -> String {
    let mut findings = Findings::new(true);
    let issue = Issue::error(IssueType::Value, text).at(text).on(Position { line: 1, column: 3 });
    let record = Record { text: text.as_bytes(), line: 6, of_many: true, byte_order_mark: false, read: 1 };
    for _ in 0..3 {
        findings.add(&issue, &text.into(), Some(&record), &[text.into()]);
    }
    let about = About {
        inputs: vec![text.to_owned()],
        packages: vec![text.to_owned()],
        profiles: vec![text.to_owned()],
        made: "2026-11-22 09:30 UTC".to_owned(),
        limit: 10,
        beyond: 0,
    };
    let mut tally = Tally::start();
    let checked = super::super::checker::Checked {
        issues: vec![issue],
        profiles: vec![text.to_owned()],
        ..Default::default()
    };
    tally.resource(&checked, 1_234_567);
    page(&about, &tally, &findings.sorted())
}

/// What stands between the first `<name>` and the next `</name>`.
fn inner<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

/// The page without its style and script, in which `<` begins nothing but markup.
fn markup(page: &str) -> String {
    page.replace(STYLE, "").replace(SCRIPT, "")
}

#[test]
fn what_comes_from_outside_stays_text() {
    let page = report(HOSTILE);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;script&gt;alert(&#39;città&#39;)&lt;/script&gt;"));
    assert!(page.contains("&amp;amp;") && page.contains("&lt;U+202E&gt;"));
    assert!(!page.contains('\u{202e}'));
}

#[test]
fn the_policy_names_the_style_and_the_script_and_nothing_else() {
    let page = report("x");
    for (name, directive) in [("style", "style-src"), ("script", "script-src")] {
        let digest = STANDARD.encode(Sha256::digest(inner(&page, name).as_bytes()));
        assert!(page.contains(&format!("{directive} 'sha256-{digest}'")), "{name}");
    }
    assert!(page.contains("content=\"default-src 'none'; "));
    let markup = markup(&page);
    for forbidden in [" style=", " onclick=", " src=", "javascript:", "<link", "<iframe", "url("] {
        assert!(!markup.contains(forbidden), "{forbidden}");
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn the_report_tells_places_repeats_and_cure() {
    let page = report("la città è Forlì");
    assert!(page.contains("<span>line 7, column 3</span>"));
    assert!(page.contains("and 2 more like it: line 7"), "{page}");
    assert!(page.contains("la<mark> </mark>città è Forlì"), "{page}");
    assert!(page.contains("<h1 class=\"bad\">The resource has 1 error</h1>"));
    assert!(page.contains("2026-11-22 09:30 UTC"));
}

#[test]
fn what_is_left_out_is_said() {
    let mut findings = Findings::new(true);
    for message in ["a", "b", "c"] {
        findings.add(&Issue::error(IssueType::Value, message), &"x.json".into(), None, &[]);
    }
    let about = About { limit: 1, beyond: 4, ..About::default() };
    let page = page(&about, &Tally::start(), &findings.sorted());
    assert_eq!(page.matches("<article").count(), 1);
    assert!(page.contains("6 more findings not shown here"));
    let nothing = super::page(&About::default(), &Tally::start(), &[]);
    assert!(nothing.contains("Nothing was found.") && !nothing.contains("<form"));
}

#[test]
fn numbers_are_grouped_by_thousands() {
    assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(amount(12_345, "error"), "12,345 errors");
}

proptest! {
    #[test]
    fn any_text_leaves_the_markup_as_it_was(text in "[<>&\"'=/ a-zè\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{202e}-]{0,60}") {
        let tags = |page: &str| page.matches('<').count();
        let (hostile, plain) = (report(&text), report("x"));
        prop_assert_eq!(tags(&markup(&hostile)), tags(&markup(&plain)));
        prop_assert!(!hostile.chars().any(|c| c.is_control() && c != '\n'));
    }
}
