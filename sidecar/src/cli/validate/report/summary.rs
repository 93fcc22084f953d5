//! The upper part of the report: the verdict, the figures, the tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::tally::{Share, Tally};
use super::markup::Page;
use super::{About, amount, thousands};

/// Most rows of a table.
const MOST_ROWS: usize = 200;

/// The run in one sentence.
pub(super) fn verdict(tally: &Tally) -> String {
    match (tally.total.all, tally.total.faulty) {
        (0, _) => "No resource was read".to_owned(),
        (1, 0) => "The resource has no error".to_owned(),
        (1, _) => format!("The resource has {}", amount(tally.errors, "error")),
        (all, 0) => format!("No error in {}", amount(all, "resource")),
        (all, faulty) => {
            let verb = if faulty == 1 { "has" } else { "have" };
            format!("{} of {} {verb} errors", thousands(faulty), amount(all, "resource"))
        }
    }
}

/// Name of the program, verdict, inputs.
pub(super) fn header(page: &mut Page, about: &About, tally: &Tally) {
    page.raw("<header>\n<p class=\"brand\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M3 21V11a9 9 0 0 1 18 0v10h-4V11a5 5 0 0 0-10 0v10z\"/></svg>");
    page.raw("Varco <span>validation report</span></p>\n<h1 class=\"");
    page.raw(if tally.errors > 0 { "bad" } else { "good" });
    page.raw("\">").text(&verdict(tally)).raw("</h1>\n<p class=\"inputs\">");
    for (at, input) in about.inputs.iter().take(12).enumerate() {
        page.raw(if at == 0 { "" } else { " " }).raw("<code>").shown(input).raw("</code>");
    }
    if about.inputs.len() > 12 {
        page.raw(" and ").text(&amount(about.inputs.len() - 12, "other"));
    }
    page.raw("<span>").text(&about.made).raw("</span></p>\n</header>\n");
}

/// The bar of shares and the figures.
pub(super) fn figures(page: &mut Page, tally: &Tally) {
    let Share { all, faulty } = tally.total;
    let sound = all.saturating_sub(faulty).saturating_sub(tally.warned);
    page.raw("<section aria-labelledby=\"figures\">\n<h2 id=\"figures\" class=\"quiet\">Figures</h2>\n");
    if all > 0 {
        page.raw("<svg class=\"shares\" role=\"img\" viewBox=\"0 0 1000 12\" preserveAspectRatio=\"none\" aria-label=\"");
        page.number(faulty).raw(" with errors, ").number(tally.warned).raw(" with warnings only, ");
        page.number(sound).raw(" without either\">");
        let mut from = 0;
        for (class, count) in [("error", faulty), ("warning", tally.warned), ("good", sound)] {
            let width = (count as f64 * 1000.0 / all as f64).round() as usize;
            if count > 0 {
                page.raw("<rect class=\"")
                    .raw(class)
                    .raw("\" y=\"0\" height=\"12\" x=\"")
                    .text(&from.to_string());
                page.raw("\" width=\"").text(&width.max(2).to_string()).raw("\"/>");
            }
            from += width;
        }
        page.raw("</svg>\n");
    }
    page.raw("<dl class=\"figures\">\n");
    let pace = tally.pace();
    let figures = [
        ("", "Resources", thousands(all)),
        (if tally.errors > 0 { "error" } else { "" }, "Errors", thousands(tally.errors)),
        (if tally.warnings > 0 { "warning" } else { "" }, "Warnings", thousands(tally.warnings)),
        ("", "Notes", thousands(tally.notes)),
        ("", "Codes nobody could judge", thousands(tally.unknown_codes)),
        ("", "Invariants not evaluated", thousands(tally.unchecked_invariants)),
        ("", "Resources a second", thousands(pace.resources_per_second as usize)),
        ("", "MB a second", format!("{:.1}", pace.megabytes_per_second)),
    ];
    for (class, name, figure) in figures {
        page.raw("<div class=\"").raw(class).raw("\"><dt>").raw(name).raw("</dt><dd>").text(&figure);
        page.raw("</dd></div>\n");
    }
    page.raw("</dl>\n</section>\n");
}

/// Counts by type, profile and rule.
pub(super) fn tables(page: &mut Page, tally: &Tally) {
    page.raw("<section aria-labelledby=\"overview\" class=\"tables\">\n<h2 id=\"overview\">Overview</h2>\n");
    shares(page, "By type", "Type", &tally.types);
    if !tally.profiles.is_empty() {
        shares(page, "By profile claimed", "Profile", &tally.profiles);
    }
    if !tally.rules.is_empty() {
        let mut rules: Vec<_> = tally.rules.iter().collect();
        rules.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        page.raw("<table>\n<caption>By rule</caption>\n<thead><tr><th scope=\"col\">Rule</th>");
        page.raw("<th scope=\"col\">Findings</th></tr></thead>\n<tbody>\n");
        for (rule, count) in rules {
            page.raw("<tr><th scope=\"row\">").raw(rule).raw("</th><td>").number(*count).raw("</td></tr>\n");
        }
        page.raw("</tbody>\n</table>\n");
    }
    page.raw("</section>\n");
}

fn shares(page: &mut Page, caption: &'static str, head: &'static str, shares: &BTreeMap<Arc<str>, Share>) {
    let mut rows: Vec<_> = shares.iter().collect();
    rows.sort_by_key(|(_, share)| std::cmp::Reverse((share.faulty, share.all)));
    page.raw("<table>\n<caption>").raw(caption).raw("</caption>\n<thead><tr><th scope=\"col\">").raw(head);
    page.raw(
        "</th><th scope=\"col\">Resources</th><th scope=\"col\">With errors</th></tr></thead>\n<tbody>\n",
    );
    for (name, share) in rows.iter().take(MOST_ROWS) {
        page.raw("<tr><th scope=\"row\">").shown(name).raw("</th><td>").number(share.all);
        page.raw(if share.faulty > 0 { "</td><td class=\"error\">" } else { "</td><td>" });
        page.number(share.faulty).raw("</td></tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
    if rows.len() > MOST_ROWS {
        page.raw("<p class=\"more\">and ").text(&amount(rows.len() - MOST_ROWS, "other")).raw("</p>\n");
    }
}
