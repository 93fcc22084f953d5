//! Tables in the shape of "HL7 Version 2 to FHIR", written as groups of the FHIR Mapping Language.
//!
//! One table is one group, one row one rule, and the row's place in the message is the rule's name: the compiler, the trace
//! and the loss report speak of `PID-5`, whoever wrote the rule. Invariant: a row that can't be read is an error with
//! its line, never a row passed over.

use std::fmt::Write;

/// Why a table can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct TableError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong, and what is expected.
    pub cause: &'static str,
}

/// The groups of a text of tables.
///
/// # Errors
/// [`TableError`] for the first line that is neither a heading, a row, a comment nor blank.
pub fn groups(tables: &str) -> Result<String, TableError> {
    let mut out = String::with_capacity(tables.len() * 2);
    let mut source: Option<&str> = None;
    for (index, line) in tables.lines().enumerate() {
        let error = |cause| TableError { line: index + 1, cause };
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(heading) = text.strip_prefix("table ") {
            let mut words = heading.split_whitespace();
            let (Some(name), Some(from), Some("->"), Some(to), None) =
                (words.next(), words.next(), words.next(), words.next(), words.next())
            else {
                return Err(error("a table begins with: table NAME SOURCE -> TARGET"));
            };
            if source.is_some() {
                out.push_str("}\n\n");
            }
            // Backbone elements have no type that a group could name.
            let target = if to.contains('.') { String::new() } else { format!(" : {to}") };
            let _ = writeln!(out, "group {name}(source src, target tgt{target}) {{");
            source = Some(from);
            continue;
        }
        let Some(source) = source else { return Err(error("a row stands before the first table")) };
        let [place, condition, element, mapping] = columns(line)
            .ok_or_else(|| error("a row has four columns: place | condition | element | mapping"))?;
        rule(&mut out, source, index + 1, &place, &condition, &element, &mapping).map_err(error)?;
    }
    if source.is_some() {
        out.push_str("}\n");
    }
    Ok(out)
}

/// The columns of a row; `\|` is a bar within one.
fn columns(line: &str) -> Option<[String; 4]> {
    const BAR: char = '\u{1}';
    let hidden = line.replace("\\|", "\u{1}");
    let columns: Vec<String> = hidden.split('|').map(|column| column.trim().replace(BAR, "|")).collect();
    columns.try_into().ok()
}

fn rule(
    out: &mut String,
    source: &str,
    line: usize,
    place: &str,
    condition: &str,
    element: &str,
    mapping: &str,
) -> Result<(), &'static str> {
    let name = match place {
        "" => format!("{source} {line}"),
        place => format!(
            "{}-{}",
            source,
            place.trim_start_matches(['f', 'c']).replace(".c", ".").replace('_', ".")
        ),
    };
    let (context, indent) = if condition.is_empty() {
        ("src", "  ")
    } else {
        let _ = writeln!(out, "  src as s where ({condition}) then {{");
        ("s", "    ")
    };
    let (from, value) = match place {
        "" => (context.to_owned(), context),
        place => (format!("{context}.{place} as v"), "v"),
    };
    let mut targets = String::new();
    let mut parent = "tgt".to_owned();
    let steps: Vec<&str> = element.split('.').filter(|step| !step.is_empty()).collect();
    let (last, before) = match steps.split_last() {
        Some((last, before)) => (Some(*last), before),
        None => (None, [].as_slice()),
    };
    for (depth, step) in before.iter().enumerate() {
        let _ = write!(targets, "{parent}.{step} as t{depth}, ");
        parent = format!("t{depth}");
    }
    match (mapping.strip_prefix('@'), last) {
        (Some(table), Some(last)) => {
            let _ = writeln!(
                out,
                "{indent}{from} -> {targets}{parent}.{last} as t then {table}({value}, t) \"{name}\";"
            );
        }
        (Some(table), None) => {
            let _ = writeln!(out, "{indent}{from} then {table}({value}, tgt) \"{name}\";");
        }
        (None, Some(last)) if !mapping.is_empty() => {
            let mapping = mapping.replace("evaluate(src,", &format!("evaluate({context},"));
            let _ = writeln!(out, "{indent}{from} -> {targets}{parent}.{last} = {mapping} \"{name}\";");
        }
        _ => {
            return Err("a row without element calls a table, and one with an element says how it is mapped");
        }
    }
    if !condition.is_empty() {
        let _ = writeln!(out, "  }} \"{name} where\";");
    }
    Ok(())
}
