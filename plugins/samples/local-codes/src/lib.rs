//! Adds the standard code beside a local one, so that a receiver who doesn't know the laboratory's own codes
//! understands the result.
//!
//! It is an enrichment: it can only add. Each CodeableConcept with a local code of a system in the setting `maps`, and
//! without a code of the target's system, gets the targets of the operator's concept map whose equivalence is good enough
//! (`equal` and `equivalent`, unless `equivalences` says otherwise). The local code stays.

use varco_plugin::json::{Edit, NotJson, Value, quote, rewrite};
use varco_plugin::{
    Addition, Coding, Context, Refusal, StatusHint, Target, TranslateError, count, refusal, settings,
    translate,
};

/// Values that one call may add.
const ADDITIONS: usize = 100;

/// Translates the codes of a resource.
///
/// # Errors
///
/// A [`Refusal`] where the resource isn't JSON, or the operator gave no map of a name in the settings.
pub fn enrich(_context: &Context, resource: &[u8]) -> Result<Vec<Addition>, Refusal> {
    let text = settings();
    let broken = |NotJson| {
        refusal(
            StatusHint::Unprocessable,
            "structure",
            "The resource is not JSON, so its codes can't be read.",
        )
    };
    let maps = Maps::read(text.as_bytes()).map_err(broken)?;
    let mut concepts = Vec::new();
    rewrite(resource, |place, value| {
        if place.name() == "coding" && value.is_array() {
            concepts.push((place.path(), value));
            return Edit::Keep;
        }
        Edit::Enter
    })
    .map_err(broken)?;

    let mut additions = Vec::new();
    for (path, codings) in concepts {
        for coding in maps.targets(codings).map_err(without_map)? {
            if additions.len() < ADDITIONS {
                additions.push(Addition { path: format!("{path}[]"), value: json(&coding) });
            }
        }
    }
    count("translated", u32::try_from(additions.len()).unwrap_or(u32::MAX));
    Ok(additions)
}

varco_plugin::export!(enrich: enrich);

fn without_map(error: TranslateError) -> Refusal {
    match error {
        TranslateError::UnknownMap => refusal(
            StatusHint::Unprocessable,
            "not-found",
            "The gateway has no concept map of a name in the settings of the plugin local-codes: its operator must add it.",
        ),
        TranslateError::TooMany => refusal(
            StatusHint::Unprocessable,
            "too-costly",
            "The resource has more codes than can be translated.",
        ),
    }
}

struct Maps {
    by_system: Vec<(String, String)>,
    equivalences: Vec<String>,
}

impl Maps {
    fn read(settings: &[u8]) -> Result<Self, NotJson> {
        let settings = Value::new(settings)?;
        let by_system = settings.get("maps").map(Value::members).unwrap_or_default();
        let equivalences = settings.get("equivalences").map(Value::items);
        Ok(Self {
            by_system: by_system
                .into_iter()
                .filter_map(|(system, map)| Some((system.into_owned(), map.as_str()?.into_owned())))
                .collect(),
            equivalences: match equivalences {
                Some(listed) => listed.into_iter().filter_map(Value::as_str).map(String::from).collect(),
                None => vec!["equal".to_owned(), "equivalent".to_owned()],
            },
        })
    }

    /// What is to be added to these codings.
    fn targets(&self, codings: Value<'_>) -> Result<Vec<Coding>, TranslateError> {
        let there: Vec<(String, String)> = codings
            .items()
            .into_iter()
            .filter_map(|coding| Some((coding.str("system")?.into_owned(), coding.str("code")?.into_owned())))
            .collect();
        let mut added: Vec<Coding> = Vec::new();
        for (system, code) in &there {
            let Some((_, map)) = self.by_system.iter().find(|(own, _)| own == system) else { continue };
            let asked = Coding { system: Some(system.clone()), code: code.clone(), display: None };
            let targets = translate(map, &asked)?;
            let mut found = false;
            for coding in targets.into_iter().filter_map(|target| self.good(target)) {
                found = true;
                let known = |own: &Option<String>| own.is_some() && own == &coding.system;
                let is_there = there.iter().any(|(system, _)| known(&Some(system.clone())))
                    || added.iter().any(|earlier| earlier.code == coding.code && known(&earlier.system));
                if !is_there {
                    added.push(coding);
                }
            }
            if !found {
                count("without_target", 1);
            }
        }
        Ok(added)
    }

    fn good(&self, target: Target) -> Option<Coding> {
        self.equivalences.contains(&target.equivalence).then_some(target.coding).flatten()
    }
}

fn json(coding: &Coding) -> Vec<u8> {
    let parts = [
        ("system", coding.system.as_deref()),
        ("code", Some(&*coding.code)),
        ("display", coding.display.as_deref()),
    ];
    let mut out = b"{".to_vec();
    for (name, text) in parts.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&quote(name));
        out.push(b':');
        out.extend_from_slice(&quote(text));
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use varco_plugin::testing;

    use super::*;

    const LOINC: &str = "http://loinc.org";

    fn laboratory(map: &str, coding: &Coding) -> Result<Vec<Target>, TranslateError> {
        if map != "urn:map:lab" {
            return Err(TranslateError::UnknownMap);
        }
        let target = |equivalence: &str, code: &str| Target {
            equivalence: equivalence.to_owned(),
            coding: Some(Coding {
                system: Some(LOINC.to_owned()),
                code: code.to_owned(),
                display: Some("Hb \"x\"".to_owned()),
            }),
        };
        Ok(match coding.code.as_str() {
            "HB" => vec![target("equivalent", "718-7")],
            "WIDE" => vec![target("wider", "1-8")],
            _ => vec![Target { equivalence: "unmatched".to_owned(), coding: None }],
        })
    }

    fn added(resource: &str, settings: &str) -> (Result<Vec<Addition>, Refusal>, testing::Seen) {
        let mut given = Ok(Vec::new());
        let seen = testing::Gateway::new().settings(settings).translate(laboratory).run(|| {
            given = enrich(&testing::response("Observation"), resource.as_bytes());
        });
        (given, seen)
    }

    const SETTINGS: &str = r#"{"maps":{"urn:lab":"urn:map:lab"}}"#;

    #[test]
    fn a_local_code_gets_its_standard_code_at_its_place() {
        let observation = r#"{"resourceType":"Observation","component":[{},{"code":{"coding":[{"system":"urn:lab","code":"HB"}]}}]}"#;
        let (given, seen) = added(observation, SETTINGS);
        let given = given.unwrap();
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].path, "component[1].code.coding[]");
        assert_eq!(given[0].value, br#"{"system":"http://loinc.org","code":"718-7","display":"Hb \"x\""}"#);
        assert_eq!(seen.counts["translated"], 1);
    }

    #[test]
    fn a_code_of_the_system_that_is_there_already_is_not_doubled() {
        let observation = r#"{"code":{"coding":[{"system":"urn:lab","code":"HB"},{"system":"http://loinc.org","code":"1-8"}]}}"#;
        assert_eq!(added(observation, SETTINGS).0, Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_equivalent_is_added_only_where_the_operator_says_so() {
        let observation =
            r#"{"code":{"coding":[{"system":"urn:lab","code":"WIDE"},{"system":"urn:lab","code":"NONE"}]}}"#;
        let (given, seen) = added(observation, SETTINGS);
        assert_eq!((given, seen.counts["without_target"]), (Ok(Vec::new()), 2));
        let wider = r#"{"maps":{"urn:lab":"urn:map:lab"},"equivalences":["wider"]}"#;
        assert_eq!(added(observation, wider).0.unwrap().len(), 1);
    }

    #[test]
    fn a_map_that_is_missing_is_refused_by_name_of_the_plugin() {
        let observation = r#"{"code":{"coding":[{"system":"urn:lab","code":"HB"}]}}"#;
        let refused = added(observation, r#"{"maps":{"urn:lab":"urn:map:other"}}"#).0.unwrap_err();
        assert!(refused.diagnostics.contains("local-codes"), "{}", refused.diagnostics);
        assert_eq!(added("{", SETTINGS).0.unwrap_err().code, "structure");
    }
}
