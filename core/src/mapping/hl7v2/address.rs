//! Where each resource of a transaction goes (FHIR R4 §3.1.0.11.2): `entry.request`.
//!
//! A Patient or Encounter with an identifier that has a system is updated by it, or created where there is none; what else
//! has such an identifier is created unless it is there already; the rest is created, or, in [`repeatable`], created unless
//! the same message created it before.

use fhir_models::document::{Edits, JsonWriter, Limits, OwnedDocument, Value, name};
use sha2::{Digest, Sha256};

use crate::hl7v2::urn;

/// Types of which a message says how they stand now.
const UPDATED: &[&str] = &["Patient", "Encounter", "Appointment", "DiagnosticReport"];

/// The system of identifiers that are URNs (FHIR R4 §2.24.0.4).
const URN: &str = "urn:ietf:rfc:3986";

/// A transaction with the requests of its entries written anew, after identifiers were renamed in it, so that sending
/// it again changes nothing: an entry without an identifier of its own gets one, a UUID made from all bytes of the
/// message and from the entry's place there. The same message says the same again; another one, be it with
/// the same control id, does not.
///
/// # Errors
/// In words, where the Bundle can't be read.
pub fn repeatable(bundle: &str, message: &[u8]) -> Result<String, String> {
    let digest = Sha256::digest(message);
    let identity: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    written(bundle, Some(&identity))
}

/// The Bundle with a request in each entry.
pub(super) fn addressed(bundle: &str) -> Result<String, String> {
    written(bundle, None)
}

fn written(bundle: &str, identity: Option<&str>) -> Result<String, String> {
    let document =
        OwnedDocument::parse_json(bundle, &Limits::default()).map_err(|error| error.to_string())?;
    let mut edits = Edits::new(document.document());
    for entry in document.root().get(name::ENTRY).into_iter().flat_map(Value::items) {
        let Some(resource) = entry.get(name::RESOURCE) else { continue };
        let Some(resource_type) = resource.resource_type() else { continue };
        let update = UPDATED.contains(&&*resource_type);
        let own = identity.zip(entry.str_of(name::FULL_URL)).map(|(identity, url)| urn(identity, &url));
        let criteria = match (criteria(resource), own) {
            (None, Some(own)) => {
                identify(&mut edits, resource, &own);
                Some(format!("identifier={URN}|{own}"))
            }
            (criteria, _) => criteria,
        };
        let mut writer = JsonWriter::new();
        match entry.get(name::REQUEST) {
            Some(_) => writer.begin_object(),
            None => writer.key("request").begin_object(),
        };
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
        match entry.get(name::REQUEST) {
            Some(old) => edits.replace(old, writer.into_bytes()),
            None => edits.append(entry, &writer.into_bytes()),
        }
    }
    String::from_utf8(edits.apply()).map_err(|error| error.to_string())
}

/// Adds an identifier that is a URN.
fn identify(edits: &mut Edits<'_>, resource: Value<'_>, urn: &str) {
    let mut writer = JsonWriter::new();
    let identifiers = resource.get(name::IDENTIFIER).filter(|it| it.is_array());
    if identifiers.is_none() {
        writer.key("identifier").begin_array();
    }
    writer.begin_object().member("system", URN).member("value", urn).end_object();
    if identifiers.is_none() {
        writer.end_array();
    }
    edits.append(identifiers.unwrap_or(resource), &writer.into_bytes());
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
