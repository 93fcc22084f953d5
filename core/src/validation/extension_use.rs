//! Extensions against their definitions: known, at a place where they may stand, in the right list, and
//! with the content that the definition gives (FHIR R4 §2.5, §5.4 `StructureDefinition.context`).
//!
//! An extension that nobody here has defined can't be judged: in `extension` it may be ignored, in
//! `modifierExtension` it may not (FHIR R4 §2.5.1).

use std::sync::Arc;

use fhir_models::document::{Document, Value, name};

use crate::outcome::{IssueSeverity, IssueType};

use super::extension::is_absolute;
use super::finding::{Fault, Rule};
use super::locate::{Host, Locator};
use super::profile::{Occurrence, Profile, ProfileError, plain};
use super::walk::Walk;

/// Checks the extensions that the walk met.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, document: Document<'d>) {
    let mut extensions = std::mem::take(&mut walk.extensions);
    extensions.sort_by_key(|extension| extension.id());
    let mut locator = Locator::new(walk.types, document);
    for extension in extensions {
        if walk.full {
            return;
        }
        let Some(url) = extension.get(name::URL) else { continue };
        let Some(text) = url.as_str().filter(|text| is_absolute(text)) else { continue };
        match definition(walk, &text) {
            Ok(profile) => {
                if let Some(host) = locator.host(extension.id()) {
                    placed(walk, extension, &profile, &host);
                }
                walk.whole(Occurrence::of(extension), &profile);
                defined(walk, extension, &profile);
            }
            Err(ProfileError::Unknown) => {
                let host = locator.host(extension.id());
                if host.is_some_and(|host| host.under == Some(name::MODIFIER_EXTENSION))
                    && !is_spoken_for(&text)
                {
                    let message = format!(
                        "nothing is known of the modifier extension {}: it may change what the rest means, \
                         so its definition must be at hand",
                        plain(&text)
                    );
                    walk.report(extension, url, Rule::Extension.error(IssueType::Extension, message));
                }
            }
            Err(error) => {
                let message = format!("the extension {} was not checked: {error}", plain(&text));
                let fault = Fault {
                    rule: Rule::Definition,
                    severity: IssueSeverity::Warning,
                    code: IssueType::Exception,
                    message,
                };
                walk.report(extension, url, fault);
            }
        }
    }
}

/// The definition of an extension: that of R4 itself where R4 has one, not a later edition of it.
fn definition(walk: &Walk<'_, '_>, url: &str) -> Result<Arc<Profile>, ProfileError> {
    const OWN: &str = "http://hl7.org/fhir/StructureDefinition/";
    if url.starts_with(OWN)
        && let Ok(profile) = walk.profiles.get(walk.types, &[url, "|4.0.1"].concat())
    {
        return Ok(profile);
    }
    walk.profiles.get(walk.types, url)
}

/// True for the urls of documentation (RFC 2606 §3) and for those that FHIR gives to the elements of its
/// other versions (FHIR R5 §2.1.6.5): unknown here, but nobody's mistake.
fn is_spoken_for(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let example = ["example.org", "example.com", "example.net"];
    let version = url.strip_prefix("http://hl7.org/fhir/").and_then(|rest| rest.split('/').next());
    example.iter().any(|it| host == *it || host.strip_suffix(it).is_some_and(|sub| sub.ends_with('.')))
        || version.is_some_and(|it| it.len() == 3 && it.starts_with(|c: char| c.is_ascii_digit()))
}

fn placed<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, profile: &Profile, host: &Host<'d>) {
    let modifying = host.under == Some(name::MODIFIER_EXTENSION);
    if modifying != profile.is_modifier {
        let message = if modifying {
            format!("{} is not a modifier extension: write it under `extension`", profile.url)
        } else {
            format!("{} is a modifier extension: write it under `modifierExtension`", profile.url)
        };
        walk.report(extension, extension, Rule::Extension.error(IssueType::Extension, message));
    }
    let allows = |profile: &Profile| {
        profile.context.is_empty()
            || profile.context.iter().any(|it| fits(walk, &it.kind, &it.expression, host))
    };
    // Later editions widen what R4 published too narrowly.
    if allows(profile) || walk.profiles.get(walk.types, &profile.url).is_ok_and(|later| allows(&later)) {
        return;
    }
    let allowed: Vec<&str> = profile.context.iter().map(|it| it.expression.as_str()).collect();
    let message =
        format!("the extension {} does not belong here; it is for {}", profile.url, allowed.join(", "));
    let place = host.value.unwrap_or(extension);
    walk.report(place, extension, Rule::Extension.error(IssueType::Extension, message));
}

/// True where a context allows the host. FHIRPath contexts are taken as fulfilled.
fn fits(walk: &Walk<'_, '_>, kind: &str, expression: &str, host: &Host<'_>) -> bool {
    match kind {
        "extension" => host
            .value
            .and_then(|value| value.get(name::URL))
            .is_some_and(|url| url.is_str(expression.split('|').next().unwrap_or_default())),
        "element" => {
            let definitions = walk.types.definitions();
            if expression.contains(['/', '#']) {
                return true;
            }
            let above = |path: &str| {
                let parts = path.split_once('.').zip(expression.split_once('.'));
                parts.is_some_and(|((own, rest), (base, wanted))| {
                    rest == wanted && definitions.is_subtype(own, base)
                })
            };
            let exact = above(&host.path)
                || above(&host.chain)
                || [&host.path, &host.own, &host.chain, &host.type_name]
                    .into_iter()
                    .any(|it| it == expression);
            let known = expression.contains('.') || definitions.type_kind(expression).is_some();
            let inherits = match expression {
                // Many definitions write Element and mean resources too.
                "Element" => true,
                "BackboneElement" => host.own.contains('.'),
                _ => {
                    definitions.is_subtype(&host.type_name, expression)
                        || (!host.own.contains('.') && definitions.is_subtype(&host.own, expression))
                }
            };
            exact || inherits || !known
        }
        _ => true,
    }
}

/// Parts of a complex extension are those that its definition names.
fn defined<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, profile: &Profile) {
    let Some(parts) = profile.parts() else { return };
    let inner = extension.get(name::EXTENSION).into_iter().flat_map(Value::items);
    for part in inner {
        let Some(url) = part.str_of(name::URL) else { continue };
        if is_absolute(&url) || parts.iter().any(|known| *known == url) {
            continue;
        }
        let message = format!("{} has no part with this url; it has {}", profile.url, parts.join(", "));
        walk.report(part, part, Rule::Extension.error(IssueType::Extension, message));
    }
}
