//! Concept maps that are written within a map (FHIR R4 §5.7.5), as those of [`crate::terminology::concept_map`].
//!
//! `translate()` gives no values of other elements: a mapping that depends on some doesn't hold there.

use super::syntax::EmbeddedConceptMap;
use crate::terminology::concept_map::{Concept, ConceptMap, Equivalence};

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
