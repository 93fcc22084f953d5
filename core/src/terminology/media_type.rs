//! Media types (RFC 6838 §4.2, RFC 2045 §5.1), system `urn:ietf:bcp:13`.
//!
//! The grammar decides, and the registered top-level types. Which subtypes are registered is not asked: too
//! many that are used are not.

use fhir_models::definition::Membership;

const TOP_LEVEL: &[&str] = &[
    "application",
    "audio",
    "example",
    "font",
    "haptics",
    "image",
    "message",
    "model",
    "multipart",
    "text",
    "video",
];

/// Short names that FHIR allows beside them for its own formats (FHIR R4 §3.1.0.1.11).
const FORMATS: &[&str] = &["xml", "json", "ttl", "html"];

/// Longest name of a type or subtype.
const LONGEST: usize = 127;

/// Whether a text is a media type.
pub(super) fn membership(text: &str) -> Membership {
    let (name, parameters) = match text.split_once(';') {
        Some((name, parameters)) => (name.trim_end_matches([' ', '\t']), Some(parameters)),
        None => (text, None),
    };
    let Some((top, sub)) = name.split_once('/') else {
        return if FORMATS.contains(&text) { Membership::Member } else { Membership::NotMember };
    };
    if top == "*" || sub == "*" {
        // A range, as `Accept` has it: not a type.
        return Membership::Unknown;
    }
    if !is_name(top) || !is_name(sub) {
        return Membership::NotMember;
    }
    if !parameters.is_none_or(are_parameters) {
        // Parameters say more of the same type; those out of form are common and are passed over.
        return Membership::Unknown;
    }
    if TOP_LEVEL.iter().any(|known| known.eq_ignore_ascii_case(top)) {
        Membership::Member
    } else if top.len() > 2 && top.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        || top.eq_ignore_ascii_case("chemical")
    {
        // Used without registration.
        Membership::Unknown
    } else {
        Membership::NotMember
    }
}

/// `restricted-name`.
fn is_name(text: &str) -> bool {
    let more = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    text.len() <= LONGEST
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(more)
}

/// `name=value` pairs between semicolons; a value is a token or a quoted text.
fn are_parameters(text: &str) -> bool {
    let token = |byte: &u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(byte);
    let mut rest = text.as_bytes();
    loop {
        while let Some((b' ' | b'\t', after)) = rest.split_first() {
            rest = after;
        }
        let name = rest.iter().take_while(|byte| token(byte)).count();
        let Some((b'=', after)) = rest.get(name..).and_then(<[u8]>::split_first).filter(|_| name > 0) else {
            // A semicolon at the end is common, and harmless.
            return rest.is_empty();
        };
        rest = after;
        let value = if rest.first() == Some(&b'"') {
            let mut at = 1;
            loop {
                match rest.get(at) {
                    Some(b'"') => break at + 1,
                    Some(b'\\') => at += 2,
                    Some(_) => at += 1,
                    None => return false,
                }
            }
        } else {
            rest.iter().take_while(|byte| token(byte) || **byte == b'/' || **byte == b':').count()
        };
        if value == 0 {
            return false;
        }
        rest = rest.get(value..).unwrap_or_default();
        while let Some((b' ' | b'\t', after)) = rest.split_first() {
            rest = after;
        }
        match rest.split_first() {
            None => return true,
            Some((b';', after)) => rest = after,
            Some(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn media_types() {
        for text in [
            "application/pdf",
            "text/plain;charset=utf-8",
            "application/fhir+json; fhirVersion=4.0",
            "image/svg+xml",
            "xml",
            "multipart/related; type=\"application/dicom+json\"; boundary=x",
            "Application/PDF",
            "text/html; charset=\"a\\\"b\"",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "text/cql;",
        ] {
            assert_eq!(membership(text), Membership::Member, "{text}");
        }
        assert_eq!(membership("chemical/x-pdb"), Membership::Unknown);
        assert_eq!(membership("x-world/x-3dmf"), Membership::Unknown);
        assert_eq!(membership("image/*"), Membership::Unknown);
        for text in [
            "text/plain; charset",
            "text/plain; =x",
            "text/plain; a=\"b",
            "application/dicom; variant=DICOM X",
        ] {
            assert_eq!(membership(text), Membership::Unknown, "{text}");
        }
    }

    #[test]
    fn no_media_types() {
        for text in
            ["pdf", "", "/", "text/", "/plain", "text plain", "foo/bar", "text/pl ain", "text/a/b", "+x/y"]
        {
            assert_eq!(membership(text), Membership::NotMember, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,40}|[a-z/;=\" \\\\.]{0,40}") {
            let _ = membership(&text);
        }
    }
}
