//! The type of a search parameter and what its expression gives (FHIR R4 §3.1.1.4.5 to §3.1.1.4.14).

use fhir_models::definition::Definitions;

/// True where a parameter of this type can compare values of this type, as far as FHIR says. What a search for an
/// extension compares is the extension's value.
pub(super) fn compares(definitions: &Definitions, kind: &str, type_name: &str) -> bool {
    let fitting: &[&str] = match kind {
        "number" => &["integer", "decimal"],
        "date" => &["date", "dateTime", "instant", "Period", "Timing"],
        "string" => &["string", "HumanName", "Address", "Annotation", "ContactPoint", "Attachment", "uri"],
        "token" => &[
            "Coding",
            "CodeableConcept",
            "Identifier",
            "ContactPoint",
            "boolean",
            "string",
            "uri",
            "code",
            "id",
        ],
        "reference" => &["Reference", "uri", "Resource"],
        "quantity" => &["Quantity", "Money", "Range", "SampledData", "Ratio"],
        "uri" => &["uri"],
        _ => return true,
    };
    let known = definitions.type_kind(type_name).is_some();
    !known || type_name == "Extension" || fitting.iter().any(|it| definitions.is_subtype(type_name, it))
}
