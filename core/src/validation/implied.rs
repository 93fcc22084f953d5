//! Profiles that a resource must obey though it does not claim them: those that the caller or an implementation
//! guide declares for every resource of a type (FHIR R4 §5.3, `ImplementationGuide.global`), and the vital signs
//! (FHIR R4 §10.1, "Vital Signs": the profiles SHALL be used where their concept applies).
//!
//! A guide covers what is validated where the user brought it, and not where it came only because another
//! guide depends on it.

use std::collections::{BTreeSet, HashMap};

use fhir_models::definition::{Definitions, STRUCTURE_BASE};
use fhir_models::document::{Name, Value, name};

use super::walk::Walk;

const LOINC: &str = "http://loinc.org";
const SNOMED: &str = "http://snomed.info/sct";

/// LOINC codes of vital signs and the profile of each. One of a profile's codes is the one that it
/// demands; the others are kinds of the same measurement, for which the specification demands that one
/// beside them, or parts of a panel that are no observation of their own.
const LOINC_CODES: &[(&str, &str)] = &[
    ("2708-6", "oxygensat"),
    ("29463-7", "bodyweight"),
    ("39156-5", "bmi"),
    ("59408-5", "oxygensat"),
    ("76534-7", "bp"),
    ("76535-4", "bp"),
    ("8302-2", "bodyheight"),
    ("8310-5", "bodytemp"),
    ("8462-4", "bp"),
    ("8480-6", "bp"),
    ("85353-1", "vitalspanel"),
    ("85354-9", "bp"),
    ("8867-4", "heartrate"),
    ("9279-1", "resprate"),
    ("9843-4", "headcircum"),
];

/// SNOMED CT observables with the same meaning, and core body temperature, a kind of body temperature.
const SNOMED_CODES: &[(&str, &str)] = &[
    ("27113001", "bodyweight"),
    ("276885007", "bodytemp"),
    ("363812007", "headcircum"),
    ("364075005", "heartrate"),
    ("386725007", "bodytemp"),
    ("442476006", "oxygensat"),
    ("50373000", "bodyheight"),
    ("60621009", "bmi"),
    ("86290005", "resprate"),
];

/// The implied profiles that do not depend on the content.
#[derive(Debug)]
pub(super) struct Implied {
    global: HashMap<Name, Vec<Box<str>>>,
    observation: Name,
}

impl Implied {
    /// Reads them from the guides at hand.
    pub fn of(definitions: &Definitions) -> Implied {
        let mut global: HashMap<Name, Vec<Box<str>>> = HashMap::new();
        let guides = definitions.canonicals("ImplementationGuide");
        let guides: Vec<_> =
            guides.iter().filter_map(|it| definitions.resource_of_type("ImplementationGuide", it)).collect();
        let mut needed = BTreeSet::new();
        for guide in &guides {
            for other in guide.root().get_key("dependsOn").into_iter().flat_map(Value::items) {
                let uri = other.get_key("uri").and_then(Value::as_str);
                needed.extend(uri.map(|uri| uri.split('|').next().unwrap_or_default().to_owned()));
            }
        }
        for guide in &guides {
            if guide.root().str_of(name::URL).is_some_and(|url| needed.contains(&*url)) {
                continue;
            }
            for rule in guide.root().get_key("global").into_iter().flat_map(Value::items) {
                let (Some(type_name), Some(profile)) = (rule.str_of(name::TYPE), rule.str_of(name::PROFILE))
                else {
                    continue;
                };
                let type_name = Name::of(&type_name);
                if type_name != Name::UNKNOWN {
                    global.entry(type_name).or_default().push((*profile).into());
                }
            }
        }
        Implied { global, observation: Name::of("Observation") }
    }

    /// True where resources of this type may have implied profiles.
    pub fn concerns(&self, type_name: Name) -> bool {
        type_name == self.observation || (!self.global.is_empty() && self.global.contains_key(&type_name))
    }
}

/// Checks a resource against the profiles that are implied for it.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, resource: Value<'d>) {
    if walk.full {
        return;
    }
    let Some(type_name) = resource.resource_type().map(|it| Name::of(&it)) else { return };
    let profiles = walk.profiles;
    let implied = profiles.implied(walk.types);
    for canonical in implied.global.get(&type_name).into_iter().flatten() {
        walk.conform(resource, canonical, false);
    }
    for (_, canonical) in walk.typed.iter().filter(|(own, _)| *own == type_name) {
        walk.conform(resource, canonical, true);
    }
    if type_name == implied.observation {
        for id in vital_signs(resource) {
            walk.conform(resource, &[STRUCTURE_BASE, id, "|4.0.1"].concat(), false);
        }
    }
}

/// The vital signs profiles of an Observation, by its codes.
fn vital_signs(observation: Value<'_>) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for coding in observation.path(&[name::CODE, name::CODING]) {
        let Some(code) = coding.str_of(name::CODE) else { continue };
        let table = match coding.get(name::SYSTEM) {
            Some(system) if system.is_str(LOINC) => LOINC_CODES,
            Some(system) if system.is_str(SNOMED) => SNOMED_CODES,
            _ => continue,
        };
        let at = table.binary_search_by(|(known, _)| (*known).cmp(&code)).ok();
        found.extend(at.and_then(|at| table.get(at)).map(|(_, profile)| *profile));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    #[test]
    fn each_vital_sign_has_a_profile_that_demands_one_of_its_codes() {
        assert!(LOINC_CODES.is_sorted() && SNOMED_CODES.is_sorted());
        let definitions = Definitions::r4();
        for (code, id) in LOINC_CODES.iter().chain(SNOMED_CODES) {
            let profile = definitions.structure(&[STRUCTURE_BASE, id, "|4.0.1"].concat()).unwrap();
            let path = "Observation.code.coding.code";
            let demanded: Vec<_> = profile
                .elements
                .iter()
                .filter(|it| it.path == path)
                .filter_map(|it| it.fixed.as_ref())
                .map(|it| it.json.trim_matches('"').to_owned())
                .collect();
            let table = |it: &String| LOINC_CODES.iter().any(|(code, own)| code == it && own == id);
            assert!(demanded.iter().any(table), "{code}: {id} demands {demanded:?}");
        }
    }

    #[test]
    fn the_code_tells_the_vital_sign_and_the_system_counts() {
        let profiles = |text: &str| {
            let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
            vital_signs(document.root()).into_iter().collect::<Vec<_>>()
        };
        let observation = |system: &str, code: &str| {
            format!(
                r#"{{"resourceType":"Observation","code":{{"coding":[{{"system":"{system}","code":"{code}"}}]}}}}"#
            )
        };
        assert_eq!(profiles(&observation(LOINC, "8310-5")), ["bodytemp"]);
        assert_eq!(profiles(&observation(SNOMED, "276885007")), ["bodytemp"]);
        assert!(profiles(&observation(SNOMED, "8310-5")).is_empty());
        assert!(profiles(&observation(LOINC, "718-7")).is_empty());
        assert!(profiles(r#"{"resourceType":"Observation"}"#).is_empty());
    }
}
