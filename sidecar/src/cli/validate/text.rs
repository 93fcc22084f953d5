//! Faults as people read them in a terminal: what is wrong, where, the line itself with a caret, what to do.

use std::collections::BTreeSet;

use annotate_snippets::{AnnotationKind, Element, Level, Renderer, Snippet};
use varco_core::outcome::IssueSeverity;
use varco_core::validation::cure;

use super::findings::Fault;
use super::tally::counted;

/// Most places that a line of repeats names.
const PLACES: usize = 8;

/// The faults as text, no more than `limit` of them, and how many findings the others stand for.
pub(super) fn render(faults: &[Fault], limit: usize, colours: bool) -> String {
    let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    let mut told = BTreeSet::new();
    for fault in faults.iter().take(limit) {
        let cure = cure(fault.rule).filter(|_| told.insert(fault.rule));
        text += &one(fault, cure, &renderer, colours);
        text += "\n\n";
    }
    let (left, findings) =
        faults.iter().skip(limit).fold((0, 0), |(left, all), fault| (left + 1, all + fault.count));
    if left > 0 {
        text += &format!(
            "… and {} with {}: --limit {} shows all\n\n",
            counted(left, "other fault"),
            counted(findings, "finding"),
            faults.len()
        );
    }
    text
}

fn one(fault: &Fault, cure: Option<&'static str>, renderer: &Renderer, colours: bool) -> String {
    let level = match fault.severity {
        IssueSeverity::Fatal => Level::ERROR.with_name("fatal"),
        IssueSeverity::Error => Level::ERROR,
        IssueSeverity::Warning => Level::WARNING,
        IssueSeverity::Information => Level::NOTE,
    };
    let mut title = level.primary_title(fault.message.as_str());
    if !fault.rule.is_empty() {
        title = title.id(fault.rule);
    }
    let mut elements: Vec<Element<'_>> = Vec::new();
    let first = fault.places.first();
    match (&fault.excerpt, first.and_then(|place| place.at)) {
        (Some(excerpt), Some((line, _))) => {
            let mark = AnnotationKind::Primary.span(excerpt.marked.clone()).label(fault.element.as_deref());
            let snippet = Snippet::source(excerpt.text.as_str()).line_start(line).annotation(mark);
            elements.push(snippet.into());
        }
        _ => elements.extend(
            fault.element.as_deref().map(|element| Level::NOTE.with_name("at").message(element).into()),
        ),
    }
    if fault.count > 1 {
        elements.push(Level::NOTE.no_name().message(repeats(fault)).into());
    }
    if let Some(cure) = cure {
        elements.push(Level::HELP.message(cure).into());
    }
    let rendered = renderer.render(&[title.elements(elements)]);
    let (head, body) = rendered.split_once('\n').unwrap_or((&rendered, ""));
    format!("{head}\n{}\n{body}", origin(fault, colours)).trim_end().to_owned()
}

/// Where a fault was first seen, as editors and terminals open it. The renderer can't tell: it sees an excerpt.
fn origin(fault: &Fault, colours: bool) -> String {
    let Some(place) = fault.places.first() else { return String::new() };
    let (paint, plain) = if colours { ("\u{1b}[1m\u{1b}[94m", "\u{1b}[0m") } else { ("", "") };
    match place.at {
        Some((line, column)) => {
            let margin = " ".repeat(line.to_string().len());
            format!("{margin}{paint}-->{plain} {}:{line}:{column}", place.input)
        }
        None => format!(" {paint}-->{plain} {}", place.input),
    }
}

/// `and 37 more like it: lines 4, 9, 12 …`
pub(super) fn repeats(fault: &Fault) -> String {
    let more = fault.count.saturating_sub(1);
    let own = fault.places.first().map(|place| &place.input);
    let one_input = fault.places.iter().all(|place| Some(&place.input) == own);
    let mut named: Vec<String> = Vec::new();
    for place in fault.places.iter().skip(1) {
        let name = match (one_input, place.at) {
            (true, Some((line, _))) => line.to_string(),
            (false, Some((line, _))) => format!("{}:{line}", place.input),
            (_, None) => place.input.to_string(),
        };
        if named.last() != Some(&name) {
            named.push(name);
        }
    }
    let shown = named.len().min(PLACES);
    let rest = if named.len() > PLACES || fault.count > fault.places.len() { " …" } else { "" };
    let lines = match (one_input, shown) {
        (false, _) => "",
        (true, 1) if rest.is_empty() => "line ",
        (true, _) => "lines ",
    };
    format!("and {more} more like it: {lines}{}{rest}", named.get(..shown).unwrap_or_default().join(", "))
}
