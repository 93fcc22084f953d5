//! From the model to text, in one form whatever it was read from.

use std::fmt::Write;

use super::lexer::quoted_with;
use super::model::{
    EmbeddedConceptMap, Expression, Group, InputMode, Literal, ModelMode, Parameter, ParameterValue, Rule,
    RuleSource, RuleTarget, StructureMap, Transform, TransformKind, TypeMode,
};

/// A map as text. Reading it gives a map that prints the same.
///
/// Comments stay where they document a structure, group or rule. `ConceptMap` resources that a `StructureMap`
/// resource contains have no form in text and are left out.
pub fn print(map: &StructureMap) -> String {
    let mut out = String::new();
    for (key, value) in &map.metadata {
        let value = value.as_ref().map_or_else(String::new, |it| format!(" {}", literal(it, '\'')));
        line(&mut out, 0, &format!("/// {key} ={value}"));
    }
    if !map.url.is_empty() {
        line(&mut out, 0, &format!("map {} = {}", double(&map.url), double(&map.name)));
    } else if !map.name.is_empty() {
        line(&mut out, 0, &format!("/// name = {}", quoted_with(&map.name, '\'')));
    }
    for concept_map in &map.concept_maps {
        out.push('\n');
        print_concept_map(&mut out, concept_map);
    }
    if !map.structures.is_empty() {
        out.push('\n');
    }
    for structure in &map.structures {
        documentation(&mut out, 0, structure.documentation.as_deref());
        let alias = structure.alias.as_ref().map_or_else(String::new, |it| format!(" alias {}", name(it)));
        let mode = match structure.mode {
            ModelMode::Source => "source",
            ModelMode::Queried => "queried",
            ModelMode::Target => "target",
            ModelMode::Produced => "produced",
        };
        line(&mut out, 0, &format!("uses {}{alias} as {mode}", double(&structure.url)));
    }
    if !map.imports.is_empty() {
        out.push('\n');
    }
    for import in &map.imports {
        line(&mut out, 0, &format!("imports {}", double(&import.url)));
    }
    if !map.constants.is_empty() {
        out.push('\n');
    }
    for constant in &map.constants {
        line(&mut out, 0, &format!("let {} = {};", name(&constant.name), flat(&constant.value)));
    }
    for group in &map.groups {
        out.push('\n');
        print_group(&mut out, group);
    }
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    out.extend(std::iter::repeat_n("  ", depth));
    out.push_str(text);
    out.push('\n');
}

fn documentation(out: &mut String, depth: usize, words: Option<&str>) {
    for words in words.into_iter().flat_map(str::lines).map(str::trim).filter(|it| !it.is_empty()) {
        line(out, depth, &format!("// {}", words.trim_start_matches('/').trim_start()));
    }
}

fn double(text: &str) -> String {
    quoted_with(text, '"')
}

/// A name, in backticks where it would not be read as one.
fn name(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !matches!(text, "true" | "false");
    if plain { text.to_owned() } else { quoted_with(text, '`') }
}

fn path(context: &str, element: Option<&str>) -> String {
    let mut out = name(context);
    for step in element.into_iter().flat_map(|it| it.split('.')) {
        out.push('.');
        match step.strip_suffix("[x]") {
            Some(stem) => {
                out.push_str(&name(stem));
                out.push_str("[x]");
            }
            None => out.push_str(&name(step)),
        }
    }
    out
}

/// An expression on one line.
fn flat(expression: &Expression) -> String {
    expression.text.replace(['\r', '\n', '\t'], " ")
}

fn literal(value: &Literal, quote: char) -> String {
    match value {
        Literal::String(text) => quoted_with(text, quote),
        Literal::Integer(digits) | Literal::Decimal(digits) => digits.clone(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Date(text) | Literal::DateTime(text) => format!("@{text}"),
        Literal::Time(text) => format!("@T{text}"),
    }
}

fn print_concept_map(out: &mut String, map: &EmbeddedConceptMap) {
    line(out, 0, &format!("conceptmap {} {{", double(&map.url)));
    for (prefix, url) in &map.prefixes {
        line(out, 1, &format!("prefix {} = {}", name(prefix), double(url)));
    }
    for prefix in &map.provided {
        line(out, 1, &format!("unmapped for {} = provided", name(prefix)));
    }
    for pair in &map.pairs {
        let source = format!("{}:{}", name(&pair.source.prefix), double(&pair.source.code));
        match &pair.target {
            Some(target) => {
                let target = format!("{}:{}", name(&target.prefix), double(&target.code));
                line(out, 1, &format!("{source} {} {target}", pair.relation));
            }
            None => line(out, 1, &format!("{source} --")),
        }
    }
    line(out, 0, "}");
}

fn print_group(out: &mut String, group: &Group) {
    documentation(out, 0, group.documentation.as_deref());
    let parameters: Vec<String> = group
        .parameters
        .iter()
        .map(|it| {
            let mode = if it.mode == InputMode::Source { "source" } else { "target" };
            let ty = it.type_name.as_deref().map_or_else(String::new, |it| format!(" : {}", type_name(it)));
            format!("{mode} {}{ty}", name(&it.name))
        })
        .collect();
    let mut head = format!("group {}({})", name(&group.name), parameters.join(", "));
    if let Some(base) = &group.extends {
        let _ = write!(head, " extends {}", name(base));
    }
    head.push_str(match group.type_mode {
        TypeMode::None => "",
        TypeMode::Types => " <<types>>",
        TypeMode::TypeAndTypes => " <<type+>>",
    });
    line(out, 0, &format!("{head} {{"));
    for rule in &group.rules {
        print_rule(out, 1, rule);
    }
    line(out, 0, "}");
}

fn type_name(text: &str) -> String {
    if text.contains([':', '/', ' ', '|']) { double(text) } else { path(text, None) }
}

fn print_rule(out: &mut String, depth: usize, rule: &Rule) {
    documentation(out, depth, rule.documentation.as_deref());
    let sources: Vec<String> = rule.sources.iter().map(source).collect();
    let mut text = sources.join(", ");
    if !rule.targets.is_empty() {
        let targets: Vec<String> = rule.targets.iter().map(target).collect();
        let _ = write!(text, " -> {}", targets.join(", "));
    }
    if !rule.dependents.is_empty() {
        let calls: Vec<String> = rule
            .dependents
            .iter()
            .map(|it| format!("{}({})", name(&it.name), parameters(&it.parameters)))
            .collect();
        let _ = write!(text, " then {}", calls.join(", "));
    }
    let end = rule.name.as_ref().map_or_else(|| ";".to_owned(), |it| format!(" {};", double(it)));
    if rule.rules.is_empty() {
        line(out, depth, &format!("{text}{end}"));
        return;
    }
    let then = if rule.dependents.is_empty() { " then" } else { "" };
    line(out, depth, &format!("{text}{then} {{"));
    for inner in &rule.rules {
        print_rule(out, depth + 1, inner);
    }
    line(out, depth, &format!("}}{end}"));
}

fn source(source: &RuleSource) -> String {
    let mut out = path(&source.context, source.element.as_deref());
    if let Some(ty) = &source.type_name {
        let _ = write!(out, " : {}", type_name(ty));
    }
    if source.min.is_some() || source.max.is_some() {
        let _ = write!(out, " {}..{}", source.min.unwrap_or(0), source.max.as_deref().unwrap_or("*"));
    }
    if let Some(default) = &source.default {
        let _ = write!(out, " default ({})", flat(default));
    }
    if let Some(mode) = source.list_mode {
        let _ = write!(out, " {}", mode.name());
    }
    if let Some(variable) = &source.variable {
        let _ = write!(out, " as {}", name(variable));
    }
    for (word, clause) in [("where", &source.condition), ("check", &source.check), ("log", &source.log)] {
        if let Some(clause) = clause {
            let _ = write!(out, " {word} ({})", flat(clause));
        }
    }
    out
}

fn target(target: &RuleTarget) -> String {
    let mut out = String::new();
    if let Some(context) = &target.context {
        out = path(context, target.element.as_deref());
    }
    if let Some(own) = &target.transform {
        if target.context.is_some() {
            out.push_str(" = ");
        }
        out.push_str(&transform(own));
    }
    if let Some(variable) = &target.variable {
        let _ = write!(out, " as {}", name(variable));
    }
    for mode in &target.list_modes {
        let _ = write!(out, " {}", mode.name());
        if let (super::TargetListMode::Share, Some(shared)) = (mode, &target.list_rule) {
            let _ = write!(out, " {}", name(shared));
        }
    }
    out
}

fn transform(own: &Transform) -> String {
    let only = match own.parameters.as_slice() {
        [only] => Some(&only.value),
        _ => None,
    };
    match (own.kind, only) {
        (TransformKind::Copy, Some(value)) => parameter(value),
        (TransformKind::Evaluate, Some(ParameterValue::Literal(Literal::String(text)))) => {
            format!("({})", text.replace(['\r', '\n', '\t'], " "))
        }
        (TransformKind::Evaluate, _) => {
            let parts: Vec<String> = own
                .parameters
                .iter()
                .map(|it| match &it.value {
                    // A text alone in quotes would be read as the expression within them.
                    ParameterValue::Literal(Literal::String(text)) if text.starts_with('\'') => {
                        format!("({text})")
                    }
                    ParameterValue::Literal(Literal::String(text)) => text.replace(['\r', '\n', '\t'], " "),
                    other => parameter(other),
                })
                .collect();
            format!("evaluate({})", parts.join(", "))
        }
        (kind, _) => format!("{}({})", kind.name(), parameters(&own.parameters)),
    }
}

fn parameters(all: &[Parameter]) -> String {
    all.iter().map(|it| parameter(&it.value)).collect::<Vec<_>>().join(", ")
}

fn parameter(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Variable(variable) => name(variable),
        ParameterValue::Literal(value) => literal(value, '\''),
    }
}
