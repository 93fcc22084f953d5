//! URIs of the namespaces that FHIR uses for identifiers: an OID or UUID stands behind `urn:` (FHIR R4 §2.24.0.1
//! `uri`; RFC 3061, RFC 4122). Capital digits in a UUID are let pass: comparing them is not asked here. A `canonical`
//! is a name compared as text, and what no definition answers to is told elsewhere.

use fhir_models::document::Value;
use fhir_models::primitive::Primitive;

use crate::outcome::IssueType;

use super::finding::Rule;
use super::walk::Walk;

/// True for the first letter of a URI that [`check`] may have something against.
pub(super) fn may_matter(first: Option<&u8>) -> bool {
    matches!(first, Some(b'u' | b'o'))
}

/// Checks a `uri`.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, value: Value<'d>) {
    let Some(message) = value.as_str().and_then(|text| fault(&text)) else { return };
    walk.report(value, value, Rule::Primitive.error(IssueType::Value, message));
}

fn fault(uri: &str) -> Option<&'static str> {
    // `urn:uuid:x#y` and `urn:oid:x|version` name a part or edition of it.
    let bare = uri.split(['#', '|']).next().unwrap_or_default();
    if bare.starts_with("oid:") {
        Some("an OID as a URI begins with urn:oid:")
    } else if bare.starts_with("uuid:") {
        Some("a UUID as a URI begins with urn:uuid:")
    } else if bare.starts_with("urn:oid:") && !Primitive::Oid.is_valid(bare) {
        Some("an OID is urn:oid: and numbers joined by dots, without leading zeros, the first 0, 1 or 2")
    } else if bare.starts_with("urn:uuid:") && !Primitive::Uuid.is_valid(&bare.to_ascii_lowercase()) {
        Some("a UUID is urn:uuid: and 8-4-4-4-12 hexadecimal digits")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn identifiers_stand_behind_their_namespace() {
        for right in [
            "urn:oid:2.16.840.1.113883.2.9.4.3.2",
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            "urn:uuid:0C3151BD-1CBF-4D64-B04D-CD9187A4C6E0",
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0#part",
            "urn:ietf:bcp:47",
            "http://example.it/oid:1",
        ] {
            assert_eq!(fault(right), None, "{right}");
        }
        for wrong in ["oid:1.2.3", "uuid:0c3151bd", "urn:oid:1.02.3", "urn:oid:abc", "urn:uuid:0c3151bd"] {
            assert!(fault(wrong).is_some(), "{wrong}");
        }
    }
}
