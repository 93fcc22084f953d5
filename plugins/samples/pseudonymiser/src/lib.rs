//! Puts keyed pseudonyms in the place of identifiers, for exchanges that must tell persons apart and not know them.
//!
//! It is a transform: it sees each resource that may leave, after the decision about it. At any depth
//!
//! * an `Identifier` (R4 2.24.0.15) with a `value` gets the pseudonym of system and value, and the system
//!   `PREFIX` + its own, so that nobody takes it for the original. Its `assigner` and its other parts stay, but for
//!   extensions and `_value`, which may repeat the value;
//! * what names or reaches a person goes: `name` where it is a HumanName or that of a person's resource, `telecom`,
//!   `address`, `photo`, `contact`, narratives (`text`), and `display` of references. Organisations, locations and
//!   devices keep theirs;
//! * `birthDate` and `deceasedDateTime` keep the year.
//!
//! The logical `id` and references by it stay: the gateway's contract demands it, and links would break. A site that
//! must hide ids too gives its resources opaque ones. The same value gives the same pseudonym wherever the key is the
//! same; the key never leaves the gateway.
//!
//! Settings: `prefix`, `keep_systems`, `keep_dates`.

use varco_plugin::json::{Edit, NotJson, Place, Value, quote, rewrite};
use varco_plugin::{Context, StatusHint, Verdict, count, pseudonym, refuse, settings};

/// Identifiers that one resource may have.
const IDENTIFIERS: u32 = 1000;
/// Members that name or reach a person, in every resource.
const PERSONAL: [&str; 5] = ["telecom", "address", "photo", "contact", "text"];
/// Resources whose `name` is that of a person.
const PERSONS: [&str; 4] = ["Patient", "Person", "RelatedPerson", "Practitioner"];
/// Resources that have name and address and are no persons.
const THINGS: [&str; 5] = ["Organization", "Location", "Device", "Endpoint", "HealthcareService"];

/// Makes the resource pseudonymous.
pub fn transform(_context: &Context, resource: &[u8]) -> Verdict {
    let text = settings();
    match pseudonymous(resource, text.as_bytes()) {
        Ok((_, identifiers)) if identifiers > IDENTIFIERS => refuse(
            StatusHint::Unprocessable,
            "too-costly",
            "The resource has more than 1000 identifiers: too many to make pseudonyms of.",
        ),
        Ok((Some(body), identifiers)) => {
            if identifiers > 0 {
                count("identifiers", identifiers);
            }
            Verdict::Replace(body)
        }
        Ok((None, _)) => Verdict::Pass,
        Err(NotJson) => refuse(
            StatusHint::Unprocessable,
            "structure",
            "The resource is not JSON, so it can't be made pseudonymous.",
        ),
    }
}

varco_plugin::export!(transform: transform);

struct Rules {
    prefix: String,
    keep_systems: Vec<String>,
    keep_dates: bool,
    is_person: bool,
    is_thing: bool,
}

/// What is known on the way through a resource.
#[derive(Default)]
struct Walk {
    identifiers: u32,
    /// By depth: whether the object there has a code or a system, as a Coding has and a Reference has not.
    coded: Vec<bool>,
}

fn pseudonymous(resource: &[u8], settings: &[u8]) -> Result<(Option<Vec<u8>>, u32), NotJson> {
    let (root, settings) = (Value::new(resource)?, Value::new(settings)?);
    let rules = Rules {
        prefix: settings
            .str("prefix")
            .map_or_else(|| "urn:varco:pseudonym:".to_owned(), |text| text.into_owned()),
        keep_systems: settings
            .get("keep_systems")
            .map(|systems| {
                systems.items().into_iter().filter_map(|item| item.as_str()).map(String::from).collect()
            })
            .unwrap_or_default(),
        keep_dates: settings.get("keep_dates").and_then(Value::bytes) == Some(b"true"),
        is_person: root.str("resourceType").is_some_and(|own| PERSONS.contains(&&*own)),
        is_thing: root.str("resourceType").is_some_and(|own| THINGS.contains(&&*own)),
    };
    let mut walk = Walk::default();
    let edited = rewrite(resource, |place, value| rules.edit(place, value, &mut walk))?;
    Ok((edited, walk.identifiers))
}

impl Rules {
    fn edit(&self, place: &Place<'_>, value: Value<'_>, walk: &mut Walk) -> Edit {
        let name = place.name();
        let depth = place.steps().len();
        walk.coded.resize(depth, false);
        walk.coded.push(value.get("code").is_some() || value.get("system").is_some());
        match name {
            "identifier" | "masterIdentifier" | "groupIdentifier" if value.is_object() => {
                walk.identifiers = walk.identifiers.saturating_add(1);
                if walk.identifiers > IDENTIFIERS {
                    // The resource is refused as a whole.
                    return Edit::Keep;
                }
                self.identifier(value).map_or(Edit::Enter, Edit::Replace)
            }
            // A narrative, not the text of a CodeableConcept.
            "text" if !value.is_object() => Edit::Keep,
            "address" | "telecom" | "contact" if self.is_thing => Edit::Keep,
            _ if PERSONAL.contains(&name) => Edit::Cut,
            "name" | "_name" if self.is_person || is_human_name(value) => Edit::Cut,
            "display" | "_display" if !coded(walk, depth) => Edit::Cut,
            "birthDate" | "deceasedDateTime" if !self.keep_dates => match value.as_str() {
                Some(date) if date.len() > 4 => {
                    date.get(..4).map_or(Edit::Cut, |year| Edit::Replace(quote(year)))
                }
                _ => Edit::Keep,
            },
            // Extensions of a date repeat its time; those of an identifier are dealt with above.
            "_birthDate" | "_deceasedDateTime" if !self.keep_dates => Edit::Cut,
            _ => Edit::Enter,
        }
    }

    /// The identifier with its pseudonym. Nothing where there is no value or its system is kept.
    fn identifier(&self, identifier: Value<'_>) -> Option<Vec<u8>> {
        let value = identifier.str("value")?;
        let system = identifier.str("system").unwrap_or_default();
        if self.keep_systems.iter().any(|kept| *kept == system) {
            return None;
        }
        let mut out = b"{".to_vec();
        for (name, part) in identifier.members() {
            let replacement = match &*name {
                "system" => quote(&format!("{}{system}", self.prefix)),
                "value" => quote(&pseudonym(&system, &value)),
                // These may repeat the value, or say who the person is.
                "extension" | "_value" | "_system" | "id" => continue,
                _ => part.bytes()?.to_vec(),
            };
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(&quote(&name));
            out.push(b':');
            out.extend_from_slice(&replacement);
        }
        if system.is_empty() {
            out.extend_from_slice(b",\"system\":");
            out.extend_from_slice(&quote(&self.prefix));
        }
        out.push(b'}');
        Some(out)
    }
}

/// Whether the object that holds the member at `depth` is coded.
fn coded(walk: &Walk, depth: usize) -> bool {
    depth.checked_sub(1).and_then(|above| walk.coded.get(above)).copied().unwrap_or(false)
}

fn is_human_name(value: Value<'_>) -> bool {
    let human = |value: &Value<'_>| {
        ["family", "given", "prefix", "suffix"].iter().any(|part| value.get(part).is_some())
    };
    if value.is_array() { value.items().iter().any(human) } else { human(&value) }
}

#[cfg(test)]
mod tests {
    use varco_plugin::testing;

    use super::*;

    fn transformed(resource: &str, settings: &str) -> String {
        let mut left = String::new();
        testing::Gateway::new().settings(settings).run(|| {
            left = match transform(&testing::response("Patient"), resource.as_bytes()) {
                Verdict::Replace(body) => String::from_utf8(body).unwrap_or_default(),
                Verdict::Pass => resource.to_owned(),
                Verdict::Refuse(refusal) => refusal.code,
            };
        });
        left
    }

    fn expected(system: &str, value: &str) -> String {
        varco_plugin::pseudonym(system, value)
    }

    #[test]
    fn a_patient_leaves_with_a_pseudonym_and_a_year() {
        let patient = r#"{"resourceType":"Patient","id":"p1","identifier":[{"use":"official","system":"urn:cf","value":"RSSMRA70A41F205Z"}],"name":[{"family":"Rossi"}],"telecom":[{"value":"1"}],"gender":"female","birthDate":"1970-01-01"}"#;
        let pseudonym = expected("urn:cf", "RSSMRA70A41F205Z");
        assert_eq!(
            transformed(patient, "{}"),
            format!(
                r#"{{"resourceType":"Patient","id":"p1","identifier":[{{"use":"official","system":"urn:varco:pseudonym:urn:cf","value":"{pseudonym}"}}],"gender":"female","birthDate":"1970"}}"#
            )
        );
    }

    #[test]
    fn the_same_person_has_the_same_pseudonym_in_a_reference() {
        let observation = r#"{"resourceType":"Observation","subject":{"identifier":{"system":"urn:cf","value":"X"},"display":"Maria Rossi"},"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Haemoglobin"}],"text":"Hb"},"valueQuantity":{"value":13.50}}"#;
        let left = transformed(observation, "{}");
        assert!(left.contains(&expected("urn:cf", "X")), "{left}");
        assert!(!left.contains("Rossi") && left.contains("Haemoglobin") && left.contains("13.50"), "{left}");
        assert!(left.contains(r#""text":"Hb""#), "{left}");
    }

    #[test]
    fn settings_keep_what_an_operator_needs() {
        let order = r#"{"resourceType":"ServiceRequest","identifier":[{"system":"urn:orders","value":"7"}]}"#;
        assert_eq!(transformed(order, r#"{"keep_systems":["urn:orders"]}"#), order);
        let dated = r#"{"resourceType":"Patient","birthDate":"1970-01-01"}"#;
        assert_eq!(transformed(dated, r#"{"keep_dates":true}"#), dated);
        let organisation = r#"{"resourceType":"Organization","name":"ASL Roma 1"}"#;
        assert_eq!(transformed(organisation, "{}"), organisation);
    }

    #[test]
    fn escapes_do_not_hide_an_identifier() {
        let patient = r#"{"resourceType":"Patient","\u0069dentifier":[{"v\u0061lue":"X"}]}"#;
        assert!(transformed(patient, "{}").contains(&expected("", "X")));
        assert_eq!(transformed("{\"a\":", "{}"), "structure");
    }

    #[test]
    fn a_resource_with_thousands_of_identifiers_is_refused() {
        let many = vec![r#"{"value":"x"}"#; 1001].join(",");
        assert_eq!(transformed(&format!(r#"{{"identifier":[{many}]}}"#), "{}"), "too-costly");
    }

    #[test]
    fn system_and_value_are_told_apart() {
        assert_ne!(expected("a", "bc"), expected("ab", "c"));
    }
}
