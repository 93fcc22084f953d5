//! Concept maps that are written within a map (FHIR R4 §5.7.5), as those of [`crate::terminology::concept_map`].
//!
//! `translate()` gives no values of other elements: a mapping that depends on some doesn't hold there.

use std::collections::HashMap;

use super::syntax::EmbeddedConceptMap;
use crate::terminology::concept_map::{Asked, Concept, ConceptMap, Equivalence, Origin, Preferred};

/// The concept map. Prefixes and relations were checked when it was read.
pub(super) fn embedded(map: &EmbeddedConceptMap) -> ConceptMap {
    let system = |prefix: &str| {
        let found = map.prefixes.iter().find(|(name, _)| name == prefix);
        found.map(|(_, url)| url.as_str())
    };
    let mut out = ConceptMap::named(&map.url);
    for pair in &map.pairs {
        let target = pair.target.as_ref();
        let equivalence = match target {
            Some(_) => Equivalence::read(&pair.relation).unwrap_or(Equivalence::Unmatched),
            None => Equivalence::Unmatched,
        };
        let to = (target.and_then(|it| system(&it.prefix)), target.map(|it| it.code.as_str()));
        out.add((system(&pair.source.prefix), &pair.source.code), equivalence, to);
    }
    for prefix in &map.provided {
        out.provide(system(prefix));
    }
    out
}

/// What a concept map says of codes that are given without system: answered once, when the map is compiled.
///
/// Invariant: an answer is the one of [`ConceptMap::translate`]; where there is none, that has to be asked.
#[derive(Debug, Default)]
pub(super) struct CodeTable {
    known: HashMap<Box<str>, Option<CodeAnswer<Box<str>>>>,
    /// All other codes stay as they are.
    others_stay: bool,
}

/// What becomes of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeAnswer<T> {
    /// It is translated.
    Becomes(T),
    /// The map takes it as it is.
    Stays,
}

impl CodeTable {
    pub fn of(map: &ConceptMap) -> CodeTable {
        let ask = |code: &str| match map.translate(&Asked::of(Concept::of(None, code))).preferred() {
            Preferred::One(it) if it.origin == Origin::Provided => Some(CodeAnswer::Stays),
            Preferred::One(it) => it.concept.map(|it| CodeAnswer::Becomes(it.code.into())),
            _ => None,
        };
        let known: HashMap<Box<str>, _> = map.source_codes().map(|it| (it.into(), ask(it))).collect();
        // What is said of one code that the map doesn't name holds for all of them, unless another map is asked.
        let unnamed = "\u{1}";
        let others_stay =
            !map.asks_others() && !known.contains_key(unnamed) && ask(unnamed) == Some(CodeAnswer::Stays);
        CodeTable { known, others_stay }
    }

    /// What becomes of a code; `None` where the concept map has to be asked.
    pub fn get(&self, code: &str) -> Option<CodeAnswer<&str>> {
        match self.known.get(code) {
            Some(Some(CodeAnswer::Becomes(to))) => Some(CodeAnswer::Becomes(to)),
            Some(Some(CodeAnswer::Stays)) => Some(CodeAnswer::Stays),
            Some(None) => None,
            None => self.others_stay.then_some(CodeAnswer::Stays),
        }
    }
}

/// A code as the transformation holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coding {
    pub system: Option<String>,
    pub version: Option<String>,
    pub code: String,
    pub display: Option<String>,
}

impl Coding {
    pub fn of(concept: &Concept<'_>) -> Coding {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Coding {
            system: owned(concept.system),
            version: owned(concept.version),
            code: concept.code.to_owned(),
            display: owned(concept.display),
        }
    }

    pub fn concept(&self) -> Concept<'_> {
        Concept {
            system: self.system.as_deref(),
            version: self.version.as_deref(),
            code: &self.code,
            display: self.display.as_deref(),
        }
    }

    /// `system|code`
    pub fn shown(&self) -> String {
        match &self.system {
            Some(system) => format!("{system}|{}", self.code),
            None => self.code.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;

    fn map(groups: &str) -> ConceptMap {
        let json =
            format!(r#"{{"resourceType":"ConceptMap","url":"urn:x","status":"active","group":[{groups}]}}"#);
        let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
        ConceptMap::read(document.root(), &|_| None).unwrap()
    }

    const ELEMENTS: &str = r#""source":"urn:a","target":"urn:b","element":[
        {"code":"one","target":[{"code":"1","equivalence":"equivalent"}]},
        {"code":"two","target":[{"code":"2","equivalence":"equivalent"},{"code":"zwei","equivalence":"equivalent"}]},
        {"code":"none","target":[{"equivalence":"unmatched"}]}]"#;

    #[test]
    fn a_table_gives_what_is_clear_and_leaves_the_rest_to_the_map() {
        let own = CodeTable::of(&map(&format!("{{{ELEMENTS}}}")));
        let found = ["one", "two", "none", "other"].map(|code| own.get(code));
        assert_eq!(found, [Some(CodeAnswer::Becomes("1")), None, None, None]);
    }

    #[test]
    fn other_codes_stay_where_the_map_says_so_of_all_of_them() {
        let provided = format!(r#"{{{ELEMENTS},"unmapped":{{"mode":"provided"}}}}"#);
        let own = CodeTable::of(&map(&provided));
        assert_eq!(own.get("other"), Some(CodeAnswer::Stays));
        assert_eq!(own.get("one"), Some(CodeAnswer::Becomes("1")));
        assert_eq!(own.get("two"), None);
        let fixed = format!(r#"{{{ELEMENTS},"unmapped":{{"mode":"fixed","code":"9"}}}}"#);
        assert_eq!(CodeTable::of(&map(&fixed)).get("other"), None);
    }
}
