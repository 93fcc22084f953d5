//! The lower part of the report: the faults by input, with source line and cure, and the filters over them.

use std::collections::BTreeSet;
use std::sync::Arc;

use varco_core::outcome::IssueSeverity;
use varco_core::validation::cure;

use super::super::findings::Fault;
use super::super::text::repeats;
use super::markup::Page;
use super::{amount, thousands};

/// Most inputs that stand open at first.
const OPEN: usize = 40;

/// All faults by input. `left`: findings that are not shown.
pub(super) fn all(page: &mut Page, faults: &[Fault], left: usize) {
    page.raw("<section aria-labelledby=\"findings\">\n<h2 id=\"findings\" tabindex=\"-1\">Findings</h2>\n");
    if faults.is_empty() {
        page.raw("<p class=\"none\">Nothing was found.</p>\n</section>\n");
        return;
    }
    let profiles: BTreeSet<Arc<str>> =
        faults.iter().flat_map(|fault| fault.profiles.iter().cloned()).collect();
    let profiles: Vec<Arc<str>> = profiles.into_iter().collect();
    filters(page, faults, &profiles);
    let mut inputs: Vec<(&Arc<str>, Vec<&Fault>)> = Vec::new();
    for fault in faults {
        let Some(input) = fault.places.first().map(|place| &place.input) else { continue };
        match inputs.iter_mut().find(|(own, _)| own == &input) {
            Some((_, list)) => list.push(fault),
            None => inputs.push((input, vec![fault])),
        }
    }
    inputs.sort_by(|a, b| a.0.cmp(b.0));
    for (at, (input, faults)) in inputs.iter().enumerate() {
        page.raw("<details class=\"file\"").raw(if at < OPEN { " open" } else { "" }).raw(">\n<summary><h3>");
        page.shown(input).raw("</h3>");
        for (class, name, severities) in [
            ("error", "error", &[IssueSeverity::Fatal, IssueSeverity::Error][..]),
            ("warning", "warning", &[IssueSeverity::Warning]),
            ("note", "note", &[IssueSeverity::Information]),
        ] {
            let count: usize =
                faults.iter().filter(|it| severities.contains(&it.severity)).map(|it| it.count).sum();
            if count > 0 {
                page.raw("<span class=\"badge ")
                    .raw(class)
                    .raw("\">")
                    .text(&amount(count, name))
                    .raw("</span>");
            }
        }
        page.raw("</summary>\n");
        for fault in faults {
            one(page, fault, &profiles);
        }
        page.raw("</details>\n");
    }
    page.raw("<p class=\"none\" id=\"nothing\" hidden>No finding passes the filters.</p>\n");
    if left > 0 {
        page.raw("<p class=\"more\">").text(&amount(left, "more finding"));
        page.raw(" not shown here: mend the first ones, or raise <code>--limit</code>.</p>\n");
    }
    page.raw("</section>\n");
}

fn class(severity: IssueSeverity) -> &'static str {
    match severity {
        IssueSeverity::Fatal | IssueSeverity::Error => "error",
        IssueSeverity::Warning => "warning",
        IssueSeverity::Information => "note",
    }
}

/// The filters: hidden until the script shows them, because only it can make them work.
fn filters(page: &mut Page, faults: &[Fault], profiles: &[Arc<str>]) {
    page.raw(
        "<form class=\"filters\" id=\"filters\" role=\"search\" aria-label=\"Filter the findings\" hidden>\n",
    );
    page.raw("<fieldset><legend>Severity</legend>");
    for (class, name) in [("error", "Errors"), ("warning", "Warnings"), ("note", "Notes")] {
        let count: usize =
            faults.iter().filter(|it| self::class(it.severity) == class).map(|it| it.count).sum();
        page.raw("<label class=\"").raw(class).raw("\"><input type=\"checkbox\" name=\"severity\" value=\"");
        page.raw(class)
            .raw("\" checked> ")
            .raw(name)
            .raw(" <span>")
            .text(&thousands(count))
            .raw("</span></label>");
    }
    page.raw("</fieldset>\n<label>Rule <select name=\"rule\"><option value=\"\">all rules</option>");
    let rules: BTreeSet<&str> =
        faults.iter().map(|fault| fault.rule).filter(|rule| !rule.is_empty()).collect();
    for rule in rules {
        page.raw("<option>").text(rule).raw("</option>");
    }
    page.raw(
        "</select></label>\n<label>Type or profile <select name=\"profile\"><option value=\"\">all</option>",
    );
    for (number, profile) in profiles.iter().enumerate() {
        page.raw("<option value=\"").text(&number.to_string()).raw("\">").shown(profile).raw("</option>");
    }
    page.raw(
        "</select></label>\n<label>Text <input type=\"search\" name=\"text\" autocomplete=\"off\"></label>\n",
    );
    page.raw("<p><button type=\"reset\">Show all</button> <button type=\"button\" id=\"fold\">Close all files</button> ");
    page.raw("<output id=\"shown\" aria-live=\"polite\"></output></p>\n</form>\n");
}

fn one(page: &mut Page, fault: &Fault, profiles: &[Arc<str>]) {
    let class = class(fault.severity);
    page.raw("<article class=\"").raw(class).raw("\" data-severity=\"").raw(class).raw("\" data-rule=\"");
    page.text(fault.rule).raw("\" data-profile=\"");
    for (number, _) in profiles.iter().enumerate().filter(|(_, own)| fault.profiles.contains(own)) {
        page.raw(" ").text(&number.to_string());
    }
    page.raw("\">\n<h4><span class=\"badge ").raw(class).raw("\">");
    page.raw(match fault.severity {
        IssueSeverity::Fatal => "fatal",
        IssueSeverity::Error => "error",
        IssueSeverity::Warning => "warning",
        IssueSeverity::Information => "note",
    });
    page.raw("</span> <bdi>").shown(&fault.message).raw("</bdi></h4>\n<p class=\"where\">");
    if let Some(element) = &fault.element {
        page.raw("<code>").shown(element).raw("</code> ");
    }
    let first = fault.places.first().and_then(|place| place.at);
    if let Some((line, column)) = first {
        page.raw("<span>line ")
            .text(&line.to_string())
            .raw(", column ")
            .text(&column.to_string())
            .raw("</span> ");
    }
    if !fault.rule.is_empty() {
        page.raw("<span class=\"rule\">").text(fault.rule).raw("</span>");
    }
    page.raw("</p>\n");
    if let (Some(excerpt), Some((line, _))) = (&fault.excerpt, first) {
        let piece = |range: std::ops::Range<usize>| excerpt.text.get(range).unwrap_or_default();
        page.raw("<pre tabindex=\"0\" aria-label=\"Source line ").text(&line.to_string()).raw("\"><span>");
        page.text(&line.to_string()).raw("</span><code>").text(piece(0..excerpt.marked.start));
        page.raw("<mark>").text(piece(excerpt.marked.clone())).raw("</mark>");
        page.text(piece(excerpt.marked.end..excerpt.text.len())).raw("</code></pre>\n");
    }
    if let Some(cure) = cure(fault.rule) {
        page.raw("<p class=\"cure\"><b>What to do</b> ").text(cure).raw("</p>\n");
    }
    if fault.count > 1 {
        page.raw("<p class=\"repeats\">").shown(&repeats(fault)).raw("</p>\n");
    }
    page.raw("</article>\n");
}
