//! Whether a test applies to a server, by what the server declares (FHIR R4 §3.1.0.11).

use fhir_models::document::Value;

use super::model::AppliesWhen;

/// Why the test does not apply; `None` where it does.
pub(crate) fn does_not_apply(needs: &AppliesWhen, statement: Value<'_>) -> Option<String> {
    let servers: Vec<Value<'_>> = member(statement, "rest")
        .into_iter()
        .filter(|rest| rest.get_key("mode").is_none_or(|mode| mode.is_str("server")))
        .collect();
    let declares = |holders: &[Value<'_>], list: &str, key: &str, wanted: &str| {
        let items = holders.iter().flat_map(|holder| member(*holder, list));
        items.into_iter().any(|item| item.get_key(key).is_some_and(|own| own.is_str(wanted)))
    };
    for wanted in &needs.system_interactions {
        if !declares(&servers, "interaction", "code", wanted) {
            return Some(format!("the CapabilityStatement does not declare {wanted}"));
        }
    }
    let wanted_type = needs.resource_type.as_deref()?;
    let all = servers.iter().flat_map(|server| member(*server, "resource"));
    let resources: Vec<Value<'_>> =
        all.filter(|resource| resource.get_key("type").is_some_and(|own| own.is_str(wanted_type))).collect();
    if resources.is_empty() {
        return Some(format!("the CapabilityStatement does not declare {wanted_type}"));
    }
    for wanted in &needs.interactions {
        if !declares(&resources, "interaction", "code", wanted) {
            return Some(format!("the CapabilityStatement does not declare {wanted} of {wanted_type}"));
        }
    }
    for wanted in &needs.search_parameters {
        if !declares(&resources, "searchParam", "name", wanted) {
            return Some(format!(
                "the CapabilityStatement does not declare the search of {wanted_type} by {wanted}"
            ));
        }
    }
    if !needs.versioning.is_empty() {
        let levels = resources.iter().filter_map(|resource| resource.get_key("versioning")?.as_str());
        let declared = levels.into_iter().any(|own| needs.versioning.iter().any(|wanted| *wanted == own));
        if !declared {
            let wanted = needs.versioning.join(" or ");
            return Some(format!(
                "the CapabilityStatement does not declare versioning of {wanted_type} as {wanted}"
            ));
        }
    }
    None
}

fn member<'a>(value: Value<'a>, key: &str) -> Vec<Value<'a>> {
    value.get_key(key).into_iter().flat_map(Value::items).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn reason(needs: &str) -> Option<String> {
        let text = r#"{"resourceType":"CapabilityStatement","rest":[{"mode":"client","interaction":[{"code":"batch"}]},
            {"mode":"server","interaction":[{"code":"transaction"}],"resource":[{"type":"Patient","versioning":"versioned",
            "interaction":[{"code":"read"}],"searchParam":[{"name":"identifier","type":"token"}]}]}]}"#;
        let statement = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        does_not_apply(&serde_json::from_str(needs).unwrap(), statement.root())
    }

    #[test]
    fn what_is_declared_applies() {
        let needs = r#"{"type":"Patient","interactions":["read"],"search-parameters":["identifier"],
            "versioning":["versioned","versioned-update"],"system-interactions":["transaction"]}"#;
        assert_eq!(reason(needs), None);
    }

    #[test]
    fn what_is_not_declared_is_named() {
        for (needs, named) in [
            (r#"{"system-interactions":["batch"]}"#, "batch"),
            (r#"{"type":"Consent"}"#, "Consent"),
            (r#"{"type":"Patient","interactions":["read","delete"]}"#, "delete of Patient"),
            (r#"{"type":"Patient","search-parameters":["name"]}"#, "Patient by name"),
            (r#"{"type":"Patient","versioning":["versioned-update"]}"#, "versioned-update"),
        ] {
            let reason = reason(needs).unwrap();
            assert!(reason.contains(named), "{reason}");
        }
    }
}
