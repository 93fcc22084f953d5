//! A request's path as a template, for traces and the access log: `/fhir/Patient/{id}`.
//!
//! Invariant: what stands in a template is fixed or a resource type of the schema; ids, versions and queries never do.

use varco_core::interaction::{HistoryOf, Interaction};

/// The template of what the caller asked.
pub(super) fn of(interaction: &Interaction, base: &str) -> String {
    let kind = interaction.resource_type().map_or("", |kind| kind.as_str());
    let instance = interaction.instance().is_some();
    let below = match interaction {
        Interaction::Capabilities => "/metadata".to_owned(),
        Interaction::Batch | Interaction::Transaction => "/".to_owned(),
        Interaction::Vread(..) => format!("/{kind}/{{id}}/_history/{{vid}}"),
        Interaction::History(asked) => match asked.of {
            HistoryOf::Instance(_) => format!("/{kind}/{{id}}/_history"),
            HistoryOf::Type(_) => format!("/{kind}/_history"),
            HistoryOf::System => "/_history".to_owned(),
        },
        Interaction::Validate(_) if instance => format!("/{kind}/{{id}}/$validate"),
        Interaction::Validate(_) => format!("/{kind}/$validate"),
        Interaction::Transform(..) => format!("/{kind}/$transform"),
        Interaction::Translate(..) => format!("/{kind}/$translate"),
        Interaction::Match(..) => format!("/{kind}/$match"),
        Interaction::Everything(_) => "/Patient/{id}/$everything".to_owned(),
        Interaction::PatientSummary(_) => "/Patient/{id}/$summary".to_owned(),
        Interaction::LastN(_) => format!("/{kind}/$lastn"),
        Interaction::DocRef(_) => format!("/{kind}/$docref"),
        _ if instance => format!("/{kind}/{{id}}"),
        _ => format!("/{kind}"),
    };
    format!("{base}{below}")
}

/// The template of a path that this gateway wrote below the hospital's base: its first part is a type or an operation.
pub(super) fn of_path(path_and_query: &str) -> String {
    let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
    let mut told = String::with_capacity(path.len());
    for (at, part) in path.trim_start_matches('/').split('/').enumerate() {
        let kind = at == 0 && part.starts_with(|first: char| first.is_ascii_uppercase());
        let kind = kind && part.bytes().all(|byte| byte.is_ascii_alphanumeric()) && part.len() <= 64;
        let fixed = matches!(part, "" | "_search" | "_history" | "metadata");
        told.push('/');
        told.push_str(if kind || fixed { part } else { "{id}" });
    }
    told
}

/// A method of the caller: what stands in no list is `_OTHER` (semantic conventions for HTTP, `http.request.method`).
pub(super) fn method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

/// The version of HTTP.
pub(super) fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_2 => "2",
        http::Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::definition::Definitions;
    use varco_core::interaction::SearchSchema;

    use super::*;

    #[test]
    fn no_id_no_version_and_no_query_stands_in_a_template() {
        let schema = SearchSchema::from_definitions(Definitions::r4());
        for (method, path, query, told) in [
            ("GET", "/Patient/RSSMRA80A01H501U", None, "/fhir/Patient/{id}"),
            ("GET", "/Patient/rossi/_history/7", None, "/fhir/Patient/{id}/_history/{vid}"),
            ("GET", "/Patient/rossi/_history", None, "/fhir/Patient/{id}/_history"),
            ("GET", "/Patient", Some("family=Rossi"), "/fhir/Patient"),
            ("DELETE", "/Observation/o1", None, "/fhir/Observation/{id}"),
            ("GET", "/metadata", None, "/fhir/metadata"),
        ] {
            let interaction = Interaction::parse(method, path, query, None, &schema).unwrap();
            assert_eq!(of(&interaction, "/fhir"), told);
        }
    }

    #[test]
    fn a_path_of_our_own_loses_ids_and_its_query() {
        assert_eq!(of_path("/Patient/rossi?_elements=id"), "/Patient/{id}");
        assert_eq!(of_path("/Consent?patient=Patient/rossi"), "/Consent");
        assert_eq!(of_path("/Patient/a/_history/Rossi"), "/Patient/{id}/_history/{id}");
        assert_eq!(of_path(""), "/");
    }
}
