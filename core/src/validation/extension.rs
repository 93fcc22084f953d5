//! The form of an extension: an absolute `url`, and either a value or nested extensions (FHIR R4 §2.5,
//! invariant `ext-1`). Inside an extension, the definition of the outer one gives meaning to a bare name.

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::finding::Rule;
use super::walk::Walk;

/// Checks an extension whose members have been checked. `nested`: it stands inside another extension.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, nested: bool) {
    let (mut url, mut inner, mut value) = (None, false, false);
    for member in extension.children() {
        match member.name() {
            name::URL => url = Some(member),
            name::EXTENSION => inner = true,
            name::ID => {}
            // What is no `value[x]` has been reported as unknown.
            _ => value = true,
        }
    }
    if inner == value {
        let message = if inner {
            "an extension has either a value or nested extensions, not both (ext-1)"
        } else {
            "an extension needs a value or nested extensions (ext-1)"
        };
        walk.report(extension, extension, Rule::Extension.error(IssueType::Invariant, message));
    }
    if !nested || url.is_some_and(|url| url.raw().contains(':')) {
        walk.extensions.push(extension);
    }
    if nested {
        return;
    }
    if let Some(url) = url
        && let Some(text) = url.as_str()
        && !is_absolute(&text)
    {
        if text.is_empty() {
            let message =
                "an extension without a url has no meaning: write the canonical URL of its definition";
            return walk.report(extension, url, Rule::Extension.error(IssueType::Required, message));
        }
        let message = "the url of an extension must be absolute: the canonical URL of its definition";
        walk.report(extension, url, Rule::Extension.error(IssueType::Value, message));
    }
}

/// True for a URI with a scheme (RFC 3986 §3.1).
pub(super) fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    !rest.is_empty()
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
