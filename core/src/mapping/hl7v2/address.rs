//! Where each resource of a transaction goes (FHIR R4 §3.1.0.11.2): `entry.request`.
//!
//! A Patient or Encounter with an identifier that has a system is updated by it, or created where there is none; what else
//! has such an identifier is created unless it is there already; the rest is created.

use fhir_models::document::{Edits, JsonWriter, Limits, OwnedDocument, Value, name};

/// Types of which a message says how they stand now.
const UPDATED: &[&str] = &["Patient", "Encounter", "Appointment", "DiagnosticReport"];

/// The Bundle with a request in each entry.
pub(super) fn addressed(bundle: &str) -> Result<String, String> {
    let document =
        OwnedDocument::parse_json(bundle, &Limits::default()).map_err(|error| error.to_string())?;
    let mut edits = Edits::new(document.document());
    for entry in document.root().get(name::ENTRY).into_iter().flat_map(Value::items) {
        let Some(resource) = entry.get(name::RESOURCE) else { continue };
        let Some(resource_type) = resource.resource_type() else { continue };
        let criteria = criteria(resource);
        let update = UPDATED.contains(&&*resource_type);
        let mut writer = JsonWriter::new();
        writer.key("request").begin_object();
        match criteria {
            Some(criteria) if update => {
                writer.member("method", "PUT");
                writer.member("url", &format!("{resource_type}?{criteria}"));
            }
            criteria => {
                writer.member("method", "POST");
                writer.member("url", &resource_type);
                if let Some(criteria) = criteria {
                    writer.member("ifNoneExist", &criteria);
                }
            }
        }
        writer.end_object();
        edits.append(entry, &writer.into_bytes());
    }
    String::from_utf8(edits.apply()).map_err(|error| error.to_string())
}

/// `identifier=system|value` of the identifier that names the resource best: one that is valid in the whole
/// country before one of a hospital.
fn criteria(resource: Value<'_>) -> Option<String> {
    let identifiers = resource.get(name::IDENTIFIER).into_iter().flat_map(Value::items);
    let usable = identifiers.filter_map(|identifier| {
        let (system, value) = (identifier.str_of(name::SYSTEM)?, identifier.str_of(name::VALUE)?);
        let types =
            identifier.get(name::TYPE).into_iter().flat_map(|it| it.path(&[name::CODING, name::CODE]));
        let national = types.into_iter().any(|code| code.is_str("TAX"));
        Some((national, format!("identifier={}|{}", encoded(&system), encoded(&value))))
    });
    let all: Vec<_> = usable.collect();
    all.iter().find(|(national, _)| *national).or(all.first()).map(|(_, criteria)| criteria.clone())
}

/// Percent-encoded but for what RFC 3986 §2.3 leaves alone, with FHIR's own separators escaped (§3.1.1.4.0.1).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                out.push(char::from(byte));
            }
            b',' | b'|' | b'$' | b'\\' => out.push_str(&format!("%5C%{byte:02X}")),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
