//! The answer to a question: the mappings whose dependencies hold, and what the map does with unmapped codes.
//!
//! `unmapped` speaks for one group, that is for one target system: it is asked where none of that system's groups
//! maps the code. A code that is said to be `unmatched` is not unmapped (FHIR R4 ConceptMap.group.unmapped).

use std::collections::{HashMap, HashSet};

use super::{
    Asked, Concept, ConceptMap, Dependency, Element, Equivalence, Group, Match, Origin, Place, System,
};
use super::{Target, Translation, Unmapped};

/// The target of a group that names none: it speaks for every system.
const ANY: System = System { url: None, version: None };

impl ConceptMap {
    /// What the map says of a code.
    pub fn translate<'a>(&'a self, asked: &Asked<'a>) -> Translation<'a> {
        let mut answer = Translation { result: false, message: None, matches: Vec::new() };
        if asked.reverse {
            self.backward(asked, &mut answer);
        } else {
            self.forward(asked, &mut answer, &mut Vec::new());
        }
        answer.result = answer.matches.iter().any(|it| it.equivalence.corresponds() && it.concept.is_some());
        if !answer.result && answer.message.is_none() {
            let code = asked.concept.code;
            answer.message = Some(match answer.matches.is_empty() {
                true => format!("the concept map {} has no mapping of {code}", self.canonical),
                false => {
                    format!("the concept map {} says that nothing corresponds to {code}", self.canonical)
                }
            });
        }
        answer
    }

    /// `seen`: the maps that were asked already.
    fn forward<'a>(
        &'a self,
        asked: &Asked<'a>,
        answer: &mut Translation<'a>,
        seen: &mut Vec<&'a ConceptMap>,
    ) {
        seen.push(self);
        let mut told: HashSet<&System> = HashSet::new();
        for (group, element) in self.places(&self.by_source, asked.concept.code) {
            if !group.source.fits(&asked.concept) || !group.target.wanted(asked.target_system) {
                continue;
            }
            if element.no_map {
                let (concept, product) = (None, [].as_slice());
                let (equivalence, origin) = (Equivalence::Unmatched, Origin::Mapped);
                let source = self.canonical.as_str();
                answer.matches.push(Match { equivalence, concept, product, dependencies: 0, source, origin });
                told.insert(&group.target);
            }
            for target in &element.targets {
                if let Some(missing) = target.missing(asked.dependencies) {
                    answer.message.get_or_insert_with(|| {
                        format!(
                            "a mapping of {} depends on {}, which was not given as {}",
                            element.code, missing.element, missing.value
                        )
                    });
                    continue;
                }
                answer.matches.push(Match {
                    equivalence: target.equivalence,
                    concept: target.concept(group),
                    product: &target.product,
                    dependencies: target.depends_on.len(),
                    source: &self.canonical,
                    origin: Origin::Mapped,
                });
                if target.equivalence != Equivalence::Disjoint {
                    told.insert(&group.target);
                }
            }
        }
        for group in &self.groups {
            let Some(unmapped) = &group.unmapped else { continue };
            let applies =
                group.source.fits(&asked.concept) && !told.contains(&group.target) && !told.contains(&ANY);
            if applies {
                self.unmapped(unmapped, group, asked, answer, seen);
            }
        }
    }

    fn unmapped<'a>(
        &'a self,
        unmapped: &'a Unmapped,
        group: &'a Group,
        asked: &Asked<'a>,
        answer: &mut Translation<'a>,
        seen: &mut Vec<&'a ConceptMap>,
    ) {
        let (equivalence, concept, origin) = match unmapped {
            // The code stays one of its own system: that is the system that has to be wanted.
            Unmapped::Provided(equivalence) => {
                if asked.target_system.is_some_and(|it| asked.concept.system != Some(it)) {
                    return;
                }
                (*equivalence, asked.concept, Origin::Provided)
            }
            Unmapped::Fixed { code, display, equivalence } => {
                if !group.target.wanted(asked.target_system) {
                    return;
                }
                (*equivalence, group.target.concept(code, display.as_deref()), Origin::Fixed)
            }
            Unmapped::Other(_, Some(other)) => {
                if !seen.iter().any(|it| std::ptr::eq(*it, &**other)) {
                    other.forward(asked, answer, seen);
                }
                return;
            }
            Unmapped::Other(url, None) => {
                answer.message.get_or_insert_with(|| {
                    format!("unmapped codes go to the concept map {url}, which is not known here")
                });
                return;
            }
        };
        let (product, source) = ([].as_slice(), self.canonical.as_str());
        let found = Match { equivalence, concept: Some(concept), product, dependencies: 0, source, origin };
        if !answer.matches.contains(&found) {
            answer.matches.push(found);
        }
    }

    fn backward<'a>(&'a self, asked: &Asked<'a>, answer: &mut Translation<'a>) {
        for (group, element) in self.places(&self.by_target, asked.concept.code) {
            if !group.target.fits(&asked.concept) || !group.source.wanted(asked.target_system) {
                continue;
            }
            let own = element.targets.iter().filter(|it| it.code.as_deref() == Some(asked.concept.code));
            for target in own {
                answer.matches.push(Match {
                    equivalence: target.equivalence.reversed(),
                    concept: Some(group.source.concept(&element.code, element.display.as_deref())),
                    product: &target.depends_on,
                    dependencies: 0,
                    source: &self.canonical,
                    origin: Origin::Mapped,
                });
            }
        }
    }

    fn places<'a>(
        &'a self,
        index: &'a HashMap<Box<str>, Vec<Place>>,
        code: &str,
    ) -> impl Iterator<Item = (&'a Group, &'a Element)> {
        let places = index.get(code).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|(group, element)| {
            let group = self.groups.get(*group)?;
            Some((group, group.elements.get(*element)?))
        })
    }
}

impl System {
    /// True where a code may be one of this system: what isn't stated on either side is no hindrance.
    fn fits(&self, concept: &Concept<'_>) -> bool {
        let agree = |own: &Option<String>, asked: Option<&str>| match (own.as_deref(), asked) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        };
        agree(&self.url, concept.system) && agree(&self.version, concept.version)
    }

    fn wanted(&self, system: Option<&str>) -> bool {
        system.is_none_or(|it| self.url.as_deref() == Some(it))
    }

    fn concept<'a>(&'a self, code: &'a str, display: Option<&'a str>) -> Concept<'a> {
        Concept { system: self.url.as_deref(), version: self.version.as_deref(), code, display }
    }
}

impl Target {
    fn concept<'a>(&'a self, group: &'a Group) -> Option<Concept<'a>> {
        Some(group.target.concept(self.code.as_deref()?, self.display.as_deref()))
    }

    /// The first dependency that doesn't hold.
    fn missing(&self, given: &[Dependency]) -> Option<&Dependency> {
        let holds = |own: &Dependency| {
            given.iter().any(|it| {
                let systems = own.system.is_none() || it.system.is_none() || own.system == it.system;
                it.element == own.element && it.value == own.value && systems
            })
        };
        self.depends_on.iter().find(|it| !holds(it))
    }
}
