//! Leaves of a resource what a delivery needs: who, where, when and what. For suppliers and couriers of home care, who
//! must bring an oxygen concentrator to a door and need no diagnosis (GDPR article 5(1)(c), data minimisation).
//!
//! It is a transform: it sees each resource that may leave, after the decision about it. The setting `elements` lists by
//! resource type what stays; `resourceType`, `id` and the dates of `meta` always do. A type that isn't listed keeps its
//! id alone, so that a new kind of resource leaks nothing. `resourceType` and `id` aside, a primitive's `_name` stays with
//! its `name`.

use varco_plugin::json::{Edit, NotJson, Place, Value, rewrite};
use varco_plugin::{Context, StatusHint, Verdict, count, refuse, settings};

/// What a client needs to handle a resource at all.
const ALWAYS: [&str; 4] = ["resourceType", "id", "meta.versionId", "meta.lastUpdated"];

/// Cuts what isn't listed.
pub fn transform(_context: &Context, resource: &[u8]) -> Verdict {
    let text = settings();
    match slice(resource, text.as_bytes()) {
        Ok(Some(body)) => Verdict::Replace(body),
        Ok(None) => Verdict::Pass,
        Err(NotJson) => refuse(
            StatusHint::Unprocessable,
            "structure",
            "The resource is not JSON, so it can't be cut to what a delivery needs.",
        ),
    }
}

varco_plugin::export!(transform: transform);

fn slice(resource: &[u8], settings: &[u8]) -> Result<Option<Vec<u8>>, NotJson> {
    let own_type = Value::new(resource)?.str("resourceType").ok_or(NotJson)?;
    let elements = Value::new(settings)?.get("elements").and_then(|elements| elements.get(&own_type));
    if elements.is_none() {
        count("emptied", 1);
    }
    let listed: Vec<String> = elements
        .map(|elements| elements.items().into_iter().filter_map(Value::as_str).map(String::from).collect())
        .unwrap_or_default();
    let stays: Vec<&str> = ALWAYS.into_iter().chain(listed.iter().map(String::as_str)).collect();
    rewrite(resource, |place, value| edit(&stays, place, value))
}

fn edit(stays: &[&str], place: &Place<'_>, value: Value<'_>) -> Edit {
    let own = || place.names().map(|name| name.strip_prefix('_').unwrap_or(name));
    if stays.iter().any(|path| path.split('.').eq(own())) {
        return Edit::Keep;
    }
    let leads_to = |path: &&str| {
        let mut steps = path.split('.');
        own().all(|name| steps.next() == Some(name))
    };
    if (value.is_object() || value.is_array()) && stays.iter().any(leads_to) {
        Edit::Enter
    } else {
        Edit::Cut
    }
}

#[cfg(test)]
mod tests {
    use varco_plugin::testing;

    use super::*;

    const SETTINGS: &str =
        r#"{"elements":{"Patient":["name","birthDate"],"Appointment":["start","participant.actor"]}}"#;

    fn sliced(resource: &str) -> (String, u64) {
        let mut left = String::new();
        let seen = testing::Gateway::new().settings(SETTINGS).run(|| {
            left = match transform(&testing::response("Patient"), resource.as_bytes()) {
                Verdict::Replace(body) => String::from_utf8(body).unwrap_or_default(),
                Verdict::Pass => resource.to_owned(),
                Verdict::Refuse(refusal) => refusal.code,
            };
        });
        (left, seen.counts.get("emptied").copied().unwrap_or_default())
    }

    #[test]
    fn a_patient_keeps_what_is_listed_and_its_id() {
        let patient = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"2","security":[{"code":"R"}]},"name":[{"family":"Rossi"}],"birthDate":"1970","_birthDate":{"id":"x"},"maritalStatus":{"text":"x"}}"#;
        let left = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"2"},"name":[{"family":"Rossi"}],"birthDate":"1970","_birthDate":{"id":"x"}}"#;
        assert_eq!(sliced(patient), (left.to_owned(), 0));
    }

    #[test]
    fn a_path_goes_through_arrays() {
        let appointment = r#"{"resourceType":"Appointment","reasonCode":[{"text":"cancer"}],"start":"2026-01-01T10:00:00Z","participant":[{"type":[{"text":"x"}],"actor":{"reference":"Patient/p"}},{"status":"accepted"}]}"#;
        let left = r#"{"resourceType":"Appointment","start":"2026-01-01T10:00:00Z","participant":[{"actor":{"reference":"Patient/p"}}]}"#;
        assert_eq!(sliced(appointment), (left.to_owned(), 0));
    }

    #[test]
    fn a_type_that_is_not_listed_keeps_its_id_alone_and_is_counted() {
        let condition = r#"{"resourceType":"Condition","id":"c","code":{"text":"asthma"},"name":"x"}"#;
        assert_eq!(sliced(condition), (r#"{"resourceType":"Condition","id":"c"}"#.to_owned(), 1));
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        assert_eq!(sliced("{}").0, "structure");
        assert_eq!(sliced("[").0, "structure");
    }
}
