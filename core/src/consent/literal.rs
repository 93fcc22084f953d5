//! Literal references, compared without a network (FHIR R4 §2.3.0.1).
//!
//! Invariant: [`LiteralReference::same`] says yes or no only where the two texts prove it. `Patient/1` and
//! `https://a.example/fhir/Patient/1` may or may not be one resource: that is undecided.

use super::Match;

/// A reference that points at one resource: `Type/id`, an absolute URL, or a `urn:uuid:` / `urn:oid:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LiteralReference {
    /// The reference as it is compared, without any version.
    text: Box<str>,
    /// Where `Type/id` begins in `text`; `None` for a URN.
    relative: Option<u32>,
}

impl LiteralReference {
    /// Reads a reference; a version (`/_history/…`) is dropped. `None` for fragments, searches, canonical URLs
    /// without a type and id, and anything else that does not name one resource.
    pub fn parse(text: &str) -> Option<LiteralReference> {
        LiteralReference::parse_at(text, &[])
    }

    /// The same, with the base URLs of the server at hand: an absolute URL under one of them becomes relative.
    pub fn parse_at(text: &str, bases: &[String]) -> Option<LiteralReference> {
        if let Some(rest) = text.strip_prefix("urn:uuid:").or_else(|| text.strip_prefix("urn:oid:")) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            let urn = !rest.is_empty() && rest.len() <= 128 && rest.bytes().all(plain);
            return urn.then(|| LiteralReference { text: text.to_ascii_lowercase().into(), relative: None });
        }
        let unversioned = match text.rsplit_once("/_history/") {
            Some((resource, version)) if is_id(version) => resource,
            Some(_) => return None,
            None => text,
        };
        let (before, id) = unversioned.rsplit_once('/')?;
        let (base, kind) = match before.rsplit_once('/') {
            Some((base, kind)) => (Some(base), kind),
            None => (None, before),
        };
        if !is_type(kind) || !is_id(id) {
            return None;
        }
        let local = |base: &str| bases.iter().any(|own| own.trim_end_matches('/') == base);
        match base {
            Some(base) if !is_base(base) => None,
            Some(base) if !local(base) => {
                let relative = u32::try_from(base.len() + 1).ok()?;
                Some(LiteralReference { text: unversioned.into(), relative: Some(relative) })
            }
            _ => LiteralReference::of(kind, id),
        }
    }

    /// The reference to a resource of the server at hand; `None` where the one is no type or the other no id.
    pub fn of(kind: &str, id: &str) -> Option<LiteralReference> {
        let sound = is_type(kind) && is_id(id);
        sound.then(|| LiteralReference { text: [kind, "/", id].concat().into(), relative: Some(0) })
    }

    /// The reference's text, without a version; relative where it points at the server at hand.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The type of the resource it points at; `None` for a URN.
    pub fn resource_type(&self) -> Option<&str> {
        self.type_and_id()?.split_once('/').map(|(kind, _)| kind)
    }

    /// Whether the two point at one resource.
    pub fn same(&self, other: &LiteralReference) -> Match {
        if self.text == other.text {
            return Match::Yes;
        }
        match (self.relative, other.relative) {
            (Some(0), Some(0)) | (None, None) => Match::No,
            (Some(own), Some(theirs)) if own > 0 && theirs > 0 => Match::No,
            (Some(_), Some(_)) if self.type_and_id() != other.type_and_id() => Match::No,
            _ => Match::Undecided,
        }
    }

    fn type_and_id(&self) -> Option<&str> {
        self.text.get(self.relative? as usize..)
    }
}

/// A resource type's spelling: a capital and letters.
fn is_type(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// FHIR's `id`: 1 to 64 letters, digits, hyphens and dots.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn is_base(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['?', '#', ' ', '@']))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> Match {
        LiteralReference::parse(a).unwrap().same(&LiteralReference::parse(b).unwrap())
    }

    #[test]
    fn equal_and_different_references_are_told_apart() {
        assert_eq!(same("Patient/1", "Patient/1"), Match::Yes);
        assert_eq!(same("Patient/1/_history/2", "Patient/1"), Match::Yes);
        assert_eq!(same("Patient/1", "Patient/2"), Match::No);
        assert_eq!(same("Patient/1", "Practitioner/1"), Match::No);
        assert_eq!(same("https://a.example/fhir/Patient/1", "https://a.example/fhir/Patient/1"), Match::Yes);
        assert_eq!(same("https://a.example/fhir/Patient/1", "https://b.example/fhir/Patient/1"), Match::No);
    }

    #[test]
    fn what_the_text_cannot_prove_is_undecided() {
        assert_eq!(same("Patient/1", "https://a.example/fhir/Patient/1"), Match::Undecided);
        assert_eq!(same("Patient/2", "https://a.example/fhir/Patient/1"), Match::No);
        assert_eq!(same("urn:uuid:0b8f", "Patient/1"), Match::Undecided);
        assert_eq!(same("urn:uuid:0B8F", "urn:uuid:0b8f"), Match::Yes);
    }

    #[test]
    fn local_urls_become_relative() {
        let bases = vec!["https://h1.example/fhir/".to_owned()];
        let at = |text| LiteralReference::parse_at(text, &bases).unwrap();
        assert_eq!(at("https://h1.example/fhir/Patient/1").as_str(), "Patient/1");
        assert_eq!(at("https://h1.example/fhir2/Patient/1").as_str(), "https://h1.example/fhir2/Patient/1");
        assert_eq!(at("https://h1.example.evil.org/fhir/Patient/1").resource_type(), Some("Patient"));
        assert_ne!(at("https://h1.example.evil.org/fhir/Patient/1").as_str(), "Patient/1");
    }

    #[test]
    fn unknown_forms_are_no_references() {
        for text in [
            "",
            "#p",
            "Patient",
            "Patient/",
            "patient/1",
            "Patient?identifier=1",
            "Patient/a b",
            "/Patient/1",
            "ftp://x/Patient/1",
            "https:///Patient/1",
            "https://u@h.example/Patient/1",
            "Patient/1/_history/",
            "x/Patient/1",
            "urn:uuid:",
            "urn:isbn:1",
            "Patient/1/name",
        ] {
            assert_eq!(LiteralReference::parse(text), None, "{text}");
        }
    }
}
