//! Concept maps as mappings use them (FHIR R4 §4.11, R5 §4.10): which code stands for which.
//!
//! A target that is narrower than its source, or only related in words, would claim more than was known: it is no
//! translation here. Invariant: of several targets none is picked, the caller is told that there are several.

use std::collections::HashMap;

use fhir_models::document::Value;

use super::syntax::EmbeddedConceptMap;

/// What a code is translated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translation {
    pub system: Option<String>,
    pub code: String,
    pub display: Option<String>,
}

/// The answer to one code.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'m> {
    One(&'m Translation),
    /// The map says that such codes are taken as they are.
    AsItIs,
    /// Nothing that says the same.
    None,
    /// More than one target, and their number.
    Several(usize),
}

#[derive(Debug, Default)]
pub(super) struct ConceptMap {
    pub url: String,
    /// By code; with the source's system where the map names one.
    pairs: HashMap<String, Vec<(Option<String>, Translation)>>,
    /// Systems whose unmapped codes are taken as they are; `None`: any.
    provided: Vec<Option<String>>,
    /// A code for all that is unmapped, by source system.
    fixed: Vec<(Option<String>, Translation)>,
}

impl ConceptMap {
    /// One written within a map. Prefixes were checked when it was read.
    pub fn embedded(map: &EmbeddedConceptMap) -> ConceptMap {
        let system =
            |prefix: &str| map.prefixes.iter().find(|(name, _)| name == prefix).map(|(_, url)| url.clone());
        let mut out = ConceptMap { url: map.url.clone(), ..ConceptMap::default() };
        for pair in &map.pairs {
            let Some(target) = pair.target.as_ref().filter(|_| says_the_same(&pair.relation)) else {
                continue;
            };
            let translation =
                Translation { system: system(&target.prefix), code: target.code.clone(), display: None };
            out.add(&pair.source.code, system(&pair.source.prefix), translation);
        }
        out.provided = map.provided.iter().map(|it| system(it)).collect();
        out
    }

    /// A `ConceptMap` resource, R4 or R5.
    ///
    /// # Errors
    /// Why it can't be used, for the author of the map.
    pub fn read(resource: Value<'_>) -> Result<ConceptMap, String> {
        let text = |value: Value<'_>, key: &str| value.get_key(key)?.as_str().map(|it| it.into_owned());
        if resource.resource_type().as_deref() != Some("ConceptMap") {
            return Err("it is no ConceptMap".to_owned());
        }
        let mut out = ConceptMap { url: text(resource, "url").unwrap_or_default(), ..ConceptMap::default() };
        for group in list(resource, "group") {
            let plain = |canonical: String| canonical.split('|').next().unwrap_or_default().to_owned();
            let (from, to) = (text(group, "source").map(plain), text(group, "target").map(plain));
            for element in list(group, "element") {
                let Some(code) = text(element, "code") else { continue };
                for target in list(element, "target") {
                    let relation = text(target, "equivalence").or_else(|| text(target, "relationship"));
                    let Some(found) = text(target, "code") else { continue };
                    if !list(target, "dependsOn").is_empty() {
                        return Err(format!(
                            "the target of {code} depends on other values, which is not supported"
                        ));
                    }
                    if says_the_same(relation.as_deref().unwrap_or("equivalent")) {
                        let display = text(target, "display");
                        out.add(
                            &code,
                            from.clone(),
                            Translation { system: to.clone(), code: found, display },
                        );
                    }
                }
            }
            let Some(unmapped) = group.get_key("unmapped") else { continue };
            match text(unmapped, "mode").as_deref() {
                Some("provided" | "use-source-code") => out.provided.push(from),
                Some("fixed") => {
                    let code =
                        text(unmapped, "code").ok_or("its fixed code for unmapped codes is missing")?;
                    let display = text(unmapped, "display");
                    out.fixed.push((from, Translation { system: to, code, display }));
                }
                _ => return Err("it sends unmapped codes to another map, which is not supported".to_owned()),
            }
        }
        Ok(out)
    }

    fn add(&mut self, code: &str, system: Option<String>, translation: Translation) {
        let own = self.pairs.entry(code.to_owned()).or_default();
        if !own
            .iter()
            .any(|it| it.0 == system && it.1.system == translation.system && it.1.code == translation.code)
        {
            own.push((system, translation));
        }
    }

    /// What a code is translated to. A code without system answers to any.
    pub fn translate(&self, system: Option<&str>, code: &str) -> Answer<'_> {
        let fits = |own: &Option<String>| match (own.as_deref(), system) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        };
        let own = self.pairs.get(code).map(Vec::as_slice).unwrap_or_default();
        let mut found = own.iter().filter(|(own, _)| fits(own)).map(|(_, it)| it);
        match (found.next(), found.count()) {
            (Some(only), 0) => Answer::One(only),
            (Some(_), more) => Answer::Several(more + 1),
            (None, _) if self.provided.iter().any(fits) => Answer::AsItIs,
            (None, _) => match self.fixed.iter().find(|(own, _)| fits(own)) {
                Some((_, fixed)) => Answer::One(fixed),
                None => Answer::None,
            },
        }
    }
}

fn list<'a>(value: Value<'a>, key: &str) -> Vec<Value<'a>> {
    value.get_key(key).map(|it| it.items().collect()).unwrap_or_default()
}

/// Whether a relation lets the target stand for the source: equal, or broader than it.
fn says_the_same(relation: &str) -> bool {
    matches!(
        relation,
        "equal"
            | "equivalent"
            | "relatedto"
            | "related-to"
            | "wider"
            | "subsumes"
            | "source-is-narrower-than-target"
            | "=="
            | "-"
            | "<="
            | "<-"
            | "~"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;

    #[test]
    fn a_resource_answers() {
        let json = r#"{"resourceType":"ConceptMap","url":"u","group":[{"source":"a","target":"b","element":[
          {"code":"1","target":[{"code":"x","equivalence":"equivalent"}]},
          {"code":"2","target":[{"code":"x","equivalence":"narrower"}]},
          {"code":"3","target":[{"code":"x","equivalence":"equal"},{"code":"y","equivalence":"wider"}]}]},
          {"source":"c","unmapped":{"mode":"fixed","code":"other"}}]}"#;
        let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
        let map = ConceptMap::read(document.root()).unwrap();
        let code = |answer: Answer<'_>| match answer {
            Answer::One(it) => it.code.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(code(map.translate(Some("a"), "1")), "x");
        assert_eq!(code(map.translate(Some("a"), "2")), "None");
        assert_eq!(code(map.translate(Some("a"), "3")), "Several(2)");
        assert_eq!(code(map.translate(Some("c"), "9")), "other");
        assert_eq!(code(map.translate(Some("b"), "1")), "None");
    }
}
